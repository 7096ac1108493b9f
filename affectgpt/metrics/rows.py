"""Rows of predictions (JSON Lines): the one owner of their format and of what can be wrong with them.

    {"checkpoint": 30, "name": "sample_00001998", "target": "worried", "response": "The character's ...",
     "labels_raw": "[concerned, stressed]", "sentiment_raw": "negative", "valence": -0.4}

`target` is an emotion word (basic sets), a valence (sentiment sets), a list of labels (open-vocabulary sets) or a
description (EMER). `affectgpt generate` writes the first four, `affectgpt label` the rest. Nothing is dropped in
silence: what cannot be used is counted in `Problems`, with its place.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from pathlib import Path
from typing import Any, NamedTuple

EXAMPLES = 5
LONG_ANSWER = 100_000
"""Characters from which an answer is reported as too long to be one."""
STRAY = 0.05
"""A question, or set of streams, with fewer rows than this share of the most frequent one is no system of its own."""
LARGEST = 1e6
"""Greatest valence or rating that is taken for a number."""


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
    "stray": "rows with a question or streams that hardly any other row has, left out (score them with --question)",
    "refusal": "answers that were refused, counted as missing", "empty": "answers without a word, counted as missing",
    "skipped": "clips that could not be asked about, counted as missing",
    "unread": "answers in a language that was not read, counted as missing",
    "no_answer": "rows that say they hold no answer, counted as missing",
    "class_ids": "targets that are 0, 1 and 2 alone: where these number classes, they are no valences; make them "
                 "polarity words",
    "no_text": "rows without an answer's text, counted as missing",
    "no_class": "answers without a label that is in a class, counted as wrong",
    "not_given": "answers that say they give none (a refusal in words, none of the options), counted as wrong",
    "unreadable": "answers that name none of the options, or several, never guessed",
    "odd_value": "rows with a number that JSON does not have, or with half a character: null or replaced",
    "odd_label": "answers that are lists with something else than text in them: that was left out",
    "odd_response": "rows whose response is neither text nor a list: left as they are",
    "long_answer": f"answers of more than {LONG_ANSWER:,} characters",
}


FACTS = ("group", "speaker", "sex", "language_of_clip", "language", "corpus", "seconds", "face_found", "extractor",
         "labels_from", "question", "model", "rated_by", "cut_off", "no_answer", "confidence", "media", "streams",
         "synonym_groups", "options", "task", "pair", "role", "swapped")
"""Keys of a row that are kept beside what is scored: of the clip, of how its answer was made, for reports."""
_SCORED = frozenset({"checkpoint", "name", "target", "response", "labels_raw", "sentiment_raw", "valence"})
NO_ANSWER = ("refusal", "empty", "skipped", "unread")
_NOTHING: Mapping[str, Any] = {}


class Prediction(NamedTuple):
    """One row: what is scored, and `facts`, which has those of `FACTS` that the row has, as they are in the file."""

    labels_raw: str | list | None = None
    sentiment_raw: str | None = None
    valence: float | None = None
    response: str | None = None
    ratings: tuple[float | None, float | None] = (None, None)
    facts: Mapping[str, Any] = _NOTHING

    @property
    def no_answer(self) -> str | None:
        """Why this is no answer: one of `NO_ANSWER`, "no_answer" for another reason, None where it is one."""
        if not self.facts:
            return None
        reason = self.facts.get("no_answer")
        return None if not reason else reason if reason in NO_ANSWER else "no_answer"

    @property
    def confidence(self) -> float | None:
        """How sure the model was, 0 to 1."""
        value = self.facts.get("confidence")
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1 \
            else None

    @property
    def media(self) -> str | None:
        """The clip's file."""
        value = self.facts.get("media")
        return value if isinstance(value, str) else None

    @property
    def streams(self) -> tuple[str, ...] | None:
        """What was shown."""
        value = self.facts.get("streams")
        return tuple(map(str, value)) if isinstance(value, list) and value else None


