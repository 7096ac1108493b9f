"""MER-UniBench by one command: which sets are there, what their mean is called, which checkpoint counts."""

from __future__ import annotations

import json

import pytest

from affectgpt.cli import main


def sentiment_file(folder, name, shares, clips=60, prefix="c"):
    """Labelled predictions of a sentiment set: checkpoint -> share of right answers."""
    rows = [{"checkpoint": checkpoint, "name": f"{prefix}{index}", "target": 1.0 if index % 2 else -1.0, "response": "x",
             "sentiment_raw": ("positive" if index % 2 else "negative") if index < clips * share else "neutral"}
            for checkpoint, share in shares.items() for index in range(clips)]
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run(tmp_path, *arguments, code=0):
    assert main(["unibench", *map(str, arguments), "--output", str(tmp_path / "out")]) == code
    return json.loads((tmp_path / "out" / "unibench.json").read_text()) if code == 0 else None


def test_missing_sets_are_named_and_left_out_of_the_mean(tmp_path, capsys):
    test = tmp_path / "test"
    sentiment_file(test, "cmumosi", {1: 0.9})
    sentiment_file(test, "sims", {1: 0.5})
    summary = run(tmp_path, "--predictions", test)
    captured = capsys.readouterr()
    assert summary["sets"] == ["cmumosi", "sims"] and "ovmerdplus" in summary["missing"] and len(summary["missing"]) == 7
    assert summary["mean_label"] == "mean of 2 of 9 sets" and "mean of 2 of 9 sets" in captured.out
    assert "does not compare with the published mean" in captured.err
    cells = summary["checkpoints"]["1"]["strict"]
    assert cells["mean"]["primary"] == pytest.approx((cells["cmumosi"]["primary"] + cells["sims"]["primary"]) / 2, abs=1e-3)
    low, high = cells["mean"]["interval"]
    widths = [cells[name]["interval"][1] - cells[name]["interval"][0] for name in ("cmumosi", "sims")]
    assert low < cells["mean"]["primary"] < high and high - low < sum(widths) / 2  # sets vary independently
    assert json.loads((tmp_path / "out" / "sims.results.json").read_text())["set"] == "sims"
    assert (tmp_path / "out" / "unibench.md").read_text().startswith("# MER-UniBench: 2 of 9 sets")


def test_one_checkpoint_counts_for_all_sets_and_validation_chooses_it(tmp_path, capsys):
    test, validation = tmp_path / "test", tmp_path / "validation"
    sentiment_file(test, "cmumosi", {1: 0.9, 2: 0.6})
    sentiment_file(test, "sims", {1: 0.9, 2: 0.7})
    sentiment_file(validation, "cmumosi", {1: 0.4, 2: 0.8}, prefix="v")
    summary = run(tmp_path, "--predictions", test, "--select-on", validation)
    assert summary["chosen"]["checkpoint"] == "2" and summary["chosen"]["by"] == "validation"
    assert "too high" not in capsys.readouterr().err
    summary = run(tmp_path, "--predictions", test, "--select-on-test")
    assert summary["chosen"]["checkpoint"] == "1" and "too high" in capsys.readouterr().err
    assert run(tmp_path, "--predictions", test)["chosen"] is None
    assert "No checkpoint is chosen" in capsys.readouterr().out
    assert list(run(tmp_path, "--predictions", test, "--checkpoint", "2")["checkpoints"]) == ["2"]


def test_choosing_by_test_clips_through_the_validation_option_is_refused(tmp_path, capsys):
    test = tmp_path / "test"
    sentiment_file(test, "sims", {1: 0.9, 2: 0.6})
    run(tmp_path, "--predictions", test, "--select-on", test, code=2)
    assert "--select-on-test" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_checkpoint_that_a_set_lacks_has_no_mean(tmp_path, capsys):
    test = tmp_path / "test"
    sentiment_file(test, "cmumosi", {1: 0.9, 2: 0.6})
    sentiment_file(test, "sims", {1: 0.9})
    summary = run(tmp_path, "--predictions", test)
    assert summary["checkpoints"]["2"]["strict"]["mean"] is None and summary["checkpoints"]["1"]["strict"]["mean"]
    assert "no mean of checkpoint 2" in capsys.readouterr().err


