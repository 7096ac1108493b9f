"""What an answer says that is about the one who answers and not about the clip: refusals and boilerplate.

    without_boilerplate("I'm sorry, but I can't identify emotions.")    ->  ("", True)
    without_boilerplate("I can't see the face, but she sounds sad.")    ->  ("she sounds sad.", True)
"""

from __future__ import annotations

import re
from typing import NamedTuple

_ABLE = (r"comfortable|help|assist|identif|determin|infer|analy[sz]|recogni[sz]|see|view|watch|access|hear|listen|"
         r"process|provide|"
         r"tell|describe|comply|fulfil|answer|predict|judge|assess|speculat|guess|comment|discuss|discern|interpret|"
         r"label|classif|detect|open|play|load|do that|continue|engage|feel|feelings?|emotions?|abilit|capab|certain|"
         r"sure|information|context|draw|make|support|complete|perform|evaluat|conclude")
_DECIDE = (r"determine|tell|say|identify|know|infer|predict|conclude|ascertain|discern|assess|judge|pinpoint|give|"
           r"draw|recogni[sz]e|make|interpret")
_MEDIA = r"(?:video|audio|image|picture|clip|media|file|frame|attachment|recording|footage|photo)s?"

_REFUSAL = re.compile(
    # I cannot ..., I am unable to ..., I must decline
    rf"\b(?:i|we)(?:'m|'re)?\s+(?:\w+\s+){{0,3}}?(?:can't|cannot|can not|couldn't|could not|won't|will not|unable|"
    rf"not able|not allowed|not permitted|not programmed|not designed|not capable|incapable|don't have|do not have|"
    rf"lack|not going to|not comfortable|decline|rather not|prefer not)\b[^.!?;]{{0,80}}?\b(?:{_ABLE})"
    r"|\b(?:i|we)\s+(?:must|have to|need to|respectfully|will)?\s*(?:decline|refuse)\b"
    r"|\b(?:i|we)(?:'d| would) (?:rather|prefer) not\b|\b(?:i|we) (?:do not|don't|would not) feel comfortable\b"
    r"|\bunable to (?:help|assist|comply|process|view|watch|access|fulfil|provide)\w*"
    # who I am
    r"|\bas an? (?:ai|artificial|large language|language|text-based|text based|virtual|digital|chat)\b"
    r"|\bi(?:'m| am) (?:just |only |also )?an? (?:ai|artificial|large language|language|text-based|virtual|chat|"
    r"digital)\b"
    # nothing was shown
    rf"|\b(?:no|without(?: an?| any| the)?) (?:\w+ )?{_MEDIA} (?:\w+ ){{0,3}}?(?:provided|attached|given|shared|"
    r"uploaded|included|received|found|available|supplied)\b"
    rf"|\b{_MEDIA} (?:\w+ ){{0,4}}?(?:isn't|is not|wasn't|was not|hasn't|has not|cannot be|can't be|could not be|"
    r"couldn't be|did not|didn't|failed|seems? to be missing|is missing)\b[^.!?;]{0,25}?(?:provided|attached|"
    r"included|uploaded|load|open|access|available|shared|play|come through|missing)"
    r"|\bplease (?:\w+ )?(?:provide|upload|share|attach|send|resend|supply)\b"
    r"|\bforg[oe]t(?:ten)? to (?:attach|include|upload|send|provide|share)\b"
    r"|\b(?:request|task|query|question|prompt) (?:cannot|can't|could not|can not) be (?:\w+ )?(?:completed|fulfil\w*|"
    r"processed|answered|handled|carried out)"
    # rules
    r"|\b(?:goes|is|be|would be) against (?:my|our|the)\b|\bviolat\w+ (?:my|our|the|privacy)\b"
    r"|\b(?:not (?:appropriate|ethical|acceptable)|inappropriate|unethical|irresponsible) (?:for me )?to\b"
    r"|\b(?:my|our) (?:guidelines|policy|policies)\b",
    re.IGNORECASE)
