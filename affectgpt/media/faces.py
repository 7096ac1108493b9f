"""Frames -> one face per frame, cut out as a square, with the Haar cascade that OpenCV 4 carries."""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

CASCADE = "haarcascade_frontalface_default.xml"
# Measured on talking-head clips: every face is found at 240 pixels in about 15 ms a frame.
DETECT_SIDE = 240
# A face that fills the picture is missed where it touches the border, so the picture gets one.
BORDER = 0.1
SCALE_STEP = 1.15
MIN_NEIGHBOURS = 5
MIN_FACE = 0.12  # of the shorter side
# Small faces in a wide shot, looked for where the first look finds nothing; stricter, because texture
# passes for a small face.
WIDE_SIDE = 480
WIDE_MIN_NEIGHBOURS = 8
WIDE_MIN_FACE = 0.07
# A face is looked for at about the size that it had a frame before: nearly all windows are of smaller sizes.
AS_LARGE = 0.6
NO_FACE = "no face was found in any of the {count} frames"

_local = threading.local()


@dataclass(frozen=True)
class Box:
    """Pixels of the picture it was found in; x1 and y1 lie just outside. `score` is the number of
    neighbouring windows that agree (not a probability)."""

    x0: float
    y0: float
    x1: float
    y1: float
    score: float

    @property
    def side(self) -> float:
        return max(self.x1 - self.x0, self.y1 - self.y0)

    @property
    def centre(self) -> np.ndarray:
        return np.array([(self.x0 + self.x1) / 2, (self.y0 + self.y1) / 2])


@dataclass(frozen=True)
class FaceCrops:
    """One face through T frames. `images` uint8 [T, size, size, 3] RGB and `boxes` float64 [T, 4]
    (x0, y0, x1, y1 of the face, without margin), both None where no frame shows a face; `detected`
    bool [T] is False where the box is filled in from other frames; `note` says why there is no face."""

    images: np.ndarray | None
    boxes: np.ndarray | None
    detected: np.ndarray
    note: str | None


class FaceDetector:
    """Frontal faces. It holds nothing, so it can be sent to other processes and used by threads."""

    def detect(self, image: np.ndarray, at_least: float = 0.0) -> list[Box]:
        """Faces in uint8 [H, W, 3] RGB, the largest first; an empty list where there is none.

        at_least: pixels; smaller faces are looked for only where there is none of this size.
        """
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
            raise ValueError(f"a picture must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}")
        looks = [(DETECT_SIDE, MIN_NEIGHBOURS, MIN_FACE)]
        if max(image.shape[:2]) > DETECT_SIDE:
            looks.append((WIDE_SIDE, WIDE_MIN_NEIGHBOURS, WIDE_MIN_FACE))
        part = at_least / min(image.shape[:2])
        for side, neighbours, smallest in ([(*look[:2], part) for look in looks if part > look[2]] + looks):
            boxes = search(image, side, neighbours, smallest)
            if boxes:
                return sorted(boxes, key=lambda box: box.side, reverse=True)
        return []


def _cascade():
    """One cascade a thread: OpenCV's is not safe to share."""
    import cv2

    if not hasattr(_local, "cascade"):
        if not hasattr(cv2, "CascadeClassifier"):
            raise ImportError("this OpenCV has no face cascades: pip install 'opencv-python-headless<5'")
        # OpenCV's threads add candidates in the order in which they finish, and grouping depends on that order: a
        # face must not depend on how busy the machine is. (The setting is the whole process's.)
        cv2.setNumThreads(1)
        _local.cascade = cv2.CascadeClassifier(cv2.data.haarcascades + CASCADE)
    return _local.cascade


def search(image: np.ndarray, longest_side: int, min_neighbours: int, min_face: float) -> list[Box]:
    import cv2

    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    scale = min(1.0, longest_side / max(height, width))
    if scale < 1:
        small = max(1, round(width * scale)), max(1, round(height * scale))
        grey = cv2.resize(grey, small, interpolation=cv2.INTER_AREA)
    shorter = min(grey.shape)
    border = round(BORDER * shorter)
    grey = cv2.copyMakeBorder(grey, border, border, border, border, cv2.BORDER_REPLICATE)
    found, neighbours = _cascade().detectMultiScale2(
        grey, scaleFactor=SCALE_STEP, minNeighbors=min_neighbours, minSize=(round(min_face * shorter),) * 2
    )
    boxes = []
    for (x, y, w, h), score in zip(found, neighbours):
        corners = (np.array([x, y, x + w, y + h]) - border) / scale
        x0, y0, x1, y1 = np.clip(corners, 0, [width, height, width, height]).tolist()
        boxes.append(Box(x0, y0, x1, y1, float(score)))
    return boxes


