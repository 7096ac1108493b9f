"""Frozen encoders in the precision of a run: features near those of float32, and float32 where they are kept."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import pytest
import tiny
import torch
from tiny import parts

from affectgpt.config import Recipe
from affectgpt.features.extract import encode_inputs
from affectgpt.train.sft import encoder_dtype


@pytest.mark.parametrize(("audio", "visual"), [("whisper", "face"), ("hubert", "clip")])
def test_features_in_bfloat16_are_near_those_in_float32(parts, audio, visual):
    model, processor = tiny.model_and_processor(parts, audio=audio, visual=visual)
    exact = encode_inputs(model, tiny.inputs(processor, 1))
    model.set_encoder_dtype(torch.bfloat16)
    assert {p.dtype for p in model.audio_encoder.parameters()} == {torch.bfloat16}
    near = encode_inputs(model, tiny.inputs(processor, 1))
    for stream in ("audio", "face", "frame"):
        one, other = getattr(exact, stream), getattr(near, stream)
        assert other.dtype == torch.float32 and not torch.equal(one, other)
        assert (one - other).norm() < 0.03 * one.norm(), stream
    # The level of the sound is no feature of the encoder, and stays exact.
    assert torch.equal(exact.audio[:, -1], near.audio[:, -1])


def test_a_spectrum_is_that_of_the_sound_itself(parts, monkeypatch):
    model, processor = tiny.model_and_processor(parts)
    model.set_encoder_dtype(torch.bfloat16)
    heard, stft = [], torch.stft
    monkeypatch.setattr(
        torch, "stft", lambda waves, *rest, **options: heard.append(waves) or stft(waves, *rest, **options)
    )
    inputs = tiny.inputs(processor, 1)
    encode_inputs(model, inputs)
    assert heard[0].dtype == torch.float32 and not torch.equal(heard[0], heard[0].bfloat16().float())


@pytest.mark.parametrize(("asked", "cache", "trained", "llm", "expected"), [
    ("auto", False, False, "bfloat16", "bfloat16"), ("auto", True, False, "bfloat16", "float32"),
    ("auto", False, True, "bfloat16", "float32"), ("auto", False, False, "float32", "float32"),
    ("float32", False, False, "bfloat16", "float32"), ("bfloat16", False, False, "float32", "bfloat16"),
])
def test_the_precision_follows_the_run(asked, cache, trained, llm, expected):
    recipe = Recipe()
    recipe.model.encoder_dtype, recipe.data.cache, recipe.model.train_encoders = asked, cache, trained
    assert encoder_dtype(recipe, llm) == expected


@pytest.mark.parametrize(("name", "value"), [("cache", True), ("train_encoders", True)])
def test_features_that_are_kept_and_weights_that_are_trained_stay_float32(name, value):
    recipe = Recipe()
    recipe.model.encoder_dtype, recipe.data.cache = "bfloat16", False
    setattr(recipe.data if name == "cache" else recipe.model, name, value)
    with pytest.raises(ValueError, match="model.encoder_dtype=bfloat16, but"):
        recipe.validate()
