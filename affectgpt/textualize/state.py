"""Arousal, valence and dominance of a voice, 0..1 each: by a regression head on features of the bundled audio encoder
that this project fits on a labelled corpus, or by a wav2vec 2.0 model with three outputs.

Shapes: C clips, D features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.data.readers import record_of
from affectgpt.files import atomic_folder, require_done
from affectgpt.media import SAMPLE_RATE, spoken_part
from affectgpt.textualize.settings import StateSection
from affectgpt.words import lexicon

DIMENSIONS = ("arousal", "valence", "dominance")
"""Order of a text; published heads answer in the order arousal, dominance, valence (`Wav2Vec2State`)."""

COORDINATES = {
    "neutral": (0.0, 0.0, 0.0), "happy": (0.5, 0.8, 0.4), "angry": (0.6, -0.5, 0.3), "fearful": (0.6, -0.6, -0.4),
    "sad": (-0.3, -0.6, -0.3), "disgusted": (0.3, -0.6, 0.1), "surprised": (0.7, 0.4, -0.1),
}
"""Basic emotion -> its place, -1..1, after the three factors of Russell & Mehrabian (1977), rounded to tenths; sad is
set low in arousal, as acted sad voices are. An approximation for corpora without dimensional labels: it says where the
category lies, not how the clip is."""

FEATURES = "starter:whisper-tiny.en encoder, mean and deviation of each layer over the speech, 1"
"""What a head's features are; a head of others is refused."""
_CONFIG, _WEIGHTS = "state_head.json", "state_head.safetensors"


def dimensions_of(clip: Clip) -> tuple[float, float, float] | None:
    """(arousal, valence, dominance) in 0..1 of a labelled clip: its own ratings where it has all three, else the place
    of its emotion; None where it has neither."""
    targets, record = clip.targets, record_of(clip.corpus)
    rated = (targets.arousal, targets.valence, targets.dominance)
    bounds = record.valence_range if record else None
    if bounds and None not in rated:
        return tuple(float(np.clip((value - bounds[0]) / (bounds[1] - bounds[0]), 0, 1)) for value in rated)
    if targets.emotion is None:
        return None
    # A label beside the seven, such as calm, has no place here and teaches nothing.
    basic = lexicon.load().basic_emotion(targets.emotion)
    return tuple((value + 1) / 2 for value in COORDINATES[basic]) if basic in COORDINATES else None


