"""Eyes, brows, nose and mouth of the drawn face, moved by facial action units.

Each function draws on a painter (see synthetic.painter.Painter, which owns the planes and the
projection). `a` maps every action unit to its intensity 0..1; `side` is -1 or 1. Numbers are face
coordinates: the half width of the face is 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from affectgpt.synthetic.painter import UNIT, Painter, tint

_CURVE = np.linspace(0, 1, 13)  # cubic through four points at thirds
_CUBIC = np.stack(
    [np.prod([(_CURVE - k / 3) / ((j - k) / 3) for k in range(4) if k != j], 0) for j in range(4)], 1
)
_SPAN = np.linspace(-1, 1, 25)


def draw_eye(painter: Painter, a: dict[int, float], side: int) -> None:
    """One eye: lids (AU 5, 6, 7, blinks), iris, the folds around it."""
    look = painter.look
    centre = np.array([0.43 * side, -0.2])
    width = 0.225 * look.eye
    upper = (
        0.115
        * look.eye
        * (1 + 0.75 * a[5] - 0.30 * a[7] - 0.22 * a[6] - 0.20 * a[9] - 0.14 * a[15] - 0.12 * a[4])
    )
    lower = 0.06 * look.eye * (1 + 0.1 * a[5] - 0.75 * a[7] - 0.85 * a[6] - 0.55 * a[9])
    shut = painter.pose.blink
    lower = lower + 0.04 * shut
    upper = upper * (1 - shut) - 0.9 * lower * shut
    tilt = np.array([0, -look.eye_tilt])
    outward = _SPAN * side  # -1 at the inner corner, 1 at the outer one
    sag = np.array([0, 1]) * ((0.05 * a[1] * (a[4] > 0.1)) * np.clip(outward, -0.5, 1))[:, None]
    base = centre + np.stack([_SPAN * width, np.zeros(25)], 1) + tilt * outward[:, None]
    inner_droop = 0.03 * a[4] * np.clip(-outward, 0, 1) * (1 - a[1])
    top = base + sag + np.stack([np.zeros(25), -upper * (1 - np.abs(_SPAN) ** 2.2) + inner_droop], 1)
    low = base + np.stack([np.zeros(25), lower * (1 - np.abs(_SPAN) ** 2.0)], 1)
    top[:, 1] = np.minimum(top[:, 1], low[:, 1])
    dim = 0.27 + 0.08 * painter.pose.blink + 0.06 * a[4] + 0.05 * a[9]
    painter.soft(painter.dark, centre + [0.0, -0.05], (0.30, 0.17 + 0.04 * a[5]), dim, 0.1)
    painter.soft(painter.dark, centre + [-0.16 * side, -0.04], (0.09, 0.14), dim + 0.08, 0.1)
    painter.soft(painter.bright, centre + [0, 0.21 - 0.06 * a[6]], (0.2, 0.05), 0.04, 0.1)
    depth = 0.12

    def paint() -> None:
        painter.fill(np.concatenate([top, low[::-1]]), (226, 222, 218), depth)
        spot = centre + [painter.pose.gaze * 0.06, -0.012]
        pixel = tuple(int(v) for v in painter.points(spot[None], depth)[0])
        radius = 0.098 * look.eye * UNIT * 16
        cv2.circle(painter.image, pixel, int(radius), tint(look.iris, 0.5), -1, cv2.LINE_AA, 4)
        cv2.circle(painter.image, pixel, int(radius * 0.84), look.iris, -1, cv2.LINE_AA, 4)
        cv2.circle(painter.image, pixel, int(radius * 0.45), (16, 14, 14), -1, cv2.LINE_AA, 4)
        glint = (pixel[0] - int(0.03 * UNIT * 16), pixel[1] - int(0.035 * UNIT * 16))
        cv2.circle(painter.image, glint, int(radius * 0.2), (250, 250, 250), -1, cv2.LINE_AA, 4)
        painter.line(top + [0, 0.012], (120, 108, 104), 5, depth)

    if upper + lower > 0.03:
        painter.patch(np.concatenate([top, low[::-1]]), depth, paint)
    lash = tuple(int(v) for v in np.minimum(np.array(look.hair) * 0.4, 45))
    painter.line(top, lash, 5, depth)
    painter.line(low[3:-3], tint(look.skin, 0.62), 2, depth)
    fold = 0.055 - 0.03 * a[5] + 0.01 * a[1]
    painter.crease(top[3:-2] - [0, fold], 0.34 + 0.1 * a[5], 2, depth)
    pouch = low[4:-4] + [0, 0.055]
    painter.crease(pouch, 0.08 + 0.10 * look.age + 0.32 * a[6] + 0.25 * a[7] + 0.2 * a[9], 2, depth)
    corner = base[-1] if side > 0 else base[0]
    for dy in (-0.07, 0.0, 0.07):  # crow's feet
        painter.crease(
            [corner + [0.05 * side, dy * 0.5], corner + [0.19 * side, dy * 1.6]],
            0.34 * a[6] + 0.06 * look.age,
            1,
            0.05,
        )


def draw_brow(painter: Painter, a: dict[int, float], side: int) -> None:
    """One brow (AU 1, 2, 4)."""
    look = painter.look
    x = np.array([0.19 - 0.07 * a[4] - 0.02 * a[9], 0.36 - 0.03 * a[4], 0.54, 0.71])
    y = np.array([-0.47, -0.545, -0.565, -0.48])
    y = y + a[1] * np.array([-0.19, -0.11, -0.02, 0.0]) + a[2] * np.array([-0.02, -0.10, -0.17, -0.15])
    y = (
        y
        + a[4] * np.array([0.13, 0.12, 0.06, 0.02])
        + a[9] * np.array([0.06, 0.05, 0.03, 0.0])
        + a[6] * np.array([0, 0.0, 0.01, 0.02])
    )
    spine = np.stack([_CUBIC @ x, _CUBIC @ y], 1) * [side, 1]
    thick = (0.052 * look.brow * np.interp(_CURVE, [0, 0.15, 0.6, 1], [0.75, 1, 0.8, 0.25]))[:, None] * [0, 1]
    colour = tint(look.hair, 0.75) if sum(look.hair) < 450 else tint(look.hair, 0.55)
    painter.fill(np.concatenate([spine - thick, (spine + thick)[::-1]]), colour, 0.15)
    at = np.arange(0, 12, 2)  # single hairs along the edge
    painter.lines(
        np.stack([spine[at] + thick[at] * 0.6, spine[at + 1] - thick[at] * 1.3], 1), colour, 2, 0.15
    )
    painter.soft(painter.dark, (spine[5] + [0, 0.09]).tolist(), (0.2, 0.05), 0.16 + 0.08 * a[4], 0.12)


def draw_nose(painter: Painter, a: dict[int, float]) -> None:
    """The nose and its wrinkles (AU 9)."""
    look = painter.look
    up = 0.06 * a[9] + 0.02 * a[10]
    wide = look.nose * (1 + 0.16 * a[9] + 0.06 * a[12])
    painter.soft(painter.bright, (0, -0.12), (0.055, 0.32), 0.17, 0.25)
    painter.soft(painter.bright, (0, 0.22 - up * 0.5), (0.10, 0.08), 0.17, 0.35)
    for side in (-1, 1):
        painter.soft(
            painter.dark, (0.135 * side * wide, 0.05), (0.05, 0.22), 0.12 + 0.06 * side * look.light, 0.18
        )
        painter.soft(painter.dark, (0.10 * side, -0.32), (0.05, 0.12), 0.10 + 0.12 * a[4], 0.15)
        wing = np.array([[0.11, 0.22], [0.17, 0.25], [0.185, 0.31], [0.15, 0.36], [0.10, 0.355]]) * [
            side * wide,
            1,
        ] - [0, up]
        painter.crease(wing, 0.42 + 0.1 * a[9], 2, 0.2)
        nostril = np.array([0.075 * side * wide, 0.352 - up * 0.8])
        angle = np.linspace(0, 6.28, 12)
        ring = nostril + np.stack(
            [0.048 * np.cos(angle), 0.024 * np.sin(angle) - 0.006 * side * np.cos(angle)], 1
        )
        painter.fill(ring, tint(look.skin, 0.28), 0.28)
        for k in range(3):  # wrinkles of a scrunched nose
            y = -0.2 + 0.075 * k
            painter.crease(
                [[0.02 * side, y + 0.03], [0.09 * side, y - 0.01], [0.15 * side, y + 0.035]],
                0.42 * a[9],
                2,
                0.2,
            )
    painter.soft(painter.dark, (0, 0.42 - up * 0.5), (0.15, 0.035), 0.22, 0.15)


def draw_mouth(painter: Painter, a: dict[int, float], rounding: float) -> None:
    """Lips, teeth and the folds beside them (AU 9 to 27); `rounding` 0..1 comes from the vowel."""
    look = painter.look
    half = (
        0.36
        * (
            1
            + 0.28 * a[12]
            + 0.24 * a[20]
            + 0.03 * a[15]
            - 0.06 * a[24]
            - 0.04 * a[23]
            - 0.30 * a[27]
            - 0.20 * a[26]
        )
        * (1 - 0.28 * rounding * (1 - a[12]))
    )
    rest = 0.68 * look.length**0.5
    corner = (
        rest
        - 0.17 * a[12]
        + 0.12 * a[15]
        + 0.05 * a[20]
        - 0.02 * a[10]
        + 0.28 * painter.opening
        - 0.03 * a[17] * (1 - a[15])
    )
    o = painter.opening
    upper = rest - 0.035 * a[12] - 0.09 * a[10] - 0.055 * a[9] - 0.05 * a[17] - 0.14 * o - 0.02 * a[25]
    lower = upper + o * (1 + 0.15 * a[12])
    square = 2.0 + 1.6 * a[20] + 1.2 * a[10] + 0.2 * a[27]
    thin = 1 - 0.35 * a[12] - 0.75 * a[24] - 0.45 * a[23] - 0.30 * a[20] - 0.25 * a[27]
    thick_up = max(0.016, 0.068 * look.lips * (thin - 0.2 * a[10]))
    thick_low = max(0.020, 0.098 * look.lips * (thin + 0.15 * a[17] - 0.2 * a[15]))
    bell = 1 - np.abs(_SPAN) ** square
    x = _SPAN * half
    inner_up = np.stack([x, corner + (upper - corner) * bell], 1)
    inner_low = np.stack([x, corner + (lower - corner) * (1 - np.abs(_SPAN) ** (square * 1.05))], 1)
    bow = 0.020 * look.lips * thin * np.exp(-((_SPAN / 0.14) ** 2))
    outer_up = inner_up + np.stack([_SPAN * 0.02, -thick_up * (1 - _SPAN**2) ** 0.7 + bow], 1)
    outer_low = inner_low + np.stack([_SPAN * 0.02, thick_low * (1 - _SPAN**2) ** 0.6], 1)
    depth = 0.2
    red = np.array([168, 72, 74]) if sum(look.skin) > 420 else np.array([120, 52, 54])
    lip = tuple(int(v) for v in 0.5 * np.array(look.skin) + 0.5 * red)
    hole = np.concatenate([inner_up, inner_low[::-1]])
    if o > 0.012:
        tooth = min(0.10, 0.75 * o) * (1 - 0.35 * a[27] - 0.2 * a[26])
        white = tint((232, 226, 214), 1.0 if o > 0.06 else 0.85)

        def paint() -> None:
            painter.fill(hole + 0, (58, 18, 20), depth)
            if o > 0.13:
                angle = np.linspace(0, 6.28, 16)
                painter.fill(
                    np.stack([0.62 * half * np.cos(angle), lower + 0.02 + 0.32 * o * np.sin(angle)], 1),
                    (150, 66, 70),
                    depth,
                )
            if tooth > 0.02:
                painter.fill(
                    np.concatenate([inner_up - [0, 0.02], (inner_up + [0, tooth])[::-1]]) * [0.86, 1],
                    white,
                    depth,
                )
                at = np.arange(-4, 5) * half * 0.2
                gaps = np.stack(
                    [
                        np.stack([at, 0 * at + upper - 0.03], 1),
                        np.stack([at, 0 * at + upper + tooth * 0.85], 1),
                    ],
                    1,
                )
                painter.lines(gaps, tint(white, 0.86), 1, depth)
                if a[20] + a[10] > 0.4:
                    painter.fill(
                        np.concatenate([inner_low - [0, 0.045], (inner_low + [0, 0.02])[::-1]]) * [0.78, 1],
                        tint(white, 0.88),
                        depth,
                    )

        painter.patch(hole, depth, paint)
    if look.beard:
        lips = np.concatenate([outer_up, outer_low[::-1]])
        cv2.fillPoly(painter.stubble, [painter.points(lips, depth, 0.25)], 0.0, cv2.LINE_8, 4)
    painter.fill(np.concatenate([outer_up, inner_up[::-1]]), tint(lip, 0.86), depth)
    painter.fill(np.concatenate([inner_low, outer_low[::-1]]), lip, depth)
    line = (inner_up + inner_low) / 2 if o < 0.03 else inner_up
    painter.line(line, tint(lip, 0.38), 3 if o < 0.03 else 2, depth)
    if a[24] > 0.2:
        painter.soft(painter.bright, (0, rest - 0.14), (0.22, 0.04), 0.08 * a[24], depth)
    shine = inner_low + np.stack([0 * x, thick_low * 0.4 * (1 - _SPAN**2)], 1)
    painter.line(shine[9:16], tint(lip, 1.14, (8, 8, 8)), 3, depth)
    base = float(outer_low[12, 1])
    painter.soft(painter.dark, (0, base + 0.055), (0.2, 0.035), 0.20 + 0.1 * a[17], 0.15)
    painter.crease([[-0.02, 0.42], [-0.025, upper - thick_up - 0.03]], 0.12, 2, depth)
    painter.crease([[0.02, 0.42], [0.025, upper - thick_up - 0.03]], 0.12, 2, depth)
    for side in (-1, 1):
        end = np.array([half * side, corner])
        painter.soft(
            painter.dark,
            end + [0.03 * side, 0],
            (0.045, 0.04),
            0.16 + 0.14 * a[12] + 0.1 * a[15] + 0.1 * a[24],
            depth,
        )
        fold = (
            0.05 + 0.10 * look.age + 0.24 * a[12] + 0.28 * a[9] + 0.20 * a[10] + 0.08 * a[15] + 0.12 * a[20]
        )
        start = np.array([0.19 * side * look.nose, 0.24 - 0.06 * a[9]])
        stop = end + np.array([0.13 * side, -0.04 + 0.03 * a[12] + 0.10 * a[9]])
        bend = (start + stop) / 2 + np.array([0.07 * side * (1 + a[12]), -0.05 * a[12]])
        painter.crease(
            np.stack(
                [
                    start,
                    (start + bend) / 2 + [0.02 * side, 0],
                    bend,
                    (bend + stop) / 2 + [0.015 * side, 0],
                    stop,
                ]
            ),
            min(0.36, fold),
            3,
            0.15,
        )
        painter.crease(
            [end + [0.02 * side, 0.03], end + [0.05 * side, 0.14], end + [0.045 * side, 0.22]],
            0.24 * a[15] + 0.04 * look.age,
            2,
            0.15,
        )
