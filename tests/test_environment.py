"""The number format that a machine can compute in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny
import torch
from tiny import parts  # noqa: F401  fixture

from affectgpt import environment
from affectgpt.config import load_recipe
from affectgpt.inference import Describer
from affectgpt.train import sft


@pytest.mark.parametrize("native, dtype", [(True, "bfloat16"), (False, "float32")])
def test_auto_is_bfloat16_only_where_it_is_native(monkeypatch, native, dtype):
    monkeypatch.setattr(environment, "computes_bfloat16", lambda device: native)
    assert environment.computing_dtype("auto", "cpu") == dtype
    assert environment.computing_dtype("bfloat16", "cpu") == "bfloat16"  # asked for, whatever it takes
    assert environment.runnable_dtype(SimpleNamespace(dtype=torch.bfloat16), "cpu") == dtype
    assert environment.runnable_dtype(SimpleNamespace(dtype="float32"), "cpu") == "float32"
    assert environment.runnable_dtype(SimpleNamespace(dtype=None), "cpu") is None


def test_avx2_alone_does_not_compute_bfloat16(monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for native in (False, True):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda native=native: native)
        assert environment.computes_bfloat16("cpu") is native


def test_a_run_takes_what_all_its_devices_compute_and_keeps_it(tmp_path, monkeypatch):
    recipe = load_recipe("starter", [f"train.output={tmp_path}"])
    for others, dtype in (([True, True], "bfloat16"), ([True, False], "float32")):
        recipe.model.dtype = "auto"
        sft.settle_dtype(recipe, SimpleNamespace(device="cpu", gather=lambda value, others=others: others))
        assert recipe.model.dtype == dtype
    (tmp_path / "recipe.yaml").write_text("model: {dtype: bfloat16}")  # the run began elsewhere
    recipe.model.dtype = "auto"
    sft.settle_dtype(recipe, SimpleNamespace(device="cpu", gather=lambda value: [False]))
    assert recipe.model.dtype == "bfloat16"


def test_a_bfloat16_model_answers_in_float32_where_bfloat16_is_emulated(parts, tmp_path, monkeypatch):  # noqa: F811
    model, processor = tiny.model_and_processor(parts)
    model.config.dtype = "bfloat16"
    model.save_pretrained(tmp_path / "model")
    processor.save_pretrained(tmp_path / "model")
    for native, dtype in ((False, torch.float32), (True, torch.bfloat16)):
        monkeypatch.setattr(environment, "computes_bfloat16", lambda device, native=native: native)
        assert Describer(tmp_path / "model").model.dtype_of_llm is dtype
