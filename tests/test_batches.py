"""Batches of planned steps: read side by side across rows, sizes known without asking other ranks, resumed anywhere."""

from __future__ import annotations

import itertools
import threading
import time
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from affectgpt.data import packing
from affectgpt.data.branches import size_of
from affectgpt.data.packing import Batching, rows_of_epoch, steps_of_epoch
from affectgpt.train import planning
from affectgpt.train.batches import BatchMaker, prefetch
from affectgpt.train.planning import SharedSizes


class Clips:
    """A dataset whose samples take a while to read; it counts how many are read at once."""

    def __init__(self, count: int, seconds: float = 0.0, broken: int | None = None):
        self.items = [(SimpleNamespace(key=f"c{index}"), {}) for index in range(count)]
        self.seconds, self.broken, self.lock = seconds, broken, threading.Lock()
        self.now = self.most = 0
        self.read, self.asked = [], []

    def __len__(self):
        return len(self.items)

    def text(self, index):
        length = 5 + index * 7 % 11
        return {"input_ids": [index] * length, "labels": [-100] * 3 + [index] * (length - 3)}

    def sizes(self, indices):
        self.asked += indices
        return [size_of(self.text(index)) for index in indices]

    def lengths(self, indices):
        return [size.tokens for size in self.sizes(indices)]

    def __getitem__(self, index):
        if index == self.broken:
            raise ValueError(f"clip {index} cannot be read")
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        time.sleep(self.seconds)
        with self.lock:
            self.now -= 1
            self.read.append(index)
        return self.text(index) | {"clip": self.items[index][0]}


def world_of(rank: int = 0, size: int = 1):
    return SimpleNamespace(rank=rank, size=size)


def steps(clips, workers, batching=Batching("random", 3), world=None, rows_per_step=1, sizes=None, done=0):
    rows = rows_of_epoch(clips.lengths, len(clips), batching, done=done)
    processor = SimpleNamespace(
        config=None, collate=lambda samples, training: {"ids": [sample["input_ids"] for sample in samples]})
    maker = BatchMaker(clips, processor, world or world_of(), batching.mode, workers, sizes)
    return maker.steps(steps_of_epoch(rows, rows_per_step))


def test_clips_of_many_rows_are_read_side_by_side():
    one, many = Clips(60), Clips(60, seconds=0.02)
    expected, found = list(steps(one, 0)), list(steps(many, 16))
    assert found == expected  # order and results are those of reading one after the other
    assert one.most == 1 and many.most == 16


def test_what_waits_is_bounded_and_ends_with_its_consumer():
    clips = Clips(200, seconds=0.001)
    made = steps(clips, 4)
    next(made)
    time.sleep(0.05)
    assert len(clips.read) <= 3 + 2 * 4
    made.close()
    time.sleep(0.05)
    before, names = len(clips.read), [thread.name for thread in threading.enumerate()]
    assert before < 20 and not any(name.startswith("clip-reader") for name in names)
    ahead = prefetch(steps(clips, 4))
    next(ahead)
    ahead.close()
    assert not any(thread.name.startswith(("clip-reader", "batch-maker")) for thread in threading.enumerate())


@pytest.mark.parametrize("workers", [0, 4])
def test_a_clip_that_cannot_be_read_stops_the_run_at_its_step(workers):
    made = prefetch(steps(Clips(30, broken=20), workers))
    with pytest.raises(ValueError, match="clip 20 cannot be read"):
        list(made)


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_every_rank_knows_what_all_of_them_count(ranks):
    for batching in (Batching("random", 3), Batching("packed", 1, 40)):
        found = [list(steps(Clips(31), 0, batching, world_of(rank, ranks), rows_per_step=3)) for rank in range(ranks)]
        for of_ranks in zip(*found, strict=True):
            sums = [(step.tokens, step.labelled, step.squares, step.counted, step.clips) for step in of_ranks]
            assert sums == [sums[0]] * ranks
            counted = [clip for step in of_ranks for _, clips, counts in step.passes if counts for clip in clips]
            sizes = [size_of(Clips(31).text(int(clip.key[1:]))) for clip in counted]
            assert sums[0][:4] == (*map(sum, zip(*sizes)), len(counted))


@pytest.mark.parametrize("batching", [Batching("packed", 1, 40), Batching("grouped", 4), Batching("random", 3)])
def test_a_run_goes_on_in_an_epoch_without_what_is_done(batching, monkeypatch):
    monkeypatch.setattr(packing, "WINDOW", 60)
    count = 137
    whole = list(steps(Clips(count), 0, batching, rows_per_step=2))
    for steps_done in (0, 1, len(whole) // 2, len(whole) - 1, len(whole)):
        done = sum(step.counted for step in whole[:steps_done])
        clips = Clips(count)
        rest = list(steps(clips, 0, batching, rows_per_step=2, done=done))
        assert [step.clips for step in rest] == [step.clips for step in whole[steps_done:]]
        assert len(clips.read) == count - done
        if batching.mode == "packed" and done > 60:
            assert len(set(clips.asked)) <= count - 60 * (done // 60)  # no tokens of windows that are done


# ---------------------------------------------------------------------------- sizes found by all ranks together

@pytest.fixture(autouse=True)
def one_number(monkeypatch):
    """Ranks of a run are processes, which count alike; here they are objects of one."""
    monkeypatch.setattr(planning, "_numbers", itertools.repeat(7))


def ask_together(store, clips: list[Clips], windows: list[list[int]]) -> list:
    """What each rank finds, all asking at the same time."""
    shared = [SharedSizes(part, world_of(rank, len(clips)), store) for rank, part in enumerate(clips)]
    found: list = [None] * len(clips)

    def ask(rank):
        found[rank] = [shared[rank].lengths(window) for window in windows] + [shared[rank](windows[0]),
                                                                              shared[rank](windows[0][:9])]

    threads = [threading.Thread(target=ask, args=(rank,)) for rank in range(len(clips))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def test_ranks_share_the_work_and_find_the_same():
    clips, windows = [Clips(100) for _ in range(3)], [list(range(40)), list(range(99, 39, -1))]
    found = ask_together(dist.HashStore(), clips, windows)
    alone = Clips(100)
    expected = [*map(alone.lengths, windows), alone.sizes(windows[0]), alone.sizes(windows[0][:9])]
    assert found == [expected] * 3
    asked = [len(part.asked) for part in clips]
    assert max(asked) <= 40 and sum(asked) >= 109  # a third each of 40, 60 and 9


def test_a_rank_that_has_stopped_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(planning, "PATIENCE", 0.05)
    clips = Clips(100)
    alone = SharedSizes(clips, world_of(1, 4), dist.HashStore())
    started = time.monotonic()
    assert alone.lengths(list(range(50))) == Clips(100).lengths(list(range(50)))
    assert time.monotonic() - started < 2 and sorted(clips.asked) == list(range(50))


def test_one_rank_needs_no_store():
    assert SharedSizes(Clips(9), world_of()).lengths([1, 2]) == Clips(9).lengths([1, 2])
    assert torch.tensor(SharedSizes(Clips(9), world_of())([3])).tolist() == [[*Clips(9).sizes([3])[0]]]
