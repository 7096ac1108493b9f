"""Engines: every one takes the same steps, alone and on two ranks, and goes on where another has stopped.

The reference is TorchEngine in this process. Sums over ranks are added in another order, hence a tolerance.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
from pathlib import Path

import engine_worker
import forks
import pytest
import torch
from tiny import parts  # noqa: F401  fixture

from affectgpt.train import distributed
from affectgpt.train.distributed import World
from affectgpt.train.engines.deepspeed_engine import DeepSpeedEngine
from affectgpt.train.engines.settings import EngineSettings
from affectgpt.train.engines.torch_engine import TorchEngine

needs_deepspeed = pytest.mark.skipif(importlib.util.find_spec("deepspeed") is None, reason="DeepSpeed is not installed")
ALONE = World(0, 1, 0, torch.device("cpu"))
HALF = engine_worker.COUNTS[:3]
REST = engine_worker.COUNTS[3:]
CLIP = {"clip_norm": 0.25}
RELATIVE = 1e-5
# Small weights would otherwise stay whole on every rank.
DIVIDED = {"deepspeed_config": {"zero_optimization": {"stage3_param_persistence_threshold": 0}}}


def zero(stage: int, **settings) -> dict:
    return {"engine": "deepspeed", "settings": {"zero_stage": stage, **(DIVIDED if stage == 3 else {}), **settings}}


SAME = {
    "torch": {"engine": "torch"}, "torch-clip": {"engine": "torch", "settings": CLIP},
    **{f"zero{stage}": zero(stage) for stage in range(4)},
    **{f"zero{stage}-clip": zero(stage, **CLIP) for stage in range(4)},
    "zero2-sharded-clip": {**zero(2, **CLIP), "kept": 0},
    "zero1-offload-clip": zero(1, offload_optimizer=True, **CLIP),
    "zero2-offload": zero(2, offload_optimizer=True),
    "zero2-offload-clip": zero(2, offload_optimizer=True, **CLIP),
    "zero2-sharded-offload-clip": {**zero(2, offload_optimizer=True, **CLIP), "kept": 0},
    "zero3-offload": zero(3, offload_optimizer=True, offload_parameters=True),
    "zero3-offload-clip": zero(3, offload_optimizer=True, offload_parameters=True, **CLIP),
    "zero3-whole-clip": {"engine": "deepspeed", "settings": {"zero_stage": 3, **CLIP}},
}
MIXED = {f"mixed-{name}": {**SAME[name], "mixed": True}
         for name in ("torch-clip", "zero0-clip", "zero1-clip", "zero2-clip")}
POISONED = {f"poisoned-{name}": {**SAME[name], "poison": "left.bias", "counts": [4]}
            for name in ("torch", "zero0", "zero1", "zero2", "zero3", "zero2-offload", "zero3-offload")}
FIRST = {f"first-{name}": {**SAME[name], "counts": HALF} for name in ("torch-clip", "zero2-clip", "zero3-clip")}
CONTINUED = {
    # from one rank, from another stage, from another engine; `resume` names a file beside the cases
    **{f"alone-to-{name}": {**SAME[name], "resume": "alone"}
       for name in ("torch-clip", "zero0-clip", "zero1-clip", "zero2-clip", "zero3-clip", "zero2-offload-clip",
                    "zero3-offload-clip")},
    "zero2-to-zero3": {**SAME["zero3-clip"], "resume": "first-zero2-clip"},
    "zero3-to-zero1": {**SAME["zero1-clip"], "resume": "first-zero3-clip"},
    "zero3-to-torch": {**SAME["torch-clip"], "resume": "first-zero3-clip"},
}


AFFECTGPT = {"affectgpt-float32": {**zero(3, **CLIP), "counts": [4, 2]},
             "affectgpt-bfloat16": {**zero(3, **CLIP), "counts": [2, 4], "bfloat16": True, "checkpointing": True},
             # Ranks whose clips have other numbers of labels: the head's parts are not equally many.
             "affectgpt-uneven": {**zero(3, **CLIP), "counts": [4, 2], "head_chunk": 6},
             "affectgpt-uneven-llm": {**zero(3, **CLIP), "counts": [4, 2], "head_chunk": 6, "llm": True}}


def run_alone(**case) -> dict:
    return engine_worker.run(ALONE, **case)


def launch(folder: Path, cases: dict[str, dict], ranks: int = 2, device: str = "cpu") -> None:
    """All cases in one start of so many ranks; NAME.pt of each in `folder`."""
    file = folder / "cases.json"
    file.write_text(json.dumps([{"name": name, **case} for name, case in cases.items()]))
    # On a GPU nothing is imported beforehand: a driver that has begun does not survive a fork.
    imports = ("tiny", "affectgpt.models.modeling", "peft", "deepspeed") if device == "cpu" else ()
    done = forks.run_ranks(engine_worker.__file__, file, device, ranks=ranks, imports=imports, DS_ACCELERATOR=device)
    assert [rank.returncode for rank in done] == [0] * ranks, "".join(rank.communicate()[0][-4000:] for rank in done)


def close(made: dict, expected: dict, relative: float = RELATIVE, but: tuple[str, ...] = ()) -> None:
    """Losses, norms, weights and moments agree; tensors relative to their largest number."""
    assert made["losses"] == pytest.approx(expected["losses"], rel=relative)
    assert made["norms"] == pytest.approx(expected["norms"], rel=relative)
    assert made["evaluated"] == pytest.approx(expected["evaluated"], rel=relative)
    for kind in ("weights", "moments"):
        assert set(made[kind]) == set(expected[kind])
        for name, tensor in expected[kind].items():
            assert made[kind][name].shape == tensor.shape and made[kind][name].dtype == torch.float32, name
            if any(part in name for part in but):
                continue
            difference = float((made[kind][name] - tensor).abs().max() / tensor.abs().max())
            assert difference < relative, f"{name}: {difference}"


def rest_of(whole: dict) -> dict:
    """What a run that starts after HALF should give."""
    return {**whole, **{kind: whole[kind][len(HALF):] for kind in ("losses", "norms", "evaluated")}}


@pytest.fixture(scope="module")
def references() -> dict[str, dict]:
    return {"plain": run_alone(), "clip": run_alone(settings=CLIP), "mixed": run_alone(settings=CLIP, mixed=True),
            "poisoned": run_alone(poison="left.bias", counts=[4]), "first": run_alone(settings=CLIP, counts=HALF)}


@pytest.fixture(scope="module")
def two_ranks(references, parts, tmp_path_factory) -> dict[str, dict]:  # noqa: F811
    """Results of all cases on two ranks."""
    if importlib.util.find_spec("deepspeed") is None:
        pytest.skip("DeepSpeed is not installed")
    folder = tmp_path_factory.mktemp("engines")
    torch.save(references["first"], folder / "alone.pt")
    continued = {name: {**case, "resume": str(folder / f"{case['resume']}.pt"), "first": len(HALF), "counts": REST}
                 for name, case in CONTINUED.items()}
    cases = {**SAME, **MIXED, **POISONED, **FIRST, **continued,
             "order": {**zero(2), "kept": 0, "mixed": True},
             **{name: {**case, "parts": parts} for name, case in AFFECTGPT.items()}}
    launch(folder, cases)
    return {name: torch.load(folder / f"{name}.pt") for name in ("world", *cases)}


def test_the_reference_trains_and_clips(references):
    plain = references["plain"]
    start = dict(engine_worker.Plain().named_parameters())
    assert all(not torch.equal(tensor, start[name]) for name, tensor in plain["weights"].items())
    for kind in ("clip", "mixed"):  # some steps are clipped, some are not
        assert min(references[kind]["norms"]) < CLIP["clip_norm"] < max(references[kind]["norms"])
    assert references["clip"]["losses"] != plain["losses"]


def test_the_reference_is_torch_on_the_whole_batch(references):
    """One forward pass a step over all micro-batches, torch's AdamW alone: no engine."""
    model = engine_worker.Plain()
    groups = engine_worker.groups_of(model)
    optimizer = torch.optim.AdamW([{key: group[key] for key in ("params", "lr", "weight_decay")} for group in groups],
                                  betas=(0.9, 0.999), eps=1e-8)
    for step, count in enumerate(engine_worker.COUNTS):
        for group, rate in zip(optimizer.param_groups, engine_worker.RATES, strict=True):
            group["lr"] = rate * (1 - 0.1 * step)
        batches = engine_worker.plain_batches(count, step, mixed=False)
        whole = {key: torch.cat([batch[key] for batch in batches]) for key in ("x", "y")}
        loss = model(**whole, total=batches[0]["total"]).loss
        assert float(loss.detach()) == pytest.approx(references["clip"]["losses"][step], rel=RELATIVE)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.requires_grad], CLIP["clip_norm"])
        assert float(norm) == pytest.approx(references["clip"]["norms"][step], rel=RELATIVE)
        optimizer.step()
        optimizer.zero_grad()
    for name, tensor in references["clip"]["weights"].items():
        assert torch.allclose(dict(model.named_parameters())[name], tensor, rtol=RELATIVE, atol=1e-7), name


