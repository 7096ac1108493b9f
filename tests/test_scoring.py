"""Scores of prediction files: published numbers to the digit, strict counting, bad input, choice of a checkpoint."""

from __future__ import annotations

import json
import math
import subprocess
import sys

import numpy as np
import plain_scores
import pytest

from affectgpt.cli import main
from affectgpt.metrics import openset, sentiment
from affectgpt.metrics.wheels import WHEELS

PUBLISHED = {  # set -> (hit rate or WAF of the best of seven checkpoints and its name, of the last), arXiv 2501.16566
    "mer2023": ("50", 78.54, 73.69), "iemocapfour": ("35", 60.54, 57.74),
    "cmumosi": ("40", 81.30, 78.30), "sims": ("30", 88.49, 85.28),
}


class Table:
    """A wheel of three roots, the same five times; "tense" and "neutral" are on no wheel."""

    version = "toy"
    words = {"happy": "joy", "glad": "joy", "sad": "sorrow", "angry": "rage", "furious": "rage", "t cope": "sorrow",
             "disgusted": "disgust"}

    def root(self, label, wheel, level="level1"):
        return self.words.get(label)


TOY = {"published": Table(), "strict": Table()}


@pytest.fixture()
def toy_wheels(monkeypatch):
    monkeypatch.setattr("affectgpt.eval.score.load_wheels",
                        lambda kind, *rest: TOY if kind in ("basic", "openset") else {})


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run_json(capsys, *arguments, code=0):
    capsys.readouterr()
    assert main(["score", *map(str, arguments), "--json"]) == code
    captured = capsys.readouterr()
    return (json.loads(captured.out) if code == 0 else None), captured.err


def labelled(name, target, labels, checkpoint=1, **more):
    return {"checkpoint": checkpoint, "name": name, "target": target, "response": "x", "labels_raw": labels, **more}


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_published_numbers_are_reproduced(name, shared_data, capsys):
    results, _ = run_json(capsys, shared_data / "unibench" / f"{name}.jsonl", "--set", name,
                          "--wheels", shared_data / "wheels" / "mer2025")
    scores = {key: round(entry["published"]["primary"], 2) for key, entry in results["checkpoints"].items()}
    best, top, last = PUBLISHED[name]
    assert list(scores) == ["30", "35", "40", "45", "50", "55", "60"]
    assert max(scores, key=scores.get) == best and scores[best] == top and scores["60"] == last
    for entry in results["checkpoints"].values():
        low, high = entry["published"]["interval"]
        assert low < entry["published"]["primary"] < high and high - low < 15
        assert entry["strict"]["scored"] == entry["n"] == results["n_clips"]
    assert results["chosen"] is None


def test_the_second_published_numbers_are_reproduced(shared_data, capsys):
    for name, checkpoint, accuracy in (("cmumosi", "40", 81.25), ("sims", "30", 88.40)):
        results, _ = run_json(capsys, shared_data / "unibench" / f"{name}.jsonl", "--set", name)
        assert round(results["checkpoints"][checkpoint]["published"]["accuracy"], 2) == accuracy


def test_as_many_clips_are_scored_as_in_the_published_benchmark(shared_data, capsys):
    results, _ = run_json(capsys, shared_data / "unibench" / "mer2023.jsonl", "--set", "mer2023",
                          "--wheels", shared_data / "wheels" / "mer2025")
    scored = [row["scored"] for row in results["checkpoints"]["30"]["published"]["per_wheel"].values()]
    assert scored == [323, 323, 323, 323, 305]  # neutral is on no wheel, surprise not on the fifth


def test_wheels_of_the_two_years_differ(shared_data, capsys):
    file = shared_data / "unibench" / "iemocapfour.jsonl"
    scores = []
    for version in ("mer2025", "mer2026"):
        results, _ = run_json(capsys, file, "--set", "iemocapfour", "--wheels", shared_data / "wheels" / version,
                              "--checkpoint", "30")
        assert results["wheels"]["published"] == version and list(results["checkpoints"]) == ["30"]
        scores.append(round(results["checkpoints"]["30"]["published"]["primary"], 2))
    assert scores == [58.27, 58.13]


