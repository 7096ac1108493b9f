"""What keeps scores fair: no choosing by test clips, extractors on record, missing answers counted, groups whole."""

from __future__ import annotations

import json
import math

import pytest
from test_scoring import labelled, run_json, toy_wheels, write  # noqa: F401  toy_wheels is a fixture

from affectgpt.cli import main
from affectgpt.eval import choosing
from affectgpt.metrics import made
from affectgpt.metrics.rows import Prediction, number, read_predictions

WORDS = ("positive", "negative", "neutral")


def sentiment(name, target, said, checkpoint=1, **more):
    return {"checkpoint": checkpoint, "name": name, "target": target, "response": "x", "sentiment_raw": said, **more}


def rows_of(prefix, clips=40, end="", **more):
    """Two checkpoints; the second one is better. Valences differ from clip to clip."""
    return [sentiment(f"{prefix}{index}{end}", round(math.sin(index), 3),
                      WORDS[(index * checkpoint) % 3] if checkpoint == 1 else WORDS[math.sin(index) < 0], checkpoint,
                      **more) for checkpoint in (1, 2) for index in range(clips)]


@pytest.mark.parametrize("how", ["same file", "copy", "one shared", "endings", "folders", "capitals", "other names"])
def test_validation_clips_that_are_scored_too_are_refused(how, tmp_path, capsys):
    test = write(tmp_path / "test.jsonl", rows_of("c"))
    other = rows_of("v")
    validation = {
        "same file": None, "copy": rows_of("c"), "one shared": [*other, other[0] | {"name": "c7"}],
        "endings": rows_of("c", end=".mp4"), "folders": rows_of("clips/c"), "capitals": rows_of("C"),
        "other names": rows_of("v")}[how]
    file = test if validation is None else write(tmp_path / "validation.jsonl", validation)
    error = run_json(capsys, test, "--set", "cmumosi", "--select-on", file, code=2)[1]
    assert "--select-on-test" in error and str(file) in error
    if how == "one shared":
        assert "1 clips" in error and "c7" in error


def test_validation_clips_of_their_own_choose(tmp_path, capsys):
    test = write(tmp_path / "test.jsonl", rows_of("c"))
    validation = write(tmp_path / "validation.jsonl", rows_of("v", clips=50))
    results, _ = run_json(capsys, test, "--set", "cmumosi", "--select-on", validation)
    assert results["chosen"]["checkpoint"] == "2" and results["chosen"]["file"] == str(validation)


def test_the_whole_benchmark_refuses_another_sets_test_clips(tmp_path, capsys):
    (tmp_path / "test").mkdir()
    (tmp_path / "validation").mkdir()
    write(tmp_path / "test" / "cmumosi.jsonl", rows_of("c"))
    write(tmp_path / "test" / "sims.jsonl", rows_of("s"))
    write(tmp_path / "validation" / "sims.jsonl", rows_of("c"))  # the other set's clips under this set's name
    arguments = ["unibench", "--predictions", str(tmp_path / "test"), "--select-on", str(tmp_path / "validation"),
                 "--output", str(tmp_path / "out"), "--resamples", "50"]
    assert main(arguments) == 2 and "--select-on-test" in capsys.readouterr().err
    numbered_alike = [row | {"target": -row["target"]} for row in rows_of("c", clips=35)]
    write(tmp_path / "validation" / "sims.jsonl", numbered_alike)  # clips of other sets may have the same numbers
    assert main(arguments) == 0


def test_plain_names():
    assert choosing.plain_name(" A\\b/Clip_1.MP4 ") == "clip_1" and choosing.plain_name("v1.2_3") == "v1.2_3"


