"""Processes for tests at little cost: forked from one that has imported what all of them need.

A start of Python with torch and transformers costs seconds; a fork of it has its own memory, signals and end all the
same. Launchers and the command line itself are tested by whole processes in test_scale.py and test_describe_files.py.
"""

from __future__ import annotations

import atexit
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SETTINGS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
_servers: list[subprocess.Popen] = []


class Process:
    """A forked process; what `subprocess.Popen` has of it."""

    def __init__(self, pid: int, output: Path):
        self.pid, self.output = pid, output
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            try:
                self.returncode = int(self.output.with_suffix(".code").read_text())
            except (FileNotFoundError, ValueError):
                return None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = 900) -> tuple[str, None]:
        """Its output, standard error included, when it has ended."""
        limit = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > limit:
                self.send_signal(signal.SIGKILL)
                raise subprocess.TimeoutExpired("a forked process", timeout, self.output.read_text(errors="replace"))
            time.sleep(0.02)
        return self.output.read_text(errors="replace"), None


def start(file: str | Path, *arguments: object, imports: tuple[str, ...] = (), **environment: str) -> Process:
    """Run a Python file as `python FILE ARGUMENTS` would, after `imports` in the process that it is forked from."""
    if not _servers or _servers[0].poll() is not None:
        _servers[:] = [subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env={**os.environ, **SETTINGS})]
        atexit.register(_end, _servers[0])
    output = Path(tempfile.mkstemp(suffix=".out")[1])
    request = {"file": str(file), "arguments": [str(argument) for argument in arguments], "imports": list(imports),
               "environment": environment, "output": str(output), "folder": os.getcwd()}
    _servers[0].stdin.write(json.dumps(request) + "\n")
    _servers[0].stdin.flush()
    answer = _servers[0].stdout.readline()
    assert answer, "the process that forks has ended; its message is above"
    return Process(int(answer), output)


def _end(server: subprocess.Popen) -> None:
    server.stdin.close()
    server.wait()


def run_ranks(file: str | Path, *arguments: object, ranks: int = 2, imports: tuple[str, ...] = (),
              timeout: float = 900, **environment: str) -> list[Process]:
    """So many ranks of one run, as torchrun places them; returns when all have ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks), **environment}
    made = [start(file, *arguments, imports=imports, RANK=str(rank), LOCAL_RANK=str(rank), **place)
            for rank in range(ranks)]
    try:
        for process in made:
            process.communicate(timeout)
    finally:
        for process in made:
            process.send_signal(signal.SIGKILL)
    return made


def _child(request: dict) -> int:
    """Exit code of the file, run in this process."""
    sink = os.open(request["output"], os.O_WRONLY | os.O_TRUNC)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    sys.argv = [request["file"], *request["arguments"]]
    sys.path[0] = str(Path(request["file"]).parent)
    code = 0
    try:
        runpy.run_path(request["file"], run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        code = 1
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return code


def _reap() -> None:
    """Forget the keepers that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _serve() -> None:
    """Fork a child for each line of stdin, and tell its process id; its exit code goes beside its output."""
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import prints is no reply
    for line in sys.stdin:
        request = json.loads(line)
        for name in request["imports"]:
            __import__(name)
        told, tell = os.pipe()
        if not os.fork():  # a keeper for each: it waits, while this process takes the next request
            child = os.fork()
            if not child:
                os._exit(_child(request))
            os.write(tell, str(child).encode())
            os.close(tell)
            _, status = os.waitpid(child, 0)
            code = Path(request["output"]).with_suffix(".code")
            code.with_suffix(".tmp").write_text(str(os.waitstatus_to_exitcode(status)))
            os.replace(code.with_suffix(".tmp"), code)
            os._exit(0)
        os.close(tell)
        print(os.read(told, 20).decode(), file=replies, flush=True)
        os.close(told)
        _reap()
    _reap()


if __name__ == "__main__":
    _serve()
    os._exit(0)  # what the libraries do at the end of a process is the children's matter
