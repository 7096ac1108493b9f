"""Settings of a caption job: where clips come from, who describes them, and what the two filters demand."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from affectgpt.config import typed
from affectgpt.config.recipe import recipe_folder
from affectgpt.config.sections import CorpusSection
from affectgpt.models.settings import COUNT, SHARE, Above, AtLeast, Between
from affectgpt.words.lexicon import WHEELS

TEXTUAL, RULES = "textual", "rules"
"""Names of the project's own ways, which need no model: cues of measured facts, labels by rules."""


@dataclass
class SourceSection:
    """The clips to describe."""

    manifests: list[str] = field(default_factory=list)
    """Manifests and READER:PATH names."""
    root: str | None = None
    """Folder that media paths of manifests start from; null is the folder of each."""
    corpora: list[CorpusSection] = field(default_factory=list)
    """Corpora as training recipes name them, by `reader`, `root`, `options` and `protocol`; beside `manifests`."""
    splits: list[str] = field(default_factory=list)
    """Splits to describe; none named is all of them."""
    limit: Annotated[int, AtLeast(0)] = 0
    """Only the first clips, for a try; 0 is all."""


@dataclass
class ModelsSection:
    """Who finds cues, merges them and reads labels: "textual" (measured facts, no model), "hf:ORG/NAME",
    "hf:FOLDER", "endpoint:http://host:port/v1#NAME", or "none" to leave a stream out."""

    audio: str = TEXTUAL
    """What hears the sound."""
    visual: str = TEXTUAL
    """What sees the picture."""
    visual_stream: Literal["face", "frame"] = "face"
    """What a visual model is shown; "textual" always looks at the face."""
    merge: str = TEXTUAL
    """What joins cues and words to a description: "textual" or a chat model."""
    labels: str = RULES
    """What reads labels out of a description: "rules" or a chat model."""
    frames: Annotated[int, COUNT] = 8
    """Pictures of a video that are looked at, evenly spread."""
    max_new_tokens: Annotated[int, COUNT] = 256
    """The longest cue or description of a model."""
    batch_size: Annotated[int, COUNT] = 4
    """Clips that a model is asked about at once."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models compute."""
    endpoint_timeout: Annotated[float, Above(0)] = 120.0
    """Seconds to wait for an endpoint's answer before it is asked again."""


@dataclass
class TextualSection:
    """How measured facts become cues; used where a model of `models` is "textual"."""

    baseline_clips: Annotated[int, AtLeast(2)] = 8
    """A voice is judged against this speaker's other clips where there are so many, else against all clips where they
    are so many, else not at all."""
    voice_neutral: Annotated[float, AtLeast(0)] = 1.0
    """How far, in deviations, a voice must lie from its usual one before it carries an emotion more than none."""
    face_share: Annotated[float, Between(0, 1)] = 0.2
    """Mean probability that an emotion of the face needs to be mentioned."""
    second: Annotated[float, Between(0, 1)] = 0.7
    """Share of the first emotion's weight that a second one needs to be named in the conclusion."""
    weights: dict[str, Annotated[float, AtLeast(0)]] = field(
        default_factory=lambda: {"audio": 1.0, "face": 1.0, "text": 1.0})
    """Stream -> its weight in the conclusion."""


@dataclass
class LowSection:
    """The low-level filter: is it the speaker that is seen, is the description of a usual length."""

    speaker: Annotated[float, Between(0, 1)] = 0.9
    """The least confidence that the face is the speaker's; clips without a confidence pass and are counted. 0 is
    off. `affectgpt prepare` gives 1 to an only face, 0 where nothing decides, and from 0.5 on (two mouths fit the sound
    alike) where the sound decides; scores of a detector have a scale of their own."""
    speaker_file: str | None = None
    """JSON Lines of `name` and `confidence`, as an active-speaker detector gives them; null takes a clip's face
    track."""
    length_unit: Literal["words", "characters"] = "words"
    """What lengths are counted in; characters for languages without blanks."""
    length_low: Annotated[float, Between(0, 1)] = 0.05
    """Descriptions shorter than this quantile of all lengths are left out; 0 keeps them."""
    length_high: Annotated[float, Between(0, 1)] = 0.95
    """Descriptions longer than this quantile of all lengths are left out; 1 keeps them."""


