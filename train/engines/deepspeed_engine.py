"""DeepSpeed behind the interface of `train.engines`: ZeRO 0 to 3, offload, on GPUs or CPUs."""

from __future__ import annotations

import logging
import math
import warnings
from contextlib import ExitStack

import torch
import torch.distributed as dist
from torch import Tensor, nn

from affectgpt.train.engines.base import Engine, adamw, begin_states
from affectgpt.train.engines.settings import EngineSettings, deepspeed_configuration

KEPT_GRADIENTS = 500_000_000
"""ZeRO 2: up to this many trained numbers, a rank keeps its whole gradient until a step ends (2 GB of float32)."""


class DeepSpeedEngine(Engine):
    """DeepSpeed; `train.distributed.start(deepspeed=True)` comes first.

    ZeRO 3 gathers weights while it computes: all ranks must run the same modules in the same order. At ZeRO 2, up to
    KEPT_GRADIENTS trained numbers stay on their rank until the last micro-batch and are then added in a fixed order;
    beyond that they are added as they come, and all ranks must compute them in the same order, which is checked.

    Raises:
        ValueError: as for every engine; DeepSpeed is not started, or its internals are not those of the tested version.
    """

    def __init__(self, model: nn.Module, groups: list[dict], settings: EngineSettings):
        super().__init__(model, groups, settings)
        if not dist.is_initialized():
            raise ValueError("DeepSpeed has no process group: call train.distributed.start(deepspeed=True) first")
        try:
            import deepspeed
        except ImportError as error:
            raise ValueError(f"DeepSpeed cannot be imported ({error}): pip install deepspeed, or choose the torch "
                             "engine") from error
        from deepspeed.utils import logger

        logger.setLevel(logging.WARNING)
        # torch renames what DeepSpeed calls at every step; that is between those two.
        for name in ("all_gather_into_tensor", "reduce_scatter_tensor"):
            warnings.filterwarnings("ignore", f".*{name}` is deprecated", FutureWarning)
        self._library, self.stage = deepspeed, settings.zero_stage
        self.device = torch.device(deepspeed.accelerator.get_accelerator().current_device_name())
        cuda = self.device.type == "cuda"
        optimizer = adamw(groups, settings, cpu_adam=cuda and settings.offload_optimizer)
        model.to(self.device)
        for parameter in model.parameters():
            if parameter.ndim == 0:  # DeepSpeed sends weights as bytes, which a tensor without axes cannot be viewed as
                parameter.data = parameter.data.view(1)
        self._engine, self._zero, *_ = deepspeed.initialize(
            model=model, optimizer=optimizer, config=deepspeed_configuration(settings, self.trained.values(), cuda))
        self._optimizer = optimizer
        begin_states(self._optimizer, self._partitions())
        if self.stage in (1, 2):
            self._internal("_lazy_init_hp_params_optimizer_state")()
        count = sum(shape.numel() for shape in self.shapes.values())
        self._keep = self.stage == 2 and count <= KEPT_GRADIENTS and hasattr(self._engine, "coalesce_grad_reduction")
        # ZeRO 3 sorts the gradients of a bucket.
        self._any_order = self._keep or self.stage < 2 or (
            self.stage == 3 and count <= self._engine.zero_reduce_bucket_size())
        self._step_ends = ExitStack()
        self._order: list[str] = []
        for name, parameter in self.trained.items():
            parameter.register_hook(lambda gradient, name=name: self._order.append(name))

    def forward(self, **batch):
        """The model's output for one micro-batch."""
        return self._engine(**batch)

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradient of a micro-batch; at the last one of a step, that of all ranks."""
        if self._keep and not self._order:  # the first micro-batch of a step
            self._step_ends.enter_context(self._engine.coalesce_grad_reduction())
        self._engine.set_gradient_accumulation_boundary(last)
        # DeepSpeed takes the mean over ranks.
        self._engine.backward(loss * self.size)
        if not last:
            return
        self._refuse_missing(sorted(set(self.trained) - set(self._order)))
        if not self._any_order and self.size > 1:
            orders: list = [None] * self.size
            dist.all_gather_object(orders, self._order)
            if any(order != orders[0] for order in orders):
                raise ValueError("ranks computed their gradients in different orders, and DeepSpeed would mix them up: "
                                 "give every rank the same streams in the same order, or use ZeRO 0 or 1")
        self._step_ends.close()
        self._order.clear()

    def step(self, rates: list[float]) -> float:
        """Take a step at these learning rates, one a group; returns the gradient's norm before clipping."""
        self._set_rates(rates, self._optimizer.param_groups)
        norm = self._clip() if self.stage == 0 else None
        if norm is not None and not math.isfinite(norm):
            self._engine.zero_grad()
            return norm
        self._engine.step()
        return float(self._engine.get_global_grad_norm()) if norm is None else norm

    def describe(self) -> str:
        """What runs, in one line."""
        line = self._description(f"DeepSpeed {self._library.__version__}, ZeRO {self.stage}")
        if self.settings.offload_optimizer:
            line += f", optimizer on CPU ({type(self._optimizer).__name__})"
        return line + (", weights on CPU" if self.settings.offload_parameters else "")

    def close(self) -> None:
        """Take DeepSpeed's hooks off the model."""
        self._engine.destroy()

    def _internal(self, name: str):
        try:
            return getattr(self._zero, name)
        except AttributeError as error:
            raise ValueError(f"DeepSpeed {self._library.__version__} has no {name} at ZeRO {self.stage}: install the "
                             "version of requirements/, with which this engine is tested") from error

    def _partitions(self) -> list[Tensor]:
        """The flat float32 tensors that this rank's optimizer updates."""
        if self.stage == 0:
            return list(self.trained.values())
        return self._internal("fp32_partitioned_groups_flat" if self.stage == 3 else "single_partition_of_fp32_groups")

    def _gradient(self, parameter: nn.Parameter) -> Tensor | None:
        return self._library.utils.safe_get_full_grad(parameter)

    def _whole(self, parameter: nn.Parameter, moment: str | None) -> Tensor:
        if self.stage == 0:
            return super()._whole(parameter, moment)
        if moment:
            return self._library.utils.safe_get_full_optimizer_state(parameter, moment)
        return self._library.utils.safe_get_full_fp32_param(parameter)

    def _set_moment(self, parameter: nn.Parameter, moment: str, value: Tensor) -> None:
        if self.stage == 0:
            super()._set_moment(parameter, moment, value)
        elif self.stage < 3:
            self._library.utils.safe_set_full_optimizer_state(parameter, value, moment)
        else:
            # DeepSpeed's own setter of whole tensors fails where the last rank's share is padded.
            share = parameter.ds_tensor.numel()
            padded = nn.functional.pad(value.flatten(), (0, share * self.size - value.numel()))
            self._library.utils.safe_set_local_optimizer_state(parameter, padded[share * self.rank:][:share], moment)
