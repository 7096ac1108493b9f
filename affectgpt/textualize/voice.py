"""Facts of a voice, measured by librosa or by openSMILE's eGeMAPS set.

Shapes: N samples at 16 kHz, F frames of 10 ms.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from affectgpt.caption.measure import AUDIBLE_BELOW_PEAK, HOP, MIN_VOICED, VOICED, nuclei
from affectgpt.media.waveform import SAMPLE_RATE, spoken_part

FACTS = ("pitch", "pitch range", "final pitch", "loudness", "loudness range", "tempo", "brightness", "harmonicity",
         "steadiness")
"""pitch: median, semitones above 27.5 Hz. pitch range: semitones between the 10th and 90th percentile. final pitch: of
the last fifth of the voiced frames against the median, semitones. loudness: dB of full scale. loudness range: standard
deviation of the level, dB. tempo: syllables a second. brightness: energy of 1 to 5 kHz against that below, dB (the
alpha ratio). harmonicity: periodic against noisy energy, dB. steadiness: minus the mean change of the period from frame
to frame, in percent (a jitter of frames, not of periods)."""

LOWEST_PITCH, HIGHEST_PITCH = 75.0, 500.0
WINDOW = 2 * 1024
"""Samples of a frame; yin compares a half of it with what follows."""
_BASE = 27.5

EGEMAPS = {
    "pitch": ("F0semitoneFrom27.5Hz_sma3nz_percentile50.0", 1), "loudness": ("equivalentSoundLevel_dBp", 1),
    "pitch range": ("F0semitoneFrom27.5Hz_sma3nz_pctlrange0-2", 1), "tempo": ("loudnessPeaksPerSec", 1),
    "loudness range": ("loudness_sma3_stddevNorm", 1), "brightness": ("alphaRatioV_sma3nz_amean", 1),
    "harmonicity": ("HNRdBACF_sma3nz_amean", 1), "steadiness": ("jitterLocal_sma3nz_amean", -1),
}
"""Fact -> feature of eGeMAPSv02 and its sign; a set of openSMILE has no final pitch."""


def voice_facts(waveform: np.ndarray, backend: str = "librosa") -> dict[str, float] | None:
    """Facts of the speech in float32 [N], some or all of `FACTS`; None where nothing in it is voiced.

    Raises:
        ValueError: the backend is not installed.
    """
    return _opensmile(waveform) if backend == "opensmile" else _librosa(waveform)


def _librosa(waveform: np.ndarray) -> dict[str, float] | None:
    librosa = load_librosa()
    start, end = spoken_part(waveform)
    speech = np.asarray(waveform[start:end], dtype=np.float32)
    if len(speech) < 2 * WINDOW:
        return None
    level = 20 * np.log10(np.maximum(librosa.feature.rms(y=speech, frame_length=WINDOW // 2, hop_length=HOP)[0], 1e-10))
    period = SAMPLE_RATE / librosa.yin(speech, fmin=LOWEST_PITCH, fmax=HIGHEST_PITCH, sr=SAMPLE_RATE,
                                       frame_length=WINDOW, hop_length=HOP)
    count = min(len(level), len(period))
    level, period = level[:count], period[:count]
    periodic = _periodicity(speech, period)
    voiced = (periodic > VOICED) & (level > np.percentile(level, 95) - AUDIBLE_BELOW_PEAK)
    if voiced.sum() < MIN_VOICED:
        return None
    pitch = 12 * np.log2(SAMPLE_RATE / period[voiced] / _BASE)
    low, middle, high = np.percentile(pitch, (10, 50, 90))
    audible = level > np.percentile(level, 95) - AUDIBLE_BELOW_PEAK
    power = np.abs(librosa.stft(speech, n_fft=WINDOW // 2, hop_length=HOP))[:, :count] ** 2
    heard = power[:, voiced[: power.shape[1]]].mean(1)
    bins = np.arange(len(heard)) * SAMPLE_RATE / (WINDOW // 2)
    share = np.clip(periodic[voiced], 0.01, 0.999)
    both = voiced[1:] & voiced[:-1]
    change = np.abs(np.diff(period))[both] / period[1:][both]
    # An octave that yin jumps over is no unsteadiness of the voice.
    change = change[change < 0.2]
    facts = {
        "pitch": middle, "pitch range": high - low,
        "final pitch": np.median(pitch[-max(3, len(pitch) // 5):]) - middle,
        "loudness": 10 * np.log10(np.mean(10 ** (level[audible] / 10))), "loudness range": level[audible].std(),
        "tempo": nuclei(level, voiced) / (len(speech) / SAMPLE_RATE),
        "brightness": 10 * np.log10(max(heard[(bins >= 1000) & (bins < 5000)].sum(), 1e-20)
                                    / max(heard[(bins >= 50) & (bins < 1000)].sum(), 1e-20)),
        "harmonicity": np.mean(10 * np.log10(share / (1 - share))),
        "steadiness": -100 * (change.mean() if len(change) else 0.0),
    }
    return {name: round(float(facts[name]), 4) for name in FACTS}


def _periodicity(speech: np.ndarray, period: np.ndarray) -> np.ndarray:
    """Correlation, at most 1, of a stretch around the centre of each frame with the one a period later, [F]."""
    size = WINDOW // 2
    padded = np.pad(speech.astype(np.float64), (size, size + int(SAMPLE_RATE / LOWEST_PITCH) + 2))
    found = np.zeros(len(period))
    for number, lag in enumerate(np.round(period).astype(int)):
        begin = number * HOP + size // 2
        first, second = padded[begin : begin + size], padded[begin + lag : begin + lag + size]
        first, second = first - first.mean(), second - second.mean()
        scale = np.sqrt((first @ first) * (second @ second))
        found[number] = first @ second / scale if scale > 1e-12 else 0.0
    return found


def load_librosa() -> Any:
    """The package, told to compute in one thread, before it is imported for the first time: numba's own threads and
    those of torch have been seen to end a process together."""
    os.environ.setdefault("NUMBA_THREADING_LAYER", "workqueue")
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    import librosa

    return librosa


def _opensmile(waveform: np.ndarray) -> dict[str, float] | None:
    """The same facts of openSMILE's eGeMAPSv02 functionals, whose scales are their own."""
    try:
        import opensmile
    except ImportError as error:
        raise ValueError("voice.backend is opensmile, which is not installed: its licence is for research, so it is an "
                         "extra; pip install 'affectgpt[opensmile]', or voice.backend=librosa") from error
    if len(waveform) < 2 * WINDOW:
        return None
    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.Functionals)
    row = smile.process_signal(np.asarray(waveform, dtype=np.float32), SAMPLE_RATE).iloc[0]
    if not float(row["VoicedSegmentsPerSec"]) > 0:
        return None
    facts = {name: sign * float(row[feature]) for name, (feature, sign) in EGEMAPS.items()}
    return {name: round(value, 4) for name, value in facts.items() if np.isfinite(value)}
