"""Texts files: what `affectgpt textualize` found of each clip, a row a clip."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.files import read_jsonl


@dataclass(frozen=True)
class ClipText:
    """The cues of a clip: cue -> what fills its slot, cue -> the numbers behind it, and what is to be known."""

    key: str
    cues: dict[str, str] = field(default_factory=dict)
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_texts(path: str | Path) -> dict[str, ClipText]:
    """`Clip.key` -> its row.

    Raises:
        ValueError: a row that is none of this format, or a clip twice.
    """
    found: dict[str, ClipText] = {}
    for number, row in read_jsonl(path):
        key, cues = row.get("key"), row.get("cues")
        if not isinstance(key, str) or not isinstance(cues, dict):
            raise ValueError(f"{path}:{number}: a row has a key and cues")
        if key in found:
            raise ValueError(f"{path}:{number}: {key} is there twice")
        found[key] = ClipText(key, cues, row.get("values") or {}, row.get("notes") or [])
    return found
