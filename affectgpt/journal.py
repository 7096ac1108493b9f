"""What a job has found out about clips so far: an append-only file, so that a job that is killed at any moment goes on.

Rows are {"clip", "stage", "by", "value"}: `by` is the identity of what found the value, so that a changed model or
prompt is asked again, and a changed filter is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip
from affectgpt.files import read_jsonl, write_jsonl

KEYS = ("clip", "stage", "by", "value")


class Journal:
    """The journal of one output folder, which one process writes at a time (`files.only_writer`).

    Raises:
        ValueError: the file holds other rows.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._held: dict[tuple[str, str, str], Any] = {}
        if self.path.exists():
            write_jsonl(self.path, [], append=True)  # a line that a kill cut off is mended or removed
            for number, row in read_jsonl(self.path):
                if set(row) != set(KEYS):
                    raise ValueError(f"{self.path}:{number}: is no row of a journal of clips; choose another output "
                                     "folder with output=DIR")
                self._held[row["clip"], row["stage"], row["by"]] = row["value"]

    def fill(self, by: Mapping[str, str], stage: str, find: Callable[[list[str]], Iterator[Any]],
             chunk: int) -> Iterator[tuple[str, Any]]:
        """(key, value) of all keys in their order; what is not held is found, `chunk` at a time, and kept at once.

        Errors are not kept: a server may answer next time, and a file may be mended.

        Args:
            by: key -> identity of what finds its value.
            find: keys -> the value of each.
        """
        missing = [key for key, identity in by.items() if (key, stage, identity) not in self._held]
        failed: dict[str, Any] = {}
        done = 0
        for key, identity in by.items():
            if (key, stage, identity) not in self._held and key not in failed:
                part = missing[done : done + chunk]
                for found, value in zip(part, find(part), strict=True):
                    if isinstance(value, dict) and "error" in value:
                        failed[found] = value
                        continue
                    row = dict(zip(KEYS, (found, stage, by[found], value), strict=True))
                    write_jsonl(self.path, [row], append=True)
                    self._held[found, stage, by[found]] = value
                done += len(part)
            yield key, failed[key] if key in failed else self._held[key, stage, identity]


def files_of(stream: str, clip: Clip) -> str:
    """What names the part of the files that a fact was found in: the name, size and time of change of each, and the
    span. Of a prepared clip its content stands for its media.

    stream: "audio" for the sound, anything else for the picture with its face.
    """
    main = (clip.audio or clip.media,) if stream == "audio" else (clip.media,)
    found = [clip.content] if clip.content else [stamp(path) for path in main]
    face = [stamp(clip.face)] if stream != "audio" else []
    return short_digest(json.dumps([found, face, clip.span]))


def stamp(path: Path | None) -> list | None:
    """Name, size and time of change of a file, by which another one is known; None where there is none."""
    try:
        status = path.stat() if path is not None else None
    except (OSError, ValueError):
        status = None
    return [path.name, status.st_size, status.st_mtime_ns] if status else None


def short_digest(text: str) -> str:
    """Sixteen letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
