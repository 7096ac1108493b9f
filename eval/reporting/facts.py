"""What rows of predictions show: labels said, strict scores, and which inputs matter.

Strict counting throughout.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from affectgpt.eval.reporting.rows import Judge, Row, Streams, main_streams, polarity_class
from affectgpt.metrics import stats
from affectgpt.metrics.benchmark import KIND, Scorer, percent
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
    if judge.kind == "class":
        from affectgpt.metrics import questions

        space = questions.space_of(judge.set)
        return float(space.place(label)[0] == space.target(row.target))
    if not KIND[judge.kind].wheels:
        return None
    places = judge.placer.roots([label])
    targets = judge.placer.roots(row.target)
    return sum(bool(place & goal) for place, goal in zip(places, targets, strict=True)) / len(WHEELS)


@dataclass(frozen=True)
class Strict:
    """Systems on the same clips, to be resampled: their strict columns, the name of the score, draws of the clips, and
    the unit of each clip, where clips of one (a video, a speaker) are drawn as a whole; else None."""

    columns: dict[Any, stats.Columns]
    primary: str
    counts: np.ndarray
    units: np.ndarray | None
    unit: str = "video or speaker"

    def scores(self) -> dict[Any, float | None]:
        """Primary score of each system in percent."""
        return {key: percent(columns.scores()[self.primary]) for key, columns in self.columns.items()}

    def units_text(self, clips: int) -> str:
        """How many clips there are, and in how many units, in words."""
        return f"{clips:,} clips" + ("" if self.units is None else f" in {int(self.units.max()) + 1:,} "
                                     f"{plural(self.unit)}, drawn and swapped as a whole")


def plural(unit: str) -> str:
    """More than one "video or speaker"."""
    return " or ".join(f"{word}s" for word in unit.split(" or "))


def strict(systems: Mapping[Any, Mapping[str, Row]], targets: Mapping[str, Any], judge: Judge,
           seed: int = stats.SEED) -> Strict:
    """Systems (name -> row) on all clips that have a target, as `affectgpt score` counts; a clip without a row is a
    missing answer."""
    names = {key: f"system {place}" for place, key in enumerate(systems)}
    found = Predictions(dict(targets), {names[key]: {name: row.prediction for name, row in rows.items()}
                                        for key, rows in systems.items()}, Problems())
    scorer, clips = Scorer(judge.set, {"strict": judge.lexicon}), list(targets)
    scorer.draw(found, clips, 1)  # finds the units
    return Strict({key: scorer.columns(found, name, clips, "strict")[""] for key, name in names.items()},
                  scorer.primary["strict"],
                  stats.resample_counts(len(clips), groups=scorer.units, seed=seed), scorer.units,
                  judge.set.group_is or Strict.unit)


def units_of(rows: Sequence[Row], judge: Judge) -> np.ndarray | None:
    """The unit of each clip (`Strict`)."""
    return strict({"": {row.name: row for row in rows}}, targets_of(rows), judge).units


def targets_of(rows: Sequence[Row]) -> dict[str, Any]:
    """Name -> target."""
    return {row.name: row.target for row in rows}


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
    rows = [row for name, row in groups[full].items() if name in shared and judge.usable(row)]
    if not rows:
        return None
    found = strict(groups, targets_of(rows), judge)
    scores = {}
    for streams in sorted(groups, key=lambda streams: (len(streams), streams)):
        ends = stats.bootstrap(found.columns[streams], found.counts, found.units)[found.primary]
        scores[streams] = {"score": found.scores()[streams], "interval": [100 * end for end in ends]}
    drops = {}
    for stream in full:
        # Pre-fusion is made of sound and a picture, so it goes where one of them does.
        others = set(full) - {stream, "fusion"} if stream != "fusion" else set(full) - {stream}
        rest = next((streams for streams in groups
                     if set(streams) in (others, others | {"fusion"}) and stream not in streams), None)
        if rest:
            tested = stats.compare(found.columns[rest], found.columns[full], found.primary, found.counts,
                                   found.units)
            drops[stream] = {"difference": 100 * tested["difference"], "p": tested["p"], "floor": tested["floor"],
                             "interval": [100 * end for end in tested["interval"]]}
    for row, adjusted in zip(drops.values(), stats.holm([row["p"] for row in drops.values()]), strict=True):
        row["p_adjusted"] = adjusted
    return {"clips": len(rows), "scores": scores, "drops": drops, "full": full}
