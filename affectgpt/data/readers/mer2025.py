"""The MER2025 and MER2026 collections (Lian et al.): one pool of 132,171 clips, and several sets of labels over it.

    video/NAME.mp4  audio/NAME.wav  openface_face/NAME/NAME.npy
    subtitle_chieng.csv                          name, chinese, english
    track1_train.csv | track1_train_disdim.csv   name, discrete (and valence)
    track2_train_SET.csv                         name, openset: open labels, a list as Python writes it
    track3_train_SET.csv                         name, reason: an English description
    track3_emoprefer.csv | track3_emopreferv2.csv | track3_candidate.csv    name, a1, a2 (and preference)

A clip has the same name in all of them, so that what two sets share is found by name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Preference, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench
from affectgpt.data.readers.layout import MediaFolder, layout_of, literal_list, read_csv

SUBTITLES = "subtitle_chieng.csv"
_EULA = dict(
    licence="CC BY-NC 4.0, by agreement (EULA)", languages=("zh",), layout=layout_of(__doc__),
    access="gated on the Hugging Face hub: MERChallenge/MER2025 and MERChallenge/MER2026; sign the EULA there")

MER_CAPTION = Corpus(name="mercaption", title="MER-Caption (Lian et al. 2025)", kinds=("description", "labels"),
                     counts={"train": 115595}, **_EULA)
MER_CAPTION_PLUS = Corpus(name="mercaptionplus", title="MER-Caption+ (Lian et al. 2025)",
                          kinds=("description", "labels"), counts={"train": 31327}, **_EULA)
OV_MERD = Corpus(name="ovmerd", title="OV-MERD (Lian et al. 2024)", kinds=("description", "labels"),
                 counts={"train": 332}, **_EULA)
HUMAN_OV = Corpus(name="humanov", title="Human-OV (MER2026)", kinds=("labels",), counts={"train": 1532}, **_EULA)
TRACK1 = Corpus(
    name="mer2025-track1", title="MER2025 and MER2026, track 1", kinds=("emotion", "emotion_candidates"),
    labels=("worried", "happy", "neutral", "angry", "surprised", "sad"),
    spellings={"worried": "worried", "happy": "happy", "neutral": "neutral", "angry": "angry",
               "surprise": "surprised", "surprised": "surprised", "sad": "sad"},
    valence_range=(-5.0, 5.0), **_EULA)
EMOPREFER = Corpus(name="emoprefer", title="EmoPrefer (Lian et al. 2025)", kinds=("preference",),
                   counts={"train": 574}, **_EULA)
EMOPREFER_V2 = replace(EMOPREFER, name="emopreferv2", title="EmoPrefer, version 2 (MER2026)", counts={"train": 2096})
EMOPREFER_CANDIDATES = replace(EMOPREFER, name="emoprefer-candidates", kinds=(), counts={"test": 10000},
                               title="EmoPrefer, candidates of the test (MER2026)")

_BETTER = {"a1": "first", "a2": "second", "same": "same"}


class Pool:
    """Media, faces and words of the collection's clips."""

    def __init__(self, root: Path, language: merbench.Language):
        self.root, self.language = Path(root), language
        if not self.root.is_dir():
            raise ValueError(f"{root}: no such folder; give the collection's own, which holds {SUBTITLES}")
        self._video = MediaFolder(self.root, ("video",), merbench.VIDEO_SUFFIXES)
        self._audio = MediaFolder(self.root, ("audio",), (".wav", ".flac", ".mp3"))
        self._faces = MediaFolder(self.root, ("openface_face",), ("",))
        self._words = merbench.transcripts(self.root / SUBTITLES, language)

    def clip(self, name: str, corpus: Corpus, split: str, targets: Targets, where: str) -> Clip:
        """The clip of a name: sound and face from their own files where those are there."""
        face = None
        if self._faces.has(name):
            face = self._faces.find(name) / f"{name}.npy"
        return Clip(id=name, corpus=corpus.name, split=split, media=self._video.find(name),
                    audio=self._audio.find(name) if self._audio.has(name) else None, face=face,
                    words=spoken(self._words.get(name)), language=self.language, targets=targets, provenance=where)


