"""What lies beside a corpus's clips by its layout, its transcripts and face crops, and for how many clips it does not."""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.data.corpora import Corpus
from affectgpt.prepare.inspect import FACE_FOLDER

_TRANSCRIPT = re.compile(r"\S*(?:transcript|subtitle)\S*\.csv")


def companion_notes(record: Corpus | None, root: Path, clips: int, worded: int, pictures: int, faces: int) -> list[str]:
    """Lines on what is missing; of a corpus without a record, and of what its layout does not have, nothing is said.

    Args:
        clips, worded: that can be used, and those of them with words.
        pictures, faces: clips with a picture, and those of them with crops of the corpus.
    """
    if record is None:
        return []
    notes, tables = [], list(dict.fromkeys(_TRANSCRIPT.findall(record.layout)))
    if tables and worded < clips:
        there = [table for table in tables if (root / table).is_file()]
        which = f"not in {' and '.join(there)}" if there else f"{' and '.join(tables)} " \
            f"{'is' if len(tables) == 1 else 'are'} not there"
        notes.append(f"{clips - worded:,} of {clips:,} clips have no words: {which}")
    if f"{FACE_FOLDER}/" in record.layout and faces < pictures:
        which = f"some are not in {FACE_FOLDER}/" if (root / FACE_FOLDER).is_dir() else f"{FACE_FOLDER}/ is not there"
        notes.append(f"{pictures - faces:,} of {pictures:,} clips have no official face crops: {which}")
    return notes
