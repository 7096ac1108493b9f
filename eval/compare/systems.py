"""What stands behind a row of the table: a job that trains on one split, or why it cannot be run here.

A kind of system is a function (`Maker`) that looks at what is there, cheaply, and gives the function that runs one
split and seed. It raises `Missing` where the user lacks media or parts; the row says so then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affectgpt.baselines.split import Split
from affectgpt.data.clip import Clip, absent_files, spoken
from affectgpt.eval.compare.settings import CompareRecipe, SystemSection

SPEECH = "speech"
TOLERATED = 0.5
"""Share of clips without media with which cues and features are still run; the jobs note those clips. AffectGPT is
trained on whole corpora alone."""
FEATURES = "features"
"""Folder of the feature stores that all protocols share."""
Runner = Callable[[Split, int, Path], Path]
"""(split, seed, folder) -> folder, with the predictions of the split's test clips."""


class Missing(ValueError):
    """What a system needs and the user lacks; its message is shown in the table."""


@dataclass(frozen=True)
class Place:
    """Where a system is to be run.

    Attributes:
        recipe: the comparison.
        protocol: one of its protocols.
        splits, classes: those of the protocol.
        folder: of the protocol, for what runs share.
        texts: the file of cues; None where there is none.
    """

    recipe: CompareRecipe
    protocol: str
    splits: Sequence[Split]
    classes: tuple[str, ...]
    folder: Path
    texts: Path | None

    @property
    def clips(self) -> list[Clip]:
        """All clips of the splits, each once."""
        return list({clip.key: clip for split in self.splits for clip in split.clips}.values())


Maker = Callable[[SystemSection, str, Place], Runner]


def textualized(section: SystemSection, key: str, place: Place) -> Runner:
    """`train.textualized` on the words of clips."""
    from affectgpt.baselines.text_settings import TextualizedSettings
    from affectgpt.train.textualized import run_split

    # A name for the file, so that a recipe with cues is read where there is none.
    settings = job_settings(TextualizedSettings, section, key, place, [f"text.texts={place.texts or 'texts.jsonl'}"])
    cues, texts = settings.text.cues, None
    if set(cues) - {SPEECH} or not any(spoken(clip.words) for clip in place.clips):
        texts = texts_with(cues, place)
    settings.text.texts = str(place.texts) if texts else None
    if settings.initial and not Path(settings.initial).exists():
        raise Missing(f"initial={settings.initial}: no such run; make it first with `affectgpt textualized`")
    return lambda split, seed, folder: run_split(settings, split, place.classes, seed, folder, texts)


def texts_with(cues: Sequence[str], place: Place) -> dict:
    """`Clip.key` -> its text.

    Raises:
        Missing: there is no file, or one of the cues is in no text of it.
    """
    from affectgpt.textualize.texts import read_texts

    if place.texts is None:
        what = f"none of the {len(place.clips)} clips has words" if set(cues) == {SPEECH} else \
            without_media(place.clips, TOLERATED) or "there is no file of cues"
        raise Missing(f"{what}; name one with texts=FILE, as `affectgpt textualize` makes it")
    found = read_texts(place.texts)
    keys = {clip.key for clip in place.clips}
    lacking = [cue for cue in cues if not any(cue in text.cues for text in found.values() if text.key in keys)]
    if lacking:
        raise Missing(f"{place.texts} has no {', '.join(lacking)} of these clips")
    return found


def features(section: SystemSection, key: str, place: Place) -> Runner:
    """`train.features`: encoders' features, a temporal network, a fusion head."""
    from affectgpt.baselines.fusion_settings import FusionSettings
    from affectgpt.train.features import Prepared, run_split

    settings = job_settings(FusionSettings, section, key, place, [])
    sources = {spec.source for spec in settings.used}
    if sources - {"words", "texts"} and (lacking := without_media(place.clips, TOLERATED)):
        raise Missing(lacking)
    if sources == {"words"} and not any(spoken(clip.words) for clip in place.clips):
        raise Missing(f"none of the {len(place.clips)} clips has words")
    settings.features = settings.features or str(Path(place.recipe.output) / FEATURES)
    prepared: list = []  # once for all splits and seeds, and only where a run is left

    def run(split: Split, seed: int, folder: Path) -> Path:
        if not prepared:
            prepared.append(Prepared(settings, place.clips))
        return run_split(settings, split, place.classes, seed, folder, prepared[0])

    return run


def job_settings(cls: type, section: SystemSection, key: str, place: Place, more: Sequence[str]):
    """The settings of a job's recipe, with corpus, protocol, seeds and device of the comparison.

    In the settings of a system {texts} stands for the file of cues, {root} for the corpus's folder.

    Raises:
        Missing: {texts} is named and there is none.
    """
    from affectgpt.baselines.settings import load_settings

    if place.texts is None and any("{texts}" in word for word in section.settings):
        raise Missing("there is no file of cues; name one with texts=FILE, as `affectgpt textualize` makes it")
    words = [filled(word, place.recipe, place.texts) for word in section.settings]
    settings = replace(load_settings(cls, section.recipe, [*more, *words]), name=key, corpus=place.recipe.corpus,
                       protocol=place.protocol, seeds=place.recipe.seeds, device=place.recipe.device,
                       threads=place.recipe.threads, output=str(place.folder))
    settings.validate()
    return settings


def filled(word: str, recipe: CompareRecipe, texts: Path | None) -> str:
    """A setting with its places filled."""
    return word.replace("{root}", recipe.corpus.root or "").replace("{texts}", str(texts))


def affectgpt(section: SystemSection, key: str, place: Place) -> Runner:
    """An AffectGPT that is trained on each split."""
    from affectgpt.eval.compare.own import train_and_ask

    return train_and_ask(section, key, place)


def model(section: SystemSection, key: str, place: Place) -> Runner:
    """A ready AffectGPT that is asked about the test clips."""
    from affectgpt.eval.compare.own import ask_ready

    return ask_ready(section, key, place)


KINDS: dict[str, Maker] = {"textualized": textualized, "features": features, "affectgpt": affectgpt, "model": model}
"""Kind of a system -> its maker."""
SEEDLESS = frozenset({"model"})
"""Kinds in which nothing is drawn: one run stands for all seeds."""


def without_media(clips: Sequence[Clip], tolerated: float = 0.0) -> str:
    """"the media of 3 of 5 clips are not here ..."; "" where no more than this share of the clips lacks them."""
    lacking = [clip for clip in clips if not (clip.media or clip.audio or clip.face) or absent_files(clip)]
    if len(lacking) <= tolerated * len(clips):
        return ""
    first = next(iter(absent_files(lacking[0])), None)
    return (f"the media of {len(lacking)} of {len(clips)} clips are not here, the first is {lacking[0].id}"
            + (f" ({first})" if first else ""))
