"""Tiny random LLMs of every family that is checked, with the numbers that make a family's own ways visible."""

from __future__ import annotations

import torch
import transformers
from tiny import _louder

WINDOW = 8
SIZES = dict(vocab_size=400, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=2048, bos_token_id=0, eos_token_id=2, pad_token_id=0)
SLIDING = dict(sliding_window=WINDOW, layer_types=["sliding_attention", "full_attention"])
GEMMA = dict(head_dim=16, query_pre_attn_scalar=16)
CAPS = dict(final_logit_softcapping=4.0, attn_logit_softcapping=5.0)
FAMILIES = {
    "qwen2": ("Qwen2", {}), "qwen3": ("Qwen3", dict(head_dim=16)), "llama": ("Llama", dict(tie_word_embeddings=True)),
    "phi3": ("Phi3", dict(original_max_position_embeddings=2048)), "olmo2": ("Olmo2", {}), "smollm3": ("SmolLM3", {}),
    "glm4": ("Glm4", dict(head_dim=16)), "gemma": ("Gemma", dict(head_dim=16)),
    "mistral": ("Mistral", dict(sliding_window=None)),
    "granite": ("Granite", dict(logits_scaling=3.0, embedding_multiplier=2.0, residual_multiplier=0.5,
                                attention_multiplier=0.2)),
    "cohere": ("Cohere", dict(logit_scale=0.3)), "cohere2": ("Cohere2", dict(logit_scale=0.3, sliding_window=2048)),
    "nanochat": ("NanoChat", dict(final_logit_softcapping=4.0)),
    "hyperclovax": ("HyperCLOVAX", dict(logits_scaling=0.4, attention_multiplier=0.2)),
    "minicpm3": ("MiniCPM3", dict(dim_model_base=20, q_lora_rank=24, kv_lora_rank=16, qk_nope_head_dim=16,
                                  qk_rope_head_dim=8, v_head_dim=16, head_dim=8, num_key_value_heads=4)),
    "gemma2": ("Gemma2", GEMMA | CAPS), "gemma3_text": ("Gemma3", GEMMA), "vaultgemma": ("VaultGemma", GEMMA | CAPS),
}
"""Model type -> (start of its class names, configuration beside `SIZES`)."""

WINDOWED = {
    "qwen2-window": ("Qwen2", dict(use_sliding_window=True, max_window_layers=1, sliding_window=WINDOW)),
    "qwen3-window": ("Qwen3", dict(head_dim=16) | SLIDING | dict(use_sliding_window=True)),
    "mistral-window": ("Mistral", dict(sliding_window=WINDOW)), "phi3-window": ("Phi3", dict(sliding_window=WINDOW)),
    "cohere2-window": ("Cohere2", dict(logit_scale=0.3) | SLIDING), "gemma2-window": ("Gemma2", GEMMA | CAPS | SLIDING),
    "gemma3-window": ("Gemma3", GEMMA | SLIDING), "vaultgemma-window": ("VaultGemma", GEMMA | CAPS | SLIDING),
}
"""The same with windows that are shorter than a sample."""


def family(name: str, seed: int = 1):
    """A tiny LLM of a family, in evaluation mode."""
    start, values = {**FAMILIES, **WINDOWED}[name]
    config_name = f"{start}TextConfig" if start == "Gemma3" else f"{start}Config"
    config = getattr(transformers, config_name)(**{**SIZES, **values})
    torch.manual_seed(seed)
    model = getattr(transformers, f"{start}ForCausalLM")(config)
    return _louder(model).eval()
