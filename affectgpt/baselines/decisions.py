"""Scores of positions -> the decision about a clip, and scores of both levels.

Shapes: T positions, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from affectgpt.metrics import basic

DECISIONS = ("mean_logits", "mean_probabilities", "majority_vote")


def decide(logits: Tensor, rule: str) -> Tensor:
    """[T, C] -> share of each class [C], which sums to 1.

    "mean_logits": softmax of the mean over positions. "mean_probabilities": mean of the softmaxes. "majority_vote":
    share of the positions whose largest score is of the class; of two classes with as many votes the one with the
    larger mean probability is raised by less than a vote.

    Raises:
        ValueError: no position, or an unknown rule.
    """
    if rule not in DECISIONS:
        raise ValueError(f"decision {rule!r} is not known; use one of {', '.join(DECISIONS)}")
    if not len(logits):
        raise ValueError("a clip without a position has no decision")
    logits = logits.double()
    if rule == "mean_logits":
        return logits.mean(0).softmax(-1)
    mean = logits.softmax(-1).mean(0)
    if rule == "mean_probabilities":
        return mean
    votes = torch.bincount(logits.argmax(-1), minlength=logits.shape[-1]).double() / len(logits)
    small = 1 / (2 * len(logits))  # mean sums to 1: less than the share of one vote is added to any class
    return (votes + small * mean) / (1 + small)


def join_windows(length: int, parts: Sequence[tuple[int, Tensor]]) -> Tensor:
    """Scores [T, C] of a clip from those of its windows, (first position, [t, C]) each; where windows overlap, their
    mean."""
    total = torch.zeros(length, parts[0][1].shape[-1], dtype=torch.float64)
    count = torch.zeros(length, 1, dtype=torch.float64)
    for start, logits in parts:
        total[start : start + len(logits)] += logits
        count[start : start + len(logits)] += 1
    return total / count


def windows_of(length: int, window: int, hop: int) -> list[tuple[int, int]]:
    """(first, end) of the windows of a sequence: one each `hop` positions while it has new ones.

    They follow from the number of positions before them alone, so padding adds none to a clip.

    >>> windows_of(500, 300, 200), windows_of(520, 300, 200), windows_of(80, 300, 200)
    ([(0, 300), (200, 500)], [(0, 300), (200, 500), (400, 520)], [(0, 80)])
    """
    starts = range(0, max(1, length - (window - hop)), hop)
    return [(start, min(length, start + window)) for start in starts]


def level_scores(targets: Sequence[str], predictions: Sequence[str | None]) -> dict[str, float]:
    """Accuracy, macro F1 and weighted F1 of clips, or of positions with their clip's target."""
    targets, predictions = list(targets), list(predictions)
    return {"accuracy": basic.accuracy(targets, predictions), "macro_f1": basic.macro_f1(targets, predictions),
            "weighted_f1": basic.weighted_f1(targets, predictions)}