def test_the_scorer_agrees_with_the_plain_functions(shared_data, capsys):
    """Cached and vectorised columns against `plain_scores.set_scores`, on real answers.

    MER2023 is scored as if it were open-vocabulary.
    """
    from affectgpt.metrics.wheels import load_tables

    file, wheels = shared_data / "unibench" / "mer2023.jsonl", shared_data / "wheels" / "mer2025"
    results, _ = run_json(capsys, file, "--set", "toy", "--kind", "openset", "--wheels", wheels,
                          "--strict-wheels", wheels, "--checkpoint", "45")
    rows = [row for row in map(json.loads, file.read_text().splitlines()) if row["checkpoint"] == 45]
    for mode, level, found in (("published", "level1", results["checkpoints"]["45"]["published"]),
                               ("published", "level2", results["checkpoints"]["45"]["published"]["level2"]),
                               ("strict", "level1", results["checkpoints"]["45"]["strict"])):
        expected = plain_scores.set_scores([row["target"] for row in rows], [row["labels_raw"] for row in rows],
                                           load_tables(wheels), level, strict=mode == "strict")
        for key in ("f", "precision", "recall", "sample_f"):
            assert found[key] == pytest.approx(100 * expected[key], abs=1e-3), (mode, level, key)


def test_hit_rate_by_hand(tmp_path, capsys, toy_wheels):
    rows = [labelled("a", "happy", "[glad, sad, sad]"),     # hit; two candidate classes said
            labelled("b", "angry", "[tense]"),              # miss
            labelled("c", "neutral", "[happy]"),            # not on the wheel: published leaves it out
            labelled("d", "sad", "[furious, sad, happy, disgusted]")]  # hit; four said, of which three are targets
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "mer2023")
    entry = results["checkpoints"]["1"]
    assert entry["published"]["primary"] == pytest.approx(100 * 2 / 3, abs=1e-3)
    assert entry["published"]["mscore"] == pytest.approx(100 * (1 / 2 + 0 + 1 / 3) / 3, abs=1e-3)
    assert entry["published"]["scored"] == 3 and entry["n"] == 4
    # strict: F of each clip 2/3, 0 ("tense" is a class of its own), 0 and 2/5; nothing is left out
    assert entry["strict"]["primary"] == pytest.approx(100 * (2 / 3 + 0 + 0 + 2 / 5) / 4, abs=1e-3)
    assert entry["strict"]["scored"] == 4
    assert entry["strict"]["first_label"]["accuracy"] == pytest.approx(25.0)


def test_over_generation_costs_strict_points_and_no_published_ones(tmp_path, capsys, toy_wheels):
    scores = []
    for labels in ("[happy]", "[happy, sad, angry, blue, green]"):
        results, _ = run_json(capsys, write(tmp_path / "p.jsonl", [labelled("a", "happy", labels)]), "--set", "mer2023")
        scores.append(results["checkpoints"]["1"])
    assert [entry["published"]["primary"] for entry in scores] == [100, 100]
    assert [entry["strict"]["primary"] for entry in scores] == [100, pytest.approx(100 / 3, abs=1e-3)]


def test_neutral_counts_in_strict_scores(tmp_path, capsys, toy_wheels):
    rows = [labelled("a", "neutral", "[neutral]"), labelled("b", "neutral", "[]"), labelled("c", "neutral", "[sad]"),
            labelled("d", "happy", "[happy]")]
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "mer2023")
    entry = results["checkpoints"]["1"]
    assert entry["strict"]["primary"] == 75 and entry["published"]["scored"] == 1
    assert results["problems"]["empty_list"] == {"count": 1, "examples": ["b at 1"]} and "without any label" in error


