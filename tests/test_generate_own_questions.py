"""Questions that are each clip's own: two descriptions, a closed set, a question with its answer; then scored."""

from __future__ import annotations

import json

import pytest
from generate_fixtures import ask, asked, inside, manifest, model, rivals, write_manifest  # noqa: F401
from tiny import parts  # noqa: F401

from affectgpt.cli import main
from affectgpt.eval.answering import affectgpt_model

PAIRS = [{"id": "c1", "split": "test", "words": "x", "corpus": "pairs", "preference":
          {"first": "He is calm.", "second": "He is angry.", "better": "first"}},
         {"id": "c1#2", "split": "test", "words": "x", "corpus": "pairs", "preference":
          {"first": "She smiles.", "second": "She cries.", "better": "second"}}]
OWN = [{"id": "q1", "split": "test", "words": "x", "corpus": "own", "turns": [["Is she happy?", "yes"]]},
       {"id": "q2", "split": "test", "words": "y", "corpus": "own", "turns": [["Is he {sad}?", "no"]]}]


@pytest.fixture
def questions(monkeypatch) -> dict[str, str]:
    """Name of a clip -> what the model was asked about it."""
    found, answers = {}, affectgpt_model.AffectGPTAnswerer.answers

    def noted(self, requests, batch_size):
        found.update({request.clip.id: request.question for request in requests})
        return answers(self, requests, batch_size)

    monkeypatch.setattr(affectgpt_model.AffectGPTAnswerer, "answers", noted)
    return found


def test_two_descriptions_are_asked_about_and_scored(model, questions, tmp_path):  # noqa: F811
    rows = ask(model, write_manifest(tmp_path / "pairs.jsonl", PAIRS), question="preference")
    assert "First: He is calm.\nSecond: He is angry." in questions["c1"] and "She cries." in questions["c1#2"]
    assert [(row["name"], row["target"], row["question"]) for row in rows] == [
        ("c1", "first", "preference"), ("c1#2", "second", "preference")]
    said = [row | {"response": "Better: first."} for row in rows]
    (tmp_path / "out.jsonl").write_text("".join(json.dumps(row) + "\n" for row in said))
    assert main(["score", "out.jsonl", "--set", "emoprefer", "--output", "scores.json"]) == 0
    entry = json.loads((tmp_path / "scores.json").read_text())["checkpoints"]
    assert [scores["strict"]["accuracy"] for scores in entry.values()] == [50.0]


def test_a_clip_s_own_question_and_its_answer(model, questions, tmp_path, capsys):  # noqa: F811
    corpus = write_manifest(tmp_path / "own.jsonl", OWN)
    rows = ask(model, corpus, question="question")
    assert questions == {"q1": "Is she happy?", "q2": "Is he {sad}?"}
    assert [row["target"] for row in rows] == ["yes", "no"]
    other = {"id": "q3", "split": "test", "words": "z", "corpus": "own"}
    lacking = write_manifest(tmp_path / "more.jsonl", [*OWN, other])
    with pytest.raises(ValueError, match=r"more.jsonl.*q3.*questions with their answers"):
        ask(model, lacking, "more-out.jsonl", question="question")
