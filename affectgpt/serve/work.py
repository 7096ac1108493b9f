"""The one thread that the model answers in, and the places of those who wait for it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.serve.folder import ServerFolder
from affectgpt.serve.limits import Limits
from affectgpt.serve.problems import Problem

STOPPING = "the server is being stopped; ask again when it runs"
LOOK_SECONDS = 0.25
"""How often a waiting request looks whether its sender is still there."""


@dataclass(frozen=True)
class Task:
    """One clip to describe; the fields are those of `inference.Describer.describe`.

    Args:
        name: what its sender calls the clip; stands in the answer in place of where it lies here.
        media, audio: files in the place's own folder.
    """

    name: str
    media: Path
    audio: Path | None = None
    words: str | None = None
    streams: list[str] | None = None
    question: str | None = None
    max_new_tokens: int | None = None
    track: int | None = None
    reader: str = "pyav"


class Place:
    """A place among those who wait, with a folder for its files; both are given back when its work has ended."""

    def __init__(self, folder: Path, give_back: Callable[[], None]):
        self.folder = folder
        self._give_back, self._kept, self._open = give_back, False, True

    def keep_until(self, future: Future) -> None:
        """The files are needed until this has ended, whether or not anybody waits for it."""
        self._kept = True
        future.add_done_callback(lambda _: self._end())

    def _end(self) -> None:
        if self._open:
            self._open = False
            shutil.rmtree(self.folder, ignore_errors=True)
            self._give_back()

    def __enter__(self) -> Place:
        return self

    def __exit__(self, *_) -> None:
        if not self._kept:
            self._end()


class Worker:
    """A loaded model that answers one clip after the other.

    Args:
        describer: `inference.Describer`.
    """

    def __init__(self, describer, limits: Limits):
        self.describer, self.limits = describer, limits
        self.stopping, self._folder = False, ServerFolder()
        self._thread = ThreadPoolExecutor(1, "model")
        self._lock, self._taken, self._futures = threading.Lock(), 0, set()

    @property
    def waiting(self) -> int:
        """Places that are taken."""
        return self._taken

    def place(self) -> Place:
        """A place, before anything of a request is read.

        Raises:
            Problem: all are taken, or the server stops.
        """
        with self._lock:
            if self.stopping:
                raise Problem("stopping", STOPPING)
            if self._taken >= self.limits.waiting:
                raise Problem("busy", f"{self._taken} requests are waiting, which is the most; ask again later")
            self._taken += 1
        try:
            return Place(self._folder.new(), self._give_back)
        except BaseException:
            self._give_back()
            raise

    def _give_back(self) -> None:
        with self._lock:
            self._taken -= 1

    async def answer(self, place: Place, task: Task, is_gone: Callable[[], Awaitable[bool]]):
        """`inference.Description` of a task.

        Args:
            is_gone: whether its sender has hung up; then it is not begun.
        Raises:
            Problem: it cannot be described, or not in time.
        """
        with self._lock:
            if self.stopping:  # while the request was read
                raise Problem("stopping", STOPPING)
            future = self._thread.submit(self._describe, task)
            self._futures.add(future)
        future.add_done_callback(self._forget)
        place.keep_until(future)
        waited = asyncio.wrap_future(future)
        end = asyncio.get_running_loop().time() + self.limits.answer_seconds
        while True:
            done, _ = await asyncio.wait([waited], timeout=LOOK_SECONDS)
            if done:
                break
            late = asyncio.get_running_loop().time() > end
            if late or await is_gone():
                future.cancel()  # one that has begun ends by itself, and nobody hears it
                waited.add_done_callback(_hear)
                raise Problem("too_late", f"no answer within {self.limits.answer_seconds:g} s; ask again later, or "
                                          "with a shorter clip")
        try:
            return waited.result()
        except (CancelledError, asyncio.CancelledError):
            raise Problem("stopping", STOPPING) from None

    def stop(self) -> None:
        """Finish the clip in hand, and tell those who wait that no more are begun."""
        with self._lock:
            self.stopping = True
            futures = list(self._futures)
        for future in futures:
            future.cancel()

    def close(self) -> None:
        """Wait for the clip in hand, and leave nothing behind."""
        self.stop()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._folder.close()

    def _forget(self, future: Future) -> None:
        with self._lock:
            self._futures.discard(future)

    def _describe(self, task: Task):
        from affectgpt import media
        from affectgpt.inference import Skipped

        where = str(task.media)
        try:
            seconds = max(media.probe(path).duration for path in (task.media, task.audio) if path is not None)
            if seconds > self.limits.clip_seconds:
                raise Problem("too_long", f"{task.name}: {seconds:.0f} s long, and a clip may have "
                              f"{self.limits.clip_seconds:g} s here; cut it")
            clip = Clip(id=task.name, media=task.media, audio=task.audio, words=task.words)
            [result] = self.describer.describe(
                [clip], task.streams, task.question, reader=task.reader, max_new_tokens=task.max_new_tokens,
                track=task.track)
        except media.MediaError as error:
            raise Problem("unreadable", _named(str(error), task)) from None
        except ValueError as error:
            raise Problem("bad_request", _named(str(error), task)) from None
        except Problem:
            raise
        except Exception as error:  # of one request, and no reason to lose the others
            traceback.print_exc(file=sys.stderr)
            raise Problem("failed", f"{task.name}: a bug in affectgpt ({type(error).__name__}); the server's own "
                                    "output says more") from None
        if isinstance(result, Skipped):
            raise Problem("unreadable", _named(result.reason, task))
        return replace(result, file=task.name if result.file == where else _named(result.file, task),
                       notes=[_named(note, task) for note in result.notes])


def _named(text: str, task: Task) -> str:
    """With its sender's name of the clip, not the place of its copy."""
    if task.audio is not None:
        text = text.replace(str(task.audio), f"{task.name} (sound)")
    return text.replace(str(task.media), task.name)


def _hear(future: asyncio.Future) -> None:
    """Nobody waits any more; without this an error of it would be reported as never heard."""
    if not future.cancelled():
        future.exception()
