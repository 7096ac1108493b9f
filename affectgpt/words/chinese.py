"""Emotion words in Chinese and the English word of the lexicon for each: 气愤 -> angry, not 不开心 -> unhappy alone.

The words lie in `chinese.json`; they were written for this project from knowledge of the language. Simplified and
traditional characters are read alike: `simplify` knows those characters that the words and the rules need.

    to_english("氣憤")      ->  "angry"
    to_english("有点不满")  ->  "dissatisfied"
    to_english("不自信的")  ->  "insecure"
    to_english("桌子")      ->  None
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LONGEST_LABEL = 16
"""Characters of a label; what is longer is a sentence."""

_HAN = re.compile("[\u3400-\u9fff]")
_NO_LETTER = re.compile(r"[\W_]+")
_DEGREE = ("非常 十分 特别 特别地 极其 极度 极为 格外 相当 比较 颇为 颇感 颇 无比 万分 深深地 深深 深感 倍感 备感 强烈的 强烈 极大的 明显的 "
           "巨大的 深切的 深深的 浓浓的 淡淡的 隐隐的 轻微的 些许的 强烈地 很 好 太 超 超级 挺 蛮 真 最 更 极 更加 越来越 有点儿 有点 有些 "
           "有一点 一点点 一点 一些 一丝 一丝丝 几分 几许 些许 略微 略 略带 略显 稍微 稍显 稍 微微 轻度 轻微 中度 重度 高度 过度 些微 "
           "充满 充满了 满怀 满心 满是 带着 带有 感到 感觉到 感觉 觉得 显得 看起来 表现出 流露出 透露出 处于 陷入 心里 内心 心中 情绪 "
           "可能 似乎 好像 也许 大概 或许 既 又 和 与 及 以及 还有 并且 或 或者 的").split()
_ENDINGS = ("的情绪 的情感 的状态 的感觉 的心情 的心态 的态度 的表情 的样子 的语气 的情绪状态 情绪状态 之情 之意 之心 之感 之色 的 地 得 "
            "感 感觉 情绪 情感 心情 心理 心态 状态 态度 语气 了 着 不已 万分 之极 极了 至极 无比 透顶 透了 坏了 死了 得很 起来 "
            "与否 倾向").split()
_DENIALS = "并没有 并不是 没有 并不 不太 不怎么 不够 不是 毫不 毫无 缺乏 从不 不再 无 没 不".split()


@dataclass(frozen=True)
class Words:
    """english: Chinese word -> English word; searched: those that a description is searched for; never: words that
    hold such a word and mean something else; signs: conduct, a sign of an emotion and not its name."""

    version: str
    english: dict[str, str]
    searched: frozenset[str]
    never: frozenset[str]
    signs: frozenset[str]
    simplified: dict[int, int]


@lru_cache(maxsize=1)
def load() -> Words:
    """The table that the project ships. ValueError where a word has two places."""
    table = json.loads((Path(__file__).parent / "chinese.json").read_text(encoding="utf-8"))
    english: dict[str, str] = {}
    for kind in ("words", "labels_only"):
        for meaning, words in table[kind].items():
            for word in words.split():
                if english.setdefault(word, meaning) != meaning:
                    raise ValueError(f"chinese.json: {word!r} is {english[word]!r} and {meaning!r}; it has one place")
    searched = frozenset(word for words in table["words"].values() for word in words.split())
    return Words(table["version"], english, searched, frozenset(table["never"].split()),
                 frozenset(table["sign"].split()),
                 {ord(pair[0]): ord(pair[1]) for pair in table["traditional"].split()})


def simplify(text: str) -> str:
    """A text with its traditional characters made simplified ones, one for one.

    >>> simplify("憤怒")
    '愤怒'
    """
    return text.translate(load().simplified)


@lru_cache(maxsize=1 << 14)
def to_english(word: str) -> str | None:
    """The English word for a Chinese label in any form; "not X" for a denied one; None where it is unknown.

    >>> to_english("非常憤怒的"), to_english("不内疚"), to_english("愤怒和焦虑"), to_english("happy")
    ('angry', 'not guilty', 'angry', None)
    """
    if not _HAN.search(word) or len(word) > LONGEST_LABEL:
        return None
    plain = _NO_LETTER.sub("", simplify(unicodedata.normalize("NFKC", word)))
    return _state(plain) or _denied(plain) or _joined(plain)


def _state(word: str) -> str | None:
    """The English word for what may have words of degree before it and an ending behind it."""
    english = load().english
    for start in _starts(word, _DEGREE):
        for rest in _without_endings(start):
            if rest in english:
                return english[rest]
    return None


def _starts(word: str, beginnings: list[str]) -> list[str]:
    """The word, and what is left of it without one beginning after the other."""
    found = [word]
    for part in found:  # grows while it is walked
        found += [rest for beginning in beginnings if part.startswith(beginning)
                  and (rest := part[len(beginning):]) and rest not in found]
    return found


def _without_endings(word: str) -> list[str]:
    found = [word]
    for part in found:
        found += [rest for ending in _ENDINGS if part.endswith(ending)
                  and (rest := part[: -len(ending)]) and rest not in found]
    return found


def _denied(word: str) -> str | None:
    """"not X" for a denied state."""
    for start in _starts(word, _DEGREE):
        for denial in _DENIALS:
            if start.startswith(denial) and (state := _state(start[len(denial):])):
                return f"not {state}"
    return None


def _joined(word: str) -> str | None:
    """The first of two states that fill a label ("愤怒失望", "愤怒和焦虑", "焦虑并害怕")."""
    for cut in range(len(word) - 2, 1, -1):
        first = _state(word[:cut])
        if first and _state(word[cut:].lstrip("和与及并且而又、")):
            return first
    return None