@dataclass
class Predictions:
    """Predictions of one set.

    Attributes:
        targets: name -> target as it is in the file, in the order of the file.
        checkpoints: checkpoint -> name -> prediction, in the order of the file.
        mixed: whether these are told apart by question or streams too, so that they are not runs of one system.
        systems: checkpoint -> (checkpoint as the rows name it, question, streams joined by "+").
    """

    targets: dict[str, Any]
    checkpoints: dict[str, dict[str, Prediction]]
    problems: Problems
    rows: int = 0
    mixed: bool = False
    systems: dict[str, tuple[str, str, str]] = field(default_factory=dict)


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
        prefix, shown = f"{path.stem}:" if len(paths) > 1 else "", path.name
        before = found.rows
        try:
            file = path.open("rb")
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        with file, no_collecting():
            for number, line in enumerate(file, start=1):
                if not line.strip():
                    continue
                row = parse_row(line)
                if row is None:
                    found.problems.add("unreadable_row", f"{shown}:{number}")
                elif (question is None or row.get("question") == question) and \
                        (streams is None or set(_streams(row).split("+")) == set(streams)):
                    _add_row(found, systems, row, len(line), (shown, number), prefix, targets is not None,
                             keep_responses)
        if found.rows == before:
            which = "".join(f" with {key} {value}" for key, value in (("question", question), ("streams", streams))
                            if value)
            raise ValueError(f"{path}: has no rows of predictions{which}; each line must be a JSON object with a name "
                             "and a response, as `affectgpt generate` writes them")
    if question is None or streams is None:
        _join_silent(systems)
        _leave_strays_out(systems, found.problems)
    differ = [place for place in (1, 2) if len({key[place] for key in systems}) > 1]
    found.systems = {system_name(key, differ): key for key in systems}
    found.checkpoints = {system_name(key, differ): rows for key, rows in systems.items()}
    found.mixed = bool(differ)
    return found


@contextlib.contextmanager
def no_collecting():
    """Without looking for cycles, which rows and their scores do not have and which takes a tenth of the time."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def system_name(system: tuple[str, str, str], differ: Sequence[int]) -> str:
    """Name of (checkpoint, question, streams) among systems that differ in these places beside the checkpoint."""
    return " ".join([system[0], *(system[place] or "(none)" for place in differ)])


def _join_silent(systems: dict[tuple[str, str, str], dict[str, Prediction]]) -> None:
    """Rows that say no question or streams belong to the one system of their checkpoint that does, where that has none
    of their clips: a clip that was skipped, for example, was never asked about."""
    for key in [key for key in systems if not all(key[1:])]:
        others = [other for other in systems if other != key and other[0] == key[0]
                  and all(mine in ("", theirs) for mine, theirs in zip(key[1:], other[1:], strict=True))]
        if len(others) == 1 and len(systems[key]) <= len(systems[others[0]]) and \
                not systems[key].keys() & systems[others[0]].keys():
            systems[others[0]].update(systems.pop(key))


def _leave_strays_out(systems: dict[tuple[str, str, str], dict[str, Prediction]], problems: Problems) -> None:
    """Forget single rows of another question or other streams than all the rest: they are no system of their own."""
    sizes: Counter[tuple[str, str]] = Counter()
    for key, rows in systems.items():
        sizes[key[1:]] += len(rows)
    least = STRAY * max(sizes.values(), default=0)
    for key in [key for key in systems if sizes[key[1:]] < least]:
        for name in systems.pop(key):
            problems.add("stray", f"{name} at {key[0]}, {' '.join(filter(None, key[1:])) or 'neither said'}")


_SCAN = json.JSONDecoder().scan_once


def parse_row(line: bytes) -> dict[str, Any] | None:
    """A line of predictions; None where it is no JSON object with a name."""
    try:
        text = line.decode().strip().lstrip("\ufeff")
        row, end = _SCAN(text, 0)
        return row if end == len(text) and isinstance(row["name"], str) and row["name"] else None
    except (ValueError, KeyError, TypeError, RecursionError, StopIteration):
        return None


_UNRATED = (None, None)


def _add_row(found: Predictions, systems: dict, row: dict, size: int, place: tuple[str, int], prefix: str,
             closed: bool, keep_responses: bool) -> None:
    name = row["name"]
    found.rows += 1

    def problem(kind: str) -> None:
        found.problems.add(kind, f"{name} in {place[0]}:{place[1]}")

    if closed and name not in found.targets:
        problem("unknown_name")
        return
    target = row.get("target")
    known = found.targets.get(name)
    if known is None:
        found.targets[name] = target
    elif target is not None and target != known and not closed and not _equal(target, known):
        problem("target_differs")
    response, labels = row.get("response"), row.get("labels_raw")
    if size > LONG_ANSWER and any(isinstance(text, str) and len(text) > LONG_ANSWER for text in (response, labels)):
        problem("long_answer")
    if type(labels) is not str and labels is not None:
        texts = [label for label in labels if isinstance(label, str)] if isinstance(labels, list) else []
        if texts != labels:
            problem("odd_label")
        labels = texts if texts or labels == [] else None
    valence, ratings, facts = None, _UNRATED, _NOTHING
    if not row.keys() <= _SCORED:
        facts = {key: row[key] for key in FACTS if key in row}
        if "clue_rating" in row or "label_rating" in row:
            ratings = _rating(row.get("clue_rating")), _rating(row.get("label_rating"))
    if row.get("valence") is not None:
        valence = number(row["valence"])
        if valence is None or not math.isfinite(valence):
            problem("bad_valence")
            valence = None
    sentiment = row.get("sentiment_raw")
    prediction = Prediction(labels, sentiment if isinstance(sentiment, str) else None, valence,
                            response if keep_responses and isinstance(response, str) else None, ratings, facts)
    step = row.get("checkpoint", "only")
    key = (prefix + (step if type(step) is str else _told(step)),
           *((_told(row.get("question") or ""), _streams(row)) if facts else ("", "")))
    checkpoint = systems.setdefault(key, {})
    if name in checkpoint:
        problem("duplicate")
        if checkpoint[name][:-1] != prediction[:-1] or checkpoint[name].no_answer != prediction.no_answer:
            problem("duplicate_differs")
        return
    checkpoint[name] = prediction


def _told(value: Any) -> str:
    """A value as part of a name; what is neither text nor a number by its kind."""
    return value if type(value) is str else str(value) if isinstance(value, int | float | None) else \
        f"({type(value).__name__})"


def _streams(row: dict) -> str:
    """Streams joined by "+"; "" where the row does not say."""
    streams = row.get("streams")
    return "+".join(map(_told, streams)) if isinstance(streams, list) else ""


def _equal(first: Any, second: Any) -> bool:
    try:
        return first == second or first != first and second != second  # NaN is like NaN
    except RecursionError:
        return False


def number(value: Any) -> float | None:
    """A number, or its text, as a float; None for anything else and for what no measure of feeling can be."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Real) or \
            isinstance(value, str) and "_" in value:
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return None if abs(found) > LARGEST else found


