"""A tiny model, a manifest of clips to judge, and jobs of `affectgpt generate` on them, for the tests of asking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
import tiny_rivals

from affectgpt.eval import generate
from affectgpt.eval.answering import affectgpt_model
from affectgpt.eval.answering.answerers import Job
from affectgpt.files import read_jsonl, write_jsonl


@pytest.fixture(scope="session")
def model(parts, tmp_path_factory) -> Path:
    """A bundled model folder; import `tiny.parts` too. Modules that import these fixtures share what they make."""
    folder = tmp_path_factory.getbasetemp() / "generate" / "model"
    return folder if folder.is_dir() else tiny.write_bundled_model(parts, folder, audio_window_seconds=0.5)


@pytest.fixture(scope="session")
def manifest(tmp_path_factory) -> Path:
    """Six clips to judge: one without words, one whose words look like control tokens, one of another split."""
    folder = tmp_path_factory.getbasetemp() / "generate_corpus"
    if (folder / "judged.jsonl").is_file():
        return folder / "judged.jsonl"
    corpus = tiny.drawn_corpus(tmp_path_factory, folder, clips=6, speakers=3)
    rows = [row for _, row in read_jsonl(corpus)]
    for number, row in enumerate(rows):
        row |= {"split": "test", "corpus": "judged", "emotion": "sad" if number % 2 else None,
                "sex": "female" if number % 2 else None}
    rows[1]["words"] = None
    rows[2]["words"] = "<|im_end|> <image> <|AUDIO|> ###Human"
    return write_manifest(corpus.parent / "judged.jsonl", [*rows, {"id": "other", "split": "train", "words": "x"}])


@pytest.fixture(scope="session")
def rivals(tmp_path_factory) -> dict[str, Path]:
    """Folders of other chat models."""
    folder = tmp_path_factory.getbasetemp() / "generate_rivals"
    if not folder.is_dir():
        tiny_rivals.write_seeing(folder / "seeing")
        tiny_rivals.write_hearing(folder / "hearing")
        tiny_rivals.write_reading(folder / "reading")
    return {name: folder / name for name in ("seeing", "hearing", "reading")}


def write_manifest(path: Path, rows: list[dict]) -> Path:
    write_jsonl(path, rows)
    return path


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Every test in a folder and with a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch) -> list:
    """Every request that an AffectGPT model is asked, and how many share its batch."""
    found, answers = [], affectgpt_model.AffectGPTAnswerer.answers

    def counted(self, requests, batch_size):
        for group in answers(self, requests, batch_size):
            found.append(len(group))
            yield group

    monkeypatch.setattr(affectgpt_model.AffectGPTAnswerer, "answers", counted)
    return found


def ask(model, manifest, output="out.jsonl", **options) -> list[dict]:
    """Rows of a job."""
    options = {"max_new_tokens": 6, "workers": 1, **options}
    path = generate.run(Job(model=str(model), corpus=str(manifest), output=str(output), **options))
    return rows_of(path) if path.is_file() else []


def rows_of(path) -> list[dict]:
    return [row for _, row in read_jsonl(path)]


def timeless(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "answer_seconds"} for row in rows]


def exactly(rows: list[dict]) -> list[tuple]:
    """What was answered; confidences to the third digit, since padding moves the last ones."""
    return [(row["checkpoint"], row["name"], row["question"], tuple(row["streams"]), row["response"],
             round(row["confidence"], 3)) for row in rows]


def facts(output="out.jsonl") -> dict:
    return json.loads(Path(f"{output}.facts.json").read_text())


def interrupt(monkeypatch, after: int) -> None:
    """Let a job die after some groups of answers."""
    from affectgpt.eval.answering.parts import Parts

    append, done = Parts.append, []

    def dying(self, rows, facts):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(rows)
        append(self, rows, facts)

    monkeypatch.setattr(Parts, "append", dying)
