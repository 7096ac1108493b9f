"""Intervals and tests: bootstrap over clips, paired comparison of two systems, spread over runs.

Every score here is a function of sums over clips (hits, cells of a confusion table, products for a correlation). So a
resample is a weighted sum, all of them together are one matrix product, and 1,000 resamples of a set of thousands of
clips take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True)
class Columns:
    """Per-clip numbers and the scores that their sums give.

    Attributes:
        values: [N clips, C].
        finish: sums [..., C] -> name -> scores [...], NaN where a sum leaves nothing to divide by.
    """

    values: np.ndarray
    finish: Callable[[np.ndarray], dict[str, np.ndarray]]

    def scores(self) -> dict[str, float]:
        """Scores of all clips."""
        return {name: float(value) for name, value in self.finish(self.values.sum(0)).items()}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient; NaN for a denominator of 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / np.where(denominator == 0, 1, denominator))


def resample_counts(clips: int, resamples: int = RESAMPLES, seed: int = SEED) -> np.ndarray:
    """How often each clip is drawn in each bootstrap resample, [resamples, clips] as float64 for matrix products."""
    draws = np.random.default_rng(seed).integers(0, clips, (resamples, clips), dtype=np.int32)
    draws += np.arange(resamples, dtype=np.int32)[:, None] * clips
    return np.bincount(draws.ravel(), minlength=resamples * clips).reshape(resamples, clips).astype(np.float64)


def bootstrap(columns: Columns, counts: np.ndarray, level: float = 0.95) -> dict[str, tuple[float, float]]:
    """Percentile interval of every score (Efron, 1979).

    Args:
        counts: `resample_counts` of this number of clips; the same ones for systems that are to be compared.
    """
    tails = [50 * (1 - level), 50 * (1 + level)]
    scores = columns.finish(counts @ columns.values)
    return {name: _percentiles(values, tails) for name, values in scores.items()}


def _percentiles(values: np.ndarray, tails: list[float]) -> tuple[float, float]:
    finite = values[np.isfinite(values)]
    return tuple(float(x) for x in np.percentile(finite, tails)) if len(finite) else (math.nan, math.nan)


def compare(first: Columns, second: Columns, name: str, counts: np.ndarray, seed: int = SEED) -> dict:
    """Second system less first on one score: difference, bootstrap interval, two-sided p.

    Both are resampled on the same clips; p is by approximate randomisation (Noreen, 1989): for each clip the two
    systems' answers are swapped by a coin, and p is the share of such worlds, the real one included, that are at least
    as far apart.

    Raises:
        ValueError: the two are not on the same clips.
    """
    if first.values.shape != second.values.shape:
        raise ValueError(f"two systems on {len(first.values)} and {len(second.values)} clips cannot be paired: score "
                         "both on the same clips")
    differences = second.finish(counts @ second.values)[name] - first.finish(counts @ first.values)[name]
    gap = second.values - first.values
    swapped = (np.random.default_rng(seed).random((len(counts), len(gap))) < 0.5) @ gap
    worlds = (second.finish(second.values.sum(0) - swapped)[name] - first.finish(first.values.sum(0) + swapped)[name])
    observed = second.scores()[name] - first.scores()[name]
    farther = int(np.sum(np.abs(worlds) >= abs(observed) - 1e-12))
    return {"difference": observed, "interval": _percentiles(differences, [2.5, 97.5]),
            "p": (farther + 1) / (len(counts) + 1)}


def spread(scores: Sequence[float]) -> dict[str, float | int]:
    """Mean, sample standard deviation (0 for one score), least and greatest over checkpoints or seeds."""
    values = np.array([score for score in scores if not math.isnan(score)], dtype=np.float64)
    if not len(values):
        return {"runs": 0, "mean": math.nan, "std": math.nan, "min": math.nan, "max": math.nan}
    return {"runs": len(values), "mean": float(values.mean()),
            "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "min": float(values.min()), "max": float(values.max())}


def wilson_interval(hits: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson, 1927); z = 1.96 for 95 %. (0, 1) for no trials."""
    if total == 0:
        return 0.0, 1.0
    proportion, width = hits / total, z * z / total
    centre = (proportion + width / 2) / (1 + width)
    half = z * math.sqrt(proportion * (1 - proportion) / total + width / (4 * total)) / (1 + width)
    return max(0.0, centre - half), min(1.0, centre + half)


def fisher_greater(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """One-sided Fisher exact test: the chance of at least `hits` of `total` if both proportions were the same."""
    all_hits, everything = hits + other_hits, total + other_total
    combinations = math.comb(everything, all_hits)
    top = min(total, all_hits)
    return sum(math.comb(total, k) * math.comb(other_total, all_hits - k) for k in range(hits, top + 1)) / combinations
