"""Planned steps -> batches of this rank, made by another thread while the model computes."""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from affectgpt.data.packing import share
from affectgpt.models.collate import collate_packed

AHEAD = 3
"""Steps that are ready before they are needed; their memory is that of so many batches."""


@dataclass
class Step:
    """What one rank computes in one optimizer step.

    `passes` holds (batch, clips, counts): counts is 1.0, or 0.0 where a pass only keeps the other ranks company and
    nothing in it is labelled. `indices` and keys (`clips`) are those of all ranks, and the sums are over all ranks too:
    labelled tokens, tokens, `data.branches.attended` and clips. They follow from the plan, so no rank asks another.
    """

    rows: int
    indices: list[int]
    clips: list[str]
    passes: list[tuple[dict, list, float]] = field(default_factory=list)
    labelled: int = 0
    tokens: int = 0
    squares: int = 0
    counted: int = 0
    waited: float = 0.0


class BatchMaker:
    """Makes this rank's batches of planned steps.

    Args:
        sizes: indices -> the `Size` of each sample, for every rank's; by default the dataset's own.
        workers: threads that read the media of samples side by side, across rows and steps; 0 reads one after the
            other.
    """

    def __init__(self, dataset, processor, world, mode: str, workers: int = 0, sizes=None):
        self.dataset, self.processor, self.world, self.mode, self.workers = dataset, processor, world, mode, workers
        self.sizes = sizes or dataset.sizes

    def steps(self, planned: Iterable[list[list[int]]]) -> Iterator[Step]:
        """Batches of the rows that fall to this rank, step by step."""
        planned, ahead = itertools.tee(planned)
        samples = self._read(index for rows in ahead for row, _ in self._mine(rows) for index in row)
        with contextlib.closing(samples):
            for rows in planned:
                yield self._step(rows, samples)

    def _mine(self, rows: list[list[int]]) -> list[tuple[list[int], bool]]:
        return share(rows, self.world.rank, self.world.size)

    def _step(self, rows: list[list[int]], read: Iterator[dict]) -> Step:
        members = [index for row in rows for index in row]
        sizes = self.sizes(members)
        items = self.dataset.items
        step = Step(rows=len(rows), indices=members, clips=[items[index % len(items)][0].key for index in members],
                    labelled=sum(size.labelled for size in sizes), tokens=sum(size.tokens for size in sizes),
                    squares=sum(size.squares for size in sizes), counted=len(members))
        for row, counts in self._mine(rows):
            samples = list(itertools.islice(read, len(row)))
            if not counts:
                samples = [sample | {"labels": [-100] * len(sample["labels"])} for sample in samples]
            clips = [sample.pop("clip") for sample in samples]
            batch = collate_packed(samples, self.processor.config) if self.mode == "packed" else \
                self.processor.collate(samples, training=True)
            step.passes.append((batch, clips, float(counts)))
        return step

    def _read(self, indices: Iterator[int]) -> Iterator[dict]:
        """Samples in order; at most `2 * workers` of them wait to be taken or are being read."""
        if self.workers < 2:
            yield from map(self.dataset.__getitem__, indices)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="clip-reader")
        waiting: deque = deque()
        try:
            for index in indices:
                self.dataset.text(index)  # the tokenizer is asked by this thread alone
                waiting.append(pool.submit(self.dataset.__getitem__, index))
                if len(waiting) >= 2 * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def prefetch(steps: Iterable[Step]) -> Iterator[Step]:
    """Steps in order, made ahead by one thread; `waited` of each is how long the model stood still for it.

    An error of the thread is raised here. Where the consumer stops early, the thread ends.
    """
    ready: queue.Queue = queue.Queue(maxsize=AHEAD)
    stop = threading.Event()

    def put(item) -> bool:
        while not stop.is_set():
            try:
                ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def make() -> None:
        try:
            for step in steps:
                if not put((step, None)):
                    return
            put((None, None))
        except BaseException as error:  # carried to the consumer
            put((None, error))
        finally:
            close = getattr(steps, "close", None)
            if close is not None:  # ends the threads that read
                close()

    thread = threading.Thread(target=make, name="batch-maker", daemon=True)
    thread.start()
    try:
        while True:
            started = time.perf_counter()
            step, error = ready.get()
            if error is not None:
                raise error
            if step is None:
                return
            step.waited = time.perf_counter() - started
            yield step
    finally:
        stop.set()
        thread.join()
