"""The loss of a causal LM, with its head computed for labelled positions only and a part of them at a time."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

CHUNK = 1024
"""Labelled positions whose logits exist at once: with 152,064 words, 0.6 GB in float32."""


def labelled_loss(head: nn.Module, hidden: Tensor, labels: Tensor, chunk: int = CHUNK) -> tuple[Tensor, Tensor]:
    """Cross-entropy of next tokens.

    Args:
        head: hidden states -> logits.
        hidden: [B, S, H], the LLM's last hidden states.
        labels: [B, S], -100 where nothing is to be learned; position s is judged by what follows it.
    Returns:
        losses float32 [N] of the N labelled positions, and their index [N] into the flattened [B * S].
    """
    shifted = nn.functional.pad(labels[:, 1:], (0, 1), value=-100).flatten()
    where = (shifted != -100).nonzero().flatten()
    wanted, states = shifted[where], hidden.flatten(0, 1)[where]
    if len(where) <= chunk:
        return _losses(head, states, wanted), where
    # More than one part: logits are computed again in the backward pass instead of being kept.
    parts = [checkpoint(_losses, head, states[start : start + chunk], wanted[start : start + chunk],
                        use_reentrant=False) for start in range(0, len(where), chunk)]
    return torch.cat(parts), where


def _losses(head: nn.Module, states: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.cross_entropy(head(states).float(), wanted, reduction="none")
