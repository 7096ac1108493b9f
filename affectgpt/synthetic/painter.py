"""What draws the parts of a face: a canvas in face coordinates, and planes of shading that are multiplied in.

Face coordinates: x to the right, y down, the half width of the face is 1, the eyes lie at y = -0.2 and the chin at
y = 1.2. Hard shapes are drawn at twice the picture's size and scaled down; soft shading is drawn small and blurred.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SIZE = 224
"""Width and height of a picture in pixels."""
CENTRE = np.array([SIZE, SIZE + 8.0])
"""Where the origin of the face lies, in pixels at twice the picture's size."""
UNIT = 116.0
"""Half width of a face in pixels, at twice the picture's size."""

_RING = np.stack([np.cos(np.linspace(0, 2 * np.pi, 16)), np.sin(np.linspace(0, 2 * np.pi, 16))], 1)


def tint(
    colour: tuple[int, int, int], factor: float, add: tuple[int, int, int] = (0, 0, 0)
) -> tuple[int, ...]:
    return tuple(min(255, max(0, int(c * factor + a))) for c, a in zip(colour, add))


@dataclass(frozen=True)
class Look:
    """How one identity looks. Colours are RGB; widths are factors around 1."""

    skin: tuple[int, int, int]
    hair: tuple[int, int, int]
    iris: tuple[int, int, int]
    shirt: tuple[int, int, int]
    backdrop: tuple[int, int, int]
    hair_style: str  # short, long, fringe, shaved, bun, curly
    jaw: float
    length: float
    eye: float
    eye_tilt: float
    brow: float
    nose: float
    lips: float
    age: float
    glasses: bool
    beard: float
    light: float
    seed: int


