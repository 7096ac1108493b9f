"""One of a closed set of classes (DFEW, MAFW, RAVDESS, CREMA-D): weighted and unweighted recall.

WAR (weighted average recall) is the accuracy, UAR (unweighted average recall) the mean over classes of their recall,
of classes that have targets. An answer is its first label alone, so naming many emotions wins nothing.

published: the label must be a class as the set spells it; an answer that names none is wrong, a missing one is left
    out.
strict: a label also stands for the class of its own family of words ("joyful" is happy); missing answers are wrong.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.sentiment import macro_f1_of, weighted_f1_of
from affectgpt.metrics.stats import Columns, ratio

Labels = Mapping[str, Sequence[str]]


@functools.lru_cache(maxsize=64)
def _classes(labels: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[dict[str, str], dict[str, str]]:
    """(spelling -> class, family or basic emotion of the lexicon -> class) of a closed set."""
    from affectgpt.words import lexicon

    words = lexicon.load()
    spellings = {_plain(spelling): label for label, more in labels for spelling in (label, *more)}
    families: dict[str, set[str]] = {}
    for spelling, label in spellings.items():
        family = words.family(spelling)
        if family:
            families.setdefault(family, set()).add(label)
    found = {family: next(iter(names)) for family, names in families.items() if len(names) == 1}
    for label, more in labels:  # what shares the basic emotion of a class, where no class is nearer
        for basic in {words.basic_emotion(spelling) for spelling in (label, *more)} - {None}:
            found.setdefault(f"basic {basic}", label)
    return spellings, found


def _frozen(labels: Labels) -> tuple[tuple[str, tuple[str, ...]], ...]:
    return tuple((label, tuple(more)) for label, more in labels.items())


def _plain(text: str) -> str:
    return " ".join(text.replace("_", " ").split()).strip(" .!\"'").lower()


def target_class(labels: Labels, target: object) -> str | None:
    """The class that a target names as the set spells it; None where it names none."""
    if isinstance(target, int) and not isinstance(target, bool) and abs(target) < 1000:
        target = str(target)  # numbers of classes, where the set's row lists them
    return _classes(_frozen(labels))[0].get(_plain(target)) if isinstance(target, str) else None


def said_class(labels: Labels, raw: str | list | None, strict: bool) -> str | None:
    """The class that the first label of an answer stands for; None where it stands for none."""
    if raw is None or isinstance(raw, list) and not all(isinstance(label, str) for label in raw):
        return None
    first = next(iter(parse_labels(raw)), None)
    if first is None:
        return "neutral" if strict and "neutral" in labels else None
    spellings, families = _classes(_frozen(labels))
    label = spellings.get(_plain(first))
    if label is not None or not strict:
        return label
    from affectgpt.words import lexicon

    words = lexicon.load()
    return families.get(words.family(first) or "") or families.get(f"basic {words.basic_emotion(first)}")


def columns(labels: Labels, targets: Sequence[str], answers: Sequence[str | list | None], strict: bool) -> Columns:
    """Cells of the table of target classes against answered classes and "none of them"."""
    names = list(labels)
    size = len(names)
    values = np.zeros((len(targets), size * (size + 1)))
    known: dict[str | None, int] = {}
    for index, (target, answer) in enumerate(zip(targets, answers, strict=True)):
        if answer is None and not strict:
            continue
        key = answer if isinstance(answer, str) or answer is None else str(answer)
        if key not in known:
            said = said_class(labels, answer, strict)
            known[key] = size if said is None else names.index(said)
        values[index, names.index(target_class(labels, target)) * (size + 1) + known[key]] = 1

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        table = sums.reshape(*sums.shape[:-1], size, size + 1)
        had, hits = table.sum(-1), np.diagonal(table, axis1=-2, axis2=-1)
        recall, there = ratio(hits, had), had > 0
        mean = ratio(np.where(there, recall, 0).sum(-1), there.sum(-1))
        return {"war": ratio(hits.sum(-1), had.sum(-1)), "uar": mean, "waf": weighted_f1_of(table),
                "macro_f1": macro_f1_of(table),
                **{f"recall:{name}": recall[..., place] for place, name in enumerate(names)}}

    return Columns(values, finish)
