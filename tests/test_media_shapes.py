"""Frames as a player shows them: square pixels, one size, times that never fall."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import numbered_picture, read_number, red_side, write_clip
from PIL import Image

from affectgpt.media import probe, read_frames
from affectgpt.media.timeline import Stamp, timeline


@pytest.fixture(params=["pyav", "decord"])
def backend(request):
    if request.param == "decord":
        pytest.importorskip("decord")
    return request.param


def narrow_clip(path: Path, aspect: Fraction, rotation: int = 0) -> Path:
    """Ten numbered frames of 64 x 48 stored pixels, each `aspect` times as wide as it is high."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        if rotation:
            stream.set_display_rotation(rotation)
        for number in range(10):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 64, 48), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("aspect", "rotation", "shape"), [
    (Fraction(2), 0, (48, 128)), (Fraction(4, 3), 0, (48, 85)), (Fraction(1, 2), 0, (96, 64)),
    (Fraction(2), 90, (128, 48)), (Fraction(1), 0, (48, 64)), (Fraction(500), 0, (48, 64)),
])
def test_pixels_become_square(tmp_path, backend, aspect, rotation, shape):
    """The side that is too short grows; a ratio that cannot be true is none."""
    if rotation and backend == "decord":
        pytest.skip("decord cannot turn a picture whose width is no multiple of 32")
    path = narrow_clip(tmp_path / "clip.mp4", aspect, rotation)
    frames = read_frames(path, 4, backend=backend)
    assert frames.images.shape == (4, *shape, 3) and frames.notes == ()
    assert (probe(path).height, probe(path).width) == shape
    if not rotation:
        assert [read_number(image) for image in frames.images] == frames.indices.tolist()
    assert red_side(frames.images[0]) == ("left" if rotation else "top")
    assert max(read_frames(path, 4, backend=backend, max_side=32).images.shape[1:3]) == 32


def test_the_published_rule_takes_pixels_as_they_are_stored(tmp_path):
    path = narrow_clip(tmp_path / "clip.mp4", Fraction(2))
    assert read_frames(path, 4, rule="published").images.shape == (4, 48, 64, 3)


def joined_ts(path: Path, *sizes: tuple[int, int]) -> Path:
    """Recordings of ten frames a second and of several sizes, one behind the other; each clock starts anew."""
    parts = []
    for number, (width, height) in enumerate(sizes):
        part = path.with_name(f"part{number}.mpg.ts")
        with av.open(str(part), "w", format="mpegts") as output:
            stream = output.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            for place in range(10):
                picture = numbered_picture(10 * number + place, width, height)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts = place
                output.mux(stream.encode(frame))
            output.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


def test_frames_that_change_their_size_are_brought_to_one(tmp_path):
    """To that of the first, whole, with black beside it where the shape is another."""
    path = joined_ts(tmp_path / "call.ts", (64, 48), (128, 96), (48, 96))
    frames = read_frames(path, 6)
    assert frames.images.shape == (6, 48, 64, 3)
    assert frames.notes == ("the picture changes its size on the way: all frames are 64 x 48",)
    assert [read_number(image) for image in frames.images[:4]] == frames.indices[:4].tolist()
    tall = frames.images[5]  # 48 x 96 pixels in a height of 48: 24 wide, in the middle
    assert tall[:, :18].max() < 20 and tall[:, 46:].max() < 20
    assert read_number(tall[:, 20:44]) == frames.indices[5]
    assert np.unique(frames.indices).tolist() == frames.indices.tolist()
    assert read_frames(path, 6, size=(20, 30)).images.shape == (6, 20, 30, 3)


def test_times_go_on_where_the_clock_starts_anew(tmp_path):
    frames = read_frames(joined_ts(tmp_path / "joined.ts", (64, 48), (64, 48)), 20)
    assert [read_number(image) for image in frames.images] == list(range(20))
    assert np.allclose(np.diff(frames.times), 0.1, atol=0.011)


def line(*stamps: tuple[int | None, int | None], breaks: bool = False):
    return timeline([Stamp(shown, decoded, 100) for shown, decoded in stamps], 0.001, 10.0, breaks)


def test_timeline_orders_frames_as_they_are_shown():
    assert line((0, -100), (300, 0), (100, 100), (200, 200)).times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    assert line((0, None), (300, None), (100, 100), (200, 200)).times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    nothing_said = line((None, None), (None, None), (None, None))
    assert nothing_said.times.tolist() == pytest.approx([0, 0.1, 0.2]) and nothing_said.end == pytest.approx(0.3)
    assert line().times.tolist() == [] and line((5, 5)).times.tolist() == [0]


@pytest.mark.parametrize("breaks", [True, False])
def test_timeline_mends_a_clock_that_goes_back_or_far_ahead(breaks):
    back = line((0, 0), (100, 100), (0, 0), (100, 100), breaks=breaks)
    assert back.broken and back.times.tolist() == pytest.approx([0, 0.1, 0.2, 0.3])
    ahead = line((0, 0), (100, 100), (60_000, 60_000), (60_100, 60_100), breaks=breaks)
    assert ahead.broken == breaks  # in other formats this is a picture that stays
    assert ahead.times[2] == pytest.approx(0.2 if breaks else 60)
    lost = line((0, 0), (100, 100), (2**62, 2**62), (200, 200), breaks=breaks)
    assert (np.diff(lost.times) >= 0).all() and lost.times[-1] < 1


def test_choice_is_even_in_time_where_numbers_are_not():
    slides = timeline([Stamp(at, at, 0) for at in (0, 40, 80, 9000)], 0.001, 25.0, False)
    assert slides.choose(4, "centre").tolist() == [2, 2, 2, 2]
    assert slides.choose(4, "published").tolist() == [0, 1, 2, 3]
    dropped = timeline([Stamp(at, at, 40) for at in range(0, 4000, 40) if at != 1200], 0.001, 25.0, False)
    assert dropped.choose(8, "centre").tolist() == [6, 18, 30, 43, 55, 68, 80, 92]  # by number


def test_recording_that_begins_between_key_frames(tmp_path):
    """What no decoder can make a picture of is left out, with a note."""
    source = write_clip(tmp_path / "source.mp4", frames=30, options={"g": "10", "bf": "0", "sc_threshold": "0"})
    path = tmp_path / "late.ts"
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            if number >= 5:
                packet.stream = stream
                output.mux(packet)
    frames = read_frames(path, 4)
    assert read_number(frames.images[0]) >= 10 and (np.diff(frames.times) > 0).all()


def test_a_picture_that_is_not_square_survives_a_still(tmp_path):
    Image.fromarray(numbered_picture(5, 64, 48)).save(tmp_path / "picture.png", dpi=(72, 144))
    assert read_frames(tmp_path / "picture.png", 1).images.shape == (1, 48, 64, 3)
