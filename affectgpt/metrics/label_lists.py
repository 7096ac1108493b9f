"""The text of a label list -> its labels. Pure Python; the one parser of label lists in this project.

The published scoring cuts a list at every apostrophe ("can't cope" becomes "can" and "t cope"); it lives with the
published scores. This parser is for everything else.
"""

from __future__ import annotations

import functools
import json
import re

_CHARACTERS = str.maketrans({
    "\u2018": "'", "\u2019": "'", "\u02bc": "'", "\uff07": "'", "`": "'", "\u00b4": "'",
    "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u00ab": '"', "\u00bb": '"', "\uff02": '"',
    "\uff0c": ",", "\u3001": ",", "\u060c": ",", "\uff1b": ";", "\u3002": ".", "\uff0e": ".", "\uff1a": ":",
    "\u3010": "[", "\u3011": "]", "\uff08": "(", "\uff09": ")", "\u00a0": " ", "\u3000": " ",
    "\u200b": None, "\u200c": None, "\u200d": None, "\ufeff": None,
})
_NO_LABEL = frozenset({"", "none", "null", "nil", "nan", "n/a", "na", "empty", "empty list", "no label", "no labels",
                       "no emotion", "no emotions", "etc", "and", "or"})
_STRING = r"""(?:'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*")"""
_PYTHON_LIST = re.compile(rf"[\[({{]\s*(?:{_STRING}\s*,\s*)*(?:{_STRING}\s*)?[\])}}]")
_BULLET = re.compile(r"^\s*(?:[-*+\u2022\u2023\u25cf\u00b7\u2013]\s*|\(?\d{1,3}[.):]\s*|\(?[a-z][.)]\s+)",
                     re.IGNORECASE)
_NOT_APPLICABLE = re.compile(r"(?<!\w)n\s?/\s?a(?!\w)", re.IGNORECASE)
_NAMED = re.compile(r"emotion|label|feeling|mood|primary|secondary|tertiary|dominant|answer|prediction|affect",
                    re.IGNORECASE)
_NOT_NAMED = re.compile(r"explan|reason|descri|confiden|intens|valence|polarit|sentiment|score|evidence|cue|clue|cause|"
                        r"express|rational|analysis|probab|level", re.IGNORECASE)
_INLINE_NUMBER = re.compile(r"(?:(?<=[\s,;.])|^)\(?\d{1,3}[.):]\s+")
_HEADING = re.compile(r"^[\w\s'/-]{0,60}\b(?:emotions?|emotional states?|labels?|feelings?|moods?|states?|"
                      r"positive|negative|primary|secondary|main|answer|output|list)\b[\w\s'/-]{0,20}:\s*",
                      re.IGNORECASE)
_POLARITY = re.compile(r"^[\w\s'/-]{0,40}\b(?:polarity|sentiment|valence|confidence|intensity)\b[\w\s'/-]{0,20}[:=]",
                       re.IGNORECASE)
_ASIDE = re.compile(r"\s*\([^()\n]*\)")
_REMARK = re.compile(r"\s*(?::|\s[-\u2013\u2014]+)\s.*$|:$", re.DOTALL)
_LEADING = re.compile(r"^(?:(?:and|or|also|as well as|an?|the|possibly|maybe|perhaps|probably|potentially|likely)\s+)+")
_TRANSPARENT = re.compile(r"\b(?:sense|feelings?|mix|mixture|combination|blend|hint|bit|touch|state|expression) of\b")
_PREPOSITION = re.compile(r"\b(?:of|for|about|with|to|in|at|by|from|on|over|under|between|towards?)\b")
_CONJUNCTION = re.compile(r"\s+(?:and|or|&|as well as)\s+", re.IGNORECASE)


