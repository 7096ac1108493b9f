"""Film clips with faces: DFEW (Jiang et al. 2020) and MAFW (Liu et al. 2022), each with five official folds.

    DFEW   EmoLabel_DataSplit/train(single-labeled)/set_1.csv, test(single-labeled)/set_1.csv    video_name, label
           Clip/original/1.mp4 or Clip/clip_224x224/... as films
    MAFW   Train & Test Set/single/no_caption/set_1/{train,test}.txt, compound/no_caption/set_1/...    00001.mp4 anger
           labels/descriptive_text.csv  (optional: clip, English and Chinese description)
           data/clips/00001.mp4
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import layout_of, read_csv
from affectgpt.data.readers.places import MediaFolder
from affectgpt.data.readers.tables import read_text

_SUFFIXES = (".mp4", ".avi", ".mkv")
DFEW = Corpus(
    name="dfew", title="DFEW (Jiang et al. 2020)", licence="academic research, by agreement",
    access="dfew-dataset.github.io", layout=layout_of(__doc__), kinds=("emotion", "emotion_candidates"),
    labels=("happy", "sad", "neutral", "angry", "surprised", "disgusted", "fearful"),
    spellings={"1": "happy", "2": "sad", "3": "neutral", "4": "angry", "5": "surprised", "6": "disgusted",
               "7": "fearful"}, folds=5)
MAFW = Corpus(
    name="mafw", title="MAFW (Liu et al. 2022)", licence="academic research, by agreement",
    access="mafw-database.github.io", layout=layout_of(__doc__),
    kinds=("emotion", "emotion_candidates", "labels", "description"),
    labels=("angry", "disgusted", "fearful", "happy", "neutral", "sad", "surprised", "contemptuous", "anxious",
            "helpless", "disappointed"),
    spellings={"anger": "angry", "disgust": "disgusted", "fear": "fearful", "happiness": "happy", "neutral": "neutral",
               "sadness": "sad", "surprise": "surprised", "contempt": "contemptuous", "anxiety": "anxious",
               "helplessness": "helpless", "disappointment": "disappointed"}, folds=5)


def read_dfew(root: Path, fold: int = 0) -> list[Clip]:
    """Clips of one of DFEW's folds, 0 to 4 (set_1 to set_5): train and test.

    Raises:
        ValueError: a missing file or column, a label that is none, a clip in both splits.
    """
    root = Path(root)
    media = MediaFolder(root, ("Clip/original", "Clip/clips", "video", "Clip"), _SUFFIXES)
    clips: dict[str, Clip] = {}
    for split in ("train", "test"):
        table = root / "EmoLabel_DataSplit" / f"{split}(single-labeled)" / f"set_{fold + 1}.csv"
        for where, row in read_csv(table, ("video_name", "label")):
            name = row["video_name"]
            _once(name, clips, where)
            clips[name] = Clip(id=name, corpus=DFEW.name, split=split, media=_film(media, name), provenance=where,
                               targets=Targets(emotion=DFEW.label(row["label"], where)))
    return list(clips.values())


def _film(media: MediaFolder, name: str) -> Path:
    """The film of a number, which some copies pad with zeros."""
    padded = name.zfill(5)
    return media.find(padded if media.has(padded) and not media.has(name) else name)


def read_mafw(root: Path, fold: int = 0, labels: Literal["single", "compound"] = "single",
              language: Literal["en", "zh"] = "en") -> list[Clip]:
    """Clips of one of MAFW's folds, 0 to 4 (set_1 to set_5): train and test, with their descriptions where they lie in
    labels/descriptive_text.csv (the official table, saved as CSV: clip, English, Chinese).

    Args:
        labels: one of eleven emotions a clip, or one or several.
    Raises:
        ValueError: a missing file, a line that is not a clip and its emotions, a clip in both splits.
    """
    root = Path(root)
    media = MediaFolder(root, ("data/clips", "clips", "video"), _SUFFIXES)
    texts = _descriptions(root / "labels" / "descriptive_text.csv", {"en": 1, "zh": 2}[language])
    clips: dict[str, Clip] = {}
    for split in ("train", "test"):
        file = root / "Train & Test Set" / labels / "no_caption" / f"set_{fold + 1}" / f"{split}.txt"
        if not file.is_file():
            raise ValueError(f"{file}: no such file; MAFW's folds are set_1 to set_5 of single and compound")
        for number, line in enumerate(read_text(file).splitlines(), start=1):
            where, parts = f"{file}:{number}", line.replace(",", " ").split()
            if not parts:
                continue
            if len(parts) < 2 or (labels == "single" and len(parts) > 2):
                raise ValueError(f"{where}: {line[:60]!r} is not a clip and its {labels} label")
            name = Path(parts[0]).stem
            words = tuple(dict.fromkeys(MAFW.label(word.lower(), where) for word in parts[1:]))
            _once(name, clips, where)
            clips[name] = Clip(id=name, corpus=MAFW.name, split=split, media=media.find(name), provenance=where,
                               targets=Targets(emotion=words[0] if labels == "single" else None, labels=words,
                                               description=texts.get(name)))
    return list(clips.values())


def _descriptions(table: Path, column: int) -> dict[str, str | None]:
    if not table.is_file():
        return {}
    found = {}
    for where, row in read_csv(table, ()):
        cells = list(row.values())
        if len(cells) <= column:
            raise ValueError(f"{where}: has {len(cells)} columns; it needs clip, English and Chinese description")
        found[Path(cells[0]).stem] = spoken(cells[column])
    return found


def _once(name: str, clips: dict[str, Clip], where: str) -> None:
    if not name:
        raise ValueError(f"{where}: the row has no clip")
    if name in clips:
        raise ValueError(f"{where}: {name} was there before in {clips[name].provenance}; no clip is in two places of a "
                         "fold")
