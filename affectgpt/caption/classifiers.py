"""Attention-fusion classifiers on stored features: small, many, and never asked about what they were trained on.

Each stream's features are averaged over time and mapped to one width; a score a stream, made from all streams, weighs
them; two linear heads read emotion and sentiment (the "attention" model of MERBench, arXiv 2401.03429).

Shapes: N clips, S streams, D widths of the streams' features, H hidden width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from affectgpt.caption.settings import HighSection
from affectgpt.words.basic import POLARITIES

BATCH = 128
WEIGHT_DECAY = 1e-2
STREAM_DROPOUT = 0.25
"""Probability that a stream of a training clip is hidden where another one stays: some clips have one stream alone."""
_IGNORED = -100


@dataclass
class Features:
    """Mean features of N clips: stream -> [N, D], and whether a clip has the stream [N] (rows without it are 0)."""

    values: dict[str, Tensor]
    there: dict[str, Tensor]

    def take(self, rows: list[int]) -> Features:
        """Some clips."""
        index = torch.tensor(rows, dtype=torch.long)
        return Features({name: value[index] for name, value in self.values.items()},
                        {name: value[index] for name, value in self.there.items()})

    def __len__(self) -> int:
        return len(next(iter(self.there.values())))


class AttentionFusion(nn.Module):
    """Features of some streams -> scores of emotions and sentiments; statistics of the features are its own."""

    def __init__(self, widths: dict[str, int], hidden: int, emotions: int, dropout: float):
        super().__init__()
        self.streams = list(widths)
        self.maps = nn.ModuleDict({name: nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Dropout(dropout))
                                   for name, width in widths.items()})
        self.attention = nn.Sequential(nn.Linear(hidden * len(widths), hidden), nn.ReLU(), nn.Dropout(dropout),
                                       nn.Linear(hidden, len(widths)))
        self.emotion, self.sentiment = nn.Linear(hidden, emotions), nn.Linear(hidden, len(POLARITIES))
        for name, width in widths.items():
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_deviation", torch.ones(width))

    def fit_statistics(self, features: Features) -> None:
        """Standardise by the training clips that have a stream."""
        for name in self.streams:
            rows = features.values[name][features.there[name]]
            if len(rows) > 1:
                getattr(self, f"{name}_mean").copy_(rows.mean(0))
                getattr(self, f"{name}_deviation").copy_(rows.std(0).clamp_min(1e-4))

    def forward(self, features: Features) -> tuple[Tensor, Tensor]:
        """Scores [N, emotions] and [N, 3]; an absent stream has no weight."""
        hidden = []
        for name in self.streams:
            value = (features.values[name] - getattr(self, f"{name}_mean")) / getattr(self, f"{name}_deviation")
            hidden.append(self.maps[name](value) * features.there[name][:, None])
        stacked = torch.stack(hidden, 1)
        there = torch.stack([features.there[name] for name in self.streams], 1)
        scores = self.attention(stacked.flatten(1)).masked_fill(~there, torch.finfo(torch.float32).min)
        fused = (stacked * scores.softmax(1)[..., None]).sum(1)
        return self.emotion(fused), self.sentiment(fused)


def train(features: Features, emotions: list[str | None], sentiments: list[str | None], classes: list[str],
          settings: HighSection, seed: int) -> AttentionFusion:
    """A classifier trained on N labelled clips; the same arguments give the same weights.

    Args:
        emotions, sentiments: [N] targets, None where a clip has none; classes are weighed by how rare they are.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = {name: value.shape[1] for name, value in features.values.items()}
        model = AttentionFusion(widths, settings.hidden, len(classes), settings.dropout)
        model.fit_statistics(features)
        targets = [_targets(emotions, classes), _targets(sentiments, list(POLARITIES))]
        weights = [_weights(target, count) for target, count in zip(targets, (len(classes), 3), strict=True)]
        optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=WEIGHT_DECAY)
        for _ in range(settings.epochs):
            for rows in torch.randperm(len(features), generator=generator).split(BATCH):
                batch = _hide_streams(features.take(rows.tolist()), generator)
                losses = [F.cross_entropy(scores, target[rows], weight, ignore_index=_IGNORED, reduction="sum")
                          for scores, target, weight in zip(model(batch), targets, weights, strict=True)]
                optimiser.zero_grad()
                (sum(losses) / len(rows)).backward()
                optimiser.step()
    return model.eval()


@torch.inference_mode()
def predict(model: AttentionFusion, features: Features, classes: list[str]) -> list[tuple[str | None, str | None]]:
    """(emotion, sentiment) of N clips; (None, None) for one without any stream."""
    emotion, sentiment = (scores.argmax(1).tolist() for scores in model(features))
    seen = torch.stack([features.there[name] for name in model.streams]).any(0).tolist()
    return [(classes[one], POLARITIES[other]) if there else (None, None)
            for one, other, there in zip(emotion, sentiment, seen, strict=True)]


def _targets(words: list[str | None], classes: list[str]) -> Tensor:
    return torch.tensor([classes.index(word) if word is not None else _IGNORED for word in words])


def _weights(targets: Tensor, count: int) -> Tensor:
    """Of each class, so that all that occur weigh alike and the mean weight of a clip is 1."""
    counts = torch.bincount(targets[targets >= 0], minlength=count).float()
    occurring = (counts > 0).sum().clamp_min(1)
    return torch.where(counts > 0, counts.sum() / occurring / counts.clamp_min(1), 0.0)


def _hide_streams(batch: Features, generator: torch.Generator) -> Features:
    there = torch.stack(list(batch.there.values()), 1)
    hidden = there & (torch.rand(there.shape, generator=generator) < STREAM_DROPOUT)
    hidden[(there & ~hidden).sum(1) == 0] = False  # one stream stays
    kept = there & ~hidden
    return Features(batch.values, {name: kept[:, place] for place, name in enumerate(batch.there)})
