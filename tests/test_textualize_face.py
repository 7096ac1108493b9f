"""The landmark network on drawn faces: where they are, what turning a picture changes, and action units drawn one by
one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from affectgpt.media import face_crops
from affectgpt.starter.face_mesh import POINTS, SIZE, load_face_mesh
from affectgpt.synthetic.corpus import plan_clip
from affectgpt.synthetic.face import FacePainter
from affectgpt.textualize.face import face_landmarks
from affectgpt.textualize.geometry import MEASURES, measure
from affectgpt.textualize.units import MEASURED, units_of

DRAWN = {"AU01": 1, "AU04": 4, "AU10": 10, "AU12": 12, "AU15": 15, "AU26": 26}
"""Units that are told apart on drawn faces -> the painter's number of each."""


@pytest.fixture(scope="module")
def faces() -> tuple[np.ndarray, np.ndarray]:
    """(pictures, boxes) of a face at rest, and of the same face with each of `DRAWN`."""
    painter = FacePainter(replace(plan_clip(0).speaker.look, glasses=False))
    images = np.stack([painter.draw({}), *(painter.draw({number: 1.0}) for number in DRAWN.values())])
    return images, face_crops(images, 112, 0.0).boxes


def test_landmarks_lie_on_the_face(faces):
    images, boxes = faces
    points, scores = face_landmarks(images[:1], boxes[:1])
    assert points.shape == (1, POINTS, 3) and scores[0] > 0.99
    face = points[0, :, :2]
    right_eye, left_eye, brow, nose, mouth, chin = (face[place] for place in (33, 263, 107, 1, 13, 152))
    assert right_eye[0] < nose[0] < left_eye[0] and brow[1] < right_eye[1] < nose[1] < mouth[1] < chin[1]
    assert (face.min(0) > boxes[0, :2] - 40).all() and (face.max(0) < boxes[0, 2:] + 40).all()


def test_noise_is_no_face_and_other_shapes_are_refused():
    model = load_face_mesh()
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, SIZE, SIZE), dtype=np.uint8))
    with torch.inference_mode():
        assert (model(noise)[1] < 0.01).all()
    with pytest.raises(ValueError, match="give RGB squares"):
        model(noise[:, :, :100])


def test_a_head_that_is_turned_in_the_picture_has_the_same_measures(faces):
    import cv2

    image, box = faces[0][0], faces[1][0]
    middle = (box[:2] + box[2:]) / 2
    turn = cv2.getRotationMatrix2D(tuple(map(float, middle)), 20.0, 1.0)
    turned = cv2.warpAffine(image, turn, image.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
    points, scores = face_landmarks(np.stack([image, turned]), np.stack([box, box]))
    straight, tilted = measure(points)
    assert (scores > 0.9).all() and np.abs(straight - tilted).max() < 0.03
    slope = points[1, 263, :2] - points[1, 33, :2]
    assert abs(np.degrees(np.arctan2(slope[1], slope[0]))) == pytest.approx(20, abs=3)


@pytest.mark.parametrize("unit", DRAWN)
def test_a_unit_that_is_drawn_is_measured(faces, unit):
    images, boxes = faces
    place = 1 + list(DRAWN).index(unit)
    points, _ = face_landmarks(images[[0, place]], boxes[[0, place]])
    measures = measure(points)
    assert measures.shape == (2, len(MEASURES))
    found = dict(zip(MEASURED, units_of(measures, 0.0, rest=measures[0])[1], strict=True))
    assert found[unit] > 0.4  # at rest it is 0.02
    opposite = {"AU01": "AU04", "AU04": "AU01", "AU10": "AU25", "AU12": "AU15", "AU15": "AU12", "AU26": "AU12"}
    assert found[opposite[unit]] < 0.2
