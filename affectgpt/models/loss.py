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
    if _is_frozen(head) and states.dtype == head.weight.dtype and torch.is_grad_enabled():
        return FrozenHeadLoss.apply(states, head.weight, wanted, chunk), where
    if len(where) <= chunk:
        return _losses(head, states, wanted), where
    # More than one part: logits are computed again in the backward pass instead of being kept.
    parts = [checkpoint(_losses, head, states[start : start + chunk], wanted[start : start + chunk],
                        use_reentrant=False) for start in range(0, len(where), chunk)]
    return torch.cat(parts), where


def _losses(head: nn.Module, states: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.cross_entropy(head(states).float(), wanted, reduction="none")


def _is_frozen(head: nn.Module) -> bool:
    """A plain frozen matrix that lies here whole; ZeRO 3 gathers weights only for modules that are called."""
    return (type(head) is nn.Linear and head.bias is None and not head.weight.requires_grad
            and not hasattr(head.weight, "ds_id"))


class FrozenHeadLoss(torch.autograd.Function):
    """Losses [N] of states [N, H] under a frozen head [V, H]; the gradient is made in the forward pass.

    A state's gradient depends on its own loss alone, so it can be kept (as [N, H]) until the factor of that loss is
    known, and no logits outlive their part.
    """

    @staticmethod
    def forward(context, states: Tensor, weight: Tensor, wanted: Tensor, chunk: int) -> Tensor:
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        gradients = torch.empty_like(states)
        for start in range(0, len(states), chunk):
            part = slice(start, start + chunk)
            logits = (states[part] @ weight.T).float()
            logits -= logits.logsumexp(-1, keepdim=True)
            right = wanted[part, None]
            losses[part] = -logits.gather(1, right)[:, 0]
            logits.exp_().scatter_add_(1, right, torch.full_like(right, -1, dtype=logits.dtype))
            gradients[part] = logits.to(weight.dtype) @ weight
        context.save_for_backward(gradients)
        return losses

    @staticmethod
    def backward(context, factors: Tensor):
        (gradients,) = context.saved_tensors
        return (gradients * factors[:, None]).to(gradients.dtype), None, None, None
