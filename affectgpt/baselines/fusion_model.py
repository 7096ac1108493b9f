"""Streams of a clip -> temporal convolution -> fusion head -> a decision.

Shapes: B clips, T positions of the leader, D features of a stream, S streams, C classes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectgpt.baselines.decisions import decide
from affectgpt.baselines.fusion_settings import FusionSettings
from affectgpt.baselines.heads import HEADS
from affectgpt.baselines.temporal import MaskedBatchNorm, TemporalConvolution

STREAM = "stream_"
"""Start of the names of a batch's streams."""


@dataclass
class FusionOutput:
    """`logits` [B, C], log-shares of the decision; `frames` [B, T, C] scores of positions, `mask` bool [B, T] which of
    them there are; `loss` where labels were given."""

    logits: Tensor
    frames: Tensor
    mask: Tensor
    loss: Tensor | None = None


class FusionModel(nn.Module):
    """The feature-based baseline.

    Args:
        widths: stream -> D, the leader first; of the head "statistics" the width of its statistics.
        classes: C.
    """

    def __init__(self, widths: Mapping[str, int], classes: int, settings: FusionSettings):
        super().__init__()
        self.streams, self.settings = list(widths), settings
        for name, width in widths.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_deviation", torch.ones(width))
        self.register_buffer("class_weights", torch.ones(classes))
        self.pooled = settings.head == "statistics"
        sizes = dict(widths)
        if not self.pooled:
            self.encoders = nn.ModuleDict({
                name: TemporalConvolution(width, settings.temporal_of.get(name, settings.temporal), settings.kernel,
                                          settings.dropout) for name, width in widths.items()})
            sizes = {name: encoder.width for name, encoder in self.encoders.items()}
            self.norms = nn.ModuleDict({name: MaskedBatchNorm(size) for name, size in sizes.items()})
        self.features_dropout = nn.Dropout(settings.dropout if self.pooled or not settings.temporal else 0.0)
        self.head = HEADS[settings.head](list(sizes.values()), classes, settings.width, settings.attention_heads,
                                         settings.head_dropout)

    @torch.no_grad()
    def fit_statistics(self, clips: Iterable[Mapping[str, Tensor]], labels: Iterable[int] = ()) -> None:
        """Take mean and deviation of each feature over the positions [T, D] of training clips; with `labels`, weigh
        classes by the inverse of their counts."""
        sums: dict[str, list[Tensor]] = {}
        for streams in clips:
            for name, value in streams.items():
                value = value.double()
                one = [torch.tensor(float(len(value))), value.sum(0), value.pow(2).sum(0)]
                sums[name] = [a + b for a, b in zip(sums.get(name, [0.0, 0.0, 0.0]), one, strict=True)]
        for name, (count, total, squares) in sums.items():
            mean = total / count
            deviation = (squares / count - mean**2).clamp_min(0).sqrt()
            getattr(self, f"{name}_mean").copy_(mean)
            # A feature that never moves says nothing: it becomes 0 rather than noise of rounding.
            getattr(self, f"{name}_deviation").copy_(torch.where(deviation > 1e-4, deviation, float("inf")))
        if labels := list(labels):
            counts = torch.bincount(torch.tensor(labels), minlength=len(self.class_weights)).double()
            weights = torch.where(counts > 0, len(labels) / ((counts > 0).sum() * counts.clamp_min(1)), 0.0)
            self.class_weights.copy_(weights)

    def forward(self, mask: Tensor, there: Tensor, labels: Tensor | None = None, **streams: Tensor) -> FusionOutput:
        """Scores of clips; a clip's do not depend on its neighbours or on padding, but in training.

        Args:
            mask: bool [B, T], positions that a clip has; one at least.
            there: bool [B, S], streams that it has; one at least.
            labels: [B].
            streams: "stream_NAME" -> [B, T, D].
        """
        values = []
        for name in self.streams:
            mean, deviation = getattr(self, f"{name}_mean"), getattr(self, f"{name}_deviation")
            value = (streams[STREAM + name].float() - mean) / deviation
            if self.training and self.settings.feature_noise:
                value = value + self.settings.feature_noise * torch.randn_like(value)
            values.append(self.features_dropout(value))
        if self.training and self.settings.stream_dropout:
            hidden = there & (torch.rand(there.shape, device=there.device) < self.settings.stream_dropout)
            hidden[(there & ~hidden).sum(1) == 0] = False  # one stream stays
            there = there & ~hidden
        frames = self._windows(values, there, mask)
        logits = torch.stack([decide(one[has], self.settings.decision) for one, has in zip(
            frames.detach(), mask, strict=True)]).clamp_min(1e-9).log().float()
        return FusionOutput(logits, frames, mask, None if labels is None else self._loss(frames, mask, labels))

    def _windows(self, values: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        """[B, T, C], averaged where windows overlap."""
        window, hop, length = self.settings.window, self.settings.hop, mask.shape[1]
        if length <= window:
            return self._score(values, there, mask)
        lengths = mask.sum(1)
        total, count = 0.0, torch.zeros(mask.shape, device=mask.device)
        for start in range(0, length, hop):
            # As `decisions.windows_of`, for each clip by its own length.
            rows = torch.nonzero(lengths > (start + window - hop if start else 0))[:, 0]
            if not len(rows):
                break
            part = slice(start, start + window)
            scores = self._score([value[rows, part] for value in values], there[rows], mask[rows, part])
            padded = torch.zeros(*mask.shape, scores.shape[-1], device=mask.device)
            padded[rows, part] = scores
            total = total + padded
            count[rows, part] += 1
        return total / count.clamp_min(1)[..., None]

    def _score(self, values: list[Tensor], there: Tensor, mask: Tensor) -> Tensor:
        if self.pooled:
            return self.head(values, there, mask)
        encoded = []
        for name, value, has in zip(self.streams, values, there.unbind(1), strict=True):
            own = mask & has[:, None]
            encoded.append(self.norms[name](self.encoders[name](value, own), own))
        return self.head(encoded, there, mask)

    def _loss(self, frames: Tensor, mask: Tensor, labels: Tensor) -> Tensor:
        """Mean over clips of the mean over their positions of the cross-entropy, so that long clips weigh no more."""
        targets = labels[:, None].expand(mask.shape)
        losses = F.cross_entropy(frames.transpose(1, 2), targets, self.class_weights, reduction="none",
                                 label_smoothing=self.settings.fit.label_smoothing)
        return ((losses * mask).sum(1) / mask.sum(1)).mean()
