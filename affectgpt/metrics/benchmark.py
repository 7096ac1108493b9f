"""Kinds of sets and the scores of each, in two ways of counting with intervals.

Task kinds and primary scores of MER-UniBench are those of AffectGPT (Lian et al., ICML 2025, arXiv 2501.16566, section
4): hit rate for basic emotions, weighted F1 for sentiment, set-level F for open vocabularies; the others are those of
the sets' rows (`metrics.sets`). All are in percent here.

A kind is a row of `KIND` and a module with `columns`. Modules of further kinds are imported by their first set.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from affectgpt.metrics import groups, labelsets, sentiment, stats
from affectgpt.metrics.rows import Prediction, Predictions
from affectgpt.metrics.sets import EvaluationSet, row_of
from affectgpt.metrics.stats import percent

MODES = ("published", "strict")


@dataclass(frozen=True)
class Kind:
    """One kind of set.

    Args:
        published, strict: (the score that stands for a set, what tables call it) in each way of counting.
        answer: the key of a row that is scored.
        wheels: whether emotion words are placed on the wheels.
    """

    published: tuple[str, str]
    strict: tuple[str, str]
    answer: str = "response"
    wheels: bool = False


_SETS_OF_ROOTS = ("sample_f", "sample F1, neutral included")
KIND = {
    "basic": Kind(("hit_rate", "hit rate"), _SETS_OF_ROOTS, "labels_raw", wheels=True),
    "sentiment": Kind(("waf", "two-class weighted F1"), ("waf", "three-class weighted F1"), "sentiment_raw"),
    "openset": Kind(("f", "set F"), _SETS_OF_ROOTS, "labels_raw", wheels=True),
    "description": Kind(("label_overlap", "judge's label overlap"), ("clue_f", "clue F1")),
    "class": Kind(("war", "WAR, the class as named"), ("uar", "UAR, words of a class included"), "labels_raw"),
    "synonyms": Kind(("score", "mean of accuracy and recall"), ("score", "mean of accuracy and recall, nothing left "
                                                                "out"), "labels_raw"),
    "choice": Kind(("accuracy", "accuracy"), ("accuracy", "accuracy, nothing left out")),
    "yes_no": Kind(("overall", "pairs with both right"), ("overall", "pairs with both right, nothing left out")),
    "preference": Kind(("waf", "two-class weighted F1"), ("waf", "weighted F1, ties included")),
}
PRIMARY = {(name, mode): getattr(kind, mode)[0] for name, kind in KIND.items() for mode in MODES}
"""(kind, way of counting) -> the score that stands for a set."""
TITLES = {(name, mode): getattr(kind, mode)[1] for name, kind in KIND.items() for mode in MODES}
"""(kind, way of counting) -> what tables call it."""

QUESTIONS = ("class", "choice", "yes_no", "preference")
"""Kinds of closed answers, which `metrics.questions` scores."""

SCORES = {"war": "WAR", "uar": "UAR", "waf": "weighted F1", "macro_f1": "macro F1", "recognition": "recognition score",
          "sample_f": "F1 of the options named", "accuracy": "accuracy", "overall": "pairs with both right"}
"""What tables call scores that a set's row chooses instead of its kind's."""

_HIDDEN = ("wheel", "recall:", "task:")
"""What the names of scores begin with that are told part by part ("per_wheel", "per_class", "per_task")."""


def target_problem(one: EvaluationSet | str, target: Any, facts: Mapping[str, Any] | None = None) -> str | None:
    """Why a set (or one of a kind) cannot be scored by a target, as `rows.EXPLAINED` names it; None where it can.

    facts: what the clip's rows say of its question beside the target.
    """
    one = row_of(one)
    if target is None or target == "" or target == []:
        return "no_target"
    if one.kind == "sentiment":
        value = sentiment.target_value(target)
        return "bad_target" if value is None else "nan_target" if math.isnan(value) else None
    if isinstance(target, float) and math.isnan(target):
        return "nan_target"
    if one.kind in QUESTIONS:
        from affectgpt.metrics import questions

        return None if questions.question(one, target, facts or {}) is not None else "bad_target"
    listed = isinstance(target, list) and all(isinstance(label, str) for label in target)
    return None if isinstance(target, str) or listed else "bad_target"


class Scorer:
    """Scores of one set.

    Args:
        one: the set, or the name of a kind for a set without a row.
        tables: way of counting -> tables with `root(label, wheel, level)`, for kinds with wheels. Without "published"
            tables those scores are left out.

    Attributes:
        made: (checkpoint, way of counting) -> columns of the primary score, of what `score` has scored.
        samples: the same -> primary score in each resample.
        clusters: what each clip hangs together with others by, or None; intervals draw them whole.
    """

    def __init__(self, one: EvaluationSet | str, tables: Mapping[str, Any]):
        self.set = row_of(one)
        self.kind = self.set.kind
        self.wheels = KIND[self.kind].wheels
        self.modes = [mode for mode in MODES if mode in tables or not self.wheels]
        self.primary = {mode: self.set.primary.get(mode, PRIMARY[self.kind, mode]) for mode in MODES}
        self.made: dict[tuple[str, str], stats.Columns] = {}
        self.samples: dict[tuple[str, str], np.ndarray] = {}
        self.clusters: list[Hashable] | None = None
        self.units: np.ndarray | None = None
        self.members: groups.Members = {}
        self._answers: dict[tuple[int, str, int], tuple[list[Prediction | None], tuple]] = {}
        self._goals: tuple[list[str], list[float]] = [], []
        self.placers = {(mode, level): labelsets.placer_of(tables[mode], mode == "strict", level)
                        for mode in tables for level in ("level1", "level2")} if self.wheels else {}

    def clips(self, found: Predictions) -> list[str]:
        """Names of the clips that can be scored; the others are counted in `found.problems`."""
        names = []
        for name, target in found.targets.items():
            problem = target_problem(self.set, target, self._facts(found, name))
            if problem:
                found.problems.add(problem, name)
            else:
                names.append(name)
        if not names:
            raise ValueError(f"no clip has a target that a set of kind {self.kind} can be scored by: "
                             + "; ".join(found.problems.lines()))
        if self.kind == "sentiment":
            values = {sentiment.target_value(found.targets[name]) for name in names}
            if values <= {0.0, 1.0, 2.0} and 2.0 in values:
                found.problems.add("class_ids", f"{len(names)} targets")
        return names

    def draw(self, found: Predictions, names: list[str], resamples: int) -> None:
        """Draw resamples of these clips; whole groups where rows or the set's row know them."""
        traits = _traits(self.set, found, names)
        clusters = groups.clusters_of(traits)
        self.members = groups.members_of(traits) if any(clip.keys() - {"group"} for clip in traits) else {}
        units = None if clusters is None else stats.units_of(clusters)
        if units is not None and units.max() > 0:  # of one group alone nothing is known about others
            self.clusters, self.units = clusters, units
        self.drawn = stats.resample_counts(self.cluster_count() or len(names), resamples)

    @cached_property
    def counts(self) -> np.ndarray:
        """How often each clip is drawn in each resample, as `stats.resample_counts` with its groups."""
        return self.drawn if self.units is None else self.drawn[:, self.units]

    def cluster_count(self) -> int | None:
        """How many groups, and clips of no group, intervals draw from; None where clips are taken one by one."""
        return None if self.units is None else int(self.units.max()) + 1

    def _facts(self, found: Predictions, name: str) -> Mapping[str, Any]:
        """What a clip's rows say of its question, for kinds of closed answers."""
        if self.kind not in QUESTIONS[1:]:
            return {}
        from affectgpt.metrics import questions

        return questions.facts_of([rows.get(name) for rows in found.checkpoints.values()])

    def answers(self, found: Predictions, checkpoint: str, names: Sequence[str]) -> list[Prediction | None]:
        """Rows of a checkpoint, None for a clip without an answer: no row, or one that says that there is none."""
        key = id(found), checkpoint, id(names)
        if key not in self._answers:
            rows = found.checkpoints[checkpoint]
            given = [row if row is not None and row.no_answer is None else None for row in map(rows.get, names)]
            self._answers[key] = given, (found, names)  # kept, so that no other object gets their ids
        return self._answers[key][0]

    def columns(self, found: Predictions, checkpoint: str, names: list[str], mode: str) -> dict[str, stats.Columns]:
        """Columns of one checkpoint: "" for the scores themselves, other keys for further ones of that prefix."""
        rows = self.answers(found, checkpoint, names)
        targets = [found.targets[name] for name in names]
        if self.kind == "sentiment":
            if self._goals[0] is not names:
                self._goals = names, [sentiment.target_value(target) for target in targets]
            goals = self._goals[1]
            make = sentiment.published_columns if mode == "published" else sentiment.strict_columns
            made = {"": make(goals, [None if row is None else row.sentiment_raw for row in rows])}
            valences = [None if row is None else row.valence for row in rows]
            if mode == "strict" and any(value is not None for value in valences):
                made["valence"] = sentiment.valence_columns(goals, valences)
            return made
        labels = [None if row is None else row.labels_raw for row in rows]
        if self.wheels:
            placer = self.placers[mode, "level1"]
            if self.kind == "basic" and mode == "published":
                return {"": labelsets.hit_columns(targets, labels, placer)}
            made = {"": labelsets.set_columns(targets, labels, placer)}
            if self.kind == "openset":
                made["level2"] = labelsets.set_columns(targets, labels, self.placers[mode, "level2"])
            return made
        texts = [None if row is None else row.response for row in rows]
        if self.kind in QUESTIONS:
            from affectgpt.metrics import questions

            facts = [self._facts(found, name) for name in names]
            return {"": questions.columns(self.set, targets, facts, labels if self.kind == "class" else texts,
                                          mode == "strict")}
        return {"": self._further(targets, rows, labels, mode)}

    def _further(self, targets: list, rows: list, labels: list, mode: str) -> stats.Columns:
        """Columns of the kinds whose modules are imported when they are needed."""
        if self.kind == "description":
            from affectgpt.metrics import emer

            return emer.columns(targets, rows, mode)
        from affectgpt.metrics import synonyms

        said = [None if row is None else row.facts.get("synonym_groups") for row in rows]
        return synonyms.columns(targets, labels, said, mode == "strict")

    def score(self, found: Predictions, names: list[str]) -> dict[str, dict]:
        """Checkpoint -> {"n", "published", "strict"}, scores and intervals in percent; all are resampled together."""
        made = {(key, mode): self.columns(found, key, names, mode) for key in found.checkpoints for mode in self.modes}
        self.made = {system: parts[""] for system, parts in made.items()}
        drawn = {system: stats.by_unit(columns, self.units) for system, columns in self.made.items()}
        sums = dict(zip(made, stats.resampled_sums(list(drawn.values()), self.drawn), strict=True))
        return {key: {"n": sum(row is not None for row in self.answers(found, key, names)),
                      **{mode: self._score_mode(found, key, names, mode, made[key, mode], drawn[key, mode],
                                                sums[key, mode]) for mode in self.modes},
                      **self._groups(key)} for key in found.checkpoints}

    def _score_mode(self, found: Predictions, checkpoint: str, names: list[str], mode: str,
                    made: dict[str, stats.Columns], drawn: stats.Columns, sums: np.ndarray) -> dict:
        main, primary = made[""], self.primary[mode]
        values, samples = main.scores(), {}
        intervals = stats.bootstrap(drawn, self.drawn, samples=samples, sums=sums)
        if primary not in values:
            raise ValueError(f"{self.set.name}: its row calls {primary!r} its score, and its kind has "
                             f"{', '.join(values)}")
        self.samples[checkpoint, mode] = samples[primary]
        shown = [name for name in values if not name.startswith(_HIDDEN)]
        result: dict[str, Any] = {"primary": percent(values[primary]), "metric": self.title(mode),
                                  "interval": [percent(end) for end in intervals[primary]]}
        result |= {name: percent(values[name]) for name in shown}
        result["intervals"] = {name: [percent(end) for end in intervals[name]] for name in shown}
        if self.wheels:
            scored = labelsets.scored_clips(main)
            result["scored"] = max(scored.values())
            result["per_wheel"] = {wheel: {"score": percent(values[wheel]), "scored": count}
                                   for wheel, count in scored.items()}
        else:
            result["scored"] = int(np.count_nonzero(main.values.any(1)))
        if self.kind == "class":
            result["per_class"] = {
                name.removeprefix("recall:"): {"recall": percent(values[name]),
                                               "interval": [percent(end) for end in intervals[name]]}
                for name in values if name.startswith("recall:")}
        for name in values:
            if name.startswith("task:") and name.endswith(f":{primary}"):
                result.setdefault("per_task", {})[name[len("task:"):-len(primary) - 1]] = {
                    "score": percent(values[name]), "interval": [percent(end) for end in intervals[name]]}
        if self.kind in QUESTIONS:
            from affectgpt.metrics import questions

            labels = [None if row is None else row.labels_raw for row in self.answers(found, checkpoint, names)]
            result |= questions.record(self.set, main, labels, mode == "strict")
        if "level2" in made:
            level2 = made["level2"].scores()
            result["level2"] = {name: percent(level2[name]) for name in ("f", "precision", "recall", "sample_f")}
            result["both_levels"] = percent((level2[primary] + values[primary]) / 2)
        if "valence" in made:
            result["valence"] = self._valence(made["valence"])
        if self.kind == "basic" and mode == "strict":
            labels = [None if row is None else row.labels_raw for row in self.answers(found, checkpoint, names)]
            first = labelsets.first_label_scores([found.targets[name] for name in names], labels,
                                                 self.placers[mode, "level1"])
            result["first_label"] = {name: percent(value) for name, value in first.items()}
        return result

    def _groups(self, checkpoint: str) -> dict[str, dict]:
        """{"groups": way of counting -> scores of groups of clips}; nothing where rows say nothing of their clips."""
        return {"groups": {mode: groups.group_scores(self.made[checkpoint, mode], self.primary[mode], self.members,
                                                     self.counts, self.clusters) for mode in self.modes}} \
            if self.members else {}

    def title(self, mode: str) -> str:
        """What tables call the primary score."""
        kind = TITLES[self.kind, mode]
        primary = self.primary[mode]
        return kind if primary == PRIMARY[self.kind, mode] else SCORES.get(primary, primary)

    def _valence(self, columns: stats.Columns) -> dict:
        """Errors in the units of the targets and correlations from -1 to 1, not in percent."""
        values, intervals = columns.scores(), stats.bootstrap(stats.by_unit(columns, self.units), self.drawn)
        plain = {name: finite(value) for name, value in values.items()}
        return {**plain, "valence_n": int(values["valence_n"]),
                "intervals": {name: [finite(end) for end in ends] for name, ends in intervals.items()
                              if name != "valence_n"}}

    def count_answer_problems(self, found: Predictions, names: list[str]) -> None:
        """Count missing, refused, unlabelled, empty and unreadable answers of every checkpoint.

        Raises:
            ValueError: no row at all is labelled.
        """
        key, unlabelled, labelled = KIND[self.kind].answer, 0, 0
        field = Prediction._fields.index(key)
        for checkpoint, rows in found.checkpoints.items():
            raws: list[Any] = []
            places: list[str] = []
            for name, row in zip(names, self.answers(found, checkpoint, names), strict=True):
                if row is not None and row[field] is not None:
                    raws.append(row[field])
                    places.append(name)
                    continue
                problem = "no_labels" if key != "response" else "no_text"
                if row is None:
                    problem = rows[name].no_answer if name in rows else "missing"
                unlabelled += row is not None
                found.problems.add(problem, f"{name} at {checkpoint}")
            labelled += len(raws)
            for place, problem in self._answer_problems(found, raws, places):
                found.problems.add(problem, f"{places[place]} at {checkpoint}")
        if not labelled:
            hint = "make labels of the answers first, with `affectgpt label FILE`" if key != "response" else \
                "each row needs the answer's text"
            raise ValueError(f"no row has {key}: {hint}" if unlabelled or not found.checkpoints else
                             "no row has an answer: " + "; ".join(found.problems.lines()))

    def _answer_problems(self, found: Predictions, raws: list, names: list[str]) -> Iterable[tuple[int, str]]:
        """(place, problem) of each answer that is there and says nothing that counts."""
        if self.wheels:
            return ((place, "empty_list") for place in self.placers["strict", "level1"].empty(raws))
        if self.kind == "sentiment":
            odd = {raw for raw in set(raws) if sentiment.polarity_word(raw) is None}
            return ((place, "no_polarity") for place, raw in enumerate(raws) if raw in odd) if odd else ()
        if self.kind not in QUESTIONS:
            return ()
        from affectgpt.metrics import questions

        problems = (questions.problem(self.set, found.targets[name], self._facts(found, name), raw)
                    for name, raw in zip(names, raws, strict=True))
        return ((place, problem) for place, problem in enumerate(problems) if problem)


def _traits(one: EvaluationSet, found: Predictions, names: list[str]) -> list[dict[str, Any]]:
    """What is known of each clip, of all its rows together; its group also from its name. Empty where nothing is."""
    known = [rows for rows in found.checkpoints.values() if any(row.facts for row in rows.values())]
    if not known and not one.group:
        return []
    traits = []
    for name in names:
        clip: dict[str, Any] = {}
        for row in (rows.get(name) for rows in known):
            if row is not None:
                clip = {**row.facts, **clip}
        if "group" not in clip and (group := one.group_of(name)) is not None:
            clip["group"] = group
        if "group" not in clip and clip.get("pair") is not None:
            clip["group"] = clip["pair"]
        traits.append(clip)
    return traits


def finite(value: float) -> float | None:
    """With six digits; None for NaN."""
    return None if not math.isfinite(value) else round(value, 6)
