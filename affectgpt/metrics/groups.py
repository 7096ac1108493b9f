"""Scores of groups of clips (who speaks, their sex, the language, the corpus, the length, whether a face was found)
and how far the best and the worst group are apart, with intervals.

A gap between the best and the worst of several groups is never 0, even where the groups mean nothing. So each gap has
p: how often groups made at random, of the same units, are at least as far apart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from affectgpt.metrics import stats
from affectgpt.metrics.stats import Columns, percent

LEAST = 20
"""Clips that a group needs to be scored."""
DRAWS = 1000
LENGTHS = ((2.0, "under 2 s"), (5.0, "2 to 5 s"), (15.0, "5 to 15 s"), (math.inf, "15 s and more"))
"""Bands of `seconds`: (below this, name)."""
A_DAY = 86400
TRAITS = {"speaker": "speaker", "sex": "sex", "language_of_clip": "language of the clip",
          "language": "language of the answer", "corpus": "corpus", "seconds": "length", "face_found": "face found"}
"""Key of a row -> what its groups are groups of."""

Members = dict[str, list[str | None]]


def members_of(rows: Sequence[Mapping[str, Any] | None]) -> Members:
    """Title of a trait -> the group of each clip, None where its row does not say; traits that no row has are left out.

    Args:
        rows: one a clip; None where it has none. What is of no use (an empty name, a length that is no number) is None.
    """
    found = {title: [None if row is None else _group(key, row.get(key)) for row in rows]
             for key, title in TRAITS.items()}
    return {title: groups for title, groups in found.items() if any(group is not None for group in groups)}


def _group(key: str, value: Any) -> str | None:
    if key == "seconds":
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return next(name for end, name in LENGTHS if value < end) if number and 0 <= value < A_DAY else None
    if key == "face_found":
        return {True: "yes", False: "no"}[value] if isinstance(value, bool) else None
    return value.strip() or None if isinstance(value, str) else None


def clusters_of(rows: Sequence[Mapping[str, Any] | None]) -> list[Hashable] | None:
    """What each clip hangs together with others by: its `group` (a video, a dialogue), else its speaker; None for a
    clip that has neither, and None where no clip has any, for `stats.resample_counts`."""
    found: list[Hashable] = []
    for row in rows:
        named = [(key, value) for key in ("group", "speaker")
                 if row is not None and isinstance(value := row.get(key), str) and value.strip()]
        found.append(next(iter(named), None))
    return found if len({value for value in found if value}) not in (0, len(found)) else None


def group_scores(columns: Columns, name: str, members: Members, counts: np.ndarray,
                 clusters: Sequence[Hashable] | None = None, least: int = LEAST, draws: int = DRAWS,
                 seed: int = stats.SEED) -> dict[str, dict]:
    """One score of every group of every trait, and the gap between the best and the worst of them.

    Args:
        columns: of all clips; `name` is the score.
        counts: `stats.resample_counts` of these clips, drawn with `clusters`: all groups are resampled together.
        least: clips that a group needs to be scored; smaller ones are named with their number of clips.
    Returns:
        trait -> {"groups": {group: {"clips", "clusters", "score", "interval"}}, "too_few": {group: clips}, "unknown":
        clips of no group, "gap": {"best", "worst", "difference", "interval", "p", "p_adjusted", "floor"}}, in percent.
        "clusters" is None where clips are taken one by one. "p_adjusted" is Holm's for the number of traits. "gap" is
        None for fewer than two scored groups.
    """
    found = {title: _trait(columns, name, groups, counts, clusters, least, draws, seed)
             for title, groups in members.items()}
    gaps = [trait["gap"] for trait in found.values() if trait["gap"]]
    for gap, adjusted in zip(gaps, stats.holm([gap["p"] for gap in gaps]), strict=True):
        gap["p_adjusted"] = round(adjusted, 6)
    return found


def _trait(columns: Columns, name: str, groups: Sequence[str | None], counts: np.ndarray,
           clusters: Sequence[Hashable] | None, least: int, draws: int, seed: int) -> dict:
    used = columns.values.any(1)  # a clip that adds to no score is not judged
    sizes = Counter(group for group, judged in zip(groups, used, strict=True) if group is not None and judged)
    parts, samples = {}, {}
    for group in sorted((group for group in sizes if sizes[group] >= least), key=lambda group: (-sizes[group], group)):
        inside = np.array([one == group for one in groups]) & used
        part = Columns(columns.values[inside], columns.finish, columns.shares)
        score = part.scores()[name]
        if math.isfinite(score):
            parts[group], samples[group] = _part(part, name, score, counts[:, inside], clusters, inside)
    gap = None
    if len(parts) > 1:
        best, worst = (pick(parts, key=lambda group: parts[group]["score"]) for pick in (max, min))
        difference = parts[best]["score"] - parts[worst]["score"]
        p, floor = _p_of_gap(columns, name, groups, clusters, list(parts), difference, draws, seed)
        gap = {"best": best, "worst": worst, "difference": percent(difference),
               "interval": _gap_interval(parts[best], parts[worst], samples[best] - samples[worst]), "p": round(p, 6),
               "floor": round(floor, 6)}
    for part in parts.values():
        part["score"], part["interval"] = percent(part["score"]), [percent(end) for end in part["interval"]]
    return {"groups": parts, "too_few": {group: size for group, size in sorted(sizes.items()) if group not in parts},
            "unknown": sum(group is None for group in groups), "gap": gap}


def _part(part: Columns, name: str, score: float, counts: np.ndarray, clusters: Sequence[Hashable] | None,
          inside: np.ndarray) -> tuple[dict, np.ndarray]:
    """(a group with its score and interval, the score in each resample). Of a group that is one cluster, such as a
    speaker among speakers, only its clips can be drawn."""
    own = None if clusters is None else [one for one, here in zip(clusters, inside, strict=True) if here]
    count = None if own is None else int(stats.units_of(own).max()) + 1
    samples = part.finish(counts @ part.values)[name]
    if count == 1:
        own, counts = None, stats.resample_counts(len(part.values), len(counts))
    return {"clips": len(part.values), "clusters": count, "score": score,
            "interval": stats.bootstrap(part, counts, own)[name]}, samples


def _gap_interval(best: dict, worst: dict, samples: np.ndarray) -> list[float | None]:
    """Percentiles of the difference in the same resamples; where a group has few units, which percentiles are too
    narrow for, the two groups' own intervals put together instead, if that is wider (Newcombe, 1998)."""
    low, high = stats.percentiles(samples)
    if min(part["clusters"] or part["clips"] for part in (best, worst)) < stats.FEW:
        difference, ends = best["score"] - worst["score"], (best["interval"], worst["interval"])
        down = math.hypot(best["score"] - ends[0][0], ends[1][1] - worst["score"])
        up = math.hypot(ends[0][1] - best["score"], worst["score"] - ends[1][0])
        low, high = min(low, difference - down), max(high, difference + up)
    return [percent(low), percent(high)]


