"""Kinds of question, as one table: what is asked in each style, what is answered, and which targets it takes.

A clip is asked only what its targets answer. Nothing is made up: what no table knows is left out of an answer.
The published texts are those of MERTools / AffectGPT (Lian et al. 2025), where they are known: of valence, preference,
compound emotion and valence-arousal-dominance the question is in other words, and the last two have their answers too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from affectgpt.data.clip import Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.evidence import description, polarity, visible_emotions, visible_labels
from affectgpt.models.prompting import DESCRIBE

Fill = Callable[[Corpus | None, Targets, tuple[float, float]], dict[str, str] | None]
Answer = Callable[[Targets, list[str]], str | None]


def _nothing(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str]:
    return {}


def _one(targets: Targets) -> list[Targets]:
    return [targets]


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    Args:
        needs: which targets it takes, in words.
        questions: style -> question, with places in braces that `fill` knows.
        answers: style -> (targets, visible streams) -> answer; None where nothing is known.
        fill: (record of the corpus or None, targets, range of valence where the record has none) -> place -> text; None
            where the question cannot be asked.
        variants: targets -> targets that have one question each, where a clip has several of this kind.
    """

    needs: str
    questions: Mapping[str, str]
    answers: Mapping[str, Answer]
    fill: Fill = _nothing
    variants: Callable[[Targets], list[Targets]] = _one

    def question(self, style: str, corpus: Corpus | None, targets: Targets,
                 valence_range: tuple[float, float] = (-1.0, 1.0)) -> str | None:
        """What is asked about a clip; None where it cannot be asked."""
        places = self.fill(corpus, targets, valence_range)
        return None if places is None else self.questions[_style(style)].format(**places)

    def answer(self, style: str, targets: Targets, visible: list[str]) -> str | None:
        """The answer to learn where only these streams are shown; None where nothing is known."""
        return self.answers[_style(style)](targets, visible)


def _style(style: str) -> str:
    return "published" if style == "published" else "chat"


# ---------------------------------------------------------------------------- places of questions


def _range(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str]:
    low, high = corpus.valence_range if corpus and corpus.valence_range else valence_range
    return {"low": f"{low:g}", "high": f"{high:g}", "middle": f"{(low + high) / 2:g}"}


def _candidates(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str] | None:
    """The closed set; None where there is none, or where it does not hold the clip's emotion."""
    if corpus is None or targets.emotion not in corpus.labels:
        return None
    return {"candidates": ", ".join(corpus.labels)}


def _compounds(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str]:
    known = [label for label in corpus.labels if _is_compound(label)] if corpus else []
    return {"choice": f", out of: {', '.join(known)}" if targets.emotion in known else ""}


def _descriptions(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str] | None:
    pair = targets.preference
    return None if pair is None else {"first": pair.first, "second": pair.second}


def _own_question(corpus: Corpus | None, targets: Targets, valence_range: tuple[float, float]) -> dict[str, str] | None:
    return {"question": targets.turns[0][0]} if targets.turns else None


# ---------------------------------------------------------------------------- answers


def _summary(targets: Targets, visible: list[str], with_labels: bool = True) -> list[str]:
    """The sentences that end an answer of the chat style; that of the polarity is there only where it is known."""
    labels, reading = visible_labels(targets, visible), polarity(targets, visible)
    return [f"Emotions: {', '.join(labels)}."] * bool(labels and with_labels) \
        + [f"Polarity: {reading}."] * bool(reading)


def _described(targets: Targets, visible: list[str]) -> str | None:
    text = description(targets, visible)
    return " ".join([text, *_summary(targets, visible)]) if text else None


def _listed(targets: Targets, visible: list[str]) -> str | None:
    return " ".join(_summary(targets, visible)) if visible_labels(targets, visible) else None


def _published_listed(targets: Targets, visible: list[str]) -> str | None:
    return _said("The character's emotional state is {}.", ", ".join(visible_labels(targets, visible)))


def _sentiment(targets: Targets, visible: list[str]) -> str | None:
    return " ".join(_summary(targets, visible, with_labels=False)) or None


def _emotion(targets: Targets, visible: list[str]) -> str | None:
    """The clip's emotion in its corpus's closed set; of a clip with cues that which the visible streams carry."""
    if targets.emotion is None or set(targets.cues) <= set(visible):
        return targets.emotion
    shown = visible_emotions(targets, visible)
    if not shown and set(targets.cues) & set(visible):
        return "neutral"
    return shown[0] if len(shown) == 1 else None


def _is_compound(label: str) -> bool:
    return len(label.split()) > 1


def _compound(targets: Targets, visible: list[str]) -> str | None:
    found = _emotion(targets, visible)
    return found if found and _is_compound(found) else None


def _vad(targets: Targets, text: str) -> str | None:
    """Valence, arousal and dominance, known of the whole clip alone."""
    values = targets.valence, targets.arousal, targets.dominance
    return None if None in values else text.format(*values)


