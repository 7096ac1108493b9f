"""MER2024's score: labels are read as its code reads them, or whole; groups are an LLM's, clip by clip."""

from __future__ import annotations

import ast
import csv

import pytest
from test_scoring import labelled, run_json, write

from affectgpt.metrics import openset, synonyms


@pytest.mark.parametrize("raw, official, whole", [
    ("['happy', 'sad']", ["happy", "sad"], ["happy", "sad"]),
    ("[\"don't believe\", 'doubt']", ["don", "t believe", "doubt"], ["don't believe", "doubt"]),
    ("['don't believe', 'Doubt']", ["don", "t believe", "doubt"], ["don't believe", "doubt"]),
    ("['happy and satisfied', 'angry/displeased']", ["happy and satisfied", "angry/displeased"],
     ["happy and satisfied", "angry/displeased"]),
    ("[happy, calm or neutral]", ["happy", "calm or neutral"], ["happy", "calm or neutral"]),
    ("[]", [], []), ("['a', 'a']", ["a", "a"], ["a"]), ("['x, y']", ["x, y"], ["x, y"]),
    ("[‘happy’，‘sad’]", None, ["happy", "sad"])])
def test_lists_are_read_as_the_official_code_does_and_whole(raw, official, whole):
    if official is not None:
        assert synonyms.official_labels(raw) == official
    assert synonyms.whole_labels(raw) == whole


def test_groups_keep_labels_whole():
    text = "[['happy and satisfied', 'glad'], ['angry/displeased', 'mad'], [\"don't believe\", 'doubt']]"
    group = openset.groups_of(text)
    assert [group(label) for label in ("glad", "Happy and Satisfied", "mad", "doubt", "happy", "displeased")] == [
        "happy and satisfied", "happy and satisfied", "angry/displeased", "don't believe", None, None]
    assert openset.groups_of([["a or b", "c"], ["c", "d"]])("c") == "a or b", "the first group keeps a label"
    assert synonyms.official_groups("[['a', 'c'], ['c', 'd']]") == {"a": "a", "c": "c", "d": "c"}, "there the last does"


def test_scores_by_hand(tmp_path, capsys):
    """a: groups {happy, glad}, {sad}; said glad and calm: 1 of 2, 1 of 2. b: nothing said: 0 and 0, as in that code.
    c: no groups: published leaves it out, strict compares the words. d: no answer."""
    groups = "[['happy', 'glad'], ['sad'], ['calm']]"
    rows = [labelled("a", ["happy", "sad"], "['glad', 'calm']", synonym_groups=groups),
            labelled("b", ["sad"], "[]", synonym_groups="[['sad']]"), labelled("c", ["sad"], "['sad']"),
            {"checkpoint": 1, "name": "d", "target": ["sad"], "no_answer": "refusal", "synonym_groups": "[['sad']]"}]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "mer2024ov")
    published, strict = (results["checkpoints"]["1"][mode] for mode in ("published", "strict"))
    assert published["accuracy"] == published["recall"] == published["primary"] == 25 and published["scored"] == 2
    assert strict["accuracy"] == strict["recall"] == pytest.approx(100 * (0.5 + 0 + 1 + 0) / 4) == strict["score"]


@pytest.mark.parametrize("groups", [None, "no list", 5, [], [["a"], 3], [[1]], {}, "[[", "[]"])
def test_odd_groups_end_no_job(groups, tmp_path, capsys):
    rows = [labelled("a", ["sad"], "[sad]", synonym_groups=groups),
            labelled("b", ["sad"], "[sad]", synonym_groups=[["sad"]])]
    results, _ = run_json(capsys, write(tmp_path / "p.jsonl", rows), "--set", "mer2024ov")
    assert results["checkpoints"]["1"]["strict"]["primary"] == 100


def test_real_lists_of_labels_are_read_whole(shared_data):
    """The 332 real targets; where no quote stands inside a label, both ways read the same."""
    with (shared_data / "emer" / "ovmerd-openset.csv").open(encoding="utf-8") as file:
        lists = [row["openset"] for row in csv.DictReader(file)]
    assert len(lists) == 332
    for text in lists:
        labels = [label.lower() for label in ast.literal_eval(text)]
        assert synonyms.whole_labels(text) == list(dict.fromkeys(labels))
        assert "'" in "".join(labels) or synonyms.official_labels(text) == labels
