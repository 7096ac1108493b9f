"""RAVDESS (Livingstone & Russo, 2018): acted speech and talking faces, eight emotions, 24 actors.

Reads a folder of takes under their official names (03-01-05-01-02-01-12.wav; other formats of sound and film too), or
under others with a `labels.csv` (file, actor, emotion, ...). Its two sentences carry no emotion, so they are not given
as words. Split by actor: 1-16 train, 17-18 validation, 19 and up test.
"""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import read_csv
from affectgpt.data.readers.places import FILMS, SOUNDS, elsewhere, files_named
from affectgpt.files import safe_join
from affectgpt.words.basic import POLARITY, RAVDESS_EMOTIONS, basic_emotion

CORPUS = Corpus(
    name="ravdess",
    title="RAVDESS: Ryerson Audio-Visual Database of Emotional Speech and Song (Livingstone & Russo, 2018)",
    licence="CC BY-NC-SA 4.0", access="open: doi 10.5281/zenodo.1188976",
    layout="**/03-01-05-01-02-01-12.wav or .mp4   takes by their official names, in any format\n"
           "or labels.csv   file, actor, emotion, ...",
    kinds=("labels", "emotion", "emotion_candidates", "sentiment"),
    labels=tuple("disgusted" if word == "disgust" else word for word in RAVDESS_EMOTIONS),
    spellings={"disgust": "disgusted"})

TRAIN_ACTORS = range(1, 17)
VALIDATION_ACTORS = range(17, 19)

_NAME = re.compile(r"(0[123])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d\d)", re.ASCII)
"""Modality (1 film with sound, 2 film alone, 3 sound alone), vocal channel (1 speech, 2 song), emotion in the order of
`RAVDESS_EMOTIONS`, intensity, statement, repetition, actor (doi 10.5281/zenodo.1188976)."""
_COLUMNS = ("file", "actor", "emotion")


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
                         f"{path}: has no takes named as 03-01-05-01-02-01-12.wav, and no labels.csv"
                         f"{elsewhere(table)}")
    return clips


def _read_names(folder: Path) -> list[Clip]:
    takes: dict[str, tuple[str, Path]] = {}
    for _, file in files_named(folder, ".", _NAME, (*SOUNDS, *FILMS)):
        modality, take = file.stem.split("-", 1)
        if take not in takes or _rank(modality) < _rank(takes[take][0]):
            takes[take] = modality, file
    clips = []
    for _, file in takes.values():
        emotion, actor = file.stem.split("-")[2], file.stem.split("-")[-1]
        clips.append(_clip(file.stem, file, RAVDESS_EMOTIONS[int(emotion) - 1], int(actor), str(file)))
    return clips


def _rank(modality: str) -> int:
    """Film with sound before sound alone before silent film."""
    return ("01", "03", "02").index(modality)


def _read_table(folder: Path, table: Path) -> list[Clip]:
    clips: dict[str, tuple[tuple[str, ...], Clip]] = {}
    for where, row in read_csv(table, _COLUMNS):
        file, actor, emotion = values = tuple(row[column] for column in _COLUMNS)
        if not file or not emotion:
            raise ValueError(f"{where}: the row is short; it needs file, actor and emotion")
        if Path(file).stem.endswith("_full"):
            continue
        if emotion not in RAVDESS_EMOTIONS and basic_emotion(emotion) is None:
            raise ValueError(f"{where}: emotion is {emotion!r}: RAVDESS has {', '.join(RAVDESS_EMOTIONS)}")
        if not (actor.isascii() and actor.isdecimal()):
            raise ValueError(f"{where}: actor is {actor!r}: it must be a number")
        try:
            media = safe_join(folder, file, follow=True)
        except ValueError as error:
            raise ValueError(f"{where}: file: {error}") from error
        clip = _clip(Path(file).stem, media, emotion, int(actor), where)
        known, first = clips.setdefault(clip.id, (values, clip))
        if known != values:
            raise ValueError(f"{where}: {clip.id} is there twice, with another row in {first.provenance}; keep one of "
                             "them")
    return [clip for _, clip in clips.values()]


def _clip(name: str, media: Path, emotion: str, actor: int, where: str) -> Clip:
    split = "train" if actor in TRAIN_ACTORS else "validation" if actor in VALIDATION_ACTORS else "test"
    basic = basic_emotion(emotion)
    return Clip(id=name, corpus="ravdess", split=split, media=media, speaker=f"actor{actor:02d}",
                sex="male" if actor % 2 else "female", provenance=where,
                targets=Targets(labels=(basic,), emotion=basic, sentiment=POLARITY[basic]))
