"""Paths that the reader of manifests finds again from a manifest's own folder."""

from __future__ import annotations

import os
from pathlib import Path

LINK = "media"
"""Name of the link to the corpus that lies beside a manifest."""


class Links:
    """The links beside a manifest by which its media are found, and paths that begin with them.

    The reader of manifests follows a link that lies directly beside the manifest, and no other: so the corpus's root
    gets one, and each link to a folder that lies directly in the root gets one more.
    """

    def __init__(self, root: Path, output: Path):
        self.root, self.output, self._own = root, output, output.resolve()
        self._targets: dict[Path, str] = {root.resolve(): LINK}
        with os.scandir(root) as entries:
            linked = sorted(entry.name for entry in entries if entry.is_symlink() and os.path.isdir(entry.path))
        for name in linked:
            self._targets.setdefault((root / name).resolve(), f"{LINK}-{name}")

    def through(self, path: Path) -> Path:
        """The path by way of the manifest's folder. Raises ValueError for one that lies in no linked folder."""
        resolved = path.resolve()
        if resolved.is_relative_to(self._own):
            return self.output / resolved.relative_to(self._own)
        for target, name in self._targets.items():
            if resolved.is_relative_to(target):
                return self.output / name / resolved.relative_to(target)
        raise ValueError(f"{path}: lies outside of {self.root}; put a link to its folder into that one")

    def make(self) -> None:
        """Make the links. Raises ValueError where something else has the name."""
        for target, name in self._targets.items():
            place = self.output / name
            if place.is_symlink():
                if place.resolve() == target:
                    continue
                place.unlink()
            elif place.exists():
                raise ValueError(f"{place}: is there, and a link to {target} is to be made; move it away, or choose "
                                 "another --output")
            place.symlink_to(target, target_is_directory=True)
