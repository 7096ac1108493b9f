"""Files that are whole or not there: atomic writes, finished folders, safe paths, JSON lines.

Everything is written under a temporary name beside its target and then renamed, so that a reader never
sees half a file and an interrupted job leaves nothing behind. Pure standard library.
"""

from __future__ import annotations

import errno
import io
import json
import os
import platform
import re
import secrets
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from affectgpt.devices import is_stream, open_stream

DONE_MARK = "done"
"""Name of the empty file that makes a folder a finished one; without it the folder is never read."""

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""Numbers of errors that tell of a disk and not of a file."""
LOCK_NAME = ".lock"
"""Name of the file that the one process which writes a folder holds locked."""


def _temporary_sibling(path: Path) -> Path:
    """An unused hidden name beside `path`, on the same file system so that a rename is atomic."""
    return path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")


@contextmanager
def _whole_file(path: str | os.PathLike[str]) -> Iterator[TextIO]:
    """A text file that appears under its name when the body ends well, and not at all otherwise.

    The folder is made where it is missing. A symbolic link stays a link: the file that it points to is replaced. A
    device or a pipe is never replaced: it is written to when the body has ended well.
    """
    if is_stream(path):
        text = io.StringIO(newline="")
        yield text
        with open_stream(path) as stream, io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", newline="") as writer:
            writer.write(text.getvalue())
        return
    target = Path(os.path.realpath(path))
    if target.is_dir():
        raise ValueError(f"{path}: is a folder, and a file is to be written there; name a file")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary_sibling(target)
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def atomic_write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` as UTF-8 with its line ends as they are; the folder is made where it is missing.

    A symbolic link stays a link: the file that it points to is replaced.
    """
    with _whole_file(path) as file:
        file.write(text)


def atomic_write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write `data` as it is, with the rules of `atomic_write_text`."""
    if is_stream(path):
        with open_stream(path) as stream, io.BufferedWriter(stream) as writer:
            writer.write(data)
        return
    with _whole_file(path) as file:
        file.buffer.write(data)


def atomic_write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 2) -> None:
    """Write `value` as JSON. Raises ValueError for NaN and infinity, which are not JSON."""
    atomic_write_text(path, _to_json(value, str(path), indent) + "\n")


def create_json(path: str | os.PathLike[str], value: Any) -> None:
    """Write `value` as JSON unless the file is there: of several processes at once, the first one's stays."""
    target = Path(path)
    if target.is_file():
        return
    private = _temporary_sibling(target)
    atomic_write_json(private, value)
    try:
        os.link(private, target)  # unlike a rename it never replaces what another process wrote meanwhile
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        if not target.is_file():
            os.replace(private, target)
    finally:
        private.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Give an empty temporary folder to fill; at the end mark it done and rename it to `path`.

    Where the body raises, the temporary folder is removed and `path` is as it was. With `overwrite`
    an earlier folder is replaced, and only after the new one is complete.
    Raises ValueError where `path` exists and `overwrite` is false, or it is not a finished folder of ours.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not overwrite:
        raise ValueError(f"{path}: exists already; remove it or choose another name")
    check_own_folder(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary, previous = _temporary_sibling(target), _temporary_sibling(target)
    temporary.mkdir()
    try:
        yield temporary
        (temporary / DONE_MARK).touch()
        if target.exists():
            os.replace(target, previous)
        try:
            os.replace(temporary, target)
        except BaseException:
            if previous.exists():
                os.replace(previous, target)
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if previous.exists():
        shutil.rmtree(previous)


def check_own_folder(path: str | os.PathLike[str]) -> None:
    """Raise ValueError where `path` cannot become a folder of ours: a file, or a folder with files and no mark."""
    target = Path(path)
    if target.exists() and not target.is_dir():
        raise ValueError(f"{path}: is a file, and a folder is to be written there; choose another name")
    if target.is_dir() and not is_done(target) and any(target.iterdir()):
        raise ValueError(f"{path}: has no '{DONE_MARK}' mark, so it is not one that affectgpt wrote and is left as it "
                         "is; move it away or choose another name")


def full(path: str | os.PathLike[str], error: OSError) -> str:
    """What is told of one of the errors of `FULL`, by a job that goes on where it was."""
    return f"{path}: {error.strerror}; make room and start again: what was found out is kept"


def share_file(path: str | os.PathLike[str]) -> None:
    """Give a file the rights that a new file has here; safetensors writes files that only their owner may read."""
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(path, 0o666 & ~mask)


def remove_folder(path: str | os.PathLike[str]) -> None:
    """Remove a finished folder: it first loses its name, so that nobody ever reads half of it."""
    target = Path(path)
    temporary = _temporary_sibling(target)
    os.replace(target, temporary)
    shutil.rmtree(temporary)


@contextmanager
def only_writer(folder: str | os.PathLike[str], does: str = "writes into") -> Iterator[None]:
    """Hold `folder/.lock` as long as the body runs, so that no second process writes there; the folder is made.

    The system frees the lock of a process that ends in whatever way, so none is ever left behind. A file system
    without locks is told on stderr and nothing is held.
    Args:
        does: what the holder does, for the message.
    Raises:
        ValueError: another process holds it.
    """
    path = Path(folder) / LOCK_NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+", encoding="utf-8") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            raise ValueError(f"{folder}: another process {does} this folder ({file.read(200).strip() or 'unknown'}): "
                             "wait for its end, stop it, or choose another folder") from error
        except (ImportError, OSError) as error:
            print(f"warning: {folder}: cannot be locked here ({error}): make sure that no other process {does} it",
                  file=sys.stderr)
        else:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
        yield


