"""LoRA inside the LLM (Hu et al. 2021, arXiv 2106.09685), through PEFT."""

from __future__ import annotations

from functools import partial

import torch
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import Linear as LoraLinear
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn


def with_lora(language_model: nn.Module, config, rank_stabilized: bool = False) -> nn.Module:
    """The LLM with LoRA as an AffectGPT configuration says; the small matrices are float32.

    rank_stabilized: divide alpha by the square root of the rank (rsLoRA: Kalajdzievski 2023, arXiv 2312.03732).
    """
    lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout,
                      target_modules=config.lora_targets, task_type="CAUSAL_LM", use_rslora=rank_stabilized)
    language_model = inject_adapter_in_model(lora, language_model)
    for name, parameter in language_model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()  # small steps would be lost in bfloat16
    for module in language_model.modules():
        if isinstance(module, BaseTunerLayer):
            # Autocast brings the small matrices to the activations' format; PEFT would do it the other way
            # round, which doubles the time of a step on a CPU.
            module.cast_input_dtype_enabled = False
    fuse_lora(language_model)
    return language_model


def fuse_lora(language_model: nn.Module, fused: bool = True) -> None:
    """Let LoRA layers compute in fewer operations; False gives them PEFT's own forward back."""
    for module in language_model.modules():
        if type(module) is LoraLinear and type(module.base_layer) is nn.Linear:
            vars(module).pop("forward", None)
            if fused:
                module.forward = partial(_forward, module, module.forward)


def set_lora_dropout(language_model: nn.Module, dropout: float) -> None:
    """Change the share of LoRA's inputs that is set to zero in training."""
    for module in language_model.modules():
        if isinstance(module, LoraLinear):
            for name in module.lora_dropout:
                module.lora_dropout[name] = nn.Dropout(dropout) if dropout else nn.Identity()


def merge_lora(language_model: nn.Module) -> None:
    """Add every LoRA product to the weight it adapts, in place."""
    for module in language_model.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()


def _forward(module: LoraLinear, original, x: Tensor, *args, **kwargs) -> Tensor:
    """PEFT's forward in fewer operations, where its usual case is at hand: one adapter, a frozen plain weight."""
    base, names = module.base_layer, module.active_adapters
    usual = (not args and not kwargs and not module.merged and not module.disable_adapters and len(names) == 1
             and module.training and not base.weight.requires_grad and x.dtype == base.weight.dtype
             and type(module.lora_dropout[names[0]]) in (nn.Identity, nn.Dropout)
             and not hasattr(base.weight, "ds_id"))  # ZeRO 3 gathers weights only for modules that are called
    if not usual:
        return original(x, *args, **kwargs)
    name = names[0]
    dropout = getattr(module.lora_dropout[name], "p", 0.0)
    kept = keep_mask(x, dropout) if dropout else None
    return LowRankProduct.apply(x, base.weight, base.bias, module.lora_A[name].weight, module.lora_B[name].weight,
                                module.scaling[name] / (1 - dropout), kept)


def keep_mask(x: Tensor, dropout: float) -> Tensor:
    """Which elements of x [..., D] survive dropout: int16 [N, D], -1 (all bits set) where kept and 0 where not.

    Four elements share one draw of torch's generator, and all else is integer arithmetic: on a CPU this takes a
    fifth of the time of torch's own dropout. The share is met to 1/32,768.
    """
    elements = x.numel()
    draws = torch.empty(-(-elements // 4), dtype=torch.int64, device=x.device).random_(-(2**63), None)
    lanes = draws.view(torch.int16)[:elements].bitwise_and_(0x7FFF)
    return lanes.sub_(round(dropout * 2**15)).bitwise_right_shift_(15).bitwise_not_().view(-1, x.shape[-1])


def _masked(values: Tensor, kept: Tensor) -> Tensor:
    if values.element_size() == 2:  # bits are faster than a choice by condition
        return (values.view(torch.int16) & kept).view(values.dtype)
    return values.masked_fill(kept == 0, 0.0)


class LowRankProduct(torch.autograd.Function):
    """y = x Wᵀ + b + s (m x Aᵀ) Bᵀ, with W and b frozen and m the mask of LoRA's dropout on x.

    Sums go into the large products (addmm), so that nothing of the width of y is written twice. x [..., D] and W
    [H, D] are of one format; A [r, D] and B [H, r] are float32 and are brought to it. `kept` is of `keep_mask`, None
    without dropout; `scale` holds the division by the share that is kept.
    """

    @staticmethod
    def forward(context, x, weight, bias, a, b, scale, kept=None):
        a, b = a.to(x.dtype), b.to(x.dtype)
        rows = x.reshape(-1, x.shape[-1])
        low = (rows if kept is None else _masked(rows, kept)) @ a.T
        y = rows @ weight.T if bias is None else torch.addmm(bias, rows, weight.T)
        y.addmm_(low, b.T, alpha=scale)
        context.save_for_backward(rows, low, weight, a, b, kept)
        context.scale = scale
        return y.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(context, gradient):
        rows, low, weight, a, b, kept = context.saved_tensors
        shape = gradient.shape
        gradient = gradient.reshape(-1, shape[-1])
        inner = (gradient @ b).mul_(context.scale)
        seen = rows if kept is None else _masked(rows, kept)
        of_a, of_b = (inner.T @ seen).float(), (gradient.T @ low).float().mul_(context.scale)
        of_x = None
        if context.needs_input_grad[0]:
            of_x = gradient @ weight
            if kept is None:
                of_x.addmm_(inner, a)
            else:
                of_x.add_(_masked(inner @ a, kept))
            of_x = of_x.view(*shape[:-1], -1)
        return of_x, None, None, of_a, of_b, None, None
