"""Set-level scores by their definition, clip by clip: what the columns of `metrics.labelsets` are held against."""

from __future__ import annotations

import math
from collections.abc import Sequence

from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.openset import harmonic_mean, precision_recall, published_list, published_roots, strict_roots
from affectgpt.metrics.wheels import WHEELS


def set_scores(targets: Sequence, predictions: Sequence, tables, level: str = "level1",
               strict: bool = False) -> dict:
    """Set-level scores of a corpus, between 0 and 1.

    F is made of the means of precision and recall over clips, wheel by wheel, and then averaged over the five wheels
    (OV-MER, arXiv 2410.01495); `sample_f` is the mean over clips of 2 |Y and Y'| / (|Y| + |Y'|).

    Args:
        targets: a list of labels, or its printed form, for each clip.
        predictions: the same; None for a missing answer, which is wrong.
    Returns:
        precision, recall, f, sample_f (means over wheels), scored (wheel -> clips), per_wheel (wheel -> f).
        NaN where no clip has a target on some wheel.
    """
    read, roots = (parse_labels, strict_roots) if strict else (published_list, published_roots)
    wanted = [read(target) for target in targets]
    given = [None if prediction is None else read(prediction) for prediction in predictions]
    rows, scored = [], {}
    for wheel in WHEELS:
        triples = []
        for target, prediction in zip(wanted, given, strict=True):
            goal = roots(target, tables, wheel, level)
            if not goal:
                continue
            answer = frozenset() if prediction is None else roots(prediction, tables, wheel, level)
            triples.append((*precision_recall(goal, answer), 2 * len(goal & answer) / (len(goal) + len(answer))))
        scored[wheel] = len(triples)
        means = [sum(column) / len(triples) for column in zip(*triples, strict=True)] if triples else [math.nan] * 3
        rows.append((means[0], means[1], harmonic_mean(*means[:2]) if triples else math.nan, means[2]))
    precision, recall, f, sample_f = (sum(column) / len(WHEELS) for column in zip(*rows, strict=True))
    return {"precision": precision, "recall": recall, "f": f, "sample_f": sample_f, "scored": scored,
            "per_wheel": {wheel: row[2] for wheel, row in zip(WHEELS, rows, strict=True)}}
