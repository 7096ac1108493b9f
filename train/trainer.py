"""The Trainer of instruction tuning: Hugging Face's, with a rate for each part, the alignment loss and a JSONL log."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch.utils.data import Sampler
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments

from affectgpt.data.dataset import alignment_targets
from affectgpt.models.alignment import alignment_loss

ALIGNED = ("audio", "face", "frame", "fusion")


class Collator:
    """Samples -> a batch of the processor, with the alignment targets of each clip."""

    def __init__(self, processor, space: list[str]):
        self.processor, self.space = processor, space

    def __call__(self, samples: list[dict]) -> dict[str, torch.Tensor]:
        batch = self.processor.collate(samples)
        visual = self.processor.config.fusion_visual
        rows = [alignment_targets(sample["clip"], visual, self.space) for sample in samples]
        for stream in ALIGNED:
            batch[f"align_{stream}"] = torch.tensor([row[stream] for row in rows])
        return batch


def split_alignment(batch: dict) -> tuple[dict, dict]:
    """(what the model takes, alignment targets by stream)."""
    targets = {stream: batch[f"align_{stream}"] for stream in ALIGNED if f"align_{stream}" in batch}
    return {key: value for key, value in batch.items() if not key.startswith("align_")}, targets


def encoded(model, batch: dict) -> tuple[dict, dict]:
    """(streams as features and masks, the batch with them in place of raw tensors): encoders run once a step."""
    streams = model.encode_streams(**{key: value.to(model.device) for key, value in batch.items()
                                      if key.startswith(("audio", "face", "frame"))})
    rest = {key: value for key, value in batch.items() if key != "audio_lengths"}
    for stream, (features, mask) in streams.items():
        rest |= {stream: features, f"{stream}_mask": mask}
    return streams, rest


def aligned_loss(model, streams: dict, targets: dict, table: torch.Tensor) -> torch.Tensor:
    """Alignment loss of encoded streams; without any stream or known label it is a zero without a gradient."""
    targets = {stream: value.to(model.device) for stream, value in targets.items()}
    return alignment_loss(model.stream_tokens(streams), targets, table) if streams else table.new_zeros(())


class LengthGroupedSampler(Sampler):
    """A shuffled order in which neighbours are of like length, so that little of a batch is padding.

    Lengths change with the epoch (other questions, other hidden streams), so they are taken anew each time. Within
    `window` batches samples are sorted; the batches themselves are shuffled. The order follows from (seed, epoch).
    """

    def __init__(self, dataset, batch_size: int, seed: int, window: int = 5):
        self.dataset, self.batch_size, self.seed, self.window = dataset, batch_size, seed, window

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1000003 + self.dataset.epoch)
        order = torch.randperm(len(self.dataset), generator=generator).tolist()
        lengths = self.dataset.lengths()
        batches, wide = [], self.batch_size * self.window
        for start in range(0, len(order), wide):
            part = sorted(order[start : start + wide], key=lengths.__getitem__, reverse=True)
            batches += [part[place : place + self.batch_size] for place in range(0, len(part), self.batch_size)]
        last = [batches.pop()] if len(batches[-1]) < self.batch_size else []  # a short batch must stay the last
        for place in torch.randperm(len(batches), generator=generator).tolist():
            yield from batches[place]
        for batch in last:
            yield from batch


class AffectGPTTrainer(Trainer):
    """Trainer with two learning rates and, where asked for, the alignment loss beside the LLM's."""

    def __init__(self, *args, recipe, word_table: torch.Tensor, **kwargs):
        super().__init__(*args, **kwargs)
        self.recipe, self.word_table = recipe, word_table

    def _get_train_sampler(self, train_dataset=None):
        return LengthGroupedSampler(train_dataset or self.train_dataset, self.args.train_batch_size, self.args.seed)

    def create_optimizer(self, *args, **kwargs):
        if self.optimizer is None:
            settings = self.recipe.train
            groups = {}
            for name, parameter in self.model.named_parameters():
                if not parameter.requires_grad:
                    continue
                tuned = name.startswith(("language_model.", "audio_encoder.", "visual_encoder."))
                rate = settings.learning_rate if tuned else settings.projector_learning_rate
                decay = settings.weight_decay if parameter.ndim > 1 else 0.0
                groups.setdefault((rate, decay), []).append(parameter)
            self.optimizer = torch.optim.AdamW(
                [{"params": parameters, "lr": rate, "weight_decay": decay}
                 for (rate, decay), parameters in groups.items()], betas=(0.9, 0.999))
        return self.optimizer

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        batch, targets = split_alignment(inputs)
        weight = self.recipe.train.alignment_weight if model.training else 0.0
        if weight:
            streams, batch = encoded(self.model, batch)
        outputs = model(**batch, num_items_in_batch=num_items_in_batch)
        loss = outputs.loss
        if weight:
            loss = loss + weight * aligned_loss(self.model, streams, targets, self.word_table) \
                / self.args.gradient_accumulation_steps
        return (loss, outputs) if return_outputs else loss


