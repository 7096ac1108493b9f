"""Attention over packed rows: every kernel against one mask over the whole row."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from affectgpt import loading
from affectgpt.models import attention
from affectgpt.models.layout import Layout

PLAIN = Layout(((5,), (1,), (34,), (33,), (67,)))
BRANCHED = Layout(((20, 9, 15), (5,), (12, 1, 30, 2), (33,), (21, 8, 14), (40, 3)))
KERNELS = {
    "grouped": attention.grouped_attention,
    "looped": attention.looped_attention,
    "varlen": lambda query, key, value, layout, scaling, dropout, window, softcap:
        attention.variable_length_attention(query, key, value, layout, scaling, window),
}


def whole_mask(layout: Layout, window: int | None) -> torch.Tensor:
    """The mask by its definition, a pair of tokens at a time."""
    owners = []  # (clip, branch, position)
    for clip, (shared, *branches) in enumerate(layout.clips):
        owners += [(clip, 0, position) for position in range(shared)]
        for branch, size in enumerate(branches, 1):
            owners += [(clip, branch, shared + step) for step in range(size)]
    return torch.tensor([[one[0] == other[0] and other[1] in (0, one[1]) and 0 <= one[2] - other[2] < (window or 10**9)
                          for other in owners] for one in owners])


def varlen_by_its_documentation(query, key, value, q_bounds, k_bounds, longest_q, longest_k, *, scale, window_size,
                                enable_gqa):
    """torch's kernel needs a GPU: what it is documented to compute, sequence by sequence."""
    assert q_bounds.dtype == k_bounds.dtype == torch.int32 and window_size[1] == 0
    assert enable_gqa == (query.shape[1] != key.shape[1])
    outputs = []
    for q, k, v in zip(query.tensor_split(q_bounds[1:-1].long()), key.tensor_split(k_bounds[1:-1].long()),
                       value.tensor_split(k_bounds[1:-1].long()), strict=True):
        assert len(q) <= longest_q and len(k) <= longest_k
        places = torch.arange(len(k)) - torch.arange(len(q))[:, None] - (len(k) - len(q))  # the last stands at the last
        mask = places <= 0
        if window_size[0] >= 0:
            mask &= places >= -window_size[0]
        q, k, v = (states.transpose(0, 1)[None] for states in (q, k, v))
        outputs.append(scaled_dot_product_attention(q, k, v, mask, scale=scale, enable_gqa=True)[0].transpose(0, 1))
    return torch.cat(outputs)


def states(length: int, heads: int = 6, key_heads: int = 2) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(1, count, length, 8, generator=generator).requires_grad_()
            for count in (heads, key_heads, key_heads)]


@pytest.mark.parametrize("window", [None, 1, 7, 34, 1000])
@pytest.mark.parametrize("layout", [PLAIN, BRANCHED], ids=["clips", "branches"])
@pytest.mark.parametrize("kernel", KERNELS)
def test_every_kernel_is_the_mask_over_the_whole_row(kernel, layout, window, monkeypatch):
    monkeypatch.setattr(attention, "varlen_attn", varlen_by_its_documentation)
    found = []
    mask = whole_mask(layout, window)
    for run in (lambda q, k, v: scaled_dot_product_attention(q, k, v, mask, scale=0.3, enable_gqa=True).transpose(1, 2),
                lambda q, k, v: KERNELS[kernel](q, k, v, layout, 0.3, 0.0, window, None)):
        given = states(layout.bounds[-1])
        output = run(*given)
        (output * torch.arange(8)).sum().backward()
        found.append([output, *(tensor.grad for tensor in given)])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
    assert torch.equal(layout.mask(window), mask)


@pytest.mark.parametrize("kernel", ["grouped", "looped"])
def test_scores_are_capped(kernel):
    query, key, value = states(BRANCHED.bounds[-1])
    scores = 2 * torch.tanh(query @ key.repeat_interleave(3, 1).mT * 0.9 / 2)
    scores = scores.masked_fill(~whole_mask(BRANCHED, 9), float("-inf"))
    expected = (scores.softmax(-1) @ value.repeat_interleave(3, 1)).transpose(1, 2)
    output = KERNELS[kernel](query, key, value, BRANCHED, 0.9, 0.0, 9, 2.0)
    torch.testing.assert_close(output, expected, rtol=1e-4, atol=1e-5)
    assert (output - KERNELS[kernel](query, key, value, BRANCHED, 0.9, 0.0, 9, None)).abs().max() > 0.05


@pytest.mark.parametrize("kernel", ["grouped", "looped"])
def test_dropout_drops(kernel):
    given = states(PLAIN.bounds[-1])
    one, other = (KERNELS[kernel](*given, PLAIN, 0.3, dropout, None, None) for dropout in (0.0, 0.5))
    assert (one - other).abs().max() > 0.1


