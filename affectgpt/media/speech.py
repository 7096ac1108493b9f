"""Waveform -> English words, with a Whisper model that needs no network."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from affectgpt.media.audio import SAMPLE_RATE

RECOGNISER = "starter:whisper-tiny.en"
WINDOW_SECONDS = 30
# Whisper's decoder ends at 448 positions; speech is below 5 tokens a second.
MAX_TOKENS = 220
# Of full scale, root mean square. Recorded speech has been seen at -57 dB, so only near nothing is silence.
SILENCE_LEVEL = 10 ** (-75 / 20)
# Whisper expects speech near full scale; a quiet recording is raised to this peak.
PEAK = 0.5
NO_SPEECH_TOKEN = "<|nocaptions|>"
NO_SPEECH = 0.5


def recogniser_folder() -> str:
    """Folder of the recogniser, converted on first use. Raises ValueError where its package is missing."""
    from affectgpt import hub

    return str(hub.local_folder(RECOGNISER))


@lru_cache(maxsize=1)
def _recogniser(folder: str):
    """(model, feature extractor, tokenizer), kept for the next clip."""
    from transformers import AutoTokenizer, WhisperFeatureExtractor, WhisperForConditionalGeneration

    model = WhisperForConditionalGeneration.from_pretrained(folder).eval()
    return model, WhisperFeatureExtractor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)


def transcribe(waveform: np.ndarray) -> str:
    """The words in a mono waveform float32 [N] of 16 kHz; "" where nobody speaks.

    Whisper tiny, English only, greedy. Longer sound is heard in windows of at most 30 s, cut where it
    is quietest. The first call converts the starter model (see affectgpt.hub).
    """
    waveform = np.asarray(waveform, dtype=np.float32)
    if waveform.ndim != 1:
        raise ValueError(f"a waveform must have one dimension, not shape {list(waveform.shape)}")
    return " ".join(filter(None, (_words(window) for window in _windows(waveform) if not _is_silent(window))))


def _loudness(window: np.ndarray, step: int = SAMPLE_RATE // 10) -> np.ndarray:
    """Root mean square of each tenth of a second (a constant offset is no sound)."""
    window = window - window.mean()
    steps = np.pad(window, (0, -len(window) % step)).reshape(-1, step)
    return np.sqrt((steps**2).mean(axis=1))


def _is_silent(window: np.ndarray) -> bool:
    return bool(_loudness(window).max() < SILENCE_LEVEL)


def _windows(waveform: np.ndarray) -> list[np.ndarray]:
    length, step = WINDOW_SECONDS * SAMPLE_RATE, SAMPLE_RATE // 10
    windows = []
    while len(waveform) > length:
        last_third = waveform[2 * length // 3 : length]
        cut = 2 * length // 3 + (2 * int(_loudness(last_third).argmin()) + 1) * step // 2
        windows.append(waveform[:cut])
        waveform = waveform[cut:]
    return windows + [waveform] if len(waveform) else windows


def _words(window: np.ndarray) -> str:
    import torch

    model, extractor, tokenizer = _recogniser(recogniser_folder())
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
