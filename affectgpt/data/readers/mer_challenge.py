"""MER2023 and MER2024 (Lian et al.): Chinese film and television clips, six emotions and valence.

Read in MERBench's layout or in their own, whichever the root holds:

    label-6way.npz  transcription-engchi-polish.csv  video/NAME.mp4 (or .avi)  audio/NAME.wav  openface_face/NAME.npy
    MER2023   {train,test1,test2,test3}-label.csv    name, discrete, valence
              {train,test1,test2,test3}/NAME.mp4 (or .avi)
    MER2024   label-disdim.csv                       name, discrete, valence (of the labelled clips)
              label-transcription.csv                name, chinese, english (optional)
              video-labeled/NAME.mp4  audio-labeled/NAME.wav
"""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import is_blank, layout_of
from affectgpt.data.readers.places import elsewhere

_LAYOUT = layout_of(__doc__)
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
    tables = {split: (f"{split}-label.csv", split, split) for split in MER2023.counts}
    return _read(root, MER2023, tables, merbench.TRANSCRIPTS, language)


def read_mer2024(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MER2024; test1 is MER-SEMI's test, which MER-UniBench scores. Its own layout has the labelled clips.

    Raises:
        ValueError: as `merbench.read_set`.
    """
    tables = {"train": ("label-disdim.csv", "video-labeled", "audio-labeled")}
    return _read(root, MER2024, tables, "label-transcription.csv", language)


def _read(root: Path, corpus: Corpus, tables: dict[str, tuple[str, str, str]], transcripts: str,
          language: merbench.Language) -> list[Clip]:
    """Clips in MERBench's layout, or of tables: split -> (table, folder of its films, folder of its sounds)."""
    root = Path(root)
    labels = next((name for name in _LABEL_FILES if (root / name).is_file()), None)
    own = {split: files for split, files in tables.items() if (root / files[0]).is_file()}
    if labels:
        return merbench.read_set(root, corpus, labels, language=language)
    if not own:
        names = (_LABEL_FILES[0], *(table for table, _, _ in tables.values()))
        raise ValueError(f"{root}: has neither {' nor '.join(names)}{elsewhere(*(root / name for name in names))}")
    clips = []
    for split, (table, video, audio) in own.items():
        folder = merbench.ProcessFolder(root, language, (video, *merbench.VIDEO_FOLDERS), (audio, "audio"),
                                        transcripts)
        rows = merbench.rows_by_name(root / table, ("discrete",), optional=("valence",))
        for name, (row, where) in rows.items():
            emotion = None if is_blank(row["discrete"]) else row["discrete"]
            valence = merbench.number(row.get("valence", ""), where, "valence")
            targets = merbench.targets_of(corpus, emotion, valence, where, "valence")
            clips.append(folder.clip(name, corpus, split, targets, where))
    return clips
