"""When the frames of a video are shown, and which of them to take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import av
import numpy as np

RULES = ("centre", "published")
_JUMP_SECONDS, _JUMP_SECONDS_OTHERS = 10.0, 30 * 3600.0
"""A step forward beyond this is a break of the clock, in formats that have such breaks and in all others; as in FFmpeg
(dts_delta_threshold, dts_error_threshold)."""
_LAST_SECONDS = 10.0


@dataclass(frozen=True)
class Stamp:
    """Time stamps of one packet, in decoding order, in units of its time base; None where the file says nothing."""

    shown: int | None
    decoded: int | None
    duration: int
    is_key: bool = False


@dataclass(frozen=True)
class Timeline:
    """`times` float64 [F]: seconds after the first frame at which each frame is shown, never falling. `end` is when the
    last one is gone. `broken` is True where the clock of the file was set anew on the way."""

    times: np.ndarray
    end: float
    broken: bool

    def choose(self, count: int, rule: str) -> np.ndarray:
        """Which `count` frames to take: int64 [count], ascending.

        "centre": what is shown in the middle of `count` equal parts of the time; counted by number where that is no
        further off than one frame, as where time stamps are rounded or a frame was dropped. "published": by number,
        whatever their times, as the official system does it.
        """
        counted = sample_indices(len(self.times), count, rule)
        steps = np.diff(self.times)
        if rule != "centre" or not (steps > 0).any():
            return counted
        frame = np.quantile(steps[steps > 0], 0.25, method="lower")
        middles = (np.arange(count) + 0.5) / count * self.end
        gone = np.append(self.times, self.end)[counted + 1]  # when the next frame takes over
        off = np.maximum(np.maximum(self.times[counted] - middles, middles - gone), 0)
        if off.max() <= frame + 1e-3:
            return counted
        return (np.searchsorted(self.times, middles, side="right") - 1).clip(0).astype(np.int64)


def sample_indices(total: int, count: int, rule: str = "centre") -> np.ndarray:
    """Which `count` of `total` frames of an even rate to take: int64 [count], ascending, repeated where total < count.

    "centre": the middle of `count` equal parts. "published": as the official system does it, the start
    of each part, and the last frame repeated where there are too few.
    """
    if total < 1 or count < 1:
        raise ValueError(f"cannot take {count} frames out of {total}: both must be at least 1")
    if rule == "centre":
        return (2 * np.arange(count) + 1) * total // (2 * count)
    if rule == "published":
        # Rounding can give arange one element too many.
        taken = min(total, count)
        indices = np.arange(0, total, total / taken)[:taken].astype(np.int64)
        return np.concatenate([indices, np.full(count - taken, total - 1, dtype=np.int64)])
    raise ValueError(f"unknown frame rule {rule!r}: choose one of {', '.join(RULES)}")


def timeline(stamps: Iterable[Stamp], time_base: float, rate: float, has_breaks: bool) -> Timeline:
    """The timeline of the frames of these packets.

    Args:
        time_base: seconds of one unit.
        rate: frames a second, for frames without stamps.
        has_breaks: whether the format is one whose clock may jump (`ts_discont`).
    """
    frame = max(1, round(1 / (rate * time_base)))
    limit = round((_JUMP_SECONDS if has_breaks else _JUMP_SECONDS_OTHERS) / time_base)
    shown: list[int] = []
    lengths: list[int] = []
    offset, clock, expected, broken = 0, None, None, False
    for stamp in stamps:
        length = stamp.duration if 0 < stamp.duration <= limit else frame
        if stamp.decoded is not None:
            now = stamp.decoded + offset
            if clock is not None and not clock <= now <= expected + limit:
                # The clock went back, or far ahead: what follows is shown right after what came before.
                offset, broken = offset + expected - now, True
                now = expected
            clock, expected = now, now + length
        if stamp.shown is not None:
            at = stamp.shown + offset
        elif stamp.decoded is not None:
            at = clock
        else:
            at = shown[-1] + lengths[-1] if shown else 0
        shown.append(at)
        lengths.append(length)
    order = sorted(range(len(shown)), key=shown.__getitem__)
    times = np.array([(shown[place] - shown[order[0]]) * time_base for place in order])
    return Timeline(times, _end(times, lengths[order[-1]] * time_base if order else 0.0), broken)


def _end(times: np.ndarray, last: float) -> float:
    """When the last frame is gone; `last` is its length, believed where it is not far longer than all others."""
    if not len(times):
        return 0.0
    longest = max(_LAST_SECONDS, float(np.diff(times).max(initial=0.0)))
    return float(times[-1]) + min(last, longest)


def stamp_of(packet: av.Packet) -> Stamp:
    return Stamp(packet.pts, packet.dts, packet.duration or 0, packet.is_keyframe)
