"""The emotion-word table: forms, denials, wheels, coverage."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from lexicon_tables import (
    ROOT,
    WORDS,
    coverage,
    coverage_table,
    exception_table,
    family_table,
    official_places,
    places,
    unseen_words,
)

from affectgpt.words.basic import POLARITY, SYNONYMS
from affectgpt.words.forms import lemma
from affectgpt.words.lexicon import FOLDER, NEUTRAL, WHEELS, load

DOCS = ROOT / "docs" / "emotion_words.md"
TABLE = json.loads((FOLDER / "families.json").read_text("utf-8"))


@pytest.mark.parametrize("family, labels", [
    ("joy", "joy Joyful joyfulness HAPPY happily happiness cheerful pleased"),
    ("anxiety", "anxious anxiety anxiously worried worries uneasy concern"),
    ("frustration", "frustrate frustrated frustrating frustratingly frustration Frustrations annoyed"),
    ("sadness", "sad sadder saddest wept grieving"),
    ("anger", "angry angrier angriest furious rage"),
    ("excitement", "excited excitement"), ("amusement", "teasing playful joking"), ("hope", "expectant anticipation"),
    ("nervousness", "tense tension"), ("hurt", "grievance aggrieved wronged"), ("shock", "speechless stunned"),
    ("affection", "touched moved"), ("mockery", "sarcastic ironic mocking"), ("helplessness", "helpless helplessness"),
    ("positive", "positive positivity"), ("negative", "negative"), ("stress", "urgent urgency"),
    ("gratitude", "gratitude"), ("disapproval", "accusation warning"), ("care", "advice"), ("connection", "friendly"),
    ("seriousness", "serious"), ("neutral", "neutral composed"),
])
def test_forms_of_a_word_meet_in_one_family(family, labels):
    assert {label: load().family(label) for label in labels.split()} == dict.fromkeys(labels.split(), family)


@pytest.mark.parametrize("label, family", [
    ("**Very frustrated**", "frustration"), ("lack_of_confidence", "insecurity"), ("Light-Hearted", "joy"),
    ("don’t care", "indifference"), ("don't care", "indifference"), ("“Grief–stricken”", "sadness"),
    ("cant wait", "excitement"), ("déspair", "despair"), ("ｈａｐｐｙ", "joy"),
    ("blase", "boredom"), ("blasé", "boredom"),
    ("1. Happy", "joy"), ("`at ease`", "peace"),
    ("a bit of annoyance", "frustration"), ("sense of great sadness", "sadness"), ("somewhat nervous", "nervousness"),
    ("feeling down", "sadness"), ("under immense pressure", "stress"), ("looking forward to", "hope"),
    ("not only sad", "sadness"), ("emotional exhaustion", "tiredness"), ("positive attitude", "positive"),
    ("negative emotions", "negative"), ("fear of regret", "anxiety"), ("worried about him", "anxiety"),
    ("happy surprise", "surprise"), ("sad like me", "sadness"), ("joy/happiness", "joy"),
])
def test_a_label_is_found_through_markup_spelling_and_words_around_it(label, family):
    assert load().family(label) == family


@pytest.mark.parametrize("label, family", [
    ("unhappy", "sadness"), ("not happy", "sadness"), ("isn’t happy", "sadness"), ("not at all happy", "sadness"),
    ("lack of joy", "sadness"), ("lack of a sense of joy", "sadness"), ("loss of hope", "despair"),
    ("without hope", "despair"), ("lack of interest", "boredom"), ("lacking enthusiasm", "boredom"),
    ("low confidence", "insecurity"), ("no longer angry", "calm"), ("anxiety-free", "calm"), ("not bad", "positive"),
    ("not sad", None), ("not unhappy", None), ("less happy", None), ("neither happy nor sad", None),
    ("t like it", None),  # what a split at the apostrophe leaves of "didn't like it"
    ("not without joy", None), ("nonaggressive", None), ("sad, not angry", None), ("not surprised", "neutral"),
])
def test_a_denied_state_is_never_the_state(label, family):
    assert load().family(label) == family
    root = load().root(label, "wheel1")
    assert root == (load().families[family].roots["wheel1"]["level1"] if family else None)


@pytest.mark.parametrize("label", [
    "", "  ", "**", "request", "explanation", "emotional", "mood", "a chair", "请求", "sad and happy",
    "joy mixed with fear", "anger, surprise", "likely", "generally", "values", "please",
    "the man is happy because his friend is here today",
])
def test_what_names_no_single_state_is_unknown(label):
    lexicon = load()
    assert lexicon.family(label) is None and lexicon.polarity(label) is None
    assert [lexicon.root(label, wheel, level) for wheel in WHEELS for level in ("level1", "level2")] == [None] * 10


@pytest.mark.parametrize("label, roots", [
    # where the published tables are known to go wrong, by wheel 1 to 5
    ("happy", "happy happy joyful joy joyful"), ("joyful", "happy happy joyful joy joyful"),
    ("warm", "happy happy peaceful joy peaceful"), ("serious", "neutral neutral neutral neutral neutral"),
    ("guilt", "sad sad sad sad sad"), ("guilty", "sad sad sad sad sad"), ("neutral", "neutral " * 5),
    ("doubt", "scared fearful scared fear scared"), ("tension", "scared fearful scared fear scared"),
    ("tense", "scared fearful scared fear scared"), ("humor", "happy happy joyful joy joyful"),
    ("cheerful", "happy happy joyful joy joyful"), ("satisfied", "happy happy peaceful joy peaceful"),
    # the wheels' own places, kept
    ("surprise", "surprised surprised powerful fear joyful"), ("excitement", "surprised surprised joyful joy joyful"),
    ("embarrassment", "mad sad scared disgust scared"), ("jealousy", "mad angry mad disgust mad"),
    ("hurt", "sad sad mad sad mad"), ("numbness", "sad angry sad sad sad"),
])
def test_roots_of_words_that_are_easily_misplaced(label, roots):
    assert [load().root(label, wheel) for wheel in WHEELS] == roots.split()


def test_every_family_lies_on_every_wheel():
    for entry in TABLE["families"]:
        assert set(entry["roots"]) == set(WHEELS)
        for wheel, (root, child) in entry["roots"].items():
            assert (root, child) == (NEUTRAL, NEUTRAL) or child in WORDS[wheel][root], (entry["name"], wheel)
        family = load().families[entry["name"]]
        assert family.words and family.polarity == load().polarity(family.words[0])
    neutral = {name for name, family in load().families.items() if family.roots["wheel1"]["level1"] == NEUTRAL}
    assert neutral == {"neutral", "seriousness", "thoughtfulness"}
    assert load().wheel_roots("wheel4") == ("joy", "genius", "anger", "sad", "fear", "disgust", "neutral")


@pytest.mark.parametrize("wheel", WHEELS)
def test_a_wheel_word_lies_where_its_wheel_has_it(wheel):
    lexicon = load()
    excepted = {row["word"] for row in TABLE["wheel_exceptions"] if row["wheel"] == wheel}
    for word, where in places(wheel).items():
        family = lexicon.families[lexicon.family(word)].roots[wheel]
        root, child = lexicon.root(word, wheel), lexicon.root(word, wheel, "level2")
        if word in excepted:
            assert {"level1": root, "level2": child} == family and root not in {place[0] for place in where}
            continue
        roots = [place[0] for place in where]
        assert root == (family["level1"] if family["level1"] in roots else roots[0]), word
        assert child in WORDS[wheel][root]
        assert (root, child) in where or (root, None) in where, word


def test_polarity_agrees_with_the_basic_emotions():
    words = {word: POLARITY[basic] for basic, words in SYNONYMS.items() for word in words if basic != "calm"}
    differing = {word for word, polarity in words.items() if load().polarity(word) != polarity}
    # One basic emotion, three families: wonder is pleasant and shock is not.
    assert differing == {"amazed", "stunned", "startled"}
    assert [load().polarity(label) for label in ("calm", "relaxed", "not calm")] == ["neutral", "positive", "negative"]


def test_a_basic_word_stands_for_all_its_synonyms():
    """The starter corpus's words come down to the word that it was written from."""
    for basic, synonyms in SYNONYMS.items():
        assert {load().basic_emotion(word) for word in synonyms} == {load().meaning(basic)} == {basic}
    words = ["joy", "sadness", "surprise", "Frustrated", "excited", "wobbly"]
    assert [load().basic_emotion(word) for word in words] == ["happy", "sad", "surprised", "angry", None, None]
    assert [load().meaning(word) for word in ("excited", "thrilled", "wobbly")] == ["excitement", "enthusiasm", None]


