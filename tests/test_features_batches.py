"""Clips that are encoded together: the features of each are those that it gets alone."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import copy

import numpy as np
import pytest
import tiny
import torch
from feature_fixtures import bad, corpus, media_folder, run, same, tiny_model
from tiny import parts

from affectgpt.data.inputs import Inputs
from affectgpt.features import extract as extraction
from affectgpt.features.encode import encode_batch, encode_inputs
from affectgpt.features.store import FeatureStore

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA"))]


def raw_clips(processor, streams, count=5) -> list[Inputs]:
    """Clips of different lengths; each stream is missing in one of them."""
    generator, clips = torch.Generator().manual_seed(0), []
    for number in range(count):
        size, inputs = processor.config.visual_size, Inputs(words=f"clip {number}")
        for place, stream in enumerate(streams):
            if number == place + 1:
                continue
            if stream == "audio":
                seconds = (0.4, 0.4, 0.7, 0.05, 1.3)[number % 5]  # two alike, one below the shortest window
                sound = torch.rand(round(16000 * seconds), generator=generator) - 0.5
                inputs.audio, inputs.audio_lengths = processor.windows(sound.numpy().astype(np.float32))
            else:
                shape = (1 if number == 4 else 3, 3, size, size)  # the last is a still picture
                setattr(inputs, stream, torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8))
        clips.append(inputs)
    return clips


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("audio, visual, values", [
    ("whisper", "face", {}),
    ("hubert", "clip", {"audio_pooling": "segment", "audio_segments": 3, "audio_window_seconds": 0.5}),
    ("hubert", "face", {"audio_normalisation": "clip", "audio_window_seconds": 0.5}),
])
def test_clips_together_have_the_features_of_each_alone(parts, device, audio, visual, values):
    streams = ["audio", "face", "frame"]
    model, processor = tiny.model_and_processor(parts, audio=audio, visual=visual, streams=streams, fusion="none",
                                                **values)
    model.to(device)
    clips = raw_clips(processor, streams)
    alone = [encode_inputs(model, copy.copy(inputs)) for inputs in clips]
    together = encode_batch(model, [copy.copy(inputs) for inputs in clips])
    # On a GPU both are computed in TF32, whose sums may be of another order.
    tolerance = 1e-5 if device == "cpu" else 5e-3
    for one, other in zip(alone, together, strict=True):
        assert one.media_streams == other.media_streams and other.audio_lengths is None and one.words == other.words
        for stream in one.media_streams:
            expected, found = getattr(one, stream), getattr(other, stream)
            assert found.device.type == "cpu" and found.dtype == torch.float32
            scale = max(1.0, float(expected.abs().max()))
            torch.testing.assert_close(found / scale, expected / scale, atol=tolerance, rtol=0)


def sizes_of_batches(monkeypatch) -> list[int]:
    sizes, encode = [], extraction.encode_batch

    def counted(model, clips):
        sizes.append(len(clips))
        return encode(model, clips)

    monkeypatch.setattr(extraction, "encode_batch", counted)
    return sizes


def test_a_store_is_filled_in_batches(tiny_model, corpus, bad, tmp_path, monkeypatch):
    sizes = sizes_of_batches(monkeypatch)
    run(tiny_model, corpus, tmp_path / "single")
    assert sizes == [1] * 7  # on a CPU a clip's bits do not depend on its neighbours
    sizes.clear()
    clips = [*corpus[:2], bad, *corpus[2:]]
    summary = run(tiny_model, clips, tmp_path / "s", batch_clips=3, shard_clips=2, max_skip_ratio=0.5, workers=2)
    assert sizes == [3, 3, 1] and (summary.computed, summary.skipped) == (7, 1)
    single, stored = (FeatureStore.open(tmp_path / name, tiny_model[1].config, corpus) for name in ("single", "s"))
    assert list(single) == list(stored) and not stored.missing
    for key in single:
        one, other = single[key], stored[key]
        assert (one.media_streams, one.words, one.notes) == (other.media_streams, other.words, other.notes)
        for stream in one.media_streams:
            torch.testing.assert_close(getattr(one, stream), getattr(other, stream), atol=1e-5, rtol=1e-5)


def test_long_sound_is_encoded_with_fewer_others(tiny_model, corpus, tmp_path, monkeypatch):
    sizes = sizes_of_batches(monkeypatch)
    monkeypatch.setattr(extraction, "BATCH_SOUND_SECONDS", 1.1)  # two of these clips, and not three
    run(tiny_model, corpus[:4], tmp_path / "s", batch_clips=16)
    assert sizes == [2, 2]


def test_a_feature_that_is_not_finite_names_its_clip(tiny_model, corpus, tmp_path, monkeypatch):
    encode = extraction.encode_batch

    def broken(model, clips):
        encode(model, clips)
        clips[1].frame = torch.full_like(clips[1].frame, float("nan"))

    monkeypatch.setattr(extraction, "encode_batch", broken)
    with pytest.raises(ValueError, match="clip t/1.mp4 .* frame features are not finite"):
        run(tiny_model, corpus, tmp_path / "s", batch_clips=4)
