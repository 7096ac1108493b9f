"""Emotion words that are spelt wrongly -> the word that was meant.

A word counts as misspelt where English has no such word and exactly one family of the lexicon has words that near: one
edit away (a letter more, less, other, or two swapped) from 6 letters on, two edits from 10 letters on, or where the
letters or the consonants are the same, or both ends are. Of shorter words a letter may be missing, doubled or swapped,
and none be another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

LEAST_LETTERS = 4
LETTERS_OF_ANY_EDIT = 6
TWO_EDITS_FROM = 10

_DOUBLED = re.compile(r"(.)\1+")
_VOWELS = str.maketrans("z", "s", "aeiouy")


def _skeleton(word: str) -> str:
    """A word without vowels and doubled letters."""
    return _DOUBLED.sub(r"\1", word.translate(_VOWELS))


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
        if edits == 1 and not near and len(word) >= LETTERS_OF_ANY_EDIT:
            further = process.extract(word, self._by_first.get(word[0], ()), scorer=OSA.distance, score_cutoff=3,
                                      limit=None)
            near = [found for found in further if found[1] == 2 and sorted(found[0]) == sorted(word)
                    or _skeleton(found[0]) == _skeleton(word)
                    or found[1] == 2 and len(word) >= 8 and found[0][-2:] == word[-2:] and found[0][:2] == word[:2]]
        if len(word) < LETTERS_OF_ANY_EDIT:
            near = [found for found in near if set(word) <= set(found[0]) and set(found[0]) - set(word) <= set(
                "aeiou" if len(found[0]) > len(word) else "")]
        if not near:
            return None
        least = min(distance for _, distance, _ in near)
        best = [candidate for candidate, distance, _ in near if distance == least]
        best = [word for word in best if simplemma.is_known(word, lang="en")] or \
            [word for word, _, _ in near if simplemma.is_known(word, lang="en")] or best
        return best[0] if len({self._families[candidate] for candidate in best}) == 1 else None
