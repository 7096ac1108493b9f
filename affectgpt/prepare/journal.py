"""What was found out about each clip, line by line as it came, so that a job that was killed goes on behind it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip
from affectgpt.files import parse_object
from affectgpt.prepare.inspect import Work, made_files, stamp

NAME = "journal.jsonl"


def digest_of(clip: Clip, work: Work) -> str:
    """What names the result for a clip: a row that changes, or another thing to be done, is another name."""
    return hashlib.sha256(f"{clip!r} {work.facts()}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


class Journal:
    """The rows of a journal by their digests; in memory are only their places in the file."""

    def __init__(self, path: Path):
        self.path = path
        self._places: dict[bytes, int] = {}
        if path.is_file():
            self._read()

    def _read(self) -> None:
        """Find all rows. Raises ValueError for one that is no row, but for a last line that a kill cut off."""
        with open(self.path, "rb") as file:
            place = 0
            for number, line in enumerate(file, start=1):
                if not line.endswith(b"\n"):
                    break
                row = parse_object(line.decode("utf-8", "replace"), f"{self.path}:{number}")
                if not isinstance(row.get("digest"), str) or not isinstance(row.get("files"), list):
                    raise ValueError(f"{self.path}:{number}: is no row of a journal; remove the file, or choose "
                                     "another --output")
                self._places[_key(row["digest"])] = place
                place += len(line)

    def holds(self, digest: str, clip: Clip, work: Work, again: bool) -> bool:
        """Whether there is a result for a clip whose files have not changed since, with the files that belong to it.

        again: clips that could not be used count as not there.
        """
        if _key(digest) not in self._places:
            return False
        with open(self.path, "rb") as file:
            row = self._row(file, digest)
        if again and "skipped" in row or row["files"] != stamp(clip, work)["files"]:
            return False
        return all(path.is_file() for path in made_files(row))

    def rows(self, digests: Iterator[str]) -> Iterator[dict[str, Any]]:
        """The rows of these digests, in their order."""
        with open(self.path, "rb") as file:
            for digest in digests:
                yield self._row(file, digest)

    def _row(self, file: Any, digest: str) -> dict[str, Any]:
        file.seek(self._places[_key(digest)])
        return json.loads(file.readline())


def _key(digest: str) -> bytes:
    """A digest in few bytes: there are as many as clips."""
    return bytes.fromhex(digest)