def test_another_corpus_is_listed_apart(tmp_path, capsys):
    test = tmp_path / "test"
    sentiment_file(test, "sims", {1: 0.9})
    sentiment_file(tmp_path, "own", {1: 0.1})
    summary = run(tmp_path, "--predictions", test, "--extra", f"own={tmp_path / 'own.jsonl'}:sentiment")
    cells = summary["checkpoints"]["1"]["strict"]
    assert summary["extra"] == ["own"] and cells["mean"]["primary"] == cells["sims"]["primary"] != cells["own"]["primary"]
    assert capsys.readouterr().out.count("| checkpoint |") == 2


@pytest.mark.parametrize("arguments, word", [
    ([], "--predictions"), (["--predictions", "x", "--model", "y"], "either"), (["--model", "m"], "--corpora"),
    (["--predictions", "nowhere"], "no such folder"), (["--predictions", ".", "--limit", "3"], "--limit goes with --model"),
    (["--predictions", ".", "--checkpoint", "1", "--select-on-test"], "use one of them"),
    (["--predictions", ".", "--extra", "../x=f:basic"], "--extra"), (["--predictions", ".", "--extra", "x=f:odd"], "kind")])
def test_mistakes_are_named(arguments, word, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(tmp_path, *arguments, code=2)
    assert word in capsys.readouterr().err


def test_the_published_model_on_the_released_sets(tmp_path, shared_data, capsys):
    summary = run(tmp_path, "--predictions", shared_data / "unibench", "--wheels", shared_data / "wheels" / "mer2025",
                  "--select-on-test")
    assert {name: round(row["primary"], 2) for name, row in summary["chosen"]["best_per_set"].items()} == {
        "mer2023": 78.54, "iemocapfour": 60.54, "cmumosi": 81.30, "sims": 88.49}
    assert len({row["checkpoint"] for row in summary["chosen"]["best_per_set"].values()}) == 4
    assert main(["report", str(tmp_path / "out" / "unibench.json"), "--predictions", str(shared_data / "unibench"),
                 "--output", str(tmp_path / "page.html"), "--examples", "1"]) == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "mean of 4 of 9 sets" in html and "do not compare" in html and "78.54" in html and html.count("this model") >= 4


def test_a_model_is_asked_labelled_and_scored(tmp_path, monkeypatch, capsys):
    """The three jobs in a row, with a generation that costs nothing; real models are asked in test_generate.py."""
    corpora = tmp_path / "corpora" / "sims"
    corpora.mkdir(parents=True)
    rows = [{"id": f"c{index}", "words": "fine", "split": "test", "valence": 1.0 if index % 2 else -1.0}
            for index in range(4)]
    (corpora / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    from affectgpt.eval import generate

    asked = []

    def answer(arguments):
        asked.append(arguments)
        output = arguments[arguments.index("--output") + 1]
        from affectgpt.files import write_jsonl

        write_jsonl(output, [{"checkpoint": 3, "name": row["id"], "target": row["valence"], "question": "labels",
                              "response": "Emotions: happy. Polarity: positive."} for row in rows])
        return 0

    monkeypatch.setattr(generate, "main", answer)
    summary = run(tmp_path, "--model", "some/model", "--corpora", tmp_path / "corpora", "--limit", "4")
    assert asked[0][0] == "some/model" and asked[0][asked[0].index("--target") + 1] == "valence" and "--limit" in asked[0]
    assert summary["sets"] == ["sims"] and summary["checkpoints"]["3"]["published"]["sims"]["primary"] == pytest.approx(
        33.3333, abs=1e-3)
