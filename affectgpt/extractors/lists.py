"""Answers that already are a list of labels, and what else an answer states outright: polarity and valence.

    listed("The character's emotional state is worried, sad.")  ->  ["worried", "sad"]
    listed("She smiles, so she seems happy.")                   ->  None: a description, for another extractor
"""

from __future__ import annotations

import re

from affectgpt.extractors import templates
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.models.prompting import PUBLISHED_STOP
from affectgpt.words import lexicon
from affectgpt.words.basic import POLARITIES

LONGEST_LIST = 20_000
"""Characters; a longer answer is no list, whatever it looks like."""

_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHTS_END = re.compile(r"\A.*</(?:think|thinking|reasoning)>", re.DOTALL | re.IGNORECASE)
_FENCE = re.compile(r"^[ \t]*```[\w-]*[ \t]*$", re.MULTILINE)
_INLINE_HEADING = re.compile(
    r"(?<=\w)[^\S\n]+\**((?:primary|secondary|tertiary|main|other|dominant|final)[^\S\n]+emotions?)\**:", re.IGNORECASE)
_ASSIGNED = re.compile(r"\b(emotions?|labels?|answer)[^\S\n]*=[^\S\n]*(?=[\w\[\"'])", re.IGNORECASE)
_TITLE = re.compile(r"^\s{0,3}#{1,6}[ \t]+([^\n]*?[^\s:#])[ \t:#]*$", re.MULTILINE)
_STAR_BULLET = re.compile(r"^([ \t]*)\*[ \t]+", re.MULTILINE)
_MARKUP = re.compile(r"\*{1,3}|(?<!\w)_{1,2}(?=\w)|(?<=\w)_{1,2}(?!\w)|^\s{0,3}#{1,6}\s+|`|"
                     r"</?[a-z][a-z0-9_]{0,20}(?:\s[^<>]{0,80})?/?>", re.MULTILINE | re.IGNORECASE)
_SUBJECT = r"(?:emotions?|emotional (?:states?|labels?)|feelings?|moods?|labels?|answer)"
_SENTENCE_LEAD = re.compile(rf"[\w', -]{{0,80}}?\b{_SUBJECT}\b[\w' -]{{0,40}}?\s(?:is|are|includes?|"
                            r"would be|(?:can|may) be|(?:can be )?described as)\b:?\s*", re.IGNORECASE)
_BULLET_LINE = re.compile(r"\s*(?:[-*+\u2022]\s*|\(?\d{1,3}[.):]\s*)\w")
_CLAUSE = re.compile(r"\b(?:because|since|which|who|while|when|where|although|though|but|due to|as if|so that|"
                     r"therefore|he|she|they|i|you|we|is|are|was|were|am|has|have|had|becomes?|became|"
                     r"seems?|appears?|feels?|shows?|indicates?|suggests)\b")
_NO_ANSWER = frozenset({"yes", "no", "ok", "okay", "true", "false", "unknown", "unclear", "thanks", "hello", "accept",
                        "reject", "same", "a1", "a2", "answer", "emotions", "labels"})
_POLARITY_WORDS = frozenset({"positive", "negative", "positivity", "negativity"})
_SEPARATORS = re.compile(r"[,;/|()\n]")
LONGEST_ITEM = 16
"""Words between two separators; more than that is a sentence, which spares reading long texts as lists."""
_REMARK = re.compile(r":\s|\s[-\u2013\u2014]\s")
_POLARITY_STATED = re.compile(r"\b(?:polarity|sentiment)\b[\w' ]{0,30}?(?:\bis\b|:|\bas\b)\W{0,4}("
                              + "|".join(POLARITIES) + r")\b", re.IGNORECASE)
_POLARITY_ALONE = re.compile(r"\W*(?:[\w' ]{0,40}\blabel\b[\w' ]{0,20}\bis\s+)?(" + "|".join(POLARITIES) + r")\W*",
                             re.IGNORECASE)
_VALENCE_STATED = re.compile(r"\b(?:valence|sentiment|polarity|score)\b[^.\d+-]{0,40}"
                             r"([-+]?(?:\d+\.?\d*|\.\d+))(?![\w%])", re.IGNORECASE)
_NUMBER_ALONE = re.compile(r"\W*?([-+]?(?:\d+\.?\d*|\.\d+))\W*")


def clean(text: str) -> str:
    """An answer without what is no answer: thoughts, code fences, bold and heading marks, the published end mark.

    A thought that never ends leaves nothing: the model was cut off before it answered.
    """
    text = text.replace("\u2212", "-").replace("\u2019", "'").replace("\u2018", "'")
    text = _THOUGHTS.sub(" ", text)
    if "</" in text:
        text = _THOUGHTS_END.sub("", text)
    text = text.split(PUBLISHED_STOP)[0] if not text.lstrip().startswith(PUBLISHED_STOP) else text
    text = _FENCE.sub("", text)
    text = _INLINE_HEADING.sub(r"\n\1:", _ASSIGNED.sub(r"\1: ", text))
    if "#" in text:
        text = _TITLE.sub(r"\1:", text)
    if "<" in text or "\\boxed" in text:
        text = templates.tagged(text) or text
    text = _MARKUP.sub("", _STAR_BULLET.sub(r"\1- ", text)).strip()
    return templates.without_tables(text) if "|" in text else text


