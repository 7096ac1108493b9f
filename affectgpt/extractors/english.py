"""What the rules know of English: sentences, negation, whose emotion it is, hedges, conclusions. Pure functions.

Tokens are lower-case words with their apostrophes, and the marks , ; : ( ).
"""

from __future__ import annotations

import re
from collections.abc import Callable

_TOKEN = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*'?|[,;:()\u2014]|\.\.\.|\d+")
_STRAIGHT = str.maketrans({"\u2018": "'", "\u2019": "'", "\u02bc": "'", "\u201c": '"', "\u201d": '"'})
_SENTENCE = re.compile(r"(?<=[.!?])[\"')\]]*\s+|(?<=[a-z][.!?])(?=[A-Z])|\n+")
_QUOTE = re.compile(r"(?<!\w)\"(?=\S)([^\"]{0,600}?)\"(?!\w)")
_SINGLE_QUOTE = re.compile(r"(?<!\w)'(?=\w)([^'\n\"]{0,300}(?:'\w[^'\n\"]{0,300}){0,4})'(?!\w)")
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|consequently|overall|in (?:conclusion|summary|short)|to sum up|all in all|"
    r"taken together|taking (?:all|everything|into account))\b", re.IGNORECASE)
_INFERENCE = re.compile(r"\b(?:infer|conclude|deduce|speculate|inferred|concluded|deduced|speculated|judged)\b",
                        re.IGNORECASE)

NEGATIONS = frozenset(
    "not no non never without neither nor cannot lack lacks lacking lacked hardly barely scarcely rarely seldom less "
    "none nothing nobody unable".split())
NOUN_NEGATIONS = frozenset("no without lack lacks lacking lacked nothing none".split())
PHRASE_NEGATIONS = tuple(tuple(phrase.split()) for phrase in (
    "rather than", "instead of", "absence of", "devoid of", "free of", "free from", "far from", "no longer",
    "failed to", "fails to", "as opposed to", "other than", "denies being", "denied being", "denies feeling",
    "denies that", "deny being", "denying being", "denies any", "rejects the idea", "rejects any"))
_PHRASE_STARTS = frozenset(phrase[0] for phrase in PHRASE_NEGATIONS)
NOT_NEGATING = frozenset("only just merely simply solely doubt wonder matter surprisingly less".split())
"""A negation followed by one of these says that the emotion is there: "not only angry"."""
HOLDING = frozenset(
    "hide conceal help suppress control contain mask restrain hold stop deny disguise resist curb hiding concealing "
    "containing suppressing".split())
"""So does one that denies that the emotion is held back: "cannot hide her joy", "barely able to contain her joy"."""
COMPARATIVES = frozenset("more happier sadder angrier prouder calmer gladder better".split())
_FILLERS = frozenset("in with by of a an the".split())
SCOPE_ENDS = frozenset(
    "; : ( ) but however yet instead while whereas although though because then only just merely simply which who so "
    "suggesting indicating showing expressing".split())
SCOPE_TOKENS = 7

HEDGES = frozenset("may might could possibly perhaps maybe probably likely potentially seemingly".split())
NO_SMILE = frozenset(
    "not no never without polite politely forced fake bitter bitterly wry nervous nervously sarcastic cold awkward "
    "awkwardly false slight professional strained thin almost if".split())
"""Words before a smile or tears that make it none of joy or grief."""
_DEGREES = frozenset(
    "bit slightly somewhat too just still also both very quite more really so feeling rather fairly deeply perfectly "
    "highly completely fully be stay stays remain remaining staying been and".split())
SLIGHT = frozenset("slightly somewhat slight mildly bit little hint touch trace faintly".split())

LINKS = frozenset(
    "is are was were be being seems seem appears appear looks look feels feel becomes become gets get remains looking "
    "feeling".split())
FINITE = LINKS - {"be", "being", "looking", "feeling"}

TOPICS = frozenset(
    "time times days topic matter matters issue issues situation situations event events news conversation discussion "
    "question problem problems experience incident memory memories thing things subject moment details "
    "information".split())
PLACES = frozenset(
    "environment atmosphere scene scenes background setting place room light lighting weather colors colours clothes "
    "clothing".split())

INTENSIFIERS = frozenset(
    "bitterly terribly awfully painfully desperately dreadfully madly horribly frightfully".split())
"""Words of the lexicon that only say how much where they stand beside an emotion or an act: "weeps bitterly"."""

SIGNS = frozenset(
    "laughing cry tears tearful sigh trembling pointing argument serious seriously stern sternly earnest earnestly "
    "focus attentive attentively attention monotonous polite politely".split())
"""Words of the lexicon for what a body does and how somebody behaves; of a phrase, one of its words."""

_CLAUSE_ENDS = frozenset(
    "; : ( ) \u2014 ... but however yet whereas while although though because since so then".split())
_CLAUSE_STARTS = frozenset("if unless whether who whose which that when how why as".split())
_SHOWING = frozenset(
    "show shows showing showed display displays displaying express expresses expressing feel feels feeling have has "
    "had hold holds with very".split())
