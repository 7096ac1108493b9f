"""Two real people in one picture, of whom one is heard: two takes side by side with the sound of one.

python tests/two_faces.py RAVDESS_FOLDER prints whom `affectgpt prepare` takes for the speaker in 50 such clips.
"""

from __future__ import annotations

import csv
import random
import sys
import tempfile
from pathlib import Path

import av
import numpy as np

from affectgpt.media import SAMPLE_RATE, choose_speaker, find_tracks, read_frames, read_sound

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


def study(folder: Path, clip: Path) -> None:
    """Print, for every whole take of a RAVDESS folder beside one of another actor, whom `choose_speaker` takes."""
    with open(folder / "labels.csv", encoding="utf-8-sig", newline="") as file:
        whole = [row for row in csv.DictReader(file) if row["video_kind"].startswith("full")]
    dice = random.Random(0)
    pairs = [(row["file"], dice.choice([other for other in whole if other["actor"] != row["actor"]])["file"])
             for row in whole]
    takes = {name: take(folder / name) for pair in pairs for name in pair}
    for kind in ("silent", "speaks"):
        for number, (name, beside) in enumerate(pairs):
            frames, sound = takes[name]
            other = silent(*takes[beside]) if kind == "silent" else takes[beside][0]
            side_by_side(clip, *((other, frames) if number % 2 else (frames, other)), sound)
            choice = choose_speaker(find_tracks(clip), clip)
            right = choice.track is not None and (choice.track.boxes[:, [0, 2]].mean() > SIDE) == bool(number % 2)
            print(kind, name, beside, choice.rule, choice.confidence, "right" if right else "wrong", flush=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        study(Path(sys.argv[1]), Path(made) / "pair.mp4")
