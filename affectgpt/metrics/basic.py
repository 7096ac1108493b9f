"""Scores of single-label predictions."""

from __future__ import annotations

import math
from collections import Counter


def accuracy(targets: list[str], predictions: list[str | None]) -> float:
    """Share of predictions that equal their target; a missing prediction is wrong. NaN for no targets."""
    if not targets:
        return math.nan
    return sum(t == p for t, p in zip(targets, predictions, strict=True)) / len(targets)


def class_f1(targets: list[str], predictions: list[str | None]) -> dict[str, float]:
    """Class -> F1 = 2 TP / (2 TP + FP + FN), of the classes that have targets."""
    hits = Counter(t for t, p in zip(targets, predictions, strict=True) if t == p)
    said = Counter(predictions)
    return {label: 2 * hits[label] / (count + said[label]) for label, count in sorted(Counter(targets).items())}


def macro_f1(targets: list[str], predictions: list[str | None]) -> float:
    """Mean over the target classes of F1. NaN for no targets."""
    scores = class_f1(targets, predictions)
    return sum(scores.values()) / len(scores) if scores else math.nan


def weighted_f1(targets: list[str], predictions: list[str | None]) -> float:
    """Mean over the target classes of F1, weighted by how many targets a class has. NaN for no targets."""
    scores, counts = class_f1(targets, predictions), Counter(targets)
    return sum(counts[label] * score for label, score in scores.items()) / len(targets) if targets else math.nan


def majority_share(targets: list[str]) -> float:
    """Accuracy of always saying the most frequent target. NaN for no targets."""
    return max(Counter(targets).values()) / len(targets) if targets else math.nan
