"""Sets up .venv beside this file, then runs the main job or the tests. Needs nothing but Python.

    python3.11 bootstrap.py                     set up, then run the main job (affectgpt starter)
    python3.11 bootstrap.py run -- ARGUMENTS    the same, with arguments for `affectgpt starter`
    python3.11 bootstrap.py test [ARGUMENTS]    set up, then run pytest with these arguments
    python3.11 bootstrap.py setup               set up only
    python3.11 bootstrap.py rivals              set up, with what other people's video models need (docs/rivals.md)

Each step of the set-up is stamped in .venv when it is complete, with the hash of what it was made
from: a second run skips it, and a run after an interruption goes on at the step that was cut off.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
VENV_PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMPS = VENV / "affectgpt-setup.json"
REQUIREMENTS = ROOT / "requirements"
SUPPORTED = ((3, 11), (3, 12))
MOST_TEST_PROCESSES = 4  # each takes up to 2 GiB
# Quiet twice: errors are printed, warnings about the machine's pip settings are not.
# Modules are compiled when they are first imported: of 15,000 files, 4,000 ever are.
PIP_INSTALL = ["install", "-q", "-q", "--progress-bar=off", "--no-compile",
               "--constraint", str(REQUIREMENTS / "torch.txt")]

# Name, files whose change repeats the step, pip arguments. Torch is first: nothing else may choose its build.
TORCH = ("torch", ["torch.txt"], ["--requirement", str(REQUIREMENTS / "torch.txt")])
BASE = ("libraries", ["torch.txt", "base.txt"], ["--requirement", str(REQUIREMENTS / "base.txt")])
STARTER = ("starter models", ["starter.txt"],
           ["--no-deps", "--requirement", str(REQUIREMENTS / "starter.txt")])
TESTS = ("test tools", ["torch.txt", "base.txt", "test.txt"],
         ["--requirement", str(REQUIREMENTS / "test.txt")])
RIVALS = ("processors of other video models", ["torch.txt", "base.txt", "rivals.txt"],
          ["--requirement", str(REQUIREMENTS / "rivals.txt")])
PROJECT = ("affectgpt itself", ["../pyproject.toml", "../setup.py"],
           ["--no-deps", "--no-build-isolation", "--editable", str(ROOT)])


def main(arguments: list[str]) -> int:
    """Set up, then do what `arguments` ask for. Returns the exit code of what ran."""
    if sys.version_info[:2] not in SUPPORTED:
        version = sys.version.split()[0]
        return fail(f"Python {version} is not supported; run this file with Python 3.11 or 3.12")
    if arguments[:1] in (["-h"], ["--help"]):
        print(__doc__)
        return 0
    arguments = list(arguments)
    command = arguments.pop(0) if arguments and not arguments[0].startswith("-") else "run"
    if arguments[:1] == ["--"]:
        arguments.pop(0)
    if command not in ("run", "test", "setup", "rivals"):
        return fail(f"unknown command {command!r}; it is run, test, setup or rivals (see --help)")
    if command in ("setup", "rivals") and arguments:
        return fail(f"{command} takes no arguments, got {' '.join(arguments)}")

    more = {"test": [TESTS], "rivals": [RIVALS]}.get(command, [])
    try:
        set_up([TORCH, BASE, STARTER, *more, PROJECT])
        if command == "rivals":
            check_rivals()
            print("set up. Next: .venv/bin/affectgpt generate hf:FOLDER --corpus MANIFEST", flush=True)
            return 0
        if command == "setup":
            print("set up. Next: python3.11 bootstrap.py", flush=True)
            return 0
        return run_command(command, arguments)
    except subprocess.CalledProcessError as error:
        command_line = " ".join(map(str, error.cmd))
        return fail(f"`{command_line}` failed with exit code {error.returncode}; its message is above. Run "
                    "this again to go on from here; if that does not help, remove .venv first", code=1)
    except OSError as error:
        return fail(f"{error.filename or VENV}: {error.strerror or error}", code=1)
    except KeyboardInterrupt:
        return fail("interrupted; run the same command again to go on", code=130)


def set_up(steps: list[tuple[str, list[str], list[str]]]) -> None:
    """Make or re-use .venv and run the steps whose stamp does not match."""
    make_environment()
    stamps = read_stamps()
    todo = [step for step in steps if stamps.get(step[0]) != digest(step)]
    for number, step in enumerate(todo, start=1):
        name, _, pip_arguments = step
        print(f"set-up {number}/{len(todo)}: installing {name} ...", flush=True)
        start = time.monotonic()
        pip(*PIP_INSTALL, *pip_arguments)
        stamps[name] = digest(step)
        write_stamps(stamps)
        print(f"set-up {number}/{len(todo)}: {name} done in {time.monotonic() - start:.0f} s", flush=True)


def check_rivals() -> None:
    """Import what was installed beside torch; a pair that does not fit ends the set-up here, not in a job."""
    code = ("import affectgpt, torchvision.transforms.v2 as v2, torch; "
            "v2.functional.resize(torch.zeros(1, 3, 4, 4), [2, 2])")
    subprocess.run([VENV_PYTHON, "-c", code], check=True, env=environment(), cwd=ROOT)


def make_environment() -> None:
    """Create .venv, or create it anew where it is broken or of another Python version."""
    probe = "import sys, pip; print(*sys.version_info[:2])"
    if VENV_PYTHON.exists():
        found = subprocess.run([VENV_PYTHON, "-c", probe], capture_output=True, text=True, env=environment())
        if found.returncode == 0 and found.stdout.split() == [str(part) for part in sys.version_info[:2]]:
            return
        print("set-up: .venv is incomplete or of another Python version; making it anew", flush=True)
    print("set-up: making .venv ...", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", VENV], check=True)


def digest(step: tuple[str, list[str], list[str]]) -> str:
    """Hash of everything that a step's result depends on, this folder's place included."""
    hashed = hashlib.sha256(repr((sys.version_info[:2], str(ROOT), step[2])).encode())
    for name in step[1]:
        hashed.update((REQUIREMENTS / name).read_bytes())
    return hashed.hexdigest()


def read_stamps() -> dict[str, str]:
    """Step name -> digest of the finished steps; empty where there is no readable stamp file."""
    try:
        stamps = json.loads(STAMPS.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def write_stamps(stamps: dict[str, str]) -> None:
    temporary = STAMPS.with_suffix(".tmp")
    temporary.write_text(json.dumps(stamps, indent=2), encoding="utf-8")
    os.replace(temporary, STAMPS)


def pip(*arguments: str) -> None:
    subprocess.run([VENV_PYTHON, "-m", "pip", *arguments], check=True, env=environment(), cwd=ROOT)


def run_command(command: str, arguments: list[str]) -> int:
    """Run the main job or the tests in .venv; returns the exit code."""
    if command == "test":
        # A process a core, each with one thread; a later -n in the arguments counts. The order is that of conftest.py.
        spread = ["-n", str(min(MOST_TEST_PROCESSES, os.cpu_count() or 1)), "--dist", "loadfile",
                  "--no-loadscope-reorder"]
        call = [VENV_PYTHON, "-m", "pytest", *spread, *arguments]
        settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    else:
        call = [VENV_PYTHON, "-m", "affectgpt.cli", "starter", *arguments]
        settings = {"TOKENIZERS_PARALLELISM": "false"}
    return subprocess.run(call, env=environment(settings), cwd=ROOT).returncode


def environment(settings: dict[str, str] | None = None) -> dict[str, str]:
    """This process's environment with defaults for what is not set, and without foreign Python paths."""
    # Spinning OpenMP threads make training ten times slower on a machine that does anything else.
    variables = {"OMP_WAIT_POLICY": "PASSIVE", **(settings or {}), **os.environ, "PYTHONNOUSERSITE": "1"}
    for name in ("PYTHONPATH", "PYTHONHOME", "__PYVENV_LAUNCHER__"):
        variables.pop(name, None)
    return variables


def fail(message: str, code: int = 2) -> int:
    print(f"error: {message}", file=sys.stderr, flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