def parse_labels(raw: str | list) -> list[str]:
    """Labels of a list, lower case, distinct, in order; the words of each as they were written.

    raw: a list of strings, or text such as "[happy, can't cope]", "['happy', 'sad']", '["happy"]', "happy; sad/low",
    "happy, sad and tired.", "1. happy 2. sad", or one item a line with bullets. Underscores become spaces; brackets,
    quotes, numbering, remarks ("happy: she smiles") and the last full stop are dropped; "none" is no label. An "and"
    inside a phrase with a preposition ("longing for family and children") does not separate.

    Raises:
        ValueError: `raw` is neither text nor a list of texts.
    """
    if isinstance(raw, list | tuple):
        return _distinct(label for value in raw for label in _of_value(value))
    if not isinstance(raw, str):
        raise ValueError(f"a label list is text or a list of texts, not {type(raw).__name__}: {raw!r}")
    text = raw.translate(_CHARACTERS).strip().rstrip(".!").strip()
    values = _literal(text)
    if values is not None:
        return _distinct(label for value in values for label in _split(value))
    return _distinct(_split(text))


def _of_value(value: object) -> list[str]:
    if not isinstance(value, str):
        raise ValueError(f"a label is text, not {type(value).__name__}: {value!r}")
    return _split(value.translate(_CHARACTERS))


def _distinct(labels) -> list[str]:
    return list(dict.fromkeys(labels))


def _literal(text: str) -> list[str] | None:
    """The strings of a JSON value or of a Python list of strings; None for any other text. Nothing is evaluated."""
    if not text.startswith(("[", "{", "(")):
        return None
    try:
        return _strings(json.loads(text))
    except (ValueError, RecursionError):
        pass
    if _PYTHON_LIST.fullmatch(text):
        return [re.sub(r"\\(.)", r"\1", part[1:-1]) for part in re.findall(_STRING, text)]
    return None


def _strings(value: object) -> list[str]:
    """Label texts of a parsed JSON value: of an object the lists named for emotions, or the keys that have numbers."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, list):
        return [text for part in value for text in _strings(part)]
    if isinstance(value, dict):
        named = [part for key, part in value.items() if _NAMED.search(key) and not _NOT_NAMED.search(key)
                 and part is not None and not isinstance(part, int | float)]
        if named:
            return [text for part in named for text in _strings(part)]
        return [key for key, part in value.items() if isinstance(part, int | float) and part]
    return []


def _split(text: str) -> list[str]:
    """Items of free text: by lines where there are several, then by separators."""
    lines = [line for line in text.strip().strip("[]{}").splitlines() if line.strip()]
    labels = []
    for line in lines:
        bulleted = _BULLET.match(line) is not None
        line = _INLINE_NUMBER.sub(",", _BULLET.sub("", line)).replace("and/or", ",")
        line = _NOT_APPLICABLE.sub("none", line) if "/" in line else line
        if bulleted and len(lines) > 1:
            line = _without_remark(line)
        for part in re.split(r"[,;/|\t>\u2192]|\.\s+(?=\S)", _ASIDE.sub("", line)):
            labels += _known_items(part) if len(part) < 80 else _items(part)
    return labels


@functools.lru_cache(maxsize=1 << 16)  # models use the same few thousand labels again and again
def _known_items(part: str) -> tuple[str, ...]:
    return tuple(_items(part))


def _items(part: str) -> list[str]:
    """The labels of what stands between two separators: one, or several joined by "and" and "or"."""
    part = " ".join(part.replace("_", " ").split()).strip("[]{}*# ")
    if _POLARITY.match(part):
        return []
    part = _unquote(_without_remark(part).rstrip(".!?: "))
    before = _TRANSPARENT.sub("", _CONJUNCTION.split(part, maxsplit=1)[0].lower())
    pieces = [part] if _PREPOSITION.search(before) else _CONJUNCTION.split(part)
    cleaned = (_LEADING.sub("", _unquote(piece).lower().strip(" .!?*-\"")) for piece in pieces)
    return [label for label in cleaned if label not in _NO_LABEL and any(map(str.isalpha, label))]


def _without_remark(part: str) -> str:
    """An item without its heading ("Negative emotions: anger") or its explanation ("angry: he shouts")."""
    heading = _HEADING.match(part)
    if heading and part[heading.end():].strip():
        part = part[heading.end():]
    elif heading:
        return ""
    return _REMARK.sub("", part)


def _unquote(part: str) -> str:
    """Without quotation marks around it; apostrophes inside ("can't") and of a plural ("others'") stay."""
    part = part.strip().strip('"').strip()
    if part.startswith("'"):
        return part.strip("'").strip()
    return part if part.endswith("s'") else part.rstrip("'").strip()
