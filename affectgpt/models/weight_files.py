"""Which files of a model folder hold its weights: one safetensors file, or shards and the index that names them.

Written and read as transformers does. Pure standard library: a folder is judged before anything slow is imported.
"""

from __future__ import annotations

import json
from pathlib import Path

WEIGHTS_NAME, INDEX_NAME = "model.safetensors", "model.safetensors.index.json"
PICKLES = (".bin", ".pth", ".pt", ".pkl", ".pickle", ".ckpt")
"""Endings of files that may run code while they are read; none of them ever is."""


def shard_name(number: int, count: int) -> str:
    """The file of shard `number` (from 1) of `count`; a single one has the plain name."""
    return WEIGHTS_NAME if count == 1 else f"model-{number:05d}-of-{count:05d}.safetensors"


def weight_files(folder: str | Path) -> dict[Path, list[str] | None]:
    """File -> the names of tensors that the index places there; None for all names of a file without an index.

    Raises:
        ValueError: no weights, pickles in their place, an index that cannot be read or that names a file outside of the
            folder, and a shard that is not there; each by its name.
    """
    folder = Path(folder)
    if (folder / WEIGHTS_NAME).is_file():
        return {folder / WEIGHTS_NAME: None}
    index = folder / INDEX_NAME
    if not index.is_file():
        pickles = sorted(path.name for path in folder.glob("*") if path.suffix.lower() in PICKLES)
        if pickles:
            raise ValueError(f"{folder}: its weights are in {pickles[0]}, a pickle, which may run code when read: "
                             f"only {WEIGHTS_NAME} (or shards and their index) is read; convert it first")
        raise ValueError(f"{folder} has no {WEIGHTS_NAME}: the model is half written or not an AffectGPT model")
    files: dict[Path, list[str]] = {}
    for name, file in read_index(index).items():
        files.setdefault(folder / file, []).append(name)
    for path in files:
        if not path.is_file():
            raise ValueError(f"{path}: this shard is missing, which {INDEX_NAME} names: copy it again, or write the "
                             "model again")
    return files


def read_index(path: Path) -> dict[str, str]:
    """Tensor -> the shard that holds it.

    Raises:
        ValueError: not an index, or one that names anything but safetensors files beside it.
    """
    try:
        places = json.loads(path.read_text(encoding="utf-8"))["weight_map"]
        good = bool(places) and all(isinstance(file, str) for file in places.values())
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise ValueError(f"{path}: is no index of shards: copy it again, or write the model again")
    for file in places.values():
        if not is_plain_name(file):
            raise ValueError(f"{path}: names {file!r}, which is not a file of its own folder; only shards beside the "
                             "index are read")
        if not file.endswith(".safetensors"):
            raise ValueError(f"{path}: names {file!r}, which is not a safetensors file; nothing else is read")
    return places


def is_plain_name(name: str) -> bool:
    """Whether a name is that of a file directly in a folder, on any system."""
    return name not in ("", ".", "..") and not set(name) & set("/\\:\0")
