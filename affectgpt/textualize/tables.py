"""Tables of action units from elsewhere: py-feat's (AU01..AU43 and emotions, a row a face) and OpenFace's (AU01_r,
AU01_c), with byte order marks, quotes and blanks in names as programs on Windows leave them."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.files import safe_join
from affectgpt.textualize.units import UNIT_NAMES

EXPRESSIONS = {"anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "happy": "happy",
               "sadness": "sad", "sad": "sad", "surprise": "surprised", "neutral": "neutral"}
"""Column of py-feat, of older and newer versions -> the project's name of the emotion."""
STRONGEST = 5.0
"""OpenFace's intensities go from 0 to 5."""
LARGEST = 512 * 1024**2
_UNIT = re.compile(r"AU(\d{1,2})(_[rc])?", re.IGNORECASE)
_BLANK = ("", "nan", "na", "none", "null", "-nan")


@dataclass(frozen=True)
class UnitTable:
    """One face through T frames.

    Attributes:
        times: float64 [T]; seconds where the table has a timestamp, else numbers of frames.
        units: unit -> float64 [T] in 0..1. expressions: emotion -> float64 [T]; empty where the table has none.
        found: bool [T]: a face was seen there.
        notes: how many frames have several faces, and how many values are missing.
    """

    times: np.ndarray
    units: dict[str, np.ndarray]
    expressions: dict[str, np.ndarray]
    found: np.ndarray
    notes: list[str]


def table_of(folder: str | Path, clip: Clip) -> Path:
    """Where the table of a clip lies. Raises ValueError where there is none, or its id leaves the folder."""
    path = safe_join(folder, f"{clip.id}.csv", follow=True)
    if not path.is_file():
        raise ValueError(f"{path}: no such table of action units for clip {clip.key}; write it, or leave face.tables "
                         "out")
    return path


def read_table(path: str | Path) -> UnitTable:
    """The face of a table: of several in one frame the one that the detector is surest of.

    Missing numbers count as 0; a frame without any number of a unit, or that OpenFace did not track, has no face.
    Raises:
        ValueError: no column of an action unit; a cell that is no number, with its row; not UTF-8 or Windows-1252.
    """
    path = Path(path)
    columns, rows = _cells(path)
    units, kinds = _unit_columns(columns, path)
    emotions = {name: columns[column] for column, name in EXPRESSIONS.items() if column in columns}
    sure = next((columns[name] for name in ("facescore", "confidence") if name in columns), None)
    stamp = next((columns[name] for name in ("timestamp", "time") if name in columns), None)
    frame, tracked = columns.get("frame"), columns.get("success")
    best: dict[float, tuple[float, int]] = {}
    several: set[float] = set()
    for number, row in enumerate(rows):
        at = row[frame] if frame is not None and np.isfinite(row[frame]) else float(number)
        score = row[sure] if sure is not None and np.isfinite(row[sure]) else -np.inf
        if at in best:
            several.add(at)
        if at not in best or score > best[at][0]:
            best[at] = (score, number)
    order = sorted(best)
    chosen = np.array([rows[best[at][1]] for at in order]) if order else np.zeros((0, len(columns)))
    raw = chosen[:, list(units.values())]
    found = np.isfinite(raw).any(1)
    if tracked is not None:
        found &= np.nan_to_num(chosen[:, tracked]) > 0
    missing = int((~np.isfinite(raw[found])).sum())
    values = {}
    for unit, column in units.items():
        scale = STRONGEST if kinds[unit] == "_r" else 1.0
        values[unit] = np.where(found, np.clip(np.nan_to_num(chosen[:, column]) / scale, 0, 1), 0.0)
    faces = {name: np.where(found, np.nan_to_num(chosen[:, column]), 0.0) for name, column in emotions.items()}
    times = chosen[:, stamp] if stamp is not None else np.array(order, dtype=np.float64)
    notes = [f"{len(several)} frames have several faces: the surest is taken"] if several else []
    notes += [f"{missing} values of units are missing and count as 0"] if missing else []
    return UnitTable(np.nan_to_num(times), values, faces, found, notes)


def _cells(path: Path) -> tuple[dict[str, int], list[list[float]]]:
    """(column name in small letters -> place, rows of numbers; text and blanks are NaN)."""
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: has more than {LARGEST // 1024**2} MB, which no table of one clip needs")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True)
    try:
        header = [name.strip().strip('"\u201c\u201d').strip().lower() for name in next(reader, [])]
        columns = {name: place for place, name in reversed(list(enumerate(header)))}
        rows = []
        for row in reader:
            if not any(cell.strip() for cell in row):
                continue
            if len(row) != len(header):
                raise ValueError(f"{path}:{reader.line_num}: has {len(row)} cells, and the header has {len(header)}; "
                                 "write the table again")
            rows.append([_number(cell, path, reader.line_num, header[place]) for place, cell in enumerate(row)])
    except csv.Error as error:
        raise ValueError(f"{path}: is no table ({error}); write it again") from error
    return columns, rows


def _number(cell: str, path: Path, line: int, column: str) -> float:
    text = cell.strip().strip('"\u201c\u201d').strip()
    if text.lower() in _BLANK:
        return np.nan
    try:
        return float(text)
    except ValueError:
        if _UNIT.fullmatch(column) or column in EXPRESSIONS:
            raise ValueError(f"{path}:{line}: column {column} has {text[:40]!r}, which is no number; correct "
                             "it") from None
        return np.nan


def _unit_columns(columns: dict[str, int], path: Path) -> tuple[dict[str, int], dict[str, str]]:
    """(unit -> its column, unit -> what kind of number it holds); an intensity before a presence."""
    units: dict[str, int] = {}
    kinds: dict[str, str] = {}
    for name, place in columns.items():
        match = _UNIT.fullmatch(name)
        if match is None:
            continue
        unit, kind = f"AU{int(match[1]):02d}", (match[2] or "").lower()
        # OpenFace calls the blink 45; the paper's name is that of the closed eye.
        unit = "AU43" if unit == "AU45" and "au43" not in columns else unit
        if unit in UNIT_NAMES and (unit not in units or kind == "_r" and kinds[unit] == "_c"):
            units[unit], kinds[unit] = place, kind
    if not units:
        raise ValueError(f"{path}: has no column of an action unit (AU01, AU01_r or AU01_c); it is no table of py-feat "
                         "or OpenFace")
    return dict(sorted(units.items())), kinds
