"""Splits of one corpus that every system of a comparison shares: trained on one part, chosen on another, tested on a
third.

    official             the corpus's own splits, one
    paper                the corpus's own folds as published, its validation being its test where it is so (C-EXPR-DB)
    video-disjoint       each part of `data.protocols`' video-disjoint is the test once, with a validation part inside
    speaker-disjoint     the same where no speaker is cut
    leave-one-out        each clip is tested once, what hangs together with it is not trained on

A comparison tests each clip once a seed: the test parts of a protocol's splits do not overlap. Corpora of comparisons
are small, so all parts that are made here are stratified: each has its share of every class, as far as uncut videos
and speakers can give it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from affectgpt.config.sections import CorpusSection
from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.mixture import read_sections
from affectgpt.data.protocols import FOLDS, apply, held_share, units_of
from affectgpt.data.readers import reader_of
from affectgpt.data.stratified import deal

NAMES = ("train", "validation", "test")
PROTOCOLS = ("official", "paper", "video-disjoint", "speaker-disjoint", "leave-one-out")
ON_TEST = "its validation part is its test part: what is chosen on it is chosen on the test, so its scores are too high"


@dataclass(frozen=True)
class Split:
    """One training of every system.

    Attributes:
        name: protocol and number, "video-disjoint-3"; a name for a folder.
        train, validation, test: clips with a target. Where `chosen_on_test`, the last two are the same.
    """

    name: str
    train: tuple[Clip, ...]
    validation: tuple[Clip, ...]
    test: tuple[Clip, ...]

    @property
    def chosen_on_test(self) -> bool:
        """Whether a clip is validated on and tested on."""
        return bool({clip.key for clip in self.validation} & {clip.key for clip in self.test})

    @property
    def clips(self) -> list[Clip]:
        """All clips, each once."""
        return list({clip.key: clip for clip in (*self.train, *self.validation, *self.test)}.values())


def target_of(clip: Clip) -> str | None:
    """The class of a clip: its emotion of the corpus's closed set, or its only label; None where it has neither."""
    if clip.targets.emotion:
        return clip.targets.emotion
    return clip.targets.labels[0] if len(clip.targets.labels) == 1 else None


def classes_of(splits: Sequence[Split], record: Corpus | None) -> tuple[str, ...]:
    """The classes to choose from, in the order of the corpus's record: those that any clip of the splits has."""
    found = {target_of(clip) for split in splits for clip in split.clips}
    known = tuple(record.labels) if record else ()
    return (*(name for name in known if name in found), *sorted(found - set(known)))


def splits_of(section: CorpusSection, protocol: str, where: str = "corpus") -> list[Split]:
    """The splits of a corpus under a protocol; clips without a target are in none.

    Args:
        section: reader, root, options and labels; its own `protocol` is not asked.
        protocol: one of `PROTOCOLS`.
        where: the setting that names the corpus, for messages.
    Raises:
        ValueError: an unknown protocol, a corpus that cannot be split so, or a part without clips.
    """
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol {protocol!r} is not known; use one of {', '.join(PROTOCOLS)}")
    record = reader_of(section.reader, where).corpus
    if protocol == "paper":
        if not record.folds:
            raise ValueError(f"protocol paper: {section.reader} has no published folds; use official, video-disjoint, "
                             "speaker-disjoint or leave-one-out")
        folds = [_clips(replace(section, options={**section.options, "fold": number}), where)
                 for number in range(record.folds)]
        return [_split(f"paper-{number}", clips, where) for number, clips in enumerate(folds)]
    clips = _clips(section, where)
    if protocol == "leave-one-out":
        return _leave_one_out(clips, where)
    classes = {clip.key: target_of(clip) for clip in clips}
    if protocol == "official":
        return [_split("official", apply("hold-out", clips, record, NAMES, where, classes), where)]
    return [_split(f"{protocol}-{number}", apply(f"{protocol}:{number}", clips, record, NAMES, where, classes), where)
            for number in range(record.folds or FOLDS)]


def _clips(section: CorpusSection, where: str) -> list[Clip]:
    """The clips of a corpus that have a class, with the splits of its own files."""
    [part] = read_sections([(where, replace(section, protocol="official"))], NAMES)
    clips = [clip for clip in part.clips if target_of(clip)]
    if not clips:
        raise ValueError(f"{where}: none of the {len(part.clips)} clips of {section.reader} has one class to predict")
    return clips


def _split(name: str, clips: Sequence[Clip], where: str) -> Split:
    parts = {part: tuple(clip for clip in clips if clip.split == part) for part in NAMES}
    if not parts["validation"] and name.startswith("paper"):
        parts["validation"] = parts["test"]  # as published
    for part, verb in zip(NAMES, ("train on", "validate on", "test on"), strict=True):
        if not parts[part]:
            raise ValueError(f"{where}: split {name} has no clips with a class to {verb}")
    return Split(name, **parts)


def _leave_one_out(clips: Sequence[Clip], where: str) -> list[Split]:
    units = units_of(list(clips))
    if len(units) < 3:
        raise ValueError(f"{where}: protocol leave-one-out takes three clips that do not hang together, and the "
                         f"{len(clips)} clips hang together in {len(units)} units (by group, dialogue and file)")
    unit_of = {key: unit for unit, members in units.items() for key in members}
    classes: Mapping[str, str] = {clip.key: target_of(clip) for clip in clips}
    parts: dict[str, dict[str, int]] = {}  # of what is left without a unit
    splits = []
    for number, tested in enumerate(clips):
        without = unit_of[tested.key]
        if without not in parts:
            left = {unit: [classes[key] for key in members] for unit, members in units.items() if unit != without}
            share = held_share([name for members in left.values() for name in members])
            parts[without] = deal(left, [1 - share, share])
        rest = [[clip for clip in clips if parts[without].get(unit_of[clip.key]) == part] for part in (0, 1)]
        splits.append(Split(f"leave-one-out-{number}", tuple(rest[0]), tuple(rest[1]), (tested,)))
    return splits
