"""Intervals and tests: against scipy, by how often they hold in simulations, and with clips that hang together."""

import itertools
import math
import time

import numpy as np
import pytest

from affectgpt.metrics import labelsets, stats
from affectgpt.metrics.rows import read_predictions


def mean_columns(values, shares=False):
    values = np.column_stack([np.ones(len(values)), values])
    return stats.Columns(values, lambda sums: {"mean": stats.ratio(sums[..., 1], sums[..., 0])}, shares)


def interval(values, resamples=400, groups=None, shares=False, seed=0):
    counts = stats.resample_counts(len(values), resamples, groups, seed)
    return stats.bootstrap(mean_columns(values, shares), counts, groups)["mean"]


def test_whole_groups_are_drawn():
    groups = ["b", "a", "b", None, None, "a", "b"]
    counts = stats.resample_counts(7, 200, groups)
    assert counts.shape == (200, 7)
    assert (counts[:, [0, 0, 1]] == counts[:, [2, 6, 5]]).all()
    assert (counts[:, 3] != counts[:, 4]).any()  # clips without a group are drawn alone
    units = counts[:, [0, 1, 3, 4]]
    assert (units.sum(1) == 4).all() and len(np.unique(units, axis=0)) > 20
    assert (counts == stats.resample_counts(7, 200, groups)).all()
    assert (counts != stats.resample_counts(7, 200, groups, seed=1)).any()
    # Clips that are groups of their own are drawn as clips are.
    assert (stats.resample_counts(7, 50, list("abcdefg")) == stats.resample_counts(7, 50)).all()
    with pytest.raises(ValueError, match="3 groups for 7 clips"):
        stats.resample_counts(7, 10, ["a"] * 3)


def test_a_group_named_like_a_clip_without_one_is_another_unit():
    assert list(stats.units_of([None, 0, None, 0, ("clip", 0)])) == [0, 1, 2, 1, 3]


def test_bca_below_thirty_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).gamma(1.0, size=22)
    low, high = interval(values, 20_000)
    expected = bootstrap((values,), np.mean, n_resamples=20_000, method="BCa", rng=np.random.default_rng(2))
    expected = expected.confidence_interval
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.03 * (expected.high - expected.low))
    # and of more than thirty it is the percentiles, which are elsewhere for so skew a sample
    drawn = stats.resample_counts(22, 20_000) @ values / 22
    assert abs(high - np.percentile(drawn, 97.5)) > 0.03 * (expected.high - expected.low)


@pytest.mark.parametrize("hits, clips", [(9, 10), (10, 10), (0, 12), (13, 29), (1, 2)])
def test_a_proportion_of_few_clips_has_wilson_s_interval(hits, clips):
    from scipy.stats import binomtest

    found = interval(np.arange(clips) < hits, shares=True)
    expected = binomtest(hits, clips).proportion_ci(method="wilson")
    assert found == pytest.approx((expected.low, expected.high), abs=1e-6)


def coverage(draw, truth, runs, **options):
    hits = 0
    for run in range(runs):
        low, high = interval(*draw(run), **options)
        hits += low - 1e-12 <= truth <= high + 1e-12
    return hits / runs


def test_intervals_of_few_clips_hold_as_often_as_they_say():
    random = np.random.default_rng(3)
    clips = coverage(lambda _: (random.random(20) < 0.9,), 0.9, 400, resamples=50, shares=True)
    assert 0.93 <= clips <= 0.985  # percentiles: 0.875
    thirds = coverage(lambda _: (random.choice([0, 0.5, 2 / 3, 1], 15, p=[0.1, 0.2, 0.3, 0.4]),), 0.7, 400,
                      resamples=50, shares=True)
    assert thirds >= 0.925
    errors = coverage(lambda _: (random.normal(size=20),), 0, 300, resamples=300)
    assert errors >= 0.9


