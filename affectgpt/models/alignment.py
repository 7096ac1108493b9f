"""Alignment of projected tokens with the LLM's own words: a cheap start for new projectors.

A projector begins at random, so the LLM at first reads noise. Before instruction tuning, the mean of a stream's
tokens is drawn towards the input embedding of its label's word: a contrastive loss over the label words, in the
manner of CLIP (Radford et al. 2021, arXiv 2103.00020) with the LLM's frozen embedding table as text side. It needs
no forward pass of the LLM.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

TEMPERATURE = 0.07


@torch.no_grad()
def word_table(model, tokenizer, words: list[str]) -> Tensor:
    """Mean input embedding of each word's tokens: [C, H], float32."""
    embedding = model.get_input_embeddings()
    rows = []
    for word in words:
        ids = tokenizer(f" {word}", add_special_tokens=False, return_tensors="pt").input_ids[0]
        rows.append(embedding(ids.to(embedding.weight.device)).float().mean(0))
    return torch.stack(rows)


def alignment_loss(tokens: dict[str, tuple[Tensor, Tensor]], targets: dict[str, Tensor], table: Tensor) -> Tensor:
    """Cross-entropy between label words and a stream's mean token, by cosine similarity, averaged over streams.

    Args:
        tokens: stream -> (tokens [B, K, H], present bool [B]).
        targets: stream -> target distribution [B, C]; a row of zeros is left out.
        table: [C, H] word embeddings.
    """
    centre = table.mean(0)
    words = nn.functional.normalize(table - centre, dim=-1)
    losses = []
    for stream, (values, present) in tokens.items():
        if stream not in targets:
            continue
        use = present & (targets[stream].sum(-1) > 0)
        if not use.any():
            continue
        mean = nn.functional.normalize(values[use].float().mean(1) - centre, dim=-1)
        logits = mean @ words.T / TEMPERATURE
        losses.append(-(targets[stream][use] * logits.log_softmax(-1)).sum(-1).mean())
    return torch.stack(losses).mean() if losses else table.new_zeros(())