def test_how_labels_were_made_is_on_record_and_differences_are_warned_of(tmp_path, capsys, toy_wheels):  # noqa: F811
    own = [labelled(f"c{index}", "happy", "[happy]", labels_from="list", extractor="list", question="labels",
                    language="en", cut_off=index == 0) for index in range(10)]
    theirs = [row | {"labels_from": "rules", "extractor": "affectgpt-rules 2", "question": "description"}
              for row in own[:8]] + [{"checkpoint": 1, "name": "c8", "target": "happy", "no_answer": "refusal"},
                                     {"checkpoint": 1, "name": "c9", "target": "happy", "no_answer": "unread"}]
    mine, other = write(tmp_path / "mine.jsonl", own), write(tmp_path / "other.jsonl", theirs)
    results, _ = run_json(capsys, mine, "--set", "mer2023")
    assert results["warnings"] == []
    assert results["checkpoints"]["1"]["made"] == {
        "rows": 10, "extractors": {"list": 1.0}, "sources": {"list": 1.0}, "questions": {"labels": 1.0},
        "languages": {"en": 1.0}, "refusals": 0.0, "empty": 0.0, "skipped": 0.0, "unread": 0.0, "cut_off": 0.1,
        "judge": None}
    results, error = run_json(capsys, mine, "--set", "mer2023", "--against", other)
    assert results["comparison"]["made"]["refusals"] == 0.1 == results["comparison"]["made"]["unread"]
    assert results["comparison"]["made"]["extractors"] == {"affectgpt-rules 2": 1.0}
    assert any("different extractors" in line and "affectgpt-rules 2" in line for line in results["warnings"])
    assert any("different questions" in line for line in results["warnings"]) and "warning: " in error
    assert main(["score", str(mine), str(other), "--set", "mer2023"]) == 0
    table = capsys.readouterr().out
    assert "WARNING: labels of these rows were made by different extractors" in table
    assert "mine:1 labels: labels made by: list" in table and "refusals: 10.0 %" in table


def test_the_benchmark_warns_of_sets_with_different_extractors(tmp_path, capsys):
    for name, extractor in (("cmumosi", "list"), ("sims", "llm:a")):
        write(tmp_path / f"{name}.jsonl", rows_of(f"{name}_", extractor=extractor))
    assert main(["unibench", "--predictions", str(tmp_path), "--output", str(tmp_path / "out"), "--resamples",
                 "50"]) == 0
    assert "WARNING: labels of these rows" in capsys.readouterr().out
    warnings = json.loads((tmp_path / "out" / "unibench.json").read_text())["warnings"]
    assert any("llm:a" in line for line in warnings)
    assert any("CH-SIMS: 40 of its 457 clips" in line and "does not compare" in line for line in warnings)


def test_small_differences_of_lists_and_rules_are_no_warning():
    shares = [{"extractors": {"list": 1 - rules, "rules": rules}, "questions": {}, "judge": None}
              for rules in (0.0, 0.04, 0.06)]
    assert made.differences({"a": shares[0], "b": shares[1]}) == []
    assert len(made.differences({"a": shares[0], "b": shares[2]})) == 1
    assert len(made.differences({"a": shares[0] | {"judge": "llm:x"}, "b": shares[0] | {"judge": "llm:y"}})) == 1


@pytest.mark.parametrize("reason", ["refusal", "empty", "skipped", "unread", "something"])
def test_rows_that_hold_no_answer_are_missing_and_counted(reason, tmp_path, capsys):
    rows = [sentiment("a", -1.0, "negative"), sentiment("b", -1.0, "negative"),
            {"checkpoint": 1, "name": "c", "target": -1.0, "response": "I'm sorry", "no_answer": reason,
             "sentiment_raw": "negative"}]  # labels that somebody gave it all the same count for nothing
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "cmumosi")
    kind = reason if reason != "something" else "no_answer"
    assert results["problems"][kind] == {"count": 1, "examples": ["c at 1"]} and "counted as missing" in error
    entry = results["checkpoints"]["1"]
    assert entry["n"] == 2 and entry["published"]["scored"] == 2 and entry["strict"]["scored"] == 3
    assert "leave clips without an answer out (1: 1 of 3)" in results["warnings"][0]
    assert entry["strict"]["accuracy"] == pytest.approx(66.6667) and entry["published"]["accuracy"] == 100


