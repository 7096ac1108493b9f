"""The loss of a causal LM, with its head computed for labelled positions only and a part of them at a time."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from affectgpt.models.head import LogitRule, inside

CHUNK = 1024
"""Labelled positions whose logits exist at once: with 152,064 words, 0.6 GB in float32."""


def labelled_loss(head: nn.Module, hidden: Tensor, labels: Tensor, chunk: int | None = None,
                  rule: LogitRule | None = None, where: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Cross-entropy of next tokens.

    Args:
        head: hidden states -> what `rule` makes logits of. It is called once, whatever the number of labels.
        hidden: [B, S, H], the LLM's last hidden states.
        labels: [B, S], -100 where nothing is to be learned; position s is judged by what follows it.
        chunk: positions whose logits exist at once, `CHUNK` where None.
        where: what `label_places` gives; found here where it is None, for which the host waits for the device.
    Returns:
        losses float32 [N] of the N labelled positions, and their index [N] into the flattened [B * S].
    """
    chunk, rule = chunk or CHUNK, rule or LogitRule()
    shifted = _shifted(labels)
    where = label_places(labels) if where is None else where
    wanted, states = shifted[where], hidden.flatten(0, 1)[where]
    own_forward = head.forward
    gathered = any(hasattr(parameter, "ds_id") for parameter in head.parameters())
    plain = type(head) is nn.Linear and "forward" not in head.__dict__

    def product(part: Tensor) -> Tensor:
        # Inside its own call: what would gather the weights again is not touched.
        return nn.functional.linear(part, head.weight, head.bias) if plain else own_forward(part)

    def losses(states: Tensor) -> Tensor:
        frozen = plain and head.bias is None and not head.weight.requires_grad
        if frozen and states.dtype == head.weight.dtype and torch.is_grad_enabled():
            return FrozenHeadLoss.apply(states, head.weight, wanted, chunk, rule)
        # A head of several modules gathers the weights of each: one part, for an equal number of calls on all ranks.
        if len(wanted) <= chunk or (gathered and not plain):
            return _losses(product, rule, states, wanted)
        # More than one part: logits are computed again in the backward pass instead of being kept.
        return torch.cat([checkpoint(_losses, product, rule, states[start : start + chunk],
                                     wanted[start : start + chunk], use_reentrant=False)
                          for start in range(0, len(wanted), chunk)])

    return inside(head, losses, states), where


def label_places(labels: Tensor) -> Tensor:
    """Indices [N] into the flattened labels [B * S] of positions whose next token is labelled."""
    return (_shifted(labels) != -100).nonzero().flatten()


def _shifted(labels: Tensor) -> Tensor:
    return nn.functional.pad(labels[:, 1:], (0, 1), value=-100).flatten()


def _losses(product: Callable, rule: LogitRule, states: Tensor, wanted: Tensor) -> Tensor:
    return nn.functional.cross_entropy(rule.apply(product(states)).float(), wanted, reduction="none")


class FrozenHeadLoss(torch.autograd.Function):
    """Losses [N] of states [N, H] under a frozen head [V, H]; the gradient is made in the forward pass.

    A state's gradient depends on its own loss alone, so it can be kept (as [N, H]) until the factor of that loss is
    known, and no logits outlive their part.
    """

    @staticmethod
    def forward(context, states: Tensor, weight: Tensor, wanted: Tensor, chunk: int, rule: LogitRule) -> Tensor:
        losses = torch.empty(len(states), dtype=torch.float32, device=states.device)
        gradients = torch.empty_like(states)
        for start in range(0, len(states), chunk):
            part = slice(start, start + chunk)
            logits, slope = (states[part] @ weight.T).float(), None
            if rule != LogitRule():
                logits = rule.apply(logits)
                # Of cap tanh(scale x / cap): scale (1 - tanh^2).
                slope = rule.scale if rule.cap is None else rule.scale * (1 - (logits / rule.cap) ** 2)
            logits -= logits.logsumexp(-1, keepdim=True)
            right = wanted[part, None]
            losses[part] = -logits.gather(1, right)[:, 0]
            logits.exp_().scatter_add_(1, right, torch.full_like(right, -1, dtype=logits.dtype))
            if slope is not None:
                logits *= slope
            gradients[part] = logits.to(weight.dtype) @ weight
        context.save_for_backward(gradients)
        return losses

    @staticmethod
    def backward(context, factors: Tensor):
        (gradients,) = context.saved_tensors
        return (gradients * factors[:, None]).to(gradients.dtype), None, None, None, None
