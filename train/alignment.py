"""The alignment stage: projectors alone, drawn to the LLM's own words before tuning; a cheap start for new ones.

A projector begins at random, so the LLM at first reads noise. Before instruction tuning, the mean of a stream's
tokens is drawn towards the input embedding of its label's word: a contrastive loss over the label words, in the
manner of CLIP (Radford et al. 2021, arXiv 2103.00020) with the LLM's frozen embedding table as text side. It needs
no forward pass of the LLM.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from tqdm import tqdm

from affectgpt.data.dataset import alignment_targets
from affectgpt.features.extract import read_ahead
from affectgpt.models.streams import MEDIA_STREAMS, TOKEN_STREAMS

BATCH = 32
TEMPERATURE = 0.07


@torch.no_grad()
def word_table(model, tokenizer, words: list[str]) -> Tensor:
    """Mean input embedding of each word's tokens: [C, H], float32."""
    embedding = model.get_input_embeddings()
    rows = []
    for word in words:
        ids = tokenizer(f" {word}", add_special_tokens=False, return_tensors="pt").input_ids[0]
        rows.append(embedding(ids.to(embedding.weight.device)).float().mean(0))
    return torch.stack(rows)


def alignment_loss(tokens: dict[str, tuple[Tensor, Tensor]], targets: dict[str, Tensor], table: Tensor) -> Tensor:
    """Cross-entropy between label words and a stream's mean token, by cosine similarity, averaged over streams.

    Args:
        tokens: stream -> (tokens [B, K, H], present bool [B]).
        targets: stream -> target distribution [B, C]; a row of zeros is left out.
        table: [C, H] word embeddings.
    """
    centre = table.mean(0)
    words = nn.functional.normalize(table - centre, dim=-1)
    losses = []
    for stream, (values, present) in tokens.items():
        if stream not in targets:
            continue
        use = present & (targets[stream].sum(-1) > 0)
        if not use.any():
            continue
        mean = nn.functional.normalize(values[use].float().mean(1) - centre, dim=-1)
        logits = mean @ words.T / TEMPERATURE
        losses.append(-(targets[stream][use] * logits.log_softmax(-1)).sum(-1).mean())
    return torch.stack(losses).mean() if losses else table.new_zeros(())


def target_tensors(clips: list, visual: str, space: list[str]) -> dict[str, Tensor]:
    """Alignment targets [B, C] of each stream for the clips of a batch."""
    rows = [alignment_targets(clip, visual, space) for clip in clips]
    return {stream: torch.tensor([row[stream] for row in rows]) for stream in TOKEN_STREAMS}


def aligned_loss(stream_tokens: dict, targets: dict, table: Tensor) -> Tensor:
    """Alignment loss of a batch's tokens; without any stream or known label it is a zero without a gradient."""
    targets = {stream: value.to(table.device) for stream, value in targets.items()}
    return alignment_loss(stream_tokens, targets, table) if stream_tokens else table.new_zeros(())


def whole_batches(dataset, processor, space: list[str], order: list[int],
                  workers: int = 0) -> Iterator[tuple[dict, dict]]:
    """(streams, targets) of all clips and their variants, nothing hidden, read a batch at a time.

    Args:
        order: which batches, by number; `count_batches` of them exist.
        workers: threads that read batches ahead; 0 reads each when it is needed.
    """
    samples = _samples(dataset)

    def make(number: int) -> tuple[dict, dict]:
        part = []
        for clip, choice in samples[number * BATCH : (number + 1) * BATCH]:
            inputs = dataset.variants[clip.key][choice - 1] if choice else dataset.inputs[clip.key]
            part.append({"input_ids": [0], "audio_lengths": inputs.audio_lengths,
                         **{stream: getattr(inputs, stream) for stream in MEDIA_STREAMS}})
        batch = processor.collate(part)
        streams = {key: value for key, value in batch.items() if key.startswith(MEDIA_STREAMS)}
        clips = [clip for clip, _ in samples[number * BATCH : (number + 1) * BATCH]]
        return streams, target_tensors(clips, processor.config.fusion_visual, space)

    yield from read_ahead(order, make, workers)


def _samples(dataset) -> list[tuple]:
    return [(clip, choice) for clip, _ in dataset.items
            for choice in range(1 + len(dataset.variants.get(clip.key, ())))]


def count_batches(dataset) -> int:
    """Batches of `whole_batches`."""
    return -(-len(_samples(dataset)) // BATCH)


def align(model, processor, recipe, train_set, validation_set, table: Tensor, space: list[str]) -> float:
    """Draw projectors to the label words; keep the epoch with the best validation loss, and return that loss.

    The frozen LLM takes no part, so an epoch over features is short; one rank does it for all.
    """
    workers = recipe.data.workers
    parameters = [parameter for name, parameter in model.named_parameters()
                  if parameter.requires_grad and not name.startswith("language_model.")]
    optimizer = torch.optim.AdamW(parameters, recipe.train.alignment_learning_rate,
                                  weight_decay=recipe.train.weight_decay)
    count, epochs = count_batches(train_set), recipe.train.alignment_epochs
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * count)
    generator = torch.Generator().manual_seed(recipe.train.seed)
    best, best_state = float("inf"), None

    def loss_of(streams: dict, targets: dict) -> Tensor:
        streams = {key: value.to(model.device) for key, value in streams.items()}
        return aligned_loss(model.stream_tokens(model.encode_streams(**streams)), targets, table)

    progress = tqdm(range(epochs), desc="alignment", unit="epoch")
    for _ in progress:
        model.train()
        order = torch.randperm(count, generator=generator).tolist()
        for streams, targets in whole_batches(train_set, processor, space, order, workers):
            loss = loss_of(streams, targets)
            if loss.requires_grad:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            order = list(range(count_batches(validation_set)))
            losses = [float(loss_of(*batch))
                      for batch in whole_batches(validation_set, processor, space, order, workers)]
        validation = sum(losses) / len(losses)
        progress.set_postfix(validation=f"{validation:.3f}")
        if validation < best:
            best = validation
            best_state = [parameter.detach().clone() for parameter in parameters]
    if best_state is None:
        raise ValueError(f"the alignment loss is {validation} in every epoch: lower train.alignment_learning_rate")
    with torch.no_grad():
        for parameter, value in zip(parameters, best_state, strict=True):
            parameter.copy_(value)
            parameter.grad = None
    return best