def test_open_vocabulary_sets_take_lists_and_their_printed_form(tmp_path, capsys, toy_wheels):
    """F is made of the means of precision and recall; a list as target reads like its printed form."""
    for targets in ([["happy", "sad"], ["angry"], ["neutral"]], ["['happy', 'sad']", "['angry']", "['neutral']"]):
        rows = [labelled("a", targets[0], "[glad]"), labelled("b", targets[1], "[angry, sad]"),
                labelled("c", targets[2], "[sad]")]
        results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "ovmerdplus")
        entry = results["checkpoints"]["1"]["published"]
        precision, recall = (1 + 1 / 2) / 2, (1 / 2 + 1) / 2
        assert entry["precision"] == pytest.approx(100 * precision) and entry["recall"] == pytest.approx(100 * recall)
        assert entry["primary"] == pytest.approx(100 * 2 * precision * recall / (precision + recall), abs=1e-3)
        assert entry["scored"] == 2 and results["checkpoints"]["1"]["strict"]["scored"] == 3
        assert entry["level2"]["f"] == entry["f"] == entry["both_levels"]


def test_the_apostrophe_is_cut_in_published_scores_only(tmp_path, capsys, toy_wheels):
    assert openset.published_list("[can't cope, 'sad']") == ["can", "t cope", "sad"]
    rows = [labelled("a", ["sad"], "[can't cope]")]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "ovmerdplus")
    entry = results["checkpoints"]["1"]
    assert entry["published"]["recall"] == 100 and entry["strict"]["recall"] == 0


@pytest.mark.parametrize("raw, labels", [
    ("[a, B ,c]", ["a", "b", "c"]), ("['a','b']", ["a", "b"]), ('"a"', ["a"]), ("", []), ("[]", []), ("[[a]]", ["[a]"]),
    (["a", "b"], ["a", "b"]), (" [a]", ["[a"]), ("a;b", ["a;b"]), ("[a, , b]", ["a", "b"])])
def test_published_list_keeps_the_official_quirks(raw, labels):
    assert openset.published_list(raw) == labels


def test_a_neutral_answer_is_negative_in_published_scores_only(tmp_path, capsys):
    rows = [{"checkpoint": 1, "name": name, "target": target, "response": "x", "sentiment_raw": said}
            for name, target, said in (("a", -1.0, "neutral"), ("b", 2.0, "positive"), ("c", 0.0, "neutral"),
                                       ("d", 0.4, "mixed"))]
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "cmumosi")
    entry = results["checkpoints"]["1"]
    assert entry["published"]["scored"] == 3 and entry["published"]["accuracy"] == pytest.approx(66.6667)
    assert entry["strict"]["scored"] == 4 and entry["strict"]["accuracy"] == 50
    assert entry["strict"]["polar_accuracy"] == pytest.approx(33.3333)
    assert results["problems"]["no_polarity"]["examples"] == ["d at 1"] and "no polarity" in error


def test_weighted_f1_equals_sklearn():
    from random import Random

    from sklearn.metrics import accuracy_score, f1_score

    draw = Random(0)
    targets = [draw.choice([-2.0, -0.2, 0.0, 0.6, 3.0]) for _ in range(300)]
    said = [draw.choice(["positive", "negative", "neutral", "mixed"]) for _ in range(300)]
    kept = [(target > 0, word == "positive") for target, word in zip(targets, said, strict=True) if target != 0]
    truth, guess = zip(*kept, strict=True)
    scores = sentiment.published_columns(targets, said).scores()
    assert scores["waf"] == pytest.approx(f1_score(truth, guess, average="weighted"))
    assert scores["accuracy"] == pytest.approx(accuracy_score(truth, guess))
    classes = [["negative", "neutral", "positive"][int(1 + (value > 0) - (value < 0))] for value in targets]
    strict = sentiment.strict_columns(targets, said).scores()
    assert strict["waf"] == pytest.approx(f1_score(classes, said, average="weighted"))
    assert strict["macro_f1"] == pytest.approx(f1_score(classes, said, average="macro", labels=sentiment.CLASSES))


