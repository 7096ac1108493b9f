"""Settings of a textualize job: which clips, which cues, and how each is measured and worded.

Thresholds are those of Richet et al. 2024 (arXiv 2407.12927) unless a line says otherwise.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from affectgpt.caption.settings import SourceSection
from affectgpt.config import typed
from affectgpt.config.recipe import recipe_folder
from affectgpt.models.settings import COUNT, Above, AtLeast, Between
from affectgpt.textualize.template import CUES, SLOTS

FACE_CUES, VOICE_CUES = ("units", "expressions"), ("tone", "state")


@dataclass
class FaceSection:
    """Action units and expressions."""

    tables: str | None = None
    """Folder of tables of action units, ID.csv of each clip, as py-feat or OpenFace write them; null measures the face
    of the clip itself."""
    frames_per_second: Annotated[float, Above(0)] = 10.0
    """How often a face is looked at. (The paper looks at every frame.)"""
    max_frames: Annotated[int, COUNT] = 300
    """Frames of a clip at most, evenly spread over a longer one."""
    active: Annotated[float, Between(0, 1)] = 0.5
    """A unit is named where the highest of its values is above this."""
    top: Annotated[int, COUNT] = 3
    """Expressions that are named, by their highest probability."""
    steady_frames: Annotated[int, COUNT] = 3
    """Units of a clip's text are medians of so many neighbouring frames before the highest is taken, an odd number; 1
    takes them as they are. (Not the paper's: a single frame is often wrong.)"""
    own: Annotated[float, Between(0, 1)] = 0.5
    """How much of the face at rest, which units are measured from, is the clip's own median; the rest is a shipped
    reference. (Not the paper's.)"""
    speaker_clips: Annotated[int, AtLeast(0)] = 8
    """Where a speaker has so many clips, the face at rest is the median of their clips; 0 is off. (Not the
    paper's.)"""


@dataclass
class VoiceSection:
    """How something is said."""

    backend: Literal["librosa", "opensmile"] = "librosa"
    """What measures a voice: librosa, or the eGeMAPS set of openSMILE (an extra, for research only)."""
    against: Literal["auto", "speaker", "corpus", "reference"] = "auto"
    """What a voice is compared with: its speaker's other clips, all clips of its corpus, or the shipped reference. Auto
    takes the first of them that has enough clips."""
    speaker_clips: Annotated[int, AtLeast(2)] = 8
    """Clips of a speaker that are enough."""
    corpus_clips: Annotated[int, AtLeast(2)] = 20
    """Clips of a corpus that are enough."""
    levels: dict[str, Annotated[float, Between(0, 1)]] = field(
        default_factory=lambda: {"Very low": 0.0, "Low": 0.2, "Medium": 0.4, "High": 0.6, "Very high": 0.8})
    """Word -> the percentile from which it is said."""
    tone_folder: str | None = None
    """Folder of answers of a service that scores tones (Hume's prosody), ID.json of each clip; they take the place of
    what is measured."""
    tone_top: Annotated[int, COUNT] = 10
    """Tones that are named, by their scores."""
    tone_high: Annotated[float, Between(0, 1)] = 0.3
    """Score above which a tone is high, and low else."""
    tone_margin: Annotated[float, AtLeast(0)] = 2.0
    """Seconds that an utterance may lie off the clip and still count."""


@dataclass
class SpeechSection:
    """What is said."""

    words: Literal["auto", "given", "recognised"] = "auto"
    """The given words; those that a recogniser hears; auto recognises them where none are given."""
    context: Literal["clip", "video"] = "clip"
    """The words of the clip, or of all clips of its video (`Clip.group`) in the order of time."""
    detector: Literal["silero", "none"] = "silero"
    """What finds voices before words are recognised."""
    threshold: Annotated[float, Between(0, 1)] = 0.6
    """Probability of a voice from which there is one."""
    min_silence_ms: Annotated[int, AtLeast(0)] = 200
    """Shorter pauses do not end a stretch of speech."""


@dataclass
class StateSection:
    """Arousal, valence and dominance of the voice."""

    model: str = "none"
    """"none" leaves the cue out unless `labelled` is given; a folder of a head that this job has fitted; or
    "hf:ORG/NAME", a wav2vec 2.0 model with three outputs (audeering's wav2vec2-large-robust-12-ft-emotion-msp-dim)."""
    labelled: list[str] = field(default_factory=list)
    """Manifests and READER:PATH names with emotion labels or dimensions, which a head is fitted on in this job."""
    labelled_root: str | None = None
    """Folder that media paths of `labelled` manifests start from."""
    penalty: Annotated[float, Above(0)] = 100.0
    """Of the ridge regression of the head, against standardised features. (Not the paper's.)"""
    wording: Literal["levels", "numbers"] = "levels"
    """"High Arousal" and the like, or the numbers."""
    high: Annotated[float, Between(0, 1)] = 0.5
    """From which value on a dimension is high, and low below."""


@dataclass
class TextualizeRecipe:
    """All settings of a textualize job."""

    name: str = "textualize"
    """What the recipe is called."""
    description: str = ""
    """What it is for."""
    output: str = "runs/textualize"
    """Folder of the texts, the journal and the list of what was skipped."""
    cues: list[str] = field(default_factory=lambda: list(CUES))
    """What is looked for: speech, units, expressions, tone, state."""
    source: SourceSection = field(default_factory=SourceSection)
    """The clips."""
    face: FaceSection = field(default_factory=FaceSection)
    """Action units and expressions."""
    voice: VoiceSection = field(default_factory=VoiceSection)
    """How something is said."""
    speech: SpeechSection = field(default_factory=SpeechSection)
    """What is said."""
    state: StateSection = field(default_factory=StateSection)
    """Arousal, valence and dominance."""
    slots: dict[str, str] = field(default_factory=dict)
    """Cue -> another wording of its part of the text, with one {}; the others are the paper's."""

    def validate(self) -> None:
        """Raise ValueError naming every setting that cannot be."""
        problems = typed.range_problems(self)
        source = self.source
        if not source.manifests and not source.corpora:
            problems.append("source.manifests is empty, and so is source.corpora: name a manifest, or READER:PATH")
        if not self.cues or set(self.cues) - set(CUES):
            problems.append(f"cues is {', '.join(self.cues) or 'empty'}: name some of {', '.join(CUES)}")
        for cue, wording in self.slots.items():
            if cue not in SLOTS or wording.count("{}") != 1:
                problems.append(f"slots.{cue} is {wording!r}: name one of {', '.join(SLOTS)}, and one {{}} in it")
        levels = list(self.voice.levels.values())
        if not levels or levels[0] != 0 or sorted(set(levels)) != levels:
            problems.append("voice.levels must begin at 0 and go up from word to word")
        if self.face.steady_frames % 2 == 0:
            problems.append(f"face.steady_frames is {self.face.steady_frames}: must be odd")
        if self.state.labelled and self.state.model != "none":
            problems.append("state.labelled fits a head and state.model names one: give one of them")
        if problems:
            raise ValueError("; ".join(problems))


def load(path_or_name: str | os.PathLike[str], overrides: list[str] | tuple[str, ...] = ()) -> TextualizeRecipe:
    """Read a recipe, change it by `group.name=value` words, and validate it.

    path_or_name: a YAML file, or the bare name of the packaged recipe ("textualize").
    Raises ValueError naming file or override, key and what to do.
    """
    text = os.fspath(path_or_name)
    path = Path(text)
    if path.suffix.lower() not in (".yaml", ".yml") and len(path.parts) == 1:
        path = recipe_folder() / f"{text}.yaml"
    if not path.is_file():
        raise ValueError(f"{text}: no such recipe file; the packaged one is textualize")
    values = dataclasses.asdict(typed.build(TextualizeRecipe, typed.read_yaml(path), str(path)))
    for word in overrides:
        typed.override(values, word, TextualizeRecipe)
    recipe = typed.build(TextualizeRecipe, values, str(path))
    try:
        recipe.validate()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return recipe
