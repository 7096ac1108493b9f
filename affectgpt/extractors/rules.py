"""Labels of a description by rules: deterministic, no model, English.

The words of the lexicon are found in the text, and each rule says which of them are not a reading of the main
character's emotion. Every rule is a switch of `Rules`, so that its worth can be measured: docs/label_extraction.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain

from affectgpt.extractors import english, people, refusals, unreal
from affectgpt.extractors.spelling import LEAST_LETTERS, Speller
from affectgpt.words import idioms
from affectgpt.words.forms import trunk
from affectgpt.words.lexicon import load

VERSION = "affectgpt-rules 2"
"""Name and version of this extractor, as rows and results have it."""

BEHAVIOUR = {word: label for label, words in {
    "happy": "smile smiles smiling smiled laugh laughs laughing laughed laughter grin grins grinning grinned chuckle "
             "chuckles chuckling giggle giggles giggling beams beaming",
    "sad": "cry cries crying cried weep weeps weeping wept sob sobs sobbing sobbed tears tearful",
}.items() for word in words.split()}
"""What a body does -> the emotion that it is read as, where no emotion is named."""

SEARCHED_TOO = {word: family for family, words in {
    "contentment": "content refreshed", "interest": "focused engaged invested absorbed alert vigilant",
    "calm": "patient composed collected poised", "excitement": "animated", "enthusiasm": "expressive",
    "humiliation": "insulted", "uncertainty": "torn", "affection": "touched moved", "sadness": "teary",
    "frustration": "trapped", "connection": "welcoming secure",
}.items() for word in words.split()}
"""Words that name a state as an adjective alone (not "the subtitle content", "a patient") -> family."""

NO_STATES = frozenset("genuine genuinely certain certainty certainly struggling struggle struggles".split())
"""Words of the lexicon that a description uses of something else; a list may have them as labels."""

NO_FAMILY = "(none)"
"""Of phrases that hold the word of an emotion and name none."""

POLARITY_FAMILIES = frozenset({"positive", "negative", "neutral"})
"""Families that say how good and not what: no labels where another one is there."""


@dataclass(frozen=True)
class Rules:
    """Which rules are used.

    Attributes:
        negation: "not angry", "without any sadness", "more worried than angry" name no (second) emotion.
        other_person: "makes the listener angry", "her mother is furious", "comforting her sad friend" neither.
        unreal: what is asked, supposed, pretended or only shown ("if she were sad", "he pretends to be happy") neither.
        past: what is over ("used to be afraid", "yesterday he was angry") neither.
        quotes: what is said inside quotation marks neither.
        topics: an adjective of a topic or a place ("a tense situation") neither; one of a voice does.
        boilerplate: remarks of the answerer, offers of help, and names of classes are not read.
        idioms: "over the moon" is happy.
        spelling: "frustated" is frustrated.
        behaviour: a smile, a laugh and tears are happy and sad where no emotion is named.
        hedges: weight of an emotion that "may" or "could" be there; 1 takes it as certain.
        slight: weight of "slightly annoyed", "a bit sad".
        signs: weight of acts and conduct ("smiles", "serious"), which are signs of an emotion and not its name.
        conclusion: weight of an emotion in a sentence that draws a conclusion; 1 takes all sentences alike.
        keep: share of the heaviest emotion's weight that another emotion needs to become a label.
        words: labels of one family of words at most, the ones that weigh most; forms of one word are one label.
    """

    negation: bool = True
    other_person: bool = True
    unreal: bool = True
    past: bool = True
    quotes: bool = True
    topics: bool = True
    boilerplate: bool = True
    idioms: bool = True
    spelling: bool = True
    behaviour: bool = True
    hedges: float = 1.0
    slight: float = 1.0
    signs: float = 0.5
    conclusion: float = 4.0
    keep: float = 0.3
    words: int = 2


NO_RULES = Rules(negation=False, other_person=False, unreal=False, past=False, quotes=False, topics=False,
                 boilerplate=False, idioms=False, spelling=False, behaviour=False, hedges=1.0, slight=1.0, signs=1.0,
                 conclusion=1.0, keep=0.0, words=99)
"""Every emotion word of the text is a label: the baseline."""


@dataclass(frozen=True)
class Mention:
    """An emotion word in a text: as written (lower case), its family, its weight, and the rule that dropped it."""

    label: str
    family: str
    weight: float
    dropped_by: str | None = None


@dataclass(frozen=True)
class Extraction:
    """Labels in the order of the text, and the sentiment that they vote for."""

    labels: tuple[str, ...]
    sentiment: str
    mentions: tuple[Mention, ...] = field(default=(), repr=False)


def vote(labels: Iterable[str], lexicon) -> str:
    """The polarity that most of the labels have; a tie, or no label with a polarity, is neutral."""
    polarities = [lexicon.polarity(label) for label in labels]
    return english.verdict(polarities.count("positive"), polarities.count("negative"))


class RuleExtractor:
    """Finds labels in descriptions.

    Args:
        lexicon: what knows emotion words: `surface_words()` -> {word or phrase: family}, `polarity(label)`.
        rules: which rules are used.
    """

    def __init__(self, lexicon, rules: Rules = Rules()):
        self.lexicon, self.rules = lexicon, rules
        surface = lexicon.surface_words()
        self._phrases: dict[tuple[str, ...], str] = {}
        self._canonical: dict[tuple[str, ...], str] = {}
        for phrase, family in surface.items():
            words = tuple(english.words(phrase))
            if words and words[0] not in NO_STATES:
                self._phrases.setdefault(words, family)
        families = set(self._phrases.values())
        if rules.idioms:
            self._phrases |= {(word,): family for word, family in SEARCHED_TOO.items() if family in families}
            for words, emotion in idioms.load().items():
                if emotion is None:
                    self._phrases[words] = NO_FAMILY
                elif family := lexicon.family(emotion):
                    self._phrases[words], self._canonical[words] = family, emotion
        self._longest = {}
        for words in self._phrases:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))
        self._with_possessor = {words[0] for words in self._phrases if idioms.POSSESSOR in words}
        self._speller = Speller(surface) if rules.spelling else None
        self._spelled: dict[str, str | None] = {}

    def extract(self, text: str) -> Extraction:
        """Labels and sentiment of a description; no labels and "neutral" where it names no emotion."""
        return self.extract_rest(refusals.without_boilerplate(english.straighten(text)).text
                                 if self.rules.boilerplate else text)

    def extract_rest(self, text: str) -> Extraction:
        """The same of a text of which the answerer's remarks are gone."""
        return self.of_mentions(list(self.mentions(text)))

    def of_mentions(self, mentions: list[Mention]) -> Extraction:
        """Labels and sentiment of the emotion words of a text."""
        weights: dict[str, float] = {}
        for mention in mentions:
            if mention.dropped_by is None:
                weights[mention.family] = weights.get(mention.family, 0.0) + mention.weight
        if self.rules.boilerplate and not weights.keys() <= POLARITY_FAMILIES:
            weights = {family: weight for family, weight in weights.items() if family not in POLARITY_FAMILIES}
        least = self.rules.keep * max(weights.values(), default=0.0)
        families = {family for family, weight in weights.items() if weight >= least}
        labels = self._labels([mention for mention in mentions
                               if not mention.dropped_by and mention.family in families])
        return Extraction(labels, self._sentiment(mentions, families), tuple(mentions))

    def _labels(self, mentions: list[Mention]) -> tuple[str, ...]:
        """Labels in the order of the text: of each family the words that weigh most, the first form of each."""
        families: dict[str, dict[str, list]] = {}
        for place, mention in enumerate(mentions):
            forms = families.setdefault(mention.family, {})
            form = forms.setdefault(trunk(mention.label), [0.0, place, mention.label])
            form[0] += mention.weight
        chosen = [form for forms in families.values()
                  for form in sorted(forms.values(), key=lambda form: -form[0])[: self.rules.words]]
        return tuple(dict.fromkeys(label for _, _, label in sorted(chosen, key=lambda form: form[1])))

    def _sentiment(self, mentions: list[Mention], families: set[str]) -> str:
        votes = {"positive": 0.0, "negative": 0.0}
        for mention in mentions:
            if mention.dropped_by is None and mention.family in families:
                polarity = self.lexicon.polarity(mention.label)
                if polarity in votes:
                    votes[polarity] += mention.weight
        return english.verdict(votes["positive"], votes["negative"])

    def mentions(self, text: str) -> Iterator[Mention]:
        """Every emotion word of a text, in order, also those that a rule drops; behaviour where there is no other."""
        text = english.straighten(text)
        if self.rules.quotes:
            text = english.without_quotes(text, lambda words: any(True for _ in self._find(words)))
        sentences = [(sentence, english.tokens(sentence)) for sentence in english.sentences(text)]
        cast = _cast([[token for token, _, _ in spans] for _, spans in sentences]) if self.rules.other_person else None
        found = list(self._mentions_in(sentences, cast, self._find))
        if self.rules.behaviour and all(mention.dropped_by or mention.family in POLARITY_FAMILIES for mention in found):
            found += self._mentions_in(sentences, cast, self._find_behaviour)
        yield from found

    def _mentions_in(self, sentences, cast, find) -> Iterator[Mention]:
        for sentence, spans in sentences:
            tokens = [token for token, _, _ in spans]
            found = list(find([english.plain(token) for token in tokens]))
            if not found:
                continue
            places = {index for start, end, _, _ in found for index in range(start, end)}
            begins = english.clauses(tokens, places)
            asked = unreal.is_asked(sentence)
            conclusion = english.conclusion_start(sentence)
            for start, end, family, canonical in found:
                label = canonical or " ".join(sentence[spans[start][1] : spans[end - 1][2]].lower().split())
                concludes = conclusion is not None and spans[start][1] >= conclusion
                weight = self.rules.conclusion if concludes else 1.0
                dropped = self._dropped_by(tokens, start, end, places, begins, cast)
                if asked and self.rules.unreal:
                    dropped = dropped or "unreal"
                yield Mention(label, family, self._weight(tokens, start, end, weight), dropped)

    def _dropped_by(self, tokens, start, end, places, begins, cast) -> str | None:
        """Name of the rule by which the word is no reading of the main character's emotion now; None where it is."""
        rules, low = self.rules, begins[start]
        high = next((index for index in range(end, len(tokens)) if begins[index] > start), len(tokens))
        if rules.negation and english.is_negated(tokens, start, end, places):
            return "negation"
        if cast is not None and people.is_of_another(tokens, start, end, low, places, cast):
            return "other_person"
        if rules.unreal and (unreal.is_supposed(tokens, start, end, low, high) or unreal.is_shown_only(tokens, start)
                             or self.lexicon.polarity(tokens[start]) == "positive"
                             and unreal.is_said_in_irony(tokens, start)):
            return "unreal"
        if rules.past and unreal.is_past(tokens, start, end, low, high):
            return "past"
        if english.is_intensifier(tokens, start, end, places, BEHAVIOUR):
            return "intensifier"
        if rules.topics and (english.is_of_topic(tokens, start, end, places)
                             or end == start + 1 and tokens[start] in SEARCHED_TOO
                             and english.is_noun(tokens, start, places)):
            return "topics"
        return None

    def _weight(self, tokens, start, end, weight: float) -> float:
        rules = self.rules
        if rules.hedges != 1 and english.is_hedged(tokens, start):
            weight *= rules.hedges
        if rules.slight != 1 and english.is_slight(tokens, start):
            weight *= rules.slight
        if english.SIGNS & set(tokens[start:end]):
            weight *= rules.signs
        return weight

    def _find(self, tokens: list[str]) -> Iterator[tuple[int, int, str, str | None]]:
        """(start, end, family, word to write for what is no label itself) of the longest phrases, from the left."""
        longest, spelled, start = self._longest, self._spelled, 0
        for place, token in enumerate(tokens):
            if place < start:  # within the phrase before
                continue
            start = place
            size = longest.get(token)
            if size is None and (len(token) < LEAST_LETTERS or spelled.get(token, token) is None):
                continue
            for length in range(min(size or 0, len(tokens) - start), 0, -1):
                words, end = tuple(tokens[start : start + length]), start + length
                known = self._phrases.get(words)
                if known is None and length > 1:
                    words, end = self._plain_words(tokens, start, length)
                    known = self._phrases.get(words)
                if known:
                    if known != NO_FAMILY:
                        yield start, end, known, self._canonical.get(words)
                    start = end
                    break
            else:
                if token not in spelled:
                    spelled[token] = self._meant(token)
                if meant := spelled[token]:
                    yield start, start + 1, self._phrases[meant,], meant

    def _plain_words(self, tokens: list[str], start: int, length: int) -> tuple[tuple[str, ...], int]:
        """So many words without those that may stand within an idiom ("in a right old state"), possessors as one
        word; and where they end."""
        words, place, end = [], start, start
        while place < len(tokens) and len(words) < length:
            word = tokens[place]
            place += 1
            if word in idioms.FILLERS and words:
                continue
            words.append(idioms.POSSESSOR if words and word in _POSSESSORS and tokens[start] in self._with_possessor
                         else word)
            end = place
        return tuple(words), end

    def _meant(self, token: str) -> str | None:
        """The word of a text that a misspelt one stands for."""
        meant = self._speller.meant(token) if self._speller else None
        return meant if (meant,) in self._phrases else None

    def _find_behaviour(self, tokens: list[str]) -> Iterator[tuple[int, int, str, str | None]]:
        for index, token in enumerate(tokens):
            label = BEHAVIOUR.get(token)
            family = self.lexicon.family(label) if label else None
            if family and not english.NO_SMILE & set(tokens[max(0, index - 2) : index]):
                yield index, index + 1, family, label


@lru_cache(maxsize=1)
def extractor() -> RuleExtractor:
    """The rules as they are with the project's lexicon; made once a process."""
    return RuleExtractor(load())


_POSSESSORS = {english.plain(word) for word in idioms.POSSESSORS}


def _cast(sentences: list[list[str]]) -> people.Cast | None:
    """Who is in the text; None where nobody but the main character can be meant."""
    words = {people.bare(token) for token in set().union(*sentences)}
    if words.isdisjoint(_PERHAPS_OTHERS) and (words.isdisjoint(people.MALE) or words.isdisjoint(people.FEMALE)):
        return None
    in_order = [token for token in map(people.bare, chain.from_iterable(sentences)) if token in _IN_RELATION]
    role = next((token for token in in_order if token in people.ROLES), None)
    return people.cast_of(words, role, in_order[:1] != [] and in_order[0] in people.OWNERS)


_PERHAPS_OTHERS = people.ASIDE | people.ROLES | {"other", "another", "else"}
_IN_RELATION = people.ASIDE | people.ROLES | people.OWNERS
