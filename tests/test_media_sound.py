"""Sound of media files as waveforms."""

from __future__ import annotations

import av
import numpy as np
import pytest
from media_fixtures import add_cover, level, tone, write_clip

from affectgpt.media import MediaError, probe, read_audio, read_frames, spoken_part


@pytest.mark.parametrize("suffix", [".wav", ".mp3", ".flac", ".ogg"])
def test_sound_alone(tmp_path, suffix):
    path = write_clip(tmp_path / f"sound{suffix}", frames=0, sound=tone(2))
    info = probe(path)
    assert (info.kind, info.has_video, info.frames, info.width) == ("audio", False, 0, 0)
    assert info.duration == pytest.approx(2, abs=0.1)
    waveform = read_audio(path)
    assert len(waveform) == pytest.approx(32000, abs=1200)
    assert level(waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)
    assert np.abs(np.fft.rfft(waveform)).argmax() / len(waveform) * 16000 == pytest.approx(440, abs=2)
    with pytest.raises(MediaError, match="no picture"):
        read_frames(path, 8)


def test_cover_of_a_song_is_no_video(tmp_path):
    path = add_cover(write_clip(tmp_path / "plain.mp3", frames=0, sound=tone(1)), tmp_path / "cover.mp3")
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 1
    assert probe(path).kind == "audio"
    with pytest.raises(MediaError, match="no picture"):
        read_frames(path, 8)
    assert len(read_audio(path)) == pytest.approx(16000, abs=1200)


@pytest.mark.parametrize("rate", [8000, 44100, 48000])
def test_sample_rates(tmp_path, rate):
    waveform = read_audio(write_clip(tmp_path / "sound.wav", frames=0, sound=tone(1, rate), sound_rate=rate))
    assert len(waveform) == pytest.approx(16000, abs=20)
    assert np.abs(np.fft.rfft(waveform)).argmax() == pytest.approx(440, abs=1)


@pytest.mark.parametrize(("layout", "channels"), [("mono", 1), ("stereo", 2), ("5.1", 6)])
def test_channels_are_averaged(tmp_path, layout, channels):
    """Only the first channel sounds: the mean divides it by their number, libav's own mixing would not."""
    sound = np.zeros((channels, 48000), dtype=np.float32)
    sound[0] = tone(1, 48000)[0]
    path = write_clip(tmp_path / "sound.wav", frames=0, sound=sound, sound_rate=48000, layout=layout)
    assert level(read_audio(path)) == pytest.approx(0.5 / np.sqrt(2) / channels, rel=0.02)


def test_no_sound(tmp_path):
    assert read_audio(write_clip(tmp_path / "clip.mp4", frames=3)) is None
    assert probe(tmp_path / "clip.mp4").has_audio is False


@pytest.mark.parametrize("peak", [0.5, 0.003])
def test_spoken_part_is_found_at_any_level(peak):
    noise = np.random.default_rng(0).standard_normal(48000).astype(np.float32) * peak / 300
    noise[16000:32000] += tone(1, amplitude=peak)[0]
    start, end = spoken_part(noise)
    assert start == pytest.approx(16000, abs=2000) and end == pytest.approx(32000, abs=2000)
    assert start <= 16000 and end >= 32000


@pytest.mark.parametrize("waveform", [np.zeros(16000), tone(1)[0], np.zeros(0), np.ones(100)])
def test_spoken_part_is_everything_where_nothing_can_be_told(waveform):
    assert spoken_part(waveform.astype(np.float32)) == (0, len(waveform))
