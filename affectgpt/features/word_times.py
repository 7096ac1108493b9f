"""When the words of a clip are said: times of a recogniser's tokens, carried over to the words that are given.

Token times are read from the cross-attention of Whisper by dynamic time warping (as openai/whisper does), a few tenths
of a second off. Shapes: N samples, W words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache

import numpy as np

from affectgpt.media import speech
from affectgpt.models.streams import SAMPLE_RATE


@dataclass(frozen=True)
class HeardWord:
    """A word and its time in seconds."""

    word: str
    start: float
    end: float


@lru_cache(maxsize=1)
def _recogniser():
    """(model, feature extractor, tokenizer) with attention that can be looked at, beside the usual recogniser."""
    import torch
    from transformers import AutoTokenizer, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    from affectgpt.starter.reading import read_model

    folder = speech.recogniser_folder()
    config = WhisperConfig.from_pretrained(folder)
    model = read_model(folder, lambda: WhisperForConditionalGeneration._from_config(
        config, dtype=torch.float32, attn_implementation="eager"), torch.float32)
    return model.eval(), WhisperFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def heard_words(waveform: np.ndarray) -> list[HeardWord]:
    """English words of float32 [N] at 16 kHz with their times, none where nobody speaks."""
    found, place = [], 0
    for window in speech.windows(waveform):
        if speech.transcribe(window):  # it knows a hum from speech
            found += [HeardWord(one.word, one.start + place / SAMPLE_RATE, one.end + place / SAMPLE_RATE)
                      for one in _heard(window)]
        place += len(window)
    return found


def _heard(window: np.ndarray) -> list[HeardWord]:
    import torch

    model, extractor, tokenizer = _recogniser()
    window = window - window.mean()
    window = window * (speech.PEAK / float(np.abs(window).max()))
    inputs = extractor(window, sampling_rate=SAMPLE_RATE, return_tensors="pt", return_attention_mask=True)
    with torch.inference_mode():
        told = model.generate(inputs.input_features, attention_mask=inputs.attention_mask, do_sample=False, num_beams=1,
                              max_length=speech.MAX_TOKENS, return_token_timestamps=True)
    tokens, times = told["sequences"][0].tolist(), told["token_timestamps"][0].tolist()
    return words_of([tokenizer.decode([token], skip_special_tokens=True) for token in tokens], times)


def words_of(texts: Sequence[str], times: Sequence[float]) -> list[HeardWord]:
    """Tokens and the times at which each ends -> words; a token that begins with a blank begins a word.

    >>> words_of(["", " I", " am", "bling", ".", ""], [0, 0.2, 0.5, 0.9, 1.5, 1.6])[-1]
    HeardWord(word='ambling.', start=0.2, end=1.5)
    """
    words: list[list] = []
    for number, (text, end) in enumerate(zip(texts, times, strict=True)):
        if not text.strip():
            continue
        if text[0].isspace() or not words:
            words.append([text.strip(), times[number - 1] if number else 0.0, end])
        else:
            words[-1][0], words[-1][2] = words[-1][0] + text, end
    return [HeardWord(word, float(start), float(max(start, end))) for word, start, end in words]


def word_times(words: Sequence[str], heard: Sequence[HeardWord], end: float) -> np.ndarray | None:
    """Middle of each given word, seconds [W]: of the same word that was heard in its place; words between those share
    the time between. None where no word was heard.

    Args:
        end: seconds of the clip.
    """
    def plain(word: str) -> str:
        return re.sub(r"[^\w']", "", word.lower())

    blocks = SequenceMatcher(None, [plain(word) for word in words], [plain(one.word) for one in heard],
                             autojunk=False).get_matching_blocks()
    known = [(block.a + step, heard[block.b + step]) for block in blocks for step in range(block.size)]
    if not known:
        return None
    # Numbers of words against the clock, in halves of words: between two known words the rest is spread evenly.
    places = [-0.5, *(number for number, _ in known), len(words) - 0.5]
    clock = [0.0, *((one.start + one.end) / 2 for _, one in known), end]
    return np.maximum.accumulate(np.interp(np.arange(len(words)), places, clock))
