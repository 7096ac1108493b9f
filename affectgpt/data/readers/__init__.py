"""Corpora: one small module each, that turns a corpus's own files into clips.

Adding a corpus means adding a module with `read(path) -> list[Clip]` and its name to `READERS`.
"""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.readers import manifest, ravdess

READERS = {"manifest": manifest.read, "ravdess": ravdess.read}


def read_corpus(source: str, root: str | None = None) -> list[Clip]:
    """Clips of a source: a manifest (JSON Lines, a JSON array or CSV), or "READER:PATH" for a corpus in its own layout.

    Args:
        source: "corpus/manifest.jsonl" or for example "ravdess:/data/ravdess".
        root: folder that the media paths of a manifest start from; by default the manifest's own.
    Raises:
        ValueError: an unknown reader, a missing path, or a bad row (file:row, key, what to do).
    """
    reader, colon, path = source.partition(":")
    if not colon or len(reader) == 1:  # one letter is a drive
        return manifest.read(Path(source), root)
    if reader not in READERS:
        raise ValueError(f"{source}: unknown corpus reader {reader!r}: use one of {', '.join(READERS)}")
    return READERS[reader](Path(path))


def read_corpora(sources: list[str], root: str | None = None) -> list[Clip]:
    """Clips of several sources.

    Raises:
        ValueError: as `read_corpus`, and where two clips have the same corpus and id.
    """
    clips = [clip for source in sources for clip in read_corpus(source, root)]
    seen: dict[str, str] = {}
    for clip in clips:
        if clip.key in seen:
            raise ValueError(f"{clip.provenance}: id {clip.id!r} was used before in {seen[clip.key]}: "
                             "ids must be unique")
        seen[clip.key] = clip.provenance
    return clips
