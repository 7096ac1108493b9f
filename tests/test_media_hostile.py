"""A thousand damaged files: each is read or refused with one clear line, in bounded time and memory, in silence."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from hostile_media import COUNT, MEMORY, hostile_file, make_seeds

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 150
"""Seconds on the clock for one file: above the limits of `affectgpt.media.limits`, on a busy machine."""


def read_all(folder: Path, step: int) -> tuple[list[dict], list[str]]:
    """(a record for every file, what else went wrong: crashes, hangs, text on the screen). One process reads file
    after file; where it dies, another goes on behind the file that killed it."""
    records, faults, number = [], [], 0
    while number < COUNT:
        with open(folder / "stderr", "w+") as screen:
            script = Path(__file__).with_name("hostile_media.py")
            worker = subprocess.Popen([sys.executable, script, folder, str(number), str(COUNT), str(step)],
                                      stdout=subprocess.PIPE, stderr=screen, cwd=ROOT,
                                      env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
            current, whole = follow(worker, records)
            worker.kill()
            code = worker.wait()
            screen.seek(0)
            text = screen.read()
        if text:
            faults.append(f"on the screen near {current['name']}: {text[-500:]}")
        if whole and code == 0:
            break
        if current["number"] < number:
            faults.append(f"no file was begun: {text[-500:]}")
            break
        faults.append(f"{current['name']}: " + (f"the process died ({code})" if code > -9 or not whole else "it hangs"))
        number = current["number"] + step
    return records, faults


def follow(worker: subprocess.Popen, records: list[dict]) -> tuple[dict, bool]:
    """Collect the worker's records; (the file that was begun last, whether the output came to its end)."""
    current, buffer = {"number": -1, "name": "the start"}, b""
    with selectors.DefaultSelector() as selector:
        selector.register(worker.stdout, selectors.EVENT_READ)
        began = time.monotonic()
        while time.monotonic() - began < LIMIT:
            if not selector.select(timeout=1):
                continue
            data = os.read(worker.stdout.fileno(), 65536)
            if not data:
                return current, True
            *lines, buffer = (buffer + data).split(b"\n")
            for line in lines:
                current = json.loads(line)
                began = time.monotonic()
                if "probe" in current:
                    records.append(current)
    return current, False


def check(records: list[dict], faults: list[str], numbers: range) -> Counter:
    """Every file is accounted for; how many were read (in part or whole) and refused."""
    assert not faults, "\n".join(faults)
    assert [record["number"] for record in records] == list(numbers)
    bad = [(record["name"], text) for record in records for text in map(str, record.values()) if "FAULT" in text]
    assert not bad, "\n".join(map(str, bad))
    assert max(record["peak"] for record in records) < MEMORY
    return Counter("read" if "read" in record.values() else "refused" for record in records)


def test_forty_damaged_files(tmp_path):
    records, faults = read_all(tmp_path, COUNT // 40)
    counts = check(records, faults, range(0, COUNT, COUNT // 40))
    assert counts["read"] >= 10 and counts["refused"] >= 5


@pytest.mark.slow
def test_a_thousand_damaged_files(tmp_path):
    started = time.monotonic()
    records, faults = read_all(tmp_path, 1)
    counts = check(records, faults, range(COUNT))
    peak = max(record["peak"] for record in records)
    print(f"\n{dict(counts)}, {time.monotonic() - started:.0f} s, {peak / 1e6:.0f} MB")
    assert counts["read"] >= 300 and counts["refused"] >= 200


def test_the_list_is_the_same_every_time_and_has_all_kinds():
    seeds = make_seeds()
    files = [hostile_file(number, seeds) for number in range(COUNT)]
    assert [hostile_file(number, seeds) for number in (0, 17, 999)] == [files[0], files[17], files[999]]
    names = " ".join(file.name for file in files)
    for part in "concat header bomb list lambda flips filled swapped doubled deleted numbers".split():
        assert names.count(part) > 10, part
    assert len(seeds) >= 30 and len({file.data for file in files}) > 900
