"""The feature store: resuming, several processes, what it refuses, what it gives back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import media_fixtures
import pytest
import tiny
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny import parts  # noqa: F401  a fixture

from affectgpt import files, media
from affectgpt.data import reading
from affectgpt.data.clip import Clip
from affectgpt.data.readers import read_corpus
from affectgpt.data.reading import load_clip
from affectgpt.features import key as feature_key
from affectgpt.features import shards as feature_shards
from affectgpt.features.extract import encode_inputs, extract, load_all, read_ahead, survey, verify
from affectgpt.features.store import FeatureStore, RawClips
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
    keys, load = [], reading.load_clip

    def counted(processor, clip, *arguments, **options):
        keys.append(clip.key)
        return load(processor, clip, *arguments, **options)

    monkeypatch.setattr(reading, "load_clip", counted)
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


# ---------------------------------------------------------------------------- what a store gives back


def test_a_store_gives_what_the_encoders_give(tiny_model, corpus, tmp_path, loads):
    model, processor = tiny_model
    summary = run(tiny_model, corpus, tmp_path / "s", shard_clips=3)
    assert (summary.computed, summary.held, summary.skipped, summary.shards) == (7, 0, 0, 3)
    assert not list(tmp_path.glob("s/**/*.tmp")) and len(shards(tmp_path / "s")) == 3
    loads.clear()
    store = FeatureStore.open(tmp_path / "s", processor.config, corpus)
    assert list(store) == [clip.key for clip in corpus] and (store.missing, store.skipped) == ([], {})
    assert store.facts("t/0.mp4").positions == {"audio": 3, "frame": 3} and store.facts("t/0.mp4").words
    assert store.facts("t/sound.wav").media_streams == ["audio"] and store.facts("t/5.mp4").words is None
    assert loads == [] and store["t/sound.wav"].notes == ["no picture in this clip"]
    raw = {clip.key: load_clip(processor, clip) for clip in corpus}
    batches = [processor.collate([processor.training_sample(inputs[clip.key], "Why?", "sad") for clip in corpus])
               for inputs in (store, raw)]
    with torch.no_grad():
        losses = [model(**batch).loss for batch in batches]
    torch.testing.assert_close(losses[0], losses[1], atol=1e-4, rtol=1e-4)
    assert same(store, {key: encode_inputs(model, inputs) for key, inputs in raw.items()})
    assert store["t/0.mp4"].audio.dtype == torch.float32 and not torch.equal(store["t/0.mp4"].audio,
                                                                             store["t/1.mp4"].audio)
    # Words follow the manifest, whatever they were when the features were made.
    other = [replace(corpus[0], words="others")]
    assert FeatureStore.open(tmp_path / "s", processor.config, other)["t/0.mp4"].words == "others"
    new = Clip(id="new", corpus="t")
    assert FeatureStore.open(tmp_path / "s", processor.config, [*corpus, new]).missing == ["t/new"]


def test_features_are_made_without_dropout_whatever_mode_the_model_is_in(tiny_model, corpus, tmp_path):
    run(tiny_model, corpus[:2], tmp_path / "a")
    model, processor = tiny_model
    torch.nn.Module.train(model.audio_encoder)
    run(tiny_model, corpus[:2], tmp_path / "b")
    assert not model.audio_encoder.training
    assert same(*(FeatureStore.open(tmp_path / name, processor.config, corpus[:2]) for name in "ab"))


def test_float16_halves_a_store_and_rounds(tiny_model, corpus, tmp_path):
    config = tiny_model[1].config
    for dtype in ("float32", "float16"):
        run(tiny_model, corpus, tmp_path / dtype, dtype=dtype)
    whole, half = (FeatureStore.open(tmp_path / dtype, config, corpus) for dtype in ("float32", "float16"))
    for key in whole:
        for stream in whole[key].media_streams:
            exact, rounded = getattr(whole[key], stream), getattr(half[key], stream)
            assert rounded.dtype == torch.float32 and torch.equal(rounded, exact.half().float())
    sizes = [shards(tmp_path / dtype)[0].stat().st_size for dtype in ("float32", "float16")]
    assert sizes[1] < 0.75 * sizes[0]
    with pytest.raises(ValueError, match="has dtype='float32', and dtype='float16' is asked for"):
        run(tiny_model, corpus, tmp_path / "float32", dtype="float16")


def test_a_feature_that_is_no_number_stops_the_job_and_keeps_the_rest(tiny_model, corpus, tmp_path, monkeypatch):
    model, processor = tiny_model
    encode = type(model).encode

    def overflow(self, stream, values, *rest):
        features, mask = encode(self, stream, values, *rest)
        return (features * 1e6 if values.shape[1] == 3 and overflow.left == 0 else features), mask

    overflow.left = 1
    monkeypatch.setattr(type(model), "encode", overflow)
    run(tiny_model, corpus[:1], tmp_path / "s", dtype="float16")
    overflow.left = 0
    with pytest.raises(ValueError, match="clip t/1.mp4 .*frame features are not finite in float16: use float32"):
        run(tiny_model, corpus, tmp_path / "s", dtype="float16")
    assert list(FeatureStore.open(tmp_path / "s", processor.config, corpus)) == ["t/0.mp4"]


def test_recognised_words_are_kept_and_given_only_where_asked_for(tiny_model, corpus, tmp_path, monkeypatch, loads):
    config = tiny_model[1].config
    monkeypatch.setattr(media, "transcribe", lambda waveform: "I heard this")
    run(tiny_model, corpus, tmp_path / "s", transcribe=True)
    heard = FeatureStore.open(tmp_path / "s", config, corpus, transcribe=True)
    assert heard["t/5.mp4"].words == "I heard this" and heard["t/0.mp4"].words == "words of 0.mp4"
    assert heard["t/5.mp4"].notes == ["words by speech recognition"]
    # A row whose words came from the manifest has none of its own.
    bare = [replace(corpus[0], words=None)]
    assert FeatureStore.open(tmp_path / "s", config, bare, transcribe=True).missing == ["t/0.mp4"]
    loads.clear()
    assert run(tiny_model, [*bare, *corpus[1:]], tmp_path / "s", transcribe=True).computed == 1 and loads == ["t/0.mp4"]
    assert FeatureStore.open(tmp_path / "s", config, bare, transcribe=True)["t/0.mp4"].words == "I heard this"
    assert FeatureStore.open(tmp_path / "s", config, bare)["t/0.mp4"].words is None
    run(tiny_model, corpus, tmp_path / "plain")
    with pytest.raises(ValueError, match="has recogniser=None, and recogniser='starter:whisper-tiny.en"):
        FeatureStore.open(tmp_path / "plain", config, corpus, transcribe=True)


def test_other_speeds_are_variants_of_a_clip(tiny_model, corpus, tmp_path, loads):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "s")
    assert FeatureStore.open(tmp_path / "s", config, corpus, speeds=(1.0, 1.25)).missing == [c.key for c in corpus]
    loads.clear()
    summary = run(tiny_model, corpus, tmp_path / "s", speeds=(1.0, 1.25, 0.8))
    assert (summary.computed, summary.held, len(loads)) == (14, 7, 14)
    store = FeatureStore.open(tmp_path / "s", config, corpus, speeds=(1.0, 1.25, 0.8))
    assert not store.missing and len(store.variants("t/0.mp4")) == 2
    fast, slow = store.variants("t/0.mp4")
    expected = encode_inputs(tiny_model[0], tiny_model[1].load(corpus[0], ["audio"], speed=1.25))
    assert torch.equal(fast.audio, expected.audio) and not torch.equal(fast.audio, slow.audio)
    assert torch.equal(fast.frame, store["t/0.mp4"].frame) and fast.words == "words of 0.mp4"
    assert len(FeatureStore.open(tmp_path / "s", config, corpus).variants("t/0.mp4")) == 0


def test_reading_from_threads_gives_the_same(tiny_model, corpus, tmp_path):
    run(tiny_model, corpus, tmp_path / "s", shard_clips=2)
    config = tiny_model[1].config
    alone = {key: inputs for key, inputs in FeatureStore.open(tmp_path / "s", config, corpus).items()}
    store = FeatureStore.open(tmp_path / "s", config, corpus)
    tables = [{} for _ in range(4)]

    def read(table):
        table.update(store.items())

    threads = [threading.Thread(target=read, args=(table,)) for table in tables]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(same(alone, table) for table in tables)


def test_memory_holds_one_shard_and_a_bounded_read_ahead(tiny_model, corpus, tmp_path, monkeypatch):
    summary = run(tiny_model, corpus, tmp_path / "s", shard_clips=2)
    assert (summary.peak_rows, summary.shards) == (2, 4)
    monkeypatch.setattr(feature_shards, "SHARD_BYTES", 1)  # a size that every clip has
    summary = run(tiny_model, corpus, tmp_path / "small", shard_clips=100)
    assert (summary.peak_rows, summary.shards) == (1, 7)
    started = []
    results = read_ahead(list(range(100)), lambda item: started.append(item) or item, workers=2)
    taken = [next(results) for _ in range(5)]
    time.sleep(0.05)
    assert taken == [0, 1, 2, 3, 4] and len(started) <= 5 + 4 * 2
    results.close()
    assert len(started) <= 5 + 4 * 2


# ---------------------------------------------------------------------------- resuming, several processes


WORKER = """
import os, sys, time
from affectgpt.features import shards as feature_shards
from affectgpt.data import reading
place, number = os.environ["STALL"].split()
count, load, replace = 0, reading.load_clip, os.replace

