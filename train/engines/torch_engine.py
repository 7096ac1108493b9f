"""Plain PyTorch: each rank holds everything, and gradients are added over ranks."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import Tensor, nn

from affectgpt.train.engines.base import Engine, adamw, begin_states
from affectgpt.train.engines.settings import BUCKET, EngineSettings


class TorchEngine(Engine):
    """torch's AdamW; with several ranks each holds everything, and gradients are added at the last micro-batch.

    Raises:
        ValueError: as for every engine, and settings that only DeepSpeed follows.
    """

    def __init__(self, model: nn.Module, groups: list[dict], settings: EngineSettings):
        super().__init__(model, groups, settings)
        for name in ("zero_stage", "deepspeed_config"):
            if getattr(settings, name):
                raise ValueError(f"the engine is torch and {name} is {getattr(settings, name)}: choose the DeepSpeed "
                                 f"engine, or leave {name} out")
        if self.size > 1:
            for parameter in self.trained.values():
                dist.broadcast(parameter.data, 0)
        self._optimizer = adamw(groups, settings, fused=True)  # one pass over each tensor instead of a dozen
        begin_states(self._optimizer, self.trained.values())

    def backward(self, loss: Tensor, last: bool) -> None:
        """Add the gradient of a micro-batch; at the last one of a step, that of all ranks."""
        loss.backward()
        if not last:
            return
        self._refuse_missing([name for name, parameter in self.trained.items() if parameter.grad is None])
        if self.size > 1:
            for bucket in _buckets([parameter.grad for parameter in self.trained.values()]):
                flat = torch.cat([gradient.flatten() for gradient in bucket])
                dist.all_reduce(flat)
                for gradient, total in zip(bucket, flat.split([gradient.numel() for gradient in bucket]), strict=True):
                    gradient.copy_(total.view_as(gradient))

    def step(self, rates: list[float]) -> float:
        """Take a step at these learning rates, one a group; returns the gradient's norm before clipping."""
        self._set_rates(rates, self._optimizer.param_groups)
        norm = self._clip()
        if math.isfinite(norm):
            self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def describe(self) -> str:
        """What runs, in one line."""
        return self._description("torch")


def _buckets(tensors: list[Tensor]) -> list[list[Tensor]]:
    """Neighbours together, up to BUCKET numbers."""
    buckets, filled = [[]], 0
    for tensor in tensors:
        if filled and filled + tensor.numel() > BUCKET:
            buckets.append([])
            filled = 0
        buckets[-1].append(tensor)
        filled += tensor.numel()
    return buckets
