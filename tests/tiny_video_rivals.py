"""Tiny random video and omni models of other people's classes, saved as Hugging Face folders.

They need the extra of docs/rivals.md; `needed` marks tests that do.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import tiny
import torch
from tiny_rivals import _save

needed = pytest.mark.skipif(importlib.util.find_spec("torchvision") is None,
                            reason="the extra for rivals is not installed: python3.11 bootstrap.py rivals")
QWEN = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "audio_token": "<|audio_pad|>",
        "vision_bos_token": "<|vision_start|>", "vision_eos_token": "<|vision_end|>",
        "audio_bos_token": "<|audio_start|>", "audio_eos_token": "<|audio_end|>"}
MEDIA = {"image_token_id": "image_token", "video_token_id": "video_token"}
VISION = {"vision_start_token_id": "vision_bos_token", "vision_end_token_id": "vision_eos_token"}
PLACE = "<|vision_start|><|%s_pad|><|vision_end|>"
DEEP_EYE = {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 16,
            "out_hidden_size": 64, "num_position_embeddings": 16, "deepstack_visual_indexes": [0]}
INTERN = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
          "video_token": "<video>"}
ONEVISION = {"image_token": "<image>", "video_token": "<video>"}
MINICPM = {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>", "image_start_token": "<image>",
           "image_end_token": "</image>", "slice_start_token": "<slice>", "slice_end_token": "</slice>",
           "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>"}


def template(image: str, video: str, audio: str = "") -> str:
    """A ChatML template with these places for media."""
    return ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}"
            "{{ message['content'] }}{% else %}{% for part in message['content'] %}{% if part['type'] == 'image' %}"
            + image + "{% elif part['type'] == 'video' %}" + video + "{% elif part['type'] == 'audio' %}" + audio +
            "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")


def _tokenizer(extra: dict[str, str]):
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": list(extra.values())})
    tokenizer._set_model_specific_special_tokens(extra)
    tokenizer.init_kwargs["extra_special_tokens"] = extra
    return tokenizer


def _text(size: int, **more) -> dict:
    return {"vocab_size": size, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 8192, "bos_token_id": 0,
            "eos_token_id": 2, "pad_token_id": 0, **more}


def _rope(*sections: int) -> dict:
    return {"rope_type": "default", "mrope_section": list(sections), "rope_theta": 10000.0}


def _eye(**more) -> dict:
    return {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 14,
            "out_hidden_size": 64, "window_size": 56, "fullatt_block_indexes": [1], **more}


def _pixels(side: int) -> dict:
    return {"size": {"shortest_edge": 4 * side * side, "longest_edge": 16 * side * side}}


def _ids(tokenizer, **tokens: str) -> dict[str, int]:
    """Key of a configuration -> id of the token that `QWEN` has under this name."""
    return {key: tokenizer.convert_tokens_to_ids(QWEN[name]) for key, name in tokens.items()}


def write_qwen2_5_vl(folder: Path) -> Path:
    """Qwen2.5-VL: times of frames as positions."""
    from transformers import (
        Qwen2_5_VLConfig,
        Qwen2_5_VLForConditionalGeneration,
        Qwen2_5_VLProcessor,
        Qwen2VLImageProcessor,
        Qwen2VLVideoProcessor,
    )

    tokenizer = _tokenizer(QWEN)
    torch.manual_seed(11)
    model = Qwen2_5_VLForConditionalGeneration(Qwen2_5_VLConfig(
        text_config=_text(len(tokenizer), rope_parameters=_rope(2, 3, 3)), vision_config=_eye(),
        **_ids(tokenizer, **MEDIA, **VISION)))
    processor = Qwen2_5_VLProcessor(Qwen2VLImageProcessor(**_pixels(28)), tokenizer,
                                    Qwen2VLVideoProcessor(**_pixels(28)),
                                    chat_template=template(PLACE % "image", PLACE % "video"))
    return _save(folder, tiny._louder(model), processor)


def write_qwen3_vl(folder: Path) -> Path:
    """Qwen3-VL: times of frames as words."""
    from transformers import (
        Qwen2VLImageProcessor,
        Qwen3VLConfig,
        Qwen3VLForConditionalGeneration,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )

    tokenizer = _tokenizer(QWEN)
    torch.manual_seed(12)
    model = Qwen3VLForConditionalGeneration(Qwen3VLConfig(
        text_config=_text(len(tokenizer), head_dim=16, rope_parameters=_rope(2, 3, 3)), vision_config=DEEP_EYE,
        **_ids(tokenizer, **MEDIA, **VISION)))
    processor = Qwen3VLProcessor(Qwen2VLImageProcessor(patch_size=16, **_pixels(32)), tokenizer,
                                 Qwen3VLVideoProcessor(**_pixels(32)),
                                 chat_template=template(PLACE % "image", PLACE % "video"))
    return _save(folder, tiny._louder(model), processor)


def _ears(**more) -> dict:
    return {"num_mel_bins": 80, "encoder_layers": 1, "encoder_attention_heads": 2, "encoder_ffn_dim": 48, "d_model": 32,
            "output_dim": 64, **more}


def _write_omni(folder: Path, seed: int, kinds: tuple, thinker: dict, visual: dict, tokenizer) -> Path:
    """An omni model as it is published: a thinker, and a talker that it says it has.

    kinds: classes of its configuration, model and processor. thinker: its configuration. visual: options of what
    prepares pictures.
    """
    from transformers import Qwen2VLImageProcessor, Qwen2VLVideoProcessor, WhisperFeatureExtractor

    config_kind, model_kind, processor_kind = kinds
    torch.manual_seed(seed)
    model = model_kind(config_kind(thinker_config=thinker, enable_audio_output=False))
    model.config.enable_audio_output = True  # as published; a folder saved without its talker has none to make
    processor = processor_kind(
        Qwen2VLImageProcessor(**visual), Qwen2VLVideoProcessor(**visual), WhisperFeatureExtractor(feature_size=80),
        tokenizer,
        chat_template=template(PLACE % "image", PLACE % "video", "<|audio_start|><|audio_pad|><|audio_end|>"))
    return _save(folder, tiny._louder(model), processor)


def write_qwen2_5_omni(folder: Path) -> Path:
    """Qwen2.5-Omni."""
    from transformers import Qwen2_5OmniConfig, Qwen2_5OmniForConditionalGeneration, Qwen2_5OmniProcessor

    tokenizer = _tokenizer(QWEN)
    thinker = {
        "text_config": _text(len(tokenizer), rope_parameters=_rope(2, 3, 3), tie_word_embeddings=False),
        "vision_config": _eye(), "audio_config": _ears(n_window=100),
        **_ids(tokenizer, audio_token_index="audio_token", image_token_index="image_token",
               video_token_index="video_token", audio_start_token_id="audio_bos_token",
               audio_end_token_id="audio_eos_token", **VISION)}
    return _write_omni(folder, 13, (Qwen2_5OmniConfig, Qwen2_5OmniForConditionalGeneration, Qwen2_5OmniProcessor),
                       thinker, _pixels(28), tokenizer)


def write_qwen3_omni(folder: Path) -> Path:
    """Qwen3-Omni: as Qwen2.5-Omni, with two experts a layer."""
    from transformers import Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor

    tokenizer = _tokenizer(QWEN)
    thinker = {
        "text_config": _text(len(tokenizer), rope_parameters=_rope(2, 3, 3), head_dim=16, moe_intermediate_size=32,
                             num_experts=2, num_experts_per_tok=1),
        "vision_config": DEEP_EYE, "audio_config": _ears(n_window=50, n_window_infer=100, downsample_hidden_size=16),
        **_ids(tokenizer, audio_token_id="audio_token", **MEDIA, audio_start_token_id="audio_bos_token",
               vision_start_token_id="vision_bos_token")}
    return _write_omni(folder, 14, (Qwen3OmniMoeConfig, Qwen3OmniMoeForConditionalGeneration, Qwen3OmniMoeProcessor),
                       thinker, {"patch_size": 16, **_pixels(32)}, tokenizer)


def write_internvl(folder: Path) -> Path:
    """InternVL (hf): four tokens a frame."""
    from transformers import (
        GotOcr2ImageProcessor,
        InternVLConfig,
        InternVLForConditionalGeneration,
        InternVLProcessor,
        InternVLVideoProcessor,
    )

    tokenizer = _tokenizer(INTERN)
    torch.manual_seed(15)
    model = InternVLForConditionalGeneration(InternVLConfig(
        text_config={"model_type": "qwen2", **_text(len(tokenizer))},
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48,
                       "image_size": (28, 28), "patch_size": (7, 7)},
        image_token_id=tokenizer.convert_tokens_to_ids(INTERN["context_image_token"]), image_seq_length=4))
    size = {"height": 28, "width": 28}
    processor = InternVLProcessor(
        GotOcr2ImageProcessor(size=size, crop_to_patches=True, max_patches=4), tokenizer,
        InternVLVideoProcessor(size=size), image_seq_length=4, chat_template=template("<IMG_CONTEXT>\n", "<video>\n"))
    return _save(folder, tiny._louder(model), processor)


def write_llava_onevision(folder: Path) -> Path:
    """LLaVA-OneVision (hf): SigLIP pictures of 28 pixels."""
    from transformers import (
        LlavaOnevisionConfig,
        LlavaOnevisionForConditionalGeneration,
        LlavaOnevisionImageProcessor,
        LlavaOnevisionProcessor,
        LlavaOnevisionVideoProcessor,
    )

    tokenizer = _tokenizer(ONEVISION)
    ids = tokenizer.convert_tokens_to_ids
    torch.manual_seed(16)
    pinpoints = [[28, 28], [28, 56], [56, 28], [56, 56]]
    model = LlavaOnevisionForConditionalGeneration(LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_text(len(tokenizer))},
        vision_config={"model_type": "siglip_vision_model", "hidden_size": 32, "num_hidden_layers": 1,
                       "num_attention_heads": 2, "intermediate_size": 48, "image_size": 28, "patch_size": 7,
                       "vision_use_head": False},
        image_token_index=ids("<image>"), video_token_index=ids("<video>"), image_grid_pinpoints=pinpoints))
    size = {"height": 28, "width": 28}
    processor = LlavaOnevisionProcessor(
        LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=pinpoints), tokenizer,
        LlavaOnevisionVideoProcessor(size=size), num_image_tokens=16, vision_feature_select_strategy="full",
        chat_template=template("<image>\n", "<video>\n"))
    return _save(folder, tiny._louder(model), processor)


def write_video_llama_3(folder: Path) -> Path:
    """VideoLLaMA3: times of frames as words, and tokens of frames that do not change left out."""
    from transformers import (
        VideoLlama3Config,
        VideoLlama3ForConditionalGeneration,
        VideoLlama3ImageProcessor,
        VideoLlama3Processor,
        VideoLlama3VideoProcessor,
    )

    tokenizer = _tokenizer({name: QWEN[name] for name in MEDIA.values()})
    torch.manual_seed(17)
    model = VideoLlama3ForConditionalGeneration(VideoLlama3Config(
        text_config={"model_type": "qwen2", **_text(len(tokenizer))},
        vision_config={"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 48,
                       "patch_size": 14},
        **_ids(tokenizer, **MEDIA)))
    processor = VideoLlama3Processor(
        VideoLlama3ImageProcessor(**_pixels(14)), tokenizer, VideoLlama3VideoProcessor(**_pixels(28)),
        chat_template=template("<|image_pad|>\n", "<|video_pad|>\n"))
    return _save(folder, tiny._louder(model), processor)


def write_minicpm(folder: Path) -> Path:
    """MiniCPM-V 4.6: pictures of 448 pixels and their slices, patches that are merged twice."""
    from transformers import (
        MiniCPMV4_6Config,
        MiniCPMV4_6ForConditionalGeneration,
        MiniCPMV4_6ImageProcessor,
        MiniCPMV4_6Processor,
        MiniCPMV4_6VideoProcessor,
    )

    tokenizer = _tokenizer(MINICPM)
    torch.manual_seed(18)
    model = MiniCPMV4_6ForConditionalGeneration(MiniCPMV4_6Config(
        text_config={"model_type": "qwen2", **_text(len(tokenizer))},
        vision_config={"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48,
                       "image_size": 112, "patch_size": 14},
        insert_layer_id=0, image_size=112, **_ids(tokenizer, **MEDIA)))
    options = {"scale_resolution": 112, "max_slice_nums": 2, "patch_size": 14}
    processor = MiniCPMV4_6Processor(
        MiniCPMV4_6ImageProcessor(**options), MiniCPMV4_6VideoProcessor(**options), tokenizer,
        chat_template=template("<|image_pad|>", "<|video_pad|>"))
    return _save(folder, tiny._louder(model), processor)


MODELS = {"qwen2_5_vl": write_qwen2_5_vl, "qwen3_vl": write_qwen3_vl, "qwen2_5_omni": write_qwen2_5_omni,
          "qwen3_omni_moe": write_qwen3_omni, "internvl": write_internvl, "llava_onevision": write_llava_onevision,
          "video_llama_3": write_video_llama_3, "minicpmv4_6": write_minicpm}
