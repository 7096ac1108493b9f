"""What rows of predictions show: confusion, labels said, calibration, and which inputs matter.

Strict counting throughout.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from affectgpt.eval.reporting.rows import Judge, Row, Streams, main_streams, polarity_class
from affectgpt.metrics import sentiment, stats
from affectgpt.metrics.benchmark import PRIMARY, Scorer, percent
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.rows import Predictions, Problems
from affectgpt.metrics.wheels import WHEELS
from affectgpt.words.lexicon import NEUTRAL

OTHER, NO_ANSWER = "other words", "no answer"
NONE_OF_THEM = "none of them"
SURE_BINS = 10


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
    targets = [_target_word(row.target) for row in rows]
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


def _target_word(target: Any) -> str | None:
    labels = parse_labels(target)
    return labels[0] if labels else None


@dataclass(frozen=True)
class SaidLabel:
    """A label: clips it was said of, precision (None where its polarity is unknown) and its interval, and whether the
    table of emotion words knows it."""

    label: str
    clips: int
    precision: float | None
    interval: tuple[float, float]
    known: bool


def said_labels(rows: Sequence[Row], judge: Judge, most: int = 20) -> tuple[list[SaidLabel], dict[str, int]]:
    """The labels said of most clips, and counts {"labels", "distinct", "unknown"} of all that was said.

    Precision: of the clips that a label was said of, the share whose target has the same place (mean over the wheels),
    or in a sentiment set the same polarity.
    """
    said: dict[str, list[Row]] = {}
    for row in rows:
        for label in parse_labels(row.labels) if row.labels is not None else ():
            said.setdefault(label, []).append(row)
    unknown = {label for label in said if label != NEUTRAL and judge.lexicon.family(label) is None
               and all(judge.lexicon.root(label, wheel) is None for wheel in WHEELS)}
    totals = {"labels": sum(map(len, said.values())), "distinct": len(said),
              "unknown": sum(len(said[label]) for label in unknown)}
    made = []
    for label in sorted(said, key=lambda label: (-len(said[label]), label))[:most]:
        agreements = [_agreement(label, row, judge) for row in said[label]]
        known = None not in agreements
        hits = sum(agreement or 0.0 for agreement in agreements)
        made.append(SaidLabel(label, len(agreements), hits / len(agreements) if known else None,
                              stats.wilson_interval(hits, len(agreements)), label not in unknown))
    return made, totals


def _agreement(label: str, row: Row, judge: Judge) -> float | None:
    if judge.kind == "sentiment":
        polarity = NEUTRAL if label == NEUTRAL else judge.lexicon.polarity(label)
        return None if polarity is None else float(polarity == polarity_class(row.target))
    if judge.kind == "description":
        return None
    places = judge.placer.roots([label])
    targets = judge.placer.roots(row.target)
    return sum(bool(place & goal) for place, goal in zip(places, targets, strict=True)) / len(WHEELS)


@dataclass(frozen=True)
class Calibration:
    """Bins of confidence: (clips, mean confidence, ratio of right answers, interval).

    `error` is the expected calibration error.
    """

    bins: list[tuple[int, float, float, tuple[float, float]]]
    error: float
    clips: int
    confidence: float
    accuracy: float


def calibration(rows: Sequence[Row], judge: Judge) -> Calibration | None:
    """Reliability of `confidence` against being right, in ten bins of equal width (Guo et al., 2017, arXiv 1706.04599).

    None where no row has a confidence, or the kind has no verdict.
    """
    pairs = [(row.confidence, bool(judge.right(row))) for row in rows if row.confidence is not None]
    if not pairs or judge.kind == "description":
        return None
    groups: dict[int, list[tuple[float, bool]]] = {}
    for sure, right in pairs:
        groups.setdefault(min(int(sure * SURE_BINS), SURE_BINS - 1), []).append((sure, right))
    bins = []
    for _, group in sorted(groups.items()):
        hits = sum(right for _, right in group)
        bins.append((len(group), sum(sure for sure, _ in group) / len(group), hits / len(group),
                     stats.wilson_interval(hits, len(group))))
    error = sum(count * abs(sure - share) for count, sure, share, _ in bins) / len(pairs)
    return Calibration(bins, error, len(pairs), sum(sure for sure, _ in pairs) / len(pairs),
                       sum(right for _, right in pairs) / len(pairs))


def strict_score(rows: dict[str, Row], targets: dict[str, Any], judge: Judge) -> float | None:
    """Strict primary score in percent of one system over all clips with a target, as `affectgpt score` counts."""
    found = Predictions(targets, {"": {name: row.prediction for name, row in rows.items()}}, Problems())
    scorer = Scorer(judge.kind, {"strict": judge.lexicon})
    columns = scorer.columns(found, "", list(targets), "strict")[""]
    return percent(columns.scores()[PRIMARY[judge.kind, "strict"]])


def subsets(groups: dict[Streams, dict[str, Row]], judge: Judge) -> dict | None:
    """Strict score of every input subset, on the clips that all of them answer, and what each stream adds to all
    others.

    Returns:
        {"clips", "full": streams, "scores": {streams: {"score", "interval"}}, "drops": {stream: {"difference",
        "interval", "p"}}} in percent, a drop being that from all streams to all but one; None for fewer than two
        subsets.
    """
    groups = {streams: rows for streams, rows in groups.items() if streams is not None}
    if len(groups) < 2:
        return None
    shared = set.intersection(*(set(rows) for rows in groups.values()))
    full = main_streams(groups)
    names = [name for name, row in groups[full].items() if name in shared and judge.usable(row.target)]
    if not names:
        return None
    found = Predictions({name: groups[full][name].target for name in names},
                        {"+".join(streams): {name: rows[name].prediction for name in names}
                         for streams, rows in groups.items()}, Problems())
    scorer = Scorer(judge.kind, {"strict": judge.lexicon})
    counts = stats.resample_counts(len(names))
    primary = PRIMARY[judge.kind, "strict"]
    columns = {streams: scorer.columns(found, "+".join(streams), names, "strict")[""] for streams in groups}
    scores = {}
    for streams in sorted(groups, key=lambda streams: (len(streams), streams)):
        ends = stats.bootstrap(columns[streams], counts)[primary]
        scores[streams] = {"score": 100 * columns[streams].scores()[primary], "interval": [100 * end for end in ends]}
    drops = {}
    for stream in full:
        # Pre-fusion is made of sound and a picture, so it goes where one of them does.
        others = set(full) - {stream, "fusion"} if stream != "fusion" else set(full) - {stream}
        rest = next((streams for streams in groups
                     if set(streams) in (others, others | {"fusion"}) and stream not in streams), None)
        if rest:
            tested = stats.compare(columns[rest], columns[full], primary, counts)
            drops[stream] = {"difference": 100 * tested["difference"], "p": tested["p"],
                             "interval": [100 * end for end in tested["interval"]]}
    return {"clips": len(names), "scores": scores, "drops": drops, "full": full}
