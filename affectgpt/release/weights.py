"""The two forms of a released model: everything in one folder, or the trained parts over base models by name."""

from __future__ import annotations

import shutil
from pathlib import Path

NOT_RELEASED = {"recipe.yaml", "training.json", "state.json", "done", "optimizer.safetensors"}
"""Files of a run's model folder that are facts about the run (`release.json` has what matters) or its state."""


def merged(source: Path, folder: Path, max_shard_size: str) -> None:
    """All weights, LoRA added to the LLM's."""
    from affectgpt.models.merging import merge_into

    merge_into(source, folder, max_shard_size=max_shard_size)


def adapter(source: Path, folder: Path) -> None:
    """The trained parts, as they are.

    Raises:
        ValueError: a base part that is named by a path of this machine, which nobody else has.
    """
    from affectgpt.models.configuration import AffectGPTConfig

    config = AffectGPTConfig.from_pretrained(source)
    for key in ("llm", "audio_encoder", "visual_encoder"):
        name = getattr(config, key)
        if name and (Path(name).is_absolute() or Path(name).exists()):
            raise ValueError(f"{source}: its {key} is the folder {name}, which others do not have: release the merged "
                             "form (--form merged), or train on a hub id")
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in NOT_RELEASED:
            shutil.copyfile(path, folder / path.name)
