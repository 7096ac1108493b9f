"""Shards of a feature store: rows and tensors written whole, read back with every number checked.

    STORE/shards/RANK-RANDOM.safetensors   one tensor a stream [sum of P, D]; the rows as JSON in its header
    STORE/skipped-RANK.jsonl               clips that could not be read, and why

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import json
import math
import os
import re
import secrets
import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from affectgpt.features.key import DTYPES, TIMES, is_whole, only_keys, parse_json, read_settings, settings_key
from affectgpt.files import write_jsonl

SHARD_BYTES = 128 * 1024**2
"""A shard is written at this size even where it has fewer clips than it may have, so that memory stays flat."""

_HEADER = {"format": "pt", "content": "affectgpt-features-1"}
_ROW_KEYS = {"clip", "speed", "streams", "files", "words", "transcribed", "notes"}
_SKIP_KEYS = {"id", "file", "row", "reason", "speed", "files"}
_FILE_KEYS = {"size", "mtime_ns", "sha256"}
_ROLES = {"media", "audio", "face"}


@dataclass(frozen=True, slots=True)
class Row:
    """One clip at one speed of its sound, in one shard.

    `streams` is stream -> (first position, number of positions); `files` is role -> size, mtime_ns and sha256 of
    what was read, with the span where it was a part. `transcribed` is the clip's language where its words were left to
    recognition, `words` what was recognised; words of a manifest are never kept here.
    """

    clip: str
    speed: float
    streams: dict[str, tuple[int, int]]
    files: dict[str, dict | None]
    words: str | None
    transcribed: str | None
    notes: list[str]
    shard: Path | None = None


@dataclass
class Index:
    """What a store holds: (clip key, speed) -> rows, the newest first; clip key -> the rows of its skips."""

    settings: dict
    rows: dict[tuple[str, float], list[Row]] = field(default_factory=dict)
    skips: dict[str, list[dict]] = field(default_factory=dict)
    torn: list[Path] = field(default_factory=list)


class ShardWriter:
    """Collects rows, and writes a shard when it is full; between two shards nothing is in memory.

    Args:
        clips: rows of a shard.
    """

    def __init__(self, folder: Path, settings: dict, rank: int, clips: int):
        self.folder, self.settings, self.rank, self.clips = Path(folder) / "shards", settings, rank, clips
        self.rows: list[dict] = []
        self.tensors: dict[str, list[Tensor]] = {}
        self.positions: dict[str, int] = {}
        self.bytes = self.shards = self.peak = 0

    def add(self, row: Row, tensors: dict[str, Tensor]) -> None:
        """Take one row and its tensors [P, D]; `row.streams` gives only the number of positions of each stream."""
        spans = {}
        for stream, (_, count) in row.streams.items():
            spans[stream] = [self.positions.get(stream, 0), count]
            if stream in tensors:
                self.tensors.setdefault(stream, []).append(tensors[stream])
                self.positions[stream] = spans[stream][0] + count
                self.bytes += tensors[stream].numel() * tensors[stream].element_size()
        self.rows.append({"clip": row.clip, "speed": row.speed, "streams": spans, "files": row.files,
                          "words": row.words, "transcribed": row.transcribed, "notes": row.notes})
        self.peak = max(self.peak, len(self.rows))
        if len(self.rows) >= self.clips or self.bytes >= SHARD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what is collected as one shard.

        Raises:
            ValueError: it cannot be written; whole shards are left as they are.
        """
        rows, parts, self.rows, self.tensors, self.bytes = self.rows, self.tensors, [], {}, 0
        self.positions = {}
        if not rows:
            return
        tensors = {}
        for stream in list(parts):
            tensors[stream] = torch.cat(parts.pop(stream))  # given up one by one, so that none is in memory twice
        header = {**_HEADER, "settings": settings_key(self.settings), "created": str(time.time_ns()),
                  "rows": json.dumps(rows, ensure_ascii=False, allow_nan=False)}
        name = f"{self.rank:04d}-{secrets.token_hex(8)}.safetensors"
        temporary = self.folder / f".{name}.tmp"
        try:
            # Not by safetensors' own save_file: its files are for their owner alone, and a kill leaves an unknown name.
            with open(temporary, "xb") as file:
                file.write(save(tensors, metadata=header))
            os.replace(temporary, self.folder / name)
        except OSError as error:
            raise ValueError(f"{self.folder / name}: could not be written ({error}): make room or choose another "
                             "folder, and run it again; what whole shards hold is kept") from error
        finally:
            temporary.unlink(missing_ok=True)
        self.shards += 1


def remove_leftovers(folder: Path, rank: int, world_size: int) -> None:
    """Remove temporary files that a killed process of this rank, or of one that is no more, left behind."""
    for path in (Path(folder) / "shards").glob(".*.safetensors.tmp"):
        named = re.match(r"\.(\d+)-", path.name)
        if named and int(named[1]) % world_size == rank:
            path.unlink(missing_ok=True)


def read_index(folder: Path) -> Index:
    """Everything that a store says about itself, without its tensors.

    Raises:
        ValueError: no store, or one with a value that cannot be true.
    """
    folder = Path(folder)
    settings = read_settings(folder)
    if settings is None:
        raise ValueError(f"{folder}: has no store.json, so it is not a feature store; make one with: "
                         f"affectgpt extract RECIPE --store {folder}")
    index, found = Index(settings), []
    for path in sorted((folder / "shards").glob("[!.]*.safetensors")):
        try:
            file = safe_open(path, "pt")
        except SafetensorError:  # shorter than its header says, or no header: it was cut off
            index.torn.append(path)
            continue
        with file:
            found.append(_read_rows(path, file, settings))
    for _, rows in sorted(found, key=lambda one: -one[0]):
        for row in rows:
            index.rows.setdefault((row.clip, row.speed), []).append(row)
    for skip in read_skips(folder):
        index.skips.setdefault(skip["id"], []).append(skip)
    return index


