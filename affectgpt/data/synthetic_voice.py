"""The voice of the starter corpus: a source-filter formant synthesiser in numpy.

Words become phonemes by letter-to-sound rules, phonemes become tracks of formants, voicing and noise
(5 ms apart), and a glottal source is filtered by those tracks. Emotion acts on the source and on the
timing only: pitch level, range and contour, loudness, tempo and voice quality.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d
from scipy.signal import lfilter, resample_poly

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
    own = {"level": 0.5, "range": 0.08, "gain": 0.8, "rate": 0.025, "tension": 0.05, "breath": 0.05,
           "creak": 0.0, "tremor": 0.0, "final": 0.4, "smile": 0.005}
    amount = 0.4 + 0.6 * intensity
    mixed = {key: neutral[key] + amount * (full[key] - neutral[key]) + float(rng.normal()) * spread
             for key, spread in own.items()}
    for key in ("breath", "creak", "tremor"):
        mixed[key] = float(np.clip(mixed[key], 0.0, 1.0))
    return VoiceStyle(**{key: round(float(value), 3) for key, value in mixed.items()})


# Vowels: seconds, formants 1-3 in Hz (Peterson & Barney, men), mouth opening and rounding 0..1.
_VOWELS = {
    "IY": (.10, 270, 2290, 3010, .25, 0.), "IH": (.075, 390, 1990, 2550, .35, 0.), "EH": (.085, 530, 1840, 2480, .55, 0.),
    "AE": (.11, 660, 1720, 2410, .8, 0.), "AH": (.08, 640, 1190, 2390, .6, 0.), "AA": (.11, 730, 1090, 2440, .95, .1),
    "AO": (.11, 570, 840, 2410, .75, .6), "UH": (.08, 440, 1020, 2240, .35, .7), "UW": (.10, 300, 870, 2240, .25, 1.),
    "ER": (.10, 490, 1350, 1690, .4, .3), "AX": (.05, 500, 1500, 2500, .35, 0.),
}
_GLIDES = {"EY": ("EH", "IY"), "AY": ("AA", "IH"), "OW": ("AO", "UH"), "AW": ("AA", "UH"), "OY": ("AO", "IH")}
# Consonants: seconds, formants 1-3, voicing, breath noise, hiss, hiss centre Hz, hiss width Hz, opening, rounding.
_CONSONANTS = {
    "M": (.07, 280, 1000, 2200, .45, 0, 0, 1, 1, 0., .1), "N": (.06, 280, 1500, 2400, .45, 0, 0, 1, 1, .15, 0.),
    "NG": (.07, 280, 1900, 2600, .45, 0, 0, 1, 1, .2, 0.), "L": (.06, 360, 1100, 2700, .6, 0, 0, 1, 1, .3, 0.),
    "R": (.06, 350, 1200, 1550, .6, 0, 0, 1, 1, .25, .4), "W": (.06, 300, 700, 2200, .6, 0, 0, 1, 1, .15, 1.),
    "Y": (.05, 280, 2200, 2900, .6, 0, 0, 1, 1, .2, 0.), "V": (.055, 300, 1200, 2300, .4, 0, .10, 5500, 3500, .08, 0.),
    "Z": (.075, 300, 1600, 2500, .35, 0, .30, 6200, 1500, .12, 0.), "DH": (.04, 300, 1400, 2500, .45, 0, .06, 5500, 3000, .2, 0.),
    "ZH": (.07, 300, 1700, 2400, .35, 0, .30, 3300, 1200, .2, .5), "S": (.09, 320, 1600, 2500, 0, 0, .55, 6300, 1400, .12, 0.),
    "SH": (.09, 320, 1700, 2400, 0, 0, .60, 3300, 1200, .2, .5), "F": (.08, 320, 1200, 2300, 0, 0, .18, 5500, 3500, .08, 0.),
    "TH": (.07, 320, 1400, 2500, 0, 0, .14, 5500, 3000, .2, 0.), "HH": (.05, 500, 1500, 2500, 0, .6, 0, 1, 1, .35, 0.),
}
# Stops: closure voicing, burst centre Hz, burst width Hz, burst level, following breath seconds, formants 1-3, closed lips.
_STOPS = {
    "P": (0, 1000, 900, .25, .030, 300, 900, 2200, True), "B": (.25, 800, 800, .20, 0, 250, 900, 2200, True),
    "T": (0, 4500, 1500, .40, .035, 300, 1700, 2600, False), "D": (.25, 4000, 1500, .30, 0, 250, 1700, 2600, False),
    "K": (0, 2100, 700, .45, .040, 300, 1900, 2300, False), "G": (.25, 2000, 700, .30, 0, 250, 1900, 2300, False),
}
_LEXICON = {key: value.split() for key, value in (row.split(":") for row in """
a:AX|i:AY|the:DH AX|to:T UW|of:AX V|you:Y UW|your:Y AO R|my:M AY|me:M IY|we:W IY|he:HH IY|she:SH IY|is:IH Z|was:W AA Z|are:AA R
were:W ER|they:DH EY|there:DH EH R|their:DH EH R|what:W AH T|who:HH UW|one:W AH N|two:T UW|four:F AO R|have:HH AE V|has:HH AE Z
said:S EH D|says:S EH Z|do:D UW|does:D AH Z|done:D AH N|did:D IH D|come:K AH M|came:K EY M|some:S AH M|love:L AH V|gone:G AO N
nothing:N AH TH IH NG|something:S AH M TH IH NG|everything:EH V R IY TH IH NG|everyone:EH V R IY W AH N|nobody:N OW B AA D IY
mother:M AH DH ER|father:F AA DH ER|sister:S IH S T ER|friend:F R EH N D|heart:HH AA R T|heard:HH ER D|again:AX G EH N|any:EH N IY
know:N OW|knew:N UW|now:N AW|how:HH AW|down:D AW N|house:HH AW S|out:AW T|our:AW ER|about:AX B AW T|found:F AW N D|blood:B L AH D
money:M AH N IY|job:JH AA B|baby:B EY B IY|girl:G ER L|moving:M UW V IH NG|move:M UW V|moved:M UW V D|believe:B IH L IY V|live:L IH V
alone:AX L OW N|lonely:L OW N L IY|only:OW N L IY|over:OW V ER|always:AO L W EY Z|all:AO L|call:K AO L|wall:W AO L|calm:K AA M|so:S OW
no:N OW|go:G OW|going:G OW IH NG|goodbye:G UH D B AY|good:G UH D|look:L UH K|looks:L UH K S|book:B UH K|took:T UH K|stood:S T UH D
foot:F UH T|footsteps:F UH T S T EH P S|floor:F L AO R|door:D AO R|wonderful:W AH N D ER F AX L|tomorrow:T AX M AA R OW|today:T AX D EY
been:B IH N|being:B IY IH NG|give:G IH V|evening:IY V N IH NG|ever:EH V ER|never:N EH V ER|every:EH V R IY|seven:S EH V AX N|enough:IH N AH F
listen:L IH S AX N|fool:F UW L|fire:F AY ER|scared:S K EH R D|afraid:AX F R EY D|dead:D EH D|head:HH EH D|already:AO L R EH D IY|ready:R EH D IY
bear:B EH R|wear:W EH R|wait:W EY T|weighs:W EY Z|eight:EY T|china:CH AY N AX|lottery:L AA T ER IY|june:JH UW N|sugar:SH UH G ER|sure:SH UH R
people:P IY P AX L|table:T EY B AX L|office:AO F IH S|station:S T EY SH AX N|operation:AA P ER EY SH AX N|river:R IH V ER|half:HH AE F|hour:AW ER
put:P UH T|full:F UH L|pull:P UH L|wash:W AA SH|washes:W AA SH IH Z|slimy:S L AY M IY|gross:G R OW S|rotten:R AA T AX N|toilet:T OY L IH T
filthy:F IH L TH IY|completely:K AX M P L IY T L IY|absolutely:AE B S AX L UW T L IY|birthday:B ER TH D EY|holiday:HH AA L IX D EY|excuses:IH K S K Y UW S IH Z
""".replace("IX", "IH").strip().replace("\n", "|").split("|"))}
# Letters -> sounds, longest match first; "" is silence.
_RULES = {key: value.split() for key, value in (row.split(":") for row in (
    "tion:SH AX N|ough:AO|augh:AO|eigh:EY|tch:CH|igh:AY|dge:JH|sch:S K|ear:IH R|air:EH R|oor:AO R|our:AO R|are:EH R|ing:IH NG|"
    "ee:IY|ea:IY|ai:EY|ay:EY|oa:OW|ow:OW|ou:AW|oo:UW|oi:OY|oy:OY|au:AO|aw:AO|ew:UW|ie:IY|ei:EY|ue:UW|ui:UW|ey:IY|er:ER|ir:ER|ur:ER|"
    "ar:AA R|or:AO R|th:TH|sh:SH|ch:CH|ph:F|wh:W|ck:K|ng:NG|qu:K W|kn:N|wr:R|gg:G|ss:S|ll:L|tt:T|pp:P|bb:B|dd:D|ff:F|mm:M|nn:N|rr:R|zz:Z|"
    "a:AE|b:B|c:K|d:D|e:EH|f:F|g:G|h:HH|i:IH|j:JH|k:K|l:L|m:M|n:N|o:AA|p:P|q:K|r:R|s:S|t:T|u:AH|v:V|w:W|x:K S|y:IY|z:Z").split("|"))}
_LONG = {"a": "EY", "i": "AY", "o": "OW", "u": "UW", "e": "IY", "y": "AY"}
_UNSTRESSED = set("a an the to of is was are were and in on at my your he she it we they i you do not that this for be as "
                  "his her our with by so us me had has have will been".split())


def phonemes(word: str) -> list[str]:
    """Phonemes (ARPAbet without stress marks) of one English word, by exceptions and letter rules.

    >>> phonemes("cats")
    ['K', 'AE', 'T', 'S']
    """
    word = re.sub(r"[^a-z]", "", word.lower())
    if word in _LEXICON:
        return list(_LEXICON[word])
    out: list[str] = []
    at = 0
    while at < len(word):
        rest = word[at:]
        if rest == "e" and len(word) > 2:  # a final e is silent
            break
        if rest == "ed" and len(word) > 3 and word[at - 1] not in "td":
            out.append("D")
            break
        long_vowel = re.match(r"[aiouey][bcdfgklmnpstvz](e|es|ed|ing)$", rest)
        if long_vowel and len(word) > 2 and (at == 0 or word[at - 1] not in "aeiou"):
            out.append(_LONG[rest[0]])
            at += 1
        elif rest[0] == "c" and rest[1:2] in ("e", "i", "y"):
            out.append("S")
            at += 1
        elif rest == "y" and len(word) <= 3:
            out.append("AY")
            at += 1
        else:
            size = next(n for n in (4, 3, 2, 1) if rest[:n] in _RULES)
            out.extend(_RULES[rest[:size]])
            at += size
    return out


@dataclass
class Speech:
    """waveform float32 [N] at 16 kHz; opening and rounding of the mouth 0..1, [P] points 5 ms apart."""

    waveform: np.ndarray
    opening: np.ndarray
    rounding: np.ndarray


def _segments(words: str) -> list[tuple]:
    """(seconds, f1, f2, f3, voicing, breath, hiss, centre, width, opening, rounding, stress, word)."""
    rows: list[tuple] = []
    tokens = re.findall(r"[A-Za-z']+|[,.;:!?]", words)
    for number, token in enumerate(tokens):
        if not token[0].isalpha():
            if number < len(tokens) - 1:
                rows.append((.12, 500, 1500, 2500, 0, 0, 0, 1, 1, .05, 0., 0., number))
            continue
        stressed = token.lower() not in _UNSTRESSED
        for sound in phonemes(token):
            if sound in ("CH", "JH"):
                sounds = [("T" if sound == "CH" else "D"), ("SH" if sound == "CH" else "ZH")]
            else:
                sounds = list(_GLIDES.get(sound, (sound,)))
            for part in sounds:
                if part in _VOWELS:
                    seconds, f1, f2, f3, opening, rounding = _VOWELS[part]
                    stress = 1.0 if stressed and part != "AX" else 0.3
                    seconds *= (0.62 if len(sounds) == 2 else 1.0) * (1.25 if stress == 1.0 else 0.85)
                    rows.append((seconds, f1, f2, f3, 0.75 + 0.25 * stress, 0, 0, 1, 1, opening, rounding, stress, number))
                    stressed = False  # the first vowel of a content word carries its accent
                elif part in _STOPS:
                    voiced, centre, width, level, breath, f1, f2, f3, lips = _STOPS[part]
                    mouth = 0.0 if lips else 0.15
                    rows.append((.05, f1, f2, f3, voiced, 0, 0, centre, width, mouth, 0., 0., number))
                    rows.append((.012, f1, f2, f3, 0, 0, level, centre, width, mouth, 0., 0., number))
                    if breath:
                        rows.append((breath, 450, f2, f3, 0, .35, 0, centre, width, .25, 0., 0., number))
                else:
                    rows.append(_CONSONANTS[part] + (0., number))
    return rows


def synthesise(words: str, body: VoiceBody, style: VoiceStyle, rng: np.random.Generator) -> Speech:
    """Speak `words` (not empty) with a voice and a style. Deterministic for a generator's state."""
    rows = np.array(_segments(words), dtype=float)
    seconds = rows[:, 0] / (body.rate * style.rate) * rng.uniform(0.93, 1.07, len(rows))
    vowels = np.flatnonzero(rows[:, 11] > 0)
    seconds[vowels[-1]:] *= 1.35  # final lengthening
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
            accents[starts[vowel]:starts[vowel + 1] + 4] = rng.uniform(2.4, 4.2)
    wander = gaussian_filter1d(rng.normal(size=points), 30) * 7.0 * 0.35
    contour = (1.5 - 3.0 * place + gaussian_filter1d(accents, 9) - 1.0) * 0.85 * style.range + wander
    last = np.clip((np.arange(points) - starts[vowels[-1]] + 24) / (starts[-1] - starts[vowels[-1]] + 24), 0, 1)
    contour += style.final * last ** 1.3 + style.level
    clock = np.arange(points) * HOP / SAMPLE_RATE
    shake = np.sin(2 * np.pi * rng.uniform(6.0, 7.5) * clock + rng.uniform(0, 6.28)
                   + 1.5 * gaussian_filter1d(rng.normal(size=points), 10) * 6)
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
    voiced /= np.sqrt(np.mean(voiced ** 2)) + 1e-9
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
        centre = formant[2:points - 1, None].astype(np.float32)
        width = np.float32(bandwidth * (1 + 0.6 * airy))
        response *= centre ** 2 / (centre ** 2 - np.float32(1) * bins.astype(np.float32) ** 2
                                   + 1j * width * bins.astype(np.float32))
    spectrum = throat * response
    centres, widths = np.ones(points), np.ones(points)
    centres[speech], widths[speech] = rows[index, 7], rows[index, 8]
    loud = np.flatnonzero(hiss[2:points - 1] > 1e-3)
    if len(loud):
        shape = np.exp(-0.5 * ((bins[None] - centres[loud + 2, None]) / np.maximum(widths[loud + 2, None], 300)) ** 2)
        force = hiss[loud + 2, None] * (1 + 0.3 * style.tension)
        spectrum[loud] += np.fft.rfft(noise[picked[loud]] * window, 2 * window_size) * shape * force
    blocks = np.fft.irfft(spectrum)
    out = np.zeros(points * HOP + 2 * window_size)
    for shift in range(8):  # blocks of eight hops: every eighth block does not overlap
        part = blocks[shift::8]
        out[shift * HOP: shift * HOP + part.size] += part.ravel()
    out = out[:points * HOP] * 0.032 * 10 ** (style.gain / 20)
    out += rng.normal(size=out.size) * 3e-4  # room noise
    return (0.97 * np.tanh(out / 0.97)).astype(np.float32)