def test_valence_error_and_correlation(tmp_path, capsys):
    from scipy.stats import pearsonr

    pairs = [(-2.0, -1.5), (1.0, 0.2), (3.0, 2.0), (0.0, 0.5), (1.5, 1.5)]
    rows = [{"name": f"c{index}", "target": target, "response": "x", "sentiment_raw": "positive", "valence": said}
            for index, (target, said) in enumerate(pairs)]
    rows.append({"name": "bad", "target": 1.0, "response": "x", "sentiment_raw": "positive", "valence": math.nan})
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "cmumosi")
    found = results["checkpoints"]["only"]["strict"]["valence"]
    truth, said = zip(*pairs, strict=True)
    assert found["valence_n"] == 5 and found["mae"] == pytest.approx(0.56)
    assert found["pearson"] == pytest.approx(pearsonr(truth, said).statistic, abs=1e-5)
    centres = (sum(truth) / 5 - sum(said) / 5) ** 2
    assert found["concordance"] == pytest.approx(2 * np.cov(truth, said, ddof=0)[0, 1]
                                                 / (np.var(truth) + np.var(said) + centres), abs=1e-5)
    assert results["problems"]["bad_valence"]["count"] == 1 and "valence" in error


def test_bad_rows_are_counted_and_never_dropped_in_silence(tmp_path, capsys, toy_wheels):
    rows = [labelled("a", "happy", "[happy]"), labelled("a", "happy", "[happy]"), labelled("a", "happy", "[sad]"),
            labelled("b", "sad", "[sad]"), labelled("stranger", "sad", "[sad]"),
            labelled("long", "sad", "sad, " * 200_000), labelled("curly", "sad", "[can\u2019t cope, **sad**]"),
            {"name": "bare", "target": "sad", "response": "x"}]
    file = write(tmp_path / "p.jsonl", rows)
    with file.open("a", encoding="utf-8") as out:
        out.write('{"name": "torn", "tar\n[1, 2]\n{"target": "sad"}\n\n{"name": 7, "target": "sad"}\n')
    targets = write(tmp_path / "t.jsonl", [{"name": name, "target": "sad"} for name in
                                           ("a", "b", "gone", "long", "curly", "bare")])
    results, error = run_json(capsys, file, "--set", "mer2023", "--targets", targets)
    counts = {kind: problem["count"] for kind, problem in results["problems"].items()}
    # "bare" has no checkpoint of its own ("only"), where all others are missing
    assert counts["unreadable_row"] == 4 and counts["duplicate"] == 2 and counts["duplicate_differs"] == 1
    assert counts["unknown_name"] == 1 and counts["long_answer"] == 1 and counts["no_labels"] == 1
    assert results["problems"]["duplicate_differs"]["examples"] == ["a in p.jsonl:3"]
    for word in ("occur again", "the targets do not have", "no JSON object", "without a prediction"):
        assert word in error
    entry = results["checkpoints"]["1"]
    assert entry["n"] == 4 and results["n_clips"] == 6
    # published leaves missing clips out, strict calls them wrong
    assert entry["published"]["scored"] == 4 and entry["strict"]["scored"] == 6
    # a: wrong; b: right; long: right; curly: "can't cope" is its own class beside "sad"
    assert entry["strict"]["primary"] == pytest.approx(100 * (0 + 1 + 1 + 2 / 3) / 6, abs=1e-3)


def test_targets_that_cannot_be_scored_are_named(tmp_path, capsys):
    rows = [{"name": "a", "target": 1.0, "response": "x", "sentiment_raw": "positive"},
            {"name": "b", "target": math.nan, "response": "x", "sentiment_raw": "positive"},
            {"name": "c", "target": "happy", "response": "x", "sentiment_raw": "positive"},
            {"name": "d", "target": None, "response": "x", "sentiment_raw": "positive"}]
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "sims")
    assert {kind: row["examples"] for kind, row in results["problems"].items()} == {
        "nan_target": ["b"], "bad_target": ["c"], "no_target": ["d"]}
    assert results["n_clips"] == 1 and "457 clips in the published benchmark" in error


@pytest.mark.parametrize("arguments, word", [
    (["--set", "nonsense"], "--kind"), (["--set", "meld", "--kind", "sentiment"], "basic"),
    (["--set", "sims", "--checkpoint", "7"], "--checkpoint 7"), (["--set", "sims", "--resamples", "1"], "--resamples"),
    (["--set", "sims", "--select-on", "v", "--select-on-test"], "--select-on-test")])