def is_done(folder: str | os.PathLike[str]) -> bool:
    """True where `folder` is a finished folder."""
    return (Path(folder) / DONE_MARK).is_file()


def require_done(folder: str | os.PathLike[str]) -> Path:
    """`folder` as a Path. Raises ValueError where it is missing, no folder, or not finished."""
    path = Path(folder)
    if not path.exists():
        raise ValueError(f"{path}: no such folder")
    if not path.is_dir():
        raise ValueError(f"{path}: is a file, and a folder was expected")
    if not is_done(path):
        raise ValueError(f"{path}: has no '{DONE_MARK}' mark, so it was not written to its end; "
                         "remove it and run the job that writes it again")
    return path


def safe_join(root: str | os.PathLike[str], relative: str, follow: bool = False) -> Path:
    """The resolved path of `relative` inside `root`; the file itself need not exist.

    follow: a symbolic link that lies directly in `root` may lead out of it, as where a folder of clips is a link to a
        data disk: it was made by whoever set the folder up, and whoever wrote `relative` chooses only what is below
        its target. It must belong to this user or to root, `relative` may have no "..", and no link further down may
        leave the target.
    Raises ValueError where `relative` is empty, absolute, or leaves `root`, also through any other symbolic link.
    """
    if not relative.strip() or "\0" in relative:
        raise ValueError(f"{relative!r}: not a path inside {root}")
    if Path(relative).is_absolute():
        raise ValueError(f"{relative}: is absolute; give it relative to {root}")
    try:
        resolved_root = Path(root).resolve()
        if follow and ".." not in (parts := Path(relative).parts) and parts and _own_link(resolved_root / parts[0]):
            resolved_root, relative = (resolved_root / parts[0]).resolve(), str(Path(*parts[1:]))
        resolved = (resolved_root / relative).resolve()
    except RuntimeError as error:  # Python 3.11 and 3.12 say so about a loop of symbolic links
        raise ValueError(f"{relative}: is a loop of symbolic links in {root}") from error
    if not resolved.is_relative_to(resolved_root):
        raise ValueError(f"{relative}: leaves its root {root}; only files inside the root are read")
    return resolved


def _own_link(path: Path) -> bool:
    """Whether a path is a symbolic link that this user, or root, has made."""
    return path.is_symlink() and path.lstat().st_uid in (0, os.getuid())