def _read_rows(path: Path, file, settings: dict) -> tuple[int, list[Row]]:
    """(time of writing, rows) of an open shard, checked against its tensors and the store."""
    header = file.metadata() or {}
    only_keys(header, {*_HEADER, "settings", "created", "rows"}, path)
    if header["content"] != _HEADER["content"] or not re.fullmatch(r"\d{1,20}", header["created"]):
        raise ValueError(f"{path}: is not a shard of a feature store; remove it")
    if header["settings"] != settings_key(settings):
        raise ValueError(f"{path}: was made with other settings than {path.parent.parent / 'store.json'} says; "
                         "remove it, and extract the features again")
    sizes = {}
    for stream in file.keys():
        piece = file.get_slice(stream)
        shape, dtype = piece.get_shape(), piece.get_dtype()
        width = settings["streams"].get(stream, {}).get("width")
        kept = DTYPES["float32" if stream == TIMES else settings["dtype"]]
        if width is None or len(shape) != 2 or shape[1] != width or dtype != kept:
            raise ValueError(f"{path}: tensor {stream!r} is {dtype} {shape}, and the store's "
                             f"{', '.join(settings['streams'])} are {settings['dtype']} of "
                             f"{[s.get('width') for s in settings['streams'].values()]}; remove this shard")
        sizes[stream] = shape[0]
    rows = parse_json(header["rows"], path)
    if not isinstance(rows, list):
        raise ValueError(f"{path}: rows must be a list")
    return int(header["created"]), [
        _row(value, f"{path}: row {number}", path, sizes, settings) for number, value in enumerate(rows, start=1)]


def _row(value, where: str, path: Path, sizes: dict[str, int], settings: dict) -> Row:
    only_keys(value, _ROW_KEYS, where)
    good = isinstance(value["clip"], str) and _is_speed(value["speed"]) and isinstance(value["streams"], dict) \
        and all(isinstance(value[key], str | None) for key in ("words", "transcribed")) \
        and isinstance(value["notes"], list) and all(isinstance(note, str) for note in value["notes"])
    if not good:
        raise ValueError(f"{where}: a value has the wrong type; remove this shard")
    _check_files(value["files"], where)
    for stream, span in value["streams"].items():
        if stream not in settings["streams"]:
            raise ValueError(f"{where}: stream {stream!r} is not one of the store's {', '.join(settings['streams'])}")
        if not isinstance(span, list) or len(span) != 2 or not is_whole(span[0], 0) or not is_whole(span[1], 1):
            raise ValueError(f"{where}: {stream} must be [first position, positions], not {span!r}")
        if settings["kind"] != "survey" and span[0] + span[1] > sizes.get(stream, 0):
            raise ValueError(f"{where}: {stream} is to be at positions {span[0]} to {sum(span)}, and the tensor has "
                             f"{sizes.get(stream, 0)}; remove this shard and extract the features again")
    return Row(**{**value, "speed": float(value["speed"]), "shard": path,
                  "streams": {stream: tuple(span) for stream, span in value["streams"].items()}})


def _is_speed(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and value > 0


def _is_span(value) -> bool:
    return isinstance(value, list) and len(value) == 2 and value != [None, None] and all(
        one is None or isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one)
        for one in value)


def _check_files(files, where: str) -> None:
    if not isinstance(files, dict) or not files.keys() <= _ROLES:
        raise ValueError(f"{where}: files must map {' and '.join(sorted(_ROLES))} to facts")
    for role, facts in files.items():
        if facts is None:
            continue
        known = _FILE_KEYS | ({"span"} if isinstance(facts, dict) and "span" in facts else set())  # a part of a file
        only_keys(facts, known, f"{where}: {role}")
        if "span" in facts and not _is_span(facts["span"]):
            raise ValueError(f"{where}: {role}: span must be [start, end] in seconds, not {facts['span']!r:.60}")
        if not is_whole(facts["size"], 0) or not isinstance(facts["mtime_ns"], int) \
                or not isinstance(facts["sha256"], str) or not re.fullmatch("[0-9a-f]{64}", facts["sha256"]):
            raise ValueError(f"{where}: {role}: size, mtime_ns and sha256 must be numbers and 64 hex digits")


# ---------------------------------------------------------------------------- skipped clips


def log_skip(folder: Path, rank: int, skip: dict) -> None:
    """Append one clip that could not be read to the list of this rank."""
    write_jsonl(Path(folder) / f"skipped-{rank}.jsonl", [skip], append=True)


def read_skips(folder: Path) -> list[dict]:
    """Rows of all lists of skipped clips; a last line that was cut off is left out.

    Raises:
        ValueError: names file and row of what cannot be one.
    """
    skips = []
    for path in sorted(Path(folder).glob("skipped-*.jsonl")):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last line end was cut off
            where = f"{path}:{number}"
            value = parse_json(line, where)
            only_keys(value, _SKIP_KEYS, where)
            if not all(isinstance(value[key], str) for key in ("id", "reason")) or not _is_speed(value["speed"]):
                raise ValueError(f"{where}: a value has the wrong type; remove this line")
            _check_files(value["files"], where)
            skips.append(value)
    return skips
