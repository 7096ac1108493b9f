"""Configuration of an AffectGPT model: its parts, what it looks at, and every choice that changes its numbers."""

from __future__ import annotations

import importlib
from typing import Any

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from affectgpt.models.fusion import FUSIONS
from affectgpt.models.projectors import PROJECTORS
from affectgpt.models.streams import STREAMS, VISUAL_STREAMS

PLACEHOLDERS = {
    "audio": "<AudioHere>",
    "face": "<FaceHere>",
    "frame": "<FrameHere>",
    "fusion": "<MultiHere>",
    "image": "<ImageHere>",
}
"""Placeholder token of each stream, spelt as in the published system so that its prompts can be rebuilt."""

PUBLISHED_PLACEHOLDER_ORDER = ("image", "audio", "frame", "face", "fusion")
"""Order in which the published system adds the tokens to a tokenizer; it decides their ids."""

PRESETS: dict[str, dict[str, Any]] = {
    # Bit-compatible with the official checkpoints: each line is one of their choices or quirks.
    "published": {
        "streams": ["fusion", "audio", "face", "text"],
        "prompt_style": "published",  # "###Human: ... ###Assistant: ", no chat template
        "projector": "attention",
        "fusion": "attention",
        "fusion_visual": "face",
        "attention_softmax": False,  # scores multiply the features unnormalised
        "fusion_width": 0,
        "shared_visual_projection": True,  # face and frame go through one projection
        "feature_norm": False,
        "token_norm": False,
        "projector_hidden": 0,
        "dropout": 0.0,
        "audio_tokens": 1, "face_tokens": 1, "frame_tokens": 1, "fusion_tokens": 1,
        "frames": 8,
        "frame_sampling": "published",
        "keep_aspect": False,  # frames are stretched to a square
        "face_channels": "bgr",  # faces reach the encoder with red and blue exchanged
        "audio_sampling": "published",  # eight windows of 2 s that miss the end of the clip
        "audio_segments": 8,
        "audio_window_seconds": 2.0,
        "audio_normalisation": "clip",  # one mean and deviation for all windows of a clip
        "audio_layers": "last4_mean",
        "audio_pooling": "segment",  # one vector a window: the mean over its time
        "audio_position_rows": 8, "visual_position_rows": 32,
        "llm_rounding": "float16",  # the LLM was loaded in half precision whatever it computes in
        "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.05,
    },
    "affectgpt": {},
}
"""Preset name -> values that differ from the defaults of `AffectGPTConfig`."""


class AffectGPTConfig(PretrainedConfig):
    """Everything needed to rebuild a model apart from its weights.

    Args:
        text_config, audio_config, visual_config: configurations of the LLM and the encoders (a dict with
            `model_type`, or a Hugging Face configuration); an encoder that is None does not exist.
        llm, audio_encoder, visual_encoder: names that `affectgpt.hub` resolves to the pretrained weights.
        preset: "affectgpt" or "published"; fills what is not given here.
        streams: what the model looks at, in no order; `fusion` is made of audio and `fusion_visual`.
        projector: "attention", "mean" or "qformer" (facts of Lian et al. 2025, arXiv 2501.16566, section 4).
        fusion: pre-fusion of the encoder outputs, "none", "attention" or "qformer".
        *_tokens: K, LLM tokens that a stream becomes.
        frames: T, frames sampled of a clip. audio_positions: T, time positions of the whole sound
            where `audio_pooling` is "positions".
        audio_layers: "last", "last4_mean" (mean of the last four) or "all" (all layers beside each other).
        audio_statistics: "mean", or "mean_std" (mean and deviation in each time position beside each other).
        placeholder_ids: stream -> token id, set with the tokenizer.

    Raises:
        ValueError: an unknown stream, kind or preset.
    """

    model_type = "affectgpt"
    sub_configs = {"text_config": AutoConfig, "audio_config": AutoConfig, "visual_config": AutoConfig}
    has_no_defaults_at_init = False

    def __init__(self, text_config=None, audio_config=None, visual_config=None, preset: str = "affectgpt", **kwargs):
        if preset not in PRESETS:
            raise ValueError(f"unknown preset {preset!r}: use one of {', '.join(PRESETS)}")
        values = {**_DEFAULTS, **PRESETS[preset]}
        unknown_to_base = {}
        for key, value in kwargs.items():
            if key in values:
                values[key] = value
            else:
                unknown_to_base[key] = value
        self.preset = preset
        self.text_config = _configuration(text_config)
        self.audio_config = _configuration(audio_config)
        self.visual_config = _configuration(visual_config)
        for key, value in values.items():
            setattr(self, key, value)
        self._check()
        unknown_to_base.setdefault("tie_word_embeddings", False)
        super().__init__(**unknown_to_base)

    def _check(self) -> None:
        choices = {
            "projector": tuple(PROJECTORS),
            "fusion": ("none", *FUSIONS),
            "fusion_visual": VISUAL_STREAMS,
            "prompt_style": ("chat", "published"),
            "audio_layers": ("last", "last4_mean", "all"),
            "audio_pooling": ("segment", "positions"),
            "audio_statistics": ("mean", "mean_std"),
            "audio_sampling": ("cover", "published"),
            "audio_normalisation": ("none", "segment", "clip"),
            "frame_sampling": ("centre", "published"),
            "face_channels": ("rgb", "bgr"),
        }
        for key, allowed in choices.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"{key} is {getattr(self, key)!r}: use one of {', '.join(allowed)}")
        for stream in self.streams:
            if stream not in STREAMS:
                raise ValueError(f"unknown stream {stream!r}: use some of {', '.join(STREAMS)}")
        if "fusion" in self.streams and self.fusion == "none":
            self.streams = [stream for stream in self.streams if stream != "fusion"]
        if "fusion" in self.streams and not {"audio", self.fusion_visual} <= set(self.streams):
            raise ValueError(f"the fusion stream is made of audio and {self.fusion_visual}: add both to streams")
        for stream in self.media_streams:
            if self.tokens_of(stream) < 1:
                raise ValueError(f"{stream}_tokens is {self.tokens_of(stream)}: use 1 or more")

        if self.shared_visual_projection and set(VISUAL_STREAMS) <= set(self.streams) \
                and self.face_tokens != self.frame_tokens:
            raise ValueError(f"face_tokens is {self.face_tokens} and frame_tokens is {self.frame_tokens}: they must be "
                             "equal where face and frame share one projection")

    @property
    def media_streams(self) -> list[str]:
        """Streams that become placeholder tokens: all but the words."""
        return [stream for stream in STREAMS if stream in self.streams and stream != "text"]

    @property
    def visual_streams(self) -> list[str]:
        return [stream for stream in VISUAL_STREAMS if stream in self.streams]

    def tokens_of(self, stream: str) -> int:
        """K of a stream."""
        return getattr(self, f"{stream}_tokens")

    def get_text_config(self, *args, **kwargs):
        return self.text_config if self.text_config is not None else self


