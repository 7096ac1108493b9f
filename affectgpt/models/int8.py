"""The linear layers of an LLM held in eight bits each weight, for answering on a CPU with less memory.

Weight only (W8A16 in the literature: Dettmers et al. 2022, arXiv 2208.07339, compare weights by row as well): each
output row has one scale, activations keep their format. The head and the embeddings stay as they are: their errors
would reach every token directly, and they are read by row anyway.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from affectgpt.models.bits import BITS, bits_layer, check_bits
from affectgpt.models.merged_lora import lora_product

KERNEL_ROWS = 16
"""Up to so many tokens at once torch's int8 kernel is faster than a product with the weights made float again."""
KERNEL_MULTIPLE = 64
"""The kernel has no code for what remains of a row: with other sizes it reads past its end."""
BLOCK = 1 << 19
"""Weights that are made float at a time where the kernel does not serve: 2 MiB in float32, whatever the layer."""


def quantise_rows(weight: Tensor) -> tuple[Tensor, Tensor]:
    """A weight [H, D] -> int8 [H, D] and float32 scales [H]: the weight is nearly their product.

    A scale is a bfloat16 number that is rounded up, so the kernel, which takes it in bfloat16, loses nothing of it.

    Raises:
        ValueError: a weight that is not finite.
    """
    weight = weight.float()
    largest = weight.abs().amax(1)
    if not torch.isfinite(largest).all():
        raise ValueError("a weight of the LLM is not finite: it cannot be quantised")
    scale = (largest / 127 * (1 + 2**-7)).to(torch.bfloat16).float()
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))  # a row of zeros
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer with int8 weights [H, D], a scale for each row [H] and, as before, a bias [H].

    Takes and gives what the float layer did, in any floating format; on a CPU.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None):
        super().__init__()
        self.out_features, self.in_features = weight.shape
        values, scale = quantise_rows(weight)
        self.register_buffer("weight", values)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", None if bias is None else bias.detach())
        self.fits_kernel = not (self.in_features % KERNEL_MULTIPLE or self.out_features % KERNEL_MULTIPLE)

    def forward(self, inputs: Tensor) -> Tensor:
        rows = inputs.reshape(-1, self.in_features)
        if self.fits_kernel and 0 < len(rows) <= KERNEL_ROWS:
            # In bfloat16 also where activations are float32: for those, torch's kernel is a plain loop.
            outputs = torch._weight_int8pack_mm(rows.to(torch.bfloat16).contiguous(), self.weight,
                                                self.scale.to(torch.bfloat16)).to(inputs.dtype)
        else:
            outputs = rows.new_empty(len(rows), self.out_features)
            step = max(1, BLOCK // self.in_features)
            for start in range(0, self.out_features, step):
                block = self.weight[start : start + step].to(rows.dtype)
                outputs[:, start : start + step] = nn.functional.linear(rows, block)
            outputs *= self.scale.to(rows.dtype)
        if self.bias is not None:
            outputs = outputs + self.bias.to(outputs.dtype)
        return outputs.view(*inputs.shape[:-1], self.out_features)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def check_quantisable(text_config, device: str, kind: str = "int8") -> None:
    """Raise ValueError where weights of this kind do not fit: int8 on a GPU, eight or four bits without bitsandbytes,
    or an LLM that is quantised already."""
    if kind in BITS:
        check_bits(kind)
    elif torch.device(device).type != "cpu":
        raise ValueError(f"--quantize int8 is for the CPU, and the device is {device}: leave it out, or use "
                         "--device cpu, or --quantize 8bit")
    if getattr(text_config, "quantization_config", None) is not None:
        raise ValueError(f"--quantize {kind}: the LLM of this model is quantised already; leave it out")


@torch.no_grad()
def quantise(language_model: nn.Module, pairs: list[tuple[str, Tensor, Tensor]] = (), scale: float = 1.0,
             kind: str = "int8", dtype: torch.dtype = torch.float32, device=None) -> int:
    """Quantise every linear layer but the head, layer by layer: no second copy of the LLM is ever held.

    Args:
        pairs, scale: LoRA that is added to the weights before they are rounded, as in `merged_lora.add_lora`.
        kind: "int8" of this module, or "8bit" and "4bit" of `models.bits`.
        dtype, device: of layers of `models.bits`: what they compute in, and where they are made.
    Returns:
        how many layers there are.
    Raises:
        ValueError: no linear layer, one that is quantised already, or LoRA that does not fit its layer.
    """
    head = language_model.get_output_embeddings()
    layers = {name: module for name, module in language_model.named_modules() if module is not head
              and (isinstance(module, (nn.Linear, Int8Linear)) or hasattr(module, "quant_state"))}
    for name, layer in layers.items():
        if type(layer) is not nn.Linear or not layer.weight.is_floating_point() or "lora_" in name:
            raise ValueError(f"--quantize {kind}: {name} is a {type(layer).__name__}, which is no plain linear layer "
                             "(LoRA that is not merged, or an LLM that is quantised already); leave it out")
    if not layers:
        raise ValueError(f"--quantize {kind}: this LLM has no plain linear layers; leave it out")
    lora = {name: (a, b) for name, a, b in pairs}
    for name, layer in layers.items():
        weight = layer.weight
        if name in lora:
            weight = weight.float() + lora_product(name, weight, *lora[name], scale)
        made = Int8Linear(weight, layer.bias) if kind == "int8" else bits_layer(kind, weight, layer.bias, dtype, device)
        parent, _, own = name.rpartition(".")
        setattr(language_model.get_submodule(parent), own, made)
        layer.weight = layer.bias = None
    return len(layers)
