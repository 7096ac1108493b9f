"""Sound of media files as waveforms."""

from __future__ import annotations

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import add_cover, level, numbered_picture, tone, write_clip

from affectgpt.media import MediaError, Sound, probe, read_audio, read_frames, read_sound, spoken_part


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


@pytest.mark.parametrize(("layout", "channel", "share"), [
    ("mono", 0, 1.0), ("stereo", 0, 0.5), ("5.1", 0, 1.0), ("5.1", 2, 2**0.5), ("5.1", 3, 0.0), ("5.1", 4, 2**-0.5),
    ("7.1", 2, 2**0.5),
])
def test_channels_are_mixed_as_the_field_does(tmp_path, layout, channel, share):
    """Only one channel sounds. Weights of ITU-R BS.775, together 1: the centre is loudest, low effects are left out."""
    together = {"mono": 1, "stereo": 1, "5.1": 2 + 2**0.5 + 2 * 2**-0.5, "7.1": 2 + 2**0.5 + 4 * 2**-0.5}[layout]
    sound = np.zeros(({"mono": 1, "stereo": 2, "5.1": 6, "7.1": 8}[layout], 48000), dtype=np.float32)
    sound[channel] = tone(1, 48000)[0]
    path = write_clip(tmp_path / "sound.wav", frames=0, sound=sound, sound_rate=48000, layout=layout)
    waveform = read_audio(path)
    if not share:
        assert waveform is None
    else:
        assert level(waveform) == pytest.approx(0.5 / np.sqrt(2) * share / together, rel=0.02)


def test_full_scale_in_all_channels_is_not_clipped(tmp_path):
    sound = np.repeat(tone(1, 48000, amplitude=0.95), 6, axis=0)
    path = write_clip(tmp_path / "sound.wav", frames=0, sound=sound, sound_rate=48000, layout="5.1")
    assert np.abs(read_audio(path)).max() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("inverted", [-1.0, -0.8])
def test_channels_that_cancel_each_other_are_heard(tmp_path, inverted):
    """A recorder with an inverted wire: the mean of the channels is silence, or nearly."""
    voice = tone(1)[0]
    path = write_clip(tmp_path / "anti.wav", frames=0, sound=np.stack([voice, inverted * voice]), layout="stereo")
    sound = read_sound(path)
    assert level(sound.waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    assert any("cancel" in note for note in sound.notes)


def test_channels_that_cancel_for_a_part_of_the_time_are_heard(tmp_path):
    voice = tone(8)[0]
    other = np.where(np.arange(len(voice)) < 2 * 16000, -voice, voice)
    path = write_clip(tmp_path / "anti.wav", frames=0, sound=np.stack([voice, other]), layout="stereo")
    assert level(read_audio(path)[:24000]) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


def test_unlike_channels_are_mixed_as_ever(tmp_path):
    sound = np.concatenate([tone(1, frequency=300), tone(1, frequency=700)])
    read = read_sound(write_clip(tmp_path / "stereo.wav", frames=0, sound=sound, layout="stereo"))
    assert read.notes == () and np.abs(read.waveform - sound.mean(axis=0)).max() < 1e-3


def tracks(path: Path, *sounds: np.ndarray | None, default: int | None = None) -> Path:
    """A file with several sound tracks (None: one without packets); one of them may be marked as the default."""
    with av.open(str(path), "w") as output:
        streams = [output.add_stream("pcm_s16le", rate=16000, layout="mono") for _ in sounds]
        for number, stream in enumerate(streams):
            stream.disposition = av.stream.Disposition.default if number == default else av.stream.Disposition(0)
        for stream, sound in zip(streams, sounds):
            if sound is not None:
                block = av.AudioFrame.from_ndarray(sound, format="fltp", layout="mono")
                block.sample_rate, block.pts = 16000, 0
                output.mux(stream.encode(block))
                output.mux(stream.encode(None))
    return path


def test_the_default_track_is_heard_or_the_one_that_is_asked_for(tmp_path):
    silence = np.zeros((1, 16000), dtype=np.float32)
    path = tracks(tmp_path / "dubbed.mkv", silence, tone(1, amplitude=0.2), tone(1, amplitude=0.5), default=1)
    sound = read_sound(path)
    assert level(sound.waveform) == pytest.approx(0.2 / np.sqrt(2), rel=0.02)
    assert sound.notes == ("3 sound tracks: track 1 is heard",)
    chosen = read_sound(path, track=2)
    assert level(chosen.waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.02) and chosen.notes == ()
    assert read_audio(path, track=0) is None
    with pytest.raises(MediaError, match="no sound track 3; it has 3"):
        read_sound(path, track=3)


def test_a_track_without_packets_is_passed_over(tmp_path):
    path = tracks(tmp_path / "two.mkv", None, tone(1), default=0)
    assert read_sound(path).notes == ("2 sound tracks: track 1 is heard",)


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
def test_a_declared_track_without_packets_is_no_sound(tmp_path, suffix):
    path = tmp_path / f"muted{suffix}"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as output:
        picture, _ = output.add_stream("libx264", rate=10), output.add_stream("aac", rate=16000, layout="mono")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "yuv420p"
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 64, 48), format="rgb24")
            frame.pts = number
            output.mux(picture.encode(frame))
        output.mux(picture.encode(None))
    with av.open(str(path)) as container:
        assert len(container.streams.audio) == 1
    assert read_sound(path) == Sound(None) and read_audio(path) is None
    info = probe(path)
    assert (info.kind, info.has_audio, info.has_video) == ("video", False, True)
    assert len(read_frames(path, 4).images) == 4


