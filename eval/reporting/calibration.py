"""Whether a model is as right as it is sure: calibration in bins of equal number, and what is won by asking only the
surest answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from affectgpt.eval.reporting import facts
from affectgpt.eval.reporting.rows import Judge, Row
from affectgpt.metrics import stats

BINS = 10
IN_A_BIN = 10
"""Answers that a bin has at least, where there are so many."""
DRAWS = 1000
POINTS = 50
"""Points of the risk curve."""


@dataclass(frozen=True)
class Calibration:
    """What confidence says; all from 0 to 1.

    Attributes:
        bins: (answers, mean confidence, share right, interval), by confidence, of equal number but for ties.
        error, interval: expected calibration error over these bins.
        by_chance: the error that a perfectly calibrated model would have on so many answers: mean and 95th percentile.
            The measured one is never 0, since shares of few answers differ from their truth.
        risks: (share of answers kept, the surest first; share of wrong ones among them).
        area: mean of the risk over all shares kept (AURC: Geifman & El-Yaniv, 2017); where confidence says nothing it
            is the share of wrong answers.
    """

    bins: list[tuple[int, float, float, tuple[float, float]]]
    error: float
    interval: tuple[float, float]
    by_chance: tuple[float, float]
    clips: int
    confidence: float
    accuracy: float
    risks: list[tuple[float, float]]
    area: float


def calibration(rows: Sequence[Row], judge: Judge) -> Calibration | None:
    """Confidence against being right, in bins of equal number (Nguyen & O'Connor, 2015). Whole groups of clips are
    resampled where rows name them.

    None where no row has a confidence, or the kind has no verdict.
    """
    rows = [row for row in rows if row.confidence is not None]
    if not rows or not judge.decides:
        return None
    sure = np.array([row.confidence for row in rows])
    right = np.array([bool(judge.right(row)) for row in rows], dtype=float)
    bins = equal_bins(sure)
    count = int(bins.max()) + 1
    inside = np.zeros((len(rows), count))
    inside[np.arange(len(rows)), bins] = 1
    columns = stats.Columns(np.column_stack([inside * (sure - right)[:, None], np.ones(len(rows))]),
                            lambda sums: {"error": np.abs(sums[..., :-1]).sum(-1) / sums[..., -1]}, shares=False)
    units = facts.units_of(rows, judge)
    interval = stats.bootstrap(columns, stats.resample_counts(len(rows), groups=units), units,
                               corrected=True)["error"]
    drawn = np.random.default_rng(stats.SEED).random((DRAWS, len(rows))) < sure
    chance = np.abs((sure - drawn) @ inside).sum(1) / len(rows)
    shown = []
    for place in range(count):
        here = bins == place
        shown.append((int(here.sum()), float(sure[here].mean()), float(right[here].mean()),
                      stats.wilson_interval(float(right[here].sum()), int(here.sum()))))
    kept, risk = risk_curve(sure, right)
    places = np.unique(np.linspace(0, len(kept) - 1, POINTS).round().astype(int))
    return Calibration(shown, columns.scores()["error"], interval,
                       (float(chance.mean()), float(np.percentile(chance, 95))), len(rows), float(sure.mean()),
                       float(right.mean()), [(float(kept[place]), float(risk[place])) for place in places],
                       float(risk.mean()))


def equal_bins(sure: np.ndarray) -> np.ndarray:
    """Number of each answer's bin, [N]: bins of equal number by confidence; equal confidences share a bin."""
    count = max(1, min(BINS, len(sure) // IN_A_BIN))
    order = np.argsort(sure, kind="stable")
    bins = np.empty(len(sure), dtype=np.int64)
    bins[order] = np.arange(len(sure)) * count // len(sure)
    _, same, sizes = np.unique(sure, return_inverse=True, return_counts=True)
    middle = np.zeros(len(sizes))
    np.add.at(middle, same, bins)
    return np.unique((middle / sizes).round()[same], return_inverse=True)[1]


def risk_curve(sure: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(share kept, share of wrong answers among the kept), [N] each, the surest first; among answers that are equally
    sure, as if they came in all orders."""
    order = np.argsort(-sure, kind="stable")
    _, same, sizes = np.unique(-sure[order], return_inverse=True, return_counts=True)
    hits = np.zeros(len(sizes))
    np.add.at(hits, same, right[order])
    number = np.arange(1, len(sure) + 1)
    return number / len(sure), 1 - np.cumsum((hits / sizes)[same]) / number
