"""Starts a training run again and again and kills it, at random moments and inside saves; prints what it saw as JSON.

    python tests/kill_worker.py KILLS WHOLE RECIPE train.output=FOLDER key=value ...

Before them a run that nothing kills goes into the folder WHOLE. Children are forked from one process that has imported
everything, so that a start costs little.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import load_file

import affectgpt.features.extract
import affectgpt.models.modeling  # noqa: F401
import affectgpt.train.trainer  # noqa: F401
from affectgpt import cli
from affectgpt.train.checkpoints import Checkpoints, read_state


def start(arguments: list[str]) -> int:
    """A child that trains; its process id."""
    child = os.fork()
    if child:
        return child
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os._exit(cli.main(["train", *arguments]))


def stop_inside_a_save(child: int, folder: Path, torn: set[Path], generator: random.Random) -> None:
    """Halt the child somewhere within one of its saves; `torn` lies there from earlier kills."""
    limit = time.monotonic() + 300
    while time.monotonic() < limit:
        if not set(folder.glob(".step-*.tmp")) - torn:
            time.sleep(0.0005)
            continue
        time.sleep(generator.uniform(0, 0.006))
        os.kill(child, signal.SIGSTOP)
        if set(folder.glob(".step-*.tmp")) - torn:
            return
        os.kill(child, signal.SIGCONT)  # that save is over: wait for the next
    raise AssertionError("no save was seen within 300 s")


def check(checkpoints: Checkpoints) -> list[int]:
    """Steps of the whole checkpoints; every one of them can be read."""
    steps = []
    for path in checkpoints.whole():
        assert load_file(path / "model.safetensors") and load_file(path / "optimizer.safetensors")
        assert json.loads((path / "config.json").read_text())["model_type"] == "affectgpt"
        steps.append(read_state(path).step)
    return steps


def main() -> None:
    kills, arguments = int(sys.argv[1]), sys.argv[3:]
    folder = Path(next(word for word in arguments if word.startswith("train.output=")).split("=", 1)[1]) / "checkpoints"
    checkpoints, generator = Checkpoints(folder, 3), random.Random(kills)
    torch.set_num_threads(1)
    _, status = os.waitpid(start([*arguments, f"train.output={sys.argv[2]}"]), 0)
    assert status == 0, status
    inside, newest = 0, [0]
    for number in range(kills):
        torn = set(folder.glob(".step-*.tmp"))
        child = start(arguments)
        if number % 2:
            stop_inside_a_save(child, folder, torn, generator)
        else:
            time.sleep(generator.uniform(0.02, 2.0))
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status), f"the run ended by itself before kill {number}: {status}"
        inside += bool(set(folder.glob(".step-*.tmp")) - torn)
        steps = check(checkpoints)
        assert not steps or max(steps) >= newest[-1]
        assert steps or newest[-1] == 0, "a whole checkpoint was lost"
        newest.append(max(steps, default=0))
    _, status = os.waitpid(start(arguments), 0)
    assert status == 0, status
    newest.append(max(check(checkpoints)))
    print(json.dumps({"kills": kills, "inside_a_save": inside, "newest_after_each": newest}))


if __name__ == "__main__":
    main()
