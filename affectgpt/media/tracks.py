"""All faces of a clip, followed through time, and the file in which one of them is kept.

A face track file is JSON, so that it can be written by hand or by another program:

    {"format": "affectgpt-face-track", "version": 1, "width": 640, "height": 360,
     "times": [0.0, 0.4], "boxes": [[310, 60, 420, 170], [312, 61, 422, 171]], "scores": [9, 11],
     "rule": "audio-visual", "confidence": 0.98}

`boxes` are pixels (x0, y0, x1, y1) of an upright picture of `width` x `height`, `times` seconds after the file's first
frame, as a clip's span. Instead of `times` there may be `fps`, frames a second from the first frame on, and then a box
may be null where there is no face. `scores`, `rule` and `confidence` may be left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from affectgpt.files import atomic_write_json, unique_json
from affectgpt.media.errors import MediaError
from affectgpt.media.faces import (
    DETECT_SIDE,
    MIN_FACE,
    MIN_NEIGHBOURS,
    WIDE_MIN_FACE,
    WIDE_MIN_NEIGHBOURS,
    WIDE_SIDE,
    Box,
    FaceCrops,
    crop,
    search,
)
from affectgpt.media.span import Span
from affectgpt.media.video import probe, read_frames

FORMAT, VERSION = "affectgpt-face-track", 1
MAX_TRACK_BYTES = 64 * 1024**2
MAX_SIDE = 100_000
"""Of the picture that a face track says it belongs to, in pixels."""
SAMPLE_RATE = 3.0
"""Frames a second in which faces are looked for: people move little in a third of a second."""
MIN_SAMPLES, MAX_SAMPLES = 6, 96
MIN_OVERLAP = 0.2
"""Intersection over union of two boxes of one face, a sample apart."""
MAX_GAP_SECONDS = 1.5
"""A face that turns away so long is still the same."""
MIN_SEEN = 0.15
"""Of the samples: what is seen in fewer is texture, or a face that passes by."""
NO_FACE_IN_TRACK = "the face track holds no face"
_SAME_FACE = 0.3
_KEYS = {"format", "version", "width", "height", "times", "fps", "boxes", "scores", "rule", "confidence"}


@dataclass(frozen=True)
class FaceTrack:
    """One face through time. `times` float64 [N], ascending seconds after the file's first frame; `boxes` float64
    [N, 4] (x0, y0, x1, y1) pixels of an upright picture of `width` x `height`; `scores` float64 [N], how sure the
    detector was (no probability). `rule` and `confidence` say why this face was chosen, None where nobody chose."""

    width: int
    height: int
    times: np.ndarray
    boxes: np.ndarray
    scores: np.ndarray
    rule: str | None = None
    confidence: float | None = None

    def at(self, times: np.ndarray) -> np.ndarray:
        """Boxes float64 [T, 4] at these times: between two known ones by interpolation, else the nearest."""
        return np.stack([np.interp(times, self.times, column) for column in self.boxes.T], axis=1)

    @property
    def area(self) -> float:
        """Mean area of the face, in pixels."""
        return float(np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1).mean()) if len(self.boxes) else 0.0


@dataclass(frozen=True)
class Tracks:
    """All faces of a span: `tracks`, the one with the largest sum of sides first; `times` float64 [T] of the frames
    that were looked at; `note` says why there is no face."""

    width: int
    height: int
    times: np.ndarray
    tracks: tuple[FaceTrack, ...]
    note: str | None = None


def find_tracks(path: str | Path, span: Span | None = None, detect=None) -> Tracks:
    """The faces of a video or picture, each followed through the span.

    Args:
        span: seconds of the file, as for `read_frames`.
        detect: uint8 [H, W, 3] RGB -> boxes, `all_faces` where it is None.
    Raises:
        MediaError: the file has no picture that can be read.
    """
    info = probe(path, span)
    if not info.shows_picture():
        return Tracks(0, 0, np.zeros(0), (), "no picture in this file")
    count = max(1, min(max(MIN_SAMPLES, round(SAMPLE_RATE * info.duration)), MAX_SAMPLES, info.frames))
    frames = read_frames(path, count, max_side=WIDE_SIDE, span=span)
    height, width = frames.images.shape[1:3]
    scale = np.array([info.width / width, info.height / height] * 2)
    found = [(detect or all_faces)(image) for image in frames.images]
    tracks = []
    for chain in link(found, frames.times):
        if len(chain) >= min(count, max(2, MIN_SEEN * count)):
            corners = np.array([[box.x0, box.y0, box.x1, box.y1] for box in chain.values()]) * scale
            tracks.append(FaceTrack(info.width, info.height, frames.times[list(chain)], corners,
                                    np.array([box.score for box in chain.values()])))
    tracks.sort(key=lambda track: float(np.sqrt(track.area)) * len(track.times), reverse=True)
    note = None if tracks else f"no face was found in {count} frames"
    return Tracks(info.width, info.height, frames.times, tuple(tracks), note)


def all_faces(image: np.ndarray) -> list[Box]:
    """Every face in uint8 [H, W, 3] RGB, small ones beside large ones, each once."""
    boxes = search(image, DETECT_SIDE, MIN_NEIGHBOURS, MIN_FACE)
    if max(image.shape[:2]) > DETECT_SIDE:
        for box in search(image, WIDE_SIDE, WIDE_MIN_NEIGHBOURS, WIDE_MIN_FACE):
            if all(overlap(box, other) < _SAME_FACE and not _inside(box, other) for other in boxes):
                boxes.append(box)
    return boxes


def overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    if width <= 0 or height <= 0:
        return 0.0
    areas = [(box.x1 - box.x0) * (box.y1 - box.y0) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def _inside(one: Box, other: Box) -> bool:
    x, y = one.centre
    return bool(other.x0 < x < other.x1 and other.y0 < y < other.y1)


def link(found: list[list[Box]], times: np.ndarray) -> list[dict[int, Box]]:
    """Boxes of frames -> chains (frame number -> box) of one face each: a box continues the chain whose last box it
    overlaps most, the best pairs first, where that was seen no longer than `MAX_GAP_SECONDS` ago."""
    chains: list[dict[int, Box]] = []
    for number, boxes in enumerate(found):
        open_chains = [chain for chain in chains
                       if number - max(chain) <= 1 or times[number] - times[max(chain)] <= MAX_GAP_SECONDS]
        pairs = sorted(((overlap(box, chain[max(chain)]), place, which) for place, box in enumerate(boxes)
                        for which, chain in enumerate(open_chains)), key=lambda pair: -pair[0])
        taken: set[int] = set()
        continued: set[int] = set()
        for alike, place, which in pairs:
            if alike >= MIN_OVERLAP and place not in taken and which not in continued:
                open_chains[which][number] = boxes[place]
                taken.add(place)
                continued.add(which)
        chains += [{number: box} for place, box in enumerate(boxes) if place not in taken]
    return chains


def track_crops(frames: np.ndarray, times: np.ndarray, track: FaceTrack, size: int = 112,
                margin: float = 0.2) -> FaceCrops:
    """The crops of `face_crops`, with the face where a track says that it is.

    Args:
        frames: uint8 [T, H, W, 3] RGB, of any size in the shape of the track's picture.
        times: float64 [T] of the frames.
    """
    if not len(track.times):
        return FaceCrops(None, None, np.zeros(len(frames), dtype=bool), NO_FACE_IN_TRACK)
    height, width = frames.shape[1:3]
    boxes = track.at(times) * ([width / track.width, height / track.height] * 2)
    images = np.stack([crop(frame, box, size, margin) for frame, box in zip(frames, boxes, strict=True)])
    seen = (times >= track.times[0] - MAX_GAP_SECONDS) & (times <= track.times[-1] + MAX_GAP_SECONDS)
    return FaceCrops(images, boxes, seen, None)


# ---------------------------------------------------------------------------- the file


def write_track(path: str | Path, track: FaceTrack) -> None:
    """Write a face track whole, or not at all."""
    value = {"format": FORMAT, "version": VERSION, "width": track.width, "height": track.height,
             "times": [round(time, 6) for time in track.times.tolist()],
             "boxes": [[round(number, 2) for number in box] for box in track.boxes.tolist()],
             "scores": [round(score, 4) for score in track.scores.tolist()],
             "rule": track.rule, "confidence": None if track.confidence is None else round(track.confidence, 4)}
    atomic_write_json(path, value, indent=None)


def read_track(path: str | Path) -> FaceTrack:
    """A face track from anywhere.

    Raises:
        MediaError: no such file, or one whose values cannot be a face track's; says which.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_TRACK_BYTES:
            raise MediaError(f"{path}: has more than {MAX_TRACK_BYTES // 1024**2} MB, which no face track needs")
        value = unique_json(path.read_text(encoding="utf-8-sig"), str(path), "a face track is one JSON object")
    except MediaError:
        raise
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such face track; check the path") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check what it is") from error
    except UnicodeDecodeError as error:
        raise MediaError(f"{path}: is not UTF-8 text; a face track is JSON") from error
    except ValueError as error:
        raise MediaError(str(error)) from error
    return _checked(value, path)


