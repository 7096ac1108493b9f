"""Attention over rows of packed clips: clip by clip instead of over the whole row with a block mask.

The block mask gives the same numbers, and its cost is the square of the row's length: on a CPU it was a third of a
training step. transformers finds the kernel by its name, like its own ("sdpa", "flash_attention_2").

Shapes: S tokens of the row, C clips of a group, L tokens of its longest clip, D channels of a head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

BY_CLIP = "sdpa_by_clip"
GROUP = 32
"""Clips whose lengths are equal after rounding up to this many tokens are computed together on a CPU."""


def sdpa_by_clip(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None,
                 dropout: float = 0.0, scaling: float | None = None, **kwargs) -> tuple[Tensor, None]:
    """Attention of one layer: query [B, heads, S, D], key and value [B, key heads, S, D] -> [B, S, heads, D].

    A row is packed where its positions start again at 0; anything else is plain SDPA with its mask. A model that does
    not hand on its positions gets the block mask, and so the same numbers.
    """
    bounds = clip_bounds(kwargs.get("position_ids"), query)
    if bounds is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, **kwargs)
    if query.device.type == "cpu":
        return grouped_attention(query, key, value, bounds, scaling or query.shape[-1] ** -0.5, dropout), None
    return looped_attention(module, query, key, value, bounds, scaling, dropout), None


def clip_bounds(position_ids: Tensor | None, query: Tensor) -> list[int] | None:
    """Where the clips of a packed row begin, and its end; None where the row is not packed."""
    length = query.shape[2]
    if position_ids is None or len(query) != 1 or position_ids.shape != (1, length) or length < 2:
        return None
    starts = (position_ids[0] == 0).nonzero().flatten().tolist()
    return [*starts, length] if len(starts) > 1 and starts[0] == 0 else None


def looped_attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, bounds: list[int],
                     scaling: float | None, dropout: float) -> Tensor:
    """One causal call of SDPA a clip: on a GPU its kernel is fast and needs no mask. Returns [1, S, heads, D]."""
    parts = [sdpa_attention_forward(module, query[:, :, start:stop], key[:, :, start:stop], value[:, :, start:stop],
                                    None, dropout, scaling, is_causal=True)[0]
             for start, stop in zip(bounds, bounds[1:])]
    return torch.cat(parts, dim=1)


def grouped_attention(query: Tensor, key: Tensor, value: Tensor, bounds: list[int], scaling: float,
                      dropout: float = 0.0) -> Tensor:
    """Matrix products over clips of like length: on a CPU, SDPA's backward pass takes several times as long.

    The causal mask is all that is needed: what pads a clip stands behind its last token. Returns [1, S, heads, D].
    """
    heads, length, channels = query.shape[1:]
    key_heads = key.shape[1]
    groups: dict[int, list[int]] = {}
    for start, stop in zip(bounds, bounds[1:]):
        groups.setdefault(-(-(stop - start) // GROUP) * GROUP, []).append(start)
    stops = dict(zip(bounds, bounds[1:]))
    places, back, offset = [], torch.empty(length, dtype=torch.long), 0
    for size, starts in groups.items():
        steps = torch.arange(size)
        for start in starts:
            count = stops[start] - start
            places.append(start + steps.clamp(max=count - 1))
            back[start : start + count] = offset + steps[:count]
            offset += size
    order = torch.cat(places)
    query, key, value = (states[0].transpose(0, 1).flatten(1).index_select(0, order) for states in (query, key, value))
    sizes = [size * len(starts) for size, starts in groups.items()]
    outputs = []
    for (size, starts), q, k, v in zip(groups.items(), query.split(sizes), key.split(sizes), value.split(sizes),
                                       strict=True):
        clips, shared = len(starts), heads // key_heads
        q = q.view(clips, size, key_heads, shared, channels).permute(0, 2, 3, 1, 4)
        q = q.reshape(clips * key_heads, shared * size, channels)  # heads that share a key stand below each other
        k = k.view(clips, size, key_heads, channels).permute(0, 2, 3, 1).reshape(clips * key_heads, channels, size)
        v = v.view(clips, size, key_heads, channels).transpose(1, 2).reshape(clips * key_heads, size, channels)
        mask = torch.full((size, size), float("-inf"), dtype=q.dtype).triu(1).repeat(shared, 1)
        weights = torch.baddbmm(mask.expand(len(q), -1, -1), q, k, alpha=scaling)
        weights = weights.softmax(-1, dtype=torch.float32).to(q.dtype)
        if dropout:
            weights = nn.functional.dropout(weights, dropout)
        output = torch.bmm(weights, v).view(clips, key_heads, shared, size, channels)
        outputs.append(output.permute(0, 3, 1, 2, 4).reshape(clips * size, heads, channels))
    return torch.cat(outputs).index_select(0, back)[None]


AttentionInterface.register(BY_CLIP, sdpa_by_clip)
AttentionMaskInterface.register(BY_CLIP, sdpa_mask)
