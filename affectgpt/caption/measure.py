"""What can be measured of a clip without a language model: facts of the voice, probabilities of the face.

Shapes: N samples at 16 kHz, F frames of 10 ms.
"""

from __future__ import annotations

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.media.waveform import SAMPLE_RATE, spoken_part

HOP = SAMPLE_RATE // 100
WINDOW = 4 * HOP  # three periods of the lowest pitch
LOWEST_PITCH, HIGHEST_PITCH = 75, 500
VOICED = 0.5
"""Autocorrelation, of 1 for a perfect period, from which a frame counts as voiced (Boersma 1993 takes 0.45)."""
AUDIBLE_BELOW_PEAK = 25.0
"""dB below the loudest frames up to which a frame counts as speech (de Jong & Wempe 2009)."""
NUCLEUS_DIP = 2.0
"""dB that the level must fall on both sides of a syllable's nucleus (de Jong & Wempe 2009)."""
MIN_VOICED = 5
SIZE, MARGIN = 112, 0.0
"""Pixels of a face, and the room around it: the expression network was trained on tight crops."""


def voice_facts(waveform: np.ndarray) -> dict[str, float] | None:
    """Level, pitch, pitch range and pace of the speech in float32 [N]; None where nothing in it is voiced.

    Returns:
        level: root mean square of the audible frames, dB of full scale. pitch: median in Hz. range: semitones between
        the 10th and the 90th percentile. rate: syllable nuclei a second of the spoken part (peaks of the level that
        are voiced).
    """
    start, end = spoken_part(waveform)
    speech = np.asarray(waveform[start:end], dtype=np.float64)
    if len(speech) < 2 * WINDOW:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(speech, WINDOW)[::HOP]
    frames = frames - frames.mean(axis=1, keepdims=True)
    levels = 10 * np.log10(np.maximum((frames**2).mean(axis=1), 1e-20))
    audible = levels > np.percentile(levels, 95) - AUDIBLE_BELOW_PEAK
    pitch = _pitch(frames)
    voiced = audible & (pitch > 0)
    if voiced.sum() < MIN_VOICED:
        return None
    low, middle, high = np.percentile(pitch[voiced], (10, 50, 90))
    power = (frames[audible] ** 2).mean()
    return {"level": round(float(10 * np.log10(power)), 2), "pitch": round(float(middle), 2),
            "range": round(float(12 * np.log2(high / low)), 2),
            "rate": round(nuclei(levels, voiced) / (len(speech) / SAMPLE_RATE), 3)}


def _pitch(frames: np.ndarray) -> np.ndarray:
    """Hz of each frame [F], 0 where it is not voiced: the first high peak of its autocorrelation over that of its
    window (Boersma 1993)."""
    window = np.hanning(WINDOW + 2)[1:-1]
    size = 2 * WINDOW
    own = np.fft.irfft(np.abs(np.fft.rfft(window, size)) ** 2)[:WINDOW]
    pitch = np.zeros(len(frames))
    shortest, longest = SAMPLE_RATE // HIGHEST_PITCH, SAMPLE_RATE // LOWEST_PITCH
    for begin in range(0, len(frames), 1000):  # ten seconds at a time: memory does not grow with the clip
        part = frames[begin : begin + 1000] * window
        auto = np.fft.irfft(np.abs(np.fft.rfft(part, size)) ** 2)[:, : longest + 2]
        with np.errstate(invalid="ignore", divide="ignore"):
            auto = np.nan_to_num(auto / auto[:, :1]) / (own[: longest + 2] / own[0])
        inner = auto[:, shortest : longest + 1]
        peak = (inner > auto[:, shortest - 1 : longest]) & (inner >= auto[:, shortest + 1 : longest + 2])
        height = np.where(peak, inner, 0)
        best = height.max(axis=1, initial=0)
        # Multiples of the period are as high: the first peak that is nearly as high as the highest is the period.
        first = (height >= 0.9 * best[:, None]).argmax(axis=1)
        pitch[begin : begin + 1000] = np.where(best > VOICED, SAMPLE_RATE / (first + shortest), 0)
    return pitch


def nuclei(levels: np.ndarray, voiced: np.ndarray) -> int:
    """Syllables: peaks of the level, smoothed over 50 ms, that are voiced and stand out (de Jong & Wempe 2009).

    levels: dB of each frame of 10 ms. voiced: bool of each.
    """
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import find_peaks

    smooth = uniform_filter1d(np.maximum(levels, levels.max() - 60), 5)
    peaks, _ = find_peaks(np.pad(smooth, 1, constant_values=smooth.min()), prominence=NUCLEUS_DIP, distance=10)
    return int(voiced[peaks - 1].sum())


class FaceReader:
    """The starter's expression network on the face of a clip; loaded at the first face.

    Args:
        frames: pictures of a video that are looked at.
    """

    def __init__(self, frames: int):
        self.frames, self._model = frames, None

    def facts(self, clip: Clip) -> dict[str, float] | None:
        """Emotion -> mean probability over the frames in which the face is seen; None where there is none.

        Raises:
            MediaError: pictures, crops or face track cannot be read.
        """
        import torch

        from affectgpt.data.reading import read_face

        crops, _ = read_face(clip, self.frames, SIZE, MARGIN)
        if crops.images is None or not crops.detected.any():
            return None
        if self._model is None:
            self._model = expression_network()
        pixels = torch.from_numpy(np.ascontiguousarray(crops.images[crops.detected])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            shares = self._model(pixels).logits.softmax(-1).mean(0)
        return {self._model.config.id2label[index]: round(share, 4) for index, share in enumerate(shares.tolist())}


def expression_network():
    """The starter's expression network, in evaluation mode."""
    from affectgpt import hub
    from affectgpt.models.expression import FaceExpressionModel

    return FaceExpressionModel.from_pretrained(hub.resolve("starter:face-expression")).eval()
