"""Every choice of a model that changes its numbers: meaning, type, range, and its value in each preset, written once.

`ModelSettings` are those that a recipe may set, `InnerSettings` the others; `AffectGPTConfig` has them all. Pure
Python.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

PRESETS = ("affectgpt", "published")
_SAME = object()


class In:
    """The value of a setting in each preset: `In(4, published=1)`."""

    def __init__(self, affectgpt: Any, published: Any = _SAME):
        self.affectgpt, self.published = affectgpt, affectgpt if published is _SAME else published


@dataclass(frozen=True)
class AtLeast:
    """Marks a number that may not be below `least`; `also` is one more value that it may have."""

    least: float
    also: float | None = None

    def holds(self, value: float) -> bool:
        return value >= self.least or value == self.also

    @property
    def demand(self) -> str:
        if self.also is not None:
            return f"must be {self.also} or at least {self.least}"
        return f"must be at least {self.least}" if self.least else "must not be negative"


@dataclass(frozen=True)
class Above:
    """Marks a number that must be above `bound`."""

    bound: float

    def holds(self, value: float) -> bool:
        return value > self.bound

    @property
    def demand(self) -> str:
        return f"must be above {self.bound}"


@dataclass(frozen=True)
class Between:
    """Marks a number from `least` to `most`, or to what is `below` it."""

    least: float
    most: float | None = None
    below: float | None = None

    def holds(self, value: float) -> bool:
        return self.least <= value and (self.most is None or value <= self.most) \
            and (self.below is None or value < self.below)

    @property
    def demand(self) -> str:
        end = f"below {self.below}" if self.most is None else f"at most {self.most}"
        return f"must be at least {self.least} and {end}"


Stream = Literal["audio", "face", "frame", "fusion", "text"]
COUNT, WIDTH, SHARE = AtLeast(1), AtLeast(0), Between(0, below=1)


@dataclass
class ModelSettings:
    """What a recipe may choose of a model; None is the value that the preset has."""

    preset: Literal["affectgpt", "published"] = "affectgpt"
    """"affectgpt" is this project's model; "published" computes what the official code does, quirks too."""
    streams: Annotated[list[Stream] | None, In(["fusion", "audio", "face", "text"])] = None
    """What the model may look at, in no order; `fusion` is made of audio and `fusion_visual`. Any of them may be
    missing in a clip."""
    projector: Annotated[Literal["attention", "mean", "qformer"] | None, In("attention")] = None
    """How encoder features over time become tokens of the LLM's width (Lian et al. 2025, arXiv 2501.16566, sec. 4)."""
    fusion: Annotated[Literal["none", "attention", "qformer"] | None, In("attention")] = None
    """How audio and picture are merged before the LLM; "none" where there is no fusion stream."""
    fusion_visual: Annotated[Literal["face", "frame"] | None, In("face")] = None
    """The visual stream that is merged with audio."""
    audio_tokens: Annotated[int | None, In(4, published=1), COUNT] = None
    """Tokens in the LLM's input for the audio stream."""
    face_tokens: Annotated[int | None, In(4, published=1), COUNT] = None
    """Tokens in the LLM's input for the face stream."""
    frame_tokens: Annotated[int | None, In(4, published=1), COUNT] = None
    """Tokens in the LLM's input for the frame stream."""
    fusion_tokens: Annotated[int | None, In(4, published=1), COUNT] = None
    """Tokens in the LLM's input for the fusion stream."""
    frames: Annotated[int | None, In(8), COUNT] = None
    """Frames sampled from a clip, for faces and whole frames alike."""
    face_margin: Annotated[float | None, In(0.2), AtLeast(0)] = None
    """Room around a detected face on each side, in units of its size; encoders of faces alone want little."""
    audio_positions: Annotated[int | None, In(8), COUNT] = None
    """Equal parts of a clip's time that its sound is averaged over; together they cover it."""
    audio_window_seconds: Annotated[float | None, In(10.0, published=2.0), Above(0)] = None
    """Seconds of sound that the encoder hears at once; windows follow each other to the end of the clip."""
    audio_statistics: Annotated[Literal["mean", "mean_std"] | None, In("mean_std")] = None
    """What is kept of a position's sound: the mean of the encoder's states, or their deviation as well."""
    audio_layers: Annotated[Literal["last", "last4_mean", "all"] | None, In("last4_mean")] = None
    """Encoder layers that are kept: the last, the mean of the last four, or all beside each other. All of a large
    encoder are many: 1.6 MB a clip of HuBERT-large in float32."""
    projector_hidden: Annotated[int | None, In(512, published=0), WIDTH] = None
    """Width of the hidden layer of a projector; 0 is a linear projector."""
    dropout: Annotated[float | None, In(0.1, published=0.0), SHARE] = None
    """Share of the encoder features that is set to zero in training, 0 to 1."""
    feature_noise: Annotated[float | None, In(0.0), AtLeast(0)] = None
    """Deviation of Gaussian noise on standardised encoder features in training, in units of the feature's own."""
    lora_rank: Annotated[int | None, In(16), WIDTH] = None
    """Rank of the LoRA matrices; 0 leaves the LLM as it is."""
    lora_alpha: Annotated[float | None, In(32.0), Above(0)] = None
    """Scale of LoRA: its product is multiplied by alpha / rank."""
    lora_dropout: Annotated[float | None, In(0.05), SHARE] = None
    """Share of LoRA's inputs that is set to zero in training, 0 to 1."""
    lora_targets: Annotated[Literal["all-linear"] | list[str] | None, In("all-linear")] = None
    """LLM modules that get LoRA: all linear ones but the head, or a list of module names."""
    words_max_tokens: Annotated[int | None, In(128), COUNT] = None
    """Tokens of a clip's spoken words that reach the LLM; what is longer is cut at its end."""

    def with_preset(self):
        """A copy in which what is None has the preset's value."""
        values = preset_values(self.preset)
        return replace(self, **{name: values[name] for name, value in vars(self).items()
                                if value is None and name in values})