def _p_of_gap(columns: Columns, name: str, groups: Sequence[str | None], clusters: Sequence[Hashable] | None,
              scored: list[str], observed: float, draws: int, seed: int) -> tuple[float, float]:
    """(share of random assignments of units to groups whose gap is at least the observed one, its floor).

    A unit is what a cluster has in one group: a speaker's clips stay together, and so do a dialogue's of each sex.
    """
    places = {group: place for place, group in enumerate(scored)}
    inside = np.array([group in places for group in groups]) & columns.values.any(1)
    own = range(len(groups)) if clusters is None else \
        [("clip", place) if one is None else ("cluster", one) for place, one in enumerate(clusters)]
    cells = [(one, places[group]) for one, group, here in zip(own, groups, inside, strict=True) if here]
    if len(set(cells)) == len(scored):  # each group is one cluster
        cells = [(place, cell[1]) for place, cell in enumerate(cells)]
    units = stats.units_of(cells)
    values = np.zeros((int(units.max()) + 1, columns.values.shape[1]))
    np.add.at(values, units, columns.values[inside])
    of_group = np.zeros(len(values), dtype=np.int64)
    of_group[units] = [place for _, place in cells]
    order = np.argsort(of_group, kind="stable")
    values, starts = values[order], np.searchsorted(of_group[order], np.arange(len(scored)))
    random, farther, rows = np.random.default_rng(seed), 0, max(1, 2_000_000 // values.size)
    for start in range(0, draws, rows):
        drawn = random.permuted(np.tile(np.arange(len(values)), (min(rows, draws - start), 1)), axis=1)
        scores = columns.finish(np.add.reduceat(values[drawn], starts, axis=1))[name]
        gaps = np.fmax.reduce(scores, 1) - np.fmin.reduce(scores, 1)  # of those groups that have a score
        farther += int(np.sum(~(gaps < observed - 1e-12)))
    return (farther + 1) / (draws + 1), 1 / (draws + 1)