def face_crops(
    frames: np.ndarray, size: int = 112, margin: float = 0.2, detector: FaceDetector | None = None
) -> FaceCrops:
    """Follow the most prominent face (large, central, often seen) through uint8 [T, H, W, 3] RGB.

    Each crop is a square around the face with `margin` of its side added on every side, less where the
    picture has no room for it. Frames without the face get an interpolated box, or the
    nearest one before the first and after the last.
    """
    frames = np.asarray(frames)
    if frames.ndim != 4 or not len(frames):
        raise ValueError(f"frames must be uint8 [T, H, W, 3] with T of at least 1, not {list(frames.shape)}")
    detector = detector or FaceDetector()
    found: list[list[Box]] = []
    before = 0.0
    for frame in frames:
        found.append(detector.detect(frame, at_least=AS_LARGE * before))
        largest = max(found[-1], key=lambda box: _prominence(box, frames.shape[1:3]), default=None)
        before = largest.side if largest is not None else 0.0
    track = _track(found, frames.shape[1:3])
    detected = np.array([box is not None for box in track])
    if not detected.any():
        return FaceCrops(None, None, detected, NO_FACE.format(count=len(frames)))
    known = np.array([[box.x0, box.y0, box.x1, box.y1] for box in track if box is not None])
    at = np.flatnonzero(detected)
    boxes = np.stack([np.interp(np.arange(len(frames)), at, column) for column in known.T], axis=1)
    images = np.stack([crop(frame, box, size, margin) for frame, box in zip(frames, boxes)])
    return FaceCrops(images, boxes, detected, None)


def shows_face(frames: np.ndarray, detector: FaceDetector | None = None) -> str | None:
    """None where `face_crops` finds a face in these frames, else its note; looks no further than the first face.

    From the middle on: a clip's ends are where a person turns away or has left.
    """
    detector, middle = detector or FaceDetector(), (len(frames) - 1) / 2
    order = sorted(range(len(frames)), key=lambda number: abs(number - middle))
    return None if any(detector.detect(frames[number]) for number in order) else NO_FACE.format(count=len(frames))


def _prominence(box: Box, shape: tuple[int, int]) -> float:
    """Size against the picture, up to halved towards its corners."""
    middle = np.array([shape[1], shape[0]]) / 2
    distance = np.linalg.norm((box.centre - middle) / middle) / np.sqrt(2)
    return box.side / min(shape) * (1 - 0.5 * distance)


def _track(found: list[list[Box]], shape: tuple[int, int]) -> list[Box | None]:
    """One box or None per frame: the chain of similar boxes with the greatest prominence in all."""
    chains: list[dict[int, Box]] = []
    for number, boxes in enumerate(found):
        for box in boxes:
            for chain in chains:
                last_number = max(chain)
                last = chain[last_number]
                near = np.linalg.norm(box.centre - last.centre) < max(box.side, last.side)
                alike = 0.5 < box.side / last.side < 2
                if last_number < number and near and alike:
                    chain[number] = box
                    break
            else:
                chains.append({number: box})
    if not chains:
        return [None] * len(found)
    chains.sort(key=lambda chain: sum(_prominence(box, shape) for box in chain.values()), reverse=True)
    track = dict(chains[0])
    # A face that jumps breaks its chain. Chains never seen beside the track may continue it.
    for chain in chains[1:]:
        if not chain.keys() & track.keys():
            track.update(chain)
    return [track.get(number) for number in range(len(found))]


def crop(frame: np.ndarray, box: np.ndarray, size: int, margin: float) -> np.ndarray:
    """uint8 [size, size, 3]. The square is made smaller and moved rather than reach over the border:
    real skin beside the face says more than repeated edges."""
    import cv2

    height, width = frame.shape[:2]
    x0, y0, x1, y1 = box
    side = max(1, min(round(max(x1 - x0, y1 - y0) * (1 + 2 * margin)), height, width))
    left = int(np.clip(round((x0 + x1 - side) / 2), 0, width - side))
    top = int(np.clip(round((y0 + y1 - side) / 2), 0, height - side))
    square = frame[top : top + side, left : left + side]
    return cv2.resize(square, (size, size), interpolation=cv2.INTER_AREA if side > size else cv2.INTER_LINEAR)
