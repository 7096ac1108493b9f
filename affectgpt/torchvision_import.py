"""Lets torchvision be imported beside a torch that its compiled part was not built for.

Package indices carry torchvision as a CUDA build alone. Beside a CPU build of torch its compiled part (operators of
detection: nms, roi_align) does not load, and then its Python part fails too, because it describes two operators that
nobody declared; with it fails transformers, whose processors of videos need nothing but that Python part (resizing and
normalising, which torch computes). Here the two operators are declared, without code, before torchvision is imported
and only where its compiled part does not load. Beside a torch that fits, nothing is changed.
"""

from __future__ import annotations

import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path

OPERATORS = ("nms", "qnms")
"""What torchvision 0.21 to 0.29 describe whether or not their compiled part is there."""

_declared: list = []  # a declaration lasts as long as its object


class _Finder:
    """Finds torchvision where the usual finder does, and prepares torch before its first line runs."""

    @staticmethod
    def find_spec(name: str, path=None, target=None) -> ModuleSpec | None:
        if name != "torchvision":
            return None
        spec = PathFinder.find_spec(name, path)
        if spec is None or not spec.submodule_search_locations or not hasattr(spec.loader, "exec_module"):
            return spec
        execute, folder = spec.loader.exec_module, Path(spec.submodule_search_locations[0])

        def prepared(module) -> None:
            if not compiled_part_loads(folder):
                declare_operators()
            execute(module)

        spec.loader.exec_module = prepared
        return spec


def install() -> None:
    """Watch for the first import of torchvision; costs nothing until then."""
    if _Finder not in sys.meta_path:
        sys.meta_path.insert(0, _Finder)


def compiled_part_loads(folder: Path) -> bool:
    """Whether the compiled part of the torchvision in `folder` fits this torch; loads it where it does."""
    import torch

    for file in sorted([*folder.glob("_C*.so"), *folder.glob("_C*.pyd")]):
        try:
            torch.ops.load_library(str(file))
            return True
        except OSError:
            pass  # built for another torch
    return False


def declare_operators() -> None:
    """Declare the operators that torchvision describes; calling one says that it is not there."""
    import torch

    if _declared:
        return
    library = torch.library.Library("torchvision", "DEF")
    for name in OPERATORS:
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _declared.append(library)
