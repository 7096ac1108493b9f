"""Official face crops: `openface_face/NAME.npy`, uint8 [T, height, width, 3] in BGR, as OpenCV writes pictures.

A file from elsewhere is only mapped into memory after its header has been checked against its size; nothing in it is
unpickled.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affectgpt.media.errors import MediaError
from affectgpt.media.timeline import sample_indices

MAX_SIDE = 2048
"""Pixels; official crops have 112."""
MAX_HEADER = 1024


class _Refused(ValueError):
    """What is wrong with a header."""


def count_crops(path: str | Path) -> int:
    """How many crops a file holds, 0 where no face was found. Raises MediaError as `read_crops`."""
    return _opened(Path(path))[0][0]


def read_crops(path: str | Path, count: int, size: int, rule: str = "centre") -> np.ndarray | None:
    """`count` of the crops, chosen as frames of an even rate are, uint8 [count, size, size, 3] RGB; None where the file
    holds no crop. Crops that are no squares are cut to their middle.

    Raises:
        MediaError: no such file, not an array of crops, one with a header that cannot be true, or cut off.
    """
    import cv2

    path = Path(path)
    (total, height, width, _), offset = _opened(path)
    if not total:
        return None
    try:
        crops = np.memmap(path, dtype=np.uint8, mode="r", offset=offset, shape=(total, height, width, 3))
    except (OSError, ValueError) as error:
        raise MediaError(f"{path}: cannot be mapped into memory ({error}); copy it again") from error
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    images = np.empty((count, size, size, 3), dtype=np.uint8)
    for place, index in enumerate(sample_indices(total, count, rule)):
        square = np.ascontiguousarray(crops[index, top : top + side, left : left + side, ::-1])
        method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
        images[place] = square if side == size else cv2.resize(square, (size, size), interpolation=method)
    return images


def _opened(path: Path) -> tuple[tuple[int, int, int, int], int]:
    """(shape, place of the first byte) of a file of crops, checked."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version not in ((1, 0), (2, 0)):
                raise _Refused(f"version {version} of the format is not read")
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(file, max_header_size=MAX_HEADER)
            offset, size = file.tell(), path.stat().st_size
        _check(shape, fortran, dtype, size - offset)
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file of face crops; check the path") from error
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check what it is") from error
    except _Refused as error:
        raise MediaError(f"{path}: {error}; official face crops are uint8 [T, height, width, 3]") from error
    except Exception as error:  # numpy evaluates the header as a literal, and whatever is in it may be raised
        raise MediaError(f"{path}: is no .npy file of face crops, or its header is damaged; copy it again") from error
    return shape, offset


def _check(shape: tuple, fortran: bool, dtype: np.dtype, there: int) -> None:
    if dtype != np.uint8:
        raise _Refused(f"holds {str(dtype):.40}")
    if fortran:
        raise _Refused("is in Fortran order")
    if len(shape) != 4 or shape[3] != 3 or any(type(side) is not int or side < 0 for side in shape):
        raise _Refused(f"has shape {str(list(shape)):.60}")
    if shape[0] and not all(1 <= side <= MAX_SIDE for side in shape[1:3]):
        raise _Refused(f"has crops of {shape[2]:.6g} x {shape[1]:.6g} pixels, and 1 to {MAX_SIDE} are read")
    expected = shape[0] * shape[1] * shape[2] * 3
    if expected != there:
        raise _Refused(f"has {there} bytes of crops where its header tells of {expected:.6g}: it is cut off or damaged")
