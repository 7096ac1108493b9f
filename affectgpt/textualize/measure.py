"""What is measured of each clip, as JSON values for the journal: {} where the clip has no such stream, {"error":
reason} where its file cannot be read, else facts. Thresholds and wordings come later (`describe.py`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from affectgpt import media
from affectgpt.data.clip import Clip, spoken
from affectgpt.textualize import speech, state, tone, voice
from affectgpt.textualize.expressions import expressions_of
from affectgpt.textualize.face import read_face_frames
from affectgpt.textualize.geometry import measure
from affectgpt.textualize.settings import FACE_CUES, TextualizeRecipe
from affectgpt.textualize.tables import read_table, table_of
from affectgpt.textualize.units import highest

FACE, TABLE, VOICE, TONE, WORDS, STATE = "face", "table", "voice", "tone", "words", "state"
"""Stages of a journal; that of voices is `levels.VOICE_STAGE` too."""


def stages(recipe: TextualizeRecipe, state_of: Callable[[np.ndarray], dict | None] | None, state_identity: str
           ) -> dict[str, tuple[str, str, Callable[[Clip], dict[str, Any]]]]:
    """Stage -> (stream whose files it reads, identity of what is done, what is done of a clip), as the cues ask.

    Args:
        state_of: waveform -> {dimension: value}; None where no state is looked for. state_identity: which one.
    """
    found: dict[str, tuple[str, str, Callable[[Clip], dict[str, Any]]]] = {}
    cues, face, sound = recipe.cues, recipe.face, recipe.voice
    if set(cues) & set(FACE_CUES):
        if face.tables is None:
            looked = f"face 2 {face.frames_per_second:g} {face.max_frames} {'expressions' in cues}"
            found[FACE] = ("face", looked, lambda clip: _face(clip, recipe))
        else:
            found[TABLE] = ("table", "table 1", lambda clip: _table(clip, face.tables))
    if "tone" in cues:
        if sound.tone_folder is None:
            found[VOICE] = ("audio", f"voice 1 {sound.backend}", lambda clip: _voice(clip, sound.backend))
        else:
            found[TONE] = ("tone", f"tone 1 {sound.tone_margin:g}", lambda clip: _tone(clip, recipe))
    if "speech" in cues and recipe.speech.words != "given":
        settings = recipe.speech
        heard = (f"words 1 {media.speech.RECOGNISER} {settings.words} {settings.detector} {settings.threshold:g} "
                 f"{settings.min_silence_ms}")
        found[WORDS] = ("audio", heard, lambda clip: _words(clip, recipe))
    if "state" in cues and state_of is not None:
        found[STATE] = ("audio", f"state 1 {state_identity}", lambda clip: _state(clip, state_of))
    return found


def run(work: Callable[[Clip], dict[str, Any]], clips: list[Clip]) -> Iterator[dict[str, Any]]:
    """The value of each clip; what is wrong with a file is an error of its clip."""
    for clip in clips:
        try:
            yield work(clip)
        except media.MediaError as error:
            yield {"error": str(error)}
        except OSError as error:
            yield {"error": f"{error.filename or clip.media or clip.audio}: cannot be read ({error.strerror})"}


def read_waveform(clip: Clip) -> np.ndarray | None:
    """float32 [N] of a clip; None where it has no sound or is silent. Raises MediaError."""
    source = clip.audio or clip.media
    if source is None or clip.audio is None and not media.probe(source, clip.span).has_audio:
        return None
    return media.read_sound(source, span=clip.span).waveform


def _face(clip: Clip, recipe: TextualizeRecipe) -> dict[str, Any]:
    if clip.media is None and clip.face is None:
        return {}
    face = read_face_frames(clip, recipe.face.frames_per_second, recipe.face.max_frames)
    seen = measure(face.landmarks)[face.found]
    value: dict[str, Any] = {"frames": len(face.times), "notes": face.notes,
                             "measures": np.round(seen, 4).tolist()}
    if "expressions" in recipe.cues:
        value["expressions"] = expressions_of(face)
    return value


def _table(clip: Clip, folder: str) -> dict[str, Any]:
    try:
        table = read_table(table_of(folder, clip))
    except ValueError as error:
        return {"error": str(error)}
    units = np.stack(list(table.units.values()), axis=1)
    faces = np.stack(list(table.expressions.values()), axis=1) if table.expressions else None
    return {"frames": len(table.times), "notes": table.notes, "units": highest(units, tuple(table.units), table.found),
            "expressions": None if faces is None else highest(faces, tuple(table.expressions), table.found)}


def _voice(clip: Clip, backend: str) -> dict[str, Any]:
    waveform = read_waveform(clip)
    return {} if waveform is None else {"facts": voice.voice_facts(waveform, backend)}


def _tone(clip: Clip, recipe: TextualizeRecipe) -> dict[str, Any]:
    path = tone.answer_of(recipe.voice.tone_folder, clip)
    if not path.is_file():
        return {"error": f"{path}: no answer of the tone service for this clip"}
    main = clip.media or clip.audio
    start, end = clip.start or 0.0, clip.end
    if end is None:
        end = start + media.probe(main, clip.span).duration if main is not None else float("inf")
    try:
        return {"tones": tone.read_tones(path, (start, end), recipe.voice.tone_margin)}
    except ValueError as error:
        return {"error": str(error)}


def _words(clip: Clip, recipe: TextualizeRecipe) -> dict[str, Any]:
    if recipe.speech.words == "auto" and clip.words is not None:
        return {"given": True}
    if clip.language != "en":
        return {"unheard": speech.ENGLISH_ONLY.format(clip.language)}
    waveform = read_waveform(clip)
    return {} if waveform is None else {"text": spoken(speech.heard_words(waveform, recipe.speech)) or ""}


def _state(clip: Clip, state_of: Callable[[np.ndarray], dict | None]) -> dict[str, Any]:
    waveform = read_waveform(clip)
    return {} if waveform is None else {"state": state_of(waveform)}


def head_of(recipe: TextualizeRecipe, clips: list[Clip], labelled: list[Clip], fill) -> state.Head:
    """A head fitted on labelled clips; `fill` is as for the stages. Raises ValueError for clips that are asked about
    too, and too few."""
    both = state.overlap(clips, labelled)
    if both:
        raise ValueError(f"state.labelled: {len(both)} of its clips are textualized too (first {both[0]}), and a text "
                         "made of a clip's own label tells it: name another corpus, or other clips")
    wanted = {clip.key: found for clip in labelled if (found := state.dimensions_of(clip)) is not None}

    def features(clip: Clip) -> dict[str, Any]:
        waveform = read_waveform(clip)
        values = None if waveform is None else state.encoder_features(waveform)
        return {} if values is None else {"features": np.round(values, 4).tolist()}

    taught = [clip for clip in labelled if clip.key in wanted]
    found = fill("features", "audio", state.FEATURES, features, taught)
    rows = [(value["features"], wanted[key]) for key, value in found if value.get("features")]
    facts = {"corpora": sorted({clip.corpus for clip in taught}),
             "rated": sum(clip.targets.arousal is not None for clip in taught)}
    return state.Head.fit(np.array([row for row, _ in rows]).reshape(len(rows), -1),
                          np.array([target for _, target in rows]).reshape(-1, 3), recipe.state.penalty, facts)
