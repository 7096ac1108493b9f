"""Emotions that are named and not there: asked, supposed, pretended, wished, past. Pure functions over tokens."""

from __future__ import annotations

PRETENDING = frozenset(
    "pretend pretends pretending pretended feign feigns feigned feigning fake fakes faked faking simulate simulates "
    "simulated simulating sham mock false claims claiming claimed insincere imitates imitating imitate mimics "
    "rehearses play-acts exaggerated".split())
_NEAR_ALONE = frozenset(
    "pretended".split()) | frozenset(
    "mock false exaggerated fake faked feigned sham insincere simulated".split())
ACTING = frozenset(
    "act acts acting acted behave behaves behaving behaved pretend pretends pretending plays playing".split())
WISHING = frozenset("want wants wanted wanting wish wishes wished wishing".split())
_BEING = frozenset("be feel make look appear seem sound get become".split())
_WOULD = frozenset("would should ought supposed expected could've would've he'd she'd they'd".split())
_MASKS = frozenset("mask facade fa\u00e7ade front veneer".split())
_TRYING = frozenset("try tries trying tried attempt attempts attempting struggles".split())
_FILLING = frozenset("and of or".split())
_IMAGINING = frozenset("imagine imagines imagining imagined dreams dreaming fantasises fantasizes daydreams".split())
_SUBJECTS = frozenset("he she they it i we you the his her someone anyone".split())
_ONLY_ACTING = tuple(tuple(phrase.split()) for phrase in (
    "only acting", "just acting", "merely acting", "only pretending", "just pretending", "merely pretending",
    "only joking", "just joking", "just kidding", "only kidding", "for show", "putting on an act",
    "only playing a role"))
_CONDITIONS = frozenset("if unless lest supposing provided when once should".split())
_OF_THE_ANSWER = frozenset(
    "i we one emotion emotions emotional state label labels answer feeling mood it sentiment".split())

PAST_TIMES = frozenset("yesterday ago formerly previously once earlier".split())
_PAST_PHRASES = tuple(tuple(phrase.split()) for phrase in (
    "as a child", "as a kid", "as a boy", "as a girl", "in the past", "back then", "at that time", "in those days",
    "years before", "used to", "in childhood", "in his youth", "in her youth", "as a teenager",
    "at school", "last year", "last week", "last month", "last night", "last summer",
    "last winter", "the day before"))
_OVER = tuple(tuple(phrase.split()) for phrase in (
    "got over", "gets over", "getting over", "has overcome", "have overcome", "got past", "recovered from"))
_AFTER = tuple(("after", unit, "of") for unit in ("years", "months", "weeks", "days", "hours"))
_WHEN_YOUNG = tuple(("when", subject, "was", *age.split()) for subject in ("he", "she", "i") for age in (
    "young", "little", "small", "a child", "a boy", "a girl", "younger", "at school", "a student"))
_PAST_VERBS = frozenset("was were had felt used seemed looked appeared been became".split())
_FORMER = frozenset("earlier former previous past bygone initial once-great erstwhile".split())
_GONE = frozenset(
    "gone faded fades fade vanished vanishes disappeared disappears subsided subsides passed dissolved evaporated "
    "melted melts ebbed over".split())
_STOPPED = frozenset("stopped stops ceased ceases quit".split())
_REALLY = tuple(tuple(phrase.split()) for phrase in (
    "really", "actually", "in truth", "in reality", "in fact", "deep down", "inside", "inwardly", "secretly",
    "underneath", "truly", "at heart"))
_SHOWING = frozenset("seems seem appears appear looks look smiles laughs acts sounds outwardly".split())
IRONY = frozenset(
    "sarcastic sarcastically sarcasm ironic ironically irony mockingly tongue-in-cheek facetiously".split())
_SAYING = frozenset(
    "says say said claims tells told calls calling saying thanks congratulates praises compliments replies "
    "answers".split())


def _has(tokens: list[str], phrases) -> bool:
    return any(phrase[0] in tokens and any(tuple(tokens[index : index + len(phrase)]) == phrase
                                           for index in range(len(tokens) - len(phrase) + 1)) for phrase in phrases)


def is_asked(sentence: str) -> bool:
    """True for a question."""
    return sentence.rstrip(" \"')]").endswith("?")


