"""CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2 as their authors and MMSA (Yu et al.) lay them out.

    label.csv | meta.csv    video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode
    Raw/VIDEO/CLIP.mp4

Names are those that MERBench gives the same clips: VIDEO_CLIP. Its splits (`mode`: train, valid, test) are the official
ones.
"""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.clip import Clip, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import check_name, read_csv
from affectgpt.data.readers.places import FILMS, MediaFolder, clip_name

TABLES = ("label.csv", "meta.csv")
_SPLITS = {"train": "train", "valid": "validation", "val": "validation", "dev": "validation",
           "validation": "validation", "test": "test"}


def table_of(root: Path) -> Path | None:
    """The table of this layout; None where the root has none."""
    return next((root / name for name in TABLES if (root / name).is_file()), None)


def read_table(root: Path, corpus: Corpus, table: Path, digits: int, language: str) -> list[Clip]:
    """Clips of such a table; the words are those that are spoken.

    Args:
        digits: of a clip's number, where its names pad it with zeros (CH-SIMS: 4), else 0.
        language: as the reader was asked; this layout has the corpus's own alone.
    Raises:
        ValueError: a missing column, a row without video or clip, a clip with two different rows, a split or a score
            that is none, or another language.
    """
    if language != corpus.languages[0]:
        raise ValueError(f"{table}: has words in {corpus.languages[0]!r} alone; language={language} needs MERBench's "
                         "layout (label.npz)")
    folders: dict[str, MediaFolder] = {}
    clips: dict[str, tuple[tuple[str, ...], Clip]] = {}
    for where, row in read_csv(table, ("video_id", "clip_id", "text", "label", "mode")):
        video, piece = row["video_id"], clip_name(row["clip_id"])
        if not video or not piece:
            raise ValueError(f"{where}: the row needs video_id and clip_id")
        check_name(video, where)
        check_name(piece, where)
        if row["mode"].lower() not in _SPLITS:
            raise ValueError(f"{where}: mode is {row['mode']!r}: it must be train, valid or test")
        if piece.isdecimal():
            piece = piece.zfill(digits)
        try:
            if video not in folders:
                folders[video] = MediaFolder(root, (f"Raw/{video}", f"raw/{video}"), FILMS, False)
            media = folders[video].find(piece)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        targets = merbench.targets_of(corpus, None, merbench.number(row["label"], where, "label"), where, "label")
        clip = Clip(id=f"{video}_{piece}", corpus=corpus.name, split=_SPLITS[row["mode"].lower()], media=media,
                    words=spoken(row["text"]), language=language, group=video, targets=targets, provenance=where)
        values = tuple(row[column] for column in ("text", "label", "mode"))
        known, first = clips.setdefault(clip.id, (values, clip))
        if known != values:
            raise ValueError(f"{where}: {clip.id} is there twice, with another row in {first.provenance}; keep one of "
                             "them")
    return [clip for _, clip in clips.values()]
