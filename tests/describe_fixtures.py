"""A tiny model, one good file of each kind, and `affectgpt describe` as a command; import what a test module uses."""

from __future__ import annotations

import shutil
from pathlib import Path

import media_fixtures
import pytest
import tiny
from PIL import Image
from tiny import corpus, parts  # noqa: F401  fixtures

import affectgpt.media
from affectgpt import cli

KEYS = {"file", "description", "labels", "polarity", "streams", "seconds"}


@pytest.fixture(scope="session")
def model(parts, tmp_path_factory) -> Path:  # noqa: F811
    folder = tmp_path_factory.mktemp("bundled") / "model"
    return tiny.write_bundled_model(parts, folder, audio_window_seconds=0.5, max_new_tokens=24)


@pytest.fixture(scope="session")
def samples(tmp_path_factory, corpus) -> Path:  # noqa: F811
    """A folder with one good file of each kind and nothing else."""
    folder = tmp_path_factory.mktemp("samples")
    face = sorted((corpus.parent / "clips").glob("*.mp4"))[0]
    shutil.copy(face, folder / "face.mp4")
    media_fixtures.write_clip(folder / "voice.wav", frames=0, sound=media_fixtures.tone(0.7))
    media_fixtures.write_clip(folder / "stripes.mp4", frames=8, sound=media_fixtures.tone(0.8))
    media_fixtures.write_clip(folder / "silent.webm", frames=5)
    Image.fromarray(media_fixtures.numbered_picture(5, 60, 40)).save(folder / "picture.png")
    return folder


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    """Each test has a folder of its own to write into, and a recogniser that knows one sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(affectgpt.media, "transcribe", lambda waveform: "heard words")
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))


def run(capsys, *arguments) -> tuple[int, list[str], list[str]]:
    """(exit code, lines of stdout, lines of stderr) of a command."""
    capsys.readouterr()
    code = cli.main([str(argument) for argument in arguments])
    written = capsys.readouterr()
    return code, written.out.splitlines(), [line for line in written.err.splitlines() if "Loading weights" not in line]


def failed(capsys, *arguments) -> str:
    """The one line on stderr of a command that must fail without an answer."""
    code, out, err = run(capsys, *arguments)
    assert code not in (0, None) and not out
    assert len(err) == 1 and err[0].startswith("error: ") and "Traceback" not in err[0] and "bug" not in err[0]
    return err[0]
