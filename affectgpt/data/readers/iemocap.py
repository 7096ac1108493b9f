"""IEMOCAP (Busso et al. 2008): acted dyads in five sessions, ten speakers, in MERBench's layout or in its own.

    label_4way.npz, label_6way.npz  transcription-engchi-polish.csv
    subvideo-tgt/NAME.mp4  subaudio/NAME.wav  openface_face/NAME.npy

    Session1/dialog/EmoEvaluation/Ses01F_impro01.txt     [start - end] NAME emotion [valence, activation, dominance]
    Session1/dialog/transcriptions/Ses01F_impro01.txt    NAME [start-end]: words (optional)
    Session1/dialog/avi/DivX/Ses01F_impro01.avi, else Session1/sentences/wav/Ses01F_impro01/NAME.wav

Of "Ses01F_impro01_M003": session 1, recorded with the woman's camera, dialogue impro01, said by the man. Turns are
numbered for each speaker, so that names do not give their order in the dialogue. Its own films are whole dialogues and
show both speakers.
"""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import layout_of
from affectgpt.data.readers.places import elsewhere
from affectgpt.data.readers.tables import read_text
from affectgpt.files import safe_join

CLASSES = {"4": ("hap", "sad", "neu", "ang"), "6": ("hap", "sad", "neu", "ang", "exc", "fru")}
"""Classes -> the spelling of each number. Of four, happy holds excited too."""

_COMMON = dict(
    licence="academic and research use, by agreement",
    access="request form of the Signal Analysis and Interpretation Laboratory, University of Southern California; "
           "labels and transcripts as MERBench (Lian et al. 2024) distributes them",
    layout=layout_of(__doc__), valence_range=(1.0, 5.0),
    transcripts=(merbench.TRANSCRIPTS,), kinds=("emotion", "emotion_candidates", "valence", "vad"), evaluation="test")
_SPELLINGS = {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated"}

IEMOCAP = Corpus(
    name="iemocap", title="IEMOCAP, four classes (Busso et al. 2008)", labels=("happy", "sad", "neutral", "angry"),
    spellings={key: _SPELLINGS[key] for key in CLASSES["4"]}, counts={"train": 4290, "test": 1241}, **_COMMON)
IEMOCAP_6 = Corpus(
    name="iemocap6", title="IEMOCAP, six classes (Busso et al. 2008)", labels=tuple(_SPELLINGS.values()),
    spellings=_SPELLINGS, counts={"train": 5810, "test": 1623}, **_COMMON)

TEST_SESSION = "session5"
_TURN = re.compile(r"\[([\d.]+) - ([\d.]+)\]\s+(\S+)\s+(\w+)\s+\[([\d.]+), ([\d.]+), ([\d.]+)\]", re.ASCII)
_SAID = re.compile(r"(Ses0[1-5]\w+) \[[\d.]+-[\d.]+\]:(.*)", re.ASCII)
_NAME = re.compile(r"Ses0([1-5])([FM])_(\w+)_([FM])(\d{3})")


def read_iemocap(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of four classes; session 5 is the test split, as MER-UniBench scores it.

    `group` is the session, which no split may cut, for its two speakers are in no other.

    Raises:
        ValueError: as `merbench.read_set`, and for a name or a line that is none of IEMOCAP's.
    """
    return _read(root, IEMOCAP, "4", language)


def read_iemocap6(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of six classes. Raises ValueError as `read_iemocap`."""
    return _read(root, IEMOCAP_6, "6", language)


def _read(root: Path, corpus: Corpus, classes: str, language: merbench.Language) -> list[Clip]:
    root, labels = Path(root), f"label_{classes}way.npz"
    if (root / labels).is_file():
        return merbench.read_set(root, corpus, labels, CLASSES[classes], language, _place,
                                 ("subvideo-tgt", "subaudio"))
    tables = sorted(file for file in root.glob("Session[1-5]/dialog/EmoEvaluation/*.txt")
                    if not file.name.startswith("."))  # macOS leaves ._ files in archives
    if not tables:
        raise ValueError(f"{root}: has neither {labels} nor Session1/dialog/EmoEvaluation/*.txt"
                         f"{elsewhere(root / labels, root / 'Session1')}")
    if language != "en":
        raise ValueError(f"{root}: IEMOCAP's own words are English; language={language} needs MERBench's layout")
    spellings = {key: CLASSES[classes].index(key) for key in CLASSES[classes]} | ({"exc": 0} if classes == "4" else {})
    clips: dict[str, tuple[str, Clip]] = {}
    for table in tables:
        words = _words(table.parent.parent / "transcriptions" / table.name)
        for number, line in enumerate(read_text(table, "cp1252").splitlines(), start=1):
            if not line.startswith("["):
                continue  # what each rater said
            where, found = f"{table}:{number}", _TURN.fullmatch(line.strip())
            if found is None:
                raise ValueError(f"{where}: {line[:60]!r} is not [start - end] NAME emotion [valence, activation, "
                                 "dominance]")
            start, end, name, spelling, *scores = found.groups()
            if spelling not in spellings:
                continue  # a class that is not among these, or no majority
            if _NAME.fullmatch(name) is None:
                raise ValueError(f"{where}: {name!r} is not named as IEMOCAP's turns are (Ses01F_impro01_F000)")
            valence, arousal, dominance = map(float, scores)
            emotion = corpus.label(CLASSES[classes][spellings[spelling]], where)
            clip = Clip(id=name, corpus=corpus.name, words=spoken(words.get(name)), provenance=where,
                        targets=Targets(emotion=emotion, valence=valence, arousal=arousal, dominance=dominance),
                        **_media(root, table, name, float(start), float(end)), **_place(name, ""))
            known, first = clips.setdefault(name, (line, clip))
            if known != line:
                raise ValueError(f"{where}: {name} is there twice, with another line in {first.provenance}; keep one")
    return [clip for _, clip in clips.values()]


def _media(root: Path, table: Path, name: str, start: float, end: float) -> dict:
    """The film of the dialogue, cut to the turn; else the sound of the turn."""
    session = table.parents[2]
    film = session / "dialog" / "avi" / "DivX" / f"{table.stem}.avi"
    if film.is_file():
        return {"media": safe_join(root, str(film.relative_to(root)), follow=True), "start": start, "end": end}
    sound = session / "sentences" / "wav" / table.stem / f"{name}.wav"
    return {"media": safe_join(root, str(sound.relative_to(root)), follow=True)}


def _words(file: Path) -> dict[str, str]:
    """Turn -> its words; lines that are no turn (an actor's asides) are left out."""
    if not file.is_file():
        return {}
    found = map(_SAID.fullmatch, read_text(file, "cp1252").splitlines())
    return {match.group(1): match.group(2).strip() for match in found if match}


def _place(name: str, split: str) -> dict:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"clip {name!r} is not named as IEMOCAP's are (Ses01F_impro01_F000)")
    session, _, _, speaker, _ = found.groups()
    return {"split": "test" if f"session{session}" == TEST_SESSION else "train", "group": f"session{session}",
            "speaker": f"session{session}{speaker}", "sex": "female" if speaker == "F" else "male",
            "dialogue": name[: found.start(4) - 1]}
