"""Facial action units: of landmarks, or of a table that py-feat or OpenFace has written; and their words.

Twelve of the paper's twenty units move landmarks enough to be measured from distances: brows (1, 2, 4), lids (5, 7,
43), mouth and jaw (10, 12, 15, 20, 25, 26). The others show in the skin's relief or in small changes of the lips (6, 9,
11, 14, 17, 23, 24, 28) and need a network that was trained on them: give its tables (`face.tables`).
Shapes: T frames, U units.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.textualize.geometry import MEASURES
from affectgpt.textualize.settings import FaceSection
from affectgpt.textualize.texts import NO_UNITS

if TYPE_CHECKING:
    from torch import Tensor

UNIT_NAMES = {
    "AU01": "Inner Brow Raiser", "AU02": "Outer Brow Raiser", "AU04": "Brow Lowerer", "AU05": "Upper Lid Raiser",
    "AU06": "Cheek Raiser", "AU07": "Lid Tightener", "AU09": "Nose Wrinkler", "AU10": "Upper Lip Raiser",
    "AU11": "Nasolabial Deepener", "AU12": "Lip Corner Puller", "AU14": "Dimpler", "AU15": "Lip Corner Depressor",
    "AU17": "Chin Raiser", "AU20": "Lip Stretcher", "AU23": "Lip Tightener", "AU24": "Lip Pressor",
    "AU25": "Lip Part", "AU26": "Jaw Drop", "AU28": "Lip Suck", "AU43": "Eyes Closed",
}
"""Unit -> its name in a text, as the paper has them."""

AT_REST = dict(zip(MEASURES, (0.150, 0.132, 0.264, 0.070, -0.026, 0.010, 0.570, 0.024, 0.677, 0.165), strict=True))
"""Measure of a neutral face: mean of the medians of two actors' neutral takes of RAVDESS. People differ by more than
units move them, so a clip's own median (`face.own`) or its speaker's is used as well."""
CLEAR = dict(zip(MEASURES, (0.025, 0.024, 0.012, 0.008, 0.010, 0.016, 0.042, 0.040, 0.050, 0.018),
                 strict=True))
"""Measure -> a change of it that is clearly seen."""
MEASURED = {
    "AU01": {"inner_brow": 1.0}, "AU02": {"outer_brow": 1.0}, "AU04": {"inner_brow": -0.6, "brow_gap": -0.6},
    "AU05": {"eye_opening": 1.0}, "AU07": {"lower_lid": 1.0}, "AU10": {"upper_lip": -1.0, "mouth_width": -0.35},
    "AU12": {"corner_height": 0.7, "mouth_width": 0.2},
    "AU15": {"corner_height": -1.0}, "AU20": {"mouth_width": 1.0, "corner_height": -0.6}, "AU25": {"lip_gap": 1.0},
    "AU26": {"jaw_drop": 1.0}, "AU43": {"eye_opening": -0.16},
}
"""Unit -> the weight of each measure's change, in clear changes."""
STEEPNESS = 4.0
"""Of the logistic that turns clear changes to 0..1: one is 0.5, none is 0.02, two are 0.98."""


@dataclass(frozen=True)
class FrameUnits:
    """Action units of a clip, frame by frame.

    Attributes:
        names: of the units, "AU01".
        times: float64 [T] seconds of the clip.
        values: float32 [T, U] in 0..1; 0 where no face was found.
        found: bool [T].
    """

    names: tuple[str, ...]
    times: Tensor
    values: Tensor
    found: Tensor


def frame_units(clip: Clip, settings: FaceSection) -> FrameUnits:
    """The units of a clip, from its table where `settings.tables` is given, else from its face.

    Raises:
        MediaError: a file that cannot be read.
        ValueError: a table that is none.
    """
    import torch

    if settings.tables is not None:
        from affectgpt.textualize.tables import read_table, table_of

        table = read_table(table_of(settings.tables, clip))
        names, times, found = tuple(table.units), table.times, table.found
        values = np.stack(list(table.units.values()), axis=1) if names else np.zeros((len(times), 0))
    else:
        from affectgpt.textualize.face import read_face_frames
        from affectgpt.textualize.geometry import measure

        face = read_face_frames(clip, settings.frames_per_second, settings.max_frames)
        names, times, found = tuple(MEASURED), face.times, face.found
        values = units_of(measure(face.landmarks), settings.own)
    return FrameUnits(names, torch.from_numpy(np.asarray(times, dtype=np.float64)),
                      torch.from_numpy(np.nan_to_num(values).astype(np.float32)), torch.from_numpy(found))


def units_of(measures: np.ndarray, own: float, rest: np.ndarray | None = None) -> np.ndarray:
    """Units float64 [T, U] in 0..1, in the order of `MEASURED`, of measures [T, len(MEASURES)]; NaN stays NaN.

    Args:
        own: share of the clip's own median in the face at rest; the rest of it is `AT_REST`.
        rest: the face at rest, [len(MEASURES)], where it is known.
    """
    if rest is None:
        rest = at_rest(measures, own)
    changes = (measures - rest) / np.array([CLEAR[name] for name in MEASURES])
    weights = np.array([[parts.get(name, 0.0) for parts in MEASURED.values()] for name in MEASURES])
    return 1 / (1 + np.exp(-STEEPNESS * (np.clip(changes, -20, 20) @ weights - 1)))


def at_rest(measures: np.ndarray, own: float) -> np.ndarray:
    """The face at rest of a clip [len(MEASURES)]: its own median and the shipped reference, in these shares. Length of
    the face differs most from one person to the next, so the jaw is measured from the clip's own alone, where it is
    closed."""
    shipped = np.array([AT_REST[name] for name in MEASURES])
    seen = measures[np.isfinite(measures).all(1)]
    if not len(seen):
        return shipped
    rest = own * np.median(seen, axis=0) + (1 - own) * shipped
    rest[MEASURES.index("jaw_drop")] = np.percentile(seen[:, MEASURES.index("jaw_drop")], 20)
    return rest


def highest(values: np.ndarray, names: tuple[str, ...], found: np.ndarray) -> dict[str, float] | None:
    """Unit -> the highest of its values [T, U] in frames with a face; None where there is no such frame."""
    if not found.any():
        return None
    return {name: round(float(value), 4) for name, value in zip(names, values[found].max(0), strict=True)}


def steady(values: np.ndarray, frames: int) -> np.ndarray:
    """Medians over time of an odd number of neighbouring frames, of values [T, ...]: what one frame alone shows is
    seldom the face."""
    if frames < 2 or len(values) < 2:
        return values
    half = frames // 2
    padded = np.pad(values, [(half, half), *[(0, 0)] * (values.ndim - 1)], mode="edge")
    return np.median(np.stack([padded[begin : begin + len(values)] for begin in range(2 * half + 1)]), axis=0)


def units_words(units: dict[str, float], active: float) -> str:
    """The names of units whose highest value is above `active`, in the order of their numbers."""
    return ", ".join(name for unit, name in UNIT_NAMES.items() if units.get(unit, 0.0) > active) or NO_UNITS
