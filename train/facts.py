"""What a run was made with: package versions, machine, a fingerprint of the data."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from pathlib import Path

import torch

from affectgpt.environment import package_versions


def run_facts(engine, world) -> dict:
    """Versions, machine, engine and peak memory, for the file beside the weights."""
    return {"packages": package_versions(), "python": platform.python_version(), "commit": commit(),
            "hardware": hardware(world.device), "ranks": world.size, "engine": engine.describe(),
            "peak_memory_gib": round(engine.peak_memory() / 1024**3, 3)}


def hardware(device: torch.device) -> str:
    """GPU or CPU in words."""
    if device.type == "cuda":
        return f"{torch.cuda.device_count()} x {torch.cuda.get_device_name(device)}"
    model = platform.processor()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{torch.get_num_threads()} threads of {model or platform.machine()}"


def commit() -> str | None:
    """Commit of the checkout that this code runs from; None where it is installed without one."""
    folder = Path(__file__).resolve().parent
    try:
        found = subprocess.run(["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True,
                               timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def data_fingerprint(splits: dict) -> str:
    """SHA-256 over every clip's key, split, words and targets: equal where two runs were given the same rows."""
    digest = hashlib.sha256()
    for split, clips in sorted(splits.items()):
        for clip in clips:
            targets = {key: value for key, value in vars(clip.targets).items() if value}
            digest.update(json.dumps([split, clip.key, clip.words, targets], sort_keys=True, default=list).encode())
    return digest.hexdigest()
