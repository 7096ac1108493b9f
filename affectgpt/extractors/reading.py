"""The one reader of answers: what `affectgpt label`, `evaluate` and `describe` make of a model's text without an LLM.

    read("Emotions: angry, sad. Polarity: negative.")        ->  a list: angry, sad; stated: negative
    read("Her mother is furious, and she is calm.")          ->  by rules: calm
    read("I'm sorry, but I can't help with that request.")   ->  no answer: a refusal
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache

from affectgpt.extractors import lists, refusals, rules
from affectgpt.extractors.language import language_of
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.words import lexicon
from affectgpt.words.basic import POLARITIES

SHOWN_BY_LETTERS = ("zh", "mixed")
"""Languages that are told by their letters, so that a single label has one too."""
SHORT = 200
"""Characters up to which an answer is remembered: models give the same short ones again and again."""

_MARK = re.compile(r"[,.;:!?\])\n\u3001\u3002\uff0c\uff1b\uff01\uff1f]")
_POLARITY_AT_END = re.compile(rf"\b(?:{'|'.join(POLARITIES)})\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class Reading:
    """What an answer says.

    Attributes:
        labels: in the order of the text; none where `no_answer` is set.
        sentiment: the vote of a description's words; None where the labels' vote has to decide.
        source: "list", "rules" or "chinese"; "llm" where `described` asks for one.
        no_answer: "refusal", "empty" or "unread" (a language that cannot be read); None for an answer.
        language: of the text, as `language_of` names it.
        stated: the polarity that the answer states; valence: the number that it states.
        text: the answer without thoughts, markup, and remarks of the answerer.
    """

    labels: tuple[str, ...] = ()
    sentiment: str | None = None
    source: str = "list"
    no_answer: str | None = None
    language: str = "unknown"
    stated: str | None = None
    valence: float | None = None
    text: str = ""


def read(answer: str, question: str | None = None, as_lists: bool = True, described: str | None = "rules",
         limit: int = 100_000, cut_off: bool = False) -> Reading:
    """What one answer says.

    Args:
        question: kind of question that was asked; a stated "sentiment" or "valence" is all that answers these.
        as_lists: read lists as lists; False describes everything.
        described: "rules"; "llm" leaves descriptions without labels, for an LLM; None takes lists alone.
        limit: characters; of a longer answer the first and the last half of this many are read.
        cut_off: its length ended the answer, so what stands behind its last mark may be torn and is not read.
    """
    if cut_off:
        answer = in_full(answer)
    if len(answer) <= SHORT:
        return _read_again(answer, question, as_lists, described)
    return _read(lists.shorten(lists.clean(answer), limit), question, as_lists, described)


@lru_cache(maxsize=1 << 13)
def _read_again(answer: str, question: str | None, as_lists: bool, described: str | None) -> Reading:
    return _read(lists.clean(answer), question, as_lists, described)


def _read(text: str, question: str | None, as_lists: bool, described: str | None) -> Reading:
    language = language_of(text)
    if not text:
        return Reading(no_answer="empty", language=language)
    if language in SHOWN_BY_LETTERS:
        return _chinese(text, language, question, as_lists, described)
    facts = {"language": language, "text": text, "stated": lists.stated_polarity(text),
             "valence": lists.stated_valence(text) if question == "valence" else None}
    if question in ("sentiment", "valence") and (facts["stated"] or facts["valence"] is not None):
        return Reading(**facts)
    rest = refusals.Rest(text, False, False) if text.startswith(("[", "{")) else refusals.without_boilerplate(text)
    if as_lists and (rest.text or not (rest.refused or rest.untold)):
        labels = lists.listed(rest.text) if rest.text else []
        if labels is not None:
            return _checked(Reading(tuple(labels), **facts), rest)
    if not rest.text and (rest.refused or rest.untold):
        return Reading(no_answer="refusal", **facts)
    if described is None:
        return Reading(**facts)
    return _described(rest, facts, described)


def in_full(answer: str) -> str:
    """An answer that was cut off, up to its last mark: what it says in full.

    >>> in_full("A smile. Emotions: happy, sur"), in_full("A smile. Emotions: happy. Polarity: positive")
    ('A smile. Emotions: happy,', 'A smile. Emotions: happy. Polarity: positive')
    """
    if _POLARITY_AT_END.search(answer):
        return answer
    marks = list(_MARK.finditer(answer))
    return answer[: marks[-1].end()] if marks else " ".join(answer.split()[:-1])


def _described(rest: refusals.Rest, facts: dict, described: str) -> Reading:
    """A description, read as English. A refusal that names an emotion elsewhere is an answer."""
    extraction = rules.extractor().extract_rest(rest.text)
    labels, sentiment = extraction.labels, extraction.sentiment
    if rest.refused and not labels:
        return Reading(no_answer="refusal", **facts)
    if not labels and not can_be_read(facts["language"], rest.text):
        return Reading(no_answer="unread", **facts)
    if described == "llm":
        return Reading(source="llm", **facts)
    return Reading(labels, sentiment, "rules", **facts)


def _chinese(text: str, language: str, question: str | None, as_lists: bool, described: str | None) -> Reading:
    """An answer in Chinese, or in Chinese and English."""
    from affectgpt.extractors import chinese

    answer = chinese.read(text, as_lists)
    facts = {"language": language, "text": text, "stated": answer.stated or lists.stated_polarity(text),
             "valence": answer.valence if question == "valence" else None}
    if question in ("sentiment", "valence") and (facts["stated"] or facts["valence"] is not None):
        return Reading(**facts)
    if answer.refused:
        return Reading(no_answer="refusal", **facts)
    if answer.is_list or described is None:
        return Reading(answer.labels if answer.is_list else (), **facts)
    if described == "llm":
        return Reading(source="llm", **facts)
    return Reading(answer.labels, answer.sentiment, "chinese", **facts)


def _checked(reading: Reading, rest: refusals.Rest) -> Reading:
    """A list, unless it is none of a language that can be read, or what a refusal left over."""
    if rest.refused and not reading.labels:
        return replace(reading, labels=(), valence=None, no_answer="refusal")
    known = any(lexicon.load().family(label) for label in reading.labels)
    if reading.labels and not known and not can_be_read(reading.language, rest.text):
        return replace(reading, labels=(), valence=None, no_answer="unread")
    return reading


def can_be_read(language: str, text: str) -> bool:
    """Whether a text of this language can be read; one of an unknown language where it is in Latin letters."""
    if language == "unknown":
        letters = [character for character in text[:2000] if character.isalpha()]
        return not letters or sum(letter < "\u0250" for letter in letters) > len(letters) / 2
    return language == "en"


def labels_of_list(value: list) -> tuple[str, ...]:
    """Labels of an answer that is a list already.

    Raises:
        ValueError: something in it is no text.
    """
    labels = parse_labels(value)
    if all(map(str.isascii, labels)):
        return tuple(labels)
    from affectgpt.words import chinese

    return chinese.in_english(labels)
