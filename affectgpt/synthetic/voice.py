"""The voice of the starter corpus: a source-filter formant synthesiser in numpy.

Words become phonemes by letter-to-sound rules, phonemes become tracks of formants, voicing and noise
(5 ms apart), and a glottal source is filtered by those tracks. Emotion acts on the source and on the
timing only: pitch level, range and contour, loudness, tempo and voice quality.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter, resample_poly

from affectgpt.synthetic.phonemes import segments

SAMPLE_RATE = 16000
HOP = 80
"""Samples between two points of a track: 5 ms."""
LEAD, TAIL = 0.30, 0.40
"""Seconds of silence before and after the speech."""


@dataclass(frozen=True)
class VoiceBody:
    """A speaker's voice: base pitch in Hz, formant scale (1 = adult male tract), tempo, breath 0..1."""

    pitch: float
    formants: float
    rate: float
    breath: float


@dataclass(frozen=True)
class VoiceStyle:
    """How a clip is spoken, relative to the speaker's ordinary manner.

    level: pitch level in semitones; range: factor on pitch movement; gain: dB; rate: tempo factor;
    tension, breath, creak, tremor: 0..1 (tension may be negative: lax); final: pitch movement of the last
    syllable in semitones; smile: relative rise of the formants by spread lips.
    """

    level: float = 0.0
    range: float = 1.0
    gain: float = 0.0
    rate: float = 1.0
    tension: float = 0.0
    breath: float = 0.0
    creak: float = 0.0
    tremor: float = 0.0
    final: float = -2.0
    smile: float = 0.0


# Full-strength styles, after the acoustic profiles of Scherer (2003) and Juslin & Laukka (2003).
_STYLES = {
    "neutral": VoiceStyle(),
    "happy": VoiceStyle(6.0, 2.1, 5.0, 1.16, 0.25, 0.0, 0.0, 0.0, 1.0, 0.08),
    "sad": VoiceStyle(-3.2, 0.45, -9.0, 0.74, -0.7, 0.75, 0.0, 0.0, -3.0, -0.03),
    "angry": VoiceStyle(3.2, 1.6, 9.0, 1.18, 0.95, 0.0, 0.0, 0.0, -4.5, 0.0),
    "fearful": VoiceStyle(7.5, 0.7, -1.0, 1.28, 0.1, 0.5, 0.0, 0.95, 0.0, 0.0),
    "disgusted": VoiceStyle(-4.2, 0.7, -0.5, 0.78, 0.3, 0.0, 0.95, 0.0, -4.0, -0.03),
    "surprised": VoiceStyle(4.5, 2.0, 4.5, 0.92, 0.0, 0.1, 0.0, 0.0, 9.0, 0.0),
}


def voice_style(emotion: str, intensity: float, rng: np.random.Generator) -> VoiceStyle:
    """The style of one clip: between the neutral and the full style, with a little of its own."""
    neutral, full = asdict(_STYLES["neutral"]), asdict(_STYLES[emotion])
    own = {
        "level": 0.5,
        "range": 0.08,
        "gain": 0.8,
        "rate": 0.025,
        "tension": 0.05,
        "breath": 0.05,
        "creak": 0.0,
        "tremor": 0.0,
        "final": 0.4,
        "smile": 0.005,
    }
    amount = 0.4 + 0.6 * intensity
    mixed = {
        key: neutral[key] + amount * (full[key] - neutral[key]) + float(rng.normal()) * spread
        for key, spread in own.items()
    }
    for key in ("breath", "creak", "tremor"):
        mixed[key] = float(np.clip(mixed[key], 0.0, 1.0))
    return VoiceStyle(**{key: round(float(value), 3) for key, value in mixed.items()})


@dataclass
class Speech:
    """waveform float32 [N] at 16 kHz; opening and rounding of the mouth 0..1, [P] points 5 ms apart."""

    waveform: np.ndarray
    opening: np.ndarray
    rounding: np.ndarray


