"""The layout that MERBench and MER-UniBench share: `<set>-process/` with labels, transcripts and media by clip name.

    label.npz | label-6way.npz | label_4way.npz    {name: {"emo": class, "val": valence}} for each split
    transcription-engchi-polish.csv                name, chinese, english
    video | subvideo | ...  audio | subaudio       NAME.mp4 or .avi, NAME.wav
    openface_face/NAME.npy                         face crops

A valence of -10 and an emotion of a set without emotions (0) say that there is none (Lian et al. 2024, MERBench).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import check_name, is_blank, read_csv
from affectgpt.data.readers.places import FILMS, SOUNDS, MediaFolder, clip_name, elsewhere
from affectgpt.npz import load_npz

Language = Literal["en", "zh"]

TRANSCRIPTS = "transcription-engchi-polish.csv"
SPLITS = {"train_corpus": "train", "val_corpus": "validation", "test_corpus": "test", "test1_corpus": "test1",
          "test2_corpus": "test2", "test3_corpus": "test3", "whole_corpus": ""}
VIDEO_FOLDERS = ("video", "subvideo", "subvideo-tgt", "subvideo_new", "video_new")
NO_VALENCE = -10
_COLUMNS = {"en": "english", "zh": "chinese"}
SIX = ("worried", "happy", "neutral", "angry", "surprised", "sad")
"""The closed set of MER2023 to MER2026."""
SIX_SPELLINGS = {
    **{word: word for word in SIX}, "surprise": "surprised", "anger": "angry", "happiness": "happy", "sadness": "sad",
    "worry": "worried", "担忧": "worried", "高兴": "happy", "中性": "neutral", "生气": "angry", "惊讶": "surprised",
    "悲伤": "sad"}


def read_labels(path: Path) -> Iterator[tuple[str, str, dict, str]]:
    """Yield (split, name, {"emo": ..., "val": ...}, where it stands) of a label file, in its order.

    Raises:
        ValueError: no such file, an archive that is none, or one of another form.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; it holds the labels: get it with the corpus (affectgpt data info)"
                         f"{elsewhere(path)}")
    for key, rows in load_npz(path).items():
        if key not in SPLITS or not isinstance(rows, dict):
            raise ValueError(f"{path}: holds {key!r}, a {type(rows).__name__}; it must hold dictionaries named "
                             f"{', '.join(SPLITS)}")
        for number, (name, row) in enumerate(rows.items(), start=1):
            where = f"{path}:{key}:{number}"
            if not isinstance(name, str) or not spoken(name) or not isinstance(row, dict):
                raise ValueError(f"{where}: must be a clip's name and its labels, not {name!r}: {str(row)[:60]}")
            yield SPLITS[key], clip_name(str(name)), row, where


def read_transcripts(path: Path, language: Language) -> dict[str, str]:
    """Clip name -> its words in a language; empty where there is no such file.

    Raises:
        ValueError: a missing column, or a name that is there twice with different words.
    """
    if not path.is_file():
        return {}
    words: dict[str, str] = {}
    for where, row in read_csv(path, ("name", _COLUMNS[language])):
        name, text = clip_name(row["name"]), row[_COLUMNS[language]]
        if not name:
            raise ValueError(f"{where}: the row has no name")
        if words.get(name, text) != text:
            raise ValueError(f"{where}: {name} was there before with other words; keep one row")
        words[name] = text
    return words


def rows_by_name(path: Path, columns: tuple[str, ...], name: str = "name",
                 optional: tuple[str, ...] = ()) -> dict[str, tuple[dict[str, str], str]]:
    """Clip name -> (row, "file:line") of a table with one row a clip; the same row twice counts once.

    Names come without the ending of a file, and rows with the known columns alone.

    Raises:
        ValueError: no such file or column, a row without a name, or a name with two different rows.
    """
    rows: dict[str, tuple[dict[str, str], str]] = {}
    for where, cells in read_csv(path, (name, *columns), optional):
        row = {column: cells[column] for column in (name, *columns, *optional) if column in cells}
        if not spoken(row[name]):
            raise ValueError(f"{where}: the row has no {name}")
        check_name(row[name], where)
        row[name] = clip_name(row[name])
        known, first = rows.setdefault(row[name], (row, where))
        if known != row:
            raise ValueError(f"{where}: {row[name]} is there twice, with another row in {first}; keep one of them")
    return rows