@pytest.mark.parametrize("name", [*SAME, *MIXED])
def test_two_ranks_take_the_steps_of_one(two_ranks, references, name):
    made = two_ranks[name]
    close(made, references["mixed" if name in MIXED else "clip" if "clip" in name else "plain"])
    for frozen, tensor in made["still"].items():
        assert torch.equal(tensor.flatten(), engine_worker.Plain().get_parameter(frozen).flatten()), frozen
    assert "float32 (frozen bfloat16)" in made["describe"] and made["memory"] > 50 * 2**20
    case = {**SAME, **MIXED}[name]
    stage = case.get("settings", {}).get("zero_stage", 0)
    assert made["describe"].startswith("torch, 2 ranks" if case["engine"] == "torch" else "DeepSpeed ")
    assert case["engine"] == "torch" or f"ZeRO {stage}, 2 ranks" in made["describe"]
    assert ("optimizer on CPU" in made["describe"]) == ("offload" in name)


@pytest.mark.parametrize("name", CONTINUED)
def test_training_goes_on_in_another_engine_stage_or_number_of_ranks(two_ranks, references, name):
    close(two_ranks[name], rest_of(references["clip"]))


@pytest.mark.parametrize("name", FIRST)
def test_one_process_goes_on_after_two_ranks(two_ranks, references, tmp_path, name):
    torch.save(two_ranks[name], tmp_path / "state.pt")
    made = run_alone(settings=CLIP, counts=REST, first=len(HALF), resume=tmp_path / "state.pt")
    close(made, rest_of(references["clip"]))


