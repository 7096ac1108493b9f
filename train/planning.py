"""What samples cost, found out by all ranks together: each makes the tokens of a part of the plan's clips.

The plan does not depend on it. Ranks leave what they found in the key-value store through which they met, and one that
does not find a part there soon makes it itself; so no rank ever waits for one that has stopped, and this may be done by
a thread beside the one that trains, whose collective operations it does not touch.
"""

from __future__ import annotations

import itertools
import time

import numpy as np
import torch.distributed as dist

from affectgpt.data.branches import Size

PATIENCE = 0.2
"""Seconds that a rank waits for the part of another one, beyond the time that its own part took."""
KEPT = 16
"""Parts of a rank that stay in the store: ranks, which train together, are never so far apart."""
_numbers = itertools.count()


class SharedSizes:
    """Sizes of a dataset's samples in one epoch. Every rank makes one at the same point of the run, and asks alike.

    Args:
        store: where ranks leave their parts; by default that of the process group.
    """

    def __init__(self, dataset, world, store=None):
        self.dataset, self.rank, self.ranks = dataset, world.rank, world.size
        if store is None and world.size > 1:
            store = dist.distributed_c10d._get_default_store()
        self.store = dist.PrefixStore(f"affectgpt/sizes/{next(_numbers)}", store) if world.size > 1 else None
        self.known: dict[int, Size] = {}
        self.asked = 0

    def lengths(self, indices: list[int]) -> list[int]:
        """Tokens of samples; their sizes are kept until they are asked for."""
        sizes = self._found(indices)
        self.known.update(zip(indices, sizes, strict=True))
        return [size.tokens for size in sizes]

    def __call__(self, indices: list[int]) -> list[Size]:
        """Sizes of samples."""
        if all(index in self.known for index in indices):
            return [self.known.pop(index) for index in indices]
        return self._found(indices)

    def _found(self, indices: list[int]) -> list[Size]:
        if self.ranks == 1:
            return self.dataset.sizes(indices)
        started, number = time.monotonic(), self.asked
        self.asked += 1
        sizes: list[Size] = [Size(0, 0, 0)] * len(indices)
        sizes[self.rank :: self.ranks] = own = self.dataset.sizes(indices[self.rank :: self.ranks])
        self.store.set(f"{number}/{self.rank}", np.array(own, dtype="<i8").tobytes())
        if number >= KEPT:
            self.store.delete_key(f"{number - KEPT}/{self.rank}")  # whoever has not read it will make it
        limit = time.monotonic() + (time.monotonic() - started) + PATIENCE
        for rank in range(self.ranks):
            if rank != self.rank:
                part = indices[rank :: self.ranks]
                sizes[rank :: self.ranks] = self._of_rank(f"{number}/{rank}", part, limit) or self.dataset.sizes(part)
        return sizes

    def _of_rank(self, key: str, part: list[int], limit: float) -> list[Size] | None:
        """What another rank found, or None where it is not there in time."""
        while not self.store.check([key]):
            if time.monotonic() > limit:
                return None
            time.sleep(0.005)
        try:
            values = np.frombuffer(self.store.get(key), dtype="<i8").reshape(-1, 3).tolist()
        except dist.DistStoreError:  # deleted between the two calls
            return None
        return [Size(*row) for row in values] if len(values) == len(part) else None
