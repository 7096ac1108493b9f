"""Settings of baseline jobs: read, changed, refused."""

from __future__ import annotations

import pytest

from affectgpt.baselines.settings import BaselineSettings, load_settings, save_settings


@pytest.fixture
def recipe(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text("name: words\ncorpus: {reader: cexpr, root: /data, options: {other: false}}\nprotocol: paper\n")
    return path


def test_a_recipe_is_read_and_changed(recipe, tmp_path):
    settings = load_settings(BaselineSettings, recipe, ["seeds=3,4", "corpus.options.other=true"])
    assert (settings.name, settings.seeds, settings.corpus.options) == ("words", [3, 4], {"other": "true"})
    save_settings(settings, tmp_path / "two.yaml")
    assert load_settings(BaselineSettings, tmp_path / "two.yaml") == settings


def test_another_reader_loses_the_options_of_the_one_before(recipe):
    words = ["corpus.options.language=en", "corpus.reader=meld", "protocol=official"]
    assert load_settings(BaselineSettings, recipe, words).corpus.options == {"language": "en"}
    assert load_settings(BaselineSettings, recipe, ["corpus.reader=cexpr"]).corpus.options == {"other": False}


def test_what_cannot_be_is_told_at_once(recipe, tmp_path):
    with pytest.raises(ValueError, match=r"protocol is .mine.: use one of.*; seeds are \[1, 1\].*corpus.weight"):
        load_settings(BaselineSettings, recipe, ["protocol=mine", "seeds=1,1", "corpus.weight=2"])
    with pytest.raises(ValueError, match="nearest known key is 'seeds'"):
        load_settings(BaselineSettings, recipe, ["seed=1"])
    with pytest.raises(ValueError, match="no such recipe file; the packaged baseline recipes are"):
        load_settings(BaselineSettings, "nothing")
