"""Greedy decoding that is greedy: nothing of what an LLM's own generation_config.json asks for."""

from __future__ import annotations

from transformers import GenerationConfig

NEUTRAL = {"do_sample": False, "num_beams": 1, "repetition_penalty": 1.0, "no_repeat_ngram_size": 0, "min_length": 0}
"""Options that have a neutral value; all others are off where they have none. Qwen2.5 asks for a repetition penalty of
1.05, which punishes the words that an answer's summary repeats from its description."""


def greedy_config(**values) -> GenerationConfig:
    """A generation configuration of greedy search with these further values, and nothing inherited."""
    return GenerationConfig(**NEUTRAL, **values)
