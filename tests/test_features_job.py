"""The job that computes features: what it prints, and what it refuses."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import pytest
from feature_fixtures import corpus, media_folder, recipe, rewrite, shards
from safetensors import safe_open
from tiny import parts

from affectgpt.train import extract_features


def test_the_job_prints_what_it_did_and_what_comes_next(recipe, tmp_path, capsys):
    arguments = [str(recipe), "--store", str(tmp_path / "s"), "--splits", "train", "data.workers=1"]
    assert extract_features.main([*arguments, "--verify", "2"]) == 0
    out = capsys.readouterr().out
    for expected in ("5 computed on cpu", "clips/s", "5 of 5 clips", "MB on disk", "kB a clip",
                     "verified: 2 clips computed again; the largest difference is 0 ",
                     f"affectgpt train {recipe} data.workers=1 data.store={tmp_path / 's'}"):
        assert expected in out, expected
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "s"), "data.speed_perturbation=[1.25]"]) == 0
    out = capsys.readouterr().out
    assert "2 computed on cpu" in out and "5 were there" in out and "further speeds of the sound: 5 computed" in out
    tampered = shards(tmp_path / "s")
    for shard in tampered:
        with safe_open(shard, "pt") as file:
            audio = file.get_tensor("audio").clone()
        rewrite(shard, lambda row: None, tensors={"audio": audio + 1})
    with pytest.raises(ValueError, match="its audio features of clip .* are not those that the encoder gives now"):
        extract_features.main([*arguments, "--verify", "3"])


def test_the_job_loads_no_language_model(recipe, tmp_path, monkeypatch):
    from transformers import AutoModelForCausalLM

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", None)
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "s"), "--splits", "test"]) == 0


@pytest.mark.parametrize(("words", "environment", "message"), [
    (["--splits", "trian"], {}, "--splits trian: no clip has this split; the manifests have test, train"),
    (["--shard-clips", "0"], {}, "--shard-clips is 0"),
    (["model.train_encoders=true", "data.cache=false", "train.alignment_epochs=0"], {}, "model.train_encoders=true"),
    (["data.manifests=[]"], {}, "data.manifests is empty"),
    ([], {"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 and WORLD_SIZE=2"),
    ([], {"RANK": "x", "WORLD_SIZE": "2"}, "RANK=x and WORLD_SIZE=2"),
])
def test_the_job_refuses_mistakes(recipe, tmp_path, monkeypatch, words, environment, message):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match=message):
        extract_features.main([str(recipe), "--store", str(tmp_path / "s"), *words])
    assert not (tmp_path / "s").exists()
