"""Small corpora for the tests of `affectgpt prepare`, and functions of tasks that hang, die and raise."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import wave
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


def write_sound(path: Path, number: int, seconds: float = 0.2, rate: int = 8000) -> Path:
    """A tone that differs from number to number."""
    times = np.arange(int(seconds * rate)) / rate
    samples = (8000 * np.sin(2 * np.pi * (200 + number % 3000) * times)).astype("<i2")
    samples[:3] = number // 10_000, number // 100 % 100, number % 100
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return path


def make_tree(root: Path, count: int, folder_size: int = 1000, seconds: float = 0.01) -> Path:
    """A folder of `count` tiny different sounds."""
    for number in range(count):
        write_sound(root / f"{number // folder_size:03d}" / f"{number:06d}.wav", number, seconds)
    return root


def write_manifest(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def start(*arguments: object) -> subprocess.Popen:
    """`affectgpt prepare` in a process of its own."""
    return subprocess.Popen([sys.executable, "-m", "affectgpt.cli", "prepare", *map(str, arguments)], env=ENVIRONMENT,
                            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def prepare(corpus, root, output, *more) -> int:
    """`affectgpt prepare` in this process; its exit code."""
    from affectgpt import cli

    return cli.main(["prepare", corpus, "--root", str(root), "--output", str(output), "--processes", "1", *more])


def rows_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def do_task(task: object) -> object:
    """Squares numbers; what "hang", "die" and "raise" say."""
    if task == "hang":
        time.sleep(60)
    if task == "die":
        os.kill(os.getpid(), 9)
    if task == "raise":
        raise KeyError("no such thing")
    return task * task


if __name__ == "__main__":  # python tests/prepare_fixtures.py FOLDER [COUNT]
    make_tree(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 120_000)
