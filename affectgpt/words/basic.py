"""Basic emotions: the closed sets of some corpora, and the vocabulary that the starter corpus is written in.

What any other label means is asked of `words.lexicon`. Pure Python: importing this module costs and needs nothing.
"""

from __future__ import annotations

BASIC_EMOTIONS = ("neutral", "happy", "sad", "angry", "fearful", "disgusted", "surprised")
"""Ekman's six basic emotions and neutral, in the adjective form used in descriptions."""

RAVDESS_EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The eight emotions of RAVDESS, spelt as in its documentation (Livingstone & Russo, 2018)."""

POLARITIES = ("positive", "neutral", "negative")

SYNONYMS: dict[str, tuple[str, ...]] = {
    "neutral": ("neutral", "composed", "unemotional"),
    "calm": ("calm", "relaxed", "peaceful", "serene"),
    "happy": ("happy", "joyful", "cheerful", "pleased", "delighted"),
    "sad": ("sad", "sorrowful", "unhappy", "dejected", "gloomy"),
    "angry": ("angry", "irritated", "furious", "annoyed", "mad"),
    "fearful": ("fearful", "afraid", "scared", "anxious", "terrified"),
    "disgusted": ("disgusted", "disgust", "repulsed", "revolted", "grossed out"),
    "surprised": ("surprised", "astonished", "amazed", "startled", "stunned"),
}
"""Basic word -> its synonyms, the basic word first; milder words come before stronger ones."""

POLARITY: dict[str, str] = {
    "neutral": "neutral",
    "calm": "neutral",
    "happy": "positive",
    "sad": "negative",
    "angry": "negative",
    "fearful": "negative",
    "disgusted": "negative",
    "surprised": "neutral",
}
"""Basic word -> polarity. Surprise is neither pleasant nor unpleasant by itself."""

_BASIC_OF = {word: basic for basic, words in SYNONYMS.items() for word in words}


def basic_emotion(word: str) -> str | None:
    """The basic word of one of these synonyms, or None for any other word (`Lexicon.basic_emotion` knows more).

    >>> basic_emotion("Furious")
    'angry'
    """
    return _BASIC_OF.get(" ".join(word.lower().split()))


def polarity_of(emotions: list[str] | tuple[str, ...]) -> str:
    """Polarity of words of the starter corpus: the one that more of them have; a tie is neutral."""
    known = [POLARITY[basic] for basic in map(basic_emotion, emotions) if basic]
    positive, negative = known.count("positive"), known.count("negative")
    if positive == negative:
        return "neutral"
    return "positive" if positive > negative else "negative"