_ASIDES = tuple(tuple(words.split()) for words in (
    "however", "though", "meanwhile", "in contrast", "by contrast", "in turn", "on the other hand", "of course",
    "in fact", "for his part", "for her part"))
_PRONOUNS = frozenset("he she they i it we".split())
_ARTICLES = frozenset("the a an his her their my".split())
_DESCRIBED = TOPICS | PLACES
_TAKES_OBJECT = LINKS | {"to", "at", "with", "by", "from"}
_DETERMINERS = frozenset("a an the any of even much".split())
_CLAUSE = LINKS | frozenset(
    "i you he she it we they him her them this that there".split())
_FUNCTION = frozenset(
    "a an the this that these those his her its their my your our he she it they i you we is are was were be been has "
    "have had does do did in on at of to for with by from as if than into about over after before during not no so "
    "when where while who which what how".split())


def words(text: str) -> list[str]:
    """Lower-case words of a phrase, those of a compound ("self-deprecating") singly, without apostrophes."""
    return [plain(token) for token, _, _ in tokens(text) if token[0].isalpha()]


def plain(token: str) -> str:
    """A token without apostrophes, as the lexicon lists words ("can't" -> "cant")."""
    return token.replace("'", "")


def tokens(text: str) -> list[tuple[str, int, int]]:
    """(lower-case word or mark, start, end) in the text; the words of a compound are tokens of their own."""
    found = []
    for match in _TOKEN.finditer(text):
        token = match[0].lower()
        if token[-1] == "'" and not token.endswith("s'"):
            token = token.rstrip("'")
        found.append((token, *match.span()))
    return found


def straighten(text: str) -> str:
    """A text with plain apostrophes and quotation marks."""
    return text.translate(_STRAIGHT).replace("un-", "un")


def sentences(text: str) -> list[str]:
    """Sentences of a text."""
    return [part for part in _SENTENCE.split(text) if part and part.strip()]


def without_quotes(text: str, names_emotion: Callable[[list[str]], bool]) -> str:
    """A text without what stands in quotation marks. One or two words that name an emotion ('a "sad" look') stay."""
    def replace(match: re.Match) -> str:
        inside = words(match[1])
        return match[1] if len(inside) <= 2 and names_emotion(inside) and match[1][-1:].isalpha() else " (...) "

    return _SINGLE_QUOTE.sub(replace, _QUOTE.sub(replace, text))


def conclusion_start(sentence: str) -> int | None:
    """Where the conclusion of a sentence begins: its start ("Therefore ..."), or the verb behind its premises ("Based
    on his tense face, we can infer that ..."). None for a sentence that concludes nothing."""
    word, verb = _CONCLUSION.search(sentence), _INFERENCE.search(sentence)
    if verb and not (word and word.start() < 4):
        return verb.start()
    return 0 if word else None


def is_negated(tokens: list[str], start: int, end: int, places: set[int]) -> bool:
    """True where a negation before the emotion reaches it.

    It reaches to the end of its clause, at most `SCOPE_TOKENS` words, and over commas and "or" only from one emotion
    to the next ("without any sadness, anger or fear"), with at most one other word between them.
    """
    distance, between, index = 0, 0, start - 1
    while index >= 0 and distance < SCOPE_TOKENS:
        token = tokens[index]
        if tokens[max(0, index - 1) : index + 1] == ["anything", "but"]:
            return True
        if token == "as" and "much" in tokens[max(0, index - 4) : index]:
            return False
        if token == "than" and tokens[index - 1] not in ("rather", "other"):
            return index == start - 1 - (tokens[start - 1] in _FILLERS) \
                and _compares(tokens, index, places)
        if token == "too" and distance >= 2 and tokens[start - 2 : start] in (["to", "be"], ["to", "feel"]):
            return True  # "too angry to be sad"
        if token in SCOPE_ENDS and tokens[index : index + 2] != ["so", "much"]:
            return False
        if _negates(tokens, index):
            # "Without a word she is angry": a negated noun says nothing of the clause behind it.
            return token not in NOUN_NEGATIONS or not FINITE & set(tokens[index + 1 : start]) \
                or tokens[index + 1] in ("one", "longer")
        if token in (",", "and", "or"):
            if index - 1 not in places and tokens[index - 1 : index] != [","] or between > 1:
                return False
        elif index in places:
            between = 0
        else:
            between += 1 + (token in _CLAUSE) - (token in _DETERMINERS)
            distance += 1
        index -= 1
    return False


def _compares(tokens: list[str], than: int, places: set[int]) -> bool:
    """True for "more worried than angry" and "rather than angry", not for "more than happy"."""
    before = tokens[max(0, than - 5) : than]
    return before[-1:] == ["rather"] or bool({"more", "rather"} & set(before)) and bool(
        places & set(range(than - len(before), than)))


