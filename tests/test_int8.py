"""Eight bits a weight: the quantised product beside the float one, whole models beside themselves, what is refused."""
# ruff: noqa: F811

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from describe_fixtures import failed, inside, model, run, samples  # noqa: F401  fixtures
from tiny import corpus, parts  # noqa: F401  fixtures
from torch import nn

from affectgpt.eval.answering.parts import beside
from affectgpt.inference import Describer
from affectgpt.models.int8 import KERNEL_ROWS, Int8Linear, check_quantisable, quantise, quantise_rows
from affectgpt.models.modeling import AffectGPTForConditionalGeneration as Model


def relative(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(((found.float() - wanted).norm() / wanted.norm()).detach())


@pytest.mark.parametrize("wide, high", [(64, 64), (192, 576), (576, 64), (33, 65), (1, 7), (100, 96)])
@pytest.mark.parametrize("rows", [0, 1, KERNEL_ROWS, KERNEL_ROWS + 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_product_is_nearly_that_of_the_float_layer(wide, high, rows, dtype):
    torch.manual_seed(0)
    layer = nn.Linear(wide, high, bias=rows % 2 == 1)
    inputs = torch.randn(2, rows, wide) if rows <= 1 else torch.randn(rows, wide)
    found = Int8Linear(layer.weight.detach(), layer.bias)(inputs.to(dtype))
    wanted = layer(inputs)
    assert found.shape == wanted.shape and found.dtype == dtype
    assert rows == 0 or relative(found, wanted) < 0.02


def test_no_weight_is_off_by_more_than_half_a_step():
    torch.manual_seed(0)
    weight = torch.randn(50, 64) * torch.logspace(-6, 3, 50)[:, None]
    weight[7] = 0
    values, scale = quantise_rows(weight)
    assert ((values.float() * scale[:, None] - weight).abs() <= 0.5001 * scale[:, None]).all()
    assert (scale.to(torch.bfloat16).float() == scale).all()  # nothing of a scale is lost in the kernel
    assert (scale[:7] <= weight[:7].abs().amax(1) / 127 * 1.02).all() and not values[7].any()
    with pytest.raises(ValueError, match="not finite"):
        quantise_rows(torch.tensor([[1.0, float("inf")]]))


def test_all_layers_but_the_head_are_quantised():
    for kind in ("qwen2", "llama"):  # its own head, and one that is the embeddings
        llm = tiny.language_model(kind).eval()
        ids = torch.arange(3, 40)[None]
        before, size = llm(ids).logits, sum(p.numel() for p in llm.model.layers.parameters())
        head = llm.lm_head.weight.clone()
        assert quantise(llm) == 2 * 7
        held = [buffer for layer in llm.modules() if isinstance(layer, Int8Linear) for buffer in layer.buffers()]
        assert sum(t.numel() * t.element_size() for t in held) < 0.35 * 4 * size
        assert not [name for name, p in llm.named_parameters() if "_proj.weight" in name]
        assert torch.equal(llm.lm_head.weight, head)
        assert 0 < relative(llm(ids).logits, before) < 0.1
        with pytest.raises(ValueError, match="is a Int8Linear.*quantised already"):
            quantise(llm)


def test_lora_is_added_before_weights_are_rounded(parts, tmp_path):
    made, processor = tiny.model_and_processor(parts)
    made.save_pretrained(tmp_path / "m")
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 1), "What?"))
    wanted = Model.from_pretrained(tmp_path / "m", merge_lora=True)(**batch).logits
    found = Model.from_pretrained(tmp_path / "m", quantize="int8")
    layer = found.language_model.get_decoder().layers[0].mlp.up_proj
    assert isinstance(layer, Int8Linear) and found.lora_merged
    assert relative(found(**batch).logits, wanted) < 0.1
    for name, parameter in made.named_parameters():
        if "lora_B" in name:
            parameter.data.zero_()
    assert relative(found(**batch).logits, made(**batch).logits) > 0.3  # so LoRA matters here


def test_what_does_not_fit_is_refused(model, monkeypatch):
    with pytest.raises(ValueError, match="--quantize int8 is for the CPU, and the device is cuda:0"):
        check_quantisable(None, "cuda:0")
    config = Model.from_pretrained(model).config.text_config
    config.quantization_config = {"quant_method": "gptq"}
    with pytest.raises(ValueError, match="quantised already"):
        check_quantisable(config, "cpu")
    with pytest.raises(ValueError, match="no plain linear layers"):
        whole = nn.Module()
        whole.get_output_embeddings = lambda: None
        quantise(whole)
    peft = Model.from_pretrained(model)  # LoRA as modules of its own
    with pytest.raises(ValueError, match="LoRA that is not merged|no plain"):
        quantise(peft.language_model)
    with pytest.raises(ValueError, match="no plain linear ones"):
        peft.load_weights(model / "model.safetensors", "int8")


def test_describe_answers_in_eight_bits(capsys, model, samples):
    code, out, _ = run(capsys, "describe", samples / "face.mp4", samples / "voice.wav", "--model", model, "--json",
                       "--quantize", "int8")
    rows = [json.loads(line) for line in out]
    assert code == 0 and len(rows) == 2 and all(isinstance(row["labels"], list) for row in rows)
    assert isinstance(Describer(model, "cpu", quantize="int8").model.language_model.get_decoder().layers[1].mlp.up_proj,
                      Int8Linear)
    line = failed(capsys, "describe", samples / "face.mp4", "--model", model, "--quantize", "int8", "--device", "cuda")
    assert "--quantize int8 is for the CPU" in line


def test_generate_answers_in_eight_bits(capsys, model, corpus, tmp_path):
    rows = [json.loads(line) | {"split": "test"} for line in corpus.read_text().splitlines()[:3]]
    shutil.copytree(corpus.parent, tmp_path / "c")
    manifest = tmp_path / "c" / corpus.name
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ("generate", model, "--corpus", manifest, "--output", tmp_path / "a.jsonl", "--workers", "0")
    code, _, err = run(capsys, *asked, "--quantize", "int8")
    assert code in (0, None), err
    answers = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert len(answers) == 3
    assert json.loads(beside(tmp_path / "a.jsonl", "facts.json").read_text())["settings"]["quantize"] == "int8"
    assert "quantize" in failed(capsys, *asked)  # float answers do not mix with these
    for other in (("generate", "endpoint:http://h/v1#m", *asked[2:]), (*asked, "--device", "cuda")):
        assert "--quantize int8 is for " in failed(capsys, *other, "--quantize", "int8")
