"""A part of a file's time: (start, end) in seconds after its first frame, None for the file's own start or end."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np

from affectgpt.media.errors import MediaError
from affectgpt.media.timeline import Timeline

Span = tuple[float | None, float | None]

SLACK = 0.5
"""Seconds that a span may end after its file: tables round, and sound and picture do not end together."""
SLIVER = 1e-3
"""Seconds; what is shown for less at the border of a span is a matter of rounded time stamps."""


def checked(path: Path, span: Span | None) -> Span | None:
    """The span with floats; None where it is the whole file. Raises MediaError for one that cannot be."""
    if span is None or tuple(span) == (None, None):
        return None
    numbers = [value for value in span if value is not None]
    if len(span) != 2 or any(isinstance(value, bool) or not isinstance(value, int | float | np.number)
                             or not math.isfinite(value) for value in numbers):
        raise MediaError(f"{path}: the span {named(span)} is not two finite numbers of seconds; correct start and end")
    start, end = (None if value is None else float(value) for value in span)
    if (start or 0.0) < 0 or end is not None and end <= (start or 0.0):
        raise MediaError(f"{path}: the span {named(span)} is reversed, empty or begins before 0; correct start and end")
    return start, end


def check_inside(path: Path, span: Span, duration: float) -> None:
    """Raise MediaError for a span that begins at the end of the file or ends more than `SLACK` after it."""
    start, end = span
    if (start or 0.0) >= duration or end is not None and end > duration + SLACK:
        raise MediaError(f"{path}: the span {named(span)} reaches beyond the end of the file at {duration:.2f} s; "
                         "correct start and end")


def named(span: Span) -> str:
    """As it is shown in messages."""
    start, end = (["start", "end"][place] if value is None else f"{value:g} s" if isinstance(value, int | float)
                  else repr(value)[:40] for place, value in enumerate(tuple(span)[:2]))
    return f"{start} to {end}"


def cut(line: Timeline, span: Span | None) -> tuple[int, Timeline]:
    """(number of the first frame that is shown in a span, the timeline of what is shown in it, from its start on)."""
    if span is None:
        return 0, line
    start, end = span[0] or 0.0, line.end if span[1] is None else span[1]
    first = max(0, int(np.searchsorted(line.times, start + SLIVER, side="right")) - 1)
    last = max(first + 1, int(np.searchsorted(line.times, end - SLIVER, side="left")))
    times = np.maximum(line.times[first:last], start) - start
    return first, replace(line, times=times, end=max(min(end, line.end) - start, float(times[-1])))
