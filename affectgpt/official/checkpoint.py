"""An official AffectGPT checkpoint (.pth, trained parts only) as a model folder of the `published` preset, and back.

The official file is a pickle: it is read with `weights_only=True`, which admits tensors and builtin containers
and nothing else. Its tensors are held against a model that is built of configurations alone, on the meta device:
neither the LLM's weights nor the encoders' are needed to convert.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import zipfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from affectgpt import loading
from affectgpt.files import atomic_folder, atomic_write_json, share_file
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.shards import read_tensors
from affectgpt.official.names import from_official, to_official
from affectgpt.release.manifest import write_manifest

FACTS, UNUSED_WEIGHTS = "official.json", "official.safetensors"
"""Beside a converted model: what the file was, name by name; and its parts that no video prompt uses."""
FORMAT = 1
_DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, torch.float16, torch.bfloat16)}


def read_official_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The `model` entry of an official checkpoint: name -> tensor.

    Raises:
        ValueError: no such file, a pickle that holds more than tensors and builtin containers, or no such entry.
    """
    if not Path(path).is_file():
        raise ValueError(f"{path}: no such checkpoint file")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError, AttributeError, TypeError,
            IndexError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of plain tensors: {error}") from error
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not state or not all(isinstance(value, Tensor) for value in state.values()):
        raise ValueError(f"{path} is not an official AffectGPT checkpoint: it has no 'model' entry of tensors")
    return state


def official_config(state: dict[str, Tensor], **values) -> AffectGPTConfig:
    """A `published` configuration with the projector and fusion kinds and sizes that the tensors show.

    Args:
        state: `read_official_checkpoint`.
        values: names of the parts (`llm`, `audio_encoder`, `visual_encoder`) and anything else to set; the
            token counts of mean and attention projectors leave no trace in the tensors and are 1 if not given.
    """
    found: dict = {"preset": "published"}
    if "audio_attention_mlp.weight" in state or "video_attention_mlp.weight" in state:
        found["projector"] = "attention"
    elif "audio_query_tokens" in state or "video_query_tokens" in state:
        found["projector"] = "qformer"
    else:
        found["projector"] = "mean"
    if "multi_query_tokens" in state:
        found["fusion"] = "qformer"
    elif "fc_att.weight" in state:
        found["fusion"] = "attention"
    for key, name in (("audio", "audio"), ("face", "video"), ("frame", "video"), ("fusion", "multi")):
        queries = state.get(f"{name}_query_tokens")
        if queries is not None:
            found[f"{key}_tokens"], found["qformer_hidden"] = queries.shape[1], queries.shape[2]
    for key, name in (("audio", "audio_position_embedding"), ("visual", "video_frame_position_embedding")):
        if f"{name}.weight" in state:
            found[f"{key}_position_rows"] = state[f"{name}.weight"].shape[0]
    for key, part in (("qformer_intermediate", "intermediate_query.dense.weight"),):
        sizes = [tensor.shape[0] for name, tensor in state.items() if name.endswith(part)]
        if sizes:
            found[key] = sizes[0]
            layers = {name.split(".layer.")[1].split(".")[0] for name in state
                      if ".layer." in name and "Qformer" in name}
            found["qformer_layers"] = len(layers)
    ranks = [tensor.shape[0] for name, tensor in state.items() if "lora_A" in name]
    if ranks:
        found["lora_rank"] = ranks[0]
    return AffectGPTConfig(**{**found, **values})


def meta_model(config: AffectGPTConfig) -> AffectGPTForConditionalGeneration:
    """A model of the parts' configurations alone: names, shapes and counts, without any weight.

    config: with its parts described (`loading.describe_parts`).
    """
    with torch.device("meta"):
        model = AffectGPTForConditionalGeneration(config)
    model.mark_trained()
    return model