def shorten(text: str, limit: int) -> str:
    """The first and the last half of `limit` characters of a longer text; its conclusion stands at one of the ends."""
    return text if len(text) <= limit else f"{text[: limit // 2]}\n...\n{text[-(limit // 2):]}"


def listed(text: str) -> list[str] | None:
    """Labels of a cleaned answer that is a list; None for a description. An empty list stands for "[]" or "none".

    A list is: brackets; JSON; headings of emotions with labels below them ("Emotions: a, b.", "Primary emotion: a");
    bulleted or numbered lines; one sentence "... emotional state is a, b." alone; words between commas of which half
    are known emotions; one or two bare words.
    """
    if len(text) > LONGEST_LIST:
        return None
    text = text.strip()
    if re.fullmatch(r"[\[{].*[\]}]\.?", text, re.DOTALL):
        return _emotions(parse_labels(text))
    if "{" in text and (inside := templates.json_among_words(text)):
        return _emotions(parse_labels(inside))
    labels = templates.headed(text, _below_heading)
    if labels is not None:
        return _without_polarities(labels)
    labels = _listed_lines(text)
    if labels is not None and _half_known(labels):
        return _without_polarities(labels)
    body = _without_polarity(text)
    lead = _SENTENCE_LEAD.match(body)
    if lead:
        return None if _REMARK.search(body, lead.end()) else _short(body[lead.end():], 8)
    if not body:
        return []
    labels = None if any(len(part.split()) > LONGEST_ITEM for part in _SEPARATORS.split(body)) else _short(body, 4)
    if labels is None or not labels:
        return labels
    separated = re.search(r"[,;/\n]", body.rstrip(" ,;")) is not None
    if len(labels) == 1 and not separated:
        return None if len(labels[0].split()) > 2 else labels
    return _without_polarities(labels) if separated and _half_known(labels) or _all_known(labels) else None


def stated_polarity(text: str) -> str | None:
    """The polarity that an answer states ("Polarity: negative.", "sentiment state is positive"); the last one."""
    found = _POLARITY_STATED.findall(text[-LONGEST_LIST:])
    alone = _POLARITY_ALONE.fullmatch(text) if len(text) < 200 else None
    return found[-1].lower() if found else alone[1].lower() if alone else None


def stated_valence(text: str) -> float | None:
    """The number that an answer states as valence ("The valence score is -1.20."), or that is all of it."""
    found = _VALENCE_STATED.search(text[:LONGEST_LIST]) or (_NUMBER_ALONE.fullmatch(text) if len(text) < 100 else None)
    return float(found[1]) if found else None


def _below_heading(value: str) -> list[str] | None:
    """Labels of what stands below a heading: bulleted lines, else its first sentence."""
    labels = _listed_lines(value)
    if labels is None:
        first = re.split(r"\n|(?<=[.!?])\s", value.strip(), maxsplit=1)[0]
        labels = _short(first, 4) if first else None
    return labels


def _half_known(labels: list[str]) -> bool:
    table = lexicon.load()
    return not labels or 2 * sum(table.family(label) is not None for label in labels) >= len(labels)


def _all_known(labels: list[str]) -> bool:
    table = lexicon.load()
    return all(table.family(label) is not None for label in labels)


def _emotions(labels: list[str]) -> list[str]:
    return _without_polarities(_without_no_answer(labels))


def _without_polarities(labels: list[str]) -> list[str]:
    """The labels without "positive" and "negative" (say how good, not what), where another one is there."""
    others = [label for label in labels if label.split(" ")[-1] not in _POLARITY_WORDS or len(label.split()) > 2]
    return others if any(label != "neutral" for label in others) else labels


def _without_no_answer(labels: list[str]) -> list[str]:
    """The labels but for words that say that there is none."""
    return [label for label in labels if label not in _NO_ANSWER
            and not (templates.is_answer_heading(label) and lexicon.load().family(label) is None)]


def _short(text: str, words: int) -> list[str] | None:
    """Labels of a text in which each is at most so many words and none is a clause; None for other text."""
    labels = parse_labels(text)
    if any(len(label.split()) > words or _CLAUSE.search(label) for label in labels):
        return None
    emotions = _without_no_answer(labels)
    return emotions if emotions or not any(map(str.isalnum, text)) or not labels else None


def _listed_lines(text: str) -> list[str] | None:
    """Labels of lines that all are bulleted or numbered, below at most one line that ends in a colon."""
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 1 and lines[0].rstrip().endswith(":"):
        lines = lines[1:]
    if not lines or not all(map(_BULLET_LINE.match, lines)):
        return None
    return _short("\n".join(lines), 4)


def _without_polarity(text: str) -> str:
    """A short answer without its sentence about polarity."""
    sentences = [part for part in re.split(r"(?<=[.!?])\s+|\n", text) if not _POLARITY_STATED.search(part)]
    return "\n".join(part for part in sentences if part.strip()).strip()
