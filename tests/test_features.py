"""The feature store: what it gives back, and raw clips under the same interface."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import threading
import time
from dataclasses import replace

import pytest
import torch
from feature_fixtures import bad, corpus, loads, media_folder, rewrite, rows_of, run, same, shards, start, tiny_model
from tiny import parts

from affectgpt import media
from affectgpt.data import reading
from affectgpt.data.clip import Clip
from affectgpt.data.reading import load_clip
from affectgpt.features import shards as feature_shards
from affectgpt.features.extract import encode_inputs, load_all, read_ahead, survey, verify
from affectgpt.features.store import FeatureStore, RawClips


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
    expected = encode_inputs(tiny_model[0], load_clip(tiny_model[1], corpus[0], ["audio"], speed=1.25))
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
    monkeypatch.setattr(reading, "load_clip", None)
    with pytest.raises(TypeError):  # a bug is not a bad file
        list(load_all(processor, corpus, workers=1))
