"""Labelled answers (JSON Lines) -> the file that a track of MER2025 or MER2026 takes, checked before it is written.

    affectgpt submit --tracks
    affectgpt submit labelled.jsonl --track mer2026-cross --clips track1_track2_candidate.csv --output submission.csv
    affectgpt submit labelled.jsonl --track mer2025-fg --clips track_all_candidates.csv --output mine-openset.npz
    affectgpt submit --check submission.csv --track mer2026-cross --clips track1_track2_candidate.csv

Every clip of the list has its row once. A clip without a usable answer stops the job, with its place, unless --fill
says what to write for it.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.files import atomic_write_bytes, atomic_write_text, read_jsonl
from affectgpt.metrics import submissions
from affectgpt.metrics.pairs import nth_name
from affectgpt.metrics.submissions import SIX, TRACKS, Track
from affectgpt.terminal import json_line, printable

SHOWN = 20
"""Problems that are printed one by one; the others are counted."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job; 1 where a checked file is wrong."""
    parser = argparse.ArgumentParser(prog="affectgpt submit", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", metavar="FILE", help="rows of `affectgpt generate` and `label`")
    parser.add_argument("--tracks", action="store_true", help="list the tracks, what each takes and where that is said")
    parser.add_argument("--track", metavar="NAME", help=f"one of {', '.join(TRACKS)}")
    parser.add_argument("--clips", metavar="FILE", help="the collection's list of clips that need an answer: a CSV "
                        "file with their names, or a text file with one on each line")
    parser.add_argument("--output", metavar="FILE", help="where to write (.csv, or .npz where the track takes that)")
    parser.add_argument("--check", metavar="FILE", help="only say what is wrong with a file made elsewhere")
    parser.add_argument("--checkpoint", help="take the answers of this checkpoint, where a file has several")
    parser.add_argument("--question", help="take answers to this question alone")
    parser.add_argument("--fill", metavar="TEXT", help="what to write for clips without a usable answer, for example "
                        "neutral; '' leaves them empty where words are open")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.tracks:
        print(json_line({name: vars(track) for name, track in TRACKS.items()}) if options.json else tracks_table())
        return 0
    if not options.track:
        raise ValueError(f"--track: name one of {', '.join(TRACKS)}")
    track = submissions.track_of(options.track)
    clips = submissions.read_clips(options.clips, track) if options.clips else None
    if options.check:
        if options.files or options.output:
            raise ValueError("--check only checks a file; leave out FILE and --output")
        return _check(options.check, track, clips, options.fill == "", options.json)
    if not options.files or not options.output or clips is None:
        raise ValueError("name the rows, --clips LIST and --output FILE, or a file with --check")
    result = submit(options.files, track, clips, options.output, options.checkpoint, options.question, options.fill)
    print(json_line(result) if options.json else
          f"{printable(result['output'])}: {result['clips']:,} clips for {track.title}"
          + (f", {result['filled']:,} of them filled with {options.fill!r}" if result["filled"] else ""))
    for line in result["notes"]:
        print(f"note: {printable(line)}", file=sys.stderr)
    return 0


def _check(path: str, track: Track, clips: list[tuple[str, ...]] | None, may_be_empty: bool, as_json: bool) -> int:
    problems = submissions.check_file(path, track, clips, may_be_empty)
    if as_json:
        print(json_line({"file": path, "good": not problems, "problems": problems}))
        return int(bool(problems))
    for problem in problems[:SHOWN]:
        print(printable(problem))
    if len(problems) > SHOWN:
        print(f"and {len(problems) - SHOWN:,} more")
    asked = "" if clips is not None else " (which clips it must have was not asked: name their list with --clips)"
    print(f"{printable(path)}: {_count(problems)} for {track.title}{asked}")
    return int(bool(problems))


def _count(problems: list[str]) -> str:
    return f"{len(problems):,} problem{'s' * (len(problems) > 1)}" if problems else "good"


def submit(files: list[str], track: Track, clips: list[tuple[str, ...]], output: str, checkpoint: str | None = None,
           question: str | None = None, fill: str | None = None) -> dict[str, Any]:
    """Write the file of a track; returns {"output", "clips", "filled", "notes"}.

    Raises:
        ValueError: an output of another kind, rows that cannot be read or name a clip twice, or clips without a usable
            answer where `fill` is None.
    """
    form = Path(output).suffix.lower().lstrip(".")
    if form not in track.forms:
        raise ValueError(f"--output {output}: {track.title} takes {' or '.join('.' + form for form in track.forms)}")
    if fill is not None:
        wrong = submissions.answer_problem(track, (fill,) * len(track.answer), may_be_empty=not track.words)
        if wrong or track.words and not fill:
            raise ValueError(f"--fill {fill}: {wrong or f'is empty, and {track.title} takes a word for each clip'}")
    rows, unknown = read_rows(files, track, clips, checkpoint, question)
    space = _space(track)
    written, filled, problems = [], 0, []
    for key in clips:
        row, where = rows.get(key, (None, ""))
        answer, problem = (None, "has no row") if row is None else answer_of(track, row, space)
        if problem is None:
            problem = submissions.answer_problem(track, answer)
        if problem is not None and fill is None:
            problems.append(f"{key[0]}{f' ({where})' if where else ''}: {problem}")
        elif problem is not None:
            answer, filled = (fill,) * len(track.answer), filled + 1
        written.append((key, answer))
    if problems:
        raise ValueError(f"{len(problems):,} of {len(clips):,} clips have no answer that {track.title} takes, and "
                         f"nothing was written; say what to write for them with --fill: {'; '.join(problems[:SHOWN])}"
                         + (f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""))
    if form == "npz":
        atomic_write_bytes(output, submissions.to_npz(written))
    else:
        atomic_write_text(output, submissions.to_csv(track, written))
    notes = [f"{unknown:,} rows of clips that the list does not have were left out"] if unknown else []
    if track.clips and len(clips) != track.clips:
        notes.append(f"the list has {len(clips):,} clips, and the track's has {track.clips:,}")
    if submissions.UNCHECKED in track.source:
        notes.append(f"the format: {track.source}")
    return {"output": str(output), "clips": len(clips), "filled": filled, "notes": notes}


def read_rows(files: list[str], track: Track, clips: list[tuple[str, ...]], checkpoint: str | None,
              question: str | None) -> tuple[dict[tuple[str, ...], tuple[dict, str]], int]:
    """(key -> its row and place, how many rows are of no clip in the list).

    A row of a preference belongs to the pair whose name it has: NAME is a clip's first pair in the list, NAME#2 its
    second, as the reader of the collection calls them.
    """
    names: dict[str, tuple[str, ...]] = {}
    times: dict[str, int] = {}
    for key in clips:
        times[key[0]] = times.get(key[0], 0) + 1
        names[nth_name(key[0], times[key[0]])] = key
    found: dict[tuple[str, ...], tuple[dict, str]] = {}
    checkpoints: dict[str, None] = {}
    unknown = 0
    for file in files:
        for number, row in read_jsonl(file):
            where, name = f"{file}:{number}", row.get("name")
            if not isinstance(name, str) or not name:
                raise ValueError(f"{where}: the row has no name")
            if question is not None and row.get("question") != question:
                continue
            checkpoints.setdefault(str(row.get("checkpoint", "only")))
            if checkpoint is not None and str(row.get("checkpoint", "only")) != checkpoint:
                continue
            key = names.get(name) or names.get(name.rpartition("/")[2])
            if key is None:
                unknown += 1
            elif found.setdefault(key, (row, where))[1] != where:
                if len(checkpoints) > 1:
                    raise ValueError(f"{where}: has several checkpoints; name one of {', '.join(checkpoints)} with "
                                     "--checkpoint")
                raise ValueError(f"{where}: {name} is in {found[key][1]} already; keep one row, or name the --question")
    if checkpoint is not None and checkpoint not in checkpoints:
        raise ValueError(f"--checkpoint {checkpoint}: the rows have {', '.join(checkpoints) or 'none'}")
    if not found:
        raise ValueError(f"{', '.join(files)}: has no row of a clip that the list has")
    return found, unknown


def _space(track: Track):
    """The closed set of a track of classes, None for other tracks."""
    if track.kind != "class":
        return None
    from affectgpt.metrics.closed import Space

    return Space({word: SIX[word] for word in track.words})


def answer_of(track: Track, row: dict[str, Any], space) -> tuple[tuple[str, ...], str | None]:
    """(the answer's cells, why there is none) of a row."""
    if row.get("no_answer"):
        return (), f"has no answer ({row['no_answer']})"
    if track.kind == "traits":
        traits = row.get("personality")
        given = {str(key).replace("_", " ").lower(): value for key, value in traits.items()} \
            if isinstance(traits, dict) else {}
        cells = tuple(given.get(column.lower(), given.get(f"{column}s".lower())) for column in track.answer)
        if any(not isinstance(cell, int | float) or isinstance(cell, bool) for cell in cells):
            return (), f"needs personality, an object of numbers with {', '.join(track.answer)}"
        return tuple(f"{cell:.10g}" for cell in cells), None
    if track.kind in ("description", "preference"):
        text = row.get("response")
        if not isinstance(text, str) or not text.strip():
            return (), "has no response"
        if track.kind == "description":
            return (text.strip(),), None
        from affectgpt.metrics.preference import read_answer

        said = read_answer(text)
        return ((said.said,), None) if said.said else ((), f"says neither a1 nor a2: {text!r:.60}")
    raw = row.get("labels_raw")
    if not isinstance(raw, str | list) or isinstance(raw, list) and not all(isinstance(part, str) for part in raw):
        return (), "has no labels_raw; make labels first, with `affectgpt label`"
    if space is not None:
        said, _ = space.predict(raw)
        return ((said,), None) if said else ((), f"its labels {raw!r:.60} are in no class of {', '.join(track.words)}")
    from affectgpt.metrics.label_lists import parse_labels

    return (f"[{', '.join(parse_labels(raw))}]",), None


def tracks_table() -> str:
    """The tracks as a Markdown table."""
    rows = [f"| {name} | {track.title} | {', '.join(f'.{form}' for form in track.forms)} | "
            f"{', '.join(track.columns)} | {', '.join(track.words) or 'open'} | {track.candidates} | {track.source} |"
            for name, track in TRACKS.items()]
    return "\n".join(["| track | what | file | columns | answers | list of clips | source of the format |",
                      "|---|---|---|---|---|---|---|", *rows])


if __name__ == "__main__":
    sys.exit(run_cli(main))
