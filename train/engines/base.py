"""What runs an optimizer step: plain PyTorch, or DeepSpeed with ZeRO 0 to 3. Both do the mathematics of torch's AdamW.

The gradient of a step is the plain sum over its micro-batches and over all ranks; nothing is averaged. Weights and
Adam's moments leave an engine whole, under the model's parameter names, so that any other engine, stage or number of
ranks goes on with them. A step whose gradient is not finite changes nothing, in any engine; its norm says so.
"""

from __future__ import annotations

import math
import resource
import sys
import warnings

import torch
import torch.distributed as dist
from torch import Tensor, nn

from affectgpt.train.engines.settings import EngineSettings

MOMENTS = ("exp_avg", "exp_avg_sq")


class Engine:
    """What both engines share: names, checks, and whole tensors in and out.

    Args:
        model: the model to train, on its device for TorchEngine; DeepSpeed moves it.
        groups: {"params", "names", "lr", "weight_decay"} each; together every trained parameter once. At ZeRO 3 the
            model's own parameters are shares from then on: ask for `trained_state`.
    Raises:
        ValueError: settings that contradict themselves, or groups that are not the model's trained float32 parameters.
    """

    def __init__(self, model: nn.Module, groups: list[dict], settings: EngineSettings):
        problems = settings.problems()
        if problems:
            raise ValueError("; ".join(problems))
        self.model, self.settings = model, settings
        self.trained = _trained(model, groups)
        self.shapes = {name: parameter.shape for name, parameter in self.trained.items()}
        self.rank, self.size = (dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else (0, 1)
        self.device = next(iter(self.trained.values())).device

    def forward(self, **batch):
        """The model's output for one micro-batch."""
        return self.model(**batch)

    def largest_gradients(self, count: int = 5) -> list[tuple[str, float]]:
        """(name, largest |gradient| over all ranks' sum) of the `count` parameters where it is largest, NaN first.

        Collective; between the last backward of a step and `step`.
        """
        found = []
        for name, parameter in self.trained.items():
            gradient = self._gradient(parameter)
            if gradient is not None:
                found.append((name, float(gradient.detach().abs().max())))
        return sorted(found, key=lambda pair: (not math.isnan(pair[1]), -pair[1]))[:count]

    def trained_state(self) -> dict[str, Tensor]:
        """name -> whole float32 CPU tensor of each trained parameter, on rank 0; {} elsewhere. Collective."""
        return self._collected(None)

    def optimizer_state(self) -> dict[str, Tensor]:
        """"exp_avg.NAME" and "exp_avg_sq.NAME" -> whole float32 CPU tensors, on rank 0; {} elsewhere. Collective."""
        return {f"{moment}.{name}": value for moment in MOMENTS for name, value in self._collected(moment).items()}

    def _collected(self, moment: str | None) -> dict[str, Tensor]:
        state = {}
        for name, parameter in self.trained.items():
            value = self._whole(parameter, moment)
            if self.rank == 0:
                state[name] = value.detach().to("cpu", torch.float32, copy=True).view(self.shapes[name])
        return state

    def load_optimizer(self, state: dict[str, Tensor], step: int) -> None:
        """Go on as if `step` steps had been taken that left these moments; on every rank, with the whole state.

        Raises:
            ValueError: the state is of other parameters.
        """
        shapes = {f"{moment}.{name}": shape for moment in MOMENTS for name, shape in self.shapes.items()}
        missing, unknown = sorted(set(shapes) - set(state)), sorted(set(state) - set(shapes))
        wrong = [name for name in shapes if name in state and state[name].shape != shapes[name]]
        if missing or unknown or wrong:
            raise ValueError(f"the optimizer state is not of these trained parameters: {len(missing)} missing "
                             f"({', '.join(missing[:2])}), {len(unknown)} unknown ({', '.join(unknown[:2])}), "
                             f"{len(wrong)} of another shape ({', '.join(wrong[:2])}); start anew, or train the same "
                             "parts")
        for name, parameter in self.trained.items():
            for moment in MOMENTS:
                self._set_moment(parameter, moment, state[f"{moment}.{name}"].float())
        for part in self._optimizer.state.values():
            # torch counts in a tensor, DeepSpeed's CPU Adam in an integer.
            part["step"] = torch.full_like(part["step"], step) if isinstance(part["step"], Tensor) else step

    def peak_memory(self) -> int:
        """Most bytes in use so far: of GPU memory where the model is on one, else of the process."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device)
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

    def close(self) -> None:
        """Let go of what the engine has hooked into the model."""

    def _description(self, name: str) -> str:
        frozen = {parameter.dtype for parameter in self.model.parameters() if not parameter.requires_grad}
        others = sorted(str(dtype).removeprefix("torch.") for dtype in frozen - {torch.float32})
        kinds = "float32" + (f" (frozen {', '.join(others)})" if others else "")
        return f"{name}, {self.size} rank{'s' if self.size > 1 else ''}, {kinds}"

    def _set_rates(self, rates: list[float], groups: list[dict]) -> None:
        if len(rates) != len(groups):
            raise ValueError(f"{len(rates)} learning rates for {len(groups)} groups of parameters")
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = rate

    def _refuse_missing(self, without: list[str]) -> None:
        """Ranks add up gradients in one order: a parameter that one of them lacks would shift all others."""
        if without:
            raise ValueError(f"rank {self.rank} has no gradient for {', '.join(without[:3])} ({len(without)} of "
                             f"{len(self.trained)} trained parameters): every rank must use all of them in a step")

    def _clip(self) -> float:
        """Norm of the gradients that parameters hold; clips them where that is asked for."""
        parameters = list(self.trained.values())
        norm = nn.utils.get_total_norm([parameter.grad for parameter in parameters])
        value = float(norm)  # the host waits once
        if self.settings.clip_norm and math.isfinite(value):
            nn.utils.clip_grads_with_norm_(parameters, self.settings.clip_norm, norm)
        return value

    # What follows holds where each rank has whole parameters, gradients and moments.

    def _gradient(self, parameter: nn.Parameter) -> Tensor | None:
        return parameter.grad

    def _whole(self, parameter: nn.Parameter, moment: str | None) -> Tensor:
        return self._optimizer.state[parameter][moment] if moment else parameter

    def _set_moment(self, parameter: nn.Parameter, moment: str, value: Tensor) -> None:
        self._optimizer.state[parameter][moment].copy_(value.view_as(parameter))


def _trained(model: nn.Module, groups: list[dict]) -> dict[str, nn.Parameter]:
    """name -> parameter of all groups, in the model's order, after checking that they are what the model trains."""
    given = {}
    for group in groups:
        if not group["params"] or len(group["params"]) != len(group["names"]):
            raise ValueError(f"a group of {len(group['params'])} parameters and {len(group['names'])} names")
        for name, parameter in zip(group["names"], group["params"], strict=True):
            if name in given:
                raise ValueError(f"{name} is in two groups")
            given[name] = parameter
    own = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    wrong = sorted(set(own) ^ set(given)) + [name for name in own if name in given and own[name] is not given[name]]
    if wrong:
        raise ValueError(f"the groups are not the model's trained parameters: {', '.join(wrong[:3])}")
    for name, parameter in own.items():
        if parameter.dtype != torch.float32:
            raise ValueError(f"{name} is trained and {parameter.dtype}: trained parameters are float32")
    return own


def adamw(
    groups: list[dict], settings: EngineSettings, cpu_adam: bool = False, fused: bool = False
) -> torch.optim.Optimizer:
    bare = [{"params": list(group["params"]), "lr": group["lr"], "weight_decay": group["weight_decay"]}
            for group in groups]
    if cpu_adam:
        from deepspeed.ops.adam import DeepSpeedCPUAdam

        try:
            return DeepSpeedCPUAdam(bare, betas=settings.betas, eps=settings.eps, adamw_mode=True)
        except RuntimeError as error:
            warnings.warn(f"{error} torch's slower AdamW runs on the CPU instead.", stacklevel=3)
    return torch.optim.AdamW(bare, betas=settings.betas, eps=settings.eps, fused=fused)


def begin_states(optimizer: torch.optim.Optimizer, tensors) -> None:
    """Adam's state before the first step, which optimizers make only in it: to be read and written from the start.

    torch's fused kernel wants the number of steps beside the parameter, its other ones on the CPU.
    """
    whole, fused = isinstance(optimizer, torch.optim.AdamW), optimizer.defaults.get("fused")
    for tensor in tensors:
        step = torch.zeros((), device=tensor.device if fused else "cpu") if whole else 0
        zeros = {moment: torch.zeros_like(tensor, memory_format=torch.preserve_format, requires_grad=False)
                 for moment in MOMENTS}
        optimizer.state[tensor] = {"step": step, **zeros}
