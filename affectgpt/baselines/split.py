"""Splits of one corpus that every system of a comparison shares: trained on one part, chosen on another, tested on a
third.

    official             the corpus's own splits, one
    paper                the corpus's own folds as published, its validation being its test where it is so (C-EXPR-DB)
    video-disjoint       all parts of `data.protocols`' video-disjoint, one split each, with a validation part inside
    speaker-disjoint     the same where no speaker is cut
    leave-one-out        each clip is tested once; a tenth of the others is validated on

A comparison tests each clip once a seed: the test parts of a protocol's splits do not overlap.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from affectgpt.config.sections import CorpusSection
from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.mixture import read_sections
from affectgpt.data.protocols import FOLDS, HELD_OUT
from affectgpt.data.readers import reader_of

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
    """The class of a clip: its emotion of the corpus's closed set."""
    return clip.targets.emotion


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
    corpus = reader_of(section.reader, where).corpus
    if protocol == "official":
        sections = [replace(section, protocol="hold-out")]
    elif protocol == "paper":
        if not corpus.folds:
            raise ValueError(f"protocol paper: {section.reader} has no published folds; use official, video-disjoint, "
                             "speaker-disjoint or leave-one-out")
        sections = [replace(section, protocol="official", options={**section.options, "fold": number})
                    for number in range(corpus.folds)]
    elif protocol == "leave-one-out":
        [part] = read_sections([(where, replace(section, protocol="official"))], NAMES)
        return _leave_one_out([clip for clip in part.clips if target_of(clip)], where)
    else:
        sections = [replace(section, protocol=f"{protocol}:{number}") for number in range(corpus.folds or FOLDS)]
    splits = []
    for number, one in enumerate(sections):
        [part] = read_sections([(where, one)], NAMES)
        parts = {name: tuple(clip for clip in part.clips if clip.split == name and target_of(clip)) for name in NAMES}
        if not parts["validation"] and protocol == "paper":
            parts["validation"] = parts["test"]
        name = protocol if protocol == "official" else f"{protocol}-{number}"
        for key, clips in parts.items():
            if not clips:
                raise ValueError(f"{where}: protocol {protocol}: split {name} has no clips with a target to "
                                 f"{'test' if key == 'test' else 'train' if key == 'train' else 'validate'} on")
        splits.append(Split(name, **parts))
    return splits


def _leave_one_out(clips: list[Clip], where: str) -> list[Split]:
    if len(clips) < 3:
        raise ValueError(f"{where}: protocol leave-one-out takes three clips, and there are {len(clips)}")
    splits = []
    for number, tested in enumerate(clips):
        rest = sorted((clip for clip in clips if clip.key != tested.key),
                      key=lambda clip: hashlib.sha256(f"{tested.key} {clip.key}".encode()).digest())
        held = max(1, round(HELD_OUT * len(rest)))
        splits.append(Split(f"leave-one-out-{number}", tuple(rest[held:]), tuple(rest[:held]), (tested,)))
    return splits
