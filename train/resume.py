"""May this run go on from what lies in its output folder, and from where?"""

from __future__ import annotations

from pathlib import Path

from affectgpt.config import Recipe, load_recipe
from affectgpt.train.checkpoints import Checkpoints, State, read_state

FREE = {
    "train": ("output", "epochs", "max_steps", "resume", "threads", "device", "keep_checkpoints", "log_every", "accumulation",
              "engine", "zero_stage", "offload_optimizer", "offload_parameters", "deepspeed_config", "peak_flops",
              "report_to", "gradient_checkpointing", "evaluate_every", "save_every"),
    "data": ("workers", "store"),
    "model": ("attention",),
}
"""Settings that may change between a run and its continuation: none of them changes what a step computes."""


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
    return {f"{group}.{name}": value for group, free in FREE.items()
            for name, value in vars(getattr(recipe, group)).items() if name not in free}


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
