"""Film clips with faces: DFEW (Jiang et al. 2020) and MAFW (Liu et al. 2022), each with five official folds.

    DFEW   EmoLabel_DataSplit/train(single-labeled)/set_1.csv, test(single-labeled)/set_1.csv    video_name, label
           Clip/original/1.mp4 or Clip/clip_224x224/... as films
    MAFW   Train & Test Set/single/no_caption/set_1/{train,test}.txt             00001.mp4 anger
           Train & Test Set/compound/no_caption/set_1/{train,test}.txt           00001.mp4 anger_disgust
           Train & Test Set/single/with_caption/set_1/{train,test}.txt           clip, label, Chinese, English
           labels/descriptive_text.xlsx or .csv   clip, Chinese and English description (optional)
           data/clips/00001.mp4
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import layout_of, read_cells, read_csv
from affectgpt.data.readers.places import FILMS, MediaFolder, clip_name, elsewhere
from affectgpt.data.readers.tables import read_text

DFEW = Corpus(
    name="dfew", title="DFEW (Jiang et al. 2020)", licence="academic research, by agreement",
    access="dfew-dataset.github.io", layout=layout_of(__doc__), kinds=("emotion", "emotion_candidates"),
    labels=("happy", "sad", "neutral", "angry", "surprised", "disgusted", "fearful"),
    spellings={"1": "happy", "2": "sad", "3": "neutral", "4": "angry", "5": "surprised", "6": "disgusted",
               "7": "fearful", "surprise": "surprised", "disgust": "disgusted", "fear": "fearful"}, folds=5)
MAFW = Corpus(
    name="mafw", title="MAFW (Liu et al. 2022)", licence="academic research, by agreement",
    access="mafw-database.github.io", layout=layout_of(__doc__),
    kinds=("emotion", "emotion_candidates", "labels", "description"),
    labels=("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised", "contemptuous", "anxious",
            "helpless", "disappointed"),
    spellings={"anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "neutral": "neutral",
               "sadness": "sad", "surprise": "surprised", "contempt": "contemptuous", "anxiety": "anxious",
               "helplessness": "helpless", "disappointment": "disappointed"}, folds=5)


_DFEW_TABLES = ("{0}(single-labeled)/set_{1}.csv", "{0}(single-labeled)/{0}_set_{1}.csv",
                "{0}_single-labeled/set_{1}.csv")
_MAFW_TEXTS = ("labels/descriptive_text.csv", "Labels/descriptive_text.csv", "labels/Labels/descriptive_text.csv")
_CHINESE = re.compile("[\u4e00-\u9fff]")


def read_dfew(root: Path, fold: int = 0) -> list[Clip]:
    """Clips of one of DFEW's folds, 0 to 4 (set_1 to set_5): train and test.

    Raises:
        ValueError: a missing file or column, a label that is none, a clip in both splits.
    """
    root = Path(root)
    media = MediaFolder(root, ("Clip/original", "Clip/clips", "video", "Clip"), FILMS)
    clips: dict[str, Clip] = {}
    for split in ("train", "test"):
        tables = [root / "EmoLabel_DataSplit" / name.format(split, fold + 1) for name in _DFEW_TABLES]
        for where, row in read_csv(next((table for table in tables if table.is_file()), tables[0]),
                                   ("video_name", "label")):
            name, label = clip_name(row["video_name"]), row["label"].removesuffix(".0")
            _add(clips, Clip(id=name, corpus=DFEW.name, split=split, media=_film(media, name, where), provenance=where,
                             targets=Targets(emotion=DFEW.label(label, where))))
    return list(clips.values())


def _film(media: MediaFolder, name: str, where: str) -> Path:
    """The film of a number, which some copies pad with zeros."""
    padded = name.zfill(5)
    try:
        return media.find(padded if media.has(padded) and not media.has(name) else name)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def read_mafw(root: Path, fold: int = 0, labels: Literal["single", "compound"] = "single",
              language: Literal["en", "zh"] = "en") -> list[Clip]:
    """Clips of one of MAFW's folds, 0 to 4 (set_1 to set_5): train and test, with their descriptions where those are
    there, in the official table or in the lists with captions.

    Args:
        labels: one of eleven emotions a clip, or one or several.
        language: of the descriptions.
    Raises:
        ValueError: a missing file, a line that is not a clip and its emotions, a clip in both splits.
    """
    root = Path(root)
    media = MediaFolder(root, ("data/clips", "clips", "video"), FILMS)
    clips: dict[str, Clip] = {}
    lists = {split: root / "Train & Test Set" / labels / "no_caption" / f"set_{fold + 1}" / f"{split}.txt"
             for split in ("train", "test")}
    texts = _descriptions(root, [_captioned(file) for file in lists.values()], language)
    for split, file in lists.items():
        file = file if file.is_file() or not _captioned(file).is_file() else _captioned(file)
        if not file.is_file():
            raise ValueError(f"{file}: no such file; MAFW's folds are set_1 to set_5 of single and compound"
                             f"{elsewhere(root / 'Train & Test Set')}")
        for number, line in enumerate(read_text(file, "gb18030").splitlines(), start=1):
            where = f"{file}:{number}"
            parts = line.split("\t")[:2] if line.count("\t") > 1 else [line]
            parts = re.split(r"[\s,_+]+", " ".join(parts).strip())
            if parts == [""]:
                continue
            if len(parts) < 2 or (labels == "single" and len(parts) > 2):
                raise ValueError(f"{where}: {line[:60]!r} is not a clip and its {labels} label")
            name = clip_name(parts[0])
            words = tuple(dict.fromkeys(MAFW.label(word.lower(), where) for word in parts[1:]))
            _add(clips, Clip(id=name, corpus=MAFW.name, split=split, media=_film(media, name, where), provenance=where,
                             targets=Targets(emotion=words[0] if labels == "single" else None, labels=words,
                                             description=texts.get(name))))
    return list(clips.values())


def _captioned(file: Path) -> Path:
    """The list of the same fold with captions."""
    return file.parents[2] / "with_caption" / file.parent.name / file.name


def _descriptions(root: Path, captioned: list[Path], language: str) -> dict[str, str | None]:
    """Clip -> its description. Which of a row's texts is Chinese is seen in it: copies differ in their columns, and
    the official table has no header."""
    table = next((root / name for name in _MAFW_TEXTS
                  if (root / name).is_file() or (root / name).with_suffix(".xlsx").is_file()), None)
    if table is not None:
        rows = [cells for _, cells in read_cells(table, "gb18030", "")]
    else:
        rows = [line.split("\t") for file in captioned if file.is_file()
                for line in read_text(file, "gb18030").splitlines()]
        rows = [[row[0], *row[2:]] for row in rows]
    found: dict[str, str | None] = {}
    for row in rows:
        name = clip_name(row[0])
        if name.isdecimal():  # else a header
            texts = [text.strip() for text in row[1:] if bool(_CHINESE.search(text)) == (language == "zh")]
            found[name.zfill(5)] = next(filter(None, map(spoken, texts)), None)
    return found


def _add(clips: dict[str, Clip], clip: Clip) -> None:
    """Add a clip; the same row twice counts once. Raises ValueError for a row without a name, or two different ones."""
    if not clip.id:
        raise ValueError(f"{clip.provenance}: the row has no clip")
    known = clips.setdefault(clip.id, clip)
    if replace(known, provenance="") != replace(clip, provenance=""):
        raise ValueError(f"{clip.provenance}: {clip.id} was there before in {known.provenance}; no clip is in two "
                         "places of a fold")
