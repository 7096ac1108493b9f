"""Scores of a comparison: those of sklearn, an interval over groups, a majority of what was trained on."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from affectgpt.baselines.predictions import Prediction
from affectgpt.baselines.scores import (
    compare_systems,
    groups_of,
    majority_answers,
    print_scores,
    score_runs,
    system_columns,
)
from affectgpt.baselines.split import Split
from affectgpt.data.clip import Clip, Targets

CLASSES = ("angry", "happy", "sad")


def rows(targets, answers) -> list[Prediction]:
    return [Prediction(f"c/{number}", target, answer)
            for number, (target, answer) in enumerate(zip(targets, answers, strict=True))]


def random_runs(clips: int = 60, seeds: int = 3, hit: float = 0.5) -> dict[int, list[Prediction]]:
    generator = random.Random(0)
    targets = [generator.choice(CLASSES) for _ in range(clips)]
    return {seed: rows(targets, [target if generator.random() < hit else generator.choice((*CLASSES, None))
                                 for target in targets]) for seed in range(seeds)}


def test_scores_are_those_of_sklearn():
    runs = random_runs()
    found = score_runs(runs, CLASSES)
    of_seed = []
    for run in runs.values():
        targets, said = [row.target for row in run], [row.predicted or "none" for row in run]
        of_seed.append((accuracy_score(targets, said),
                        f1_score(targets, said, labels=CLASSES, average="macro"),
                        f1_score(targets, said, labels=CLASSES, average="weighted")))
    for name, values in zip(("accuracy", "macro_f1", "weighted_f1"), np.transpose(of_seed), strict=True):
        assert found[name]["mean"] == pytest.approx(values.mean(), abs=1e-12)
        assert found[name]["std"] == pytest.approx(values.std(ddof=1), abs=1e-12)
        assert found[name]["low"] < found[name]["mean"] < found[name]["high"]
    table = sum(confusion_matrix([row.target for row in run], [row.predicted or "none" for row in run],
                                 labels=[*CLASSES, "none"])[:3] for run in runs.values())
    assert found["confusion"] == table.tolist()
    assert found["unanswered"] == sum(row.predicted is None for run in runs.values() for row in run) > 0
    assert any(note.startswith(f"no answer {found['unanswered']} times of 180") for note in found["notes"])


def test_a_hand_made_table():
    runs = {0: rows(["angry", "angry", "happy", "happy"], ["angry", "happy", "happy", None])}
    found = score_runs(runs, CLASSES, majority=dict.fromkeys((f"c/{n}" for n in range(4)), "happy"))
    assert found["accuracy"]["mean"] == 0.5 and found["accuracy"]["std"] == 0
    # angry: 1 hit of 2, said once: 2/3. happy: 1 hit of 2, said twice: 1/2. sad has no targets.
    assert found["macro_f1"]["mean"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert found["per_class"]["angry"] == {"clips": 2, "f1": pytest.approx(2 / 3)}
    assert found["per_class"]["sad"] == {"clips": 0, "f1": None}
    assert found["confusion"] == [[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 0]]
    assert found["majority"]["accuracy"]["mean"] == 0.5
    assert found["majority"]["weighted_f1"]["mean"] == pytest.approx(0.5 * 2 / 3)
    assert found["majority"]["source"] == "training clips"
    assert "no tested clip is sad: F1 is over the other classes" in found["notes"]


def test_an_answer_that_is_no_class_is_wrong_and_told_apart():
    found = score_runs({0: rows(["angry", "happy"], ["glad", "happy"])}, CLASSES)
    assert (found["accuracy"]["mean"], found["unanswered"], found["unknown"]) == (0.5, 0, 1)
    assert found["confusion"][0] == [0, 0, 0, 1]


def test_the_interval_is_over_groups_and_seeds_inside_a_resample():
    """Four copies of one trial are no four trials; and seeds that differ by chance narrow no interval of clips."""
    alone = random_runs(40, 1)[0]
    copies = [Prediction(f"{row.key}-{copy}", row.target, row.predicted) for row in alone for copy in range(4)]
    groups = {row.key: row.key.rpartition("-")[0] for row in copies}
    single, grouped, naive = (score_runs({0: runs}, CLASSES, within) for runs, within in
                              ((alone, None), (copies, groups), (copies, None)))
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        assert grouped[name] == pytest.approx(single[name])
        assert naive[name]["high"] - naive[name]["low"] < 0.7 * (single[name]["high"] - single[name]["low"])
    assert (grouped["groups"], grouped["clips"]) == (40, 160)
    thrice = score_runs(dict.fromkeys(range(3), alone), CLASSES)
    assert thrice["accuracy"] == pytest.approx(single["accuracy"])
    # By hand: the score of two seeds in a resample is the mean of their two scores.
    runs = random_runs(12, 2)
    columns, counts = system_columns(runs, CLASSES), np.random.default_rng(1).integers(0, 3, (5, 12)).astype(float)
    apart = [system_columns({seed: run}, CLASSES) for seed, run in runs.items()]
    expected = np.mean([one.finish(counts @ one.values)["macro_f1"] for one in apart], axis=0)
    assert columns.finish(counts @ columns.values)["macro_f1"] == pytest.approx(expected)


def test_one_group_has_no_interval(capsys):
    found = score_runs({0: rows(["angry", "sad"], ["angry", "angry"])}, CLASSES, {"c/0": "v", "c/1": "v"})
    assert found["accuracy"]["low"] is None and "all clips hang together: no interval" in found["notes"]
    print_scores("toy", found)
    text = capsys.readouterr().out
    assert "toy: 2 clips in 1 groups, 1 seed " in text and "accuracy 0.500" in text and "majority of the tested" in text


@pytest.mark.parametrize("runs, groups, message", [
    ({}, None, "no predictions"), ({0: []}, None, "no predictions"),
    ({0: rows(["sad"], ["sad"]), 1: rows(["sad", "sad"], ["sad", "sad"])}, None, "seed 1 tested other clips"),
    ({0: rows(["fear"], ["sad"])}, None, "'fear' is none of angry, happy, sad"),
    ({0: rows(["sad"], ["sad"]) * 2}, None, "c/0: is predicted twice"),
    ({0: rows(["sad"], ["sad"])}, {}, "c/0: has no group"),
])
def test_what_cannot_be_scored_is_said(runs, groups, message):
    with pytest.raises(ValueError, match=message):
        score_runs(runs, CLASSES, groups)


def clip(name: str, emotion: str, **more) -> Clip:
    return Clip(id=name, corpus="c", targets=Targets(emotion=emotion), **more)


def test_the_majority_is_that_of_each_splits_training_clips():
    a, b, c, d = clip("a", "sad"), clip("b", "sad"), clip("c", "happy"), clip("d", "angry")
    splits = [Split("0", (a, b, c), (d,), (d,)), Split("1", (c, d), (a,), (a, b))]
    assert majority_answers(splits) == {"c/d": "sad", "c/a": "angry", "c/b": "angry"}
    with pytest.raises(ValueError, match="c/0: has no majority"):
        score_runs({0: rows(["sad"], ["sad"])}, CLASSES, majority=majority_answers(splits))


def test_groups_are_videos_then_dialogues_then_speakers_then_clips():
    assert groups_of([clip("a", "sad", group="v", speaker="s")]) == {"c/a": "v"}
    assert groups_of([clip("a", "sad", group="v", speaker="s"), clip("b", "sad", speaker="s")]) == {
        "c/a": "s", "c/b": "s"}
    assert groups_of([clip("a", "sad", dialogue="1", split="train"), clip("b", "sad", dialogue="1", split="dev")]) == {
        "c/a": "train1", "c/b": "dev1"}
    assert groups_of([clip("a", "sad"), clip("b", "sad", speaker="s")]) == {"c/a": "c/a", "c/b": "c/b"}


def test_two_systems_are_compared_on_the_same_clips():
    worse, better = random_runs(80, 3, 0.2), random_runs(80, 3, 0.9)
    found = compare_systems(worse, better, CLASSES)
    gap = score_runs(better, CLASSES)["weighted_f1"]["mean"] - score_runs(worse, CLASSES)["weighted_f1"]["mean"]
    assert found["difference"] == pytest.approx(gap) and found["p"] < 0.01 and found["interval"][0] > 0
    assert compare_systems(better, better, CLASSES)["p"] == 1
    once = compare_systems({0: worse[0]}, better, CLASSES)
    assert once["difference"] > 0.2
    with pytest.raises(ValueError, match="3 and 2 seeds"):
        compare_systems(worse, {0: worse[0], 1: worse[1]}, CLASSES)
    with pytest.raises(ValueError, match="other clips"):
        compare_systems({0: worse[0]}, {0: worse[0][1:]}, CLASSES)
