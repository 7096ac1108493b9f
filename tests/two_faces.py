"""Two real people in one picture, of whom one is heard: two takes side by side with the sound of one."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from affectgpt.media import SAMPLE_RATE, read_frames, read_sound

RATE, SIDE = 25, 320
SILENCE = 0.1
"""Of the loudest part: before it is reached first, nobody speaks."""


def take(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """(frames uint8 [T, 320, 320, 3] at 25 a second, sound float32 [N]) of a clip."""
    sound = read_sound(path).waveform
    count = int(len(sound) / SAMPLE_RATE * RATE)
    return read_frames(path, count, size=(SIDE, SIDE)).images, sound


def silent(frames: np.ndarray, sound: np.ndarray) -> np.ndarray:
    """The person before the first word, there and back again for as long as the clip is."""
    block = SAMPLE_RATE // RATE
    levels = np.sqrt((sound[: len(sound) // block * block].reshape(-1, block) ** 2).mean(axis=1))
    quiet = max(4, int(np.argmax(levels > SILENCE * levels.max())) - 2)
    there = np.abs((np.arange(len(frames)) + quiet - 1) % (2 * quiet - 2) - quiet + 1)
    return frames[there]


def side_by_side(path: Path, left: np.ndarray, right: np.ndarray, sound: np.ndarray) -> Path:
    """Write an mp4 of 640 x 320 pixels, as long as the shorter of both."""
    count = min(len(left), len(right))
    with av.open(str(path), "w") as output:
        picture = output.add_stream("libx264", rate=RATE, options={"preset": "veryfast", "crf": "18", "threads": "1"})
        picture.width, picture.height, picture.pix_fmt = 2 * SIDE, SIDE, "yuv420p"
        speech = output.add_stream("aac", rate=SAMPLE_RATE, layout="mono")
        for image in np.concatenate([left[:count], right[:count]], axis=2):
            output.mux(picture.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")))
        output.mux(picture.encode(None))
        block = av.AudioFrame.from_ndarray(sound[None, : count * SAMPLE_RATE // RATE], format="fltp", layout="mono")
        block.sample_rate, block.pts = SAMPLE_RATE, 0
        output.mux(speech.encode(block))
        output.mux(speech.encode(None))
    return path