def _read(root: Path, corpus: Corpus, name: str, language: merbench.Language) -> list[Clip]:
    """Open labels and descriptions of one set, joined by name; a clip that has one of them alone is kept."""
    pool = Pool(root, language)
    labels, reasons = pool.root / f"track2_train_{name}.csv", pool.root / f"track3_train_{name}.csv"
    if not labels.is_file() and not reasons.is_file():
        raise ValueError(f"{root}: has neither {labels.name} nor {reasons.name}; get them with the collection "
                         "(affectgpt data info)")
    found: dict[str, tuple[Targets, str]] = {}
    for where, row in read_csv(labels, ("name", "openset")) if labels.is_file() else ():
        _once(row["name"], found, where)
        found[row["name"]] = Targets(labels=literal_list(row["openset"], where)), where
    seen: dict[str, str] = {}
    for where, row in read_csv(reasons, ("name", "reason")) if reasons.is_file() else ():
        _once(row["name"], seen, where)
        seen[row["name"]] = where
        targets, first = found.get(row["name"], (Targets(), where))
        found[row["name"]] = replace(targets, description=spoken(row["reason"])), first
    return [pool.clip(clip, corpus, "train", targets, where) for clip, (targets, where) in found.items()]


def _once(name: str, found, where: str) -> None:
    if not name:
        raise ValueError(f"{where}: the row has no name")
    if name in found:
        raise ValueError(f"{where}: {name} is there twice; keep one row")


def read_mercaption(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MER-Caption. Raises ValueError for missing files and columns and for rows without a name or twice."""
    return _read(root, MER_CAPTION, "mercaption", language)


def read_mercaptionplus(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of MER-Caption+. Raises ValueError as `read_mercaption`."""
    return _read(root, MER_CAPTION_PLUS, "mercaptionplus", language)


def read_ovmerd(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of OV-MERD. Raises ValueError as `read_mercaption`."""
    return _read(root, OV_MERD, "ovmerd", language)


def read_humanov(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of Human-OV, of which 548 are in MER-Caption+ too. Raises ValueError as `read_mercaption`."""
    return _read(root, HUMAN_OV, "human", language)


def read_track1(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of track 1: one of six emotions; valence where the table has it.

    Raises:
        ValueError: no table, a missing column, or a label that is none of the six.
    """
    pool = Pool(root, language)
    tables = [pool.root / name for name in ("track1_train.csv", "track1_train_disdim.csv")]
    table, clips, seen = next((table for table in tables if table.is_file()), tables[0]), [], set()
    for where, row in read_csv(table, ("name", "discrete")):
        _once(row["name"], seen, where)
        seen.add(row["name"])
        valence = merbench.number(row["valence"], where, "valence") if row.get("valence") else None
        targets = Targets(emotion=TRACK1.label(row["discrete"], where), valence=valence,
                          sentiment=merbench.sentiment_of(valence))
        clips.append(pool.clip(row["name"], TRACK1, "train", targets, where))
    return clips


def _read_preferences(root: Path, corpus: Corpus, table: str, split: str, language: merbench.Language) -> list[Clip]:
    pool, clips, count = Pool(root, language), [], {}
    for where, row in read_csv(pool.root / table, ("name", "a1", "a2", *(["preference"] if split == "train" else []))):
        if not row["name"]:
            raise ValueError(f"{where}: the row has no name")
        preference = None
        if row.get("preference"):
            if row["preference"].lower() not in _BETTER:
                raise ValueError(f"{where}: preference is {row['preference']!r}: it must be one of "
                                 f"{', '.join(_BETTER)}")
            preference = Preference(row["a1"], row["a2"], _BETTER[row["preference"].lower()])
        elif split == "train":
            raise ValueError(f"{where}: the row has no preference: it must be one of {', '.join(_BETTER)}")
        clip = pool.clip(row["name"], corpus, split, Targets(preference=preference), where)
        # A clip is asked of with several pairs; each is a row of its own.
        count[clip.id] = count.get(clip.id, 0) + 1
        clips.append(clip if count[clip.id] == 1 else replace(clip, id=f"{clip.id}#{count[clip.id]}"))
    return [replace(clip, group=clip.id.partition("#")[0]) for clip in clips]


def read_emoprefer(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs of EmoPrefer with the better description. Raises ValueError for a preference that is none."""
    return _read_preferences(root, EMOPREFER, "track3_emoprefer.csv", "train", language)


def read_emopreferv2(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs of EmoPrefer v2. Raises ValueError for a preference that is none."""
    return _read_preferences(root, EMOPREFER_V2, "track3_emopreferv2.csv", "train", language)


def read_emoprefer_candidates(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs without a published preference: test clips without targets. Raises ValueError for missing columns."""
    return _read_preferences(root, EMOPREFER_CANDIDATES, "track3_candidate.csv", "test", language)
