"""The head of a baseline job's settings, and the reading of its recipes: corpus, protocol, seeds, where to write."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml

from affectgpt.baselines.split import PROTOCOLS
from affectgpt.config import typed
from affectgpt.config.recipe import recipe_folder
from affectgpt.config.sections import CorpusSection
from affectgpt.files import atomic_write_text
from affectgpt.models.settings import COUNT, SHARE, Above, AtLeast


@dataclass
class FitSettings:
    """How a classifier is fitted (`train.classify.fit`)."""

    epochs: Annotated[float, Above(0)] = 4.0
    """Passes over the training clips, at most."""
    batch_size: Annotated[int, COUNT] = 32
    """Clips in one forward pass."""
    accumulation: Annotated[int, COUNT] = 1
    """Forward passes for one step."""
    batching: Literal["grouped", "random"] = "random"
    """Batches of clips of like length, or as they come."""
    learning_rate: Annotated[float, Above(0)] = 1e-4
    """Peak learning rate of AdamW."""
    learning_rates: dict[str, Annotated[float, Above(0)]] = field(default_factory=dict)
    """Start of a parameter's name -> its own peak learning rate; the longest start counts. Of texts: "head"."""
    weight_decay: Annotated[float, AtLeast(0)] = 0.01
    """Of weights that are no biases, norms or scales."""
    warmup_ratio: Annotated[float, SHARE] = 0.1
    """Share of all steps in which the learning rate rises from 0."""
    schedule: Literal["cosine", "constant", "linear"] = "linear"
    """Course of the learning rate after it; "cosine" and "linear" end at 0."""
    clip_norm: Annotated[float, AtLeast(0)] = 1.0
    """Largest norm of all gradients together; 0 does not clip."""
    class_weights: Literal["none", "balanced"] = "none"
    """"balanced" weighs a class by the inverse of its count, which helps the rare ones and costs weighted F1."""
    label_smoothing: Annotated[float, SHARE] = 0.0
    """Share of the target that is spread over all classes."""
    choose: Literal["weighted_f1", "macro_f1", "accuracy", "loss"] = "weighted_f1"
    """What the best epoch is chosen by, on the validation clips alone."""
    patience: Annotated[int, AtLeast(0)] = 0
    """Epochs without a better one after which training ends; 0 does not end early."""
    save_every: Annotated[int, AtLeast(0)] = 0
    """Steps between checkpoints to go on from after a kill, looked at after each epoch; 0 saves each epoch."""
    log_every: Annotated[int, COUNT] = 50
    """Steps between two lines of the log."""


@dataclass
class BaselineSettings:
    """What every baseline job is told. A job's own settings are a dataclass that inherits from this one."""

    name: str = "baseline"
    """What the system is called in tables."""
    description: str = ""
    """One sentence: what this recipe is for."""
    corpus: CorpusSection = field(default_factory=CorpusSection)
    """The clips, by `reader`, `root`, `options` and `labels`."""
    protocol: str = "official"
    """What is trained, validated and tested on: "official", "paper", "video-disjoint", "speaker-disjoint" or
    "leave-one-out" (`baselines.split`)."""
    seeds: list[Annotated[int, AtLeast(0)]] = field(default_factory=lambda: [0, 1, 2])
    """Starts of all random numbers; each is a run of its own."""
    output: str = "runs/baseline"
    """Folder of the predictions, OUTPUT/NAME/SPLIT/seed-N."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models compute."""
    threads: Annotated[int, AtLeast(0)] = 0
    """CPU threads; 0 takes all cores."""

    def problems(self) -> list[str]:
        """What cannot be, a phrase each; a job's own settings add theirs."""
        found = typed.range_problems(self)
        if self.protocol not in PROTOCOLS:
            found.append(f"protocol is {self.protocol!r}: use one of {', '.join(PROTOCOLS)}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            found.append(f"seeds are {self.seeds}: name each once, and at least one")
        found += [f"corpus.{name} is for training AffectGPT alone: leave it out"
                  for name in ("protocol", "weight", "questions", "valence_range")
                  if getattr(self.corpus, name) != getattr(CorpusSection(), name)]
        return found

    def validate(self) -> None:
        """Raise one ValueError naming every setting that cannot be."""
        if problems := self.problems():
            raise ValueError("; ".join(problems))


Settings = TypeVar("Settings", bound=BaselineSettings)


def load_settings(cls: type[Settings], path_or_name: str | os.PathLike[str],
                  overrides: list[str] | tuple[str, ...] = ()) -> Settings:
    """Read a recipe of settings `cls`, change it by `group.name=value` words, and validate it.

    Args:
        path_or_name: a YAML file, or the bare name of a packaged recipe.
        overrides: a corpus that is given another reader loses the options that the recipe had for the one before.
    Raises:
        ValueError: naming file or override, key and what to do.
    """
    path = _find(path_or_name)
    values = dataclasses.asdict(typed.build(cls, typed.read_yaml(path), str(path)))
    for word in overrides:
        key, _, value = word.partition("=")
        if key.strip() == "corpus.reader" and value.strip() != values["corpus"]["reader"]:
            values["corpus"]["options"] = {}
    for word in overrides:
        typed.override(values, word, cls)
    settings = typed.build(cls, values, str(path))
    try:
        settings.validate()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return settings


def settings_to_dict(settings: BaselineSettings) -> dict[str, Any]:
    """Plain nested dictionaries, in the order of the fields."""
    return dataclasses.asdict(settings)


def save_settings(settings: BaselineSettings, path: str | os.PathLike[str]) -> None:
    """Write every setting, defaults included; `load_settings` reads them back."""
    atomic_write_text(path, yaml.safe_dump(settings_to_dict(settings), sort_keys=False, allow_unicode=True, width=110))


def _find(path_or_name: str | os.PathLike[str]) -> Path:
    text = os.fspath(path_or_name)
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml") and len(path.parts) == 1:
        path = recipe_folder() / f"{text}.yaml"
    if not path.is_file():
        known = sorted(file.stem for pattern in ("textualized*.yaml", "features*.yaml")
                       for file in recipe_folder().glob(pattern))
        raise ValueError(f"{text}: no such recipe file; the packaged baseline recipes are "
                         f"{', '.join(known) or '(none)'}")
    return path