def _negates(tokens: list[str], index: int) -> bool:
    token = tokens[index]
    if not (token in NEGATIONS or token == "little" or token in _PHRASE_STARTS or token.endswith("n't")):
        return False
    after = tokens[index + 1 : index + 4]
    if set(after[:1]) & NOT_NEGATING or after[:1] == ["without"] or set(after) & HOLDING:
        return False
    if after[:1] == ["be"] and set(after[1:]) & COMPARATIVES:  # "could not be happier"
        return False
    if token in ("no", "nobody") and {"could", "can"} & set(after) and "more" in tokens[index + 1 : index + 6]:
        return False
    if token == "without" and tokens[max(0, index - 1)] in ("not", "never"):
        return False
    if token == "little":  # "shows little enthusiasm", not "a little afraid"
        return tokens[max(0, index - 1)] in _SHOWING
    if token == "less" and tokens[max(0, index - 1)] in ("or", "nothing", "hardly", "no", "not", "scarcely", "any"):
        return False
    if token in NEGATIONS or token.endswith("n't"):
        return True
    return token in _PHRASE_STARTS and any(tuple(tokens[index : index + len(phrase)]) == phrase
                                           for phrase in PHRASE_NEGATIONS)


def clauses(tokens: list[str], places: set[int]) -> list[int]:
    """For every token, where its clause begins. A clause begins behind a mark or a conjunction, at "if", "who", ...,
    and at an "and" with a subject of its own; a comma or an "and" between two emotions parts nothing."""
    begins, low, aside_until = [], 0, -1
    for index, token in enumerate(tokens):
        if index < aside_until:  # "the thief, however, is calm"
            begins.append(low)
            continue
        if token == "," and index - low <= 4 and not FINITE & set(tokens[low:index]):
            aside = next((len(words) for words in _ASIDES if tuple(tokens[index + 1 : index + 1 + len(words)]) == words
                          and tokens[index + 1 + len(words) : index + 2 + len(words)] == [","]), None)
            if aside:
                aside_until = index + 2 + aside
                begins.append(low)
                continue
        if token in _CLAUSE_ENDS:
            low = index + 1
        elif token in _CLAUSE_STARTS and index and tokens[index - 1] not in ("as", "even"):
            low = index
        elif token == ",":
            if not (_near(index - 1, places) and (index + 1 in places or index + 2 in places
                                                  or tokens[index + 1 : index + 2] in (["and"], ["or"]))):
                low = index + 1
        elif token in ("and", "or") and _has_subject(tokens, index + 1):
            low = index + 1
        begins.append(low)
    return begins


def _near(index: int, places: set[int]) -> bool:
    return index in places or index - 1 in places


def _has_subject(tokens: list[str], index: int) -> bool:
    """True where a subject with its verb begins at `index`: "she is", "the man behind her is"."""
    if tokens[index : index + 1] and tokens[index] in _PRONOUNS:
        return True
    return bool(tokens[index : index + 1]) and tokens[index] in _ARTICLES \
        and bool(FINITE & set(tokens[index + 2 : index + 7]))


def is_of_topic(tokens: list[str], start: int, end: int, places: set[int]) -> bool:
    """True where the emotion word describes a topic or a place: "a tense and difficult medical situation"."""
    index = end
    while index < len(tokens) and (index in places or tokens[index] in ("and", "or", ",")):
        index += 1
    if index + 1 < len(tokens) and tokens[index] not in _FUNCTION and tokens[index].isalpha() \
            and tokens[index] not in _DESCRIBED:
        index += 1
    return index < len(tokens) and tokens[index] in _DESCRIBED


def is_intensifier(tokens: list[str], start: int, end: int, places: set[int], acts) -> bool:
    """True for "terribly sad" and "weeps bitterly"; acts: words of acts."""
    return end == start + 1 and tokens[start] in INTENSIFIERS and (
        end in places or start - 1 in places or bool(set(tokens[max(0, start - 1) : start]) & set(acts)))


def is_noun(tokens: list[str], start: int, places: set[int]) -> bool:
    """True where a word that may be a noun is one: "the subtitle content", "content is", "a patient"; not "is content",
    "happy and content", "calm, patient"."""
    before = tokens[start - 1] if start else ""
    if before in ("and", "or", ","):
        return before != "," and not {start - 2, start - 3} & places
    after = tokens[start + 1] if start + 1 < len(tokens) else ""
    if after == "of":  # "composed of"
        return True
    if after in ("and", "or", ",") and {start + 2, start + 3} & places:
        return False
    return before not in LINKS and before not in _DEGREES


def is_hedged(tokens: list[str], start: int) -> bool:
    """True where the emotion only may be there."""
    return bool(HEDGES & set(tokens[max(0, start - 8) : start]))


def is_slight(tokens: list[str], start: int) -> bool:
    """True where the emotion is weak."""
    return bool(SLIGHT & set(tokens[max(0, start - 2) : start]))


def verdict(positive: float, negative: float) -> str:
    """The polarity with more votes; a tie is neutral."""
    return "neutral" if positive == negative else "positive" if positive > negative else "negative"
