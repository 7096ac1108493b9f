"""Attention over rows of packed clips: clip by clip instead of over the whole row with a block mask.

The block mask gives the same numbers, and its cost is the square of the row's length: on a CPU it was a third of a
training step. transformers finds the kernel by its name, like its own ("sdpa", "flash_attention_2"). The layout of a
packed row comes in the place of the mask, which every model hands on to its kernel unchanged.

Shapes: S tokens of the row, C clips of a group, L tokens of its longest clip, D channels of a head.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from affectgpt.models.layout import Layout

BY_CLIP = "clip_by_clip"
"""Without "sdpa" in it: transformers refuses such a name for LLMs whose soft caps its own SDPA cannot compute."""
GROUP = 32
"""Clips whose lengths are equal after rounding up to this many tokens are computed together on a CPU."""
VARLEN_CHANNELS = 256
"""Widest head of torch's variable-length attention."""


def packed_arguments(implementation: str, layout: Tensor, dtype: torch.dtype, device: torch.device,
                     windows: bool = False) -> dict:
    """What a decoder is given besides the positions of a packed row.

    Args:
        implementation: name of the attention kernel.
        layout: int64 [C, 1 + K], `Layout.tensor`.
        windows: some of the decoder's layers attend to a sliding window.
    Raises:
        ValueError: a kernel that cannot compute branches.
    """
    if implementation == BY_CLIP:
        return {"attention_mask": layout[None, None]}
    row = Layout.from_tensor(layout)
    if "flash" in implementation and not row.has_branches:
        # Else transformers finds them out of the positions, in every layer anew.
        bounds = torch.tensor(row.bounds, dtype=torch.int32).to(device, non_blocking=True)
        longest = max(map(sum, row.clips))
        return {"attention_mask": None, "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds, "max_length_q": longest,
                "max_length_k": longest}
    if not row.has_branches:
        return {"attention_mask": None}  # transformers makes a block mask of the positions
    if windows or "flash" in implementation:
        raise ValueError(f"the attention kernel {implementation} cannot compute several questions of a clip in one row"
                         f"{' with sliding windows' if windows else ''}: set model.attention=sdpa")
    return {"attention_mask": _additive(row.mask(), dtype).to(device, non_blocking=True)[None, None]}


def sdpa_by_clip(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
                 dropout: float = 0.0, scaling: float | None = None, sliding_window: int | None = None,
                 softcap: float | None = None, s_aux: Tensor | None = None, **kwargs) -> tuple[Tensor, None]:
    """Attention of one layer: query [B, heads, S, D], key and value [B, key heads, S, D] -> [B, S, heads, D].

    Args:
        attention_mask: the layout of a packed row, int64 [1, 1, C, 1 + K]; anything else is a mask as SDPA has it.
        sliding_window: tokens that a token attends to, itself included; None is all before it.
        softcap: scores x become softcap * tanh(x / softcap).
    Raises:
        ValueError: attention sinks, which SDPA does not have.
    """
    if s_aux is not None:
        raise ValueError("this LLM has attention sinks, which model.attention=sdpa does not compute: choose another "
                         "LLM")
    scaling = scaling or query.shape[-1] ** -0.5
    if attention_mask is None or attention_mask.dtype != torch.int64:
        if softcap is None:
            return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling,
                                          sliding_window=sliding_window, **kwargs)
        return plain_attention(query, key, value, attention_mask, scaling, dropout, softcap), None
    layout = Layout.from_tensor(attention_mask)
    if sliding_window is None:  # Qwen2-MoE has it in its masks alone
        sliding_window = getattr(module, "sliding_window", None)
    if query.device.type == "cpu":
        return grouped_attention(query, key, value, layout, scaling, dropout, sliding_window, softcap), None
    if torch.is_autocast_enabled(query.device.type):
        kind = torch.get_autocast_dtype(query.device.type)
        query, key, value = query.to(kind), key.to(kind), value.to(kind)
    if (query.dtype in (torch.bfloat16, torch.float16) and not dropout and softcap is None
            and query.shape[-1] <= VARLEN_CHANNELS and _has_varlen(query.device)):
        return variable_length_attention(query, key, value, layout, scaling, sliding_window), None
    return looped_attention(query, key, value, layout, scaling, dropout, sliding_window, softcap), None


