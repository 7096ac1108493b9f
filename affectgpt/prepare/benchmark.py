"""`affectgpt prepare` beside plain decoding of the same files, in turns within one run.

    python -m affectgpt.prepare.benchmark FOLDER --processes 1 2

Plain decoding opens each file with PyAV in as many processes and decodes all frames of its picture and sound, nothing
else. Preparing is what `affectgpt prepare` does for a clip, faces included, without the writing of manifest and report.
Processes are started, and have read one file each, before the clock runs. Hours are those of the media; the ratio is
the time of preparing over that of decoding, and its median over the rounds is the figure: a machine's speed moves.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import av

from affectgpt.errors import run_cli
from affectgpt.terminal import printable

WAYS = ("decode", "prepare")
LONGEST_START = 600.0
"""Seconds in which all processes must have read their first file."""


def decode(path: Path) -> float:
    """Decode all of a file; how long it lasts, in seconds, 0 where it cannot be decoded."""
    end = 0.0
    try:
        with av.open(str(path)) as container:
            streams = [*container.streams.video[:1], *container.streams.audio[:1]]
            for packet in container.demux(*streams):
                for frame in packet.decode():
                    if frame.time is not None:
                        end = max(end, frame.time)
    except (av.FFmpegError, OSError, IndexError):
        return end
    return end


def prepare_one(task: tuple[str, Any, Any]) -> bool:
    """Whether a clip could be used."""
    from affectgpt.prepare.inspect import inspect

    return "skipped" not in inspect(task)


FUNCTIONS = {"decode": decode, "prepare": prepare_one}


def _ready(way: str, task: Any, barrier: Any) -> None:
    """What a process does before the clock runs: it reads one file, and waits for the others."""
    from affectgpt.prepare.job import prepare_process

    prepare_process()
    FUNCTIONS[way](task)
    barrier.wait()


def timed(way: str, clips: list, work: Any, processes: int) -> tuple[float, list]:
    """(seconds on the clock, results) of one way over all clips."""
    tasks = [("0" * 32, clip, work) for clip in clips] if way == "prepare" else [clip.media for clip in clips]
    context = get_context("spawn")
    barrier = context.Barrier(processes + 1)
    with context.Pool(processes, _ready, (way, tasks[0], barrier)) as pool:
        barrier.wait(LONGEST_START)
        started = time.perf_counter()
        results = pool.map(FUNCTIONS[way], tasks, 1)
        return time.perf_counter() - started, results


def compare(folder: Path, processes: int, rounds: int, faces: bool) -> dict[str, Any]:
    """One row: the median times of both ways, and of their ratio."""
    from affectgpt.prepare.inspect import Work
    from affectgpt.prepare.job import read_clips

    clips = read_clips("folder", folder, [])
    times: dict[str, list[float]] = {way: [] for way in WAYS}
    seconds, usable = 0.0, 0
    for _ in range(rounds):
        for way in WAYS:
            with tempfile.TemporaryDirectory() as scratch:
                work = Work(folder.resolve(), faces=Path(scratch) if faces else None)
                taken, results = timed(way, clips, work, processes)
            times[way].append(taken)
            seconds, usable = (sum(results), usable) if way == "decode" else (seconds, sum(results))
    ratios = [after / before for before, after in zip(times["decode"], times["prepare"], strict=True)]
    row: dict[str, Any] = {"processes": processes, "files": len(clips), "usable": usable,
                           "hours": round(seconds / 3600, 4), "rounds": rounds, "faces": faces}
    for way in WAYS:
        median = statistics.median(times[way])
        row |= {f"{way}_seconds": round(median, 6), f"{way}_files_per_second": round(len(clips) / median, 3),
                f"{way}_media_hours_per_hour": round(seconds / median, 2)}
    return row | {"ratio": round(statistics.median(ratios), 3), "ratios": [round(ratio, 3) for ratio in ratios]}


def main(arguments: list[str]) -> int:
    """Parse the command line and print one row for each number of processes."""
    parser = argparse.ArgumentParser(prog="python -m affectgpt.prepare.benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of media")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, os.cpu_count() or 1], metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of both ways (default: 3)")
    parser.add_argument("--no-faces", action="store_true", help="as affectgpt prepare --no-faces")
    parser.add_argument("--json", action="store_true", help="print one JSON object a row")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if min(options.processes) < 1 or options.rounds < 1:
        raise ValueError("--processes and --rounds must be 1 or more")
    for processes in dict.fromkeys(options.processes):
        row = compare(options.folder, processes, options.rounds, not options.no_faces)
        if options.json:
            print(json.dumps(row), flush=True)
            continue
        print(f"{processes} processes, {row['files']:,} files ({row['usable']:,} usable), {row['hours']:g} hours of "
              f"{printable(str(options.folder))}")
        for way in WAYS:
            print(f"  {way:<8} {row[f'{way}_seconds']:>9.2f} s  {row[f'{way}_files_per_second']:>8.2f} files/s  "
                  f"{row[f'{way}_media_hours_per_hour']:>8.1f} hours of media an hour")
        print(f"  prepare takes {row['ratio']:.2f} times as long as decoding ({row['ratios']})", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(run_cli(main))
