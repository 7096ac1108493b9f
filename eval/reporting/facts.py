"""What rows of predictions show: labels said, strict scores, and which inputs matter.

Strict counting throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from affectgpt.eval.reporting.rows import Judge, Row, Streams, main_streams, polarity_class
from affectgpt.metrics import stats
from affectgpt.metrics.benchmark import PRIMARY, Scorer, percent
from affectgpt.metrics.groups import clusters_of
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.rows import Predictions, Problems
from affectgpt.metrics.wheels import WHEELS
from affectgpt.words.lexicon import NEUTRAL


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


def strict_columns(systems: Mapping[str, Mapping[str, Row]], targets: Mapping[str, Any],
                   judge: Judge) -> dict[str, stats.Columns]:
    """Columns of the strict scores of systems (name -> row) on all clips that have a target, as `affectgpt score`
    counts; a clip without a row is a missing answer."""
    found = Predictions(dict(targets), {key: {name: row.prediction for name, row in rows.items()}
                                        for key, rows in systems.items()}, Problems())
    scorer = Scorer(judge.kind, {"strict": judge.lexicon})
    return {key: scorer.columns(found, key, list(targets), "strict")[""] for key in systems}


def strict_score(rows: Mapping[str, Row], targets: Mapping[str, Any], judge: Judge) -> float | None:
    """Strict primary score in percent of one system on these clips."""
    return percent(strict_columns({"": rows}, targets, judge)[""].scores()[PRIMARY[judge.kind, "strict"]])


def subsets(groups: dict[Streams, dict[str, Row]], judge: Judge) -> dict | None:
    """Strict score of every input subset, on the clips that all of them answer, and what each stream adds to all
    others.

    Returns:
        {"clips", "full": streams, "scores": {streams: {"score", "interval"}}, "drops": {stream: {"difference",
        "interval", "p", "p_adjusted", "floor"}}} in percent, a drop being that from all streams to all but one; None
        for fewer than two subsets.
    """
    groups = {streams: rows for streams, rows in groups.items() if streams is not None}
    if len(groups) < 2:
        return None
    shared = set.intersection(*(set(rows) for rows in groups.values()))
    full = main_streams(groups)
    names = [name for name, row in groups[full].items() if name in shared and judge.usable(row.target)]
    if not names:
        return None
    columns = strict_columns(groups, {name: groups[full][name].target for name in names}, judge)
    clusters = clusters_of([groups[full][name].facts for name in names])
    counts = stats.resample_counts(len(names), groups=clusters)
    primary = PRIMARY[judge.kind, "strict"]
    scores = {}
    for streams in sorted(groups, key=lambda streams: (len(streams), streams)):
        ends = stats.bootstrap(columns[streams], counts, clusters)[primary]
        scores[streams] = {"score": 100 * columns[streams].scores()[primary], "interval": [100 * end for end in ends]}
    drops = {}
    for stream in full:
        # Pre-fusion is made of sound and a picture, so it goes where one of them does.
        others = set(full) - {stream, "fusion"} if stream != "fusion" else set(full) - {stream}
        rest = next((streams for streams in groups
                     if set(streams) in (others, others | {"fusion"}) and stream not in streams), None)
        if rest:
            tested = stats.compare(columns[rest], columns[full], primary, counts, clusters)
            drops[stream] = {"difference": 100 * tested["difference"], "p": tested["p"], "floor": tested["floor"],
                             "interval": [100 * end for end in tested["interval"]]}
    for row, adjusted in zip(drops.values(), stats.holm([row["p"] for row in drops.values()]), strict=True):
        row["p_adjusted"] = adjusted
    return {"clips": len(names), "scores": scores, "drops": drops, "full": full}
