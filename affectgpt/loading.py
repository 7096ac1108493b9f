"""Names -> a model: the pretrained parts that a configuration names, and model folders that name their base parts."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoTokenizer

from affectgpt import hub
from affectgpt.models.attention import BY_CLIP
from affectgpt.models.base_parts import read_audio_model, read_visual_model, visual_configuration
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.encoders import audio_model_from_config
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.precision import cast_weights
from affectgpt.starter.reading import read_model


def from_parts(config: AffectGPTConfig, dtype: torch.dtype = torch.float32, attention: str = "sdpa",
               quantization: str = "none", device=None) -> AffectGPTForConditionalGeneration:
    """A model of the pretrained parts that `config` names, with new projectors, pre-fusion and LoRA.

    device: where the LLM is read to; the other parts are on the CPU.

    Raises:
        ValueError: an LLM whose logits are not computed as it does itself (`models.head.check_logits`).
    """
    model = with_parts(describe_parts(config), dtype, attention, quantization, device)
    if quantization == "none":  # 4-bit kernels may need a GPU, which the model is not on yet
        model.check_logits()
    return model


def with_parts(config: AffectGPTConfig, dtype: torch.dtype, attention: str = "sdpa", quantization: str = "none",
               device=None, merge_lora: bool = False, as_stored: bool = False) -> AffectGPTForConditionalGeneration:
    """As `from_parts`, for a configuration whose parts are described already.

    merge_lora: make no LoRA modules.
    as_stored: the LLM in the format of its file instead of `dtype`; the caller changes it, layer by layer.
    """
    if as_stored:
        rounding = getattr(torch, config.llm_rounding) if config.llm_rounding else "auto"
        language_model = read_causal_lm(config.llm, rounding, None if attention == "sdpa" else attention)
    else:
        language_model = load_language_model(config.llm, dtype, attention, config.llm_rounding, quantization, device)
    return AffectGPTForConditionalGeneration(config, language_model, *load_encoders(config), merge_lora)


def load_encoders(config: AffectGPTConfig) -> tuple[nn.Module | None, nn.Module | None]:
    """The audio and the visual encoder that a configuration names, None for those that it does not look through."""
    audio = visual = None
    # Frozen encoders run in float32: they are small beside the LLM, and their features are kept.
    if config.audio_config is not None and "audio" in config.streams:
        audio = load_audio_model(config.audio_encoder, torch.float32)
    if config.visual_config is not None and config.visual_streams:
        visual = load_visual_model(config.visual_encoder, torch.float32)
    return audio, visual


def load_language_model(name: str, dtype: torch.dtype, attention: str = "sdpa",
                        rounding: str | None = None, quantization: str = "none", device=None) -> nn.Module:
    """A causal LM by hub id, local folder or starter name.

    Args:
        rounding: a dtype that its weights pass through.
        quantization: "8bit" or "4bit" (NF4 with double quantization: Dettmers et al. 2023, arXiv 2305.14314).
    Raises:
        ValueError: quantization without bitsandbytes.
    """
    if attention == "sdpa":
        attention = None  # transformers' choice: SDPA, or eager for an LLM whose soft caps SDPA cannot compute
    if quantization == "none":
        stored = getattr(torch, rounding) if rounding else dtype
        # Straight to a GPU: eight ranks of a machine would else hold eight copies in its memory.
        place = {"device_map": {"": device}} if device is not None and torch.device(device).type != "cpu" else {}
        return cast_weights(read_causal_lm(name, stored, attention, **place), dtype)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(f"model.quantization={quantization} needs bitsandbytes: pip install 'affectgpt[qlora]'")
    from transformers import BitsAndBytesConfig

    bits = BitsAndBytesConfig(load_in_8bit=quantization == "8bit", load_in_4bit=quantization == "4bit",
                              bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype)
    return AutoModelForCausalLM.from_pretrained(
        hub.locate(name, "model.llm"), dtype=dtype, attn_implementation=attention, quantization_config=bits
    )


def read_causal_lm(name: str, dtype: torch.dtype | str, attention: str | None = None, **place) -> nn.Module:
    """The weights of an LLM in `dtype`, or as they are stored ("auto"); `place` is a device map."""
    path = hub.locate(name, "model.llm")
    if not name.startswith(hub.PREFIX) or place:
        return AutoModelForCausalLM.from_pretrained(path, dtype=dtype, attn_implementation=attention, **place)
    config = _auto_config(path)
    dtype = config.dtype if dtype == "auto" else dtype
    kernel = {} if attention is None else {"attn_implementation": attention}
    return read_model(path, lambda: AutoModelForCausalLM.from_config(config, dtype=torch.float32, **kernel),
                      dtype)


def choose_attention(asked: str, dtype: str, device) -> str:
    """The attention kernel to train with: SDPA clip by clip, which on a GPU in bfloat16 is torch's own flash attention.

    Raises:
        ValueError: flash-attn is asked for and not installed, there is no GPU, or one that it does not run on.
    """
    if asked == "flash_attention_2":
        installed = importlib.util.find_spec("flash_attn") is not None
        on_gpu = torch.device(device).type == "cuda"
        able = on_gpu and torch.cuda.get_device_capability(device) >= (8, 0)
        if not (installed and able):
            raise ValueError(f"model.attention=flash_attention_2, but flash-attn is {'' if installed else 'not '}"
                             f"installed and the device is {device}"
                             f"{' of compute capability below 8.0' if on_gpu and not able else ''}: set "
                             "model.attention=auto")
    return BY_CLIP if asked in ("auto", "sdpa") else asked


def load_tokenizer(name: str):
    """The tokenizer that belongs to a causal LM."""
    return AutoTokenizer.from_pretrained(hub.locate(name, "model.llm", weights=False))


def load_audio_model(name: str, dtype: torch.dtype) -> nn.Module:
    """An audio encoder; of Whisper the encoder half alone."""
    path = hub.locate(name, "model.audio_encoder")
    config = _auto_config(path)
    if config.model_type == "whisper" and name.startswith(hub.PREFIX):
        return read_model(path, lambda: audio_model_from_config(config), dtype, prefix="model.encoder.")
    return read_audio_model(path, dtype)


def load_visual_model(name: str, dtype: torch.dtype) -> nn.Module:
    """A visual encoder; of CLIP the vision half with its projection."""
    path = hub.locate(name, "model.visual_encoder")
    if name.startswith(hub.PREFIX):
        config = _auto_config(path)
        return read_model(path, lambda: AutoModel.from_config(config, dtype=torch.float32), dtype)
    return read_visual_model(path, dtype)


def describe_parts(config: AffectGPTConfig) -> AffectGPTConfig:
    """Fill the sub-configurations and the pixel statistics of the named parts into `config` (in place)."""
    config.text_config = _auto_config(hub.locate(config.llm, "model.llm", weights=False))
    if config.audio_encoder and "audio" in config.streams:
        config.audio_config = _auto_config(hub.locate(config.audio_encoder, "model.audio_encoder"))
        if config.audio_config.model_type == "whisper":
            config.audio_normalisation = "none"  # Whisper's own front end scales the spectrum
    if config.visual_encoder and config.visual_streams:
        path = hub.locate(config.visual_encoder, "model.visual_encoder")
        config.visual_config = visual_configuration(_auto_config(path))
        for key, value in _pixel_statistics(path, config.visual_config).items():
            setattr(config, key, value)
    return config


def _auto_config(path: str):
    return AutoConfig.from_pretrained(path)


def picture_settings(name: str, visual_config) -> dict:
    """`visual_size`, `visual_mean` and `visual_std` of a visual encoder's pictures."""
    neutral = {"visual_mean": [0.0] * 3, "visual_std": [1.0] * 3}
    return neutral | _pixel_statistics(hub.locate(name, "encoder"), visual_config)


def _pixel_statistics(path: str, visual_config) -> dict:
    size = getattr(visual_config, "image_size", 224)
    found = {"visual_size": size if isinstance(size, int) else size[0]}
    if visual_config.model_type == "face_expression":
        return found
    file = Path(path) / "preprocessor_config.json"
    if file.is_file():
        values = json.loads(file.read_text())
    else:
        from transformers.utils import cached_file

        values = json.loads(Path(cached_file(path, "preprocessor_config.json")).read_text())
    return found | {"visual_mean": list(values["image_mean"]), "visual_std": list(values["image_std"])}