def _said(text: str, value: str | float | None) -> str | None:
    """A sentence around what is known; None where nothing is."""
    return None if value is None or value == "" else text.format(value)


def _sentence(text: str, value: Callable[[Targets, list[str]], str | None]) -> Answer:
    """The answer that says one value in a sentence."""
    return lambda targets, visible: _said(text, value(targets, visible))


def _preferred(targets: Targets, text: str, names: Mapping[str, str]) -> str | None:
    return _said(text, names.get(targets.preference.better)) if targets.preference else None


def _own_answer(targets: Targets, visible: list[str]) -> str | None:
    return targets.turns[0][1] if targets.turns else None


def _turns(targets: Targets) -> list[Targets]:
    return [replace(targets, turns=(turn,)) for turn in targets.turns]


_BETTER = {"first": "first", "second": "second", "same": "same"}
_PUBLISHED_BETTER = {"first": "a1", "second": "a2", "same": "same"}

KINDS: dict[str, Kind] = {
    "description": Kind(
        "a description, or evidence of streams",
        DESCRIBE,
        {"chat": _described, "published": description}),
    "labels": Kind(
        "labels, an emotion or cues of streams",
        {"chat": "List the person's emotions.",
         "published": "Please recognize all possible emotional states of the character."},
        {"chat": _listed, "published": _published_listed}),
    "emotion": Kind(
        "an emotion",
        {"chat": "Name the one emotion that the person most likely feels.",
         "published": "Please recognize the character's most likely emotional state."},
        {"chat": _sentence("Emotion: {}.", _emotion),
         "published": _sentence("The character's emotional state is {}.", _emotion)}),
    "emotion_candidates": Kind(
        "an emotion out of the closed set of its corpus",
        {"chat": "Which one of these emotions does the person most likely feel: {candidates}?",
         "published": "Please select the label that can best describe the person's emotional state from the provided "
                      "candidate labels: {candidates}."},
        {"chat": _sentence("Emotion: {}.", _emotion), "published": _sentence("The most likely label is {}.", _emotion)},
        _candidates),
    "compound": Kind(
        "an emotion of two words, such as \"fearfully surprised\"",
        {"chat": "Name the compound of emotions that the person feels{choice}.",
         "published": "Please recognize the character's compound emotional state{choice}."},
        {"chat": _sentence("Emotion: {}.", _compound),
         "published": _sentence("The character's emotional state is {}.", _compound)},
        _compounds),
    "sentiment": Kind(
        "a sentiment, or labels whose polarity is known",
        {"chat": "Name the polarity of the person's emotion: positive, neutral or negative.",
         "published": "Please select the most likely sentiment label that can best describe the person's emotional "
                      "state: positive, negative, neutral."},
        {"chat": _sentiment,
         "published": _sentence("The character's sentiment state is {}.", polarity)}),
    "valence": Kind(  # known of the whole clip alone, whatever is visible
        "a valence",
        {"chat": "Rate the valence of the person's emotion from {low} to {high}, where {middle} is neutral.",
         "published": "Please rate the overall polarity of the main character's emotional state with one "
                      "floating-point number from {low} to {high}: below {middle} is negative, {middle} is neutral, "
                      "above {middle} is positive."},
        {"chat": lambda targets, visible: _said("Valence: {:.2f}.", targets.valence),
         "published": lambda targets, visible: _said("The valence score is {:.2f}.", targets.valence)},
        _range),
    "vad": Kind(
        "valence, arousal and dominance",
        {"chat": "Rate valence, arousal and dominance of the person's emotion, each from {low} to {high}.",
         "published": "Please rate valence, arousal and dominance of the main character's emotional state with one "
                      "floating-point number each from {low} to {high}."},
        {"chat": lambda targets, visible: _vad(targets, "Valence: {:.2f}. Arousal: {:.2f}. Dominance: {:.2f}."),
         "published": lambda targets, visible: _vad(
             targets, "The valence score is {:.2f}, the arousal score is {:.2f}, the dominance score is {:.2f}.")},
        _range),
    "preference": Kind(
        "two descriptions and which one is better",
        {"chat": "Which description of the person's emotion fits better, the first or the second, or are they the "
                 "same?\nFirst: {first}\nSecond: {second}",
         "published": "Please select the description that fits the character's emotional state best: a1, a2, or "
                      "same.\na1: {first}\na2: {second}"},
        {"chat": lambda targets, visible: _preferred(targets, "Better: {}.", _BETTER),
         "published": lambda targets, visible: _preferred(targets, "The best one is {}.", _PUBLISHED_BETTER)},
        _descriptions),
    "question": Kind(
        "questions with their answers (`turns`)",
        {"chat": "{question}", "published": "{question}"},
        {"chat": _own_answer, "published": _own_answer},
        _own_question, _turns),
}
"""Name of a kind, as `data.questions` and `Corpus.kinds` have it -> what it is."""

OF_ANY_CLIP = ("description", "labels", "sentiment", "valence")
"""Kinds whose question takes nothing from the clip or from a closed set, so that a model is asked them of any clip."""
