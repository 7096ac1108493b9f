"""Idioms and colloquial words -> the emotion word that they stand for (`idioms.json`).

They are searched in descriptions alone and do not enlarge the lexicon, by which labels are scored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import lru_cache
from itertools import product
from pathlib import Path

FILE = Path(__file__).with_name("idioms.json")
POSSESSOR = "POSS"
NO_EMOTION = "no emotion"
FILLERS = frozenset("right old real proper complete total utter absolute absolutely very so quite rather pretty really "
                    "bit just still".split())
"""Words that may stand within an idiom."""
POSSESSORS = frozenset(
    "my your his her its our their one's ones him her them me you us himself herself themselves myself itself "
    "everyone's everybody's".split())
_FORMS = {"cannot": ("cannot", "cant", "can not", "could not", "couldnt", "can hardly", "could hardly", "can barely",
                     "could barely"),
          "have": ("has", "have", "had", "having"), "be": ("is", "are", "was", "were", "being")}


def _written_out(pattern: str) -> Iterator[tuple[str, ...]]:
    """Every way in which an idiom may be said: alternatives, and the forms of "cannot" and "have"."""
    for words in product(*(_forms(word) for word in pattern.replace("'", "").split())):
        yield tuple(" ".join(words).split())


def _forms(word: str) -> list[str]:
    parts = word.split("|")
    for base, forms in _FORMS.items():
        if base in parts:
            parts += [form for form in forms if form not in parts]
    return parts


@lru_cache(maxsize=1)
def load() -> dict[tuple[str, ...], str | None]:
    """Words of an idiom, a possessor written as `POSSESSOR` -> emotion word; None for what names no emotion although it
    has the word of one ("happy birthday").

    Raises:
        ValueError: one idiom stands for two emotions.
    """
    table = json.loads(FILE.read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], str | None] = {}
    for emotion, patterns in table.items():
        for pattern in patterns if isinstance(patterns, list) else ():
            for words in _written_out(pattern):
                if found.setdefault(words, emotion if emotion != NO_EMOTION else None) not in (emotion, None):
                    raise ValueError(f"{FILE}: {' '.join(words)!r} stands for {found[words]!r} and {emotion!r}")
    return found
