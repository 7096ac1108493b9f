"""What is done with a waveform once it is read: its speed, its levels, the part of it that is spoken."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from affectgpt.models.streams import SAMPLE_RATE

SILENCE_LEVEL = 10 ** (-75 / 20)
"""Root mean square of full scale, below which no tenth of a second may be heard. Recorded speech has been seen at
-57 dB, and noise of 16-bit rounding lies at -93 dB and below."""
TENTH = SAMPLE_RATE // 10
_SLICE = 600 * TENTH  # a minute: hours of sound are not copied whole


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Samples [N] -> [N / speed]: the same sound played faster or slower, pitch and formants with it."""
    if speed == 1.0:
        return waveform
    from scipy.signal import resample_poly

    ratio = Fraction(speed).limit_denominator(100)
    return resample_poly(waveform, ratio.denominator, ratio.numerator).astype(np.float32)


def loudness(waveform: np.ndarray, step: int = TENTH) -> np.ndarray:
    """Root mean square of each step of a waveform [N], float32 [ceil(N / step)]; a constant offset is no sound."""
    whole = len(waveform) // step * step
    parts = [waveform[:whole].reshape(-1, step)]
    if whole < len(waveform):
        parts.append(waveform[None, whole:])
    return np.concatenate([part.std(axis=1) for part in parts])


def is_silent(waveform: np.ndarray) -> bool:
    """Whether nothing can be heard in float32 [N]: digital silence, a constant, or far below any recorded voice."""
    slices = range(0, len(waveform), _SLICE)
    return all(loudness(waveform[start : start + _SLICE]).max() < SILENCE_LEVEL for start in slices)


def _levels(waveform: np.ndarray, hop: int) -> np.ndarray:
    """Level in dB of each step of `hop` samples; -200 for digital silence."""
    steps = np.asarray(waveform, dtype=np.float64)[: len(waveform) // hop * hop].reshape(-1, hop)
    steps = steps - steps.mean(axis=1, keepdims=True)
    return 10 * np.log10(np.maximum((steps**2).mean(axis=1), 1e-20))


def spoken_part(waveform: np.ndarray) -> tuple[int, int]:
    """(start, end) in samples of what is not silence; the whole clip where that cannot be told.

    The border lies between the clip's own floor and peak, so it works for very quiet recordings.
    """
    hop = SAMPLE_RATE // 50  # 20 ms
    if len(waveform) < 10 * hop:
        return 0, len(waveform)
    levels = _levels(waveform, hop)
    # Medians of three steps: a click is no speech.
    levels = np.median(np.stack([np.roll(levels, -1), levels, np.roll(levels, 1)]), axis=0)
    peak = np.percentile(levels, 95)
    floor = max(np.percentile(levels, 5), peak - 60)
    if peak - floor < 12 or peak < -120:
        return 0, len(waveform)
    loud = np.flatnonzero(levels > floor + 0.35 * (peak - floor))
    margin = 5  # 100 ms: soft beginnings and fading ends
    return max(0, int(loud[0] - margin) * hop), min(len(waveform), int(loud[-1] + 1 + margin) * hop)
