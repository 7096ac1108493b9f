"""The MER2025 and MER2026 collections (Lian et al.): one pool of 132,171 clips, and several sets of labels over it.

    video/NAME.mp4  audio/NAME.wav  openface_face/NAME/NAME.npy
    subtitle_chieng.csv                          name, chinese, english
    track1_train.csv | track1_train_disdim.csv   name, discrete (and valence)
    track1_test_dis.csv                          name, discrete (optional)
    track2_train_SET.csv                         name, openset: open labels, a list as Python writes it
    track3_train_SET.csv                         name, reason: an English description
    track3_emoprefer.csv | track3_emopreferv2.csv | track3_candidate.csv    name, a1, a2 (and preference)
    track_all_candidates.csv | track1_track2_candidate.csv    name (no labels)

A clip has the same name in all of them, so that what two sets share is found by name.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip, Preference, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import emer, merbench
from affectgpt.data.readers.layout import check_name, is_blank, layout_of, literal_list, read_csv
from affectgpt.data.readers.places import clip_name, elsewhere
from affectgpt.files import safe_join
from affectgpt.metrics.pairs import nth_name

SUBTITLES = "subtitle_chieng.csv"
_EULA = dict(
    licence="CC BY-NC 4.0, by agreement (EULA)", languages=("zh",), layout=layout_of(__doc__),
    transcripts=(SUBTITLES,),
    access="gated on the Hugging Face hub: MERChallenge/MER2025 and MERChallenge/MER2026; sign the EULA there")

MER_CAPTION = Corpus(name="mercaption", title="MER-Caption (Lian et al. 2025)", kinds=("description", "labels"),
                     counts={"train": 115595}, **_EULA)
MER_CAPTION_PLUS = Corpus(name="mercaptionplus", title="MER-Caption+ (Lian et al. 2025)",
                          kinds=("description", "labels"), counts={"train": 31327}, **_EULA)
OV_MERD = Corpus(name="ovmerd", title="OV-MERD (Lian et al. 2024)", kinds=("description", "labels"),
                 counts={"train": 332}, **_EULA)
HUMAN_OV = Corpus(name="humanov", title="Human-OV (MER2026)", kinds=("labels",), counts={"train": 1532}, **_EULA)
_SIX = dict(labels=merbench.SIX, spellings=merbench.SIX_SPELLINGS, **_EULA)
TRACK1_2025 = Corpus(
    name="mer2025-track1", title="MER2025, track 1 (Lian et al. 2025)", valence_range=(-5.0, 5.0),
    kinds=("emotion", "emotion_candidates", "valence", "sentiment"), counts={"train": 7369}, **_SIX)
TRACK1_2026 = Corpus(name="mer2026-track1", title="MER2026, track 1", kinds=("emotion", "emotion_candidates"),
                     counts={"train": 9395}, **_SIX)
EMOPREFER = Corpus(name="emoprefer", title="EmoPrefer (Lian et al. 2025)", kinds=("preference",),
                   counts={"train": 574}, **_EULA)
EMOPREFER_V2 = replace(EMOPREFER, name="emopreferv2", title="EmoPrefer, version 2 (MER2026)", counts={"train": 2096})
EMOPREFER_CANDIDATES = replace(EMOPREFER, name="emoprefer-candidates", kinds=(), counts={"test": 10000},
                               title="EmoPrefer, candidates of the test (MER2026)")

CANDIDATES = Corpus(name="mer-candidates", title="MER2025 and MER2026, candidates of the tests (no labels)", **_EULA)

_CANDIDATE_TABLES = ("track1_track2_candidate.csv", "track_all_candidates.csv")
_ONLY_2026 = ("track1_track2_candidate.csv", "track2_train_human.csv", "track3_emoprefer.csv")
"""Files by which MER2026 is told."""
_BETTER = {"a1": "first", "a2": "second", "same": "same"}


class Pool(merbench.ProcessFolder):
    """Media, faces and words of the collection's clips; the crops of a face lie in a folder of their own."""

    transcripts = SUBTITLES
    face_suffix = ""
    missing = f"give the collection's own, which holds {SUBTITLES}"

    def _face(self, name: str) -> Path | None:
        """The crops of a clip; a folder without them, as half an archive leaves it, counts as none."""
        crops = self._faces.find(name) / f"{name}.npy" if self._faces.has(name) else None
        return crops if crops is not None and crops.is_file() else None


