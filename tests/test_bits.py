"""Eight and four bits through bitsandbytes: layers beside the float ones, model folders in both forms, refusals."""

from __future__ import annotations

import importlib.util

import pytest
import tiny
import torch
from describe_fixtures import failed, inside, model, samples  # noqa: F401  fixtures
from tiny import corpus, parts  # noqa: F401  fixtures
from torch import nn

from affectgpt.inference import Describer
from affectgpt.merging import merge_folder
from affectgpt.models.bits import BITS, bits_layer, check_bits

HAVE = importlib.util.find_spec("bitsandbytes") is not None
needs_package = pytest.mark.skipif(not HAVE, reason="needs bitsandbytes: pip install bitsandbytes")


@needs_package
@pytest.mark.parametrize("kind, held, off", [("8bit", 1.0, 0.02), ("4bit", 0.5, 0.15)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_layer_is_nearly_the_float_one(kind, held, off, dtype):
    torch.manual_seed(0)
    layer, inputs = nn.Linear(128, 192), torch.randn(2, 5, 128)
    made = bits_layer(kind, layer.weight, layer.bias, dtype)
    with torch.no_grad():
        found, wanted = made(inputs.to(dtype)), layer(inputs)
    assert found.dtype == dtype and (found.float() - wanted).norm() / wanted.norm() < off
    assert made.weight.numel() * made.weight.element_size() == held * layer.weight.numel()


@needs_package
def test_folders_of_both_forms_answer_alike_in_eight_bits(parts, tmp_path):  # noqa: F811
    trained, processor = tiny.model_and_processor(parts)
    trained.mark_trained()
    trained.save_pretrained(tmp_path / "a")
    processor.save_pretrained(tmp_path / "a")
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 1), "What?"))
    logits = []
    for folder in (tmp_path / "a", merge_folder(tmp_path / "a", tmp_path / "m")):
        loaded = Describer(folder, "cpu", quantize="8bit").model
        assert type(loaded.language_model.get_decoder().layers[1].mlp.up_proj).__name__ == "Linear8bitLt"
        with torch.no_grad():
            logits.append(loaded(**batch).logits)
    with torch.no_grad():
        exact = trained(**batch).logits
    assert torch.equal(*logits) and 0 < (logits[0] - exact).norm() / exact.norm() < 0.1
    with pytest.raises(ValueError, match="takes 96 numbers, and bitsandbytes on a CPU needs multiples of 64"):
        Describer(tmp_path / "m", "cpu", quantize="4bit")


@pytest.mark.parametrize("kind", BITS)
def test_without_the_package_the_command_says_so(capsys, model, samples, monkeypatch, kind):  # noqa: F811
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "bitsandbytes" else
                        find(name, *more))
    line = failed(capsys, "describe", samples / "face.mp4", "--model", model, "--quantize", kind)
    assert f"--quantize {kind} needs bitsandbytes: pip install bitsandbytes" in line
    with pytest.raises(ValueError, match=f"--quantize {kind} needs bitsandbytes"):
        check_bits(kind)
