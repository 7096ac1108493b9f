"""Weights as transformers writes them: read without copying, written tensor by tensor.

Reading maps files into memory: a tensor takes memory when it is touched, and pages that were only read can be given
back. Writing makes one tensor at a time, so that a model which does not fit into memory can be written.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from affectgpt.models.weight_files import INDEX_NAME, WEIGHTS_NAME, shard_name, weight_files

MAX_SHARD_SIZE = "50GB"
"""As in transformers: who publishes a large model asks for less."""
_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_CODES = {torch.float64: "F64", torch.int64: "I64", torch.float32: "F32", torch.int32: "I32", torch.bfloat16: "BF16",
          torch.float16: "F16", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
          torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2"}
Form = tuple[tuple[int, ...], torch.dtype]
"""(shape, number format) of a tensor that may not exist yet."""


def read_tensors(source: str | Path) -> dict[str, Tensor]:
    """Name -> tensor of a model folder or of one file, mapped from disk, in the order of the files.

    Raises:
        ValueError: as `weight_files`; a file that is cut off or damaged, and shards that hold other tensors than their
            index says.
    """
    tensors: dict[str, Tensor] = {}
    for path, names in _checked_files(source).items():
        with safe_open(path, framework="pt") as file:
            tensors |= {name: file.get_tensor(name) for name in names}
    return tensors


class StoredTensors(Mapping):
    """The tensors of a model folder, each mapped anew when it is asked for: nothing of the others stays in memory.

    `shapes` is name -> shape, from the headers. Raises ValueError as `read_tensors`.
    """

    def __init__(self, source: str | Path, prefix: str = ""):
        self._places = {}
        self.shapes = {}
        for path, names in _checked_files(source).items():
            with safe_open(path, framework="pt") as file:
                for name in names:
                    self._places[prefix + name] = (path, name)
                    self.shapes[prefix + name] = tuple(file.get_slice(name).get_shape())

    def __getitem__(self, name: str) -> Tensor:
        path, own = self._places[name]
        with safe_open(path, framework="pt") as file:
            return file.get_tensor(own)

    def __iter__(self):
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _checked_files(source: str | Path) -> dict[Path, list[str]]:
    """File -> the names of its tensors, all of which can be read and are those that the index says."""
    files = weight_files(source) if Path(source).is_dir() else {Path(source): None}
    checked = {}
    for path, expected in files.items():
        try:
            with safe_open(path, framework="pt") as file:
                found = list(file.keys())
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} cannot be read ({error}): the model is half written; copy it again, or train it "
                             "again") from error
        if expected is not None and set(expected) != set(found):
            lost, more = sorted(set(expected) - set(found)), sorted(set(found) - set(expected))
            raise ValueError(f"{path} does not hold what {INDEX_NAME} says: {len(lost)} tensors are missing "
                             f"({', '.join(lost[:2])}), {len(more)} are unknown ({', '.join(more[:2])})")
        checked[path] = found
    return checked


def bytes_of(size: int | str) -> int:
    """A number of bytes, also from a text such as "5GB". Raises ValueError for anything else, and for nothing."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]B)?\s*", str(size).upper())
    count = int(float(found[1]) * _UNITS[found[2] or ""]) if found else 0
    if count < 1:
        raise ValueError(f"{size!r} is not a size of shards: use a number of bytes, or one with KB, MB or GB, for "
                         "example 5GB")
    return count


def tensor_bytes(form: Form) -> int:
    """Bytes of a tensor of this shape and format."""
    return prod(form[0]) * form[1].itemsize


def plan_shards(forms: dict[str, Form], max_shard_size: int | str = MAX_SHARD_SIZE) -> list[list[str]]:
    """Names of the tensors of each shard, in their order; a tensor that is larger than a shard has its own."""
    limit, shards, filled = bytes_of(max_shard_size), [[]], 0
    for name, form in forms.items():
        size = tensor_bytes(form)
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return shards


def write_tensors(folder: str | Path, forms: dict[str, Form], tensor_of: Callable[[str], Tensor],
                  max_shard_size: int | str = MAX_SHARD_SIZE, progress: Callable[[Iterable[str]], Iterable[str]] = iter
                  ) -> list[Path]:
    """Write model.safetensors, or shards and their index where the tensors are larger; returns the files of weights.

    What the folder held before is replaced at the end only; until the last file is there nobody can read it.

    Args:
        forms: every tensor's shape and format, known before it is made.
        tensor_of: makes the tensor of a name; called once each, in the order of the files.
        progress: wraps the names as they are written, for example in a bar.
    Raises:
        ValueError: a tensor that is not what `forms` says.
    """
    folder, shards = Path(folder), plan_shards(forms, max_shard_size)
    names = [shard_name(number, len(shards)) for number in range(1, len(shards) + 1)]
    temporary = [folder / f".{name}.{os.getpid()}.tmp" for name in names]
    # Larger numbers first: every tensor then begins at a multiple of its own size.
    shards = [sorted(shard, key=lambda name: -forms[name][1].itemsize) for shard in shards]
    tensors = ((name, tensor_of(name)) for name in progress([name for shard in shards for name in shard]))
    try:
        for path, shard in zip(temporary, shards, strict=True):
            _write_file(path, {name: forms[name] for name in shard}, tensors)
        old = [path for path in folder.glob("model*.safetensors") if path.name not in names]
        if len(shards) > 1:
            (folder / INDEX_NAME).unlink(missing_ok=True)
            (folder / WEIGHTS_NAME).unlink(missing_ok=True)
        for path, name in zip(temporary, names, strict=True):
            os.replace(path, folder / name)
        if len(shards) > 1:
            index = {"metadata": {"total_size": sum(map(tensor_bytes, forms.values()))},
                     "weight_map": {name: file for file, shard in zip(names, shards, strict=True) for name in shard}}
            part = folder / f".{INDEX_NAME}.{os.getpid()}.tmp"
            part.write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
            os.replace(part, folder / INDEX_NAME)
        else:
            (folder / INDEX_NAME).unlink(missing_ok=True)
        for path in old:
            path.unlink(missing_ok=True)
    finally:
        for path in temporary:
            path.unlink(missing_ok=True)
    return [folder / name for name in names]


def _write_file(path: Path, forms: dict[str, Form], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """One safetensors file: the length of its header, the header, the tensors one after another."""
    header, start = {"__metadata__": {"format": "pt"}}, 0
    for name, (shape, dtype) in forms.items():
        end = start + tensor_bytes((shape, dtype))
        header[name] = {"dtype": _CODES[dtype], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, form in forms.items():
            own, tensor = next(tensors)
            if own != name or (tuple(tensor.shape), tensor.dtype) != form:
                raise ValueError(f"{own} is {list(tensor.shape)} {tensor.dtype}, and {name} {list(form[0])} {form[1]} "
                                 "was to be written")
            flat = tensor.detach().cpu().contiguous().reshape(-1)
            file.write(memoryview(flat.view(torch.uint8).numpy()))
            del tensor, flat
