"""All sets by one command: what is missing, which checkpoint counts, and the mean with its interval."""

from __future__ import annotations

import json
import math
from importlib import resources
from pathlib import Path

import pytest

from affectgpt.cli import main as cli
from affectgpt.eval import unibench
from affectgpt.eval.unibench_scores import benchmark, mean_label
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.metrics.rows import read_predictions
from affectgpt.metrics.sets import SETS

SIGNS = (1.0, -1.0, 0.0)
WORDS = {1.0: "positive", -1.0: "negative", 0.0: "neutral"}


def sentiment_rows(wrong: dict[object, int], clips: int = 30, prefix: str = "clip") -> list[dict]:
    """Rows of checkpoints; each answers its first `wrong` clips with the opposite."""
    return [{"checkpoint": key, "name": f"{prefix}_{index}", "target": (target := SIGNS[index % 2]), "response": "x",
             "sentiment_raw": WORDS[-target if index < count else target]}
            for key, count in wrong.items() for index in range(clips)]


def write_sets(folder: Path, **sets: dict[object, int]) -> Path:
    for name, wrong in sets.items():
        write_jsonl(folder / f"{name}.jsonl", sentiment_rows(wrong, prefix=f"{folder.name}_{name}"))
    return folder


def run(tmp_path: Path, *arguments: object) -> dict:
    """Through the function below the command line, whose mistakes are exceptions."""
    unibench.main([*map(str, arguments), "--output", str(tmp_path / "out"), "--resamples", "200"])
    return json.loads((tmp_path / "out" / "unibench.json").read_text(encoding="utf-8"))


def test_printed_scores_are_whole():
    path = resources.files("affectgpt.eval.reporting") / "published_scores.json"
    printed = json.loads(path.read_text(encoding="utf-8"))
    assert len(printed["rows"]) == 19
    for row in printed["rows"]:
        assert list(row["scores"]) == list(SETS), row["model"]
        assert abs(sum(row["scores"].values()) / 9 - row["mean"]) < 0.01, row["model"]
        assert "2501.16566" in row["source"] and row["obtained"] in printed["obtained"]
    best = [row for row in printed["rows"] if row["obtained"] == "best_on_test"]
    assert [(row["model"], row["streams"], row["mean"]) for row in best] == [("AffectGPT", "A,V,T", 74.77)]
    assert "test clips" in printed["obtained"]["best_on_test"]


def test_missing_sets_are_said_and_left_out_of_a_labelled_mean(tmp_path, capsys):
    found = run(tmp_path, "--predictions", write_sets(tmp_path / "in", sims={1: 6}, cmumosi={1: 3}))
    output = capsys.readouterr()
    assert found["missing"] == [name for name in SETS if name not in ("sims", "cmumosi")]
    assert found["sets"] == ["cmumosi", "sims"], "in the order of the published table"
    assert found["mean_label"] == "mean of 2 of 9 sets" and found["mean_label"] in output.out
    assert "mer2023" in output.err and "does not compare" in output.err
    scores = found["checkpoints"]["1"]["published"]
    assert scores["mean"]["primary"] == pytest.approx((scores["sims"]["primary"] + scores["cmumosi"]["primary"]) / 2)
    assert scores["mean"]["sets"] == 2
    assert mean_label(9) == "mean of 9 sets"
    assert (tmp_path / "out" / "unibench.md").read_text(encoding="utf-8").strip() in output.out
    for name in ("sims", "cmumosi"):
        assert json.loads((tmp_path / "out" / f"{name}.results.json").read_text())["set"] == name


def test_no_mean_over_sets_that_lack_the_checkpoint(tmp_path, capsys):
    found = run(tmp_path, "--predictions", write_sets(tmp_path / "in", sims={1: 6, 2: 0}, cmumosi={1: 3}))
    assert found["checkpoints"]["2"]["strict"]["mean"] is None
    assert found["checkpoints"]["1"]["strict"]["mean"]["sets"] == 2
    assert found["spread"]["strict"]["mean"]["runs"] == 1 and found["spread"]["strict"]["sims"]["runs"] == 2
    assert "no mean of checkpoint 2" in capsys.readouterr().err
    with pytest.raises(ValueError, match="checkpoint 2"):
        run(tmp_path, "--predictions", tmp_path / "in", "--checkpoint", 2)
    with pytest.raises(ValueError, match="no checkpoint is in every set"):
        run(tmp_path, "--predictions", write_sets(tmp_path / "apart", sims={1: 6}, cmumosi={2: 3}), "--select-on-test")


