"""What holds on a GPU. The same code runs on the CPU first, so that it is known to run where there is no GPU."""

from __future__ import annotations

import importlib.util

import engine_worker
import pytest
import tiny
import torch
from test_engines import CLIP, SAME, close, launch, needs_deepspeed, zero
from test_packing import samples_of
from tiny import parts  # noqa: F401  fixture
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AttentionInterface

from affectgpt import loading
from affectgpt.models.attention import BY_CLIP
from affectgpt.models.collate import collate_packed
from affectgpt.train.distributed import World
from affectgpt.train.engines.settings import EngineSettings
from affectgpt.train.engines.torch_engine import TorchEngine

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no GPU")
needs_two = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="nccl wants a GPU for each of two ranks, and "
                               f"PyTorch sees {torch.cuda.device_count()}")
on_every_device = pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_gpu)])
FLASH = importlib.util.find_spec("flash_attn") is not None


def world_of(device: str) -> World:
    return World(0, 1, 0, torch.device("cuda", 0) if device == "cuda" else torch.device("cpu"))


# ---------------------------------------------------------------------------- engines


def test_adams_state_lies_where_the_fused_kernel_wants_it(monkeypatch):
    monkeypatch.setattr(TorchEngine, "_set_moment", lambda *arguments: None)  # a copy to a GPU that is not there
    with FakeTensorMode(allow_non_fake_inputs=True):  # tensors that say "cuda" and have no numbers
        model = torch.nn.Module()
        model.weight, model.bias = (torch.nn.Parameter(torch.empty(shape, device="cuda")) for shape in ((2, 3), (2,)))
        group = {"params": list(model.parameters()), "names": ["weight", "bias"], "lr": 0.1, "weight_decay": 0.0}
        engine = TorchEngine(model, [group], EngineSettings())
        zeros = {f"{moment}.{name}": torch.zeros_like(parameter, device="cpu") for name, parameter in
                 model.named_parameters() for moment in ("exp_avg", "exp_avg_sq")}
        for resumed in (False, True):
            if resumed:
                engine.load_optimizer(zeros, 7)
            assert engine._optimizer.defaults["fused"] and len(engine._optimizer.state) == 2
            for parameter, state in engine._optimizer.state.items():
                assert parameter.device.type == "cuda"
                assert {name: value.device for name, value in state.items()} == dict.fromkeys(state, parameter.device)


@on_every_device
def test_torchs_engine_steps_and_resumes_on_a_device(tmp_path, device):
    """Losses within what rounding does to a frozen bfloat16 layer; resumed, the same numbers to rounding."""
    world, first = world_of(device), engine_worker.COUNTS[:3]
    reference = engine_worker.run(world_of("cpu"), settings=CLIP)
    whole = engine_worker.run(world, settings=CLIP)
    assert whole["losses"] == pytest.approx(reference["losses"], rel=2e-2)
    torch.save(engine_worker.run(world, settings=CLIP, counts=first), tmp_path / "state.pt")
    rest = engine_worker.run(world, settings=CLIP, counts=engine_worker.COUNTS[3:], first=3,
                             resume=tmp_path / "state.pt")
    close(rest, {**whole, **{kind: whole[kind][3:] for kind in ("losses", "norms", "evaluated")}}, 1e-4)


@needs_deepspeed
@pytest.mark.parametrize("device", [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=needs_gpu)])
def test_every_engine_takes_the_steps_of_torchs_on_a_device(tmp_path, device):
    names = ["zero0-clip", "zero1-clip", "zero2-clip", "zero3-clip"]
    cases = {name: {**SAME[name], "counts": [2, 3]} for name in names}
    if device == "cuda":  # DeepSpeed's own CPU Adam, which needs a compiler, or torch's in its place
        cases |= {"zero2-offload": {**zero(2, offload_optimizer=True, **CLIP), "counts": [2, 3]}}
    launch(tmp_path, cases, ranks=1, device=device)
    expected = engine_worker.run(world_of(device), settings=CLIP, counts=[2, 3])
    for name in cases:
        close(torch.load(tmp_path / f"{name}.pt"), expected, 1e-4)


@needs_two
def test_two_ranks_of_nccl_take_the_steps_of_one(tmp_path):
    cases = {name: SAME[name] for name in ("torch-clip", "zero2-clip", "zero3-clip")}
    launch(tmp_path, cases, ranks=2, device="cuda")
    expected = engine_worker.run(world_of("cuda"), settings=CLIP)
    for name in cases:
        close(torch.load(tmp_path / f"{name}.pt"), expected, 1e-4)


# ---------------------------------------------------------------------------- attention

KERNELS = ["eager", "sdpa", BY_CLIP, *(name for name in ("varlen", "varlen_by_clip") if name in AttentionInterface()),
           pytest.param("flash_attention_2", marks=pytest.mark.skipif(not FLASH, reason="flash-attn is not installed"))]


@on_every_device
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_packed_rows_equal_padded_ones_on_every_kernel(parts, device, kernel, dtype):  # noqa: F811
    if kernel == "flash_attention_2" and (device == "cpu" or dtype == torch.float32):
        pytest.skip("flash attention is for a GPU and half precision")
    model, processor = tiny.model_and_processor(parts)
    model.language_model.to(dtype)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    model.mark_trained()
    model.to(device)
    samples = samples_of(processor)
    found = []
    for attention, batch in (("eager", processor.collate(samples)), (kernel, collate_packed(samples))):
        model.language_model.set_attn_implementation(attention)
        model.zero_grad()
        outputs = model(**engine_worker.on_device(batch, torch.device(device)), num_items_in_batch=10)
        outputs.loss.backward()
        gradients = torch.cat([p.grad.flatten() for p in model.parameters() if p.requires_grad])
        found.append((outputs, gradients))
    (padded, padded_gradients), (packed, packed_gradients) = found
    tolerance = 1e-4 if dtype == torch.float32 else 5e-2
    torch.testing.assert_close(packed.token_losses, padded.token_losses, rtol=tolerance, atol=tolerance)
    assert packed.token_clips.tolist() == padded.token_clips.tolist()
    difference = (packed_gradients - padded_gradients).norm() / padded_gradients.norm()
    assert float(difference) < (1e-3 if dtype == torch.float32 else 0.1)


# ---------------------------------------------------------------------------- loading


@pytest.mark.parametrize(("device", "place"), [("cuda:1", {"": "cuda:1"}), ("cpu", None), (None, None)])
def test_an_llm_is_read_straight_to_its_gpu(parts, monkeypatch, device, place):  # noqa: F811
    seen, original = [], loading.AutoModelForCausalLM.from_pretrained

    def read(name, device_map=None, **options):
        seen.append(device_map)
        return original(name, **options)

    monkeypatch.setattr(loading.AutoModelForCausalLM, "from_pretrained", read)
    loading.load_language_model(parts["llama"], torch.float32, device=device)
    assert seen == [place]


def test_a_bfloat16_llm_with_lora_is_made(parts):  # noqa: F811
    model = loading.from_parts(tiny.config(parts), dtype=torch.bfloat16)
    assert model.dtype_of_llm == torch.bfloat16
    assert {p.dtype for name, p in model.named_parameters() if "lora_" in name} == {torch.float32}
