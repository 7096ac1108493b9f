"""A model folder loaded to answer with: LoRA is added to the weights as they are read, as PEFT would merge it."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import subprocess
import sys

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import parts

from affectgpt.models.merged_lora import adapted_modules
from affectgpt.models.modeling import AffectGPTForConditionalGeneration as Model

KINDS = ("named", "bundled")


@pytest.fixture(scope="module", params=KINDS)
def folder(request, parts, tmp_path_factory):
    return write(request.param, parts, tmp_path_factory.mktemp(request.param) / "m")


def write(kind, parts, folder):
    if kind == "bundled":
        return tiny.write_bundled_model(parts, folder)
    model, processor = tiny.model_and_processor(parts)
    model.mark_trained()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def _llm(model) -> dict[str, torch.Tensor]:
    """Weights of the LLM by their plain names."""
    return {name.replace("base_layer.", ""): value for name, value in model.language_model.state_dict().items()
            if "lora_" not in name}


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_weights_are_those_of_pefts_merge(folder, dtype):
    slow, fast = Model.from_pretrained(folder, dtype=dtype), Model.from_pretrained(folder, dtype=dtype, merge_lora=True)
    before = {name: value.clone() for name, value in _llm(slow).items()}
    slow.merge_lora()
    fast.merge_lora()  # nothing is left to do
    assert not [name for name in fast.state_dict() if "lora_" in name] and fast.lora_merged
    merged, plain = _llm(slow), _llm(fast)
    assert merged.keys() == plain.keys()
    for name, value in plain.items():
        assert torch.equal(value, merged[name]), name
    assert sum(not torch.equal(plain[name], before[name]) for name in plain) == 14  # 7 layers in each of 2 blocks
    assert all(torch.equal(value, dict(slow.named_parameters())[name]) for name, value in fast.named_parameters()
               if not name.startswith("language_model."))


def test_a_file_without_all_of_lora_is_refused(folder, tmp_path):
    whole = load_file(folder / "model.safetensors")
    name = next(name for name in whole if "layers.1" in name and "lora_B" in name)
    for change, message in ((lambda state: state.pop(name), "1 tensors are missing .*lora_B"),
                            (lambda state: state.update({name: state[name][:5].clone()}), "do not fit"),
                            (lambda state: state.update(other=torch.zeros(1)), "1 are unknown")):
        state = dict(whole)
        change(state)
        (tmp_path / "m").mkdir(exist_ok=True)
        (tmp_path / "m" / "config.json").write_bytes((folder / "config.json").read_bytes())
        save_file(state, tmp_path / "m" / "model.safetensors")
        with pytest.raises(ValueError, match=message):
            Model.from_pretrained(tmp_path / "m", merge_lora=True)


@pytest.mark.parametrize("targets", ["all-linear", ["q_proj", "v_proj"], ["layers.0.mlp.up_proj"]])
def test_adapted_modules_are_those_that_peft_takes(parts, targets):
    model, _ = tiny.model_and_processor(parts, lora_targets=targets)
    taken = {name.split(".lora_A")[0] for name in model.language_model.state_dict() if "lora_A" in name}
    assert set(adapted_modules(tiny.language_model(), targets)) == taken and taken


def test_answering_imports_no_peft(parts, tmp_path):
    code = ("import sys; from affectgpt.inference import Describer\n"
            "for folder in sys.argv[1:]:\n"
            "    Describer(folder, 'cpu')\n"
            "    print(sorted({name.split('.')[0] for name in sys.modules} & {'peft', 'sklearn', 'pandas'}))")
    folders = [write(kind, parts, tmp_path / kind) for kind in KINDS]
    done = subprocess.run([sys.executable, "-c", code, *map(str, folders)], capture_output=True, text=True)
    assert done.stdout.split("\n") == ["[]", "[]", ""], done.stdout + done.stderr
