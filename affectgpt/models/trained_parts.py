"""Which parts of the model are trained, and in which format parts are held."""

from __future__ import annotations

import importlib

import torch

from affectgpt.models.precision import cast_weights


class TrainedParts:
    """What is frozen and what is trained; mixed into the model's class."""

    def mark_trained(self, encoders: bool = False, llm: bool = False) -> list[str]:
        """Freeze all but LoRA, projectors and pre-fusion (and encoders or the whole LLM, if asked); return the names.

        The one place that decides it: the table that a run prints and the file that it saves follow from it.
        """
        frozen_encoders = () if encoders else ("audio_encoder.", "visual_encoder.")
        if llm and self.dtype_of_llm == torch.bfloat16:
            # Small steps would be lost in bfloat16: weights become float32 and are computed in what they were.
            self.autocast_dtype = torch.bfloat16
            cast_weights(self.language_model, torch.float32)
        for name, parameter in self.named_parameters():
            if name.startswith("language_model."):
                parameter.requires_grad = ("lora_" in name or llm) and parameter.is_floating_point()
            else:
                parameter.requires_grad = not name.startswith(frozen_encoders)
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

    def set_encoder_dtype(self, dtype: torch.dtype) -> None:
        """What frozen encoders compute in; spectra, levels and pooled features stay float32."""
        for encoder in (self.audio_encoder, self.visual_encoder):
            if encoder is not None:
                cast_weights(encoder.model, dtype)

    @property
    def dtype_of_llm(self) -> torch.dtype:
        """What the LLM computes in."""
        return self.autocast_dtype or self.language_model.get_input_embeddings().weight.dtype

    def part_sizes(self) -> list[tuple[str, int, int]]:
        """(part, frozen parameters, trained parameters) of each part."""
        sizes: dict[str, list[int]] = {}
        for name, parameter in self.named_parameters():
            part = "LoRA" if "lora_" in name else name.split(".")[0]
            sizes.setdefault(part, [0, 0])[parameter.requires_grad] += parameter.numel()
        return [(part, frozen, trained) for part, (frozen, trained) in sizes.items()]

    def merge_lora(self) -> None:
        """Add LoRA into the weights it adapts: faster generation, no more training."""
        if not self.lora_merged:
            importlib.import_module("affectgpt.models.lora").merge_lora(self.language_model)
        self.lora_merged = True