class JsonLog(TrainerCallback):
    """Append what the Trainer logs to a JSONL file."""

    def __init__(self, path: Path):
        self.path = path

    def on_log(self, args, state, control, logs=None, **kwargs):
        if state.is_world_process_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **(logs or {})}) + "\n")


def training_arguments(recipe, steps_in_epoch: int, device: str) -> TrainingArguments:
    """Hugging Face's arguments for a recipe."""
    train = recipe.train
    each = train.evaluate_every or max(1, steps_in_epoch)
    return TrainingArguments(
        output_dir=str(Path(train.output) / "checkpoints"),
        num_train_epochs=train.epochs, max_steps=train.max_steps,
        per_device_train_batch_size=train.batch_size, per_device_eval_batch_size=train.batch_size,
        gradient_accumulation_steps=train.accumulation,
        learning_rate=train.learning_rate, weight_decay=train.weight_decay,
        warmup_steps=train.warmup_ratio, lr_scheduler_type=train.schedule, max_grad_norm=train.clip_norm,
        seed=train.seed, data_seed=train.seed, dataloader_num_workers=0,
        logging_steps=train.log_every, logging_nan_inf_filter=False,
        eval_strategy="steps", eval_steps=each, save_strategy="steps", save_steps=train.save_every or each,
        save_total_limit=train.keep_checkpoints, load_best_model_at_end=True,
        metric_for_best_model="eval_loss", greater_is_better=False,
        activation_checkpointing=train.gradient_checkpointing, bf16=False, use_cpu=device == "cpu",
        report_to=["tensorboard"], remove_unused_columns=False, label_names=["labels"],
        prediction_loss_only=True,
    )


def align(model, recipe, train_batches: list[dict], validation_batches: list[dict], table: torch.Tensor,
          epochs: int, rate: float) -> float:
    """Draw projectors to the label words; keep the epoch with the best validation loss, and return that loss.

    The frozen LLM takes no part, so an epoch over features is a matter of a second.
    """
    parameters = [parameter for name, parameter in model.named_parameters()
                  if parameter.requires_grad and not name.startswith("language_model.")]
    optimizer = torch.optim.AdamW(parameters, rate, weight_decay=recipe.train.weight_decay)
    steps = epochs * len(train_batches)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(recipe.train.seed)
    best, best_state = float("inf"), None
    progress = tqdm(range(epochs), desc="alignment", unit="epoch")
    for _ in progress:
        model.train()
        for index in torch.randperm(len(train_batches), generator=generator).tolist():
            batch, targets = split_alignment(train_batches[index])
            loss = aligned_loss(model, encoded(model, batch)[0], targets, table)
            if loss.requires_grad:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            schedule.step()
        model.eval()
        with torch.no_grad():
            losses = []
            for batch, targets in map(split_alignment, validation_batches):
                losses.append(float(aligned_loss(model, encoded(model, batch)[0], targets, table)))
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
    return best
