"""Protocols: which clips of a corpus are trained on, validated on and tested on.

    official          the splits that the corpus's own files name, as they are
    hold-out          the same, but of a corpus without a validation split a tenth of the training split is that
    fold:K            the K-th of five parts (of the corpus's number of folds) is the test; no video is cut
    video-disjoint    as fold:0
    speaker-disjoint  as video-disjoint, and no speaker is cut either; speaker-disjoint:K for another part
    leave-session:K   the K-th group (session), from 1 in the order of their names, is the test

All but "official" make splits of whole units: clips of one group (`Clip.group`), of one dialogue or of one media file
stay together, and where speakers must not be cut, all that a speaker says. Validation clips are whole units of what is
not tested. Splits follow from the names of units and their sizes alone, not from the order of the clips or a seed;
where they are stratified (for the small corpora of a comparison), from their classes too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.stratified import deal, drawn

FOLDS = 5
"""Parts of a corpus that has no official number of folds."""
HELD_OUT = 0.1
"""Share of the clips that are not tested which are validated on, as near as whole units come to it."""
NAMES = ("official", "hold-out", "fold:K", "video-disjoint", "speaker-disjoint", "leave-session:K")

MOST_HELD_OUT, HELD_PER_CLASS = 0.2, 3
"""Of few clips, a stratified split validates on more than a tenth: on three a class, as far as a fifth holds them."""

Splits = tuple[str, str, str]
"""Names of the training, the validation and the test split."""


def apply(protocol: str, clips: list[Clip], corpus: Corpus, names: Splits, where: str = "protocol",
          classes: Mapping[str, str] | None = None) -> list[Clip]:
    """The clips in their order, each with the split that the protocol gives it.

    Args:
        protocol: one of `NAMES`, K a number.
        names: how the splits are called.
        where: the setting that says it, for messages.
        classes: `Clip.key` -> class of every clip, where each part is to have its share of every class too, as far as
            whole units can (stratified); None balances sizes alone.
    Raises:
        ValueError: an unknown protocol, a K that is out of range, or clips that cannot be split so: too few units, or
            clips without a group or a speaker where the protocol needs one.
    """
    name, number = _parsed(protocol, where)
    if name == "official":
        return clips
    where = f"{where}={protocol}: {corpus.name}"
    if name == "hold-out":
        training = [clip for clip in clips if clip.split == names[0]]
        if not training or any(clip.split == names[1] for clip in clips):
            return clips
        units = units_of(training)
        of_unit = _with_validation(units, {}, names, where, classes)
    elif name == "leave-session":
        _demand(clips, lambda clip: clip.group, f"{where}: this protocol needs the session of each clip (its group)")
        sessions = _units(clips, (_group,))
        order = sorted(sessions, key=_natural)
        if not 1 <= number <= len(order):
            raise ValueError(f"{where} has {len(order)} sessions ({', '.join(order[:6])}"
                             f"{', ...' if len(order) > 6 else ''}); K is a number from 1 to {len(order)}")
        of_unit, units = _with_validation(sessions, {order[number - 1]: names[2]}, names, where, classes), sessions
    else:
        keys: tuple[Callable[[Clip], str | None], ...] = (_group, _dialogue, _file)
        if name == "speaker-disjoint":
            _demand(clips, lambda clip: clip.speaker, f"{where}: this protocol needs the speaker of each clip")
            keys = (*keys, lambda clip: f"speaker {clip.speaker}")
        units = _units(clips, keys)
        count = corpus.folds or FOLDS
        if not number < count:
            raise ValueError(f"{where} is cut into {count} parts; K is a number from 0 to {count - 1}")
        if len(units) < max(3, count):
            raise ValueError(f"{where}: {len(clips)} clips hang together in {len(units)} units (by group, dialogue, "
                             f"file{' and speaker' if name == 'speaker-disjoint' else ''}), which cannot be cut into "
                             f"{count} parts; use another protocol")
        parts = deal(_classes(units, classes), [1 / count] * count) if classes else _parts(units, count)
        tested = {unit: names[2] for unit, part in parts.items() if part == number}
        of_unit = _with_validation(units, tested, names, where, classes)
    split = {key: of_unit[unit] for unit, members in units.items() for key in members}
    return [replace(clip, split=split.get(clip.key, clip.split)) for clip in clips]


def _parsed(protocol: str, where: str) -> tuple[str, int]:
    """(name, K) of a protocol."""
    found = re.fullmatch(r"(official|hold-out)|(fold|leave-session):(\d{1,4})"
                         r"|(video-disjoint|speaker-disjoint)(?::(\d{1,4}))?", protocol, re.ASCII)
    if found is None:
        raise ValueError(f"{where}={protocol}: unknown protocol; use one of {', '.join(NAMES)}, K a number")
    plain, counted, number, disjoint, part = found.groups()
    return plain or counted or disjoint, int(number or part or 0)


def _demand(clips: Iterable[Clip], known: Callable[[Clip], str | None], message: str) -> None:
    without = [clip for clip in clips if not known(clip)]
    if without:
        raise ValueError(f"{message}, and {len(without)} clips have none; the first is "
                         f"{without[0].provenance or without[0].key}")


# ---------------------------------------------------------------------------- what may not be cut


def _group(clip: Clip) -> str | None:
    return clip.group and f"group {clip.group}"


def _dialogue(clip: Clip) -> str | None:
    return clip.dialogue and f"dialogue {clip.dialogue}"


def _file(clip: Clip) -> str | None:
    media = clip.media or clip.audio
    return media and f"file {media}"


def units_of(clips: list[Clip]) -> dict[str, list[str]]:
    """Name of a unit -> keys of its clips: what shares a group, a dialogue or a media file."""
    return _units(clips, (_group, _dialogue, _file))


def _units(clips: list[Clip], keys: Iterable[Callable[[Clip], str | None]]) -> dict[str, list[str]]:
    """Name of a unit -> keys of its clips: clips that share a value of any key hang together.

    A unit is called by the first of the names of what it holds: one that does not depend on the order of the clips or
    on where the files lie, so the place of a file only joins clips and never names a unit.
    """
    parent: dict[str, str] = {}

    def top(node: str) -> str:
        while parent.setdefault(node, node) != node:
            parent[node] = node = parent[parent[node]]
        return node

    for clip in clips:
        for key in keys:
            value = key(clip)
            if value:
                parent[top(f"clip {clip.key}")] = top(value)
    together: dict[str, list[Clip]] = {}
    for clip in clips:
        together.setdefault(top(f"clip {clip.key}"), []).append(clip)
    named = {min(clip.group or clip.dialogue or clip.id for clip in members): [clip.key for clip in members]
             for members in together.values()}
    if len(named) < len(together):  # a group called as another clip's id
        named = {min(clip.key for clip in members): [clip.key for clip in members] for members in together.values()}
    return named


# ---------------------------------------------------------------------------- parts


def _classes(units: dict[str, list[str]], classes: Mapping[str, str]) -> dict[str, list[str]]:
    """Unit -> the class of each of its clips."""
    return {unit: [classes[key] for key in members] for unit, members in units.items()}


def _parts(units: dict[str, list[str]], count: int) -> dict[str, int]:
    """Unit -> the part that it falls to: parts of about equally many clips."""
    sizes, part_of = [0] * count, {}
    for unit in sorted(units, key=lambda unit: (-len(units[unit]), drawn(unit))):
        part_of[unit] = min(range(count), key=lambda part: (sizes[part], part))
        sizes[part_of[unit]] += len(units[unit])
    return part_of


def _with_validation(units: dict[str, list[str]], tested: dict[str, str], names: Splits, where: str,
                     classes: Mapping[str, str] | None = None) -> dict[str, str]:
    """Unit -> split: as `tested` says, and of the others about a tenth of the clips is validated on, or where classes
    are given what `held_share` says of them."""
    rest = sorted((unit for unit in units if unit not in tested), key=drawn)
    if len(rest) < 2:
        raise ValueError(f"{where}: {len(rest)} units (groups, dialogues, files) are left to train and validate on, "
                         "and it takes two; use another protocol")
    if classes:
        left = _classes({unit: units[unit] for unit in rest}, classes)
        share = held_share([name for members in left.values() for name in members])
        return {**{unit: names[part] for unit, part in deal(left, [1 - share, share]).items()}, **tested}
    wanted = HELD_OUT * sum(len(units[unit]) for unit in rest)
    held, size = [], 0
    for unit in rest:  # what would take it further away from a tenth than it is goes to training
        if abs(size + len(units[unit]) - wanted) < abs(size - wanted):
            held.append(unit)
            size += len(units[unit])
    held = held or [min(rest, key=lambda unit: (len(units[unit]), drawn(unit)))]
    return {**{unit: names[0] for unit in rest}, **{unit: names[1] for unit in held}, **tested}


def held_share(classes: list[str]) -> float:
    """Share of the clips of these classes that a stratified split validates on."""
    return min(MOST_HELD_OUT, max(HELD_OUT, HELD_PER_CLASS * len(set(classes)) / len(classes)))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """A key that puts "Ses2" before "Ses10"."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]
