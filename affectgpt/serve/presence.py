"""Where a server of a model folder on this machine is to be found: a record in the user's cache, for `describe`."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from affectgpt.hub import cache_root


def identity_of(folder: str | Path) -> str:
    """Hash of the names, sizes and times of a model folder's files: another one where it was trained again."""
    folder = Path(folder).resolve()
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    facts = [(path.relative_to(folder).as_posix(), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(json.dumps([str(folder), facts]).encode()).hexdigest()


def record_path(folder: str | Path) -> Path:
    """Where the record of this model folder's server lies."""
    return cache_root() / "serve" / f"{hashlib.sha256(str(Path(folder).resolve()).encode()).hexdigest()[:32]}.json"


def write_record(folder: str | Path, values: dict[str, Any]) -> Path:
    """Write it, readable by this user alone, for it holds the server's secret.

    Raises:
        OSError: the cache cannot be written.
    """
    path = record_path(folder)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with suppress(FileNotFoundError):
        temporary.unlink()
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(values, file)
    os.replace(temporary, path)
    return path


def read_record(folder: str | Path) -> dict[str, Any] | None:
    """The record; None where there is none that can be read."""
    try:
        values = json.loads(record_path(folder).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    known = isinstance(values, dict) and isinstance(values.get("port"), int) and isinstance(values.get("secret"), str)
    return values if known else None


def remove_record(folder: str | Path, secret: str) -> None:
    """Remove it where it is still that of the server with this secret."""
    values = read_record(folder)
    if values and values["secret"] == secret:
        with suppress(OSError):
            record_path(folder).unlink()
