"""Which clips a recipe trains and validates on: its corpora read, split, checked against each other, and mixed.

A mixture refuses by default what would spoil a run: training clips that are tested on too, and clips whose files are
absent. What an epoch takes of each corpus follows from (seed, epoch) alone, so it hangs neither on ranks nor on where a
run was continued.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from affectgpt.config.sections import CorpusSection, DataSection
from affectgpt.data import protocols
from affectgpt.data.clip import Clip, absent_files
from affectgpt.data.corpora import Corpus, count_notes
from affectgpt.data.readers import check_unique, reader_of, record_of, split_source
from affectgpt.data.shared import check_shared


@dataclass
class Part:
    """One corpus of a mixture: what the recipe says of it, where it says so, and its clips with their splits."""

    section: CorpusSection
    where: str
    clips: list[Clip]
    official_test: set[str] = field(default_factory=set)
    """Keys of clips that are officially tested on, of corpora that MER-UniBench scores."""
    notes: list[str] = field(default_factory=list)
    """Where its clips are not as many as officially."""

    @property
    def name(self) -> str:
        """What tells it from the others: its reader, or the manifest."""
        return str(self.section.root) if self.section.reader == "manifest" else self.section.reader

    @property
    def title(self) -> str:
        """The setting and what it names."""
        return f"{self.where} ({self.section.reader}, {self.section.root})"


class Mixture:
    """The corpora of a recipe as one set of clips.

    Args:
        parts: the corpora.
        questions: kind -> weight, where a corpus has none of its own.
    Attributes:
        splits: split -> clips, for training and validation, in the order of the corpora.
        notes: what the user should know, a line each.
    """

    def __init__(self, parts: Sequence[Part], questions: Mapping[str, float]):
        self.parts, self.questions = list(parts), dict(questions)
        self.splits: dict[str, list[Clip]] = {}
        self.notes: list[str] = []
        self._part_of = {clip.key: number for number, part in enumerate(self.parts) for clip in part.clips}
        self._records: dict[tuple[int, str], Corpus | None] = {}

    def part_of(self, clip: Clip) -> Part:
        """The part that a clip comes from."""
        return self.parts[self._part_of[clip.key]]

    def questions_of(self, clip: Clip) -> dict[str, float]:
        """Kind -> weight of the questions that are asked of a clip."""
        own = self.part_of(clip).section.questions
        return self.questions if own is None else own

    def record_of(self, clip: Clip) -> Corpus | None:
        """The record of a clip's corpus, with the labels and the range of valence that the recipe gives."""
        place = self._part_of[clip.key], clip.corpus
        if place not in self._records:
            section = self.parts[place[0]].section
            record, own = record_of(clip.corpus), {}
            if section.labels:
                own["labels"] = tuple(section.labels)
            if section.valence_range is not None:
                own["valence_range"] = tuple(section.valence_range)
            if own:
                record = replace(record or Corpus(clip.corpus, clip.corpus, "", ""), **own)
            self._records[place] = record
        return self._records[place]

    def order(self, clips: Sequence[Clip], seed: int, epoch: int) -> list[int]:
        """What an epoch takes of these clips: their places, in rising order.

        A clip that is taken again is named as place + len(clips), then as place + 2 len(clips). Of n clips of a corpus
        of weight w, an epoch takes about w n (at least one); those of all epochs together go through one permutation of
        the corpus after the other, so no clip is taken a second time before each was taken once.
        """
        taken: list[int] = []
        for number, part in enumerate(self.parts):
            places = [place for place, clip in enumerate(clips) if self._part_of[clip.key] == number]
            count = per_epoch(len(places), part.section.weight)
            if count == len(places):  # all of them: no need to draw
                taken += places
                continue
            times: dict[int, int] = {}
            for index in _drawn(len(places), epoch * count, count, f"{seed}:{number}"):
                place = places[index]
                taken.append(place + times.get(place, 0) * len(clips))
                times[place] = times.get(place, 0) + 1
        return sorted(taken)

    def facts(self) -> list[dict]:
        """What a run must share with its continuation, part by part; where files lie is no part of it."""
        return [{key: value for key, value in asdict(part.section).items() if key != "root"} for part in self.parts]

    def epoch_line(self, clips: Sequence[Clip]) -> str:
        """What an epoch takes of each corpus, in words."""
        counts = [0] * len(self.parts)
        for clip in clips:
            counts[self._part_of[clip.key]] += 1
        pieces = [f"{per_epoch(count, part.section.weight):,} of {part.name} ({count:,} clips, weight "
                  f"{part.section.weight:g})" for count, part in zip(counts, self.parts, strict=True) if count]
        return f"an epoch takes {', '.join(pieces)}"


