"""Questions that belong together, of which all must be right: the sums that a share of such pairs is made of."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


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
