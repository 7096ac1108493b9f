"""The sets of MER-UniBench and the scores of each, in two ways of counting with intervals.

Sets, task kinds and primary scores are those of AffectGPT (Lian et al., ICML 2025, arXiv 2501.16566, section 4): hit
rate for basic emotions, weighted F1 for sentiment, set-level F for open vocabularies; all are in percent here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from affectgpt.metrics import labelsets, sentiment, stats
from affectgpt.metrics.rows import Predictions
from affectgpt.metrics.sets import KINDS, SETS  # noqa: F401  known by this name too


PRIMARY = {
    ("basic", "published"): "hit_rate", ("basic", "strict"): "sample_f",
    ("sentiment", "published"): "waf", ("sentiment", "strict"): "waf",
    ("openset", "published"): "f", ("openset", "strict"): "sample_f",
    ("description", "published"): "label_overlap", ("description", "strict"): "clue_f",
}
"""(kind, way of counting) -> the score that stands for a set."""

TITLES = {
    ("basic", "published"): "hit rate", ("basic", "strict"): "sample F1, neutral included",
    ("sentiment", "published"): "two-class weighted F1", ("sentiment", "strict"): "three-class weighted F1",
    ("openset", "published"): "set F", ("openset", "strict"): "sample F1, neutral included",
    ("description", "published"): "label overlap (judge)", ("description", "strict"): "clue F1",
}
"""(kind, way of counting) -> what tables call it."""

MODES = ("published", "strict")


def target_problem(kind: str, target: Any) -> str | None:
    """Why a set of this kind cannot be scored by a target, as `rows.EXPLAINED` names it; None where it can."""
    if target is None or target == "" or target == []:
        return "no_target"
    if kind == "sentiment":
        value = sentiment.target_value(target)
        return "bad_target" if value is None else "nan_target" if math.isnan(value) else None
    if isinstance(target, float) and math.isnan(target):
        return "nan_target"
    listed = isinstance(target, list) and all(isinstance(label, str) for label in target)
    return None if isinstance(target, str) or listed else "bad_target"


class Scorer:
    """Scores of one kind of set.

    Args:
        kind: one of `metrics.sets.KINDS`.
        tables: way of counting -> tables with `root(label, wheel, level)`, for basic and open-vocabulary sets. Without
            "published" tables those scores are left out.

    Attributes:
        made: (checkpoint, way of counting) -> columns of the primary score, of what `score` has scored.
    """

    def __init__(self, kind: str, tables: Mapping[str, Any]):
        self.kind, self.modes = kind, [mode for mode in MODES if mode in tables or kind in ("sentiment", "description")]
        self.made: dict[tuple[str, str], stats.Columns] = {}
        self.placers = {(mode, level): labelsets.Placer(tables[mode], mode == "strict", level)
                        for mode in tables for level in ("level1", "level2")}

    def clips(self, found: Predictions) -> list[str]:
        """Names of the clips that can be scored; the others are counted in `found.problems`."""
        names = []
        for name, target in found.targets.items():
            problem = target_problem(self.kind, target)
            if problem:
                found.problems.add(problem, name)
            else:
                names.append(name)
        if not names:
            raise ValueError(f"no clip has a target that a set of kind {self.kind} can be scored by: "
                             + "; ".join(found.problems.lines()))
        return names

    def columns(self, found: Predictions, checkpoint: str, names: list[str], mode: str) -> dict[str, stats.Columns]:
        """Columns of one checkpoint: "" for the scores themselves, other keys for further ones of that prefix."""
        rows = [found.checkpoints[checkpoint].get(name) for name in names]
        targets = [found.targets[name] for name in names]
        if self.kind == "sentiment":
            goals = [sentiment.target_value(target) for target in targets]
            answers = [None if row is None else row.sentiment_raw for row in rows]
            make = sentiment.published_columns if mode == "published" else sentiment.strict_columns
            made = {"": make(goals, answers)}
            valences = [None if row is None else row.valence for row in rows]
            if mode == "strict" and any(value is not None for value in valences):
                made["valence"] = sentiment.valence_columns(goals, valences)
            return made
        if self.kind == "description":
            from affectgpt.metrics import emer

            return {"": emer.columns(targets, rows, mode)}
        answers = [None if row is None else row.labels_raw for row in rows]
        placer = self.placers[mode, "level1"]
        if self.kind == "basic" and mode == "published":
            return {"": labelsets.hit_columns(targets, answers, placer)}
        made = {"": labelsets.set_columns(targets, answers, placer)}
        if self.kind == "openset":
            made["level2"] = labelsets.set_columns(targets, answers, self.placers[mode, "level2"])
        return made

    def score(self, found: Predictions, checkpoint: str, names: list[str], counts: np.ndarray) -> dict:
        """{"n", "published", "strict"} of one checkpoint, scores and intervals in percent."""
        return {"n": sum(name in found.checkpoints[checkpoint] for name in names),
                **{mode: self._score_mode(found, checkpoint, names, mode, counts) for mode in self.modes}}

    def _score_mode(self, found: Predictions, checkpoint: str, names: list[str], mode: str, counts: np.ndarray) -> dict:
        made = self.columns(found, checkpoint, names, mode)
        primary = PRIMARY[self.kind, mode]
        self.made[checkpoint, mode] = made[""]
        values, intervals = made[""].scores(), stats.bootstrap(made[""], counts)
        result: dict[str, Any] = {"primary": percent(values[primary]), "metric": TITLES[self.kind, mode],
                                  "interval": [percent(end) for end in intervals[primary]]}
        result |= {name: percent(value) for name, value in values.items() if not name.startswith("wheel")}
        result["intervals"] = {name: [percent(end) for end in ends] for name, ends in intervals.items()
                               if not name.startswith("wheel")}
        if self.kind in ("basic", "openset"):
            scored = labelsets.scored_clips(made[""])
            result["scored"] = max(scored.values())
            result["per_wheel"] = {wheel: {"score": percent(values[wheel]), "scored": count}
                                   for wheel, count in scored.items()}
        else:
            result["scored"] = int(np.count_nonzero(made[""].values.any(1)))
        if "level2" in made:
            level2 = made["level2"].scores()
            result["level2"] = {name: percent(level2[name]) for name in ("f", "precision", "recall", "sample_f")}
            result["both_levels"] = percent((level2[primary] + values[primary]) / 2)
        if "valence" in made:
            result["valence"] = self._valence(made["valence"], counts)
        if self.kind == "basic" and mode == "strict":
            rows = [found.checkpoints[checkpoint].get(name) for name in names]
            first = labelsets.first_label_scores([found.targets[name] for name in names],
                                                 [None if row is None else row.labels_raw for row in rows],
                                                 self.placers[mode, "level1"])
            result["first_label"] = {name: percent(value) for name, value in first.items()}
        return result

    @staticmethod
    def _valence(columns: stats.Columns, counts: np.ndarray) -> dict:
        """Errors in the units of the targets and correlations from -1 to 1, not in percent."""
        values, intervals = columns.scores(), stats.bootstrap(columns, counts)
        plain = {name: finite(value) for name, value in values.items()}
        return {**plain, "valence_n": int(values["valence_n"]),
                "intervals": {name: [finite(end) for end in ends] for name, ends in intervals.items()
                              if name != "valence_n"}}

    def count_answer_problems(self, found: Predictions, names: list[str]) -> None:
        """Count missing, unlabelled, empty and unreadable answers of every checkpoint.

        Raises:
            ValueError: no row at all is labelled.
        """
        labelled = 0
        for checkpoint, rows in found.checkpoints.items():
            for name in names:
                row, place = rows.get(name), f"{name} at {checkpoint}"
                if row is None:
                    found.problems.add("missing", place)
                    continue
                if self.kind == "description":
                    labelled += 1
                    continue
                raw = row.sentiment_raw if self.kind == "sentiment" else row.labels_raw
                if raw is None:
                    found.problems.add("no_labels", place)
                    continue
                labelled += 1
                if self.kind == "sentiment" and sentiment.polarity_word(raw) is None:
                    found.problems.add("no_polarity", place)
                if self.kind != "sentiment" and not self.placers["strict", "level1"].labels(raw):
                    found.problems.add("empty_list", place)
        if not labelled:
            key = "sentiment_raw" if self.kind == "sentiment" else "labels_raw"
            raise ValueError(f"no row has {key}: make labels of the answers first, with `affectgpt label FILE`")


def percent(value: float) -> float | None:
    """In percent with four decimals; None for NaN, which is not JSON."""
    return None if not math.isfinite(value) else round(100 * value, 4)


def finite(value: float) -> float | None:
    """With six digits; None for NaN."""
    return None if not math.isfinite(value) else round(value, 6)
