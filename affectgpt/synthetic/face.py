"""The face of the starter corpus: a shaded, drawn head whose muscles are facial action units."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from affectgpt.synthetic.facial_parts import draw_brow, draw_eye, draw_mouth, draw_nose
from affectgpt.synthetic.head import draw_front_hair, draw_glasses, draw_head
from affectgpt.synthetic.painter import Painter, Pose

# Two ways to show each emotion, after the prototypes of Ekman & Friesen's FACS investigator's guide.
EXPRESSIONS: dict[str, tuple[dict[int, float], ...]] = {
    "neutral": ({},),
    "happy": ({6: 0.9, 12: 1.0, 25: 0.8}, {6: 1.0, 12: 1.0}),
    "sad": ({1: 1.0, 4: 0.6, 15: 1.0, 17: 0.4}, {1: 1.0, 4: 0.7, 7: 0.35, 15: 1.0}),
    "angry": (
        {4: 1.0, 5: 0.4, 7: 0.7, 23: 0.6, 24: 0.9},
        {4: 1.0, 5: 0.6, 7: 0.6, 10: 0.5, 23: 0.5, 25: 0.8},
    ),
    "fearful": (
        {1: 1.0, 2: 0.7, 4: 0.5, 5: 1.0, 20: 1.0, 25: 0.6, 26: 0.4},
        {1: 1.0, 2: 0.6, 4: 0.6, 5: 0.9, 20: 0.9, 25: 0.8},
    ),
    "surprised": ({1: 1.0, 2: 1.0, 5: 0.9, 25: 0.4, 26: 1.0}, {1: 0.9, 2: 1.0, 5: 1.0, 25: 0.3, 27: 0.8}),
    "disgusted": ({7: 0.4, 9: 1.0, 10: 0.6, 15: 0.6, 17: 0.7}, {6: 0.4, 9: 1.0, 10: 1.0, 25: 0.6}),
}


class FacePainter(Painter):
    """Draws one identity; `draw` makes one picture."""

    def draw(
        self, actions: Mapping[int, float], pose: Pose = Pose(), speech: float = 0.0, rounding: float = 0.0
    ) -> np.ndarray:
        """One picture, uint8 [SIZE, SIZE, 3] RGB.

        `actions` maps action units to intensities 0..1; `speech` (opening) and `rounding` of the mouth,
        both 0..1, come from the spoken sound.
        """
        a = {
            unit: float(actions.get(unit, 0.0))
            for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 24, 25, 26, 27)
        }
        self.begin(pose)
        talk = speech * (1 - 0.55 * a[24]) * (1 - 0.5 * a[27])
        self.opening = 0.13 * a[25] + 0.24 * a[26] + 0.46 * a[27] + 0.24 * talk
        self.drop = 0.16 * a[26] + 0.30 * a[27] + 0.12 * talk
        draw_head(self, a)
        for side in (-1, 1):
            draw_eye(self, a, side)
            draw_brow(self, a, side)
        draw_nose(self, a)
        draw_mouth(self, a, rounding)
        draw_front_hair(self)
        if self.look.glasses:
            draw_glasses(self)
        return self.finish()
