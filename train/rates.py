"""Learning rates: the schedule, the rate of each part, and the parameter groups that follow from both."""

from __future__ import annotations

import math

PROJECTOR = ("projectors.", "fusion.", "token_norms.")
"""Starts of the names of what begins at random; `train.projector_warmup_steps` moves it alone."""


def rate_of(settings, name: str, step: int, progress: float) -> float:
    """Learning rate of a parameter at `progress` of the run, 0 to 1, after `step` steps."""
    if step < settings.projector_warmup_steps and not name.startswith(PROJECTOR):
        return 0.0
    return schedule_factor(settings.schedule, settings.warmup_ratio, progress) * peak_rate(settings, name)


def schedule_factor(schedule: str, warmup: float, progress: float) -> float:
    """Share of the peak learning rate at `progress` of a run, both 0 to 1."""
    if progress < warmup:
        return progress / warmup
    rest = (progress - warmup) / (1 - warmup)
    return {"constant": 1.0, "linear": 1 - rest, "cosine": 0.5 * (1 + math.cos(math.pi * rest))}[schedule]


def peak_rate(settings, name: str) -> float:
    """Peak learning rate of a parameter, by `train.learning_rates` or by the part that it belongs to."""
    own = [start for start in settings.learning_rates if name.startswith(start)]
    if own:
        return settings.learning_rates[max(own, key=len)]
    if name.startswith("language_model."):
        return settings.learning_rate
    return settings.projector_learning_rate if name.startswith(PROJECTOR) else settings.encoder_learning_rate


def parameter_groups(model, settings) -> list[dict]:
    """Trained parameters by part, learning rate and weight decay, for an engine.

    Raises:
        ValueError: a key of `train.learning_rates` that no trained parameter starts with.
    """
    trained = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    for start in settings.learning_rates:
        if not any(name.startswith(start) for name, _ in trained):
            parts = ", ".join(sorted({name.split(".")[0] for name, _ in trained}))
            raise ValueError(f"train.learning_rates.{start}: no trained parameter starts with this; trained are parts "
                             f"of {parts}")
    groups: dict[tuple, dict] = {}
    for name, parameter in trained:
        decay = settings.weight_decay if parameter.ndim > 1 else 0.0  # biases, norms and scales are left alone
        key = (name.startswith(PROJECTOR), peak_rate(settings, name), decay)
        group = groups.setdefault(key, {"params": [], "names": [], "lr": key[1], "weight_decay": decay})
        group["params"].append(parameter)
        group["names"].append(name)
    return list(groups.values())
