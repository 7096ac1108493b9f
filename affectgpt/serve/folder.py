"""The temporary folder of one server: no clip of anybody stays on the disk, also where a server was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

PREFIX, LOCK = "affectgpt-serve-", ".lock"
YOUNG_SECONDS = 60.0
"""A folder that is younger may be that of a server which does not hold its lock yet."""


class ServerFolder:
    """A folder that only this user reads, for as long as the server runs; those of killed servers are removed."""

    def __init__(self):
        _remove_left()
        self.path = Path(tempfile.mkdtemp(prefix=PREFIX))
        self._lock = open(self.path / LOCK, "w")
        _hold(self._lock)

    def new(self) -> Path:
        """An empty folder for one request."""
        return Path(tempfile.mkdtemp(dir=self.path))

    def close(self) -> None:
        """Remove it with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _hold(file) -> bool:
    """Whether this process holds the lock now; True where the system has no locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        pass
    return True


def _remove_left() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            facts = folder.lstat()
            ours = folder.is_dir() and not folder.is_symlink() and facts.st_uid == os.getuid()
            if not ours or time.time() - facts.st_mtime < YOUNG_SECONDS:
                continue
            with open(folder / LOCK) as lock:  # without one it is no folder of ours
                if _hold(lock):
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:  # another server removes it at this moment
            continue
