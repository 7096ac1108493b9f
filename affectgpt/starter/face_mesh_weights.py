"""Rewrites MediaPipe's `face_landmark.tflite` as `face_mesh.safetensors`, float16 values unchanged.

How the bundled file was made (the package tflite reads the format; neither package is needed afterwards):

    pip download --no-deps mediapipe==0.10.21 && unzip mediapipe-*.whl 'mediapipe/modules/face_landmark/*.tflite'
    pip install tflite==2.18.0
    python -m affectgpt.starter.face_mesh_weights mediapipe/modules/face_landmark/face_landmark.tflite \
        affectgpt/starter/face_mesh.safetensors
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

SOURCE_SHA256 = "1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814"
BLOCKS = 14
"""Blocks of `FaceMesh.trunk`."""


def layers() -> dict[str, str]:
    """Module of `FaceMesh` -> the source's layer; in the source they are numbered as they run."""
    def block(module: str, depthwise: int, pointwise: int, rectifier: int) -> dict[str, str]:
        return {f"{module}.depthwise": f"depthwise_conv2d_{depthwise}", f"{module}.pointwise": f"conv2d_{pointwise}",
                f"{module}.rectifier": f"p_re_lu_{rectifier}"}

    found = {"start.0": "conv2d_1", "start.1": "p_re_lu_1"}
    for number in range(BLOCKS):
        found |= block(f"trunk.{number}", number + 1, number + 2, number + 2)
    for number in range(3):
        at = BLOCKS + number + 1
        found |= block(f"points.{number}", at, at + 1, at + 1)
    found |= {"points.3": "conv2d_19", "points.4": "p_re_lu_19", **block("points.5", 18, 20, 20),
              "points.6": "conv2d_21"}
    return found | {**block("face.0", 23, 28, 26), "face.1": "conv2d_29", "face.2": "p_re_lu_27",
                    **block("face.3", 24, 30, 28), "face.4": "conv2d_31"}


def pack(source: Path, target: Path) -> None:
    """Write the weights of a TensorFlow Lite file under the names and layouts of `FaceMesh`.

    Raises:
        ValueError: another file than the one of mediapipe 0.10.21.
    """
    import numpy as np
    import tflite
    from safetensors.numpy import save_file

    data = source.read_bytes()
    if (found := hashlib.sha256(data).hexdigest()) != SOURCE_SHA256:
        raise ValueError(f"{source}: has the SHA-256 {found}, and mediapipe 0.10.21 carries {SOURCE_SHA256}")
    model = tflite.Model.GetRootAsModel(data, 0)
    graph = model.Subgraphs(0)
    values = {}
    for number in range(graph.TensorsLength()):
        tensor = graph.Tensors(number)
        buffer = model.Buffers(tensor.Buffer())
        if tensor.Type() == tflite.TensorType.FLOAT16 and buffer.DataLength():
            values[tensor.Name().decode()] = np.frombuffer(
                buffer.DataAsNumpy().tobytes(), np.float16).reshape(tensor.ShapeAsNumpy())
    tensors = {}
    for module, layer in layers().items():
        if layer.startswith("p_re_lu"):
            tensors[f"{module}.weight"] = values[f"{layer}/Alpha"].reshape(-1)
            continue
        kernel = values[f"{layer}/Kernel"]  # out, height, width, in; of a depthwise one 1, height, width, channel
        order = (3, 0, 1, 2) if layer.startswith("depthwise") else (0, 3, 1, 2)
        tensors[f"{module}.weight"] = np.ascontiguousarray(kernel.transpose(order))
        tensors[f"{module}.bias"] = values[f"{layer}/Bias"]
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    origin = {"source": "mediapipe 0.10.21 face_landmark.tflite", "licence": "Apache-2.0"}
    save_file(tensors, temporary, metadata=origin)
    temporary.chmod(0o644)  # safetensors writes private files
    os.replace(temporary, target)


if __name__ == "__main__":
    pack(Path(sys.argv[1]), Path(sys.argv[2]))
