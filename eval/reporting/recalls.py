"""Classes of a set: how many clips of each are recognised, and what they are taken for. Strict counting."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectgpt.eval.reporting.facts import units_of
from affectgpt.eval.reporting.rows import Judge, Row, polarity_class
from affectgpt.metrics import sentiment, stats
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.wheels import WHEELS
from affectgpt.words.lexicon import NEUTRAL

OTHER, NO_ANSWER, NONE_OF_THEM = "other words", "no answer", "none of them"
MOST = 12
"""Classes that are shown; the most frequent ones."""


@dataclass(frozen=True)
class Recalls:
    """Share of right answers of each class, from 0 to 1.

    classes: (name, clips, recall, interval), the most frequent first. war: of all clips, which is the recall weighted
    by class; uar: plain mean over all classes, of which `left_out` are not shown.
    """

    classes: list[tuple[str, int, float, tuple[float, float]]]
    war: tuple[float, tuple[float, float]]
    uar: tuple[float, tuple[float, float]]
    left_out: int


def recalls(rows: Sequence[Row], judge: Judge) -> Recalls | None:
    """None for sets whose clips have no single target. Whole groups of clips are resampled where rows name them."""
    if judge.kind not in ("basic", "sentiment", "class"):
        return None
    classes = [class_of(row.target, judge) for row in rows]
    kept = [(row, name) for row, name in zip(rows, classes, strict=True) if name]
    sizes = Counter(name for _, name in kept).most_common()
    if not sizes:
        return None
    places = {name: place for place, (name, _) in enumerate(sizes)}
    values = np.zeros((len(kept), 2 * len(sizes)))
    for clip, (row, name) in enumerate(kept):
        values[clip, [places[name], len(sizes) + places[name]]] = 1, bool(judge.right(row))

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        clips, hits = sums[..., : len(sizes)], sums[..., len(sizes) :]
        recall = stats.ratio(hits, clips)
        here = clips > 0
        return {"war": stats.ratio(hits.sum(-1), clips.sum(-1)),
                "uar": stats.ratio(np.where(here, recall, 0).sum(-1), here.sum(-1)),
                **{f"class {place}": recall[..., place] for place in range(len(sizes))}}

    columns = stats.Columns(values, finish)
    units = units_of([row for row, _ in kept], judge)
    scores = columns.scores()
    ends = stats.bootstrap(columns, stats.resample_counts(len(kept), groups=units), units)
    found = []
    for place, (name, size) in enumerate(sizes[:MOST]):
        # Of few clips of a class a resample may have none: then its own interval.
        inside = values[:, place] > 0
        own = ends[f"class {place}"] if size >= stats.FEW and units is not None else \
            stats.wilson_interval(float(values[inside, len(sizes) + place].sum()), size)
        found.append((name, size, scores[f"class {place}"], own))
    return Recalls(found, (scores["war"], ends["war"]), (scores["uar"], ends["uar"]), len(sizes) - len(found))


def class_of(target: Any, judge: Judge) -> str | None:
    """The class of a target; None where it has none."""
    if judge.kind == "sentiment":
        return polarity_class(target)
    if judge.kind == "class":
        from affectgpt.metrics import questions

        return questions.space_of(judge.set).target(target)
    return target_word(target)


@dataclass(frozen=True)
class Confusion:
    """Counts [targets][answers]. `hits` has the column of each row's right answer, None where there is none."""

    rows: list[str]
    columns: list[str]
    counts: list[list[int]]
    hits: list[int | None]
    wheel: str | None
    left_out: int


def confusion(rows: Sequence[Row], judge: Judge, most: int = 12) -> Confusion | None:
    """Target against answer: classes of a sentiment set, or targets and places of first labels on one wheel.

    The wheel is the one that keeps the most targets apart, by the strict table. None for sets of label lists and
    descriptions, whose clips have no single target.
    """
    if judge.kind == "sentiment":
        classes = ["positive", "neutral", "negative"]
        counts = [[0] * 4 for _ in classes]
        for row in rows:
            word = sentiment.polarity_word(row.sentiment)
            counts[classes.index(polarity_class(row.target))][3 if word is None else classes.index(word)] += 1
        return Confusion(classes, [*classes, NONE_OF_THEM], counts, [0, 1, 2], None, 0)
    if judge.kind != "basic":
        return None
    targets = [target_word(row.target) for row in rows]
    common = [word for word, _ in Counter(word for word in targets if word).most_common()]
    if not common:
        return None
    wheel = max(WHEELS, key=lambda name: len({judge.lexicon.root(word, name) for word in common} - {None}))
    at = WHEELS.index(wheel)
    roots = [root for root in judge.lexicon.wheel_roots(wheel) if root != NEUTRAL]
    columns = [*roots, NEUTRAL, OTHER, NO_ANSWER]
    shown = common[:most]
    counts = [[0] * len(columns) for _ in shown]
    left_out = 0
    for row, word in zip(rows, targets, strict=True):
        if word not in shown:
            left_out += 1
            continue
        said = NO_ANSWER if row.labels is None else judge.placer.first_roots(row.labels)[at]
        counts[shown.index(word)][columns.index(said) if said in columns else columns.index(OTHER)] += 1
    places = [judge.lexicon.root(word, wheel) for word in shown]
    hits = [columns.index(place) if place in columns else None for place in places]
    order = sorted(range(len(shown)),
                   key=lambda i: (len(columns) if hits[i] is None else hits[i], common.index(shown[i])))
    return Confusion([shown[i] for i in order], columns, [counts[i] for i in order], [hits[i] for i in order], wheel,
                     left_out)


def closed_confusion(table: Mapping[str, Mapping[str, int]]) -> Confusion:
    """The table of a set of classes, as its results have it: target -> answered class -> clips."""
    rows, columns = list(table), list(next(iter(table.values()), {}))
    return Confusion(rows, columns, [[table[row].get(column, 0) for column in columns] for row in rows],
                     [columns.index(row) if row in columns else None for row in rows], None, 0)


def target_word(target: Any) -> str | None:
    labels = parse_labels(target)
    return labels[0] if labels else None