def read_jsonl(path: str | os.PathLike[str], torn_tail: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, object) of each line; empty lines are counted and left out.

    torn_tail: leave out a last line that has no line end and is no whole row, as an interrupted job leaves it.
    Raises ValueError naming file and row for what is not UTF-8, not JSON, not an object, or has a key twice.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: is a folder, and a JSONL file was expected" if Path(path).is_dir()
                         else f"{path}: no such file")
    with open(path, "rb") as file:
        for row, line in enumerate(file, start=1):
            where = f"{path}:{row}"
            try:
                text = line.decode("utf-8-sig" if row == 1 else "utf-8")
                value = parse_object(text, where) if text.strip() else None
            except ValueError as error:
                if torn_tail and not line.endswith(b"\n"):
                    return
                if isinstance(error, UnicodeDecodeError):
                    raise ValueError(f"{where}: is not UTF-8 text; save the file as UTF-8") from error
                raise
            if value is not None:
                yield row, value


def unique_json(text: str, where: str, remedy: str) -> Any:
    """The value of a JSON text. Raises ValueError for what is not JSON, NaN and infinity, and a key twice."""
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in pairs]
        for key in keys:
            if keys.count(key) > 1:
                raise ValueError(f"{where}: key {key!r} is there twice; keep one")
        return dict(pairs)

    def refuse(constant: str) -> None:
        raise ValueError(f"{where}: {constant} is not JSON; use a number or null")

    try:
        return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except json.JSONDecodeError as error:
        row = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise ValueError(f"{where}: is not JSON ({error.msg} at {row}column {error.colno}); {remedy}") from error
    except RecursionError as error:
        raise ValueError(f"{where}: is nested too deeply") from error


def parse_object(text: str, where: str) -> dict[str, Any]:
    """A JSON object. Raises ValueError as `unique_json`, and for any other value."""
    value = unique_json(text, where, "each row must be one complete JSON object")
    if not isinstance(value, dict):
        raise ValueError(f"{where}: is {type(value).__name__}, and each row must be a JSON object")
    return value


def write_jsonl(path: str | os.PathLike[str], rows: Iterable[dict[str, Any]], append: bool = False) -> int:
    """Write one JSON object a line and return how many were written.

    Without `append` the file appears whole, or not at all; rows are written as they come, so memory does not grow.
    With `append` each row goes out at once, as one write of a complete line, so that an interrupted job keeps its
    finished rows; a last line that an earlier interruption cut off is removed first, because no reader could use it.
    """
    if not append:
        count = 0
        with _whole_file(path) as whole:
            for count, row in enumerate(rows, start=1):
                whole.write(_to_json(row, f"{path}:{count}") + "\n")
        return count
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    count, stream = 0, is_stream(path)
    with open_stream(path) if stream else open(path, "ab+", buffering=0) as file:
        if not stream:
            _drop_torn_line(file)
        for row in rows:
            line = (_to_json(row, f"{path}: appended row {count + 1}") + "\n").encode()
            if file.write(line) != len(line) and not stream:  # what is left would be read as the next row's start
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
            count += 1
    return count


def _drop_torn_line(file: Any) -> None:
    """Cut a file open in binary mode after its last line end, unless its last line is complete JSON."""
    size = file.seek(0, os.SEEK_END)
    tail, start = b"", size
    while start and b"\n" not in tail:
        step = min(start, 65536)
        start -= step
        file.seek(start)
        tail = file.read(step) + tail
    torn = tail[tail.rfind(b"\n") + 1:]
    if not torn:
        return
    try:
        json.loads(torn)
        file.write(b"\n")
    except ValueError:
        file.truncate(size - len(torn))


def _to_json(value: Any, where: str, indent: int | None = None) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
        if not text.isascii() and re.search("[\ud800-\udfff]", text):  # half a character, which UTF-8 does not have
            text = json.dumps(value, ensure_ascii=True, allow_nan=False, indent=indent)
        return text
    except ValueError as error:
        raise ValueError(f"{where}: cannot be written as JSON ({error})") from error
