"""A torchvision whose compiled part does not fit torch: its Python part is imported all the same, and nothing else is
changed. Each test in a process of its own, with a torchvision made for it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
REAL = "import torch\n@torch.library.register_fake('torchvision::nms')\ndef f(*_): pass\n" \
       "@torch.library.register_fake('torchvision::qnms')\ndef g(*_): pass\n"


def run(tmp_path: Path, code: str) -> subprocess.CompletedProcess:
    """Run code where `torchvision` is the package below `tmp_path`."""
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}, {str(ROOT)!r}]\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)


@pytest.fixture
def broken(tmp_path) -> Path:
    """A torchvision built for another torch."""
    folder = tmp_path / "torchvision"
    folder.mkdir()
    (folder / "_C.so").write_bytes(b"\x7fELF of another torch")
    (folder / "__init__.py").write_text(REAL)
    return tmp_path


def test_a_compiled_part_that_does_not_load_is_made_up_for(broken):
    assert "does not exist" in run(broken, "import torchvision").stderr
    done = run(broken, "import affectgpt, torchvision; print(torchvision.__name__, torchvision.f)")
    assert done.returncode == 0 and done.stdout.startswith("torchvision"), done.stderr


def test_nothing_is_imported_before_torchvision_is(tmp_path):
    done = run(tmp_path, "import affectgpt\nprint('torch' in sys.modules, 'torchvision' in sys.modules)")
    assert done.stdout.split() == ["False", "False"], done.stderr
