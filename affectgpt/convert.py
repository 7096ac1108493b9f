"""Official AffectGPT checkpoints (.pth, trained parts only) -> state entries of this model.

The official file is a pickle: it is read with `weights_only=True`, which admits tensors and builtin containers
and nothing else.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration

PREFIXES = {
    "audio_attention_mlp.": "projectors.audio.scorer.",
    "video_attention_mlp.": "projectors.visual.scorer.",
    "multi_audio_embs.": "fusion.audio_map.",
    "multi_video_embs.": "fusion.visual_map.",
    "attention_mlp.": "fusion.scorer_hidden.",
    "fc_att.": "fusion.scorer.",
    "audio_position_embedding.": "projectors.audio.positions.",
    "video_frame_position_embedding.": "projectors.visual.positions.",
    "multi_position_embedding.": "fusion.projector.positions.",
    "audio_query_tokens": "projectors.audio.queries",
    "video_query_tokens": "projectors.visual.queries",
    "multi_query_tokens": "fusion.projector.queries",
    "audio_Qformer.bert.": "projectors.audio.qformer.",
    "video_Qformer.bert.": "projectors.visual.qformer.",
    "multi_Qformer.bert.": "fusion.projector.qformer.",
    "audio_llama_proj.": "projectors.audio.head.layers.1.",
    "affectgpt_proj.": "projectors.visual.head.layers.1.",
}
"""Start of an official name -> start of ours."""

UNUSED = ("image_llama_proj.",)
"""Official parts that no video prompt uses."""


def official_name(name: str, fusion: str) -> str | None:
    """Our name of an official state entry; None for a part that is not used.

    Raises:
        ValueError: a name that no known part has.
    """
    if name.startswith(UNUSED):
        return None
    if name.startswith("llama_model.base_model.model."):
        return name.replace("llama_model.base_model.model.", "language_model.", 1)
    if name.startswith("multi_llama_proj."):
        head = "fusion.projector.head.layers.1." if fusion == "qformer" else "fusion.head.layers.1."
        return name.replace("multi_llama_proj.", head, 1)
    for theirs, ours in PREFIXES.items():
        if name.startswith(theirs):
            rest = name[len(theirs):]
            if ".qformer." in ours:
                rest = rest.replace("embeddings.LayerNorm.", "layernorm.")
                rest = rest.replace("attention.self.", "attention.attention.")
            return ours + rest
    raise ValueError(f"the official checkpoint has an entry {name!r} that no known part of the model has")


def read_official_checkpoint(path: str | Path) -> dict[str, Tensor]:
    """The `model` entry of an official checkpoint: name -> tensor."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"{path} cannot be read as a checkpoint of plain tensors: {error}") from error
    state = content.get("model") if isinstance(content, dict) else None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
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


def load_official_checkpoint(model: AffectGPTForConditionalGeneration, state: dict[str, Tensor]) -> None:
    """Put official tensors into a model of the `published` preset.

    Raises:
        ValueError: an entry that the model lacks, a size that differs, or a trained part that the file lacks.
    """
    ours = {}
    for name, tensor in state.items():
        new = official_name(name, model.config.fusion)
        if new is not None:
            ours[new] = tensor.float()
    own = model.state_dict()
    # Without a pre-fusion stream in use its tensors have no place.
    if model.fusion is None:
        ours = {name: tensor for name, tensor in ours.items() if not name.startswith("fusion.")}
    unknown = sorted(set(ours) - set(own))
    model.mark_trained()
    missing = sorted(name for name in model.saved_names() if name not in ours and (
        "lora_" in name or name.startswith(("projectors.", "fusion."))))
    wrong = sorted(name for name in set(ours) & set(own) if ours[name].shape != own[name].shape)
    for what, names in (("does not know", unknown), ("misses", missing), ("has another size for", wrong)):
        if names:
            raise ValueError(f"the model {what} {len(names)} entries of the official checkpoint: "
                             f"{', '.join(names[:3])}")
    model.load_state_dict(ours, strict=False)
