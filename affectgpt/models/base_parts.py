"""Pretrained parts from a hub id or a folder, by transformers alone; `affectgpt.loading` knows other names too."""

from __future__ import annotations

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from affectgpt.models.encoders import WhisperEncoderHalf
from affectgpt.models.precision import cast_weights


def read_parts(config, dtype: torch.dtype, attention: str = "sdpa", as_stored: bool = False
               ) -> tuple[nn.Module, nn.Module | None, nn.Module | None]:
    """The LLM, the audio encoder and the visual encoder that a configuration names; encoders are float32.

    as_stored: the LLM in the format of its file instead of `dtype`.

    Raises:
        ValueError: a part that only the package affectgpt can make.
    """
    for name in (config.llm, config.audio_encoder, config.visual_encoder):
        if name and ":" in name:
            raise ValueError(f"{name!r} is a part that the package affectgpt makes: install it, or merge the model "
                             "there (affectgpt merge), which puts all parts into one folder")
    stored = getattr(torch, config.llm_rounding) if config.llm_rounding else "auto" if as_stored else dtype
    llm = AutoModelForCausalLM.from_pretrained(config.llm, dtype=stored,
                                               attn_implementation=None if attention == "sdpa" else attention)
    if not as_stored:
        cast_weights(llm, dtype)
    audio = visual = None
    if config.audio_config is not None and "audio" in config.streams:
        audio = read_audio_model(config.audio_encoder, torch.float32)
    if config.visual_config is not None and config.visual_streams:
        visual = read_visual_model(config.visual_encoder, torch.float32)
    return llm, audio, visual


def read_audio_model(path: str, dtype: torch.dtype) -> nn.Module:
    """An audio encoder; of Whisper the encoder half alone."""
    config = AutoConfig.from_pretrained(path)
    if config.model_type != "whisper":
        return AutoModel.from_pretrained(path, config=config, dtype=dtype)
    return WhisperEncoderHalf.from_pretrained(path, config=config, dtype=dtype,
                                              key_mapping={r"^(model\.)?encoder\.": ""})


def read_visual_model(path: str, dtype: torch.dtype) -> nn.Module:
    """A visual encoder; of CLIP the vision half with its projection."""
    config = AutoConfig.from_pretrained(path)
    if config.model_type in ("clip", "clip_vision_model"):
        from transformers import CLIPVisionModelWithProjection

        return CLIPVisionModelWithProjection.from_pretrained(path, config=visual_configuration(config), dtype=dtype)
    if config.model_type == "siglip":
        from transformers import SiglipVisionModel

        return SiglipVisionModel.from_pretrained(path, config=config.vision_config, dtype=dtype)
    return AutoModel.from_pretrained(path, dtype=dtype)


def visual_configuration(config):
    """The vision half of a two-tower configuration; any other configuration as it is."""
    if config.model_type == "clip":
        # Old files give the projection width only at the top, where the vision half does not look.
        config.vision_config.projection_dim = config.projection_dim
    return getattr(config, "vision_config", config)
