"""The corpora of a recipe: entries by number on the command line, types of options, old keys beside new ones."""

from __future__ import annotations

import pytest

from affectgpt.config import CorpusSection, Recipe, load_recipe, recipe_to_dict, save_recipe, typed

TWO = """data:
  corpora:
    - {reader: meld, root: "${MELD}", weight: 0.5, questions: {emotion: 1}}
    - {reader: cmumosi, protocol: "fold:1", options: {transcripts: null, fold: 3, names: [a, b], gold: true}}
"""


@pytest.fixture
def recipe(tmp_path):
    def load(text, *overrides):
        (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
        return load_recipe(tmp_path / "a.yaml", list(overrides))

    return load


def failure(load, text, *overrides):
    with pytest.raises(ValueError) as caught:
        load(text, *overrides)
    return str(caught.value)


def test_corpora_are_read_and_survive_a_round_trip(recipe, tmp_path):
    found = recipe(TWO)
    assert found.data.corpora == [
        CorpusSection("meld", "${MELD}", weight=0.5, questions={"emotion": 1.0}),
        CorpusSection("cmumosi", protocol="fold:1",
                      options={"transcripts": None, "fold": 3, "names": ["a", "b"], "gold": True})]
    save_recipe(found, tmp_path / "b.yaml")
    assert load_recipe(tmp_path / "b.yaml") == found
    assert recipe_to_dict(found)["data"]["corpora"][0]["root"] == "${MELD}"


def test_overrides_reach_into_an_entry_and_add_the_next(recipe):
    found = recipe(TWO, "data.corpora.0.root=/data/m=1", "data.corpora.1.options.fold=0",
                   "data.corpora.1.questions.valence=2", "data.corpora.0.questions=none",
                   "data.corpora.2.reader=manifest", "data.corpora.2.root=a.jsonl",
                   "data.corpora.2.valence_range=-3,3", "data.corpora.2.labels=happy, sad").data.corpora
    assert (found[0].root, found[0].questions, found[0].weight) == ("/data/m=1", None, 0.5)
    assert (found[1].options["fold"], found[1].questions) == ("0", {"valence": 2.0})  # a reader says what it means
    assert type(found[1].options["fold"]) is str
    assert found[2] == CorpusSection(root="a.jsonl", valence_range=[-3.0, 3.0], labels=["happy", "sad"])
    [only] = recipe("", "data.corpora=[{reader: meld, weight: 2}]").data.corpora
    assert only == CorpusSection("meld", weight=2.0)
    assert recipe(TWO, "data.corpora=").data.corpora == []


def test_another_reader_does_not_take_the_options_of_the_one_before(recipe):
    found = recipe(TWO, "data.corpora.1.options.root=/media", "data.corpora.1.reader=manifest").data.corpora[1]
    assert (found.options, found.protocol) == ({"root": "/media"}, "fold:1")
    assert recipe(TWO, "data.corpora.1.reader=cmumosi").data.corpora[1].options["fold"] == 3


@pytest.mark.parametrize("text, words, parts", [
    (TWO, ["data.corpora.0.rot=x"], ["unknown key 'data.corpora.0.rot'", "'data.corpora.0.root'"]),
    (TWO, ["data.corpora.3.root=x"], ["there are 2 entries", "the next one is 2"]),
    (TWO, ["data.corpora.first.root=x"], ["unknown key 'data.corpora.first.root'"]),
    (TWO, ["data.corpora.0=meld"], ["is a group of settings", "data.corpora.0.reader"]),
    (TWO, ["data.corpora=meld"], ["data.corpora=meld'.0 must be a mapping, got 'meld'"]),
    (TWO, ["data.corpora.0.weight=much"], ["a number"]),
    (TWO, ["data.corpora.0.weight=-1"], ["data.corpora.0.weight=-1.0 must not be negative"]),
    (TWO, ["data.corpora.1.questions.valence=-1"], ["data.corpora.1.questions.valence=-1.0 must not be negative"]),
    (TWO, ["data.corpora.0.questions.emotion=0"], ["data.corpora.0.questions asks nothing"]),
    (TWO, ["data.corpora.0.weight=0", "data.corpora.1.weight=0"], ["all weights are 0"]),
    (TWO, ["data.corpora.0.valence_range=3,-3"], ["must be two numbers, the lower one first"]),
    ("data: {corpora: [{raeder: meld}]}", [], ["data.corpora.0: unknown key 'raeder'", "'reader'"]),
    ("data: {corpora: [{options: {a: {b: c}}}]}", [], ["options.a must be text, a number, true, false or a list"]),
    (TWO + "  manifests: [m.jsonl]\n", [], ["data.manifests and data.corpora", "data.corpora=[]",
                                            "{reader: manifest, root: m.jsonl}"]),
    (TWO, ["data.manifests=m.jsonl", "data.corpora.0.weight=2"], ["data.manifests and data.corpora"]),
    (TWO, ["data.root=/media"], ["data.root=/media belongs to data.manifests", "data.corpora.0.root",
                                 "data.corpora.0.options.root"]),
    ("", ["data.shared_clips=leave"], ["did you mean 'leave_out'"]),
])
def test_mistakes_say_what_to_write(recipe, text, words, parts):
    message = failure(recipe, text, *words)
    for part in parts:
        assert part in message, message


def test_keys_of_an_entry_are_known_by_number():
    keys = list(typed.dotted_keys(Recipe))
    assert {"data.corpora", "data.corpora.0.protocol", "data.manifests"} <= set(keys)


MANIFESTS = "data: {manifests: [m.jsonl], root: /media}\n"


def test_what_is_said_last_replaces_where_clips_came_from(recipe, tmp_path):
    data = recipe(TWO, "data.manifests=m.jsonl", "data.root=/media").data
    assert (data.corpora, data.manifests, data.root) == ([], ["m.jsonl"], "/media")
    data = recipe(MANIFESTS, "data.corpora.0.reader=meld", "data.corpora.0.root=/meld").data
    assert (data.manifests, data.root, data.corpora) == ([], None, [CorpusSection("meld", "/meld")])
    assert len(recipe(TWO, "data.manifests=[]").data.corpora) == 2
    assert recipe(MANIFESTS, "data.corpora=").data.manifests == ["m.jsonl"]
    for base, own, corpora, manifests in ((TWO, MANIFESTS, 0, 1), (MANIFESTS, TWO, 2, 0), (TWO, "", 2, 0),
                                          (TWO, "data: {manifests: []}\n", 2, 0)):
        (tmp_path / "base.yaml").write_text(base)
        data = recipe(f"base: base.yaml\n{own}").data
        assert (len(data.corpora), len(data.manifests)) == (corpora, manifests)
