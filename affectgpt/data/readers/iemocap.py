"""IEMOCAP (Busso et al. 2008): acted dyads in five sessions, ten speakers, in MERBench's layout.

Of "Ses01F_impro01_M003": session 1, recorded with the woman's camera, dialogue impro01, said by the man. Turns are
numbered for each speaker, so that names do not give their order in the dialogue.
"""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench

CLASSES = {"4": ("hap", "sad", "neu", "ang"), "6": ("hap", "sad", "neu", "ang", "exc", "fru")}
"""Classes -> the spelling of each number. Of four, happy holds excited too."""

_COMMON = dict(
    licence="academic and research use, by agreement",
    access="request form of the Signal Analysis and Interpretation Laboratory, University of Southern California; "
           "labels and transcripts as MERBench (Lian et al. 2024) distributes them",
    layout="label_4way.npz, label_6way.npz\ntranscription-engchi-polish.csv\nsubvideo-tgt/NAME.mp4\nsubaudio/NAME.wav\n"
           "openface_face/NAME.npy",
    transcripts=(merbench.TRANSCRIPTS,), kinds=("emotion", "emotion_candidates"), evaluation="test")
_SPELLINGS = {"hap": "happy", "sad": "sad", "neu": "neutral", "ang": "angry", "exc": "excited", "fru": "frustrated"}

IEMOCAP = Corpus(
    name="iemocap", title="IEMOCAP, four classes (Busso et al. 2008)", labels=("happy", "sad", "neutral", "angry"),
    spellings={key: _SPELLINGS[key] for key in CLASSES["4"]}, counts={"train": 4290, "test": 1241}, **_COMMON)
IEMOCAP_6 = Corpus(
    name="iemocap6", title="IEMOCAP, six classes (Busso et al. 2008)", labels=tuple(_SPELLINGS.values()),
    spellings=_SPELLINGS, counts={"train": 5810, "test": 1623}, **_COMMON)

TEST_SESSION = "session5"
_NAME = re.compile(r"Ses0([1-5])([FM])_(\w+)_([FM])(\d{3})")


def read_iemocap(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of four classes; session 5 is the test split, as MER-UniBench scores it.

    `group` is the session, which no split may cut, for its two speakers are in no other.

    Raises:
        ValueError: as `merbench.read_set`, and for a name that is none of IEMOCAP's.
    """
    return merbench.read_set(root, IEMOCAP, "label_4way.npz", CLASSES["4"], language, _place)


def read_iemocap6(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of six classes. Raises ValueError as `read_iemocap`."""
    return merbench.read_set(root, IEMOCAP_6, "label_6way.npz", CLASSES["6"], language, _place)


def _place(name: str, split: str) -> dict:
    found = _NAME.fullmatch(name)
    if found is None:
        raise ValueError(f"clip {name!r} is not named as IEMOCAP's are (Ses01F_impro01_F000)")
    session, _, _, speaker, _ = found.groups()
    return {"split": "test" if f"session{session}" == TEST_SESSION else "train", "group": f"session{session}",
            "speaker": f"session{session}{speaker}", "dialogue": name[: found.start(4) - 1]}
