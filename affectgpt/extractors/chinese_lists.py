"""Chinese answers that are a list of labels, and what else they state outright: polarity and valence.

    listed("[生气,愤怒]")                     ->  ["生气", "愤怒"]
    listed("主要情绪:愤怒\n次要情绪:失望")      ->  ["愤怒", "失望"]
    listed("他很生气,因为对方迟到了。")         ->  None: a description
"""

from __future__ import annotations

import json
import re

from affectgpt.extractors.chinese_refusals import CLASSES
from affectgpt.words import chinese, lexicon

LONGEST_LABEL = 12
"""Characters."""
LONGEST_LIST = 4_000

_HAN = re.compile("[\u3400-\u9fff]")
_STATE = r"(?:情绪|情感|感情|心情|心理|心态|情緒)"
_IN_HEADING = r"(?:[^\s:,。;!?、()]|(?<=[A-Za-z])[ ])"
_HEADING = (rf"(?:{_IN_HEADING}{{0,12}}?"
            rf"(?:{_STATE}(?:状态|类别|标签|类型|表现|词|关键词|分类|识别|判断|结果|答案|列表|体验|反应|特征|推断|分析)*|标签|答案|结论|情绪词|关键词|"
            rf"labels?|emotions?|answer){_IN_HEADING}{{0,6}})")
_LINE_START = r"(?:^|\n|(?<=[。;!?.,\s]))\s*(?:[-*•·]|\(?\d{1,2}[.、)]|[一二三四五六]、)?\s*"
_HEADED = re.compile(rf"{_LINE_START}({_HEADING})\s*:\s*", re.IGNORECASE)
_ANY_HEADING = re.compile(rf"{_LINE_START}{_IN_HEADING}{{1,14}}\s*:")
_POLARITY_HEADING = re.compile("极性|倾向|正负|效价|得分|分数|强度|程度|依据|理由|原因|解释|说明|变化|来源|触发|背景")
_REASONING_HEADING = re.compile("分析|线索|依据|理由|原因|解释|说明|表现|变化|特征")
_FINAL_HEADING = re.compile("结论|最终|答案|综合|总结")
_SENTENCE_LEAD = re.compile(
    rf"^(?:因此|所以|综上(?:所述)?|总之|综合来看|可以)?,?(?:我(?:们)?(?:认为|推测|推断|判断)?)?(?:可以)?(?:推测|推断|判断|看出|认为)?(?:出)?"
    rf"[^,。:\n]{{0,16}}?(?:(?:主要|整体|当前|此刻|此时|表现出|表达|流露出|传达|呈现|最终|真实|可能)的?)*(?:{_STATE}(?:状态|标签|类别|表现|词)?|标签|答案)"
    r"(?:可能|应该|主要|大致|大概|分别|可以)?(?:是|为|有|包括|包含|归纳为|概括为|描述为|判断为|识别为|属于|表现为|总结为)+了?(?:以下几种|如下)?:?\s*")
_BULLET = re.compile(r"\s*(?:[-*+•·●]\s*|[(]?\d{1,3}[.、):]\s*|[一二三四五六七八九十]{1,2}[、.]\s*|[(][一二三四五六]\)\s*|[①-⑩]\s*)")
_NUMBERED = re.compile(r"(?:^|(?<=[;,。\n]))\s*[一二三四五六七八九十]{1,2}、")
_SEPARATOR = re.compile(r"[,、;/|\n\t]+|(?<=[^\W\d_A-Za-z])\s+(?=[^\W\d_A-Za-z])|\s+(?:和|与|及|或|and|or)\s+|"
                        r"(?<=[a-z])\s*(?:和|与|及|以及|或)\s*|\s*(?:和|与|及|以及|或)\s*(?=[a-z])", re.IGNORECASE)
_JOIN = re.compile("以及|并且|或者|和|与|及|或|并|且")
_WRAP = " \t\r\n\"'“”‘’「」『』[]{}【】<>《》()。.!?*`~_-•·:,、;"
_ASIDE = re.compile(r"\(([^()]{0,40})\)")
_REMARK = re.compile(r"(?:[:=—-]\s*)?(?:\d+(?:\.\d+)?\s*[%分]?|高|中|低|强|弱|较强|较弱)$")
_NONE = frozenset("无 没有 无法判断 未知 不确定的 不详 暂无 是 否 好 好的 空".split())
_POLARITIES = {word: polarity for polarity, words in {
    "positive": "积极 正面 正向 正性 正 积极的 正面的 正向的 乐观 positive", "neutral": "中性 中立 中性的 中立的 neutral",
    "negative": "消极 负面 负向 负性 负 消极的 负面的 负向的 negative"}.items() for word in words.split()}
_POLARITY_WORD = "|".join(sorted(_POLARITIES, key=len, reverse=True))
_POLARITY_STATED = re.compile(
    rf"(?:极性|倾向性?|{_STATE}(?:状态|倾向|极性|类别|基调|色彩)?|态度|基调)"
    rf"(?:[^,。;\n]{{0,8}}?(?:是|为|偏向?于?|属于|呈现?)|:)\s*(?:偏|较为|比较|明显|非常)?[\"“'\[]?({_POLARITY_WORD})"
    rf"(?![、/|和与及]|或|还是|情绪词)", re.IGNORECASE)
_POLARITY_ALONE = re.compile(rf"\W*(?:偏)?({_POLARITY_WORD})(?:情绪|情感|态度)?\W*", re.IGNORECASE)
_VALENCE = re.compile(r"(?:效价|得分|分数|评分|打分|极性值?|情感值|情绪值|强度)[^\d\n。;+-]{0,12}([-+]?\d+(?:\.\d+)?)(?![\d%])")
_NUMBER_ALONE = re.compile(r"\W*?([-+]?\d+(?:\.\d+)?)\W*")
_VERBS = re.compile("因为|由于|认为|说话|说道|看着|看起来|听起来|视频|画面|字幕|这句话|他|她|我|你|对方|表明|表示|显示|可以|可能是|皱|眼|嘴|眉|声音|语速|音")


