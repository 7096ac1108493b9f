"""The project's own emotion-word table, `affectgpt-1`: a label in any form -> family, wheel root, polarity.

The words lie in `families.json`, the five wheels in `wheels.json` and the words around a state ("very",
"not") in `label_grammar.json` beside it. How they were chosen, and where the table differs from the published one:
docs/emotion_words.md. `load()` reads JSON only; stemmer and lemmatiser are imported by the first label that needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from affectgpt.words.basic import POLARITIES, SYNONYMS
from affectgpt.words.forms import WordForms, normalise, trunk

WHEELS = ("wheel1", "wheel2", "wheel3", "wheel4", "wheel5")
LEVELS = ("level1", "level2")
NEUTRAL = "neutral"
"""A root that every wheel has beside its own ones; the wheels themselves name no neutral state."""

FOLDER = Path(__file__).parent
LONGEST_LABEL = 8
"""Words in a label. What is longer is a sentence, whose words may be about several people."""

_LISTING = re.compile(r"(?<=\w)[^\w\s]*\s*[,;/&|]+(?=\W*\w)")


@dataclass(frozen=True)
class Family:
    """Emotion words of one meaning.

    roots: wheel -> {"level1": root, "level2": word under it}. words: as written in the table, without those that are
    for labels only. opposite: family of a denied label ("not happy"), None where a denial says too little.
    """

    name: str
    polarity: str
    roots: dict[str, dict[str, str]]
    words: tuple[str, ...]
    opposite: str | None = None


@dataclass(frozen=True)
class _Match:
    """A family, and the listed word by which it was found; None where a denial led to the opposite family."""

    family: str
    word: str | None


class Lexicon:
    """Emotion families, five wheels, and the way from a label to them. Made by `load()`."""

    def __init__(self, table: dict, wheels: dict, grammar: dict, source: str = "families.json") -> None:
        """table, wheels, grammar: the contents of the three JSON files. ValueError where they contradict themselves."""
        self.version: str = table["version"]
        self._source = source
        self._wheels: dict[str, dict[str, dict[str, list[str]]]] = {wheel: wheels[wheel]["words"] for wheel in WHEELS}
        self._frames = [frame.split() for frame in grammar["frames"]]
        self._grammar = {kind: frozenset(words) for kind, words in grammar.items() if kind != "frames"}
        self._function_words = frozenset().union(*self._grammar.values())
        self.families: dict[str, Family] = {}
        self._surface: dict[str, str] = {}
        self._searched: set[str] = set()
        self._written: dict[str, str] = {}
        # Normalised word or phrase -> family; None for words that are no states on purpose.
        self._listed: dict[str, str | None] = dict.fromkeys(map(normalise, table["out_of_vocabulary"]))
        for entry in table["families"]:
            self._add(entry)
        for family in self.families.values():
            if family.opposite is not None and family.opposite not in self.families:
                raise ValueError(f"{source}: the opposite of {family.name!r} is no family: {family.opposite!r}")
        # Words for labels only lend no stem: "testing" may be a label, "tests" is none.
        self._forms = WordForms(self._listed, frozenset(self._searched))
        self._longest = max(len(word.split()) for word in self._listed)
        excepted = {(row["wheel"], normalise(row["word"])) for row in table["wheel_exceptions"]}
        self._places = {wheel: self._wheel_places(wheel, excepted) for wheel in WHEELS}
        self._basic = {family: basic for basic, synonyms in SYNONYMS.items() for word in synonyms
                       if (family := self._listed.get(normalise(word)))}
        # Caches of this table, so that two tables never answer for each other.
        self._find = lru_cache(maxsize=1 << 17)(self._find)
        self.root = lru_cache(maxsize=1 << 18)(self.root)
        self.polarity = lru_cache(maxsize=1 << 17)(self.polarity)

    def _add(self, entry: dict) -> None:
        name = entry["name"]
        if name in self.families or entry["polarity"] not in POLARITIES or set(entry["roots"]) != set(WHEELS):
            raise ValueError(f"{self._source}: family {name!r} is there twice, has a polarity other than {POLARITIES}, "
                             f"or lacks a root in one of {WHEELS}")
        for wheel, (root, word) in entry["roots"].items():
            if (root, word) != (NEUTRAL, NEUTRAL) and word not in self._wheels[wheel].get(root, ()):
                raise ValueError(f"{self._source}: family {name!r}: {word!r} does not lie under {root!r} in {wheel}")
        for kind in ("words", "labels_only"):
            for word in entry.get(kind, ()):
                key = normalise(word)
                if key in self._listed:
                    raise ValueError(f"{self._source}: {word!r} of family {name!r} is also in "
                                     f"{self._listed[key] or 'out_of_vocabulary'!r}; a word has one place")
                self._listed[key] = name
                if kind == "words":
                    self._surface[word] = name
                    self._searched.add(key)
                    self._written[key] = word
        roots = {wheel: dict(zip(LEVELS, place, strict=True)) for wheel, place in entry["roots"].items()}
        self.families[name] = Family(name, entry["polarity"], roots, tuple(entry["words"]), entry.get("opposite"))

    def _wheel_places(self, wheel: str, excepted: set[tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """Wheel word -> (root, level 2 word): the place under its family's root, else the first of its places."""
        places: dict[str, list[tuple[str, str]]] = {}
        for root, children in self._wheels[wheel].items():
            places.setdefault(normalise(root), []).append((root, self._child(root, wheel)))
            for child, leaves in children.items():
                for word in (child, *leaves):
                    places.setdefault(normalise(word), []).append((root, child))
        for place, word in excepted:
            if place == wheel and word not in places:
                raise ValueError(f"{self._source}: {word!r} is an exception of {wheel}, which has no such word")
        chosen = {}
        for word, candidates in places.items():
            family = self._listed.get(word)
            if family is None:
                raise ValueError(f"{self._source}: {word!r} of {wheel} has no family")
            if (wheel, word) not in excepted:
                wanted = self.families[family].roots[wheel]["level1"]
                chosen[word] = next((place for place in candidates if place[0] == wanted), candidates[0])
        return chosen

    def _child(self, root: str, wheel: str) -> str:
        """The level 2 word that stands for a root: that of the root's own family, else the root's first."""
        own = self.families.get(self._listed.get(normalise(root)) or "")
        if own is not None and own.roots[wheel]["level1"] == root:
            return own.roots[wheel]["level2"]
        return next(iter(self._wheels[wheel][root]))

    def family(self, label: str) -> str | None:
        """Family of a label in any form ("Very frustrated", "lack_of_confidence"); None where it is unknown.

        >>> load().family("**Joyfulness**"), load().family("not happy"), load().family("a chair")
        ('joy', 'sadness', None)
        """
        match = self._find(label)
        return match.family if match else None

    def polarity(self, label: str) -> str | None:
        """"positive", "neutral" or "negative"; None where the label is unknown.

        A state that is neutral by itself takes the polarity of the word before it.

        >>> load().polarity("surprised"), load().polarity("fearfully surprised"), load().polarity("happy surprise")
        ('neutral', 'negative', 'positive')
        """
        family = self.family(label)
        if family is None:
            return None
        polarity = self.families[family].polarity
        return self._shade(label) or polarity if polarity == NEUTRAL else polarity

    def _shade(self, label: str) -> str | None:
        """The one polarity that other words of a compound label have; None for a denied, listed or single word."""
        tokens = self._without_frames(normalise(label).split())
        cut = next((i for i, token in enumerate(tokens) if token in self._grammar["head_ends"]), len(tokens))
        denied = {*self._grammar["negations"], *self._grammar["leading_negations"]} & set(tokens)
        if len(tokens) < 2 or denied or " ".join(tokens) in self._listed:
            return None
        found = {self.families[match.family].polarity for _, match in self._known(tokens[:cut])} - {NEUTRAL}
        return found.pop() if len(found) == 1 else None

    def polarity_of(self, labels: Iterable[str]) -> str | None:
        """Polarity of a set of labels: the one that more of them have; a tie is neutral, None where no label is known.

        >>> load().polarity_of(["frustrated", "helpless", "hopeful"]), load().polarity_of(["happy", "sad"])
        ('negative', 'neutral')
        """
        known = [polarity for polarity in map(self.polarity, labels) if polarity]
        if not known:
            return None
        difference = known.count("positive") - known.count("negative")
        return "positive" if difference > 0 else "negative" if difference < 0 else NEUTRAL

    def basic_emotion(self, label: str) -> str | None:
        """The basic word (`words.basic.SYNONYMS`) whose synonyms share the label's family; None where there is none.

        >>> load().basic_emotion("Joy"), load().basic_emotion("frustration"), load().basic_emotion("proud")
        ('happy', 'angry', None)
        """
        family = self.family(label)
        return self._basic.get(family) if family else None

    def meaning(self, label: str) -> str | None:
        """One word for all labels that mean the same: the basic word, else the family; None where unknown."""
        family = self.family(label)
        return self._basic.get(family, family) if family else None

    def states_in(self, text: str) -> list[str]:
        """Listed words and phrases that stand in a text, as the table writes them, in their order.

        Words for labels only ("low", "open") are not searched for, and denials are not looked at: `extractors.rules`
        reads descriptions with care.
        """
        tokens, found, start = normalise(text).split(), [], 0
        while start < len(tokens):
            for size in range(min(self._longest, len(tokens) - start), 0, -1):
                word = self._written.get(" ".join(tokens[start:start + size]))
                if word is not None:
                    found.append(word)
                    start += size - 1
                    break
            start += 1
        return found

    def root(self, label: str, wheel: str, level: str = "level1") -> str | None:
        """Where a label lies on a wheel: its root (level1), or the word between root and rim (level2).

        A word that the wheel names, in this or another form, lies where the wheel has it; every other word lies
        where its family does. None where the label is unknown. Raises ValueError for an unknown wheel or level.
        """
        if wheel not in WHEELS or level not in LEVELS:
            raise ValueError(f"no such wheel or level: {wheel!r}, {level!r}; there are {WHEELS} and {LEVELS}")
        match = self._find(label)
        if match is None:
            return None
        place = None
        if match.word is not None:
            place = self._places[wheel].get(match.word)
            if place is None and " " not in match.word:
                place = self._form_places[wheel].get((match.family, trunk(match.word)))
        return place[LEVELS.index(level)] if place else self.families[match.family].roots[wheel][level]

    def wheel_roots(self, wheel: str) -> tuple[str, ...]:
        """Roots of a wheel in its order, `neutral` last."""
        return (*self._wheels[wheel], NEUTRAL)

    def surface_words(self) -> dict[str, str]:
        """Every listed word or phrase (lower case, as written) -> family: what a text is searched for.

        Words that name a state only where they stand as a label ("low", "open", "like") are left out.
        """
        return dict(self._surface)

    def _find(self, label: str) -> _Match | None:
        tokens = normalise(_LISTING.sub(" and ", label)).split()
        if not tokens or len(tokens) > LONGEST_LABEL:
            return None
        tokens = self._without_frames(tokens)
        if " ".join(tokens) in self._listed:
            return self._match(" ".join(tokens))
        denied, match = self._denied(tokens)
        return match if denied else self._state(tokens)

    def _without_frames(self, tokens: list[str]) -> list[str]:
        """Tokens after the words that change no state ("a bit of"), up to what is listed."""
        while " ".join(tokens) not in self._listed:
            frame = next((frame for frame in self._frames if tokens[: len(frame)] == frame), None)
            if frame is None or len(frame) == len(tokens):
                break
            tokens = tokens[len(frame):]
        return tokens

    def _state(self, tokens: list[str]) -> _Match | None:
        """Match of tokens that deny nothing."""
        if " ".join(tokens) in self._listed:
            return self._match(" ".join(tokens))
        return self._word(tokens[0]) if len(tokens) == 1 else self._phrase(tokens)

    def _match(self, key: str) -> _Match | None:
        family = self._listed[key]
        return _Match(family, key) if family else None

    def _denied(self, tokens: list[str]) -> tuple[bool, _Match | None]:
        """Whether a label denies something, and its match: a listed phrase, else the opposite family, if any."""
        negations, leading = self._grammar["negations"], self._grammar["leading_negations"]
        # A last word ("sense of loss") denies nothing.
        at = next((i for i, token in enumerate(tokens[:-1]) if token in negations), None)
        if at is None and len(tokens) > 1 and tokens[0] in leading:
            at = 0
        if at is not None:
            before, rest = tokens[:at], tokens[at + 1:]
        elif len(tokens) > 1 and tokens[-1] == "free":  # "worry free"
            before, rest = [], tokens[:-1]
        else:
            return False, None
        phrase = " ".join(tokens[at:]) if at is not None else ""
        if self._known(before):  # "sad, not angry" says two things
            return True, None
        if phrase in self._listed:
            return True, self._match(phrase)
        while rest and rest[0] in self._grammar["after_negation"]:
            rest = rest[1:]
        if not rest or negations & set(rest) or at is not None and tokens[at] in self._grammar["weakened"]:
            return True, None
        match = self._state(rest)
        opposite = self.families[match.family].opposite if match else None
        return True, _Match(opposite, None) if opposite else None

    def _known(self, tokens: list[str]) -> list[tuple[int, _Match]]:
        """Listed phrases and known words in a row of tokens, the longest first, each with where it ends."""
        found, weak, start = [], [], 0
        while start < len(tokens):
            for size in range(min(self._longest, len(tokens) - start), 0, -1):
                key = " ".join(tokens[start:start + size])
                match = self._match(key) if key in self._listed else (self._word(key) if size == 1 else None)
                if match is not None:
                    # "like" or "low" beside other words is seldom the state itself.
                    (found if match.word in self._searched else weak).append((start + size, match))
                    start += size - 1
                    break
            start += 1
        return found or weak

    def _phrase(self, tokens: list[str]) -> _Match | None:
        """Match of several words: what all known ones say, else those before "of", "about", ..., else the last."""
        known = self._known(tokens)
        if len({match.family for _, match in known}) == 1:
            return known[-1][1]
        if self._grammar["joins"] & set(tokens):  # two states in one label
            return None
        cut = next((i for i, token in enumerate(tokens) if token in self._grammar["head_ends"]), len(tokens))
        head = [(end, match) for end, match in known if end <= cut]
        agree = len({match.family for _, match in head}) == 1
        return head[-1][1] if head and (agree or head[-1][0] == cut) else None

    def _word(self, token: str) -> _Match | None:
        """Match of one word: as listed, by a stem that only one family has, by its lemma."""
        if token in self._listed:
            return self._match(token)
        if not (token.isascii() and token.isalpha() and len(token) > 2) or token in self._function_words:
            return None
        word = self._forms.known_word(token)
        return self._match(word) if word else None

    @cached_property
    def _form_places(self) -> dict[str, dict[tuple[str, str], tuple[str, str]]]:
        """Wheel -> (family, trunk of a wheel word) -> place, the first where words of a family share a trunk."""
        return {wheel: {(self._listed[word], trunk(word)): place
                        for word, place in reversed(places.items()) if " " not in word}
                for wheel, places in self._places.items()}


@lru_cache(maxsize=4)
def load(folder: Path = FOLDER) -> Lexicon:
    """The table that the project ships, or one of the same form in another folder; read once.

    Raises ValueError where a file contradicts itself: a word in two families, a family without a root, ...
    """
    names = ("families.json", "wheels.json", "label_grammar.json")
    return Lexicon(*(json.loads((folder / name).read_text(encoding="utf-8")) for name in names),
                   source=str(folder / names[0]))
