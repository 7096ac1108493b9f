"""Which clips go through the model together: rows of an epoch, and the optimizer steps made of them.

A row is what one forward pass takes on one rank: a packed sequence of clips, or a padded batch of them. The plan of
an epoch follows from (seed, epoch) alone and not from the number of ranks, so that a run can go on elsewhere.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import torch

WINDOW = 1024
"""Clips whose lengths are known at once: enough for full rows, few enough to plan while the model computes."""


@dataclass(frozen=True)
class Batching:
    """How rows are made.

    "packed": clips share one row of up to `pack_tokens` tokens, none attends to another.
    "grouped": `batch_size` clips of like length, padded to the longest. "random": the same without sorting.
    """

    mode: Literal["packed", "grouped", "random"] = "grouped"
    batch_size: int = 1
    pack_tokens: int = 0


def best_fit(lengths: list[int], capacity: int) -> list[list[int]]:
    """Indices of `lengths` in bins of `capacity` (best fit, longest first); what is longer is alone in its bin."""
    bins: list[list[int]] = []
    room: list[tuple[int, int]] = []  # (free tokens, bin), sorted
    for index in sorted(range(len(lengths)), key=lambda index: (-lengths[index], index)):
        place = bisect_left(room, (lengths[index], -1))
        if place == len(room):
            bins.append([])
            left, number = capacity, len(bins) - 1
        else:
            left, number = room.pop(place)
        bins[number].append(index)
        insort(room, (left - lengths[index], number))
    return bins


def rows_of_epoch(lengths: Callable[[list[int]], list[int]], count: int, batching: Batching, seed: int = 0,
                  epoch: int = 0, shuffle: bool = True, done: int = 0,
                  drawn: Sequence[int] | None = None) -> Iterator[list[int]]:
    """Rows of one epoch; every index below `count`, or each of `drawn`, is in exactly one.

    Args:
        lengths: indices -> their tokens in this epoch; asked for one window at a time.
        shuffle: False keeps the order of the windows, as for validation.
        done: clips of the epoch's first rows, which are left out; lengths of windows that are done are not asked for.
        drawn: `count` indices that the epoch takes (`InstructionDataset.drawn`); by default all below `count`.
    """
    generator = torch.Generator().manual_seed(seed * 1000003 + epoch)
    order = torch.randperm(count, generator=generator).tolist() if shuffle else list(range(count))
    if drawn is not None:
        order = [drawn[place] for place in order]
    size = batching.batch_size
    if batching.mode == "random":
        yield from (order[start : start + size] for start in range(done, count, size))
        return
    # A window of whole batches leaves no short one in the middle of an epoch. Grouping within few batches only:
    # where neighbours in length were all of one question, steps would alternate between two kinds of answers.
    window = WINDOW if batching.mode == "packed" else 5 * size
    for start in range(0, count, window):
        part = order[start : start + window]
        if start:  # what a window draws does not hang on those before it, so that they can be left out
            generator.manual_seed((seed * 1000003 + epoch) * 1000003 + start)
        if done >= start + len(part):
            continue
        tokens = lengths(part)
        if batching.mode == "packed":
            rows = [[part[place] for place in sorted(row)] for row in best_fit(tokens, batching.pack_tokens)]
        else:
            part = [part[place] for place in sorted(range(len(part)), key=lambda place: (-tokens[place], place))]
            rows = [part[place : place + size] for place in range(0, len(part), size)]
        if shuffle:
            rows = [rows[place] for place in torch.randperm(len(rows), generator=generator).tolist()]
        before = start
        for row in rows:
            if before >= done:
                yield row
            before += len(row)


def steps_of_epoch(rows: Iterator[list[int]], rows_per_step: int) -> Iterator[list[list[int]]]:
    """Rows in groups of one optimizer step; the last one of an epoch may be smaller."""
    step: list[list[int]] = []
    for row in rows:
        step.append(row)
        if len(step) == rows_per_step:
            yield step
            step = []
    if step:
        yield step


def share(step: list[list[int]], rank: int, ranks: int) -> list[tuple[list[int], bool]]:
    """(row, counts) for each forward pass of a rank; every rank gets equally many.

    Collective operations need all ranks in each pass: where rows run out, a rank repeats one that does not count.
    """
    passes = -(-len(step) // ranks)
    mine = [(row, True) for row in step[rank::ranks]]
    return mine + [(step[0], False)] * (passes - len(mine))
