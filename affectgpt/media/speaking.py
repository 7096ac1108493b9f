"""Who speaks: of several faces, the one whose mouth moves with the sound.

The mouth's motion of each face is the difference between neighbouring frames in the lower part of its box, after the
motion of the head has been taken out. It is compared with the logarithm of the sound's loudness, by Pearson's
correlation at the best of a few small lags. The difference between the best two faces, by Fisher's z, gives how sure
the choice is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from affectgpt.media.audio import read_sound
from affectgpt.media.span import Span
from affectgpt.media.tracks import FaceTrack, Tracks
from affectgpt.media.video import probe, read_frames
from affectgpt.models.streams import SAMPLE_RATE

NO_FACE, ONLY, SPEAKER = "no-face", "only-face", "audio-visual"
NO_SOUND, UNDECIDED = "largest-no-sound", "largest-undecided"
RULES = {
    NO_FACE: "no face was found",
    ONLY: "one face was found",
    SPEAKER: "of several faces, the one whose mouth moves with the sound",
    NO_SOUND: "of several faces, the largest: there is no sound",
    UNDECIDED: "of several faces, the largest: no mouth moves with the sound",
}
"""Rule by which a face was chosen -> what it says."""

MOTION_RATE = 25.0
"""Frames a second in which mouths are watched: syllables come four or five times a second."""
MAX_SECONDS = 20.0
"""Of a longer span the middle is watched."""
MIN_FRAMES = 12
LAG_SECONDS = 0.12
"""The mouth opens up to this long before its sound, and files are often out of step by as much."""
MIN_CORRELATION = 0.15
_READ_SIDE = 640
_PATCH, _UPPER = 64, 32
"""Pixels of a face as it is compared; rows of its upper half."""
_BELOW = 1.05
"""Of the height of a box: the chin may lie below it."""
_MOUTH = (slice(38, 62), slice(13, 51))
_FLOOR = 1e-3
"""Of full scale: below, differences of loudness are noise."""
_SMOOTH = 3
_MIN_SHARE = 0.3
"""A face is judged where it is seen in so much of the watched time."""


@dataclass(frozen=True)
class Choice:
    """The face that is meant: `track` (None where there is none), which carries `rule` and `confidence` too.
    `confidence` in 0..1 is how sure the choice is where sound and motion decide, by their correlations alone; 1 for the
    only face and 0 where the size decides. `correlations` has Pearson's r of each track, in their order."""

    track: FaceTrack | None
    confidence: float
    rule: str
    correlations: tuple[float, ...] = ()


def choose_speaker(tracks: Tracks, path: str | Path, span: Span | None = None,
                   audio: str | Path | None = None) -> Choice:
    """The face of who speaks.

    Args:
        tracks: of `find_tracks(path, span)`.
        audio: a sound file that replaces the sound of `path`, with the same clock.
    Raises:
        MediaError: a file that cannot be read.
    """
    if not tracks.tracks:
        return Choice(None, 0.0, NO_FACE)
    if len(tracks.tracks) == 1:
        return _chosen(tracks.tracks[0], 1.0, ONLY)
    largest = max(tracks.tracks, key=lambda track: track.area)
    info = probe(path, span)
    sound = read_sound(audio or path, span=span).waveform if audio or info.has_audio else None
    if sound is None:
        return _chosen(largest, 0.0, NO_SOUND)
    begin = (span or (None, None))[0] or 0.0
    start, end = begin, begin + info.duration
    if info.duration > MAX_SECONDS:
        start += (info.duration - MAX_SECONDS) / 2
        end = start + MAX_SECONDS
    whole = span is None and (start, end) == (begin, begin + info.duration)
    count = int(min(MOTION_RATE * (end - start), info.frames))
    if count < MIN_FRAMES:
        return _chosen(largest, 0.0, UNDECIDED)
    frames = read_frames(path, count, max_side=_READ_SIDE, span=None if whole else (start, end))
    loud = loudness_at(sound, frames.times - begin)
    found = [correlation(mouth_motion(frames.images, frames.times, track), loud, frames.times)
             for track in tracks.tracks]
    values = tuple(value for value, _ in found)
    order = sorted(range(len(found)), key=lambda place: -values[place])
    (first, n), (second, m) = found[order[0]], found[order[1]]
    if first < MIN_CORRELATION or first <= second:
        return replace(_chosen(largest, 0.0, UNDECIDED), correlations=values)
    # Smoothed motion and loudness have fewer independent values than frames.
    spread = math.sqrt(sum(1 / max(1.0, one / _SMOOTH - 3) for one in (n, m)))
    z = (math.atanh(min(first, 0.999)) - math.atanh(max(min(second, 0.999), -0.999))) / spread
    sure = 0.5 * (1 + math.erf(z / math.sqrt(2)))
    return replace(_chosen(tracks.tracks[order[0]], round(sure, 4), SPEAKER), correlations=values)


