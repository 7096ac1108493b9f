"""Scores of single-label predictions."""

from __future__ import annotations

import math
from collections import Counter


def accuracy(targets: list[str], predictions: list[str | None]) -> float:
    """Share of predictions that equal their target; a missing prediction is wrong. NaN for no targets."""
    if not targets:
        return math.nan
    return sum(t == p for t, p in zip(targets, predictions, strict=True)) / len(targets)


def macro_f1(targets: list[str], predictions: list[str | None]) -> float:
    """Mean over the target classes of F1 = 2 TP / (2 TP + FP + FN). NaN for no targets."""
    if not targets:
        return math.nan
    scores = []
    for label in sorted(set(targets)):
        hits = sum(t == p == label for t, p in zip(targets, predictions, strict=True))
        wrong = sum(t != p and label in (t, p) for t, p in zip(targets, predictions, strict=True))
        scores.append(2 * hits / (2 * hits + wrong))
    return sum(scores) / len(scores)


def majority_share(targets: list[str]) -> float:
    """Accuracy of always saying the most frequent target. NaN for no targets."""
    return max(Counter(targets).values()) / len(targets) if targets else math.nan


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a share (Wilson, 1927); z = 1.96 for 95 %. (0, 1) for no trials."""
    if total == 0:
        return 0.0, 1.0
    share, spread = hits / total, z * z / total
    centre = (share + spread / 2) / (1 + spread)
    half = z * math.sqrt(share * (1 - share) / total + spread / (4 * total)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def fisher_greater(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """One-sided Fisher exact test: the chance of at least `hits` of `total` if both shares were the same."""
    all_hits, everything = hits + other_hits, total + other_total
    ways = math.comb(everything, all_hits)
    top = min(total, all_hits)
    return sum(math.comb(total, k) * math.comb(other_total, all_hits - k) for k in range(hits, top + 1)) / ways
