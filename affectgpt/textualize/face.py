"""The face of a clip, frame by frame: a tight crop for expressions, and landmarks for action units.

Shapes: T frames, 468 landmarks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from affectgpt import media
from affectgpt.data.clip import Clip
from affectgpt.data.reading import CROPS, NO_CROPS, NO_PICTURE, cut_face, face_track
from affectgpt.media.faces import crop
from affectgpt.starter.face_mesh import POINTS, SIZE

CROP, MAX_SIDE = 112, 480
"""Pixels of the crop that the expression network was trained at; to which larger pictures are decoded."""
FIRST_MARGIN, MARGIN = 0.15, 0.25
"""Room around a detector's box, and around the landmarks of the first look, in units of its side."""
SURE = 0.5
"""Score from which the network's face is one."""
RIGHT_EYE, LEFT_EYE = (33, 133), (263, 362)
"""Landmarks of the corners of each eye, the outer one first."""
_BATCH = 32


@dataclass(frozen=True)
class FaceFrames:
    """One face through T frames.

    Attributes:
        times: float64 [T] seconds of the clip.
        crops: uint8 [T, 112, 112, 3] RGB.
        landmarks: float32 [T, 468, 3] in pixels, NaN where `found` is False.
        found: bool [T]: the face was seen there, and the landmark network agrees that it is one.
        notes: what was done to the pictures, or why there is no face.
    """

    times: np.ndarray
    crops: np.ndarray
    landmarks: np.ndarray
    found: np.ndarray
    notes: list[str]


def read_face_frames(clip: Clip, rate: float, most: int) -> FaceFrames:
    """The face of a clip, as the rest of the project takes it: crops of `Clip.face`, the face where its track says, or
    the one that is found.

    Args:
        rate: frames a second; a clip with fewer gives all that it has.
        most: frames at most; of a longer clip they are spread evenly.
    Raises:
        media.MediaError: a file that cannot be read.
    """
    if clip.face is not None and clip.face.suffix == CROPS:
        images = media.read_crops(clip.face, max(1, min(media.count_crops(clip.face), most)), SIZE)
        if images is None:
            return _nothing(NO_CROPS)
        seconds = media.probe(clip.media, clip.span).duration if clip.media is not None else len(images) / rate
        times = (np.arange(len(images)) + 0.5) * seconds / len(images)
        box = np.array([[0.0, 0.0, SIZE, SIZE]]).repeat(len(images), 0)
        crops = np.stack([crop(image, one, CROP, 0.0) for image, one in zip(images, box)])
        return _with_landmarks(times, images, crops, box, np.ones(len(images), dtype=bool), [])
    if clip.media is None or not (info := media.probe(clip.media, clip.span)).shows_picture():
        return _nothing(NO_PICTURE)
    track = face_track(clip)
    count = max(1, min(round(rate * info.duration), info.frames, most))
    frames = media.read_frames(clip.media, count, max_side=MAX_SIDE, span=clip.span)
    found = cut_face(frames, track, CROP, 0.0)
    if found.images is None:
        return _nothing(found.note)
    start = (clip.span or (None,))[0] or 0.0
    return _with_landmarks(frames.times - start, frames.images, found.images, found.boxes, found.detected,
                           list(frames.notes))


def _nothing(note: str | None) -> FaceFrames:
    return FaceFrames(np.zeros(0), np.zeros((0, CROP, CROP, 3), np.uint8), np.zeros((0, POINTS, 3), np.float32),
                      np.zeros(0, dtype=bool), [note] if note else [])


def _with_landmarks(times: np.ndarray, images: np.ndarray, crops: np.ndarray, boxes: np.ndarray, seen: np.ndarray,
                    notes: list[str]) -> FaceFrames:
    landmarks = np.full((len(images), POINTS, 3), np.nan, dtype=np.float32)
    found = np.zeros(len(images), dtype=bool)
    looked = np.flatnonzero(seen)
    for begin in range(0, len(looked), _BATCH):
        part = looked[begin : begin + _BATCH]
        landmarks[part], sure = face_landmarks(images[part], boxes[part])
        found[part] = sure >= SURE
    landmarks[~found] = np.nan
    if not found.any():
        notes = [*notes, "what looks like a face is none for the landmark network"]
    return FaceFrames(times, crops, landmarks, found, notes)


def face_landmarks(images: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(landmarks float32 [T, 468, 3] in pixels of the pictures, depth in the same unit; face scores [T] in 0..1).

    The network wants an upright face that fills its square by two thirds: a first look at the box finds where the eyes
    are, a second one looks at the square that is turned by them.
    Args:
        images: uint8 [T, H, W, 3] RGB. boxes: float [T, 4] (x0, y0, x1, y1) of the face.
    """
    squares = [_square((box[:2] + box[2:]) / 2, max(box[2:] - box[:2]) * (1 + 2 * FIRST_MARGIN), 0.0) for box in boxes]
    points, scores = _look(images, squares)
    turned = []
    for face in points:
        right, left = face[list(RIGHT_EYE), :2].mean(0), face[list(LEFT_EYE), :2].mean(0)
        angle = float(np.arctan2(*(left - right)[::-1]))
        along = face[:, :2] @ np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        low, high = along.min(0), along.max(0)
        middle = (low + high) / 2 @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
        turned.append(_square(middle, max(float((high - low).max()), 1.0) * (1 + 2 * MARGIN), angle))
    return _look(images, turned) if len(images) else (points, scores)


def _square(middle: np.ndarray, side: float, angle: float) -> np.ndarray:
    """[2, 3] from pixels of the network's square to pixels of the picture."""
    scale = side / SIZE
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn, (middle - turn @ np.full(2, SIZE / 2))[:, None]], axis=1)


def _look(images: np.ndarray, squares: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    import cv2
    import torch

    cut = [cv2.warpAffine(image, square, (SIZE, SIZE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                          borderMode=cv2.BORDER_REPLICATE) for image, square in zip(images, squares, strict=True)]
    with torch.inference_mode():
        points, scores = _network()(torch.from_numpy(np.stack(cut)).permute(0, 3, 1, 2))
    points, placed = points.numpy(), []
    for face, square in zip(points, squares):
        flat = face[:, :2] @ square[:, :2].T + square[:, 2]
        scale = float(np.hypot(*square[:, 0]))
        placed.append(np.concatenate([flat, face[:, 2:] * scale], axis=1))
    return np.stack(placed).astype(np.float32), scores.numpy()


@lru_cache(maxsize=1)
def _network():
    from affectgpt.starter.face_mesh import load_face_mesh

    return load_face_mesh()
