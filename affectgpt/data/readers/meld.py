"""MELD (Poria et al. 2019): utterances of dialogues of a television series, seven emotions and sentiment.

Read in its own layout or in MERBench's, whichever the root holds:

    train_sent_emo.csv  dev_sent_emo.csv  test_sent_emo.csv
    train_splits/dia0_utt0.mp4  dev_splits_complete/...  output_repeated_splits_test/...

    label.npz  transcription-engchi-polish.csv  subvideo/train_dia0_utt0.mp4  subaudio/train_dia0_utt0.wav

Both give the same names: train_dia0_utt0, val_dia0_utt0, test_dia0_utt0.
"""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import layout_of, read_csv
from affectgpt.data.readers.places import FILMS, MediaFolder, elsewhere
from affectgpt.words.basic import POLARITIES

CLASSES = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
"""MERBench's number -> MELD's spelling."""

CORPUS = Corpus(
    name="meld", title="MELD (Poria et al. 2019)", licence="GPL-3.0 for texts and labels; the series is its owners'",
    access="the authors' repository declare-lab/MELD", layout=layout_of(__doc__), transcripts=(merbench.TRANSCRIPTS,),
    kinds=("emotion", "emotion_candidates", "sentiment"),
    labels=("angry", "happy", "sad", "neutral", "disgusted", "fearful", "surprised"),
    spellings={"anger": "angry", "joy": "happy", "sadness": "sad", "neutral": "neutral", "disgust": "disgusted",
               "fear": "fearful", "surprise": "surprised"},
    counts={"train": 9989, "validation": 1109, "test": 2610}, evaluation="test",
)

_TABLES = {"train": ("train_sent_emo.csv", "train", ("train_splits", "train")),
           "validation": ("dev_sent_emo.csv", "val", ("dev_splits_complete", "dev_splits", "dev")),
           "test": ("test_sent_emo.csv", "test", ("output_repeated_splits_test", "test_splits", "test"))}
"""Split -> its table, the beginning of its names, folders of its clips."""
_COLUMNS = ("Utterance", "Speaker", "Emotion", "Sentiment", "Dialogue_ID", "Utterance_ID")
_NAME = re.compile(r"(train|val|test)_dia(\d+)_utt(\d+)")


def read(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MELD; `group` is the dialogue. Its own tables know speakers and sentiment, MERBench's do not.

    Raises:
        ValueError: neither layout, a missing column, or a label that is none of MELD's.
    """
    root = Path(root)
    tables = {split: root / table for split, (table, _, _) in _TABLES.items() if (root / table).is_file()}
    if not tables:
        if not (root / "label.npz").is_file():
            names = ", ".join(table for table, _, _ in _TABLES.values())
            raise ValueError(f"{root}: has neither {names} nor label.npz"
                             f"{elsewhere(root / _TABLES['train'][0], root / 'label.npz')}")
        return merbench.read_set(root, CORPUS, "label.npz", CLASSES, language, _place, ("subvideo", "subaudio"))
    if language != "en":
        raise ValueError(f"{root}: MELD's own tables are English; language={language} needs MERBench's layout")
    return [clip for split, table in tables.items() for clip in _read_table(root, split, table)]


def _place(name: str, split: str) -> dict:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"clip {name!r} is not named as MELD's are (train_dia0_utt0)")
    dialogue = name.rpartition("_")[0]
    return {"dialogue": dialogue, "group": dialogue, "turn": int(found.group(3))}


def _read_table(root: Path, split: str, table: Path) -> list[Clip]:
    _, prefix, folders = _TABLES[split]
    media = MediaFolder(root, folders, FILMS)
    clips: dict[str, tuple[tuple[str, ...], Clip]] = {}
    for where, row in read_csv(table, _COLUMNS, fallback="cp1252"):
        place = row["Dialogue_ID"], row["Utterance_ID"]
        if not all(part.isascii() and part.isdecimal() for part in place):
            raise ValueError(f"{where}: Dialogue_ID and Utterance_ID must be numbers, not {place[0]!r}, {place[1]!r}")
        dialogue, utterance = map(int, place)
        sentiment = row["Sentiment"].lower()
        if sentiment not in POLARITIES:
            raise ValueError(f"{where}: Sentiment is {row['Sentiment']!r}: it must be one of {', '.join(POLARITIES)}")
        name, values = f"{prefix}_dia{dialogue}", tuple(row[column] for column in _COLUMNS)
        clip = Clip(
            id=f"{name}_utt{utterance}", corpus=CORPUS.name, split=split,
            media=_film(media, f"dia{dialogue}_utt{utterance}"), words=spoken(_quoted(row["Utterance"])),
            speaker=row["Speaker"] or None, dialogue=name, group=name, turn=utterance, provenance=where,
            targets=Targets(emotion=CORPUS.label(row["Emotion"].lower(), where), sentiment=sentiment))
        known, first = clips.setdefault(clip.id, (values, clip))
        if known != values:
            raise ValueError(f"{where}: {clip.id} is there twice, with another row in {first.provenance}; keep one of "
                             "them")
    return [clip for _, clip in clips.values()]


def _film(media: MediaFolder, name: str) -> Path:
    """The film of an utterance; of the test some copies have it as final_videos_testdia0_utt0.mp4 alone."""
    other = f"final_videos_test{name}"
    return media.find(other if media.has(other) and not media.has(name) else name)


def _quoted(text: str) -> str:
    """Words whose quotation marks of Windows-1252 were taken for control characters, as early copies have them."""
    return "".join(bytes([ord(mark)]).decode("cp1252", "replace") if "\x80" <= mark <= "\x9f" else mark
                   for mark in text)
