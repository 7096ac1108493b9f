"""`affectgpt release` and `verify` on tiny parts: whole or not there, refused by name where something is wrong."""

from __future__ import annotations

import json
import shutil

import pytest
import tiny
import torch
from tiny import parts  # noqa: F401  a fixture

from affectgpt.cli import main
from affectgpt.files import atomic_folder
from affectgpt.inference import Describer
from affectgpt.loading import from_parts, load_tokenizer
from affectgpt.models.processing import AffectGPTProcessor


@pytest.fixture(scope="module")
def run(parts, tmp_path_factory):  # noqa: F811
    """A run's output folder, as training leaves it, of parts that are folders of this machine."""
    from affectgpt.config import load_recipe, save_recipe

    folder = tmp_path_factory.mktemp("release") / "run"
    config = tiny.config(parts)
    model = from_parts(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    with atomic_folder(folder / "model") as temporary:
        model.save_pretrained(temporary)
        AffectGPTProcessor(load_tokenizer(config.llm), model.config).save_pretrained(temporary)
        recipe = load_recipe("starter", ["data.manifests=/home/somebody/secret/manifest.jsonl"])
        save_recipe(recipe, temporary / "recipe.yaml")
        (temporary / "training.json").write_text(json.dumps({"train_clips": 77, "validation_clips": 11, "seconds": 36.0,
                                                             "best_checkpoint": "/home/somebody/checkpoints/step-1"}))
    return folder


@pytest.fixture(scope="module")
def terms(parts):  # noqa: F811
    names = [parts[key] for key in ("qwen2", "whisper", "hubert", "clip", "face") if key in parts]
    return [word for name in names for word in ("--part-licence", f"{name}=mit")] + ["--data-licence", "secret=mit"]


@pytest.fixture(scope="module")
def released(run, terms, tmp_path_factory):
    folder = tmp_path_factory.mktemp("released") / "release"
    assert main(["release", str(run), "--to", str(folder), "--name", "Tiny", *terms]) == 0
    return folder


def test_a_release_is_verified_and_answers_as_its_model(released, run, capsys):
    assert main(["verify", str(released)]) == 0
    assert "came back word for word" in capsys.readouterr().out
    stored = json.loads((released / "example" / "example.json").read_text())
    from affectgpt.data.clip import Clip

    clip = Clip("a", media=released / stored["file"], words=stored["words"])
    [own] = Describer(run / "model").describe([clip], max_new_tokens=stored["max_new_tokens"])
    assert own.description == stored["answer"] and stored["answer"]


def test_a_release_says_what_the_run_recorded_and_not_where(released):
    card = (released / "README.md").read_text()
    assert "# Tiny" in card and "77 clips were trained on" in card and "license: apache-2.0" in card
    for name in ("recipe.yaml", "training.json", "config.json"):
        assert "somebody" not in (released / name).read_text() and "/tmp" not in (released / name).read_text()
    facts = json.loads((released / "release.json").read_text())
    assert facts["licence"] == "apache-2.0" and facts["corpora"][0]["licence"] == "mit"


@pytest.fixture
def copy(released, tmp_path):
    shutil.copytree(released, tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.parametrize("change, named", [
    (lambda folder: _flip(folder / "model.safetensors"), "model.safetensors was changed"),
    (lambda folder: (folder / "tokenizer.json").unlink(), "tokenizer.json is missing"),
    (lambda folder: (folder / "pytorch_model.bin").write_bytes(b"x"), "pytorch_model.bin: a pickle"),
    (lambda folder: (folder / "evil.py").write_text("x = 1"), "evil.py is not in the manifest"),
])
def test_a_changed_release_is_refused_by_name(copy, change, named, capsys):
    change(copy)
    assert main(["verify", str(copy)]) == 2 and named in capsys.readouterr().err


def _flip(path):
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("reference", ["other/repo--evil.Model", "../evil.Model", "absent.Model"])
def test_code_from_elsewhere_is_refused_though_its_hash_is_right(copy, reference, capsys):
    from affectgpt.release.manifest import write_manifest

    config = json.loads((copy / "config.json").read_text())
    config["auto_map"]["AutoModel"] = reference
    (copy / "config.json").write_text(json.dumps(config))
    write_manifest(copy)
    assert main(["verify", str(copy), "--quick"]) == 2
    said = capsys.readouterr().err
    assert "auto_map" in said and reference in said


def test_another_answer_is_refused(copy, capsys):
    from affectgpt.release.manifest import write_manifest

    path = copy / "example" / "example.json"
    stored = json.loads(path.read_text())
    path.write_text(json.dumps(stored | {"answer": "Something else.", "labels": ["happy"]}))
    write_manifest(copy)
    assert main(["verify", str(copy)]) == 2 and "another answer came back" in capsys.readouterr().err


def test_a_release_that_stops_leaves_nothing_that_looks_whole(run, terms, tmp_path, monkeypatch):
    from affectgpt.release import card

    to = tmp_path / "release"
    with monkeypatch.context() as patch:
        patch.setattr(card, "render", lambda *_: (_ for _ in ()).throw(OSError("power cut")))
        assert main(["release", str(run), "--to", str(to), "--no-example", *terms]) != 0
    assert not to.exists() and not [path for path in tmp_path.iterdir() if (path / "manifest.json").exists()]
    assert main(["release", str(run), "--to", str(to), "--no-example", *terms]) == 0
    assert main(["release", str(run), "--to", str(to), "--no-example", *terms]) == 2  # nothing is replaced unasked
    assert main(["release", str(run), "--to", str(to), "--no-example", "--force", *terms]) == 0
    assert main(["verify", str(to), "--quick"]) == 0


def test_terms_stop_a_release_before_anything_is_written(run, terms, tmp_path, capsys):
    to = tmp_path / "release"
    assert main(["release", str(run), "--to", str(to)]) == 2
    assert "its licence is not known here" in capsys.readouterr().err
    closed = [word.replace("secret=mit", "secret=research-only") for word in terms]
    assert main(["release", str(run), "--to", str(to), "--licence", "mit", *closed]) == 2
    assert "corpus secret is research-only" in capsys.readouterr().err
    assert not to.exists()


def test_an_adapter_of_local_parts_is_not_for_others(run, terms, tmp_path, capsys):
    to = tmp_path / "release"
    assert main(["release", str(run), "--to", str(to), "--form", "adapter", *terms]) == 2
    assert "folder of this machine" in capsys.readouterr().err and not to.exists()


def test_half_a_model_is_not_released(run, terms, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "model" / "done").unlink()
    assert main(["release", str(tmp_path / "run"), "--to", str(tmp_path / "release"), *terms]) == 2
    assert "done" in capsys.readouterr().err


def test_fewer_bits_are_measured_beside_the_plain_model(released, capsys):
    from affectgpt.release import quantised

    found = quantised.measure(released, "int8", 2)
    assert found["int8"]["llm_mib"] < found["plain"]["llm_mib"] and found["clips"] == 2
    assert 0 <= found["same_text"] <= found["same_labels"] <= 2
    same = quantised.measure(released, "int8", 1) | {"same_labels": 0, "same_text": 0}
    assert "same labels in 0 of 1" in "\n".join(quantised.lines(same, "int8"))
    assert main(["verify", str(released), "--clips", "0"]) == 2 and "--clips" in capsys.readouterr().err
