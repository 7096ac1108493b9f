"""Scores of a system of a comparison: mean and spread over seeds, an interval over clips, and the majority beside it.

Counts of each clip are summed over its group (video or speaker) before resampling, since clips of one group are no
independent trials; inside a resample a score is averaged over the seeds. F1 is that of `metrics`: over the classes that
have targets, a clip without an answer being wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from affectgpt.baselines.predictions import Prediction
from affectgpt.baselines.split import Split, target_of
from affectgpt.data.clip import Clip
from affectgpt.metrics import stats
from affectgpt.metrics.basic import class_f1
from affectgpt.metrics.sentiment import macro_f1_of, weighted_f1_of
from affectgpt.metrics.stats import Columns, ratio

SCORES = ("accuracy", "macro_f1", "weighted_f1")
TITLES = {"accuracy": "accuracy", "macro_f1": "macro F1", "weighted_f1": "weighted F1"}
Runs = Mapping[int, Sequence[Prediction]]


def score_runs(runs: Runs, classes: Sequence[str], groups: Mapping[str, str] | None = None,
               majority: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Scores of one system.

    Args:
        runs: seed -> predictions of all test clips, those of several splits together; the same clips for each seed.
        classes: the classes to choose from.
        groups: `Clip.key` -> video or speaker, for the interval; None where each clip stands alone.
        majority: `Clip.key` -> what `majority_answers` says of it; None takes the most frequent class of the tested
            clips themselves, which no system could know.
    Returns:
        accuracy, macro_f1, weighted_f1: each {"mean", "std" (sample deviation over seeds), "low", "high" (95 %
        bootstrap interval, None where there are not two groups)}; majority: the same three, and "source";
        classes; confusion: [target][answer], summed over seeds, the last column being no answer or none of the
        classes; per_class: class -> {"clips", "f1" (mean over seeds)}; clips, groups, seeds;
        unanswered: answers that are missing and unknown: answers that are no class, both summed over seeds;
        notes: what a reader must know, a line each.
    Raises:
        ValueError: no runs or clips, seeds that tested other clips, a target that is none of the classes, or a clip
            without a group or a majority.
    """
    table = system_columns(runs, classes, groups)
    seeds, first = sorted(runs), by_key(next(iter(runs.values())))
    targets = {key: row.target for key, row in first.items()}
    if majority is None:
        [(most, _)] = Counter(targets[key] for key in sorted(targets)).most_common(1)
        majority, source = dict.fromkeys(targets, most), "tested clips"
    else:
        source = "training clips"
        if without := sorted(targets.keys() - majority.keys()):
            raise ValueError(f"{without[0]}: has no majority ({len(without)} such clips): give one for each clip")
    said = {0: [Prediction(key, target, majority[key]) for key, target in targets.items()]}
    confusion = sum(_tables(by_key(runs[seed]), sorted(targets), classes).sum(0) for seed in seeds)
    answers = [row.predicted for rows in runs.values() for row in rows]
    unanswered, unknown = answers.count(None), sum(word is not None and word not in classes for word in answers)
    of_class = {seed: class_f1(*_pairs(runs[seed])) for seed in seeds}
    counts = Counter(targets.values())
    return {
        **_summary(table, runs, classes),
        "majority": {**_summary(system_columns(said, classes, groups), said, classes), "source": source},
        "classes": list(classes),
        "confusion": confusion.astype(int).tolist(),
        "per_class": {name: {"clips": counts[name], "f1": float(np.mean([of_class[seed][name] for seed in seeds]))
                             if counts[name] else None} for name in classes},
        "clips": len(targets), "groups": len(table.values), "seeds": seeds,
        "unanswered": unanswered, "unknown": unknown,
        "notes": _notes(counts, answers, classes, len(targets), len(table.values), unanswered, unknown, len(seeds)),
    }


def system_columns(runs: Runs, classes: Sequence[str], groups: Mapping[str, str] | None = None) -> Columns:
    """Cells of the confusion tables of all seeds, a row a group in the order of their names, for `metrics.stats`: its
    scores are averages over the seeds. Two systems with the same clips and number of seeds can be compared as pairs.

    Raises:
        ValueError: as `score_runs`.
    """
    if not runs or not all(runs.values()):
        raise ValueError("there are no predictions to score: run at least one seed on at least one clip")
    tables = {seed: by_key(rows) for seed, rows in runs.items()}
    keys = sorted(next(iter(tables.values())))
    for seed, rows in tables.items():
        if rows.keys() != set(keys):
            other = sorted(rows.keys() ^ set(keys))
            raise ValueError(f"seed {seed} tested other clips than seed {next(iter(tables))}, such as {other[0]}: run "
                             "all seeds on the same splits")
    if groups is not None and (without := [key for key in keys if not groups.get(key)]):
        raise ValueError(f"{without[0]}: has no group ({len(without)} such clips): give one for each clip, or none")
    names = keys if groups is None else [groups[key] for key in keys]
    _, place = np.unique(names, return_inverse=True)
    cells = np.stack([_tables(tables[seed], keys, classes) for seed in sorted(tables)], axis=1)
    values = np.zeros((place.max() + 1, *cells.shape[1:]))
    np.add.at(values, place, cells)
    shape = values.shape[1:]

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        table = sums.reshape(*sums.shape[:-1], *shape)
        found = {"accuracy": ratio(np.trace(table, axis1=-2, axis2=-1), table.sum((-1, -2))),
                 "macro_f1": macro_f1_of(table), "weighted_f1": weighted_f1_of(table)}
        return {name: value.mean(-1) for name, value in found.items()}

    return Columns(values.reshape(len(values), -1), finish)