def synthesise(words: str, body: VoiceBody, style: VoiceStyle, rng: np.random.Generator) -> Speech:
    """Speak `words` (not empty) with a voice and a style. Deterministic for a generator's state."""
    rows = np.array(segments(words), dtype=float)
    seconds = rows[:, 0] / (body.rate * style.rate) * rng.uniform(0.93, 1.07, len(rows))
    vowels = np.flatnonzero(rows[:, 11] > 0)
    seconds[vowels[-1] :] *= 1.35  # final lengthening
    counts = np.maximum(2, np.round(seconds * SAMPLE_RATE / HOP)).astype(int)
    lead, tail = int(LEAD * SAMPLE_RATE / HOP), int(TAIL * SAMPLE_RATE / HOP)
    index = np.repeat(np.arange(len(rows)), counts)
    speech = slice(lead, lead + len(index))
    points = lead + len(index) + tail

    def track(column: int, blur: float, rest: float) -> np.ndarray:
        values = np.full(points, float(rest))
        values[speech] = rows[index, column]
        return gaussian_filter1d(values, blur)

    scale = body.formants * (1 + style.smile)
    formants = [track(column, 4.0, rest) * scale for column, rest in ((1, 500), (2, 1500), (3, 2500))]
    formants += [np.full(points, 3500 * body.formants), np.full(points, 4500 * body.formants)]
    voicing, breath, hiss = track(4, 2.0, 0), track(5, 1.5, 0), track(6, 0.8, 0)
    opening, rounding = track(9, 5.0, 0), track(10, 5.0, 0)

    # Pitch in semitones around the base: declination, accents, the last syllable, slow wander.
    place = np.clip((np.arange(points) - lead) / max(1, len(index)), 0, 1)
    accents = np.zeros(points)
    starts = lead + np.concatenate([[0], np.cumsum(counts)])
    for vowel in vowels:
        if rows[vowel, 11] == 1.0:
            accents[starts[vowel] : starts[vowel + 1] + 4] = rng.uniform(2.4, 4.2)
    wander = gaussian_filter1d(rng.normal(size=points), 30) * 7.0 * 0.35
    contour = (1.5 - 3.0 * place + gaussian_filter1d(accents, 9) - 1.0) * 0.85 * style.range + wander
    last = np.clip(
        (np.arange(points) - starts[vowels[-1]] + 24) / (starts[-1] - starts[vowels[-1]] + 24), 0, 1
    )
    contour += style.final * last**1.3 + style.level
    clock = np.arange(points) * HOP / SAMPLE_RATE
    shake = np.sin(
        2 * np.pi * rng.uniform(6.0, 7.5) * clock
        + rng.uniform(0, 6.28)
        + 1.5 * gaussian_filter1d(rng.normal(size=points), 10) * 6
    )
    contour += style.tremor * (0.9 * shake + gaussian_filter1d(rng.normal(size=points), 4) * 2.2)
    pitch = np.clip(body.pitch * 2.0 ** (contour / 12), 45, 520)
    voicing = voicing * (1 + 0.35 * style.tremor * shake)

    waveform = _render(pitch, formants, voicing, breath, hiss, rows, index, speech, body, style, rng)
    return Speech(waveform, np.clip(opening, 0, 1), np.clip(rounding, 0, 1))


