"""Where files of a corpus lie: media found by name, takes found by their pattern, and hints for a wrong root."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from affectgpt.files import safe_join

FILMS = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".flv")
SOUNDS = (".wav", ".flac", ".opus", ".ogg", ".mp3", ".m4a")
"""Endings of media in a corpus, the first of them where a clip is there under several: people convert what they get."""
SUFFIXES = (*FILMS, *SOUNDS, ".npy")
"""Endings of media that a table may have in its names; a clip's name is what stands before."""
LOOKED_AT = 2000
"""Entries that a hint looks at: a root may be a whole disk."""
NAMED = 8
"""Places that a hint names."""
DEEPEST = 5
"""Folders below which a hint does not look."""
NESTED_FOLDERS = 64
"""Folders in a folder of media that are looked into; more are a folder a clip, which media do not have."""


def clip_name(cell: str) -> str:
    """The name of a clip from a cell that has it with or without the ending of a file.

    >>> clip_name("00000123.mp4"), clip_name("a.b")
    ('00000123', 'a.b')
    """
    stem, dot, suffix = cell.strip().rpartition(".")
    return stem if stem and dot + suffix.lower() in SUFFIXES else cell.strip()


class MediaFolder:
    """Files of the first folder that exists, by their names without suffix; listed once.

    Capital letters in suffixes do not matter. Files of folders below it, as archives of parts leave them
    (video/video_track1/video/NAME.mp4), are found too, where they are not in the folder itself.

    Args:
        root: the corpus's root, which no path may leave.
        folders: names of folders below it, in the order in which they are tried.
        suffixes: with the dot; of several files of one name the first suffix counts.
        nested: look into folders below it.
    """

    def __init__(self, root: Path, folders: tuple[str, ...], suffixes: tuple[str, ...], nested: bool = True):
        self.root, self.suffixes = Path(root), suffixes
        self.folder = next((name for name in folders if (self.root / name).is_dir()), folders[0])
        self._place = safe_join(self.root, self.folder, follow=True)
        self._there: dict[str, str] = {}
        self._links: set[str] = set()
        if self._place.is_dir():
            self._list("", 2 if nested else 0)

    def _list(self, below: str, depth: int) -> None:
        folders = []
        for entry in sorted(os.scandir(self._place / below), key=lambda entry: entry.name):
            stem, suffix = os.path.splitext(entry.name)
            if entry.is_symlink():
                self._links.add(below + entry.name)
            elif depth and entry.is_dir():
                folders.append(below + entry.name + "/")
            known = stem + suffix.lower()
            if known not in self._there or not below and entry.name == known:
                self._there[known] = below + entry.name
        if len(folders) <= NESTED_FOLDERS:
            for folder in folders:
                self._list(folder, depth - 1)

    def find(self, name: str) -> Path:
        """The file of a name; where it is not there, the path that it should have.

        Raises:
            ValueError: a name that leaves the root.
        """
        found = self._there.get(name + next((suffix for suffix in self.suffixes if name + suffix in self._there), "\0"))
        file = found or name + self.suffixes[0]
        if name.startswith("/") or not name.strip(". "):
            raise ValueError(f"{name!r} is no name of a file in {self._place}")
        if "/" in name or "\0" in file or file in self._links:
            return safe_join(self.root, f"{self.folder}/{file}", follow=True)
        return self._place / file  # nothing to resolve, which would take a millisecond a clip

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""
        return any(name + suffix in self._there for suffix in self.suffixes)


def files_named(root: Path, folder: str, pattern: re.Pattern, suffixes: tuple[str, ...]) -> Iterator[tuple[str, Path]]:
    """Yield (suffix in small letters, file) of all files in and below a folder whose name without suffix the pattern
    fits, in the order of their paths.

    Symbolic links are followed as `safe_join` does: not to folders below, and to files only where they stay inside.

    Raises:
        ValueError: a link that leads out of the root.
    """
    top = safe_join(root, folder, follow=True)
    for place, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(files):
            stem, suffix = os.path.splitext(name)
            if suffix.lower() in suffixes and pattern.fullmatch(stem):
                file = Path(place, name)
                if file.is_symlink():
                    safe_join(top, str(file.relative_to(top)))
                yield suffix.lower(), file


def elsewhere(*paths: Path) -> str:
    """Where one of these files or folders lies that is not where it was looked for, as the end of a message; "" where
    none is near.

    A root one level too high or too low, and a name in other capital letters, are the mistakes that it finds.
    """
    folder = next((above for path in paths for above in path.parents if above.is_dir()), None)
    if folder is None:
        return ""
    names = {path.name.lower(): path for path in paths}
    for entry in _entries(folder):
        if entry.name.lower() in names and names[entry.name.lower()].parent == folder:
            return f". There is {entry.path}: rename it to {names[entry.name.lower()].name}"
    looked_at, parents, found = 0, _parents(folder), []
    places = [folder, *parents]
    while places and looked_at < LOOKED_AT:
        place = places.pop(0)
        for entry in _entries(place):
            looked_at += 1
            if entry.name.lower() in names:
                found.append(entry.path)
            elif place not in parents and len(Path(entry.path).parts) - len(folder.parts) < DEEPEST \
                    and entry.is_dir(follow_symlinks=False):
                places.append(Path(entry.path))
    if not found:
        return ""
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return f". There is {', '.join(found[:NAMED])}{more}: give the folder in which the corpus begins as the root"


def _parents(folder: Path) -> list[Path]:
    """The two folders above one; none of them the top of the disk."""
    return [above for above in folder.absolute().parents[:2] if above != above.parent]


def _entries(folder: Path) -> list[os.DirEntry]:
    """The first entries of a folder by name; none where it may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(islice(entries, LOOKED_AT), key=lambda entry: entry.name)
    except OSError:
        return []
