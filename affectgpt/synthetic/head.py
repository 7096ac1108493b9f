"""The still parts of the drawn head: skull and jaw, skin, hair, glasses, clothes.

Each function draws on a painter (see synthetic.painter.Painter). `a` maps every action unit to its
intensity 0..1. Numbers are face coordinates: the half width of the face is 1.
"""

from __future__ import annotations

import cv2
import numpy as np

from affectgpt.synthetic.painter import CENTRE, UNIT, Painter, tint


def outline(text: str) -> np.ndarray:
    """Points [N, 2] written as "x y, x y, ..."."""
    return np.array([[float(value) for value in point.split()] for point in text.split(",")])


def draw_head(painter: Painter, a: dict[int, float]) -> None:
    """Hair behind, neck, clothes, ears, skull and jaw, and the shading and wrinkles of the skin."""
    look = painter.look
    skin, hair = look.skin, look.hair
    style = look.hair_style
    bottom = 1.2 * look.length + painter.drop
    if style in ("long", "fringe"):
        reach = 1.75 if style == "long" else 1.0
        painter.fill(
            np.array(
                [
                    [-1.0, -1.0],
                    [-0.6, -1.45],
                    [0, -1.6],
                    [0.6, -1.45],
                    [1.0, -1.0],
                    [1.22, -0.2],
                    [1.25, reach],
                    [0.7, reach + 0.1],
                    [-0.7, reach + 0.1],
                    [-1.25, reach],
                    [-1.22, -0.2],
                ]
            ),
            tint(hair, 0.75),
            -0.3,
        )
    if style == "bun":
        angle = np.linspace(0, 6.28, 20)
        painter.fill(np.stack([0.36 * np.cos(angle), -1.62 + 0.3 * np.sin(angle)], 1), tint(hair, 0.9), -0.3)
    neck = outline("-0.52 0.6, 0.52 0.6, 0.6 1.6, -0.6 1.6")
    painter.fill(neck, tint(skin, 0.72), -0.2)
    body = outline("-0.6 1.42, -1.5 1.62, -2.2 1.95, -2.3 2.6, 2.3 2.6, 2.2 1.95, 1.5 1.62, 0.6 1.42, 0 1.7")
    cv2.fillPoly(
        painter.image, [np.round((body * UNIT + CENTRE) * 16).astype(np.int32)], look.shirt, cv2.LINE_AA, 4
    )
    for side in (-1, 1):
        ear = outline("0.92 -0.28, 1.08 -0.34, 1.14 -0.15, 1.06 0.15, 0.94 0.26") * [
            side,
            1,
        ]
        painter.fill(ear, tint(skin, 0.84), -0.3)
    side = np.array(
        [
            [0, bottom],
            [0.26, bottom - 0.02],
            [0.50 * look.jaw, bottom - 0.14],
            [0.76 * look.jaw, bottom - 0.42],
            [0.90 * look.jaw, 0.45],
            [0.97, 0.1],
            [1.0, -0.3],
            [0.97, -0.65],
            [0.86, -0.95],
            [0.6, -1.22],
            [0.3, -1.34],
            [0, -1.37],
        ]
    )
    ring = np.concatenate([side, side[-2:0:-1] * [-1, 1]])
    closed = np.concatenate([ring[-3:], ring, ring[:3]])
    smooth = np.stack(
        [
            np.interp(np.linspace(3, len(ring) + 3, 90, endpoint=False), np.arange(len(closed)), closed[:, i])
            for i in (0, 1)
        ],
        1,
    )
    kernel = np.array([1, 2, 3, 2, 1]) / 9
    for i in (0, 1):
        smooth[:, i] = np.convolve(
            np.concatenate([smooth[-2:, i], smooth[:, i], smooth[:2, i]]), kernel, "valid"
        )
    painter.outline = smooth
    painter.fill(smooth, skin)
    if look.beard:
        beard = np.concatenate(
            [side[:4], [[0.90, 0.40], [0.72, 0.66], [0.48, 0.70], [0.36, 0.55], [0.16, 0.47], [0, 0.49]]]
        )
        beard = np.concatenate([beard, beard[-2:0:-1] * [-1, 1]])
        cv2.fillPoly(painter.stubble, [painter.points(beard, 0.05, 0.25)], look.beard, cv2.LINE_8, 4)
    # Cheeks, forehead, chin.
    up = 0.12 * a[6] + 0.08 * a[12]
    for s in (-1, 1):
        painter.soft(painter.bright, (0.55 * s, 0.22 - up), (0.25, 0.18), 0.13 + 0.14 * max(a[6], a[12]))
        painter.soft(painter.dark, (0.86 * s, 0.55), (0.14, 0.4), 0.10)
    painter.soft(painter.bright, (0, -0.85), (0.45, 0.18), 0.09)
    painter.soft(painter.bright, (0, bottom - 0.14), (0.18, 0.08), 0.08 + 0.12 * a[17])
    painter.soft(painter.dark, (0, bottom + 0.14), (0.5, 0.1), 0.25, -0.1)
    raised = max(a[1], a[2])
    reach = 0.55 if a[2] > 0.3 else 0.28
    for k, height in enumerate((-0.78, -0.89, -1.0)):
        x = np.linspace(-reach, reach, 9)
        lift = 0.03 * np.cos(x * 4) - 0.05 * raised
        painter.crease(
            np.stack([x, height - lift * (1 if a[2] > 0.3 else -1)], 1),
            0.30 * raised * (1 - 0.15 * k) + 0.06 * look.age,
        )
    for s in (-1, 1):  # the frown lines between the brows
        painter.crease(
            [[0.07 * s, -0.42], [0.085 * s, -0.58], [0.06 * s, -0.68]],
            0.48 * max(a[4], 0.5 * a[9]) + 0.05 * look.age,
            2,
        )
    if a[17] > 0.1:
        for dx, dy in painter.freckles:
            painter.crease(
                [[0.16 * dx, bottom - 0.15 + 0.07 * dy], [0.16 * dx + 0.02, bottom - 0.15 + 0.07 * dy]],
                0.3 * a[17],
                1,
            )
        painter.crease([[-0.2, bottom - 0.29], [0, bottom - 0.33], [0.2, bottom - 0.29]], 0.35 * a[17], 2)


