"""Video files as frames: which, when, in what shape; two readers that agree."""

from __future__ import annotations

import resource
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import level, read_number, red_side, tone, write_clip

from affectgpt.media import MediaError, decoding, probe, read_audio, read_frames, sample_indices, timeline, video


@pytest.mark.parametrize(("total", "count", "rule", "expected"), [
    (100, 4, "centre", [12, 37, 62, 87]),
    (3, 3, "centre", [0, 1, 2]),
    (1, 3, "centre", [0, 0, 0]),
    (100, 4, "published", [0, 25, 50, 75]),
    (30, 8, "published", [0, 3, 7, 11, 15, 18, 22, 26]),
    (3, 5, "published", [0, 1, 2, 2, 2]),
])
def test_sample_indices(total, count, rule, expected):
    assert sample_indices(total, count, rule).tolist() == expected


def test_sample_indices_are_in_range_for_all_sizes():
    for rule in timeline.RULES:
        for total in range(1, 130):
            for count in range(1, 20):
                indices = sample_indices(total, count, rule)
                assert len(indices) == count and indices.min() >= 0 and indices.max() < total
                assert (np.diff(indices) >= 0).all()


@pytest.mark.parametrize("suffix", [".mp4", ".webm", ".avi", ".mov"])
def test_video_with_sound(tmp_path, suffix):
    rate = 48000 if suffix == ".webm" else 16000
    path = write_clip(tmp_path / f"clip{suffix}", frames=20, sound=tone(2, rate), sound_rate=rate)
    info = probe(path)
    assert (info.kind, info.has_video, info.has_audio) == ("video", True, True)
    assert (info.width, info.height, info.frames) == (64, 48, 20)
    assert info.duration == pytest.approx(2, abs=0.15)
    frames = read_frames(path, 5)
    assert frames.images.shape == (5, 48, 64, 3) and frames.images.dtype == np.uint8
    assert frames.indices.tolist() == [2, 6, 10, 14, 18]
    assert [read_number(image) for image in frames.images] == [2, 6, 10, 14, 18]
    assert np.allclose(frames.times, frames.indices / 10, atol=0.11)
    assert red_side(frames.images[0]) == "top" and frames.images[0, 2, 32, 0] > 150  # red comes first
    waveform = read_audio(path)
    assert waveform.dtype == np.float32 and len(waveform) == pytest.approx(32000, abs=1600)
    assert level(waveform) == pytest.approx(0.5 / np.sqrt(2), rel=0.06)


