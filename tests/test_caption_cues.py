"""Measured cues of a caption: facts of the voice, readings of voice, face and words, the description of them."""

from __future__ import annotations

import numpy as np
import pytest

from affectgpt.caption import prompts, textual
from affectgpt.caption.measure import voice_facts
from affectgpt.caption.settings import TextualSection
from affectgpt.data.clip import Clip
from affectgpt.extractors.rules import RuleExtractor
from affectgpt.words import lexicon

RATE = 16000
SETTINGS = TextualSection(baseline_clips=4)


def voice(pitch, seconds=2.0, amplitude=0.1, syllables=4.0) -> np.ndarray:
    """A buzz of ten harmonics whose level goes up and down once a syllable; pitch in Hz, a number or (start, end)."""
    time = np.arange(round(seconds * RATE)) / RATE
    low, high = pitch if isinstance(pitch, tuple) else (pitch, pitch)
    phase = 2 * np.pi * np.cumsum(low * (high / low) ** (time / seconds)) / RATE
    buzz = sum(np.sin(number * phase) / number for number in range(1, 11))
    level = 0.55 - 0.45 * np.cos(2 * np.pi * syllables * time)
    return (amplitude * level * buzz).astype(np.float32)


@pytest.mark.parametrize("pitch", [90, 130, 220, 400])
def test_pitch_is_the_fundamental_not_a_multiple(pitch):
    assert voice_facts(voice(pitch))["pitch"] == pytest.approx(pitch, rel=0.02)


def test_level_range_and_rate():
    plain = voice_facts(voice(150))
    assert voice_facts(voice(150, amplitude=0.2))["level"] - plain["level"] == pytest.approx(6.02, abs=0.05)
    assert plain["range"] < 0.5
    # A glide of an octave: 80 % of it lies between the 10th and the 90th percentile.
    assert voice_facts(voice((120, 240)))["range"] == pytest.approx(9.6, abs=0.7)
    for syllables in (3, 5):
        assert voice_facts(voice(150, syllables=syllables))["rate"] == pytest.approx(syllables, abs=0.6)


def test_silence_around_the_speech_is_no_slow_speech():
    padded = np.concatenate([np.zeros(2 * RATE, np.float32), voice(150), np.zeros(RATE, np.float32)])
    assert voice_facts(padded)["rate"] == pytest.approx(4, abs=0.6)


def test_very_quiet_voices_are_measured_alike():
    loud, quiet = (voice_facts(voice(150, amplitude=amplitude)) for amplitude in (0.1, 0.002))
    assert quiet["pitch"] == loud["pitch"] and quiet["rate"] == loud["rate"]


@pytest.mark.parametrize("sound", [np.zeros(RATE), np.random.default_rng(0).normal(size=RATE) * 0.1, np.zeros(5),
                                   np.zeros(0), np.full(RATE, 0.5)])
def test_without_voiced_speech_there_are_no_facts(sound):
    assert voice_facts(sound.astype(np.float32)) is None


def baselines(rows: dict[str, list[dict]]) -> tuple[textual.VoiceBaselines, dict[str, Clip]]:
    clips = {f"{speaker}{number}": Clip(f"{speaker}{number}", "c", speaker=speaker)
             for speaker, facts in rows.items() for number in range(len(facts))}
    facts = {f"c/{speaker}{number}": one for speaker, found in rows.items() for number, one in enumerate(found)}
    return textual.VoiceBaselines(list(clips.values()), facts, SETTINGS), clips


def facts(level=-30.0, pitch=120.0, span=4.0, rate=4.0) -> dict:
    return {"level": level, "pitch": pitch, "range": span, "rate": rate}


def test_a_voice_is_judged_against_its_own_speaker():
    usual = [facts(level=-30 + shift) for shift in (-1, 0, 0, 1)]
    loud = facts(level=-20, pitch=180, span=8, rate=5.5)
    voices, clips = baselines({"a": [*usual, loud], "b": [facts(level=-20, pitch=180, span=8, rate=5.5)] * 4})
    cue = voices.cue(clips["a4"], loud)
    assert cue.sentence == "The voice is louder, higher, more varied in pitch and faster than usual."
    assert max(cue.weights, key=cue.weights.get) == "angry" and sum(cue.weights.values()) == pytest.approx(1)
    same = voices.cue(clips["b0"], loud)  # that is how b always speaks
    assert same.sentence == prompts.USUAL_VOICE and max(same.weights, key=same.weights.get) == "neutral"


def test_slow_low_and_quiet_reads_as_sad():
    voices, clips = baselines({"a": [facts()] * 4 + [facts(-40, 90, 1, 2.5)]})
    cue = voices.cue(clips["a4"], facts(-40, 90, 1, 2.5))
    assert "quieter, lower, flatter and slower" in cue.sentence and max(cue.weights, key=cue.weights.get) == "sad"


def test_without_enough_clips_a_voice_is_told_and_not_judged():
    voices, clips = baselines({"a": [facts()] * 3})
    assert voices.cue(clips["a0"], facts()) == textual.Cue(
        "The voice has a pitch of about 120 Hz and 4.0 syllables a second.", {})
    pooled, clips = baselines({"a": [facts()] * 3, "b": [facts()] * 3})  # enough together
    assert pooled.cue(clips["a0"], facts()).weights
    assert voices.cue(clips["a0"], None).sentence == prompts.TONELESS_VOICE


def test_faces_and_words():
    cue = textual.face_cue({"neutral": 0.3, "happy": 0.5, "sad": 0.0, "surprised": 0.2}, SETTINGS)
    assert cue.sentence == "The face looks mostly happy, with something surprised in it."
    said = textual.words_cue("I am so afraid, and a bit sad")
    assert said.weights == {"fearful": 0.5, "sad": 0.5} and "afraid and sad" in said.sentence
    assert textual.words_cue("Kids are by the door").weights == {}
    assert textual.words_cue(None) is None is textual.words_cue(" \u200b")


def test_the_conclusion_weighs_streams_and_can_be_read_back():
    face, words = textual.Cue("F.", {"happy": 0.6, "neutral": 0.4}), textual.Cue("W.", {"sad": 1.0})
    rules = RuleExtractor(lexicon.load())
    text = textual.describe({"face": face, "text": words}, SETTINGS)
    assert text == "F. W. Taken together, the person seems sad." and rules.extract(text).labels == ("sad",)
    both = TextualSection(second=0.5)
    assert textual.describe({"face": face, "text": words}, both).endswith("seems sad and happy.")
    heavy = TextualSection(weights={"face": 5.0, "text": 1.0})
    assert textual.describe({"face": face, "text": words}, heavy).endswith("seems happy.")
    assert textual.describe({"text": textual.Cue("W.", {})}, SETTINGS) is None


def test_every_basic_emotion_of_a_conclusion_is_read_as_a_label():
    for emotion in ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised"):
        text = f"The voice is much as usual. {prompts.conclusion([emotion])}"
        assert RuleExtractor(lexicon.load()).extract(text).labels == (emotion,)


def test_a_merge_prompt_quotes_its_parts_and_says_what_is_not_known():
    system, user = prompts.merge_conversation({"audio": "A loud voice."}, None)
    assert system["role"] == "system" and user["content"].splitlines() == [
        "Voice: A loud voice.", f"Face: {prompts.NOTHING}", f"Words: {prompts.NOTHING}"]
