"""EMER in its two versions, and OV-MERD+ (Lian et al. 2023 and 2024): descriptions with their evidence, open labels.

    gt-eng.csv | gt-chi.csv          names, emotions, subtitles, reasons     (version 1, 100 clips)
    final-EMER-reason.csv            name, chinese, english                  (version 2, 332 clips)
    ovmerd-openset.csv | check-openset.csv | openset.csv    name, openset
    transcription-engchi-polish.csv  name, chinese, english                  (words of version 2, optional)
    ovlabel.csv, subtitle_eng.csv    name, openset; name, sentence           (OV-MERD+, 532 clips)
    video/NAME.mp4  audio/NAME.wav  openface_face/NAME.npy
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import is_blank, layout_of, literal_list

_LAYOUT = layout_of(__doc__)
_COMMON = dict(licence="CC BY-NC 4.0, by agreement (EULA)", languages=("zh",), layout=_LAYOUT)

_EMOTIONS = ("angry", "happy", "sad", "surprised", "worried")
EMER_V1 = Corpus(name="emer-v1", title="EMER, version 1 (Lian et al. 2023)",
               kinds=("description", "labels", "emotion", "emotion_candidates"), labels=_EMOTIONS,
               spellings={spelling: word for spelling, word in merbench.SIX_SPELLINGS.items() if word in _EMOTIONS},
                 access="the authors' repository zeroQiaoba/AffectGPT; clips with MER2023", counts={"train": 100},
                 **_COMMON)
EMER = Corpus(name="emer", title="EMER, version 2 (Lian et al. 2024)", kinds=("description", "labels"),
              access="the authors' repository zeroQiaoba/AffectGPT; clips with MER2024", counts={"train": 332},
              transcripts=(merbench.TRANSCRIPTS,), **_COMMON)
OV_MERD_PLUS = Corpus(name="ovmerdplus", title="OV-MERD+ (Lian et al. 2025)", kinds=("labels",),
                      access="MER-UniBench, the authors' repository zeroQiaoba/AffectGPT", counts={"test": 532},
                      transcripts=("subtitle_eng.csv", merbench.TRANSCRIPTS), evaluation="test", **_COMMON)

DESCRIPTIONS = "final-EMER-reason.csv"
_OPENSETS = ("ovmerd-openset.csv", "check-openset.csv", "openset.csv", "track2_train_ovmerd.csv")


def read_emer_v1(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of EMER's first version, in English or in Chinese; the emotion is an English word in both.

    Raises:
        ValueError: a missing file or column, a row without a name, a name with two different rows, or an emotion that
            is none of the five.
    """
    folder, clips = merbench.ProcessFolder(root, language), []
    table = folder.root / {"en": "gt-eng.csv", "zh": "gt-chi.csv"}[language]
    for where, row in _rows(table, "names", ("emotions", "subtitles", "reasons")):
        emotion = None if is_blank(row["emotions"]) else EMER_V1.label(row["emotions"], where)
        targets = Targets(description=spoken(row["reasons"]), emotion=emotion, labels=(emotion,) if emotion else ())
        clip = folder.clip(row["names"], EMER_V1, "train", targets, where)
        clips.append(replace(clip, words=spoken(row["subtitles"])))
    return clips


def read_emer(root: Path, language: merbench.Language = "en", drop_prompt_words: bool = False) -> list[Clip]:
    """Clips of EMER's second version: the human-checked description, and open labels where their table is there.

    Args:
        drop_prompt_words: leave out what translating left in English descriptions: 88 begin with "Input:", of
            which 3 say everything twice, the second time after "Output:", and 2 end there.
    Raises:
        ValueError: as `read_emer_v1`, and labels of a clip without a description.
    """
    folder = merbench.ProcessFolder(root, language)
    labels: dict[str, tuple[tuple[str, ...], str]] = {}
    table = next((folder.root / name for name in _OPENSETS if (folder.root / name).is_file()), None)
    if table is not None:
        for where, row in _rows(table, "name", ("openset",)):
            labels[row["name"]] = literal_list(row["openset"], where), where
    clips, column = [], {"en": "english", "zh": "chinese"}[language]
    for where, row in _rows(folder.root / DESCRIPTIONS, "name", (column,)):
        text = without_prompt_words(row[column]) if drop_prompt_words else row[column]
        targets = Targets(description=spoken(text), labels=labels.pop(row["name"], ((), ""))[0])
        clips.append(folder.clip(row["name"], EMER, "train", targets, where))
    if labels:
        name, (_, where) = next(iter(labels.items()))
        raise ValueError(f"{where}: {name} has labels and no description in {DESCRIPTIONS} "
                         f"({len(labels)} such rows): the two files are not of one version")
    return clips


def without_prompt_words(text: str) -> str:
    """A description without the words of a prompt around it: of "Input: A Output: B" only B, of "Input: A" only A."""
    begun = re.match(r"\s*Input\s*:\s*", text)
    if begun is None:
        return text
    before, output, after = text[begun.end():].partition("Output:")
    return (after if output and after.strip() else before).strip()


def read_ovmerdplus(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of OV-MERD+, the test of fine-grained emotion in MER-UniBench.

    Raises:
        ValueError: as `read_emer_v1`.
    """
    folder = merbench.ProcessFolder(root, language)
    subtitles, words = folder.root / "subtitle_eng.csv", {}
    if language == "en" and subtitles.is_file():
        words = {row["name"]: row["sentence"] for _, row in _rows(subtitles, "name", ("sentence",))}
    clips = []
    for where, row in _rows(folder.root / "ovlabel.csv", "name", ("openset",)):
        targets = Targets(labels=literal_list(row["openset"], where))
        clip = folder.clip(row["name"], OV_MERD_PLUS, "test", targets, where)
        clips.append(replace(clip, words=spoken(words.get(row["name"], clip.words))))
    return clips


def _rows(table: Path, name: str, columns: tuple[str, ...]) -> list[tuple[str, dict[str, str]]]:
    """Rows of a table whose column `name` names each clip once; the same row twice counts once."""
    return [(where, row) for row, where in merbench.rows_by_name(table, columns, name).values()]
