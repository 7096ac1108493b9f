"""The sound of a late span is what decoding from the start gives, to the sample, and is not decoded from there."""

from __future__ import annotations

from fractions import Fraction

import av
import numpy as np
import pytest
from media_fixtures import numbered_picture

from affectgpt.media import MediaError, audio, read_sound, seeking
from affectgpt.media.mixing import Mixer

SECONDS = 24
SPANS = ((16.0, 16.5), (17.12345, 18.3), (22.5, None), (23.4, 24.0))
FORMS = {  # file -> (codec, samples a second, options of the codec, of the container, seconds before the sound)
    "aac.mp4": ("aac", 44100, {}, {}, 0),
    "aac-with-picture.mp4": ("aac", 48000, {}, {}, 0.4),
    "aac-fragments.mp4": ("aac", 44100, {}, {"movflags": "frag_keyframe+empty_moov", "frag_duration": "500000"}, 0),
    "aac.mkv": ("aac", 48000, {}, {}, 0),
    "aac.aac": ("aac", 44100, {}, {}, 0),
    "lame.mp3": ("libmp3lame", 44100, {}, {}, 0),
    "no-xing.mp3": ("libmp3lame", 44100, {}, {"write_xing": "0"}, 0),
    "variable.mp3": ("libmp3lame", 22050, {"qscale": "5"}, {}, 0),
    "mp3.mkv": ("libmp3lame", 44100, {}, {}, 0),
    "opus.webm": ("libopus", 48000, {}, {}, 0),
    "opus.ogg": ("libopus", 48000, {}, {}, 0),
    "flac.flac": ("flac", 44100, {}, {}, 0),
    "alac.m4a": ("alac", 44100, {}, {}, 0),
    "pcm.wav": ("pcm_s16le", 44100, {}, {}, 0),
    "pcm.mov": ("pcm_s16le", 11025, {}, {}, 0),
}


def write(path, codec, rate, options, container_options, late):
    """`SECONDS` of sound of which no two places are alike, with a picture where the sound begins `late`."""
    dice, count = np.random.default_rng(5), SECONDS * rate
    times = np.arange(count) / rate
    sound = 0.4 * np.sin(2 * np.pi * (200 + 20 * times) * times) + 0.02 * dice.normal(size=count)
    with av.open(str(path), "w", options=container_options) as output:
        picture = output.add_stream("libx264", rate=5, options={"threads": "1"}) if late else None
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        speech = output.add_stream(codec, rate=rate, layout="mono", options=options)
        for number in range(5 * SECONDS if late else 0):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 32, 32), format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 5)
            output.mux(picture.encode(frame))
        if picture is not None:
            output.mux(picture.encode(None))
        frame = av.AudioFrame.from_ndarray(sound.astype(np.float32)[None], format="flt", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = rate, round(late * rate), Fraction(1, rate)
        output.mux(speech.encode(frame))
        output.mux(speech.encode(None))
    return path


@pytest.fixture
def seen(monkeypatch):
    """What `late_sound` gave, and the samples that were mixed."""
    found, add = {"late": [], "samples": 0}, Mixer.add

    def late_sound(*arguments):
        result = seeking.late_sound(*arguments)
        found["late"].append(result is not None)
        return result

    def counted(self, frame):
        found["samples"] += frame.samples
        return add(self, frame)

    monkeypatch.setattr(audio, "late_sound", late_sound)
    monkeypatch.setattr(Mixer, "add", counted)
    return found


def check(path, seen, spans=SPANS, late=0.0):
    whole = read_sound(path).waveform
    for span in spans:
        heard = read_sound(path, span=span).waveform
        first = round((span[0] - late) * 16000)
        last = len(whole) if span[1] is None else round((span[1] - late) * 16000)
        assert np.array_equal(heard, whole[first:last]), span


@pytest.mark.parametrize("name", FORMS)
def test_a_late_span_gives_the_samples_of_the_whole(tmp_path, name, seen):
    path = write(tmp_path / name, *FORMS[name])
    with av.open(str(path)) as file:
        sound, pictures = file.streams.audio[0], file.streams.video
        late = float(sound.start_time * sound.time_base) if pictures else 0.0
        late -= float(pictures[0].start_time * pictures[0].time_base) if pictures else 0.0
    check(path, seen, late=late)
    assert seen["late"] == [True] * len(SPANS)
    seen["samples"] = 0
    read_sound(path, span=SPANS[0])
    assert seen["samples"] < 8 * FORMS[name][1]  # both passes


def test_an_early_or_a_long_span_is_decoded_from_the_start(tmp_path, seen):
    path = write(tmp_path / "a.wav", *FORMS["pcm.wav"])
    check(path, seen, spans=((5.0, 6.0), (14.0, 22.0)))
    assert seen["late"] == [False, False]


@pytest.mark.parametrize("name, codec, rate, options", [
    ("noise.mp4", "aac", 44100, {"b": "24000"}), ("dither.mkv", "ac3", 48000, {})])
def test_a_decoder_that_makes_noise_of_its_own_is_started_at_the_start(tmp_path, name, codec, rate, options, seen):
    path = write(tmp_path / name, codec, rate, options, {}, 0)
    check(path, seen, spans=SPANS[:2])
    assert seen["late"] == [False, False]


def test_sound_that_changes_its_rate_is_decoded_from_the_start(tmp_path, seen):
    parts = [write(tmp_path / f"{rate}.mp3", "libmp3lame", rate, {}, {"write_xing": "0", "id3v2_version": "0"}, 0)
             for rate in (44100, 22050)]
    path = tmp_path / "both.mp3"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    check(path, seen, spans=((17.0, 17.5), (40.1, 41.0)))
    assert seen["late"] == [True, False]


def test_damage_before_a_late_span_counts_with_its_length(tmp_path):
    """Decoding in order loses a damaged packet's time; who seeks does not, and the note of the damage is not there."""
    path = write(tmp_path / "a.mp4", *FORMS["aac.mp4"])
    whole = read_sound(path, span=(18.0, 18.5)).waveform
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as file:
        entry = list(file.streams.audio[0].index_entries)[300]
    data[entry.pos : entry.pos + entry.size] = bytes(np.random.default_rng(1).integers(0, 256, entry.size, np.uint8))
    path.write_bytes(data)
    assert np.array_equal(read_sound(path, span=(18.0, 18.5)).waveform, whole)


def test_an_index_with_a_gap_is_not_believed(tmp_path, seen):
    """Gaps in the time stamps are no silence, so what comes behind one lies earlier in the waveform."""
    source = write(tmp_path / "a.mp4", *FORMS["aac.mp4"])
    path = tmp_path / "gap.mp4"
    with av.open(str(source)) as file, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(file.streams.audio[0])
        for number, packet in enumerate(file.demux(audio=0)):
            if packet.size and not 200 <= number < 260:
                packet.stream = stream
                output.mux(packet)
    whole = read_sound(path).waveform
    heard = read_sound(path, span=(18.0, 18.5)).waveform
    assert np.array_equal(heard, whole[18 * 16000 : 18 * 16000 + 8000])


def test_a_late_span_beyond_the_end_is_refused(tmp_path):
    path = write(tmp_path / "a.mp3", *FORMS["lame.mp3"])
    with pytest.raises(MediaError, match="reaches beyond the end"):
        read_sound(path, span=(26.0, 26.5))
    with pytest.raises(MediaError, match="reaches beyond the end"):
        read_sound(path, span=(23.9, 25.5))