def per_epoch(clips: int, weight: float) -> int:
    """How many clips an epoch takes of a corpus."""
    return max(1, round(clips * weight)) if clips and weight else 0


def _drawn(size: int, start: int, count: int, name: str) -> list[int]:
    """`count` places from `start` on of an endless row of permutations of `size`."""
    drawn: list[int] = []
    while len(drawn) < count:
        number, place = divmod(start + len(drawn), size)
        permutation = list(range(size))
        random.Random(hashlib.sha256(f"{name}:{number}".encode()).digest()).shuffle(permutation)
        drawn += permutation[place : place + count - len(drawn)]
    return drawn


# ---------------------------------------------------------------------------- from a recipe


def corpora_of(data: DataSection) -> list[tuple[str, CorpusSection]]:
    """(where the recipe says so, corpus) of each; manifests as what they are short for.

    Raises:
        ValueError: neither manifests nor corpora.
    """
    if data.corpora:
        return [(f"data.corpora.{number}", section) for number, section in enumerate(data.corpora)]
    if not data.manifests:
        raise ValueError("data.manifests is empty, and so is data.corpora: name a manifest, for example "
                         "data.manifests=corpus/manifest.jsonl, or a corpus, for example data.corpora.0.reader=ravdess "
                         "data.corpora.0.root=/data/ravdess (affectgpt data list shows all)")
    return sections_of(data.manifests, data.root, "data.manifests")


def sections_of(sources: Iterable[str], root: str | None, where: str) -> list[tuple[str, CorpusSection]]:
    """(where the recipe says so, corpus) of manifests and READER:PATH names.

    Args:
        root: folder that media paths of manifests start from; None for that of each manifest.
    """
    found = []
    for number, source in enumerate(sources):
        reader, path = split_source(source)
        if reader is None:
            section = CorpusSection("manifest", source, options={} if root is None else {"root": root})
        else:
            section = CorpusSection(reader, path)
        found.append((f"{where}[{number}]", section))
    return found


def read_parts(data: DataSection) -> list[Part]:
    """The corpora of a recipe, each split by its protocol.

    Raises:
        ValueError: as `corpora_of` and `read_sections`.
    """
    return read_sections(corpora_of(data), (data.train_split, data.validation_split, data.test_split))


def read_sections(sections: Iterable[tuple[str, CorpusSection]], names: protocols.Splits) -> list[Part]:
    """Corpora, each split by its protocol.

    Args:
        sections: (where the recipe says so, corpus) of each.
        names: how the training, the validation and the test split are called.
    Raises:
        ValueError: as the readers and the protocols; no root; a variable that is not set; one clip twice.
    """
    parts = []
    for where, section in sections:
        reader = reader_of(section.reader, where)
        if not section.root:
            raise ValueError(f"{where}.root is not set: name the folder of {section.reader}, for example {where}.root="
                             f"/data/{section.reader} (affectgpt data info {section.reader} says what lies in it)")
        options = reader.typed_options(section.options, where)
        clips = reader.read(_expanded(section.root, f"{where}.root"), **options)
        tested = {clip.key for clip in clips if clip.split.startswith("test")
                  and (record := record_of(clip.corpus)) and record.evaluation}
        notes = [] if section.reader == "manifest" else count_notes(reader.corpus, clips)
        clips = protocols.apply(section.protocol, clips, reader.corpus, names, f"{where}.protocol")
        parts.append(Part(section, where, clips, tested, [f"note: {note}" for note in notes]))
    check_unique(clip for part in parts for clip in part.clips)
    return parts


def media_root(part: Part) -> Path:
    """The folder below which the files of a corpus lie."""
    root = _expanded(part.section.root, f"{part.where}.root")
    if part.section.reader == "manifest" and part.section.options.get("root"):
        return Path(part.section.options["root"])
    return root if root.is_dir() else root.parent


def _expanded(root: str, where: str) -> Path:
    """A path with the variables of the environment that it names."""
    def value(found: re.Match) -> str:
        if not os.environ.get(found[1]):
            raise ValueError(f"{where}={root}: the variable {found[1]} is not set in the environment: set it, or write "
                             f"{where}=DIR")
        return os.environ[found[1]]

    return Path(re.sub(r"\$\{(\w+)\}", value, root)).expanduser()


