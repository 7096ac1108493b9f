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
        wanted = {name: value.shape for name, value in model_class(config).state_dict().items() if name not in tied}
    if wanted.keys() != state.keys():
        raise ValueError(f"{model_class.__name__}: missing weights {sorted(wanted.keys() - state.keys())[:5]}, "
                         f"unexpected weights {sorted(state.keys() - wanted.keys())[:5]}: report this as a bug")
    for name, value in state.items():
        if value.shape != wanted[name]:
            raise ValueError(f"{model_class.__name__}: {name} is {tuple(value.shape)}, the model wants "
                             f"{tuple(wanted[name])}: report this as a bug")
        if not torch.isfinite(value).all():
            raise ValueError(f"{model_class.__name__}: {name} has values that are not finite: the source is damaged")
    config.architectures = [model_class.__name__]
    config.dtype = next(iter(state.values())).dtype
    config.save_pretrained(folder)
    weights = folder / "model.safetensors"
    save_file({name: value.contiguous() for name, value in state.items()}, weights, metadata={"format": "pt"})
    weights.chmod((folder / "config.json").stat().st_mode & 0o777)  # safetensors writes private files
