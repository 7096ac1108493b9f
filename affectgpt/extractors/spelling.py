"""Emotion words that are spelt wrongly -> the word that was meant.

A word counts as misspelt where English has no such word and exactly one family of the lexicon has words that near: one
edit away (a letter more, less, other, or two swapped) from 6 letters on, two edits from 10 letters on.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

LEAST_LETTERS = 6
TWO_EDITS_FROM = 10


class Speller:
    """Corrects to these words alone.

    words: word -> family.
    """

    def __init__(self, words: Mapping[str, str]):
        self._families = {word: family for word, family in words.items() if " " not in word and len(word) > 4}
        self._by_first: dict[str, list[str]] = {}
        for word in self._families:
            self._by_first.setdefault(word[0], []).append(word)
        self.meant = lru_cache(maxsize=1 << 16)(self._meant)

    def _meant(self, word: str) -> str | None:
        """The lexicon's word that a misspelt one stands for; None for words of English, and where nothing is near."""
        if len(word) < LEAST_LETTERS or not (word.isascii() and word.isalpha()) or word in self._families:
            return None
        import simplemma

        if simplemma.is_known(word, lang="en"):
            return None
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        edits = 2 if len(word) >= TWO_EDITS_FROM else 1
        near = process.extract(word, self._by_first.get(word[0], ()), scorer=OSA.distance, score_cutoff=edits,
                               limit=None)
        if not near:
            return None
        least = min(distance for _, distance, _ in near)
        best = [candidate for candidate, distance, _ in near if distance == least]
        best = [word for word in best if simplemma.is_known(word, lang="en")] or \
            [word for word, _, _ in near if simplemma.is_known(word, lang="en")] or best
        return best[0] if len({self._families[candidate] for candidate in best}) == 1 else None
