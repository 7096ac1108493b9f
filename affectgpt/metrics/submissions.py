"""Files that the tracks of MER2025 and MER2026 take: how each is laid out, its rows, and what is wrong with one.

Formats come from the organisers' baselines (zeroQiaoba/MERTools, MER2025 and MER2026; cai-cong/MER25_personality), read
as released; where none writes or reads the file, the track says "as published; not checked here". Their code reads CSV
files with pandas, so that an answer such as "None" or "NA" arrives as a missing value: it is told as empty.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

PANDAS_MISSING = frozenset({
    "", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null"})
SIX = {"worried": ["worry", "anxious"], "happy": ["happiness"], "neutral": [], "angry": ["anger"],
       "surprise": ["surprised"], "sad": ["sadness"]}
"""Spelling in the files of MER2025 and MER2026 -> other spellings."""
TRAITS = ("Extraversion", "Agreeableness", "Conscientiousnes", "Neuroticism", "Open Mindedness")
"""Columns of MER-PR as its baseline spells them, one letter short in the third."""
UNCHECKED = "as published; not checked here"


@dataclass(frozen=True)
class Track:
    """One track's file.

    Args:
        key: columns that name a row; the list of clips has them too.
        answer: columns of the answer.
        kind: "class", "labels", "description", "preference" or "traits".
        words: the answers that there are, empty where they are open.
        forms: endings of a file, the usual one first.
        clips: rows of the whole file, None where it is not known.
        candidates: file of the collection that lists the clips.
        source: where the format was read, or "as published; not checked here".
    """

    title: str
    kind: str
    answer: tuple[str, ...]
    source: str
    key: tuple[str, ...] = ("name",)
    words: tuple[str, ...] = ()
    forms: tuple[str, ...] = ("csv",)
    clips: int | None = 20_000
    candidates: str = "track_all_candidates.csv"

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns of a CSV file, in order."""
        return self.key + self.answer


_2026 = "track1_track2_candidate.csv"
TRACKS = {
    "mer2025-semi": Track("MER2025 track 1, MER-SEMI", "class", ("discrete",),
                          "MERTools fb8dda0, MER2025_Track1/submission.py and evaluation.py", words=tuple(SIX)),
    "mer2025-fg": Track("MER2025 track 2, MER-FG", "labels", ("openset",),
                        "MERTools 94dd088, MER2025_Track23/README.md (only *-openset.npz is taken) and evaluation.py",
                        forms=("npz",)),
    "mer2025-des": Track("MER2025 track 3, MER-DES", "description", ("reason",),
                         f"columns of track3_train_*.csv; {UNCHECKED}"),
    "mer2025-pr": Track("MER2025 track 4, MER-PR", "traits", TRAITS, "MER25_personality f947e3e, eval.py",
                        key=("id",), clips=None, candidates="the folders of its test set"),
    "mer2026-cross": Track("MER2026 track 1, MER-Cross", "class", ("discrete",),
                           "MERTools 1052cb8, MER2026_Track1/submission.py and evaluation.py", words=tuple(SIX),
                           candidates=_2026),
    "mer2026-fg": Track("MER2026 track 2, MER-FG", "labels", ("openset",),
                        f"MERTools 1052cb8, MER2026_Track2/evaluation.py reads the .npz; .csv {UNCHECKED}",
                        forms=("npz", "csv"), candidates=_2026),
    "mer2026-prefer": Track("MER2026 track 3, MER-Prefer", "preference", ("preference",),
                            f"columns of track3_emoprefer.csv; {UNCHECKED}", key=("name", "a1", "a2"),
                            words=("a1", "a2"), clips=10_000, candidates="track3_candidate.csv"),
}
"""Name of a track -> its file. MER-PS (MER2026 track 4) is not among them: it predicts valence and arousal by the
second from EEG and fNIRS, which no row of this project has."""


def track_of(name: str) -> Track:
    """The track of a name. ValueError for one that there is none of, also for MER-PS."""
    if name in TRACKS:
        return TRACKS[name]
    why = " (MER-PS predicts by the second from EEG and fNIRS, which no row here has)" if "ps" in name.lower() else ""
    raise ValueError(f"--track {name}: use one of {', '.join(TRACKS)}{why}")