@dataclass(frozen=True)
class Pose:
    """Where the head is: shift in face units, yaw and nod as shift per depth, roll in radians; lids, gaze."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    nod: float = 0.0
    roll: float = 0.0
    blink: float = 0.0
    gaze: float = 0.0


class Painter:
    """Draws shapes of one identity. What no picture changes is prepared once; `begin` and `finish` make one picture."""

    def __init__(self, look: Look) -> None:
        self.look = look
        rng = np.random.default_rng(look.seed)
        size = 2 * SIZE
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
        glow = 1.12 - 0.5 * ((x - 0.35) ** 2 + (y - 0.3) ** 2)
        self.canvas = np.clip(np.array(look.backdrop) * glow[..., None], 0, 255).astype(np.uint8)
        for _ in range(3):  # something blurred behind the head
            corner, extent = rng.integers(0, size, 2), rng.integers(60, 160, 2)
            colour = tint(look.backdrop, rng.uniform(0.8, 1.15))
            cv2.rectangle(self.canvas, corner.tolist(), (corner + extent).tolist(), colour, -1)
        self.canvas = cv2.GaussianBlur(self.canvas, (0, 0), 9)
        y, x = (np.mgrid[0 : SIZE // 2, 0 : SIZE // 2].astype(np.float32) * 4 + 2 - CENTRE[1]) / UNIT
        x = x - (CENTRE[0] - CENTRE[1]) / UNIT
        radius = np.sqrt((x / 1.0) ** 2 + ((y + 0.05) / (1.3 * look.length)) ** 2)
        ball = 0.10 - 0.36 * np.clip(radius, 0, 1.15) ** 3 + 0.13 * look.light * x - 0.08 * y
        texture = cv2.GaussianBlur(rng.normal(size=x.shape).astype(np.float32), (0, 0), 1.2) * 0.035
        self.ball = (ball * np.clip((1.25 - radius) * 4, 0, 1) + texture).astype(np.float32)
        self.strands = rng.uniform(-1, 1, 34)
        self.freckles = rng.uniform(-1, 1, (14, 2))

    # -- shapes -------------------------------------------------------------------------------------
    def points(self, points: np.ndarray, depth: float, scale: float = 1.0) -> np.ndarray:
        """Face coordinates [N, 2] -> fixed-point pixels for OpenCV (shift 4); scale 1 is the 2x canvas."""
        return ((points @ self.turn + (self.origin + depth * self.slide)) * scale).astype(np.int32)

    def fill(self, points: np.ndarray, colour, depth: float = 0.0) -> None:
        cv2.fillPoly(self.image, [self.points(points, depth)], colour, cv2.LINE_AA, 4)

    def line(self, points: np.ndarray, colour, width: int, depth: float = 0.0) -> None:
        cv2.polylines(self.image, [self.points(points, depth)], False, colour, width, cv2.LINE_AA, 4)

    def lines(self, paths: np.ndarray, colour, width: int, depth: float = 0.0) -> None:
        """Several lines of equal length, paths [P, N, 2]."""
        cv2.polylines(self.image, list(self.points(paths, depth)), False, colour, width, cv2.LINE_AA, 4)

    def soft(self, plane: np.ndarray, centre, radii, value: float, depth: float = 0.1) -> None:
        """A filled ellipse on one of the coarse planes (a quarter of the canvas)."""
        ring = _RING * radii + centre
        cv2.fillPoly(plane, [self.points(ring, depth, 0.25)], value, cv2.LINE_8, 4)

    def crease(self, points, strength: float, width: int = 2, depth: float = 0.15) -> None:
        """A wrinkle: a thin dark line on the fine plane (half of the canvas)."""
        if strength > 0.03:
            pixels = self.points(np.asarray(points, dtype=float), depth, 0.5)
            cv2.polylines(self.fine, [pixels], False, float(strength), width, cv2.LINE_8, 4)

    def patch(self, ring: np.ndarray, depth: float, paint) -> None:
        """Let `paint` draw on the image inside the polygon `ring` only."""
        pixels = self.points(ring, depth)
        low = np.maximum(pixels.min(0) // 16 - 2, 0)
        high = np.minimum(pixels.max(0) // 16 + 3, 2 * SIZE)
        box = np.s_[low[1] : high[1], low[0] : high[0]]
        before = self.image[box].copy()
        paint()
        mask = np.zeros(before.shape[:2], np.uint8)
        cv2.fillPoly(mask, [pixels - (low * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        weight = mask[..., None].astype(np.uint16)
        self.image[box] = ((self.image[box] * weight + before * (255 - weight)) // 255).astype(np.uint8)

    # -- the picture ---------------------------------------------------------------------------------
    def begin(self, pose: Pose) -> None:
        """An empty picture of the head in this pose."""
        self.pose = pose
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        self.turn = np.array([[cos, sin], [-sin, cos]]) * (UNIT * 16)
        self.slide = np.array([pose.yaw, pose.nod]) @ self.turn
        self.origin = (np.array([pose.x, pose.y]) * UNIT + CENTRE) * 16
        self.image = self.canvas.copy()
        self.dark = np.zeros((SIZE // 2, SIZE // 2), np.float32)
        self.bright, self.stubble = np.zeros_like(self.dark), np.zeros_like(self.dark)
        self.fine = np.zeros((SIZE, SIZE), np.float32)

    def finish(self) -> np.ndarray:
        """The picture, uint8 [SIZE, SIZE, 3] RGB: scaled down, the planes of shading multiplied in."""
        picture = cv2.resize(self.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(self.bright - self.dark, (0, 0), 2.6)
        inside = np.zeros_like(soft)
        cv2.fillPoly(inside, [self.points(self.outline, 0.0, 0.25)], 1.0, cv2.LINE_8, 4)
        inside = cv2.blur(inside, (3, 3))
        if self.look.beard:
            soft -= cv2.GaussianBlur(self.stubble, (0, 0), 1.4) * inside
        small = self.pose
        matrix = np.array([[1, 0, small.x * UNIT / 4], [0, 1, small.y * UNIT / 4]], np.float32)
        soft += cv2.warpAffine(self.ball, matrix, (SIZE // 2, SIZE // 2), flags=cv2.INTER_LINEAR) * inside
        shade = cv2.resize(soft, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        shade -= cv2.GaussianBlur(self.fine, (0, 0), 0.9)
        shade = cv2.merge([1 + shade * f for f in (0.94, 1.0, 1.03)])  # shadows are a little warmer
        return cv2.multiply(picture, shade, dtype=cv2.CV_8U)