def read_mixture(data: DataSection, check_media: bool = True) -> Mixture:
    """The clips that a recipe trains and validates on.

    Args:
        check_media: False where features are stored already, so that the files need not be there.
    Raises:
        ValueError: as `read_parts`; a split without clips; training clips that are tested on too, or absent files,
            where `data.shared_clips` or `data.missing_media` refuse them.
    """
    mixture = Mixture(read_parts(data), data.questions)
    training, validation = (
        [clip for part in mixture.parts if part.section.weight or name != data.train_split
         for clip in part.clips if clip.split == name] for name in (data.train_split, data.validation_split))
    # Some corpora have several, such as "test-noise".
    test = [clip for part in mixture.parts for clip in part.clips if clip.split.startswith(data.test_split)]
    for key, clips in (("train_split", training), ("validation_split", validation)):
        if not clips:
            known = ", ".join(sorted({clip.split or "(none)" for part in mixture.parts for clip in part.clips}))
            hint = "; data.corpora.0.protocol=hold-out takes a tenth of the training clips" \
                if key == "validation_split" and data.corpora else ""
            raise ValueError(f"data.{key}={getattr(data, key)}: no clip has this split; the "
                             f"{'corpora' if data.corpora else 'manifests'} have {known}{hint}")
    mixture.notes += [note for part in mixture.parts for note in part.notes]
    official = ("official", "hold-out")  # any other protocol says by itself that official splits do not count
    tested = {key for part in mixture.parts if part.section.protocol in official for key in part.official_test}
    for part in mixture.parts:
        moved = sum(clip.key in part.official_test for clip in part.clips if clip.split == data.train_split)
        if moved and part.section.protocol not in official and part.section.weight:
            mixture.notes.append(f"warning: {part.where}.protocol={part.section.protocol} trains on {moved:,} clips of "
                                 f"the official test split of {part.name}: MER-UniBench's score on it will say little")
    left, notes = check_shared(training, [*validation, *test], tested, data.shared_clips)
    mixture.notes += notes
    mixture.splits = {data.train_split: left, data.validation_split: validation}
    if check_media or data.missing_media == "leave_out":
        gone, notes = absent_clips(mixture.parts, mixture.splits.values(), data.missing_media)
        mixture.notes += notes
        for name, clips in mixture.splits.items():
            mixture.splits[name] = [clip for clip in clips if clip.key not in gone]
            if not mixture.splits[name]:
                raise ValueError(f"split {name}: the files of all {len(clips):,} clips are absent, the first is "
                                 f"{absent_files(clips[0])[0]}")
    return mixture


def read_present(data: DataSection) -> tuple[list[Clip], list[str]]:
    """(all clips of a recipe's corpora whose files are there, notes), whatever their split.

    Raises:
        ValueError: as `read_parts`, and for absent files where `data.missing_media` refuses them.
    """
    parts = read_parts(data)
    gone, notes = absent_clips(parts, [part.clips for part in parts], data.missing_media)
    return [clip for part in parts for clip in part.clips if clip.key not in gone], notes


def absent_clips(parts: Sequence[Part], splits: Iterable[Sequence[Clip]], missing_media: str) -> tuple[set[str], list]:
    """(keys of those clips whose files are absent, notes on them).

    Raises:
        ValueError: there are some and "refuse" is asked for, or all files of a corpus are absent.
    """
    part_of = {clip.key: number for number, part in enumerate(parts) for clip in part.clips}
    absent: dict[int, list[tuple[Clip, Path]]] = {}
    there, notes = [0] * len(parts), []
    for clips in splits:
        for clip in clips:
            number, files = part_of[clip.key], absent_files(clip)
            if files:
                absent.setdefault(number, []).append((clip, files[0]))
            else:
                there[number] += 1
    for number, found in absent.items():
        part, every = parts[number], len(found) + there[number]
        first = ", ".join(str(path) for _, path in found[:3])
        message = (f"{part.title}: the files of {len(found):,} of {every:,} clips are absent, the first are {first}"
                   f"{', ...' if len(found) > 3 else ''}")
        if missing_media == "refuse" or not there[number]:
            rest = f", or set data.missing_media=leave_out to train on the {there[number]:,} others"
            raise ValueError(f"{message}: bring them, or name another folder as root{rest if there[number] else ''}")
        notes.append(f"note: {message}; they are left out")
    return {clip.key for found in absent.values() for clip, _ in found}, notes
