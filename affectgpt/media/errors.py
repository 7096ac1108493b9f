"""The one error of this package, and the border at which everything that a library raises turns into it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class MediaError(ValueError):
    """A media file that cannot be used. The message is one line: which file, what, what to do."""


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Whatever is raised while `path` is read leaves as a MediaError that names it, with its cause chained.

    Files come from elsewhere and are read by PyAV, decord, Pillow, OpenCV and NumPy, which raise whatever comes to
    them (ValueError, IndexError, AttributeError, OverflowError, MemoryError, ...): no list of them is ever whole.
    A caller's wrong argument is told before the border, as ValueError.
    """
    try:
        yield
    except MediaError:
        raise
    except Exception as error:
        raise MediaError(f"{path}: cannot be read ({reason(error)}); re-encode or copy it again") from error


def reason(error: Exception) -> str:
    """What an error of a library says, as one short line without the path that it may repeat."""
    return str(getattr(error, "strerror", None) or type(error).__name__).splitlines()[0]
