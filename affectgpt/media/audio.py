"""Sound of a media file -> waveform, windows of it, and the part of it that is spoken."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from affectgpt.media import MediaError
from affectgpt.media.container import check_whole, is_image, open_media
from affectgpt.models.streams import SAMPLE_RATE

# libav refuses single packets of many sound files that play well elsewhere (junk after a tag).
MAX_BAD_PACKETS = 0.01


def read_audio(path: str | Path) -> np.ndarray | None:
    """The whole sound of a file: float32 [N], 16 kHz, the mean of its channels, in [-1, 1].

    None where the file has no sound. Raises MediaError for a file that is missing, empty, cut off or broken.
    """
    path = Path(path)
    if is_image(path):
        return None
    with open_media(path) as container:
        if not container.streams.audio:
            return None
        stream = container.streams.audio[0]
        check_whole(path, container, stream)
        pieces, packets, bad = [], 0, 0
        # The channel layout stays as it is: libav's own mixing down weighs the channels.
        resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
        for packet in container.demux(stream):
            packets += 1
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                bad += 1
                continue
            for frame in frames:
                frame.pts = None  # gaps in the time stamps are no silence
                pieces += _mono(path, resampler, frame)
        pieces += _mono(path, resampler, None)
    if bad > max(1, MAX_BAD_PACKETS * packets) or not pieces:
        raise MediaError(f"{path}: {bad} of {packets} sound packets cannot be decoded; re-encode the file")
    return np.clip(np.concatenate(pieces), -1.0, 1.0)


def _mono(path: Path, resampler: av.AudioResampler, frame: av.AudioFrame | None) -> list[np.ndarray]:
    try:
        return [part.to_ndarray().mean(axis=0, dtype=np.float32) for part in resampler.resample(frame)]
    except ValueError as error:  # also libav's own errors
        raise MediaError(f"{path}: the sound changes its format on the way; re-encode the file") from error


def change_speed(waveform: np.ndarray, speed: float) -> np.ndarray:
    """Samples [N] -> [N / speed]: the same sound played faster or slower, pitch and formants with it."""
    if speed == 1.0:
        return waveform
    from scipy.signal import resample_poly

    ratio = Fraction(speed).limit_denominator(100)
    return resample_poly(waveform, ratio.denominator, ratio.numerator).astype(np.float32)


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