@dataclass
class InnerSettings:
    """What presets and the chosen encoders decide."""

    prompt_style: Annotated[Literal["chat", "published"], In("chat", published="published")]
    """The LLM's chat template, or "###Human: ... ###Assistant: "."""
    attention_softmax: Annotated[bool, In(True, published=False)]
    """False: scores multiply the features unnormalised."""
    shared_visual_projection: Annotated[bool, In(False, published=True)]
    """True: face and frame go through one projection."""
    feature_norm: Annotated[bool, In(True, published=False)]
    """Features are standardised by statistics of the training set before projection."""
    token_norm: Annotated[bool, In(True, published=False)]
    """Projected tokens get the size of the LLM's word embeddings, times a learned scale."""
    frame_sampling: Annotated[Literal["centre", "published"], In("centre", published="published")]
    """Which frames of a clip are taken."""
    keep_aspect: Annotated[bool, In(True, published=False)]
    """False: frames are stretched to a square."""
    face_channels: Annotated[Literal["rgb", "bgr"], In("rgb", published="bgr")]
    """"bgr": faces reach the encoder with red and blue exchanged."""
    visual_size: Annotated[int, In(224), COUNT]
    """Side of pictures in pixels; it and the two below are read from the visual encoder."""
    visual_mean: Annotated[list[float], In([0.0, 0.0, 0.0])]
    """Mean of the pixels, red, green, blue."""
    visual_std: Annotated[list[float], In([1.0, 1.0, 1.0])]
    """Deviation of the pixels."""
    audio_sampling: Annotated[Literal["cover", "published"], In("cover", published="published")]
    """"published": eight windows of 2 s that miss the end of the clip."""
    audio_segments: Annotated[int, In(1, published=8), COUNT]
    """Windows of a clip where `audio_sampling` is "published"."""
    audio_normalisation: Annotated[Literal["none", "segment", "clip"], In("segment", published="clip")]
    """What one mean and deviation of the waveform are taken of."""
    audio_level: Annotated[bool, In(True)]
    """Loudness of each window is kept beside features of level-normalised sound."""
    audio_pooling: Annotated[Literal["segment", "positions"], In("positions", published="segment")]
    """"segment": one vector a window, the mean over its time."""
    llm_rounding: Annotated[Literal["float16"] | None, In(None, published="float16")]
    """A dtype through which the LLM's weights are rounded when they are loaded, as the official code does."""
    fusion_width: Annotated[int, In(512, published=0), WIDTH]
    """Width of the fused space; 0: the larger of the two encoders."""
    qformer_hidden: Annotated[int, In(768), COUNT]
    """Width of a Q-Former."""
    qformer_heads: Annotated[int, In(12), COUNT]
    """Attention heads of a Q-Former."""
    qformer_intermediate: Annotated[int, In(3072), COUNT]
    """Width inside its feed-forward layers."""
    qformer_layers: Annotated[int, In(2), COUNT]
    """Its layers."""
    qformer_dropout: Annotated[float, In(0.1), SHARE]
    """Its dropout."""
    audio_position_rows: Annotated[int, In(64, published=8), COUNT]
    """Time positions of sound that a Q-Former can tell apart."""
    visual_position_rows: Annotated[int, In(64, published=32), COUNT]
    """Time positions of pictures that a Q-Former can tell apart."""


