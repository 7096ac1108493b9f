"""Rows of predictions (JSON Lines): the one owner of their format and of what can be wrong with them.

    {"checkpoint": 30, "name": "sample_00001998", "target": "worried", "response": "The character's ...",
     "labels_raw": "[concerned, stressed]", "sentiment_raw": "negative", "valence": -0.4}

`target` is an emotion word (basic sets), a valence (sentiment sets), a list of labels (open-vocabulary sets) or a
description (EMER). `affectgpt generate` writes the first four, `affectgpt label` the rest. Nothing is dropped in
silence: what cannot be used is counted in `Problems`, with its place.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = 5
LONG_ANSWER = 100_000
"""Characters from which an answer is reported as too long to be one."""


@dataclass
class Problems:
    """Kind of problem -> how often, and the first places where."""

    counts: dict[str, int] = field(default_factory=dict)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, place: str) -> None:
        """Count one."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        examples = self.examples.setdefault(kind, [])
        if len(examples) < EXAMPLES:
            examples.append(place)

    def as_dict(self) -> dict[str, dict]:
        """Plain values for JSON."""
        return {kind: {"count": count, "examples": self.examples[kind]} for kind, count in sorted(self.counts.items())}

    def lines(self) -> list[str]:
        """One line a kind, for people."""
        return [f"{EXPLAINED.get(kind, kind)}: {count} "
                f"({', '.join(self.examples[kind])}{', ...' if count > len(self.examples[kind]) else ''})"
                for kind, count in sorted(self.counts.items())]


EXPLAINED = {
    "unreadable_row": "lines that are no JSON object with a name, left out",
    "duplicate": "names that occur again in one checkpoint, the first was kept",
    "duplicate_differs": "of these, those that say something else",
    "unknown_name": "names that the targets do not have, left out",
    "missing": "clips without a prediction: left out of published scores, wrong in strict ones",
    "no_target": "clips without a target, left out",
    "bad_target": "targets that are not of this set's kind, left out",
    "nan_target": "targets that are NaN, left out",
    "target_differs": "clips whose target differs between rows, the first was kept",
    "no_labels": "rows that were not labelled, counted as missing",
    "empty_list": "answers without any label: published counts none, strict reads them as neutral",
    "no_polarity": "answers that are no polarity: published counts them as negative, strict as wrong",
    "bad_valence": "predicted valences that are no number, left out of the valence error",
    "odd_value": "rows with a number that JSON does not have, or with half a character: null or replaced",
    "odd_label": "answers that are lists with something else than text in them: that was left out",
    "odd_response": "rows whose response is neither text nor a list: left as they are",
    "long_answer": f"answers of more than {LONG_ANSWER:,} characters",
}


class Prediction(NamedTuple):
    """What scoring needs of one row."""

    labels_raw: str | list | None = None
    sentiment_raw: str | None = None
    valence: float | None = None
    response: str | None = None
    ratings: tuple[float | None, float | None] = (None, None)


@dataclass
class Predictions:
    """Predictions of one set.

    Attributes:
        targets: name -> target as it is in the file, in the order of the file.
        checkpoints: checkpoint -> name -> prediction, in the order of the file.
        mixed: whether these are told apart by question or streams too, so that they are not runs of one system.
    """

    targets: dict[str, Any]
    checkpoints: dict[str, dict[str, Prediction]]
    problems: Problems
    rows: int = 0
    mixed: bool = False


def read_predictions(paths: Iterable[str | Path], targets: dict[str, Any] | None = None,
                     keep_responses: bool = False, question: str | None = None,
                     streams: Sequence[str] | None = None) -> Predictions:
    """Rows of JSON Lines files; with several files a checkpoint is called "FILE:CHECKPOINT".

    Rows of several questions or stream subsets are systems of their own: "30 labels audio+face".

    Args:
        targets: name -> target of every clip of the set, where another file has them; rows of other names are unknown.
        question, streams: take only rows of this question and of exactly these streams.
        keep_responses: also keep the answers' text, which only descriptions are scored by.
    Raises:
        ValueError: a file is missing or has no usable row.
    """
    paths = [Path(path) for path in paths]
    if len({path.stem for path in paths}) < len(paths):
        raise ValueError("two files have the same name, so their checkpoints cannot be told apart: rename one")
    found = Predictions(dict(targets or {}), {}, Problems())
    systems: dict[tuple[str, str, str], dict[str, Prediction]] = {}
    for path in paths:
        prefix = f"{path.stem}:" if len(paths) > 1 else ""
        before = found.rows
        try:
            file = path.open("rb")
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        with file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    _add_row(found, systems, line, f"{path.name}:{number}", prefix, targets is not None, keep_responses,
                             question, set(streams) if streams else None)
        if found.rows == before:
            which = "".join(f" with {key} {value}" for key, value in (("question", question), ("streams", streams))
                            if value)
            raise ValueError(f"{path}: has no rows of predictions{which}; each line must be a JSON object with a name "
                             "and a response, as `affectgpt generate` writes them")
    found.checkpoints = _named(systems)
    found.mixed = len({key[1:] for key in systems}) > 1
    return found


