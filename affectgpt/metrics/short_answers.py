"""The text of a short answer -> the one option that it names, or why none can be read. Never a guess.

Multiple choice, yes or no, and "which description is better" are read by the same rules:

1. Thoughts are left out; where the answer is marked (<answer>, \\boxed, {"answer": ...}), the rest is too.
2. What follows "the answer is" or stands first is the answer. Words after it are its reason and are not searched.
3. Else the one option that the text names and does not deny ("not angry").
4. Two options at one place, or options that contradict each other, are unreadable. A refusal is no answer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

NOT_GIVEN, UNREADABLE = "not_given", "unreadable"
LONGEST = 20_000
"""Characters of an answer that are searched; what is longer is no short answer."""
LONGEST_OBJECT = 4_000
"""Characters of an answer that is read as an object with fields."""


class Reading(NamedTuple):
    """What an answer says: the option's key, or None and the problem ("not_given" or "unreadable")."""

    said: str | None
    problem: str | None = None


class _Mention(NamedTuple):
    start: int
    end: int
    key: str


_CHARACTERS = str.maketrans({chr(0xFF01 + i): chr(0x21 + i) for i in range(94)} | {
    "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u3000": " ", "\u00a0": " ", "\u3002": ".",
    "\u3001": ",", "*": None, "`": None, "\u200b": None, "\ufeff": None})
_THOUGHTS = re.compile(r"<(think|thinking|reasoning)>.*?(?:</\1>|\Z)|\A.*</(?:think|thinking|reasoning)>",
                       re.DOTALL | re.IGNORECASE)
_MARKED = re.compile(r"<answer>(.*?)(?:</answer>|\Z)|\\boxed\s*\{(?:\\text\s*\{)?([^{}]*)\}", re.DOTALL | re.IGNORECASE)
_OBJECT = re.compile(r"\s*(?:json|python)?\s*\{(.*)\}\s*", re.DOTALL | re.IGNORECASE)
_FIELD = re.compile(r"""["']?([\w ]{1,40}?)["']?\s{0,9}:\s{0,9}(?:"([^"]*)"|'([^']*)'|([^,"'{}\[\]]+))""")
_ANSWER_KEY = re.compile(r"answer|choice|option|label|emotion|prediction|preference|better|result", re.IGNORECASE)
_FINAL = re.compile(r"\bfinal (?:answer|choice|decision)\b|\u6700\u7ec8\u7b54\u6848", re.IGNORECASE)
_CUE = re.compile(
    r"\b(?:(?:answer|choice|option|label|prediction|preference|verdict|conclusion|decision)(?: here)?\s*"
    r"(?:(?:is|was|would be|should be|will be)(?: therefore| thus| clearly| most likely| likely| probably)?\s*:?|[:=])"
    r"|(?:i|we)(?:'d| would| will|'ll)? (?:choose|select|pick|prefer|go with|say|answer)|(?:better|best)(?: one)?"
    r"(?: is|:)|so it(?: is|'s)|(?:emotion|sentiment|feeling|intent)s?(?: (?!is\b|are\b)\w+){0,4}(?: is| are|:))"
    r"|(?:\u7b54\u6848(?:\u662f|\u4e3a|:)?|\u9009\u62e9|\u9009)", re.IGNORECASE)
_FILLER = re.compile(r"""[\s"'(\[{<:=.\-#]*(?:(?:the|option|choice|answer|letter|is|definitely|probably|clearly)\b"""
                     r"""[\s"'(\[{<:=]*){0,4}""", re.IGNORECASE)
_BETWEEN = re.compile(r"""[\s"'.,:;()\[\]{}/&|\u2013\u2014-]*(?:(?:and|or|as well as|\u548c|\u6216)[\s"'(\[]*)?""",
                      re.IGNORECASE)
_OR = re.compile(r"[\s\"')]*,?\s*(?:or|nor|/)[\s\"'(]*", re.IGNORECASE)
_DENIAL = re.compile(r"(?:\b(?:not|never|no|nor|neither|without|cannot be|isn't|wasn't|doesn't|don't|rather than|"
                     r"instead of|unlike|except|excluding|less likely)\b|\u4e0d\u662f)(?:\s+(?!but\b)[\w'-]+){0,2}"
                     r"\s*[\"'(]*\Z", re.IGNORECASE)
