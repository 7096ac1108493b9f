"""What a job runs in: its place among several processes, and the versions that its numbers depend on."""

from __future__ import annotations

import importlib.metadata
import os

PACKAGES = ("affectgpt", "torch", "transformers", "peft", "accelerate", "safetensors", "deepspeed", "flash-attn",
            "bitsandbytes", "torchvision", "av", "numpy")


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


def computes_bfloat16(device) -> bool:
    """Whether a device multiplies bfloat16 matrices in its own instructions.

    A CPU without them takes 30 times as long for bfloat16 as for float32 (measured on an AMD EPYC with AVX2 alone).
    """
    import torch

    device = torch.device(device)
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    if torch.backends.cpu.get_cpu_capability().startswith("AVX") or not hasattr(torch.ops.mkldnn,
                                                                                "_is_mkldnn_bf16_supported"):
        # oneDNN calls AVX-512 alone enough, and emulates.
        return torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.ops.mkldnn._is_mkldnn_bf16_supported()  # Arm and others


def computing_dtype(asked: str, device) -> str:
    """"float32" or "bfloat16" as asked; "auto" is bfloat16 where the device computes it natively."""
    return asked if asked != "auto" else "bfloat16" if computes_bfloat16(device) else "float32"


def runnable_dtype(config, device) -> str | None:
    """Number format to run a model in that was trained in `config.dtype`: float32 where bfloat16 is emulated."""
    name = str(config.dtype).removeprefix("torch.") if config.dtype is not None else None
    return computing_dtype("auto", device) if name == "bfloat16" else name


def package_versions() -> dict[str, str]:
    """Versions of the packages that a run's numbers depend on, of those that are installed."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions
