"""Whose emotion it is: the main character's or somebody else's. Pure functions over the tokens of `english.tokens`.

The main character is the person that a text is about: "the man", "she", "the speaker". Everyone who stands in a
relation to that person ("her mother", "the customer", "his opponent") is somebody else, as long as there is a main
character.
"""

from __future__ import annotations

from dataclasses import dataclass

from affectgpt.extractors import english

MAIN = frozenset(
    "man woman person individual speaker character protagonist subject girl boy lady gentleman male female guy lad "
    "chap bloke figure he she they i".split())
"""Nouns and pronouns of the one that a description is about."""

PEOPLE = MAIN - {"he", "she", "they", "i"} | frozenset(
    "people persons party side characters individuals speakers men women one ones".split())

ASIDE = frozenset(
    "others listener listeners audience viewer viewers interlocutor everyone everybody friend friends colleague "
    "colleagues companion companions bystander bystanders mother father mum mom dad parent parents sister brother "
    "sisters brothers wife husband son daughter sons daughters child children kid kids baby uncle aunt cousin "
    "grandmother grandfather grandma grandpa family relatives boss manager customer customers client clients opponent "
    "opponents rival rivals enemy neighbour neighbor neighbours neighbors crowd public guest guests partner "
    "girlfriend boyfriend classmate classmates roommate coworker coworkers teammate teammates employee employees "
    "employer staff pupils students passengers passenger passer passerby spectator spectators onlooker fans onlookers "
    "people passers-by strangers stranger victim victims interviewer interviewee caller attacker witnesses lover ex "
    "fiance bride's fellow fellows villagers players superiors subordinate subordinates mates mate spouse sibling "
    "siblings nephew niece widow elders".split())
"""Nouns of those who stand beside a main character."""

ROLES = frozenset(
    "teacher doctor nurse waiter waitress clerk officer policeman student pupil actor actress singer host hostess "
    "guard driver lawyer judge player coach seller shopkeeper salesman soldier captain king queen priest patient's "
    "professor reporter journalist landlord landlady secretary assistant chef cook bride groom thief detective "
    "inspector worker comedian suspect candidate applicant musician dancer artist writer patient".split())
"""Nouns that may be either: the first of them is the main character where no better one is there."""

POSSESSIVES = frozenset("his her their my your our its".split())
OWNERS = frozenset("his her their".split())
PREPOSITIONS = frozenset(
    "to at with by from of for about on against towards toward like behind beside near around between among before "
    "after than over into".split())
CAUSING = frozenset(
    "make makes made making leave leaves leaving left cause causes causing caused render renders drive drives".split())
CALMING = frozenset(
    "comfort comforts comforting console consoles consoling reassure reassures reassuring soothe soothes soothing "
    "appease appeasing calm calms calming cheer cheers cheering".split())
OBJECTS = frozenset("him her them me himself herself themselves".split())
LINKS = english.LINKS | {"stays", "sounds"}
MALE = frozenset("he his him man boy gentleman male guy".split())
FEMALE = frozenset("she her woman girl lady female".split())
GENDERS = dict.fromkeys(MALE, "male") | dict.fromkeys(FEMALE, "female")
REPORTING = frozenset(
    "knows know thinks think believes sees says hears notices realises realizes fears hopes suspects learns".split())
PERCEIVING = frozenset(
    "sense senses sensing notice notices noticing see sees seeing hear hears recognise recognises recognize "
    "recognizes understand understands perceives feels ignore ignores share shares shared calm calms soothe soothes "
    "respects witnesses watches admires mocks enjoys fears resents dismisses".split())
_VERBS = LINKS | CAUSING | {"has", "have", "had", "feels", "shows", "gives", "brings"}


@dataclass(frozen=True)
class Cast:
    """Who is in a text: whether it has a main character, and the nouns that stand for somebody else."""

    has_main: bool
    others: frozenset[str]


def cast_of(tokens: set[str], first_role: str | None, has_owner: bool) -> Cast:
    """The people of a text.

    tokens: its distinct words. first_role: the first noun of `ROLES` in it, in a main clause. has_owner: a possessive
    pronoun stands before all other people, so the main character is named by it alone ("His words make ...").
    """
    has_main = has_owner or bool(tokens & MAIN)
    roles = ROLES if tokens & PEOPLE & MAIN else ROLES - {first_role}
    return Cast(has_main or first_role is not None, ASIDE | roles)


def bare(token: str) -> str:
    """A noun without its genitive."""
    return token.removesuffix("'s").removesuffix("'") if "'" in token else token