@pytest.mark.parametrize("labels, polarity", [
    ("fearfully surprised", "negative"), ("Happily surprised", "positive"), ("very surprised", "neutral"),
    ("not surprised", "neutral"), ("kind of calm", "neutral"), ("surprise at the loss", "neutral"),
    ("happy, sad", "neutral"), ("happy, glad, sad", "positive"), ("angry, wobbly", "negative"), ("wobbly", None),
    ("", None),
])
def test_polarity_of_a_set_is_what_most_of_its_known_labels_have(labels, polarity):
    assert load().polarity_of(labels.split(", ")) == polarity


def test_states_in_a_text():
    text = "Her eyes are low: she's **grossed-out**, doesn't like it, and is looking forward to nothing. Happy?"
    assert load().states_in(text) == ["grossed out", "looking forward to", "happy"]
    assert load().states_in("") == []


def test_surface_words_are_states_in_a_text():
    surface = load().surface_words()
    assert all(load().family(word) == family for word, family in surface.items())
    assert all(word == word.lower().strip() for word in surface)
    assert surface["looking forward"] == "hope" and surface["don't care"] == "indifference"
    for word in ("like", "low", "open", "content", "moved", "patient", "certain", "smiling"):
        assert word not in surface and load().family(word), word
    surface.clear()
    assert load().surface_words()