def read_clips(path: str | Path, track: Track) -> list[tuple[str, ...]]:
    """Keys of the clips that a file must hold, from the list of the collection: a CSV file with the key's columns, or a
    text file with a name on each line.

    Raises:
        ValueError: no such file, no such columns, an empty name or a name that occurs twice.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of clips ({error})") from error
    rows = list(csv.reader(io.StringIO(text, newline="")))
    header = [cell.strip() for cell in rows[0]] if rows else []
    known = set(track.key) <= set(header)
    if not known and len(track.key) == 1 and set(header) & {"name", "id"}:
        header, known = [track.key[0] if cell in ("name", "id") else cell for cell in header], True
    if not known and (len(track.key) > 1 or any(len(row) > 1 for row in rows)):
        raise ValueError(f"{path}: needs the columns {', '.join(track.key)}, and has {', '.join(header) or 'none'}")
    places = [header.index(column) for column in track.key] if known else [0]
    found: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(rows[known:], start=1 + known):
        if not any(cell.strip() for cell in row):
            continue
        key = tuple(row[place].strip() if place < len(row) else "" for place in places)
        if not all(key):
            raise ValueError(f"{path}:{number}: the row has no {', '.join(track.key)}")
        if found.setdefault(key, number) != number:
            raise ValueError(f"{path}:{number}: {key[0]} is in row {found[key]} already; each clip has one row")
    if not found:
        raise ValueError(f"{path}: lists no clip")
    return list(found)


def answer_problem(track: Track, cells: Sequence[str], may_be_empty: bool = False) -> str | None:
    """What is wrong with one row's answer, None where nothing is."""
    for column, cell in zip(track.answer, cells, strict=True):
        if track.kind == "traits":
            try:
                if not math.isfinite(float(cell)):
                    return f"{column} is {cell}, no number"
            except ValueError:
                return f"{column} is {cell!r:.60}, no number"
        elif track.words and cell and cell not in track.words:
            near = cell.strip().lower()
            hint = f"; write {near}" if near in track.words else ""
            return f"{column} is {cell!r:.60}, none of {', '.join(track.words)}{hint}"
        elif (cell.strip() in PANDAS_MISSING or not cell.strip("[]'\" ")) and not may_be_empty:
            return f"{column} is empty" if not cell.strip() else f"{column} is {cell!r:.60}, which is read as empty"
    return None


