"""What `generate` writes, removes and never touches; how long its answers may become; what it counts as cut."""
# ruff: noqa: F811

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import tiny
from tiny import corpus, parts  # noqa: F401  fixtures

from affectgpt.eval import generate
from affectgpt.eval.answering import asking
from affectgpt.eval.answering.answerers import Job
from affectgpt.eval.answering.parts import SKIP_KEYS, beside
from affectgpt.files import write_jsonl


def job(**options) -> Job:
    return Job(**{"model": "m", "corpus": "c", **options})


def answers_at(output: Path) -> Path:
    """An output of an earlier job with all that lies beside it."""
    write_jsonl(output, [{"name": "a"}])
    beside(output, "facts.json").write_text('{"settings": {}, "rows": 1}')
    write_jsonl(beside(output, "skipped.jsonl"), [dict.fromkeys(SKIP_KEYS, "")])
    beside(output, "parts").mkdir()
    (beside(output, "parts") / "settings.json").write_text("{}")
    return output


def test_overwrite_removes_what_an_earlier_job_wrote(tmp_path):
    generate.remove_answers(answers_at(tmp_path / "out.jsonl"))
    assert not list(tmp_path.iterdir())


def somebodys_output(output: Path) -> None:
    beside(output, "facts.json").unlink()


def somebodys_facts(output: Path) -> None:
    beside(output, "facts.json").write_text('{"mine": 1}')


def somebodys_list(output: Path) -> None:
    beside(output, "skipped.jsonl").write_text("mine")


def somebodys_folder(output: Path) -> None:
    (beside(output, "parts") / "settings.json").rename(beside(output, "parts") / "thesis.tex")


@pytest.mark.parametrize("change", [somebodys_output, somebodys_facts, somebodys_list, somebodys_folder])
def test_overwrite_leaves_what_is_not_ours(tmp_path, change):
    output = answers_at(tmp_path / "out.jsonl")
    change(output)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="left as it is"):
        generate.remove_answers(output)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_pipe_is_no_output_and_stays(tmp_path, overwrite):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(ValueError, match="a device or a pipe"):
        generate.is_finished(job(overwrite=overwrite), pipe, {})
    assert pipe.is_fifo()


def test_a_linked_output_stays_a_link(tmp_path):
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "disk" / "out.jsonl")
    assert asking.output_of(job(output=str(tmp_path / "link.jsonl")), []) == tmp_path / "disk" / "out.jsonl"
    assert asking.output_of(job(output="plain.jsonl"), []) == Path("plain.jsonl")


def test_the_longest_answer_is_the_models_own_unless_asked_for():
    own, rival = SimpleNamespace(max_new_tokens=300), SimpleNamespace()
    assert {asking.tokens_of(job(), own, kind) for kind in asking.KINDS} == {300}
    assert asking.tokens_of(job(max_new_tokens=7), own, "labels") == 7
    assert (asking.tokens_of(job(), rival, "description"), asking.tokens_of(job(), rival, "labels")) == (512, 256)


def test_words_that_do_not_fit_are_counted_and_blank_ones_are_not_shown(parts, corpus, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    folder = tiny.write_bundled_model(parts, tmp_path / "model", words_max_tokens=8, streams=["text"], fusion="none")
    texts = ["We talked about the weather on Monday.", "Hm.", "\u200b "]
    write_jsonl(Path("m.jsonl"), [{"id": str(number), "split": "test", "words": words, "emotion": "sad"}
                                  for number, words in enumerate(texts)])
    generate.run(job(model=str(folder), corpus="m.jsonl", output="out.jsonl", max_new_tokens=1, max_skip_ratio=0.5,
                     workers=1, device="cpu"))
    facts = json.loads(Path("out.jsonl.facts.json").read_text())
    assert facts["processes"][0]["words_cut"] == 1 and facts["answers"] == 2 and facts["skipped"] == 1
    assert "the words of 1 clips are longer than a prompt takes" in capsys.readouterr().out
