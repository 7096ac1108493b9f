"""What readers share: rows of a corpus's own tables, lists written as Python literals, and media found by name."""

from __future__ import annotations

import ast
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

from affectgpt.data.readers.tables import csv_rows, read_text
from affectgpt.files import safe_join


def read_csv(path: Path, required: tuple[str, ...], delimiter: str = ",") -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", row) of a table with a header; cells without blanks around them, "" where empty.

    A byte order mark, CRLF, quoting as Excel does it, UTF-16 and a nameless index column are normal input. Rows without
    any cell are left out; a row that is short has "" for what it lacks.

    Raises:
        ValueError: no such file, no such column, a row with more cells than the header, or what is not CSV.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it needs the columns {', '.join(required)}")
    header: list[str] | None = None
    for number, cells in csv_rows(path, read_text(path), delimiter):
        where = f"{path}:{number}"
        if header is None:
            header = cells
            for column in required:
                if column not in header:
                    raise ValueError(f"{path}: has no column {column!r}; it has {', '.join(filter(None, header))}")
        elif len(cells) > len(header):
            raise ValueError(f"{where}: has {len(cells)} cells, and the header {len(header)}; quote cells that hold "
                             f"{delimiter!r}")
        else:
            yield where, dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=True))
    if header is None:
        raise ValueError(f"{path}: is empty; it needs the columns {', '.join(required)}")


def literal_list(cell: str, where: str) -> tuple[str, ...]:
    """A list written as a Python literal, or words between commas; without empty words and repetitions.

    >>> literal_list("['happy', ' at ease']", "x"), literal_list("sad, tired", "x"), literal_list("", "x")
    (('happy', 'at ease'), ('sad', 'tired'), ())

    Raises:
        ValueError: brackets that hold no list of words.
    """
    words: list[str] = cell.replace("\uff0c", ",").replace("\u3001", ",").split(",")
    if cell[:1] in "[(" and cell:
        try:
            value = ast.literal_eval(cell)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            value = [word.strip().strip("'\"") for word in cell.strip("[]()").split(",")]  # [happy, sad]
        words = list(value) if isinstance(value, list | tuple) else [value]
        if not all(isinstance(word, str) for word in words):
            raise ValueError(f"{where}: {cell[:60]!r} is no list of words")
    return tuple(dict.fromkeys(filter(None, (word.strip() for word in words))))


def layout_of(doc: str | None) -> str:
    """The files of a corpus from its module's docstring: what is indented there."""
    return textwrap.dedent("\n".join(line for line in (doc or "").splitlines() if line.startswith("    "))).strip()


class MediaFolder:
    """Files of the first folder that exists, by their names without suffix; listed once.

    Args:
        root: the corpus's root, which no path may leave.
        folders: names of folders below it, in the order in which they are tried.
        suffixes: with the dot; of several files of one name the first suffix counts.
    """

    def __init__(self, root: Path, folders: tuple[str, ...], suffixes: tuple[str, ...]):
        self.root, self.suffixes = Path(root), suffixes
        self.folder = next((name for name in folders if (self.root / name).is_dir()), folders[0])
        self._place = safe_join(self.root, self.folder, follow=True)
        entries = list(os.scandir(self._place)) if self._place.is_dir() else []
        self._there = {entry.name for entry in entries}
        self._links = {entry.name for entry in entries if entry.is_symlink()}

    def find(self, name: str) -> Path:
        """The file of a name; where it is not there, the path that it should have.

        Raises:
            ValueError: a name that leaves the root.
        """
        file = name + next((suffix for suffix in self.suffixes if name + suffix in self._there), self.suffixes[0])
        if "/" in file or "\0" in file or not name.strip(". ") or file in self._links:
            return safe_join(self.root, f"{self.folder}/{file}", follow=True)
        return self._place / file  # nothing to resolve, which would take a millisecond a clip

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return any(name + suffix in self._there for suffix in self.suffixes)
