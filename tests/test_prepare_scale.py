"""`affectgpt prepare` on a thousand damaged files and on 120,000 tiny ones: all accounted for, in bounded memory."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hostile_media import COUNT, hostile_file, make_seeds
from prepare_fixtures import make_tree, rows_of, start

from affectgpt.media.finding import MEDIA_SUFFIXES

CLIPS = 120_000
PARENT_MEMORY = 700_000_000
"""Bytes that the job's own process may hold: all clips of the reader, and of each result its place alone."""
WORKER_MEMORY = 1_200_000_000
GROWTH = 1.1
"""How much more a process that reads files may hold in the end than after the first tenth."""


def follow(job, journal: Path, count: int) -> tuple[str, int, dict[str, list[int]]]:
    """(what the job said, the most bytes that it held, process -> bytes it held, as time went on)."""
    peak, workers = 0, {}
    while job.poll() is None:
        try:
            peak = max(peak, held(job.pid, "VmHWM"))
            if journal.is_file():
                for child in Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split():
                    workers.setdefault(child, []).append(held(int(child), "VmRSS"))
        except (OSError, AttributeError):  # a process that has just ended
            pass
        time.sleep(0.5)
    return job.communicate()[0], peak, workers


def held(process: int, what: str) -> int:
    return int(re.search(rf"{what}:\s+(\d+)", Path(f"/proc/{process}/status").read_text()).group(1)) * 1024


def check_all(output: Path, names: set[str]) -> tuple[int, int]:
    """(kept, skipped), of which every file is exactly one."""
    kept = [row["id"] for row in rows_of(output / "manifest.jsonl")]
    lost = [row["clip"].partition("/")[2] for row in rows_of(output / "skipped.jsonl")]
    assert len(kept) + len(lost) == len(names) and {*kept, *lost} == names
    return len(kept), len(lost)


def hostile(tmp_path: Path, step: int, limit: float) -> tuple[int, int]:
    seeds, names = make_seeds(), set()
    (tmp_path / "media").mkdir()
    for number in range(0, COUNT, step):
        file = hostile_file(number, seeds)
        name = file.name if Path(file.name).suffix.lower() in MEDIA_SUFFIXES else f"{file.name}.mp4"
        (tmp_path / "media" / name).write_bytes(file.data)
        names.add(name)
    job = start("folder", "--root", tmp_path / "media", "--output", tmp_path / "out", "--processes", 2,
                "--limit", limit)
    said, _, _ = follow(job, tmp_path / "none", COUNT)
    assert job.returncode in (0, 3), said
    assert "Traceback" not in said and "bug" not in said, said
    assert not [row for row in rows_of(tmp_path / "out" / "skipped.jsonl") if "affectgpt failed" in row["reason"]]
    return check_all(tmp_path / "out", names)


def test_twenty_damaged_files_are_accounted_for(tmp_path):
    kept, lost = hostile(tmp_path, COUNT // 20, 60)
    assert kept >= 5 and lost >= 2


@pytest.mark.slow
def test_a_thousand_damaged_files_are_accounted_for(tmp_path):
    started = time.monotonic()
    kept, lost = hostile(tmp_path, 1, 60)
    print(f"\n{kept} kept, {lost} skipped, {time.monotonic() - started:.0f} s")
    assert kept >= 300 and lost >= 200


@pytest.mark.slow
def test_a_tree_of_120_000_files_in_flat_memory(tmp_path):
    make_tree(tmp_path / "media", CLIPS)
    started = time.monotonic()
    job = start("folder", "--root", tmp_path / "media", "--output", tmp_path / "out", "--processes", 2)
    said, peak, workers = follow(job, tmp_path / "out" / "journal.jsonl", CLIPS)
    seconds = time.monotonic() - started
    assert job.returncode == 0, said
    names = {str(path.relative_to(tmp_path / "media")) for path in (tmp_path / "media").rglob("*.wav")}
    assert check_all(tmp_path / "out", names) == (CLIPS, 0)
    growths = [values[-2] / values[len(values) // 10] for values in workers.values() if len(values) > 20]
    print(f"\n{seconds:.0f} s, {peak / 1e6:.0f} MB in the job, "
          f"{[f'{max(values) / 1e6:.0f} MB' for values in workers.values()]} in its processes, growth {growths}")
    assert peak < PARENT_MEMORY and max(map(max, workers.values())) < WORKER_MEMORY
    assert growths and max(growths) < GROWTH
