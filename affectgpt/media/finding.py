"""Paths as a user names them -> the media files that they mean, without opening any."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SOUND_SUFFIXES = frozenset(
    ".aac .ac3 .adts .aif .aifc .aiff .alac .amr .ape .au .caf .dts .eac3 .flac .gsm .m4a .m4b .mka .mp2 .mp3 .mpc "
    ".oga .ogg .opus .ra .snd .spx .tta .voc .w64 .wav .wave .wma .wv".split())
VIDEO_SUFFIXES = frozenset(
    ".3g2 .3gp .asf .avi .divx .dv .f4v .flv .gif .h264 .hevc .ivf .m1v .m2t .m2ts .m2v .m4v .mjpeg .mjpg .mkv .mov "
    ".mp4 .mpeg .mpg .mpv .mts .mxf .nut .ogm .ogv .qt .rm .rmvb .ts .vob .webm .wmv .wtv .y4m".split())
PICTURE_SUFFIXES = frozenset(".apng .avif .bmp .jfif .jpeg .jpg .png .tif .tiff .webp".split())
MEDIA_SUFFIXES = SOUND_SUFFIXES | VIDEO_SUFFIXES | PICTURE_SUFFIXES
"""Endings by which a folder's files are taken for media: those of FFmpeg's common containers, sounds and pictures. A
file that is named itself is read whatever it is called."""


@dataclass
class Found:
    """What was found below some paths.

    `unusable` has (path, reason) of what was named, or lies in a folder that was named, and cannot be read; `left_out`
    counts what folders hold besides, by what it is (".txt", "hidden", ...).
    """

    files: list[Path] = field(default_factory=list)
    unusable: list[tuple[Path, str]] = field(default_factory=list)
    left_out: Counter = field(default_factory=Counter)

    def left_out_line(self) -> str:
        """How many files were left out, and of which kinds; the most frequent first."""
        parts = [f"{count} {kind}" for kind, count in sorted(self.left_out.items(), key=lambda one: (-one[1], one[0]))]
        more = ["..."] if len(parts) > 8 else []
        return ", ".join(parts[:8] + more)


def search(paths: list[str | Path]) -> Found:
    """Media files below paths: a file as it is, of a folder all with a media ending, sub-folders too.

    Order: as named; inside a folder its files, then its sub-folders, each in natural order ("clip2" before "clip10").
    Hidden names are left out. Links to folders are followed, and each folder is walked once however often it is
    reached.
    """
    found, walked = Found(), set()
    for path in map(Path, paths):
        try:
            is_folder = path.is_dir()
        except OSError:  # said below
            is_folder = False
        if is_folder:
            inside = Found()
            _walk(path, inside, walked)
            if not inside.files and not inside.unusable:
                known = f"; it has {inside.left_out_line()}" if inside.left_out else ""
                inside.unusable.append((path, f"the folder has no media files, nor have its sub-folders{known}"))
            found.files += inside.files
            found.unusable += inside.unusable
            found.left_out += inside.left_out
        else:
            _add(path, found)
    return found


def find_media(paths: list[str | Path]) -> list[Path]:
    """The files of `search`, the unusable ones included: reading them says what is wrong.

    Raises:
        ValueError: a folder without media files.
    """
    found = search(paths)
    for path, reason in found.unusable:
        if path.is_dir():
            raise ValueError(f"{path}: {reason}")
    return found.files + [path for path, _ in found.unusable]


def _add(path: Path, found: Found) -> None:
    reason = why_unusable(path)
    if reason:
        found.unusable.append((path, reason))
    else:
        found.files.append(path)


def why_unusable(path: Path) -> str | None:
    """Why a file cannot be read, as far as can be told without reading it; None where nothing is wrong."""
    try:
        if not path.exists():
            return "leads nowhere: a link to a file that is not there" if path.is_symlink() else \
                "no such file; check the path"
        if path.is_dir():
            return "is a folder; give a media file" if os.access(path, os.R_OK | os.X_OK) else \
                "the folder cannot be read; check its permissions"
        if not path.is_file():
            return "is a device or a pipe; give a regular file"
        if not path.stat().st_size:
            return "the file is empty; copy it again"
    except OSError as error:
        return f"cannot be read ({error.strerror}); check its permissions"
    except ValueError:  # a null byte
        return "is no path of a file"
    return None if os.access(path, os.R_OK) else "cannot be read; check its permissions"


def _walk(folder: Path, found: Found, walked: set[tuple[int, int]]) -> None:
    try:
        place = folder.stat()
        if (place.st_dev, place.st_ino) in walked:
            found.left_out["folders met before"] += 1
            return
        walked.add((place.st_dev, place.st_ino))
        with os.scandir(folder) as entries:
            entries = sorted(entries, key=lambda entry: natural_key(entry.name))
    except OSError as error:
        found.unusable.append((folder, f"the folder cannot be read ({error.strerror}); check its permissions"))
        return
    folders = []
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            found.left_out["hidden"] += 1
        elif _is_folder(entry):
            folders.append(path)
        elif path.suffix.lower() in MEDIA_SUFFIXES:
            _add(path, found)
        else:
            found.left_out[path.suffix.lower() or "without an ending"] += 1
    for path in folders:
        _walk(path, found, walked)


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links
        return False


def natural_key(name: str) -> tuple:
    """A sorting key in which numbers inside a name count as numbers; equal names of another case stay apart."""
    parts = re.split(r"([0-9]+)", name)
    return tuple((int(part), "") if place % 2 else (0, part.casefold()) for place, part in enumerate(parts)), name
