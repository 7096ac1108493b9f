"""Recognised words of a waveform."""

from __future__ import annotations

import numpy as np
import pytest
from media_fixtures import tone

from affectgpt.media import is_silent, read_audio, speech, transcribe


def test_silence_has_no_words():
    assert transcribe(np.zeros(16000, np.float32)) == transcribe(np.zeros(0, np.float32)) == ""
    assert transcribe(np.full(16000, 0.2, np.float32)) == ""
    assert is_silent(np.full(16000, 0.2, np.float32))
    assert not is_silent(tone(1, amplitude=0.002)[0])
    with pytest.raises(ValueError, match="one dimension"):
        transcribe(np.zeros((2, 16000), np.float32))


def test_long_sound_is_cut_where_it_is_quiet():
    waveform = tone(70)[0]
    waveform[25 * 16000 : 26 * 16000] = 0
    windows = speech.windows(waveform)
    assert sum(map(len, windows)) == len(waveform) and max(map(len, windows)) <= 30 * 16000
    assert 25 * 16000 < len(windows[0]) < 26 * 16000
    assert np.array_equal(np.concatenate(windows), waveform)


def test_noise_has_no_words_and_windows_are_joined(monkeypatch):
    """The starter model hears nothing in noise (it says "You" when not asked whether there is speech)."""
    try:
        speech.recogniser_folder()
    except ValueError as error:
        pytest.skip(str(error))
    assert transcribe(np.random.default_rng(0).standard_normal(32000).astype(np.float32) * 0.1) == ""
    monkeypatch.setattr(speech, "_words", lambda window: f"{len(window)}")
    assert transcribe(tone(31)[0]).count(" ") == 1


def test_words_of_a_real_clip(shared_data):
    """At -57 dB, and in the second window of a longer sound."""
    try:
        speech.recogniser_folder()
    except ValueError as error:
        pytest.skip(str(error))
    waveform = read_audio(shared_data / "clips/ravdess_av/01-01-02-01-01-01-05.mp4")
    assert transcribe(waveform) == "Kids are talking by the door."
    late = np.concatenate([np.zeros(29 * 16000, np.float32), waveform])
    assert transcribe(late) == "Kids are talking by the door."
