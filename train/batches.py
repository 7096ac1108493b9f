"""Planned steps -> batches of this rank, made by another thread while the model computes."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from affectgpt.data.branches import attended
from affectgpt.data.packing import share
from affectgpt.models.collate import collate_packed

AHEAD = 3
"""Steps that are ready before they are needed; their memory is that of so many batches."""


@dataclass
class Step:
    """What one rank computes in one optimizer step.

    `passes` holds (batch, clips, counts): counts is 1.0, or 0.0 where a pass only keeps the other ranks company and
    nothing in it is labelled. `clips` are the keys of all ranks; the sums are of this rank.
    """

    rows: int
    clips: list[str]
    passes: list[tuple[dict, list, float]] = field(default_factory=list)
    labelled: int = 0
    tokens: int = 0
    squares: int = 0
    counted: int = 0
    waited: float = 0.0


class BatchMaker:
    """Makes this rank's batches of a planned step.

    Args:
        workers: threads that read the media of a batch side by side; 0 reads one after the other.
    """

    def __init__(self, dataset, processor, world, mode: str, workers: int = 0):
        self.dataset, self.processor, self.world, self.mode = dataset, processor, world, mode
        self.pool = ThreadPoolExecutor(workers, thread_name_prefix="clip-reader") if workers > 1 else None

    def step(self, rows: list[list[int]]) -> Step:
        """Batches of the rows that fall to this rank."""
        keys = [self.dataset.items[index][0].key for row in rows for index in row]
        step = Step(rows=len(rows), clips=keys)
        for row, counts in share(rows, self.world.rank, self.world.size):
            samples = self._samples(row)
            lengths = [len(sample["input_ids"]) for sample in samples]
            if counts:
                step.labelled += sum(label != -100 for sample in samples for label in sample["labels"][1:])
                step.tokens += sum(lengths)
                step.squares += sum(attended(sample.get("branches", [len(sample["input_ids"])])) for sample in samples)
                step.counted += len(samples)
            else:
                samples = [sample | {"labels": [-100] * len(sample["labels"])} for sample in samples]
            clips = [sample.pop("clip") for sample in samples]
            batch = collate_packed(samples) if self.mode == "packed" else self.processor.collate(samples)
            step.passes.append((batch, clips, float(counts)))
        return step

    def _samples(self, row: list[int]) -> list[dict]:
        for index in row:
            self.dataset.text(index)  # the tokenizer is asked by this thread alone
        read = self.pool.map if self.pool is not None else map
        return list(read(self.dataset.__getitem__, row))


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
