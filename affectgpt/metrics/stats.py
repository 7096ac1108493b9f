"""Intervals and tests: bootstrap over clips or groups of them, paired comparison of two systems, spread over runs.

Every score here is a function of sums over clips (hits, cells of a confusion table, products for a correlation). So a
resample is a weighted sum, all of them together are one matrix product, and 1,000 resamples of a set of thousands of
clips take milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

RESAMPLES = 1000
DRAWS = 10_000
"""Worlds of a paired test, so that p can be told down to 0.0001."""
FEW = 30
"""Below so many units (clips, or groups of them) the percentile interval is too narrow and another one is used."""
SEED = 0


@dataclass(frozen=True)
class Columns:
    """Per-clip numbers and the scores that their sums give.

    Attributes:
        values: [N clips, C].
        finish: sums [..., C] -> name -> scores [...], NaN where a sum leaves nothing to divide by.
        shares: whether all scores are from 0 to 1, as shares and F scores are; errors and correlations are not.
    """

    values: np.ndarray
    finish: Callable[[np.ndarray], dict[str, np.ndarray]]
    shares: bool = True

    def scores(self) -> dict[str, float]:
        """Scores of all clips."""
        return {name: float(value) for name, value in self.finish(self.values.sum(0)).items()}


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Elementwise quotient; NaN for a denominator of 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(denominator == 0, np.nan, numerator / np.where(denominator == 0, 1, denominator))


def percent(value: float) -> float | None:
    """In percent with four decimals; None for NaN, which is not JSON."""
    return round(100 * value, 4) if math.isfinite(value) else None


def units_of(groups: Sequence[Hashable]) -> np.ndarray:
    """Clip -> number of its unit, [N], counted in order of appearance; a clip whose group is None is its own unit.

    An array is taken for such numbers, as this function gave them before.
    """
    if isinstance(groups, np.ndarray):
        return groups
    numbers: dict = {}
    return np.array([numbers.setdefault(("clip", place) if group is None else ("group", group), len(numbers))
                     for place, group in enumerate(groups)], dtype=np.int64)


def resample_counts(clips: int, resamples: int = RESAMPLES, groups: Sequence[Hashable] | None = None,
                    seed: int = SEED) -> np.ndarray:
    """How often each clip is drawn in each bootstrap resample, [resamples, clips] as float64 for matrix products.

    Args:
        groups: one a clip (its video, dialogue or speaker; None for a clip of its own). Clips of a group are alike, so
            whole groups are drawn, as many as there are (cluster bootstrap: Davison & Hinkley, 1997, section 3.8).
    Raises:
        ValueError: not one group a clip.
    """
    if groups is not None:
        if len(groups) != clips:
            raise ValueError(f"{len(groups)} groups for {clips} clips: give one a clip, None where it has none")
        units = units_of(groups)
        return resample_counts(int(units.max()) + 1 if clips else 0, resamples, None, seed)[:, units]
    draws = np.random.default_rng(seed).integers(0, clips, (resamples, clips), dtype=np.int32)
    draws += np.arange(resamples, dtype=np.int32)[:, None] * clips
    return np.bincount(draws.ravel(), minlength=resamples * clips).reshape(resamples, clips).astype(np.float64)


def _by_unit(values: np.ndarray, counts: np.ndarray, groups: Sequence[Hashable] | None) -> tuple[np.ndarray, ...]:
    """Sums of each unit [U, C] and how often it is drawn [R, U]; units that add nothing to any score are left out."""
    if groups is not None:
        units = units_of(groups)
        sums = np.zeros((int(units.max()) + 1, values.shape[1]))
        np.add.at(sums, units, values)
        values, counts = sums, counts[:, np.unique(units, return_index=True)[1]]
    there = values.any(1)
    return (values, counts) if there.all() else (values[there], counts[:, there])


def bootstrap(columns: Columns, counts: np.ndarray, groups: Sequence[Hashable] | None = None,
              level: float = 0.95, corrected: bool = False, samples: dict[str, np.ndarray] | None = None,
              sums: np.ndarray | None = None) -> dict[str, tuple[float, float]]:
    """Interval of every score: percentiles of the resamples (Efron, 1979); of few units as `_small_intervals` says.

    Args:
        counts: `resample_counts` of this number of clips; the same ones for systems that are to be compared.
        groups: those that the counts were drawn with.
        corrected: BCa of any number of units, for scores that chance moves to one side, such as sums of absolute
            errors.
        samples: is filled with name -> score in each resample.
        sums: `resampled_sums` of these columns, where they were made together with others'.
    """
    scores = columns.finish(counts @ columns.values if sums is None else sums)
    if samples is not None:
        samples.update(scores)
    there = columns.values.any(1)
    units = np.count_nonzero(there if groups is None else np.bincount(units_of(groups)[there]))
    if units < FEW or corrected:
        values, counts = _by_unit(columns.values, counts, groups)
        return _small_intervals(Columns(values, columns.finish, columns.shares and not corrected), counts, level)
    return {name: percentiles(found, level) for name, found in scores.items()}


def by_unit(columns: Columns, units: np.ndarray | None) -> Columns:
    """Columns with one row a unit, the sum of its clips' (`units_of`); themselves for None."""
    if units is None:
        return columns
    order = np.argsort(units, kind="stable")
    starts = np.searchsorted(units[order], np.arange(int(units.max()) + 1))
    return Columns(np.add.reduceat(columns.values[order], starts), columns.finish, columns.shares)


