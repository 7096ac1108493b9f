"""Processes that do one task after another; a task that hangs, or that its process dies of, costs itself alone."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import connection
from typing import Any

LONGEST_START = 120.0
"""Seconds in which a new process must be ready: it imports what reads media."""


class _Worker:
    def __init__(self, function: Callable[[Any], Any], initialise: Callable[[], None]):
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, function, initialise), daemon=True)
        self.process.start()
        other.close()
        self.task: Any = None
        self.ready = False
        self.until = time.monotonic() + LONGEST_START

    def give(self, task: Any, seconds: float) -> None:
        self.task, self.until = task, time.monotonic() + seconds
        self.pipe.send(task)

    def stop(self) -> int | None:
        """End the process whatever it does; its exit code."""
        self.process.kill()
        self.process.join()
        self.pipe.close()
        return self.process.exitcode


def run_all(function: Callable[[Any], Any], tasks: Iterable[Any], processes: int, seconds: float,
            failed: Callable[[Any, str], Any], initialise: Callable[[], None] = int) -> Iterator[Any]:
    """Yield what `function` makes of each task, as it gets ready, in no order.

    Args:
        function, initialise: of a module, since processes import them; `initialise` is called once in each.
        seconds: how long one task may take on the clock.
        failed: gives the result of a task that took longer, that its process died of, or on which `function` raised;
            of (task, why).
    Raises:
        RuntimeError: processes that cannot start.
    """
    waiting = iter(tasks)
    workers: list[_Worker] = []
    try:
        for task in waiting:
            workers.append(_Worker(function, initialise))
            workers[-1].task = task
            if len(workers) == processes:
                break
        while workers:
            limit = min(worker.until for worker in workers) - time.monotonic()
            for pipe in connection.wait([worker.pipe for worker in workers], max(0.0, min(limit, 5.0))):
                worker = next(one for one in workers if one.pipe is pipe)
                try:
                    kind, value = pipe.recv()
                except (EOFError, OSError):
                    worker.until = 0.0
                    continue
                if kind == "ready":
                    worker.ready = True
                    worker.give(worker.task, seconds)
                    continue
                yield value if kind == "result" else failed(worker.task, f"affectgpt failed on it ({value}): report it")
                try:
                    worker.give(next(waiting), seconds)
                except StopIteration:
                    worker.stop()
                    workers.remove(worker)
            ended: list[_Worker] = []
            for place, worker in enumerate(workers):
                if time.monotonic() < worker.until:
                    continue
                if worker.pipe.poll() and worker.until:  # it got ready while others were looked at
                    continue
                died = not worker.until
                code = worker.stop()
                if not worker.ready:
                    raise RuntimeError(f"a process that reads media did not start (exit code {code})")
                yield failed(worker.task, f"the process that read it ended ({_ending(code)})" if died else
                             f"reading it took longer than {seconds:g} s")
                try:
                    task = next(waiting)
                except StopIteration:
                    ended.append(worker)
                else:
                    workers[place] = _Worker(function, initialise)
                    workers[place].task = task
            workers = [worker for worker in workers if worker not in ended]
    finally:
        for worker in workers:
            worker.stop()


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        try:
            return signal.Signals(-code).name
        except ValueError:
            return f"signal {-code}"
    return f"exit code {code}"


def _serve(pipe: connection.Connection, function: Callable[[Any], Any], initialise: Callable[[], None]) -> None:
    """What a process does: tasks come through the pipe until its other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the job, and the job its processes
    initialise()
    pipe.send(("ready", None))
    while True:
        try:
            task = pipe.recv()
        except (EOFError, OSError):
            sys.exit(0)
        try:
            result = "result", function(task)
        except Exception as error:
            result = "error", f"{type(error).__name__}: {error}"
        pipe.send(result)