_REJECTED = re.compile(
    r"""[\s"')\]]{0,3}(?:(?:is|are|was|were|does|do|did|would|can|could|seems?|looks?|fits?|aligns?)\s+(?:(?:be|"""
    r"clearly|definitely|much|far|slightly)\s+)?(?:not|incorrect|wrong|false|unlikely|less|worse|weaker|poorer|"
    r"inaccurate)"
    r"|cannot|can't|isn't|wasn't|doesn't)\b", re.IGNORECASE)
_DECLINES = re.compile(
    r"\b(?:i|we)(?:'m| am| are|'re)? (?:can ?no[tn]|cannot|can't|could not|couldn't|unable to|not able to|won't|"
    r"will not)\b[^.\n]{0,60}?\b(?:determine|tell|identify|help|assist|answer|provide|say|judge|choose|comply|infer|"
    r"assess|analy[sz]e|process|access|decide|(?:see|view|watch|hear) (?:the|this|any|that) (?:video|audio|image|clip|"
    r"picture|file|content|frames?))|\bit is (?:impossible|not possible) to\b|\bas an ai\b"
    r"|\bi (?:do not|don't) know\b|\bnone of (?:the|these|them|those)\b|\b(?:not enough|insufficient) "
    r"(?:information|evidence|context)|\A\W*(?:none|n/?a|nan|null|unknown|unclear|not sure|no answer|skip(?:ped)?|\?+)"
    r"\W*\Z|\u65e0\u6cd5|\u4e0d\u80fd(?:\u786e\u5b9a|\u5224\u65ad|\u56de\u7b54)|\u62b1\u6b49|\u4e0d\u77e5\u9053",
    re.IGNORECASE)


def answer_text(text: str) -> str:
    """The part of an answer that is read: no thoughts, inside its marks where it has some, in plain characters.

    >>> answer_text("<think>A? No.</think> **B**"), answer_text("{'emotion': 'happy'}")
    ('B', 'happy')
    """
    text = _THOUGHTS.sub(" ", text[:LONGEST])
    marked = [inside for pair in _MARKED.findall(text) if (inside := (pair[0] or pair[1]).strip())]
    text = (marked[-1] if marked else text).translate(_CHARACTERS).strip()
    whole = _OBJECT.fullmatch(text) if len(text) < LONGEST_OBJECT else None
    if whole:
        fields = [(key, next(filter(None, values), "").strip()) for key, *values in _FIELD.findall(whole[1])]
        chosen = [value for key, value in fields if len(fields) == 1 or _ANSWER_KEY.search(key)]
        text = chosen[0] if len(chosen) == 1 else text
    return text.strip(" \n\t'\"")


def declines(text: str) -> bool:
    """Whether a text says that it gives no answer ("I cannot tell", "None of the above")."""
    return _DECLINES.search(text) is not None


def words_pattern(*texts: str) -> str:
    """A pattern of these texts as whole words, in any case and with any space or hyphen between their words."""
    parts = []
    for text in sorted(texts, key=len, reverse=True):
        words = re.split(r"[\s_-]+", text.translate(_CHARACTERS).strip())
        inner = r"[\s_-]+".join(map(re.escape, words))
        before = r"(?<![A-Za-z0-9])" if text[:1].isascii() and text[:1].isalnum() else ""
        after = r"(?![A-Za-z0-9])" if text[-1:].isascii() and text[-1:].isalnum() else ""
        parts.append(f"{before}(?:{inner}){after}")
    return "|".join(parts)


