"""The two-level filter of captions: which are kept, and why each of the others is not.

Low: is the face the speaker's, is the description of a usual length. High: does a majority of classifiers agree with
the labels on emotion and on sentiment (model-based crowd-sourcing, arXiv 2501.16566). Pure functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from affectgpt.caption.settings import HighSection, LowSection
from affectgpt.words import lexicon

NO_LABELS = "no labels"
SPEAKER, SHORT, LONG = "not the speaker", "short", "long"
NO_VOTES, NO_MAJORITY = "no votes", "no majority"
EMOTION, SENTIMENT = "emotion", "sentiment"


@dataclass(frozen=True)
class Caption:
    """One description with what was read out of it, and what the filters look at.

    speaker: confidence that the face is the speaker's, None where none is known. votes: (emotion, sentiment) of each
    classifier, None where it says nothing of it.
    """

    key: str
    description: str
    labels: tuple[str, ...]
    sentiment: str | None
    speaker: float | None = None
    votes: tuple[tuple[str | None, str | None], ...] = ()


@dataclass
class Verdict:
    """What the filters did: captions kept, and key -> (level, reason, detail) of the others.

    voted: whether the high-level filter was applied. votes: the majorities themselves, as captions. notes: what was not
    applied, and to how many.
    """

    low: list[Caption] = field(default_factory=list)
    kept: list[Caption] = field(default_factory=list)
    rejected: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    voted: bool = False
    votes: list[Caption] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def counts(self) -> Counter:
        """(level, reason) -> captions."""
        return Counter((level, reason) for level, reason, _ in self.rejected.values())


def run_filters(captions: Sequence[Caption], low: LowSection, high: HighSection, voters: int) -> Verdict:
    """Sort captions into kept and rejected; each is rejected for the first reason that it meets.

    voters: how many classifiers there are; with none, the high-level filter is not applied.
    """
    verdict, bounds = Verdict(), length_bounds(captions, low)
    verdict.low = [caption for caption in captions if _passes_low(caption, low, bounds, verdict)]
    known = sum(caption.speaker is not None for caption in captions)
    if low.speaker and known < len(captions):
        verdict.notes.append(f"active speaker: not applied to {len(captions) - known} of {len(captions)} captions, "
                             "which have no confidence of a face track")
    unspaced = sum(len(caption.description.split()) == 1 < len(caption.description.strip()) for caption in captions)
    if low.length_unit == "words" and 2 * unspaced > len(captions):
        verdict.notes.append(f"length: {unspaced} of {len(captions)} descriptions have no blanks, so that each counts "
                             "as one word: low.length_unit=characters measures them")
    if not (high.emotion or high.sentiment) or not voters:
        reason = "no classifier votes" if high.emotion or high.sentiment else "it is off in the recipe"
        verdict.notes.append(f"high-level filter: not applied, {reason}")
        verdict.kept = list(verdict.low)
        return verdict
    verdict.voted, verdict.votes = True, [_majorities(caption, high.share) for caption in captions if caption.votes]
    verdict.kept = [caption for caption in verdict.low if _passes_high(caption, high, verdict)]
    return verdict


def length_of(text: str, unit: str) -> int:
    """Words between blanks, or characters without the blanks at the ends."""
    return len(text.split()) if unit == "words" else len(text.strip())


def length_bounds(captions: Sequence[Caption], low: LowSection) -> tuple[float, float]:
    """Shortest and longest length that is kept, from the quantiles of all captions; no bound where there are none."""
    lengths = [length_of(caption.description, low.length_unit) for caption in captions]
    if not lengths:
        return 0.0, float("inf")
    return tuple(np.quantile(lengths, (low.length_low, low.length_high)).tolist())


def _passes_low(caption: Caption, low: LowSection, bounds: tuple[float, float], verdict: Verdict) -> bool:
    length = length_of(caption.description, low.length_unit)
    reason = None
    if not caption.labels:
        reason = (NO_LABELS, "no emotion is read out of the description")
    elif low.speaker and caption.speaker is not None and caption.speaker < low.speaker:
        reason = (SPEAKER, f"confidence {caption.speaker:.3f} is below {low.speaker:g}")
    elif length < bounds[0]:
        reason = (SHORT, f"{length} {low.length_unit}, fewer than {bounds[0]:g}")
    elif length > bounds[1]:
        reason = (LONG, f"{length} {low.length_unit}, more than {bounds[1]:g}")
    if reason:
        verdict.rejected[caption.key] = ("low", *reason)
    return reason is None


def _passes_high(caption: Caption, high: HighSection, verdict: Verdict) -> bool:
    emotions = [emotion for emotion, _ in caption.votes if emotion]
    sentiments = [sentiment for _, sentiment in caption.votes if sentiment]
    labels = ", ".join(caption.labels)
    checks = []
    if high.emotion:
        checks.append((EMOTION, emotions, lambda word: agrees(word, caption.labels, high.agree_by), labels))
    if high.sentiment:
        checks.append((SENTIMENT, sentiments, lambda word: word == caption.sentiment,
                       caption.sentiment or "nothing clear"))
    for name, votes, accepts, said in checks:
        chosen = majority(votes, high.share)
        reason = None
        if not votes:
            reason = (NO_VOTES, f"no classifier names the {name}")
        elif chosen is None:
            reason = (NO_MAJORITY, f"votes on the {name}: {_shown(votes)}")
        elif not accepts(chosen):
            reason = (name, f"the majority says {chosen}, the description {said}")
        if reason:
            verdict.rejected[caption.key] = ("high", *reason)
            return False
    return True


def _majorities(caption: Caption, share: float) -> Caption:
    """What the majorities say of a clip, in place of its labels."""
    emotion, sentiment = (majority(filter(None, votes), share) for votes in zip(*caption.votes, strict=True))
    return Caption(caption.key, "", (emotion,) if emotion else (), sentiment)


def majority(votes: Iterable[str], share: float) -> str | None:
    """What more than `share` of the votes name; None where nothing does, or two are level.

    >>> majority(["sad", "sad", "angry"], 0.5), majority(["sad", "angry"], 0.4)
    ('sad', None)
    """
    counts = Counter(votes)
    first, *others = counts.most_common(2) or [(None, 0)]
    level = bool(others) and others[0][1] == first[1]
    return first[0] if first[1] > share * counts.total() and not level else None


def agrees(emotion: str, labels: Iterable[str], by: str) -> bool:
    """Whether one of the labels means the emotion: one meaning of the word table, or one root of a wheel."""
    table = lexicon.load()
    mean = table.meaning if by == "meaning" else lambda word: table.root(word, by)
    wanted = mean(emotion)
    return wanted is not None and any(mean(label) == wanted for label in labels)


def _shown(votes: list[str]) -> str:
    return ", ".join(f"{count} {word}" for word, count in sorted(Counter(votes).items()))


def read_scores(path: str, keys: Mapping[str, str]) -> dict[str, float]:
    """Clip key -> confidence of a file of `name` and `confidence`; keys: id or key -> key of the clips.

    Raises:
        ValueError: a row without them, a confidence outside 0 to 1, or a name that is there twice.
    """
    from affectgpt.files import read_jsonl

    scores: dict[str, float] = {}
    for number, row in read_jsonl(path):
        where, value = f"{path}:{number}", row.get("confidence")
        if not isinstance(row.get("name"), str) or isinstance(value, bool) or not isinstance(value, int | float) \
                or not 0 <= value <= 1:
            raise ValueError(f"{where}: needs a name and a confidence from 0 to 1")
        key = keys.get(row["name"])
        if key is not None and key in scores:
            raise ValueError(f"{where}: {row['name']!r} is there twice; keep one row")
        if key is not None:
            scores[key] = float(value)
    return scores