_DEFAULTS: dict[str, Any] = {
    "llm": None, "audio_encoder": None, "visual_encoder": None,
    "streams": ["fusion", "audio", "face", "text"],
    "prompt_style": "chat",
    "projector": "attention",
    "fusion": "attention",
    "fusion_visual": "face",
    "attention_softmax": True,
    "shared_visual_projection": False,
    "feature_norm": True,  # features are standardised by statistics of the training set before projection
    "feature_noise": 0.0,  # deviation of Gaussian noise on standardised features while training
    "token_norm": True,  # projected tokens get the size of the LLM's word embeddings, times a learned scale
    "projector_hidden": 512,
    "dropout": 0.1,
    "audio_tokens": 4, "face_tokens": 4, "frame_tokens": 4, "fusion_tokens": 4,
    "frames": 8,
    "frame_sampling": "centre",
    "keep_aspect": True,
    "face_channels": "rgb",
    "face_margin": 0.2,
    "visual_size": 224, "visual_mean": [0.0, 0.0, 0.0], "visual_std": [1.0, 1.0, 1.0],
    "audio_sampling": "cover",
    "audio_segments": 1,
    "audio_window_seconds": 10.0,
    "audio_normalisation": "segment",
    "audio_level": True,  # loudness of each window is kept beside features of level-normalised sound
    "audio_layers": "all",
    "audio_pooling": "positions",
    "audio_positions": 8,
    "audio_statistics": "mean_std",
    "llm_rounding": None,  # a dtype name through which the LLM's weights are rounded when they are loaded
    "fusion_width": 512,  # width of the fused space; 0: the larger of the two encoders
    "qformer_hidden": 768, "qformer_heads": 12, "qformer_intermediate": 3072, "qformer_layers": 2,
    "qformer_dropout": 0.1,
    "audio_position_rows": 64, "visual_position_rows": 64,  # time positions that a Q-Former can tell apart
    "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0.05, "lora_targets": "all-linear",
    "words_max_tokens": 128,
    "placeholder_ids": {},
    "label_space": [],  # words that the projected tokens were aligned with
    "bundled": False,  # True: the folder holds the frozen weights too, and no name has to be resolved
}


def _configuration(value):
    if value is None or isinstance(value, PretrainedConfig):
        return value
    value = dict(value)
    model_type = value.pop("model_type", None)
    if model_type == "face_expression":
        importlib.import_module("affectgpt.starter.expression")  # registers the class, which transformers does not know
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"unknown model_type {model_type!r} in a part's configuration: "
                         "it must be a model type that transformers knows")
    return CONFIG_MAPPING[model_type](**value)