def listed(text: str) -> list[str] | None:
    """Labels, as they stand, of a simplified answer that is a list; None for a description.

    A list is: brackets, JSON, headings of emotions, bulleted or numbered lines, "情绪是A和B" alone, words between commas
    of which half are known, one or two words alone.
    """
    text = text.strip()
    if not text or len(text) > LONGEST_LIST:
        return None
    values = _of_json(text)
    if values is not None:
        return values
    if re.fullmatch(r"[\[【{].*[\]】}][.。]?", text, re.DOTALL):
        return split(text)
    headed = _headed(text)
    if headed is not None:
        return headed
    lines = [line for line in text.splitlines() if line.strip()]
    if len(lines) > 2 and lines[0].rstrip().endswith(":"):
        lines = lines[1:]
    if len(lines) > 1 and all(map(_BULLET.match, lines)):
        labels = split("\n".join(_BULLET.sub("", line, count=1) for line in lines))
        return labels if _short(labels) and _half_known(labels) else None
    body = _without_polarity(text)
    if not body:
        return []
    lead = _SENTENCE_LEAD.match(body)
    labels = split(body)
    if not labels or not _short(labels):
        return [] if not labels and body.strip(_WRAP) in _NONE else None
    if len(labels) == 1 and len(body) <= 5:  # one bare word, known or not
        return labels
    if not lead and any(len(label) > 4 and not known(label) for label in labels):
        return None
    return labels if _half_known(labels) and (len(labels) > 1 or lead or known(labels[0])) else None


def split(text: str) -> list[str]:
    """Labels between separators; 和 separates where both sides are known states."""
    labels: list[str] = []
    text = _NUMBERED.sub("\n", text)
    for part in _SEPARATOR.split(_ASIDE.sub(lambda match: f",{match[1]}," if known(match[1]) else "", text)):
        part = _BULLET.sub("", part, count=1).strip(_WRAP)
        lead = _SENTENCE_LEAD.match(part)
        part = part[lead.end():].strip(_WRAP) if lead else part
        part = _REMARK.sub("", part).strip(_WRAP)
        pieces = [piece.strip(_WRAP) for piece in _JOIN.split(part)]
        whole = len(pieces) < 2 or not all(piece and known(piece) for piece in pieces)
        for label in [part] if whole else pieces:
            label = label.lower()
            if label and label not in _NONE and label not in labels:
                labels.append(label)
    return labels


def known(label: str) -> bool:
    """Whether a label, in Chinese or English, is a state of the tables."""
    if _HAN.search(label):
        return bool(chinese.meanings(label))
    return lexicon.load().family(label) is not None


def stated_polarity(text: str) -> str | None:
    """The polarity that a simplified answer states ("情感极性:消极", "整体情绪是积极的"); the last one."""
    text = CLASSES.sub("", text[-LONGEST_LIST:])
    found = _POLARITY_STATED.findall(text)
    alone = _POLARITY_ALONE.fullmatch(text) if len(text) < 40 else None
    word = found[-1] if found else alone[1] if alone else None
    return _POLARITIES[word.lower()] if word else None


def stated_valence(text: str) -> float | None:
    """The number that a simplified answer states as valence ("情感得分为-0.8"), or that is all of it."""
    found = _VALENCE.search(text[:LONGEST_LIST]) or (_NUMBER_ALONE.fullmatch(text) if len(text) < 100 else None)
    return float(found[1]) if found else None


def _of_json(text: str) -> list[str] | None:
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        table = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    labels: list[str] = []
    for key, value in table.items() if isinstance(table, dict) else ():
        if _POLARITY_HEADING.search(key) or not re.fullmatch(_HEADING, key, re.IGNORECASE):
            continue
        parts = value if isinstance(value, list) else [value]
        labels += [label for part in parts if isinstance(part, str) for label in split(part)]
    return list(dict.fromkeys(labels))


def _headed(text: str) -> list[str] | None:
    """Labels below headings that announce emotions; those of a conclusion alone where one has some."""
    found: list[tuple[bool, list[str]]] = []
    stops = [match.start() for match in _ANY_HEADING.finditer(text)]
    for match in _HEADED.finditer(text):
        if _POLARITY_HEADING.search(match[1]):
            continue
        end = next((stop for stop in stops if stop >= match.end()), len(text))
        value = text[match.end() : end].strip()
        lines = [line for line in value.splitlines() if line.strip()]
        if not (len(lines) > 1 and all(map(_BULLET.match, lines))):
            value = re.split(r"\n|(?<=[。!?.])(?!\d)", value, maxsplit=1)[0]
        labels = split(value)
        if labels and _short(labels) and _half_known(labels):
            found.append((bool(_FINAL_HEADING.search(match[1])), labels))
    if not found:
        return None
    final = [labels for is_final, labels in found if is_final]
    return list(dict.fromkeys(label for labels in final or [labels for _, labels in found] for label in labels))


def _short(labels: list[str]) -> bool:
    return all(known(label) or len(label) <= LONGEST_LABEL and not _VERBS.search(label) for label in labels)


def _half_known(labels: list[str]) -> bool:
    return 2 * sum(map(known, labels)) >= len(labels)


def _without_polarity(text: str) -> str:
    """A short answer without its sentence about polarity, where there is another one."""
    sentences = [part for part in re.split(r"(?<=[。!?;])\s*|\n", text) if part.strip()]
    others = [part for part in sentences if not _POLARITY_STATED.search(part)]
    return "\n".join(others or sentences).strip()
