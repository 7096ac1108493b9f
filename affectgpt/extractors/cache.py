"""Answers of LLMs by the hash of all that made them, in one SQLite file; a job that was stopped goes on from it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from affectgpt.hub import cache_root

_MOST_VARIABLES = 500  # of one statement; SQLite builds allow 999 or more


def default_folder() -> Path:
    """Where answers are kept unless another folder is named."""
    return cache_root() / "label-answers"


def answer_key(model: str, prompt: str, settings: dict, text: str) -> str:
    """SHA-256 of the model's identity, the prompt's version, the settings of generation, and the text asked about."""
    parts = json.dumps([model, prompt, settings, text], sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(parts.encode()).hexdigest()


class AnswerCache:
    """Key -> answer; every `add` is on disk when it returns, and several processes may share the file.

    Args:
        folder: made where it is missing; holds answers.sqlite.
    Raises:
        ValueError: the folder cannot be written to, or the file is not such a cache.
    """

    def __init__(self, folder: str | Path):
        self.path = Path(folder) / "answers.sqlite"
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=60.0)
            with self._database:
                self._database.execute("CREATE TABLE IF NOT EXISTS answers "
                                       "(key TEXT PRIMARY KEY, answer TEXT NOT NULL) WITHOUT ROWID")
                self._database.execute("SELECT key, answer FROM answers LIMIT 1")
        except (OSError, sqlite3.Error) as error:
            raise ValueError(f"{self.path}: cannot be used as a cache of answers ({error}); remove it, or name another "
                             "folder with --cache") from error

    def get(self, keys: Iterable[str]) -> dict[str, str]:
        """Key -> answer for those of `keys` that are known."""
        wanted = list(dict.fromkeys(keys))
        found: dict[str, str] = {}
        for start in range(0, len(wanted), _MOST_VARIABLES):
            part = wanted[start : start + _MOST_VARIABLES]
            marks = ",".join("?" * len(part))
            found.update(self._run(f"SELECT key, answer FROM answers WHERE key IN ({marks})", part))
        return found

    def add(self, answers: dict[str, str]) -> None:
        """Keep answers; a key that is known already keeps its first answer."""
        try:
            with self._database:  # one transaction: all of them or none
                # A lone half of a surrogate pair cannot be stored as UTF-8; a model may still write one.
                self._database.executemany("INSERT OR IGNORE INTO answers VALUES (?, ?)",
                                           [(key, text.encode("utf-8", "replace").decode()) for key, text in
                                            answers.items()])
        except sqlite3.Error as error:
            raise ValueError(f"{self.path}: cannot be written ({error}); is its disk full?") from error

    def _run(self, statement: str, values: list[str]) -> list[tuple[str, str]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise ValueError(f"{self.path}: cannot be read ({error}); remove it, or name another folder with "
                             "--cache") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()
