"""Extraction of labels without an LLM: the list parser, the rules, and the study that measured them."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
from label_fixtures import SmallLexicon, extract

from affectgpt.data import prompts
from affectgpt.data.clip import Targets
from affectgpt.extractors import english, lists
from affectgpt.extractors.rules import RuleExtractor, Rules
from affectgpt.metrics.label_lists import parse_labels

# ---------------------------------------------------------------- lists

@pytest.mark.parametrize(("raw", "labels"), [
    ("[happy, can't cope]", ["happy", "can't cope"]),
    ("[happy, can\u2019t cope]", ["happy", "can't cope"]),
    (r"['happy', 'can\'t cope']", ["happy", "can't cope"]),
    ("['happy', 'can't cope', \"didn't like it\"]", ["happy", "can't cope", "didn't like it"]),
    ('["happy", "b\\u00eate"]', ["happy", "b\u00eate"]),
    ('{"emotions": ["sad", "low"], "polarity": "negative"}', ["sad", "low"]),
    ('{"happy": 0.9, "sad": 0.0}', ["happy"]),
    ("('sad', 'low')", ["sad", "low"]),
    ("happy; sad/low", ["happy", "sad", "low"]),
    ("Happy, SAD and tired.", ["happy", "sad", "tired"]),
    ("1. happy 2. sad 3) mad", ["happy", "sad", "mad"]),
    ("1. **Happy**: she smiles, laughing\n2. **Sad** - he cries", ["happy", "sad"]),
    ("Emotions:\n- joy\n- fear (a bit)", ["joy", "fear"]),
    ("positive emotions: happiness, negative: anger", ["happiness", "anger"]),
    ("longing for family and children", ["longing for family and children"]),
    ("a sense of loss and anger", ["sense of loss", "anger"]),
    ("[concern for others']", ["concern for others'"]),
    ("lack_of_confidence, well-being", ["lack of confidence", "well-being"]),
    ("\u8bf7\u6c42\uff0c\u9080\u8bf7", ["\u8bf7\u6c42", "\u9080\u8bf7"]),
    ("sad, happy, Sad", ["sad", "happy"]),
    ("[]", []), ("", []), ("None", []), ("[[[[", []),
    (["x", "y, z"], ["x", "y", "z"]),
])
def test_list_is_parsed(raw, labels):
    assert parse_labels(raw) == labels


@pytest.mark.parametrize("raw", [3, None, {"a": 1}, ["a", 3]])
def test_what_is_no_list_is_refused(raw):
    with pytest.raises(ValueError, match="text"):
        parse_labels(raw)


@pytest.mark.parametrize("raw", ["[" * 100_000, "['" * 100_000, "a " * 100_000, " - " * 100_000, "\\'" * 100_000,
                                 "(a" * 100_000, "x" * 500_000, "```\n" * 50_000, "\n" * 200_000, "<think>" * 50_000])
def test_no_text_takes_long(raw):
    started = time.perf_counter()
    parse_labels(raw)
    lists.listed(lists.clean(raw))
    extract(raw[:100_000])
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize(("answer", "labels"), [
    ("The character's emotional state is sorry, disappointed, didn't like it.",
     ["sorry", "disappointed", "didn't like it"]),
    ("Emotions: angry, sad. Polarity: negative.", ["angry", "sad"]),
    ("The voice is loud: angry. Emotions: angry, sad. Polarity: negative.", ["angry", "sad"]),
    ("The most likely label is worried.", ["worried"]),
    ("Based on the video, the person's emotions are likely happy and excited.", ["happy", "excited"]),
    ("**Emotions:** happy, sad\n**Explanation:** she smiles.", ["happy", "sad"]),
    ("<think>Is he sad? He is.</think>\n\nhappy", ["happy"]),
    ("He may be sad. </think> [low]", ["low"]),
    ("<think>he is sad, and", []),
    ('```json\n["happy"]\n```', ["happy"]),
    ("- happy\n- can\u2019t cope", ["happy", "can't cope"]),
    ("very happy", ["very happy"]),
    ("happy###", ["happy"]),
    ("none", []), ("[]", []),
    ("The character's emotional state is happy because she got a gift.", None),
    ("Her emotional state is calm. Later she is angry.", None),
    ("He is happy, sad.", None), ("I do not know", None), ("Yes.", None),
    ("She smiles, so she seems happy.", None),
])
def test_answer_is_a_list_or_not(answer, labels):
    assert lists.listed(lists.clean(answer)) == labels


@pytest.mark.parametrize("style", ["chat", "published"])
def test_every_answer_that_the_prompts_teach_is_read(style):
    targets = Targets(labels=("worried", "grossed out", "can't cope"), sentiment="negative", description="A scene.")
    text = lists.clean(prompts.answer(targets, "labels", [], style))
    assert lists.listed(text) == ["worried", "grossed out", "can't cope"]
    if style == "chat":
        described = lists.clean(prompts.answer(targets, "description", [], style))
        assert lists.listed(described) == ["worried", "grossed out", "can't cope"]
        assert lists.stated_polarity(text) == "negative"
    else:
        assert lists.stated_polarity(prompts.answer(targets, "sentiment", [], style)) == "negative"


@pytest.mark.parametrize(("answer", "value"), [
    ("The valence score is -1.20.", -1.2), ("0.5", 0.5), ("Valence: +2", 2.0), ("\u22121", -1.0),
    ("She is 30 years old.", None), ("high", None)])
def test_stated_valence(answer, value):
    assert lists.stated_valence(lists.clean(answer)) == value


# ---------------------------------------------------------------- rules

@pytest.mark.parametrize(("text", "labels"), [
    ("He is not angry.", []),
    ("She doesn't seem happy.", []),
    ("She doesn\u2019t seem happy.", []),
    ("He speaks without any sadness, anger or fear.", []),
    ("She shows anger rather than fear.", ["anger"]),
    ("He is no longer sad.", []),
    ("He lacks happiness.", []),
    ("She is not only angry but also sad.", ["angry", "sad"]),
    ("He cannot hide his anger.", ["anger"]),
    ("He does not look up, and he seems sad.", ["sad"]),
    ("He did not expect this, but he is happy.", ["happy"]),
    ("Not a word is said. He is angry.", ["angry"]),
    ("He is not happy, he is sad.", ["sad"]),
    ("There is no sign of anger, only sadness.", ["sadness"]),
    ("She is neither happy nor sad.", []),
    ("Without happiness, anger, or any real fear.", []),
    ("He isn't angry but sad.", ["sad"]),
    ("He feels nothing but joyful.", ["joyful"]),
    ("She is anything but calm.", []),
    ("Without a word she is angry.", ["angry"]),
    ("No one is angry.", []),
    ("His words make the listener angry.", []),
    ("The other person is sad.", []),
    ("She listens to the other person and is sad.", ["sad"]),
    ("The other person's anger is plain, and she is worried.", ["worried"]),
    ("He is comforting her sad friend.", []),
    ("She is angry with her friend.", ["angry"]),
    ('The subtitle says, "I am so happy and proud!" She frowns and is sad.', ["sad"]),
    ("The subtitle says, \u201cI am happy to see you.\u201d He is angry.", ["angry"]),
    ("His 'sad' look stays.", ["sad"]),
    ("She speaks in a calm tone about a tense medical situation and is worried.", ["calm", "worried"]),
    ("Her tone is calm.", ["calm"]),
    ("He is AT EASE.", ["at ease"]),
    ("He is Self-Conscious.", ["self-conscious"]),
    ("The room is large.", []),
    ("", []),
])
def test_rules(text, labels):
    assert extract(text) == labels


def test_conclusions_outweigh_other_sentences():
    text = "The man is tense. He looks up. Therefore he feels angry. Overall, his anger is plain."
    assert extract(text, replace(Rules(), words=1)) == ["angry"]
    assert extract("Based on his tense face, it can be inferred that he is sad.") == ["sad"]
    assert extract(text, replace(Rules(), conclusion=1.0, words=1)) == ["tense", "angry"]


def test_of_a_family_the_heaviest_words_are_labels_in_the_order_of_the_text():
    """Two words, because official tables part synonyms; forms of one word ("happy", "happily") are one label."""
    text = "She is joyful and proud and full of happiness, and happy."
    assert extract(text) == ["joyful", "proud", "happiness"]
    assert extract(text, replace(Rules(), words=1)) == ["proud", "happiness"]


def test_sentiment_is_a_vote():
    extractor = RuleExtractor(SmallLexicon())
    assert extractor.extract("He is sad and angry but proud.").sentiment == "negative"
    assert extractor.extract("He is proud.").sentiment == "positive"
    assert extractor.extract("He is proud and sad.").sentiment == "neutral"
    assert extractor.extract("Nothing.").sentiment == "neutral"


def test_sentences_that_were_glued_together_are_told_apart():
    assert english.sentences("He waits.In the audio, he sighs. End") == ["He waits.", "In the audio, he sighs.", "End"]
