"""Faces of frames: found, followed, cut out."""

from __future__ import annotations

import numpy as np
import pytest

from affectgpt.media import Box, FaceDetector, face_crops, faces, read_frames


def drawn_face(size: int = 200) -> np.ndarray:
    """uint8 [size, size, 3]: light skin, darker eyes, brows, nose and mouth; enough for a Haar cascade."""
    import cv2

    face = np.full((200, 200, 3), 90, dtype=np.uint8)
    cv2.ellipse(face, (100, 105), (62, 82), 0, 0, 360, (225, 190, 170), -1)
    for x in (75, 125):
        cv2.ellipse(face, (x, 88), (17, 8), 0, 0, 360, (120, 90, 80), -1)
        cv2.circle(face, (x, 88), 7, (20, 20, 20), -1)
        cv2.ellipse(face, (x, 70), (20, 5), 0, 180, 360, (60, 40, 30), 5)
    cv2.ellipse(face, (100, 122), (10, 8), 0, 0, 180, (170, 130, 115), 3)
    cv2.ellipse(face, (100, 150), (26, 9), 0, 0, 360, (140, 50, 50), -1)
    face = cv2.GaussianBlur(face, (0, 0), 2.5)
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)


def scene(*places: tuple[int, int, int], width: int = 400, height: int = 300) -> np.ndarray:
    """Drawn faces of a size with their top left corner at x, y."""
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    for size, x, y in places:
        picture[y : y + size, x : x + size] = drawn_face(size)
    return picture


def test_detector_finds_a_face_and_nothing_else():
    boxes = FaceDetector().detect(scene((120, 200, 100)))
    assert len(boxes) == 1
    assert np.abs(boxes[0].centre - [260, 163]).max() < 15 and 50 < boxes[0].side < 130
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert FaceDetector().detect(noise) == FaceDetector().detect(scene()) == []
    with pytest.raises(ValueError, match="uint8"):
        FaceDetector().detect(noise.astype(float))


def test_face_that_fills_the_picture_is_found():
    assert len(FaceDetector().detect(np.ascontiguousarray(drawn_face()[15:190, 35:165]))) == 1


def test_small_face_in_a_wide_picture_is_found():
    boxes = FaceDetector().detect(scene((110, 900, 300), width=1280, height=720))
    assert len(boxes) == 1 and np.abs(boxes[0].centre - [955, 358]).max() < 25


class Told:
    """A detector that returns what it is told, frame by frame."""

    def __init__(self, found):
        self.found = iter(found)

    def detect(self, image, at_least=0.0):
        return [Box(x, y, x + side, y + side, 1.0) for x, y, side in next(self.found)]


def test_a_face_is_followed_at_about_its_size(monkeypatch):
    """Small windows are most of the work: after the first frame they are looked at where no face of its size is left,
    and one that appears late, or is far smaller than another that left, is still found."""
    looks, search = [], faces.search

    def recorded(image, side, neighbours, smallest):
        looks.append(round(smallest, 2))
        return search(image, side, neighbours, smallest)

    monkeypatch.setattr(faces, "search", recorded)
    empty, large, small = scene(), scene((200, 100, 50)), scene((90, 200, 100))
    crops = face_crops(np.stack([empty, large, large, small, small]))
    assert crops.detected.tolist() == [False, True, True, True, True]
    assert looks[:3] == [0.12, 0.07, 0.12] and 0.2 < looks[3] < 0.5  # nothing, twice; the face; the face again
    assert looks[4] > 0.2 and looks[-1] < looks[4]
    alone = [FaceDetector().detect(frame)[0] for frame in (large, small)]
    for box, one in zip(crops.boxes[[2, 3]], alone):
        assert np.abs(box - [one.x0, one.y0, one.x1, one.y1]).max() < 12


def test_missing_boxes_are_interpolated_or_nearest():
    frames = np.zeros((5, 100, 100, 3), dtype=np.uint8)
    crops = face_crops(frames, size=32, detector=Told([[], [(10, 10, 20)], [], [(30, 10, 20)], []]))
    assert crops.detected.tolist() == [False, True, False, True, False]
    assert crops.boxes[:, 0].tolist() == [10, 10, 20, 30, 30] and crops.note is None
    assert crops.images.shape == (5, 32, 32, 3)


def test_one_face_is_followed_among_several():
    """The larger, central one, also where a box at the border is listed first."""
    near, far = (40, 30, 40), (2, 2, 20)
    told = Told([[far, near], [near], [far], [near, far]])
    crops = face_crops(np.zeros((4, 100, 120, 3), np.uint8), detector=told)
    assert crops.boxes[:, 0].tolist() == [40, 40, 40, 40]
    assert crops.detected.tolist() == [True, True, False, True]


def test_face_that_jumps_is_still_followed():
    crops = face_crops(np.zeros((2, 200, 200, 3), np.uint8), detector=Told([[(0, 0, 30)], [(150, 150, 30)]]))
    assert crops.detected.all() and crops.boxes[:, 0].tolist() == [0, 150]


def test_crop_is_square_with_its_margin_and_stays_inside():
    frame = np.zeros((100, 160, 3), dtype=np.uint8)
    frame[20:60, 50:90] = 255
    inside = face_crops(frame[None], size=56, margin=0.2, detector=Told([[(50, 20, 40)]])).images[0]
    white = (inside > 127).all(axis=2)
    assert white.any(0).sum() == white.any(1).sum() == 40 and white[8:48, 8:48].all()
    corner = face_crops(frame[None], size=56, margin=0.2, detector=Told([[(120, 0, 40)]])).images[0]
    assert corner.shape == (56, 56, 3) and not corner.any()


def test_no_face_is_told():
    crops = face_crops(np.zeros((3, 60, 80, 3), dtype=np.uint8))
    assert crops.images is None and crops.boxes is None and not crops.detected.any()
    assert "no face" in crops.note and "3 frames" in crops.note


@pytest.mark.parametrize(("name", "low", "high"), [
    ("faces/single_face.mp4", 1.0, 1.0),
    ("faces/face_noface.mov", 0.3, 0.6),
    ("faces/no_face.mp4", 0.0, 0.0),
    ("ravdess_av/01-01-02-02-02-01-05.mp4", 1.0, 1.0),
    ("ravdess_av/01-01-08-01-01-01-06.mp4", 1.0, 1.0),
])
def test_faces_of_real_clips(shared_data, name, low, high):
    """A talking head, a face only in the first half, none, a tight crop of a face, head and shoulders."""
    frames = read_frames(shared_data / "clips" / name, 8)
    crops = face_crops(frames.images)
    assert low <= crops.detected.mean() <= high
    assert (crops.images is None) == (high == 0)
