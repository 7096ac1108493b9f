"""Sentences that trip a label extractor, kind by kind; `studies/sentence_study.py` prints what they reach."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest

STUDIES = Path(__file__).resolve().parent.parent / "studies"
KINDS = ("another", "hypothetical", "past", "negation", "degree", "idiom", "mixed", "irony", "british", "spelling",
         "behaviour", "template", "refusal", "boilerplate", "usual")


@pytest.fixture(scope="module")
def scored():
    """(row, strict F from 0 to 1) of every sentence."""
    sys.path.insert(0, str(STUDIES))
    try:
        study = importlib.import_module("sentence_study")
    finally:
        sys.path.remove(str(STUDIES))
    rows = study.read_sentences()
    return list(zip(rows, study.score(rows), strict=True))


def mean(scored, **wanted) -> float:
    part = [score for row, score in scored if all(row[key] == value for key, value in wanted.items())]
    return sum(part) / len(part)


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_trap_is_known(scored, kind):
    assert mean(scored, kind=kind) >= 0.9


def test_both_halves_are_read_and_refusals_are_never_answers(scored):
    assert {row["kind"] for row, _ in scored} == set(KINDS)
    assert mean(scored, half="unseen") >= 0.97 and mean(scored, half="seen") >= 0.97
    assert mean(scored, kind="refusal") == mean(scored, kind="template") == 1
