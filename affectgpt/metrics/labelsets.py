"""Columns of per-clip numbers for label scores: hit rate and set-level scores, published and strict.

Answers are read and placed by `metrics.openset`, every distinct one once, and counted in the form that `metrics.stats`
resamples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from affectgpt.metrics import openset
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.stats import Columns, ratio
from affectgpt.metrics.wheels import WHEELS

Answer = str | list | None


class Placer:
    """Answers -> their roots on each of the five wheels; remembers every distinct answer.

    Args:
        strict: count as `metrics.openset` says for "strict".
    """

    def __init__(self, tables, strict: bool, level: str = "level1"):
        self.tables, self.level, self.strict = tables, level, strict
        self._place = openset.strict_roots if strict else openset.published_roots
        self._labels: dict[str, list[str]] = {}
        self._placed: dict[str | None, tuple[str | None, ...]] = {}
        self._numbers: dict[str | None, int] = {None: -1}
        self._of_roots: dict[tuple[frozenset[str], ...], int] = {}
        self._roots: list[tuple[frozenset[str], ...]] = []
        self._empty: set[str] = set()

    def labels(self, raw: str | list) -> list[str]:
        """The labels that this way of counting reads."""
        key = raw if isinstance(raw, str) else str(list(raw))
        if key not in self._labels:
            self._labels[key] = parse_labels(raw) if self.strict else openset.published_list(raw)
        return self._labels[key]

    def place(self, label: str | None) -> tuple[str | None, ...]:
        """Root of a label on wheel 1 to 5, None where it has none; of no label at all for None."""
        if label not in self._placed:
            labels = [] if label is None else [label]
            found = [self._place(labels, self.tables, wheel, self.level) for wheel in WHEELS]
            self._placed[label] = tuple(next(iter(roots), None) for roots in found)
        return self._placed[label]

    def roots(self, raw: str | list) -> tuple[frozenset[str], ...]:
        """Roots of all labels on wheel 1 to 5."""
        return self._roots[self.numbers([raw])[0]]

    def numbers(self, raws: Sequence[Answer]) -> np.ndarray:
        """Number of each answer's roots [N], the same for answers with the same ones; -1 for a missing answer."""
        known, found = self._numbers, []
        for raw in raws:
            key = _key(raw)
            number = known.get(key)
            found.append(self._add(key, raw) if number is None else number)
        return np.array(found, dtype=np.int64)

    def _add(self, key: str, raw: str | list) -> int:
        labels = self.labels(raw)
        if not labels:
            self._empty.add(key)
        columns = zip(*map(self.place, labels or [None]), strict=True)
        roots = tuple(frozenset(column) - {None} for column in columns)
        number = self._numbers[key] = self._of_roots.setdefault(roots, len(self._roots))
        if number == len(self._roots):
            self._roots.append(roots)
        return number

    def roots_of(self, number: int) -> tuple[frozenset[str], ...] | None:
        """What `numbers` numbered; None for a missing answer."""
        return None if number < 0 else self._roots[number]

    def empty(self, raws: Sequence[str | list]) -> list[int]:
        """Places of the answers that hold no label."""
        self.numbers(raws)
        return [place for place, raw in enumerate(raws)
                if _key(raw) in self._empty] if self._empty else []

    def first_roots(self, raw: str | list) -> tuple[str | None, ...]:
        """Root of the first label alone on wheel 1 to 5, None where it has none."""
        return self.place(next(iter(self.labels(raw)), None))


def _key(raw: Answer) -> str | None:
    """What an answer is remembered by."""
    return raw if raw is None or type(raw) is str else str(list(raw))


_PLACERS: dict[tuple[int, bool, str], Placer] = {}


def placer_of(tables, strict: bool, level: str = "level1") -> Placer:
    """The one placer of these tables, so that all sets share what it remembers."""
    return _PLACERS.setdefault((id(tables), strict, level), Placer(tables, strict, level))


def hit_columns(targets: Sequence[str | list], answers: Sequence[Answer], placer: Placer) -> Columns:
    """Published scores of a basic-emotion set: hit rate and mscore, means over the wheels.

    A hit is any predicted root that is the target's; mscore divides it by the predicted roots that are some clip's
    target. A missing answer is left out.
    """
    goals = placer.numbers(targets)
    distinct = [placer.roots_of(number) for number in set(goals.tolist())]
    candidates = [frozenset().union(*(goal[wheel] for goal in distinct)) for wheel in range(5)]

    def row(goal: tuple, said: tuple | None) -> list[float]:
        counts = [0.0] * 15
        for wheel in range(5 if said is not None else 0):
            if goal[wheel]:
                hits = len(said[wheel] & goal[wheel])
                counts[wheel::5] = 1, hits, hits and hits / len(said[wheel] & candidates[wheel])
        return counts

    values = _rows(goals, answers, placer, row)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        scored, hits, divided_hits = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, 5), -2, 0)
        return {"hit_rate": ratio(hits, scored).mean(-1), "mscore": ratio(divided_hits, scored).mean(-1),
                **_by_wheel(ratio(hits, scored))}

    return Columns(values, finish)


