"""Answers in a form: headings with values, tables, JSON among words, tags around the answer.

    headed("Primary emotion: anger\\nSecondary emotion: frustration")  ->  ["anger", "frustration"]
    headed("Tone: harsh. Conclusion: she is angry at him.")           ->  None: no heading has labels
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

LONGEST_JSON = 20_000
"""Characters of an answer that is searched for JSON."""

_HEADING = re.compile(
    r"(?:\A|(?<=[\n|])|(?<=[.!?;][ ])|(?<=[.!?;]))[ \t]*(?:[-*+\u2022#>]+[ \t]*|\(?\d{1,2}[.):][ \t]*)?"
    r"([A-Za-z][\w '/()&-]{0,60}?)[ \t]*(?::|[ ][-\u2013\u2014]+[ ])[ \t]*(?=\S|\n|\Z)")
_SUBJECT = re.compile(
    r"\b(?:emotions?|emotional (?:states?|labels?)|feelings?|moods?|labels?|affect|affective states?|state of mind)\b",
    re.IGNORECASE)
_NAMES = re.compile(
    r"\A(?:(?:the|my|and|so) )?(?:(?:final|main|overall|primary|secondary|tertiary|dominant|other|predicted|likely|"
    r"possible|positive|negative|neutral|mixed|most likely|best|secondary possible) ?)*"
    r"(?:answer|conclusion|result|prediction|output|state|states|a|ans|verdict|list)?\Z", re.IGNORECASE)
_NO_SUBJECT = re.compile(
    r"\b(?:cues?|clues?|analysis|analy[sz]e|reason\w*|explanation|evidence|intensity|confidence|polarity|valence|"
    r"sentiment|expressions?|description|tone|question|video|scene|basis|rationale|score|level|causes?|triggers?|"
    r"context|indicators?|changes?|shift|arousal|strength|certainty|probability|q|is|are|was|were|has|have|steps?)\b",
    re.IGNORECASE)
_FINAL = re.compile(r"\b(?:final|answer|conclusion|result|prediction|predicted|output|verdict|overall|a|ans)\b",
                    re.IGNORECASE)
_RULE = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*\|)+(?:\s*:?-{2,}:?\s*)?\s*")
_TAGGED = re.compile(r"<(answer|emotions?|labels?|final_answer|final|result|output)>(.{0,2000}?)</\1>",
                     re.DOTALL | re.IGNORECASE)
_BOXED = re.compile(r"\\boxed\{(?:\\text\{)?([^{}]{0,200})\}+")


def is_answer_heading(heading: str) -> bool:
    """Whether what stands below a heading is what the character feels, by the heading's words.

    >>> [is_answer_heading(h) for h in ("Secondary emotion", "Conclusion", "Facial expression", "Emotion intensity")]
    [True, True, False, False]
    """
    heading = heading.strip()
    return bool(heading) and not _NO_SUBJECT.search(heading) and bool(
        _SUBJECT.search(heading) or _NAMES.match(heading))


def headed(text: str, read: Callable[[str], list[str] | None]) -> list[str] | None:
    """Labels below all headings that name an emotion; those of a final answer alone, where one has labels.

    read: labels of the text below a heading, None where that is no list.
    """
    found: list[tuple[bool, list[str]]] = []
    for heading, value in _headings(text):
        if is_answer_heading(heading):
            labels = read(value) if value or not text.endswith(("Emotions:", "Emotion:")) else []
            if labels is not None:
                found.append((bool(_FINAL.search(heading)), labels))
    if not found:
        return None
    final = [labels for is_final, labels in found if is_final and labels]
    return list(dict.fromkeys(label for labels in final or [labels for _, labels in found] for label in labels))


def _headings(text: str) -> Iterator[tuple[str, str]]:
    """(heading, what stands below it up to the next heading)."""
    matches = list(_HEADING.finditer(text))
    for match, following in zip(matches, [*matches[1:], None], strict=False):
        yield match[1], text[match.end() : following.start() if following else len(text)].strip(" \t|")


def without_tables(text: str) -> str:
    """A text with the rows of its Markdown tables as lines "First cell: second cell."; of a column that is named
    for emotions, that column alone ("Emotion: cell")."""
    lines = text.splitlines()
    if not any(map(_RULE.fullmatch, lines)):
        return text
    written: list[str] = []
    names: list[str] | None = None
    for number, line in enumerate(lines):
        if _RULE.fullmatch(line) and written:
            names = _cells(lines[number - 1])
            written.pop()
        elif names is not None and "|" in line:
            cells = _cells(line)
            chosen = [cell for name, cell in zip(names, cells, strict=False) if is_answer_heading(name)]
            written += [f"Emotion: {cell}" for cell in chosen] if chosen else [": ".join(cells)]
        else:
            names = None
            written.append(line)
    return "\n".join(written)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def json_among_words(text: str) -> str | None:
    """The JSON object in a text that has other words around it; None where there is none."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start or len(text) > LONGEST_JSON:
        return None
    try:
        return text[start : end + 1] if isinstance(json.loads(text[start : end + 1]), dict) else None
    except (ValueError, RecursionError):
        return None


def tagged(text: str) -> str | None:
    """What stands between tags of an answer (<answer>, \\boxed{}); None where there are none."""
    parts = [match[2] for match in _TAGGED.finditer(text)] or _BOXED.findall(text)
    parts = [part.strip() for part in parts if part.strip()]
    return "\n".join(parts) if parts else None
