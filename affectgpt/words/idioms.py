"""Idioms and colloquial words -> the emotion word that they stand for (`idioms.json`).

They are searched in descriptions alone and do not enlarge the lexicon, by which labels are scored.
"""

from __future__ import annotations

import json
from functools import lru_cache
from itertools import product
from pathlib import Path

FILE = Path(__file__).with_name("idioms.json")
POSSESSOR = "POSS"
POSSESSORS = frozenset(
    "my your his her its our their one's ones him her them me you us himself herself themselves myself itself "
    "everyone's everybody's".split())


@lru_cache(maxsize=1)
def load() -> dict[tuple[str, ...], str]:
    """Words of an idiom, a possessor written as `POSSESSOR` -> emotion word. Alternatives are written out.

    Raises:
        ValueError: one idiom stands for two emotions.
    """
    table = json.loads(FILE.read_text(encoding="utf-8"))
    found: dict[tuple[str, ...], str] = {}
    for emotion, patterns in table.items():
        for pattern in patterns if isinstance(patterns, list) else ():
            for words in product(*(word.split("|") for word in pattern.replace("'", "").split())):
                if found.setdefault(words, emotion) != emotion:
                    raise ValueError(f"{FILE}: {' '.join(words)!r} stands for {found[words]!r} and {emotion!r}")
    return found
