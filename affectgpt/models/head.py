"""From an LLM's hidden states to its logits: the head's matrix, and what some families do around it.

Shapes: N positions, H LLM width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_DIVIDED = (
    "granite",
    "granitemoe",
    "granitemoeshared",
    "granitemoehybrid",
    "granite_swa",
    "granitemoe_swa",
    "minicpm3",
)
_CAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
TOLERANCE = 2e-3
"""Of the largest logit, in float32; rounding in bfloat16 is allowed eight bits."""


@dataclass(frozen=True)
class LogitRule:
    """logits = cap tanh(scale W h / cap), for the matrix W and hidden states h; without a cap scale W h."""

    scale: float = 1.0
    cap: float | None = None

    @classmethod
    def of(cls, config) -> LogitRule:
        """The rule of an LLM's configuration, as its family's `...ForCausalLM` in transformers has it.

        Granite and MiniCPM3 divide by `logits_scaling` and HyperCLOVA X multiplies by it, Cohere has `logit_scale`,
        Falcon H1 `lm_head_multiplier`, Gemma and NanoChat a soft cap.
        """
        config = config.get_text_config()
        scale = 1.0
        if getattr(config, "logits_scaling", None) is not None:
            scale = 1 / config.logits_scaling if config.model_type in _DIVIDED else config.logits_scaling
        for name in ("logit_scale", "lm_head_multiplier"):
            if getattr(config, name, None) is not None:
                scale *= getattr(config, name)
        caps = [getattr(config, name, None) for name in _CAPS]
        return cls(float(scale), next((float(cap) for cap in caps if cap), None))

    def apply(self, logits: Tensor) -> Tensor:
        """Logits of what the matrix gave [..., V]."""
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def inside(module: nn.Module, function: Callable, *inputs):
    """function(*inputs) in one call of `module`: what hangs on the call happens once, whatever the function repeats.

    ZeRO 3 gathers a module's weights from all ranks when it is called, so all ranks must call it equally often.
    """
    before = module.__dict__.get("forward")  # where someone has put another one in
    module.forward = function
    try:
        return module(*inputs)
    finally:
        del module.forward
        if before is not None:
            module.forward = before


@torch.no_grad()
def check_logits(language_model: nn.Module, name: str, decode: Callable[[Tensor], Tensor]) -> None:
    """Compare logits of a few tokens with those of the LLM's own forward pass.

    Args:
        decode: embeddings [1, S, H] -> logits [1, S, V], as AffectGPT computes them.
    Raises:
        ValueError: they differ, so that the LLM would be trained towards something else than what it answers with.
    """
    embedding = language_model.get_input_embeddings()
    if embedding.weight.device.type == "meta":
        return
    training = language_model.training
    language_model.eval()
    try:
        ids = torch.arange(1, 7, device=embedding.weight.device)[None] * 13 % embedding.num_embeddings
        own = language_model(input_ids=ids, use_cache=False).logits.float()
        ours = decode(embedding(ids)).float()
    finally:
        language_model.train(training)
    allowed = TOLERANCE * (1 if embedding.weight.dtype == torch.float32 else 20) * float(own.abs().max())
    if ours.shape != own.shape or not float((ours - own).abs().max()) <= allowed:
        raise ValueError(f"model.llm={name}: a {language_model.config.model_type!r} model computes its logits in a way "
                         "that AffectGPT does not know, so it would be trained wrong: take an LLM of another family "
                         "(docs/llms.md lists those that are checked)")
