"""Settings of a comparison: a corpus, its protocols, and the systems that stand in its table."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from affectgpt.baselines.split import PROTOCOLS
from affectgpt.config import typed
from affectgpt.config.recipe import recipe_folder
from affectgpt.config.sections import CorpusSection
from affectgpt.models.settings import AtLeast

PREFIX = "compare-"
"""Of the names of packaged recipes: `affectgpt compare cexpr` reads compare-cexpr."""


@dataclass
class SystemSection:
    """One row of the table."""

    kind: Literal["textualized", "features", "affectgpt", "model"] = "textualized"
    """"textualized" trains on the words of clips (`affectgpt textualized`), "features" a fusion network (`affectgpt
    features`), "affectgpt" trains an AffectGPT on each split; "model" asks a ready one, which has no seeds."""
    title: str = ""
    """How the table calls it; empty takes its key."""
    recipe: str = ""
    """Recipe of the job, of "model" the model folder."""
    settings: list[str] = field(default_factory=list)
    """Changes to the recipe, "key=value" each; corpus, protocol, seeds and folders are those of the comparison."""
    question: str = "emotion_candidates"
    """What AffectGPT is taught and asked: "emotion_candidates" lists the classes, "labels" is for ready models that
    were never taught to choose."""


@dataclass
class CompareRecipe:
    """All settings of a comparison."""

    name: str = "compare"
    """Short name, for folders and reports."""
    description: str = ""
    """One sentence: what is compared."""
    corpus: CorpusSection = field(default_factory=CorpusSection)
    """The clips, by `reader`, `root`, `options` and `labels`."""
    protocols: list[str] = field(default_factory=lambda: ["official"])
    """What is trained, validated and tested on; a table each (`baselines.split`)."""
    seeds: list[Annotated[int, AtLeast(0)]] = field(default_factory=lambda: [0, 1, 2])
    """Starts of all random numbers; each is a run of its own."""
    output: str = "runs/compare"
    """Folder of predictions and tables."""
    texts: str | None = None
    """File of cues as words, a row a clip (`affectgpt textualize`); null makes it of the media, where they are there
    and a system needs it."""
    textualize: str = ""
    """Recipe by which that file is made; empty makes none."""
    textualize_settings: list[str] = field(default_factory=list)
    """Changes to that recipe, "key=value" each."""
    systems: dict[str, SystemSection] = field(default_factory=dict)
    """Key -> system, in the order of the table. The majority of the training clips always stands below them."""
    pairs: list[str] = field(default_factory=list)
    """"FIRST:SECOND" keys of systems whose weighted F1 is compared on the same clips."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models compute."""
    threads: Annotated[int, AtLeast(0)] = 0
    """CPU threads; 0 takes all cores."""

    def validate(self) -> None:
        """Raise one ValueError naming every setting that cannot be."""
        problems = typed.range_problems(self)
        problems += [f"protocols has {name!r}: use {', '.join(PROTOCOLS)}" for name in self.protocols
                     if name not in PROTOCOLS]
        for key, values in (("protocols", self.protocols), ("seeds", self.seeds)):
            if not values or len(set(values)) < len(values):
                problems.append(f"{key} is {values}: name each once, and at least one")
        if not self.systems:
            problems.append("systems is empty: name one, for example systems.words.recipe=textualized-words")
        problems += [f"systems.{key}.recipe is empty: name a recipe{' or folder' * (system.kind == 'model')}"
                     for key, system in self.systems.items() if not system.recipe]
        problems += [f"systems has the key {key!r}: use letters, digits, - and _, since a folder is called so"
                     for key in self.systems if not key.replace("-", "").replace("_", "").isalnum()]
        for pair in self.pairs:
            names = pair.split(":")
            if len(names) != 2 or names[0] == names[1] or not set(names) <= self.systems.keys():
                problems.append(f"pairs has {pair!r}: write two keys of systems ({', '.join(self.systems)}) with a "
                                "colon between them")
        problems += [f"corpus.{name} is for training AffectGPT alone: leave it out"
                     for name in ("protocol", "weight", "questions", "valence_range")
                     if getattr(self.corpus, name) != getattr(CorpusSection(), name)]
        if problems:
            raise ValueError("; ".join(problems))


def load(path_or_name: str | os.PathLike[str], overrides: list[str] | tuple[str, ...] = ()) -> CompareRecipe:
    """Read a recipe, change it by `group.name=value` words, and validate it.

    Args:
        path_or_name: a YAML file, a packaged recipe, or what it compares: "cexpr" is compare-cexpr.
    Raises:
        ValueError: naming file or override, key and what to do.
    """
    text = os.fspath(path_or_name)
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml") and len(path.parts) == 1:
        path = recipe_folder() / f"{PREFIX}{text.removeprefix(PREFIX)}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem.removeprefix(PREFIX) for file in recipe_folder().glob(f"{PREFIX}*.yaml")))
        raise ValueError(f"{text}: no such comparison; there are {known}, or name a YAML file of your own")
    values = dataclasses.asdict(typed.build(CompareRecipe, typed.read_yaml(path), str(path)))
    for word in overrides:
        typed.override(values, word, CompareRecipe)
    recipe = typed.build(CompareRecipe, values, str(path))
    try:
        recipe.validate()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe
