"""Expressions of a face: the bundled network's seven, or those of a py-feat table; and their words."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from affectgpt.textualize.face import FaceFrames

_BATCH = 32


def expressions_of(face: FaceFrames) -> dict[str, float] | None:
    """Emotion -> the highest probability in any frame with a face; None where there is none."""
    import torch

    if not face.found.any():
        return None
    model, crops, best = _network(), face.crops[face.found], None
    for begin in range(0, len(crops), _BATCH):
        pixels = torch.from_numpy(np.ascontiguousarray(crops[begin : begin + _BATCH])).permute(0, 3, 1, 2)
        with torch.inference_mode():
            shares = model(pixels).logits.softmax(-1).amax(0)
        best = shares if best is None else torch.maximum(best, shares)
    return {model.config.id2label[number]: round(share, 4) for number, share in enumerate(best.tolist())}


def expressions_words(expressions: dict[str, float], top: int) -> str:
    """The `top` emotions with the highest values, the highest first."""
    return ", ".join(sorted(expressions, key=lambda name: (-expressions[name], name))[:top])


@lru_cache(maxsize=1)
def _network():
    from affectgpt.caption.measure import expression_network

    return expression_network()