_NOTHING_TOLD = re.compile(
    rf"\b(?:not possible|impossible|difficult|hard|challenging|not clear|unclear|too early|tough)\b[^.!?;]{{0,60}}?"
    rf"\b(?:{_DECIDE})"
    r"|\b(?:cannot|can't|can not|could not|couldn't) be (?:\w+ )?(?:determined|inferred|identified|told|concluded|"
    r"discerned|assessed|known|recogni[sz]ed|predicted|judged|ascertained)"
    r"|\b(?:not enough|\w+n't enough|not sufficient|insufficient|too little|lack of|"
    r"no(?: specific| clear| direct)?)\s"
    r"(?:visual |contextual |further |relevant )?(?:information|context|evidence|clues?|cues?|detail)\b"
    r"|\b(?:does not|doesn't|do not|don't|did not) (?:\w+ )?(?:provide|contain|give|offer|include)\b[^.!?;]{0,60}?"
    r"\b(?:information|clues?|cues?|details?|evidence|context|signs?|indication)"
    r"|\b(?:i|we)(?:'m| am| are)? not (?:\w+ )?(?:sure|certain)\b"
    r"|\btoo (?:dark|blurr?y|blurred|short|small|unclear|noisy|vague|grainy|quiet|low|brief|fast)\b[^.!?;]{0,30}?"
    rf"\bto (?:be able to )?(?:{_DECIDE}|see|hear|recogni|analy)"
    r"|\A\W*(?:i (?:do not|don't) know|i have no idea|no idea|unknown|unclear|undetermined|indeterminate|no answer|"
    r"no response|cannot tell|can't tell)\W*\Z",
    re.IGNORECASE)
_BOILERPLATE = re.compile(
    r"\A\W*(?:(?:i|we)(?:'m| am| are)? (?:\w+ )?)?(?:sorry|apolog\w+)\b"
    r"|\bmy apologies\b|\bi(?:'d| would) (?:love|like|be honou?red) to\b|\bi (?:understand|appreciate|share) your\b"
    r"|\bi(?:'m| am|'d be| would be|'ll be| will be)? (?:\w+ )?(?:happy|glad|pleased|delighted|excited|eager|here) to "
    r"(?:\w+ )?(?:help|assist|describe|provide|answer|analy|share|explain|tell|try|offer|discuss|be of)"
    r"|\bi hope (?:this|that|it|the above|my)\b|\bhope (?:this|that) helps\b|\bfeel free to\b|\blet me know\b"
    r"|\A\W*thank(?:s| you) for (?:sharing|providing|the|your|asking)\b|\bgreat question\b"
    r"|\A\W*(?:certainly|sure|of course|absolutely|gladly|with pleasure)\s*[,!.:]"
    r"|\b(?:please note|important to (?:note|remember|consider|recogni[sz]e|keep)|keep in mind|worth noting|"
    r"note that)\b[^.!?;]{0,25}?\b(?:emotions?|emotional|this|these|my|people|different|context|individuals?)\b"
    r"|\b(?:emotions?|emotional (?:states?|expressions?)|feelings?)\b[^.!?;]{0,60}?\b(?:subjective|vary|varies)\b"
    r"|\bexpert in\b[^.!?;]{0,40}?\b(?:i|please|you)\b[^.!?;]{0,12}?\b(?:focus|will|need|would need|am going)\b"
    r"|\bi (?:will|would|need to|shall|'ll)\b[^.!?;]{0,40}?\b(?:focus|listen|analy[sz]e|watch|provide|examine)\b",
    re.IGNORECASE)
_CLASSES = re.compile(  # the names of the classes, not what was chosen of them
    r"\b(?:positive|negative|neutral)(?:\s*(?:,|/|or|and|,\s*or|,\s*and)\s*(?:positive|negative|neutral)\b){1,2}"
    r"(?: emotions?)?", re.IGNORECASE)
_EXAMPLES = re.compile(
    r"\b(?:indicat|convey|discern|identif|detect|determin|recogni|clues?|cues?|signal|represent|reflect|distinguish|"
    r"note that|evoke|associated)\w*\b[^.!?;]{0,80}?\b(?:emotions?|emotional states?|feelings?|moods?),? "
    r"(?:such as|like|including|for example)\b[^.!?;]*"
    r"|\A\W*(?:(?:sure|basic|human|different|various|common|many|other)\W+)*(?:emotions?|feelings?|emotional states?) "
    r"(?:such as|like|including)\b[^.!?;]*?\b(?:can|may|vary|are)\b[^.!?;]*", re.IGNORECASE)
_PREFACE = re.compile(
    r"\b(?:i|we)(?:'m| am| are| feel)? (?:\w+ ){0,2}?(?:confident|certain|sure|positive|convinced|afraid|sorry)"
    r"(?: to say)? that\b", re.IGNORECASE)
_SOMEBODY = re.compile(r"\b(?:man|woman|person|individual|speaker|character|girl|boy|he|she|they|his|her|their)\b",
                       re.IGNORECASE)
