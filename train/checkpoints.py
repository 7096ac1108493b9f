"""Checkpoints: trained weights, optimizer and place in the data, as safetensors and JSON, whole or not there.

    OUTPUT/checkpoints/step-00000120/
        model.safetensors, config.json, tokenizer   an AffectGPT folder that `affectgpt describe --model` takes
        optimizer.safetensors                       Adam's two moments of every trained parameter, by its name
        state.json                                  step, place in the epoch, best validation so far
        done                                        written last

Nothing in it depends on the number of ranks, the engine or the ZeRO stage.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from affectgpt.config import Recipe, load_recipe
from affectgpt.files import atomic_folder, atomic_write_json, is_done, remove_folder, share_file

NAME = "step-{:08d}"
OPTIMIZER_NAME = "optimizer.safetensors"


FREE = {
    "train": ("output", "epochs", "max_steps", "resume", "threads", "device", "keep_checkpoints", "log_every", "accumulation",
              "engine", "zero_stage", "offload_optimizer", "offload_parameters", "deepspeed_config", "peak_flops",
              "report_to", "gradient_checkpointing", "evaluate_every", "save_every"),
    "data": ("workers", "store"),
    "model": ("attention",),
}
"""Settings that may change between a run and its continuation: none of them changes what a step computes."""


@dataclass
class State:
    """The place of a run."""

    step: int = 0
    """Optimizer steps done."""
    epoch: int = 0
    """Epoch that the next step belongs to, from 0."""
    steps_in_epoch: int = 0
    """Steps of that epoch that are done."""
    clips_in_epoch: int = 0
    """Clips of that epoch that are done."""
    rows_per_step: int = 1
    """Forward passes of all ranks for one step; it stays when a run goes on with another number of ranks."""
    clips: int = 0
    """Clips seen in all."""
    tokens: int = 0
    """Tokens seen in all."""
    best_step: int | None = None
    """Step with the lowest validation loss so far."""
    best_loss: float | None = None
    """That loss."""


class Checkpoints:
    """The checkpoints of one run: saving, retention, finding.

    Args:
        folder: where they lie.
        keep: how many are kept; the best one is always among them.
    """

    def __init__(self, folder: Path, keep: int):
        self.folder, self.keep = Path(folder), keep

    def whole(self) -> list[Path]:
        """Finished checkpoints, the oldest first."""
        return sorted(path for path in self.folder.glob("step-*") if is_done(path))

    def path(self, step: int) -> Path:
        return self.folder / NAME.format(step)

    def save(self, model, processor, trained: dict, optimizer: dict, state: State) -> Path:
        """Write one checkpoint, then remove those that are no longer kept; for the main rank.

        Raises:
            OSError: it could not be written, for example on a full disk; earlier checkpoints are as they were.
        """
        path, before = self.path(state.step), self.whole()
        tensors = trained | {name: value for name, value in model.named_buffers()}
        try:
            with atomic_folder(path, overwrite=True) as temporary:
                model.save_pretrained(temporary, state_dict=tensors)
                processor.save_pretrained(temporary)
                save_file({name: value.contiguous() for name, value in optimizer.items()}, temporary / OPTIMIZER_NAME)
                share_file(temporary / OPTIMIZER_NAME)
                atomic_write_json(temporary / "state.json", dataclasses.asdict(state))
        except (OSError, SafetensorError) as error:
            earlier = f"{before[-1]} is whole" if before else "there is none before it"
            reason = getattr(error, "strerror", None) or error
            raise OSError(f"the checkpoint of step {state.step} could not be written to {path} ({reason}); {earlier}. "
                          "Make room and run the same command again") from error
        self._drop_old(state)
        return path

    def _drop_old(self, state: State) -> None:
        whole = self.whole()
        best = self.path(state.best_step) if state.best_step is not None else None
        newest = whole[-1]
        others = [path for path in whole if path not in (best, newest)]
        room = self.keep - len({best, newest} - {None})
        for path in others[: len(others) - max(0, room)]:
            remove_folder(path)

    def clean(self) -> None:
        """Remove what killed saves left behind; for the main rank, before training."""
        for path in self.folder.glob(".step-*.tmp"):
            shutil.rmtree(path, ignore_errors=True)

    def clear(self) -> None:
        """Remove all checkpoints of an earlier run."""
        shutil.rmtree(self.folder, ignore_errors=True)


def read_state(path: Path) -> State:
    """The place that a checkpoint was written at."""
    values = json.loads((path / "state.json").read_text(encoding="utf-8"))
    known = {field.name for field in dataclasses.fields(State)}
    if set(values) != known:
        raise ValueError(f"{path / 'state.json'} has other keys than this version writes "
                         f"({', '.join(sorted(set(values) ^ known))}): it was written by another version; start anew "
                         "with train.resume=false")
    return State(**values)


def load_weights(model, path: Path) -> None:
    """Put a checkpoint's trained weights and buffers into a model that was built from the same recipe."""
    saved = load_file(path / "model.safetensors")
    expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    missing = sorted(expected - set(saved))
    unknown = sorted(set(saved) - set(model.state_dict()))
    if missing or unknown:
        raise ValueError(f"{path} is of another model: {len(missing)} trained tensors are missing ({', '.join(missing[:2])}), "
                         f"{len(unknown)} are unknown ({', '.join(unknown[:2])})")
    model.load_state_dict(saved, strict=False)


def load_optimizer(path: Path) -> dict:
    """Adam's moments by parameter name, for an engine's `load_optimizer`."""
    return load_file(path / OPTIMIZER_NAME)


# ---------------------------------------------------------------------------- resume


def last_checkpoint(recipe: Recipe) -> Path | None:
    """The newest whole checkpoint to resume from, as train.resume says; None starts anew.

    Raises:
        ValueError: train.resume is true and there is none, or the folder holds a run with other settings.
    """
    output = Path(recipe.train.output)
    found = Checkpoints(output / "checkpoints", recipe.train.keep_checkpoints).whole()
    if recipe.train.resume is True and not found:
        raise ValueError(f"train.resume=true, but {output / 'checkpoints'} has no checkpoint: "
                         "set train.resume=auto or false")
    if not recipe.train.resume or not found:
        return None
    before = settings_of(load_recipe(output / "recipe.yaml")) if (output / "recipe.yaml").is_file() else {}
    now = settings_of(recipe)
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        raise ValueError(f"{output} holds a run with other settings ({', '.join(changed[:4])}): choose another "
                         "train.output, or set train.resume=false to start anew there")
    return found[-1]


def settings_of(recipe: Recipe) -> dict:
    """"group.name" -> value of all settings that a continued run must share."""
    sections = {"train": recipe.train, "data": recipe.data, "model": recipe.model.with_preset()}
    return {f"{group}.{name}": value for group, free in FREE.items()
            for name, value in vars(sections[group]).items() if name not in free}


def first_state(recipe: Recipe, checkpoint: Path | None, world) -> State:
    """Where the run begins; the rows of a step stay what they were when it began.

    accumulation x ranks counts for a new run only: with it, the order of clips and the size of a step would change
    when a run goes on with another number of ranks.
    """
    ranks = world.size
    if checkpoint is None:
        return State(rows_per_step=recipe.train.accumulation * ranks)
    state = read_state(checkpoint)
    if world.is_main and state.rows_per_step != recipe.train.accumulation * ranks:
        passes = -(-state.rows_per_step // ranks)
        idle = passes * ranks - state.rows_per_step
        print(f"this run began with {state.rows_per_step} forward passes a step, and keeps them: {passes} on each of "
              f"{ranks} ranks{f', of which {idle} of all do nothing' if idle else ''}")
    return state
