"""Clips with their streams on one time line, as samples to train and test on.

Shapes: P positions of a stream, T positions of the leader, D features, B clips, S streams.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from affectgpt.baselines.decisions import windows_of
from affectgpt.baselines.fusion_model import STREAM
from affectgpt.features.sequences import Sequences, resample
from affectgpt.features.spec import FeatureSpec

STEPS = ("words", "texts")
"""Sources of which nothing lies between two positions."""


@dataclass(frozen=True)
class Aligned:
    """A clip's streams at the leader's times: stream -> [T, D], all of one length; `times` [T]."""

    streams: dict[str, Tensor]
    times: Tensor

    def __len__(self) -> int:
        return len(self.times)


def align(found: Mapping[str, tuple[Tensor, Tensor]], specs: Sequence[FeatureSpec]) -> Aligned | None:
    """Streams (values [P, D], times [P]) at the times of the first of `specs` that the clip has; None without any."""
    lead = next((spec.title for spec in specs if spec.title in found), None)
    if lead is None:
        return None
    times = found[lead][1]
    streams = {}
    for spec in specs:
        if spec.title in found:
            values, own = found[spec.title]
            moved = values if spec.title == lead else resample(values, own, times, nearest=spec.source in STEPS)
            streams[spec.title] = moved.to(getattr(torch, spec.dtype))
    return Aligned(streams, times)


def pool(found: Mapping[str, tuple[Tensor, Tensor]], specs: Sequence[FeatureSpec]) -> Aligned | None:
    """Streams [P, D] as one position: mean and deviation over their own times; None without any.

    Where positions are means with deviations and a level [P, d + d + 1] (`FeatureSpec.statistics`), the deviation is
    that of all steps within them, sqrt(mean of the squared deviations + variance of the means).
    """
    streams = {}
    for spec in specs:
        if spec.title not in found:
            continue
        values = found[spec.title][0]
        mean, deviation = values.mean(0), values.std(0, correction=0)
        if spec.source == "audio" and spec.statistics == "mean_std":
            half = (values.shape[1] - 1) // 2
            within = values[:, half : 2 * half].pow(2).mean(0)
            kept = [*range(half), 2 * half]
            deviation = torch.cat([(within + deviation[:half].pow(2)).sqrt(), deviation[2 * half :]])
            mean = mean[kept]
        streams[spec.title] = torch.cat([mean, deviation])[None]
    return Aligned(streams, torch.zeros(1)) if streams else None


def widths_of(clips: Mapping[str, Aligned], specs: Sequence[FeatureSpec]) -> dict[str, int]:
    """Stream -> D, of the streams that any clip has, in the order of the specs."""
    widths = {name: value.shape[1] for clip in clips.values() for name, value in clip.streams.items()}
    return {spec.title: widths[spec.title] for spec in specs if spec.title in widths}


def align_all(sequences: Sequences, specs: Sequence[FeatureSpec], pooled: bool = False) -> dict[str, Aligned]:
    """Clip key -> its streams, aligned or each pooled; clips without any are not there."""
    found = {key: pool(sequences[key], specs) if pooled else align(sequences[key], specs) for key in sequences}
    return {key: value for key, value in found.items() if value is not None}


class SequenceSet(Sequence):
    """Samples for `train.classify.fit`: whole clips, or where `cut` is given windows of them.

    Args:
        keys: of the clips, each of which is in every one of `variants`.
        labels: class of each.
        variants: the clips at several speeds of their sound; an epoch hears each at one of them, drawn by (seed, epoch,
            clip).
        names: the model's streams.
        cut: (window, hop) in positions.
    """

    def __init__(self, keys: Sequence[str], labels: Sequence[int], variants: Sequence[Mapping[str, Aligned]],
                 names: Sequence[str], cut: tuple[int, int] | None = None, seed: int = 0):
        self.keys, self.variants, self.names, self.seed, self.epoch = list(keys), list(variants), list(names), seed, 0
        self.windows, self.labels = [], []
        for key, label in zip(keys, labels, strict=True):
            shortest = min(len(variant[key]) for variant in variants)
            for number in range(1 if cut is None else len(windows_of(shortest, *cut))):
                self.windows.append((key, number))
                self.labels.append(int(label))
        self.cut = cut
        self.lengths = [len(self._part(index)[1]) for index in range(len(self.windows))]

    def __len__(self) -> int:
        return len(self.windows)

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def _part(self, index: int) -> tuple[Aligned, range]:
        key, number = self.windows[index]
        clip = self.variants[0][key]
        if len(self.variants) > 1:
            drawn = hashlib.sha256(f"{self.seed} {self.epoch} {key}".encode()).digest()
            clip = self.variants[int.from_bytes(drawn[:4], "big") % len(self.variants)][key]
        return clip, range(len(clip)) if self.cut is None else range(*windows_of(len(clip), *self.cut)[number])

    def __getitem__(self, index: int) -> dict:
        clip, part = self._part(index)
        streams = {name: value[part.start : part.stop] for name, value in clip.streams.items() if name in self.names}
        return {"streams": streams, "length": len(part), "labels": self.labels[index]}


class Collate:
    """Samples -> a batch, padded with zeros; a stream that a clip does not have is zeros too.

    Args:
        widths: stream -> D.
    """

    def __init__(self, widths: Mapping[str, int]):
        self.widths = dict(widths)

    def __call__(self, samples: list[dict]) -> dict[str, Tensor]:
        longest = max(sample["length"] for sample in samples)
        lengths = torch.tensor([sample["length"] for sample in samples])
        batch = {"mask": torch.arange(longest) < lengths[:, None],
                 "there": torch.tensor([[name in sample["streams"] for name in self.widths] for sample in samples]),
                 "labels": torch.tensor([sample["labels"] for sample in samples])}
        for name, width in self.widths.items():
            values = torch.zeros(len(samples), longest, width)
            for row, sample in enumerate(samples):
                if name in sample["streams"]:
                    values[row, : sample["length"]] = sample["streams"][name]
            batch[STREAM + name] = values
        return batch
