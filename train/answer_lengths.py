"""How long a model's answers may become: by the answers that it is trained on."""

from __future__ import annotations

import heapq
import math

MARGIN = 1.25
"""An answer may be longer than any that was taught; one that never ends is stopped here."""
CLIPS = 50_000
"""Clips whose answers are looked at, spread evenly over the split."""
TOKENIZED = 64
"""The longest answers by their characters, of which the tokens are counted."""


def answer_limit(dataset) -> int:
    """The most new tokens of an answer of a model that was trained on `dataset`: the longest answer to any of its
    questions with nothing hidden, and a quarter more; at most the positions of the LLM.

    Args:
        dataset: an `InstructionDataset`.
    """
    processor, step = dataset.processor, max(1.0, len(dataset) / CLIPS)
    items = (dataset.items[int(number * step)] for number in range(min(len(dataset), CLIPS)))
    answers = {answer for clip, kinds in items for kind in kinds for _, answer in dataset.taught(clip, kind)}
    longest = heapq.nlargest(TOKENIZED, answers, key=lambda text: (len(text), text))
    limit = math.ceil(MARGIN * max(len(processor.answer_ids(text)) for text in longest))
    text_config = processor.config.text_config
    positions = getattr(text_config and text_config.get_text_config(), "max_position_embeddings", None)
    return limit if positions is None else min(limit, positions)
