"""What was measured of clips -> their texts, by the thresholds and wordings of a recipe; nothing is read here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.textualize import measure
from affectgpt.textualize.expressions import expressions_words
from affectgpt.textualize.geometry import MEASURES
from affectgpt.textualize.levels import Baselines, level_words
from affectgpt.textualize.settings import FaceSection, TextualizeRecipe
from affectgpt.textualize.speech import words_in_context
from affectgpt.textualize.state import state_words
from affectgpt.textualize.texts import NO_FACE, NO_SPEECH, ClipText
from affectgpt.textualize.tone import tone_words
from affectgpt.textualize.units import MEASURED, at_rest, highest, steady, units_of, units_words

Found = Mapping[str, Mapping[str, dict[str, Any]]]
"""Clip key -> stage -> value of the journal."""


def describe(clips: Sequence[Clip], found: Found, recipe: TextualizeRecipe, counts: Counter) -> list[ClipText]:
    """The texts of clips, in their order. `counts` gets a number a reason why a cue is not there."""
    rests = _rests(clips, found, recipe.face)
    voices = Baselines(clips, {key: stages.get(measure.VOICE, {}).get("facts") for key, stages in found.items()},
                       recipe.voice)
    said = words_in_context(clips, {clip.key: _own_words(clip, found.get(clip.key, {}), recipe) for clip in clips},
                            recipe.speech)
    texts = [_text(clip, found.get(clip.key, {}), recipe, rests.get((clip.corpus, clip.speaker)), voices,
                   said[clip.key], counts) for clip in clips]
    for group, number in voices.used.items():
        counts[f"voices compared with their {group}" if group != "reference" else
               "voices compared with the shipped reference"] = number
    return texts


def _own_words(clip: Clip, stages: Mapping[str, dict], recipe: TextualizeRecipe) -> str | None:
    """The words of a clip itself, before any context."""
    heard = stages.get(measure.WORDS, {})
    return clip.words if recipe.speech.words == "given" or "given" in heard else heard.get("text")


def _rests(clips: Sequence[Clip], found: Found, settings: FaceSection) -> dict[tuple, np.ndarray]:
    """(corpus, speaker) -> the face at rest, of speakers with enough clips: the median of their clips' medians."""
    medians: dict[tuple, list[np.ndarray]] = {}
    for clip in clips:
        rows = found.get(clip.key, {}).get(measure.FACE, {}).get("measures")
        if clip.speaker and rows:
            medians.setdefault((clip.corpus, clip.speaker), []).append(np.median(rows, axis=0))
    least = settings.speaker_clips
    return {speaker: np.median(rows, axis=0) for speaker, rows in medians.items() if least and len(rows) >= least}


def _text(clip: Clip, stages: Mapping[str, dict], recipe: TextualizeRecipe, rest: np.ndarray | None,
          voices: Baselines, said: str | None, counts: Counter) -> ClipText:
    text = ClipText(clip.key, {})
    for stage, value in stages.items():
        text.notes.extend(value.get("notes", []))
        if "error" in value:
            counts[f"{stage}: cannot be read"] += 1
            text.notes.append(value["error"])

    def put(cue: str, words: str, values: dict[str, float] | None = None) -> None:
        text.cues[cue] = words
        if values:
            text.values[cue] = values
        elif words in (NO_FACE, NO_SPEECH):
            counts[f"{cue}: {words}"] += 1

    def stage(*names: str) -> dict | None:
        """The value of the first of these stages that was run and read; None where there is none."""
        return next((stages[name] for name in names if name in stages and "error" not in stages[name]), None)

    if "speech" in recipe.cues:
        heard = stages.get(measure.WORDS, {})
        if said is not None:
            put("speech", said)
        elif "unheard" in heard:
            counts["speech: words in another language"] += 1
            text.notes.append(heard["unheard"])
        elif "error" not in heard:
            put("speech", NO_SPEECH)
    face = stage(measure.FACE, measure.TABLE)
    if face is not None:
        units = face.get("units") if "measures" not in face else _units(face["measures"], recipe.face, rest)
        if "units" in recipe.cues:
            put("units", NO_FACE if units is None else units_words(units, recipe.face.active), units)
        if "expressions" in recipe.cues:
            shown = face.get("expressions")
            if shown is not None or units is None:
                put("expressions", expressions_words(shown, recipe.face.top) if shown else NO_FACE, shown)
            else:
                counts["expressions: the table has none"] += 1
    sound = stage(measure.VOICE)
    if sound is not None:
        facts = sound.get("facts")
        places = voices.percentiles(clip, facts) if facts else None
        put("tone", level_words(places, recipe.voice.levels) if places else NO_SPEECH, places)
    tones = stage(measure.TONE)
    if tones is not None:
        scores = tones["tones"]
        put("tone", tone_words(scores, recipe.voice.tone_top, recipe.voice.tone_high) if scores else NO_SPEECH, scores)
    state = stage(measure.STATE)
    if state is not None:
        values = state.get("state")
        put("state", state_words(values, recipe.state) if values else NO_SPEECH, values)
    return text


def _units(rows: list[list[float]], settings: FaceSection, rest: np.ndarray | None) -> dict[str, float] | None:
    """Unit -> its highest value in the frames that show a face; None where none does."""
    if not rows:
        return None
    measures = steady(np.array(rows), settings.steady_frames)
    if rest is not None:  # how far a jaw is open is told from the clip itself
        jaw = MEASURES.index("jaw_drop")
        rest = rest.copy()
        rest[jaw] = at_rest(measures, 1.0)[jaw]
    values = units_of(measures, settings.own, rest)
    return highest(values, tuple(MEASURED), np.ones(len(values), dtype=bool))
