"""LoRA's fused product: equal to PEFT's forward and gradients, dropout included."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny
import torch
from tiny import parts
from torch import nn

from affectgpt.loading import from_parts
from affectgpt.models import lora
from affectgpt.models.lora import keep_mask, with_lora


def _layer(dropout: float, dtype: torch.dtype, bias: bool = True):
    """A layer [24 -> 40] with LoRA of rank 4 whose matrices are far from zero."""
    torch.manual_seed(0)
    llm = nn.ModuleDict({"q_proj": nn.Linear(24, 40, bias=bias)}).to(dtype).requires_grad_(False)
    config = SimpleNamespace(lora_rank=4, lora_alpha=8, lora_dropout=dropout, lora_targets=["q_proj"])
    module = with_lora(llm, config)["q_proj"].train()
    with torch.no_grad():
        module.lora_B["default"].weight.normal_()
    return module


def _run(module, x, autocast: bool):
    """Output and gradients of x, A and B."""
    x = x.clone().requires_grad_()
    module.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        y = module(x)
    (y.float() * torch.linspace(-1, 1, y.numel()).view(y.shape)).sum().backward()
    return y, x.grad, *(part["default"].weight.grad.clone() for part in (module.lora_A, module.lora_B))


def _as_peft(module, kept=None):
    """The same layer through PEFT's own forward; `kept` replaces what its dropout draws."""
    lora.fuse_lora(module, False)
    if kept is not None:
        share = 1 - module.lora_dropout["default"].p
        module.lora_dropout["default"].forward = lambda x: x * (kept != 0).view(x.shape) / share
    return module


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize("dropout", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("bias", [True, False])
def test_the_fused_product_is_pefts(monkeypatch, dtype, tolerance, dropout, bias):
    module, x = _layer(dropout, dtype, bias), torch.randn(3, 7, 24).to(dtype)
    masks = []
    monkeypatch.setattr(lora, "keep_mask", lambda *values: masks.append(keep_mask(*values)) or masks[-1])
    fused = _run(module, x, dtype == torch.bfloat16)
    assert len(masks) == (dropout > 0)  # the fused way was taken
    expected = _run(_as_peft(module, *masks), x, dtype == torch.bfloat16)
    for ours, theirs in zip(fused, expected, strict=True):
        largest = theirs.float().abs().max()
        torch.testing.assert_close(ours.float() / largest, theirs.float() / largest, atol=tolerance, rtol=0)


def test_dropout_follows_from_the_seed_and_differs_between_modules():
    module, x = _layer(0.5, torch.float32), torch.randn(2, 9, 24)
    torch.manual_seed(3)
    first, second = module(x), module(x)
    torch.manual_seed(3)
    assert torch.equal(module(x), first) and not torch.equal(first, second)
    module.eval()
    assert torch.equal(module(x), module(x))


@pytest.mark.parametrize("dropout", [0.05, 0.1, 0.5, 0.9])
def test_a_mask_keeps_its_share_everywhere(dropout):
    torch.manual_seed(1)
    kept = keep_mask(torch.empty(500, 999), dropout)
    assert kept.shape == (500, 999) and set(kept.unique().tolist()) == {-1, 0}
    share = -kept.float()
    deviation = (dropout * (1 - dropout)) ** 0.5
    assert float(share.mean()) == pytest.approx(1 - dropout, abs=5 * deviation / 500_000**0.5 + 2**-15)
    for axis, count in ((0, 500), (1, 999)):  # no column, row or lane of a draw is favoured
        assert float((share.mean(axis) - (1 - dropout)).abs().max()) < 6 * deviation / count**0.5
    lanes = share.flatten()[:499_500 // 4 * 4].view(-1, 4).mean(0)
    assert float((lanes - (1 - dropout)).abs().max()) < 6 * deviation / 124_875**0.5
    neighbours = (share[:, 1:] * share[:, :-1]).mean() - share.mean() ** 2
    assert float(neighbours.abs()) < 6 * deviation**2 / 499_000**0.5


def test_gradient_checkpointing_draws_the_same_mask_again():
    module, x = _layer(0.5, torch.float32), torch.randn(2, 9, 24)
    torch.manual_seed(5)
    plain = _run(module, x, False)
    inner = module.forward
    module.forward = lambda x: torch.utils.checkpoint.checkpoint(inner, x, use_reentrant=False)
    torch.manual_seed(5)
    for ours, theirs in zip(_run(module, x, False), plain, strict=True):
        assert torch.equal(ours, theirs)


def test_a_bfloat16_llm_with_lora_is_made_of_its_parts(parts):
    """Its logits are checked as they are computed: LoRA's float32 matrices among bfloat16 weights."""
    assert from_parts(tiny.config(parts), torch.bfloat16).dtype_of_llm == torch.bfloat16