def compare_systems(first: Runs, second: Runs, classes: Sequence[str], groups: Mapping[str, str] | None = None,
                    score: str = "weighted_f1") -> dict[str, Any]:
    """Second system less first on one score: {"difference", "interval", "p"} as `stats.compare`, with groups as its
    units; a system with one seed stands against each seed of the other.

    Raises:
        ValueError: other clips, or several seeds that are not as many.
    """
    if len(first) != len(second):
        if 1 not in (len(first), len(second)):
            raise ValueError(f"systems of {len(first)} and {len(second)} seeds cannot be paired: run as many of both")
        first, second = (_repeated(runs, max(len(first), len(second))) for runs in (first, second))
    if by_key(next(iter(first.values()))).keys() != by_key(next(iter(second.values()))).keys():
        raise ValueError("two systems on other clips cannot be paired: score both on the same clips")
    columns = [system_columns(runs, classes, groups) for runs in (first, second)]
    return stats.compare(*columns, score, stats.resample_counts(len(columns[0].values)))


def _repeated(runs: Runs, count: int) -> Runs:
    return dict(enumerate(list(runs.values()) * count)) if len(runs) == 1 else runs


def majority_answers(splits: Sequence[Split]) -> dict[str, str]:
    """`Clip.key` of every test clip -> the most frequent class of its split's training clips; of several, the first by
    the alphabet."""
    found = {}
    for split in splits:
        counts = Counter(target_of(clip) for clip in split.train)
        most = min(counts, key=lambda name: (-counts[name], name))
        found |= {clip.key: most for clip in split.test}
    return found


def groups_of(clips: Sequence[Clip]) -> dict[str, str]:
    """`Clip.key` -> what its clips hang together by: its group (a video), its dialogue, its speaker, or itself.

    A corpus of which some clips have no group is taken by the next that all of them have.
    """
    for name in ("group", "dialogue", "speaker"):
        if clips and all(getattr(clip, name) for clip in clips):
            return {clip.key: f"{clip.split if name == 'dialogue' else ''}{getattr(clip, name)}" for clip in clips}
    return {clip.key: clip.key for clip in clips}


def by_key(rows: Sequence[Prediction]) -> dict[str, Prediction]:
    """`Clip.key` -> prediction.

    Raises:
        ValueError: a clip twice.
    """
    found = {row.key: row for row in rows}
    if len(found) < len(rows):
        [(twice, _)] = Counter(row.key for row in rows).most_common(1)
        raise ValueError(f"{twice}: is predicted twice; each clip is tested once a seed")
    return found


def _tables(rows: Mapping[str, Prediction], keys: Sequence[str], classes: Sequence[str]) -> np.ndarray:
    """One cell a clip: [clips, classes, classes and none of them]."""
    places = {name: place for place, name in enumerate(classes)}
    cells = np.zeros((len(keys), len(places), len(places) + 1))
    for number, key in enumerate(keys):
        row = rows[key]
        if row.target not in places:
            raise ValueError(f"{key}: its class {row.target!r} is none of {', '.join(classes)}")
        cells[number, places[row.target], places.get(row.predicted, len(places))] = 1
    return cells


def _pairs(rows: Sequence[Prediction]) -> tuple[list[str], list[str | None]]:
    return [row.target for row in rows], [row.predicted for row in rows]


def _summary(columns: Columns, runs: Runs, classes: Sequence[str]) -> dict[str, dict[str, float | None]]:
    of_seed = [system_columns({seed: rows}, classes).scores() for seed, rows in runs.items()]
    enough = len(columns.values) > 1
    intervals = stats.bootstrap(columns, stats.resample_counts(len(columns.values))) if enough else {}
    found = {}
    for name in SCORES:
        spread = stats.spread([scores[name] for scores in of_seed])
        low, high = intervals.get(name, (None, None))
        found[name] = {"mean": spread["mean"], "std": spread["std"], "low": low, "high": high}
    return found


def _notes(counts: Counter, answers: list, classes: Sequence[str], clips: int, groups: int, unanswered: int,
           unknown: int, seeds: int) -> list[str]:
    notes = []
    if absent := [name for name in classes if not counts[name]]:
        notes.append(f"no tested clip is {', '.join(absent)}: F1 is over the other classes")
    if silent := [name for name in classes if counts[name] and name not in answers]:
        notes.append(f"never answered: {', '.join(silent)}")
    if unanswered:
        notes.append(f"no answer {unanswered} times of {clips * seeds}: counted as wrong")
    if unknown:
        notes.append(f"an answer that is none of the classes {unknown} times of {clips * seeds}: counted as wrong")
    if groups < 2:
        notes.append("all clips hang together: no interval")
    if seeds < 2:
        notes.append("one seed: no spread over seeds")
    return notes


def score_text(score: Mapping[str, float | None], seeds: int = 2) -> str:
    """"0.412 ± 0.013 (0.33 to 0.50)": mean, deviation over several seeds, interval."""
    spread = f" ± {score['std']:.3f}" if seeds > 1 else ""
    return f"{score['mean']:.3f}{spread}" + (
        "" if score["low"] is None else f" ({score['low']:.2f} to {score['high']:.2f})")


def print_scores(name: str, scores: Mapping[str, Any]) -> None:
    """Print the scores of a system, the majority below it, and what a reader must know."""
    seeds = len(scores["seeds"])
    print(f"{name}: {scores['clips']} clips in {scores['groups']} groups, {seeds} seed{'s' if seeds > 1 else ''} "
          "(mean ± deviation over seeds, 95 % interval over groups)")
    for title, row, runs in (("system", scores, seeds), (f"majority of the {scores['majority']['source']}",
                                                        scores["majority"], 1)):
        print(f"  {title:<31}" + "  ".join(f"{TITLES[key]} {score_text(row[key], runs)}" for key in SCORES))
    for note in scores["notes"]:
        print(f"  note: {note}")
