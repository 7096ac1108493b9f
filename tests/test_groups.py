"""Scores of groups of clips and the gap between them: by hand, in simulations, and with clips that hang together."""

import math

import numpy as np
import pytest

from affectgpt.metrics import groups, stats


def mean_columns(values):
    values = np.column_stack([np.ones(len(values)), values])
    return stats.Columns(values, lambda sums: {"mean": stats.ratio(sums[..., 1], sums[..., 0])})


def scored(values, members, clusters=None, resamples=400, **more):
    counts = stats.resample_counts(len(values), resamples, clusters)
    return groups.group_scores(mean_columns(values), "mean", members, counts, clusters, **more)


def test_rows_say_which_groups_their_clips_are_of():
    rows = [{"speaker": "Ann", "sex": "female", "language_of_clip": "en", "language": "zh", "corpus": "meld",
             "seconds": 1.99, "face_found": True},
            {"speaker": " ", "sex": None, "seconds": 2, "face_found": False, "corpus": 3}, None,
            {"seconds": math.nan, "face_found": "yes"}, {"seconds": 10**400}, {"seconds": True}, {"seconds": -1},
            {"seconds": 5.0, "speaker": ["Ann"]}, {"seconds": 900}]
    found = groups.members_of(rows)
    assert found["speaker"] == ["Ann"] + [None] * 8 and found["sex"][:2] == ["female", None]
    assert found["length"] == ["under 2 s", "2 to 5 s", None, None, None, None, None, "5 to 15 s", "15 s and more"]
    assert found["face found"] == ["yes", "no"] + [None] * 7 and found["corpus"] == ["meld"] + [None] * 8
    assert (found["language of the clip"][0], found["language of the answer"][0]) == ("en", "zh")
    assert groups.members_of([{"name": "a"}, None]) == {}


def test_clips_hang_together_by_group_or_else_by_speaker():
    rows = [{"group": "v1", "speaker": "x"}, {"group": "v1"}, {"speaker": "v1"}, {"speaker": "v1"}, {}, None,
            {"group": 7}]
    found = groups.clusters_of(rows)
    assert list(stats.units_of(found)) == [0, 0, 1, 1, 2, 3, 4]
    assert groups.clusters_of([{}, {}]) is None and groups.clusters_of([]) is None
    assert groups.clusters_of([{"group": "a"}, {"group": "b"}]) is None  # each clip is of its own


def test_groups_by_hand():
    values = np.array([1.0] * 30 + [0.0] * 10 + [1.0] * 10 + [0.0] * 30 + [1.0] * 19 + [1.0])
    names = ["a"] * 40 + ["b"] * 40 + ["few"] * 19 + [None]
    found = scored(values, {"sex": names})["sex"]
    assert found["groups"]["a"]["score"] == 75 and found["groups"]["b"]["score"] == 25
    assert found["groups"]["a"]["clips"] == 40 and found["groups"]["a"]["clusters"] is None
    assert found["too_few"] == {"few": 19} and found["unknown"] == 1
    gap = found["gap"]
    assert (gap["best"], gap["worst"], gap["difference"]) == ("a", "b", 50)
    half = 1.96 * math.sqrt(2 * 0.75 * 0.25 / 40) * 100
    assert gap["interval"] == pytest.approx([50 - half, 50 + half], abs=3)
    assert gap["p"] == gap["floor"] == pytest.approx(1 / 1001, abs=1e-6)
    low, high = found["groups"]["a"]["interval"]
    assert (low, high) == pytest.approx((75 - 13.4, 75 + 13.4), abs=2.6)


def test_one_group_has_no_gap_and_clips_that_are_not_judged_are_none():
    values = mean_columns(np.ones(60))
    values.values[40:] = 0  # left out by this way of counting
    found = groups.group_scores(values, "mean", {"corpus": ["x"] * 30 + ["y"] * 30}, stats.resample_counts(60, 50))
    assert found["corpus"]["gap"] is None and found["corpus"]["too_few"] == {"y": 10}
    assert found["corpus"]["groups"]["x"]["score"] == 100


def test_random_groups_differ_by_chance_and_p_says_so():
    random, small, zero_held_out = np.random.default_rng(1), 0, 0
    for _ in range(100):
        values = (random.random(200) < 0.6).astype(float)
        gap = scored(values, {"speaker": list("abcdefgh" * 25)}, resamples=100, draws=199)["speaker"]["gap"]
        small += gap["p"] <= 0.05
        zero_held_out += gap["interval"][0] > 0
    assert small <= 12
    assert zero_held_out > 30  # best less worst of eight groups of nothing: the interval alone would mislead


def test_the_gap_of_two_groups_is_covered():
    random, held = np.random.default_rng(2), {True: 0, False: 0}
    for clustered in (True, False):
        for _ in range(120):
            skill = np.repeat(random.normal(0.5, 0.25, 60), 8)  # 60 videos of 8 clips, 30 of each group
            values = skill + random.normal(0, 0.1, 480) + np.repeat([0.5, 0.0], 240)
            videos = list(np.repeat(np.arange(60), 8)) if clustered else None
            found = scored(values, {"sex": ["a"] * 240 + ["b"] * 240}, videos, 200, draws=1)["sex"]["gap"]
            low, high = found["interval"]
            held[clustered] += low <= 50 <= high
    assert held[True] / 120 >= 0.88 and held[False] / 120 <= 0.75


def test_whole_clusters_are_moved_between_groups():
    random, small = np.random.default_rng(3), {True: 0, False: 0}
    for _ in range(60):
        skill = np.repeat(random.random(24), 20)
        values = (random.random(480) < skill).astype(float)
        speakers = [f"s{place // 20}" for place in range(480)]
        for clustered in small:
            gap = scored(values, {"sex": ["f"] * 240 + ["m"] * 240}, speakers if clustered else None,
                         50, draws=199)["sex"]["gap"]
            small[clustered] += gap["p"] <= 0.05
    assert small[True] <= 8 and small[False] >= 20


def test_a_speaker_among_speakers_is_drawn_by_its_clips():
    random = np.random.default_rng(4)
    speakers = [f"s{place // 50}" for place in range(300)]
    values = (random.random(300) < np.repeat([0.9, 0.5, 0.5, 0.5, 0.5, 0.1], 50)).astype(float)
    found = scored(values, {"speaker": speakers}, speakers)["speaker"]
    part = found["groups"]["s1"]
    assert part["clusters"] == 1 and 15 < part["interval"][1] - part["interval"][0] < 40
    gap = found["gap"]
    assert (gap["best"], gap["worst"]) == ("s0", "s5") and gap["p"] < 0.01
    assert 15 < gap["interval"][1] - gap["interval"][0] < 40


def test_traits_are_adjusted_for_their_number():
    random = np.random.default_rng(5)
    values = random.random(200)
    found = scored(values, {name: list(random.choice(["x", "y"], 200)) for name in ("a", "b", "c")}, draws=199)
    raw = [found[name]["gap"]["p"] for name in "abc"]
    assert [found[name]["gap"]["p_adjusted"] for name in "abc"] == pytest.approx(stats.holm(raw), abs=1e-6)
