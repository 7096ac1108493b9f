"""What can be written to and is no file: devices, pipes, and the descriptors that a process has open."""

from __future__ import annotations

import os
import re
import stat
from typing import BinaryIO


def is_stream(path: str | os.PathLike[str]) -> bool:
    """True for what can be written to and must never be replaced or removed: a device, a pipe, a socket, and what an
    open descriptor names (/dev/stdout), which a rename would take away from its owner."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _descriptor(path: str | os.PathLike[str]) -> int | None:
    """The number of the descriptor of this process that `path` is a name of; None for all other files."""
    hop = os.path.abspath(path)
    for _ in range(40):  # as many links as Linux follows
        process = rf"/proc/(?:self|thread-self|{os.getpid()})"
        if named := re.fullmatch(rf"/dev/fd/(\d+)|{process}/(?:task/\d+/)?fd/(\d+)", hop):
            return int(named[1] or named[2])
        if not os.path.islink(hop):
            break
        hop = os.path.normpath(os.path.join(os.path.dirname(hop), os.readlink(hop)))
    return None


def open_stream(path: str | os.PathLike[str]) -> BinaryIO:
    """A stream to write to. Of a descriptor its double, which shares its place: what is written there is kept."""
    number = _descriptor(path)
    return open(path if number is None else os.dup(number), "ab", buffering=0)
