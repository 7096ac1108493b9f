"""The rating 0 to 10 that a judge's answer gives: read where it is said, never guessed.

A rating is said as a share of ten ("8 out of 10", "7 on a scale from 0 to 10"), after a word for it ("Score: 9"), in
points ("8 points", in Chinese too), at the very beginning, or as the one number that the answer has. Numbers of
something else (clues, steps, the ends of the scale, percent) are none. Ratings that contradict each other, ranges ("7
or 8") and shares of another scale ("4/5") are unreadable.
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = {word: number for number, word in enumerate(
    "zero one two three four five six seven eight nine ten".split())}
_CHINESE = {sign: number for number, sign in enumerate("零一二三四五六七八九十")} | {"〇": 0, "两": 2}

_TAG = re.compile(r"<[^<>\n]{1,40}>")
_DIGITS = r"(?<![\d.,/-])(\d{1,3}(?:\.\d+)?)(?![\d%])"
_SAID = rf"(?:{_DIGITS}|\b({'|'.join(_WORDS)})\b|([{''.join(_CHINESE)}]))"
_TEN = r"(?:10(?:\.0+)?(?![\d.]*\d|%)|ten\b|十)"
_GAP = r"[\s*_\"'`]*"

_SCALE = re.compile(
    r"""\(?\b(?:on|from|in|of|using|with|between)?\s*(?:a|an|the)?\s*(?:scale|range)?\s*(?:of|from|between|is|:)?\s*
         [01]\s*(?:-|–|—|~|to|and|through|\.\.)\s*(?:10|ten)\b(?!\s*/)(?:\s*(?:scale|range|points?))?\)?
        |\(?(?:on|in|using|with)\s+(?:a|the)\s+(?:10|ten)[\s-]*point\s+scale\)?
        |\bout\s+of\s+(?:a\s+possible\s+)?(?:10|ten)\b|\(?\bmax(?:imum)?\.?\s*(?:is|of|:)?\s*10\b\)?|最高\s*(?:10|十)\s*分?
        |从?\s*[01零一]\s*(?:分)?\s*(?:到|至|-|~)\s*(?:10|十)\s*(?:分)?(?:之间|的?范围)?
        |(?:满分|总分)\s*(?:为|是|:)?\s*(?:10|十)\s*分?|(?:10|十)\s*分(?:为|是)?(?:满分|制)""", re.IGNORECASE | re.VERBOSE)
_ENDS = re.compile(r"\b(?:0\s*(?:=|for|means|being|is|:)[^\d]{1,80}\b10\s*(?:=|for|means|being|is|:)[^\d.;\n)]{0,60}"
                   r"|10\s*(?:=|for|means|being|is|:)[^\d]{1,80}\b0\s*(?:=|for|means|being|is|:)[^\d.;\n)]{0,60})",
                   re.IGNORECASE)
_OF_TEN = re.compile(rf"{_SAID}{_GAP}(?:分|points?)?{_GAP}(?:/|\(?\s*(?:out\s+)?of"
                     rf"|on\s+(?:a\s+|the\s+)?scale\s+(?:of|to)|over|from|in){_GAP}{_TEN}", re.IGNORECASE)
_TENTHS = re.compile(rf"(?:十|10)\s*分之\s*(?:{_DIGITS}|([{''.join(_CHINESE)}]))")
_OF_OTHERS = re.compile(r"\d+(?:\.\d+)?\s*(?:/|(?:out\s+)?of(?:\s+the)?)\s*\d+(?:\.\d+)?", re.IGNORECASE)
_RANGE = re.compile(r"\bbetween\s+\d+\s+and\s+\d|\d\s*(?:分)?\s*(?:-|–|—|~|to|or|到|至|或|→|->)\s*\d", re.IGNORECASE)
_NAMED = re.compile(rf"""(?:\b(?:score|rating|overlap|grade|mark|rated?|answer|value|evaluation)(?:ed|s)?\b
                        |评分|得分|分数|打分|评价|评级|重叠度|相似度)
                        (?:\s*\([^()\d]*\))?[\s*_"'`]*(?:\w+\s+){{0,3}}?(?:[:=：]|\b(?:is|as|at|of|it|them)\b
                        |为|是|给)?[\s*_"'`(\[]*{_SAID}(?!\s*[.)]?\s*(?:clues?|states?|emotions?|labels?|steps?)\b)""",
                    re.IGNORECASE | re.VERBOSE)