def _read(root: Path, corpus: Corpus, name: str, language: merbench.Language, descriptions: bool) -> list[Clip]:
    """Open labels and descriptions of one set, joined by name; a clip that has one of them alone is kept."""
    pool = Pool(root, language)
    labels = merbench.rows_by_name(pool.root / f"track2_train_{name}.csv", ("openset",))
    table, reasons = pool.root / f"track3_train_{name}.csv", {}
    if descriptions:
        if not table.is_file():
            raise ValueError(f"{table}: no such file; it holds the descriptions (name, reason): put it there, or set "
                             "the option descriptions=false to take the labels alone")
        reasons = merbench.rows_by_name(table, ("reason",))
    clips = []
    for clip in {**labels, **reasons}:
        where = (labels.get(clip) or reasons[clip])[1]
        targets = Targets(labels=literal_list(labels[clip][0]["openset"], where) if clip in labels else (),
                          description=spoken(reasons[clip][0]["reason"]) if clip in reasons else None)
        clips.append(pool.clip(clip, corpus, "train", targets, where))
    return clips


def read_mercaption(root: Path, language: merbench.Language = "en", descriptions: bool = True) -> list[Clip]:
    """Clips of MER-Caption, whose files are taken to be named as those of MER-Caption+.

    Args:
        language: of the spoken words.
        descriptions: read them too; where their file is not there, that is an error.
    Raises:
        ValueError: missing files and columns, rows without a name, a name with two different rows, labels that are no
            list.
    """
    return _read(root, MER_CAPTION, "mercaption", language, descriptions)


def read_mercaptionplus(root: Path, language: merbench.Language = "en", descriptions: bool = True) -> list[Clip]:
    """Clips of MER-Caption+; in a folder of MER2026, which has no descriptions of it, the labels alone.

    Arguments and errors: as `read_mercaption`.
    """
    in_2026 = any((Path(root) / name).is_file() for name in _ONLY_2026)
    there = (Path(root) / "track3_train_mercaptionplus.csv").is_file()
    return _read(root, MER_CAPTION_PLUS, "mercaptionplus", language, descriptions and (there or not in_2026))


def read_ovmerd(root: Path, language: merbench.Language = "en", descriptions: bool = True) -> list[Clip]:
    """Clips of OV-MERD, in this layout or as EMER's second version has them (`emer.read_emer`).

    Arguments and errors: as `read_mercaption`; of EMER's files `language` is that of the descriptions too.
    """
    if (Path(root) / emer.DESCRIPTIONS).is_file() and not (Path(root) / "track2_train_ovmerd.csv").is_file():
        clips = [replace(clip, corpus=OV_MERD.name) for clip in emer.read_emer(root, language)]
        return clips if descriptions else [replace(clip, targets=replace(clip.targets, description=None))
                                           for clip in clips]
    return _read(root, OV_MERD, "ovmerd", language, descriptions)


