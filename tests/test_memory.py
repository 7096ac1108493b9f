"""The estimate of a step's memory against what a real step keeps."""

from __future__ import annotations

import copy
import resource

import engine_worker
import pytest
import tiny
import torch
from test_gpu import needs_gpu
from tiny import corpus, parts, recipe_file  # noqa: F401  fixtures
from transformers import Qwen2Config

from affectgpt import loading
from affectgpt.config import load_recipe
from affectgpt.models.collate import collate, collate_packed
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.train import memory, sft

ANSWER = "The voice is loud and fast, the face frowns, and the words accuse: the person is angry. " * 2


def case(parts, corpus, folder, changes: dict, train: dict):  # noqa: F811
    """(recipe, configuration of six layers of Qwen2's shape, samples of features, processor)."""
    train = {"pack_tokens": 1 if train["batching"] == "packed" else 0, **train}
    recipe = load_recipe(str(recipe_file(folder, {**parts, "llama": parts["qwen2"]}, corpus, train=train, model={
        "lora_targets": "all-linear", "dropout": 0.1, **changes})), [])
    config = loading.describe_parts(sft.model_config(recipe))
    config.text_config = Qwen2Config(**{**config.text_config.to_dict(), "num_hidden_layers": 6, "hidden_size": 128,
                                        "intermediate_size": 512, "vocab_size": 400, "layer_types": None})
    processor = AffectGPTProcessor(loading.load_tokenizer(parts["qwen2"]), config)
    dtype = getattr(torch, recipe.model.dtype)
    model = memory.skeleton(config, dtype, recipe.model.train_llm)
    samples = [processor.training_sample(tiny.inputs(processor, seed, "audio face text"), "Why?", ANSWER)
               for seed in range(2)]
    return recipe, config, model, memory.as_features(samples, config, model), processor, dtype


def real_model(config, recipe, dtype, attention, device="cpu"):
    torch.manual_seed(0)
    config = copy.deepcopy(config)
    language_model = memory.AutoModelForCausalLM.from_config(config.text_config, dtype=dtype,
                                                             attn_implementation=attention)
    model = memory.AffectGPTForConditionalGeneration(config, language_model)
    model.mark_trained(llm=recipe.model.train_llm)
    return model.to(device).train()


def batch_of(recipe, samples, count: int):
    rows = (samples * count)[:count]
    return collate_packed(rows) if recipe.train.batching == "packed" else collate(rows, 0)


PACKED = {"batching": "packed"}
CASES = {
    "float32": ({"dtype": "float32"}, PACKED, 8),
    "bfloat16": ({"dtype": "bfloat16"}, PACKED, 8),
    "bfloat16, LoRA dropout": ({"dtype": "bfloat16", "lora_dropout": 0.05}, PACKED, 6),
    "padded": ({"dtype": "float32"}, {"batching": "grouped", "batch_size": 6}, 6),
    "eager": ({"dtype": "float32", "attention": "eager"}, {"batching": "random", "batch_size": 4}, 4),
    "checkpointing": ({"dtype": "float32"}, {**PACKED, "gradient_checkpointing": True}, 8),
    "whole LLM": ({"dtype": "float32", "lora_rank": 0, "train_llm": True}, PACKED, 8),
}


@pytest.mark.parametrize("name", CASES)
def test_the_estimate_is_what_a_step_keeps(parts, corpus, tmp_path, name):  # noqa: F811
    changes, train, clips = CASES[name]
    recipe, config, skeleton, samples, _, dtype = case(parts, corpus, tmp_path, changes, {"batch_size": 1, **train})
    kernel = loading.choose_attention(recipe.model.attention, recipe.model.dtype, "cpu")
    batch = batch_of(recipe, samples, clips)
    if recipe.train.batching == "packed":
        recipe.train.pack_tokens = batch["input_ids"].numel()
    found = memory.estimate(recipe, config, skeleton, samples, dtype, kernel)
    model = real_model(config, recipe, dtype, kernel)
    kept = memory.Kept(model)
    if recipe.train.gradient_checkpointing:  # inputs are kept by closures, which hooks do not see: count what they are
        (layer,) = memory.kept_bytes(config, recipe, [batch], dtype, kernel)
        expected = sum(layer) + 6 * batch["input_ids"].numel() * 128 * 4
    else:
        with kept.watch(*memory._layers(model)):
            model(**batch, num_items_in_batch=1.0)
        expected = sum(kept.layer.values()) + sum(kept.rest.values())
    assert found.activations == pytest.approx(expected, rel=0.15)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert found.optimizer == 12 * sum(parameter.numel() for parameter in trained)
    encoders = sum(p.numel() * 4 for part in (model.audio_encoder, model.visual_encoder) for p in part.parameters())
    assert found.weights == sum(p.numel() * p.element_size() for p in model.parameters()) - encoders
    assert found.encoders == 0 and found.tokens == batch["input_ids"].numel()


