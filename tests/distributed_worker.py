"""Two ranks of which one is slow, for test_distributed.py: `distributed_worker.py RESULT.json`, under torchrun."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from affectgpt.train import distributed  # noqa: E402

TIMEOUT, WORK = 1.0, 2.5
"""Seconds that tensors are waited for, and that the slow rank works."""


class Weights:
    """As much of a model as `share_weights` asks for."""

    def parameters(self):
        return iter(())

    buffers = parameters


def main() -> None:
    world = distributed.start("cpu", timeout_minutes=TIMEOUT / 60)
    found = {}

    def work(rank: int) -> None:
        if world.rank == rank:
            time.sleep(WORK)

    def checked():
        work(0)
        return "checked"

    def fails():
        work(0)
        raise OSError(28, "No space left on device", "store")

    work(1)  # extraction of unequal length
    found["gather"] = world.gather(world.rank)
    found["main"] = world.from_main(checked)
    try:
        world.from_main(fails)
    except (OSError, ValueError) as error:
        found["errors"] = world.gather(f"{type(error).__name__}: {error}")
    work(1)
    found["ok"] = world.all_ok(True)
    work(0)
    world.barrier()
    work(1)
    world.share_weights(Weights())
    found["sum"] = world.sum([world.rank + 1])
    work(1)
    started = time.monotonic()
    try:
        world.sum([1])
    except RuntimeError:  # a tensor is not waited for
        found["late"] = round(time.monotonic() - started, 1)
    if world.is_main:
        Path(sys.argv[1]).write_text(json.dumps(found))


if __name__ == "__main__":
    main()