def test_mistakes_are_named(arguments, word, tmp_path, capsys):
    file = write(tmp_path / "p.jsonl", [{"name": "a", "target": 1.0, "response": "x", "sentiment_raw": "positive"}])
    assert word in run_json(capsys, file, *arguments, code=2)[1]


def test_files_without_rows_or_labels_are_refused(tmp_path, capsys):
    (tmp_path / "empty.jsonl").write_text("\n")
    assert "no rows" in run_json(capsys, tmp_path / "empty.jsonl", "--set", "sims", code=2)[1]
    assert "cannot be read" in run_json(capsys, tmp_path / "none.jsonl", "--set", "sims", code=2)[1]
    file = write(tmp_path / "p.jsonl", [{"name": "a", "target": 1.0, "response": "x"}])
    assert "affectgpt label" in run_json(capsys, file, "--set", "sims", code=2)[1]


def seeds(tmp_path, share, name, clips=200, checkpoints=(1, 2), prefix="c"):
    """Predictions that are right in these shares of clips, checkpoint by checkpoint."""
    rows = [{"checkpoint": checkpoint, "name": f"{prefix}{index}", "target": 1.0 if index % 2 else -1.0,
             "response": "x",
             "sentiment_raw": ("positive" if index % 2 else "negative") if index < clips * right else "neutral"}
            for checkpoint, right in zip(checkpoints, share, strict=True) for index in range(clips)]
    return write(tmp_path / name, rows)


def test_a_checkpoint_is_chosen_by_validation_clips_only(tmp_path, capsys):
    test = seeds(tmp_path, (0.9, 0.6), "test.jsonl")
    validation = seeds(tmp_path, (0.5, 0.8), "validation.jsonl", prefix="v")
    results, _ = run_json(capsys, test, "--set", "cmumosi", "--select-on", validation)
    assert results["chosen"] == {"checkpoint": "2", "by": "validation", "file": str(validation), "candidates": 2,
                                 "validation": pytest.approx(results["chosen"]["validation"])}
    results, error = run_json(capsys, test, "--set", "cmumosi", "--select-on-test")
    assert results["chosen"]["checkpoint"] == "1" and results["chosen"]["by"] == "test"
    assert "too high" in error
    results, error = run_json(capsys, test, "--set", "cmumosi")
    assert results["chosen"] is None and "too high" not in error


def test_two_systems_are_compared_on_the_same_clips(tmp_path, capsys):
    mine, theirs = (seeds(tmp_path, (share,), f"{name}.jsonl", checkpoints=(1,))
                    for name, share in (("mine", 0.9), ("theirs", 0.7)))
    row = run_json(capsys, mine, "--set", "cmumosi", "--against", theirs)[0]["comparison"]["strict"]
    assert row["difference"] > 10 and row["interval"][0] > 0 and 0 < row["p"] < 0.01
    row = run_json(capsys, mine, "--set", "cmumosi", "--against", mine)[0]["comparison"]["strict"]
    assert row["difference"] == 0 and row["p"] == 1
    assert "--checkpoint" in run_json(capsys, seeds(tmp_path, (0.5, 0.6), "two.jsonl"), "--set", "cmumosi", "--against",
                                      theirs, code=2)[1]


def test_several_files_are_several_seeds(tmp_path, capsys):
    files = [seeds(tmp_path, (share,), f"seed{index}.jsonl", checkpoints=(1,))
             for index, share in enumerate((0.5, 0.7, 0.9))]
    results, _ = run_json(capsys, *files, "--set", "CMUMOSI")
    assert results["set"] == "cmumosi" and list(results["checkpoints"]) == ["seed0:1", "seed1:1", "seed2:1"]
    scores = [entry["strict"]["primary"] for entry in results["checkpoints"].values()]
    assert results["spread"]["strict"]["mean"] == pytest.approx(sum(scores) / 3, abs=1e-3)
    assert results["spread"]["strict"]["min"] == min(scores) and results["spread"]["strict"]["std"] > 5


