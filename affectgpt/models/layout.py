"""How a packed row is laid out: clips one after the other, and inside a clip the branches that share its prompt.

A branch (one question and its answer) follows the shared part as if no other branch were there: its positions go on
where the shared part ends, and it attends to the shared part and to itself.

Shapes: S tokens of the row, C clips, K branches of the clip that has most, L tokens of a clip.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor


@dataclass(frozen=True)
class Layout:
    """Tokens of each clip of a row: those that all its branches share, then those of each branch.

    A clip without branches is all shared: `(L,)`.
    """

    clips: tuple[tuple[int, ...], ...]

    @classmethod
    def from_tensor(cls, tensor: Tensor) -> Layout:
        """What `tensor` gave; with axes of length 1 before its own two, as an attention mask has them."""
        rows = tensor.reshape(-1, tensor.shape[-1]).tolist()
        return _layout(tuple((row[0], *(size for size in row[1:] if size)) for row in rows))

    @classmethod
    def from_positions(cls, position_ids: Tensor) -> Layout:
        """The layout of a row whose positions [1, S] are those of `positions`."""
        clips, expected = [], 0
        for place, position in enumerate(position_ids.flatten().tolist()):
            if position == 0:
                clips.append([place, place])  # where the clip begins, and each of its branches but the first
            elif not clips or position > expected or position < expected and len(clips[-1]) > 2 \
                    and position != clips[-1][1]:
                raise ValueError(f"position {position} at token {place} of a packed row belongs to no clip")
            elif position < expected:
                clips[-1][1] = position
                clips[-1].append(place)
            expected = position + 1
        ends = [clip[0] for clip in clips[1:]] + [position_ids.numel()]
        rows = []
        for (start, shared, *branches), end in zip(clips, ends, strict=True):
            borders = [start + shared, *branches, end]
            rows.append((shared, *(b - a for a, b in zip(borders, borders[1:]))) if branches else (end - start,))
        return _layout(tuple(rows))

    def tensor(self) -> Tensor:
        """int64 [C, 1 + K], filled up with zeros."""
        width = max(map(len, self.clips), default=1)
        return torch.tensor([[*clip, *[0] * (width - len(clip))] for clip in self.clips])

    @cached_property
    def bounds(self) -> list[int]:
        """Where the clips begin, and the end of the row."""
        bounds = [0]
        for clip in self.clips:
            bounds.append(bounds[-1] + sum(clip))
        return bounds

    @property
    def has_branches(self) -> bool:
        return any(len(clip) > 1 for clip in self.clips)

    @cached_property
    def segments(self) -> list[tuple[int, int, int, int]]:
        """(start, stop, first shared token, end of the shared part) of each causal run of tokens.

        A run attends to itself and to the shared part. The shared part and the first branch are one run, which
        shares nothing.
        """
        found = []
        for start, (shared, *branches) in zip(self.bounds, self.clips, strict=False):
            stop = start + shared + (branches[0] if branches else 0)
            found.append((start, stop, start, start))
            for size in branches[1:]:
                found.append((stop, stop + size, start, start + shared))
                stop += size
        return found

    def positions(self) -> Tensor:
        """int64 [S], from 0 again for each clip, and from the end of the shared part again for each branch."""
        parts = []
        for shared, *branches in self.clips:
            parts += [torch.arange(shared), *(torch.arange(shared, shared + size) for size in branches)]
        return torch.cat(parts)

    def mask_of(self, clip: int, size: int, window: int | None) -> Tensor:
        """bool [size, size], True where a token (row) of a clip attends to another (column).

        size: at least L; what is more goes on after the last branch, and no token of the clip attends to it.
        window: tokens that a token attends to, itself included, by positions.
        """
        shared, *branches = self.clips[clip]
        branch = torch.zeros(size, dtype=torch.long)
        positions = torch.arange(size)
        start = shared
        for number, length in enumerate(branches, 1):
            branch[start:] = number
            positions[start:] = torch.arange(shared, shared + size - start)
            start += length
        distance = positions[:, None] - positions
        allowed = (distance >= 0) & ((branch == 0) | (branch == branch[:, None]))
        return allowed & (distance < window) if window else allowed

    def mask(self, window: int | None = None) -> Tensor:
        """bool [S, S], True where a token (row) attends to another (column)."""
        whole = torch.zeros(self.bounds[-1], self.bounds[-1], dtype=torch.bool)
        for clip, (start, stop) in enumerate(zip(self.bounds, self.bounds[1:])):
            whole[start:stop, start:stop] = self.mask_of(clip, stop - start, window)
        return whole


@lru_cache(maxsize=16)
def _layout(clips: tuple[tuple[int, ...], ...]) -> Layout:
    """One object for one layout: what is derived of it is derived once a pass, not once a layer."""
    return Layout(clips)
