"""MER2024's open-vocabulary score: labels are put into groups of synonyms by an LLM, clip by clip, then counted.

accuracy is the mean over clips of |Y and Y'| / |Y'|, recall of |Y and Y'| / |Y|, over groups; the score is their mean
(Lian et al., arXiv 2404.17113; MERTools, MER2024/main-ov.py).

published: labels and groups are read as that code reads them (cut at every quote, so "don't believe" is two; of two
    groups that have a label the last counts); clips without groups, or without an answer, are left out.
strict: labels are read whole, the first group that has a label keeps it; a label of no group is one of its own, and a
    clip without an answer counts as wrong.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np

from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.stats import Columns, ratio

_QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\uff0c\u3001", "''\"\",,")
Groups = str | Sequence[Sequence[str]] | None

_ITEM = re.compile(r"""\s*(?:'((?:[^'\\]|\\.|'(?=\w))*)'|"((?:[^"\\]|\\.)*)"|([^,]*))\s*(?:,|$)""")


def whole_labels(raw: str | Sequence[str]) -> list[str]:
    """Labels of a list as they stand between its quotes or commas, in lower case, distinct; none is taken apart.

    >>> whole_labels("['happy and satisfied', \\"don't believe\\", 'angry/displeased']")
    ['happy and satisfied', "don't believe", 'angry/displeased']
    """
    if isinstance(raw, str):
        text = raw.translate(_QUOTES).strip().removeprefix("[").removesuffix("]").strip()
        raw = [next(filter(None, found.groups()), "") for found in _ITEM.finditer(text)]
    return list(dict.fromkeys(label for part in raw if (label := " ".join(part.lower().split()))))


def official_labels(raw: str | Sequence[str]) -> list[str]:
    """Labels as the official code reads a printed list: what stands between its first brackets, cut at every quote.

    A list without quotes, which that code does not know, is cut at its commas.
    """
    text = raw if isinstance(raw, str) else str(list(raw))
    inside = text.partition("[")[2].partition("]")[0] if "[" in text else text
    if re.search("['\"]", inside):
        return [part.lower() for part in re.split("['\"]", inside) if part.strip() not in ("", ",")]
    return [label for part in inside.split(",") if (label := part.strip().lower())]


def official_groups(answer: str | Sequence[Sequence[str]]) -> dict[str, str]:
    """Label -> the first label of its group, as the official code reads an LLM's list of lists."""
    text = answer if isinstance(answer, str) else str([list(group) for group in answer])
    found: dict[str, str] = {}
    for part in re.split(r"[\[\]]", text):
        labels = [label for label in re.split("['\"]", part) if label.strip() not in ("", ",")]
        found.update(dict.fromkeys(labels, labels[0]) if labels else {})
    return found


def groups_of(answer: str | Sequence[Sequence[str]]) -> Callable[[str], str | None]:
    """label -> its group, from an LLM's list of lists of synonyms; the first group that has a label keeps it.

    Labels are whole: "happy and satisfied" in a group is one label.

    >>> groups_of("[[happy, joyful], [sad]]")("joyful")
    'happy'
    """
    lists = re.findall(r"\[([^\[\]]*)\]", answer) if isinstance(answer, str) else answer
    first: dict[str, str] = {}
    for one in lists:
        names = whole_labels(one)
        for name in names:
            first.setdefault(name, names[0])
    return lambda label: first.get(" ".join(label.lower().split()))


def columns(targets: Sequence, answers: Sequence, groups: Sequence[Groups], strict: bool) -> Columns:
    """Columns of clips: whether it counts, accuracy, recall."""
    values = np.zeros((len(targets), 3))
    for index, (target, answer, said) in enumerate(zip(targets, answers, groups, strict=True)):
        if not strict and (answer is None or not _usable(said)):
            continue
        if strict:
            group = groups_of(said) if _usable(said) else lambda label: None
            wanted, given = ({group(label) or label for label in _read(labels)} for labels in (target, answer))
        else:
            mapping = official_groups(said)
            wanted, given = ({mapping.get(label, label) for label in official_labels(labels)}
                             for labels in (target, answer))
        if wanted:
            shared = len(wanted & given)
            values[index] = 1, shared / len(given) if given else 0, shared / len(wanted)

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        accuracy, recall = ratio(sums[..., 1], sums[..., 0]), ratio(sums[..., 2], sums[..., 0])
        return {"score": (accuracy + recall) / 2, "accuracy": accuracy, "recall": recall}

    return Columns(values, finish)


def _usable(groups: Groups) -> bool:
    return isinstance(groups, str) and "[" in groups or isinstance(groups, list) and all(
        isinstance(one, list) and all(isinstance(label, str) for label in one) for one in groups)


def _read(raw: str | list | None) -> list[str]:
    if raw is None:
        return []
    quoted = isinstance(raw, list) or re.search(r"^\W*\[\s*['\"]", raw)
    return whole_labels(raw) if quoted else parse_labels(raw)
