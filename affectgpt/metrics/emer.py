"""EMER: how far a description's clues and labels overlap with those of a human-checked one.

The published scores (Lian et al., Explainable Multimodal Emotion Reasoning, arXiv 2306.15401) are ratings from 0 to 10
by an LLM: of the overlap of clues, and of the overlap of summarised emotional states. `affectgpt judge` asks for them
(`extractors.judge`) and writes them into rows as `clue_rating`, `label_rating` and `rated_by`, since ratings compare
only with those of the same judge. The strict score needs no judge: the shared content words of the two descriptions.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from affectgpt.metrics.openset import harmonic_mean
from affectgpt.metrics.rows import Prediction
from affectgpt.metrics.stats import Columns, ratio

# Words that say nothing about a clip: function words, and the frame of every description.
_EMPTY = frozenset("""
a about all also an and any are as at be because been being but by can character clip could did do does for from further
had has have he her hers him his how i if in indicate indicates indicating into is it its itself likely may might more
most not of on one or other our overall person's person seem seems she should show shows showing so some such suggest
suggests suggesting than that the their them then there therefore these they this those through to video was we were
what when which while who will with would you your
""".split())


@functools.lru_cache(maxsize=65536)
def _lemma(word: str) -> str:
    import simplemma

    return simplemma.lemmatize(word, lang="en").lower()


def content_words(text: str) -> Counter[str]:
    """Lemmas of the words that say something, with how often they occur."""
    words = re.findall(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?", text.lower())
    return Counter(_lemma(word) for word in words if word not in _EMPTY)


def clue_overlap(reference: str, prediction: str) -> tuple[float, float]:
    """Precision and recall of a description's content words; 0 and 0 where nothing is shared."""
    wanted, given = content_words(reference), content_words(prediction)
    shared = sum((wanted & given).values())
    return (shared / sum(given.values()), shared / sum(wanted.values())) if shared else (0.0, 0.0)


def columns(targets: Sequence[str], rows: Sequence[Prediction | None], mode: str) -> Columns:
    """Published: the judge's ratings as shares of 10, rows without one left out. Strict: content-word overlap."""
    if mode == "published":
        values = np.zeros((len(targets), 4))
        for index, row in enumerate(rows):
            for place, rating in enumerate(row.ratings if row else (None, None)):
                if rating is not None:
                    values[index, 2 * place : 2 * place + 2] = 1, rating / 10
        return Columns(values, lambda sums: {"clue_overlap": ratio(sums[..., 1], sums[..., 0]),
                                             "label_overlap": ratio(sums[..., 3], sums[..., 2])})
    values = np.ones((len(targets), 4))
    for index, (target, row) in enumerate(zip(targets, rows, strict=True)):
        precision, recall = clue_overlap(str(target), row.response if row and row.response else "")
        values[index, 1:] = precision, recall, harmonic_mean(precision, recall)
    return Columns(values, lambda sums: {name: ratio(sums[..., column], sums[..., 0]) for column, name in
                                         ((1, "clue_precision"), (2, "clue_recall"), (3, "clue_f"))})
