"""What several processes have answered so far: part files that survive a kill, and their merging into one file.

    OUTPUT.parts/
        settings.json                    what was asked, of which model: other settings are refused
        OUTPUT.part-0-of-2.jsonl         answers of one process, a line each, in the order they came
        OUTPUT.skipped-0-of-2.jsonl      clips that it could not read, with the files as they were
        process-0-of-2-TIME.json         what it did and how fast

Any number of processes, also another one after a restart, share the folder without talking to each other.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip
from affectgpt.files import atomic_write_json, create_json, remove_folder, write_jsonl
from affectgpt.own_files import remove_rows

Key = tuple[str, str, str, tuple[str, ...]]
"""Checkpoint, clip key, kind of question, streams: what tells one answer from another."""

SKIP_KEYS = ("name", "corpus", "file", "row", "error", "refused")
"""Keys of a row of OUTPUT.skipped.jsonl."""


def key_of(row: dict[str, Any]) -> Key:
    """The key of an answer row."""
    return str(row["checkpoint"]), f"{row['corpus']}/{row['name']}", row["question"], tuple(row["streams"])


def beside(output: Path, ending: str) -> Path:
    """OUTPUT with a further ending."""
    return output.with_name(f"{output.name}.{ending}")


def check_settings(where: Path, stored: dict, wanted: dict) -> None:
    """Refuse to mix answers of different settings.

    Raises:
        ValueError: names the first setting that differs, and both values.
    """
    for name in {**wanted, **stored}:
        there, asked = stored.get(name), wanted.get(name)
        if there != asked:
            raise ValueError(f"{where} was made with {name}={json.dumps(there, ensure_ascii=False)}, and "
                             f"{name}={json.dumps(asked, ensure_ascii=False)} is asked for: name another --output, or "
                             "start anew with --overwrite")


class Parts:
    """The part files of one output, as one process sees and extends them.

    Args:
        output: the file that they will be merged into.
        settings: plain JSON values that the answers depend on.
        rank, world_size: the place of this process among those that work on `output`.
    Raises:
        ValueError: other settings, or another process that has this place.
    """

    def __init__(self, output: Path, settings: dict[str, Any], rank: int = 0, world_size: int = 1):
        self.output, self.folder = output, beside(output, "parts")
        place = f"{rank}-of-{world_size}"
        self.own = self.folder / f"{output.name}.part-{place}.jsonl"
        self._own_skips = self.folder / f"{output.name}.skipped-{place}.jsonl"
        self._process = self.folder / f"process-{place}-{time.time_ns()}.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        settings = json.loads(json.dumps(settings))  # tuples become the lists that a file gives back
        create_json(self.folder / "settings.json", settings)
        stored = json.loads((self.folder / "settings.json").read_text(encoding="utf-8"))
        check_settings(self.folder, stored, settings)
        self._lock = self._lock_own()
        self.torn = int(_cut_torn_line(self.own)) + int(_cut_torn_line(self._own_skips))
        self.repeated = 0

    def _lock_own(self):
        """The part file of this process, locked for as long as it lives; freed by a kill too."""
        file = open(self.own, "ab")
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise ValueError(f"{self.own}: another process is writing it; wait for it, or give each process its own "
                             "RANK and the same WORLD_SIZE") from error
        except (ImportError, OSError):
            pass  # no locks here: two processes of one place would only answer twice
        return file

    def close(self) -> None:
        """Let go of the part file."""
        self._lock.close()

    # ------------------------------------------------------------------ writing

    def append(self, rows: list[dict[str, Any]], facts: dict[str, Any]) -> None:
        """Add answers; they are on the disk when this returns. `facts` say what this process did, them included."""
        atomic_write_json(self._process, facts)
        _append(self.own, rows)

    def skip(self, clip: Clip, reason: str, refused: bool = False) -> None:
        """Record a clip that cannot be answered; a refused one stays so, an unreadable one while its files do."""
        from affectgpt.features.key import media_facts

        _append(self._own_skips, [{
            "name": clip.id, "corpus": clip.corpus, "file": str(clip.media or clip.audio or ""), "row": clip.provenance,
            "error": reason, "refused": refused, "files": media_facts(clip)}])

    # ------------------------------------------------------------------ reading

    def answered(self) -> dict[Key, tuple[Path, int, int]]:
        """Key -> (file, first byte, bytes) of every whole row of all parts; the first of two counts."""
        found: dict[Key, tuple[Path, int, int]] = {}
        self.repeated = 0
        for path in sorted(self.folder.glob(f"{_literal(self.output.name)}.part-*.jsonl")):
            for start, line in _whole_lines(path):
                key = key_of(_parsed(line, path, start))
                self.repeated += key in found
                found.setdefault(key, (path, start, len(line)))
        return found

    def skipped(self, clips: Iterable[Clip], with_refused: bool) -> dict[str, dict[str, Any]]:
        """Clip key -> record, of the clips that could not be read and whose files are what they were then."""
        from affectgpt.features.key import changed_file

        known, found = {clip.key: clip for clip in clips}, {}
        for path in sorted(self.folder.glob(f"{_literal(self.output.name)}.skipped-*.jsonl")):
            for start, line in _whole_lines(path):
                record = _parsed(line, path, start)
                key = f"{record['corpus']}/{record['name']}"
                if key in known and (with_refused if record["refused"]
                                     else changed_file(known[key], record["files"])[0] is None):
                    found[key] = record
        return found

    def processes(self) -> list[dict[str, Any]]:
        """The facts of every process that took part, in the order they started."""
        files = sorted(self.folder.glob("process-*.json"), key=lambda path: int(path.stem.rsplit("-", 1)[1]))
        return [json.loads(path.read_text(encoding="utf-8")) for path in files]

    # ------------------------------------------------------------------ the end

    def merge(self, keys: Iterable[Key], found: dict[Key, tuple[Path, int, int]], skipped: list[dict],
              unanswered: dict[Key, dict[str, Any]], facts: dict[str, Any]) -> int:
        """Write OUTPUT, OUTPUT.facts.json and OUTPUT.skipped.jsonl, then remove the parts; returns the rows.

        Args:
            keys: what OUTPUT holds, in its order.
            unanswered: rows of keys that nobody answered.
        """
        atomic_write_json(beside(self.output, "facts.json"), facts)
        list_of_skips = beside(self.output, "skipped.jsonl")
        if skipped:
            write_jsonl(list_of_skips, [{name: value for name, value in record.items() if name != "files"}
                                        for record in skipped])
        else:
            remove_rows(list_of_skips, SKIP_KEYS, "--output")
        temporary = self.output.with_name(f".{self.output.name}.{os.getpid()}.{secrets.token_hex(4)}.tmp")
        count = 0
        try:
            with ExitStack() as stack, open(temporary, "xb") as merged:
                files = {path: stack.enter_context(open(path, "rb")) for path in {place[0] for place in found.values()}}
                for key in keys:
                    if key in found:
                        path, start, length = found[key]
                        files[path].seek(start)
                        merged.write(files[path].read(length).rstrip(b"\n") + b"\n")
                    else:
                        merged.write(json.dumps(unanswered[key], allow_nan=False).encode() + b"\n")
                    count += 1
                merged.flush()
                os.fsync(merged.fileno())
            os.replace(temporary, self.output)
        finally:
            temporary.unlink(missing_ok=True)
        self.remove()
        return count

    def remove(self) -> None:
        """Remove the folder of parts; another process may be doing the same."""
        self.close()
        remove_parts(self.output)


def remove_parts(output: Path) -> None:
    """Remove the parts of an output, if there are any.

    Raises:
        ValueError: a folder of that name that holds something else.
    """
    folder = beside(output, "parts")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "settings.json").is_file():
        raise ValueError(f"{folder}: does not hold parts of answers, so it is left as it is; name another --output")
    try:
        remove_folder(beside(output, "parts"))
    except FileNotFoundError:
        pass
    for leftover in output.parent.glob(f".{_literal(output.name)}.parts.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)


def _append(path: Path, rows: list[dict[str, Any]]) -> None:
    write_jsonl(path, rows, append=True)
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _cut_torn_line(path: Path) -> bool:
    """Cut off a last line that a kill left unfinished; True where there was one."""
    if not path.is_file():
        return False
    size = path.stat().st_size
    write_jsonl(path, [], append=True)
    return path.stat().st_size < size


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """(first byte, line) of each line but a torn last one, which its own process may still be writing."""
    start = 0
    with open(path, "rb") as file:
        for line in file:
            if line.endswith(b"\n") or _is_json(line):
                yield start, line
            start += len(line)


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _parsed(line: bytes, path: Path, start: int) -> dict[str, Any]:
    try:
        return json.loads(line)
    except ValueError as error:
        raise ValueError(f"{path}: the line that starts at byte {start} is not JSON ({error}); the file was changed: "
                         "start anew with --overwrite") from error


def _literal(name: str) -> str:
    """A file name as a glob pattern for itself."""
    import glob

    return glob.escape(name)