def float_wav(path: Path, samples: np.ndarray) -> Path:
    """A wav of 32 or 64 bit floating-point numbers [N], as they are."""
    data, rate, width = samples.tobytes(), 16000, samples.itemsize
    form = struct.pack("<HHIIHH", 3, 1, rate, rate * width, width, 8 * width)
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
                     + struct.pack("<I", len(data)) + data)
    return path


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_few_samples_that_are_no_numbers_become_0_and_many_are_an_error(tmp_path, dtype, bad):
    samples = tone(1)[0].astype(dtype)
    few, many = samples.copy(), samples.copy()
    few[[5, 7000, 15999]] = bad
    many[:200] = bad
    sound = read_sound(float_wav(tmp_path / "few.wav", few))
    assert sound.notes == ("3 of 16000 sound samples are no finite numbers and became 0",)
    expected = np.where(few == samples, samples, 0).astype(np.float32)
    assert np.array_equal(sound.waveform, expected)
    with pytest.raises(MediaError, match="200 of 16000 sound samples are no finite numbers"):
        read_sound(float_wav(tmp_path / "many.wav", many))


def test_such_samples_do_not_spread_in_resampling(tmp_path):
    samples = np.tile(tone(1)[0], 2)
    samples[9000] = np.nan
    path = float_wav(tmp_path / "fast.wav", samples)
    path.write_bytes(path.read_bytes().replace(struct.pack("<II", 16000, 64000), struct.pack("<II", 32000, 128000)))
    waveform = read_audio(path)
    assert np.isfinite(waveform).all() and level(waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.02)


@pytest.mark.parametrize("name", ["zero", "constant", "dither", "whisper", "late"])
def test_silent_sound_counts_as_none(tmp_path, name):
    """Digital silence, an offset, noise of rounding; a recorded voice at -57 dB is none of them, nor is a late one."""
    random, quiet = np.random.default_rng(0), np.zeros(48000, dtype=np.float32)
    samples = {"zero": quiet, "constant": quiet + 0.3, "whisper": tone(3, amplitude=10 ** (-57 / 20) * 2**0.5)[0],
               "dither": np.sign(random.standard_normal(48000)).astype(np.float32) * 2**-15,
               "late": np.concatenate([quiet[:46400], tone(0.1, amplitude=0.01)[0]])}[name]
    sound = read_sound(float_wav(tmp_path / "sound.wav", samples))
    if name in ("whisper", "late"):
        assert len(sound.waveform) == 48000 and sound.notes == ()
    else:
        assert sound == Sound(None, ("the sound is silent",))


def test_a_format_that_changes_on_the_way_is_heard_through(tmp_path):
    """Two recordings joined: mp3 frames of 16 kHz mono, then of 32 kHz stereo."""
    parts = [write_clip(tmp_path / f"{rate}.mp3", frames=0, sound=np.repeat(tone(1, rate), channels, axis=0),
                        sound_rate=rate, layout=layout, container_options={"write_xing": "0", "id3v2_version": "0"})
             for rate, channels, layout in ((16000, 1, "mono"), (32000, 2, "stereo"))]
    path = tmp_path / "joined.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    waveform = read_audio(path)
    assert len(waveform) == pytest.approx(32000, abs=4000)
    for half in np.array_split(waveform, 2):
        assert level(half) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)


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
