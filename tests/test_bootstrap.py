"""The set-up script: what it installs, what it skips, and how it ends. Nothing is installed here."""

from __future__ import annotations

import importlib.util
import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def bootstrap(tmp_path, monkeypatch):
    """bootstrap.py on an empty environment folder, with its calls of pip in `bootstrap.installed`."""
    spec = importlib.util.spec_from_file_location("bootstrap_under_test", ROOT / "bootstrap.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.installed = []
    (tmp_path / "requirements").mkdir()
    for path in (ROOT / "requirements").iterdir():
        (tmp_path / "requirements" / path.name).write_bytes(path.read_bytes())
    for name in ("pyproject.toml", "setup.py"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    monkeypatch.setattr(module, "REQUIREMENTS", tmp_path / "requirements")
    monkeypatch.setattr(module, "STAMPS", tmp_path / "stamps.json")
    monkeypatch.setattr(module, "make_environment", lambda: None)
    monkeypatch.setattr(module, "pip", lambda *arguments: module.installed.append(Path(arguments[-1]).name))
    return module


def test_torch_comes_first_and_finished_steps_are_skipped(bootstrap):
    assert bootstrap.main(["setup"]) == 0
    assert bootstrap.installed == ["torch.txt", "base.txt", "starter.txt", ROOT.name]
    bootstrap.installed.clear()
    assert bootstrap.main(["setup"]) == 0 and bootstrap.installed == []
    with open(bootstrap.REQUIREMENTS / "base.txt", "a") as file:
        file.write("# changed\n")
    assert bootstrap.main(["setup"]) == 0 and bootstrap.installed == ["base.txt"]


def test_what_rivals_need_is_an_extra_that_is_tried_at_once(bootstrap, monkeypatch, capsys):
    def works():
        bootstrap.installed.append("tried")

    def fails():
        raise subprocess.CalledProcessError(1, ["python", "-c", "import torchvision"])

    monkeypatch.setattr(bootstrap, "check_rivals", works)
    assert bootstrap.main(["setup"]) == 0 and "rivals.txt" not in bootstrap.installed
    bootstrap.installed.clear()
    assert bootstrap.main(["rivals"]) == 0 and bootstrap.installed == ["rivals.txt", "tried"]
    assert bootstrap.main(["rivals", "--x"]) == 2
    monkeypatch.setattr(bootstrap, "check_rivals", fails)
    assert bootstrap.main(["rivals"]) == 1 and "import torchvision" in capsys.readouterr().err


def test_interrupted_set_up_goes_on_where_it_was(bootstrap, monkeypatch, capsys):
    pip = bootstrap.pip

    def broken(*arguments):
        if arguments[-1].endswith("base.txt"):
            raise subprocess.CalledProcessError(3, ["pip"])
        pip(*arguments)

    monkeypatch.setattr(bootstrap, "pip", broken)
    assert bootstrap.main(["setup"]) == 1 and bootstrap.installed == ["torch.txt"]
    assert "`pip` failed with exit code 3" in capsys.readouterr().err
    monkeypatch.setattr(bootstrap, "pip", pip)
    assert bootstrap.main(["setup"]) == 0
    assert bootstrap.installed == ["torch.txt", "base.txt", "starter.txt", ROOT.name]
    bootstrap.STAMPS.write_text("{half")
    bootstrap.installed.clear()
    assert bootstrap.main(["setup"]) == 0 and len(bootstrap.installed) == 4


def test_arguments_and_exit_code_are_passed_on(bootstrap, monkeypatch):
    calls = []

    class Result:
        returncode = 5

    def run(call, env, **_):
        calls.append(([str(part) for part in call[1:]], env))
        return Result

    monkeypatch.setattr(bootstrap.subprocess, "run", run)
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert bootstrap.main(["test", "-k", "x"]) == 5
    assert bootstrap.main(["--", "--clips", "9"]) == 5
    assert bootstrap.main(["run"]) == 5
    processes = str(min(bootstrap.MOST_TEST_PROCESSES, os.cpu_count()))
    assert [call for call, _ in calls] == [
        ["-m", "pytest", "-n", processes, "--dist", "loadfile", "--no-loadscope-reorder", "-k", "x"],
        ["-m", "affectgpt.cli", "starter", "--clips", "9"],
        ["-m", "affectgpt.cli", "starter"],
    ]
    environment = calls[0][1]
    assert "PYTHONPATH" not in environment and environment["HF_HUB_OFFLINE"] == "1"
    assert environment["OMP_NUM_THREADS"] == "1"  # what the user set is kept
    assert "test.txt" in bootstrap.installed


@pytest.mark.parametrize("arguments, part", [(["tset"], "unknown command"), (["setup", "x"], "no arguments")])
def test_mistakes_install_nothing(bootstrap, capsys, arguments, part):
    assert bootstrap.main(arguments) == 2
    assert part in capsys.readouterr().err and bootstrap.installed == []


def test_other_python_is_refused(bootstrap, monkeypatch, capsys):
    class Version(tuple):
        pass

    monkeypatch.setattr(bootstrap.sys, "version_info", Version((3, 10, 4)))
    assert bootstrap.main(["setup"]) == 2
    assert "3.11 or 3.12" in capsys.readouterr().err and bootstrap.installed == []
