"""A part of a file: the frames and the samples that a player gives within it."""

from __future__ import annotations

import media_fixtures
import numpy as np
import pytest
from media_fixtures import read_number, write_clip

from affectgpt.media import MediaError, probe, read_frames, read_sound
from affectgpt.media.mixing import Mixer
from affectgpt.media.span import cut
from affectgpt.media.timeline import Timeline

FORMS = {
    "b-frames.mp4": {"options": {"bf": "3", "g": "250", "threads": "1"}},
    "open-gop.mov": {"options": {"bf": "2", "g": "15", "x264-params": "open-gop=1:threads=1"}},
    "vp9.webm": {"options": {"g": "40", "cpu-used": "8", "deadline": "realtime"}},
    "mpeg4.avi": {"options": {"g": "12", "bf": "2"}},
}


def noise(seconds: float, rate: int) -> np.ndarray:
    """float32 [1, N]: noise with a slow swell, so that no two places are alike."""
    dice = np.random.default_rng(3)
    count = round(seconds * rate)
    swell = 0.3 * np.sin(np.arange(count) / rate * 2.2) ** 2
    return (swell * np.clip(dice.normal(size=count), -3, 3) / 3).astype(np.float32)[None]


@pytest.fixture(scope="module", params=FORMS)
def clip(request, tmp_path_factory):
    rate = 48000 if request.param.endswith("webm") else 44100
    path = tmp_path_factory.mktemp("spans") / request.param
    return write_clip(path, frames=120, rate=20, width=32, height=32, sound=noise(6, rate), sound_rate=rate,
                      **FORMS[request.param])


@pytest.mark.parametrize("span", [(1.0, 2.5), (3.33, 4.01), (None, 2.0), (4.7, None), (5.9, 6.0)])
def test_a_span_gives_what_decoding_from_the_start_gives(clip, span):
    whole, sound = read_frames(clip, 400), read_sound(clip).waveform
    found = read_frames(clip, 5, span=span)
    start, end = span[0] or 0.0, whole.times[-1] + 0.05 if span[1] is None else span[1]
    for place, (image, at) in enumerate(zip(found.images, found.times)):
        same = int(np.flatnonzero(whole.times == at)[0])
        assert np.array_equal(image, whole.images[same])
        assert abs(at - (start + (place + 0.5) / 5 * (end - start))) < 0.11  # evenly, to a frame or two
        assert start - 0.05 <= at < end
    heard = read_sound(clip, span=span).waveform
    late = 0 if clip.suffix != ".webm" else None
    first = round(16000 * start) if late is not None else int(np.correlate(sound, heard, "valid").argmax())
    assert np.array_equal(heard, sound[first : first + len(heard)])
    assert abs(first - 16000 * start) <= 16000 * 0.03
    if span[1] is not None:
        assert abs(len(heard) - round(16000 * (end - start))) <= (1 if late is not None else 16000 * 0.03)


def test_the_frames_of_a_span_are_those_that_a_player_shows(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=40, rate=10)
    assert [read_number(image) for image in read_frames(path, 10, span=(1.0, 2.0)).images] == list(range(10, 20))
    assert [read_number(image) for image in read_frames(path, 1, span=(1.25, 1.28)).images] == [12]
    assert [read_number(image) for image in read_frames(path, 4, rule="published", span=(2.0, 2.8)).images] == [
        20, 22, 24, 26]
    assert probe(path, (1.0, 2.5)).duration == 1.5 and probe(path, (1.0, 2.5)).frames == 15
    assert probe(path, (3.0, 4.3)).duration == pytest.approx(1.0)  # tables round: it ends where the file does


def test_a_frame_at_the_border_counts_from_a_millisecond_on():
    line = Timeline(np.arange(10) / 10, 1.0, False)
    assert cut(line, (0.1999, 0.5))[0] == 2 and len(cut(line, (0.1999, 0.5004))[1].times) == 3
    first, part = cut(line, (0.15, None))
    assert (first, part.times.tolist()[:2], part.end) == (1, [0.0, pytest.approx(0.05)], pytest.approx(0.85))


@pytest.mark.parametrize("span", [(3.0, 1.0), (1.0, 1.0), (-1.0, 1.0), (float("nan"), 1.0), (0.0, float("inf")),
                                  (9.0, 11.0), (5.0, None), (1.0, 9.0), (True, 2.0), ("1", 2.0)])
@pytest.mark.parametrize("reader", [probe, read_sound, lambda path, span: read_frames(path, 2, span=span)])
def test_a_span_that_cannot_be_is_refused_with_file_and_span(tmp_path, span, reader):
    path = write_clip(tmp_path / "a.mp4", frames=40, rate=10, sound=media_fixtures.tone(4))
    with pytest.raises(MediaError, match=r"a\.mp4: the span .* to .*(correct start and end)") as error:
        reader(path, span=span)
    assert "\n" not in str(error.value)


def test_a_still_picture_has_no_span(tmp_path):
    from PIL import Image

    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    for reader in (probe, lambda path, span: read_frames(path, 1, span=span)):
        with pytest.raises(MediaError, match="still picture has no span"):
            reader(tmp_path / "a.png", span=(0.0, 1.0))


def test_sound_is_cut_to_the_sample(tmp_path):
    path = write_clip(tmp_path / "a.wav", frames=0, sound=media_fixtures.tone(2))
    whole = read_sound(path).waveform
    assert np.array_equal(read_sound(path, span=(0.5, 1.0)).waveform, whole[8000:16000])
    assert np.array_equal(read_sound(path, span=(1.00003, 1.0003)).waveform, whole[16000:16005])


def test_no_sound_is_decoded_far_behind_a_span(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "a.mp4", frames=0, sound=media_fixtures.tone(60))
    whole, counts = read_sound(path).waveform, []
    add = Mixer.add

    def counted(self, frame):
        counts.append(frame.samples)
        return add(self, frame)

    monkeypatch.setattr(Mixer, "add", counted)
    assert np.array_equal(read_sound(path, span=(2.0, 5.0)).waveform, whole[32000:80000])
    assert sum(counts) < 8 * 16000