_POINTS = re.compile(rf"(?:{_DIGITS}\s*(?:points?\b|分(?![之钟以]))|([{''.join(_CHINESE)}])\s*分(?![\u4e00-\u9fff]))",
                     re.IGNORECASE)
_WHOLE = re.compile(rf"\W*{_SAID}\W*")
_FIRST = re.compile(rf"[\s*_\"'`(\[]*{_DIGITS}[*_\"'`)\]]*\s*(?:$|[\n,;:(\u2013\u2014-]|\.\s*(?=[^\s\d]))")
_LISTED = re.compile(r"(?:^|\n)\s*(?:[(]?\d{1,2}[.)]\s|[-*]\s)")
_COUNTED = re.compile(r"(?:clues?|states?|emotions?|labels?|descriptions?|person|step|part|point|line|text|number"
                      r"|no\.|#)"
                      r"\s*\(?\d+(?:\s*(?:,|and|&|to|-)\s*\d+)*\)?|\d+(?:st|nd|rd|th)\b|(?:线索|第)\s*\d+", re.IGNORECASE)
_ALONE = re.compile(rf"{_DIGITS}(?=\s*(?:$|[\n.,;:!?)\]*\"'。，；！）}}]))")


def parse_rating(answer: str) -> float | None:
    """The rating 0 to 10 of a judge's answer; None where it gives none, several, or one of another scale.

    >>> [parse_rating(text) for text in ("8 out of 10", "I rate it 7 on a scale from 0 to 10", "7 or 8", "4/5", "8分")]
    [8.0, 7.0, None, None, 8.0]
    """
    text = unicodedata.normalize("NFKC", answer).replace("\u2215", "/").replace("\u2044", "/").strip()
    text = _ENDS.sub(" ", _TAG.sub(" ", text))
    whole = _WHOLE.fullmatch(text)
    if whole:
        return _only([_value(whole)]) if not re.match(r"\W*[-\u2212]\s*\d", text) else None
    said = [_value(found) for pattern in (_OF_TEN, _TENTHS) for found in pattern.finditer(text)]
    rest = _SCALE.sub(" ", _TENTHS.sub(" ", _OF_TEN.sub(lambda found: f"{_text(found)} ", text)))
    if _RANGE.search(rest):
        return None
    others = bool(_OF_OTHERS.search(rest))
    rest = _OF_OTHERS.sub(" ", rest)
    said += [_value(found) for found in _NAMED.finditer(rest)]
    said += [_value(found) for found in _POINTS.finditer(rest)]
    first = _FIRST.match(rest)
    if first and not (_LISTED.match(rest) and (len(_LISTED.findall(rest)) > 1 or _value(first) == 1)):
        said.append(_value(first))
    if said or others and not _ALONE.search(_COUNTED.sub(" ", rest)):
        return _only(said)
    return _only([_value(found) for found in _ALONE.finditer(_COUNTED.sub(" ", rest))])


def _text(found: re.Match[str]) -> str:
    return next(group for group in found.groups() if group)


def _value(found: re.Match[str]) -> float:
    text = _text(found).lower()
    return float(_WORDS.get(text, _CHINESE.get(text, text)))


def _only(values: list[float]) -> float | None:
    """The one value that all say, if it is a rating."""
    return values[0] if len(set(values)) == 1 and 0 <= values[0] <= 10 else None
