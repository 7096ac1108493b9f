"""Temporal convolution encoder of a stream: dilated causal convolutions (Bai et al. 2018, arXiv 1803.01271).

Shapes: B clips, T positions, D input width, H output width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm


class CausalConvolution(nn.Module):
    """y_t = sum_k W_k x_(t - d (K - 1 - k)) + b, with weight norm: a position sees itself and the past alone."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.convolution = weight_norm(nn.Conv1d(inputs, outputs, kernel, dilation=dilation))

    def forward(self, values: Tensor) -> Tensor:
        """[B, D, T] -> [B, H, T]."""
        return self.convolution(F.pad(values, (self.past, 0)))


class Block(nn.Module):
    """Two causal convolutions with LeakyReLU and dropout, beside a residual path (1 x 1 where the width changes)."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int, dropout: float):
        super().__init__()
        self.first = CausalConvolution(inputs, outputs, kernel, dilation)
        self.second = CausalConvolution(outputs, outputs, kernel, dilation)
        self.residual = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(self, values: Tensor) -> Tensor:
        hidden = self.dropout(F.leaky_relu(self.first(values)))
        hidden = self.dropout(F.leaky_relu(self.second(hidden)))
        return F.leaky_relu(hidden + self.residual(values))


class TemporalConvolution(nn.Module):
    """Blocks whose dilation doubles: 1, 2, 4, ...

    Padding comes after a clip, and no position looks ahead, so it never changes a result.

    Args:
        widths: of each block; the last one is H. Empty passes the values on.
    """

    def __init__(self, inputs: int, widths: Sequence[int], kernel: int = 5, dropout: float = 0.1):
        super().__init__()
        sizes = [inputs, *widths]
        self.blocks = nn.ModuleList(Block(before, after, kernel, 2**number, dropout)
                                    for number, (before, after) in enumerate(zip(sizes, sizes[1:], strict=False)))
        self.width = sizes[-1]

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """[B, T, D] and mask bool [B, T] -> [B, T, H], zero where masked."""
        hidden = values.masked_fill(~mask[..., None], 0.0).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden)
        return hidden.transpose(1, 2).masked_fill(~mask[..., None], 0.0)


class MaskedBatchNorm(nn.Module):
    """Batch normalisation over the positions that exist."""

    def __init__(self, width: int):
        super().__init__()
        self.norm = nn.BatchNorm1d(width)

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """[B, T, H] and mask bool [B, T] -> [B, T, H], zero where masked."""
        there = values[mask]
        if self.training and len(there) < 2:  # a single position has no deviation: what was learned so far
            normal = F.batch_norm(there, self.norm.running_mean, self.norm.running_var, self.norm.weight,
                                  self.norm.bias)
        else:
            normal = self.norm(there)
        out = torch.zeros_like(values)
        out[mask] = normal.to(out.dtype)
        return out
