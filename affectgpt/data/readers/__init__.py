"""Corpora: one small module each, that turns a corpus's own files into clips.

Adding a corpus means adding a module with its record and `read(root, **options) -> list[Clip]`, and a line to
`READERS`.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from affectgpt.config import typed
from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers import (
    acted,
    cexpr,
    emer,
    films,
    iemocap,
    manifest,
    meld,
    mer2025,
    mer_challenge,
    merr,
    news,
    ravdess,
    sentiment,
)


@dataclass(frozen=True)
class Reader:
    """How the files of a corpus become clips.

    `read(root, **options)` gives its clips, where `root` is the corpus's folder (of "manifest": the manifest) and
    options are keywords with defaults. `corpus` is what holds for all of it.
    """

    read: Callable[..., list[Clip]]
    corpus: Corpus

    @property
    def options(self) -> dict[str, inspect.Parameter]:
        """Option -> its parameter, with annotation and default."""
        return dict(list(inspect.signature(self.read, eval_str=True).parameters.items())[1:])

    def typed_options(self, values: Mapping[str, object], where: str) -> dict[str, object]:
        """Options from a recipe or the command line as the types that the reader wants.

        Raises:
            ValueError: an option that the reader does not have, or a value of another type.
        """
        unknown = [name for name in values if name not in self.options]
        if unknown:
            known = ", ".join(self.options) or "none"
            raise ValueError(f"{where}: reader {self.corpus.name} has no option {unknown[0]!r}; it has {known}")
        typed_values = {}
        for name, value in values.items():
            hint = self.options[name].annotation
            if hint is str and type(value) in (int, float):
                value = str(value)
            typed_values[name] = value if hint is inspect.Parameter.empty else typed.coerce(
                typed.Word(value) if isinstance(value, str) else value, hint, f"{where}: option {name}")
        return typed_values


def option_words(words: Iterable[str]) -> dict[str, str]:
    """Options of a reader as a command line has them, "key=value".

    Raises:
        ValueError: a word that is none.
    """
    values = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise ValueError(f"{word!r}: options of a reader are written key=value")
        values[key] = value
    return values


def _checked(read: Callable[..., list[Clip]], corpus: Corpus) -> Callable[..., list[Clip]]:
    """The function of a reader, which first looks at the root, and takes a corpus without any clip for a mistake."""

    @functools.wraps(read)
    def checked(root: str | Path, **options) -> list[Clip]:
        root = Path(root)
        layout = "; ".join(line.strip() for line in corpus.layout.splitlines()[:3])
        if not root.is_dir():
            what = "is a file" if root.exists() else "no such folder"
            raise ValueError(f"{root}: {what}; name the folder of {corpus.title}, which holds {layout}")
        if not any(root.iterdir()):
            raise ValueError(f"{root}: is empty; {corpus.title} holds {layout}")
        clips = read(root, **options)
        if not clips:
            raise ValueError(f"{root}: its tables hold no clips of {corpus.name}; get them whole, with at least a row")
        return clips

    return checked


_ALL = (
    (manifest.read, manifest.CORPUS),
    (mer2025.read_mercaptionplus, mer2025.MER_CAPTION_PLUS), (mer2025.read_mercaption, mer2025.MER_CAPTION),
    (emer.read_emer, emer.EMER), (emer.read_emer_v1, emer.EMER_V1),
    (mer2025.read_ovmerd, mer2025.OV_MERD), (emer.read_ovmerdplus, emer.OV_MERD_PLUS),
    (mer2025.read_humanov, mer2025.HUMAN_OV), (mer2025.read_track1_2025, mer2025.TRACK1_2025),
    (mer2025.read_track1_2026, mer2025.TRACK1_2026),
    (mer2025.read_emoprefer, mer2025.EMOPREFER), (mer2025.read_emopreferv2, mer2025.EMOPREFER_V2),
    (mer2025.read_emoprefer_candidates, mer2025.EMOPREFER_CANDIDATES),
    (mer2025.read_candidates, mer2025.CANDIDATES),
    (merr.read_merr_coarse, merr.MERR_COARSE), (merr.read_merr_fine, merr.MERR_FINE),
    (mer_challenge.read_mer2023, mer_challenge.MER2023), (mer_challenge.read_mer2024, mer_challenge.MER2024),
    (meld.read, meld.CORPUS), (iemocap.read_iemocap, iemocap.IEMOCAP), (iemocap.read_iemocap6, iemocap.IEMOCAP_6),
    (sentiment.read_cmumosi, sentiment.CMU_MOSI), (sentiment.read_cmumosei, sentiment.CMU_MOSEI),
    (sentiment.read_sims, sentiment.CH_SIMS), (sentiment.read_simsv2, sentiment.CH_SIMS_V2),
    (cexpr.read, cexpr.CORPUS), (ravdess.read, ravdess.CORPUS), (acted.read_cremad, acted.CREMA_D),
    (acted.read_emodb, acted.EMO_DB), (films.read_dfew, films.DFEW), (films.read_mafw, films.MAFW),
    (news.read, news.CORPUS),
)
READERS: dict[str, Reader] = {
    corpus.name: Reader(read if corpus is manifest.CORPUS else _checked(read, corpus), corpus) for read, corpus in _ALL}


def reader_of(name: str, where: str) -> Reader:
    """The reader of that name.

    Raises:
        ValueError: there is none; the message starts with `where`.
    """
    if name not in READERS:
        raise ValueError(f"{where}: unknown corpus reader {name!r}: use one of {', '.join(READERS)}")
    return READERS[name]


def record_of(corpus: str) -> Corpus | None:
    """The record of the corpus that a clip names; None for a corpus of the user's own."""
    return READERS[corpus].corpus if corpus in READERS else None


def split_source(source: str) -> tuple[str | None, str]:
    """(reader, path) of "READER:PATH"; (None, path) of a manifest."""
    name, colon, path = source.partition(":")
    return (name, path) if colon and len(name) > 1 else (None, source)  # one letter is a drive


def read_corpus(source: str, root: str | None = None) -> list[Clip]:
    """Clips of a source: a manifest (JSON Lines, a JSON array or CSV), or "READER:PATH" for a corpus in its own layout.

    Args:
        source: "corpus/manifest.jsonl" or for example "ravdess:/data/ravdess".
        root: folder that the media paths of a manifest start from; by default the manifest's own.
    Raises:
        ValueError: an unknown reader, a missing path, or a bad row (file:row, key, what to do).
    """
    name, path = split_source(source)
    if name is None:
        return manifest.read(Path(source), root)
    return reader_of(name, source).read(Path(path))


def read_corpora(sources: list[str], root: str | None = None) -> list[Clip]:
    """Clips of several sources.

    Raises:
        ValueError: as `read_corpus`, and where two clips have the same corpus and id.
    """
    return check_unique([clip for source in sources for clip in read_corpus(source, root)])


def check_unique(clips: Iterable[Clip]) -> list[Clip]:
    """The clips as they are.

    Raises:
        ValueError: two of them have the same corpus and id; says where both stand.
    """
    clips, seen = list(clips), {}
    for clip in clips:
        if clip.key in seen:
            raise ValueError(f"{clip.provenance}: id {clip.id!r} was used before in {seen[clip.key]}: "
                             "ids must be unique")
        seen[clip.key] = clip.provenance
    return clips