@dataclass
class HighSection:
    """The high-level filter: classifiers vote, and the majority must agree with the labels of the description."""

    emotion: bool = True
    """Whether the majority's emotion must be among the labels."""
    sentiment: bool = True
    """Whether the majority's sentiment must be that of the labels."""
    agree_by: Literal["meaning", "wheel1", "wheel2", "wheel3", "wheel4", "wheel5"] = "meaning"
    """When two emotion words agree: one meaning of the project's word table, or one root of a wheel."""
    share: Annotated[float, Between(0, below=1)] = 0.5
    """A majority needs more than this share of the votes."""
    predictions: list[str] = field(default_factory=list)
    """Files of votes: JSON Lines of `name`, `emotion` and `sentiment`, one file a classifier."""
    labelled: list[str] = field(default_factory=list)
    """Manifests and READER:PATH names with human labels that classifiers are trained on inside this job."""
    labelled_root: str | None = None
    """Folder that media paths of `labelled` manifests start from."""
    labelled_corpora: list[CorpusSection] = field(default_factory=list)
    """The same as entries of `reader`, `root`, `options` and `protocol`; beside `labelled`."""
    features: list[str] = field(default_factory=lambda: ["starter"])
    """Training recipes whose frozen encoders give a classifier its features, a set of classifiers each."""
    votes: Annotated[int, COUNT] = 3
    """Classifiers of each of `features`, which differ in their seed."""
    group: Literal["speaker", "clip"] = "speaker"
    """What a classifier may not have seen of the clips that it votes on: their speakers, or just the clips."""
    folds: Annotated[int, AtLeast(2)] = 5
    """Parts that the groups to vote on are cut into; each part is voted on by classifiers trained without it."""
    hidden: Annotated[int, COUNT] = 64
    """Width of a classifier."""
    epochs: Annotated[int, COUNT] = 60
    """Passes over the labelled clips."""
    learning_rate: Annotated[float, Above(0)] = 3e-3
    """Of AdamW."""
    dropout: Annotated[float, SHARE] = 0.4
    """Probability that a unit of a classifier is off in training."""
    workers: Annotated[int, AtLeast(0)] = 1
    """Threads that read clips ahead while features are computed."""


@dataclass
class CaptionRecipe:
    """All settings of a caption job."""

    name: str = "caption"
    """What the corpus of the manifest is called; of clips of the MER family their own corpus stands before it."""
    description: str = ""
    """What the recipe is for."""
    output: str = "runs/caption"
    """Folder of the journal, the manifests and the list of what was rejected."""
    seed: int = 0
    """Of classifiers and folds."""
    source: SourceSection = field(default_factory=SourceSection)
    """The clips to describe."""
    models: ModelsSection = field(default_factory=ModelsSection)
    """Who describes them."""
    textual: TextualSection = field(default_factory=TextualSection)
    """How measured facts are read."""
    low: LowSection = field(default_factory=LowSection)
    """The low-level filter."""
    high: HighSection = field(default_factory=HighSection)
    """The high-level filter."""

    def validate(self) -> None:
        """Raise ValueError naming every setting that cannot be."""
        problems = typed.range_problems(self)
        models, low = self.models, self.low
        if not self.source.manifests and not self.source.corpora:
            problems.append("source.manifests is empty, and so is source.corpora: name a manifest, or READER:PATH")
        for where, corpora in (("source.corpora", self.source.corpora),
                               ("high.labelled_corpora", self.high.labelled_corpora)):
            problems += [f"{where}.{number}.{name} is for training alone: leave it out"
                         for number, section in enumerate(corpora) for name in ("weight", "questions", "labels",
                                                                                "valence_range")
                         if getattr(section, name) != getattr(CorpusSection(), name)]
        for name in ("audio", "visual", "merge", "labels"):
            value = getattr(models, name)
            own = {"merge": (TEXTUAL,), "labels": (RULES,)}.get(name, (TEXTUAL, "none"))
            if value not in own and not _is_model(value):
                problems.append(f"models.{name} is {value!r}: use {', '.join(own)}, hf:NAME or "
                                "endpoint:http://host:port/v1#NAME")
        if models.audio == models.visual == "none":
            problems.append("models.audio and models.visual are both none: a description needs one of them")
        if models.merge == TEXTUAL and any(_is_model(value) for value in (models.audio, models.visual)):
            problems.append("models.merge=textual joins cues of measured facts, and models.audio or models.visual is a "
                            "model that writes its own: name a chat model for models.merge")
        if low.length_low >= low.length_high:
            problems.append(f"low.length_low is {low.length_low:g} and low.length_high {low.length_high:g}: the first "
                            "must be the lower one")
        for stream in self.textual.weights:
            if stream not in ("audio", "face", "text"):
                problems.append(f"textual.weights has {stream!r}: use audio, face, text")
        assert self.high.agree_by in ("meaning", *WHEELS)
        if problems:
            raise ValueError("; ".join(problems))


def _is_model(name: str) -> bool:
    kind, _, rest = name.partition(":")
    return bool(rest) and (kind == "hf" or kind == "endpoint" and all(rest.rpartition("#")[::2]))


def load(path_or_name: str | os.PathLike[str], overrides: list[str] | tuple[str, ...] = ()) -> CaptionRecipe:
    """Read a caption recipe, change it by `group.name=value` words, and validate it.

    path_or_name: a YAML file, or the bare name of a packaged recipe ("caption-starter").
    Raises ValueError naming file or override, key and what to do.
    """
    text = os.fspath(path_or_name)
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml") and len(path.parts) == 1:
        path = recipe_folder() / f"{text}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in recipe_folder().glob("caption*.yaml")))
        raise ValueError(f"{text}: no such recipe file; the packaged caption recipes are {known}")
    values = dataclasses.asdict(typed.build(CaptionRecipe, typed.read_yaml(path), str(path)))
    for word in overrides:
        typed.override(values, word, CaptionRecipe)
    recipe = typed.build(CaptionRecipe, values, str(path))
    try:
        recipe.validate()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe
