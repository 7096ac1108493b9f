"""Samples of different lengths and different streams -> one batch, padded or packed.

Shapes: B clips, T frames, sound windows or feature positions, S sequence tokens, C = B and K as in `models.layout`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from affectgpt.models.layout import Layout
from affectgpt.models.loss import label_places
from affectgpt.models.splice import find_places
from affectgpt.models.streams import MEDIA_STREAMS

ON_HOST = ("layout",)
"""What a model reads with Python in every layer: on a GPU each of them would wait for it."""


def to_device(batch: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    """A batch on the device that computes it, but for what the host reads."""
    return {key: value if key in ON_HOST else value.to(device, non_blocking=True) for key, value in batch.items()}


def collate(samples: list[dict], pad_id: int, side: str = "right", config=None) -> dict[str, Tensor]:
    """Stack samples.

    Args:
        samples: each with `input_ids`, perhaps `labels`, and the tensors of the streams that it shows.
        pad_id: id that fills short rows.
        side: where rows are filled, "right" for training and "left" for generation.
        config: of the model that is to be trained: placeholders are checked and found here, where no device has to
            be waited for.
    Returns:
        `input_ids`, `attention_mask` and `labels` [B, S]; `label_places` [N] of `models.loss`; with a configuration
        `placeholder_places` [2, M] of `models.splice`; for each stream that any sample has, its values
        [B, T, ...] with a mask bool [B, T]; `audio_lengths` [B, T] beside raw sound.
    Raises:
        ValueError: a sample with branches, which positions of a padded row do not tell apart; placeholders that do
            not fit the streams of their sample.
    """
    if any(sample.get("branches") for sample in samples):
        raise ValueError("several questions of a clip share a row only where rows are packed: use collate_packed")
    longest = max(len(sample["input_ids"]) for sample in samples)
    batch: dict[str, Tensor] = {}
    for key, fill in (("input_ids", pad_id), ("labels", -100)):
        if key not in samples[0]:
            continue
        rows = []
        for sample in samples:
            pad = [fill] * (longest - len(sample[key]))
            rows.append(sample[key] + pad if side == "right" else pad + sample[key])
        batch[key] = torch.tensor(rows)
    lengths = torch.tensor([len(sample["input_ids"]) for sample in samples])[:, None]
    steps = torch.arange(longest)[None]
    mask = steps < lengths if side == "right" else steps >= longest - lengths
    batch["attention_mask"] = mask.long()
    clip_ids = torch.arange(len(samples))[:, None].expand_as(batch["input_ids"])
    return batch | _streams(samples) | _places(batch, clip_ids, samples, config)


def collate_packed(samples: list[dict], config=None) -> dict[str, Tensor]:
    """Samples one after the other in a single row, to train on without padding.

    Args:
        samples: as in `collate`; `branches` of a sample are the tokens that its questions share, and those of each
            question with its answer (`data.branches`).
        config: as in `collate`.
    Returns:
        `input_ids` and `labels` [1, S]; `position_ids` [1, S] and `layout` int64 [C, 1 + K] as in `models.layout`, by
        which attention tells clips and branches apart; `clip_ids` [1, S], the clip 0..B-1 of each token; places and
        streams [B, T, ...] as in `collate`.
    Raises:
        ValueError: branches that are not the whole sample, or a label that would be predicted by another branch;
            placeholders that do not fit the streams of their sample.
    """
    layout = Layout(tuple(map(_parts, samples)))
    counts = torch.tensor([sum(parts) for parts in layout.clips])
    batch = {
        "input_ids": torch.tensor([token for sample in samples for token in sample["input_ids"]]),
        "position_ids": layout.positions(),
        "clip_ids": torch.repeat_interleave(torch.arange(len(samples)), counts),
    }
    if "labels" in samples[0]:
        # The first token of a clip is nobody's next token.
        batch["labels"] = torch.tensor([label for sample in samples for label in [-100, *sample["labels"][1:]]])
    batch = {key: value[None] for key, value in batch.items()}
    places = _places(batch, batch["clip_ids"], samples, config)
    return batch | {"layout": layout.tensor()} | _streams(samples) | places


def _places(batch: dict[str, Tensor], clip_ids: Tensor, samples: list[dict], config) -> dict[str, Tensor]:
    found = {"label_places": label_places(batch["labels"])} if "labels" in batch else {}
    if config is None:
        return found
    present = {stream: torch.tensor([sample.get(stream) is not None and len(sample[stream]) > 0 for sample in samples])
               for stream in MEDIA_STREAMS}
    present["fusion"] = present["audio"] & present[config.fusion_visual]
    return found | {"placeholder_places": find_places(config, batch["input_ids"], clip_ids, present)}


def _parts(sample: dict) -> tuple[int, ...]:
    parts = tuple(sample.get("branches") or (len(sample["input_ids"]),))
    if sum(parts) != len(sample["input_ids"]) or min(parts) < 1:
        raise ValueError(f"branches of {parts} tokens are not those of a sample of {len(sample['input_ids'])}")
    start = parts[0]
    for size in parts[1:]:
        # The token before it in the row is the end of another branch, or of what all of them share.
        if "labels" in sample and sample["labels"][start] != -100:
            raise ValueError(f"the first token of a branch, {start} of its sample, is labelled: its prompt must begin "
                             "it")
        start += size
    return parts


def _streams(samples: list[dict]) -> dict[str, Tensor]:
    batch: dict[str, Tensor] = {}
    for stream in MEDIA_STREAMS:
        _stack(batch, stream, [sample.get(stream) for sample in samples])
    if "audio" in batch and batch["audio"].ndim == 4:
        rows = torch.zeros(batch["audio"].shape[:2], dtype=torch.long)
        for row, sample in enumerate(samples):
            if sample.get("audio") is not None:
                rows[row, : len(sample["audio_lengths"])] = sample["audio_lengths"]
        batch["audio_lengths"] = rows
    return batch


def _stack(batch: dict, stream: str, values: list[Tensor | None]) -> None:
    """Pad the values of one stream to common axes and stack them; nothing where no sample has it."""
    there = [value for value in values if value is not None]
    if not there:
        return
    shape = [max(value.shape[axis] for value in there) for axis in range(there[0].ndim)]
    stacked = there[0].new_zeros(len(values), *shape)
    mask = torch.zeros(len(values), shape[0], dtype=torch.bool)
    for row, value in enumerate(values):
        if value is not None:
            stacked[(row, *(slice(0, size) for size in value.shape))] = value
            mask[row, : len(value)] = True
    batch[stream], batch[f"{stream}_mask"] = stacked, mask
