"""What holds for a whole corpus: its closed labels and their spellings, its splits, its licence and how to get it."""

from __future__ import annotations

from dataclasses import dataclass, field

from affectgpt.data.clip import Clip


@dataclass(frozen=True)
class Corpus:
    """The record of one corpus; its reader gives its clips.

    Args:
        name: what a recipe and `Clip.corpus` call it, such as "meld".
        title: its full name with its source (authors, year).
        licence: under which terms it may be used.
        access: how to ask for it; nothing is fetched by this project.
        languages: of its spoken words, ISO 639-1.
        layout: the files below its root, a line each.
        transcripts: files of its layout that hold the spoken words, where labels do not; one is enough.
        kinds: question kinds that its targets answer (`data.kinds`).
        labels: its closed set, in words that the lexicon knows; empty where labels are open.
        spellings: how its files spell a label -> the word of `labels`, or of the lexicon.
        valence_range: lowest and highest valence; None where it has none.
        counts: official split -> clips in it.
        folds: official folds, 0 where it has none.
        evaluation: the split that MER-UniBench scores, "" where it scores none; training on test clips of such a
            corpus needs to be said.
    """

    name: str
    title: str
    licence: str
    access: str
    languages: tuple[str, ...] = ("en",)
    layout: str = ""
    transcripts: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    spellings: dict[str, str] = field(default_factory=dict)
    valence_range: tuple[float, float] | None = None
    counts: dict[str, int] = field(default_factory=dict)
    folds: int = 0
    evaluation: str = ""

    def label(self, spelling: str, where: str) -> str:
        """The word of the closed set that the corpus's files spell so.

        Raises:
            ValueError: a spelling that is not in the record; says where it stands.
        """
        lower = spelling.strip().lower()
        word = self.spellings.get(spelling.strip()) or self.spellings.get(lower, lower)
        if self.labels and word not in self.labels and word not in self.spellings.values():
            raise ValueError(f"{where}: label {spelling!r} is none of {self.name}'s: "
                             f"{', '.join(dict.fromkeys((*self.labels, *self.spellings)))}")
        return word


def count_notes(corpus: Corpus, clips: list[Clip]) -> list[str]:
    """Where the clips of a split are not as many as the corpus officially has; a line each.

    A split of which nothing is there is not mentioned: label files of one split alone are common.
    """
    found: dict[str, int] = {}
    for clip in clips:
        found[clip.split] = found.get(clip.split, 0) + 1
    return [f"{corpus.name}: split {split} has {found[split]} clips, officially {official}"
            for split, official in corpus.counts.items() if split in found and found[split] != official]
