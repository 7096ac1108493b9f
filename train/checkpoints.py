"""Checkpoints: trained weights, optimizer and place in the data, as safetensors and JSON, whole or not there.

    OUTPUT/checkpoints/step-00000120/
        model.safetensors, config.json, tokenizer   an AffectGPT folder that `affectgpt describe --model` takes
        optimizer.safetensors                       Adam's two moments of every trained parameter, by its name
        state.json                                  step, place in the epoch, best validation so far, what the run began
        with files.json                                  size and SHA-256 of all these done
        written last

Nothing in it depends on the number of ranks, the engine or the ZeRO stage.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from affectgpt.config import Recipe, load_recipe
from affectgpt.errors import describe_error
from affectgpt.files import DONE_MARK, atomic_folder, atomic_write_json, is_done, remove_folder, share_file
from affectgpt.models.shards import read_tensors
from affectgpt.models.weight_files import INDEX_NAME, WEIGHTS_NAME

NAME = "step-{:08d}"
OPTIMIZER_NAME = "optimizer.safetensors"
SUMS_NAME = "files.json"
OF_THE_RUN = (OPTIMIZER_NAME, "state.json", SUMS_NAME, DONE_MARK)
"""Files of a checkpoint that a model folder does not need."""

FREE = {
    "train": (
        "output",
        "epochs",
        "max_steps",
        "resume",
        "threads",
        "device",
        "keep_checkpoints",
        "log_every",
        "accumulation",
        "engine",
        "zero_stage",
        "offload_optimizer",
        "offload_parameters",
        "deepspeed_config",
        "peak_flops",
        "report_to",
        "gradient_checkpointing",
        "evaluate_every",
        "save_every",
        "timeout_minutes",
    ),
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
    drawn: dict[str, dict[str, int]] = field(default_factory=dict)
    """Corpus -> kind of question -> how often this epoch has asked it so far."""
    origins: dict[str, str] = field(default_factory=dict)
    """What the run began with (`train.facts.origins`): fingerprints of its clips, revisions of the base weights."""


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
                self.write_model(temporary, model, processor, tensors)
                save_file({name: value.contiguous() for name, value in optimizer.items()}, temporary / OPTIMIZER_NAME)
                share_file(temporary / OPTIMIZER_NAME)
                atomic_write_json(temporary / "state.json", dataclasses.asdict(state))
                atomic_write_json(
                    temporary / SUMS_NAME, {file.name: _sum(file) for file in sorted(temporary.iterdir())}
                )
        except (OSError, SafetensorError) as error:
            earlier = f"{before[-1]} is whole" if before else "there is none before it"
            reason = getattr(error, "strerror", None) or error
            raise OSError(
                f"the checkpoint of step {state.step} could not be written to {path} ({reason}); {earlier}. "
                "Make room and run the same command again"
            ) from error
        self._drop_old(state)
        return path

    def write_model(self, folder: Path, model, processor, tensors: dict) -> None:
        """Write the model's part of a checkpoint: at least `tensors`, as model.safetensors."""
        model.save_pretrained(folder, state_dict=tensors)
        processor.save_pretrained(folder)

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
        """Remove all checkpoints of an earlier run; what else lies in their folder is left."""
        for path in self.whole():
            remove_folder(path)


def _sum(file: Path) -> dict:
    with open(file, "rb") as opened:
        return {"size": file.stat().st_size, "sha256": hashlib.file_digest(opened, "sha256").hexdigest()}


def check_files(path: Path) -> None:
    """Read every file of a checkpoint and compare it with what was written.

    Raises:
        ValueError: names the first file that is missing or another one, and what to do.
    """
    before = [other for other in Checkpoints(path.parent, 1).whole() if other < path]
    remedy = f"remove the folder {path} to go on from " + (f"{before[-1].name}, the checkpoint before it" if before else
                                                           "the start, as there is no checkpoint before it")
    sums = path / SUMS_NAME
    try:
        values = json.loads(sums.read_text(encoding="utf-8"))
        expected = {name: (value["size"], value["sha256"]) for name, value in values.items()}
        for name in ([] if INDEX_NAME in expected else [WEIGHTS_NAME]) + [OPTIMIZER_NAME, "state.json"]:
            expected[name]
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{sums}: is missing or damaged, or another version wrote this checkpoint "
                         f"({describe_error(error)}); {remedy}, or start anew with train.resume=false") from error
    for name, (size, digest) in expected.items():
        file = path / Path(name).name  # no path leaves the checkpoint
        if not file.is_file():
            raise ValueError(f"{file}: is missing; {remedy}")
        found = _sum(file)
        if found["size"] != size:
            raise ValueError(f"{file}: is damaged: it has {found['size']} bytes and was written with {size}; {remedy}")
        if found["sha256"] != digest:
            raise ValueError(f"{file}: is damaged: it is not what was written (its SHA-256 differs); {remedy}")


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
    saved = read_tensors(path)
    expected = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    missing = sorted(expected - set(saved))
    unknown = sorted(set(saved) - set(model.state_dict()))
    if missing or unknown:
        raise ValueError(f"{path} is of another model: {len(missing)} trained tensors are missing "
                         f"({', '.join(missing[:2])}), {len(unknown)} are unknown ({', '.join(unknown[:2])})")
    model.load_state_dict(saved, strict=False)


def load_optimizer(path: Path) -> dict:
    """Adam's moments by parameter name, for an engine's `load_optimizer`."""
    return load_file(path / OPTIMIZER_NAME)


# ---------------------------------------------------------------------------- resume


def last_checkpoint(recipe: Recipe) -> Path | None:
    """The newest whole checkpoint to resume from, as train.resume says; None starts anew.

    Raises:
        ValueError: train.resume is true and there is none, the folder holds a run with other settings, or a file of
            the newest or the best checkpoint is damaged.
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
    check_files(found[-1])
    best = Checkpoints(output / "checkpoints", 1).path(read_state(found[-1]).best_step or 0)
    if best in found[:-1]:
        check_files(best)
    return found[-1]


def settings_of(recipe: Recipe) -> dict:
    """"group.name" -> value of all settings that a continued run must share."""
    sections = {"train": recipe.train, "data": recipe.data, "model": recipe.model.with_preset()}
    found = {f"{group}.{name}": value for group, free in FREE.items()
             for name, value in vars(sections[group]).items() if name not in free}
    # Corpora may be moved: their rows are compared, not where they lie.
    found["data.corpora"] = [replace(corpus, root=None) for corpus in recipe.data.corpora]
    return found


def first_state(recipe: Recipe, checkpoint: Path | None, world, origins: dict[str, str]) -> State:
    """Where the run begins; the rows of a step stay what they were when it began.

    accumulation x ranks counts for a new run only: with it, the order of clips and the size of a step would change
    when a run goes on with another number of ranks.
    """
    ranks = world.size
    if checkpoint is None:
        return State(rows_per_step=recipe.train.accumulation * ranks, origins=origins)
    state = read_state(checkpoint)
    if state.best_step is not None and not is_done(checkpoint.parent / NAME.format(state.best_step)):
        if world.is_main:
            print(f"the best checkpoint so far, {NAME.format(state.best_step)}, is gone: the best one is chosen anew "
                  "among those to come")
        state.best_step = state.best_loss = None
    if world.is_main and state.rows_per_step != recipe.train.accumulation * ranks:
        passes = -(-state.rows_per_step // ranks)
        idle = passes * ranks - state.rows_per_step
        print(f"this run began with {state.rows_per_step} forward passes a step, and keeps them: {passes} on each of "
              f"{ranks} ranks{f', of which {idle} of all do nothing' if idle else ''}")
    return state
