"""What a feature store will take on disk is said before it is made."""

from __future__ import annotations

import pytest
import tiny
from tiny import corpus, parts  # noqa: F401

from affectgpt.data.readers import read_corpus
from affectgpt.features.extract import bytes_per_clip, extract


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_the_promised_size_is_that_of_the_tensors(parts, corpus, tmp_path, capsys, dtype):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, streams=["audio", "face", "text"])
    clips = read_corpus(str(corpus))[:2]
    extract(model, processor, clips, tmp_path / "store", dtype=dtype)
    widths = {"audio": {"width": model.audio_encoder.feature_dim}, "face": {"width": model.visual_encoder.feature_dim}}
    promised = bytes_per_clip(widths, processor.config, dtype)
    [shard] = (tmp_path / "store" / "shards").glob("*.safetensors")
    assert f"features: up to {promised / 1e3:.1f} kB a clip" in capsys.readouterr().out
    header = int.from_bytes(shard.read_bytes()[:8], "little") + 8
    assert shard.stat().st_size - header == promised * len(clips)


def test_all_layers_of_a_large_encoder_are_many():
    """HuBERT-large: 24 layers of 1,024 channels, mean and deviation, and the level: 1.6 MB a clip in float32."""
    from affectgpt.models.configuration import AffectGPTConfig

    everything = bytes_per_clip({"audio": {"width": 24 * 2 * 1024 + 1}}, AffectGPTConfig(), "float32")
    usual = bytes_per_clip({"audio": {"width": 2 * 1024 + 1}}, AffectGPTConfig(), "float16")
    assert everything == 1_572_896 and usual == 32_784
