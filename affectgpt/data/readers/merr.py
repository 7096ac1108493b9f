"""MERR (Cheng et al. 2024, Emotion-LLaMA): descriptions of clips of MER2023, coarse (28,618) and fine (4,487).

    MERR_coarse_grained.json    {name: {"caption": ..., "pseu_emotion": ..., ...}}
    MERR_fine_grained.json      {name: {"smp_reason_caption": ..., "text": ..., "pseu_emotion": ..., ...}}
    MERR_coarse_grained.txt | MERR_fine_grained.txt    name, frames, emotion, valence (optional)
    transcription_en_all.csv    name, sentence (optional)
    video/NAME.mp4  audio/NAME.wav
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import is_blank, layout_of
from affectgpt.data.readers.places import clip_name, elsewhere
from affectgpt.data.readers.tables import read_text
from affectgpt.files import parse_object

_COMMON = dict(
    licence="research; the clips are MER2023's, by agreement (EULA)", languages=("zh",),
    access="the authors' repository ZebangCheng/Emotion-LLaMA; clips with MER2023",
    layout=layout_of(__doc__), transcripts=("transcription_en_all.csv", merbench.TRANSCRIPTS),
    kinds=("description", "emotion", "emotion_candidates"),
    labels=("neutral", "angry", "happy", "sad", "worried", "surprised", "fearful", "contemptuous", "doubtful"),
    spellings={**merbench.SIX_SPELLINGS, "fear": "fearful", "fearful": "fearful", "contempt": "contemptuous",
               "contemptuous": "contemptuous", "doubt": "doubtful", "doubtful": "doubtful"})
MERR_COARSE = Corpus(name="merr-coarse", title="MERR, coarse (Cheng et al. 2024)", counts={"train": 28618}, **_COMMON)
MERR_FINE = Corpus(name="merr-fine", title="MERR, fine (Cheng et al. 2024)", counts={"train": 4487}, **_COMMON)


def read_merr_coarse(root: Path) -> list[Clip]:
    """Clips of MERR with the descriptions that were put together by rule.

    Raises:
        ValueError: no such file, what is no JSON object of objects, a clip without its key, an emotion that is none.
    """
    return _read(root, MERR_COARSE, "coarse", "caption")


def read_merr_fine(root: Path) -> list[Clip]:
    """Clips of MERR with the descriptions that an LLM wrote. Raises ValueError as `read_merr_coarse`."""
    return _read(root, MERR_FINE, "fine", "smp_reason_caption")


def _read(root: Path, corpus: Corpus, grain: str, key: str) -> list[Clip]:
    folder = merbench.ProcessFolder(root, "en")
    file = folder.root / f"MERR_{grain}_grained.json"
    if not file.is_file():
        raise ValueError(f"{file}: no such file; get it from the authors (affectgpt data info {corpus.name})"
                         f"{elsewhere(file)}")
    emotions, clips = _emotions(folder.root / f"MERR_{grain}_grained.txt", corpus), []
    sentences = folder.root / "transcription_en_all.csv"
    words = merbench.rows_by_name(sentences, ("sentence",)) if sentences.is_file() else {}
    for number, (name, row) in enumerate(parse_object(read_text(file), str(file)).items(), start=1):
        where = f"{file}:{number}"
        if not isinstance(row, dict) or not isinstance(row.get(key), str):
            raise ValueError(f"{where}: {name} has no {key!r}")
        name, pseudo = clip_name(name), row.get("pseu_emotion")
        emotion = emotions.get(name)
        if emotion is None and isinstance(pseudo, str) and not is_blank(pseudo):
            emotion = corpus.label(pseudo, where)
        targets = Targets(description=spoken(row[key].strip()), emotion=emotion)
        clip = folder.clip(name, corpus, "train", targets, where)
        said = words[name][0]["sentence"] if name in words else row.get("text")
        if isinstance(said, str) and clip.words is None:
            clip = replace(clip, words=spoken(said))
        clips.append(clip)
    return clips


def _emotions(file: Path, corpus: Corpus) -> dict[str, str]:
    """Name -> emotion of the list beside the descriptions; empty where there is none.

    A line is name, frames, emotion and often more (a valence), or name and emotion alone.
    """
    if not file.is_file():
        return {}
    found = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        parts = line.split()
        if not parts:
            continue
        if len(parts) < 2:
            raise ValueError(f"{file}:{number}: {line[:60]!r} is not a name, its frames and its emotion")
        name = clip_name(parts[0])
        emotion = corpus.label(parts[1] if len(parts) == 2 else parts[2], f"{file}:{number}")
        if found.setdefault(name, emotion) != emotion:
            raise ValueError(f"{file}:{number}: {name} was {found[name]} before; keep one of the lines")
    return found
