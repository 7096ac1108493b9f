"""Ranks that wait for each other, and the ways in which a run is started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import distributed_worker
import forks
import pytest
from tiny import corpus, parts, recipe_file  # noqa: F401  fixtures

from affectgpt.train import inputs, sft

ROOT = Path(__file__).resolve().parent.parent


def test_ranks_wait_for_messages_and_not_for_tensors(tmp_path):
    result = tmp_path / "found.json"
    done = forks.run_ranks(distributed_worker.__file__, result, imports=("affectgpt.train.distributed",))
    assert result.is_file(), "".join(rank.communicate()[0][-3000:] for rank in done)
    found = json.loads(result.read_text())
    assert found.pop("late") < distributed_worker.WORK
    assert found == {"gather": [0, 1], "main": "checked", "ok": True, "sum": [3.0],
                     "errors": ["OSError: [Errno 28] No space left on device: 'store'",
                                "ValueError: rank 0: store: No space left on device"]}


@pytest.mark.parametrize("option", ["--local_rank=0", "--local-rank=0", "-local_rank=0"])
def test_the_option_of_deepspeeds_launcher_is_no_error(parts, corpus, tmp_path, monkeypatch, option):  # noqa: F811
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    seen = []
    monkeypatch.setattr(sft, "run", lambda recipe: seen.append(recipe.train.max_steps) or tmp_path)
    assert sft.main([option, str(recipe_file(tmp_path, parts, corpus)), "train.max_steps=1"]) == 0
    assert seen == [1]


@pytest.mark.slow
def test_deepspeeds_launcher_starts_a_training(parts, corpus, tmp_path):  # noqa: F811
    pytest.importorskip("deepspeed")
    recipe = recipe_file(tmp_path, parts, corpus, train={"engine": "deepspeed", "zero_stage": 1, "max_steps": 1})
    done = subprocess.run([sys.executable, "-m",
                           "deepspeed.launcher.runner", "--num_gpus=1", ROOT / "train/sft.py", recipe],
                          capture_output=True, text=True, timeout=300,
                          env={**os.environ, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "run" / "model" / "done").is_file()


def test_a_long_extraction_inside_a_training_of_several_ranks_is_told(
        parts, corpus, tmp_path, monkeypatch, capsys):  # noqa: F811
    from affectgpt.config import load_recipe

    recipe = load_recipe(str(recipe_file(tmp_path, parts, corpus)), [])
    clips = [clip for part in sft.read_splits(recipe).values() for clip in part]
    world = type("", (), {"size": 8})()
    inputs._warn_of_extraction(clips, tmp_path / "features", recipe, world)
    assert not capsys.readouterr().out
    monkeypatch.setattr(inputs, "MANY_CLIPS", 2)
    inputs._warn_of_extraction(clips, tmp_path / "features", recipe, world)
    assert "features of 4 clips are made inside a training of 8 ranks" in capsys.readouterr().out
