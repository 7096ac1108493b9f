"""How an engine takes steps, and the DeepSpeed configuration that follows from it."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

BUCKET = 500_000_000
"""Most numbers that travel between ranks at once; DeepSpeed's own default."""
ZERO = "zero_optimization"
OWNED = (
    "train_batch_size", "train_micro_batch_size_per_gpu", "gradient_accumulation_steps", "gradient_clipping",
    "optimizer", "scheduler", "fp16", "bf16", "amp", "torch_autocast", "data_types", "gradient_allreduce_op",
    "managed_gradient_accumulation", f"{ZERO}.stage", f"{ZERO}.compute_grad_norm", f"{ZERO}.zenflow",
    *(f"{ZERO}.{part}.{key}" for part in ("offload_optimizer", "offload_param")
      for key in ("device", "nvme_path", "ratio", "super_offload")))
"""Keys of a DeepSpeed configuration that the engine sets, or that would change the mathematics of a step."""


@dataclass
class EngineSettings:
    """How steps are taken.

    Attributes:
        clip_norm: largest norm of a step's gradient; 0 clips nothing.
        zero_stage: 0 to 3; what DeepSpeed divides among ranks (optimizer, gradients, weights).
        offload_optimizer: keep master weights and moments in CPU memory; ZeRO 1 to 3.
        offload_parameters: keep weights in CPU memory as well; ZeRO 3.
        betas, eps: Adam's.
        deepspeed_config: more keys of a DeepSpeed configuration, bucket sizes for example.
    """

    clip_norm: float = 0.0
    zero_stage: int = 0
    offload_optimizer: bool = False
    offload_parameters: bool = False
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    deepspeed_config: dict | None = None

    def problems(self) -> list[str]:
        """What contradicts itself, each naming both values; empty where all is well."""
        found = []
        if not (self.clip_norm >= 0 and math.isfinite(self.clip_norm)):
            found.append(f"clip_norm is {self.clip_norm}: take 0 for no clipping, or a positive number")
        if self.zero_stage not in (0, 1, 2, 3):
            found.append(f"zero_stage is {self.zero_stage}: take 0, 1, 2 or 3")
        if self.offload_optimizer and self.zero_stage == 0:
            found.append("offload_optimizer is true and zero_stage is 0: only ZeRO 1 to 3 keep an optimizer on the CPU")
        if self.offload_parameters and self.zero_stage != 3:
            found.append(f"offload_parameters is true and zero_stage is {self.zero_stage}: only ZeRO 3 keeps weights "
                         "on the CPU")
        for key in OWNED:
            value = self.deepspeed_config or {}
            for word in key.split("."):
                value = value.get(word) if isinstance(value, dict) else None
            if value is not None:
                found.append(f"deepspeed_config sets {key} to {value}, which the engine sets itself: leave it out")
        return found


def deepspeed_configuration(settings: EngineSettings, trained, cuda: bool) -> dict:
    """The DeepSpeed configuration: ours, and the user's keys over it."""
    offload = {"device": "cpu", "pin_memory": cuda}
    zero = {"stage": settings.zero_stage}
    if settings.zero_stage:
        zero["reduce_bucket_size"] = min(BUCKET, sum(parameter.numel() for parameter in trained))
    if settings.offload_optimizer:
        zero["offload_optimizer"] = dict(offload)
    if settings.offload_parameters:
        zero["offload_param"] = dict(offload)
    ours = {
        "train_micro_batch_size_per_gpu": 1, "gradient_accumulation_steps": 1,  # backward() says where a step ends
        "gradient_clipping": settings.clip_norm if settings.zero_stage else 0.0,  # ZeRO 0 would not tell the norm
        "zero_force_ds_cpu_optimizer": False, "steps_per_print": None, ZERO: zero}
    return _merged(ours, settings.deepspeed_config or {})


def _merged(ours: dict, theirs: dict) -> dict:
    result = copy.deepcopy(ours)
    for key, value in theirs.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result
