"""What a run was made with: package versions, machine, a fingerprint of the data."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from pathlib import Path

import torch

from affectgpt.environment import package_versions
from affectgpt.features.key import encoder_revision
from affectgpt.models.streams import VISUAL_STREAMS

ROWS, MEDIA, WEIGHTS = "rows of split ", "media files of split ", "weights of model."
CORPORA = "corpora and their weights"


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
        found = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "--short", "HEAD"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return found.stdout.strip() or None


def data_fingerprint(splits: dict) -> str:
    """SHA-256 over all that the rows of every split say but where files lie: equal where two runs were given the same.

    The order of rows counts, since the plan of an epoch follows from it.
    """
    digest = hashlib.sha256()
    for split, clips in sorted(splits.items()):
        for clip in clips:
            facts = {name: value for name, value in vars(clip).items()
                     if name not in ("targets", "provenance") and not isinstance(value, Path)}
            line = [split, _said(facts), _said(vars(clip.targets))]
            digest.update(json.dumps(line, sort_keys=True, default=_plain).encode())
    return digest.hexdigest()


def _said(values: dict) -> dict:
    """Values without those that say nothing; 0 says something."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", (), [], {})}


def _plain(value):
    return (
        sorted(value) if isinstance(value, set | frozenset) else list(value) if isinstance(value, tuple) else str(value)
    )


def media_fingerprint(clips: list, inputs) -> str:
    """SHA-256 over which clips can be read, and over the SHA-256 of their files as features were made of them.

    Args:
        inputs: a `features.store` of the clips; where its media are on another machine, what it recorded counts.
    """
    digest = hashlib.sha256()
    for clip in clips:
        if clip.key in inputs:
            digest.update(json.dumps([clip.key, inputs.files(clip.key)], sort_keys=True).encode())
    return digest.hexdigest()


def origins(recipe, mixture) -> dict[str, str]:
    """What a run begins with, by its name in words: fingerprints of each split's rows and of how often its corpora are
    asked what, revisions of the base weights.

    Args:
        mixture: a `data.mixture.Mixture`.
    Raises:
        ValueError: a base model that cannot be found, or whose revision is not known.
    """
    model, streams = recipe.model, set(recipe.model.streams)
    found = {f"{ROWS}{name}": data_fingerprint({name: clips}) for name, clips in mixture.splits.items()}
    told = json.dumps([mixture.facts(), mixture.questions], sort_keys=True)
    found[CORPORA] = hashlib.sha256(told.encode()).hexdigest()
    visual = bool(streams & set(VISUAL_STREAMS))
    parts = {"llm": True, "audio_encoder": "audio" in streams, "visual_encoder": visual}
    return found | {f"{WEIGHTS}{part}": encoder_revision(getattr(model, part)) for part, used in parts.items() if used}


def media_origins(splits: dict, inputs) -> dict[str, str]:
    """As `origins`, of each split's media files."""
    return {f"{MEDIA}{name}": media_fingerprint(clips, inputs) for name, clips in splits.items()}


def check_origins(output: Path, began: dict[str, str], now: dict[str, str]) -> None:
    """Refuse to go on with other clips or other base weights.

    Raises:
        ValueError: names what differs from what the run began with, and what to do.
    """
    other = [name for name in now if began.get(name) != now[name]]
    if not other:
        return
    weights = [name for name in other if name.startswith(WEIGHTS)]
    what = "base weights differ" if weights else "clips differ"
    raise ValueError(f"{output}: the {what} from those the run began with ({', '.join(weights or other)}): bring them "
                     "back to go on, choose another train.output, or set train.resume=false to start anew there")