def _chosen(track: FaceTrack, confidence: float, rule: str) -> Choice:
    return Choice(replace(track, rule=rule, confidence=confidence), confidence, rule)


def mouth_motion(images: np.ndarray, times: np.ndarray, track: FaceTrack) -> np.ndarray:
    """float64 [T]: how much the mouth of a face moved since the frame before; NaN where the face is not seen."""
    import cv2

    height, width = images.shape[1:3]
    step = float(np.median(np.diff(track.times))) if len(track.times) > 1 else 0.0
    boxes = track.at(times) * ([width / track.width, height / track.height] * 2)
    seen = (times >= track.times[0] - step) & (times <= track.times[-1] + step)
    motion = np.full(len(images), np.nan)

    def patch(image: np.ndarray, box: np.ndarray) -> np.ndarray:
        x0, y0, x1, y1 = box
        rows, columns = ([int(np.clip(round(at), 0, most)) for at in (low, high)]
                         for low, high, most in ((y0, y1 + (_BELOW - 1) * (y1 - y0), height), (x0, x1, width)))
        cut = image[rows[0] : max(rows[1], rows[0] + 1), columns[0] : max(columns[1], columns[0] + 1)]
        if not cut.size:
            return np.zeros((_PATCH, _PATCH), dtype=np.float32)
        grey = cv2.cvtColor(np.ascontiguousarray(cut), cv2.COLOR_RGB2GRAY)
        return cv2.resize(grey, (_PATCH, _PATCH), interpolation=cv2.INTER_AREA).astype(np.float32)

    window = cv2.createHanningWindow((_PATCH, _UPPER), cv2.CV_32F)
    for number in range(1, len(images)):
        if seen[number] and seen[number - 1]:
            # Both frames at one place: a box that moves by a pixel is no motion of the mouth. Nor is a head that moves:
            # the upper half tells how far, and the frame before is moved by as much.
            before, now = patch(images[number - 1], boxes[number]), patch(images[number], boxes[number])
            (x, y), _ = cv2.phaseCorrelate(before[:_UPPER], now[:_UPPER], window)
            if max(abs(x), abs(y)) < _PATCH / 8:
                before = cv2.warpAffine(before, np.array([[1, 0, x], [0, 1, y]]), (_PATCH, _PATCH),
                                        borderMode=cv2.BORDER_REPLICATE)
            motion[number] = np.abs(now - before)[_MOUTH].mean()
    return motion


def loudness_at(waveform: np.ndarray, times: np.ndarray) -> np.ndarray:
    """float64 [T]: logarithm of the sound's root mean square between each frame and the one before."""
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.04
    half = max(1, round(step * SAMPLE_RATE / 2))
    sums = np.concatenate([[0.0], np.cumsum(waveform.astype(np.float64) ** 2)])
    centres = np.round((times - step / 2) * SAMPLE_RATE).astype(int)
    low, high = np.clip(centres - half, 0, len(waveform)), np.clip(centres + half, 0, len(waveform))
    level = np.sqrt(np.maximum(sums[high] - sums[low], 0) / np.maximum(high - low, 1))
    return np.log(level + _FLOOR)


def correlation(motion: np.ndarray, loud: np.ndarray, times: np.ndarray) -> tuple[float, int]:
    """(Pearson's r of motion and loudness at the best of a few lags, frames that it was computed from); 0 where there
    are too few frames, or one of them does not change."""
    step = float(np.median(np.diff(times))) or 0.04
    best, number = 0.0, 0
    motion, loud = _smooth(motion), _smooth(loud)
    for lag in range(-round(LAG_SECONDS / step), round(LAG_SECONDS / step) + 1):
        a = motion[max(0, lag) : len(motion) + min(0, lag)]
        b = loud[max(0, -lag) : len(loud) + min(0, -lag)]
        there = np.isfinite(a) & np.isfinite(b)
        if there.sum() < max(MIN_FRAMES, _MIN_SHARE * len(motion)):
            continue
        a, b = a[there], b[there]
        if a.std() < 1e-6 or b.std() < 1e-9:
            continue
        value = float(np.corrcoef(a, b)[0, 1])
        if value > best:
            best, number = value, len(a)
    return best, number


def _smooth(values: np.ndarray) -> np.ndarray:
    """The mean of `_SMOOTH` neighbours; NaN beside NaN."""
    padded = np.pad(values, _SMOOTH // 2, mode="edge")
    return np.convolve(padded, np.ones(_SMOOTH) / _SMOOTH, mode="valid")
