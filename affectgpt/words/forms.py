"""Forms of English words: spelling made alike, stems, lemmas. Its libraries are imported by the first word."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

_APOSTROPHES = re.compile("['’‘‛`´ʼ＇]")
_SEPARATORS = re.compile(r"[\W_]+")


def normalise(text: str) -> str:
    """Lower case, one space between words, no markup and punctuation, no apostrophes or accents.

    >>> normalise("**Lack_of-Confidence**, don’t")
    'lack of confidence dont'
    """
    plain = unicodedata.normalize("NFKC", _APOSTROPHES.sub("", text)).lower()
    if not plain.isascii():
        plain = "".join(c for c in unicodedata.normalize("NFD", plain) if not unicodedata.combining(c))
    return _SEPARATORS.sub(" ", plain).strip()


class WordForms:
    """Which known word a form ("frustratingly", "wept") belongs to."""

    def __init__(self, words: Mapping[str, str | None], lend_stems: frozenset[str]) -> None:
        """words: word -> its group, None for words that belong nowhere on purpose. lend_stems: those by whose stem
        other forms are found; forms of the rest are found by the lemma alone."""
        self._words = words
        self._lend_stems = lend_stems
        self._starting: dict[str, list[str]] = {}
        for word in words:
            if " " not in word:
                self._starting.setdefault(word[:2], []).append(word)
        self._stems: dict[str, dict[str, str | None]] = {}

    def known_word(self, form: str) -> str | None:
        """A word of the same group: by a stem that one group alone has, else by the lemma; None where there is none."""
        # The stem comes first because the lemmatiser's dictionary takes longer to read than all the rest; over that
        # whole dictionary the two never name different families of the emotion words (docs/emotion_words.md).
        word = self._by_stem(form)
        if word is None:
            base = lemma(form)
            word = base if self._words.get(base) else self._by_stem(base)
        return word

    def _by_stem(self, form: str) -> str | None:
        # Stemming keeps the first two letters, so only the words that share them are stemmed.
        stems = self._stems.get(form[:2])
        if stems is None:
            sharing: dict[str, list[str]] = {}
            for word in self._starting.get(form[:2], ()):
                sharing.setdefault(stem(word), []).append(word)
            stems = self._stems[form[:2]] = {
                common: next((word for word in words if word in self._lend_stems), None)
                for common, words in sharing.items() if len({self._words[word] for word in words}) == 1}
        return stems.get(stem(form))


@lru_cache(maxsize=1 << 16)
def lemma(word: str) -> str:
    """Dictionary form of an English word, the word itself where the dictionary lacks it: rules would guess."""
    from simplemma.strategies import DictionaryLookupStrategy

    return DictionaryLookupStrategy().get_lemma(word, "en") or word


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Snowball (Porter2) stem of an English word."""
    return _stemmer().stemWord(word)


def trunk(word: str) -> str:
    """Stem without a last i, which stands for y: jealous and jealousy share it."""
    return stem(word).removesuffix("i")


@lru_cache(maxsize=1)
def _stemmer():
    import snowballstemmer

    return snowballstemmer.stemmer("english")
