"""The language in which an answer is written, told without a network: by script, by words, by py3langid (BSD licence).

    language_of("happy, sad")                    ->  "en"
    language_of("[生气，愤怒]")                    ->  "zh"
    language_of("Die Frau lächelt, sie wirkt froh.")  ->  "de"

Deterministic. What is quoted (a subtitle in another language) does not count where something stands outside quotes.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

ENGLISH, CHINESE, MIXED, UNKNOWN = "en", "zh", "mixed", "unknown"
READABLE = frozenset({ENGLISH, CHINESE, MIXED, UNKNOWN})
"""Languages whose texts are read for labels. Of UNKNOWN there is too little to say that they are anything else."""

SURE = 0.95
"""Probability from which on an answer of py3langid counts."""
RATHER_SURE = 0.8
"""The same for a text without any English word."""
FEW_WORDS = 8
"""Words of a text that may be a list of labels; the words themselves then tell more than py3langid does."""
LONGEST = 4_000
"""Characters that are looked at, half of them at each end."""
CHARACTERS_A_WORD = 1.6
"""Of Chinese, to weigh its characters against words of Latin letters."""
KANA_SHARE = 1 / 6
"""Of the letters of Japanese; its other letters are Chinese ones."""

SCRIPTS = (("\u3040", "\u30ff", ("ja",)), ("\uac00", "\ud7af", ("ko",)), ("\u3400", "\u9fff", ("zh",)),
           ("\u0370", "\u03ff", ("el",)), ("\u0400", "\u052f", ("ru", "uk", "bg", "sr", "mk", "be", "kk")),
           ("\u0590", "\u05ff", ("he",)), ("\u0600", "\u06ff", ("ar", "fa", "ur")), ("\u0900", "\u097f", ("hi", "mr")),
           ("\u0980", "\u09ff", ("bn",)), ("\u0b80", "\u0bff", ("ta",)), ("\u0c00", "\u0c7f", ("te",)),
           ("\u0e00", "\u0e7f", ("th",)), ("\u10a0", "\u10ff", ("ka",)), ("\u0530", "\u058f", ("hy",)))
"""First and last letter of a script, and its languages, the most spoken first."""
LATIN = tuple("en de fr es it pt nl sv da no fi pl cs sk hu ro tr vi id ms hr sl et lv lt ca sw tl".split())

ENGLISH_WORDS = frozenset(
    "the and of is are this that these with from which who his her he she him they their them it its be been being "
    "has have had by at as for to but not because there here may might could would should can cannot while when very "
    "what into about or if then than also both seems seem appears appear suggests suggest indicates indicating "
    "suggesting feels feel feeling feelings emotion emotions emotional state states voice face eyes mouth smiles "
    "smile smiling person character man woman speaker video audio subtitle text tone likely possibly overall "
    "therefore expression facial neutral content".split())
"""Usual English words of descriptions, but for those that are usual words of other languages too (a, in, so, me, no).
"""
FOREIGN_LABELS = {language: frozenset(words.split()) for language, words in {
    "de": "glücklich froh traurig wütend ängstlich angst freude wut trauer überraschung ekel "
          "ärger zufrieden neugierig besorgt enttäuscht verwirrt aufgeregt ruhig einsam stolz "
          "verzweifelt müde nervös",
    "fr": "heureux heureuse joyeux joyeuse joie tristesse triste colère peur dégoût "
          "inquiet inquiète déçu déçue fier fière énervé fatigué calme "
          "mécontent fâché effrayé surpris",
    "es": "feliz triste enojado enojada enfadado enfadada alegre alegría tristeza miedo ira asco sorpresa "
          "sorprendido preocupado preocupada tranquilo tranquila nervioso nerviosa orgulloso cansado ansioso contento "
          "decepcionado",
    "it": "felice arrabbiato arrabbiata triste tristezza gioia rabbia paura disgusto sorpresa contento contenta "
          "preoccupato preoccupata deluso delusa sereno ansioso nervoso orgoglioso stanco sorpreso",
    "pt": "feliz triste bravo zangado zangada alegre alegria tristeza raiva medo nojo surpresa preocupado preocupada "
          "calmo ansioso nervoso orgulhoso cansado decepcionado",
    "nl": "blij gelukkig verdrietig boos bang verrast angst woede vreugde verdriet bezorgd teleurgesteld trots rustig "
          "zenuwachtig",
}.items()}
"""Words that short lists in other languages are made of, so that those are not taken for rare English words."""

_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
_LATIN_WORD = re.compile(r"[A-Za-z\u00c0-\u024f\u1e00-\u1eff']{2,}")
_QUOTED = re.compile("\u201c[^\u201d]{0,600}\u201d|\u300c[^\u300d]{0,600}\u300d|\u300e[^\u300f]{0,600}\u300f|"
                     "\u300a[^\u300b]{0,100}\u300b|(?<!\\w)\"(?=\\S)[^\"]{4,600}\"|"
                     "(?<=[\u3400-\u9fff\uff1a\uff0c])\"[^\"]{4,600}\"|\u2018[^\u2019]{4,600}\u2019")


def language_of(text: str) -> str:
    """ISO 639-1 code of a text's language, "mixed" for Chinese beside English, "unknown" where it does not tell.

    >>> language_of("happy, sad"), language_of("情绪：happy"), language_of("123"), language_of("triste")
    ('en', 'mixed', 'unknown', 'fr')
    """
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]}\n{text[-(LONGEST // 2):]}"
    outside = _QUOTED.sub(" ", text)
    if sum(map(str.isalpha, outside)) >= 4:
        text = outside
    if text.isascii():  # most texts: letter by letter takes long
        return _latin(" ".join(_LATIN_WORD.findall(text))) if any(map(str.isalpha, text)) else UNKNOWN
    counts = Counter(_script(letter) for letter in text if letter.isalpha())
    if not counts:
        return UNKNOWN
    chinese = counts[("zh",)]
    if counts[("ja",)] > KANA_SHARE * (chinese + counts[("ja",)]):
        return "ja"
    latin = _LATIN_WORD.findall(text)
    others = {languages: count for languages, count in counts.items() if languages not in (LATIN, ("zh",))}
    if others and max(others.values()) > max(chinese, counts[LATIN]):
        return _of(text, max(others, key=others.get))
    if chinese:
        share = chinese / CHARACTERS_A_WORD / (chinese / CHARACTERS_A_WORD + len(latin))
        if share > 0.8:
            return CHINESE
        if share > 0.1:
            return MIXED
    return _latin(" ".join(latin))


def identifier(languages: tuple[str, ...] | None = None):
    """py3langid with normed probabilities, for these languages (None: all that it knows); one for each choice."""
    return _identifier(languages)


@lru_cache(maxsize=8)
def _identifier(languages: tuple[str, ...] | None):
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    found = LanguageIdentifier.from_pickled_model(MODEL_FILE, norm_probs=True)
    if languages is not None:
        found.set_languages(list(languages))
    return found


@lru_cache(maxsize=1 << 12)
def _script(letter: str) -> tuple[str, ...]:
    """Languages of a letter's script; Latin ones where it is of none that is listed."""
    return next((languages for first, last, languages in SCRIPTS if first <= letter <= last), LATIN)