def read_humanov(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of Human-OV, of which 548 are in MER-Caption+ too. Raises ValueError as `read_mercaption`."""
    return _read(root, HUMAN_OV, "human", language, descriptions=False)


def read_track1_2025(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of track 1 of MER2025: one of six emotions, and a valence; the test's emotions where their table is there.

    Raises:
        ValueError: no table, a missing column, a name with two different rows, or a label that is none of the six.
    """
    clips = _read_track1(root, TRACK1_2025, "track1_train_disdim.csv", "train", language)
    if (Path(root) / "track1_test_dis.csv").is_file():
        clips += _read_track1(root, TRACK1_2025, "track1_test_dis.csv", "test", language)
    return clips


def read_track1_2026(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of track 1 of MER2026: one of six emotions. Raises ValueError as `read_track1_2025`."""
    return _read_track1(root, TRACK1_2026, "track1_train.csv", "train", language)


def _read_track1(root: Path, corpus: Corpus, table: str, split: str, language: merbench.Language) -> list[Clip]:
    pool, clips = Pool(root, language), []
    for name, (row, where) in merbench.rows_by_name(pool.root / table, ("discrete",),
                                                         optional=("valence",)).items():
        valence = merbench.number(row.get("valence", ""), where, "valence") if corpus.valence_range else None
        emotion = None if is_blank(row["discrete"]) else row["discrete"]
        targets = merbench.targets_of(corpus, emotion, valence, where, "valence")
        clips.append(pool.clip(name, corpus, split, targets, where))
    return clips


def _read_preferences(root: Path, corpus: Corpus, table: str, split: str, language: merbench.Language) -> list[Clip]:
    pool, clips, count, pairs = Pool(root, language), [], {}, {}
    columns = ("name", "a1", "a2", *(["preference"] if split == "train" else []))
    for where, row in read_csv(pool.root / table, columns, ("preference",)):
        if not row["name"]:
            raise ValueError(f"{where}: the row has no name")
        check_name(row["name"], where)
        row["name"] = clip_name(row["name"])
        if not spoken(row["a1"]) or not spoken(row["a2"]):
            raise ValueError(f"{where}: the row needs two descriptions, a1 and a2")
        preference = Preference(row["a1"], row["a2"], "")
        if row.get("preference"):
            if row["preference"].lower() not in _BETTER:
                raise ValueError(f"{where}: preference is {row['preference']!r}: it must be one of "
                                 f"{', '.join(_BETTER)}")
            preference = Preference(row["a1"], row["a2"], _BETTER[row["preference"].lower()])
        elif split == "train":
            raise ValueError(f"{where}: the row has no preference: it must be one of {', '.join(_BETTER)}")
        known, first = pairs.setdefault((row["name"], row["a1"], row["a2"]), (preference, where))
        if known != preference:
            raise ValueError(f"{where}: this pair is in {first} too, with another preference; keep one row")
        if first != where:
            continue  # the same row twice
        clip = pool.clip(row["name"], corpus, split, Targets(preference=preference), where)
        # A clip is asked of with several pairs; each is a row of its own.
        count[clip.id] = count.get(clip.id, 0) + 1
        clips.append(replace(clip, id=nth_name(clip.id, count[clip.id])))
    return [replace(clip, group=clip.id.partition("#")[0]) for clip in clips]


def read_emoprefer(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs of EmoPrefer with the better description. Raises ValueError for a preference that is none."""
    return _read_preferences(root, EMOPREFER, "track3_emoprefer.csv", "train", language)


def read_emopreferv2(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs of EmoPrefer v2. Raises ValueError for a preference that is none."""
    return _read_preferences(root, EMOPREFER_V2, "track3_emopreferv2.csv", "train", language)


def read_emoprefer_candidates(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Pairs without a published preference: test clips whose `Preference.better` is "".

    Raises ValueError for missing columns.
    """
    return _read_preferences(root, EMOPREFER_CANDIDATES, "track3_candidate.csv", "test", language)


def read_candidates(root: Path, language: merbench.Language = "en", table: str = "") -> list[Clip]:
    """Clips without labels, to be described or prepared: the candidates of the tests, as split "test".

    Args:
        table: another table with a column `name` in the root, such as subtitle_chieng.csv, which names all clips; empty
            for the table of candidates that is there.
    Raises:
        ValueError: no table, a row without a name, a name with two different rows.
    """
    pool = Pool(root, language)
    if table:
        file = safe_join(pool.root, table)
    else:
        files = [pool.root / name for name in _CANDIDATE_TABLES]
        file = next((file for file in files if file.is_file()), None)
        if file is None:
            raise ValueError(f"{root}: has neither {' nor '.join(_CANDIDATE_TABLES)}{elsewhere(*files)}")
    return [pool.clip(name, CANDIDATES, "test", Targets(), where)
            for name, (_, where) in merbench.rows_by_name(file, ()).items()]
