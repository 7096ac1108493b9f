"""Settings of every test run, and fixtures that many tests share."""

from __future__ import annotations

import os

# Before anything imports torch, which reads them once. Spinning threads are slow on a busy machine.
for _name, _value in {
    "OMP_NUM_THREADS": "2",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "MPLBACKEND": "Agg",
}.items():
    os.environ.setdefault(_name, _value)

import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import pytest  # noqa: E402

if "torch" in sys.modules:  # a plugin was faster than the lines above
    sys.modules["torch"].set_num_threads(int(os.environ["OMP_NUM_THREADS"]))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout, or $AFFECTGPT_SHARED_DATA; skips where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AFFECTGPT_SHARED_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set AFFECTGPT_SHARED_DATA to its folder")
    return folder
