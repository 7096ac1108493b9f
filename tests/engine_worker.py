"""Runs training cases for test_engines.py and test_gpu.py, under torchrun or alone: `engine_worker.py CASES.json
[DEVICE]`.

Each case is {"name", "engine", "settings", "steps", ...} of `run`; results go to NAME.pt beside the file of cases.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from torch import nn
from transformers.modeling_outputs import CausalLMOutputWithPast

sys.path.insert(0, os.fspath(Path(__file__).resolve().parent))
sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1]))

from affectgpt.models import loss as llm_loss  # noqa: E402
from affectgpt.train import distributed  # noqa: E402
from affectgpt.train.engines import deepspeed_engine  # noqa: E402
from affectgpt.train.engines.settings import EngineSettings  # noqa: E402
from affectgpt.train.engines.torch_engine import TorchEngine  # noqa: E402

CHUNK = llm_loss.CHUNK
KEPT = deepspeed_engine.KEPT_GRADIENTS
RATES = (2e-2, 5e-2)
COUNTS = [4, 2, 6, 2, 4]
"""Micro-batches of each step over all ranks: another number in every step."""


class Plain(nn.Module):
    """Two branches on frozen bfloat16 weights; sizes that two ranks cannot halve, and a scalar."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.frozen = nn.Linear(7, 11).to(torch.bfloat16).requires_grad_(False)
        self.fixed = nn.Parameter(torch.tensor(0.5), requires_grad=False)
        self.left, self.right = nn.Linear(11, 5), nn.Linear(11, 5)
        self.scale = nn.Parameter(torch.tensor(1.3))
        self.last = nn.Linear(5, 3)

    def forward(self, x, y, total, branches="left right", poison=None):
        hidden = self.frozen(x.to(torch.bfloat16)).float()
        values = unused = 0.0
        for name in ("left", "right"):
            branch = getattr(self, name)
            if name in branches:
                values = values + torch.tanh(branch(hidden))
            else:
                unused = unused + sum(parameter.sum() for parameter in branch.parameters())
        out = self.last(values * self.scale) * self.fixed
        loss = ((out - y) ** 2).sum() / total + 0.0 * unused
        if poison:  # a gradient that is not a number, of this parameter alone
            loss = loss + float("nan") * self.get_parameter(poison).sum()
        return CausalLMOutputWithPast(loss=loss)


def plain_batches(count: int, seed: int, mixed: bool) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    kinds = ["left right", "left", "right"] if mixed else ["left right"]
    return [{"x": torch.randn(2 + i % 3, 7, generator=generator), "y": torch.randn(2 + i % 3, 3, generator=generator),
             "total": 10.0 * count, "branches": kinds[i % len(kinds)]} for i in range(count)]


def affectgpt(parts: dict[str, str], bfloat16: bool, uneven: bool = False, llm: bool = False):
    """The tiny model, and its micro-batches of features."""
    import tiny

    model, processor = tiny.model_and_processor(parts, token_norm=True)
    if bfloat16:
        model.language_model.to(torch.bfloat16)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    model.mark_trained(llm=llm)
    batches = []
    for seed in range(max(COUNTS)):
        sample = processor.training_sample(tiny.inputs(processor, seed), "How do they feel?",
                                           "happy and calm" * (1 + 3 * (seed % 2) if uneven else 1))
        batch = processor.collate([sample])
        with torch.no_grad():
            streams = model.encode_streams(**{key: value for key, value in batch.items()
                                              if key.startswith(("audio", "face", "frame"))})
        batch.pop("audio_lengths")
        for stream, (features, mask) in streams.items():
            batch |= {stream: features, f"{stream}_mask": mask}
        batches.append(batch)

    def of_step(count: int, step: int) -> list[dict]:
        chosen = [batches[(step + i) % len(batches)] for i in range(count)]
        total = sum(int((batch["labels"] != -100).sum()) for batch in chosen)
        return [{**batch, "num_items_in_batch": total} for batch in chosen]

    return model.train(), of_step


def on_device(batch: dict, device: torch.device) -> dict:
    return {key: value.to(device) if isinstance(value, torch.Tensor) else value for key, value in batch.items()}


