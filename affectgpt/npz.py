"""Reading of .npz files from elsewhere, pickled dictionaries included, without running anything that they say.

MER2023 to MER2026, MERBench and AffectGPT ship labels and tables as numpy archives of pickled dictionaries. numpy's
own reader would run any code inside. This one admits containers, numbers, strings and numpy arrays, nothing else.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

LARGEST_FILE = 2**30
"""Bytes that one unpacked array may have: more is a mistake or an attack."""

_ADMITTED = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise ValueError(f"it asks for {module}.{name}, which no label table needs")
        return super().find_class(module.replace("numpy.core.", "numpy._core."), name)


def load_npz(path: str | Path) -> dict[str, Any]:
    """Contents of an .npz file: array name -> array, or the pickled value of a single-object array.

    Raises:
        ValueError: not an .npz file, an array that is too large, or a pickle that asks for code.
    """
    contents = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                if entry.file_size > LARGEST_FILE:
                    raise ValueError(f"{entry.filename} has {entry.file_size:,} bytes unpacked, more than "
                                     f"{LARGEST_FILE:,}")
                with archive.open(entry) as file:
                    contents[entry.filename.removesuffix(".npy")] = _read_array(io.BytesIO(file.read(LARGEST_FILE)))
    except (zipfile.BadZipFile, pickle.UnpicklingError, EOFError, ValueError, IndexError, AttributeError, TypeError,
            KeyError, ImportError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: cannot be read as a numpy archive of plain values: {error}") from error
    return contents


def _read_array(file: io.BytesIO) -> Any:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    if not dtype.hasobject:
        file.seek(0)
        return np.lib.format.read_array(file, allow_pickle=False)
    value = _Unpickler(file, encoding="latin1").load()
    if not isinstance(value, np.ndarray):
        raise ValueError("its pickle is no array")
    return value.item() if shape == () else value.reshape(shape)
