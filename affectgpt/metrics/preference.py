"""Which of two descriptions fits better: EmoPrefer and MER-Prefer.

A target is "a1", "a2" or "same" (also "first" and "second"), or says more:

    {"better": "a1", "pair": "clip 7", "swapped": true}

`pair` names the two descriptions of a clip; a question with `swapped` shows them in the other order (its `better` is in
the order that it shows). Consistency is measured on pairs that were asked in both orders.

Two ways of counting (EmoPrefer: Lian et al., arXiv 2507.04278; MER2026, arXiv 2604.19417):

published: as the released baseline of MER-Prefer counts (MERTools, MER2026_Track3/utils/common.py, checked): a1, a2 or
    same is what the text begins with, else what it names first, else same; pairs that people found the same are left
    out; an answer of same counts as a1; weighted F1 and accuracy of two classes.
strict: what the text says, never a guess; same is a class where people said so, and wrong elsewhere; an answer that
    cannot be read, or is missing, is wrong.

waf, accuracy: as above. first_rate: how often the first one is preferred, among answers that prefer one; position_bias:
this less how often people prefer the first one, -1 to 1, 0 is best. tie_rate: how often an answer says same.
consistency: of the pairs asked in both orders, those that prefer the same description (or none) both times.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from affectgpt.metrics import sentiment, short_answers
from affectgpt.metrics.pairs import nth_name, questions_of
from affectgpt.metrics.stats import Columns, ratio

CLASSES = ("a1", "a2", "same")
_NAMES = {"a1": "a1", "a2": "a2", "same": "same", "first": "a1", "second": "a2", "tie": "same"}
_ALIKE = re.compile(r"\b(?:both|(?:a1|d1|first|1)(?: one| description)? (?:and|&) (?:the |description )?"
                    r"(?:a2|d2|second|2))\b[^.\n]{0,40} (?:are|fit|align|seem)[^.\n]{0,20} "
                    r"(?:the same|equal|equally|identical)\b", re.IGNORECASE)
"""Both named to say that they are alike."""
_OWN = re.compile(r"Better: (first|second|same)\.?", re.IGNORECASE)


def _pattern(number: str, word: str) -> str:
    return (short_answers.words_pattern(f"a{number}", f"d{number}", word, f"{number}st" if number == "1" else "2nd")
            + rf"|\b(?:description|candidate|option|answer)\s*[(#]?{number}\b|\A\W*{number}\W*\Z")


_PATTERNS = {"same": short_answers.words_pattern("same", "equal", "equally", "tie", "neither", "identical"),
             "a1": _pattern("1", "first"), "a2": _pattern("2", "second")}


class Question(NamedTuple):
    """The better one as the question shows them, the pair, whether it shows them swapped."""

    better: str
    pair: Hashable | None
    swapped: bool


def question_of(target: Any) -> Question | None:
    """A target as a question; None where it is none."""
    fields = target if isinstance(target, Mapping) else {"better": target}
    better, pair, swapped = fields.get("better"), fields.get("pair"), fields.get("swapped", False)
    name = _NAMES.get(better.strip().lower()) if isinstance(better, str) else None
    if name is None or not isinstance(pair, str | int | None) or not isinstance(swapped, bool):
        return None
    return Question(name, pair, swapped)


def published_answer(text: str) -> str:
    """a1, a2 or same, as the released baseline reads an answer.

    It knows the names of its own question alone, so that "the second" is same; this project's models say "Better:
    second." to theirs, which is put into those names.
    """
    own = _OWN.fullmatch(text.strip())
    text = _NAMES[own.group(1).lower()] if own else text.lower()
    first = next((name for name in CLASSES if text.startswith(name)), None)
    places = {name: text.find(name) for name in CLASSES if name in text}
    return first or min(places, key=lambda name: places[name], default="same")


def name_pairs(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """{"name", "target"} of rows of `name`, `a1`, `a2` and `preference`, EmoPrefer's own columns.

    A clip's second pair is called NAME#2, as the reader of the collection calls it, and a row that is there twice is
    one. A pair that is there in both orders has them as one `pair`, the later one `swapped`.
    """
    times: dict[str, int] = {}
    seen: dict[tuple, dict[str, Any]] = {}
    for row in rows:
        name, first, second = (str(row.get(key) or "") for key in ("name", "a1", "a2"))
        if (name, first, second) in seen:
            continue
        times[name] = times.get(name, 0) + 1
        called = nth_name(name, times[name])
        target: Any = row.get("preference") or None
        other = seen.get((name, second, first))
        if other is not None and target is not None and isinstance(other["target"], str):
            other["target"] = {"better": other["target"], "pair": other["name"], "swapped": False}
            target = {"better": target, "pair": other["name"], "swapped": True}
        seen[name, first, second] = {"name": called, "target": target}
    return list(seen.values())


@lru_cache(maxsize=1 << 16)
def read_answer(text: str | None) -> short_answers.Reading:
    """The one that an answer prefers.

    >>> read_answer("The second description fits better.").said, read_answer("a1 and a2").problem
    ('a2', 'unreadable')
    """
    if text is None:
        return short_answers.Reading(None, short_answers.NOT_GIVEN)
    read = short_answers.read(text, _PATTERNS)
    alike = read.problem == short_answers.UNREADABLE and _ALIKE.search(short_answers.answer_text(text))
    return short_answers.Reading("same") if alike else read


def columns(targets: Sequence[Any], answers: Sequence[str | None], strict: bool) -> Columns:
    """Per-question numbers of preferences; scores as the module says.

    Args:
        targets: as `question_of` reads them. ValueError for one that is no question.
        answers: texts as they came; None for a missing answer. Strict counting has it wrong, published leaves it out.
    """
    questions = questions_of(targets, question_of, "is none of a1, a2 and same")
    kinds = 3 if strict else 2
    values = np.zeros((len(questions), kinds * (kinds + 1) + 8))
    table, more = values[:, :kinds * (kinds + 1)], values[:, kinds * (kinds + 1):]
    said: list[str | None] = []
    for index, (question, text) in enumerate(zip(questions, answers, strict=True)):
        read = read_answer(text)
        given = read.said if strict else None if text is None else published_answer(text)
        said.append(given)
        if not strict and (text is None or question.better == "same"):
            continue
        choice = given if strict or given != "same" else "a1"
        place = kinds if choice is None else CLASSES.index(choice)
        table[index, CLASSES.index(question.better) * (kinds + 1) + place] = 1
        polar = given in CLASSES[:2] and question.better != "same"
        more[index, :6] = (given == "a1" and polar, question.better == "a1" and polar, polar, given == "same",
                           read.problem == short_answers.NOT_GIVEN, read.problem == short_answers.UNREADABLE)
    more[:, 6:] = _consistent(questions, said)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        cells = sums[..., :kinds * (kinds + 1)].reshape(*sums.shape[:-1], kinds, kinds + 1)
        first, true, polar, ties, missing, unread, pairs, same = np.moveaxis(sums[..., kinds * (kinds + 1):], -1, 0)
        scored = cells.sum((-1, -2))
        return {"waf": sentiment.weighted_f1_of(cells),
                "accuracy": ratio(np.trace(cells, axis1=-2, axis2=-1), scored),
                "first_rate": ratio(first, polar), "position_bias": ratio(first - true, polar),
                "tie_rate": ratio(ties, scored), "consistency": ratio(same, pairs),
                "not_given": ratio(missing, scored), "unreadable": ratio(unread, scored)}

    return Columns(values, finish)


def _consistent(questions: list[Question], said: list[str | None]) -> np.ndarray:
    """Per question its half of a pair asked in both orders and of the pair's consistency, [N, 2]."""
    members: dict[Hashable, dict[bool, int]] = {}
    for index, question in enumerate(questions):
        if question.pair is not None:
            members.setdefault(question.pair, {}).setdefault(question.swapped, index)
    other = {"a1": "a2", "a2": "a1", "same": "same"}
    values = np.zeros((len(questions), 2))
    for both in members.values():
        if len(both) == 2:
            here, there = said[both[False]], said[both[True]]
            values[list(both.values())] = 0.5, 0.5 * (here is not None and there == other[here])
    return values
