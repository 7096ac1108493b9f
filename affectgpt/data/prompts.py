"""The one owner of every question and answer: what is asked, what is taught, and how a model's text is read.

The table of questions and answers is `data.kinds`, what may be told of the streams that are shown `data.evidence`, and
the sentences around them lie in `models.prompting`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from affectgpt.data.clip import Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.evidence import (  # noqa: F401  known by this name too
    STREAM_NAMES,
    conflict_sentence,
    description,
    polarity,
    visible_emotions,
    visible_labels,
)
from affectgpt.data.kinds import KINDS, OF_ANY_CLIP, Kind
from affectgpt.extractors import reading
from affectgpt.models.prompting import PUBLISHED_STOP
from affectgpt.words import lexicon

QUESTIONS = {kind: KINDS[kind].questions["chat"] for kind in OF_ANY_CLIP}
"""Question kind -> question of the default (chat) style, of those kinds that can be asked of any clip."""

PUBLISHED_QUESTIONS = {kind: KINDS[kind].questions["published"] for kind in OF_ANY_CLIP}
"""The same of the published system (MERTools / AffectGPT, Lian et al. 2025)."""


def kind_of(name: str) -> Kind:
    """A kind of question.

    Raises:
        ValueError: there is none of this name; the message names those that exist.
    """
    if name not in KINDS:
        raise ValueError(f"unknown question kind {name!r}: use one of {', '.join(KINDS)}")
    return KINDS[name]


def question_of(kind: str, style: str, valence_range: tuple[float, float] = (-1.0, 1.0), corpus: Corpus | None = None,
                targets: Targets = Targets()) -> str:
    """The question of a kind.

    Args:
        valence_range: the lowest and the highest number that the question of valence allows, where no corpus says it.
        corpus: the record of the clip's corpus, which has candidates and the range of valence.
        targets: of the clip: two descriptions to choose from, or a question of its own.
    Raises:
        ValueError: an unknown kind, or one that cannot be asked of this clip.
    """
    text = kind_of(kind).question(style, corpus, targets, valence_range)
    if text is None:
        raise ValueError(f"question kind {kind!r} needs {kind_of(kind).needs}")
    return text


def answer(targets: Targets, kind: str, visible: list[str], style: str = "chat") -> str | None:
    """The answer to learn for a clip of which only `visible` streams are shown; None where nothing is known."""
    return kind_of(kind).answer(style, targets, visible)


def answerable(targets: Targets, kind: str, visible: list[str], style: str, corpus: Corpus | None) -> bool:
    """Whether a clip can be asked this question, and has an answer to it in these streams."""
    return answer(targets, kind, visible, style) is not None \
        and kind_of(kind).question(style, corpus, targets) is not None


def rival_text(words: str | None, question: str) -> str:
    """What any other chat model is asked beside the pictures and the sound: the words of a clip, then the question."""
    return question if words is None else f'The person in this clip says: "{words}"\n{question}'


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


_STATED = re.compile(r"Emotions?:|emotional state is|most likely label is", re.IGNORECASE)
_SUMMARY = re.compile(r"\b(?:Emotions?:|Polarity:)")


def parse_answer(text: str, cut_off: bool = False) -> Answer:
    """Split a model's text into description, labels and polarity, read as `affectgpt label` reads it.

    A missing polarity is that of the description or of the labels, None where the lexicon knows none of them. Of an
    answer that its length `cut_off`, only what it says in full counts: no words of its description, no last label that
    may be torn, no polarity of labels that may go on.
    """
    text = text.split(PUBLISHED_STOP)[0].strip()
    read = reading.read(text, described=None if cut_off else "rules", cut_off=cut_off)
    polarity = read.stated
    if polarity is None and not cut_off and lexicon.load().polarity_of(read.labels):
        polarity = read.sentiment or lexicon.load().polarity_of(read.labels)
    summary = _SUMMARY.search(text)
    labels = read.labels if not cut_off or _STATED.search(text) else ()
    return Answer(text[: summary.start() if summary else None].strip() or text, labels, polarity)


def first_basic(labels: tuple[str, ...] | list[str]) -> str | None:
    """Basic emotion of the first label that has one; the single-label prediction of an answer."""
    return next((basic for basic in map(lexicon.load().basic_emotion, labels) if basic), None)
