"""The one table between the names of an official checkpoint's tensors and those of this model, read both ways."""

from __future__ import annotations

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
    "llama_model.base_model.model.": "language_model.",
}
"""Start of an official name -> start of ours."""

FUSED_HEAD = "multi_llama_proj."
FUSED_HEADS = {"attention": "fusion.head.layers.1.", "qformer": "fusion.projector.head.layers.1."}
"""Where `FUSED_HEAD` goes, by the kind of pre-fusion."""

UNUSED = ("image_llama_proj.",)
"""Official parts that no video prompt uses: kept beside the model, so that the way back gives all of the file."""

_QFORMER = {"embeddings.LayerNorm.": "layernorm.", "attention.self.": "attention.attention."}
"""Inside a Q-Former: part of an official name -> part of ours."""


def from_official(name: str, fusion: str) -> str | None:
    """Our name of an official tensor; None for a part that is not used.

    Args:
        fusion: the kind of pre-fusion, "attention" or "qformer".
    Raises:
        ValueError: a name that no known part has.
    """
    if name.startswith(UNUSED):
        return None
    for theirs, ours in _table(fusion).items():
        if name.startswith(theirs):
            return ours + _inside(name[len(theirs):], ours, _QFORMER)
    raise ValueError(f"the official checkpoint has an entry {name!r} that no known part of the model has")


def to_official(name: str, fusion: str) -> str:
    """The official name of one of our tensors.

    Raises:
        ValueError: a name that the official system has no part for.
    """
    for theirs, ours in _table(fusion).items():
        if name.startswith(ours):
            return theirs + _inside(name[len(ours):], ours, {new: old for old, new in _QFORMER.items()})
    raise ValueError(f"{name!r} has no counterpart in an official checkpoint")


def _table(fusion: str) -> dict[str, str]:
    return {**PREFIXES, FUSED_HEAD: FUSED_HEADS[fusion]}


def _inside(rest: str, ours: str, parts: dict[str, str]) -> str:
    if not ours.endswith(".qformer."):
        return rest
    for before, after in parts.items():
        rest = rest.replace(before, after)
    return rest
