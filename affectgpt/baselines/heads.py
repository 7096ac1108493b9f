"""Fusion heads: streams of one time line -> scores of classes at each position.

All take the same: streams x_1 ... x_S, each [B, T, D_s], the first of them the leader; which of them a clip has, bool
[B, S]; which positions exist, bool [B, T]. They give scores [B, T, C]. What a clip or a position does not have changes
nothing: values there may be anything finite.

Shapes: B clips, T positions, S streams, D_s their widths, W width of the attention, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectgpt.baselines.temporal import MaskedBatchNorm


class Head(nn.Module):
    """What all heads share.

    Args:
        widths: D_s of each stream, the leader's first.
        classes: C.
        width: W.
        heads: attention heads; W is a multiple.
        dropout: probability that a unit before the last layer is off in training.
    """

    def __init__(self, widths: Sequence[int], classes: int, width: int, heads: int, dropout: float):
        super().__init__()
        self.widths, self.width, self.heads = list(widths), width, heads
        self.dropout = nn.Dropout(dropout)
        self.build(classes)

    def build(self, classes: int) -> None:
        raise NotImplementedError

    def forward(self, streams: Sequence[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D_s] each, bool [B, S] and bool [B, T] -> [B, T, C]."""
        masks = [mask & one[:, None] for one in there.unbind(1)]
        streams = [value.masked_fill(~one[..., None], 0.0) for value, one in zip(streams, masks, strict=True)]
        return self.fuse(streams, there, mask)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        raise NotImplementedError