class ProcessFolder:
    """Media, faces and words of one `<set>-process` folder."""

    transcripts = TRANSCRIPTS
    face_suffix = ".npy"
    missing = "give the corpus's own (its layout: affectgpt data info NAME)"

    def __init__(self, root: Path, language: Language, video: tuple[str, ...] = VIDEO_FOLDERS,
                 audio: tuple[str, ...] = ("audio", "subaudio"), transcripts: str | None = None):
        self.root, self.language = Path(root), language
        if not self.root.is_dir():
            raise ValueError(f"{root}: no such folder; {self.missing}")
        self._video = MediaFolder(self.root, video, FILMS)
        self._audio = MediaFolder(self.root, audio, SOUNDS)
        self._faces = MediaFolder(self.root, ("openface_face",), (self.face_suffix,), nested=False)
        self._words = read_transcripts(self.root / (transcripts or self.transcripts), language)

    def clip(self, name: str, corpus: Corpus, split: str, targets: Targets, where: str, **further) -> Clip:
        """The clip of a name: sound and face from their own files where those are there.

        Raises:
            ValueError: a name that leaves the root; says where it stands.
        """
        try:
            media = self._video.find(name)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        return Clip(id=name, corpus=corpus.name, split=split, media=media,
                    audio=self._audio.find(name) if self._audio.has(name) else None,
                    face=self._face(name),
                    words=spoken(self._words.get(name)), language=self.language, targets=targets, provenance=where,
                    **further)

    def _face(self, name: str) -> Path | None:
        return self._faces.find(name) if self._faces.has(name) else None


def number(value, where: str, key: str) -> float | None:
    """A valence as a number, with a point or a comma in it; None where the file says that there is none.

    Raises:
        ValueError: what is no finite number.
    """
    if isinstance(value, str) and is_blank(value):
        return None
    try:
        found = float(value.replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        found = float("nan")
    if not abs(found) < 1e100:
        raise ValueError(f"{where}: {key} is {value!r}: it must be a number")
    return None if found == NO_VALENCE else found


def sentiment_of(valence: float | None, emotion: str | None = None) -> str | None:
    """Polarity of a valence whose zero is neutral; None where the emotion's own says it.

    Of MER2023's neutral clips three quarters have a valence a little off zero: their polarity is that of "neutral".
    Surprise has none of its own, and takes the valence's.
    """
    if valence is None or emotion is not None and emotion != "surprised":
        return None
    return "positive" if valence > 0 else "negative" if valence < 0 else "neutral"


def read_set(root: Path, corpus: Corpus, labels: str, classes: tuple[str, ...] = (), language: Language = "en",
             further: Callable[[str, str], dict] = lambda name, split: {},
             media: tuple[str, str] = ("video", "audio")) -> list[Clip]:
    """Clips of a set in this layout.

    Args:
        labels: name of the label file.
        classes: the corpus's spelling of each class number; empty for a set that gives words, or valence alone.
        further: (name, split) -> further fields of the clip; `split` among them replaces that of the file.
        media: the set's folders of films and sounds; others are tried after them. There may be several of films, of
            which one has whole dialogues, or both speakers.
    Raises:
        ValueError: as `read_labels`, and for a class that is none.
    """
    folder, clips = ProcessFolder(root, language, (media[0], *VIDEO_FOLDERS), (media[1], "audio", "subaudio")), []
    for split, name, row, where in read_labels(folder.root / labels):
        valence, spelling = number(row.get("val", NO_VALENCE), where, "val"), None
        if classes or corpus.labels:
            spelling = row.get("emo")
            if classes:
                if isinstance(spelling, np.integer):
                    spelling = int(spelling)
                if type(spelling) is not int or not 0 <= spelling < len(classes):
                    raise ValueError(f"{where}: emo is {spelling!r}: it must be 0 to {len(classes) - 1}")
                spelling = classes[spelling]
        targets = targets_of(corpus, None if spelling is None and not corpus.labels else str(spelling), valence, where,
                             "val")
        try:
            values = {"split": split} | further(name, split)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
        clips.append(folder.clip(name, corpus, values.pop("split"), targets, where, **values))
    return clips


def targets_of(corpus: Corpus, emotion: str | None, valence: float | None, where: str, column: str) -> Targets:
    """What a spelling of an emotion and a valence teach; either may be None.

    Raises:
        ValueError: an emotion that is none of the corpus's, or a valence outside of its range.
    """
    if valence is not None and corpus.valence_range:
        low, high = corpus.valence_range
        if not low <= valence <= high:
            raise ValueError(f"{where}: {column} is {valence:g}: {corpus.name}'s lies between {low:g} and {high:g}")
    word = None if emotion is None else corpus.label(emotion, where)
    return Targets(emotion=word, valence=valence,
                   sentiment=sentiment_of(valence, word) if corpus.valence_range else None)
