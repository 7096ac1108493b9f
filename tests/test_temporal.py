"""Temporal convolution: equations, the past alone, padding; windows and decisions on numbers made by hand."""

from __future__ import annotations

import pytest
import torch

from affectgpt.baselines.decisions import decide, join_windows, level_scores, windows_of
from affectgpt.baselines.temporal import CausalConvolution, MaskedBatchNorm, TemporalConvolution


def values(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_causal_convolution_is_its_sum():
    torch.manual_seed(0)
    layer = CausalConvolution(3, 2, kernel=5, dilation=2)
    x = values(1, 3, 11)
    weight, bias = layer.convolution.weight, layer.convolution.bias
    for t in range(11):
        plain = bias.clone()
        for k in range(5):
            at = t - 2 * (4 - k)
            if at >= 0:
                plain = plain + weight[:, :, k] @ x[0, :, at]
        torch.testing.assert_close(layer(x)[0, :, t], plain)


def test_no_position_looks_ahead_and_padding_changes_nothing():
    torch.manual_seed(1)
    encoder = TemporalConvolution(4, [8, 8, 6], dropout=0.0).eval()
    x, mask = values(1, 20, 4), torch.ones(1, 20, dtype=torch.bool)
    whole = encoder(x, mask)
    later = x.clone()
    later[:, 12:] = 100.0
    changed = encoder(later, mask)
    torch.testing.assert_close(changed[:, :12], whole[:, :12])
    assert (changed[:, 12:] - whole[:, 12:]).abs().amax() > 1
    padded = torch.full((2, 29, 4), 7.0)
    padded[0, :20], padded[1, :29] = x[0], values(29, 4, seed=2)
    there = torch.ones(2, 29, dtype=torch.bool)
    there[0, 20:] = False
    out = encoder(padded, there)
    torch.testing.assert_close(out[0, :20], whole[0], atol=1e-6, rtol=1e-5)
    assert not out[0, 20:].any() and encoder.width == 6


def test_a_far_position_is_seen_through_the_dilations():
    torch.manual_seed(2)
    encoder = TemporalConvolution(1, [4, 4], kernel=5, dropout=0.0).eval()
    x = values(1, 40, 1).requires_grad_()
    encoder(x, torch.ones(1, 40, dtype=torch.bool))[0, -1].sum().backward()
    reach = 2 * 4 * (1 + 2)  # two convolutions a block, dilations 1 and 2
    assert x.grad[0, 39 - reach, 0] != 0 and not x.grad[0, : 39 - reach].any()


def test_batch_norm_counts_existing_positions_alone():
    norm = MaskedBatchNorm(3).train()
    x, mask = values(2, 6, 3), torch.ones(2, 6, dtype=torch.bool)
    mask[1, 2:] = False
    x[1, 2:] = 1e4
    there = norm(x, mask)[mask]
    torch.testing.assert_close(there.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(there.std(0, correction=0), torch.ones(3), atol=1e-3, rtol=0)
    assert torch.isfinite(norm(x[:1, :1], mask[:1, :1])).all()  # one position alone


def test_decisions_by_hand():
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.5], [0.0, 0.5]])
    torch.testing.assert_close(decide(logits, "mean_logits"), torch.tensor([2 / 3, 1 / 3]).double().softmax(0))
    high, low = 1 / (1 + torch.tensor(-2.0).double().exp()), 1 / (1 + torch.tensor(0.5).double().exp())
    torch.testing.assert_close(decide(logits, "mean_probabilities")[0], (high + 2 * low) / 3)
    votes = decide(logits, "majority_vote")
    assert votes.argmax() == 1 and abs(float(votes.sum()) - 1) < 1e-12
    assert decide(logits, "mean_logits").argmax() == decide(logits, "mean_probabilities").argmax() == 0
    even = torch.tensor([[3.0, 0.0], [0.0, 1.0]])  # one vote each: the surer position decides
    assert decide(even, "majority_vote").argmax() == 0
    many = torch.tensor([[0.0, 0.1]] * 51 + [[50.0, 0.0]] * 49)  # no certainty outvotes a vote
    assert decide(many, "majority_vote").argmax() == 1
    with pytest.raises(ValueError, match="not known"):
        decide(logits, "median")


def test_windows_cover_and_overlaps_are_averaged():
    for length in (1, 299, 300, 301, 500, 1234):
        windows = windows_of(length, 300, 200)
        assert windows[-1][1] == length and all(end - start <= 300 for start, end in windows)
        assert set().union(*(range(*window) for window in windows)) == set(range(length))
    joined = join_windows(5, [(0, torch.tensor([[1.0], [1.0], [1.0]])), (2, torch.tensor([[3.0], [3.0], [3.0]]))])
    assert joined[:, 0].tolist() == [1, 1, 2, 3, 3]


def test_scores_of_a_level():
    scores = level_scores(["a", "a", "b", "b"], ["a", "b", "b", None])
    assert scores["accuracy"] == 0.5 and scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