def our_tensors(model: AffectGPTForConditionalGeneration, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Official tensors by our names, in float32, each checked against the model.

    Raises:
        ValueError: an entry that the model lacks, a size that differs, or a trained part that the file lacks; the first
            of them are named.
    """
    ours = {}
    for name, tensor in state.items():
        new = from_official(name, model.config.fusion)
        if new is not None:
            ours[new] = tensor.float()
    # Without a pre-fusion stream in use its tensors have no place.
    if model.fusion is None:
        ours = {name: tensor for name, tensor in ours.items() if not name.startswith("fusion.")}
    own = model.state_dict()
    model.mark_trained()
    unknown = sorted(set(ours) - set(own))
    missing = sorted(name for name in model.saved_names() if name not in ours and (
        "lora_" in name or name.startswith(("projectors.", "fusion."))))
    wrong = sorted(name for name in set(ours) & set(own) if ours[name].shape != own[name].shape)
    for what, names in (("does not know", unknown), ("misses", missing), ("has another size for", wrong)):
        if names:
            first = "; ".join(f"{name} is {list(own[name].shape)} here and {list(ours[name].shape)} there"
                              for name in names[:3]) if names is wrong else ", ".join(names[:3])
            raise ValueError(f"the model {what} {len(names)} entries of the official checkpoint: {first}. Are --llm, "
                             "--audio and --vision the parts that it was trained with?")
    return ours


def load_official_checkpoint(model: AffectGPTForConditionalGeneration, state: dict[str, Tensor]) -> None:
    """Put official tensors into a model of the `published` preset.

    Raises:
        ValueError: as `our_tensors`.
    """
    model.load_state_dict(our_tensors(model, state), strict=False)


def convert(path: str | Path, folder: str | Path, overwrite: bool = False, dtype: str = "float32", **values
            ) -> AffectGPTForConditionalGeneration:
    """Write an official checkpoint as a model folder; returns its model on the meta device.

    Args:
        dtype: what the folder's LLM computes in, its weights rounded to float16 before, as in the official code.
        values: as for `official_config`.
    Raises:
        ValueError: as `read_official_checkpoint` and `our_tensors`; a folder that exists, without `overwrite`.
    """
    state = read_official_checkpoint(path)
    odd = [f"{name} is {tensor.dtype}" for name, tensor in state.items() if tensor.dtype not in _DTYPES.values()]
    if odd:
        raise ValueError(f"{path}: {len(odd)} tensors have another number format than {', '.join(_DTYPES)}: {odd[0]}")
    config = loading.describe_parts(official_config(state, **values))
    model = meta_model(config)
    ours = our_tensors(model, state)
    if len(ours) < sum(from_official(name, config.fusion) is not None for name in state):
        raise ValueError(f"{path}: has parts of a pre-fusion, and the model was asked to have none")
    processor = AffectGPTProcessor(loading.load_tokenizer(config.llm), config)
    model.config.dtype = dtype
    unused = {name: tensor.contiguous() for name, tensor in state.items() if from_official(name, config.fusion) is None}
    facts = {"format": FORMAT, "file": Path(path).name, "sha256": _sha256(path),
             "tensors": {name: {"dtype": str(tensor.dtype).removeprefix("torch."), "shape": list(tensor.shape)}
                         for name, tensor in state.items()}}
    with atomic_folder(folder, overwrite=overwrite) as temporary:
        model.save_pretrained(temporary, state_dict=ours)
        processor.save_pretrained(temporary)
        if unused:
            save_file(unused, temporary / UNUSED_WEIGHTS, metadata={"format": "pt"})
            share_file(temporary / UNUSED_WEIGHTS)
        atomic_write_json(temporary / FACTS, facts)
        write_manifest(temporary)
    return model


def convert_back(folder: str | Path, path: str | Path, overwrite: bool = False) -> int:
    """Write a model folder's trained parts as an official checkpoint; returns how many tensors.

    A folder that `convert` made gives the file's own tensors again, in their order and number formats. Any other one of
    the `published` preset gives its own, LoRA in float16 as the official code keeps it.

    Raises:
        ValueError: no model of the `published` preset, tensors that the official system has no part for, or a file that
            exists, without `overwrite`.
    """
    from affectgpt.model_folder import check_model_folder

    folder, path = check_model_folder(folder), Path(path)
    if path.exists() and not overwrite:
        raise ValueError(f"{path}: exists already; --force replaces it")
    config = AffectGPTConfig.from_pretrained(folder)
    if config.preset != "published" or config.bundled:
        bundled = ", its parts bundled" if config.bundled else ""
        raise ValueError(f"{folder}: is of the preset {config.preset!r}{bundled}; an official checkpoint holds the "
                         "trained parts of the preset 'published' alone")
    ours = read_tensors(folder)
    state = {to_official(name, config.fusion): tensor for name, tensor in ours.items()}
    if (folder / UNUSED_WEIGHTS).is_file():
        state |= load_file(folder / UNUSED_WEIGHTS)
    facts = folder / FACTS
    if facts.is_file():
        before = json.loads(facts.read_text(encoding="utf-8"))["tensors"]
        differ = sorted(set(before) ^ set(state))
        if differ:
            raise ValueError(f"{facts}: names other tensors than the folder holds: {', '.join(differ[:3])}")
        state = {name: state[name].to(_DTYPES[known["dtype"]]) for name, known in before.items()}
    else:
        state = {name: tensor.half() if "lora_" in name else tensor for name, tensor in state.items()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        torch.save({"model": state}, temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return len(state)


def _sha256(path: str | Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
