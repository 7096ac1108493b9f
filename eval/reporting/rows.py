"""Rows of predictions by what a report groups them by, and which answers are right.

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
from affectgpt.metrics.benchmark import KIND, QUESTIONS, target_problem
from affectgpt.metrics.labelsets import Placer
from affectgpt.metrics.openset import harmonic_mean
from affectgpt.metrics.rows import Prediction, Problems, read_predictions
from affectgpt.metrics.sets import EvaluationSet, row_of
from affectgpt.metrics.wheels import WHEELS

Streams = tuple[str, ...] | None


@dataclass(frozen=True)
class Row:
    """One answer about a clip; None for what its row does not say."""

    name: str
    target: Any
    prediction: Prediction

    @property
    def answered(self) -> bool:
        """False where the row says itself that it holds no answer."""
        return self.prediction.no_answer is None

    @property
    def response(self) -> str:
        """The answer's text, "" for none."""
        return self.prediction.response or ""

    @property
    def labels(self) -> str | list | None:
        """Its labels."""
        return self.prediction.labels_raw if self.answered else None

    @property
    def sentiment(self) -> str | None:
        """Its polarity."""
        return self.prediction.sentiment_raw if self.answered else None

    @property
    def confidence(self) -> float | None:
        """How sure the model was, 0 to 1."""
        return self.prediction.confidence

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the row says of its clip and of how its answer was made."""
        return self.prediction.facts


@dataclass
class Answers:
    """Rows of one set: checkpoint -> streams -> name -> row.

    question: what the rows answer ("" where they do not say); rows of other questions are counted in `other`. models:
    what made them. joined: streams as the names of results have them.
    """

    checkpoints: dict[str, dict[Streams, dict[str, Row]]]
    models: list[str]
    question: str
    other: int
    problems: Problems
    joined: dict[Streams, str] = field(default_factory=dict)


ASKED = {"description": ("description",), "sentiment": ("labels", "sentiment", "description")}
"""Kind of set -> questions, the one to describe first; of other kinds the labels."""


def read_rows(paths: Sequence[Path], kind: str, question: str | None = None,
              targets: Mapping[str, Any] | None = None) -> Answers:
    """Rows of labelled files that answer one question.

    Args:
        kind: of the set; of several questions it says which one is described.
        question: the one to describe instead.
        targets: name -> target, where the rows have none.
    Raises:
        ValueError: a file that cannot be read or has no row at all, or no row that answers the question.
    """
    read = read_predictions(paths, dict(targets) if targets else None, keep_responses=True)
    asked: Counter[str] = Counter()
    for key, rows in read.checkpoints.items():
        asked[read.systems[key][1]] += len(rows)
    if question is not None and question not in asked:
        raise ValueError(f"--question {question}: the rows answer "
                         f"{', '.join(filter(None, asked)) or 'none that is named'}")
    often = most_often(asked)
    chosen = question if question is not None else next((name for name in ASKED.get(kind, ("labels",))
                                                         if name in often), often[0])
    found = Answers({}, [], chosen, asked.total() - asked[chosen], read.problems)
    models: dict[str, None] = {}
    for key, rows in read.checkpoints.items():
        checkpoint, of, joined = read.systems[key]
        if of != chosen:
            continue
        streams = next(iter(rows.values())).streams
        found.joined.setdefault(streams, joined)
        found.checkpoints.setdefault(checkpoint, {}).setdefault(streams, {}).update(
            {name: Row(name, read.targets.get(name), row) for name, row in rows.items()})
        models |= {row.facts["model"]: None for row in rows.values() if isinstance(row.facts.get("model"), str)}
    found.models = list(models)
    return found


def most_often(counts: Mapping[Any, int]) -> list:
    """Those that occur at least half as often as the most frequent one: few odd rows are not what a report is of."""
    return [key for key, count in counts.items() if 2 * count >= max(counts.values())]


def main_streams(groups: Mapping[Streams, Mapping[str, Row]]) -> Streams:
    """The most streams that more than a few rows were made with; what the report is about."""
    often = most_often({streams: len(rows) for streams, rows in groups.items()})
    return max(often, key=lambda streams: (len(streams or ()), len(groups[streams])))


class Judge:
    """Says of single answers whether they are right, strictly.

    A label answer is right where its first label has the target's place (a place of one of the targets) on at least
    three of the five wheels; a sentiment answer where it names the target's class; a closed answer where it is the
    right one. Descriptions and grouped synonyms have a score and no such verdict.

    Args:
        one: the set, or the name of a kind.
        lexicon: tables with `root` and `polarity`.
    """

    def __init__(self, one: EvaluationSet | str, lexicon):
        self.set = row_of(one)
        self.kind, self.lexicon, self.placer = self.set.kind, lexicon, Placer(lexicon, strict=True)

    @property
    def decides(self) -> bool:
        """False for kinds whose answers have no verdict."""
        return self.kind in ("basic", "openset", "sentiment", *QUESTIONS)

    def usable(self, row: Row) -> bool:
        """True where the row's target is of this kind."""
        return target_problem(self.set, row.target, row.facts) is None

    def right(self, row: Row) -> bool | None:
        """None for kinds without a verdict."""
        if not self.decides:
            return None
        if self.kind == "sentiment":
            return sentiment.polarity_word(row.sentiment) == polarity_class(row.target)
        if self.kind in QUESTIONS:
            return self._closed(row) == 1
        if row.labels is None:
            return False
        said, wanted = self.placer.first_roots(row.labels), self.placer.roots(row.target)
        return sum(root in roots for root, roots in zip(said, wanted, strict=True)) >= 3

    def _closed(self, row: Row) -> float:
        """Share right of one clip alone."""
        from affectgpt.metrics import questions

        answer = self.said(row)
        made = questions.columns(self.set, [row.target], [row.facts], [answer], True)
        return float(made.scores()["war" if self.kind == "class" else "accuracy"])

    def said(self, row: Row) -> str | list | None:
        """What of the answer is scored; None for a missing one."""
        return getattr(row.prediction, KIND[self.kind].answer) if row.answered else None

    def score(self, row: Row) -> float:
        """Strict score of one clip, 0 to 1."""
        if self.kind == "description":
            return harmonic_mean(*emer.clue_overlap(str(row.target), row.response))
        if not KIND[self.kind].wheels or row.labels is None:
            return float(bool(self.right(row)))
        pairs = zip(self.placer.roots(row.target), self.placer.roots(row.labels), strict=True)
        return sum(2 * len(a & b) / (len(a) + len(b)) for a, b in pairs) / len(WHEELS)


def polarity_class(target: Any) -> str:
    """Negative, neutral or positive."""
    value = sentiment.target_value(target)
    return "neutral" if not value else "positive" if value > 0 else "negative"