def test_a_fused_kernel_keeps_no_scores(parts, corpus, tmp_path):  # noqa: F811
    recipe, config, skeleton, samples, _, dtype = case(parts, corpus, tmp_path, {"dtype": "bfloat16"}, {
        "batching": "packed", "batch_size": 1, "pack_tokens": 4096})
    fused, eager = (memory.estimate(recipe, config, skeleton, samples, dtype, name) for name in (memory.FUSED, "eager"))
    # Five values of the width of the queries and keys of two heads in four, against scores over a whole row.
    assert fused.activations < 0.8 * eager.activations


def test_a_large_llm_is_estimated_without_its_memory(parts, corpus, tmp_path):  # noqa: F811
    recipe, config, _, samples, _, dtype = case(parts, corpus, tmp_path, {"dtype": "bfloat16"}, {
        "batching": "packed", "batch_size": 1, "pack_tokens": 8192})
    wide = {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 24, "vocab_size": 150_000}
    config.text_config = Qwen2Config(**{**config.text_config.to_dict(), **wide, "layer_types": None})
    streams = set(config.placeholder_ids.values())
    for sample in samples:  # as a large tokenizer has them
        sample["input_ids"] = [token if token in streams else token + 100_000 for token in sample["input_ids"]]
        sample["labels"] = [label if label == -100 else label + 100_000 for label in sample["labels"]]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = memory.estimate(recipe, config, memory.skeleton(config, dtype), samples, dtype, memory.FUSED)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert found.weights > 4e9 and grown < 1e9


def test_a_dry_run_tells_the_memory_of_a_gpu_too(parts, corpus, tmp_path, capsys, monkeypatch):  # noqa: F811
    from affectgpt import cli

    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(loading, "load_language_model", lambda *arguments, **options: pytest.fail("the LLM is loaded"))
    recipe = recipe_file(tmp_path, parts, corpus, train={"device": "auto"})
    assert cli.main(["train", str(recipe), "--dry-run"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory (estimate) on ")]
    assert len(lines) == (1 if torch.cuda.is_available() else 2) and "a GPU, GiB: weights 0.0" in lines[0]
    assert "KiB of activations a token" in lines[0] and "encoders" not in lines[0]
    assert cli.main(["train", str(recipe), "--dry-run", "train.device=cpu", "data.cache=false",
                     "train.alignment_epochs=0"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("memory (estimate) on ")]
    assert "the CPU, GiB" in line


@needs_gpu
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_estimate_is_the_peak_of_a_step_on_a_gpu(parts, corpus, tmp_path, dtype):  # noqa: F811
    recipe, config, _, samples, _, kind = case(parts, corpus, tmp_path, {"dtype": dtype}, {
        "batching": "packed", "batch_size": 1, "pack_tokens": 1})
    config.text_config = Qwen2Config(**{**config.text_config.to_dict(), "hidden_size": 1024, "intermediate_size": 4096,
                                        "num_hidden_layers": 12, "num_attention_heads": 16, "layer_types": None})
    batch = batch_of(recipe, samples, 64)
    recipe.train.pack_tokens = batch["input_ids"].numel()
    found = memory.estimate(recipe, config, memory.skeleton(config, kind), samples, kind, memory.FUSED)
    kernel = loading.choose_attention(recipe.model.attention, recipe.model.dtype, "cuda")
    model = real_model(config, recipe, kind, kernel, "cuda")
    for encoder in (model.audio_encoder, model.visual_encoder):
        encoder.release()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], fused=True)
    for _ in range(2):
        model(**engine_worker.on_device(batch, torch.device("cuda")), num_items_in_batch=1.0).loss.backward()
        optimizer.step()
    assert found.total == pytest.approx(torch.cuda.max_memory_allocated(), rel=0.15)