def test_intervals_of_groups_hold_where_those_of_clips_do_not():
    random = np.random.default_rng(4)

    def draw(groups, clips):
        hard = random.normal(size=groups)
        return np.repeat(hard, clips) + random.normal(size=groups * clips), np.repeat(np.arange(groups), clips)

    grouped = alone = 0
    for _ in range(200):
        values, groups = draw(40, 12)
        for options in ({"groups": list(groups)}, {}):
            low, high = interval(values, 200, **options)
            holds = low <= 0 <= high
            grouped, alone = grouped + (holds if options else 0), alone + (0 if options else holds)
    assert grouped / 200 >= 0.9 and alone / 200 <= 0.7

    def few(_):
        easy = random.beta(4, 2, size=8)
        return random.random(8 * 30) < np.repeat(easy, 30)

    hits = 0
    for _ in range(300):
        low, high = interval(few(0), 100, list(np.repeat(np.arange(8), 30)), shares=True)
        hits += low <= 4 / 6 <= high
    assert hits / 300 >= 0.92


def test_few_groups_of_many_clips_are_few():
    values, groups = np.random.default_rng(5).normal(size=300), [place % 5 for place in range(300)]
    sums = np.array([[60, values[unit::5].sum()] for unit in range(5)])
    by_hand = stats.Columns(sums, mean_columns(values).finish, shares=False)
    assert interval(values, 500, groups) == pytest.approx(
        stats.bootstrap(by_hand, stats.resample_counts(5, 500))["mean"])


def test_one_clip_and_none_have_no_false_certainty():
    assert all(map(math.isnan, interval(np.array([0.3]))))
    assert interval(np.array([1.0]), shares=True) == pytest.approx((0.2065, 1.0), abs=1e-3)
    empty = stats.Columns(np.zeros((4, 2)), mean_columns([0.0]).finish)
    assert all(map(math.isnan, stats.bootstrap(empty, stats.resample_counts(4, 20))["mean"]))


def test_a_score_beyond_shares_is_never_given_a_share_s_interval():
    low, high = interval(np.random.default_rng(6).normal(5, 1, size=12), shares=True)
    assert 4 < low < 5.2 < high < 6.5


def compare(first, second, groups=None, draws=stats.DRAWS, resamples=400):
    counts = stats.resample_counts(len(first), resamples, groups)
    return stats.compare(mean_columns(first), mean_columns(second), "mean", counts, groups, draws=draws)


def test_p_of_few_pairs_is_exact():
    from scipy.stats import permutation_test

    random = np.random.default_rng(7)
    first, second = random.normal(size=9), random.normal(0.8, size=9)
    expected = permutation_test((second, first), lambda a, b, axis: np.mean(a - b, axis=axis), vectorized=True,
                                permutation_type="samples", n_resamples=math.inf)
    found = compare(first, second)
    assert found["p"] == pytest.approx(expected.pvalue) and found["floor"] == 0
    # Answers that are the same in both systems make no world of their own.
    more = compare(np.append(first, np.ones(200)), np.append(second, np.ones(200)))
    assert more["p"] == found["p"] and more["floor"] == 0
    same = compare(first, first)
    assert same["p"] == 1 and same["difference"] == 0 and same["interval"] == (0, 0)


def test_p_is_never_below_what_the_draws_can_tell():
    first = np.random.default_rng(8).normal(size=300)
    for draws in (99, 999):
        found = compare(first, first + 1, draws=draws)
        assert found["p"] == found["floor"] == pytest.approx(1 / (draws + 1))
    assert compare(first, first + 1)["p"] == pytest.approx(1 / 10_001)
    assert [stats.p_text(p, floor) for p, floor in (
        (0.0411, 1e-4), (1e-4, 1e-4), (0.000999, 0.000999), (1 / 200, 1 / 200), (0.000999, 0), (0.5, 0), (math.nan, 0),
        (None, 0))] == ["0.041", "< 0.001", "< 0.001", "< 0.005", "< 0.001", "0.50", "none", "none"]


