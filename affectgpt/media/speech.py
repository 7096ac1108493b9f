"""Waveform -> English words, with a Whisper model that needs no network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from affectgpt.media.waveform import TENTH, is_silent, loudness
from affectgpt.models.streams import SAMPLE_RATE

RECOGNISER = "starter:whisper-tiny.en"
WINDOW_SECONDS = 30
# Whisper's decoder ends at 448 positions; speech is below 5 tokens a second.
MAX_TOKENS = 220
# Whisper expects speech near full scale; a quiet recording is raised to this peak.
PEAK = 0.5
NO_SPEECH_TOKEN = "<|nocaptions|>"
NO_SPEECH = 0.5


def recogniser_folder() -> str:
    """Folder of the recogniser, converted on first use. Raises ValueError where its package is missing."""
    from affectgpt import hub

    return str(hub.local_folder(RECOGNISER))


@lru_cache(maxsize=1)
def recogniser(folder: str):
    """(model, feature extractor, tokenizer), kept for the next clip."""
    import torch
    from transformers import AutoTokenizer, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    from affectgpt.starter.reading import read_model

    config = WhisperConfig.from_pretrained(folder)
    model = read_model(folder, lambda: WhisperForConditionalGeneration._from_config(config, dtype=torch.float32),
                       torch.float32)
    return model, WhisperFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def transcribe(waveform: np.ndarray) -> str:
    """The words in a mono waveform float32 [N] of 16 kHz; "" where nobody speaks.

    Whisper tiny, English only, greedy. Longer sound is heard in windows of at most 30 s, cut where it
    is quietest. The first call converts the starter model (see affectgpt.hub).
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"a waveform must have one dimension, not shape {list(waveform.shape)}")
    return " ".join(filter(None, (_words(window) for window in windows(waveform) if not is_silent(window))))


def windows(waveform: np.ndarray) -> list[np.ndarray]:
    """A waveform [N] in parts of at most 30 s, cut where it is quietest."""
    length, step = WINDOW_SECONDS * SAMPLE_RATE, TENTH
    windows = []
    while len(waveform) > length:
        last_third = waveform[2 * length // 3 : length]
        cut = 2 * length // 3 + (2 * int(loudness(last_third).argmin()) + 1) * step // 2
        windows.append(waveform[:cut])
        waveform = waveform[cut:]
    return windows + [waveform] if len(waveform) else windows


def _words(window: np.ndarray) -> str:
    import torch

    model, extractor, tokenizer = recogniser(recogniser_folder())
    window = window - window.mean()
    window = window * (PEAK / float(np.abs(window).max()))
    features = extractor(window, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
    start = torch.tensor([[model.config.decoder_start_token_id]])
    with torch.inference_mode():
        encoded = model.get_encoder()(features)
        # Without this, Whisper hears "You" in a hum. Measured: speech below 0.1, noise above 0.6.
        first = model(encoder_outputs=encoded, decoder_input_ids=start).logits[0, -1].softmax(-1)
        if float(first[tokenizer.convert_tokens_to_ids(NO_SPEECH_TOKEN)]) > NO_SPEECH:
            return ""
        tokens = model.generate(
            features, encoder_outputs=encoded, do_sample=False, num_beams=1, max_length=MAX_TOKENS
        )
    return tokenizer.decode(tokens[0], skip_special_tokens=True).strip()