def test_one_process_resumes_bit_for_bit(references, tmp_path):
    torch.save(references["first"], tmp_path / "state.pt")
    made = run_alone(settings=CLIP, counts=REST, first=len(HALF), resume=tmp_path / "state.pt")
    whole = rest_of(references["clip"])
    assert all(made[kind] == whole[kind] for kind in ("losses", "norms", "evaluated"))
    for kind in ("weights", "moments"):
        assert all(torch.equal(made[kind][name], tensor) for name, tensor in whole[kind].items())


@pytest.mark.parametrize("name", POISONED)
def test_a_gradient_that_is_not_finite_is_named_and_changes_nothing(two_ranks, references, name):
    made, expected = two_ranks[name], references["poisoned"]["largest"][0]
    assert not math.isfinite(made["norms"][0])
    (worst, value), *others = made["largest"][0]
    assert worst == "left.bias" and math.isnan(value)
    assert [entry[0] for entry in others] == [entry[0] for entry in expected[1:]]
    assert [entry[1] for entry in others] == pytest.approx([entry[1] for entry in expected[1:]], rel=RELATIVE)
    start = dict(engine_worker.Plain().named_parameters())
    assert all(torch.equal(tensor, start[key]) for key, tensor in made["weights"].items())


def test_largest_gradients_are_sorted_and_true(references):
    model = engine_worker.Plain()
    engine = TorchEngine(model, engine_worker.groups_of(model), EngineSettings())
    batch = engine_worker.plain_batches(1, 0, mixed=False)[0]
    engine.backward(engine.forward(**batch).loss, last=True)
    largest = engine.largest_gradients(3)
    true = {name: float(p.grad.abs().max()) for name, p in model.named_parameters() if p.requires_grad}
    assert largest == sorted(true.items(), key=lambda pair: -pair[1])[:3]


