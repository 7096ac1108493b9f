"""Starter assets: weights carried by Python packages -> Hugging Face folders (called by `affectgpt.hub`)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedConfig, PreTrainedModel


def save_model(
    folder: Path,
    model_class: type[PreTrainedModel],
    config: PreTrainedConfig,
    state: dict[str, torch.Tensor],
    tied: tuple[str, ...] = (),
) -> None:
    """Write config.json and model.safetensors, after checking that `state` is exactly what the model wants.

    `tied` names the parameters that are another one's alias in the model, and are therefore not in `state`.

    Raises:
        ValueError: a parameter is missing, unexpected, of another shape, or not finite.
    """
    import torch
    from safetensors.torch import save_file

    with torch.device("meta"):
        parameters = model_class(config).state_dict()
    wanted = {name: value.shape for name, value in parameters.items() if name not in tied}
    title = model_class.__name__
    missing, unexpected = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    if missing or unexpected:
        raise ValueError(f"{title}: missing weights {missing[:5]}, unexpected weights {unexpected[:5]}: "
                         "the source is not the model that it should be")
    for name, value in state.items():
        if value.shape != wanted[name]:
            raise ValueError(f"{title}: {name} is {tuple(value.shape)}, the model wants "
                             f"{tuple(wanted[name])}: the source is not the model that it should be")
        if not torch.isfinite(value).all():
            raise ValueError(f"{title}: {name} has values that are not finite: the source is damaged")
    config.architectures = [title]
    config.dtype = next(iter(state.values())).dtype
    config.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, weights, metadata={"format": "pt"})
    weights.chmod((folder / "config.json").stat().st_mode & 0o777)  # safetensors writes private files
