"""Texts file: what the cues of each clip are, as words that fill their slots and as the numbers behind them.

A row of `texts.jsonl` is {"key": Clip.key, "cues": {cue: words}, "values": {cue: {name: number}}, "notes": [...]}. A
cue that was not looked for has no entry; one that was looked for and not found has its phrase and no values.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affectgpt.files import read_jsonl
from affectgpt.textualize.template import CUES

TEXTS, SKIPPED = "texts.jsonl", "skipped.jsonl"
NO_FACE, NO_SPEECH, NO_UNITS = "No face detected", "No speech detected", "None"
"""Phrases of cues that are not there; the last one for a face that shows no unit."""


@dataclass(frozen=True)
class ClipText:
    """What was found of one clip; see the module."""

    key: str
    cues: dict[str, str]
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """The row of a texts file."""
        return asdict(self)


def read_texts(path: str | Path) -> dict[str, ClipText]:
    """Key of a clip -> its text.

    Raises:
        ValueError: a row that is none, with its number; a clip that is there twice.
    """
    texts: dict[str, ClipText] = {}
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        if not isinstance(row.get("key"), str) or not _are(row.get("cues"), str):
            raise ValueError(f"{where}: is no row of a texts file; make one with affectgpt textualize")
        values, notes = row.get("values", {}), row.get("notes", [])
        if not isinstance(values, dict) or not all(_are(one, int | float) for one in values.values()):
            raise ValueError(f"{where}: values must be cue -> name -> number")
        if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
            raise ValueError(f"{where}: notes must be a list of text")
        if unknown := sorted((row["cues"].keys() | values.keys()) - set(CUES)):
            raise ValueError(f"{where}: cue {unknown[0]!r} is not known; there are {', '.join(CUES)}")
        if row["key"] in texts:
            raise ValueError(f"{where}: clip {row['key']!r} is there twice; keep one of its rows")
        texts[row["key"]] = ClipText(row["key"], dict(row["cues"]),
                                     {cue: {name: float(number) for name, number in one.items()}
                                      for cue, one in values.items()}, list(notes))
    return texts


def _are(values: Any, kind: Any) -> bool:
    """Whether it is a mapping of values of one kind; true and false are no numbers."""
    return isinstance(values, dict) and all(isinstance(one, kind) and not isinstance(one, bool)
                                            for one in values.values())
