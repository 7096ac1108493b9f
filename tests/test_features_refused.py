"""Feature stores that were made otherwise, of other files, or by somebody hostile."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace

import pytest
import torch
from feature_fixtures import corpus, loads, media_folder, rewrite, run, shards, tiny_model
from tiny import parts

from affectgpt.features import key as feature_key
from affectgpt.features.store import FeatureStore


@pytest.mark.parametrize(("name", "value", "key"), [
    ("frames", 2, "frame.frames"), ("audio_positions", 5, "audio.audio_positions"),
    ("keep_aspect", False, "frame.keep_aspect"), ("audio_layers", "last", "audio.audio_layers"),
    ("audio_statistics", "mean", "audio.audio_statistics"), ("audio_window_seconds", 3.0, "audio.audio_window_seconds"),
    ("visual_mean", [0.5, 0.5, 0.5], "frame.visual_mean"),
])
def test_another_setting_is_refused_by_name(tiny_model, corpus, tmp_path, monkeypatch, name, value, key):
    config = tiny_model[1].config
    run(tiny_model, corpus[:1], tmp_path / "s")
    before = getattr(config, name)
    monkeypatch.setattr(config, name, value)
    message = f"has {key}={before!r}, and {key}={value!r} is asked for: name another folder, or remove this one"
    for attempt in (lambda: FeatureStore.open(tmp_path / "s", config, corpus[:1]),
                    lambda: run(tiny_model, corpus[:1], tmp_path / "s")):
        with pytest.raises(ValueError) as error:
            attempt()
        assert message in str(error.value)


def test_the_revision_of_an_encoder_decides_and_its_name_does_not(tiny_model, corpus, tmp_path, monkeypatch):
    config = tiny_model[1].config
    run(tiny_model, corpus[:1], tmp_path / "s")
    key = feature_key.settings_key(feature_key.store_settings(config))
    shutil.copytree(config.audio_encoder, tmp_path / "copy")
    monkeypatch.setattr(config, "audio_encoder", str(tmp_path / "copy"))
    assert feature_key.settings_key(feature_key.store_settings(config)) == key
    assert len(FeatureStore.open(tmp_path / "s", config, corpus[:1])) == 1
    assert run(tiny_model, corpus[:1], tmp_path / "s").computed == 0
    weights = tmp_path / "copy" / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert feature_key.settings_key(feature_key.store_settings(config)) != key
    with pytest.raises(ValueError, match=r"audio\.revision='sha256:\w+ \(.*whisper\)', and .*copy\)' is asked for"):
        FeatureStore.open(tmp_path / "s", config, corpus[:1])
    monkeypatch.setattr(config, "audio_encoder", None)
    with pytest.raises(ValueError, match="encoders have no name"):
        FeatureStore.open(tmp_path / "s", config, corpus[:1])


def test_a_hub_id_is_keyed_by_its_commit(tmp_path, monkeypatch):
    cached = tmp_path / "hub" / "models--o--n" / "snapshots" / ("a1" * 20)
    cached.mkdir(parents=True)
    (cached / "config.json").write_text("{}")
    monkeypatch.setattr("transformers.utils.hub.cached_file", lambda name, file: str(cached / file))
    assert feature_key.encoder_revision("o/n") == "commit:" + "a1" * 20
    monkeypatch.setattr("transformers.utils.hub.cached_file", lambda name, file: str(tmp_path / file))
    with pytest.raises(ValueError, match="o/n: the hub's cache does not say which revision"):
        feature_key.encoder_revision("o/n")


def test_a_store_may_hold_more_streams_than_are_read(tiny_model, corpus, tmp_path, monkeypatch):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "s")
    monkeypatch.setattr(config, "streams", ["audio"])
    monkeypatch.setattr(config, "frames", 99)  # of a stream that is not read
    store = FeatureStore.open(tmp_path / "s", config, corpus, reader="decord")
    assert store["t/0.mp4"].media_streams == store.facts("t/0.mp4").media_streams == ["audio"]
    assert store["t/0.mp4"].words is None
    with pytest.raises(ValueError, match="has reader='pyav'"):
        monkeypatch.setattr(config, "streams", ["frame"])
        FeatureStore.open(tmp_path / "s", config, corpus, reader="decord")
    monkeypatch.setattr(config, "streams", ["audio", "face"])
    with pytest.raises(ValueError, match=r"has streams=\['audio', 'frame'\], and streams=\['audio', 'face'\]"):
        FeatureStore.open(tmp_path / "s", config, corpus)
    monkeypatch.setattr(config, "streams", ["audio"])
    with pytest.raises(ValueError, match="has streams="):  # adding rows without pictures would leave gaps
        run(tiny_model, corpus, tmp_path / "s")


def test_changed_media_are_refused_and_copied_ones_are_not(tiny_model, corpus, tmp_path, loads, monkeypatch):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "s")
    os.utime(corpus[0].media, ns=(1, 1))
    hashed, sha256 = [], feature_key._sha256
    monkeypatch.setattr(feature_key, "_sha256", lambda path: hashed.append(path.name) or sha256(path))
    store = FeatureStore.open(tmp_path / "s", config, corpus)
    assert len(store) == 7 and store.unchecked == 0 and hashed == ["0.mp4"]
    corpus[1].media.unlink()
    store = FeatureStore.open(tmp_path / "s", config, corpus)
    assert len(store) == 7 and store.unchecked == 1
    shutil.copyfile(corpus[3].media, corpus[2].media)
    with pytest.raises(ValueError, match=r"2.mp4: is not the file that .* holds of clip t/2.mp4 \(1 clips"):
        FeatureStore.open(tmp_path / "s", config, corpus)
    assert len(FeatureStore.open(tmp_path / "s", config, corpus, check_media=False)) == 7
    # A byte that leaves size and names as they were.
    data = bytearray(corpus[4].media.read_bytes())
    data[-1] ^= 1
    corpus[4].media.write_bytes(data)
    with pytest.raises(ValueError, match=r"\(2 clips have changed\)"):
        FeatureStore.open(tmp_path / "s", config, corpus)
    corpus[4].media.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    loads.clear()
    assert run(tiny_model, corpus, tmp_path / "s").computed == 1 and loads == ["t/2.mp4"]
    store = FeatureStore.open(tmp_path / "s", config, corpus)
    assert torch.equal(store["t/2.mp4"].audio, store["t/3.mp4"].audio)
    corpus[2].media.unlink()  # where nothing can be compared, the newest row counts
    store = FeatureStore.open(tmp_path / "s", config, corpus)
    assert store.unchecked == 2 and torch.equal(store["t/2.mp4"].audio, store["t/3.mp4"].audio)
    given = [replace(corpus[0], audio=corpus[6].media)]
    with pytest.raises(ValueError, match="0.mp4: is not the file"):  # its sound comes from elsewhere now
        FeatureStore.open(tmp_path / "s", config, given)


@pytest.mark.parametrize(("change", "message"), [
    (lambda row: row["streams"].update(audio=[19, 3]), r"row 1: audio is to be at positions 19 to 22, .* has 21"),
    (lambda row: row["streams"].update(audio=[-1, 3]), r"audio must be \[first position, positions\]"),
    (lambda row: row["streams"].update(audio=[0, 10**30]), "is to be at positions"),
    (lambda row: row["streams"].update(audio=[0, 0]), r"audio must be \[first position, positions\]"),
    (lambda row: row["streams"].update(audio=[0, True]), r"audio must be \[first position, positions\]"),
    (lambda row: row["streams"].update(face=[0, 1]), "stream 'face' is not one of the store's audio, frame"),
    (lambda row: row.update(extra=1), "unknown key 'extra'"),
    (lambda row: row.pop("notes"), "key 'notes' is missing"),
    (lambda row: row.update(speed=float("nan")), "wrong type"),
    (lambda row: row.update(words=["a"]), "wrong type"),
    (lambda row: row.update(clip=None), "wrong type"),
    (lambda row: row["files"].update({"../../etc": None}), "files must map"),
    (lambda row: row["files"]["media"].update(sha256="x"), "64 hex digits"),
    (lambda row: row["files"]["media"].update(path="/etc"), "unknown key 'path'"),
])
def test_a_hostile_row_is_refused(tiny_model, corpus, tmp_path, change, message):
    run(tiny_model, corpus, tmp_path / "s")
    rewrite(shards(tmp_path / "s")[0], change)
    with pytest.raises(ValueError, match=message) as error:
        FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus)
    assert shards(tmp_path / "s")[0].name in str(error.value)


@pytest.mark.parametrize(("header", "tensors", "message"), [
    ({"settings": "0" * 16}, {}, "was made with other settings than"),
    ({"rows": "[" * 100000}, {}, "is not JSON"),
    ({"rows": "{}"}, {}, "rows must be a list"),
    ({"created": "x"}, {}, "is not a shard"),
    ({"more": "x"}, {}, "unknown key 'more'"),
    ({}, {"audio": torch.zeros(21, 5)}, r"tensor 'audio' is F32 \[21, 5\]"),
    ({}, {"audio": torch.zeros(21)}, r"tensor 'audio' is F32 \[21\]"),
    ({}, {"audio": torch.zeros(21, 129, dtype=torch.float16)}, "tensor 'audio' is F16"),
    ({}, {"other": torch.zeros(21, 129)}, "tensor 'other'"),
])
def test_a_hostile_shard_is_refused(tiny_model, corpus, tmp_path, header, tensors, message):
    run(tiny_model, corpus, tmp_path / "s")
    rewrite(shards(tmp_path / "s")[0], lambda row: None, header, tensors)
    with pytest.raises(ValueError, match=message):
        FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus)


@pytest.mark.parametrize(("change", "message"), [
    (lambda store: store.update(format=99), "has format 99, and this version reads 1"),
    (lambda store: store.update(kind="other"), "kind 'other'"),
    (lambda store: store.update(code="x"), "unknown key 'code'"),
    (lambda store: store["streams"]["audio"].update(width=-1), "width must be"),
    (lambda store: store["streams"].update(smell={}), "unknown stream 'smell'"),
    (lambda store: store.update(streams=[]), "streams must map"),
])
def test_a_hostile_store_file_is_refused(tiny_model, corpus, tmp_path, change, message):
    run(tiny_model, corpus[:1], tmp_path / "s")
    path = tmp_path / "s" / "store.json"
    settings = json.loads(path.read_text())
    change(settings)
    path.write_text(json.dumps(settings))
    with pytest.raises(ValueError, match=message):
        FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus)


def test_a_folder_without_a_store_is_named(tiny_model, corpus, tmp_path):
    with pytest.raises(ValueError, match="has no store.json.*affectgpt extract"):
        FeatureStore.open(tmp_path, tiny_model[1].config, corpus)
    with pytest.raises(ValueError, match="two clips have one key"):
        run(tiny_model, [corpus[0], corpus[0]], tmp_path / "s")
