"""Tiny models of every kind of encoder, projector and fusion, and batches for them; import the fixtures to use them."""

from __future__ import annotations

import pytest
import tiny
from tiny import parts  # noqa: F401  a fixture

END = 2
QUESTION = "List the person's emotions."
VARIANTS = {
    "whisper-face-attention": dict(audio="whisper", visual="face", audio_window_seconds=0.5),
    "hubert-clip-mean": dict(audio="hubert", visual="clip", projector="mean", audio_window_seconds=0.5),
    "whisper-clip-qformer": dict(
        audio="whisper", visual="clip", projector="qformer", fusion="qformer", audio_window_seconds=0.5, audio_tokens=3
    ),
    "hubert-face-no-fusion": dict(
        audio="hubert",
        visual="face",
        llm="llama",
        fusion="none",
        audio_statistics="mean",
        audio_normalisation="clip",
        audio_layers="last",
        audio_window_seconds=0.5,
    ),
    "published": dict(
        audio="hubert",
        visual="clip",
        preset="published",
        frame_tokens=3,
        projector_hidden=0,
        fusion_width=0,
        audio_window_seconds=0.2,
        audio_segments=4,
    ),
    "published-qformer-frame": dict(
        audio="hubert",
        visual="clip",
        preset="published",
        frame_tokens=3,
        projector="qformer",
        fusion="qformer",
        fusion_visual="frame",
        audio_window_seconds=0.2,
        audio_segments=4,
        projector_hidden=0,
        fusion_width=0,
    ),
}


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request, parts):  # noqa: F811
    return tiny.model_and_processor(parts, **VARIANTS[request.param])


@pytest.fixture(scope="module")
def default(parts):  # noqa: F811
    return tiny.model_and_processor(parts, audio_window_seconds=0.5)


def fresh(parts, **values):  # noqa: F811
    """A model of its own, for tests that change it."""
    return tiny.model_and_processor(parts, audio_window_seconds=0.5, **values)


def training_batch(processor, answers: tuple[str, ...] = ("happy.", "Emotions: sad. Polarity: negative.", "angry")):
    samples = [processor.training_sample(inputs, QUESTION, answer)
               for inputs, answer in zip(tiny.mixture(processor), answers, strict=False)]
    return samples, processor.collate(samples)
