"""The libraries that read media say nothing on the screen: every failure is told once, in our own words."""

from __future__ import annotations

import ctypes
import logging
import warnings
from pathlib import Path

import av
import PIL
from PIL import Image


def silence() -> None:
    """Turn off what FFmpeg, Pillow and libtiff (with the libjpeg inside it) would print; once, when media is imported.

    The process's stderr itself is left alone, and so are the warnings of all other modules.
    """
    av.logging.set_level(av.logging.PANIC)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # Corrupt EXIF data, Truncated File Read, ...
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    logging.getLogger("PIL").addHandler(logging.NullHandler())  # else errors go to stderr where nobody set up logging
    folder = Path(PIL.__file__).parent
    for library in (*folder.parent.glob("pillow.libs/libtiff*"), *folder.glob(".dylibs/libtiff*")):
        # C code that writes to stderr by itself. Pillow carries libtiff as a library of its own, so that its handlers
        # can be set; where it is linked in another way, its lines stay.
        try:
            tiff = ctypes.CDLL(str(library))
            for name in ("TIFFSetErrorHandler", "TIFFSetWarningHandler"):
                handler = getattr(tiff, name)
                handler.argtypes, handler.restype = [ctypes.c_void_p], ctypes.c_void_p
                handler(None)
        except (OSError, AttributeError):
            continue