def test_validation_clips_choose_and_test_clips_do_not(tmp_path, capsys):
    test = write_sets(tmp_path / "test", sims={"a": 0, "b": 9}, cmumosi={"a": 0, "b": 9})
    validation = write_sets(tmp_path / "validation", sims={"a": 12, "b": 2}, meld_is_not_there={"a": 0, "b": 9})
    found = run(tmp_path, "--predictions", test, "--select-on", validation)
    assert found["chosen"]["checkpoint"] == "b" and found["chosen"]["by"] == "validation"
    assert found["chosen"]["validation_sets"] == ["sims"]
    results = json.loads((tmp_path / "out" / "sims.results.json").read_text())
    assert results["chosen"]["checkpoint"] == "b"
    assert "| b (chosen) | strict |" in capsys.readouterr().out
    (tmp_path / "out").rename(tmp_path / "before")
    with pytest.raises(ValueError, match=r"30 clips of .* are also in .* --select-on-test"):
        run(tmp_path, "--predictions", test, "--select-on", test)
    assert not (tmp_path / "out").exists()


def test_choosing_on_the_test_clips_is_said_loudly(tmp_path, capsys):
    found = run(tmp_path, "--predictions", write_sets(tmp_path / "in", sims={"a": 2, "b": 3}, cmumosi={"a": 9, "b": 3}),
                "--select-on-test")
    output = capsys.readouterr()
    assert found["chosen"]["checkpoint"] == "b" and found["chosen"]["by"] == "test"
    best = {name: row["checkpoint"] for name, row in found["chosen"]["best_per_set"].items()}
    assert best == {"sims": "a", "cmumosi": "b"}
    table = found["checkpoints"]
    mean = (table["a"]["published"]["sims"]["primary"] + table["b"]["published"]["cmumosi"]["primary"]) / 2
    assert found["chosen"]["best_per_set_mean"] == pytest.approx(mean, abs=1e-3)
    assert mean > table["b"]["published"]["mean"]["primary"]
    assert "too high" in output.err and "too high" in output.out and "best on test, a set each" in output.out


def test_nothing_is_chosen_unasked(tmp_path, capsys):
    found = run(tmp_path, "--predictions", write_sets(tmp_path / "in", sims={"a": 2, "b": 3}))
    assert found["chosen"] is None
    assert list(run(tmp_path, "--predictions", tmp_path / "in", "--checkpoint", "b")["checkpoints"]) == ["b"]
    assert "No checkpoint is chosen" in capsys.readouterr().out
    scores = [found["checkpoints"][key]["strict"]["mean"]["primary"] for key in "ab"]
    assert found["spread"]["strict"]["mean"]["mean"] == pytest.approx(sum(scores) / 2, abs=1e-3)
    deviation = abs(scores[0] - scores[1]) / math.sqrt(2)
    assert found["spread"]["strict"]["mean"]["std"] == pytest.approx(deviation, abs=1e-3)


def test_interval_of_the_mean_is_that_of_independent_sets(tmp_path):
    files = {}
    for name in ("cmumosi", "cmumosei", "sims", "simsv2"):
        files[name] = tmp_path / f"{name}.jsonl"
        write_jsonl(files[name], sentiment_rows({1: 80}, clips=320, prefix=name))
    row = benchmark(files, dict.fromkeys(files, "sentiment"))[0]["checkpoints"]["1"]["strict"]
    widths = [row[name]["interval"][1] - row[name]["interval"][0] for name in files]
    low, high = row["mean"]["interval"]
    # A mean of four equal independent scores has half the deviation of one of them.
    assert high - low == pytest.approx(sum(widths) / 4 / 2, rel=0.12)
    assert low < row["mean"]["primary"] < high


def test_extra_sets_stand_apart(tmp_path, capsys):
    write_jsonl(tmp_path / "mine.jsonl", sentiment_rows({1: 30}))
    found = run(tmp_path, "--predictions", write_sets(tmp_path / "in", sims={1: 6}), "--extra",
                f"mine={tmp_path / 'mine.jsonl'}:sentiment")
    assert found["extra"] == ["mine"] and found["sets"] == ["sims"]
    row = found["checkpoints"]["1"]["strict"]
    assert row["mean"]["primary"] == row["sims"]["primary"] != row["mine"]["primary"] == 0.0
    assert "mine (n = 30)" in capsys.readouterr().out
    for text in ("mine", "mine=x", "../x=y:basic", "sims=y:sentiment", "mine=y:odd"):
        with pytest.raises(ValueError, match="--extra"):
            unibench.read_extra([text])


def test_labelled_files_are_preferred_and_unknown_ones_named(tmp_path, capsys):
    folder = write_sets(tmp_path / "in", sims={1: 6}, iemocap={1: 3})
    write_jsonl(folder / "sims.labels.jsonl", sentiment_rows({1: 0}))
    found = run(tmp_path, "--predictions", folder)
    assert found["checkpoints"]["1"]["strict"]["sims"]["primary"] == 100.0
    assert "iemocap.jsonl is no set of MER-UniBench" in capsys.readouterr().err
    with pytest.raises(ValueError, match="has none of mer2023.jsonl"):
        run(tmp_path, "--predictions", tmp_path / "out")