_CERTAINTY = re.compile(r"\bwith (?:any |absolute |complete |full |great |high )?(?:certainty|confidence)\b"
                        r"|\bit(?:'s| is) (?:still |also )?uncertain\b|\b(?:not|never) (?:\w+ )?certain\b",
                        re.IGNORECASE)
# A sentence is searched where it has words of these sets: they are in everything that the patterns match.
_I = frozenset("i we i'm i'd i'll i've we're we'd we'll".split())
_OF_MEDIA = frozenset(
    "video audio image picture clip media file frame attachment recording footage photo videos images pictures clips "
    "files frames photos".split())
_DENYING = frozenset("no not without isn't wasn't hasn't cannot can't couldn't didn't failed missing".split())
_OF_REFUSALS = _I | frozenset(
    "unable ai artificial language text-based text virtual digital chat please against violate violates violating "
    "violation appropriate inappropriate unethical irresponsible ethical acceptable forgot forget forgotten request "
    "task query question prompt guidelines policy policies".split())
_OF_NOTHING_TOLD = _I | frozenset(
    "possible impossible difficult hard challenging clear unclear early tough cannot can't not couldn't too isn't "
    "enough insufficient little lack sufficient no doesn't don't unknown undetermined indeterminate".split())
_OF_BOILERPLATE = _I | frozenset(
    "sorry apologies apologize apologise apologizing my hope free let thank thanks question certainly sure course "
    "absolutely gladly pleasure note noting important mind subjective vary varies expert".split())
_OF_CLASSES = frozenset("positive negative neutral".split())
_OF_CERTAINTY = frozenset("certain certainty confidence uncertain".split())
_OF_EXAMPLES = frozenset("such like including example".split())
_MARKS = str.maketrans(dict.fromkeys(".,;:!?()[]/\"*\u2014-", " "))
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_CLAUSE = re.compile(r"(,?\s+\b(?:but|however|although|though|yet|nevertheless|that said|while|whereas)\b,?|;|:\s|"
                     r",\s+(?=(?:the|she|he|they|her|his|their)\b))", re.IGNORECASE)


class Rest(NamedTuple):
    """An answer without what is not about the clip.

    text: what is left. refused: the answerer says that it cannot or will not answer, or saw nothing. untold: nothing is
    left, and what was there says that nothing can be told.
    """

    text: str
    refused: bool
    untold: bool


def without_boilerplate(text: str) -> Rest:
    """A text without refusals, offers of help, general remarks about emotions, and lists of classes."""
    kept, refused, untold = [], False, False
    for sentence in _SENTENCE.split(text):
        words = set(sentence.lower().translate(_MARKS).split())
        if not words.isdisjoint(_OF_CLASSES):
            sentence = _CLASSES.sub("", sentence)
        if not words.isdisjoint(_I) and "that" in words:
            sentence = _PREFACE.sub("", sentence)
        if not words.isdisjoint(_OF_CERTAINTY):
            sentence = _CERTAINTY.sub("", sentence)
        if not words.isdisjoint(_OF_EXAMPLES):
            examples = _EXAMPLES.search(sentence)
            if examples and not _SOMEBODY.search(sentence[: examples.end()]):
                sentence = _EXAMPLES.sub("", sentence)
        of_media = not words.isdisjoint(_OF_MEDIA) and not words.isdisjoint(_DENYING)
        if not ((of_media or not words.isdisjoint(_OF_REFUSALS)) and _REFUSAL.search(sentence)
                or not words.isdisjoint(_OF_NOTHING_TOLD) and _NOTHING_TOLD.search(sentence)
                or not words.isdisjoint(_OF_BOILERPLATE) and _BOILERPLATE.search(sentence)):
            kept.append(sentence)
            continue
        parts, rest = _CLAUSE.split(sentence), ""
        for index in range(0, len(parts), 2):
            part = parts[index]
            refuses = bool(_REFUSAL.search(part))
            tells_nothing = not refuses and bool(_NOTHING_TOLD.search(part))
            refused, untold = refused or refuses, untold or tells_nothing
            if not (refuses or tells_nothing or _BOILERPLATE.search(part)):
                rest += (parts[index - 1] if rest else "") + part
        kept.append(rest.strip(" ,;"))
    rest = "\n".join(part for part in kept if any(map(str.isalnum, part)))
    return Rest(rest, refused, untold and not rest)
