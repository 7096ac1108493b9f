"""Tokens of streams into the LLM's input: where placeholders stand, and which token each of them becomes.

Shapes: B clips, S tokens of a row, K tokens a stream, H LLM width, M placeholders of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor


def find_places(config, input_ids: Tensor, clip_ids: Tensor, present: dict[str, Tensor]) -> Tensor:
    """Placeholders and what becomes of them.

    On a GPU this waits for the device several times; `models.collate` does it on the host.

    Args:
        config: the model's configuration.
        input_ids, clip_ids: [B, S] or, packed, [1, S]: the tokens, and the clip of each.
        present: stream -> bool [B], which clips have it.
    Returns:
        int64 [2, M]: places in the flattened `input_ids`, and rows of `token_table`.
    Raises:
        ValueError: a stream without placeholders, placeholders without their stream, or a wrong count.
    """
    ids, clip_ids = input_ids.flatten(), clip_ids.flatten()
    clips = len(next(iter(present.values()))) if present else int(clip_ids.max()) + 1
    where = {stream: (ids == config.placeholder_ids[stream]).nonzero().flatten() for stream in config.media_streams}
    counts = {stream: torch.bincount(clip_ids[places], minlength=clips) for stream, places in where.items()}
    # The published prompts include one of pre-fusion and words alone; elsewhere a stream that is given must show.
    fused = torch.zeros(clips, dtype=torch.bool, device=ids.device)
    if config.prompt_style == "published" and "fusion" in counts:
        fused = counts["fusion"] > 0
    rows, offset = [ids.new_zeros(0)], 0
    for stream, count in counts.items():
        size = config.tokens_of(stream)
        if stream in present:
            # A fused token is used only where the prompt asks for it; any other stream must be asked for.
            used = present[stream] & ((count > 0) if stream == "fusion" else (count > 0) | ~fused)
            wrong = (count != used * size).nonzero().flatten().tolist()
            if wrong:
                clip = wrong[0]
                raise ValueError(f"clip {clip} of the batch has {int(count[clip])} {stream} placeholders, and its "
                                 f"{stream} gives {int(used[clip]) * size} tokens")
            firsts = offset + used.nonzero() * size
            rows.append((firsts + torch.arange(size, device=ids.device)).flatten())
        elif len(where[stream]):
            raise ValueError(f"the prompt has {stream} placeholders, but no {stream} was given")
        offset += clips * size
    return torch.stack([torch.cat([ids.new_zeros(0), *where.values()]), torch.cat(rows)])


def token_table(config, tokens: dict[str, tuple[Tensor, Tensor]], dtype: torch.dtype) -> Tensor:
    """Tokens of all streams below each other: [sum of B * K, H], zeros for a stream that is not given."""
    given = next(iter(tokens.values()))[0]
    parts = []
    for stream in config.media_streams:
        if stream in tokens:
            parts.append(tokens[stream][0].flatten(0, 1).to(dtype))
        else:
            parts.append(given.new_zeros(len(given) * config.tokens_of(stream), given.shape[-1], dtype=dtype))
    return torch.cat(parts)


def splice(config, embeds: Tensor, tokens: dict[str, tuple[Tensor, Tensor]], places: Tensor) -> Tensor:
    """Embeddings [B, S, H] with the streams' tokens at their places, as `find_places` gives them."""
    if not tokens:
        return embeds
    table = token_table(config, tokens, embeds.dtype)
    flat = embeds.flatten(0, 1).index_copy(0, places[0], table.index_select(0, places[1]))
    return flat.view(embeds.shape)