def resampled_sums(many: Sequence[Columns], counts: np.ndarray) -> list[np.ndarray]:
    """Sums of each resample [R, C], of the columns of several systems on the same clips, in one matrix product."""
    ends = np.cumsum([columns.values.shape[1] for columns in many])
    return np.split(counts @ np.hstack([columns.values for columns in many]), ends[:-1], axis=1)


def percentiles(values: np.ndarray, level: float = 0.95) -> tuple[float, float]:
    """Ends that hold this share of the values, NaN left out."""
    finite = values[np.isfinite(values)]
    ends = [50 * (1 - level), 50 * (1 + level)]
    return tuple(float(x) for x in np.percentile(finite, ends)) if len(finite) else (math.nan, math.nan)


def _small_intervals(columns: Columns, counts: np.ndarray, level: float) -> dict[str, tuple[float, float]]:
    """Intervals from fewer than `FEW` units, where percentiles are too narrow.

    Shares of 0 to 1: Wilson's interval for the number of trials that would have the jackknife's variance (the effective
    size of Korn & Graubard, Survey Methodology 1998), with Student's t where that is another than the number of units;
    for a plain proportion this is Wilson's interval itself. Other scores: BCa (Efron, 1987).
    """
    from scipy.special import stdtrit

    values, observed = columns.values, columns.scores()
    left_out = columns.finish(values.sum(0) - values)
    resampled, intervals = columns.finish(counts @ values), {}
    for name, score in observed.items():
        if not math.isfinite(score):
            intervals[name] = (math.nan, math.nan)
            continue
        without = left_out[name][np.isfinite(left_out[name])]
        if not columns.shares or not 0 <= score <= 1:
            intervals[name] = _bca(score, resampled[name], without, level)
            continue
        units = len(values)
        variance = float(np.sum((without - without.mean()) ** 2)) * ((units - 1) / units) ** 2 if len(without) else 0
        size = score * (1 - score) / variance if variance > 1e-12 and 0 < score < 1 else units
        z = NormalDist().inv_cdf((1 + level) / 2) if abs(size - units) < 1e-6 * units or units < 2 else \
            float(stdtrit(units - 1, (1 + level) / 2))
        intervals[name] = wilson_interval(score * size, size, z)
    return intervals


def _bca(observed: float, resampled: np.ndarray, left_out: np.ndarray, level: float,
         widened: bool = False) -> tuple[float, float]:
    """Bias-corrected and accelerated interval; percentiles where all resamples lie on one side of the score.

    widened: with Student's t for the number of units, as resamples of n vary less than n units do (Hesterberg, The
    American Statistician 2015, section 4.1).
    """
    from scipy.special import stdtrit

    resampled = resampled[np.isfinite(resampled)]
    if len(left_out) < 2 or not len(resampled):
        return math.nan, math.nan
    normal = NormalDist()
    below = (np.sum(resampled < observed) + np.sum(resampled <= observed)) / (2 * len(resampled))
    if not 0 < below < 1:
        return percentiles(resampled, level)
    bias, apart = normal.inv_cdf(below), left_out.mean() - left_out
    scale = 6 * np.sum(apart**2) ** 1.5
    acceleration = np.sum(apart**3) / scale if scale > 0 else 0.0
    units, ends = len(left_out), []
    far = math.sqrt(units / (units - 1)) * stdtrit(units - 1, (1 + level) / 2) if widened else \
        normal.inv_cdf((1 + level) / 2)
    for side in (-far, far):
        moved = bias + side
        ends.append(100 * normal.cdf(bias + moved / (1 - acceleration * moved)))
    return tuple(float(end) for end in np.percentile(resampled, ends))


