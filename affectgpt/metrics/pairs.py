"""Questions of sets of closed answers: targets -> questions, and those that belong together, of which all must be
right."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np


def questions_of(targets: Sequence[Any], read: Callable[[Any], Any], what: str) -> list[Any]:
    """Targets as questions.

    Args:
        read: a target -> its question, None where it is none; what: the same in words ("is neither yes nor no").
    Raises:
        ValueError: a target that is no question; says which.
    """
    questions = [read(target) for target in targets]
    for number, (target, question) in enumerate(zip(targets, questions, strict=True), start=1):
        if question is None:
            raise ValueError(f"target {number} {what}: {target!r:.80}")
    return questions


def nth_name(name: str, number: int) -> str:
    """What a clip's first, second, ... pair of descriptions is called: NAME, NAME#2, ..."""
    return name if number == 1 else f"{name}#{number}"


def pair_columns(pairs: Sequence[Hashable | None], right: Sequence[bool], counted: Sequence[bool]) -> np.ndarray:
    """Per question its part of its pair and of the pair's success, [N, 2]: their sums are pairs and pairs all right.

    A pair counts where it has two questions or more and all of them are counted. Each question holds an equal part, so
    that resampled sums are exact where whole pairs are drawn (`stats.resample_counts` with these pairs as groups).

    Args:
        pairs: one name a question; None belongs to no pair.
    """
    members: dict[Hashable, list[int]] = {}
    for index, pair in enumerate(pairs):
        if pair is not None:
            members.setdefault(pair, []).append(index)
    values = np.zeros((len(pairs), 2))
    for indices in members.values():
        if len(indices) > 1 and all(counted[index] for index in indices):
            values[indices] = 1 / len(indices), all(right[index] for index in indices) / len(indices)
    return values
