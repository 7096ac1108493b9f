"""A trained model as one folder that needs no other: LoRA added into the LLM, all parts inside.

Written tensor by tensor from the files of the base parts, so that an LLM which does not fit into memory can be merged.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from affectgpt import hub, loading
from affectgpt.files import atomic_folder
from affectgpt.model_folder import model_of
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.empty import empty_weights, tied_names
from affectgpt.models.folders import LLM
from affectgpt.models.merged_lora import can_merge, lora_product, take_lora
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.shards import StoredTensors, bytes_of, read_tensors, tensor_bytes, write_tensors
from affectgpt.standalone import write_standalone

KEPT = ("recipe.yaml", "training.json")
"""Files of a training run that its merged model keeps: `describe` follows them, a model card is written from them."""
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def merge_folder(folder: str | Path, to: str | Path, dtype: str | torch.dtype | None = None,
                 max_shard_size: int | str = "5GB", overwrite: bool = False, progress: Callable = iter) -> Path:
    """Write a model folder (or a run's model) as a merged one; returns `to`.

    The result has everything: the LLM with LoRA added, the encoders, the tokenizer, and code that needs torch and
    transformers alone. It is there whole or not at all; what an earlier call that was killed left beside it is removed.

    Args:
        dtype: of the LLM's weights; None for what the model was trained in, which gives the same logits.
        max_shard_size: weights that are larger are written as shards.
        overwrite: replace a finished folder of ours.
        progress: wraps the names of tensors as they are written.
    Raises:
        ValueError: no finished model, a folder that exists, too little room on the disk, or LoRA on layers that cannot
            be merged tensor by tensor (GPT-2's).
    """
    folder = model_of(folder)
    to = Path(to)
    if to.exists() and not overwrite:
        raise ValueError(f"{to}: exists already; --force replaces it, or choose another name")
    if to.resolve() == folder.resolve():
        raise ValueError(f"{to}: is the model itself; choose another name")
    bytes_of(max_shard_size)
    processor = AffectGPTProcessor.from_pretrained(folder)
    config = processor.config
    dtype = dtype or config.dtype or torch.float32
    dtype = _DTYPES[dtype] if isinstance(dtype, str) else dtype
    model, tensor_of = _merged(folder, config, dtype)
    state, tied = model.state_dict(), tied_names(model)
    forms = {name: _form(name, tensor, dtype) for name, tensor in state.items() if name not in tied}
    _remove_left(to)
    _check_room(to, sum(map(tensor_bytes, forms.values())))
    config = model.config
    with atomic_folder(to, overwrite=overwrite) as temporary:
        write_tensors(temporary, forms, tensor_of, max_shard_size, progress)
        _describe_merged(config, dtype)
        config.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        for name in KEPT:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, temporary / name)
        write_standalone(temporary)
    return to


def _of_llm(name: str, tensor: Tensor) -> bool:
    return name.startswith(LLM) and tensor.is_floating_point()


def _form(name: str, tensor: Tensor, dtype: torch.dtype) -> tuple[tuple[int, ...], torch.dtype]:
    """How a tensor is written: the LLM in `dtype`, all other weights in float32, as they are computed."""
    held = (dtype if _of_llm(name, tensor) else torch.float32) if tensor.is_floating_point() else tensor.dtype
    return tuple(tensor.shape), held


def _describe_merged(config: AffectGPTConfig, dtype: torch.dtype) -> None:
    """What a configuration says of a merged model: all is inside, nothing is to be added. Folders of this machine lose
    their names."""
    config.bundled, config.lora_rank, config.llm_rounding, config.dtype = True, 0, None, dtype
    config.text_config.dtype = dtype
    config.architectures = [AffectGPTForConditionalGeneration.__name__]
    vars(config).pop("auto_map", None)
    for part in ("llm", "audio_encoder", "visual_encoder"):
        name = getattr(config, part)
        if name and (Path(name).expanduser().is_dir() or Path(name).is_absolute()):
            setattr(config, part, None)
    for part in (config.text_config, config.audio_config, config.visual_config):
        if part is not None and Path(part._name_or_path).is_absolute():
            part._name_or_path = ""


def _merged(folder: Path, config: AffectGPTConfig, dtype: torch.dtype
            ) -> tuple[AffectGPTForConditionalGeneration, Callable[[str], Tensor]]:
    """The model with its LLM (of a folder that holds all parts: with everything) empty, and what makes each tensor."""
    saved = read_tensors(folder)
    with empty_weights():
        llm = AutoModelForCausalLM.from_config(config.text_config, dtype=torch.float32)
        llm.tie_weights()
        model = AffectGPTForConditionalGeneration(config, llm, merge_lora=True) if config.bundled else None
    if config.lora_rank and not can_merge(llm):
        raise ValueError(f"{folder}: its LLM's layers are no plain linear ones (GPT-2's Conv1D), which are not merged; "
                         "release the adapter form")
    if model is None:
        model = AffectGPTForConditionalGeneration(config, llm, *loading.load_encoders(config), merge_lora=True)
    pairs, lacking = take_lora(saved, llm, config.lora_targets) if config.lora_rank else ([], [])
    model.mark_trained()
    own = model.state_dict()
    base = {} if config.bundled else _base_tensors(config, llm)
    of_llm = {name for name in set(own) - set(tied_names(model)) if name.startswith(LLM)}
    missing = sorted(set(lacking) | (model.saved_names() | of_llm - set(base)) - set(saved))
    unknown = sorted(set(saved) - set(own))
    shapes = (base.shapes if isinstance(base, StoredTensors) else {name: tensor.shape for name, tensor in base.items()}
              ) | {name: tensor.shape for name, tensor in saved.items()}
    wrong = sorted(name for name, shape in shapes.items() if name in own and shape != own[name].shape)
    if missing or unknown or wrong:
        raise ValueError(f"{folder} does not fit its config.json: {len(missing)} tensors are missing "
                         f"({', '.join(missing[:2])}), {len(unknown)} are unknown ({', '.join(unknown[:2])}), "
                         f"{len(wrong)} have another size ({', '.join(wrong[:2])})")
    lora = {f"{LLM}{name}.weight": (name, a, b) for name, a, b in pairs}
    scale = config.lora_alpha / max(1, config.lora_rank)
    through = getattr(torch, config.llm_rounding) if config.llm_rounding else None

    @torch.no_grad()
    def tensor_of(name: str) -> Tensor:
        tensor = saved[name] if name in saved else base[name] if name in base else own[name]
        if not _of_llm(name, tensor):
            return tensor.to(_form(name, tensor, dtype)[1])
        if through is not None and name not in saved:
            tensor = tensor.to(through)
        tensor = tensor.to(dtype)
        if name in lora:
            tensor = (tensor + lora_product(lora[name][0], tensor, *lora[name][1:], scale)).to(dtype)
        return tensor

    return model, tensor_of


def _base_tensors(config: AffectGPTConfig, llm: nn.Module) -> Mapping[str, Tensor]:
    """The LLM's tensors by the model's names, mapped from its files where these are named as the model is.

    Others (pickles, names of another version of its class) are read by transformers, which holds the LLM once.
    """
    name = hub.locate(config.llm, "model.llm")
    if not Path(name).is_dir():
        from huggingface_hub import snapshot_download

        name = snapshot_download(name, allow_patterns=["*.safetensors", "*.json"])
    own, tied = ({f"{LLM}{name}" for name in names} for names in (llm.state_dict(), tied_names(llm)))
    try:
        found = StoredTensors(name, LLM)
    except ValueError:
        found = {}
    if own - tied <= set(found) <= own:
        return found
    return {f"{LLM}{name}": tensor for name, tensor in loading.read_causal_lm(config.llm, "auto").state_dict().items()}


def _check_room(to: Path, size: int) -> None:
    place = next(parent for parent in to.absolute().parents if parent.exists())
    free = shutil.disk_usage(place).free
    if size > free:
        raise ValueError(f"{to}: {size / 1e9:.1f} GB are to be written and {free / 1e9:.1f} GB are free; make room or "
                         "choose another disk")


def _remove_left(to: Path) -> None:
    """Remove what processes that were killed left beside `to`."""
    for path in to.parent.glob(f".{to.name}.*.tmp"):
        number = path.name.removeprefix(f".{to.name}.").split(".")[0]
        if path.is_dir() and number.isdigit() and not _runs(int(number)):
            print(f"{path}: left by a process that was stopped; removed", file=sys.stderr)
            shutil.rmtree(path, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