def test_hidden_reference_pictures_of_vp8_are_no_frames(tmp_path, monkeypatch):
    """A frame whose "show" bit is cleared, as an encoder does with its hidden reference pictures."""
    source = write_clip(tmp_path / "source.webm", frames=20, video_codec="libvpx")
    path = tmp_path / "clip.webm"
    with av.open(str(source)) as given, av.open(str(path), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for number, packet in enumerate(packet for packet in given.demux(video=0) if packet.size):
            data = bytearray(bytes(packet))
            data[0] &= 0xEF if number in (3, 4, 5, 6) else 0xFF
            copy = av.Packet(bytes(data))
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.is_keyframe, copy.stream = packet.is_keyframe, stream
            output.mux(copy)
    assert probe(path).frames == 16
    frames = read_frames(path, 4)
    assert frames.indices.tolist() == [2, 3, 8, 13]  # frame 2 is shown for half a second, then comes frame 7
    assert [read_number(image) for image in frames.images] == [2, 7, 12, 17]
    # Where packets do not tell, the decoded frames are counted.
    monkeypatch.setattr(video, "shows_picture", lambda packet: packet.size > 0)
    assert read_frames(path, 4).indices.tolist() == [2, 3, 8, 13]


@pytest.mark.parametrize("backend", ["pyav", "decord"])
def test_frames_are_even_in_time_where_their_rate_varies(tmp_path, backend):
    """In the middle of each fifth of the clip, what is shown then: most of it shows frame 7. The published rule counts
    frames."""
    if backend == "decord":
        pytest.importorskip("decord")
    stamps = [0, 40, 80, 500, 540, 1000, 1040, 1080, 3000, 3040]
    path = write_clip(tmp_path / "clip.mp4", frames=10, stamps=stamps)
    frames = read_frames(path, 5, backend=backend)
    assert [read_number(image) for image in frames.images] == frames.indices.tolist() == [2, 4, 7, 7, 7]
    assert np.allclose(frames.times, [0.08, 0.54, 1.08, 1.08, 1.08], atol=0.002)
    assert read_frames(path, 5, rule="published", backend=backend).indices.tolist() == [0, 2, 4, 6, 8]


@pytest.mark.parametrize(("rotation", "mirrored", "side", "shape"), [
    (90, False, "left", (64, 48)),
    (180, False, "bottom", (48, 64)),
    (270, False, "right", (64, 48)),
    (90, True, "right", (64, 48)),
])
def test_rotation_flag(tmp_path, rotation, mirrored, side, shape):
    path = write_clip(tmp_path / "clip.mp4", frames=3, rotation=rotation, mirrored=mirrored)
    image = read_frames(path, 1).images[0]
    assert image.shape[:2] == shape and red_side(image) == side
    assert (probe(path).height, probe(path).width) == shape
    assert read_frames(path, 1, size=(30, 20)).images.shape == (1, 30, 20, 3)
    if shape == (48, 64):
        assert read_number(image[::-1, ::-1]) == 1


def test_rotation_flag_means_what_phones_write(tmp_path):
    """The matrix of a phone held upright: x axis down, y axis left (here at its place in the file)."""
    path = write_clip(tmp_path / "clip.mp4", frames=3, rotation=270)
    data = path.read_bytes()
    header = data.index(b"tkhd")
    matrix = np.frombuffer(data, dtype=">i4", count=9, offset=header + 4 + 40)
    assert (matrix[[0, 1, 3, 4]] // 65536).tolist() == [0, 1, -1, 0]
    assert red_side(read_frames(path, 1).images[0]) == "right"


def test_mirrored_without_turning(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=20, mirrored=True)
    assert [read_number(image[:, ::-1]) for image in read_frames(path, 2).images] == [5, 15]


def test_odd_size(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", width=63, height=47)
    frames = read_frames(path, 4)
    assert frames.images.shape == (4, 47, 63, 3)
    assert [read_number(image) for image in frames.images] == frames.indices.tolist()


def test_sizes(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=4)
    assert read_frames(path, 2, max_side=32).images.shape == (2, 24, 32, 3)
    assert read_frames(path, 2, max_side=100).images.shape == (2, 48, 64, 3)
    assert read_frames(path, 2, size=(20, 50)).images.shape == (2, 20, 50, 3)


def trimmed_clip(folder: Path) -> Path:
    """Numbered frames 5 to 19: a stream copy that starts between key frames, where the file keeps
    frames that no player shows."""
    source = write_clip(folder / "source.mp4", frames=20, options={"bf": "0", "g": "50"})
    with av.open(str(source)) as given, av.open(str(folder / "trimmed.mp4"), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                shift = int(0.5 / packet.time_base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = stream
                output.mux(packet)
    return folder / "trimmed.mp4"


def test_frames_hidden_by_an_edit_list_are_not_counted(tmp_path):
    path = trimmed_clip(tmp_path)
    assert probe(path).frames == 15
    with av.open(str(path)) as container:
        assert sum(decoding.shows_picture(packet) for packet in container.demux(video=0)) == 15
    frames = read_frames(path, 5)
    assert frames.indices.tolist() == [1, 4, 7, 10, 13]
    assert [read_number(image) for image in frames.images] == [6, 9, 12, 15, 18]


def test_shortest_clip(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=1, sound=tone(0.1))
    assert probe(path).duration == pytest.approx(0.1, abs=0.05)
    frames = read_frames(path, 8)
    assert frames.images.shape[0] == 8 and set(frames.indices) == {0}
    assert 1000 < len(read_audio(path)) < 3000


@pytest.mark.parametrize("codec", ["libx264", "libvpx"])
def test_ten_minutes_are_read_by_seeking(tmp_path, codec, monkeypatch):
    """The same frames as by decoding everything, with a fraction of the work, and flat memory."""
    options = {"libx264": {"preset": "ultrafast", "g": "50", "bf": "2"},
               "libvpx": {"deadline": "realtime", "cpu-used": "8", "g": "50"}}[codec]
    path = tmp_path / ("clip.mp4" if codec == "libx264" else "clip.webm")
    write_clip(path, frames=3000, rate=5, width=64, height=48, video_codec=codec, options=options)
    decoded, original = 0, decoding.Decoder.decode

    def counting(decoder, packet):
        nonlocal decoded
        frames = original(decoder, packet)
        decoded += len(frames)
        return frames

    monkeypatch.setattr(decoding.Decoder, "decode", counting)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = read_frames(path, 8)
    assert decoded <= 8 * 60
    monkeypatch.setattr(video, "MIN_FRAMES_TO_SEEK", 10**9)
    plain = read_frames(path, 8)
    assert decoded >= 3000
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 16_000  # KiB; all 3000 frames would be 27,000
    assert found.indices.tolist() == plain.indices.tolist() == sample_indices(3000, 8).tolist()
    assert np.array_equal(found.images, plain.images) and np.array_equal(found.times, plain.times)
    assert [read_number(image) for image in found.images] == (found.indices % 256).tolist()
    assert np.allclose(found.times, found.indices / 5, atol=0.01)


def test_backends_choose_identical_frames(tmp_path):
    pytest.importorskip("decord")
    clips = [write_clip(tmp_path / f"clip{suffix}") for suffix in (".mp4", ".webm", ".avi")]
    clips.append(write_clip(tmp_path / "odd.mp4", frames=7, stamps=[0, 40, 80, 500, 540, 1000, 1040]))
    clips.append(trimmed_clip(tmp_path))
    for path in clips:
        for rule in timeline.RULES:
            for options in ({}, {"max_side": 32}, {"size": (96, 128)}):
                ours = read_frames(path, 8, rule=rule, **options)
                theirs = read_frames(path, 8, rule=rule, backend="decord", **options)
                assert ours.indices.tolist() == theirs.indices.tolist()
                assert ours.images.shape == theirs.images.shape
                assert np.abs(ours.images.astype(int) - theirs.images).mean() < 1
                assert np.allclose(ours.times, theirs.times, atol=0.01)


def test_decord_turns_too(tmp_path):
    pytest.importorskip("decord")
    path = write_clip(tmp_path / "clip.mp4", frames=4, width=128, height=96, rotation=90)
    images = read_frames(path, 2, backend="decord").images
    assert images.shape == (2, 128, 96, 3)
    assert np.abs(images.astype(int) - read_frames(path, 2).images).mean() < 1


def test_decord_says_what_it_cannot_do(tmp_path):
    pytest.importorskip("decord")
    path = write_clip(tmp_path / "clip.mp4", frames=3, mirrored=True)
    with pytest.raises(MediaError, match="use the backend 'pyav'"):
        read_frames(path, 2, backend="decord")