@pytest.mark.parametrize(("arguments", "message"), [
    ([], "either --predictions"), (["--predictions", "x", "--model", "y"], "either --predictions"),
    (["--model", "y"], "--corpora"), (["--predictions", "x", "--limit", "3"], "--limit goes with --model"),
    (["--predictions", "x", "--checkpoint", "1", "--select-on-test"], "use one of them"),
    (["--predictions", "nowhere"], "no such folder"),
])
def test_options_that_cannot_be(arguments, message, tmp_path, capsys):
    with pytest.raises(ValueError, match=message):
        run(tmp_path, *arguments)
    assert cli(["unibench", *arguments, "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_a_model_is_asked_about_every_corpus_that_is_there(tmp_path, monkeypatch, capsys):
    """The jobs are stood in for: what they do is tested with them; here, what they are asked for."""
    from affectgpt.eval import generate

    corpora, asked = tmp_path / "corpora", []
    for name, target in (("mer2023", {"emotion": "happy"}), ("sims", {"valence": 0.4})):
        (corpora / name).mkdir(parents=True)
        write_jsonl(corpora / name / "manifest.jsonl", [{"id": "c1", "split": "test", "words": "yes", **target}])

    def ask(arguments: list[str]) -> int:
        asked.append(arguments)
        print("noise of a job")
        given = dict(zip(arguments[1::2], arguments[2::2], strict=True))
        manifest = next(row for _, row in read_jsonl(given["--corpus"]))
        write_jsonl(Path(given["--output"]), [{
            "checkpoint": 5, "name": "c1", "target": manifest[given["--target"]], "question": "labels",
            "response": "Emotions: happy, joyful. Polarity: positive."}])
        return 0

    monkeypatch.setattr(generate, "main", ask)
    found = run(tmp_path, "--model", "the/model", "--corpora", corpora, "--no-published", "--limit", 7,
                "--device", "cpu", "--checkpoints", "best", "--extractor", "list")
    assert [arguments[0] for arguments in asked] == ["the/model", "the/model"]
    assert [arguments[arguments.index("--target") + 1] for arguments in asked] == ["emotion", "valence"]
    for arguments in asked:
        assert arguments[arguments.index("--limit") + 1] == "7" and arguments[arguments.index("--device") + 1] == "cpu"
        assert arguments[arguments.index("--checkpoints") + 1] == "best" and "--extractor" not in arguments
    assert found["sets"] == ["mer2023", "sims"] and found["checkpoints"]["5"]["strict"]["mean"]["primary"] == 100.0
    row = next(row for _, row in read_jsonl(tmp_path / "out" / "predictions" / "mer2023.jsonl"))
    assert row["labels_raw"] == "[happy, joyful]" and row["labels_from"] == "list"
    assert "noise" not in capsys.readouterr().out
    with pytest.raises(ValueError, match="has none of mer2023/manifest.jsonl"):
        run(tmp_path, "--model", "m", "--corpora", tmp_path / "out")


def test_published_numbers_of_the_released_answers(shared_data, tmp_path):
    files = {name: shared_data / "unibench" / f"{name}.jsonl" for name in ("mer2023", "iemocapfour", "cmumosi", "sims")}
    summary, _ = benchmark(files, {name: SETS[name].kind for name in files}, select_on_test=True, resamples=100,
                           wheels=str(shared_data / "wheels" / "mer2025"))
    best = summary["chosen"]["best_per_set"]
    assert {name: (row["checkpoint"], round(row["primary"], 2)) for name, row in best.items()} == {
        "mer2023": ("50", 78.54), "iemocapfour": ("35", 60.54), "cmumosi": ("40", 81.30), "sims": ("30", 88.49)}
    assert len({row["checkpoint"] for row in best.values()}) == 4, "each from another checkpoint"
    assert summary["chosen"]["best_per_set_mean"] == pytest.approx((78.54 + 60.54 + 81.30 + 88.49) / 4, abs=0.01)
    fixed = summary["checkpoints"][summary["chosen"]["checkpoint"]]["published"]["mean"]["primary"]
    assert summary["chosen"]["checkpoint"] == "35" and fixed < summary["chosen"]["best_per_set_mean"] - 1
    assert {name: round(summary["checkpoints"]["60"]["published"][name]["primary"], 2) for name in files} == {
        "mer2023": 73.69, "iemocapfour": 57.74, "cmumosi": 78.30, "sims": 85.28}
    assert len(read_predictions([files["mer2023"]]).targets) == summary["about"]["mer2023"]["n_clips"] == 411
