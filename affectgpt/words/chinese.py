"""Emotion words in Chinese, each with the English word of the lexicon that it is read as.

The words lie in `chinese.json`, one a line under the English word that it is read as; they were written for this
project from knowledge of the language. OpenCC makes traditional characters simplified ones, jieba finds the words of a
text; both are loaded by the first Chinese text.

    to_english("氣憤")      ->  "angry"
    to_english("有点不满")  ->  "dissatisfied"
    to_english("不自信的")  ->  "insecure"
    to_english("桌子")      ->  None
"""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

LONGEST_LABEL = 16
"""Characters of a label; what is longer is a sentence."""

_HAN = re.compile("[\u3400-\u9fff]")
_VARIANTS = str.maketrans("著牠妳", "着它你")
_NO_LETTER = re.compile(r"[\W_]+")
_TWICE = re.compile(r"(.)\1(.)\2")
"""高高兴兴 for 高兴."""
_DEGREE = ("非常 十分 特别 特别地 极其 极度 极为 格外 相当 比较 颇为 颇感 颇 无比 万分 深深地 深深 深感 倍感 备感 强烈的 强烈 极大的 明显的 "
           "巨大的 深切的 深深的 浓浓的 淡淡的 隐隐的 轻微的 些许的 强烈地 很 好 太 超 超级 挺 蛮 真 最 更 极 更加 越来越 有点儿 有点 有些 "
           "有一点 一点点 一点 一些 一丝 一丝丝 几分 几许 些许 略微 略 略带 略显 稍微 稍显 稍 微微 轻度 轻微 中度 重度 高度 过度 些微 "
           "充满 充满了 满怀 满心 满是 带着 带有 感到 感觉到 感觉 觉得 显得 看起来 表现出 流露出 透露出 处于 陷入 心里 内心 心中 情绪 "
           "深表 面露 面带 心怀 心生 满腹 大感 略感 不胜 可能 似乎 好像 也许 大概 或许 既 又 和 与 及 以及 还有 并且 或 或者 的").split()
_ENDINGS = ("的情绪 的情感 的状态 的感觉 的心情 的心态 的态度 的表情 的样子 的语气 的情绪状态 情绪状态 之情 之意 之心 之感 之色 的 地 得 "
            "感 感觉 情绪 情感 心情 心理 心态 状态 态度 语气 了 着 不已 万分 之极 极了 至极 无比 透顶 透了 坏了 死了 得很 起来 "
            "与否 倾向 心").split()
_DENIALS = "并没有 并不是 没有 并不 不太 不怎么 不够 不是 毫不 毫无 缺乏 从不 不再 无 没 不".split()


@dataclass(frozen=True)
class Words:
    """The table.

    Attributes:
        english: Chinese word -> English word of the lexicon.
        searched: words that a description is searched for; the others are labels alone.
        behaviour: what a body does (a smile, tears) -> the emotion that it is read as, where none is named.
        signs: conduct and the like, a sign of an emotion and not its name.
        patterns: (phrase with room for other words, the word of the table that it stands for).
        never: words that hold an emotion word and mean something else.
    """

    version: str
    english: dict[str, str]
    searched: frozenset[str]
    behaviour: dict[str, str]
    signs: frozenset[str]
    patterns: tuple[tuple[re.Pattern, str], ...]
    never: frozenset[str]


@lru_cache(maxsize=1)
def load() -> Words:
    """The table that the project ships. ValueError where a word has two places."""
    table = json.loads((Path(__file__).parent / "chinese.json").read_text(encoding="utf-8"))
    english: dict[str, str] = {}
    for kind in ("words", "labels_only", "behaviour"):
        for meaning, words in table[kind].items():
            for word in words:
                if word in english:
                    raise ValueError(f"chinese.json: {word!r} is {english[word]!r} and {meaning!r}; it has one place")
                english[word] = meaning
    searched = frozenset(word for words in table["words"].values() for word in words)
    behaviour = {word: english[word] for words in table["behaviour"].values() for word in words}
    signs, never = frozenset(table["signs"]), frozenset(table["never"])
    if not signs <= english.keys() or never & english.keys():
        raise ValueError(f"chinese.json: signs are words of the table, words that mean something else are not: "
                         f"{sorted(signs - english.keys()) + sorted(never & english.keys())}")
    patterns = tuple((re.compile(pattern), word) for pattern, word in table["patterns"].items())
    if unknown := [word for _, word in patterns if word not in searched]:
        raise ValueError(f"chinese.json: patterns stand for words of the table: {unknown}")
    return Words(table["version"], english, searched, behaviour, signs, patterns, never)


