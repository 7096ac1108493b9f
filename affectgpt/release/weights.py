"""The two forms of a released model: everything in one folder, or the trained parts over base models by name."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from affectgpt import hub
from affectgpt.config import load_recipe, save_recipe
from affectgpt.files import DONE_MARK, atomic_write_json, parse_object, remove_folder

OF_A_RUN = ("state.json", DONE_MARK)
"""Files of a checkpoint that no release holds."""


def merged(source: Path, folder: Path, max_shard_size: str) -> None:
    """All weights, LoRA added to the LLM's, and the code that loads them."""
    from affectgpt.merging import merge_folder

    whole = folder / "merging"
    merge_folder(source, whole, max_shard_size=max_shard_size)
    for path in sorted(whole.iterdir()):
        if path.name != DONE_MARK:
            os.replace(path, folder / path.name)
    remove_folder(whole)
    _without_places(folder)


def adapter(source: Path, folder: Path) -> None:
    """The trained parts, as they are; with code where transformers can load the base parts by itself.

    Raises:
        ValueError: a base part that is named by a path of this machine, which nobody else has.
    """
    from affectgpt.models.configuration import AffectGPTConfig
    from affectgpt.standalone import write_standalone

    config = AffectGPTConfig.from_pretrained(source)
    names = [getattr(config, key) for key in ("llm", "audio_encoder", "visual_encoder") if getattr(config, key)]
    for name in names:
        if Path(name).is_absolute() or Path(name).exists():
            raise ValueError(f"{source}: its base part {name} is a folder of this machine, which others do not have: "
                             "release the merged form (--form merged), or train on a hub id")
    for path in sorted(source.iterdir()):
        if path.is_file() and path.name not in OF_A_RUN:
            shutil.copyfile(path, folder / path.name)
    if not any(name.startswith(hub.PREFIX) for name in names):
        write_standalone(folder)
    _without_places(folder)


def _without_places(folder: Path) -> None:
    """Take out of the configuration, the recipe and the facts of a run where things lay on its machine."""
    config = parse_object((folder / "config.json").read_text(encoding="utf-8"), str(folder / "config.json"))
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        if Path(str(part.get("_name_or_path") or "")).is_absolute():
            del part["_name_or_path"]
    atomic_write_json(folder / "config.json", config)
    if (folder / "recipe.yaml").is_file():
        recipe = load_recipe(folder / "recipe.yaml")
        recipe.data.manifests, recipe.data.root, recipe.data.store = [], None, None
        for section in recipe.data.corpora:
            section.root = None
        recipe.train.output, recipe.train.deepspeed_config = type(recipe.train)().output, None
        save_recipe(recipe, folder / "recipe.yaml")
    if (folder / "training.json").is_file():
        values = parse_object((folder / "training.json").read_text(encoding="utf-8"), str(folder / "training.json"))
        values.pop("best_checkpoint", None)
        atomic_write_json(folder / "training.json", values)
