"""`manifest.json`: SHA-256 and size of every file of a released folder, written last.

    {"format": 1, "files": {"config.json": {"sha256": "...", "size": 5845}, ...}}

What a manifest cannot be trusted for is refused before any hash is taken: files of other names, pickles where
safetensors is due, names that lead out of the folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from affectgpt.files import DONE_MARK, atomic_write_json, parse_object, safe_join
from affectgpt.model_folder import MANIFEST as NAME
from affectgpt.models.weight_files import PICKLES

FORMAT = 1


def files_of(folder: Path) -> list[str]:
    """Names of all files below a folder, with "/" between, in order; the manifest and the mark `done` are none of
    them, nor what git and the hub's client keep in folders that begin with a dot."""
    found = []
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_dir() and not path.is_symlink() or str(name) in (NAME, DONE_MARK) or name.parts[0] == ".git" \
                or name.parts[:1] == (".cache",) or str(name) == ".gitattributes":
            continue
        found.append(name.as_posix())
    return found


def write_manifest(folder: str | Path, known: dict[str, dict] | None = None) -> dict[str, dict]:
    """Hash every file of a folder and write the manifest, whole or not at all; returns what it says of each.

    Args:
        known: what an earlier call returned, of files that have not changed since: they are not read again.
    Raises:
        ValueError: a pickle among the files, or a link.
    """
    folder = Path(folder)
    names = files_of(folder)
    refuse_kinds(folder, names)
    known = known or {}
    files = {name: known.get(name) or {"sha256": sha256(folder / name), "size": (folder / name).stat().st_size}
             for name in names}
    atomic_write_json(folder / NAME, {"format": FORMAT, "files": files})
    return files


def read_manifest(folder: str | Path) -> dict[str, dict]:
    """Name -> {"sha256", "size"} as a manifest says.

    Raises:
        ValueError: there is none, it is damaged, or it names a file outside of the folder.
    """
    path = Path(folder) / NAME
    if not path.is_file():
        raise ValueError(f"{path}: there is none, so the folder was not released to its end; release it again")
    content = parse_object(path.read_text(encoding="utf-8"), str(path))
    files = content.get("files")
    if content.get("format") != FORMAT or not isinstance(files, dict):
        raise ValueError(f"{path}: has format {content.get('format')!r}, and this version reads {FORMAT}")
    for name, facts in files.items():
        safe_join(folder, name)
        if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str) \
                or not isinstance(facts.get("size"), int):
            raise ValueError(f"{path}: {name} has no sha256 and size")
    return files


def problems(folder: str | Path) -> Iterator[str]:
    """What of a folder is not as its manifest says: one phrase a file, as they are found.

    Raises:
        ValueError: as `read_manifest`; a pickle or a link among the files.
    """
    folder = Path(folder)
    files, there = read_manifest(folder), files_of(folder)
    refuse_kinds(folder, [*there, *files])
    for name in sorted(files.keys() - set(there)):
        yield f"{name} is missing"
    for name in sorted(set(there) - files.keys()):
        yield f"{name} is not in the manifest"
    for name in there:
        facts = files.get(name)
        if facts is None:
            continue
        size = (folder / name).stat().st_size
        if size != facts["size"]:
            yield f"{name} has {size:,} bytes, and {facts['size']:,} were released"
        elif sha256(folder / name) != facts["sha256"]:
            yield f"{name} was changed: its SHA-256 is another one"


def refuse_kinds(folder: Path, names: list[str]) -> None:
    """Raise ValueError for a file that may hold code where data is due, or a link."""
    for name in names:
        if Path(name).suffix.lower() in PICKLES:
            raise ValueError(f"{folder / name}: a pickle may hold code, and weights are safetensors here; it is "
                             "refused")
        if (folder / name).is_symlink():
            raise ValueError(f"{folder / name}: is a link, and a released folder holds files alone; it is refused")


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_text(size: int) -> str:
    """Bytes for people.

    >>> size_text(5845), size_text(15_230_000_000)
    ('5.8 kB', '15.2 GB')
    """
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} bytes"