class Head:
    """Ridge regression on standardised features.

    Attributes:
        mean, scale: [D] of the features. weight: [D, 3]. bias: [3]. facts: how it was fitted.
    """

    def __init__(self, mean: np.ndarray, scale: np.ndarray, weight: np.ndarray, bias: np.ndarray,
                 facts: dict[str, Any]):
        self.mean, self.scale, self.weight, self.bias, self.facts = mean, scale, weight, bias, facts

    @classmethod
    def fit(cls, features: np.ndarray, targets: np.ndarray, penalty: float, facts: dict[str, Any]) -> Head:
        """Of features [C, D] and dimensions [C, 3] in 0..1. Raises ValueError for fewer than ten clips."""
        if len(features) < 10:
            raise ValueError(f"state.labelled: {len(features)} clips have sound and an emotion or dimensions, and a "
                             "head takes at least 10")
        mean, scale = features.mean(0), np.maximum(features.std(0), 1e-6)
        x, bias = (features - mean) / scale, targets.mean(0)
        weight = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ (targets - bias))
        return cls(mean, scale, weight, bias, {**facts, "clips": len(features), "penalty": penalty})

    def __call__(self, features: np.ndarray) -> dict[str, float]:
        """Dimension -> its value in 0..1, of features [D]."""
        values = np.clip((features - self.mean) / self.scale @ self.weight + self.bias, 0, 1)
        return {name: round(float(value), 4) for name, value in zip(DIMENSIONS, values, strict=True)}

    def save(self, folder: str | Path) -> None:
        """Write the head as safetensors and JSON; an earlier head is replaced."""
        from safetensors.numpy import save_file

        with atomic_folder(folder, overwrite=True) as place:
            save_file({name: np.ascontiguousarray(getattr(self, name), dtype=np.float32)
                       for name in ("mean", "scale", "weight", "bias")}, place / _WEIGHTS)
            (place / _WEIGHTS).chmod(0o644)  # safetensors writes private files
            (place / _CONFIG).write_text(json.dumps(
                {"features": FEATURES, "outputs": DIMENSIONS, **self.facts}, indent=2) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> Head:
        """Raises ValueError for a folder that is no head, or one of other features."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        place = require_done(folder)
        try:
            facts = json.loads((place / _CONFIG).read_text(encoding="utf-8"))
            parts = {name: value.astype(np.float64) for name, value in load_file(place / _WEIGHTS).items()}
            head = cls(*(parts[name] for name in ("mean", "scale", "weight", "bias")), dict(facts))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
            raise ValueError(f"{folder}: is no state head ({error}); fit one with state.labelled=CORPUS") from error
        size = len(head.mean) if head.mean.ndim == 1 else 0
        shapes = [part.shape for part in (head.mean, head.scale, head.weight, head.bias)]
        if shapes != [(size,), (size,), (size, 3), (3,)] or facts.get("features") != FEATURES:
            raise ValueError(f"{folder}: is a head of other features; fit one with state.labelled=CORPUS")
        return head


def encoder_features(waveform: np.ndarray) -> np.ndarray | None:
    """float64 [D] of float32 [N]: mean and deviation, over the spoken part, of each layer of the bundled recogniser's
    encoder; at most the first half minute is heard. None for a sound that is too short."""
    import torch

    start, end = spoken_part(waveform)
    speech = waveform[start : min(end, start + 30 * SAMPLE_RATE)]
    if len(speech) < SAMPLE_RATE // 10:
        return None
    encoder, extractor = _encoder()
    features = extractor(speech, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
    with torch.inference_mode():
        layers = encoder(features, output_hidden_states=True).hidden_states[1:]
    heard = max(2, len(speech) * layers[0].shape[1] // (30 * SAMPLE_RATE))
    parts = [part for layer in layers for part in (layer[0, :heard].mean(0), layer[0, :heard].std(0))]
    return torch.cat(parts).double().numpy()


@lru_cache(maxsize=1)
def _encoder():
    from affectgpt.media import speech

    model, extractor, _ = speech.recogniser(speech.recogniser_folder())
    return model.get_encoder(), extractor


def wav2vec2_state(name: str, device: str = "cpu"):
    """A function float32 [N] -> {dimension: 0..1}, of a wav2vec 2.0 model by hub id or folder, whose published head is
    a mean over time, a layer, tanh and a layer with the outputs arousal, dominance, valence (Wagner et al. 2023).

    Raises:
        ValueError: no such model, or one with another head.
    """
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor

    model_class = _state_model()
    try:
        config = Wav2Vec2Config.from_pretrained(name)
        model, facts = model_class.from_pretrained(name, config=config, output_loading_info=True)
        extractor = Wav2Vec2FeatureExtractor.from_pretrained(name)
    except OSError as error:
        raise ValueError(f"state.model=hf:{name}: cannot be loaded ({str(error).splitlines()[0]}); check the name, or "
                         "give a folder") from error
    missing = [key for key in facts["missing_keys"] if key.startswith("classifier.")]
    if config.num_labels != 3 or missing:
        raise ValueError(f"state.model=hf:{name}: has {config.num_labels} outputs or no head of arousal, dominance and "
                         "valence; name a model such as audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim")
    model.eval().to(device)

    def state(waveform: np.ndarray) -> dict[str, float]:
        inputs = extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values.to(device)
        with torch.inference_mode():
            arousal, dominance, valence = model(inputs)[0].clamp(0, 1).tolist()
        found = {"arousal": arousal, "valence": valence, "dominance": dominance}
        return {dimension: round(found[dimension], 4) for dimension in DIMENSIONS}

    return state


@lru_cache(maxsize=1)
def _state_model():
    """The class, made when it is wanted: transformers is slow to import."""
    import torch
    from torch import nn
    from transformers import Wav2Vec2Model, Wav2Vec2PreTrainedModel

    class RegressionHead(nn.Module):
        def __init__(self, config):
            super().__init__()
            self.dense = nn.Linear(config.hidden_size, config.hidden_size)
            self.out_proj = nn.Linear(config.hidden_size, config.num_labels)

        def forward(self, pooled):
            return self.out_proj(torch.tanh(self.dense(pooled)))

    class Wav2Vec2State(Wav2Vec2PreTrainedModel):
        def __init__(self, config):
            super().__init__(config)
            self.wav2vec2, self.classifier = Wav2Vec2Model(config), RegressionHead(config)
            self.post_init()

        def forward(self, input_values):
            return self.classifier(self.wav2vec2(input_values).last_hidden_state.mean(1))

    return Wav2Vec2State


def state_words(state: dict[str, float], settings: StateSection) -> str:
    """The paper's wording: "Arousal level (between 0 and 1) of 0.61, ..." or "High Arousal, Low Valence, ..."."""
    if settings.wording == "numbers":
        return ", ".join(f"{name.capitalize()} level (between 0 and 1) of {state[name]:.2f}" for name in DIMENSIONS)
    return ", ".join(f"{'High' if state[name] >= settings.high else 'Low'} {name.capitalize()}" for name in DIMENSIONS)


def overlap(clips: Sequence[Clip], labelled: Sequence[Clip]) -> list[str]:
    """Keys of clips that a head is fitted on and would be asked about: their text would tell their label."""
    def marks(clip: Clip) -> set:
        return {clip.key, *([clip.content] if clip.content else []),
                *([(Path(path).resolve(), clip.span)] if (path := clip.audio or clip.media) else [])}

    taught = set().union(*map(marks, labelled)) if labelled else set()
    return [clip.key for clip in clips if marks(clip) & taught]
