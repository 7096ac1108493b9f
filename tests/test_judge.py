"""Ratings of descriptions by an LLM, as EMER is judged; and how they are scored."""

from __future__ import annotations

import json

import pytest

from affectgpt.cli import main
from affectgpt.extractors import llm
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.metrics.emer import clue_overlap
from affectgpt.metrics.ratings import parse_rating

REFERENCE = "She smiles and her voice is bright, so she is happy."


class Judge:
    """Rates clues 8 and labels 6 of 10, and says nothing useful about "strange" descriptions."""

    name, identity = "judge", "judge 1"

    def __init__(self):
        self.asked = []

    def answers(self, conversations, max_tokens, decoding):
        for conversation in conversations:
            text = conversation[-1]["content"]
            self.asked.append(text)
            rating = "8" if "clues" in conversation[0]["content"] else "Rating: 6/10"
            yield "I cannot say." if "strange" in text else rating


@pytest.fixture()
def judge(monkeypatch):
    made = Judge()
    monkeypatch.setattr(llm, "open_model", lambda *_: made)
    return made


def test_descriptions_are_rated_and_every_row_is_kept(tmp_path, judge, capsys):
    file = tmp_path / "answers.jsonl"
    write_jsonl(file, [{"name": "a", "target": REFERENCE, "response": "She is glad."},
                       {"name": "b", "target": REFERENCE, "response": "strange"},
                       {"name": "c", "target": REFERENCE}, {"name": "d", "target": ["happy"], "response": "x"}])
    command = ["judge", str(file), "--llm", "hf:any", "--cache", str(tmp_path / "cache")]
    assert main(command) == 0
    rows = [row for _, row in read_jsonl(tmp_path / "answers.judged.jsonl")]
    assert [row.get("clue_rating", "-") for row in rows] == [8.0, None, "-", "-"]
    assert [row.get("label_rating", "-") for row in rows] == [6.0, None, "-", "-"] and rows[0]["rated_by"] == "judge"
    assert "rows 4" in (out := capsys.readouterr().out) and "without a description or target 2" in out
    assert len(judge.asked) == 4 and all(REFERENCE in text for text in judge.asked)
    assert main(command) == 0 and len(judge.asked) == 4  # the cache answers
    assert main(["score", str(tmp_path / "answers.judged.jsonl"), "--set", "emer", "--kind", "description",
                 "--json"]) == 0
    results = json.loads(capsys.readouterr().out.splitlines()[-1])
    entry = results["checkpoints"]["only"]["published"]
    assert entry["clue_overlap"] == 80 and entry["primary"] == entry["label_overlap"] == 60


def test_a_file_without_descriptions_is_refused(tmp_path, judge, capsys):
    file = tmp_path / "answers.jsonl"
    write_jsonl(file, [{"name": "a", "target": "happy"}])
    assert main(["judge", str(file), "--llm", "hf:any", "--cache", str(tmp_path)]) == 2
    assert "none of its 1 rows" in capsys.readouterr().err
    assert not (tmp_path / "answers.judged.jsonl").exists() and not list(tmp_path.glob(".*.tmp"))
    assert main(["judge", str(file), "--llm", "hf:any", "--output", str(file)]) == 2


@pytest.mark.parametrize("answer, rating", [
    ("7", 7), ("Rating: 7/10", 7), ("7.5", 7.5), ("10", 10), ("0", 0), ("On a scale from 0 to 10: 3", 3), ("12", None),
    ("none", None), ("2023", None), ("I rate the clues 4, because 2 of 5 agree. Rating: 4/10.", 4)])
def test_ratings_are_read_from_an_answer(answer, rating):
    assert parse_rating(answer) == rating


def test_clue_overlap_looks_at_words_that_say_something():
    assert clue_overlap(REFERENCE, REFERENCE) == (1, 1)
    assert clue_overlap(REFERENCE, "It is in the video and the character seems to be.") == (0, 0)
    # smile, voice, bright, happy against smile, loud, voice
    precision, recall = clue_overlap(REFERENCE, "He smiled with a loud voice.")
    assert precision == pytest.approx(2 / 3) and recall == pytest.approx(2 / 4)
    assert clue_overlap(REFERENCE, "") == (0, 0)