def draw_front_hair(painter: Painter) -> None:
    """The hair that lies on the forehead."""
    look, hair = painter.look, painter.look.hair
    if look.hair_style == "shaved":  # close-cropped hair that follows the skull
        scalp = outline(
            "-1.0 -0.4, -1.01 -0.7, -0.88 -1.0, -0.62 -1.26, -0.3 -1.38, 0 -1.41, 0.3 -1.38, "
            "0.62 -1.26, 0.88 -1.0, 1.01 -0.7, 1.0 -0.4, 0.93 -0.62, 0.76 -0.9, 0.4 -1.04, "
            "-0.4 -1.04, -0.76 -0.9, -0.93 -0.62"
        )
        painter.fill(scalp, tuple(int(0.28 * s + 0.72 * h) for s, h in zip(look.skin, hair)), 0.0)
        painter.soft(painter.dark, (0, -1.0), (0.7, 0.06), 0.10, 0.05)
        return
    line = {"short": -0.98, "long": -0.95, "fringe": -0.76, "bun": -1.0, "curly": -0.92}[look.hair_style]
    outer = outline(
        "-1.06 -0.45, -1.08 -0.85, -0.9 -1.2, -0.55 -1.46, 0 -1.56, 0.55 -1.46, 0.9 -1.2, "
        "1.08 -0.85, 1.06 -0.45"
    )
    inner = np.array(
        [
            [0.98, -0.40],
            [0.93, -0.70],
            [0.72, line + 0.06],
            [0.3, line],
            [-0.1, line - 0.04],
            [-0.5, line + 0.03],
            [-0.78, line + 0.1],
            [-0.93, -0.70],
            [-0.98, -0.40],
        ]
    )
    if look.hair_style == "curly":
        for k, angle in enumerate(np.linspace(np.pi * 0.97, np.pi * 2.03, 17)):
            spot = painter.points(np.array([[1.02 * np.cos(angle), -0.42 + 1.04 * np.sin(angle)]]), -0.05)[0]
            cv2.circle(
                painter.image,
                (int(spot[0]), int(spot[1])),
                int(0.2 * UNIT * 16),
                tint(hair, 0.85 + 0.15 * (k % 2)),
                -1,
                cv2.LINE_AA,
                4,
            )
    painter.fill(np.concatenate([outer, inner]), hair, 0.0)
    if look.hair_style == "long":
        for side in (-1, 1):
            lock = outline("1.08 -0.6, 1.24 0.1, 1.26 1.2, 1.0 1.3, 1.02 0.5, 0.95 -0.1, 0.9 -0.7") * [
                side,
                1,
            ]
            painter.fill(lock, tint(hair, 0.9), -0.02)
    x = painter.strands
    paths = np.stack(
        [
            np.stack([x * 0.5, -1.5 + 0.12 * x * x], 1),
            np.stack([x * 0.85, -1.25 + 0.2 * x * x], 1),
            np.stack([x * 0.96, line - 0.02 + 0.25 * x * x], 1),
        ],
        1,
    )
    painter.lines(paths[::2], tint(hair, 1.12, (8, 8, 8)), 2)
    painter.lines(paths[1::2], tint(hair, 0.82), 2)
    painter.soft(painter.dark, (0, line + 0.05), (0.7, 0.06), 0.10, 0.05)


def draw_glasses(painter: Painter) -> None:
    """A thin frame."""
    angle = np.linspace(0, 2 * np.pi, 30)
    for side in (-1, 1):
        ring = np.stack(
            [
                0.44 * side + 0.29 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.8,
                -0.16 + 0.21 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.8,
            ],
            1,
        )
        painter.line(ring, (52, 46, 44), 3, 0.22)
        painter.line(np.array([[0.73 * side, -0.2], [1.02 * side, -0.24]]), (52, 46, 44), 3, 0.0)
    painter.line(outline("-0.15 -0.2, 0 -0.24, 0.15 -0.2"), (52, 46, 44), 3, 0.24)
