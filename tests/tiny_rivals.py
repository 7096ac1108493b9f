"""Tiny random chat models of other people's classes, saved as Hugging Face folders: one sees, one hears, one reads."""

from __future__ import annotations

from pathlib import Path

import tiny
import torch

SEES = ("{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
HEARS = ["<|AUDIO|>", "<|audio_bos|>", "<|audio_eos|>"]


def _tokenizer(extra: list[str]):
    tokenizer = tiny.tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": extra})
    return tokenizer


def _text_config(size: int):
    config = tiny.language_model().config
    config.vocab_size = size
    return config


def write_seeing(folder: Path) -> Path:
    """LLaVA: CLIP pictures of 32 pixels in a two-layer Qwen2."""
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    tokenizer = _tokenizer(["<image>"])
    torch.manual_seed(8)
    model = LlavaForConditionalGeneration(LlavaConfig(
        vision_config=tiny.clip().config, text_config=_text_config(len(tokenizer)),
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"), vision_feature_layer=-1,
        vision_feature_select_strategy="default"))
    pictures = CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    processor = LlavaProcessor(pictures, tokenizer, patch_size=8, vision_feature_select_strategy="default",
                               num_additional_image_tokens=1, chat_template=SEES)
    return _save(folder, tiny._louder(model), processor)


def write_hearing(folder: Path) -> Path:
    """Qwen2-Audio: a two-layer Whisper encoder in a two-layer Qwen2."""
    from transformers import (
        Qwen2AudioConfig,
        Qwen2AudioForConditionalGeneration,
        Qwen2AudioProcessor,
        WhisperFeatureExtractor,
    )

    tokenizer = _tokenizer(HEARS)
    torch.manual_seed(9)
    model = Qwen2AudioForConditionalGeneration(Qwen2AudioConfig(
        audio_config={"num_mel_bins": 80, "d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 2,
                      "encoder_ffn_dim": 48, "max_source_positions": 1500},
        text_config=_text_config(len(tokenizer)), audio_token_index=tokenizer.convert_tokens_to_ids("<|AUDIO|>")))
    return _save(folder, tiny._louder(model), Qwen2AudioProcessor(WhisperFeatureExtractor(feature_size=80), tokenizer))


def _save(folder: Path, model, processor) -> Path:
    model.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    # What a model's own settings say about sampling must not matter.
    model.generation_config.do_sample, model.generation_config.temperature = True, 0.5
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_reading(folder: Path) -> Path:
    """A causal LM with a chat template and no processor."""
    tiny.language_model().eval().save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return folder