def _source(pitch: np.ndarray, body: VoiceBody, style: VoiceStyle, rng: np.random.Generator) -> np.ndarray:
    """Glottal flow derivative [points * HOP] with jitter, shimmer and the open phase of the quality."""
    twice = 2 * HOP  # made at 32 kHz against aliasing of the closure
    samples = len(pitch) * twice
    hertz = np.interp(np.arange(samples) / twice, np.arange(len(pitch)), pitch)
    cycles = np.cumsum(hertz) / (2 * SAMPLE_RATE)
    number = cycles.astype(int)
    jitter = 0.006 + 0.035 * style.creak + 0.02 * style.tremor
    offsets = rng.normal(size=number[-1] + 3) * jitter
    size = 1 + rng.normal(size=number[-1] + 3) * (0.04 + 0.12 * style.creak)
    size[::2] *= 1 - 0.55 * style.creak  # every other pulse is weaker: a creak
    open_part = np.clip(0.58 - 0.2 * style.tension + 0.2 * style.breath - 0.22 * style.creak, 0.25, 0.85)
    start = offsets[number] * (1 - (cycles - number)) + offsets[number + 1] * (cycles - number)
    phase = np.clip((cycles - number + start) % 1.0 / open_part, 0, 1)
    pulse = (2 * phase - 3 * phase * phase) * size[number]  # derivative of a KLGLOTT88 flow
    pulse[phase >= 1] = 0
    return resample_poly(pulse, 1, 2)


def _render(pitch, formants, voicing, breath, hiss, rows, index, speech, body, style, rng) -> np.ndarray:
    """Filter source and noise by the tracks, frame by frame, with overlapping windows."""
    points = len(pitch)
    source = _source(pitch, body, style, rng)
    # Spectral tilt: a lax or breathy source loses its highs, a tense one keeps them.
    corner = 1500 * 2.0 ** (1.5 * style.tension - 1.0 * style.breath + 4 * style.smile)
    pole = np.exp(-2 * np.pi * corner / SAMPLE_RATE)
    voiced = lfilter([1 - pole], [1, -pole], source)
    voiced /= np.sqrt(np.mean(voiced**2)) + 1e-9
    noise = rng.normal(size=points * HOP)
    airy = min(1.0, body.breath + style.breath)
    glottal = voiced * np.repeat(voicing, HOP) * (1 - 0.25 * airy)
    envelope = 0.4 + 0.6 * (np.abs(source) / (np.abs(source).max() + 1e-9))
    glottal += 0.45 * noise * (np.repeat(breath, HOP) + 0.45 * airy * np.repeat(voicing, HOP) * envelope)
    window_size = 4 * HOP
    window = np.hanning(window_size + 1)[:-1]
    bins = np.fft.rfftfreq(2 * window_size, 1 / SAMPLE_RATE)
    starts = np.arange(points - 3) * HOP
    picked = starts[:, None] + np.arange(window_size)
    throat = np.fft.rfft(glottal[picked] * window, 2 * window_size)
    response = np.ones((len(starts), len(bins)), dtype=np.complex64)
    for formant, bandwidth in zip(formants, (70, 100, 140, 220, 300)):
        centre = formant[2 : points - 1, None].astype(np.float32)
        width = np.float32(bandwidth * (1 + 0.6 * airy))
        response *= centre**2 / (
            centre**2 - np.float32(1) * bins.astype(np.float32) ** 2 + 1j * width * bins.astype(np.float32)
        )
    spectrum = throat * response
    centres, widths = np.ones(points), np.ones(points)
    centres[speech], widths[speech] = rows[index, 7], rows[index, 8]
    loud = np.flatnonzero(hiss[2 : points - 1] > 1e-3)
    if len(loud):
        shape = np.exp(
            -0.5 * ((bins[None] - centres[loud + 2, None]) / np.maximum(widths[loud + 2, None], 300)) ** 2
        )
        force = hiss[loud + 2, None] * (1 + 0.3 * style.tension)
        spectrum[loud] += np.fft.rfft(noise[picked[loud]] * window, 2 * window_size) * shape * force
    blocks = np.fft.irfft(spectrum)
    out = np.zeros(points * HOP + 2 * window_size)
    for shift in range(8):  # blocks of eight hops: every eighth block does not overlap
        part = blocks[shift::8]
        out[shift * HOP : shift * HOP + part.size] += part.ravel()
    out = out[: points * HOP] * 0.032 * 10 ** (style.gain / 20)
    out += rng.normal(size=out.size) * 3e-4  # room noise
    return (0.97 * np.tanh(out / 0.97)).astype(np.float32)