@lru_cache(maxsize=8)
def _has_varlen(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


def plain_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float,
                    dropout: float = 0.0, softcap: float | None = None) -> Tensor:
    """Attention as it is written: query [B, heads, S, D], key and value [B, key heads, T, D] -> [B, S, heads, D].

    mask: bool or additive, [B or 1, heads or 1, S, T]; None is causal, the last query at the last key.
    """
    shared = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(shared, 1), value.repeat_interleave(shared, 1)
    scores = _cap(query @ key.transpose(-1, -2) * scaling, softcap)
    if mask is None:
        steps, places = scores.shape[-2:]
        mask = torch.ones(steps, places, dtype=torch.bool, device=query.device).tril(places - steps)
    if mask.dtype == torch.bool:
        # Not infinity: a row of padding alone has no key, and would be no number.
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    else:
        scores = scores + mask
    weights = scores.softmax(-1, dtype=torch.float32).to(value.dtype)
    return (nn.functional.dropout(weights, dropout) @ value).transpose(1, 2)


def looped_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float, dropout: float = 0.0,
                     window: int | None = None, softcap: float | None = None) -> Tensor:
    """One call of SDPA a clip or branch, for what `variable_length_attention` cannot do. Returns [1, S, heads, D]."""
    parts = []
    for start, stop, first, end in layout.segments:
        q, (k, v) = query[:, :, start:stop], (states[:, :, start:stop] for states in (key, value))
        if end > first:
            k, v = (torch.cat([states[:, :, first:end], own], 2) for states, own in ((key, k), (value, v)))
        steps, places = q.shape[2], k.shape[2]
        mask = None
        if places > steps or (window and window < places):
            mask = torch.ones(steps, places, dtype=torch.bool, device=q.device).tril(places - steps)
            if window:
                mask = mask.triu(places - steps - window + 1)
        if softcap is not None:
            parts.append(plain_attention(q, k, v, mask, scaling, dropout, softcap))
            continue
        output = nn.functional.scaled_dot_product_attention(
            q, k, v, mask, dropout, is_causal=mask is None, scale=scaling, enable_gqa=q.shape[1] != k.shape[1])
        parts.append(output.transpose(1, 2))
    return torch.cat(parts, dim=1)


def variable_length_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float,
                              window: int | None = None) -> Tensor:
    """One call of torch's flash attention for all clips and branches; a GPU in 16 bits. Returns [1, S, heads, D].

    Keys of a shared part are repeated for each branch, before those of the branch: as with the kernel, the last query
    of a branch stands at its last key.
    """
    q_bounds, k_bounds, longest_q, longest_k, order = _variable_lengths(layout, query.device)
    query, key, value = (states[0].transpose(0, 1) for states in (query, key, value))
    if order is not None:
        key, value = key.index_select(0, order), value.index_select(0, order)
    output = varlen_attn(query, key, value, q_bounds, k_bounds, longest_q, longest_k, scale=scaling,
                         window_size=(window - 1 if window else -1, 0), enable_gqa=query.shape[1] != key.shape[1])
    return output[None]


@lru_cache(maxsize=8)
def _variable_lengths(layout: Layout, device: torch.device) -> tuple[Tensor, Tensor, int, int, Tensor | None]:
    """Bounds of queries and keys int32 [N + 1], the longest of each, and the order of keys (None: as they lie)."""
    queries = [stop - start for start, stop, _, _ in layout.segments]
    keys = [stop - start + end - first for start, stop, first, end in layout.segments]
    order = None
    if layout.has_branches:
        order = torch.cat([torch.cat([torch.arange(first, end), torch.arange(start, stop)])
                           for start, stop, first, end in layout.segments]).to(device, non_blocking=True)
    bounds = [torch.tensor([0, *sizes]).cumsum(0).to(device, torch.int32, non_blocking=True)
              for sizes in (queries, keys)]
    return *bounds, max(queries), max(keys), order


