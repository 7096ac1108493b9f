"""What training should know of its clips before it starts: targets that nobody asks for, that contradict each other,
or that no table knows; and in the end a count of the clips that are not learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain, groupby

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, clip_labels
from affectgpt.data.corpora import Corpus
from affectgpt.data.dataset import LEFT_OUT, InstructionDataset
from affectgpt.data.kinds import KINDS
from affectgpt.data.mixture import Mixture
from affectgpt.data.readers import record_of
from affectgpt.models.streams import MEDIA_STREAMS
from affectgpt.words import lexicon

_ALL = [*MEDIA_STREAMS, "text"]


def check_targets(splits: Mapping[str, list[Clip]], questions: dict[str, float], style: str,
                  mixture: Mixture | None = None) -> list[str]:
    """Look at the targets of every corpus, before any media is opened.

    Args:
        splits: split -> its clips.
        questions: question kind -> weight, as the recipe's `data.questions`.
        style: of the answers, "chat" or "published".
        mixture: says what the clips of a corpus are asked instead, and the records of corpora.
    Returns:
        Warnings and notes, a line each.
    Raises:
        ValueError: a split of which no clip has a target that a question asks for; says what its clips have.
    """
    def asked_of(clip: Clip) -> list[str]:
        weights = mixture.questions_of(clip) if mixture else questions
        return [kind for kind, weight in weights.items() if weight > 0]

    record, notes = mixture.record_of if mixture else _record, []
    for kind in chain(questions, *(part.section.questions or () for part in (mixture.parts if mixture else ()))):
        prompts.kind_of(kind)
    for split, clips in splits.items():
        silent = {corpus: part for corpus, part in _by_corpus(clips)
                  if not any(_answerable(clip, asked_of(clip), style, record) for clip in part)}
        for corpus, part in silent.items():
            asked = asked_of(part[0])
            message = (f"split {split}: no clip of corpus {corpus or '(none)'} has a target that data.questions="
                       f"{_shown(asked)} asks for (the first is {part[0].provenance or part[0].key}); "
                       f"{_remedy(part, style, record)}")
            if sum(map(len, silent.values())) == len(clips):
                raise ValueError(message)
            notes.append(f"warning: {message}")
    everything = [clip for clips in splits.values() for clip in clips]
    for corpus, part in _by_corpus(everything):
        found = [(clip, words) for clip in part if (words := contradiction(clip, record(clip)))]
        if found:
            clip, words = found[0]
            notes.append(f"warning: targets of {len(found)} of {len(part)} clips of corpus {corpus or '(none)'} "
                         f"contradict each other; the first is {clip.provenance or clip.key}: {words}")
        if {"valence", "vad"} & set(asked_of(part[0])):
            notes += _outside_range(corpus, part, record)
        notes += _unknown_labels(corpus, part)
    return notes


def _by_corpus(clips: list[Clip]) -> Iterator[tuple[str, list[Clip]]]:
    for corpus, part in groupby(sorted(clips, key=lambda clip: clip.corpus), key=lambda clip: clip.corpus):
        yield corpus, list(part)


def _record(clip: Clip) -> Corpus | None:
    return record_of(clip.corpus)


def _answerable(clip: Clip, kinds: Iterable[str], style: str, record: Callable[[Clip], Corpus | None]) -> bool:
    return any(prompts.answerable(clip.targets, kind, _ALL, style, record(clip)) for kind in kinds)


def _shown(kinds: list[str]) -> str:
    return "{" + ", ".join(f"{kind}: 1" for kind in kinds) + "}"


def _remedy(clips: list[Clip], style: str, record: Callable[[Clip], Corpus | None]) -> str:
    kinds = [kind for kind in KINDS if any(_answerable(clip, [kind], style, record) for clip in clips)]
    if kinds:
        return f"these clips have {' and '.join(kinds)}; set data.questions={_shown(kinds)}"
    return "these clips have no description, labels, emotion, sentiment or valence: give their rows one"


def contradiction(clip: Clip, corpus: Corpus | None = None) -> str | None:
    """What of a clip's targets is positive and what negative, or which emotion is none of its labels; None where
    they agree or nothing is known."""
    targets, words = clip.targets, lexicon.load()
    signs: dict[str, list[str]] = {"positive": [], "negative": []}
    if targets.sentiment in signs:
        signs[targets.sentiment].append(f"sentiment {targets.sentiment}")
    middle = sum(corpus.valence_range) / 2 if corpus and corpus.valence_range else 0.0
    if targets.valence is not None and targets.valence != middle:
        signs["positive" if targets.valence > middle else "negative"].append(f"valence {targets.valence:g}")
    if targets.labels:
        polarities = {words.polarity(label) for label in targets.labels} - {None}
        if len(polarities) == 1 and polarities <= signs.keys():  # of mixed labels no sign follows
            signs[polarities.pop()].append(f"labels {', '.join(targets.labels)}")
    if targets.emotion and words.polarity(targets.emotion) in signs:
        signs[words.polarity(targets.emotion)].append(f"emotion {targets.emotion}")
    if all(signs.values()):
        return " and ".join(part for found in signs.values() for part in found)
    emotion = words.basic_emotion(targets.emotion) if targets.emotion else None
    basics = {words.basic_emotion(label) for label in targets.labels}
    if emotion and basics and None not in basics and emotion not in basics:
        return f"emotion {targets.emotion} and labels {', '.join(targets.labels)}"
    return None


def _outside_range(corpus: str, clips: list[Clip], record: Callable[[Clip], Corpus | None]) -> list[str]:
    """A warning of valences that the question of valence does not allow."""
    found = []
    for clip in clips:
        known = record(clip)
        low, high = known.valence_range if known and known.valence_range else (-1.0, 1.0)
        if clip.targets.valence is not None and not low <= clip.targets.valence <= high:
            found.append((clip, low, high))
    if not found:
        return []
    clip, low, high = found[0]
    return [f"warning: the valence of {len(found)} of {len(clips)} clips of corpus {corpus or '(none)'} is outside of "
            f"{low:g} to {high:g}, which a question of valence names; the first is {clip.provenance or clip.key}: "
            f"{clip.targets.valence:g}. Set valence_range of this corpus in data.corpora, for example [-3, 3]"]


def _unknown_labels(corpus: str, clips: list[Clip]) -> list[str]:
    """A note on labels that the lexicon does not know."""
    labels = [label for clip in clips for label in clip_labels(clip)]
    unknown = [label for label in labels if lexicon.load().meaning(label) is None]
    if not unknown:
        return []
    different = list(dict.fromkeys(unknown))
    note = (f"note: {len(unknown)} of {len(labels)} labels of corpus {corpus or '(none)'} are not known "
            f"({', '.join(different[:3])}{', ...' if len(different) > 3 else ''}): no polarity and no alignment word "
            "follows from them")
    return [note + "; no label is known, so its clips take no part in the alignment"] \
        if len(unknown) == len(labels) else [note]


def left_out_table(datasets: Mapping[str, InstructionDataset]) -> str:
    """Split by split and corpus by corpus, how many clips are learned from and how many not, and the first of those."""
    rows = [("split", "corpus", "kept", *LEFT_OUT)]
    lines = []
    for split, dataset in datasets.items():
        kept = [clip.corpus for clip, _ in dataset.items]
        corpora = dict.fromkeys([*kept, *(clip.corpus for clips in dataset.left_out.values() for clip in clips)])
        for corpus in corpora:
            counts = [kept.count(corpus)]
            for reason in LEFT_OUT:
                clips = [clip for clip in dataset.left_out[reason] if clip.corpus == corpus]
                counts.append(len(clips))
                if clips:
                    names = ", ".join(clip.id for clip in clips[:3])
                    lines.append(f"{reason}: {len(clips)} clips of {corpus or '(none)'} in split {split}: "
                                 f"{names}{', ...' if len(clips) > 3 else ''}")
            rows.append((split, corpus or "(none)", *map(str, counts)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = ["  ".join(cell.ljust(width) if place < 2 else cell.rjust(width)
                       for place, (cell, width) in enumerate(zip(row, widths, strict=True))) for row in rows]
    return "\n".join([*table, *lines])
