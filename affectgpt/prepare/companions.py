"""Transcripts and face crops that a corpus has by its layout: for how many clips they are not there."""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.corpora import Corpus
from affectgpt.prepare.inspect import FACE_FOLDER


def companion_notes(record: Corpus | None, root: Path, clips: int, worded: int, pictures: int, faces: int) -> list[str]:
    """Lines on what is missing; of a corpus without a record, and of what its layout does not have, nothing is said.

    Args:
        clips, worded: that can be used, and those of them with words.
        pictures, faces: clips with a picture, and those of them with crops of the corpus.
    """
    if record is None:
        return []
    notes, tables = [], record.transcripts
    if tables and worded < clips:
        there = [table for table in tables if (root / table).is_file()]
        which = f"not in {' and '.join(there)}" if there else f"{' or '.join(tables)} is not there"
        notes.append(f"{clips - worded:,} of {clips:,} clips have no words: {which}")
    if f"{FACE_FOLDER}/" in record.layout and faces < pictures:
        which = f"some are not in {FACE_FOLDER}/" if (root / FACE_FOLDER).is_dir() else f"{FACE_FOLDER}/ is not there"
        notes.append(f"{pictures - faces:,} of {pictures:,} clips have no official face crops: {which}")
    return notes
