"""Model folders: what is saved, what is loaded, what is refused."""

from __future__ import annotations

import os

import pytest
import tiny
import torch
from model_variants import VARIANTS, fresh, training_batch
from safetensors.torch import load_file, save_file
from tiny import parts  # noqa: F401  a fixture
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor


def logits_of(model, processor) -> torch.Tensor:
    with torch.no_grad():
        return model(**training_batch(processor)[1], return_logits=True).logits


@pytest.mark.parametrize("kind", ["whisper-face-attention", "whisper-clip-qformer", "published"])
def test_a_named_base_saves_only_what_was_trained(parts, tmp_path, kind):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, **VARIANTS[kind])
    trained = set(model.mark_trained())
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    stored = set(load_file(tmp_path / "model.safetensors"))
    assert trained <= stored
    assert all("lora_" in name for name in stored if name.startswith("language_model."))
    assert not [name for name in stored if name.startswith(("audio_encoder", "visual_encoder"))]
    assert not [file for file in os.listdir(tmp_path) if "tmp" in file]
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    own = AffectGPTProcessor.from_pretrained(tmp_path)
    assert again.config.placeholder_ids == model.config.placeholder_ids and not again.training
    torch.testing.assert_close(logits_of(again, own), logits_of(model, processor), atol=1e-6, rtol=1e-5)


def test_trained_encoders_are_saved_and_loaded(parts, tmp_path):  # noqa: F811
    model, processor = fresh(parts)
    model.mark_trained(encoders=True)
    with torch.no_grad():
        model.audio_encoder.model.layers[0].fc1.weight.mul_(3)
    model.save_pretrained(tmp_path)
    assert [name for name in load_file(tmp_path / "model.safetensors") if name.startswith("audio_encoder.")]
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(again, processor), logits_of(model, processor), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["whisper-face-attention", "hubert-clip-mean", "hubert-face-no-fusion", "published"])
def test_a_bundled_model_needs_no_other_folder(parts, tmp_path, kind):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, **VARIANTS[kind])
    model.config.llm = model.config.audio_encoder = model.config.visual_encoder = None
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, own = AutoModelForCausalLM.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, AffectGPTForConditionalGeneration) and isinstance(own, AffectGPTProcessor)
    assert again.config.bundled
    torch.testing.assert_close(logits_of(again, own), logits_of(model, processor), atol=1e-6, rtol=1e-5)


def test_auto_classes_know_the_model(parts, tmp_path):  # noqa: F811
    model, processor = fresh(parts)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), AffectGPTConfig)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        assert isinstance(auto.from_pretrained(tmp_path), AffectGPTForConditionalGeneration)
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), AffectGPTProcessor)


@pytest.mark.parametrize(
    "values",
    [
        dict(
            preset="published",
            frame_tokens=3,
            projector_hidden=512,
            fusion_width=512,
            attention_softmax=True,
            feature_norm=True,
        ),
        dict(preset="affectgpt", attention_softmax=False, feature_norm=False, audio_tokens=7),
    ],
)
def test_configuration_survives_its_file(parts, tmp_path, values):  # noqa: F811
    config = tiny.config(parts, **values)
    config.save_pretrained(tmp_path)
    again = AffectGPTConfig.from_pretrained(tmp_path)
    for key, value in values.items():
        assert getattr(again, key) == value, key
    assert again.streams == config.streams and again.llm == config.llm


def test_a_saved_model_can_be_tuned_on(parts, tmp_path):  # noqa: F811
    model, _ = fresh(parts)
    names = model.mark_trained()
    model.save_pretrained(tmp_path)
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    assert again.mark_trained() == names


@pytest.fixture(scope="module")
def saved(parts, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("saved")
    model, processor = tiny.model_and_processor(parts)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def damaged(saved, tmp_path, change):
    """A copy of a model folder whose weights were changed."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    change(weights, state)
    return tmp_path


def drop(weights, state):
    del state["projectors.audio.scorer.weight"]
    save_file(state, weights)


def add(weights, state):
    save_file({**state, "stranger": torch.zeros(1)}, weights)


def shrink(weights, state):
    state["projectors.audio.scorer.weight"] = torch.zeros(1, 1)
    save_file(state, weights)


def cut(weights, state):
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize("change, message", [
    (lambda weights, state: weights.unlink(), "has no model.safetensors"),
    (drop, "1 tensors are missing .projectors.audio.scorer.weight"),
    (add, "1 are unknown .stranger"),
    (shrink, "projectors.audio.scorer.weight"),
    (cut, "model.safetensors"),
], ids=["no weights", "missing tensor", "unknown tensor", "wrong size", "cut off"])
def test_a_damaged_folder_is_one_clear_line(saved, tmp_path, change, message):
    folder = damaged(saved, tmp_path, change)
    with pytest.raises(ValueError, match=message) as error:
        AffectGPTForConditionalGeneration.from_pretrained(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("values, message", [
    (dict(streams=["audio", "smell"]), r"streams\[1\] is 'smell': use one of audio, face"),
    (dict(projector="magic"), "projector is 'magic': use one of attention, mean, qformer"),
    (dict(streams=["fusion", "audio"]), "made of audio and face"),
    (dict(audio_tokens=0), "audio_tokens=0 must be at least 1"),
    (dict(streams=["face", "frame"], shared_visual_projection=True, face_tokens=1),
     "face_tokens is 1 and frame_tokens"),
    (dict(preset="old"), "unknown preset 'old'"),
])
def test_a_configuration_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        AffectGPTConfig(**values)
