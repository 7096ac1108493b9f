"""face-api's expression network: 8-bit weights that this package carries -> a Hugging Face folder in float32.

`face_expression.safetensors` holds each quantised weight as the 8-bit codes of the source with a pair
(scale, minimum): value = code * scale + minimum. Tensors have the names and layouts of `FaceExpressionModel`.
The file was written by `pack` from the npm package @vladmandic/face-api 1.7.15 (MIT, see NOTICE):

    python -m affectgpt.starter.face_expression MODEL_FOLDER face_expression.safetensors
"""

from __future__ import annotations

import json
import os
import re
import sys
from math import prod
from pathlib import Path

from . import save_model

_RANGE = ".range"
_LAYOUTS = {
    "filters": (3, 2, 0, 1),  # height, width, in, out -> out, in, height, width
    "pointwise_filter": (3, 2, 0, 1),
    "depthwise_filter": (2, 3, 0, 1),  # height, width, channel, 1 -> channel, 1, height, width
    "weights": (1, 0),
    "bias": (0,),
}


def convert(sources: dict[str, Path], folder: Path) -> None:
    """Write config and weights of `FaceExpressionModel` into the empty `folder`."""
    import torch
    from safetensors.torch import load_file

    from affectgpt.models.expression import FaceExpressionConfig, FaceExpressionModel

    (path,) = sources.values()
    packed = load_file(path)
    state = {}
    for name, value in packed.items():
        if name.endswith(_RANGE):
            continue
        if value.dtype == torch.uint8:
            scale, minimum = packed[name + _RANGE].tolist()
            value = value.float() * scale + minimum
        state[name] = value
    save_model(folder, FaceExpressionModel, FaceExpressionConfig(), state)


def pack(model_folder: Path, target: Path) -> None:
    """Rewrite face-api's weights (manifest and .bin) as one safetensors file, codes unchanged.

    Raises:
        ValueError: the manifest and the weights do not fit together.
    """
    import numpy as np
    from safetensors.numpy import save_file

    manifest = model_folder / "face_expression_model-weights_manifest.json"
    groups = json.loads(manifest.read_text(encoding="utf-8"))
    tensors, offset = {}, 0
    data = b"".join((model_folder / file).read_bytes() for group in groups for file in group["paths"])
    for entry in (entry for group in groups for entry in group["weights"]):
        quantization = entry.get("quantization")
        dtype = np.dtype(quantization["dtype"] if quantization else "float32")
        size = prod(entry["shape"]) * dtype.itemsize
        if offset + size > len(data):
            raise ValueError(f"{manifest}: {entry['name']} goes past the end of the weights")
        values = np.frombuffer(data, dtype, prod(entry["shape"]), offset).reshape(entry["shape"])
        offset += size
        name, layout = _parameter_name(entry["name"])
        tensors[name] = np.ascontiguousarray(values.transpose(layout))
        if quantization:
            tensors[name + _RANGE] = np.array([quantization["scale"], quantization["min"]], np.float64)
    if offset != len(data):
        raise ValueError(f"{manifest}: {len(data) - offset} bytes of weights are not described")
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    origin = {"source": "@vladmandic/face-api 1.7.15 face_expression", "licence": "MIT"}
    save_file(tensors, temporary, metadata=origin)
    temporary.chmod(0o644)  # safetensors writes private files
    os.replace(temporary, target)


def _parameter_name(source: str) -> tuple[str, tuple[int, ...]]:
    """Name in face-api's manifest -> parameter of FaceExpressionModel, and the order of its axes."""
    parts = source.split("/")
    layout = _LAYOUTS[parts[-1]]
    if parts[0] == "fc":
        return f"classifier.{'bias' if parts[1] == 'bias' else 'weight'}", layout
    block, convolution = (re.sub(r"\D", "", part) for part in parts[:2])
    prefix = f"blocks.{block}.convolutions.{convolution}"
    if (block, convolution) == ("0", "0"):
        return f"{prefix}.{'bias' if parts[2] == 'bias' else 'weight'}", layout
    layer = "depthwise.weight" if parts[2] == "depthwise_filter" else "pointwise"
    if layer == "pointwise":
        layer += ".bias" if parts[2] == "bias" else ".weight"
    return f"{prefix}.{layer}", layout


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
