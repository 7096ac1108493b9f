"""Still pictures -> pixels, with Pillow."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from affectgpt.media.errors import MediaError
from affectgpt.media.limits import KEPT_PICTURE_PIXELS, MAX_PICTURE_PIXELS, check_pixels

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
_FORMAT_LIMITS = {"WEBP": MAX_PICTURE_PIXELS // 2}  # its decoder holds four copies
_ORIENTATION = 0x0112
_TURNS = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
          7: "TRANSVERSE", 8: "ROTATE_90"}
_STRIP = 16_000_000  # pixels


@dataclass(frozen=True)
class Still:
    """`pixels` uint8 [H, W, 3] RGB, upright; `width` and `height` as they are in the file, upright; `note` where the
    picture was shrunk."""

    pixels: np.ndarray
    width: int
    height: int
    note: str | None


def read_image(path: Path) -> Still:
    """A still picture; one of more than `KEPT_PICTURE_PIXELS` is shrunk by a whole number. Raises MediaError."""
    Image.init()
    try:
        with Image.open(path, formats=FORMATS) as image:
            width, height = image.size
            check_pixels(path, width, height, _FORMAT_LIMITS.get(image.format, MAX_PICTURE_PIXELS))
            turn = _TURNS.get(image.getexif().get(_ORIENTATION))
            image = _shrunk(image)
            if turn is not None:
                image = image.transpose(Image.Transpose[turn])
            pixels = np.asarray(image)
    except MediaError:
        raise
    except Exception as error:  # damaged headers make Pillow raise nearly anything
        message = f"{path}: the picture cannot be read, it is cut off or broken; save it again"
        raise MediaError(message) from error
    if turn is not None and turn.startswith(("ROTATE_90", "ROTATE_270", "TRANS")):
        width, height = height, width
    high, wide = pixels.shape[:2]
    note = None if (wide, high) == (width, height) else f"the picture of {width} x {height} is read at {wide} x {high}"
    return Still(pixels, width, height, note)


def _factor(image: Image.Image) -> int:
    return ceil(sqrt(image.width * image.height / KEPT_PICTURE_PIXELS))


def _shrunk(image: Image.Image) -> Image.Image:
    """RGB of at most `KEPT_PICTURE_PIXELS`. Large pictures are never held more than twice."""
    if _factor(image) > 1:
        image.draft("RGB", (image.width // _factor(image), image.height // _factor(image)))  # a JPEG decodes smaller
    if image.mode.startswith("I"):  # 16 bits: convert() would clip instead of scale
        rows = max(1, _STRIP // image.width)
        strips = [np.asarray(image.crop((0, top, image.width, min(top + rows, image.height)))) >> 8
                  for top in range(0, image.height, rows)]
        image = Image.fromarray(np.concatenate([strip.astype(np.uint8) for strip in strips]))
    if image.mode in ("P", "PA", "1", "LAB"):
        image = image.convert("RGB")
    if _factor(image) > 1:
        image = image.reduce(_factor(image))
    return image.convert("RGB")
