"""What of a model is trained, and with it what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from affectgpt.models.lora import merge_lora


class TrainedParts:
    """The part of the model class that knows frozen from trained parameters."""

    def mark_trained(self, encoders: bool = False, llm: bool = False) -> list[str]:
        """Freeze all but LoRA, projectors and pre-fusion (and encoders or the whole LLM, if asked); return the names.

        The one place that decides it: the table that a run prints and the file that it saves follow from it.
        """
        frozen_encoders = () if encoders else ("audio_encoder.", "visual_encoder.")
        if llm and self.dtype_of_llm == torch.bfloat16:
            # Small steps would be lost in bfloat16: weights become float32 and are computed in what they were.
            self.autocast_dtype = torch.bfloat16
            self.language_model.float()
        for name, parameter in self.named_parameters():
            if name.startswith("language_model."):
                parameter.requires_grad = ("lora_" in name or llm) and parameter.is_floating_point()
            else:
                parameter.requires_grad = not name.startswith(frozen_encoders)
        return [name for name, parameter in self.named_parameters() if parameter.requires_grad]

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

    def fit_norms(self, inputs: Iterable) -> None:
        """Standardise by the features of these inputs, read one after the other.

        Raw inputs and streams without a norm are left as they are.
        """
        sums = {stream: [0, 0.0, 0.0] for stream in self.norms}
        for one in inputs:
            for stream, total in sums.items():
                values = getattr(one, stream)
                if values is not None and values.ndim == 2:
                    values = values.double()
                    total[0] += len(values)
                    total[1] = total[1] + values.sum(0)
                    total[2] = total[2] + values.square().sum(0)
        for stream, (count, total, squares) in sums.items():
            if count:
                mean = total / count
                self.norms[stream].set(mean, (squares / count - mean.square()).clamp(min=0).sqrt())

    def merge_lora(self) -> None:
        """Add LoRA into the weights it adapts: faster generation, no more training."""
        merge_lora(self.language_model)
        self.lora_merged = True

    def train(self, mode: bool = True):
        """Frozen encoders stay in evaluation mode: their dropout would be noise on the features."""
        super().train(mode)
        for encoder in (self.audio_encoder, self.visual_encoder):
            if encoder is not None and not any(parameter.requires_grad for parameter in encoder.parameters()):
                encoder.eval()
        return self

    def saved_names(self) -> set[str]:
        """State entries that a checkpoint holds: all trained parts, or everything where the base has no name."""
        state = self.state_dict()
        if self.config.bundled or not self.config.llm:
            return set(state)
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        bridge = ("norms.", "projectors.", "fusion.", "token_norms.")
        return {name for name in state if name in trained or name.startswith(bridge) or "lora_" in name}