def _named(systems: dict[tuple[str, str, str], dict[str, Prediction]]) -> dict[str, dict[str, Prediction]]:
    """Systems by the name of their checkpoint, and by question and streams only where these differ."""
    differ = [place for place in (1, 2) if len({key[place] for key in systems}) > 1]
    return {system_name(key, differ): rows for key, rows in systems.items()}


def system_name(system: tuple[str, str, str], differ: Sequence[int]) -> str:
    """Name of (checkpoint, question, streams) among systems that differ in these places beside the checkpoint."""
    return " ".join([system[0], *(system[place] or "(none)" for place in differ)])


def parse_row(line: bytes) -> dict[str, Any] | None:
    """A line of predictions; None where it is no JSON object with a name."""
    try:
        row = json.loads(line.decode())
        return row if isinstance(row["name"], str) and row["name"] else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


_UNRATED = (None, None)


def _add_row(found: Predictions, systems: dict, line: bytes, place: str, prefix: str, closed: bool,
             keep_responses: bool, question: str | None, streams: set[str] | None) -> None:
    row = parse_row(line)
    if row is None:
        found.problems.add("unreadable_row", place)
        return
    name = row["name"]
    if question is not None and row.get("question") != question or \
            streams is not None and streams != set(row.get("streams") or ()):
        return
    found.rows += 1
    if closed and name not in found.targets:
        found.problems.add("unknown_name", f"{name} in {place}")
        return
    target = row.get("target")
    if found.targets.get(name) is None:
        found.targets[name] = target
    elif target is not None and not closed and not _equal(target, found.targets[name]):
        found.problems.add("target_differs", f"{name} in {place}")
    response, labels = row.get("response"), row.get("labels_raw")
    if len(line) > LONG_ANSWER and any(isinstance(text, str) and len(text) > LONG_ANSWER
                                       for text in (response, labels)):
        found.problems.add("long_answer", f"{name} in {place}")
    prediction = Prediction(labels if isinstance(labels, str | list) else None,
                            row["sentiment_raw"] if isinstance(row.get("sentiment_raw"), str) else None,
                            _valence(row, found.problems, place) if "valence" in row else None,
                            response if keep_responses and isinstance(response, str) else None,
                            (_rating(row, "clue_rating"), _rating(row, "label_rating"))
                            if "clue_rating" in row or "label_rating" in row else _UNRATED)
    key = (f"{prefix}{row.get('checkpoint', 'only')}", str(row.get("question") or ""),
           "+".join(map(str, row["streams"])) if isinstance(row.get("streams"), list) else "")
    checkpoint = systems.setdefault(key, {})
    if name in checkpoint:
        found.problems.add("duplicate", f"{name} in {place}")
        if checkpoint[name] != prediction:
            found.problems.add("duplicate_differs", f"{name} in {place}")
        return
    checkpoint[name] = prediction


def _equal(first: Any, second: Any) -> bool:
    return first == second or first != first and second != second  # NaN is like NaN


def _valence(row: dict, problems: Problems, place: str) -> float | None:
    if row.get("valence") is None:
        return None
    try:
        value = float(row["valence"])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        problems.add("bad_valence", f"{row['name']} in {place}")
        return None
    return value


def _rating(row: dict, key: str) -> float | None:
    value = row.get(key)
    return float(value) if isinstance(value, int | float) and 0 <= value <= 10 else None


def read_targets(path: str | Path) -> dict[str, Any]:
    """name -> target, from JSON Lines with `name` and `target`, or from a CSV with `name` and `target` or `openset`.

    Raises:
        ValueError: no such file, a row without a name or target, or a name that occurs twice.
    """
    import csv

    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file)) if path.suffix.lower() == ".csv" else \
                [json.loads(line) for line in file if line.strip()]
    except (OSError, json.JSONDecodeError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of targets ({error})") from error
    targets: dict[str, Any] = {}
    for number, row in enumerate(rows, start=1):
        target = (row.get("target") if row.get("target") is not None else row.get("openset")) \
            if isinstance(row, dict) else None
        if target is None or not row.get("name"):
            raise ValueError(f"{path}: row {number} has no name or no target")
        if row["name"] in targets:
            raise ValueError(f"{path}: row {number}: the name {row['name']} occurs twice")
        targets[row["name"]] = target
    return targets
