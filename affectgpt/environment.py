"""What a job runs in: its place among several processes, and the versions that its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import os

PACKAGES = ("affectgpt", "torch", "transformers", "peft", "accelerate", "safetensors", "deepspeed", "flash-attn",
            "bitsandbytes", "av", "numpy")


def process_place() -> tuple[int, int]:
    """(rank, number of processes) from RANK and WORLD_SIZE, as torchrun and Slurm scripts set them.

    Raises:
        ValueError: they are no such numbers.
    """
    text = [os.environ.get(name, default) for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"))]
    try:
        rank, world_size = map(int, text)
        if 0 <= rank < world_size:
            return rank, world_size
    except ValueError:
        pass  # said below
    raise ValueError(f"RANK={text[0]} and WORLD_SIZE={text[1]}: they must be whole numbers with RANK below WORLD_SIZE")


def process_device(asked: str, option: str) -> str:
    """"cpu", or the GPU of this process; several processes may share one.

    Args:
        asked: "auto", "cpu" or "cuda".
        option: how the user asks for it, for the message: "--device " or "train.device=".
    Raises:
        ValueError: a GPU is asked for and there is none.
    """
    import torch

    count = torch.cuda.device_count()
    if asked == "cpu" or asked == "auto" and not count:
        return "cpu"
    if not count:
        raise ValueError(f"{option}cuda, but torch sees no GPU: use {option}auto or install a CUDA torch")
    return f"cuda:{int(os.environ.get('LOCAL_RANK', 0)) % count}"


def package_versions() -> dict[str, str]:
    """Versions of the packages that a run's numbers depend on, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