def set_columns(targets: Sequence[str | list], answers: Sequence[Answer], placer: Placer) -> Columns:
    """Set-level precision, recall, F and mean F of single clips, means over the wheels.

    F is made of the means of precision and recall over clips, wheel by wheel, and then averaged over the five wheels
    (OV-MER, arXiv 2410.01495); `sample_f` is the mean over clips of 2 |Y and Y'| / (|Y| + |Y'|).
    Published counting leaves missing answers out; strict counting scores them 0.
    """
    def row(goals: tuple, said: tuple | None) -> list[float]:
        counts = [0.0] * 20
        if said is None and not placer.strict:
            return counts
        for wheel, (goal, guess) in enumerate(zip(goals, said or (frozenset(),) * 5, strict=True)):
            if goal:
                shared = len(goal & guess)
                counts[wheel::5] = (1, shared and shared / len(guess), shared / len(goal),
                                    2 * shared / (len(goal) + len(guess)))
        return counts

    values = _rows(placer.numbers(targets), answers, placer, row)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        scored, precision, recall, sample = np.moveaxis(sums.reshape(*sums.shape[:-1], 4, 5), -2, 0)
        precision, recall = ratio(precision, scored), ratio(recall, scored)
        f = np.where(precision + recall == 0, 0.0, ratio(2 * precision * recall, precision + recall))
        f = np.where(np.isnan(precision), np.nan, f)
        wheels = ratio(sample, scored) if placer.strict else f
        return {"f": f.mean(-1), "precision": precision.mean(-1), "recall": recall.mean(-1),
                "sample_f": ratio(sample, scored).mean(-1), **_by_wheel(wheels)}

    return Columns(values, finish)


def _rows(goals: np.ndarray, answers: Sequence[Answer], placer: Placer, row) -> np.ndarray:
    """row(goal, said) for every clip, [N, C]; models repeat themselves, so each distinct pair is counted once."""
    said = placer.numbers(answers)
    pairs = list(zip(goals.tolist(), said.tolist(), strict=True))
    places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    table = [row(placer.roots_of(goal), placer.roots_of(answer)) for goal, answer in places]
    return np.array(table, dtype=np.float64)[[places[pair] for pair in pairs]]


def _by_wheel(values: np.ndarray) -> dict[str, np.ndarray]:
    return {wheel: values[..., index] for index, wheel in enumerate(WHEELS)}


def scored_clips(columns: Columns) -> dict[str, int]:
    """Wheel -> clips that count there; the first five columns of both kinds say so."""
    return {wheel: int(count) for wheel, count in zip(WHEELS, columns.values[:, :5].sum(0), strict=True)}


def first_label_scores(targets: Sequence[str | list], answers: Sequence[Answer], placer: Placer) -> dict[str, float]:
    """Accuracy, weighted and macro F1 of the first label as the one prediction, means over the wheels."""
    numbers: dict[str | None, int] = {None: -1}

    def places(raws: Sequence[Answer]) -> np.ndarray:
        """Number of each first label's root on each wheel [N, 5], -1 for none."""
        rows: dict[str | None, list[int]] = {None: [-1] * 5}
        for raw in raws:
            key = _key(raw)
            if key not in rows:
                rows[key] = [numbers.setdefault(root, len(numbers)) for root in placer.first_roots(raw)]
        return np.array([rows[_key(raw)] for raw in raws])

    wanted, given = places(targets), places(answers)
    scores = []
    for goal, said in zip(wanted.T, given.T, strict=True):
        goal, said = goal[goal >= 0], said[goal >= 0]
        size = len(numbers) + 1
        had, answered = np.bincount(goal, minlength=size), np.bincount(said[said >= 0], minlength=size)
        hits = np.bincount(goal[goal == said], minlength=size)
        there = had > 0
        f1 = 2 * hits[there] / (had + answered)[there]
        total = len(goal) or np.nan
        scores.append((hits.sum() / total, (f1 * had[there]).sum() / total, f1.mean() if there.any() else np.nan))
    accuracy, weighted, macro = np.mean(scores, axis=0).tolist()
    return {"accuracy": accuracy, "weighted_f1": weighted, "macro_f1": macro}