def test_answers_to_other_questions_and_from_other_streams_are_other_systems(tmp_path, capsys):
    rows = [{"checkpoint": 5, "name": "a", "target": 1.0, "response": "x", "question": question, "streams": streams,
             "sentiment_raw": said} for question, streams, said in (
                 ("labels", ["audio", "text"], "positive"), ("labels", ["text"], "negative"),
                 ("sentiment", ["text"], "positive"))]
    file = write(tmp_path / "p.jsonl", rows)
    results, _ = run_json(capsys, file, "--set", "cmumosi")
    assert {key: entry["strict"]["primary"] for key, entry in results["checkpoints"].items()} == {
        "5 labels audio+text": 100, "5 labels text": 0, "5 sentiment text": 100}
    assert "duplicate" not in results["problems"] and results["spread"] == {}  # a mean over these says nothing
    results, _ = run_json(capsys, file, "--set", "cmumosi", "--question", "labels", "--streams", "text,audio")
    assert list(results["checkpoints"]) == ["5"] and results["rows"] == 1
    assert "with question valence" in run_json(capsys, file, "--set", "cmumosi", "--question", "valence", code=2)[1]


def test_descriptions_are_scored_by_their_clues(tmp_path, capsys):
    reference = "In the video, she smiles and her eyes are bright. In the audio, her voice is loud."
    rows = [{"name": "same", "target": reference, "response": reference, "clue_rating": 10, "label_rating": 8},
            {"name": "other", "target": reference, "response": "He frowned at the grey wall.", "clue_rating": 2}]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "emer", "--kind", "description")
    entry = results["checkpoints"]["only"]
    assert entry["strict"]["clue_f"] == 50 and entry["published"]["clue_overlap"] == 60
    assert entry["published"]["label_overlap"] == 80 and entry["published"]["metric"] == "judge's label overlap"
    named = [row | {"rated_by": "llm:a"} for row in rows]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", named), "--set", "emer")
    assert results["checkpoints"]["only"]["published"]["metric"] == "label overlap rated by llm:a"
    named[1]["rated_by"] = "llm:b"
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", named), "--set", "emer")
    assert "several judges" in results["warnings"][0]


def test_results_go_to_a_file_and_a_table_to_people(tmp_path, capsys):
    file = seeds(tmp_path, (0.9, 0.6), "p.jsonl")
    assert main(["score", str(file), "--set", "sims"]) == 0
    table = capsys.readouterr().out
    written = json.loads((tmp_path / "p.results.json").read_text())
    assert f"| 1 | 200 | {written['checkpoints']['1']['published']['primary']:.2f}" in table
    assert "No checkpoint is chosen" in table and "next:" in table


def test_metrics_need_neither_torch_nor_other_heavy_libraries():
    code = ("import sys; import affectgpt.metrics.benchmark, affectgpt.metrics.openset, affectgpt.metrics.wheels, "
            "affectgpt.metrics.emer, affectgpt.metrics.stats, affectgpt.metrics.rows, affectgpt.metrics.basic, "
            "affectgpt.words.lexicon\n"
            "heavy = {'torch', 'transformers', 'sklearn', 'scipy', 'pandas', 'matplotlib', 'openpyxl'}\n"
            "heavy &= set(sys.modules)\n"
            "sys.exit(f'{heavy}' if heavy else 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_synonym_groups_of_mer2024():
    group = openset.groups_of("[[happy, joyful], [sad, down]]")
    scores = openset.synonym_group_scores([["happy", "sad"], ["angry"], []],
                                          [["joyful"], ["angry", "down"], ["sad"]], group)
    assert scores == {"accuracy": 0.75, "recall": 0.75, "score": 0.75, "scored": 2}
    assert openset.groups_of("[['happy and satisfied', 'glad'], ['angry/displeased']]")("glad") == "happy and satisfied"
    assert openset.groups_of([["a or b", "c"]])("b") is None


def test_wheel_names_are_those_of_the_tables():
    assert WHEELS == tuple(f"wheel{number}" for number in range(1, 6))
