"""Recipe files: reading them over their base and the command line's changes, and writing them.

    recipe = load_recipe("starter", ["train.epochs=3", "model.streams=audio,text"])

A recipe file may name another one as its `base:`, whose settings it then changes.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from affectgpt.config import typed
from affectgpt.config.sections import ModelSection, Recipe
from affectgpt.files import atomic_write_text
from affectgpt.models.settings import preset_values


def recipe_folder() -> Path:
    """The folder of the packaged recipes, in an installation or beside the package in a checkout."""
    spec = importlib.util.find_spec("affectgpt.configs")
    if spec is not None and spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(__file__).resolve().parents[2] / "configs"


def load_recipe(path_or_name: str | os.PathLike[str], overrides: list[str] | tuple[str, ...] = ()) -> Recipe:
    """Read a recipe, change it by `group.name=value` words, and validate it.

    path_or_name: a YAML file, or the bare name of a packaged recipe ("starter").
    Raises ValueError naming file or override, key and what to do.
    """
    path = _find_recipe(path_or_name)
    values = recipe_to_dict(typed.build(Recipe, _read_with_base(path, ()), str(path)))
    named = (word.partition("=") for word in overrides)
    _one_source(values["data"], {".".join(key.strip().split(".")[:2]) for key, _, value in named
                                 if value.strip() not in ("", "[]")})
    _other_readers(values["data"]["corpora"], overrides)
    for word in overrides:
        typed.override(values, word, Recipe)
    recipe = typed.build(Recipe, values, str(path))
    recipe.validate()
    return recipe


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain nested dictionaries, in the order of the fields; `load_recipe` reads them back from YAML."""
    return dataclasses.asdict(recipe)


def save_recipe(recipe: Recipe, path: str | os.PathLike[str]) -> None:
    """Write every setting, defaults included, as one YAML file; null where the model's preset decides."""
    text = yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False, allow_unicode=True, width=110)
    atomic_write_text(path, text)


def _find_recipe(path_or_name: str | os.PathLike[str], beside: Path | None = None) -> Path:
    """The file of a recipe; a relative path starts at `beside` where that is given."""
    text = os.fspath(path_or_name)
    path = (beside or Path()) / text
    if path.suffix.lower() in (".yaml", ".yml") or len(Path(text).parts) != 1:
        if not path.is_file():
            found = "is a folder, not a recipe file" if path.is_dir() else "no such recipe file"
            raise ValueError(f"{path}: {found}")
        return path
    known = sorted(file.stem for file in recipe_folder().glob("*.yaml"))
    if text not in known:
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}; or give a YAML file"
        raise ValueError(f"{text!r}: no packaged recipe has this name; {hint}")
    return recipe_folder() / f"{text}.yaml"


def _unfilled(values: dict[str, Any]) -> dict[str, Any]:
    """A recipe as a run of version 0.1 wrote it, without the model settings that its preset decided.

    Such a file names every setting, and no null: where its preset was "published", a usual value stood for "not given".
    """
    model = values.get("model")
    settings = set(preset_values("affectgpt")) & typed.names(ModelSection)
    if not isinstance(model, dict) or model.get("preset") != "published" \
            or any(model.get(key) is None for key in settings):
        return values
    usual = {**preset_values("affectgpt"), "audio_layers": "all"}
    kept = {key: value for key, value in model.items() if key not in settings or value != usual[key]}
    return {**values, "model": kept}


def _one_source(data: dict[str, Any], said: set[str]) -> None:
    """Where clips come from, as it was said last: manifests that are named now replace corpora, and the reverse."""
    if "data.manifests" in said and "data.corpora" not in said:
        data["corpora"] = []
    elif "data.corpora" in said and "data.manifests" not in said:
        data["manifests"], data["root"] = [], None


def _other_readers(corpora: list[dict[str, Any]], overrides: Iterable[str]) -> None:
    """An entry that is given another reader loses the options that it had: they are those of the one before."""
    for word in overrides:
        found = re.fullmatch(r"\s*data\.corpora\.(\d+)\.reader\s*=\s*(.*?)\s*", word)
        if found and int(found[1]) < len(corpora) and corpora[int(found[1])]["reader"] != found[2]:
            corpora[int(found[1])]["options"] = {}


def _read_with_base(path: Path, above: tuple[Path, ...]) -> dict[str, Any]:
    """The mapping of a recipe file over that of its base."""
    above = (*above, path.resolve())
    values = _unfilled(typed.read_yaml(path))
    base = values.pop("base", None)
    typed.build(Recipe, values, str(path))  # so that a message names the file that the mistake is in
    if base is None:
        return values
    if not isinstance(base, str):
        raise ValueError(f"{path}: base must be a recipe file or name")
    base_path = _find_recipe(base, path.parent)
    if base_path.resolve() in above:
        raise ValueError(f"{path}: base {base} leads back to a recipe that is based on it")
    inherited, own = _read_with_base(base_path, above), values.get("data") or {}
    _one_source(inherited.setdefault("data", {}), {f"data.{key}" for key in ("manifests", "corpora") if own.get(key)})
    return typed.merge(inherited, values, Recipe)