def test_ranks_talk_to_each_other(two_ranks):
    assert two_ranks["world"] == {"gather": [{"rank": 0}, {"rank": 1}], "sum": [1.0, 1.0], "ok": True,
                                  "errors": ["rank 1: disk full"] * 2}


def test_ranks_that_go_through_branches_in_another_order_are_refused(two_ranks):
    assert "different orders" in two_ranks["order"]["error"]


@pytest.mark.parametrize("name", AFFECTGPT)
def test_zero_3_trains_affectgpt(two_ranks, parts, name):  # noqa: F811
    made, expected = two_ranks[name], run_alone(**{**AFFECTGPT[name], **SAME["torch-clip"], "parts": parts})
    assert any("lora_A" in key for key in made["weights"]) and made["weights"]["token_norms.face.scale"].shape == ()
    assert made["losses"][-1] < made["losses"][0] - 0.4
    if "bfloat16" not in name:
        # Adam divides by moments that are close to zero: a softmax does not feel a bias of its scores or of its keys,
        # whose gradient is rounding.
        close(made, expected, 1e-4, but=("scorer.bias", "k_proj.base_layer.bias"))
    else:  # one rounding of bfloat16 is 4e-3
        assert "(frozen bfloat16)" in made["describe"]
        assert made["losses"] == pytest.approx(expected["losses"], rel=1e-2)
        assert made["norms"] == pytest.approx(expected["norms"], rel=5e-2)


@needs_deepspeed
def test_deepspeed_runs_in_a_plain_process_and_again_after_a_stop(references, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    for stage in (2, 3):
        world = distributed.start("cpu", deepspeed=True)
        try:
            assert world == ALONE and world.sum([1, 2.5]) == [1.0, 2.5] and world.gather("a") == ["a"]
            made = engine_worker.run(world, **zero(stage, **CLIP))
        finally:
            distributed.stop()
        close(made, references["clip"])
    ours = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "DS_ACCELERATOR")
    assert {name: os.environ.get(name) for name in ours} == {name: before.get(name) for name in ours}


# ---------------------------------------------------------------------- refusals


def engine_of(kind=TorchEngine, change=None, **settings):
    model = engine_worker.Plain()
    groups = engine_worker.groups_of(model)
    if change:
        change(model, groups)
    return kind(model, groups, EngineSettings(**settings))


@pytest.mark.parametrize(("settings", "words"), [
    ({"offload_optimizer": True}, ["offload_optimizer is true", "zero_stage is 0"]),
    ({"offload_parameters": True, "zero_stage": 2}, ["offload_parameters is true", "zero_stage is 2"]),
    ({"zero_stage": 4}, ["zero_stage is 4"]),
    ({"clip_norm": -1.0}, ["clip_norm is -1.0"]),
    ({"clip_norm": float("nan")}, ["clip_norm is nan"]),
    ({"deepspeed_config": {"bf16": {"enabled": True}}}, ["bf16", "leave it out"]),
    ({"deepspeed_config": {"zero_optimization": {"stage": 1}}}, ["zero_optimization.stage to 1"]),
    ({"zero_stage": 2, "deepspeed_config": {"zero_optimization": {"offload_optimizer": {"device": "nvme"}}}},
     ["offload_optimizer.device to nvme"]),
])
def test_settings_that_contradict_are_refused_with_both_values(settings, words):
    problems = EngineSettings(**settings).problems()
    assert len(problems) == 1 and all(word in problems[0] for word in words)
    with pytest.raises(ValueError) as error:
        engine_of(DeepSpeedEngine, **settings)
    assert str(error.value) == problems[0]