def is_somebody_else(tokens: list[str], index: int, cast: Cast) -> bool:
    """True where the noun at `index` is not the main character."""
    token = bare(tokens[index])
    if token in PEOPLE:
        before = tokens[max(0, index - 2) : index]
        if "other" in before or "another" in before or token == "people" and cast.has_main:
            return True
    if token == "else":
        return tokens[max(0, index - 1)] in ("someone", "somebody", "anyone")
    if token not in cast.others:
        return False
    if tokens[index - 1 : index] in (["and"], [","]) and set(tokens[max(0, index - 3) : index]) & MAIN:
        return False  # "she and the guests are happy"
    if "and" in tokens[max(0, index - 2) : index] and tokens[max(0, index - 3)] in MAIN:
        return False  # "he and his wife"
    return cast.has_main or bool(POSSESSIVES & set(tokens[max(0, index - 3) : index]))


def is_of_another(tokens: list[str], start: int, end: int, low: int, places: set[int], cast: Cast) -> bool:
    """True where the emotion at [start, end) is another person's; its clause begins at `low`."""
    for index in range(max(low, start - 4), start):  # "his boss's cold anger"
        if tokens[index].endswith(("'s", "'")) and is_somebody_else(tokens, index, cast) \
                and not _VERBS & set(tokens[index + 1 : start]):
            return True
    if _belongs_to_the_other(tokens, start, low):
        return True
    index = end  # "the frightened and lonely child", where she is looked at, asked, consoled
    while index < len(tokens) and (index in places and tokens[index] != "patient"
                                   or tokens[index] in ("and", "or", "little", "young", "old")):
        index += 1
    if index < len(tokens) and index - end <= 3 and tokens[index].isalpha() \
            and is_somebody_else(tokens, index, cast) and not tokens[start - 1 : start] == ["by"]:
        attributive = start and tokens[start - 1] not in LINKS
        if attributive and (start - low > 1 or index == end) and not _is_object_of(tokens, start, index):
            return True
    if tokens[max(0, start - 1)] == "the" and tokens[end : end + 1] == ["of"]:  # "the anger of his mother"
        for index in range(end + 1, min(end + 4, len(tokens))):
            if tokens[index].isalpha() and is_somebody_else(tokens, index, cast):
                return True
    return _subject_is_another(tokens, start, low, cast)


def _belongs_to_the_other(tokens: list[str], start: int, low: int) -> bool:
    """True for "she senses his anger", and for "he thinks that she is angry": two people by their pronouns."""
    owner = next((index for index in range(start - 1, max(low, start - 4) - 1, -1) if tokens[index] in GENDERS), None)
    if owner is not None and tokens[owner] in ("his", "her") and not _VERBS & set(tokens[owner:start]):
        subject = next((GENDERS[token] for token in tokens[low:owner] if token in GENDERS.keys() - OWNERS), None)
        return subject is not None and subject != GENDERS[tokens[owner]] \
            and bool(PERCEIVING & set(tokens[max(low, owner - 3) : owner]))
    if tokens[low : low + 1] and tokens[low] in ("that", "because", "since", "how", "why", "as"):
        own = next((GENDERS[token] for token in tokens[low:start] if token in ("he", "she")), None)
        main = next((GENDERS[token] for token in tokens[:low] if token in GENDERS.keys() - OWNERS - OBJECTS), None)
        return own is not None and main is not None and own != main
    return False


def _is_object_of(tokens: list[str], start: int, index: int) -> bool:
    """True where the emotion is a verb or a participle whose object is the other person: "is comforting her friend"."""
    return tokens[start].endswith(("ing", "s")) and index > start + 1 and \
        tokens[start - 1] in LINKS | {"is", "keeps"} and tokens[start] in CALMING


def _subject_is_another(tokens: list[str], start: int, low: int, cast: Cast) -> bool:
    subject, first = None, None
    for index in range(low, start):
        token = tokens[index]
        if token == "and":
            subject = first  # "makes his sister cry and feels guilty"
        if not token[0].isalpha():
            continue
        known = token in MAIN or token in PEOPLE or is_somebody_else(tokens, index, cast)
        if not known or token.endswith(("'s", "'")):
            continue
        earlier = tokens[max(low, index - 3) : index]
        if PREPOSITIONS & set(earlier) and not (earlier[-1:] and earlier[-1] in LINKS):
            continue
        other = is_somebody_else(tokens, index, cast)
        if other and REPORTING & set(tokens[max(low, index - 3) : index]):
            subject = True  # "he knows his wife is sad"
            continue
        caused = CAUSING & set(tokens[max(low, index - 4) : index])
        if subject is None or caused:
            subject = other
            first = subject if first is None else first
    if low and tokens[low] in ("who", "whose") and subject is None:  # "the girl who is sad"
        return is_somebody_else(tokens, low - 1, cast)
    if not subject:
        return False
    last = tokens[low:start]
    causes = [index for index, token in enumerate(last) if token in CAUSING]
    return not (causes and OBJECTS & set(last[causes[-1] :]))  # "her mother's words make her sad"
