"""SmolLM2-135M-Instruct: a 4-bit GGUF file -> a plain Hugging Face Llama folder in bfloat16.

The file is read with the `gguf` package itself: a model that transformers loads from GGUF keeps its
quantisation mark and cannot be saved as it is, and loading it that way takes several times as long.
The result is the same, bit by bit.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from . import save_model

if TYPE_CHECKING:
    import numpy as np

_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL = 3  # token type of the GGUF format


def convert(sources: dict[str, Path], folder: Path) -> None:
    """Write config, weights, generation settings and tokenizer with chat template into the empty `folder`.

    Raises:
        ValueError: the `gguf` package is missing, or the file is not a Llama with a byte-level tokenizer.
    """
    try:
        import gguf
    except ImportError as error:
        raise ValueError("reading a GGUF file needs the package gguf; run: pip install gguf") from error
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    (path,) = sources.values()
    reader = gguf.GGUFReader(path)
    meta = _Metadata(path, reader)
    if meta("general.architecture") != "llama" or meta("tokenizer.ggml.model") != "gpt2":
        raise ValueError(f"{path} is not a Llama model with a byte-level tokenizer: it cannot be converted")
    heads, key_heads = meta("llama.attention.head_count"), meta("llama.attention.head_count_kv")
    special = {
        "bos_token_id": meta("tokenizer.ggml.bos_token_id"),
        "eos_token_id": meta("tokenizer.ggml.eos_token_id"),
        "pad_token_id": meta("tokenizer.ggml.padding_token_id"),
    }
    config = LlamaConfig(
        vocab_size=meta("llama.vocab_size"),
        hidden_size=meta("llama.embedding_length"),
        intermediate_size=meta("llama.feed_forward_length"),
        num_hidden_layers=meta("llama.block_count"),
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=meta("llama.context_length"),
        rms_norm_eps=round(meta("llama.attention.layer_norm_rms_epsilon"), 9),  # stored as float32
        rope_parameters={"rope_type": "default", "rope_theta": meta("llama.rope.freq_base")},
        tie_word_embeddings=True,
        **special,
    )
    state = {}
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        name = _parameter_name(tensor.name, path)
        if name.endswith("q_proj.weight"):
            values = _unpermute(values, heads)
        elif name.endswith("k_proj.weight"):
            values = _unpermute(values, key_heads)
        state[name] = torch.from_numpy(values.copy()).to(torch.bfloat16)
    save_model(folder, LlamaForCausalLM, config, state, tied=("lm_head.weight",))

    # <|endoftext|> ends an answer too: the base model was trained with it
    ends = [special["eos_token_id"], meta("tokenizer.ggml.unknown_token_id")]
    GenerationConfig(**{**special, "eos_token_id": ends}).save_pretrained(folder)
    _save_tokenizer(meta, folder)


class _Metadata:
    """Values of the GGUF header by key; a missing one is a clear error."""

    def __init__(self, path: Path, reader) -> None:
        self.path, self.fields = path, reader.fields

    def __call__(self, key: str):
        if key not in self.fields:
            raise ValueError(f"{self.path} has no {key} in its header: it cannot be converted")
        return self.fields[key].contents()


def _parameter_name(name: str, path: Path) -> str:
    """GGUF tensor name -> parameter name of LlamaForCausalLM."""
    if name == "token_embd.weight":
        return "model.embed_tokens.weight"
    if name == "output_norm.weight":
        return "model.norm.weight"
    match = re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name)
    if match is None or match[2] not in _NAMES:
        raise ValueError(f"{path}: unknown tensor {name}: it cannot be converted")
    return f"model.layers.{match[1]}.{_NAMES[match[2]]}.weight"


def _unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Undo GGUF's interleaving of the rotary halves; weight [heads * width, inputs]."""
    rows, inputs = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, inputs).swapaxes(1, 2).reshape(rows, inputs)


def _save_tokenizer(meta: _Metadata, folder: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = meta("tokenizer.ggml.tokens")
    types: list[int] = meta("tokenizer.ggml.token_type")
    merges = [tuple(merge.split(" ", 1)) for merge in meta("tokenizer.ggml.merges")]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True),
    ])
    tokenizer.decoder = decoders.ByteLevel(add_prefix_space=True, trim_offsets=True, use_regex=True)
    control = [token for token, kind in zip(tokens, types) if kind == _CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[meta("tokenizer.ggml.bos_token_id")],
        eos_token=tokens[meta("tokenizer.ggml.eos_token_id")],
        pad_token=tokens[meta("tokenizer.ggml.padding_token_id")],
        unk_token=tokens[meta("tokenizer.ggml.unknown_token_id")],
        model_max_length=meta("llama.context_length"),
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = meta("tokenizer.chat_template")
    fast.save_pretrained(folder)
