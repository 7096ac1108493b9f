"""Labels of a description by rules: deterministic, no model, English.

The words of the lexicon are found in the text, and each rule says which of them are not a reading of the main
character's emotion. Every rule is a switch of `Rules`, so that its worth can be measured: docs/label_extraction.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from affectgpt.extractors import english


@dataclass(frozen=True)
class Rules:
    """Which rules are used.

    Attributes:
        negation: "not angry", "without any sadness", "rather than fear" name no emotion.
        other_person: "makes the listener angry", "the other person is sad", "comforting her sad friend" neither.
        quotes: what is said inside quotation marks neither.
        topics: an adjective of a topic or a place ("a tense situation") neither; one of a voice does.
        hedges: weight of an emotion that "may" or "could" be there; 1 takes it as certain.
        slight: weight of "slightly annoyed", "a bit sad".
        signs: weight of acts and conduct ("smiles", "serious"), which are signs of an emotion and not its name.
        conclusion: weight of an emotion in a sentence that draws a conclusion; 1 takes all sentences alike.
        keep: share of the heaviest emotion's weight that another emotion needs to become a label.
        families: one label for each family of words, the first one written.
    """

    negation: bool = True
    other_person: bool = True
    quotes: bool = True
    topics: bool = True
    hedges: float = 1.0
    slight: float = 1.0
    signs: float = 0.5
    conclusion: float = 3.0
    keep: float = 0.4
    families: bool = True


NO_RULES = Rules(negation=False, other_person=False, quotes=False, topics=False, hedges=1.0, slight=1.0,
                 signs=1.0, conclusion=1.0, keep=0.0, families=False)
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
        self._phrases: dict[tuple[str, ...], str] = {}
        for phrase, family in lexicon.surface_words().items():
            words = tuple(english.words(phrase))
            if words:
                self._phrases.setdefault(words, family)
        self._longest = {}
        for words in self._phrases:
            self._longest[words[0]] = max(len(words), self._longest.get(words[0], 0))

    def extract(self, text: str) -> Extraction:
        """Labels and sentiment of a description; no labels and "neutral" where it names no emotion."""
        mentions = list(self.mentions(text))
        weights: dict[str, float] = {}
        for mention in mentions:
            if mention.dropped_by is None:
                weights[mention.family] = weights.get(mention.family, 0.0) + mention.weight
        least = self.rules.keep * max(weights.values(), default=0.0)
        families = {family for family, weight in weights.items() if weight >= least}
        labels = self._labels([mention for mention in mentions
                               if not mention.dropped_by and mention.family in families])
        return Extraction(labels, self._sentiment(mentions, families), tuple(mentions))

    def _labels(self, mentions: list[Mention]) -> tuple[str, ...]:
        """Labels in the order of the text; of a family the one that weighs most, or the first of equals."""
        labels = list(dict.fromkeys(mention.label for mention in mentions))
        if not self.rules.families:
            return tuple(labels)
        weights: dict[str, dict[str, float]] = {}
        for mention in mentions:
            family = weights.setdefault(mention.family, {})
            family[mention.label] = family.get(mention.label, 0.0) + mention.weight
        return tuple(max(family, key=family.get) for family in weights.values())

    def _sentiment(self, mentions: list[Mention], families: set[str]) -> str:
        votes = {"positive": 0.0, "negative": 0.0}
        for mention in mentions:
            if mention.dropped_by is None and mention.family in families:
                polarity = self.lexicon.polarity(mention.label)
                if polarity in votes:
                    votes[polarity] += mention.weight
        return english.verdict(votes["positive"], votes["negative"])

    def mentions(self, text: str) -> Iterator[Mention]:
        """Every emotion word of a text, in order, also those that a rule drops."""
        text = english.straighten(text)
        if self.rules.quotes:
            text = english.without_quotes(text, lambda words: any(True for _ in self._find(words)))
        for sentence in english.sentences(text):
            spans = english.tokens(sentence)
            tokens = [token for token, _, _ in spans]
            found = list(self._find([english.plain(token) for token in tokens]))
            places = {index for start, end, _ in found for index in range(start, end)}
            conclusion = english.conclusion_start(sentence)
            for start, end, family in found:
                label = " ".join(sentence[spans[start][1] : spans[end - 1][2]].lower().split())
                concludes = conclusion is not None and spans[start][1] >= conclusion
                weight = self.rules.conclusion if concludes else 1.0
                yield self._judge(tokens, start, end, places, label, family, weight)

    def _judge(self, tokens, start, end, places, label, family, weight) -> Mention:
        rules, dropped = self.rules, None
        if rules.negation and english.is_negated(tokens, start, end, places):
            dropped = "negation"
        elif rules.other_person and english.is_of_another(tokens, start, end):
            dropped = "other_person"
        elif rules.topics and english.is_of_topic(tokens, start, end, places):
            dropped = "topics"
        if english.is_hedged(tokens, start):
            weight *= rules.hedges
        if english.is_slight(tokens, start):
            weight *= rules.slight
        if english.SIGNS & set(tokens[start:end]):
            weight *= rules.signs
        return Mention(label, family, weight, dropped)

    def _find(self, tokens: list[str]) -> Iterator[tuple[int, int, str]]:
        """(start, end, family) of the longest phrases of the lexicon, from the left."""
        start = 0
        while start < len(tokens):
            for length in range(min(self._longest.get(tokens[start], 0), len(tokens) - start), 0, -1):
                known = self._phrases.get(tuple(tokens[start : start + length]))
                if known:
                    yield start, start + length, known
                    start += length - 1
                    break
            start += 1
