"""Polarity and valence: weighted F1 and accuracy, and the error and correlation of a number.

Targets are valences (CMU-MOSI and MOSEI: -3 to 3, CH-SIMS: -1 to 1) or polarity words. Two ways of counting:

published: clips with a target of exactly 0 are left out, and the answer is read as "positive or not", so that
"neutral",
    and any word that is no polarity, counts as negative (AffectGPT, arXiv 2501.16566, section on MER-UniBench).
strict: three classes, nothing left out; an answer that is no polarity is wrong, and so is a missing one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from affectgpt.metrics.rows import number
from affectgpt.metrics.stats import Columns, ratio

CLASSES = ("negative", "neutral", "positive")
_SIGN = {"negative": -1, "neutral": 0, "positive": 1}


def target_value(target: object) -> float | None:
    """A valence from a number, its text, or a polarity word; None where it is none of these (infinite and huge numbers
    are none), NaN for NaN."""
    if isinstance(target, str) and target.strip().lower() in _SIGN:
        return float(_SIGN[target.strip().lower()])
    return number(target)


def polarity_word(raw: object) -> str | None:
    """"positive", "neutral" or "negative" as an answer says it, or None for anything else ("mixed")."""
    word = raw.strip().strip(".'\"[]*` ").lower() if isinstance(raw, str) else None
    return word if word in _SIGN else None


def _numbers(answers: list[str | None], number_of: Callable[[str], int]) -> np.ndarray:
    """Number of each answer [N], every distinct one looked at once; -1 for a missing one."""
    known: dict[str | None, int] = {None: -1, **{answer: int(number_of(answer)) for answer in set(answers) - {None}}}
    return np.array([known[answer] for answer in answers], dtype=np.int64)


def _cells(places: np.ndarray, size: int) -> np.ndarray:
    """[N, size] with 1 in the place of each clip, nowhere for -1."""
    return (places[:, None] == np.arange(size)).astype(np.float64)


def published_columns(targets: list[float], answers: list[str | None]) -> Columns:
    """Cells of the two-class table. A missing answer (None) is left out, as it never occurs in the official code."""
    goals = np.asarray(targets, dtype=np.float64)
    said = _numbers(answers, lambda answer: answer.strip().lower() == "positive")
    values = _cells(np.where((goals == 0) | (said < 0), -1, 2 * (goals > 0) + said), 4)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        table = sums.reshape(*sums.shape[:-1], 2, 2)
        return {"waf": weighted_f1_of(table), "accuracy": ratio(_trace(table), sums.sum(-1))}

    return Columns(values, finish)


def strict_columns(targets: list[float], answers: list[str | None]) -> Columns:
    """Cells of the table of three target classes against three answers and "none of them"."""
    said = _numbers(answers, lambda answer: CLASSES.index(word) if (word := polarity_word(answer)) else 3)
    goals = np.sign(np.asarray(targets, dtype=np.float64)).astype(np.int64)
    values = _cells(4 * (1 + goals) + np.where(said < 0, 3, said), 12)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        table = sums.reshape(*sums.shape[:-1], 3, 4)
        polar = table[..., [0, 2], :]  # the clips that the published score keeps; a neutral answer is wrong
        return {"waf": weighted_f1_of(table), "accuracy": ratio(_trace(table), sums.sum(-1)),
                "macro_f1": macro_f1_of(table),
                "polar_accuracy": ratio(polar[..., 0, 0] + polar[..., 1, 2], polar.sum((-1, -2)))}

    return Columns(values, finish)


def _trace(table: np.ndarray) -> np.ndarray:
    return np.trace(table, axis1=-2, axis2=-1)


def _f1(table: np.ndarray) -> np.ndarray:
    """F1 of each target class of tables [..., targets, answers]; 0 for a class that nobody has or says."""
    classes = table.shape[-2]
    hits = np.diagonal(table, axis1=-2, axis2=-1)
    said, had = table.sum(-2)[..., :classes], table.sum(-1)
    return np.where(said + had > 0, 2 * hits / np.maximum(said + had, 1e-12), 0.0)


def weighted_f1_of(table: np.ndarray) -> np.ndarray:
    """Mean F1 over classes, weighted by their targets, of tables [..., targets, answers]; NaN for empty tables."""
    support = table.sum(-1)
    return ratio((_f1(table) * support).sum(-1), support.sum(-1))


def macro_f1_of(table: np.ndarray) -> np.ndarray:
    """Plain mean F1 over the classes that have targets; NaN for empty tables."""
    there = table.sum(-1) > 0
    return ratio((_f1(table) * there).sum(-1), there.sum(-1))


def uar_of(table: np.ndarray) -> np.ndarray:
    """Mean recall over the classes that have targets, of tables [..., targets, answers]; NaN for empty tables."""
    had = table.sum(-1)
    recalls = np.nan_to_num(ratio(np.diagonal(table, axis1=-2, axis2=-1), had))
    return ratio(recalls.sum(-1), (had > 0).sum(-1).astype(float))


def valence_columns(targets: list[float], predictions: list[float | None]) -> Columns:
    """Mean absolute and root mean square error, Pearson correlation and concordance (Lin, 1989) of predicted valences.

    A missing or NaN prediction is not among them; `valence_n` is how many there are.
    """
    values = np.zeros((len(targets), 8))
    for index, (y, x) in enumerate(zip(targets, predictions, strict=True)):
        if x is not None and math.isfinite(x):
            values[index] = 1, abs(x - y), (x - y) ** 2, x, y, x * x, y * y, x * y

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        n, absolute, square, x, y, xx, yy, xy = (sums[..., column] for column in range(8))
        mean_x, mean_y = ratio(x, n), ratio(y, n)
        variance_x, variance_y = ratio(xx, n) - mean_x**2, ratio(yy, n) - mean_y**2
        covariance = ratio(xy, n) - mean_x * mean_y
        flat = (variance_x < 1e-12) | (variance_y < 1e-12)
        scale = np.sqrt(np.where(flat, 1, variance_x * variance_y))
        return {"valence_n": n, "mae": ratio(absolute, n), "rmse": np.sqrt(ratio(square, n)),
                "pearson": np.where(flat, np.nan, covariance / scale),
                "concordance": ratio(2 * covariance, variance_x + variance_y + (mean_x - mean_y) ** 2)}

    return Columns(values, finish, shares=False)