def test_clips_that_no_row_answers_count_with_targets_of_the_whole_benchmark(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    (tmp_path / "targets").mkdir()
    write(tmp_path / "in" / "sims.jsonl", [sentiment("a", 1.0, "positive")])
    write(tmp_path / "targets" / "sims.jsonl", [{"name": name, "target": 1.0} for name in "abcd"])
    arguments = ["unibench", "--predictions", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--targets",
                 str(tmp_path / "targets")]
    assert main(arguments) == 0
    results = json.loads((tmp_path / "out" / "sims.results.json").read_text())
    assert results["n_clips"] == 4 and results["problems"]["missing"]["count"] == 3
    assert results["checkpoints"]["1"]["strict"]["accuracy"] == 25
    assert main([*arguments[:-1], str(tmp_path / "in" / "nothing")]) == 2


ODD = (10**400, -10**400, 10**30, math.inf, -math.inf, "1e999", "1_0", True, [], {}, [1], "", " ", "\u0661", 1e300)


@pytest.mark.parametrize("key", ["target", "valence", "confidence", "clue_rating", "checkpoint", "question", "streams",
                                 "labels_raw", "seconds", "group", "no_answer", "extractor"])
def test_odd_values_are_counted_and_end_no_job(key, tmp_path, capsys):
    good = [sentiment(f"g{index}", 0.5, "positive") for index in range(300)]
    rows = [sentiment(f"odd{place}", 0.5, "positive") | {key: value} for place, value in enumerate(ODD)]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", [*good, *rows]), "--set", "cmumosi")
    assert results["rows"] == 300 + len(ODD) and math.isfinite(results["checkpoints"]["1"]["strict"]["primary"])
    if key == "target":
        assert results["problems"]["bad_target"]["count"] >= 9
    if key == "valence":
        assert results["problems"]["bad_valence"]["count"] >= 9
    if key in ("question", "streams"):
        assert list(results["checkpoints"]) == ["1"] and results["problems"]["stray"]["count"] in (1, 12)


def test_numbers_of_rows():
    assert [number(value) for value in (1, "-0.5", 10**400, "1_0", True, None, [], 1e7)] == [
        1.0, -0.5, None, None, None, None, None, None]
    assert math.isnan(number("nan"))


def test_single_rows_of_another_question_are_no_system(tmp_path, capsys):
    rows = [sentiment(f"c{index}", 1.0, "positive", question="labels", streams=["audio"]) for index in range(60)]
    rows[7]["question"], rows[9]["streams"] = "valence", ["text"]
    file = write(tmp_path / "p.jsonl", rows)
    results, error = run_json(capsys, file, "--set", "cmumosi")
    assert list(results["checkpoints"]) == ["1"] and results["problems"]["stray"]["count"] == 2
    assert "hardly any other row" in error and results["problems"]["missing"]["count"] == 2
    results, _ = run_json(capsys, file, "--set", "cmumosi", "--question", "valence")
    assert results["n_clips"] == 1


def test_ids_of_classes_are_no_valences(tmp_path, capsys):
    rows = [sentiment(f"c{index}", index % 3, "positive") for index in range(9)]
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "my", "--kind", "sentiment")
    assert "class_ids" in results["problems"] and "0, 1 and 2" in error
    rows[0]["target"] = -1
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "my", "--kind", "sentiment")
    assert "class_ids" not in results["problems"]


def test_intervals_draw_videos_whole(tmp_path, capsys):
    """Clips of a video are all right or all wrong here, so there are as many facts as videos."""
    rows = [sentiment(f"{'v' * 10}{chr(97 + video)}_{clip}", 1.0, "positive" if video % 2 else "negative")
            for video in range(20) for clip in range(30)]
    results, error = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "cmumosi")
    low, high = results["checkpoints"]["1"]["strict"]["intervals"]["accuracy"]
    assert results["clusters"] == 20 and high - low > 35 and "20 videos whole" in error
    alone = [row | {"name": f"clip{index}"} for index, row in enumerate(rows)]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", alone), "--set", "cmumosi")
    low, high = results["checkpoints"]["1"]["strict"]["intervals"]["accuracy"]
    assert results["clusters"] is None and high - low < 10
    named = [row | {"group": f"g{index // 30}"} for index, row in enumerate(alone)]
    assert run_json(capsys, write(tmp_path / "p.jsonl", named), "--set", "cmumosi")[0]["clusters"] == 20


def test_groups_of_clips_are_scored(tmp_path, capsys):
    rows = [sentiment(f"c{index}", 1.0, "positive" if index % 2 else "negative", sex="fm"[index % 2], speaker="x")
            for index in range(80)]
    entry = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "cmumosi")[0]["checkpoints"]["1"]
    assert set(entry["groups"]) == {"published", "strict"}
    found = entry["groups"]["strict"]["sex"]
    assert found["groups"]["m"]["score"] == 100 and found["groups"]["f"]["score"] == 0


def test_rows_keep_what_reports_need(tmp_path):
    row = sentiment("a", 1.0, "positive", confidence=0.5, media="a.mp4", streams=["audio", "text"], group="g", other=1)
    found = read_predictions([write(tmp_path / "p.jsonl", [row, sentiment("b", 1.0, "positive")])])
    first, second = found.checkpoints["1"]["a"], found.checkpoints["1"]["b"]
    assert (first.confidence, first.media, first.streams) == (0.5, "a.mp4", ("audio", "text"))
    assert first.facts["group"] == "g"
    assert second == Prediction(None, "positive") and "other" not in first.facts
    assert found.systems == {"1": ("1", "", "audio+text")}, "a row that says no streams is of the one system"