def letter_pattern(letter: str) -> str:
    """A pattern of an option's letter: "(b)", "b)", "B.", "option B", or B alone.

    "A" and "I" are words too: alone they count only where nothing, or a reason, follows.
    """
    upper, either = letter.upper(), f"[{letter.upper()}{letter.lower()}]"
    ends = r"(?=\s*(?:\Z|\n|[.,:;!?)\]\"'/&|\u2013\u2014-]|\b(?:because|since|as|due|based|given|and|or)\b))"
    alone = rf"(?-i:{upper})(?![A-Za-z0-9'])" + (ends if upper in "AI" else "")
    return (rf"[(\[]\s*{either}\s*[)\]]|(?<![A-Za-z0-9'])(?:{either}\)|(?:option|choice)\s+{either}(?![A-Za-z0-9])"
            rf"|{alone}|{either}(?=\s*(?:\Z|[.:]\s*(?:\Z|\s))))")


def read(text: str, patterns: Mapping[str, str], anywhere: bool = True) -> Reading:
    """The one option that an answer names.

    Args:
        patterns: key of an option -> pattern of what names it; earlier ones win where both fit.
        anywhere: also take the one option named anywhere in the text, where none stands first or after a cue.
    """
    text = answer_text(text)
    if not text:
        return Reading(None, NOT_GIVEN)
    found = mentions(text, patterns)
    starts = [match.end() for match in _FINAL.finditer(text)]
    cues = [match.end() for match in _CUE.finditer(text)]
    final = {key for start in starts for key in _at(text, found, _cue_after(cues, start))}
    if not final:
        final = {key for cue in cues for key in _at(text, found, cue)}
    if not final and not _is_list(text, found):
        final = set(_at(text, found, 0))
    if len(final) == 1:
        return Reading(final.pop())
    if final:
        return Reading(None, UNREADABLE)
    if declines(text):
        return Reading(None, NOT_GIVEN)
    meant = _affirmed(text, found) if anywhere else set()
    return Reading(meant.pop()) if len(meant) == 1 else Reading(None, UNREADABLE)


def mentions(text: str, patterns: Mapping[str, str]) -> list[_Mention]:
    """Where options are named in a text, in order and without overlaps; at one place the longest."""
    found = [_Mention(match.start(), match.end(), key) for key, pattern in patterns.items()
             for match in _compiled(pattern).finditer(text) if match.end() > match.start()]
    kept: list[_Mention] = []
    for mention in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return kept


@lru_cache(maxsize=1 << 14)  # more than the cache of `re` holds, where every question has its own options
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.IGNORECASE)


def named(text: str, patterns: Mapping[str, str]) -> set[str]:
    """All options that a text names and does not deny, for questions with several right ones."""
    return _affirmed(text, mentions(text, patterns))


def _cue_after(cues: list[int], start: int) -> int:
    """End of the cue that a "final answer" belongs to, else its own end."""
    return next((cue for cue in cues if start - 8 <= cue <= start + 20), start)


def _at(text: str, found: list[_Mention], place: int) -> list[str]:
    """Keys of the options that stand at a place, several where they are joined."""
    place = _FILLER.match(text, place).end()  # type: ignore[union-attr]
    first = next((i for i, mention in enumerate(found) if mention.start <= place < mention.end), None)
    if first is None or _REJECTED.match(text, found[first].end):
        return []
    keys = [found[first].key]
    for before, after in zip(found[first:], found[first + 1:], strict=False):
        if not _BETWEEN.fullmatch(text, before.end, after.start):
            break
        keys.append(after.key)
    return keys


def _is_list(text: str, found: list[_Mention]) -> bool:
    """Whether a text repeats the options, one a line."""
    begins = {match.end() for match in re.finditer(r"^[\s(\[\"'-]*", text, re.MULTILINE)}
    return len({mention.key for mention in found if {mention.start, mention.start + 1} & begins}) > 1


def _affirmed(text: str, found: list[_Mention]) -> set[str]:
    """Keys of the options that are named and not denied; "not angry or sad" denies both."""
    kept, before, denied = set(), 0, False
    for mention in found:
        joined = denied and _OR.fullmatch(text, before, mention.start) is not None
        denied = joined or _denied(text, mention)
        before = mention.end
        if not denied:
            kept.add(mention.key)
    return kept


def _denied(text: str, mention: _Mention) -> bool:
    return _DENIAL.search(text[max(0, mention.start - 60):mention.start]) is not None \
        or _REJECTED.match(text, mention.end) is not None
