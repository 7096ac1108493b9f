"""A folder with a manifest: read without the mark `done`, refused where names or sizes differ."""

from __future__ import annotations

import hashlib
import json
import shutil

import pytest
import tiny
from tiny import parts  # noqa: F401  a fixture

from affectgpt.model_folder import MANIFEST, check_model_folder, quick_manifest_check


@pytest.fixture(scope="module")
def released(parts, tmp_path_factory):  # noqa: F811
    folder = tiny.write_bundled_model(parts, tmp_path_factory.mktemp("released") / "m")
    (folder / "training.json").write_text("{}")
    write_manifest(folder)
    return folder


def write_manifest(folder) -> None:
    files = {path.name: {"sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size}
             for path in folder.iterdir() if path.name != MANIFEST}
    (folder / MANIFEST).write_text(json.dumps({"format": 1, "files": files}))


def test_a_manifest_stands_for_the_mark(released, tmp_path):
    assert check_model_folder(released) == released
    assert quick_manifest_check(released).keys() == {path.name for path in released.iterdir()} - {MANIFEST}
    shutil.copytree(released, tmp_path / "m")
    (tmp_path / "m" / "README.txt").write_text("a note of the user")
    check_model_folder(tmp_path / "m")
    (tmp_path / "m" / MANIFEST).unlink()
    with pytest.raises(ValueError, match="has no 'done' mark"):
        check_model_folder(tmp_path / "m")


def manifest(change):
    def spoil(folder):
        values = json.loads((folder / MANIFEST).read_text())
        change(values)
        (folder / MANIFEST).write_text(json.dumps(values))
    return spoil


def rename(name):
    return manifest(lambda values: values["files"].update({name: values["files"].pop("config.json")}))


@pytest.mark.parametrize("spoil, message", [
    (lambda folder: (folder / "generation_config.json").unlink(), "generation_config.json: is missing"),
    (lambda folder: (folder / "chat_template.jinja").write_text("x"), "chat_template.jinja: has 1 bytes"),
    (lambda folder: (folder / "extra.py").write_text(""), "extra.py: is not listed in manifest.json"),
    (lambda folder: (folder / "old.pt").write_text(""), "old.pt: is not listed in manifest.json"),
    (rename("../config.json"), "names '../config.json', which is not a file inside"),
    (rename("/etc/passwd"), "names '/etc/passwd', which is not a file inside"),
    (manifest(lambda values: values.update(format=2)), "no manifest of format 1"),
    (manifest(lambda values: values["files"]["config.json"].update(sha256="0")), "no manifest of format 1"),
    (manifest(lambda values: values["files"]["config.json"].update(size="12")), "no manifest of format 1"),
    (manifest(lambda values: values["files"].clear()), "no manifest of format 1"),
    (lambda folder: (folder / MANIFEST).write_text("[" * 100000), "no manifest of format 1"),
])
def test_what_differs_is_refused_by_name(released, tmp_path, spoil, message):
    shutil.copytree(released, tmp_path / "m")
    spoil(tmp_path / "m")
    with pytest.raises(ValueError, match=message):
        check_model_folder(tmp_path / "m")