def groups_of(model: nn.Module) -> list[dict]:
    groups = [{"params": [], "names": [], "lr": rate, "weight_decay": decay}
              for rate, decay in zip(RATES, (0.1, 0.0), strict=True)]
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            group = groups[parameter.ndim < 2]
            group["params"].append(parameter)
            group["names"].append(name)
    return groups


def run(world: distributed.World, engine: str = "torch", settings: dict | None = None, counts: list[int] | None = None,
        first: int = 0, parts: dict | None = None, mixed: bool = False, resume: str | None = None,
        poison: str | None = None, kept: int | None = None, bfloat16: bool = False, checkpointing: bool = False,
        head_chunk: int | None = None, llm: bool = False,
        **_) -> dict:
    """Steps `first`, first + 1, ...; what they gave, with weights and moments at the end (rank 0 has them)."""
    if parts:
        llm_loss.CHUNK = head_chunk or CHUNK
        model, of_step = affectgpt(parts, bfloat16, uneven=head_chunk is not None, llm=llm)
    else:
        model = Plain()

        def of_step(count, step):
            return plain_batches(count, step, mixed)
    if resume:
        state = torch.load(resume)
        model.load_state_dict(state["weights"], strict=False)
    elif world.rank:
        with torch.no_grad():  # only rank 0's start counts
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter.add_(1)
    model.to(world.device)
    if checkpointing:
        model.activation_checkpointing_enable({"use_reentrant": False})
    deepspeed_engine.KEPT_GRADIENTS = KEPT if kept is None else kept
    kind = {"torch": TorchEngine, "deepspeed": deepspeed_engine.DeepSpeedEngine}[engine]
    made = kind(model, groups_of(model), EngineSettings(**(settings or {})))
    if resume:
        made.load_optimizer(state["moments"], first)
    losses, norms, largest, evaluated = [], [], [], []
    for step, count in enumerate(counts or COUNTS, start=first):
        own = [on_device(batch, world.device) for batch in of_step(count, step)[world.rank :: world.size]]
        model.eval()
        with torch.no_grad():
            own_share = own[: 2 // world.size]  # two micro-batches over all ranks
            evaluated.append(world.sum([sum(float(made.forward(**batch).loss) for batch in own_share)])[0])
        model.train()
        total = 0.0
        for i, batch in enumerate(own):
            loss = made.forward(**batch, **({"poison": poison} if poison else {})).loss
            total += float(loss.detach())
            made.backward(loss, last=i == len(own) - 1)
        losses.append(world.sum([total])[0])
        largest.append(made.largest_gradients(20))
        norms.append(made.step([rate * (1 - 0.1 * step) for rate in RATES]))
    weights, moments = made.trained_state(), made.optimizer_state()
    assert (world.is_main and len(moments) == 2 * len(weights) > 0) or not (weights or moments)
    result = {"losses": losses, "norms": norms, "largest": largest, "evaluated": evaluated,
              "weights": weights, "moments": moments,
              "describe": made.describe(), "memory": made.peak_memory(),
              "still": {name: parameter.detach().cpu().clone() for name, parameter in model.named_parameters()
                        if not parameter.requires_grad and parameter.numel()}}
    made.close()
    return result


def main() -> None:
    torch.set_num_threads(1)
    path = Path(sys.argv[1])
    cases = json.loads(path.read_text())
    device = sys.argv[2] if len(sys.argv) > 2 else "cpu"
    world = distributed.start(device, deepspeed=any(case["engine"] == "deepspeed" for case in cases))
    try:
        words = {"gather": world.gather({"rank": world.rank}), "sum": world.sum([world.rank, 0.5]),
                 "ok": world.all_ok(True)}
        try:
            world.all_ok(not world.rank, "disk full")
        except ValueError as error:
            words["errors"] = world.gather(str(error))
        if world.is_main:
            torch.save(words, path.parent / "world.pt")
        for case in cases:
            try:
                result = run(world, **case)
            except ValueError as error:
                result = {"error": str(error)}
            world.barrier()
            if world.is_main:
                torch.save(result, path.parent / f"{case['name']}.pt")
            world.barrier()
    finally:
        distributed.stop()


if __name__ == "__main__":
    main()
