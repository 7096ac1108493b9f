"""Landmarks of a face -> distances that action units change, in units of the distance between the eyes.

Distances are taken in the head's own axes, so that a turned, bent or tilted head changes them little.
Shapes: T frames, 468 landmarks.
"""

from __future__ import annotations

import numpy as np

MEASURES = ("inner_brow", "outer_brow", "brow_gap", "eye_opening", "lower_lid", "corner_height", "mouth_width",
            "lip_gap", "jaw_drop", "upper_lip")
"""inner_brow, outer_brow: how high each stands above its corner of the eye. brow_gap: between the inner ends of the
brows. eye_opening: between the lids. lower_lid: how high it stands against the corners of the eye. corner_height: how
high the corners of the mouth stand against a point between the lips, a third down, which an opening mouth leaves at
their height. mouth_width: between its corners. lip_gap: between the inner edges of the lips. jaw_drop: from the base of
the nose to the chin. upper_lip: from the base of the nose to the upper lip's outer edge."""

_EYES = (33, 263)  # outer corners: right, left
_FOREHEAD, _NOSE_BASE, _CHIN = 10, 2, 152
_INNER_BROW, _OUTER_BROW = (107, 55, 336, 285), (46, 53, 63, 276, 283, 293)
_BROW_ENDS = (55, 285)
_INNER_EYE, _OUTER_EYE = (133, 362), (33, 263)
_UPPER_LID, _LOWER_LID = (158, 159, 160, 385, 386, 387), (153, 145, 144, 380, 374, 373)
_MOUTH_CORNERS, _LIPS, _UPPER_LIP_EDGE = (61, 291), (13, 14), 0
_DOWN = 0.35
"""Of the way from the upper to the lower lip: the point that corners are compared with."""


def measure(landmarks: np.ndarray) -> np.ndarray:
    """float64 [T, len(MEASURES)] of landmarks [T, 468, 3] (x to the right, y down, depth); NaN for a face that is NaN.
    """
    points = landmarks.astype(np.float64)
    across = points[:, _EYES[1]] - points[:, _EYES[0]]
    size = np.linalg.norm(across, axis=1)
    x = across / np.maximum(size, 1e-9)[:, None]
    down = points[:, _NOSE_BASE] - points[:, _FOREHEAD]
    y = down - (down * x).sum(1, keepdims=True) * x
    y /= np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-9)

    def height(places: tuple[int, ...]) -> np.ndarray:
        """Mean height of landmarks in the head's upright axis, [T]."""
        return -(points[:, list(places)] @ y[:, :, None])[..., 0].mean(1)

    def apart(pair: tuple[int, ...]) -> np.ndarray:
        return np.linalg.norm(points[:, pair[0]] - points[:, pair[1]], axis=1)

    corners = height(_INNER_EYE + _OUTER_EYE)
    found = [height(_INNER_BROW) - height(_INNER_EYE), height(_OUTER_BROW) - height(_OUTER_EYE), apart(_BROW_ENDS),
             height(_UPPER_LID) - height(_LOWER_LID), height(_LOWER_LID) - corners,
             height(_MOUTH_CORNERS) - (1 - _DOWN) * height(_LIPS[:1]) - _DOWN * height(_LIPS[1:]),
             apart(_MOUTH_CORNERS), apart(_LIPS), height((_NOSE_BASE,)) - height((_CHIN,)),
             height((_NOSE_BASE,)) - height((_UPPER_LIP_EDGE,))]
    return np.stack(found, axis=1) / np.maximum(size, 1e-9)[:, None]
