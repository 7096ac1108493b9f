"""Offline cues: measured facts -> what a stream shows, and how that reads; all of them -> a description.

How a voice reads follows the directions that the review of Juslin & Laukka (2003) found for anger, happiness, fear and
sadness; it does not tell disgust and surprise, for which there are none. The face's reading is the expression
network's, the words' that of the lexicon. Nothing here was fitted to a corpus.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from affectgpt.caption import prompts
from affectgpt.caption.settings import TextualSection
from affectgpt.data.clip import Clip, spoken
from affectgpt.words import lexicon
from affectgpt.words.basic import BASIC_EMOTIONS

FACTS = ("level", "pitch", "range", "rate")
_FLOOR = {"level": 1.5, "pitch": 1.0, "range": 1.0, "rate": 0.4}
"""Least deviation that a voice's facts are divided by: dB, semitones, semitones, syllables a second."""
_VOICES = {"angry": (1, 1, 1, 1), "happy": (0.5, 1, 1, 1), "fearful": (-1, 1, -1, 1), "sad": (-1, -1, -1, -1)}
"""Emotion -> direction of each of `FACTS` (Juslin & Laukka 2003)."""
NOTABLE = 1.0
"""Deviations from which a fact of a voice is mentioned."""


@dataclass(frozen=True)
class Cue:
    """What one stream shows, as a sentence, and the weight of each emotion in it (their sum is 1, or 0 where the
    stream says nothing about emotion)."""

    sentence: str
    weights: Mapping[str, float]


class VoiceBaselines:
    """What is usual for each speaker, from the facts of all clips: medians and deviations.

    Args:
        clips, facts: the clips and the facts of each by `Clip.key`, None where a voice was not measured.
    """

    def __init__(self, clips: list[Clip], facts: Mapping[str, dict | None], settings: TextualSection):
        self.settings = settings
        everyone, speakers = [], {}
        for clip in clips:
            if facts.get(clip.key):
                everyone.append(_vector(facts[clip.key]))
                if clip.speaker:
                    speakers.setdefault((clip.corpus, clip.speaker), []).append(everyone[-1])
        self._speakers = {key: _spread(rows) for key, rows in speakers.items() if len(rows) >= settings.baseline_clips}
        self._everyone = _spread(everyone) if len(everyone) >= settings.baseline_clips else None

    def deviations(self, clip: Clip, facts: dict) -> np.ndarray | None:
        """How far each of `FACTS` lies off what is usual, in deviations, at most 3; None where nothing is known."""
        base = self._speakers.get((clip.corpus, clip.speaker), self._everyone)
        return None if base is None else np.clip((_vector(facts) - base[0]) / base[1], -3, 3)

    def cue(self, clip: Clip, facts: dict | None) -> Cue:
        """The cue of a voice; facts None for a sound without voiced speech."""
        if facts is None:
            return Cue(prompts.TONELESS_VOICE, {})
        off = self.deviations(clip, facts)
        if off is None:
            return Cue(prompts.UNJUDGED_VOICE.format(**facts), {})
        directions = {fact: int(np.sign(value)) for fact, value in zip(FACTS, off, strict=True)
                      if abs(value) >= NOTABLE}
        scores = {"neutral": self.settings.voice_neutral}
        for emotion, direction in _VOICES.items():
            scores[emotion] = float(off @ np.array(direction) / np.linalg.norm(direction))
        shares = np.exp(np.array(list(scores.values())))
        return Cue(prompts.voice_sentence(directions), dict(zip(scores, (shares / shares.sum()).tolist(), strict=True)))


def _vector(facts: dict) -> np.ndarray:
    """Facts in units in which deviations are even: pitch in semitones."""
    return np.array([12 * np.log2(facts[name]) if name == "pitch" else facts[name] for name in FACTS])


def _spread(rows: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Median and deviation (of a normal distribution of the same median distance), the latter no less than its
    floor."""
    values = np.stack(rows)
    middle = np.median(values, axis=0)
    deviation = 1.4826 * np.median(np.abs(values - middle), axis=0)
    return middle, np.maximum(deviation, [_FLOOR[name] for name in FACTS])


def face_cue(facts: dict[str, float], settings: TextualSection) -> Cue:
    """The cue of a face, from the probabilities of its expressions."""
    order = sorted(facts, key=facts.get, reverse=True)
    shown = [order[0], *(name for name in order[1:] if facts[name] >= settings.face_share and name != "neutral")]
    return Cue(prompts.face_sentence({name: facts[name] for name in shown}), dict(facts))


def words_cue(words: str | None) -> Cue | None:
    """The cue of spoken words: emotion words that the lexicon knows; None where nothing is said."""
    if spoken(words) is None:
        return None
    table = lexicon.load()
    states = list(dict.fromkeys(table.states_in(words)))
    found = Counter(basic for basic in map(table.basic_emotion, states) if basic)
    return Cue(prompts.words_sentence(states), {name: count / found.total() for name, count in found.items()})


def describe(cues: Mapping[str, Cue], settings: TextualSection) -> str | None:
    """A description of what streams show, ending in how they read together; None where none says anything.

    cues: of "audio", "face" and "text", those that there are.
    """
    sums: Counter = Counter()
    for stream, cue in cues.items():
        for emotion, weight in cue.weights.items():
            sums[emotion] += settings.weights.get(stream, 0.0) * weight
    order = [name for name, weight in sorted(sums.items(), key=lambda pair: (-pair[1], _rank(pair[0]))) if weight > 0]
    if not order:
        return None
    named = [order[0]] if order[0] == "neutral" else [
        name for name in order if name != "neutral" and sums[name] >= settings.second * sums[order[0]]][:2]
    return " ".join([*(cue.sentence for cue in cues.values()), prompts.conclusion(named)])


def _rank(emotion: str) -> int:
    """Ties go by the order of the basic emotions."""
    return BASIC_EMOTIONS.index(emotion) if emotion in BASIC_EMOTIONS else len(BASIC_EMOTIONS)
