"""Linear layers of eight or four bits through bitsandbytes, made one at a time from float weights.

Eight bits: LLM.int8() (Dettmers et al. 2022, arXiv 2208.07339). Four: NF4 with double quantization (Dettmers et al.
2023, arXiv 2305.14314).
"""

from __future__ import annotations

import importlib
import importlib.util
import logging

import torch
from torch import Tensor, nn

BITS = ("8bit", "4bit")
CPU_BLOCK = 64
"""On a CPU, bitsandbytes packs rows in blocks of so many numbers, and fails on what remains."""


def check_bits(kind: str) -> None:
    """Raise ValueError where bitsandbytes is not installed."""
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ValueError(f"--quantize {kind} needs bitsandbytes: pip install bitsandbytes, or use --quantize int8 on "
                         "a CPU")


def bits_layer(kind: str, weight: Tensor, bias: Tensor | None, dtype: torch.dtype, device=None) -> nn.Module:
    """A layer of "8bit" or "4bit" weights with a bias as before.

    Args:
        weight, bias: [H, D] and [H] or None.
        dtype: what the layer computes in.
        device: where it is made and stays; the weight's own where None.
    Raises:
        ValueError: a width that bitsandbytes cannot pack on this device.
    """
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of each product that float32 becomes float16
    layers = importlib.import_module("bitsandbytes").nn
    high, wide = weight.shape
    device = torch.device(device if device is not None else weight.device)
    if kind == "4bit" and device.type == "cpu" and wide % CPU_BLOCK:
        raise ValueError(f"--quantize 4bit: a layer of this LLM takes {wide} numbers, and bitsandbytes on a CPU needs "
                         f"multiples of {CPU_BLOCK}; use 8bit or int8")
    with torch.device("meta"):  # its own weights are replaced at once
        if kind == "8bit":
            layer = layers.Linear8bitLt(wide, high, bias=bias is not None, has_fp16_weights=False)
        else:
            layer = layers.Linear4bit(wide, high, bias=bias is not None, compute_dtype=dtype, compress_statistics=True,
                                      quant_type="nf4")
    weight = weight.detach().to(torch.float16 if kind == "8bit" else dtype)
    if kind == "8bit":
        layer.weight = layers.Int8Params(weight, requires_grad=False, has_fp16_weights=False)
    else:
        layer.weight = layers.Params4bit(weight, requires_grad=False, quant_type="nf4", compress_statistics=True,
                                         module=layer)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().to(dtype), requires_grad=False)
    return layer.to(device)  # which quantises
