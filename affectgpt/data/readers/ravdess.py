"""RAVDESS (Livingstone & Russo, 2018): acted speech and talking faces, eight emotions, 24 actors.

Reads a folder of takes under their official names (03-01-05-01-02-01-12.wav), or under others with a `labels.csv`
(file, actor, emotion, ...). Its two sentences carry no emotion, so they are not given as words. Split by actor: 1-16
train, 17-18 validation, 19 and up test.
"""

from __future__ import annotations

import csv
import re
from pathlib import Path

from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.files import safe_join
from affectgpt.words.basic import POLARITY, RAVDESS_EMOTIONS, basic_emotion

CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone & Russo, 2018)",
    licence="CC BY-NC-SA 4.0", access="open: doi 10.5281/zenodo.1188976",
    layout="**/03-01-05-01-02-01-12.wav or .mp4   takes by their official names\n"
           "or labels.csv   file, actor, emotion, ...",
    kinds=("labels", "emotion", "emotion_candidates", "sentiment"),
    labels=tuple("disgusted" if word == "disgust" else word for word in RAVDESS_EMOTIONS),
    spellings={"disgust": "disgusted"})

TRAIN_ACTORS = range(1, 17)
VALIDATION_ACTORS = range(17, 19)

_NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)", re.ASCII)
"""Modality (1 film with sound, 2 film alone, 3 sound alone), vocal channel (1 speech, 2 song), emotion in the order of
`RAVDESS_EMOTIONS`, intensity, statement, repetition, actor (doi 10.5281/zenodo.1188976)."""
_SUFFIXES = (".wav", ".mp4")


def read(path: Path) -> list[Clip]:
    """Clips of a RAVDESS folder.

    With a labels.csv, `*_full` files, which show a take a second time, are left out. Without one, sub-folders are read
    too; of a take that is there as film with sound, its silent film and its sound alone are left out.

    Raises:
        ValueError: neither takes nor labels.csv, a missing column, or a row with an emotion that RAVDESS does not have,
            an actor that is no number or a path that leaves the folder.
    """
    table = Path(path) / "labels.csv"
    clips = _read_table(Path(path), table) if table.is_file() else _read_names(Path(path))
    if not clips:
        raise ValueError(f"{table}: has no takes" if table.is_file() else
                         f"{path}: has no takes named as 03-01-05-01-02-01-12.wav, and no labels.csv")
    return clips


def _read_names(folder: Path) -> list[Clip]:
    takes: dict[str, tuple[str, Path]] = {}
    for file in sorted(folder.rglob("*")):
        name = _NAME.fullmatch(file.stem)
        if name is None or file.suffix.lower() not in _SUFFIXES:
            continue
        modality, take = file.stem.split("-", 1)
        if take not in takes or _rank(modality) < _rank(takes[take][0]):
            takes[take] = modality, file
    clips = []
    for _, file in takes.values():
        emotion, actor = file.stem.split("-")[2], file.stem.split("-")[-1]
        clips.append(_clip(file.stem, file.resolve(), RAVDESS_EMOTIONS[int(emotion) - 1], int(actor), str(file)))
    return clips


def _rank(modality: str) -> int:
    """Film with sound before sound alone before silent film."""
    return ("01", "03", "02").index(modality)


def _read_table(folder: Path, table: Path) -> list[Clip]:
    clips = []
    with table.open(newline="", encoding="utf-8-sig") as file:
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
            if not (row["actor"] or "").isdecimal():
                raise ValueError(f"{where}: actor is {row['actor']!r}: it must be a number")
            try:
                media = safe_join(folder, row["file"], follow=True)
            except ValueError as error:
                raise ValueError(f"{where}: file: {error}") from error
            clips.append(_clip(Path(row["file"]).stem, media, row["emotion"], int(row["actor"]), where))
    return clips


def _clip(name: str, media: Path, emotion: str, actor: int, where: str) -> Clip:
    split = "train" if actor in TRAIN_ACTORS else "validation" if actor in VALIDATION_ACTORS else "test"
    basic = basic_emotion(emotion)
    return Clip(id=name, corpus="ravdess", split=split, media=media, speaker=f"actor{actor:02d}", provenance=where,
                targets=Targets(labels=(basic,), emotion=basic, sentiment=POLARITY[basic]))
