"""Where a server of a model folder on this machine is to be found: a record in the user's cache, for `describe`."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import affectgpt
from affectgpt.hub import cache_root


def identity_of(folder: str | Path) -> str:
    """Hash of what answers follow from: the files of a model folder and of the code by names, sizes and times, and the
    Python environment. Another one where the model was trained again or the code has changed."""
    folder, code = Path(folder).resolve(), Path(affectgpt.__file__).resolve().parent
    facts = [str(folder), _files(folder, "*"), str(code), _files(code, "*.py"), sys.prefix, sys.version]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _files(folder: Path, pattern: str) -> list[tuple[str, int, int]]:
    found = ((path, path.stat()) for path in sorted(folder.rglob(pattern)) if path.is_file())
    return [(path.relative_to(folder).as_posix(), facts.st_size, facts.st_mtime_ns) for path, facts in found]


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
