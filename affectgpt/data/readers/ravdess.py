"""RAVDESS (Livingstone & Russo, 2018): acted speech and talking faces, eight emotions, 24 actors.

Reads a folder of takes with a `labels.csv` (file, actor, emotion, transcript, ...). Its two sentences carry no
emotion, so they are not given as words. Split by actor: 1-16 train, 17-18 validation, 19 and up test.
"""

from __future__ import annotations

import csv
from pathlib import Path

from affectgpt.data.clip import Clip, Targets
from affectgpt.files import safe_join
from affectgpt.words.basic import POLARITY, RAVDESS_EMOTIONS, basic_emotion

TRAIN_ACTORS = range(1, 17)
VALIDATION_ACTORS = range(17, 19)


def read(path: Path) -> list[Clip]:
    """Clips of a RAVDESS folder; `*_full` files, which show takes a second time, are left out.

    Raises:
        ValueError: no labels.csv, a missing column, no takes, or a row with an emotion that RAVDESS does not have, an
            actor that is no number or a path that leaves the folder.
    """
    table = Path(path) / "labels.csv"
    if not table.is_file():
        raise ValueError(f"{table}: not found; the ravdess reader wants a folder of takes with a labels.csv")
    clips = []
    with table.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        for column in ("file", "actor", "emotion"):
            if column not in (reader.fieldnames or ()):
                raise ValueError(f"{table}: has no column {column!r}; it needs file, actor and emotion")
        for number, row in enumerate(reader, start=2):
            where = f"{table}:{number}"
            if not row["file"] or not row["emotion"]:
                raise ValueError(f"{where}: the row is short; it needs file, actor and emotion")
            if Path(row["file"]).stem.endswith("_full"):
                continue
            if row["emotion"] not in RAVDESS_EMOTIONS and basic_emotion(row["emotion"]) is None:
                raise ValueError(f"{where}: emotion is {row['emotion']!r}: RAVDESS has {', '.join(RAVDESS_EMOTIONS)}")
            emotion = basic_emotion(row["emotion"])
            if not (row["actor"] or "").isdecimal():
                raise ValueError(f"{where}: actor is {row['actor']!r}: it must be a number")
            actor = int(row["actor"])
            try:
                media = safe_join(Path(path), row["file"])
            except ValueError as error:
                raise ValueError(f"{where}: file: {error}") from error
            split = "train" if actor in TRAIN_ACTORS else "validation" if actor in VALIDATION_ACTORS else "test"
            clips.append(Clip(
                id=Path(row["file"]).stem, corpus="ravdess", split=split, media=media,
                speaker=f"actor{actor:02d}", provenance=where,
                targets=Targets(labels=(emotion,), emotion=emotion, sentiment=POLARITY[emotion]),
            ))
    if not clips:
        raise ValueError(f"{table}: has no takes")
    return clips