def _rating(value: Any) -> float | None:
    found = None if isinstance(value, str) else number(value)
    return found if found is not None and 0 <= found <= 10 else None


def read_targets(path: str | Path) -> dict[str, Any]:
    """name -> target, from JSON Lines with `name` and `target`, or from a CSV with `name` and `target` or `openset`.

    A CSV file of preferences (`name`, `a1`, `a2`, `preference`) is read as `preference.name_pairs` says, and a .json
    file as `question_files` does.

    Raises:
        ValueError: no such file, a row without a name or target, or a name that occurs twice.
    """
    import csv

    path = Path(path)
    if path.suffix.lower() == ".json":
        from affectgpt.metrics.question_files import read_questions

        return _by_name(path, read_questions(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file)) if path.suffix.lower() == ".csv" else \
                [json.loads(line) for line in file if line.strip()]
    except (OSError, json.JSONDecodeError, csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a list of targets ({error})") from error
    if rows and isinstance(rows[0], dict) and {"name", "a1", "a2", "preference"} <= rows[0].keys():
        from affectgpt.metrics.preference import name_pairs

        rows = name_pairs(rows)
    return _by_name(path, rows)


def _by_name(path: Path, rows: list) -> dict[str, Any]:
    targets: dict[str, Any] = {}
    for number, row in enumerate(rows, start=1):
        target = next((row[key] for key in ("target", "openset") if row.get(key) is not None), None) \
            if isinstance(row, dict) else None
        if target is None or not row.get("name") or not isinstance(row["name"], str):
            raise ValueError(f"{path}: row {number} has no name or no target")
        if row["name"] in targets:
            raise ValueError(f"{path}: row {number}: the name {row['name']} occurs twice")
        targets[row["name"]] = target
    return targets
