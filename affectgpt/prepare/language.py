"""The language in which words are written, told without a network by py3langid (BSD licence)."""

from __future__ import annotations

from affectgpt.extractors.language import identifier

SURE = 0.95
"""Probability from which on an answer counts; short words of Latin letters are often anything."""
LETTERS = 12
"""Letters that words must have, where their script does not tell: "ok" is of any language."""
SCRIPTS = (("\u3040", "\u30ff", "ja"), ("\uac00", "\ud7af", "ko"), ("\u4e00", "\u9fff", "zh"),
           ("\u0370", "\u03ff", "el"), ("\u0590", "\u05ff", "he"), ("\u0e00", "\u0e7f", "th"))
"""Scripts of one language among those of corpora: first and last letter, language. Kana comes before Han."""


def language_of(words: str) -> str | None:
    """ISO 639-1 code of the language; None where the words do not tell.

    >>> language_of("\u6211\u5f88\u9ad8\u5174"), language_of("ok")
    ('zh', None)
    """
    letters = [letter for letter in words if letter.isalpha()]
    for first, last, language in SCRIPTS:
        share = sum(first <= letter <= last for letter in letters)
        if letters and share * (2 if language != "ja" else 6) > len(letters):
            return language
    if len(letters) < LETTERS:
        return None
    language, probability = identifier().classify(words)
    return str(language) if probability >= SURE else None
