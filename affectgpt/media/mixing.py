"""Decoded sound of any format -> one channel of 16 kHz, a second at a time."""

from __future__ import annotations

from math import sqrt

import av
import numpy as np

from affectgpt.media.limits import MAX_CHANNELS, MAX_SAMPLE_RATE, MIN_SAMPLE_RATE
from affectgpt.models.streams import SAMPLE_RATE

# ITU-R BS.775-3, table 2, both sides summed up; what `ffmpeg -ac 1` mixes with. Centre speakers carry speech; the
# channel of low effects carries none.
_WEIGHTS = {"FL": 1.0, "FR": 1.0, "DL": 1.0, "DR": 1.0, "FLC": 1.0, "FRC": 1.0, "FC": sqrt(2), "LFE": 0.0, "LFE2": 0.0}
_OTHER = sqrt(0.5)
_USUAL = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""Layout that players assume where a file tells only how many channels there are."""
_LOUDEST = 1e6
"""Of full scale. Such a sample is damage like one that is no number; whole numbers written as floats are below."""
_CANCELLED = 0.1
"""Of the energy that channels without relation would have together: a mix below has lost its sound."""
_CANCELLED_PART = 0.1
"""Of a clip's energy: where more of it is lost, one channel is heard instead of the mix."""


class UnknownSound(ValueError):
    """Sound that is not heard: its rate or its number of channels."""


def weights(layout: av.AudioLayout) -> np.ndarray:
    """What each channel counts in the mix, float32 [C], together 1, so that no mix is louder than its channels."""
    names = [channel.name for channel in layout.channels]
    if len(set(names)) < len(names) or not set(names) & {"FL", "FR", "FC", "DL", "DR"}:
        if len(names) in _USUAL and names != ["LFE"]:
            names = [channel.name for channel in av.AudioLayout(_USUAL[len(names)]).channels]
    values = np.array([_WEIGHTS.get(name, _OTHER) for name in names], dtype=np.float32)
    return values / values.sum() if values.any() else np.full(len(names), 1 / len(names), dtype=np.float32)


class Mixer:
    """Decoded frames in, float32 [n] of 16 kHz out, as they come: the mix, or `channel` alone; without the first
    `skipped` decoded samples."""

    def __init__(self, channel: int | None = None, skipped: int = 0):
        self.channel, self._skipped = channel, skipped
        self.samples = self.bad = 0
        """Numbers decoded in all channels, and those of them that are not finite or absurd; they become 0."""
        self._energy = np.zeros(0)
        self._expected = self._lost = 0.0
        self._format: tuple | None = None

    def add(self, frame: av.AudioFrame) -> list[np.ndarray]:
        """Samples that are complete after this frame. Raises UnknownSound."""
        frame.pts = None  # gaps in the time stamps are no silence
        done = []
        form = frame.format.name, frame.sample_rate, frame.layout.name
        if form != self._format:
            done = self.flush()
            self._open(form, frame.layout)
        self._waiting.write(frame)
        if self._skipped:
            gone = min(self._skipped, self._waiting.samples)
            self._waiting.read(gone)
            self._skipped -= gone
        # A call costs more than the samples of a short packet, so they wait for each other.
        if self._waiting.samples >= frame.sample_rate:
            done += self._take()
        return done

    def flush(self) -> list[np.ndarray]:
        """What is left at the end, or where the format changes."""
        if self._format is None:
            return []
        done = self._take() if self._waiting.samples else []
        for part in self._interleave.resample(None):
            done += self._resample(part)
        done += self._finished(self._resampler.resample(None))
        self._format = None
        return done

    def best_channel(self) -> int | None:
        """The loudest channel, where channels cancel each other in the mix; None where the mix is sound."""
        if self._lost <= _CANCELLED_PART * self._expected or not self._expected:
            return None
        return int(self._energy.argmax())

    def _open(self, form: tuple, layout: av.AudioLayout) -> None:
        _, rate, _ = form
        channels = layout.nb_channels
        if not MIN_SAMPLE_RATE <= rate <= MAX_SAMPLE_RATE:
            raise UnknownSound(f"its sound has {rate} samples a second, and {MIN_SAMPLE_RATE} to {MAX_SAMPLE_RATE} are "
                               "heard")
        if not 1 <= channels <= MAX_CHANNELS:
            raise UnknownSound(f"its sound has {channels} channels, and 1 to {MAX_CHANNELS} are heard")
        # PyAV reads past the planes of a frame that has many, so channels are only looked at interleaved.
        self._interleave = av.AudioResampler(format="flt")
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
        self._rate = rate
        self._waiting, self._format, self._weights = av.AudioFifo(), form, weights(layout)
        if self.channel is not None:
            self._weights = np.eye(channels, dtype=np.float32)[min(self.channel, channels - 1)]
        if len(self._energy) < channels:
            self._energy = np.pad(self._energy, (0, channels - len(self._energy)))

    def _take(self) -> list[np.ndarray]:
        block = self._waiting.read()
        block.pts = None
        return [samples for part in self._interleave.resample(block) for samples in self._resample(part)]

    def _resample(self, part: av.AudioFrame) -> list[np.ndarray]:
        channels = part.to_ndarray().reshape(-1, part.layout.nb_channels)  # [n, C]
        bad = ~(np.abs(channels) <= _LOUDEST)
        if bad.any():
            channels = np.where(bad, np.float32(0), channels)  # before the filter of the resampler spreads them
            self.bad += int(bad.sum())
        self.samples += channels.size
        mono = av.AudioFrame.from_ndarray(self._mix(channels)[None], format="flt", layout="mono")
        mono.sample_rate = self._rate
        return self._finished(self._resampler.resample(mono))

    def _mix(self, channels: np.ndarray) -> np.ndarray:
        """float32 [n, C] -> [n]."""
        if channels.shape[1] == 1:
            return np.ascontiguousarray(channels[:, 0])
        mix = channels @ self._weights
        if self.channel is None:
            energy = channels.var(axis=0, dtype=np.float64) * len(channels)
            expected = float((self._weights.astype(np.float64) ** 2 * energy).sum())
            self._energy[: len(energy)] += energy * (self._weights > 0)
            self._expected += expected
            self._lost += expected if mix.var(dtype=np.float64) * len(mix) < _CANCELLED * expected else 0.0
        return mix

    @staticmethod
    def _finished(parts: list[av.AudioFrame]) -> list[np.ndarray]:
        return [np.clip(part.to_ndarray()[0], -1.0, 1.0) for part in parts]