class Concatenation(Head):
    """Plain concatenation, and with one stream the single-stream baseline: y = W [x_1; ...; x_S] + b."""

    def build(self, classes: int) -> None:
        self.classify = nn.Linear(sum(self.widths), classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        return self.classify(self.dropout(torch.cat(streams, -1)))


class LFAN(Head):
    """Leader-follower attention network (Zhang et al. 2023, arXiv 2303.10421): attention over streams, frame by frame.

    For each head of width d = W / heads, and each pair of streams i, j of one position:

        q_i = W^q_i x_i,  k_i = W^k_i x_i,  v_i = W^v_i x_i
        a_ij = softmax_j(q_i . k_j / sqrt(d))          over the streams that the clip has
        o_i = sum_j a_ij v_j + v_i
        z = LayerNorm(W^o [o_1; ...; o_S])
        y = W [x_1; z] + b                             x_1 is the leader
    """

    def build(self, classes: int) -> None:
        streams = len(self.widths)
        self.query, self.key, self.value = (
            nn.ModuleList(nn.Linear(width, self.width) for width in self.widths) for _ in range(3))
        self.output = nn.Linear(streams * self.width, streams * self.width)
        self.norm = nn.LayerNorm(streams * self.width)
        self.classify = nn.Linear(self.widths[0] + streams * self.width, classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        def project(maps: nn.ModuleList) -> Tensor:  # [B, T, heads, S, d]
            values = torch.stack([one(value) for one, value in zip(maps, streams, strict=True)], 2)
            return values.unflatten(-1, (self.heads, -1)).transpose(2, 3)

        query, key, value = project(self.query), project(self.key), project(self.value)
        scores = query @ key.transpose(-1, -2) / query.shape[-1] ** 0.5
        scores = scores.masked_fill(~there[:, None, None, None], torch.finfo(scores.dtype).min)
        mixed = (scores.softmax(-1) @ value + value) * there[:, None, None, :, None]
        followers = self.norm(self.output(mixed.transpose(2, 3).flatten(2)))
        return self.classify(self.dropout(torch.cat([streams[0], followers], -1)))


class CAN(Head):
    """Channel attention network (Zhang et al. 2022, arXiv 2203.13031): weights for all channels of all streams.

        h_i = W_i x_i,   c = [h_1; ...; h_S]           each h_i of width W
        f = softmax(W_a c) * c                         over the channels of the streams that the clip has
        y = W_2 LeakyReLU(BatchNorm(W_1 f))
    """

    def build(self, classes: int) -> None:
        total = len(self.widths) * self.width
        self.maps = nn.ModuleList(nn.Linear(width, self.width) for width in self.widths)
        self.attention = nn.Linear(total, total)
        self.first, self.norm, self.classify = nn.Linear(total, self.width), MaskedBatchNorm(self.width), nn.Linear(
            self.width, classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        channels = there.repeat_interleave(self.width, 1)[:, None]
        joined = torch.cat([one(value) for one, value in zip(self.maps, streams, strict=True)], -1) * channels
        scores = self.attention(joined).masked_fill(~channels, torch.finfo(joined.dtype).min)
        hidden = self.norm(self.first(scores.softmax(-1) * joined), mask)
        return self.classify(self.dropout(F.leaky_relu(hidden)))


class Attention(nn.Module):
    """Multi-head attention of one sequence to another (Vaswani et al. 2017, arXiv 1706.03762), padded keys left out."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))

    def forward(self, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """[N, P, W], [N, Q, W] and bool [N, Q], of which one at least is True a row -> [N, P, W]."""
        query, key, value = (one(given).unflatten(-1, (self.heads, -1)).transpose(1, 2) for one, given in (
            (self.query, queries), (self.key, keys), (self.value, keys)))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None])
        return self.output(mixed.transpose(1, 2).flatten(2))


class CrossAttention(nn.Module):
    """C_ab = LayerNorm(h_a + Attention(h_a, h_b, h_b)) over time; h_a alone where the clip does not have b."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.attention, self.norm = Attention(width, heads), nn.LayerNorm(width)

    def forward(self, first: Tensor, second: Tensor, mask: Tensor, there: Tensor) -> Tensor:
        """[B, T, W] twice, bool [B, T] and bool [B] -> [B, T, W]."""
        return self.norm(first + self.attention(first, second, mask) * there[:, None, None])


class JMT(Head):
    """Joint multimodal transformer (Waligora et al. 2024, arXiv 2403.10488).

        h_i = W_i x_i  (i = 1 ... S),   h_(S+1) = W_J [h_1; ...; h_S]      the joint stream
        C_ab = LayerNorm(h_a + Attention(h_a, h_b, h_b))                   over time, for all a != b of the S + 1
        Z_t = [C_12,t, ..., C_(S+1)S,t]                                    (S + 1) S rows; 6 of two streams
        Z'_t = LayerNorm(Z_t + Attention(Z_t, Z_t, Z_t))                   over the rows of one position
        y_t = W z_t,   z_t the last row of Z'_t
    """

    def build(self, classes: int) -> None:
        streams = len(self.widths)
        self.maps = nn.ModuleList(nn.Linear(width, self.width) for width in self.widths)
        self.joint = nn.Linear(streams * self.width, self.width)
        self.pairs = [(a, b) for a in range(streams + 1) for b in range(streams + 1) if a != b]
        self.cross = nn.ModuleList(CrossAttention(self.width, self.heads) for _ in self.pairs)
        self.stack, self.norm = Attention(self.width, self.heads), nn.LayerNorm(self.width)
        self.classify = nn.Linear(self.width, classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        hidden = [one(value) * has[:, None, None] for one, value, has in zip(
            self.maps, streams, there.unbind(1), strict=True)]
        hidden.append(self.joint(torch.cat(hidden, -1)))
        has = torch.cat([there, there.any(1, keepdim=True)], 1)
        crossed = torch.stack([cross(hidden[a], hidden[b], mask, has[:, b])
                               for cross, (a, b) in zip(self.cross, self.pairs, strict=True)], 2)
        rows = torch.stack([has[:, a] for a, _ in self.pairs], 1)
        flat = crossed.flatten(0, 1)
        mixed = self.norm(flat + self.stack(flat, flat, rows.repeat_interleave(mask.shape[1], 0)))
        return self.classify(self.dropout(mixed[:, -1].unflatten(0, mask.shape)))


class MT(Head):
    """Multimodal transformer: cross-attention between each two streams over time (Tsai et al. 2019, arXiv 1906.00295,
    as the baseline of Waligora et al. 2024, arXiv 2403.10488).

        h_i = W_i x_i
        C_ab = LayerNorm(h_a + Attention(h_a, h_b, h_b))     for all a != b; 2 of two streams, C_11 of one
        y = W [C_12; ...; C_S(S-1)] + b
    """

    def build(self, classes: int) -> None:
        streams = range(len(self.widths))
        self.maps = nn.ModuleList(nn.Linear(width, self.width) for width in self.widths)
        self.pairs = [(a, b) for a in streams for b in streams if a != b] or [(0, 0)]
        self.cross = nn.ModuleList(CrossAttention(self.width, self.heads) for _ in self.pairs)
        self.classify = nn.Linear(len(self.pairs) * self.width, classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        hidden = [one(value) for one, value in zip(self.maps, streams, strict=True)]
        crossed = [cross(hidden[a], hidden[b], mask, there[:, b]) * there[:, a, None, None]
                   for cross, (a, b) in zip(self.cross, self.pairs, strict=True)]
        return self.classify(self.dropout(torch.cat(crossed, -1)))


class Perceptron(Head):
    """One hidden layer over the concatenation: y = W_2 dropout(ReLU(W_1 dropout([x_1; ...; x_S]))); W = 0 is linear.

    The head of "statistics", whose streams are mean and deviation over a clip, one position each: few parameters for
    small corpora, and no order in time.
    """

    def build(self, classes: int) -> None:
        total = sum(self.widths)
        self.hidden = nn.Sequential(nn.Linear(total, self.width), nn.ReLU()) if self.width else nn.Identity()
        self.classify = nn.Linear(self.width or total, classes)

    def fuse(self, streams: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        return self.classify(self.dropout(self.hidden(torch.cat(streams, -1))))


HEADS: dict[str, type[Head]] = {"concatenation": Concatenation, "lfan": LFAN, "can": CAN, "jmt": JMT, "mt": MT,
                                "statistics": Perceptron}
"""Name in recipes -> head."""
