"""How far captions agree with human labels, beside chance and the majority class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from affectgpt.caption.filters import Caption
from affectgpt.caption.votes import Vote
from affectgpt.words import lexicon


@dataclass(frozen=True)
class Agreement:
    """Shares of n clips. `chance` is the mean over all pairings of the captions with the references (what shuffling
    gives), `majority` the share of the commonest reference."""

    n: int
    share: float
    chance: float
    majority: float


def emotion_agreement(captions: Sequence[Caption], references: dict[str, Vote]) -> tuple[Agreement, Agreement] | None:
    """(first label, any label) against the reference's emotion, by meaning; None where no clip has a reference."""
    meaning = lexicon.load().meaning
    pairs = [([meaning(label) for label in caption.labels], references[caption.key][0]) for caption in captions
             if references[caption.key][0]]
    if not pairs:
        return None
    return (_agreement([(words[:1], truth) for words, truth in pairs]), _agreement(pairs))


def sentiment_agreement(captions: Sequence[Caption], references: dict[str, Vote]) -> Agreement | None:
    """The sentiment of the labels against the reference's; None where no clip has one."""
    pairs = [([caption.sentiment], references[caption.key][1]) for caption in captions if references[caption.key][1]]
    return _agreement(pairs) if pairs else None


def _agreement(pairs: Sequence[tuple[list, str]]) -> Agreement:
    n, truths = len(pairs), Counter(truth for _, truth in pairs)
    right = sum(truth in words for words, truth in pairs)
    expected = sum(truths[word] for words, _ in pairs for word in set(words)) / n**2
    return Agreement(n, right / n, expected, max(truths.values()) / n)


def table(stages: Sequence[tuple[str, Sequence[Caption]]], references: dict[str, Vote]) -> list[str]:
    """Lines of a table: captions after each stage against the references; empty where there are none.

    Captions without labels count, as wrong.
    """
    rows = []
    for name, captions in stages:
        emotion = emotion_agreement(captions, references)
        measured = [*(emotion or ()), sentiment_agreement(captions, references)]
        titles = (["first label", "any label"] if emotion else []) + ["sentiment"]
        rows += [f"{name:<12}{title:<13}{one.n:>6}{one.share:>11.3f}{one.chance:>9.3f}{one.majority:>10.3f}"
                 for title, one in zip(titles, measured, strict=True) if one is not None]
    return [f"{'captions':<12}{'agreement of':<13}{'n':>6}{'agreement':>11}{'chance':>9}{'majority':>10}", *rows] \
        if rows else []
