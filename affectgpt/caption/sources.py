"""What a caption job starts from: the clips to describe and where their files lie, clips with human labels, and how
sure it is that a clip's face is the speaker's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from affectgpt.caption.settings import CaptionRecipe, SourceSection
from affectgpt.config.sections import CorpusSection, DataSection
from affectgpt.data.clip import Clip
from affectgpt.data.links import Links
from affectgpt.data.mixture import Part, media_root, read_sections, sections_of
from affectgpt.data.reading import TRACK
from affectgpt.media import MediaError, read_track

JOURNAL, MANIFEST, UNFILTERED, REJECTED = "journal.jsonl", "manifest.jsonl", "unfiltered.jsonl", "rejected.jsonl"
"""Files of a job's output."""

Failures = dict[str, tuple[str, str]]
"""Clip key -> (reason, detail) of clips without a description."""


def read_source(recipe: CaptionRecipe) -> tuple[list[Clip], list[Path]]:
    """(the clips to describe, the folders that their files lie below).

    Raises:
        ValueError: as the readers; a split that no clip has; files that this job would write over.
    """
    source = recipe.source
    parts = read_named(source.manifests, source.root, source.corpora, "source.manifests", "source.corpora")
    _refuse_own_files(recipe, parts)
    return select(parts, source), [media_root(part) for part in parts]


def select(parts: Iterable[Part], source: SourceSection) -> list[Clip]:
    """The clips of corpora that `source` takes. Raises ValueError for a split that no clip has."""
    clips = [clip for part in parts for clip in part.clips]
    known = {clip.split for clip in clips}
    for name in source.splits:
        if name not in known:
            raise ValueError(f"source.splits: no clip has the split {name!r}; they have "
                             f"{', '.join(sorted(split or '(none)' for split in known))}")
    clips = [clip for clip in clips if not source.splits or clip.split in source.splits]
    return clips[: source.limit or None]


def read_labelled(recipe: CaptionRecipe) -> list[Clip]:
    """Clips with human labels for classifiers; none where no corpus is named. Raises ValueError as the readers."""
    high = recipe.high
    parts = read_named(high.labelled, high.labelled_root, high.labelled_corpora, "high.labelled",
                       "high.labelled_corpora")
    _refuse_own_files(recipe, parts)
    return [clip for part in parts for clip in part.clips]


def read_named(sources: Iterable[str], root: str | None, corpora: Iterable[CorpusSection], short: str,
               long: str) -> list[Part]:
    """Corpora named by manifests and READER:PATH names (setting `short`), and by sections (setting `long`)."""
    sections = [*sections_of(sources, root, short),
                *((f"{long}.{number}", section) for number, section in enumerate(corpora))]
    names = DataSection()
    return read_sections(sections, (names.train_split, names.validation_split, names.test_split))


def _refuse_own_files(recipe: CaptionRecipe, parts: Sequence[Part]) -> None:
    own = {(Path(recipe.output) / name).resolve() for name in (JOURNAL, MANIFEST, UNFILTERED, REJECTED)}
    read = [(part.where, part.section.root) for part in parts if part.section.reader == "manifest"]
    read += [("high.predictions", path) for path in recipe.high.predictions]
    read += [("low.speaker_file", recipe.low.speaker_file)] * bool(recipe.low.speaker_file)
    for where, path in read:
        if Path(path).resolve() in own:
            raise ValueError(f"{where}: {path} would be written over by this job; choose another output folder with "
                             "output=DIR")


def placed(clips: list[Clip], links: Links) -> tuple[dict[str, Clip], Failures]:
    """(clip key -> the clip with paths by way of the links beside the manifests, why others have none)."""
    found: dict[str, Clip] = {}
    failed: Failures = {}
    for clip in clips:
        try:
            found[clip.key] = replace(clip, **{role: links.through(path) for role in ("media", "audio", "face")
                                               if (path := getattr(clip, role)) is not None})
        except ValueError as error:
            failed[clip.key] = ("file elsewhere", str(error))
    return found, failed


def unique_names(clips: list[Clip]) -> dict[str, str]:
    """Id, and "corpus/id", -> key; an id that several corpora have is left out."""
    ids: dict[str, list[str]] = {}
    for clip in clips:
        ids.setdefault(clip.id, []).append(clip.key)
    return {clip_id: keys[0] for clip_id, keys in ids.items() if len(keys) == 1} | {clip.key: clip.key
                                                                                    for clip in clips}


def track_scores(clips: list[Clip]) -> tuple[dict[str, float], Failures]:
    """(clip key -> confidence of its face track, why a track cannot be read); clips without a track or without a
    confidence in it are in neither."""
    scores: dict[str, float] = {}
    failed: Failures = {}
    for clip in clips:
        if clip.face is None or clip.face.suffix != TRACK:
            continue
        try:
            confidence = read_track(clip.face).confidence
        except MediaError as error:
            failed[clip.key] = ("face track", str(error))
        else:
            if confidence is not None:
                scores[clip.key] = confidence
    return scores, failed
