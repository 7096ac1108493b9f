"""Configuration of an AffectGPT model: its parts, what it looks at, and every choice that changes its numbers."""

from __future__ import annotations

import copy

from transformers import CONFIG_MAPPING, AutoConfig, PretrainedConfig

from affectgpt.models.expression import FaceExpressionConfig  # noqa: F401  registers it: transformers has no such class
from affectgpt.models.settings import preset_values, problems_of
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

class AffectGPTConfig(PretrainedConfig):
    """Everything needed to rebuild a model apart from its weights.

    Args:
        text_config, audio_config, visual_config: configurations of the LLM and the encoders (a dict with
            `model_type`, or a Hugging Face configuration); an encoder that is None does not exist.
        llm, audio_encoder, visual_encoder: names that `affectgpt.hub` resolves to the pretrained weights.
        preset: "affectgpt" or "published"; fills what is not given here, or None.
        other settings: those of `models.settings`, with their meaning, choices and values in each preset.
        max_new_tokens: the longest answer in tokens, unless another limit is asked for.
        placeholder_ids: stream -> token id, set with the tokenizer.

    Raises:
        ValueError: a value that is none of a setting's choices or out of its range, or an unknown preset.
    """

    model_type = "affectgpt"
    sub_configs = {"text_config": AutoConfig, "audio_config": AutoConfig, "visual_config": AutoConfig}
    has_no_defaults_at_init = False

    def __init__(self, text_config=None, audio_config=None, visual_config=None, preset: str = "affectgpt", **kwargs):
        settings = preset_values(preset)
        values = {**copy.deepcopy(_OF_ONE_MODEL), **settings}
        unknown_to_base = {}
        for key, value in kwargs.items():
            if key not in values:
                unknown_to_base[key] = value
            elif value is not None or key not in settings:
                values[key] = value
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
        problems = problems_of(vars(self))
        if problems:
            raise ValueError("; ".join(problems))
        if "fusion" in self.streams and self.fusion == "none":
            self.streams = [stream for stream in self.streams if stream != "fusion"]
        if "fusion" in self.streams and not {"audio", self.fusion_visual} <= set(self.streams):
            raise ValueError(f"the fusion stream is made of audio and {self.fusion_visual}: add both to streams")
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


_OF_ONE_MODEL = {
    "llm": None, "audio_encoder": None, "visual_encoder": None,
    "max_new_tokens": 512,  # the longest answer; training sets it by its answers
    "placeholder_ids": {},
    "label_space": [],  # words that the projected tokens were aligned with
    "bundled": False,  # True: the folder holds the frozen weights too, and no name has to be resolved
}
"""What is no choice but a fact of one model, before it is known."""


def _configuration(value):
    if value is None or isinstance(value, PretrainedConfig):
        return value
    value = dict(value)
    model_type = value.pop("model_type", None)
    if model_type not in CONFIG_MAPPING:
        raise ValueError(f"unknown model_type {model_type!r} in a part's configuration: "
                         "it must be a model type that transformers knows")
    return CONFIG_MAPPING[model_type](**value)
