"""Made official checkpoints: random tensors under the official names, in the shapes of `tiny.parts`."""

from __future__ import annotations

import torch

AUDIO, VISUAL, LLM, QUERY, FEED = 32, 24, 64, 16, 40  # widths: HuBERT, CLIP, LLM, Q-Former and its inner layer
HEADS, LAYERS = 2, 2
CASES = [("mean", "attention", 1), ("mean", "attention", 4), ("attention", "attention", 3), ("qformer", "qformer", 5),
         ("attention", "qformer", 2), ("qformer", "attention", 1)]
"""Kind of projector, kind of pre-fusion, tokens."""


def linear(state: dict, generator, name: str, inputs: int, outputs: int) -> None:
    state[f"{name}.weight"] = torch.randn(outputs, inputs, generator=generator) * 0.3
    state[f"{name}.bias"] = torch.randn(outputs, generator=generator) * 0.3


def norm(state: dict, generator, name: str) -> None:
    state[f"{name}.weight"] = 1 + 0.3 * torch.randn(QUERY, generator=generator)
    state[f"{name}.bias"] = 0.3 * torch.randn(QUERY, generator=generator)


def qformer_state(state: dict, generator, name: str, keys: int, rows: int, tokens: int, table: str) -> None:
    """Entries of one Q-Former as the official code names them."""
    state[f"{name}_query_tokens"] = torch.randn(1, tokens, QUERY, generator=generator)
    state[f"{table}.weight"] = torch.randn(rows, keys, generator=generator)
    bert = f"{name}_Qformer.bert"
    norm(state, generator, f"{bert}.embeddings.LayerNorm")
    for layer in range(LAYERS):
        block = f"{bert}.encoder.layer.{layer}"
        for kind, width in (("attention", QUERY), ("crossattention", keys)):
            linear(state, generator, f"{block}.{kind}.self.query", QUERY, QUERY)
            linear(state, generator, f"{block}.{kind}.self.key", width, QUERY)
            linear(state, generator, f"{block}.{kind}.self.value", width, QUERY)
            linear(state, generator, f"{block}.{kind}.output.dense", QUERY, QUERY)
            norm(state, generator, f"{block}.{kind}.output.LayerNorm")
        linear(state, generator, f"{block}.intermediate_query.dense", QUERY, FEED)
        linear(state, generator, f"{block}.output_query.dense", FEED, QUERY)
        norm(state, generator, f"{block}.output_query.LayerNorm")


def official_state(projector: str, fusion: str, tokens: int) -> dict[str, torch.Tensor]:
    """A made-up official checkpoint; only its names and shapes are those of a real one."""
    generator, state = torch.Generator().manual_seed(11), {}
    width = QUERY if projector == "qformer" else None
    linear(state, generator, "audio_llama_proj", width or AUDIO, LLM)
    linear(state, generator, "affectgpt_proj", width or VISUAL, LLM)
    linear(state, generator, "image_llama_proj", VISUAL, LLM)
    if projector == "attention":
        linear(state, generator, "audio_attention_mlp", AUDIO, 1)
        linear(state, generator, "video_attention_mlp", VISUAL, 1)
    if projector == "qformer":
        qformer_state(state, generator, "audio", AUDIO, 8, tokens, "audio_position_embedding")
        qformer_state(state, generator, "video", VISUAL, 32, tokens, "video_frame_position_embedding")
    both = max(AUDIO, VISUAL)
    linear(state, generator, "multi_audio_embs", AUDIO, both)
    linear(state, generator, "multi_video_embs", VISUAL, both)
    if fusion == "attention":
        linear(state, generator, "attention_mlp", 2 * both, both)
        linear(state, generator, "fc_att", both, 2)
        linear(state, generator, "multi_llama_proj", both, LLM)
    else:
        qformer_state(state, generator, "multi", both, 264, tokens, "multi_position_embedding")
        linear(state, generator, "multi_llama_proj", QUERY, LLM)
    for layer in range(2):
        for module, inputs, outputs in (("self_attn.q_proj", 64, 64), ("self_attn.k_proj", 64, 32),
                                        ("self_attn.v_proj", 64, 32), ("self_attn.o_proj", 64, 64),
                                        ("mlp.gate_proj", 64, 96), ("mlp.up_proj", 64, 96), ("mlp.down_proj", 96, 64)):
            name = f"llama_model.base_model.model.model.layers.{layer}.{module}"
            state[f"{name}.lora_A.default.weight"] = 0.2 * torch.randn(3, inputs, generator=generator)
            state[f"{name}.lora_B.default.weight"] = 0.2 * torch.randn(outputs, 3, generator=generator)
    return state