def is_supposed(tokens: list[str], start: int, end: int, low: int, high: int) -> bool:
    """True where the emotion is one of a condition, a pretence, a wish or a doubt; its clause is [low, high)."""
    before = tokens[low:start]
    if {"whether", "suppose", "supposing", "assuming"} & set(before) or tokens[end : end + 1] and tokens[end] in _MASKS:
        return True
    if {"later", "soon", "tomorrow", "someday"} & set(tokens[end : end + 3]) \
            and {"might", "may", "could", "will"} & set(before):
        return True
    if _TRYING & set(before[-4:]) and {"appear", "look", "seem", "sound", "act"} & set(before[-2:]):
        return True
    for index, token in enumerate(before):
        if token not in ("if", "unless", "lest"):
            continue
        previous = tokens[low + index - 1] if low + index else ""
        if previous == "as":
            if ACTING & set(tokens[max(0, low + index - 6) : low + index - 1]):
                return True
        elif previous not in ("even",) and before[index + 1 : index + 2] != ["not"]:
            return True
    if "though" in before and tokens[max(0, low + before.index("though") - 1)] == "as" \
            and ACTING & set(tokens[max(0, low - 5) : start]):
        return True
    if low < start and tokens[low] in ("had", "were") and tokens[low + 1 : low + 2] and tokens[low + 1] in _SUBJECTS:
        return True  # "were she afraid"
    if {"may", "might", "could"} & set(before) and "have" in before and any(
            tokens[index] in ("if", "had") and tokens[index + 1 : index + 2] and tokens[index + 1] in _SUBJECTS
            for index in range(start + 1, len(tokens) - 1)):
        return True  # "he might have been happy had she stayed"
    if _IMAGINING & set(tokens[max(0, low - 2) : start]) or _has(tokens[start:], _ONLY_ACTING):
        return True
    near = before[-6:]
    if _WOULD & set(near) \
            and not _OF_THE_ANSWER & set(before[:5]) and "not" not in near:
        return True
    if "have" in near and {"could", "might", "should"} & set(near) and "been" in near and "may" not in near:
        return False
    if "will" in near and _CONDITIONS & set(tokens[:low]):
        return True
    pretending = [index for index, token in enumerate(near) if token in PRETENDING]
    if pretending and "not" not in near[pretending[-1] :]:
        if near[pretending[-1]] not in _NEAR_ALONE or pretending[-1] >= len(near) - 1 - (len(near) > 1) * (
                near[-1] in _FILLING) or near[pretending[-1] + 1 : pretending[-1] + 2] in (["to"], ["that"]):
            return True
    if ACTING & set(near[-2:]) and (near[-1] in ACTING or near[-1] == "like"):
        return True
    wishing = [index for index, token in enumerate(near) if token in WISHING]
    wished = set(near[wishing[-1] :]) if wishing else set()
    return "to" in wished and bool(_BEING & wished) or bool(wished & {"were", "could", "was"}) \
        or "expect" in near and "to" in near and bool(_BEING & set(near))


def is_past(tokens: list[str], start: int, end: int, low: int, high: int) -> bool:
    """True where the emotion is over."""
    before, after = tokens[low:start], tokens[end:high]
    if before[-1:] and before[-1] in ("formerly", "previously", "once") \
            or before[-1:] and before[-1] in _STOPPED and tokens[start].endswith("ing") \
            or _has(before[-4:], _OVER) or _has(before[-6:], _AFTER):
        return True
    if tokens[end : end + 1] in (["that"], ["which"]) and {"felt", "had"} & set(tokens[end + 1 : end + 4]) \
            and PAST_TIMES & set(tokens[end : end + 8]):  # "the fear that she felt a week ago"
        return True
    lasting = after[:1] == ["for"] and {"days", "weeks", "months", "years"} & set(after[1:4])
    if {"was", "were"} & set(before) and (lasting or _has(tokens[:start], _WHEN_YOUNG)):
        return True
    if _FORMER & set(before[-2:]) or _STOPPED & set(before[-3:]) and {"being", "feeling"} & set(before[-2:]):
        return True
    if _GONE & set(after[:3]) and {"is", "has", "have", "are", "was", "had", "slowly", "quickly"} & set(after[:2]) \
            or after[:1] and after[0] in _GONE - {"over", "passed"}:
        return True
    clause = before + after
    if ["used", "to"] == before[-3:-1] or _has(before[-4:], [("used", "to")]):
        return True
    if _PAST_VERBS & set(before[-6:]) and (
            PAST_TIMES & set(before) or PAST_TIMES - {"once"} & set(after[:4]) or _has(clause, _PAST_PHRASES)):
        return not {"still", "now"} & set(before + after[: after.index("and") if "and" in after else None])
    if _has(after[:3], [("had", "been")]):  # "how frightened he had been"
        return True
    if _PAST_VERBS & set(after[:3]) and _has(tokens[end : end + 6], _PAST_PHRASES):  # "how ashamed she felt back then"
        return True
    return _has(before[-4:], [("had", "been")]) or _has(before[-5:], [("had", "once", "been"), ("had", "felt")])


def is_shown_only(tokens: list[str], start: int) -> bool:
    """True where the emotion is a show, and what is really felt comes after a "but"."""
    if not _SHOWING & set(tokens[max(0, start - 4) : start]):
        return False
    turn = next((index for index in range(start, len(tokens)) if tokens[index] in ("but", "although", "though")), None)
    return turn is not None and _has(tokens[turn:], _REALLY)


def is_said_in_irony(tokens: list[str], start: int) -> bool:
    """True where a pleasant word is said with irony: "he calls it, sarcastically, wonderful"."""
    return bool(IRONY & set(tokens)) and bool(_SAYING & set(tokens[max(0, start - 8) : start + 1]))
