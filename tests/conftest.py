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


LONGEST_FIRST = ("test_scale", "test_engines", "test_generate_restart", "test_benchmark", "test_generate",
                 "test_training", "test_report", "test_memory", "test_merged_lora", "test_inference", "test_prepare",
                 "test_resume", "test_features_resume", "test_scoring")
"""Files that take most of the time: where one of them began last, one process would work and the others wait."""


def pytest_collection_modifyitems(items: list) -> None:
    """The longest files begin first; all others keep their order."""
    places = {name: place for place, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(places)))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout, or $AFFECTGPT_SHARED_DATA; skips where there is none."""
    default = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("AFFECTGPT_SHARED_DATA") or default)
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set AFFECTGPT_SHARED_DATA to its folder")
    return folder