@pytest.mark.parametrize("change, message", [
    (lambda table, joy: joy["words"].append("sad"), "'sad' of family 'sadness' is also in 'joy'"),
    (lambda table, joy: joy["labels_only"].append("Looking_forward"), "'looking forward' of family 'hope' is also"),
    (lambda table, joy: table["out_of_vocabulary"].append("glad"), "'glad' of .*'joy' is also in 'out_of_vocabulary'"),
    (lambda table, joy: joy["roots"].update(wheel3=["sad", "cheerful"]), "'cheerful' does not lie under 'sad'"),
    (lambda table, joy: joy["roots"].pop("wheel5"), "family 'joy' .* lacks a root"),
    (lambda table, joy: joy.update(polarity="good"), "family 'joy' .* polarity"),
    (lambda table, joy: joy.update(opposite="misery"), "opposite of 'joy' is no family: 'misery'"),
    (lambda table, joy: joy["words"].remove("joyful"), "'joyful' of wheel1 has no family"),
    (lambda table, joy: table["wheel_exceptions"][0].update(word="glad"), "'glad' is an exception of wheel4"),
    (lambda table, joy: table["families"].append(joy), "family 'joy' is there twice"),
])
def test_a_table_that_contradicts_itself_is_refused(change, message, tmp_path):
    for name in ("wheels.json", "label_grammar.json"):
        (tmp_path / name).write_text((FOLDER / name).read_text("utf-8"), "utf-8")
    table = json.loads((FOLDER / "families.json").read_text("utf-8"))
    change(table, next(entry for entry in table["families"] if entry["name"] == "joy"))
    (tmp_path / "families.json").write_text(json.dumps(table), "utf-8")
    with pytest.raises(ValueError, match=re.escape(str(tmp_path)) + ".*" + message):
        load(tmp_path)


def test_an_own_table_answers_for_itself(tmp_path):
    for name in ("wheels.json", "label_grammar.json"):
        (tmp_path / name).write_text((FOLDER / name).read_text("utf-8"), "utf-8")
    table = {**TABLE, "version": "mine-1", "families": [
        {**entry, "words": [*entry["words"], "verklempt"]} if entry["name"] == "affection" else entry
        for entry in TABLE["families"]]}
    (tmp_path / "families.json").write_text(json.dumps(table), "utf-8")
    assert (load().version, load(tmp_path).version) == ("affectgpt-1", "mine-1")
    assert (load().family("verklempt"), load(tmp_path).family("verklempt")) == (None, "affection")
    assert load() is load() and load(tmp_path).root("verklempt", "wheel4", "level2") == "care"


def test_an_unknown_wheel_or_level_is_an_error():
    for arguments in (("sad", "wheel6"), ("sad", "wheel1", "level3")):
        with pytest.raises(ValueError, match="there are"):
            load().root(*arguments)


def test_libraries_are_imported_by_the_first_word_that_needs_them():
    code = ("import sys; from affectgpt.words.lexicon import load; find = load().family\n"
            "for label in ('not happy', 'Very sad', 'joyousness', 'angriest'):\n"
            "    find(label); print(sorted({'simplemma', 'snowballstemmer', 'numpy', 'torch'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "[]", "['snowballstemmer']", "['simplemma', 'snowballstemmer']"]


def test_the_wheels_are_the_published_ones(shared_data):
    pytest.importorskip("openpyxl")
    for wheel in WHEELS:
        published = {(place, word) for word, place in official_places(shared_data, wheel)}
        ours = {(place[0], word) for word, where in places(wheel).items() for place in where}
        assert ours == {(root, word.replace("’", "'")) for root, word in published}


def test_the_table_knows_more_labels_than_the_published_one(shared_data):
    pytest.importorskip("openpyxl")
    for name, row in coverage(shared_data).items():
        ours, published = row["affectgpt-1"], row["mer2025"]
        for wheel in WHEELS:
            assert ours[wheel][0] >= max(97, published[wheel][0]) and ours[wheel][1] >= 85, (name, wheel)
    text = DOCS.read_text("utf-8")
    for part in (coverage_table(shared_data), unseen_words(shared_data)):
        assert f"{part}\n" in text, "python tests/lexicon_tables.py prints the new one"


def test_the_document_says_what_the_table_says():
    text = DOCS.read_text("utf-8")
    for table in (family_table(), exception_table()):
        assert f"{table}\n" in text, "python tests/lexicon_tables.py prints the new one"


@pytest.mark.slow
def test_stem_and_lemma_never_name_different_families():
    from simplemma.strategies.dictionaries.dictionary_factory import DefaultDictionaryFactory

    lexicon = load()
    entries = DefaultDictionaryFactory().get_dictionary("en")
    words = {word for word in {*entries, *entries.values()} if word.isascii() and word.isalpha() and word.islower()}
    assert len(words) > 100_000
    for word in words:
        by_lemma = lexicon._listed.get(lemma(word)) if word not in lexicon._listed else None
        assert by_lemma is None or lexicon._listed[lexicon._forms.known_word(word)] == by_lemma, word
