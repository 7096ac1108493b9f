"""The one owner of every question and answer: what is asked, what is taught, and how a model's text is read.

The sentences around them lie in `models.prompting`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from affectgpt.data.clip import Targets
from affectgpt.models.prompting import PUBLISHED_STOP
from affectgpt.words import lexicon
from affectgpt.words.basic import POLARITIES

QUESTIONS = {
    "description": "Describe the person's emotion with its evidence.",
    "labels": "List the person's emotions.",
    "sentiment": "Name the polarity of the person's emotion: positive, neutral or negative.",
    "valence": "Rate the valence of the person's emotion from {low} to {high}, where 0 is neutral.",
}
"""Question kind -> question of the default (chat) style."""

PUBLISHED_QUESTIONS = {
    "description": "Please infer the person's emotional state and provide your reasoning process.",
    "labels": "Please recognize all possible emotional states of the character.",
    "sentiment": "Please select the most likely sentiment label that can best describe the person's emotional state: "
                 "positive, negative, neutral.",
    "valence": "Please rate the overall polarity of the main character's emotional state with one floating-point "
               "number from {low} to {high}: below 0 is negative, 0 is neutral, above 0 is positive.",
}
"""Question kind -> question of the published system (MERTools / AffectGPT, Lian et al. 2025); that of valence means the
same in other words."""

STREAM_NAMES = {"audio": "voice", "face": "face", "frame": "scene", "text": "words"}
"""Stream -> what an answer calls it."""


def question_of(kind: str, style: str, valence_range: tuple[float, float] = (-1.0, 1.0)) -> str:
    """The question of a kind; a kind that no table knows is an error naming those that exist.

    valence_range: the lowest and the highest number that the question of valence allows.
    """
    table = PUBLISHED_QUESTIONS if style == "published" else QUESTIONS
    if kind not in table:
        raise ValueError(f"unknown question kind {kind!r}: use one of {', '.join(table)}")
    low, high = valence_range
    return table[kind].format(low=f"{low:g}", high=f"{high:g}")


def rival_text(words: str | None, question: str) -> str:
    """What any other chat model is asked beside the pictures and the sound: the words of a clip, then the question."""
    return question if words is None else f'The person in this clip says: "{words}"\n{question}'


def visible_emotions(targets: Targets, visible: list[str]) -> list[str]:
    """Basic emotions that the visible streams carry, in the order of the streams; empty where they are neutral."""
    shown = [targets.cues[stream] for stream in ("audio", "face", "text")
             if stream in visible and stream in targets.cues]
    return list(dict.fromkeys(emotion for emotion in shown if emotion != "neutral"))


def visible_labels(targets: Targets, visible: list[str]) -> list[str]:
    """Labels that can be told from the visible streams: all labels of a clip without cues per stream, and none where
    no visible stream has a cue."""
    if not targets.cues:
        return list(targets.labels) or ([targets.emotion] if targets.emotion else [])
    if not set(targets.cues) & set(visible):  # nothing is known of these streams
        return []
    emotions = visible_emotions(targets, visible)
    if not emotions:
        return ["neutral"]
    meaning = lexicon.load().meaning
    carried = {meaning(emotion) for emotion in emotions}
    known = [label for label in targets.labels if meaning(label) in carried]
    if {meaning(label) for label in known} != carried:
        return emotions
    return list(targets.labels) if set(targets.cues) <= set(visible) else known


def polarity(targets: Targets, visible: list[str]) -> str | None:
    """Polarity of what can be told from the visible streams; None where nothing is known, never a guess.

    The clip's own sentiment goes first, unless a stream that carries an emotion is hidden. Then what the visible
    cues say, else the labels; of several, the polarity that more of them have, and a tie is neutral
    (`Lexicon.polarity_of`).
    """
    if targets.sentiment and set(targets.cues) <= set(visible):
        return targets.sentiment
    shown = visible_emotions(targets, visible) if targets.cues else []
    return lexicon.load().polarity_of(shown or visible_labels(targets, visible))


def conflict_sentence(targets: Targets, visible: list[str]) -> str | None:
    """The sentence that names two disagreeing streams, or None where the visible ones agree."""
    if len(visible_emotions(targets, visible)) < 2:
        return None
    first, second = [(stream, targets.cues[stream]) for stream in ("audio", "face", "text")
                     if stream in visible and targets.cues.get(stream, "neutral") != "neutral"][:2]
    return (f"They conflict: the {STREAM_NAMES[first[0]]} {_verb(first[0])} {first[1]}, "
            f"the {STREAM_NAMES[second[0]]} {_verb(second[0])} {second[1]}.")


def _verb(stream: str) -> str:
    return "are" if stream == "text" else "is"


def answer(targets: Targets, kind: str, visible: list[str], style: str = "chat") -> str | None:
    """The answer to learn for a clip of which only `visible` streams are shown; None where nothing is known."""
    labels, reading = visible_labels(targets, visible), polarity(targets, visible)
    if style == "published":
        if kind == "labels" and labels:
            return f"The character's emotional state is {', '.join(labels)}."
        if kind == "sentiment" and reading:
            return f"The character's sentiment state is {reading}."
        if kind == "valence" and targets.valence is not None:
            return f"The valence score is {targets.valence:.2f}."
        return description(targets, visible) if kind == "description" else None
    if kind == "valence":  # known of the whole clip alone, whatever is visible
        return None if targets.valence is None else f"Valence: {targets.valence:.2f}."
    ending = [f"Polarity: {reading}."] if reading else []
    if kind == "sentiment":
        return " ".join(ending) or None
    if labels:
        ending = [f"Emotions: {', '.join(labels)}.", *ending]
    if kind == "labels":
        return " ".join(ending) if labels else None
    text = description(targets, visible)
    return " ".join([text, *ending]) if text else None


def description(targets: Targets, visible: list[str]) -> str | None:
    """What each visible stream shows and how that reads, and their conflict; else the clip's own description.

    The reading follows its evidence ("The voice is loud and fast: angry."), so that labels and conflict, which come
    later, can be drawn from the text so far.
    """
    if not targets.evidence:
        return targets.description
    sentences = []
    for stream in ("audio", "face", "frame", "text"):
        if stream in visible and stream in targets.evidence:
            reading = f": {targets.cues[stream]}." if stream in targets.cues else "."
            sentences.append(targets.evidence[stream].rstrip(".!? ") + reading)
    conflict = conflict_sentence(targets, visible)
    return " ".join(sentences + ([conflict] if conflict else [])) or None


@dataclass(frozen=True)
class Answer:
    """What a model said: its description, its labels in lower case, its polarity; None where nothing is known of it."""

    description: str
    labels: tuple[str, ...]
    polarity: str | None

    @property
    def names_conflict(self) -> bool:
        """True where the description says that streams disagree."""
        return re.search(r"\b(conflict|disagree|contradict)", self.description, re.IGNORECASE) is not None


_LABELS = re.compile(r"(?:Emotions:|emotional state is)\s*([^.\n]*)", re.IGNORECASE)
_POLARITY = re.compile(r"(?:Polarity:|sentiment state is)\s*(\w+)", re.IGNORECASE)


def parse_answer(text: str, cut_off: bool = False) -> Answer:
    """Split a model's text into description, labels and polarity.

    A text without a list of labels is searched for the words of the lexicon; a missing polarity is that of the labels,
    as far as the lexicon knows them. Of an answer that its length `cut_off`, only what it says in full counts: no
    words of its description, no last label that may be torn, no polarity of labels that may go on.
    """
    text = text.split(PUBLISHED_STOP)[0].strip()
    found = _LABELS.search(text)
    if cut_off:
        labels = [label.strip().lower() for label in re.split(r",| and ", found.group(1))] if found else []
        if found and found.end() == len(text):
            labels.pop()
        said = _POLARITY.search(text)
        reading = said.group(1).lower() if said and said.group(1).lower() in POLARITIES else None
        return _answer(text, labels, reading)
    if found:
        labels = [label.strip().lower() for label in re.split(r",| and ", found.group(1))]
    else:
        words = lexicon.load().states_in(_POLARITY.sub("", text))
        labels = [word for word in words if word not in ("positive", "negative")]  # say how good, not what
    said = _POLARITY.search(text)
    if said and said.group(1).lower() in POLARITIES:
        reading = said.group(1).lower()
    else:
        reading = lexicon.load().polarity_of(tuple(label for label in labels if label))
    return _answer(text, labels, reading)


def _answer(text: str, labels: list[str], polarity: str | None) -> Answer:
    """The parts of a text, its description up to where its summary begins."""
    labels = tuple(dict.fromkeys(label for label in labels if label))
    start = min((match.start() for match in (_LABELS.search(text), _POLARITY.search(text))
                 if match and match.group(0)[0].isupper()), default=len(text))
    return Answer(text[:start].strip() or text, labels, polarity)


def first_basic(labels: tuple[str, ...] | list[str]) -> str | None:
    """Basic emotion of the first label that has one; the single-label prediction of an answer."""
    return next((basic for basic in map(lexicon.load().basic_emotion, labels) if basic), None)
