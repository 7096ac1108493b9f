"""A model folder's LoRA added to the weights it adapts while the folder is loaded, without adapter modules.

For answering: no module is injected only to be merged at once, and PEFT is not imported. The arithmetic is that of
PEFT's merge, so the merged weights are the same bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_A, _B, _BASE = "lora_A.default.weight", "lora_B.default.weight", "base_layer."


def can_merge(language_model: nn.Module) -> bool:
    """Whether all that LoRA may adapt is a plain linear layer; others (GPT-2's Conv1D) are left to PEFT."""
    from transformers.pytorch_utils import Conv1D

    return not any(isinstance(module, Conv1D) for module in language_model.modules())


def adapted_modules(language_model: nn.Module, targets: str | list[str]) -> list[str]:
    """Names of the linear layers that LoRA adapts: all but the head for "all-linear", else those of these names."""
    head = language_model.get_output_embeddings()
    return [name for name, module in language_model.named_modules() if isinstance(module, nn.Linear)
            and (module is not head if targets == "all-linear"
                 else any(name == target or name.endswith(f".{target}") for target in targets))]


def take_lora(state: dict[str, Tensor], language_model: nn.Module, targets: str | list[str],
              prefix: str = "language_model.") -> tuple[list[tuple[str, Tensor, Tensor]], list[str]]:
    """Take LoRA's matrices out of a model's state, in which an adapted layer gets its plain name again.

    Returns:
        (module name, A [r, D], B [H, r]) of each adapted layer, and the names of matrices that the state lacks.
    """
    pairs, missing = [], []
    for name in adapted_modules(language_model, targets):
        own = f"{prefix}{name}."
        missing += [own + part for part in (_A, _B) if own + part not in state]
        if own + _A in state and own + _B in state:
            pairs.append((name, state.pop(own + _A), state.pop(own + _B)))
        for part in ("weight", "bias"):  # a folder that holds its LLM
            if f"{own}{_BASE}{part}" in state:
                state[own + part] = state.pop(f"{own}{_BASE}{part}")
    return pairs, missing


@torch.no_grad()
def add_lora(language_model: nn.Module, pairs: list[tuple[str, Tensor, Tensor]], scale: float) -> None:
    """W += scale B A for each adapted layer, in float32 and rounded once to the format of W.

    Raises:
        ValueError: matrices that do not fit their layer.
    """
    for name, a, b in pairs:
        weight = language_model.get_submodule(name).weight
        weight += lora_product(name, weight, a, b, scale)


def lora_product(name: str, weight: Tensor, a: Tensor, b: Tensor, scale: float) -> Tensor:
    """scale B A [H, D] of the layer `name`, in float32 where its weight [H, D] is.

    Raises:
        ValueError: A [r, D] and B [H, r] do not fit.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[0] != b.shape[1] or (b.shape[0], a.shape[1]) != weight.shape:
        raise ValueError(f"LoRA of {name} is {list(b.shape)} times {list(a.shape)}, its weight is "
                         f"{list(weight.shape)}: the weights do not fit their config.json")
    return (b.float() @ a.float() * scale).to(weight.device)
