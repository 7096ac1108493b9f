"""Arithmetic of a training step, and the share of the machine's peak that it uses.

A multiplication by a weight costs 2 operations a token forward, 2 for the gradient of its input and, only where the
weight is trained, 2 for its own gradient: 4 N for frozen and 6 N for trained weights (Korthikanti et al. 2022,
arXiv 2205.05198, appendix A, for 6 N; without weight gradients it is 4 N). Embedding look-ups cost nothing, padding
does not count, and the head counts for labelled positions alone. Encoders count where they run.
"""

from __future__ import annotations

import re
import time
from functools import cache

import torch
from torch import nn

PEAKS = {
    "GB200": 2500e12, "B200": 2250e12, "GH200": 989e12, "H200": 989e12, "H200 NVL": 835e12, "H100 HBM3": 989e12,
    "H100 NVL": 835e12, "H100 PCIe": 756e12, "H800": 989e12, "H800 PCIe": 756e12, "H20": 148e12, "A100": 312e12,
    "A800": 312e12, "A30": 165e12, "A10": 125e12, "A10G": 70e12, "L40S": 362e12, "L40": 181e12, "L4": 121e12,
    "RTX 6000 Ada": 364e12, "RTX A6000": 155e12, "RTX 4090": 165e12, "RTX 3090": 71e12, "V100 SXM2": 125e12,
    "V100 PCIE": 112e12,
}
"""Dense bfloat16 operations a second (V100: float16) from data sheets, by words that are all in a GPU's name."""


class StepCost:
    """Operations of forward and backward passes of one model.

    Args:
        model: an AffectGPT model, after `mark_trained`.
    """

    def __init__(self, model):
        self.dtype, language_model = model.dtype_of_llm, model.language_model
        head = language_model.get_output_embeddings().weight
        table = language_model.get_input_embeddings().weight
        self.head = _cost(head)
        self.body = sum(_cost(p) for p in language_model.parameters()
                        if len(_shape(p)) == 2 and p is not head and p is not table)
        self.bridge = sum(6 * _shape(p).numel() for part in (model.projectors, model.fusion) if part is not None
                          for p in part.parameters() if len(_shape(p)) == 2)
        config = model.config.text_config
        width = config.num_attention_heads * (getattr(config, "head_dim", None)
                                              or config.hidden_size // config.num_attention_heads)
        # Scores and weighted sum, 2 operations each, over half of the positions: causal. Three times with backward.
        self.attention = 3 * 2 * config.num_hidden_layers * width

    def operations(self, tokens: int, labelled: int, squares: int, clips: int = 0) -> float:
        """Operations of a step.

        Args:
            tokens: real tokens. labelled: those with a label. squares: sum over clips of their length squared.
            clips: clips whose streams pass the projectors (about one vector a token of theirs).
        """
        return self.body * tokens + self.head * labelled + self.attention * squares + self.bridge * clips


def _shape(weight: nn.Parameter) -> torch.Size:
    """Shape of the whole weight: ZeRO 3 and QLoRA keep it beside what is left of the tensor."""
    packed = getattr(weight, "quant_state", None)
    return packed.shape if packed is not None else getattr(weight, "ds_shape", weight.shape)


def _cost(weight: nn.Parameter) -> int:
    return (6 if weight.requires_grad else 4) * _shape(weight).numel()


MEASURING_SECONDS = 0.3
"""Enough matmuls for the fastest to be undisturbed; where one takes longer it is the only one."""


def peak_of_name(name: str) -> float | None:
    """Operations a second of a GPU by the name that its driver gives it; None for an unknown one or a part of one."""
    words = set(re.split(r"[\s-]+", name))
    known = [part for part in PEAKS if words.issuperset(part.split())]
    return PEAKS[max(known, key=lambda part: len(part.split()))] if known and "MIG" not in words else None


def operations_text(operations: float) -> str:
    """Operations a second in words, with a unit that fits."""
    for size, unit in ((1e12, "TFLOP/s"), (1e9, "GFLOP/s"), (1e6, "MFLOP/s")):
        if operations >= size:
            break
    return f"{operations / size:.3g} {unit}"


@cache
def peak_operations(device: torch.device, dtype: torch.dtype = torch.bfloat16) -> tuple[float, str]:
    """(operations a second, where the figure is from): a data sheet's for a known GPU, else measured by a matmul.

    dtype: what the model computes in; a data sheet's figure is that of bfloat16.
    """
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        peak = peak_of_name(name)
        if peak is not None:
            return peak, f"data sheet of {name}"
    size = 8192 if device.type == "cuda" else 1024
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    begun = time.perf_counter()
    while best == float("inf") or time.perf_counter() - begun < MEASURING_SECONDS:
        started = time.perf_counter()
        left @ right
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best, f"measured, {str(dtype).removeprefix('torch.')} matmul of {size} x {size}"