def grouped_attention(query: Tensor, key: Tensor, value: Tensor, layout: Layout, scaling: float, dropout: float = 0.0,
                      window: int | None = None, softcap: float | None = None) -> Tensor:
    """Matrix products over clips of like length: on a CPU, SDPA's backward pass takes several times as long.

    What pads a clip stands behind its last token, so that the mask of the clip hides it. Returns [1, S, heads, D].
    """
    heads, _, channels = query.shape[1:]
    value_channels = value.shape[-1]  # narrower than the keys in latent attention
    key_heads = key.shape[1]
    groups, order, back = _groups(layout)
    query, key, value = (states[0].transpose(0, 1).flatten(1).index_select(0, order) for states in (query, key, value))
    sizes = [size * len(clips) for size, clips in groups]
    outputs = []
    for (size, clips), q, k, v in zip(groups, query.split(sizes), key.split(sizes), value.split(sizes), strict=True):
        count, shared = len(clips), heads // key_heads
        q = q.view(count, size, key_heads, shared, channels).permute(0, 2, 3, 1, 4)
        q = q.reshape(count * key_heads, shared * size, channels)  # heads that share a key stand below each other
        k = k.view(count, size, key_heads, channels).permute(0, 2, 3, 1).reshape(count * key_heads, channels, size)
        v = v.view(count, size, key_heads, value_channels).transpose(1, 2)
        v = v.reshape(count * key_heads, size, value_channels)
        mask = _mask_of_group(layout, size, clips, key_heads, shared, window, q.dtype)
        if softcap is None:
            weights = torch.baddbmm(mask.expand(len(q), -1, -1), q, k, alpha=scaling)
        else:
            weights = _cap(torch.bmm(q, k) * scaling, softcap) + mask
        weights = weights.softmax(-1, dtype=torch.float32).to(q.dtype)
        if dropout:
            weights = nn.functional.dropout(weights, dropout)
        output = torch.bmm(weights, v).view(count, key_heads, shared, size, value_channels)
        outputs.append(output.permute(0, 3, 1, 2, 4).reshape(count * size, heads, value_channels))
    return torch.cat(outputs).index_select(0, back)[None]


@lru_cache(maxsize=4)
def _groups(layout: Layout) -> tuple[list[tuple[int, tuple[int, ...]]], Tensor, Tensor]:
    """Groups as (padded size, clips); the place in the row of each padded token, and of each token its padded place."""
    found: dict[tuple[int, bool], list[int]] = {}
    for clip, parts in enumerate(layout.clips):
        found.setdefault((-(-sum(parts) // GROUP) * GROUP, len(parts) > 1), []).append(clip)
    places, back, offset = [], torch.empty(layout.bounds[-1], dtype=torch.long), 0
    for (size, _), clips in found.items():
        steps = torch.arange(size)
        for clip in clips:
            start, count = layout.bounds[clip], sum(layout.clips[clip])
            places.append(start + steps.clamp(max=count - 1))
            back[start : start + count] = offset + steps[:count]
            offset += size
    return [(size, tuple(clips)) for (size, _), clips in found.items()], torch.cat(places), back


@lru_cache(maxsize=32)
def _mask_of_group(layout: Layout, size: int, clips: tuple[int, ...], key_heads: int, shared: int, window: int | None,
                   dtype: torch.dtype) -> Tensor:
    """Additive mask [C * key heads, shared * size, size], or [1, ...] where all clips have the same: no branches."""
    if len(layout.clips[clips[0]]) == 1:
        return _additive(Layout(((size,),)).mask_of(0, size, window), dtype).repeat(shared, 1)[None]
    masks = torch.stack([_additive(layout.mask_of(clip, size, window), dtype) for clip in clips])
    return masks.repeat(1, shared, 1).repeat_interleave(key_heads, 0)


def _additive(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype).masked_fill(~mask, float("-inf"))


def _cap(scores: Tensor, softcap: float | None) -> Tensor:
    return scores if softcap is None else softcap * torch.tanh(scores / softcap)


AttentionInterface.register(BY_CLIP, sdpa_by_clip)
AttentionMaskInterface.register(BY_CLIP, sdpa_mask)
