"""What AffectGPT asks of an LLM, checked from its configuration and tokenizer before any weight is read."""

from __future__ import annotations

import re

import torch
from torch import nn
from transformers import AutoModelForCausalLM
from transformers.pytorch_utils import Conv1D

CHECKED = ("cohere", "cohere2", "gemma", "gemma2", "gemma3_text", "glm4", "granite", "hyperclovax", "llama", "minicpm3",
           "mistral", "nanochat", "olmo2", "phi3", "qwen2", "qwen3", "smollm3", "vaultgemma")
"""Model types whose loss and logits are compared with their own forward pass in the tests (docs/llms.md)."""

_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length", "context_length")


def context_length(config) -> int | None:
    """Tokens that an LLM can read at once, from its configuration; None where nothing bounds them."""
    if config is None:
        return None
    config = config.get_text_config()
    lengths = [getattr(config, name, None) for name in _POSITIONS]
    return next((length for length in lengths if isinstance(length, int) and length > 0), None)


def check_lora_targets(language_model: nn.Module, targets) -> None:
    """Every LoRA target must be a module of the LLM: PEFT is content where one of several is.

    Raises:
        ValueError: a name, or an expression, that no module has.
    """
    if targets in (None, "all-linear"):
        return
    names = [name for name, module in language_model.named_modules()
             if isinstance(module, nn.Linear | Conv1D | nn.Embedding | nn.Conv1d | nn.Conv2d)]
    if isinstance(targets, str):
        missing = [] if any(re.fullmatch(targets, name) for name in names) else [targets]
    else:
        missing = [target for target in targets
                   if not any(name == target or name.endswith(f".{target}") for name in names)]
    if missing:
        there = dict.fromkeys(name.rpartition(".")[2] for name in names)
        raise ValueError(f"model.lora_targets: the LLM has no module {', '.join(missing)}; it has {', '.join(there)}")


def check_llm(config, processor) -> list[str]:
    """Check the LLM that an AffectGPT configuration names, in about a second; return what is worth a warning.

    Args:
        config: an `AffectGPTConfig` with its `text_config`.
        processor: the `AffectGPTProcessor` of its tokenizer, which has checked the chat template.
    Raises:
        ValueError: no causal LM, a tokenizer with more tokens than the LLM, LoRA targets that it does not have, or
            a context that is shorter than a prompt.
    """
    text, name = config.text_config, config.llm
    if type(text) not in AutoModelForCausalLM._model_mapping or getattr(text, "is_encoder_decoder", False):
        raise ValueError(f"model.llm={name} is a {text.model_type!r} model, which is no causal language model")
    inner = text.get_text_config()
    if not getattr(inner, "hidden_size", None):
        raise ValueError(f"model.llm={name}: the configuration of a {text.model_type!r} model does not say its width "
                         "(hidden_size)")
    tokenizer = processor.tokenizer
    placeholders = set(config.placeholder_ids.values())
    largest = max(index for index in tokenizer.get_vocab().values() if index not in placeholders)
    if largest >= inner.vocab_size:
        raise ValueError(f"model.llm={name}: its tokenizer has a token {largest}, and its configuration knows "
                         f"{inner.vocab_size} tokens: the tokenizer belongs to another model")
    with torch.device("meta"):
        language_model = AutoModelForCausalLM.from_config(text)
    if config.lora_rank:
        check_lora_targets(language_model, config.lora_targets)
    shortest = len(processor.prompt_ids(config.media_streams, None, "?"))
    if processor.context is not None and shortest >= processor.context:
        raise ValueError(f"a sample has more than {shortest} tokens, model.llm={name} has {processor.context} "
                         "positions")
    if text.model_type not in CHECKED:
        return [f"model.llm={name} is a {text.model_type!r} model, a kind that is not among the checked ones "
                f"({', '.join(CHECKED)}): its logits are compared when it is loaded, all else is untried"]
    return []
