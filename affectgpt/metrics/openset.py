"""Sets of open-vocabulary labels: how answers are read, placed on emotion wheels, and compared with a target.

`tables` is anything with `root(label, wheel, level) -> str | None`: the official `metrics.wheels.WheelTables` or the
project's own `affectgpt.words.lexicon.Lexicon`. Two ways of counting, never mixed:

published: as the code of AffectGPT (Lian et al., arXiv 2501.16566; set metrics from OV-MER, arXiv 2410.01495) counts:
    labels that are on no wheel are dropped, of the target and of the prediction alike, and clips without a mapped
    target, every neutral one for example, are not scored.
strict: nothing is dropped. A label that is on no wheel is a class of its own, so that an invented or unknown one costs
    precision and an equal one still counts; an empty list says "neutral"; a missing answer is wrong.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence

from affectgpt.metrics.synonyms import groups_of  # noqa: F401  known by this name too
from affectgpt.words.lexicon import NEUTRAL


def published_list(raw: str | Sequence[str]) -> list[str]:
    """Labels of an answer as the official code reads them: one bracket off each end, cut at every comma and quote.

    So "can't cope" becomes two labels; a list is read as its printed form would be.
    """
    text = raw if isinstance(raw, str) else str(list(raw))
    text = text.removeprefix("[").removesuffix("]")
    return [label for part in re.split("['\",]", text) if (label := part.strip().lower())]


def published_roots(labels: Iterable[str], tables, wheel: str, level: str = "level1") -> frozenset[str]:
    """Roots of the labels that are on the wheel; the others are dropped."""
    return frozenset(root for label in labels if (root := tables.root(label, wheel, level)) is not None)


def strict_roots(labels: Sequence[str], tables, wheel: str, level: str = "level1") -> frozenset[str]:
    """Roots of all labels; one that is on no wheel stands for itself, and no label at all is neutral."""
    if not labels:
        return frozenset([NEUTRAL])
    return frozenset(tables.root(label, wheel, level) or (NEUTRAL if label == NEUTRAL else f"'{label}'")
                     for label in labels)


def precision_recall(target: frozenset[str], prediction: frozenset[str]) -> tuple[float, float]:
    """|Y and Y'| / |Y'| and |Y and Y'| / |Y| of one clip; both 0 where nothing was predicted."""
    if not prediction or not target:
        return 0.0, 0.0
    shared = len(target & prediction)
    return shared / len(prediction), shared / len(target)


def harmonic_mean(precision: float, recall: float) -> float:
    """F = 2 P R / (P + R); 0 where both are 0."""
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def synonym_group_scores(targets: Sequence[Sequence[str]], predictions: Sequence[Sequence[str]],
                         group: Callable[[str], str | None]) -> dict[str, float]:
    """The MER2024 open-vocabulary score (Lian et al., MER 2024, arXiv 2404.17113): labels are merged into groups first.

    accuracy is the mean over clips of |Y and Y'| / |Y'|, recall of |Y and Y'| / |Y|, over groups; the score is their
    mean.

    Args:
        group: label -> its group: `WheelTables.base` (forms only) or `WheelTables.canonical` (forms and synonyms), or
            `groups_of(answer)` for the groups that an LLM made; None leaves the label in a group of its own.
    """
    pairs = [(frozenset(group(label) or label for label in target),
              frozenset(group(label) or label for label in answer))
             for target, answer in zip(targets, predictions, strict=True)]
    pairs = [(target, answer) for target, answer in pairs if target]
    if not pairs:
        return {"accuracy": math.nan, "recall": math.nan, "score": math.nan, "scored": 0}
    both = [precision_recall(target, answer) for target, answer in pairs]
    accuracy, recall = (sum(column) / len(both) for column in zip(*both, strict=True))
    return {"accuracy": accuracy, "recall": recall, "score": (accuracy + recall) / 2, "scored": len(pairs)}
