"""Labels of Chinese answers, and of those that mix Chinese with English: lists, descriptions, refusals.

    extract("他并不生气,只是有点失望。")       ->  (["disappointed"], "negative")
    extract("主要情绪：憤怒\n次要情绪：失望")    ->  (["angry", "disappointed"], "negative")
    is_refusal("抱歉，我无法识别视频中人物的情绪。")  ->  True

Labels are English words of the lexicon, so that scores count them; a label of a list that the table lacks stays
Chinese. The rules are those of `extractors.rules`, with the same switches and weights.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from affectgpt.extractors import chinese_grammar as grammar
from affectgpt.extractors import chinese_lists as lists
from affectgpt.extractors import chinese_people as people
from affectgpt.extractors import refusals, rules
from affectgpt.extractors.chinese_refusals import without_boilerplate
from affectgpt.extractors.language import CHARACTERS_A_WORD
from affectgpt.words import chinese, lexicon
from affectgpt.words.chinese import to_english

VERSION = "affectgpt-rules-zh 1"
"""Name and version of this extractor, as rows and results have it."""

MORE_TOLD = 20
"""Characters beside "nothing can be told" from which on a text tells something, though no emotion."""

__all__ = ["Answer", "extract", "is_refusal", "read", "to_english"]

_HAN = re.compile("[\u3400-\u9fff]")
_LATIN_WORD = re.compile(r"[A-Za-z][A-Za-z']+")
_SPEECH = re.compile(
    "(?:字幕|台词|原文|文本)(?:内容)?:[^。!?\n~]*(?!~)|"
    r"\b(says?|said|reads?|subtitles?|transcript)[:,]?\s*[\u3400-\u9fff][\u3400-\u9fff,、]*")
"""What is said, without quotation marks."""
_PEOPLE_AROUND = re.compile("(?:周围|身边|旁边|身旁|在场|在座|其他|其余)(?:所有)?的?人们?")
_OTHERS_CONDUCT = frozenset(
    "mockery critical contempt hostile hatred disgust comforting caring teasing admiration agreement skeptical".split())
"""What others do to somebody: of 被嘲笑 and 受到指责 it is theirs."""
_CHINESE_RUN = re.compile("[\u3400-\u9fff]+")


@dataclass(frozen=True)
class Answer:
    """What a Chinese answer says.

    Attributes:
        labels: in the order of the text.
        sentiment: of a description, by its words; None for a list, whose labels vote.
        is_list: the answer is a list of labels.
        refused: there is no answer: a refusal, or nothing can be told.
        stated: the polarity that the answer states; valence: the number that it states.
    """

    labels: tuple[str, ...] = ()
    sentiment: str | None = None
    is_list: bool = False
    refused: bool = False
    stated: str | None = None
    valence: float | None = None


def extract(text: str) -> tuple[list[str], str]:
    """Labels and sentiment of a Chinese answer; no labels and "neutral" where it names no emotion."""
    answer = read(text)
    return list(answer.labels), answer.stated or answer.sentiment or rules.vote(answer.labels, lexicon.load())


def is_refusal(text: str) -> bool:
    """True where an answer refuses, or says that nothing can be told, and names no emotion."""
    return read(text).refused


def read(text: str, as_lists: bool = True) -> Answer:
    """What an answer says. as_lists: read lists as lists; False describes everything."""
    plain = chinese.simplify(text).strip()
    facts = {"stated": lists.stated_polarity(plain), "valence": lists.stated_valence(plain)}
    labels = lists.listed(plain) if as_lists else None
    if labels and not refuses(plain):
        return Answer(_without_polarities(chinese.in_english(labels)), is_list=True, **facts)
    found = describe(plain)
    if not found.labels:
        rest = without_boilerplate(plain)
        untold = rest.untold and len(rest.text) < MORE_TOLD
        if rest.refused or untold or refusals.without_boilerplate(plain).refused:
            return Answer(refused=True, **facts)
        if labels is not None:
            return Answer(is_list=True, **facts)
    return Answer(found.labels, found.sentiment, **facts)


def refuses(text: str) -> bool:
    """Whether nothing of a simplified text is left beside refusals."""
    rest = without_boilerplate(text)
    return not rest.text and (rest.refused or rest.untold)


def describe(text: str) -> rules.Extraction:
    """Labels and sentiment of a description."""
    return rules.extractor().of_mentions(list(mentions(text)))


@lru_cache(maxsize=1)
def _surface() -> dict[str, str]:
    return {word: family for word, family in lexicon.load().surface_words().items() if word not in rules.NO_STATES}


def _without_polarities(labels: tuple[str, ...]) -> tuple[str, ...]:
    table = lexicon.load()
    others = tuple(label for label in labels if table.family(label) not in rules.POLARITY_FAMILIES)
    return others or labels


def mentions(text: str) -> Iterator[rules.Mention]:
    """Every emotion word of a text, in order, also those that a rule drops; behaviour where there is no other."""
    plain = _SPEECH.sub(r"\1 ~", _without_quotes(chinese.simplify(text)))
    plain = _PEOPLE_AROUND.sub("旁人", plain)
    plain = chinese.with_plain_idioms(without_boilerplate(plain).text)
    sentences = grammar.sentences(plain)
    words = [chinese.cut(sentence, people.PEOPLE) for sentence in sentences]
    main = people.main_of([word for part in words for word in part])
    found: list[rules.Mention] = []
    english: list[str] = []
    for sentence, parts in zip(sentences, words, strict=True):
        if _is_english(sentence):
            english.append(sentence)
            continue
        found += _in_english(english)
        english = []
        found += _in_sentence(sentence, parts, main, _find)
    found += _in_english(english)
    if rules.extractor().rules.behaviour and all(mention.dropped_by or mention.family in rules.POLARITY_FAMILIES
                                            for mention in found):
        for sentence, parts in zip(sentences, words, strict=True):
            if not _is_english(sentence):
                found += _in_sentence(sentence, parts, main, _find_behaviour)
    yield from found


def _without_quotes(text: str) -> str:
    """A text without what stands in quotation marks; an emotion word alone in them stays."""
    def replace(match: re.Match) -> str:
        inside = next((group for group in match.groups() if group is not None), "")
        return inside if len(inside) <= 4 and to_english(inside) or inside.lower() in _surface() else "~"

    return grammar.QUOTES.sub(replace, text)


def _is_english(sentence: str) -> bool:
    """Whether a sentence of two languages is an English one."""
    latin = len(_LATIN_WORD.findall(sentence))
    chinese_letters = len(_HAN.findall(sentence))
    return latin > 2 and latin > chinese_letters / CHARACTERS_A_WORD or latin > 0 and not chinese_letters


def _in_english(sentences: list[str]) -> Iterator[rules.Mention]:
    """Mentions of English sentences, their Chinese emotion words translated."""
    if sentences:
        text = _CHINESE_RUN.sub(lambda match: f" {', '.join(chinese.meanings(match[0])) or match[0]} ",
                                "\n".join(sentences))
        yield from rules.extractor().mentions(refusals.without_boilerplate(text).text)


def _find(words: list[str]) -> Iterator[tuple[int, str]]:
    """(place, English word) of the emotion words among the words of a sentence."""
    table, surface = chinese.load(), _surface()
    for place, word in enumerate(words):
        if word in table.searched:
            yield place, table.english[word]
        elif len(word) > 2 and word not in table.never and word not in table.behaviour and (
                states := chinese.meanings(word)):
            if not states[0].startswith("not "):  # 开心起来, 高高兴兴
                yield place, states[0]
        elif word.isascii() and word.lower() in surface:
            yield place, word.lower()


def _find_behaviour(words: list[str]) -> Iterator[tuple[int, str]]:
    behaviour = chinese.load().behaviour
    return ((place, behaviour[word]) for place, word in enumerate(words) if word in behaviour)


def _in_sentence(sentence: str, words: list[str], main: str | None, find) -> Iterator[rules.Mention]:
    found = list(find(words))
    if not found:
        return
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    places = {place for place, _ in found}
    masked = "".join("#" * len(word) if place in places or word in chinese.load().searched else word
                     for place, word in enumerate(words))
    others = people.others_feel(words, places, main)
    conclusion, switches, table = grammar.conclusion_start(sentence), rules.extractor().rules, lexicon.load()
    for place, label in found:
        start, end = starts[place], starts[place + 1]
        denial = grammar.denial(masked, start, end) if switches.negation else None
        if denial == "understated" and table.polarity(label) == "positive" and table.family(f"not {label}"):
            label, denial = f"not {label}", None
        other = others[place] or label in _OTHERS_CONDUCT and grammar.is_done_to_somebody(masked, start)
        weight = switches.conclusion if conclusion is not None and start >= conclusion else 1.0
        if words[place] in chinese.load().signs:
            weight *= switches.signs
        yield rules.Mention(label, table.family(label), weight,
                            _dropped_by(sentence, masked, start, end, denial, other, switches))


def _dropped_by(sentence, masked, start, end, denial, other, switches) -> str | None:
    """Name of the rule by which the word is no reading of the main character's emotion now; None where it is."""
    if denial:
        return "negation"
    if switches.other_person and (other or grammar.is_of_anybody(masked, start)):
        return "other_person"
    if switches.unreal and grammar.is_unreal(sentence, masked, start, end):
        return "unreal"
    if switches.past and grammar.is_past(masked, start, end):
        return "past"
    return "topics" if switches.topics and grammar.is_of_a_thing(masked, start, end) else None