def compare(first: Columns, second: Columns, name: str, counts: np.ndarray, groups: Sequence[Hashable] | None = None,
            seed: int = SEED, draws: int = DRAWS) -> dict:
    """Second system less first on one score: difference, bootstrap interval, two-sided p and the floor of p.

    Both are resampled on the same clips; p is by approximate randomisation (Noreen, 1989): for each clip, or for all
    clips of a group together, the two systems' answers are swapped by a coin, and p is the share of such worlds, the
    real one included, that are at least as far apart. Where all worlds are fewer than `draws`, each is looked at once.

    Args:
        groups: those that the counts were drawn with.
    Returns:
        {"difference", "interval", "p", "floor"}: no p below the floor can be told by this many draws; 0 for an exact p.
    Raises:
        ValueError: the two are not on the same clips.
    """
    if first.values.shape != second.values.shape:
        raise ValueError(f"two systems on {len(first.values)} and {len(second.values)} clips cannot be paired: score "
                         "both on the same clips")
    width = first.values.shape[1]
    both, counts = _by_unit(np.hstack([first.values, second.values]), counts, groups)

    def difference(sums: np.ndarray) -> np.ndarray:
        return second.finish(sums[..., width:])[name] - first.finish(sums[..., :width])[name]

    total = both.sum(0)
    observed, resampled = float(difference(total)), difference(counts @ both)
    interval = _bca(observed, resampled, _finite(difference(total - both)), 0.95, True) if len(both) < FEW else \
        percentiles(resampled)
    gap = both[:, width:] - both[:, :width]
    gap = gap[gap.any(1)]
    exact = 2 ** len(gap) <= draws
    farther = 0
    for swapped in _swaps(len(gap), draws, exact, seed):
        moved = swapped @ gap
        worlds = difference(np.hstack([total[:width] + moved, total[width:] - moved]))
        farther += int(np.sum(~(np.abs(worlds) < abs(observed) - 1e-12)))
    p = farther / 2 ** len(gap) if exact else (farther + 1) / (draws + 1)
    return {"difference": observed, "interval": interval, "p": p, "floor": 0.0 if exact else 1 / (draws + 1)}


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]


def _swaps(units: int, draws: int, exact: bool, seed: int) -> Iterator[np.ndarray]:
    """Coins of units in worlds, in parts [worlds, units] of 0 and 1: every world once, or `draws` of them."""
    if exact:
        yield (np.arange(2**units)[:, None] >> np.arange(units) & 1).astype(np.float64)
        return
    random = np.random.default_rng(seed)
    for start in range(0, draws, 1000):
        worlds = min(1000, draws - start)
        bits = np.frombuffer(random.bytes(worlds * units // 8 + 1), dtype=np.uint8)
        yield np.unpackbits(bits)[: worlds * units].reshape(worlds, units).astype(np.float64)


def holm(p_values: Sequence[float]) -> list[float]:
    """p values adjusted for their number (Holm, 1979), in the order given; NaN stays NaN and counts for nothing."""
    order = sorted((place for place, p in enumerate(p_values) if not math.isnan(p)), key=lambda place: p_values[place])
    adjusted, highest = [math.nan] * len(p_values), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p_values[place]))
        adjusted[place] = highest
    return adjusted


def p_text(p: float | None, floor: float = 0.0) -> str:
    """A p value for people: "0.041", and "< 0.001" (or "< 0.005") for what is less or cannot be told from less."""
    if p is None or math.isnan(p):
        return "none"
    least = max(0.001, math.ceil(floor * 1000 - 1e-9) / 1000)
    return f"< {least:g}" if p < 0.001 or p <= floor * (1 + 1e-9) else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def spread(scores: Sequence[float]) -> dict[str, float | int]:
    """Mean, sample standard deviation (0 for one score), least and greatest over checkpoints or seeds."""
    values = np.array([score for score in scores if not math.isnan(score)], dtype=np.float64)
    if not len(values):
        return {"runs": 0, "mean": math.nan, "std": math.nan, "min": math.nan, "max": math.nan}
    return {"runs": len(values), "mean": float(values.mean()),
            "std": float(values.std(ddof=1)) if len(values) > 1 else 0.0,
            "min": float(values.min()), "max": float(values.max())}


def wilson_interval(hits: float, total: float, z: float = 1.959964) -> tuple[float, float]:
    """Confidence interval of a proportion (Wilson, 1927); z = 1.96 for 95 %. (0, 1) for no trials.

    Counts may be broken numbers, which `scipy.stats.binomtest` refuses: `_small_intervals` has effective ones.
    """
    if total == 0:
        return 0.0, 1.0
    proportion, width = hits / total, z * z / total
    centre = (proportion + width / 2) / (1 + width)
    half = z * math.sqrt(max(0.0, proportion * (1 - proportion)) / total + width / (4 * total)) / (1 + width)
    return max(0.0, centre - half), min(1.0, centre + half)


def fisher_greater(hits: int, total: int, other_hits: int, other_total: int) -> float:
    """One-sided Fisher exact test: the chance of at least `hits` of `total` if both proportions were the same."""
    from scipy.stats import fisher_exact

    table = [[hits, total - hits], [other_hits, other_total - other_hits]]
    return float(fisher_exact(table, alternative="greater").pvalue)
