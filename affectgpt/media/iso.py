"""The sample tables of mp4 and mov files, looked at before FFmpeg makes an index of what they declare.

A table may declare a billion samples in a few bytes; its index is built while the file is opened, in one piece of C
code that nothing can stop. (ISO/IEC 14496-12, section 8.)
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from affectgpt.media.errors import MediaError
from affectgpt.media.limits import MAX_TABLE_ENTRIES

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf", b"edts", b"mvex", b"udta", b"wave"}
_TABLES = {b"hdlr", b"stsz", b"stz2", b"stts", b"ctts", b"stsc", b"stco", b"co64"}
_MAX_DEPTH, _MAX_BOXES = 10, 2_000_000
_PLAIN_SAMPLES = 1024
"""Samples of plain sound (PCM) that FFmpeg puts into one entry of its index."""


def check_tables(path: Path) -> None:
    """Raise MediaError where the tables of an mp4 declare more samples than any honest file; nothing for others."""
    with path.open("rb") as file:
        track: dict[bytes, tuple[int, int]] = {}
        fragments = 0
        for number, (kind, start, size) in enumerate(_boxes(file, 0, os.fstat(file.fileno()).st_size, 0)):
            if kind == b"trak":
                _check(path, _entries(file, track))
                track = {}
            elif kind in _TABLES:
                track.setdefault(kind, (start, size))
            elif kind == b"trun":
                fragments += _run_length(file, start, size)
            _check(path, MAX_TABLE_ENTRIES + 1 if kind == b"cmov" or number > _MAX_BOXES else fragments)
        _check(path, _entries(file, track))


def _check(path: Path, entries: int) -> None:
    if entries > MAX_TABLE_ENTRIES:
        raise MediaError(f"{path}: its tables are packed or declare more than {MAX_TABLE_ENTRIES // 10**6} million "
                         "samples; re-encode or copy it again")


def _boxes(file: BinaryIO, start: int, end: int, depth: int) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start of the payload, its size) of all boxes, those inside others after them, as far as they fit."""
    while start + 8 <= end:
        file.seek(start)
        size, kind = struct.unpack(">I4s", file.read(8))
        header = 8
        if size == 1:
            large = file.read(8)
            if len(large) < 8:
                return
            size, header = struct.unpack(">Q", large)[0], 16
        elif size == 0:
            size = end - start
        if size < header:
            return
        yield kind, start + header, min(size, end - start) - header
        if kind in _CONTAINERS and depth < _MAX_DEPTH:
            yield from _boxes(file, start + header, min(start + size, end), depth + 1)
        start += size


def _entries(file: BinaryIO, track: dict[bytes, tuple[int, int]]) -> int:
    """Entries of the index that FFmpeg would make for one track."""
    lengths = _rows(file, track.get(b"stts"), 2)
    declared = max(sum(count for count, _ in lengths), sum(count for count, _ in _rows(file, track.get(b"ctts"), 2)))
    for kind in (b"stsz", b"stz2"):
        declared = max(declared, *_numbers(file, track.get(kind), 8, 1), 0)
    sound = _bytes(file, track.get(b"hdlr"), 8, 4) == b"soun"
    if not (sound and len(lengths) == 1 and lengths[0][1] == 1):
        return declared
    # Samples of plain sound are taken by the chunk: chunks from `first` on have `samples` each.
    chunks = max(*_numbers(file, track.get(b"stco"), 4, 1), *_numbers(file, track.get(b"co64"), 4, 1), 0)
    runs = [(first, samples) for first, samples, _ in _rows(file, track.get(b"stsc"), 3)]
    ends = [first for first, _ in runs[1:]] + [chunks + 1]
    return sum(max(0, end - first) * samples for (first, samples), end in zip(runs, ends)) // _PLAIN_SAMPLES


def _run_length(file: BinaryIO, start: int, size: int) -> int:
    """Samples of a fragment: as many as it has room for, or any number where it says nothing of each."""
    flags, count = (*_numbers(file, (start, size), 0, 2), 0, 0)[:2]
    width = 4 * sum(bool(flags & bit) for bit in (0x100, 0x200, 0x400, 0x800))
    return min(count, size // width) if width else count


def _bytes(file: BinaryIO, box: tuple[int, int] | None, offset: int, length: int) -> bytes:
    """Bytes of a box's payload, as far as they are in it."""
    if box is None:
        return b""
    file.seek(box[0] + offset)
    return file.read(max(0, min(length, box[1] - offset)))


def _numbers(file: BinaryIO, box: tuple[int, int] | None, offset: int, count: int) -> tuple[int, ...]:
    data = _bytes(file, box, offset, 4 * count)
    return struct.unpack(f">{len(data) // 4}I", data[: len(data) // 4 * 4])


def _rows(file: BinaryIO, box: tuple[int, int] | None, width: int) -> list[tuple[int, ...]]:
    """Rows of a table of 32-bit numbers, as far as they are in the file."""
    count = min(*_numbers(file, box, 4, 1), MAX_TABLE_ENTRIES) if box else 0
    values = _numbers(file, box, 8, count * width)
    return list(zip(*[iter(values)] * width))
