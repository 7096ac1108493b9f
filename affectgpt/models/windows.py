"""Sound -> the windows that an audio encoder hears at once.

Shapes: N samples, T windows, L samples of a window.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from affectgpt.models.streams import SAMPLE_RATE

SEGMENT_RULES = ("cover", "published")
MIN_WINDOW_SAMPLES = 1600
"""Windows are zero-padded to 0.1 s: convolutional front ends give no output below 400 samples."""


def cut_windows(waveform: np.ndarray, config) -> tuple[Tensor, Tensor]:
    """16 kHz samples [N] -> windows [T, 1, L] and their lengths [T]; together they cover the whole clip."""
    if config.audio_pooling == "segment":
        windows = segments(waveform, config.audio_segments, config.audio_window_seconds, config.audio_sampling)
        return torch.from_numpy(windows)[:, None], torch.full((len(windows),), windows.shape[1])
    limit = int(config.audio_window_seconds * SAMPLE_RATE)
    count = max(1, math.ceil(len(waveform) / limit))
    length = math.ceil(len(waveform) / count)
    windows = torch.zeros(count, 1, length)
    lengths = torch.zeros(count, dtype=torch.long)
    for index in range(count):
        part = torch.from_numpy(waveform[index * length : (index + 1) * length])
        windows[index, 0, : len(part)] = part
        lengths[index] = len(part)
    return windows, lengths


def segments(waveform: np.ndarray, count: int, seconds: float, rule: str = "cover") -> np.ndarray:
    """`count` windows of equal length out of a waveform [N]: float32 [count, L], L = seconds * 16000.

    "cover": equally spaced, the first at the start and the last at the end of the clip. Nothing is
    missed: where count * seconds is shorter than the clip, L grows to N / count. "published": window i
    starts at i * (duration - seconds) / count as in the official system, so the end is never heard.
    A clip shorter than a window is padded with zeros at its end.
    """
    length = round(seconds * SAMPLE_RATE)
    if count < 1 or length < 1:
        raise ValueError(f"cannot cut {count} segments of {seconds} s: both must be positive")
    if rule not in SEGMENT_RULES:
        raise ValueError(f"unknown segment rule {rule!r}: choose one of {', '.join(SEGMENT_RULES)}")
    waveform = np.asarray(waveform, dtype=np.float32)
    if rule == "cover":
        length = max(length, -(-len(waveform) // count))
    waveform = np.pad(waveform, (0, max(0, length - len(waveform))))
    if rule == "cover":
        starts = np.linspace(0, len(waveform) - length, count).round().astype(int)
    else:
        # Exact fractions of the float duration, as pytorchvideo computes them.
        spare = Fraction(max(len(waveform) / SAMPLE_RATE - seconds, 0))
        starts = [int(spare / count * index * SAMPLE_RATE) for index in range(count)]
    return np.stack([waveform[start:start + length] for start in starts])
