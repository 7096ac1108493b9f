"""Classifiers fitted by the project's own trainer: the same steps, rates, log, checkpoints and resume as AffectGPT.

    result = fit(model, train_set, validation_set, collate, FitSettings(epochs=4), output, seed=0)
    logits = predict(model, test_set, collate)                                     # [N, C], in the order of the set

What it takes:

    model           any nn.Module; `model(**batch)` gives an object with `logits` [B, C], and perhaps with `loss`, the
                    mean over the batch's B clips. Where there is no `loss`, or it is None, the loss is the cross
                    entropy of `logits`, with `class_weights` and `label_smoothing` of the settings. Parameters that
                    require a gradient are trained, are float32, and all take part in every forward pass.
    train_set,      sequences of samples, mappings with "labels", the class as an int 0..C-1, and whatever `collate`
    validation_set  makes batches of. Three things are used where a set has them: `lengths`, a list of each sample's
                    size (tokens, frames), by which batching="grouped" groups and speed is told; `labels`, a list of
                    the classes, so that no sample is read for them; `set_epoch(epoch)`, called before each epoch.
    collate         list of samples -> batch, a dict of tensors with "labels" [B]; called by another thread.

The best weights by `settings.choose` on the validation clips are in `model` when `fit` returns. Called again after a
kill with the same arguments it goes on from the last checkpoint and ends with the same weights. The random start of
`model` is the caller's (torch.manual_seed before it is built). `discard(output)` removes the checkpoints afterwards.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from affectgpt.baselines.settings import FitSettings
from affectgpt.config import Recipe
from affectgpt.config.sections import DataSection, TrainSection
from affectgpt.data.branches import Size
from affectgpt.environment import process_device
from affectgpt.files import atomic_write_json, only_writer, remove_folder
from affectgpt.metrics.basic import accuracy, macro_f1, weighted_f1
from affectgpt.models.collate import to_device
from affectgpt.train.checkpoints import Checkpoints, State, check_files, load_optimizer, load_weights, read_state
from affectgpt.train.distributed import World
from affectgpt.train.engines.settings import EngineSettings
from affectgpt.train.engines.torch_engine import TorchEngine
from affectgpt.train.rates import parameter_groups
from affectgpt.train.run_log import RunLog
from affectgpt.train.trainer import Trainer

CHECKPOINTS, BEGUN = "checkpoints", "fit.json"
SCORES = {"weighted_f1": weighted_f1, "macro_f1": macro_f1, "accuracy": accuracy}
Collate = Callable[[list[Any]], dict[str, Tensor]]


@dataclass(frozen=True)
class FitResult:
    """What came of a fit.

    Attributes:
        score: `settings.choose` of the best epoch on the validation clips; of "loss" the lowest.
        scores: all of `SCORES` and "loss" of that epoch.
        best_step, steps: optimizer steps up to it, and in all.
        seconds: of this call; after a kill those before it are not counted.
    """

    score: float
    scores: dict[str, float]
    best_step: int
    steps: int
    seconds: float


def fit(model: nn.Module, train_set: Sequence, validation_set: Sequence, collate: Collate, settings: FitSettings,
        output: str | Path, seed: int = 0, *, device: str = "auto", facts: Mapping[str, Any] | None = None,
        quiet: bool = False) -> FitResult:
    """Train `model` and leave its best weights in it; the module's docstring says what each argument is.

    Args:
        output: folder of log.jsonl and checkpoints/.
        facts: what else must be equal when a killed run goes on, such as a fingerprint of the texts; JSON.
        quiet: nothing on the screen but a progress bar on a terminal.
    Raises:
        ValueError: no clips to train or to validate on, a class that is none, an output that holds another run, a loss
            that is not finite.
    """
    started, output = time.monotonic(), Path(output)
    for name, clips in (("train", train_set), ("validate", validation_set)):
        if not len(clips):
            raise ValueError(f"{output}: there are no clips to {name} on")
    sets = _Rows(train_set), _Rows(validation_set)
    place = torch.device(process_device(device, "device="))
    world = World(0, 1, 0, place)
    recipe = _recipe(settings, output, seed)
    begun = {"settings": dataclasses.asdict(settings), "seed": seed, "facts": dict(facts or {}),
             "data": [_fingerprint(rows.labels) for rows in sets]}
    with only_writer(output, "fits into"):
        checkpoints = _Checkpoints(output / CHECKPOINTS, keep=1)
        resume = _begin(output, checkpoints, json.loads(json.dumps(begun)))
        model.to(place)
        if resume is not None:
            load_weights(model, resume)
        groups = parameter_groups(model, recipe.train)
        engine = TorchEngine(model, groups, EngineSettings(clip_norm=settings.clip_norm))
        state = State(rows_per_step=settings.accumulation) if resume is None else read_state(resume)
        if resume is not None:
            engine.load_optimizer(load_optimizer(resume), state.step)
        log = _Log(output, True, state.step, [], output.name, {}, board=False)
        log.quiet = quiet
        trainer = ClassifierTrainer(engine, world, recipe, _Processor(collate), sets, checkpoints, log, state,
                                    [group["names"][0] for group in groups], settings)
        try:
            state = trainer.run()
        finally:
            log.close()
            engine.close()
        best = checkpoints.path(state.best_step)
        load_weights(model, best)
        scores = json.loads((best / "scores.json").read_text(encoding="utf-8"))
    model.eval()
    return FitResult(scores[settings.choose], scores, state.best_step, state.step, time.monotonic() - started)


def discard(output: str | Path) -> None:
    """Remove the checkpoints of a fit, whose best weights the caller has kept."""
    folder = Path(output) / CHECKPOINTS
    Checkpoints(folder, 1).clear()
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


@torch.no_grad()
def predict(model: nn.Module, clips: Sequence, collate: Collate, batch_size: int = 64,
            device: str = "auto") -> Tensor:
    """Logits [N, C] float32 on the CPU, of a set as `fit` takes it; in its order."""
    place = torch.device(process_device(device, "device="))
    model.to(place).eval()
    lengths = getattr(clips, "lengths", None)
    order = sorted(range(len(clips)), key=lambda index: -lengths[index]) if lengths else list(range(len(clips)))
    found: list[Tensor] = [torch.empty(0)] * len(clips)
    for start in range(0, len(order), batch_size):
        members = order[start : start + batch_size]
        batch = to_device(collate([clips[index] for index in members]), place)
        for index, row in zip(members, model(**batch).logits.float().cpu(), strict=True):
            found[index] = row
    return torch.stack(found) if found else torch.empty(0, 0)


class ClassifierTrainer(Trainer):
    """The trainer, told what a clip's loss is and what a validation looks at."""

    def __init__(self, engine, world, recipe, processor, sets, checkpoints, log, state, group_names,
                 settings: FitSettings):
        super().__init__(engine, world, recipe, processor, sets, None, None, checkpoints, log, state, group_names,
                         cost=_Cost(engine.model))
        self.fitting, self.scores, self.weights = settings, {}, None
        if settings.class_weights == "balanced":
            self.weights = _balanced(sets[0].labels, world.device)
        steps = -(-len(sets[0]) // (settings.batch_size * state.rows_per_step))
        self.steps_per_epoch = steps
        self.stopped = False
        self._look_at_patience()

    def forward(self, batch: dict, labelled: float):
        outputs, targets = self.engine.forward(**batch), batch["labels"]
        own = getattr(outputs, "loss", None)
        if own is not None:
            return SimpleNamespace(loss=own * (len(targets) / labelled), token_losses=None, token_clips=None)
        losses = self._losses(outputs.logits, targets)
        return SimpleNamespace(loss=losses.sum() / labelled, token_losses=losses.detach(),
                               token_clips=torch.arange(len(losses), device=losses.device))

    def _losses(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Cross entropy [B]; class weights have mean 1 over the training clips, so they need no further division."""
        weights = None
        if self.weights is not None:  # classes that training lacks weigh nothing
            weights = torch.zeros(logits.shape[-1], device=logits.device)
            weights[: len(self.weights)] = self.weights
        return nn.functional.cross_entropy(logits.float(), targets, weights, reduction="none",
                                           label_smoothing=self.fitting.label_smoothing)

    @torch.no_grad()
    def validate(self) -> float:
        """What is chosen by, lower being better."""
        rows, model = self.validation_set, self.engine.model
        model.eval()
        said, total = [0] * len(rows), 0.0
        order = rows.longest_first()
        for start in range(0, len(rows), self.fitting.batch_size):
            members = order[start : start + self.fitting.batch_size]
            batch = to_device(self.processor.collate([rows[index] for index in members], False), self.world.device)
            outputs = model(**batch)
            own = getattr(outputs, "loss", None)
            loss = own * len(members) if own is not None else self._losses(outputs.logits, batch["labels"]).sum()
            total += float(loss)
            for index, place in zip(members, outputs.logits.argmax(-1).tolist(), strict=True):
                said[index] = place
        self.scores = {name: score(rows.labels, said) for name, score in SCORES.items()} | {"loss": total / len(rows)}
        if not abs(self.scores["loss"]) < float("inf"):
            raise ValueError(f"the validation loss after step {self.state.step} is {self.scores['loss']}: lower "
                             "fit.learning_rate; no checkpoint of this step was written")
        chosen = self.scores[self.fitting.choose]
        return chosen if self.fitting.choose == "loss" else 1 - chosen

    def validation_report(self, loss: float) -> tuple[dict, str]:
        name, best = self.fitting.choose, self.state.best_loss
        row = {f"validation_{key}": value for key, value in self.scores.items()}
        scores = ", ".join(f"{key} {value:.4f}" for key, value in self.scores.items())
        return row, f"validation {scores} | best {name} {best if name == 'loss' else 1 - best:.4f}"

    def _validate_and_save(self, save: bool) -> None:
        super()._validate_and_save(save)
        self._look_at_patience()

    def save(self) -> None:
        self.checkpoints.scores = self.scores
        super().save()

    def _look_at_patience(self) -> None:
        """Validations come once an epoch, so steps since the best one are epochs; a resumed run sees the same."""
        patience, state = self.fitting.patience, self.state
        if patience and state.best_step is not None:
            self.stopped = (state.step - state.best_step) // self.steps_per_epoch >= patience

    def _over(self) -> bool:
        return self.stopped or super()._over()

    def _count_drawn(self, indices: list[int]) -> None:
        """There is one question."""


class _Rows:
    """Samples as the trainer and `train.batches` take them."""

    def __init__(self, samples: Sequence):
        self.samples, self.epoch_clips = samples, len(samples)
        given = getattr(samples, "labels", None)
        self.labels = [int(label) for label in (given if given is not None else
                                                (samples[index]["labels"] for index in range(len(samples))))]
        if min(self.labels) < 0:
            raise ValueError(f"a class is {min(self.labels)}: classes are numbered from 0")
        self._lengths = getattr(samples, "lengths", None) or [1] * len(samples)
        self.items = [(SimpleNamespace(key=f"sample {index}", corpus=""),) for index in range(len(samples))]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> dict:
        return {"clip": self.items[index][0], "sample": self.samples[index]}

    def set_epoch(self, epoch: int) -> None:
        if hasattr(self.samples, "set_epoch"):
            self.samples.set_epoch(epoch)

    def longest_first(self) -> list[int]:
        """Places by size, so that a batch needs little padding."""
        return sorted(range(len(self)), key=lambda index: -self._lengths[index])

    def drawn(self) -> list[int]:
        return list(range(len(self)))

    def sizes(self, indices: list[int]) -> list[Size]:
        return [Size(self._lengths[index], 1, 0) for index in indices]


class _Processor:
    def __init__(self, collate: Collate):
        self._collate = collate

    def collate(self, rows: list[dict], training: bool) -> dict[str, Tensor]:
        return self._collate([row["sample"] for row in rows])


class _Cost:
    """Operations of a step by the rule of `train.flops`: 6 a trained and 4 a frozen weight, for each token or frame."""

    def __init__(self, model: nn.Module):
        tables = {id(part.weight) for part in model.modules() if isinstance(part, nn.Embedding)}
        weights = [p for p in model.parameters() if p.ndim > 1 and id(p) not in tables]
        self.each = sum((6 if p.requires_grad else 4) * p.numel() for p in weights)
        self.dtype = next((p.dtype for p in weights if p.is_floating_point()), torch.float32)

    def operations(self, tokens: int, labelled: int, squares: int, clips: int = 0) -> float:
        return self.each * tokens


class _Checkpoints(Checkpoints):
    """Checkpoints whose model is its trained tensors alone."""

    scores: dict[str, float] = {}

    def write_model(self, folder: Path, model, processor, tensors: dict) -> None:
        stored = set(model.state_dict())
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items() if name in stored},
                  folder / "model.safetensors")
        atomic_write_json(folder / "scores.json", self.scores)


class _Log(RunLog):
    quiet = False

    def line(self, text: str) -> None:
        if not self.quiet:
            super().line(text)


def _begin(output: Path, checkpoints: Checkpoints, begun: dict) -> Path | None:
    """The checkpoint to go on from, after checking that it is of this run; None begins anew."""
    file, found = output / BEGUN, checkpoints.whole()
    if found:
        before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        other = sorted(key for key in begun if before.get(key) != begun[key])
        if other:
            raise ValueError(f"{output} holds a fit with other {', '.join(other)}: choose another output, or remove "
                             f"{output / CHECKPOINTS}")
        check_files(found[-1])
        best = checkpoints.path(read_state(found[-1]).best_step)
        if best not in found:
            raise ValueError(f"{best}, the best checkpoint so far, is gone: remove {output / CHECKPOINTS} to start "
                             "anew")
        check_files(best)
    output.mkdir(parents=True, exist_ok=True)
    checkpoints.clean()
    atomic_write_json(file, begun)
    return found[-1] if found else None


def _recipe(settings: FitSettings, output: Path, seed: int) -> Recipe:
    """The settings in the words of a training recipe."""
    train = TrainSection(
        output=str(output), seed=seed, alignment_epochs=0, alignment_weight=0.0, projector_warmup_steps=0,
        learning_rates={"": settings.learning_rate, **settings.learning_rates},
        **{name: getattr(settings, name) for name in (
            "epochs", "batching", "batch_size", "accumulation", "weight_decay", "warmup_ratio", "schedule", "clip_norm",
            "save_every", "log_every")})
    return Recipe(train=train, data=DataSection(workers=0))


def _balanced(labels: list[int], device: torch.device) -> Tensor:
    """Weight of each class up to the last one there is: N / (classes there are x its count), 0 of one not there."""
    counts = Counter(labels)
    return torch.tensor([len(labels) / (len(counts) * counts[label]) if counts[label] else 0.0
                         for label in range(max(counts) + 1)], device=device)


def _fingerprint(labels: list[int]) -> str:
    return hashlib.sha256(json.dumps(labels).encode()).hexdigest()[:16]
