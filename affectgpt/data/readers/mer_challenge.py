"""MER2023 and MER2024 (Lian et al.): Chinese film and television clips, six emotions and valence, in the layout of
MERBench."""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench

_LAYOUT = ("label-6way.npz\ntranscription-engchi-polish.csv\nvideo/NAME.mp4 (or .avi)\naudio/NAME.wav\n"
           "openface_face/NAME.npy")
_KINDS = ("emotion", "emotion_candidates", "valence", "sentiment")

MER2023 = Corpus(
    name="mer2023", title="MER2023 (Lian et al. 2023)", licence="academic use, by agreement (EULA)",
    access="the challenge's page (merchallenge.cn)", languages=("zh",), layout=_LAYOUT, kinds=_KINDS,
    transcripts=(merbench.TRANSCRIPTS,),
    labels=merbench.SIX, spellings=merbench.SIX_SPELLINGS, valence_range=(-5.0, 5.0),
    counts={"train": 3373, "test1": 411, "test2": 412, "test3": 834}, evaluation="test1")
MER2024 = Corpus(
    name="mer2024", title="MER2024 (Lian et al. 2024)", licence="academic use, by agreement (EULA)",
    access="the challenge's page (merchallenge.cn)", languages=("zh",), layout=_LAYOUT, kinds=_KINDS,
    transcripts=(merbench.TRANSCRIPTS,),
    labels=merbench.SIX, spellings=merbench.SIX_SPELLINGS, valence_range=(-5.0, 5.0), counts={"test1": 1169},
    evaluation="test1")

_LABEL_FILES = ("label-6way.npz", "label.npz")


def read_mer2023(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MER2023: train, test1 (MER-MULTI, which MER-UniBench scores), test2 (MER-NOISE) and test3 (MER-SEMI).

    Raises:
        ValueError: as `merbench.read_set`.
    """
    return merbench.read_set(root, MER2023, _labels(root), language=language)


def read_mer2024(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MER2024; test1 is MER-SEMI's test, which MER-UniBench scores.

    Raises:
        ValueError: as `merbench.read_set`.
    """
    return merbench.read_set(root, MER2024, _labels(root), language=language)


def _labels(root: Path) -> str:
    return next((name for name in _LABEL_FILES if (Path(root) / name).is_file()), _LABEL_FILES[0])
