"""LoRA inside the LLM (Hu et al. 2021, arXiv 2106.09685), through PEFT."""

from __future__ import annotations

from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn


def with_lora(language_model: nn.Module, config) -> nn.Module:
    """The LLM with LoRA as an AffectGPT configuration says; the small matrices are float32."""
    lora = LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, lora_dropout=config.lora_dropout,
                      target_modules=config.lora_targets, task_type="CAUSAL_LM")
    language_model = inject_adapter_in_model(lora, language_model)
    for name, parameter in language_model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()  # small steps would be lost in bfloat16
    for module in language_model.modules():
        if isinstance(module, BaseTunerLayer):
            # Autocast brings the small matrices to the activations' format; PEFT would do it the other way
            # round, which doubles the time of a step on a CPU.
            module.cast_input_dtype_enabled = False
    return language_model


def merge_lora(language_model: nn.Module) -> None:
    """Add every LoRA product to the weight it adapts, in place."""
    for module in language_model.modules():
        if isinstance(module, BaseTunerLayer):
            module.merge()