def test_the_kernel_takes_layout_window_and_cap_as_transformers_gives_them():
    given = states(BRANCHED.bounds[-1])
    module = torch.nn.Module()
    module.num_key_value_groups, module.is_causal = 3, True
    layout = BRANCHED.tensor()[None, None]
    output, _ = attention.sdpa_by_clip(module, *given, layout, scaling=0.3, sliding_window=7, softcap=4.0)
    torch.testing.assert_close(output, attention.looped_attention(*given, BRANCHED, 0.3, 0.0, 7, 4.0),
                               rtol=1e-4, atol=1e-5)
    module.sliding_window = 7  # a layer that does not hand it on
    torch.testing.assert_close(attention.sdpa_by_clip(module, *given, layout, scaling=0.3, softcap=4.0)[0], output)
    with pytest.raises(ValueError, match="attention sinks"):
        attention.sdpa_by_clip(module, *given, layout, s_aux=torch.zeros(6))
    # Any other mask is SDPA's own, with the cap too.
    plain, _ = attention.sdpa_by_clip(module, *given, None, scaling=0.3)
    expected = scaled_dot_product_attention(*given, is_causal=True, scale=0.3, enable_gqa=True).transpose(1, 2)
    torch.testing.assert_close(plain, expected)
    causal = torch.ones(output.shape[1], output.shape[1], dtype=torch.bool).tril()[None, None]
    for mask in (None, causal, torch.zeros(causal.shape).masked_fill(~causal, float("-inf"))):
        capped, _ = attention.sdpa_by_clip(module, *given, mask, scaling=0.3, softcap=1.0)
        assert (capped - expected).abs().max() > 0.05
        wide, _ = attention.sdpa_by_clip(module, *given, mask, scaling=0.3, softcap=1e4)
        torch.testing.assert_close(wide, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("layout", [PLAIN, BRANCHED, Layout(((7,),)), Layout(((1, 1, 1), (1,)))])
def test_a_layout_is_told_by_its_tensor_and_by_positions(layout):
    assert Layout.from_tensor(layout.tensor()) == layout
    assert Layout.from_tensor(layout.tensor()[None, None]) is Layout.from_tensor(layout.tensor())  # derived once
    back = Layout.from_positions(layout.positions()[None])
    assert torch.equal(back.mask(), layout.mask()) and back.bounds == layout.bounds


@pytest.mark.parametrize("positions", [[3, 4, 5], [0, 1, 3], [0, 1, 2, 3, 2, 3, 1]])
def test_positions_of_no_clip_are_refused(positions):
    with pytest.raises(ValueError, match="belongs to no clip"):
        Layout.from_positions(torch.tensor([positions]))


def test_what_a_decoder_is_given_of_a_packed_row():
    def given(kind, layout, **values):
        return attention.packed_arguments(kind, layout.tensor(), torch.float32, torch.device("cpu"), **values)

    mask = given(attention.BY_CLIP, BRANCHED)["attention_mask"]
    assert mask.shape == (1, 1, 6, 4) and mask.dtype == torch.int64
    flash = given("flash_attention_2", PLAIN)
    assert flash.pop("attention_mask") is None
    assert flash["cu_seq_lens_q"].tolist() == flash["cu_seq_lens_k"].tolist() == PLAIN.bounds
    assert flash["max_length_q"] == flash["max_length_k"] == 67
    assert given("eager", PLAIN) == {"attention_mask": None}  # transformers sees the clips by their positions
    dense = given("eager", BRANCHED)["attention_mask"]
    assert torch.equal(dense[0, 0] == 0, whole_mask(BRANCHED, None))
    for kind, windows in (("flash_attention_2", False), ("eager", True)):
        with pytest.raises(ValueError, match="several questions of a clip in one row"):
            given(kind, BRANCHED, windows=windows)


@pytest.mark.parametrize("capability", [(7, 5), (8, 0)])
@pytest.mark.parametrize("installed", [False, True])
def test_the_kernel_that_is_chosen_can_run(capability, installed, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(loading.importlib.util, "find_spec", lambda name: object() if installed else None)
    for asked in ("auto", "sdpa"):
        assert loading.choose_attention(asked, "bfloat16", "cuda") == attention.BY_CLIP
    assert loading.choose_attention("eager", "bfloat16", "cuda") == "eager"
    if installed and capability >= (8, 0):
        assert loading.choose_attention("flash_attention_2", "bfloat16", "cuda") == "flash_attention_2"
    else:
        with pytest.raises(ValueError, match="set model.attention=auto"):
            loading.choose_attention("flash_attention_2", "bfloat16", "cuda")
    with pytest.raises(ValueError, match="set model.attention=auto"):
        loading.choose_attention("flash_attention_2", "bfloat16", "cpu")
