"""Sets with a sentiment score a clip: CMU-MOSI, CMU-MOSEI, CH-SIMS and CH-SIMS v2, in MERBench's layout or their own.

The clips of a video ("OQvJTdtJ2H4_3", "video_0018_0004") are a `group`.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import merbench, mmsa
from affectgpt.data.readers.places import elsewhere

_KINDS = ("valence", "sentiment")
_WORDS = (merbench.TRANSCRIPTS,)
_LAYOUT = "label.npz\ntranscription-engchi-polish.csv\n{video}/NAME.mp4\n{audio}/NAME.wav\nopenface_face/NAME.npy\n" \
          "or {table}   video_id, clip_id, text, label, mode, ...\nRaw/VIDEO/CLIP.mp4"
_CMU = "CMU Multimodal SDK; labels and transcripts as MERBench (Lian et al. 2024) distributes them"
_SIMS = "the authors' page (thuiar); labels and transcripts as MERBench (Lian et al. 2024) distributes them"

_MEDIA = {"cmumosi": ("subvideo", "subaudio"), "cmumosei": ("subvideo_new", "subaudio"), "sims": ("video", "audio"),
          "simsv2": ("video_new", "audio")}


def _layout(name: str, table: str) -> str:
    video, audio = _MEDIA[name]
    return _LAYOUT.format(video=video, audio=audio, table=table)


CMU_MOSI = Corpus(
    name="cmumosi", title="CMU-MOSI (Zadeh et al. 2016)", licence="research use", access=_CMU,
    layout=_layout("cmumosi", "label.csv"), kinds=_KINDS, valence_range=(-3.0, 3.0),
    transcripts=_WORDS, counts={"train": 1284, "validation": 229, "test": 686}, evaluation="test")
CMU_MOSEI = Corpus(
    name="cmumosei", title="CMU-MOSEI (Zadeh et al. 2018)", licence="research use", access=_CMU,
    layout=_layout("cmumosei", "label.csv"), kinds=_KINDS, valence_range=(-3.0, 3.0),
    transcripts=_WORDS, counts={"train": 16326, "validation": 1871, "test": 4659}, evaluation="test")
CH_SIMS = Corpus(
    name="sims", title="CH-SIMS (Yu et al. 2020)", licence="research use", access=_SIMS, languages=("zh",),
    layout=_layout("sims", "label.csv"), kinds=_KINDS, valence_range=(-1.0, 1.0),
    transcripts=_WORDS, counts={"train": 1368, "validation": 456, "test": 457}, evaluation="test")
CH_SIMS_V2 = Corpus(
    name="simsv2", title="CH-SIMS v2 (Liu et al. 2022)", licence="research use", access=_SIMS, languages=("zh",),
    layout=_layout("simsv2", "meta.csv"), kinds=_KINDS, valence_range=(-1.0, 1.0),
    transcripts=_WORDS, counts={"train": 2722, "validation": 647, "test": 1034}, evaluation="test")


def read_cmumosi(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of CMU-MOSI. Raises ValueError as `merbench.read_set`."""
    return _read(root, CMU_MOSI, language)


def read_cmumosei(root: Path, language: merbench.Language = "en") -> list[Clip]:
    """Clips of CMU-MOSEI. Raises ValueError as `merbench.read_set`."""
    return _read(root, CMU_MOSEI, language)


def read_sims(root: Path, language: merbench.Language = "zh") -> list[Clip]:
    """Clips of CH-SIMS, with the Chinese words that are spoken. Raises ValueError as `merbench.read_set`."""
    return _read(root, CH_SIMS, language)


def read_simsv2(root: Path, language: merbench.Language = "zh") -> list[Clip]:
    """Clips of CH-SIMS v2, with the Chinese words that are spoken. Raises ValueError as `merbench.read_set`."""
    return _read(root, CH_SIMS_V2, language)


def _read(root: Path, corpus: Corpus, language: merbench.Language) -> list[Clip]:
    root = Path(root)
    table = mmsa.table_of(root)
    if not (root / "label.npz").is_file():
        if table is None:
            names = ("label.npz", *mmsa.TABLES)
            raise ValueError(f"{root}: has neither {' nor '.join(names)}{elsewhere(*(root / name for name in names))}")
        clips = mmsa.read_table(root, corpus, table, 4 if corpus is CH_SIMS else 0, language)
        return [replace(clip, group=_video(clip.id)) for clip in clips]
    return merbench.read_set(root, corpus, "label.npz", language=language,
                             further=lambda name, split: {"group": _video(name)}, media=_MEDIA[corpus.name])


def _video(name: str) -> str:
    """The video of a clip; CH-SIMS v2 has pieces of clips too ("aqgy3_0001_00012_1")."""
    return re.sub(r"(_\d{5})_\d$", r"\1", name, flags=re.ASCII).rpartition("_")[0] or name
