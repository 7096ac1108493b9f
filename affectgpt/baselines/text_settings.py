"""Settings of the textualized baselines: how a clip becomes text, and what classifies texts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from affectgpt.baselines.settings import BaselineSettings, FitSettings
from affectgpt.models.settings import COUNT, SHARE, Above, AtLeast
from affectgpt.textualize.template import CUES

SPEECH = "speech"


@dataclass
class TextSection:
    """The text of a clip."""

    texts: str | None = None
    """File of cues that `affectgpt textualize` wrote; null knows the words of the corpus alone."""
    cues: list[str] = field(default_factory=lambda: [SPEECH])
    """Cues to show, of speech, units, expressions, tone and state."""
    wording: Literal["plain", "template"] = "plain"
    """Words as they are, where speech is the only cue, or every cue in its slot of the template."""
    context_turns: Annotated[int, AtLeast(0)] = 0
    """Previous turns of the same dialogue that are shown before this one; later ones are never shown."""
    speaker_names: bool = True
    """Begin turns with the name of who speaks, where there are previous turns."""
    max_tokens: Annotated[int, COUNT] = 128
    """Tokens of a text with its context; what is too many is cut from the oldest."""


@dataclass
class TextModelSection:
    """The pretrained part of a classifier of texts."""

    source: str = "starter:minilm"
    """Hub id, local folder or starter name, of a BERT or RoBERTa class for kind "encoder", of a causal LM for "llm"
    and "prompted"."""
    train: Literal["all", "lora", "head"] = "all"
    """All weights, LoRA and the head, or the head alone on frozen features."""
    pooling: Literal["auto", "mean", "first", "last"] = "auto"
    """What of a text the head sees: the mean of its tokens, the first, or the last; "auto" is mean for an encoder and
    last for an LLM."""
    dropout: Annotated[float, SHARE] = 0.1
    """Before the head."""
    lora_rank: Annotated[int, COUNT] = 8
    """Width of LoRA."""
    lora_alpha: Annotated[float, Above(0)] = 8.0
    """Its scale, divided by the rank or its square root."""
    lora_dropout: Annotated[float, SHARE] = 0.05
    """Of its inputs."""
    rank_stabilized: bool = True
    """Divide by the square root of the rank (rsLoRA: Kalajdzievski 2023, arXiv 2312.03732)."""
    lora_targets: list[str] = field(default_factory=lambda: ["q_proj", "v_proj"])
    """Layers that LoRA adapts."""
    quantization: Literal["none", "8bit", "4bit"] = "none"
    """Frozen weights in 8 or 4 bits (NF4, double quantization) by bitsandbytes, on a GPU; with LoRA."""


@dataclass
class PromptSection:
    """How an instruct LLM is asked (kind "prompted")."""

    instruction: str = ("You are told what was seen, heard and said in a short video. Answer with the emotion of the "
                        "person, one of: {classes}.")
    """The system message; {classes} stands for the names of the classes."""
    shots: Annotated[int, AtLeast(0)] = 0
    """Solved examples of each class before the question, drawn from the training clips."""
    length: Literal["sum", "mean"] = "sum"
    """Log likelihood of an answer: of all its tokens, or their mean."""
    calibrate: bool = False
    """Subtract what the LLM answers to a text that says nothing (Zhao et al. 2021, arXiv 2102.09690)."""


@dataclass
class TextualizedSettings(BaselineSettings):
    """All settings of `affectgpt textualized`."""

    kind: Literal["encoder", "llm", "prompted", "compound-from-basic"] = "encoder"
    """An encoder with a head, an LLM with a head, an instruct LLM that is asked, or compound emotions from the basic
    ones of an earlier run."""
    initial: str | None = None
    """Run of another corpus to begin from, OUTPUT/NAME or OUTPUT/NAME/SPLIT/seed-N: its body with a fresh head; of
    "compound-from-basic" the whole classifier."""
    combine: Literal["log_probabilities", "probabilities"] = "log_probabilities"
    """How "compound-from-basic" joins the scores of two basic emotions: their sum of."""
    text: TextSection = field(default_factory=TextSection)
    """The text of a clip."""
    model: TextModelSection = field(default_factory=TextModelSection)
    """What reads it."""
    fit: FitSettings = field(default_factory=FitSettings)
    """How that is trained."""
    prompt: PromptSection = field(default_factory=PromptSection)
    """How it is asked."""

    def problems(self) -> list[str]:
        """What cannot be, a phrase each."""
        found, text, model = super().problems(), self.text, self.model
        unknown = [cue for cue in text.cues if cue not in CUES]
        if unknown or not text.cues or len(set(text.cues)) < len(text.cues):
            found.append(f"text.cues are {text.cues}: name some of {', '.join(CUES)}, each once")
        if text.wording == "plain" and text.cues != [SPEECH]:
            found.append("text.wording=plain is for speech alone: set text.wording=template to show other cues")
        if set(text.cues) - {SPEECH} and not text.texts:
            found.append(f"text.cues names {', '.join(sorted(set(text.cues) - {SPEECH}))}, and text.texts no file that "
                         "has them: give the texts.jsonl of affectgpt textualize")
        if self.kind == "compound-from-basic" and not self.initial:
            found.append("kind=compound-from-basic needs initial, a run of a basic-emotion classifier")
        if self.kind == "prompted" and self.initial:
            found.append("kind=prompted trains nothing: leave initial out")
        if self.kind in ("encoder", "llm"):
            if model.train == "lora" and self.kind == "encoder" and model.lora_targets == ["q_proj", "v_proj"]:
                found.append("model.train=lora of an encoder needs model.lora_targets, names of its layers such as "
                             "query,value")
            if model.quantization != "none" and model.train == "all":
                found.append(f"model.quantization={model.quantization} freezes the weights and model.train=all trains "
                             "them: use lora or head")
        elif model.quantization != "none":
            found.append(f"model.quantization is for classifiers with a head, and kind is {self.kind}: set it to none")
        if self.prompt.instruction.count("{classes}") > 1:
            found.append("prompt.instruction has {classes} more than once")
        return found