@cache
def _declared() -> dict[str, Any]:
    """Setting -> its annotation."""
    return {name: hint for section in (ModelSettings, InnerSettings)
            for name, hint in get_type_hints(section, include_extras=True).items() if name != "preset"}


@cache
def _in_presets() -> dict[str, In]:
    return {name: next(mark for mark in get_args(hint) if isinstance(mark, In)) for name, hint in _declared().items()}


def preset_values(preset: str) -> dict[str, Any]:
    """Setting -> its value in a preset. Raises ValueError for an unknown preset."""
    if preset not in PRESETS:
        raise ValueError(f"unknown preset {preset!r}: use one of {', '.join(PRESETS)}")
    return {name: copy(getattr(values, preset)) for name, values in _in_presets().items()}


def problems_of(values: dict[str, Any]) -> list[str]:
    """One phrase for each setting among `values` that has none of its choices, or is out of its range."""
    found = []
    for name, hint in _declared().items():
        if name in values:
            found += choice_problems(values[name], hint, name) + range_problems(values[name], hint, name)
    return found


def choice_problems(value: Any, hint: Any, name: str) -> list[str]:
    """What is wrong with text, or a list of it, of which the annotation names the choices."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return choice_problems(value, options[0], name)
    if origin is list and isinstance(value, list | tuple):
        return [problem for place, item in enumerate(value)
                for problem in choice_problems(item, options[0], f"{name}[{place}]")]
    if origin is Literal and isinstance(value, str) and value not in options:
        return [f"{name} is {value!r}: use one of {', '.join(options)}"]
    if origin in (Union, UnionType):
        return [problem for option in options for problem in choice_problems(value, option, name)]
    return []


def range_problems(value: Any, hint: Any, name: str) -> list[str]:
    """What is wrong with a number, or those in a list or mapping, of which the annotation marks the range."""
    origin, options = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = [mark for mark in options[1:] if hasattr(mark, "holds")]
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return range_problems(value, options[0], name) + [
            f"{name}={value} {mark.demand}" for mark in marks if number and not mark.holds(value)]
    if origin is list and isinstance(value, list):
        return [problem for place, item in enumerate(value)
                for problem in range_problems(item, options[0], f"{name}[{place}]")]
    if origin is dict and isinstance(value, dict):
        return [problem for key, item in value.items() for problem in range_problems(item, options[1], f"{name}.{key}")]
    if origin in (Union, UnionType):
        return [problem for option in options for problem in range_problems(value, option, name)]
    return []
