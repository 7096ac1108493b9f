"""What a file may ask of this machine. A file is refused, with its own message, before it costs more.

Memory stays below 1.5 GB and time near `READ_SECONDS` for any file; each limit lies well above what honest files need.
"""

from __future__ import annotations

import time
from pathlib import Path

from affectgpt.media.errors import MediaError

MAX_FRAME_PIXELS = 34_000_000
"""A frame of a video: 8K (7680 x 4320) is 33 million."""
DECODER_BYTES = 38
"""For each pixel of a frame: a decoder may hold 25 frames at once (16 to refer to, measured with H.264)."""
MEMORY = 1_300_000_000
"""Bytes for the frames inside the decoder and those that are kept together."""
MAX_PICTURE_PIXELS = 120_000_000
"""A still picture: the largest of phones are 108 million. Pillow holds four bytes a pixel."""
KEPT_PICTURE_PIXELS = 24_000_000
"""A larger still picture is shrunk as it is read: faces and encoders look at far less."""
KEPT_PIXELS = 160_000_000
"""All frames that `read_frames` returns together: 64 of 1920 x 1080, 19 of 3840 x 2160; beyond, they are shrunk."""
MAX_ASPECT = 8
"""A sample aspect ratio beyond this, or below its inverse, is damage; real ones lie between 1/2 and 2."""
MIN_SAMPLE_RATE, MAX_SAMPLE_RATE = 1_000, 768_000
"""Samples a second of a sound. Below, resampling to 16 kHz multiplies a file without end; above, nothing records."""
MAX_CHANNELS = 64
"""Channels of a sound, the most that libswresample knows."""
MAX_SOUND_SECONDS = 4 * 3600
"""Sound that is read at once: 16 kHz in float32 are 230 MB an hour."""
MAX_TABLE_ENTRIES = 3_000_000
"""Samples that the tables of an mp4 declare for one track: ten hours at 60 frames a second are 2.2 million."""
READ_SECONDS = 30.0
"""CPU time for one reading of one file, and `SECONDS_A_MEGABYTE` more for each megabyte of it."""
SECONDS_A_MEGABYTE = 1.0
WALL_FACTOR = 4
"""Time on the clock may be this many times the CPU time: a busy machine must not decide what is readable."""


class Deadline:
    """The time that reading one file may take, checked between its packets.

    Counted in CPU seconds of this thread, so that a clip is not lost because the machine is busy; the clock counts
    only beyond `WALL_FACTOR` times as many.
    """

    def __init__(self, path: Path):
        self.path = path
        self.seconds = READ_SECONDS + SECONDS_A_MEGABYTE * path.stat().st_size / 1e6
        self._cpu, self._wall = time.thread_time(), time.monotonic()

    def check(self) -> None:
        """Raise MediaError where the time is over."""
        if time.thread_time() - self._cpu > self.seconds or time.monotonic() - self._wall > self.clock_seconds:
            raise self.error()

    @property
    def clock_seconds(self) -> float:
        return WALL_FACTOR * self.seconds

    def error(self) -> MediaError:
        return MediaError(f"{self.path}: reading it takes longer than the {self.seconds:.0f} s that a file of its size "
                          "may take; cut it into parts or re-encode it")


def kept_pixels(width: int, height: int) -> float:
    """Pixels that may be kept of all frames of a video together, where each is stored in width x height."""
    room = (MEMORY - DECODER_BYTES * width * height) / 3
    return min(KEPT_PIXELS, max(room, MAX_FRAME_PIXELS / 2))


def check_pixels(path: Path, width: int, height: int, limit: int) -> None:
    """Raise MediaError for a picture that is too large to decode, before it is decoded."""
    if width * height > limit:
        raise MediaError(f"{path}: its picture of {width} x {height} pixels is larger than the {limit // 10**6} "
                         "million that are read; scale it down")
