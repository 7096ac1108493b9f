"""C-EXPR-DB (Kollias 2023): segments of videos with one of seven compound emotions, or another.

    annotation/01.csv                            begin, end, a column a class, "1" where it is that class
    folds/split-0/{train,val,test}.txt           Class-Name/VV_Class-Name_k,label (and a transcript)
    folds-with-transcripts/split-0/...           the same folds with a transcript, where they are there
    trimmed_videos/Class-Name/VV_Class-Name_k.mp4, or the whole videos: videos/VV.mp4

The first two may lie in `C-EXPR-DB/`, as their repository has them. The k-th segment of a class in video VV, from 0 in
the order of its table, is VV_Class-Name_k. In the official folds `val.txt` is `test.txt`, so that scores which they
select on are chosen on the test; and clips are split, not videos. The protocol `video-disjoint` cuts no video.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import layout_of, read_csv
from affectgpt.data.readers.places import FILMS, MediaFolder, elsewhere
from affectgpt.data.readers.tables import read_text
from affectgpt.files import safe_join

CLASSES = ("Fearfully Surprised", "Happily Surprised", "Sadly Surprised", "Disgustedly Surprised", "Angrily Surprised",
           "Sadly Fearful", "Sadly Angry", "Other")
"""Column of the annotation -> class number of the folds."""
FOLD_FILES = {"train.txt": "train", "val.txt": "validation", "test.txt": "test"}
"""File of a fold -> split."""
_PARTS = {"fearfully": "fearful", "happily": "happy", "sadly": "sad", "disgustedly": "disgusted", "angrily": "angry"}
_BEGIN, _END = "Begin Time - hh:mm:ss.ms", "End Time - hh:mm:ss.ms"
_TIME = re.compile(r"(\d+):([0-5]?\d):([0-5]?\d(?:\.\d+)?)")
_NOTHING_SAID = {"nobody is speaking", "nobody is speaking."}
"""What the transcripts of the folds hold where nobody speaks."""

CORPUS = Corpus(
    name="cexpr", title="C-EXPR-DB (Kollias 2023)", licence="academic research, by agreement (EULA)",
    access="request of D. Kollias, as for the ABAW challenges; segments and folds from "
           "nicolas-richet/feature-vs-text-compound-emotion",
    layout=layout_of(__doc__), kinds=("compound", "labels"),
    labels=tuple(name.lower() for name in CLASSES),
    spellings={spelling: name.lower() for name in CLASSES
               for spelling in (name, name.replace(" ", ""), name.replace(" ", "-"))},
    counts={"": 125}, folds=5,
)


def read(root: Path, fold: int = -1, other: bool = True) -> list[Clip]:
    """Segments of C-EXPR-DB; `group` is the video.

    Args:
        fold: 0 to 4 gives the official split of that fold; -1 none.
        other: keep segments of the class "Other", which the challenge's seven leave out.
    Raises:
        ValueError: no annotation, a segment of no class or of several, a time that is none, or a fold that does not
            fit the annotation.
    """
    root = Path(root)
    clips = annotated(root)
    splits, words = _fold(root, fold) if fold >= 0 else ({}, _transcripts(root))
    if fold >= 0:
        known = {clip.id for clip in clips}
        unknown = [name for name in splits if name not in known]
        if unknown:
            raise ValueError(f"{official_folder(root) / 'folds'}: fold {fold} names {unknown[0]} ({len(unknown)} "
                             "such), which no annotation has")
    placed = [clip for clip in clips if fold < 0 or clip.id in splits]
    return [replace(clip, split=splits.get(clip.id, ""), words=words.get(clip.id)) for clip in placed
            if other or clip.targets.emotion != "other"]


def annotated(root: Path) -> list[Clip]:
    """All segments of the annotation, without splits and words.

    Raises:
        ValueError: as `read`, for the annotation.
    """
    folder = official_folder(root) / "annotation"
    tables = sorted(folder.glob("*.csv"))
    if not tables:
        raise ValueError(f"{folder}: has no tables; C-EXPR-DB holds 01.csv to 56.csv there{elsewhere(folder)}")
    whole = MediaFolder(root, ("videos", "video", "C-EXPR-DB/videos"), FILMS)
    return [clip for table in tables for clip in _segments(root, table, whole)]


def official_folder(root: Path) -> Path:
    """The folder of annotation and folds."""
    return root / "C-EXPR-DB" if (root / "C-EXPR-DB").is_dir() else root


def _segments(root: Path, table: Path, whole: MediaFolder) -> list[Clip]:
    clips, counts = [], dict.fromkeys(CLASSES, 0)
    for where, row in read_csv(table, (_BEGIN, _END, *CLASSES), fallback="cp1252"):
        named = [name for name in CLASSES if row[name]]
        if len(named) != 1 or row[named[0]] != "1":
            raise ValueError(f"{where}: must have a 1 in one class column, and has {', '.join(named) or 'none'}")
        emotion = named[0]
        start, end = _seconds(row[_BEGIN], where), _seconds(row[_END], where)
        if end <= start:
            raise ValueError(f"{where}: ends at {row[_END]}, before it begins")
        dashed = emotion.replace(" ", "-")
        name = f"{table.stem}_{dashed}_{counts[emotion]}"
        counts[emotion] += 1
        trimmed = safe_join(root, f"trimmed_videos/{dashed}/{name}.mp4", follow=True)
        span = {} if trimmed.is_file() else {"start": start, "end": end}
        adverb, _, noun = emotion.lower().partition(" ")
        labels = (part_of(adverb), noun) if noun else ()
        clips.append(Clip(id=name, corpus=CORPUS.name, media=trimmed if not span else whole.find(table.stem),
                          group=table.stem, provenance=where, **span,
                          targets=Targets(emotion=emotion.lower(), labels=labels)))
    return clips


def part_of(word: str) -> str:
    """A word of a compound as an emotion of its own: "fearfully" -> "fearful"."""
    return _PARTS.get(word, word)


def _seconds(text: str, where: str) -> float:
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{where}: time {text!r} is not hh:mm:ss.ms")
    hours, minutes, seconds = found.groups()
    return round(int(hours) * 3600 + int(minutes) * 60 + float(seconds), 6)


def _fold(root: Path, fold: int) -> tuple[dict[str, str], dict[str, str | None]]:
    """Name -> split, and name -> words, of an official fold."""
    folder = fold_folder(root, fold)
    splits: dict[str, str] = {}
    words: dict[str, str | None] = _transcripts(root)
    for file, split in FOLD_FILES.items():
        for name, said in _lines(folder / file):
            if splits.get(name) == "train" and split != "train":
                raise ValueError(f"{folder / file}: {name} is in train.txt too")
            splits[name] = split  # val.txt is test.txt: its clips end as test
            if said is not None:
                words[name] = said or None
    return splits, words


def fold_folder(root: Path, fold: int) -> Path:
    """Where the lists of an official fold lie: with transcripts where these are there."""
    places = root / "folds-with-transcripts", official_folder(root) / "folds"
    return next((place / f"split-{fold}" for place in places if (place / f"split-{fold}").is_dir()),
                places[-1] / f"split-{fold}")


def _transcripts(root: Path) -> dict[str, str | None]:
    """Name -> words of all folds that have transcripts."""
    found: dict[str, str | None] = {}
    for place in (root / "folds-with-transcripts", official_folder(root) / "folds"):
        for file in sorted(place.glob("split-*/*.txt")):
            for name, said in _lines(file):
                if said is not None:
                    found[name] = said or None
    return found


def _lines(file: Path) -> list[tuple[str, str | None]]:
    """(name, transcript or None) of each line of a fold's list; "" where nobody speaks."""
    if not file.is_file():
        raise ValueError(f"{file}: no such file; an official fold has train.txt, val.txt and test.txt")
    rows = []
    for where, line in fold_lines(file):
        name, _, text = fold_line(line, where)
        rows.append((name, text and ("" if is_nobody(text) or not spoken(text) else text)))
    return rows


def fold_lines(file: Path) -> list[tuple[str, str]]:
    """("file:line", line) of each line of a fold's list that is not empty; curly quotes of Windows are read as such."""
    return [(f"{file}:{number}", line) for number, line in
            enumerate(read_text(file, fallback="cp1252").splitlines(), start=1) if line.strip()]


def fold_line(line: str, where: str) -> tuple[str, int, str | None]:
    """(name, class number, transcript or None) of a line.

    Raises:
        ValueError: it is not "Class-Name/name,class number" or the same with a transcript.
    """
    path, comma, rest = line.partition(",")
    label, comma, text = rest.partition(",")
    name = path.strip().rpartition("/")[2].removesuffix(".mp4")
    if not name or not label.strip().isdecimal() or int(label) >= len(CLASSES):
        raise ValueError(f"{where}: {line[:60]!r} is not Class-Name/name,class number")
    return name, int(label), text.strip() if comma else None


def is_nobody(text: str) -> bool:
    """Whether a transcript says that nobody speaks."""
    return text.strip().lower() in _NOTHING_SAID
