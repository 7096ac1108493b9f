"""What may be removed or replaced: only regular files and folders that an earlier job wrote, told by their content."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from affectgpt.devices import is_stream
from affectgpt.files import atomic_write_text

MAX_ROW_BYTES = 1 << 24
"""A row of a list that is longer is none of ours."""

SKIPPED_KEYS = ("file", "reason")
"""Keys of a row of the list of files that `affectgpt describe` could not read."""


def holds_rows(path: str | os.PathLike[str], keys: Iterable[str]) -> bool:
    """True for a regular file of JSON Lines whose every row has exactly these keys: by this, a list that an earlier
    job wrote is told from any other file. An empty file is nobody's, so it is none."""
    wanted, count = set(keys), 0
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        while line := file.readline(MAX_ROW_BYTES):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                return False
            if not isinstance(row, dict) or set(row) != wanted:
                return False
            count += 1
    return count > 0


def check_replaceable(path: str | os.PathLike[str], keys: Iterable[str], option: str) -> None:
    """Raise ValueError where a list of rows with `keys` cannot go to `path` without harm to a file that is not ours."""
    if is_stream(path) or not os.path.exists(path) or holds_rows(path, keys):
        return
    if os.path.isdir(path):
        raise ValueError(f"{path}: is a folder, and a list is to be written there; name a file with {option}")
    if os.path.getsize(path):
        raise ValueError(f"{path}: is not a list that affectgpt wrote, so it is left as it is; name another file with "
                         f"{option}")


def remove_rows(path: str | os.PathLike[str], keys: Iterable[str], option: str) -> None:
    """Remove a list that an earlier job wrote, if there is one; a symbolic link stays, what it points to is emptied.

    A device or a pipe is left alone. Raises ValueError for any other file, as `check_replaceable`.
    """
    check_replaceable(path, keys, option)
    if is_stream(path) or not os.path.exists(path):
        return
    if os.path.islink(path):
        atomic_write_text(path, "")
    elif os.path.getsize(path):
        os.unlink(path)
