"""Fixtures and helpers of the tests of feature stores: a tiny model, seven clips, a recipe, shards on disk."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import forks
import media_fixtures
import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny import parts  # noqa: F401  a fixture

from affectgpt.data import reading
from affectgpt.data.clip import Clip
from affectgpt.data.readers import read_corpus
from affectgpt.features.extract import extract
from affectgpt.features.store import FeatureStore
from affectgpt.train import extract_features

STREAMS = ["audio", "frame", "text"]


@pytest.fixture(scope="module")
def tiny_model(parts):  # noqa: F811
    return tiny.model_and_processor(parts, streams=STREAMS, fusion="none")


@pytest.fixture(scope="module")
def media_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    for number in range(6):
        media_fixtures.write_clip(folder / f"{number}.mp4", frames=4, sound=media_fixtures.tone(
            0.3 + 0.05 * number, frequency=300 + 60 * number))
    media_fixtures.write_clip(folder / "sound.wav", frames=0, sound=media_fixtures.tone(0.4))
    return folder


@pytest.fixture
def corpus(media_folder, tmp_path):
    """Seven clips; one has no picture, one no words."""
    shutil.copytree(media_folder, tmp_path / "media")
    names = [*(f"{number}.mp4" for number in range(6)), "sound.wav"]
    return [Clip(id=name, corpus="t", media=tmp_path / "media" / name, provenance=f"m:{row}",
                 words=None if name == "5.mp4" else f"words of {name}") for row, name in enumerate(names, start=1)]


@pytest.fixture
def loads(monkeypatch):
    """Keys of the clips that were read, in order."""
    keys = []

    def counting(load):
        def counted(processor, clip, *arguments, **options):
            keys.append(clip.key)
            return load(processor, clip, *arguments, **options)

        return counted

    for name in ("load_clip", "survey_clip"):
        monkeypatch.setattr(reading, name, counting(getattr(reading, name)))
    return keys


def run(tiny_model, clips, folder, **options):
    return extract(*tiny_model, clips, folder, progress=False, **options)


def same(one, other) -> bool:
    """Whether two mappings hold the same inputs, bit for bit."""
    if list(one) != list(other):
        return False
    for key in one:
        a, b = one[key], other[key]
        if (a.media_streams, a.words, a.notes) != (b.media_streams, b.words, b.notes):
            return False
        if not all(torch.equal(getattr(a, stream), getattr(b, stream)) for stream in a.media_streams):
            return False
    return True


def shards(folder) -> list[Path]:
    return sorted((Path(folder) / "shards").glob("*.safetensors"))


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "bad.mp4").write_text("not a video")
    return Clip(id="bad", corpus="t", media=tmp_path / "bad.mp4", provenance="m:8")


def rows_of(shard) -> list[dict]:
    with safe_open(shard, "pt") as file:
        return json.loads(file.metadata()["rows"])


def rewrite(shard, change, header=None, tensors=None) -> None:
    """Write a shard again with its first row changed."""
    with safe_open(shard, "pt") as file:
        metadata, content = file.metadata(), {name: file.get_tensor(name).clone() for name in file.keys()}
    rows = json.loads(metadata["rows"])
    change(rows[0])
    for name, value in (tensors or {}).items():
        content[name] = value
    save_file(content, shard, metadata={**metadata, "rows": json.dumps(rows), **(header or {})})


@pytest.fixture
def recipe(parts, corpus, tmp_path):  # noqa: F811
    """A recipe on the corpus, without faces."""
    rows = [{"id": clip.id, "media": f"media/{clip.id}", "words": clip.words,
             "split": "train" if number < 5 else "test"} for number, clip in enumerate(corpus)]
    manifest = tmp_path / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tiny.recipe_file(tmp_path, parts, manifest, model={"streams": STREAMS, "fusion": "none"})


def open_recipe_store(recipe, folder) -> FeatureStore:
    _, processor = extract_features.load_encoders(extract_features.load_recipe(recipe), "cpu")
    return FeatureStore.open(folder, processor.config, read_corpus(str(recipe.parent / "manifest.jsonl")))


def start(recipe, folder, stall="none 0", **environment) -> forks.Process:
    """`train/extract_features.py` in a process of its own."""
    worker = Path(__file__).parent / "feature_worker.py"
    return forks.start(worker, recipe, "--store", folder, "--shard-clips", "2", imports=(
        "affectgpt.train.extract_features", "affectgpt.features.extract", "affectgpt.models.modeling", "peft"),
        STALL=stall, STALLED=f"{folder}.stalled", **environment)
