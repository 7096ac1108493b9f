"""A converted starter asset -> a model, without what `from_pretrained` does for files of unknown origin.

`save_model` wrote the files, under the names that the model's class uses today. So no conversion table has to be
compiled and no weight drawn that is replaced at once: on two cores that is 2.5 of the 3.5 s in which a process reads
its three parts.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import safe_open
from transformers import GenerationConfig, PreTrainedModel
from transformers.initialization import no_init_weights


def read_model(folder: str | Path, build: Callable[[], PreTrainedModel], dtype: torch.dtype,
               prefix: str = "") -> PreTrainedModel:
    """The model that `build` makes, with the weights of a folder, in evaluation mode.

    Args:
        folder: one that `starter.save_model` wrote.
        build: makes the model in float32, which tables such as those of rotary positions stay in; its weights are not
            drawn while it runs.
        dtype: of the weights.
        prefix: of the file's names, where the model is a part of what the file holds; other names are not read.
    Raises:
        ValueError: the file lacks weights of the model, or has others.
    """
    weights = Path(folder) / "model.safetensors"
    with no_init_weights():
        model = build()
    with safe_open(weights, framework="pt") as file:
        state = {name.removeprefix(prefix): file.get_tensor(name).to(dtype)
                 for name in file.keys() if name.startswith(prefix)}
    found = model.load_state_dict(state, strict=False, assign=True)
    missing = sorted(set(found.missing_keys) - set(model.all_tied_weights_keys))
    if missing or found.unexpected_keys:
        raise ValueError(f"{weights}: missing weights {missing[:5]}, unexpected weights {found.unexpected_keys[:5]}: "
                         f"delete {folder}, it is made again on next use")
    model.tie_weights()
    model.config.dtype = dtype
    if model.can_generate() and (Path(folder) / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    return model.eval()