def simplify(text: str) -> str:
    """A text in simplified characters, with full-width letters and digits made plain.

    >>> simplify("憤怒")
    '愤怒'
    """
    plain = unicodedata.normalize("NFKC", text).encode("utf-8", "replace").decode("utf-8")
    return _simplified(plain) if _HAN.search(plain) else plain


@lru_cache(maxsize=1 << 12)
def _simplified(text: str) -> str:
    return _converter().convert(text).translate(_VARIANTS).replace("甚么", "什么")


@lru_cache(maxsize=1)
def _converter():
    import opencc

    return opencc.OpenCC("t2s")


def with_plain_idioms(text: str) -> str:
    """A simplified text with its idioms as the table has them: 心里的石头终于落了地 without the adverb."""
    for pattern, word in load().patterns:
        text = pattern.sub(word, text)
    return text


def cut(text: str, also: frozenset[str] = frozenset()) -> list[str]:
    """Words of a simplified text, in order and without a gap; those of the table and `also` stay whole.

    >>> cut("店员显得忐忑不安。")
    ['店员', '显得', '忐忑不安', '。']
    """
    words = _cutter(also).lcut(text, HMM=False)
    return [part for word in words for part in (_parts(word) if len(word) > 2 else (word,))]


@lru_cache(maxsize=1 << 14)
def _parts(word: str) -> tuple[str, ...]:
    """A word of jieba's dictionary that holds a state in the parts that the rules look for: 太高兴, 开心起来."""
    table = load()
    if word in table.english or word in table.never:
        return (word,)
    for end in range(1, len(word)):
        first, rest = word[:end], word[end:]
        if rest in table.searched and (first in _DEGREE or first in _DENIALS) or first in table.searched \
                and len(first) > 1 and rest in _ENDINGS:
            return first, rest
    return (word,)


@lru_cache(maxsize=4)
def _cutter(also: frozenset[str]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # escapes in its patterns, of which Python 3.12 warns
        import jieba

    cutter = jieba.Tokenizer()
    # Read each time (0.5 s): jieba's own start goes through a marshalled cache in the shared folder of temporary
    # files, which anybody on the machine may have put there.
    with cutter.get_dict_file() as file:
        cutter.FREQ, cutter.total = cutter.gen_pfdict(file)
    cutter.initialized = True
    for word in (*load().english, *load().never, *sorted(also)):
        cutter.add_word(word)
    return cutter


def to_english(word: str) -> str | None:
    """The English word for a Chinese label in any form; "not X" for a denied one; None where it is unknown.

    >>> to_english("非常憤怒的"), to_english("不内疚"), to_english("愤怒和焦虑"), to_english("happy")
    ('angry', 'not guilty', 'angry', None)
    """
    return next(iter(meanings(word)), None)


@lru_cache(maxsize=1 << 14)
def meanings(label: str) -> tuple[str, ...]:
    """English words for a Chinese label, more than one where states fill it one after the other.

    >>> meanings("憤怒失望"), meanings("桌子")
    (('angry', 'disappointed'), ())
    """
    if not _HAN.search(label) or len(label) > LONGEST_LABEL:
        return ()
    plain = _NO_LETTER.sub("", simplify(label))
    state = _state(plain) or _denied(plain)
    return (state,) if state else _joined(plain)


def in_english(labels: Iterable[str]) -> tuple[str, ...]:
    """English words for labels of a list, in their order; what the table lacks stays as it is."""
    return tuple(dict.fromkeys(state for label in labels for state in meanings(label) or (label,)))


def _state(word: str) -> str | None:
    """The English word for what may have words of degree before it and an ending behind it."""
    english = load().english
    for start in _starts(word, _DEGREE):
        for rest in _without_endings(start):
            if rest in english:
                return english[rest]
    twice = _TWICE.fullmatch(word)
    return english.get(twice[1] + twice[2]) if twice else None


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


def _joined(word: str) -> tuple[str, ...]:
    """The states that fill a label ("愤怒失望", "愤怒和焦虑", "焦虑并害怕"); none where something else is in it."""
    for end in range(len(word) - 2, 1, -1):
        first = _state(word[:end])
        rest = word[end:].lstrip("和与及并且而又、")
        if first and (others := (_state(rest),) if _state(rest) else _joined(rest)):
            return (first, *others)
    return ()
