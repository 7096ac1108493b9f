"""A model as a folder: config.json and safetensors, of everything or of the trained parts over named bases."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationConfig

from affectgpt.models.base_parts import read_parts
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.empty import empty_weights, put_tensor, tied_names
from affectgpt.models.int8 import quantise
from affectgpt.models.merged_lora import add_lora, take_lora
from affectgpt.models.precision import cast_weights
from affectgpt.models.shards import MAX_SHARD_SIZE, read_tensors, write_tensors
from affectgpt.models.weight_files import weight_files

STANDALONE = __package__ != "affectgpt.models"
"""Whether this is the copy of the code that a model folder carries, which needs torch and transformers alone."""
LLM = "language_model."


class FolderMethods:
    """How the model is written to a folder and read from one; mixed into the model's class."""

    def saved_names(self) -> set[str]:
        """State entries that a checkpoint holds: all trained parts, or everything where the base has no name.

        Of tensors that are one (a head that is the embeddings), the first name alone.
        """
        state = set(self.state_dict()) - set(tied_names(self))
        if self.config.bundled or not self.config.llm:
            return state
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        bridge = ("norms.", "projectors.", "fusion.", "token_norms.")
        return {name for name in state if name in trained or name.startswith(bridge) or "lora_" in name}

    def save_pretrained(self, save_directory, state_dict: dict | None = None,
                        max_shard_size: int | str = MAX_SHARD_SIZE, **kwargs) -> None:
        """Write config.json and the weights; each file is whole or absent.

        max_shard_size: weights that are larger ("5GB") are written as shards and their index.
        """
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        state = state_dict if state_dict is not None else self.state_dict()
        self.config.bundled = self.config.bundled or not self.config.llm
        self.config.architectures = [type(self).__name__]
        vars(self.config).pop("auto_map", None)  # of the folder that the model came from, where its code lies
        self.config.save_pretrained(folder)
        names = self.saved_names()
        forms = {name: (tuple(tensor.shape), tensor.dtype) for name, tensor in state.items() if name in names}
        write_tensors(folder, forms, state.__getitem__, max_shard_size)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, *args, config: AffectGPTConfig | None = None,
                        dtype: torch.dtype | str | None = None, attn_implementation: str = "sdpa",
                        merge_lora: bool = False, quantize: str | None = None, device=None, device_map=None, **kwargs):
        """Load a model folder: its base parts, then the trained parts over them.

        A folder that holds everything needs no other module: the model is built without weights, and those of the
        files become its own without being copied. Base parts by name are loaded by `affectgpt.loading`, or by
        transformers alone where the folder's own copy of this code runs, which cannot be trained.
        `merge_lora` adds LoRA to the weights that it adapts as they are loaded: to answer with, not to train on.
        `quantize="int8"` does that too, and rounds the weights of the LLM's linear layers to eight bits
        (`models.int8`); "8bit" and "4bit" hold them as bitsandbytes does (`models.bits`), made on `device`.
        `device_map` as transformers has it: one device, to which the model goes; "auto" is a GPU where there is one.

        Raises:
            ValueError: a folder without weights, weights that are not the ones the configuration needs, or an LLM
                whose layers cannot be quantised; a `device_map` of several devices.
        """
        place = _one_device(device_map)
        device = place if device is None else device
        folder = _local(pretrained_model_name_or_path, kwargs.get("revision"))
        config = config or AffectGPTConfig.from_pretrained(folder)
        weight_files(folder)  # before anything large is read
        if dtype is None or dtype == "auto":
            dtype = config.dtype or torch.float32
        dtype = getattr(torch, dtype) if isinstance(dtype, str) else dtype
        merge_lora = merge_lora or quantize is not None or STANDALONE
        if config.bundled:
            kernel = {} if attn_implementation == "sdpa" else {"attn_implementation": attn_implementation}
            with empty_weights():
                # Float32, in which an LLM makes the tables that no file holds.
                llm = AutoModelForCausalLM.from_config(config.text_config, dtype=torch.float32, **kernel)
                llm.tie_weights()
                model = cls(config, llm, merge_lora=merge_lora)
        elif STANDALONE:
            parts = read_parts(config, dtype, attn_implementation, as_stored=quantize is not None)
            model = cls(config, *parts, merge_lora=merge_lora)
        else:
            model = importlib.import_module("affectgpt.loading").with_parts(
                config, dtype, attn_implementation, merge_lora=merge_lora, as_stored=quantize is not None)
        model.mark_trained()
        model.load_weights(folder, quantize, dtype, device)
        if quantize is not None:
            cast_weights(model.language_model, dtype)
        if (folder / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(folder)
        return model.eval() if place is None else model.to(place).eval()

    def load_weights(self, weights: Path, quantize: str | None = None, dtype: torch.dtype = torch.float32,
                     device=None) -> None:
        """Put the tensors of a folder, or of one file, over the model's own.

        Args:
            quantize: "int8", "8bit" or "4bit": the LLM's linear layers, LoRA added, in fewer bits.
            dtype: of an LLM that is read from here; with `quantize`, what layers of bitsandbytes compute in.
            device: where layers of bitsandbytes are made.

        Raises:
            ValueError: a file cannot be read, or its tensors are not the ones the configuration needs.
        """
        state = read_tensors(weights)
        if quantize is not None and not self.lora_merged:
            raise ValueError(f"--quantize {quantize}: this LLM's layers are no plain linear ones (GPT-2's Conv1D); "
                             "leave it out")
        pairs, lacking = [], []
        if self.lora_merged and self.config.lora_rank:
            pairs, lacking = take_lora(state, self.language_model, self.config.lora_targets)
        own = self.state_dict()
        missing = sorted(set(lacking) | self.saved_names() - set(state))
        unexpected = sorted(set(state) - set(own))
        wrong = sorted(name for name in set(state) & set(own) if state[name].shape != own[name].shape)
        if missing or unexpected or wrong:
            raise ValueError(f"{weights} does not fit its config.json: {len(missing)} tensors are missing "
                             f"({', '.join(missing[:2])}), {len(unexpected)} are unknown "
                             f"({', '.join(unexpected[:2])}), {len(wrong)} have another size ({', '.join(wrong[:2])})")
        if self.config.bundled:
            pairs = [(name, a.clone(), b.clone()) for name, a, b in pairs]  # views would keep whole files in memory
            passing = _linear_weights(self.language_model) if quantize else set()
            for name in list(state):  # in the order of the files: what was read of one goes before the next is
                tensor = _held(name, state.pop(name), None if quantize else dtype)
                # What stays is copied where the rest goes: a view of it would keep its whole file in memory.
                put_tensor(self, name, tensor.clone() if quantize and name not in passing else tensor)
            self.language_model.tie_weights()
        else:
            self.load_state_dict(state, strict=False)
        scale = self.config.lora_alpha / max(1, self.config.lora_rank)
        if quantize is None:
            add_lora(self.language_model, pairs, scale)
        else:
            quantise(self.language_model, pairs, scale, quantize, dtype, device)


def _linear_weights(language_model: nn.Module) -> set[str]:
    """Names of the weights that `int8.quantise` makes anew: those of every linear layer but the head."""
    head = language_model.get_output_embeddings()
    return {f"{LLM}{name}.weight" for name, module in language_model.named_modules()
            if isinstance(module, nn.Linear) and module is not head}


def _held(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A tensor in the format in which it is held: the LLM in `dtype` (as it is stored where None), all else float32."""
    if not tensor.is_floating_point() or name.startswith(LLM) and "lora_" not in name and dtype is None:
        return tensor
    return tensor.to(dtype if name.startswith(LLM) and "lora_" not in name else torch.float32)


def _one_device(device_map) -> torch.device | None:
    if isinstance(device_map, dict) and len(device_map) == 1:
        device_map = next(iter(device_map.values()))
    if device_map == "auto":
        device_map = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return None if device_map is None else torch.device(device_map)
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device_map is {device_map!r}: the model lies on one device; name it, for example "
                         "'cuda:0'") from error


def _local(name, revision: str | None) -> Path:
    """The folder of a model by its path, by a starter name, or, for the code that a folder carries, by a hub id."""
    if Path(name).is_dir():
        return Path(name)
    if not STANDALONE:
        return importlib.import_module("affectgpt.hub").local_folder(str(name))
    return Path(importlib.import_module("huggingface_hub").snapshot_download(str(name), revision=revision))
