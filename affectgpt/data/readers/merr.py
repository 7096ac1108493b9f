"""MERR (Cheng et al. 2024, Emotion-LLaMA): descriptions of clips of MER2023, coarse (28,618) and fine (4,487).

    MERR_coarse_grained.json    {name: {"caption": ...}}
    MERR_fine_grained.json      {name: {"smp_reason_caption": ..., "text": ..., ...}}
    MERR_coarse_grained.txt | MERR_fine_grained.txt    name, frames, emotion (optional)
    video/NAME.mp4  audio/NAME.wav
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import layout_of
from affectgpt.data.readers.tables import read_text
from affectgpt.files import parse_object

_COMMON = dict(
    licence="research; the clips are MER2023's, by agreement (EULA)", languages=("zh",),
    access="the authors' repository ZebangCheng/Emotion-LLaMA; clips with MER2023",
    layout=layout_of(__doc__), kinds=("description", "emotion", "emotion_candidates"),
    labels=("neutral", "angry", "happy", "sad", "worried", "surprised", "fearful", "contemptuous", "doubtful"),
    spellings={"neutral": "neutral", "angry": "angry", "happy": "happy", "sad": "sad", "worried": "worried",
               "surprise": "surprised", "surprised": "surprised", "fear": "fearful", "fearful": "fearful",
               "contempt": "contemptuous", "doubt": "doubtful"})
MERR_COARSE = Corpus(name="merr-coarse", title="MERR, coarse (Cheng et al. 2024)", counts={"train": 28618}, **_COMMON)
MERR_FINE = Corpus(name="merr-fine", title="MERR, fine (Cheng et al. 2024)", counts={"train": 4487}, **_COMMON)


def read_merr_coarse(root: Path) -> list[Clip]:
    """Clips of MERR with the descriptions that were put together by rule.

    Raises:
        ValueError: no such file, what is no JSON object of objects, a clip without a description.
    """
    return _read(root, MERR_COARSE, "coarse", "caption")


def read_merr_fine(root: Path) -> list[Clip]:
    """Clips of MERR with the descriptions that an LLM wrote. Raises ValueError as `read_merr_coarse`."""
    return _read(root, MERR_FINE, "fine", "smp_reason_caption")


def _read(root: Path, corpus: Corpus, grain: str, key: str) -> list[Clip]:
    folder = merbench.ProcessFolder(root, "en")
    file = folder.root / f"MERR_{grain}_grained.json"
    if not file.is_file():
        raise ValueError(f"{file}: no such file; get it from the authors (affectgpt data info {corpus.name})")
    emotions, clips = _emotions(folder.root / f"MERR_{grain}_grained.txt", corpus), []
    for number, (name, row) in enumerate(parse_object(read_text(file), str(file)).items(), start=1):
        where = f"{file}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get(key), str) or not spoken(row[key]):
            raise ValueError(f"{where}: {name} has no {key!r}")
        targets = Targets(description=row[key].strip(), emotion=emotions.get(name))
        clip = folder.clip(name, corpus, "train", targets, where)
        said = row.get("text")
        if isinstance(said, str) and clip.words is None:
            clip = replace(clip, words=spoken(said))
        clips.append(clip)
    return clips


def _emotions(file: Path, corpus: Corpus) -> dict[str, str]:
    """Name -> emotion of the list beside the descriptions; empty where there is none."""
    if not file.is_file():
        return {}
    found = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) != 3:
            raise ValueError(f"{file}:{number}: {line[:60]!r} is not a name, its frames and its emotion")
        found[parts[0]] = corpus.label(parts[2].lower(), f"{file}:{number}")
    return found
