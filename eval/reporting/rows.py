"""Rows of predictions as a report reads them, and which answers are right.

Judged strictly, with the project's own table of emotion words (`affectgpt.words.lexicon`), so that a report needs the
rows and nothing else. Every value in a row is untrusted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from affectgpt.metrics import emer, sentiment
from affectgpt.metrics.benchmark import target_problem
from affectgpt.metrics.groups import TRAITS
from affectgpt.metrics.labelsets import Placer
from affectgpt.metrics.openset import harmonic_mean
from affectgpt.metrics.rows import Prediction, parse_row
from affectgpt.metrics.wheels import WHEELS

Streams = tuple[str, ...] | None


@dataclass(frozen=True)
class Row:
    """One answer; None for what its row does not say. facts: what it says of its clip (`metrics.groups`)."""

    name: str
    target: Any
    response: str
    labels: str | list | None
    sentiment: str | None
    confidence: float | None
    media: str | None
    streams: Streams
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def prediction(self) -> Prediction:
        """As the scores see it."""
        return Prediction(self.labels, self.sentiment, None, self.response)


@dataclass
class Answers:
    """Rows of one set: checkpoint -> streams -> name -> row, the first of two rows of one name.

    question: what the rows answer ("" where they do not say); rows of other questions are counted in `other`. models:
    what made them. unreadable, repeated: rows left out for that.
    """

    checkpoints: dict[str, dict[Streams, dict[str, Row]]]
    models: list[str]
    question: str = ""
    rows: int = 0
    unreadable: int = 0
    repeated: int = 0
    other: int = 0


FACTS = ("group", *TRAITS)
QUESTIONS = {"description": ("description",), "sentiment": ("labels", "sentiment", "description")}
"""Kind of set -> questions, the one to describe first; of other kinds the labels."""


def read_rows(paths: Sequence[Path], kind: str, known: Sequence[str] = (), question: str | None = None) -> Answers:
    """Rows of labelled files that answer one question.

    Args:
        kind: of the set; of several questions it says which one is described.
        known: checkpoints of the results; of several files they are called "FILE:CHECKPOINT".
        question: the one to describe instead.
    Raises:
        ValueError: a file that cannot be read or has no row at all, or no row that answers the question.
    """
    found, models = Answers({}, []), {}
    read: list[tuple[str, str, dict]] = []
    for path in paths:
        before = found.rows
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError as error:
            raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
        for line in filter(bytes.strip, lines):
            values = parse_row(line)
            if values is None:
                found.unreadable += 1
                continue
            found.rows += 1
            key, asked = str(values.get("checkpoint", "only")), str(values.get("question") or "")
            prefixed = f"{path.stem}:{key}"
            if any(name == prefixed or name.startswith(f"{prefixed} ") for name in known):
                key = prefixed
            read.append((key, asked, values))
        if found.rows == before:
            raise ValueError(f"{path}: has no rows of predictions")
    asked = Counter(row[1] for row in read)
    if question is not None and question not in asked:
        raise ValueError(f"--question {question}: the rows answer "
                         f"{', '.join(filter(None, asked)) or 'none that is named'}")
    often = most_often(asked)
    found.question = question if question is not None else next(
        (name for name in QUESTIONS.get(kind, ("labels",)) if name in often), often[0])
    for key, question_of_row, values in read:
        if question_of_row != found.question:
            found.other += 1
            continue
        row = _row(values)
        group = found.checkpoints.setdefault(key, {}).setdefault(row.streams, {})
        found.repeated += row.name in group
        group.setdefault(row.name, row)
        if isinstance(values.get("model"), str):
            models[values["model"]] = None
    found.models = list(models)
    return found


def _row(values: dict) -> Row:
    def text(key: str) -> str | None:
        return values[key] if isinstance(values.get(key), str) else None

    confidence, labels, streams = values.get("confidence"), values.get("labels_raw"), values.get("streams")
    sure = isinstance(confidence, int | float) and not isinstance(confidence, bool) and 0 <= confidence <= 1
    whole = isinstance(labels, str) or isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    return Row(values["name"], values.get("target"), text("response") or "", labels if whole else None,
               text("sentiment_raw"), float(confidence) if sure else None, text("media"),
               tuple(map(str, streams)) if isinstance(streams, list) and streams else None,
               {key: values[key] for key in FACTS if key in values})


def most_often(counts: Mapping[Any, int]) -> list:
    """Those that occur at least half as often as the most frequent one: single odd rows are no system of their own."""
    return [key for key, count in counts.items() if 2 * count >= max(counts.values())]


def main_streams(groups: dict[Streams, dict[str, Row]]) -> Streams:
    """The most streams that more than a few rows were made with; what the report is about."""
    often = most_often({streams: len(rows) for streams, rows in groups.items()})
    return max(often, key=lambda streams: (len(streams or ()), len(groups[streams])))


class Judge:
    """Says of single answers whether they are right, strictly.

    A label answer is right where its first label has the target's place (a place of one of the targets) on at least
    three of the five wheels; a sentiment answer where it names the target's class. Descriptions have a score and no
    such verdict.

    Args:
        kind: of the set, one of `benchmark.KINDS`.
        lexicon: tables with `root` and `polarity`.
    """

    def __init__(self, kind: str, lexicon):
        self.kind, self.lexicon, self.placer = kind, lexicon, Placer(lexicon, strict=True)

    def usable(self, target: Any) -> bool:
        """True where a target is of this kind."""
        return target_problem(self.kind, target) is None

    def right(self, row: Row) -> bool | None:
        """None for descriptions."""
        if self.kind == "description":
            return None
        if self.kind == "sentiment":
            return sentiment.polarity_word(row.sentiment) == polarity_class(row.target)
        if row.labels is None:
            return False
        said, wanted = self.placer.first_roots(row.labels), self.placer.roots(row.target)
        return sum(root in roots for root, roots in zip(said, wanted, strict=True)) >= 3

    def score(self, row: Row) -> float:
        """Strict score of one clip, 0 to 1."""
        if self.kind == "description":
            return harmonic_mean(*emer.clue_overlap(str(row.target), row.response))
        if self.kind == "sentiment" or row.labels is None:
            return float(bool(self.right(row)))
        pairs = zip(self.placer.roots(row.target), self.placer.roots(row.labels), strict=True)
        return sum(2 * len(a & b) / (len(a) + len(b)) for a, b in pairs) / len(WHEELS)


def polarity_class(target: Any) -> str:
    """Negative, neutral or positive."""
    value = sentiment.target_value(target)
    return "neutral" if not value else "positive" if value > 0 else "negative"
