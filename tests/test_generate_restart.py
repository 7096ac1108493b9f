"""`affectgpt generate`: killed, started again, and met with clips that cannot be read."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import tiny
from generate_fixtures import ask, asked, facts, inside, interrupt, manifest, model, rows_of, timeless, write_manifest
from tiny import parts

from affectgpt.errors import run_cli
from affectgpt.eval import generate

# ---------------------------------------------------------------------------- kills and restarts


def test_a_killed_job_goes_on_with_another_number_of_ranks(model, manifest, monkeypatch, capsys, asked):
    whole = ask(model, manifest, "whole.jsonl", batch_size=1, question="labels,description")
    with monkeypatch.context() as patch:
        interrupt(patch, after=7)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, batch_size=1, question="labels,description")
    [part] = Path("out.jsonl.parts").glob("*.part-*")
    assert len(rows_of(part)) == 7 and not Path("out.jsonl").exists()
    part.write_bytes(part.read_bytes()[:-30])  # the last line is half written
    asked.clear()
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in ("2", "1", "0"):
        monkeypatch.setenv("RANK", rank)
        rows = ask(model, manifest, batch_size=1, question="labels,description")
    assert sum(asked) == 12 - 6 and timeless(rows) == timeless(whole)
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, "again.jsonl", batch_size=1)
    [part] = Path("again.jsonl.parts").glob("*.part-*")
    part.write_bytes(part.read_bytes()[:-1])  # whole but for its line end: it counts
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    asked.clear()
    ask(model, manifest, "again.jsonl", batch_size=1)
    assert sum(asked) == 2  # of clips 1, 3 and 5, the first was answered by the process that died
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    capsys.readouterr()
    assert len(ask(model, manifest, "again.jsonl", batch_size=1)) == 6
    assert "torn" not in capsys.readouterr().err
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, "torn.jsonl", batch_size=1)
    [part] = Path("torn.jsonl.parts").glob("*.part-*")
    part.write_bytes(part.read_bytes()[:-9])
    assert len(ask(model, manifest, "torn.jsonl", batch_size=1)) == 6
    assert "1 torn line was cut off" in capsys.readouterr().err


def test_a_finished_output_is_not_asked_again(model, manifest, capsys, asked):
    ask(model, manifest)
    before, asked[:] = Path("out.jsonl").read_bytes(), []
    ask(model, manifest)
    assert not asked and Path("out.jsonl").read_bytes() == before and "is finished already" in capsys.readouterr().out
    ask(model, manifest, overwrite=True)
    assert sum(asked) == 6


@pytest.fixture(scope="module", params=[True, False], ids=["finished", "unfinished"])
def begun(request, model, manifest, tmp_path_factory) -> Path:
    """A folder with the output of a job that has ended, or of one that was interrupted after an answer."""
    folder = tmp_path_factory.mktemp("begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AFFECTGPT_CACHE", str(folder / "cache"))
        if not request.param:
            interrupt(patch, after=1)
        try:
            ask(model, manifest, folder / "out" / "out.jsonl", batch_size=1, limit=None)
        except KeyboardInterrupt:
            pass
    assert (folder / "out" / "out.jsonl").exists() == request.param
    return folder / "out"


@pytest.mark.parametrize("change, words", [
    ({"question": "description"}, "questions="), ({"streams": "text"}, r"streams=\[\["),
    ({"max_new_tokens": 7}, "max_new_tokens="), ({"sample": True}, 'sampling="greedy"'),
    ({"limit": 2}, "limit=null, and limit=2"), ({"reader": "decord"}, "reader="), ({"dtype": "bfloat16"}, "dtype="),
    ({"target": "labels"}, 'target="auto", and target="labels"'), ({"checkpoint": "last"}, "checkpoints="),
])
def test_other_settings_are_refused(begun, model, manifest, change, words):
    shutil.copytree(begun, "begun")
    with pytest.raises(ValueError, match=f"was made with .*{words}.*--overwrite"):
        ask(model, manifest, "begun/out.jsonl", batch_size=1, **change)


def test_other_weights_and_other_words_are_refused(model, manifest, tmp_path, parts):
    ask(model, manifest, streams="audio")
    changed = write_manifest(manifest.parent / "changed.jsonl",
                             [{**row, "words": "others"} for row in rows_of(manifest)])
    with pytest.raises(ValueError, match="with corpus="):
        ask(model, changed, streams="audio")
    before = manifest.read_bytes()
    changed.replace(manifest)
    with pytest.raises(ValueError, match='with clips="6 clips '):
        ask(model, manifest, streams="audio")
    manifest.write_bytes(before)
    copy = tiny.write_bundled_model(parts, tmp_path / "copy", audio_window_seconds=0.5)
    ask(copy, manifest, "copy.jsonl", streams="audio")
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="with weights="):
        ask(copy, manifest, "copy.jsonl", streams="audio")


def test_two_processes_of_one_place_are_told(model, manifest):
    from affectgpt.eval.answering.parts import Parts

    held = Parts(Path("out.jsonl"), {}, 0, 1)
    with pytest.raises(ValueError, match="another process is writing it"):
        Parts(Path("out.jsonl"), {}, 0, 1)
    held.close()
    Parts(Path("out.jsonl"), {}, 0, 1).close()


def test_overwrite_is_for_one_process(model, manifest, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match="--overwrite with 2 processes"):
        ask(model, manifest, overwrite=True)


# ---------------------------------------------------------------------------- clips that cannot be read


@pytest.fixture
def broken(manifest) -> Path:
    bad = manifest.parent / "clips" / "bad.mp4"
    bad.write_bytes(b"this is no video")
    rows = [{"id": "bad", "split": "test", "corpus": "judged", "media": "clips/bad.mp4"}, *rows_of(manifest)]
    yield write_manifest(manifest.parent / "broken.jsonl", rows)
    bad.unlink()


def test_unreadable_clips_are_listed_and_too_many_are_an_error(model, broken, capsys, asked):
    arguments = [str(model), "--corpus", str(broken), "--output", "out.jsonl", "--max-new-tokens", "4"]
    assert run_cli(generate.main, arguments) == 2
    error = capsys.readouterr().err
    assert "1 of 7 clips cannot be answered, more than the 0.5%" in error and "bad.mp4" in error
    assert not Path("out.jsonl").exists() and rows_of("out.jsonl.skipped.jsonl")[0]["name"] == "bad"
    assert sum(asked) == 6
    assert run_cli(generate.main, [*arguments, "--max-skip-ratio", "0.2"]) == 0
    rows = rows_of("out.jsonl")
    assert sum(asked) == 6 and len(rows) == 7  # nothing is asked twice, and the lost clip is there to be counted
    lost = rows[0]
    assert (lost["name"], lost["response"], lost["no_answer"], lost["cut_off"]) == ("bad", "", "skipped", False)
    assert "bad.mp4" in lost["error"] and not any("no_answer" in row and row["response"].strip() for row in rows)
    [skipped] = rows_of("out.jsonl.skipped.jsonl")
    assert skipped["name"] == "bad" and "bad.mp4" in skipped["error"] and skipped["row"].endswith(":1")
    assert facts()["skipped"] == 1


def test_a_repaired_clip_is_asked(model, broken, asked):
    with pytest.raises(ValueError, match="1 of 7"):
        ask(model, broken)
    good = sorted((broken.parent / "clips").glob("syn*.mp4"))[0]
    (broken.parent / "clips" / "bad.mp4").write_bytes(good.read_bytes())
    rows = ask(model, broken)
    assert sum(asked) == 7 and rows[0]["name"] == "bad" and not Path("out.jsonl.skipped.jsonl").exists()


def test_a_clip_that_shows_nothing_is_skipped_and_a_missing_stream_is_told(model, manifest, capsys):
    rows = rows_of(manifest)[:2]  # the second has no words
    both = write_manifest(manifest.parent / "wordless.jsonl", rows)
    told = ask(model, both, "t.jsonl", streams="text", max_skip_ratio=0.5)
    assert [(row["name"], row.get("no_answer")) for row in told] == [(rows[0]["id"], None), (rows[1]["id"], "skipped")]
    assert "nothing to show" in rows_of("t.jsonl.skipped.jsonl")[0]["error"]
    answers = ask(model, both, "s.jsonl", streams="all-subsets")
    blind = [row for row in answers if not row["shown"]]
    assert len(answers) == 30 and [(row["name"], row["streams"]) for row in blind] == [(rows[1]["id"], ["text"])]
    assert "1 answers were given with nothing shown" in capsys.readouterr().out
