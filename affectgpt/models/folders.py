"""A model as a folder: config.json and model.safetensors, of everything or of the trained parts over named bases."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers.initialization import no_init_weights

from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.int8 import quantise
from affectgpt.models.merged_lora import add_lora, take_lora
from affectgpt.models.precision import cast_weights

WEIGHTS_NAME = "model.safetensors"


class FolderMethods:
    """How the model is written to a folder and read from one; mixed into the model's class."""

    def saved_names(self) -> set[str]:
        """State entries that a checkpoint holds: all trained parts, or everything where the base has no name."""
        state = self.state_dict()
        if self.config.bundled or not self.config.llm:
            return set(state)
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        bridge = ("norms.", "projectors.", "fusion.", "token_norms.")
        return {name for name in state if name in trained or name.startswith(bridge) or "lora_" in name}

    def save_pretrained(self, save_directory, state_dict: dict | None = None, **kwargs) -> None:
        """Write config.json and model.safetensors; each file is whole or absent."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        state = state_dict if state_dict is not None else self.state_dict()
        self.config.bundled = not self.config.llm
        self.config.architectures = [type(self).__name__]
        self.config.save_pretrained(folder)
        names = self.saved_names()
        # Tied tensors share memory, which safetensors refuses: each is written as its own copy.
        tensors = {name: tensor.detach().clone().contiguous().cpu() for name, tensor in state.items() if name in names}
        temporary = folder / f"{WEIGHTS_NAME}.{os.getpid()}.tmp"
        try:
            save_file(tensors, temporary, metadata={"format": "pt"})
            shutil.copymode(folder / "config.json", temporary)  # else only its owner may read it
            os.replace(temporary, folder / WEIGHTS_NAME)
        finally:
            temporary.unlink(missing_ok=True)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, config: AffectGPTConfig | None = None,
                        dtype: torch.dtype | str | None = None, attn_implementation: str = "sdpa",
                        merge_lora: bool = False, quantize: str | None = None, **kwargs):
        """Load a model folder: its base parts, then the trained parts over them.

        A folder that holds everything needs no other module; base parts by name are loaded by `affectgpt.loading`.
        `merge_lora` adds LoRA to the weights that it adapts as they are loaded: to answer with, not to train on.
        `quantize="int8"` does that too, and rounds the weights of the LLM's linear layers to eight bits
        (`models.int8`).

        Raises:
            ValueError: a folder without weights, weights that are not the ones the configuration needs, or an LLM
                whose layers cannot be quantised.
        """
        folder = Path(pretrained_model_name_or_path)
        if not folder.is_dir():
            folder = importlib.import_module("affectgpt.hub").local_folder(str(pretrained_model_name_or_path))
        config = config or AffectGPTConfig.from_pretrained(folder)
        weights = folder / WEIGHTS_NAME
        if not weights.is_file():
            raise ValueError(f"{folder} has no {WEIGHTS_NAME}: the model is half written or not an AffectGPT model")
        if dtype is None or dtype == "auto":
            dtype = config.dtype or torch.float32
        dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        if config.bundled:
            with no_init_weights():  # every one is read, or missing below
                model = cls(config, merge_lora=merge_lora or quantize is not None)
            model.language_model.tie_weights()
        else:
            model = importlib.import_module("affectgpt.loading").with_parts(
                config, dtype, attn_implementation, merge_lora=merge_lora or quantize is not None,
                as_stored=quantize is not None)
        model.mark_trained()
        model.load_weights(weights, quantize)
        if quantize is not None:
            cast_weights(model.language_model, dtype)
        return model.eval()

    def load_weights(self, weights: Path, quantize: str | None = None) -> None:
        """Put the tensors of a file over the model's own.

        quantize: "int8" rounds the LLM's linear layers, LoRA added, to eight bits.

        Raises:
            ValueError: the file cannot be read, or its tensors are not the ones the configuration needs.
        """
        try:
            state = load_file(weights)
        except SafetensorError as error:
            raise ValueError(f"{weights} cannot be read ({error}): the model is half written; train it "
                             "again") from error
        if quantize is not None and not self.lora_merged:
            raise ValueError("--quantize int8: this LLM's layers are no plain linear ones (GPT-2's Conv1D); leave it "
                             "out")
        pairs, lacking = [], []
        if self.lora_merged and self.config.lora_rank:
            pairs, lacking = take_lora(state, self.language_model, self.config.lora_targets)
        own = self.state_dict()
        missing = sorted(set(lacking) | (set(own) if self.config.bundled else self.saved_names()) - set(state))
        unexpected = sorted(set(state) - set(own))
        wrong = sorted(name for name in set(state) & set(own) if state[name].shape != own[name].shape)
        if missing or unexpected or wrong:
            raise ValueError(f"{weights} does not fit its config.json: {len(missing)} tensors are missing "
                             f"({', '.join(missing[:2])}), {len(unexpected)} are unknown "
                             f"({', '.join(unexpected[:2])}), {len(wrong)} have another size ({', '.join(wrong[:2])})")
        self.load_state_dict(state, strict=False)
        scale = self.config.lora_alpha / max(1, self.config.lora_rank)
        if quantize is None:
            add_lora(self.language_model, pairs, scale)
        else:
            quantise(self.language_model, pairs, scale)