def test_settings_without_a_contradiction_have_no_problems():
    config = {"zero_optimization": {"reduce_bucket_size": 1000, "offload_optimizer": {"pin_memory": False}}}
    assert EngineSettings(1.0, 3, True, True, deepspeed_config=config).problems() == []


@pytest.mark.parametrize("settings", [{"zero_stage": 2}, {"deepspeed_config": {"steps_per_print": 1}}])
def test_the_torch_engine_refuses_what_only_deepspeed_follows(settings):
    with pytest.raises(ValueError, match=f"engine is torch and {next(iter(settings))} is"):
        engine_of(**settings)


def _leave_out(model, groups):
    groups[1]["params"].pop()
    groups[1]["names"].pop()


def _twice(model, groups):
    groups[0]["params"].append(groups[1]["params"][0])
    groups[0]["names"].append(groups[1]["names"][0])


def _frozen_after(model, groups):
    model.scale.requires_grad = False


def _half(model, groups):
    model.left.weight.data = model.left.weight.data.bfloat16()


def _swapped(model, groups):
    groups[0]["names"].reverse()


@pytest.mark.parametrize(("change", "words"), [
    (_leave_out, "not the model's trained parameters: last.bias"), (_twice, "in two groups"),
    (_frozen_after, "not the model's trained parameters: scale"), (_half, "left.weight is trained and torch.bfloat16"),
    (_swapped, "not the model's trained parameters"),
    (lambda model, groups: groups.append({"params": [], "names": [], "lr": 1, "weight_decay": 0}), "0 parameters"),
])
def test_groups_that_are_not_the_trained_parameters_are_refused(change, words):
    with pytest.raises(ValueError, match=words):
        engine_of(change=change)


def test_an_optimizer_state_of_other_parameters_is_refused(references):
    moments = references["first"]["moments"]
    for change in ({"exp_avg.scale": torch.ones(2)}, {"exp_avg.other": torch.ones(1)}):
        with pytest.raises(ValueError, match=f"not of these trained parameters.*{next(iter(change))}"):
            engine_of().load_optimizer({**moments, **change}, 3)
    with pytest.raises(ValueError, match=r"1 missing \(exp_avg_sq.scale\)"):
        engine_of().load_optimizer({key: value for key, value in moments.items() if key != "exp_avg_sq.scale"}, 3)


def test_a_wrong_number_of_rates_and_a_missing_gradient_are_refused():
    engine = engine_of()
    with pytest.raises(ValueError, match="has no gradient for left.bias, left.weight|left.weight, left.bias"):
        engine.backward(engine.model.last.weight.sum() + 0 * engine.model.last.bias.sum(), last=True)
    with pytest.raises(ValueError, match="1 learning rates for 2 groups"):
        engine.step([0.1])


def test_a_missing_deepspeed_is_named(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="DeepSpeed is asked for and not installed: pip install deepspeed"):
        distributed.start("cpu", deepspeed=True)
    assert not torch.distributed.is_initialized()


def test_deepspeed_without_a_process_group_is_refused():
    with pytest.raises(ValueError, match="start\\(deepspeed=True\\) first"):
        engine_of(DeepSpeedEngine)


def test_a_plain_process_needs_no_group(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    world = distributed.start("cpu")
    assert world == ALONE and world.is_main and not torch.distributed.is_initialized()
    assert world.sum([1, 2]) == [1.0, 2.0] and world.gather({"a": 1}) == [{"a": 1}] and world.all_ok(True)
    world.barrier()
    with pytest.raises(ValueError, match="^disk full$"):
        world.all_ok(False, "disk full")
    distributed.stop()


@pytest.mark.parametrize(("device", "environment", "words"), [
    ("tpu", {}, "device is tpu: choose one of auto, cpu, cuda"),
    ("cpu", {"WORLD_SIZE": "2", "RANK": "0"}, "WORLD_SIZE is 2, but MASTER_ADDR, MASTER_PORT is not set"),
])
def test_a_start_that_cannot_be_is_refused(monkeypatch, device, environment, words):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=words):
        distributed.start(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_cuda_without_a_gpu_is_refused(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(ValueError, match="has no GPU: PyTorch sees 0"):
        distributed.start("cuda")