def test_a_paired_test_of_groups_swaps_whole_groups():
    random = np.random.default_rng(9)
    groups = list(np.repeat(np.arange(8), 25))
    first = random.normal(size=200)
    second = first + np.repeat(random.normal(size=8), 25)
    found, alone = compare(first, second, groups), compare(first, second)
    gap = (second - first).reshape(8, 25).sum(1)
    worlds = np.array([abs(gap @ signs) for signs in itertools.product((-1, 1), repeat=8)])
    assert found["p"] == pytest.approx(np.mean(worlds >= abs(gap.sum()) - 1e-9)) and found["floor"] == 0
    assert alone["p"] < found["p"]
    assert found["difference"] == alone["difference"] == pytest.approx(gap.sum() / 200)


@pytest.mark.parametrize("clips_alike, groups, bounds", [(True, True, (0.01, 0.12)), (True, False, (0.3, 0.9)),
                                                         (False, True, (0.01, 0.12))])
def test_equal_systems_are_told_apart_as_rarely_as_p_says(clips_alike, groups, bounds):
    """40 videos of 10 clips; two systems that are as good, each with its own luck with a video."""
    random, small = np.random.default_rng(10), 0
    videos = list(np.repeat(np.arange(40), 10))
    for _ in range(120):
        luck = np.repeat(random.normal(size=40), 10) if clips_alike else 0
        found = compare(np.zeros(400), luck + random.normal(size=400), videos if groups else None, 199, 10)
        small += found["p"] <= 0.05
    assert bounds[0] <= small / 120 <= bounds[1]


def test_differences_of_few_pairs_are_covered():
    random, held = np.random.default_rng(13), 0
    for _ in range(300):
        low, high = compare(np.zeros(9), random.normal(size=9), draws=1)["interval"]
        held += low <= 0 <= high
    assert held / 300 >= 0.91  # BCa alone: 0.88


def test_systems_on_other_clips_are_not_paired():
    with pytest.raises(ValueError, match="on 5 and 4 clips cannot be paired"):
        stats.compare(mean_columns(np.ones(5)), mean_columns(np.ones(4)), "mean", stats.resample_counts(5, 10))


def test_holm():
    assert stats.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert stats.holm([0.01, math.nan, 0.9]) == pytest.approx([0.02, math.nan, 0.9], nan_ok=True)
    assert stats.holm([0.6, 0.7]) == [1, 1] and stats.holm([]) == [] and stats.holm([0.2]) == [0.2]


def test_holm_holds_the_chance_of_any_false_finding():
    random, any_found = np.random.default_rng(11), 0
    for _ in range(2000):
        any_found += min(stats.holm(list(random.random(7)))) < 0.05
    assert 0.035 <= any_found / 2000 <= 0.065


def test_large_sets_are_quick():
    random = np.random.default_rng(12)
    first, second = random.random(4659) < 0.8, random.random(4659) < 0.81
    start = time.process_time()
    found = compare(first.astype(float), second.astype(float), [place // 7 for place in range(4659)], resamples=1000)
    assert time.process_time() - start < 5 and 0 < found["p"] <= 1


def test_sessions_of_iemocap_widen_its_interval(shared_data):
    """Its clips are of 31 dialogues of two speakers each: as clips of their own they seem to say far too much."""
    from affectgpt.metrics.wheels import load_tables

    file, tables = shared_data / "unibench" / "iemocapfour.jsonl", shared_data / "wheels" / "mer2025"
    if not file.is_file() or not tables.is_dir():
        pytest.skip(f"{file} or {tables} is not there")
    found = read_predictions([file])
    names = list(found.targets)
    answers = [found.checkpoints["35"][name].labels_raw for name in names]
    columns = labelsets.hit_columns([found.targets[name] for name in names], answers,
                                    labelsets.Placer(load_tables(tables), False))
    dialogues = [name.rsplit("_", 1)[0] for name in names]
    assert len(set(dialogues)) == 31
    ends = {}
    for key, groups in (("clips", None), ("dialogues", dialogues)):
        low, high = stats.bootstrap(columns, stats.resample_counts(len(names), 2000, groups), groups)["hit_rate"]
        ends[key] = high - low
    assert ends["clips"] == pytest.approx(0.054, abs=0.004)
    assert ends["dialogues"] / ends["clips"] == pytest.approx(2.5, abs=0.3)