def _of(text: str, languages: tuple[str, ...]) -> str:
    """The language of a text among those of its script; the most spoken one where it does not tell."""
    if len(languages) == 1:
        return languages[0]
    language, probability = identifier(languages).classify(text)
    return str(language) if probability >= SURE else languages[0]


@lru_cache(maxsize=1)
def _english_words() -> frozenset[str]:
    """Single words that only English has for certain: usual ones and those of the lexicon."""
    from affectgpt.words import lexicon

    return ENGLISH_WORDS | {word for word in lexicon.load().surface_words() if " " not in word}


def _latin(text: str) -> str:
    """Language of a text of Latin letters."""
    words = [word.lower() for word in _WORD.findall(text)]
    if not words:
        return UNKNOWN
    english = sum(word in _english_words() for word in words) / len(words)
    if len(words) <= FEW_WORDS:
        foreign = {language: len(known.intersection(words)) for language, known in FOREIGN_LABELS.items()}
        best = max(foreign, key=foreign.get)
        if english >= 0.5 and english * len(words) >= foreign[best]:
            return ENGLISH
        if foreign[best] >= max(1, len(words) // 2):
            return best
    if english >= 0.35:
        return ENGLISH
    language, probability = identifier(LATIN).classify(text)
    if language == ENGLISH:
        return ENGLISH if probability >= SURE or english else UNKNOWN
    return str(language) if probability >= (SURE if english else RATHER_SURE) else UNKNOWN
