"""Whole units dealt out to parts so that each part has its share of every class; always the same way.

Greedy as in iterative stratification (Sechidis et al. 2011) and for groups in sklearn's StratifiedGroupKFold: the
largest units first, each to the part where it brings the counts nearest to what they should be; then single units are
moved and pairs exchanged as long as that brings them nearer. Parts follow from the names, sizes and classes of the
units alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

ABSENT = 10.0
"""Cost of a class that a part lacks although enough units have it: more than any difference in numbers."""
EXCHANGED = 300
"""Units up to which pairs are exchanged too: with more of them moving single ones is enough."""


def drawn(unit: str) -> str:
    """What units are put in order by: by chance, but always the same."""
    return hashlib.sha256(unit.encode()).hexdigest()


def deal(units: Mapping[str, Sequence[str]], shares: Sequence[float]) -> dict[str, int]:
    """Unit -> the part that it falls to.

    Args:
        units: name -> the class of each of its clips.
        shares: share of the clips that each part should have; they sum to 1.
    Returns:
        every unit with its part. No part is empty where there are as many units as parts.
    """
    classes = sorted({name for members in units.values() for name in members})
    place = {name: number for number, name in enumerate(classes)}
    order = sorted(units, key=lambda unit: (-len(units[unit]), drawn(unit)))
    counts = np.zeros((len(order), len(classes) + 1))  # the last column is the size
    for row, unit in enumerate(order):
        for name in units[unit]:
            counts[row, place[name]] += 1
    counts[:, -1] = counts.sum(1)
    state = _State(counts, np.array(shares))
    for row in range(len(order)):
        state.place(row, int(np.argmin([state.change(part, counts[row]) for part in range(len(shares))])))
    _improve(state)
    return dict(zip(order, state.parts.tolist(), strict=True))


class _State:
    """Which part each unit has, and how far each part is from its share.

    Args:
        counts: of units, [units, classes and size].
        shares: [parts].
    """

    def __init__(self, counts: np.ndarray, shares: np.ndarray):
        total = counts.sum(0)
        self.counts, self.wanted = counts, shares[:, None] * total
        # A clip too many of a rare class weighs more than one of a frequent class, and more in a small part.
        self.weight = 1 / (shares[:, None] * np.maximum(total, 1))
        self.common = (counts > 0).sum(0) >= len(shares)  # no part needs to be without
        self.have, self.parts = np.zeros_like(self.wanted), np.full(len(counts), -1)

    def change(self, part: int, unit: np.ndarray) -> float:
        """What adding a unit (or, negative, taking it away) does to how far a part is from its share: the weighted
        squares, and `ABSENT` for each class that it lacks without need."""
        have = self.have[part]
        distance = have - self.wanted[part]
        lacks = (have + unit < 0.5) & self.common
        return float((self.weight[part] * ((distance + unit) ** 2 - distance**2)).sum()
                     + ABSENT * (lacks.sum() - ((have < 0.5) & self.common).sum()))

    def place(self, row: int, part: int) -> None:
        """Put a unit into a part."""
        if self.parts[row] >= 0:
            self.have[self.parts[row]] -= self.counts[row]
        self.have[part] += self.counts[row]
        self.parts[row] = part


def _improve(state: _State) -> None:
    """Move units and exchange pairs while the whole comes nearer to what is wanted."""
    counts, parts, better = state.counts, state.parts, True
    while better:
        better = False
        for row in range(len(counts)):
            for part in range(len(state.have)):
                old = parts[row]
                if part != old and np.sum(parts == old) > 1 and (
                        state.change(old, -counts[row]) + state.change(part, counts[row]) < -1e-9):
                    state.place(row, part)
                    better = True
            for other in range(row) if len(counts) <= EXCHANGED else ():
                first, second = parts[row], parts[other]
                gap = counts[other] - counts[row]
                if first != second and state.change(first, gap) + state.change(second, -gap) < -1e-9:
                    state.place(row, second)
                    state.place(other, first)
                    better = True