def stall(where):
    global count
    count += where == place
    if count == int(number) and where == place:
        open(os.environ["STALLED"], "w").close()
        time.sleep(600)

def slow_load(*arguments, **options):
    stall("load")
    return load(*arguments, **options)

def slow_replace(source, target):
    if str(target).endswith(".safetensors"):
        stall("save")
    return replace(source, target)

reading.load_clip, os.replace = slow_load, slow_replace
from affectgpt.errors import run_cli
from affectgpt.train.extract_features import main
sys.exit(run_cli(main))
"""


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


def start(recipe, folder, stall="none 0", **environment):
    command = [sys.executable, "-c", WORKER, str(recipe), "--store", str(folder), "--shard-clips", "2"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                            env={**os.environ, "STALL": stall, "STALLED": str(folder) + ".stalled", **environment})


@pytest.mark.parametrize(("stall", "left"), [("load 6", 3), ("save 2", 5)])
def test_a_killed_job_goes_on_where_whole_shards_end(recipe, tmp_path, loads, stall, left):
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "whole")]) == 0
    job = start(recipe, tmp_path / "killed", stall)
    try:
        deadline = time.time() + 120
        while not (tmp_path / "killed.stalled").exists():
            assert job.poll() is None and time.time() < deadline, job.communicate()[0]
            time.sleep(0.05)
    finally:
        job.send_signal(signal.SIGKILL)
        job.communicate()
    leftovers = list((tmp_path / "killed" / "shards").glob(".*.tmp"))
    assert len(leftovers) == (1 if stall.startswith("save") else 0)
    loads.clear()
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "killed")]) == 0
    assert len(loads) == left  # two clips a whole shard: 4 or 2 of 7 are not read again
    assert not list((tmp_path / "killed" / "shards").glob(".*.tmp"))
    assert same(open_recipe_store(recipe, tmp_path / "whole"), open_recipe_store(recipe, tmp_path / "killed"))


def test_two_processes_make_what_one_makes(recipe, tmp_path, loads):
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "one")]) == 0
    jobs = [start(recipe, tmp_path / "two", RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    outputs = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    assert "4 computed" in outputs[0] and "3 computed" in outputs[1]
    assert same(open_recipe_store(recipe, tmp_path / "one"), open_recipe_store(recipe, tmp_path / "two"))
    assert {path.name[:4] for path in shards(tmp_path / "two")} == {"0000", "0001"}
    loads.clear()
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "two")]) == 0 and loads == []


def test_another_number_of_processes_computes_only_what_is_missing(tiny_model, corpus, tmp_path, loads):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "whole")
    run(tiny_model, corpus, tmp_path / "s", rank=1, world_size=3)
    assert loads[7:] == ["t/1.mp4", "t/4.mp4"]
    loads.clear()
    for rank in range(2):
        run(tiny_model, corpus, tmp_path / "s", rank=rank, world_size=2)
    assert sorted(loads) == sorted(c.key for c in corpus if c.id not in ("1.mp4", "4.mp4"))
    assert same(*(FeatureStore.open(tmp_path / name, config, corpus) for name in ("whole", "s")))
    loads.clear()
    for rank in range(5):
        summary = run(tiny_model, corpus, tmp_path / "s", rank=rank, world_size=5)
        assert summary.computed == 0
    assert loads == []


def test_leftovers_of_other_ranks_that_may_run_are_left(tmp_path):
    (tmp_path / "shards").mkdir()
    for rank in (0, 1, 2, 3):
        (tmp_path / "shards" / f".{rank:04d}-ab.safetensors.tmp").touch()
    feature_shards.remove_leftovers(tmp_path, 1, 2)
    assert sorted(path.name[1:5] for path in (tmp_path / "shards").iterdir()) == ["0000", "0002"]


def test_a_process_that_starts_at_the_same_time_is_not_overwritten(tiny_model, corpus, tmp_path, monkeypatch):
    write, meanwhile = files.atomic_write_json, []

    def slow_write(path, value):
        write(path, value)
        if not meanwhile:  # another process finds no store either, and is faster
            meanwhile.append(True)
            run(tiny_model, corpus[:1], tmp_path / "s", dtype="float16")

    monkeypatch.setattr(files, "atomic_write_json", slow_write)
    with pytest.raises(ValueError, match="has dtype='float16'"):
        run(tiny_model, corpus, tmp_path / "s")
    meanwhile.clear()
    (tmp_path / "s" / "store.json").rename(tmp_path / "other.json")
    with pytest.raises(ValueError, match="has dtype='float16'"):
        run(tiny_model, corpus, tmp_path / "s")
    assert list(FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus[:1])) == ["t/0.mp4"]


def test_a_torn_shard_is_ignored_and_computed_again(tiny_model, corpus, tmp_path, loads):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "s", shard_clips=3)
    before = {key: inputs for key, inputs in FeatureStore.open(tmp_path / "s", config, corpus).items()}
    torn = next(path for path in shards(tmp_path / "s") if rows_of(path)[0]["clip"] == "t/0.mp4")
    data = torn.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 5, 0):
        torn.write_bytes(data[:size])
        store = FeatureStore.open(tmp_path / "s", config, corpus)
        assert store.missing == ["t/0.mp4", "t/1.mp4", "t/2.mp4"] and store.torn == [torn]
    loads.clear()
    run(tiny_model, corpus, tmp_path / "s", shard_clips=3)
    assert loads == ["t/0.mp4", "t/1.mp4", "t/2.mp4"]
    assert same(before, FeatureStore.open(tmp_path / "s", config, corpus))


def test_a_full_disk_stops_the_job_and_keeps_whole_shards(tiny_model, corpus, tmp_path, monkeypatch):
    save, calls = feature_shards.save, []

    def full(*arguments, **options):
        calls.append(True)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return save(*arguments, **options)

    monkeypatch.setattr(feature_shards, "save", full)
    with pytest.raises(ValueError, match="could not be written .*No space left.*make room"):
        run(tiny_model, corpus, tmp_path / "s", shard_clips=2)
    monkeypatch.undo()
    config = tiny_model[1].config
    assert len(FeatureStore.open(tmp_path / "s", config, corpus)) == 4 and not list(tmp_path.glob("s/shards/.*"))
    assert run(tiny_model, corpus, tmp_path / "s").computed == 3


# ---------------------------------------------------------------------------- what is refused


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


def test_verify_finds_a_tampered_tensor(tiny_model, corpus, tmp_path):
    model, processor = tiny_model
    run(tiny_model, corpus, tmp_path / "s")
    store = FeatureStore.open(tmp_path / "s", processor.config, corpus)
    assert verify(store, model, processor, corpus, 100)[0] == 0.0
    row = next(row for row in rows_of(shards(tmp_path / "s")[0]) if row["clip"] == "t/3.mp4")
    frame = store._tensor(store._rows["t/3.mp4"], "frame")
    whole = torch.cat([store[key].frame for key in store if store[key].frame is not None])
    whole[row["streams"]["frame"][0] + 1, 2] += 0.5
    assert torch.equal(whole[row["streams"]["frame"][0]], frame[0])
    rewrite(shards(tmp_path / "s")[0], lambda row: None, tensors={"frame": whole})
    store = FeatureStore.open(tmp_path / "s", processor.config, corpus)
    difference, key, stream = verify(store, model, processor, corpus, 100)
    assert (key, stream) == ("t/3.mp4", "frame") and difference == pytest.approx(0.5, abs=1e-4)
    clean = [clip for clip in corpus if clip.key != key]
    assert verify(store, model, processor, clean, 2, seed=5)[0] == 0.0
    whole[row["streams"]["frame"][0] + 1, 2] = float("nan")
    rewrite(shards(tmp_path / "s")[0], lambda row: None, tensors={"frame": whole})
    store = FeatureStore.open(tmp_path / "s", processor.config, corpus)
    assert verify(store, model, processor, corpus, 100)[0] == float("inf")
    with pytest.raises(ValueError, match="holds none of the clips"):
        verify(store, model, processor, [Clip(id="other")], 1)


# ---------------------------------------------------------------------------- clips that cannot be read


@pytest.fixture
def bad(tmp_path):
    (tmp_path / "bad.mp4").write_text("not a video")
    return Clip(id="bad", corpus="t", media=tmp_path / "bad.mp4", provenance="m:8")


def test_unreadable_clips_are_listed_and_tried_again_when_repaired(tiny_model, corpus, bad, tmp_path, loads):
    clips, folder, config = [*corpus, bad], tmp_path / "s", tiny_model[1].config
    assert run(tiny_model, clips, folder, max_skip_ratio=0.2, rank=1, world_size=2).skipped == 1
    assert run(tiny_model, clips, folder, max_skip_ratio=0.2, rank=0, world_size=2).skipped == 1
    rows = [json.loads(line) for line in (folder / "skipped-1.jsonl").read_text().splitlines()]
    assert [(row["id"], row["file"], row["row"]) for row in rows] == [("t/bad", str(bad.media), "m:8")]
    assert "bad.mp4" in rows[0]["reason"]
    store = FeatureStore.open(folder, config, clips)
    assert list(store.skipped) == ["t/bad"] and store.missing == [] and "t/bad" not in store and len(store) == 7
    loads.clear()
    run(tiny_model, clips, folder, max_skip_ratio=0.2)
    assert loads == []  # it is known to be unreadable
    with pytest.raises(ValueError, match=r"1 of 8 clips cannot be read, more than the 10.0%.*skipped-\*.jsonl"):
        run(tiny_model, clips, folder, max_skip_ratio=0.1)
    shutil.copyfile(corpus[0].media, bad.media)
    assert FeatureStore.open(folder, config, clips).missing == ["t/bad"]
    assert run(tiny_model, clips, folder, max_skip_ratio=0.0).skipped == 0 and loads == ["t/bad"]
    store = FeatureStore.open(folder, config, clips)
    assert (store.missing, store.skipped) == ([], {}) and len(store) == 8


def test_too_many_unreadable_clips_stop_the_job_over_all_processes(tiny_model, corpus, bad, tmp_path, loads):
    gone = replace(bad, id="gone", media=tmp_path / "gone.mp4")
    clips, folder = [*corpus, bad, gone], tmp_path / "s"  # the 8th and the 9th of nine
    run(tiny_model, clips, folder, max_skip_ratio=0.12, rank=1, world_size=2)
    with pytest.raises(ValueError, match="2 of 9 clips cannot be read"):
        run(tiny_model, clips, folder, max_skip_ratio=0.12, rank=0, world_size=2)
    assert len(FeatureStore.open(folder, tiny_model[1].config, clips)) == 7  # what was computed is kept
    # A line that a kill cut off is no line.
    path = folder / "skipped-0.jsonl"
    path.write_text(path.read_text()[:-20])
    assert FeatureStore.open(folder, tiny_model[1].config, clips).missing == ["t/gone"]
    path.write_text('{"id": "t/gone"}\n')
    with pytest.raises(ValueError, match="skipped-0.jsonl:1: key .* is missing"):
        FeatureStore.open(folder, tiny_model[1].config, clips)


# ---------------------------------------------------------------------------- raw clips


def test_a_survey_knows_what_raw_clips_have(tiny_model, corpus, bad, tmp_path, loads, monkeypatch):
    processor, folder = tiny_model[1], tmp_path / "s"
    monkeypatch.setattr(media, "transcribe", lambda waveform: "I heard this")
    options = {"transcribe": True, "max_skip_ratio": 0.3, "progress": False}
    survey(processor, [*corpus[:3], bad], folder, shard_clips=2, **options)
    loads.clear()
    assert survey(processor, [*corpus, bad], folder, **options).computed == 4 and len(loads) == 4
    loads.clear()
    clips = RawClips.open(folder, processor, [*corpus, bad], transcribe=True)
    assert list(clips) == [clip.key for clip in corpus] and list(clips.skipped) == ["t/bad"] and not clips.missing
    facts = clips.facts("t/5.mp4")
    assert (facts.positions, facts.words) == ({"audio": 3, "frame": 3}, "I heard this")
    assert loads == []
    monkeypatch.setattr(media, "transcribe", None)  # from here on nothing is recognised again
    raw = clips["t/5.mp4"]
    assert loads == ["t/5.mp4"] and raw.audio.ndim == 3 and raw.words == "I heard this"
    assert raw.notes == ["words by speech recognition"]
    assert torch.equal(raw.frame, load_clip(processor, corpus[5]).frame)
    with pytest.raises(ValueError, match="has kind='survey', and kind='features' is asked for"):
        FeatureStore.open(folder, processor.config, corpus)
    corpus[0].media.write_bytes(b"x")
    with pytest.raises(ValueError, match="0.mp4: is not the file"):
        RawClips.open(folder, processor, corpus, transcribe=True)


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_read_the_same_in_the_same_order(tiny_model, corpus, workers):
    _, processor = tiny_model
    many = [corpus[0], corpus[6], corpus[1]] * 5  # more than are read ahead
    here, there = list(load_all(processor, many)), list(load_all(processor, many, workers=workers))
    assert [clip.id for clip, _ in here] == [clip.id for clip, _ in there] == ["0.mp4", "sound.wav", "1.mp4"] * 5
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert same({"x": one}, {"x": other})


def test_workers_hand_on_what_is_wrong(tiny_model, corpus, bad, monkeypatch):
    _, processor = tiny_model
    results = [result for _, result in load_all(processor, [corpus[0], bad, corpus[1]], workers=2)]
    assert isinstance(results[1], ValueError) and results[0].audio is not None and results[2].audio is not None
    monkeypatch.setattr(processor, "load", None)
    with pytest.raises(TypeError):  # a bug is not a bad file
        list(load_all(processor, corpus, workers=1))


# ---------------------------------------------------------------------------- the job


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