def _checked(value, path: Path) -> FaceTrack:
    def refuse(what: str) -> None:
        raise MediaError(f"{path}: {what}; write the face track again")

    if not isinstance(value, dict) or value.get("format") != FORMAT:
        refuse(f"is no face track: \"format\" must be \"{FORMAT}\"")
    if type(value.get("version")) is not int or value["version"] != VERSION:
        refuse(f"has version {value.get('version')!r:.40}, and {VERSION} is read")
    if unknown := value.keys() - _KEYS:
        refuse(f"unknown key {sorted(unknown)[0]!r:.60}; known: {', '.join(sorted(_KEYS))}")
    for key in ("width", "height"):
        if type(value.get(key)) is not int or not 1 <= value[key] <= MAX_SIDE:
            refuse(f"{key} must be a whole number of pixels from 1 to {MAX_SIDE}, not {value.get(key)!r:.40}")
    boxes = value.get("boxes")
    if not isinstance(boxes, list):
        refuse("boxes must be a list of [x0, y0, x1, y1]")
    if ("times" in value) == ("fps" in value):
        refuse("give either times or fps")
    scores = value.get("scores")
    if scores is None:
        scores = [1.0] * len(boxes)
    for name, numbers in (("scores", scores), ("times", value.get("times", [0] * len(boxes)))):
        if not isinstance(numbers, list) or len(numbers) != len(boxes):
            refuse(f"{name} must be a list of {len(boxes)} numbers, one a box")
    times = value.get("times")
    if times is None:
        if not _is_number(value["fps"]) or not 0 < value["fps"] <= 1000:
            refuse(f"fps must be a number above 0, at most 1000, not {value['fps']!r:.40}")
        times = [number / value["fps"] for number in range(len(boxes))]
    elif not all(_is_number(time) and time >= 0 for time in times) or any(b <= a for a, b in zip(times, times[1:])):
        refuse("times must be seconds from 0 on, ascending")
    kept = []
    for number, (time, box, score) in enumerate(zip(times, boxes, scores, strict=True)):
        if box is None and "fps" in value:
            continue
        good = isinstance(box, list) and len(box) == 4 and all(_is_number(one) and abs(one) <= MAX_SIDE for one in box)
        if not good or not (box[0] < box[2] and box[1] < box[3]):
            refuse(f"box {number} must be [x0, y0, x1, y1] in pixels with x0 < x1 and y0 < y1, not {box!r:.60}")
        if box[2] <= 0 or box[3] <= 0 or box[0] >= value["width"] or box[1] >= value["height"]:
            refuse(f"box {number} lies outside the picture of {value['width']} x {value['height']}: {box!r:.60}")
        if not _is_number(score):
            refuse(f"score {number} must be a number, not {score!r:.40}")
        kept.append((time, box, score))
    rule, confidence = value.get("rule"), value.get("confidence")
    if rule is not None and not isinstance(rule, str):
        refuse("rule must be a text")
    if confidence is not None and not (_is_number(confidence) and 0 <= confidence <= 1):
        refuse(f"confidence must be a number from 0 to 1, not {confidence!r:.40}")
    return FaceTrack(value["width"], value["height"], np.array([one[0] for one in kept], dtype=np.float64),
                     np.array([one[1] for one in kept], dtype=np.float64).reshape(-1, 4),
                     np.array([one[2] for one in kept], dtype=np.float64), rule,
                     None if confidence is None else float(confidence))


def _is_number(value) -> bool:
    return type(value) in (int, float) and abs(value) < 1e12 and math.isfinite(value)
