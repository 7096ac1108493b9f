"""Clips as rows of a manifest, with paths that the manifest's reader finds again from the manifest's own folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip

LINK = "media"
"""Name of the link to the corpus that lies beside a manifest."""


def clip_to_row(clip: Clip) -> dict[str, Any]:
    """The clip as a row of a manifest, without what it does not have; paths as they are."""
    values = {name: getattr(clip, name) for name in ("id", "corpus", "split", "media", "audio", "words", "language",
                                                     "speaker", "start", "end", "face", "dialogue", "turn", "group",
                                                     "content")}
    targets = clip.targets
    values |= {name: getattr(targets, name) for name in ("description", "labels", "emotion", "valence", "sentiment",
                                                         "arousal", "dominance", "votes", "preference", "turns",
                                                         "evidence", "cues")}
    if targets.preference is not None:
        values["preference"] = vars(targets.preference)
    return {key: str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value
            for key, value in values.items() if value is not None and value != () and value != {} and value != ""}


class Links:
    """The links beside a manifest by which its media are found, and paths that begin with them.

    The reader of manifests follows a link that lies directly beside the manifest, and no other: so the corpus's root
    gets one, and each link to a folder that lies directly in the root gets one more.
    """

    def __init__(self, root: Path, output: Path):
        self.output = output
        self._targets: dict[Path, str] = {root.resolve(): LINK}
        with os.scandir(root) as entries:
            linked = sorted(entry.name for entry in entries if entry.is_symlink() and entry.is_dir())
        for name in linked:
            self._targets.setdefault((root / name).resolve(), f"{LINK}-{name}")

    def relative(self, path: Path) -> str | None:
        """The path from the manifest's folder on; None for one that lies in none of the linked folders."""
        resolved = path.resolve()
        for target, name in self._targets.items():
            if resolved.is_relative_to(target):
                return f"{name}/{resolved.relative_to(target).as_posix()}"
        return None

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
