"""The face of the starter corpus: a shaded, drawn head whose muscles are facial action units.

Shapes live in face coordinates: x to the right, y down, the half width of the face is 1, the eyes lie
at y = -0.2 and the chin at y = 1.2. Hard shapes are drawn at twice the picture's size and scaled down;
soft shading is drawn small, blurred and multiplied in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

SIZE = 224
"""Width and height of a picture in pixels."""
_UNIT = 116.0  # half width of a face in pixels, at twice the picture's size
_CENTRE = np.array([SIZE, SIZE + 8.0])

# Two ways to show each emotion, after the prototypes of Ekman & Friesen's FACS investigator's guide.
EXPRESSIONS: dict[str, tuple[dict[int, float], ...]] = {
    "neutral": ({},),
    "happy": ({6: 0.9, 12: 1.0, 25: 0.8}, {6: 1.0, 12: 1.0}),
    "sad": ({1: 1.0, 4: 0.6, 15: 1.0, 17: 0.4}, {1: 1.0, 4: 0.7, 7: 0.35, 15: 1.0}),
    "angry": ({4: 1.0, 5: 0.4, 7: 0.7, 23: 0.6, 24: 0.9}, {4: 1.0, 5: 0.6, 7: 0.6, 10: 0.5, 23: 0.5, 25: 0.8}),
    "fearful": ({1: 1.0, 2: 0.7, 4: 0.5, 5: 1.0, 20: 1.0, 25: 0.6, 26: 0.4},
                {1: 1.0, 2: 0.6, 4: 0.6, 5: 0.9, 20: 0.9, 25: 0.8}),
    "surprised": ({1: 1.0, 2: 1.0, 5: 0.9, 25: 0.4, 26: 1.0}, {1: 0.9, 2: 1.0, 5: 1.0, 25: 0.3, 27: 0.8}),
    "disgusted": ({7: 0.4, 9: 1.0, 10: 0.6, 15: 0.6, 17: 0.7}, {6: 0.4, 9: 1.0, 10: 1.0, 25: 0.6}),
}

_CURVE = np.linspace(0, 1, 13)  # cubic through four points at thirds
_CUBIC = np.stack([np.prod([(_CURVE - k / 3) / ((j - k) / 3) for k in range(4) if k != j], 0) for j in range(4)], 1)
_SPAN = np.linspace(-1, 1, 25)
_RING = np.stack([np.cos(np.linspace(0, 2 * np.pi, 16)), np.sin(np.linspace(0, 2 * np.pi, 16))], 1)


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
    """Where the head is: shift in face units, yaw and nod as shift per depth, roll in radians; eyelids, gaze."""

    x: float = 0.0
    y: float = 0.0
    yaw: float = 0.0
    nod: float = 0.0
    roll: float = 0.0
    blink: float = 0.0
    gaze: float = 0.0


def _tint(colour: tuple[int, int, int], factor: float, add: tuple[int, int, int] = (0, 0, 0)) -> tuple[int, ...]:
    return tuple(min(255, max(0, int(c * factor + a))) for c, a in zip(colour, add))


class FacePainter:
    """Draws one identity. Immutable parts are prepared once; `draw` makes one picture."""

    def __init__(self, look: Look) -> None:
        self.look = look
        rng = np.random.default_rng(look.seed)
        size = 2 * SIZE
        y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
        glow = 1.12 - 0.5 * ((x - 0.35) ** 2 + (y - 0.3) ** 2)
        self.canvas = np.clip(np.array(look.backdrop) * glow[..., None], 0, 255).astype(np.uint8)
        for _ in range(3):  # something blurred behind the head
            corner, extent = rng.integers(0, size, 2), rng.integers(60, 160, 2)
            colour = _tint(look.backdrop, rng.uniform(0.8, 1.15))
            cv2.rectangle(self.canvas, corner.tolist(), (corner + extent).tolist(), colour, -1)
        self.canvas = cv2.GaussianBlur(self.canvas, (0, 0), 9)
        y, x = (np.mgrid[0:SIZE // 2, 0:SIZE // 2].astype(np.float32) * 4 + 2 - _CENTRE[1]) / _UNIT
        x = x - (_CENTRE[0] - _CENTRE[1]) / _UNIT
        radius = np.sqrt((x / 1.0) ** 2 + ((y + 0.05) / (1.3 * look.length)) ** 2)
        ball = 0.10 - 0.36 * np.clip(radius, 0, 1.15) ** 3 + 0.13 * look.light * x - 0.08 * y
        texture = cv2.GaussianBlur(rng.normal(size=x.shape).astype(np.float32), (0, 0), 1.2) * 0.035
        self.ball = (ball * np.clip((1.25 - radius) * 4, 0, 1) + texture).astype(np.float32)
        self.strands = rng.uniform(-1, 1, 34)
        self.freckles = rng.uniform(-1, 1, (14, 2))

    # -- helpers -------------------------------------------------------------------------------------
    def _points(self, points: np.ndarray, depth: float, scale: float = 1.0) -> np.ndarray:
        """Face coordinates [N, 2] -> fixed-point pixels for OpenCV (shift 4); scale 1 is the 2x canvas."""
        return ((points @ self.turn + (self.origin + depth * self.slide)) * scale).astype(np.int32)

    def _fill(self, points: np.ndarray, colour, depth: float = 0.0) -> None:
        cv2.fillPoly(self.image, [self._points(points, depth)], colour, cv2.LINE_AA, 4)

    def _line(self, points: np.ndarray, colour, width: int, depth: float = 0.0) -> None:
        cv2.polylines(self.image, [self._points(points, depth)], False, colour, width, cv2.LINE_AA, 4)

    def _lines(self, paths: np.ndarray, colour, width: int, depth: float = 0.0) -> None:
        """Several lines of equal length, paths [P, N, 2]."""
        cv2.polylines(self.image, list(self._points(paths, depth)), False, colour, width, cv2.LINE_AA, 4)

    def _soft(self, plane: np.ndarray, centre, radii, value: float, depth: float = 0.1) -> None:
        """A filled ellipse on one of the coarse planes (a quarter of the canvas)."""
        ring = _RING * radii + centre
        cv2.fillPoly(plane, [self._points(ring, depth, 0.25)], value, cv2.LINE_8, 4)

    def _crease(self, points, strength: float, width: int = 2, depth: float = 0.15) -> None:
        """A wrinkle: a thin dark line on the fine plane (half of the canvas)."""
        if strength > 0.03:
            pixels = self._points(np.asarray(points, dtype=float), depth, 0.5)
            cv2.polylines(self.fine, [pixels], False, float(strength), width, cv2.LINE_8, 4)

    def _patch(self, ring: np.ndarray, depth: float, paint) -> None:
        """Let `paint` draw on the image inside the polygon `ring` only."""
        pixels = self._points(ring, depth)
        low = np.maximum(pixels.min(0) // 16 - 2, 0)
        high = np.minimum(pixels.max(0) // 16 + 3, 2 * SIZE)
        box = np.s_[low[1]:high[1], low[0]:high[0]]
        before = self.image[box].copy()
        paint()
        mask = np.zeros(before.shape[:2], np.uint8)
        cv2.fillPoly(mask, [pixels - (low * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        weight = mask[..., None].astype(np.uint16)
        self.image[box] = ((self.image[box] * weight + before * (255 - weight)) // 255).astype(np.uint8)

    # -- the picture ---------------------------------------------------------------------------------
    def draw(self, actions: Mapping[int, float], pose: Pose = Pose(), speech: float = 0.0,
             rounding: float = 0.0) -> np.ndarray:
        """One picture, uint8 [SIZE, SIZE, 3] RGB.

        `actions` maps action units to intensities 0..1; `speech` (opening) and `rounding` of the mouth,
        both 0..1, come from the spoken sound.
        """
        a = {unit: float(actions.get(unit, 0.0)) for unit in (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 24, 25, 26, 27)}
        self.pose = pose
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        self.turn = np.array([[cos, sin], [-sin, cos]]) * (_UNIT * 16)
        self.slide = np.array([pose.yaw, pose.nod]) @ self.turn
        self.origin = (np.array([pose.x, pose.y]) * _UNIT + _CENTRE) * 16
        self.image = self.canvas.copy()
        self.dark = np.zeros((SIZE // 2, SIZE // 2), np.float32)
        self.bright, self.stubble = np.zeros_like(self.dark), np.zeros_like(self.dark)
        self.fine = np.zeros((SIZE, SIZE), np.float32)
        talk = speech * (1 - 0.55 * a[24]) * (1 - 0.5 * a[27])
        self.opening = 0.13 * a[25] + 0.24 * a[26] + 0.46 * a[27] + 0.24 * talk
        self.drop = 0.16 * a[26] + 0.30 * a[27] + 0.12 * talk
        self._head(a)
        for side in (-1, 1):
            self._eye(a, side)
            self._brow(a, side)
        self._nose(a)
        self._mouth(a, rounding)
        self._front_hair()
        if self.look.glasses:
            self._glasses()
        return self._compose()

    def _head(self, a: dict[int, float]) -> None:
        look = self.look
        skin, hair = look.skin, look.hair
        style = look.hair_style
        bottom = 1.2 * look.length + self.drop
        if style in ("long", "fringe"):
            reach = 1.75 if style == "long" else 1.0
            self._fill(np.array([[-1.0, -1.0], [-.6, -1.45], [0, -1.6], [.6, -1.45], [1.0, -1.0], [1.22, -.2], [1.25, reach],
                                 [.7, reach + .1], [-.7, reach + .1], [-1.25, reach], [-1.22, -.2]]), _tint(hair, 0.75), -0.3)
        if style == "bun":
            angle = np.linspace(0, 6.28, 20)
            self._fill(np.stack([.36 * np.cos(angle), -1.62 + .3 * np.sin(angle)], 1), _tint(hair, 0.9), -0.3)
        neck = np.array([[-.52, .6], [.52, .6], [.6, 1.6], [-.6, 1.6]])
        self._fill(neck, _tint(skin, 0.72), -0.2)
        body = np.array([[-.6, 1.42], [-1.5, 1.62], [-2.2, 1.95], [-2.3, 2.6], [2.3, 2.6], [2.2, 1.95], [1.5, 1.62], [.6, 1.42], [0, 1.7]])
        cv2.fillPoly(self.image, [np.round((body * _UNIT + _CENTRE) * 16).astype(np.int32)], look.shirt, cv2.LINE_AA, 4)
        for side in (-1, 1):
            ear = np.array([[.92, -.28], [1.08, -.34], [1.14, -.15], [1.06, .15], [.94, .26]]) * [side, 1]
            self._fill(ear, _tint(skin, 0.84), -0.3)
        side = np.array([[0, bottom], [.26, bottom - .02], [.50 * look.jaw, bottom - .14], [.76 * look.jaw, bottom - .42],
                         [.90 * look.jaw, .45], [.97, .1], [1.0, -.3], [.97, -.65], [.86, -.95], [.6, -1.22], [.3, -1.34], [0, -1.37]])
        ring = np.concatenate([side, side[-2:0:-1] * [-1, 1]])
        closed = np.concatenate([ring[-3:], ring, ring[:3]])
        smooth = np.stack([np.interp(np.linspace(3, len(ring) + 3, 90, endpoint=False), np.arange(len(closed)), closed[:, i]) for i in (0, 1)], 1)
        kernel = np.array([1, 2, 3, 2, 1]) / 9
        for i in (0, 1):
            smooth[:, i] = np.convolve(np.concatenate([smooth[-2:, i], smooth[:, i], smooth[:2, i]]), kernel, "valid")
        self.outline = smooth
        self._fill(smooth, skin)
        if look.beard:
            beard = np.concatenate([side[:4], [[.90, .40], [.72, .66], [.48, .70], [.36, .55], [.16, .47], [0, .49]]])
            beard = np.concatenate([beard, beard[-2:0:-1] * [-1, 1]])
            cv2.fillPoly(self.stubble, [self._points(beard, 0.05, 0.25)], look.beard, cv2.LINE_8, 4)
        # Cheeks, forehead, chin.
        up = 0.12 * a[6] + 0.08 * a[12]
        for s in (-1, 1):
            self._soft(self.bright, (.55 * s, .22 - up), (.25, .18), 0.13 + 0.14 * max(a[6], a[12]))
            self._soft(self.dark, (.86 * s, .55), (.14, .4), 0.10)
        self._soft(self.bright, (0, -.85), (.45, .18), 0.09)
        self._soft(self.bright, (0, bottom - .14), (.18, .08), 0.08 + 0.12 * a[17])
        self._soft(self.dark, (0, bottom + .14), (.5, .1), 0.25, -.1)
        raised = max(a[1], a[2])
        reach = 0.55 if a[2] > 0.3 else 0.28
        for k, height in enumerate((-.78, -.89, -1.0)):
            x = np.linspace(-reach, reach, 9)
            lift = 0.03 * np.cos(x * 4) - 0.05 * raised
            self._crease(np.stack([x, height - lift * (1 if a[2] > .3 else -1)], 1), 0.30 * raised * (1 - .15 * k) + 0.06 * look.age)
        for s in (-1, 1):  # the frown lines between the brows
            self._crease([[.07 * s, -.42], [.085 * s, -.58], [.06 * s, -.68]], 0.48 * max(a[4], 0.5 * a[9]) + 0.05 * look.age, 2)
        if a[17] > 0.1:
            for dx, dy in self.freckles:
                self._crease([[.16 * dx, bottom - .15 + .07 * dy], [.16 * dx + .02, bottom - .15 + .07 * dy]], 0.3 * a[17], 1)
            self._crease([[-.2, bottom - .29], [0, bottom - .33], [.2, bottom - .29]], 0.35 * a[17], 2)

    def _eye(self, a: dict[int, float], side: int) -> None:
        look = self.look
        centre = np.array([.43 * side, -.2])
        width = .225 * look.eye
        upper = .115 * look.eye * (1 + .75 * a[5] - .30 * a[7] - .22 * a[6] - .20 * a[9] - .14 * a[15] - .12 * a[4])
        lower = .06 * look.eye * (1 + .1 * a[5] - .75 * a[7] - .85 * a[6] - .55 * a[9])
        shut = self.pose.blink
        lower = lower + .04 * shut
        upper = upper * (1 - shut) - .9 * lower * shut
        tilt = np.array([0, -look.eye_tilt])
        outward = _SPAN * side  # -1 at the inner corner, 1 at the outer one
        sag = np.array([0, 1]) * ((0.05 * a[1] * (a[4] > .1)) * np.clip(outward, -.5, 1))[:, None]
        base = centre + np.stack([_SPAN * width, np.zeros(25)], 1) + tilt * outward[:, None]
        inner_droop = 0.03 * a[4] * np.clip(-outward, 0, 1) * (1 - a[1])
        top = base + sag + np.stack([np.zeros(25), -upper * (1 - np.abs(_SPAN) ** 2.2) + inner_droop], 1)
        low = base + np.stack([np.zeros(25), lower * (1 - np.abs(_SPAN) ** 2.0)], 1)
        top[:, 1] = np.minimum(top[:, 1], low[:, 1])
        dim = 0.27 + 0.08 * self.pose.blink + 0.06 * a[4] + 0.05 * a[9]
        self._soft(self.dark, centre + [.0, -.05], (.30, .17 + .04 * a[5]), dim, .1)
        self._soft(self.dark, centre + [-.16 * side, -.04], (.09, .14), dim + .08, .1)
        self._soft(self.bright, centre + [0, .21 - .06 * a[6]], (.2, .05), 0.04, .1)
        depth = 0.12

        def paint() -> None:
            self._fill(np.concatenate([top, low[::-1]]), (226, 222, 218), depth)
            spot = centre + [self.pose.gaze * .06, -.012]
            pixel = tuple(int(v) for v in self._points(spot[None], depth)[0])
            radius = .098 * look.eye * _UNIT * 16
            cv2.circle(self.image, pixel, int(radius), _tint(look.iris, 0.5), -1, cv2.LINE_AA, 4)
            cv2.circle(self.image, pixel, int(radius * .84), look.iris, -1, cv2.LINE_AA, 4)
            cv2.circle(self.image, pixel, int(radius * .45), (16, 14, 14), -1, cv2.LINE_AA, 4)
            glint = (pixel[0] - int(.03 * _UNIT * 16), pixel[1] - int(.035 * _UNIT * 16))
            cv2.circle(self.image, glint, int(radius * .2), (250, 250, 250), -1, cv2.LINE_AA, 4)
            self._line(top + [0, .012], (120, 108, 104), 5, depth)

        if upper + lower > 0.03:
            self._patch(np.concatenate([top, low[::-1]]), depth, paint)
        lash = tuple(int(v) for v in np.minimum(np.array(look.hair) * .4, 45))
        self._line(top, lash, 5, depth)
        self._line(low[3:-3], _tint(look.skin, 0.62), 2, depth)
        fold = 0.055 - 0.03 * a[5] + 0.01 * a[1]
        self._crease(top[3:-2] - [0, fold], 0.34 + .1 * a[5], 2, depth)
        pouch = low[4:-4] + [0, .055]
        self._crease(pouch, 0.08 + .10 * look.age + .32 * a[6] + .25 * a[7] + .2 * a[9], 2, depth)
        corner = base[-1] if side > 0 else base[0]
        for dy in (-.07, .0, .07):  # crow's feet
            self._crease([corner + [.05 * side, dy * .5], corner + [.19 * side, dy * 1.6]], .34 * a[6] + .06 * look.age, 1, .05)

    def _brow(self, a: dict[int, float], side: int) -> None:
        look = self.look
        x = np.array([.19 - .07 * a[4] - .02 * a[9], .36 - .03 * a[4], .54, .71])
        y = np.array([-.47, -.545, -.565, -.48])
        y = y + a[1] * np.array([-.19, -.11, -.02, .0]) + a[2] * np.array([-.02, -.10, -.17, -.15])
        y = y + a[4] * np.array([.13, .12, .06, .02]) + a[9] * np.array([.06, .05, .03, .0]) + a[6] * np.array([0, .0, .01, .02])
        spine = np.stack([_CUBIC @ x, _CUBIC @ y], 1) * [side, 1]
        thick = (.052 * look.brow * np.interp(_CURVE, [0, .15, .6, 1], [.75, 1, .8, .25]))[:, None] * [0, 1]
        colour = _tint(look.hair, 0.75) if sum(look.hair) < 450 else _tint(look.hair, 0.55)
        self._fill(np.concatenate([spine - thick, (spine + thick)[::-1]]), colour, 0.15)
        at = np.arange(0, 12, 2)  # single hairs along the edge
        self._lines(np.stack([spine[at] + thick[at] * .6, spine[at + 1] - thick[at] * 1.3], 1), colour, 2, 0.15)
        self._soft(self.dark, (spine[5] + [0, .09]).tolist(), (.2, .05), .16 + .08 * a[4], .12)

    def _nose(self, a: dict[int, float]) -> None:
        look = self.look
        up = .06 * a[9] + .02 * a[10]
        wide = look.nose * (1 + .16 * a[9] + .06 * a[12])
        self._soft(self.bright, (0, -.12), (.055, .32), .17, .25)
        self._soft(self.bright, (0, .22 - up * .5), (.10, .08), .17, .35)
        for side in (-1, 1):
            self._soft(self.dark, (.135 * side * wide, .05), (.05, .22), .12 + .06 * side * look.light, .18)
            self._soft(self.dark, (.10 * side, -.32), (.05, .12), .10 + .12 * a[4], .15)
            wing = np.array([[.11, .22], [.17, .25], [.185, .31], [.15, .36], [.10, .355]]) * [side * wide, 1] - [0, up]
            self._crease(wing, .42 + .1 * a[9], 2, .2)
            nostril = np.array([.075 * side * wide, .352 - up * .8])
            angle = np.linspace(0, 6.28, 12)
            ring = nostril + np.stack([.048 * np.cos(angle), .024 * np.sin(angle) - .006 * side * np.cos(angle)], 1)
            self._fill(ring, _tint(look.skin, 0.28), 0.28)
            for k in range(3):  # wrinkles of a scrunched nose
                y = -.2 + .075 * k
                self._crease([[.02 * side, y + .03], [.09 * side, y - .01], [.15 * side, y + .035]], .42 * a[9], 2, .2)
        self._soft(self.dark, (0, .42 - up * .5), (.15, .035), .22, .15)

    def _mouth(self, a: dict[int, float], rounding: float) -> None:
        look = self.look
        half = .36 * (1 + .28 * a[12] + .24 * a[20] + .03 * a[15] - .06 * a[24] - .04 * a[23] - .30 * a[27] - .20 * a[26]) * (1 - .28 * rounding * (1 - a[12]))
        rest = .68 * look.length ** .5
        corner = rest - .17 * a[12] + .12 * a[15] + .05 * a[20] - .02 * a[10] + .28 * self.opening - .03 * a[17] * (1 - a[15])
        o = self.opening
        upper = rest - .035 * a[12] - .09 * a[10] - .055 * a[9] - .05 * a[17] - .14 * o - .02 * a[25]
        lower = upper + o * (1 + .15 * a[12])
        square = 2.0 + 1.6 * a[20] + 1.2 * a[10] + .2 * a[27]
        thin = 1 - .35 * a[12] - .75 * a[24] - .45 * a[23] - .30 * a[20] - .25 * a[27]
        thick_up = max(.016, .068 * look.lips * (thin - .2 * a[10]))
        thick_low = max(.020, .098 * look.lips * (thin + .15 * a[17] - .2 * a[15]))
        bell = 1 - np.abs(_SPAN) ** square
        x = _SPAN * half
        inner_up = np.stack([x, corner + (upper - corner) * bell], 1)
        inner_low = np.stack([x, corner + (lower - corner) * (1 - np.abs(_SPAN) ** (square * 1.05))], 1)
        bow = .020 * look.lips * thin * np.exp(-(_SPAN / .14) ** 2)
        outer_up = inner_up + np.stack([_SPAN * .02, -thick_up * (1 - _SPAN ** 2) ** .7 + bow], 1)
        outer_low = inner_low + np.stack([_SPAN * .02, thick_low * (1 - _SPAN ** 2) ** .6], 1)
        depth = .2
        red = np.array([168, 72, 74]) if sum(look.skin) > 420 else np.array([120, 52, 54])
        lip = tuple(int(v) for v in .5 * np.array(look.skin) + .5 * red)
        hole = np.concatenate([inner_up, inner_low[::-1]])
        if o > .012:
            tooth = min(.10, .75 * o) * (1 - .35 * a[27] - .2 * a[26])
            white = _tint((232, 226, 214), 1.0 if o > .06 else .85)

            def paint() -> None:
                self._fill(hole + 0, (58, 18, 20), depth)
                if o > .13:
                    angle = np.linspace(0, 6.28, 16)
                    self._fill(np.stack([.62 * half * np.cos(angle), lower + .02 + .32 * o * np.sin(angle)], 1), (150, 66, 70), depth)
                if tooth > .02:
                    self._fill(np.concatenate([inner_up - [0, .02], (inner_up + [0, tooth])[::-1]]) * [.86, 1], white, depth)
                    at = np.arange(-4, 5) * half * .2
                    gaps = np.stack([np.stack([at, 0 * at + upper - .03], 1), np.stack([at, 0 * at + upper + tooth * .85], 1)], 1)
                    self._lines(gaps, _tint(white, .86), 1, depth)
                    if a[20] + a[10] > .4:
                        self._fill(np.concatenate([inner_low - [0, .045], (inner_low + [0, .02])[::-1]]) * [.78, 1], _tint(white, .88), depth)

            self._patch(hole, depth, paint)
        if look.beard:
            lips = np.concatenate([outer_up, outer_low[::-1]])
            cv2.fillPoly(self.stubble, [self._points(lips, depth, 0.25)], 0.0, cv2.LINE_8, 4)
        self._fill(np.concatenate([outer_up, inner_up[::-1]]), _tint(lip, .86), depth)
        self._fill(np.concatenate([inner_low, outer_low[::-1]]), lip, depth)
        line = (inner_up + inner_low) / 2 if o < .03 else inner_up
        self._line(line, _tint(lip, .38), 3 if o < .03 else 2, depth)
        if a[24] > .2:
            self._soft(self.bright, (0, rest - .14), (.22, .04), .08 * a[24], depth)
        shine = inner_low + np.stack([0 * x, thick_low * .4 * (1 - _SPAN ** 2)], 1)
        self._line(shine[9:16], _tint(lip, 1.14, (8, 8, 8)), 3, depth)
        base = float(outer_low[12, 1])
        self._soft(self.dark, (0, base + .055), (.2, .035), .20 + .1 * a[17], .15)
        self._crease([[-.02, .42], [-.025, upper - thick_up - .03]], .12, 2, depth)
        self._crease([[.02, .42], [.025, upper - thick_up - .03]], .12, 2, depth)
        for side in (-1, 1):
            end = np.array([half * side, corner])
            self._soft(self.dark, end + [.03 * side, 0], (.045, .04), .16 + .14 * a[12] + .1 * a[15] + .1 * a[24], depth)
            fold = .05 + .10 * look.age + .24 * a[12] + .28 * a[9] + .20 * a[10] + .08 * a[15] + .12 * a[20]
            start = np.array([.19 * side * look.nose, .24 - .06 * a[9]])
            stop = end + np.array([.13 * side, -.04 + .03 * a[12] + .10 * a[9]])
            bend = (start + stop) / 2 + np.array([.07 * side * (1 + a[12]), -.05 * a[12]])
            self._crease(np.stack([start, (start + bend) / 2 + [.02 * side, 0], bend, (bend + stop) / 2 + [.015 * side, 0], stop]), min(.36, fold), 3, .15)
            self._crease([end + [.02 * side, .03], end + [.05 * side, .14], end + [.045 * side, .22]], .24 * a[15] + .04 * look.age, 2, .15)

    def _front_hair(self) -> None:
        look, hair = self.look, self.look.hair
        if look.hair_style == "shaved":  # close-cropped hair that follows the skull
            scalp = np.array([[-1.0, -.4], [-1.01, -.7], [-.88, -1.0], [-.62, -1.26], [-.3, -1.38], [0, -1.41], [.3, -1.38], [.62, -1.26],
                              [.88, -1.0], [1.01, -.7], [1.0, -.4], [.93, -.62], [.76, -.9], [.4, -1.04], [-.4, -1.04], [-.76, -.9], [-.93, -.62]])
            self._fill(scalp, tuple(int(.28 * s + .72 * h) for s, h in zip(look.skin, hair)), 0.0)
            self._soft(self.dark, (0, -1.0), (.7, .06), .10, .05)
            return
        line = {"short": -.98, "long": -.95, "fringe": -.76, "bun": -1.0, "curly": -.92}[look.hair_style]
        outer = np.array([[-1.06, -.45], [-1.08, -.85], [-.9, -1.2], [-.55, -1.46], [0, -1.56], [.55, -1.46], [.9, -1.2], [1.08, -.85], [1.06, -.45]])
        inner = np.array([[.98, -.40], [.93, -.70], [.72, line + .06], [.3, line], [-.1, line - .04], [-.5, line + .03], [-.78, line + .1], [-.93, -.70], [-.98, -.40]])
        if look.hair_style == "curly":
            for k, angle in enumerate(np.linspace(np.pi * .97, np.pi * 2.03, 17)):
                spot = self._points(np.array([[1.02 * np.cos(angle), -.42 + 1.04 * np.sin(angle)]]), -.05)[0]
                cv2.circle(self.image, (int(spot[0]), int(spot[1])), int(.2 * _UNIT * 16), _tint(hair, .85 + .15 * (k % 2)), -1, cv2.LINE_AA, 4)
        self._fill(np.concatenate([outer, inner]), hair, 0.0)
        if look.hair_style == "long":
            for side in (-1, 1):
                lock = np.array([[1.08, -.6], [1.24, .1], [1.26, 1.2], [1.0, 1.3], [1.02, .5], [.95, -.1], [.9, -.7]]) * [side, 1]
                self._fill(lock, _tint(hair, .9), -0.02)
        x = self.strands
        paths = np.stack([np.stack([x * .5, -1.5 + .12 * x * x], 1), np.stack([x * .85, -1.25 + .2 * x * x], 1),
                          np.stack([x * .96, line - .02 + .25 * x * x], 1)], 1)
        self._lines(paths[::2], _tint(hair, 1.12, (8, 8, 8)), 2)
        self._lines(paths[1::2], _tint(hair, .82), 2)
        self._soft(self.dark, (0, line + .05), (.7, .06), .10, .05)

    def _glasses(self) -> None:
        angle = np.linspace(0, 2 * np.pi, 30)
        for side in (-1, 1):
            ring = np.stack([.44 * side + .29 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** .8,
                             -.16 + .21 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** .8], 1)
            self._line(ring, (52, 46, 44), 3, 0.22)
            self._line(np.array([[.73 * side, -.2], [1.02 * side, -.24]]), (52, 46, 44), 3, 0.0)
        self._line(np.array([[-.15, -.2], [0, -.24], [.15, -.2]]), (52, 46, 44), 3, 0.24)

    def _compose(self) -> np.ndarray:
        """Scale down, and multiply the planes of shading in."""
        picture = cv2.resize(self.image, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        soft = cv2.GaussianBlur(self.bright - self.dark, (0, 0), 2.6)
        inside = np.zeros_like(soft)
        cv2.fillPoly(inside, [self._points(self.outline, 0.0, 0.25)], 1.0, cv2.LINE_8, 4)
        inside = cv2.blur(inside, (3, 3))
        if self.look.beard:
            soft -= cv2.GaussianBlur(self.stubble, (0, 0), 1.4) * inside
        small = self.pose
        matrix = np.array([[1, 0, small.x * _UNIT / 4], [0, 1, small.y * _UNIT / 4]], np.float32)
        soft += cv2.warpAffine(self.ball, matrix, (SIZE // 2, SIZE // 2), flags=cv2.INTER_LINEAR) * inside
        shade = cv2.resize(soft, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)
        shade -= cv2.GaussianBlur(self.fine, (0, 0), 0.9)
        shade = cv2.merge([1 + shade * f for f in (0.94, 1.0, 1.03)])  # shadows are a little warmer
        return cv2.multiply(picture, shade, dtype=cv2.CV_8U)
