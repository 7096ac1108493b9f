"""Model settings have one table: meaning, choices, range, and the value in each preset; null is the preset's."""

from __future__ import annotations

import dataclasses

import pytest
import yaml

from affectgpt.config import ModelSection, load_recipe, recipe_to_dict, save_recipe
from affectgpt.config.sections import Recipe
from affectgpt.models import settings
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.fusion import FUSIONS
from affectgpt.models.projectors import PROJECTORS
from affectgpt.models.settings import In, InnerSettings, ModelSettings, preset_values
from affectgpt.train.checkpoints import settings_of
from affectgpt.train.sft import model_config

ENCODERS = ["model.audio_encoder=a", "model.visual_encoder=b", "model.llm=c"]


def config_of(*words):
    return model_config(load_recipe("affectgpt-qwen3-0.6b", [*ENCODERS, *words]))


@pytest.fixture
def bare(tmp_path):
    (tmp_path / "bare.yaml").write_text("name: bare\n")
    return tmp_path / "bare.yaml"


@pytest.mark.parametrize("name, value", [
    ("audio_tokens", 4), ("dropout", 0.1), ("projector_hidden", 0), ("audio_window_seconds", 10.0),
    ("lora_dropout", 0.05), ("frames", 8), ("audio_layers", "all"), ("audio_layers", "last4_mean"), ("face_tokens", 1),
])
def test_what_is_given_is_kept_under_a_preset(bare, name, value):
    """Also where it equals the usual value, which the published preset differs from."""
    config = model_config(load_recipe(bare, ["model.preset=published", f"model.{name}={value}"]))
    assert getattr(config, name) == value
    published = preset_values("published")
    assert {key: getattr(config, key) for key in published} == {**published, name: value}


@pytest.mark.parametrize("preset", ["affectgpt", "published"])
def test_what_is_not_given_is_the_presets(bare, preset):
    recipe = load_recipe(bare, [f"model.preset={preset}"])
    assert recipe.model.audio_tokens is None and recipe.model.fusion is None
    values = preset_values(preset)
    assert {key: getattr(model_config(recipe), key) for key in values} == values
    assert vars(recipe.model.with_preset()).items() >= {
        key: value for key, value in values.items() if key in vars(recipe.model)}.items()
    assert load_recipe(bare, [f"model.preset={preset}", "model.frames=null"]).model.frames is None


def test_none_is_a_kind_of_fusion(bare):
    words = ["model.fusion=none", "model.streams=audio,face,text"]
    assert load_recipe(bare, words).model.fusion == "none" == model_config(load_recipe(bare, words)).fusion


def test_defaults_fit_large_encoders():
    """All layers of HuBERT-large in float32 would be 1.6 MB a clip; the starter's encoder is small."""
    usual = Recipe()
    assert usual.model.with_preset().audio_layers == "last4_mean" and usual.data.store_dtype == "float16"
    for name in ("starter", "ravdess-audio"):
        recipe = load_recipe(name)
        assert (recipe.model.audio_layers, recipe.data.store_dtype) == ("all", "float32")


def test_every_setting_has_its_value_in_each_preset_and_a_choice_that_exists():
    assert settings.PRESETS == ("affectgpt", "published")
    for preset in settings.PRESETS:
        assert settings.problems_of(preset_values(preset)) == []
        assert settings.problems_of(vars(AffectGPTConfig(preset=preset))) == []
    named = {field.name for section in (ModelSettings, InnerSettings) for field in dataclasses.fields(section)}
    assert set(preset_values("affectgpt")) == named - {"preset"}
    for names, setting in ((PROJECTORS, "projector"), (["none", *FUSIONS], "fusion")):
        assert settings.problems_of({setting: "?"}) == [f"{setting} is '?': use one of {', '.join(names)}"]
    with pytest.raises(ValueError, match="unknown preset 'x'"):
        preset_values("x")


def test_values_of_a_preset_are_not_shared():
    preset_values("affectgpt")["streams"].clear()
    assert len(preset_values("affectgpt")["streams"]) == 4
    assert In(4).published == 4 and In(None, published="x").affectgpt is None


@pytest.mark.parametrize("values, says", [
    ({"projector": "linear"}, "projector is 'linear': use one of attention, mean, qformer"),
    ({"streams": ["audio", "smell"]}, "streams[1] is 'smell'"),
    ({"audio_tokens": 0}, "audio_tokens=0 must be at least 1"),
    ({"dropout": 1.0}, "dropout=1.0 must be at least 0 and below 1"),
    ({"face_channels": "grey"}, "use one of rgb, bgr"),
    ({"qformer_heads": 0}, "qformer_heads=0"),
])
def test_a_configuration_has_the_choices_and_ranges_of_the_table(values, says):
    with pytest.raises(ValueError, match="use one of|must be") as error:
        AffectGPTConfig(**values)
    assert says in str(error.value)


# ---------------------------------------------------------------------------- recipes of earlier runs


def test_a_recipe_of_an_earlier_run_means_what_it_meant(tmp_path):
    """Version 0.1 wrote every value; under the published preset a usual one stood for "not given"."""
    usual = {**preset_values("affectgpt"), "audio_layers": "all"}
    model = {**recipe_to_dict(Recipe())["model"]}
    written = {"name": "old", "model": {**model, **{key: usual[key] for key in model if key in usual}}}
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(written))
    assert model_config(load_recipe(path)).audio_layers == "all"
    written["model"] |= {"preset": "published", "frames": 5, "audio_tokens": 4}
    path.write_text(yaml.safe_dump(written))
    config = model_config(load_recipe(path))
    assert (config.frames, config.audio_tokens, config.dropout, config.audio_layers) == (5, 1, 0.0, "last4_mean")
    save_recipe(load_recipe(path), path)
    assert model_config(load_recipe(path)).to_dict() == config.to_dict()


def test_a_written_default_continues_a_run_without_it(bare):
    words = [f"model.{key}={value}" for key, value in preset_values("affectgpt").items()
             if key in settings_names() and not isinstance(value, list)]
    assert settings_of(load_recipe(bare)) == settings_of(load_recipe(bare, words))
    assert settings_of(load_recipe(bare)) != settings_of(load_recipe(bare, ["model.frames=3"]))


def settings_names():
    return {field.name for field in dataclasses.fields(ModelSection)}
