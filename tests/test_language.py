"""The language of an answer: short lists, descriptions, scripts, quotes, two languages in one text."""

from __future__ import annotations

import time

import pytest

from affectgpt.extractors import reading
from affectgpt.extractors.language import READABLE, language_of


@pytest.mark.parametrize(("text", "language"), [
    ("happy, sad", "en"), ("angry", "en"), ("Calm, content", "en"), ("neutral", "en"), ("[frustrated, hopeful]", "en"),
    ("wistful longing, resigned acceptance", "en"), ("dissapointed", "en"), ("Emotions: joy, trust", "en"),
    ("I'm sorry, but I can't help with that.", "en"), ("The woman smiles, so she seems happy.", "en"),
    ("glücklich, traurig", "de"), ("Die Frau lächelt und wirkt glücklich.", "de"),
    ("triste", "fr"), ("joyeux, triste", "fr"), ("Elle sourit, elle semble heureuse.", "fr"),
    ("feliz, enojado", "es"), ("La mujer sonríe y parece feliz.", "es"), ("felice, arrabbiato", "it"),
    ("De vrouw lacht en lijkt blij.", "nl"), ("Wanita itu tersenyum dan tampak bahagia.", "id"),
    ("Kobieta się uśmiecha i wydaje się szczęśliwa.", "pl"), ("mutlu, üzgün", "tr"),
    ("радость", "ru"), ("기쁨, 슬픔", "ko"),
    ("怒り、喜び", "ja"), ("غضب", "ar"),
    ("[生气，愤怒]", "zh"), ("生气", "zh"),
    ("他对这个APP感到很失望，所以心情不好", "zh"),
    ("情绪：happy", "mixed"), ("Emotions: 生气, 愤怒", "mixed"),
    ("The subtitle reads \u201c我不知道你在说什么\u201d, so he is confused.", "en"),
    ("字幕是\u201cI do not know what you mean\u201d，他很困惑。", "zh"),
    ("", "unknown"), ("123 ...", "unknown"), ("ok", "unknown"), ("\U0001f600", "unknown"),
])
def test_language_is_told(text, language):
    assert language_of(text) == language


def test_what_cannot_be_read_is_never_english():
    foreign = ("Der Mann spricht ruhig und wirkt sehr zufrieden mit seiner Entscheidung.",
               "Le visage de l'homme est détendu et il parle calmement, ce qui suggère une émotion positive.",
               "Il protagonista è molto arrabbiato perché ha perso il treno.",
               "O homem parece cansado e preocupado com a situação da família.",
               "Mannen ser ledsen ut och pratar med låg röst.")
    assert not READABLE & set(map(language_of, foreign))


@pytest.mark.parametrize("text", ["[glücklich, froh]", "triste, enojado",
                                  "Der Mann spricht ruhig und wirkt zufrieden."])
def test_what_cannot_be_read_is_told_and_has_no_labels(text):
    read = reading.read(text)
    assert (read.no_answer, read.labels, read.text) == ("unread", (), text)


@pytest.mark.parametrize("text", ["\u201c" * 100_000, "a " * 100_000, "气" * 200_000, "\"x" * 50_000])
def test_no_text_takes_long(text):
    started = time.perf_counter()
    language_of(text)
    assert time.perf_counter() - started < 1
