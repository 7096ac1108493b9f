"""Decoded frames -> upright RGB pictures of one size, in the shape in which a player shows them."""

from __future__ import annotations

from fractions import Fraction
from math import sqrt

import av
import numpy as np

from affectgpt.media.limits import MAX_ASPECT, kept_pixels


def aspect_of(stream: av.VideoStream) -> float:
    """Width of a stored pixel over its height; 1 where the file does not say, or nothing that can be true."""
    ratio = stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio or Fraction(1)
    return float(ratio) if ratio > 0 and 1 / MAX_ASPECT <= ratio <= MAX_ASPECT else 1.0


def matrix(frame: av.VideoFrame) -> np.ndarray:
    """Display matrix, int32 [2, 2]: rows say where the x and the y axis of the stored picture point."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(bytes(data), dtype=np.int32).reshape(3, 3)[:2, :2]


def turns(frame: av.VideoFrame) -> bool:
    """Whether an upright picture of this frame swaps its width and height."""
    (ax, bx), _ = matrix(frame)
    return abs(int(bx)) > abs(int(ax))


def upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turn and mirror a stored picture [H, W, ...] the way its file asks for (right angles only)."""
    (ax, bx), (ay, by) = matrix(frame)
    if turns(frame):
        image = np.swapaxes(image, 0, 1)
        ax, by = ay, bx
    image = image[:, ::-1] if ax < 0 else image
    return image[::-1] if by < 0 else image


def shown_size(frame: av.VideoFrame, aspect: float) -> tuple[int, int]:
    """(width, height) of a frame with square pixels, upright; the side that is too short grows."""
    width, height = frame.width * max(1.0, aspect), frame.height * max(1.0, 1 / aspect)
    width, height = max(1, round(width)), max(1, round(height))
    return (height, width) if turns(frame) else (width, height)


def scaled(width: int, height: int, max_side: int | None, size: tuple[int, int] | None) -> tuple[int, int]:
    """(width, height) to scale a picture to."""
    if size is not None:
        return size[1], size[0]
    scale = min(1.0, max_side / max(width, height)) if max_side is not None else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


class Shaper:
    """Brings the frames of one video to one size: that of the first which is kept, in the shape in which it is shown.

    Args:
        count: how many frames are kept; together they have at most `limits.kept_pixels`.
        aspect: width of a stored pixel over its height.
        max_side, size: as for `read_frames`.
    """

    def __init__(self, count: int, aspect: float, max_side: int | None, size: tuple[int, int] | None):
        self.count, self.aspect, self.max_side, self.size = count, aspect, max_side, size
        self.forget()

    def forget(self) -> None:
        """Start anew: the next frame is the first."""
        self.kept: tuple[int, int] | None = None
        self._first: tuple[int, int] | None = None
        self._notes: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self._notes)

    def fit(self, frame: av.VideoFrame) -> tuple[int, int]:
        """(width, height) of what is kept, set by the first frame."""
        shown = shown_size(frame, self.aspect)
        if self.kept is None:
            width, height = scaled(*shown, self.max_side, self.size)
            shrink = sqrt(kept_pixels(frame.width, frame.height) / (self.count * width * height))
            if shrink < 1 and self.size is None:
                width, height = max(1, int(width * shrink)), max(1, int(height * shrink))
                self._notes[f"the frames of {shown[0]} x {shown[1]} are read at {width} x {height}"] = None
            self.kept, self._first = (width, height), shown
        if shown != self._first and self.size is None:
            note = f"the picture changes its size on the way: all frames are {self.kept[0]} x {self.kept[1]}"
            self._notes[note] = None
        return self.kept

    def shape(self, frame: av.VideoFrame) -> np.ndarray:
        """Upright uint8 [H, W, 3] RGB. A frame of another shape is fitted in, with black beside it."""
        width, height = self.fit(frame)
        shown = shown_size(frame, self.aspect)
        inner = width, height
        if shown != self._first and self.size is None:
            scale = min(width / shown[0], height / shown[1])
            inner = max(1, min(width, round(shown[0] * scale))), max(1, min(height, round(shown[1] * scale)))
        stored = inner[::-1] if turns(frame) else inner
        # BILINEAR is what decord, and with it the official system, scales with.
        image = frame.to_ndarray(format="rgb24", width=stored[0], height=stored[1], interpolation="BILINEAR")
        image = upright(image, frame)
        if inner == (width, height):
            return np.ascontiguousarray(image)
        canvas = np.zeros((height, width, 3), dtype=np.uint8)
        left, top = (width - inner[0]) // 2, (height - inner[1]) // 2
        canvas[top : top + inner[1], left : left + inner[0]] = image
        return canvas