def to_csv(track: Track, rows: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> str:
    """The text of a CSV file of (key, answer) rows."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(track.columns)
    writer.writerows(key + answer for key, answer in rows)
    return text.getvalue()


def to_npz(rows: Iterable[tuple[tuple[str, ...], tuple[str, ...]]]) -> bytes:
    """The bytes of a numpy archive of `filenames` and `fileitems`, plain text without pickles."""
    import numpy as np

    rows = list(rows)
    file = io.BytesIO()
    np.savez_compressed(file, filenames=np.array([key[0] for key, _ in rows], dtype=str),
                        fileitems=np.array([answer[0] for _, answer in rows], dtype=str))
    return file.getvalue()


def check_file(path: str | Path, track: Track, clips: Sequence[tuple[str, ...]] | None = None,
               may_be_empty: bool = False) -> list[str]:
    """Everything that is wrong with a file made for a track, each with its place; empty where it is good.

    Args:
        clips: keys as `read_clips` gives them; None does not ask which clips there are.
        may_be_empty: let empty answers pass.
    """
    path = Path(path)
    form = path.suffix.lower().lstrip(".")
    if form not in track.forms:
        return [f"{path}: is no {' or '.join('.' + form for form in track.forms)} file, which {track.title} takes"]
    try:
        places, problems = _npz_rows(path) if form == "npz" else _csv_rows(path, track)
    except (OSError, ValueError) as error:
        return [str(error) if str(path) in str(error) else f"{path}: cannot be read ({error})"]
    seen: dict[tuple[str, ...], str] = {}
    wanted = None if clips is None else set(clips)
    for where, key, answer in places:
        if wanted is not None and key not in wanted:
            near = next((other for other in (tuple(map(str.strip, key)),) if other in wanted), None)
            problems.append(f"{where}: {key[0]!r:.60} is not in the list of clips"
                            + (" with the spaces around it" if near else ""))
        elif key in seen:
            problems.append(f"{where}: {key[0]!r:.60} is there twice, first in {seen[key]}")
        seen.setdefault(key, where)
        wrong = answer_problem(track, answer, may_be_empty)
        if wrong:
            problems.append(f"{where}: {key[0]!r:.60}: {wrong}")
    missing = [key for key in clips or () if key not in seen]
    problems += [f"{path}: has no row for {key[0]}" for key in missing]
    if clips is None and track.clips and len(seen) != track.clips:
        problems.append(f"{path}: has {len(seen):,} clips, and the whole list has {track.clips:,}")
    return problems


def _csv_rows(path: Path, track: Track) -> tuple[list[tuple[str, tuple[str, ...], tuple[str, ...]]], list[str]]:
    """(place, key, answer) of each row, and what is wrong with the file itself."""
    data, problems = path.read_bytes(), []
    if data.startswith(b"\xef\xbb\xbf"):
        problems.append(f"{path}: begins with a byte order mark; save it as UTF-8 without one")
        data = data[3:]
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        row = data[:error.start].count(b"\n") + 1
        return [], [*problems, f"{path}:{row}: is not UTF-8 text (byte {error.start}); save the file as UTF-8"]
    if "\0" in text:
        return [], [*problems, f"{path}:{text[:text.index(chr(0))].count(chr(10)) + 1}: has a zero byte"]
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    found, before = [], 0
    try:
        for cells in reader:
            where, first, before = f"{path}:{before + 1}", before == 0, reader.line_num
            if first:
                if tuple(cells) != track.columns:
                    hint = "; it is cut at ';' or tabs and not at commas" if len(cells) == 1 and \
                        any(mark in cells[0] for mark in ";\t") else ""
                    return [], [*problems, f"{where}: the columns are {', '.join(cells) or 'none'}, and must be "
                                           f"{', '.join(track.columns)}{hint}"]
            elif not cells:
                problems.append(f"{where}: is an empty line")
            elif len(cells) != len(track.columns):
                problems.append(f"{where}: has {len(cells)} cells and must have {len(track.columns)}; put quotation "
                                "marks around a cell with commas")
            else:
                found.append((where, tuple(cells[:len(track.key)]), tuple(cells[len(track.key):])))
    except csv.Error as error:
        problems.append(f"{path}:{before + 1}: is no row of a CSV file ({error})")
    if not before:
        problems.append(f"{path}: is empty")
    return found, problems


def _npz_rows(path: Path) -> tuple[list[tuple[str, tuple[str, ...], tuple[str, ...]]], list[str]]:
    """(place, key, answer) of each entry of an archive, and what is wrong with the archive itself."""
    from affectgpt.npz import load_npz

    contents = load_npz(path)
    if not {"filenames", "fileitems"} <= set(contents):
        return [], [f"{path}: has the arrays {', '.join(sorted(contents)) or 'none'}, and must have filenames and "
                    "fileitems"]
    names, items = (list(contents[key]) if getattr(contents[key], "ndim", 0) == 1 or isinstance(contents[key], list)
                    else None for key in ("filenames", "fileitems"))
    if names is None or items is None or len(names) != len(items):
        return [], [f"{path}: filenames and fileitems must be two lists of one length, and are "
                    f"{'none' if names is None else len(names)} and {'none' if items is None else len(items)}"]
    found, problems = [], []
    for number, (name, item) in enumerate(zip(names, items, strict=True), start=1):
        where = f"{path}: entry {number}"
        if isinstance(name, str) and isinstance(item, str):
            found.append((where, (str(name),), (str(item),)))
        else:
            problems.append(f"{where}: must be a name and a text such as [happy, excited], and is {name!r:.40} and "
                            f"{item!r:.60}")
    return found, problems
