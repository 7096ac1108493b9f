"""A face -> 468 landmarks: the face mesh network of MediaPipe in plain torch, with its weights in this package.

Architecture and weights of `face_landmark.tflite` in the Python package mediapipe 0.10.21 (Apache-2.0, see NOTICE):
residual blocks of a depthwise and a pointwise convolution, 192 x 192 RGB in, 468 points and a face score out.
`face_mesh.safetensors` (float16, as in the source) was written by `affectgpt/starter/face_mesh_weights.py`.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WEIGHTS = Path(__file__).with_name("face_mesh.safetensors")
SIZE, POINTS = 192, 468
"""Pixels of the square that the network sees; landmarks that it gives."""
TRUNK = ((16, False), (16, False), (32, True), (32, False), (32, False), (64, True), (64, False), (64, False),
         (128, True), (128, False), (128, False), (128, True), (128, False), (128, False))
"""(channels, whether the size is halved) of each block that both outputs share."""


class Block(nn.Module):
    """A depthwise and a pointwise convolution beside their input, which is pooled and widened where needed."""

    def __init__(self, inputs: int, outputs: int, halve: bool):
        super().__init__()
        self.halve, self.more = halve, outputs - inputs
        self.depthwise = nn.Conv2d(inputs, inputs, 3, 2 if halve else 1, 0 if halve else 1, groups=inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1)
        self.rectifier = nn.PReLU(outputs)

    def forward(self, x: Tensor) -> Tensor:
        beside = F.max_pool2d(x, 2) if self.halve else x
        if self.more:
            beside = F.pad(beside, (0, 0, 0, 0, 0, self.more))
        # TensorFlow's "same" padding: an even size is padded at its end only.
        changed = self.pointwise(self.depthwise(F.pad(x, (0, 1, 0, 1)) if self.halve else x))
        return self.rectifier(changed + beside)


class FaceMesh(nn.Module):
    """Squares around faces -> landmarks and how sure it is that there is a face."""

    def __init__(self):
        super().__init__()
        self.start = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.PReLU(16))
        widths = [16, *(width for width, _ in TRUNK)]
        self.trunk = nn.Sequential(*(Block(before, width, halve)
                                     for before, (width, halve) in zip(widths, TRUNK)))
        self.points = nn.Sequential(Block(128, 128, True), Block(128, 128, False), Block(128, 128, False),
                                    nn.Conv2d(128, 32, 1), nn.PReLU(32), Block(32, 32, False),
                                    nn.Conv2d(32, 3 * POINTS, 3))
        self.face = nn.Sequential(Block(128, 128, True), nn.Conv2d(128, 32, 1), nn.PReLU(32), Block(32, 32, False),
                                  nn.Conv2d(32, 1, 3))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """(landmarks [N, 468, 3] in pixels of the square, depth in the same unit; face scores [N] in 0..1).

        pixels: [N, 3, 192, 192] RGB in 0..255, uint8 or float.
        Raises:
            ValueError: another shape.
        """
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, SIZE, SIZE):
            raise ValueError(f"pixels is {list(pixels.shape)}: give RGB squares as [N, 3, {SIZE}, {SIZE}]")
        x = (pixels.float() / 255).to(memory_format=torch.channels_last)
        shared = self.trunk(self.start(F.pad(x, (0, 1, 0, 1))))
        return self.points(shared).reshape(-1, POINTS, 3), self.face(shared).reshape(-1).sigmoid()


def load_face_mesh() -> FaceMesh:
    """The network with its weights, in float32 and in evaluation mode."""
    from safetensors.torch import load_file

    model = FaceMesh()
    model.load_state_dict({name: value.float() for name, value in load_file(WEIGHTS).items()})
    return model.eval()
