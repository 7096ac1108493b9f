"""Media files of all kinds, whole and broken, as frames, waveforms, faces and words."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import add_cover, numbered_picture, read_number, red_side, tone, write_clip
from PIL import Image

from affectgpt.media import (
    Box,
    FaceDetector,
    MediaError,
    face_crops,
    probe,
    read_audio,
    read_frames,
    sample_indices,
    speech,
    spoken_part,
    transcribe,
    video,
)
from affectgpt.models.windows import segments

ROOT = Path(__file__).resolve().parents[1]


def level(waveform: np.ndarray) -> float:
    """Root mean square of the middle half: codecs fade in and out."""
    middle = waveform[len(waveform) // 4 : 3 * len(waveform) // 4]
    return float(np.sqrt((middle**2).mean()))


# Frames


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
    for rule in video.RULES:
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
    assert frames.indices.tolist() == [2, 6, 10, 14]
    assert [read_number(image) for image in frames.images] == [2, 10, 14, 18]
    # Where packets do not tell, the decoded frames are counted.
    monkeypatch.setattr(video, "_shows_picture", lambda packet: packet.size > 0)
    assert read_frames(path, 4).indices.tolist() == [2, 6, 10, 14]


def test_variable_frame_rate_counts_frames_and_tells_their_times(tmp_path):
    stamps = [0, 40, 80, 500, 540, 1000, 1040, 1080, 3000, 3040]
    path = write_clip(tmp_path / "clip.mp4", frames=10, stamps=stamps)
    frames = read_frames(path, 5)
    assert [read_number(image) for image in frames.images] == frames.indices.tolist() == [1, 3, 5, 7, 9]
    assert np.allclose(frames.times, [0.04, 0.5, 1.0, 1.08, 3.04], atol=0.002)


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
        assert sum(video._shows_picture(packet) for packet in container.demux(video=0)) == 15
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
    decoded = 0
    original = video._decode

    def counting(*arguments):
        nonlocal decoded
        for frame in original(*arguments):
            decoded += 1
            yield frame

    monkeypatch.setattr(video, "_decode", counting)
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
        for rule in video.RULES:
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


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_still_picture(tmp_path, suffix):
    path = tmp_path / f"picture{suffix}"
    Image.fromarray(numbered_picture(5, 64, 48)).save(path)
    info = probe(path)
    assert (info.kind, info.width, info.height, info.frames, info.has_audio) == ("image", 64, 48, 1, False)
    frames = read_frames(path, 8)
    assert frames.images.shape == (1, 48, 64, 3) and read_number(frames.images[0]) == 5
    assert read_frames(path, 8, max_side=32).images.shape == (1, 24, 32, 3)
    assert read_audio(path) is None


def test_picture_with_orientation(tmp_path):
    picture = Image.fromarray(numbered_picture(5, 64, 48))
    exif = picture.getexif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to see it upright
    picture.save(tmp_path / "picture.jpg", exif=exif)
    image = read_frames(tmp_path / "picture.jpg", 1).images[0]
    assert image.shape == (64, 48, 3) and red_side(image) == "right"


def test_picture_of_16_bits(tmp_path):
    Image.fromarray(np.full((20, 20), 32768, dtype=np.uint16)).save(tmp_path / "picture.png")
    assert read_frames(tmp_path / "picture.png", 1).images.max() == 128


# Sound


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


@pytest.mark.parametrize(
    ("seconds", "count", "window"), [(5.0, 8, 2), (0.5, 3, 2), (20.3, 4, 2), (2.0, 1, 2), (9, 1, 2)]
)
def test_segments_cover_the_whole_clip(seconds, count, window):
    waveform = np.arange(1, round(seconds * 16000) + 1, dtype=np.float32)
    windows = segments(waveform, count, window)
    assert windows.shape == (count, max(window * 16000, -(-len(waveform) // count)))
    assert windows[0, 0] == 1 and windows[-1].max() == len(waveform)
    assert len(np.unique(windows[windows > 0])) == len(waveform)
    assert np.ptp(np.diff(windows[:, 0])) <= 1 if count > 1 else True


def test_published_segments_miss_the_end():
    waveform = np.arange(5 * 16000, dtype=np.float32)
    windows = segments(waveform, 8, 2, rule="published")
    assert windows.shape == (8, 32000) and windows[:, 0].tolist() == [6000.0 * index for index in range(8)]
    assert windows[-1, -1] == 42000 + 31999
    short = segments(np.ones(8000, dtype=np.float32), 8, 2, rule="published")
    assert (short == short[0]).all() and short[0].sum() == 8000 and short[0, 8000:].max() == 0


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


# Files that cannot be used


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """name -> (path, words of the message)."""
    whole = write_clip(folder / "whole.mp4", sound=tone(2)).read_bytes()
    index_first = {"movflags": "faststart"}
    front = write_clip(folder / "front.mp4", sound=tone(2), container_options=index_first).read_bytes()
    Image.fromarray(numbered_picture(3, 64, 48)).save(folder / "whole.png")
    contents = {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"only words\n" * 99, "not a media file"),
        "text.txt": (b"only words\n" * 99, "neither picture nor sound"),
        "no_index.mp4": (whole[: len(whole) * 2 // 3], "cut off before its index"),
        "cut.mp4": (front[: (front.index(b"mdat") + len(front)) // 2], "cut off, only"),
        "cut.png": ((folder / "whole.png").read_bytes()[:100], "cut off or broken"),
    }
    for name, (data, _) in contents.items():
        (folder / name).write_bytes(data)
    (folder / "folder.mp4").mkdir()
    files = {name: (folder / name, words) for name, (_, words) in contents.items()}
    files["folder.mp4"] = folder / "folder.mp4", "this is a folder"
    files["gone.mp4"] = folder / "gone.mp4", "no such file"
    return files


def test_every_failure_is_one_clear_line(tmp_path):
    for name, (path, words) in broken_files(tmp_path).items():
        readers = [probe, lambda path: read_frames(path, 4)]
        readers.append(lambda path: read_frames(path, 4, backend="decord"))
        if name != "cut.png":
            readers.append(read_audio)
        for reader in readers:
            with pytest.raises(MediaError) as caught:
                reader(path)
            message = str(caught.value)
            assert message.startswith(f"{path}: ") and words in message and "\n" not in message


def test_cut_off_file_says_how_much_is_left(tmp_path):
    path, _ = broken_files(tmp_path)["cut.mp4"]
    with pytest.raises(MediaError, match=r"only \d+ of 20 frames"):
        read_frames(path, 4)
    with pytest.raises(MediaError, match=r"only \d+ of \d+ sound packets"):
        read_audio(path)


def test_cut_off_webm_gives_what_is_there(tmp_path):
    data = write_clip(tmp_path / "whole.webm").read_bytes()
    path = tmp_path / "cut.webm"
    path.write_bytes(data[: len(data) * 2 // 3])
    frames = read_frames(path, 4)
    assert 1 < probe(path).frames < 20 and frames.indices.max() < probe(path).frames
    assert [read_number(image) for image in frames.images] == frames.indices.tolist()


def test_damaged_sound_is_refused(tmp_path):
    data = bytearray(write_clip(tmp_path / "clip.mp4", frames=0, sound=tone(2)).read_bytes())
    middle = (data.index(b"mdat") + data.index(b"moov")) // 2
    data[middle : middle + 2000] = b"\xaa" * 2000
    (tmp_path / "clip.mp4").write_bytes(data)
    with pytest.raises(MediaError, match="sound packets cannot be decoded"):
        read_audio(tmp_path / "clip.mp4")


def test_colon_in_a_name_is_no_protocol(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=2).rename(tmp_path / "http:%03d.mp4")
    here = os.getcwd()
    try:
        os.chdir(tmp_path)
        assert read_frames(Path("http:%03d.mp4"), 2).images.shape[0] == 2
    finally:
        os.chdir(here)
    assert path.exists()


def test_unknown_options(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=2)
    for options in ({"backend": "other"}, {"rule": "other"}, {"max_side": 8, "size": (8, 8)}):
        with pytest.raises(ValueError):
            read_frames(path, 2, **options)
    with pytest.raises(ValueError):
        segments(np.zeros(10), 2, 1, rule="other")


def test_libraries_stay_silent_and_torch_is_not_loaded(tmp_path):
    paths = [str(path) for path, _ in broken_files(tmp_path).values()]
    code = (
        "import sys\nfrom affectgpt.media import MediaError, probe, read_frames, read_audio\n"
        "for path in sys.argv[1:]:\n"
        "    for reader in (probe, lambda p: read_frames(p, 2), read_audio):\n"
        "        try: reader(path)\n        except MediaError: pass\n"
        "assert not {'torch', 'decord', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Faces


def drawn_face(size: int = 200) -> np.ndarray:
    """uint8 [size, size, 3]: light skin, darker eyes, brows, nose and mouth; enough for a Haar cascade."""
    import cv2

    face = np.full((200, 200, 3), 90, dtype=np.uint8)
    cv2.ellipse(face, (100, 105), (62, 82), 0, 0, 360, (225, 190, 170), -1)
    for x in (75, 125):
        cv2.ellipse(face, (x, 88), (17, 8), 0, 0, 360, (120, 90, 80), -1)
        cv2.circle(face, (x, 88), 7, (20, 20, 20), -1)
        cv2.ellipse(face, (x, 70), (20, 5), 0, 180, 360, (60, 40, 30), 5)
    cv2.ellipse(face, (100, 122), (10, 8), 0, 0, 180, (170, 130, 115), 3)
    cv2.ellipse(face, (100, 150), (26, 9), 0, 0, 360, (140, 50, 50), -1)
    face = cv2.GaussianBlur(face, (0, 0), 2.5)
    return cv2.resize(face, (size, size), interpolation=cv2.INTER_AREA)


def scene(*places: tuple[int, int, int], width: int = 400, height: int = 300) -> np.ndarray:
    """Drawn faces of a size with their top left corner at x, y."""
    picture = np.full((height, width, 3), 90, dtype=np.uint8)
    for size, x, y in places:
        picture[y : y + size, x : x + size] = drawn_face(size)
    return picture


def test_detector_finds_a_face_and_nothing_else():
    boxes = FaceDetector().detect(scene((120, 200, 100)))
    assert len(boxes) == 1
    assert np.abs(boxes[0].centre - [260, 163]).max() < 15 and 50 < boxes[0].side < 130
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    assert FaceDetector().detect(noise) == FaceDetector().detect(scene()) == []
    with pytest.raises(ValueError, match="uint8"):
        FaceDetector().detect(noise.astype(float))


def test_face_that_fills_the_picture_is_found():
    assert len(FaceDetector().detect(np.ascontiguousarray(drawn_face()[15:190, 35:165]))) == 1


def test_small_face_in_a_wide_picture_is_found():
    boxes = FaceDetector().detect(scene((110, 900, 300), width=1280, height=720))
    assert len(boxes) == 1 and np.abs(boxes[0].centre - [955, 358]).max() < 25


class Told:
    """A detector that returns what it is told, frame by frame."""

    def __init__(self, found):
        self.found = iter(found)

    def detect(self, image):
        return [Box(x, y, x + side, y + side, 1.0) for x, y, side in next(self.found)]


def test_missing_boxes_are_interpolated_or_nearest():
    frames = np.zeros((5, 100, 100, 3), dtype=np.uint8)
    crops = face_crops(frames, size=32, detector=Told([[], [(10, 10, 20)], [], [(30, 10, 20)], []]))
    assert crops.detected.tolist() == [False, True, False, True, False]
    assert crops.boxes[:, 0].tolist() == [10, 10, 20, 30, 30] and crops.note is None
    assert crops.images.shape == (5, 32, 32, 3)


def test_one_face_is_followed_among_several():
    """The larger, central one, also where a box at the border is listed first."""
    near, far = (40, 30, 40), (2, 2, 20)
    told = Told([[far, near], [near], [far], [near, far]])
    crops = face_crops(np.zeros((4, 100, 120, 3), np.uint8), detector=told)
    assert crops.boxes[:, 0].tolist() == [40, 40, 40, 40]
    assert crops.detected.tolist() == [True, True, False, True]


def test_face_that_jumps_is_still_followed():
    crops = face_crops(np.zeros((2, 200, 200, 3), np.uint8), detector=Told([[(0, 0, 30)], [(150, 150, 30)]]))
    assert crops.detected.all() and crops.boxes[:, 0].tolist() == [0, 150]


def test_crop_is_square_with_its_margin_and_stays_inside():
    frame = np.zeros((100, 160, 3), dtype=np.uint8)
    frame[20:60, 50:90] = 255
    inside = face_crops(frame[None], size=56, margin=0.2, detector=Told([[(50, 20, 40)]])).images[0]
    white = (inside > 127).all(axis=2)
    assert white.any(0).sum() == white.any(1).sum() == 40 and white[8:48, 8:48].all()
    corner = face_crops(frame[None], size=56, margin=0.2, detector=Told([[(120, 0, 40)]])).images[0]
    assert corner.shape == (56, 56, 3) and not corner.any()


def test_no_face_is_told():
    crops = face_crops(np.zeros((3, 60, 80, 3), dtype=np.uint8))
    assert crops.images is None and crops.boxes is None and not crops.detected.any()
    assert "no face" in crops.note and "3 frames" in crops.note


@pytest.mark.parametrize(("name", "low", "high"), [
    ("faces/single_face.mp4", 1.0, 1.0),
    ("faces/face_noface.mov", 0.3, 0.6),
    ("faces/no_face.mp4", 0.0, 0.0),
    ("ravdess_av/01-01-02-02-02-01-05.mp4", 1.0, 1.0),
    ("ravdess_av/01-01-08-01-01-01-06.mp4", 1.0, 1.0),
])
def test_faces_of_real_clips(shared_data, name, low, high):
    """A talking head, a face only in the first half, none, a tight crop of a face, head and shoulders."""
    frames = read_frames(shared_data / "clips" / name, 8)
    crops = face_crops(frames.images)
    assert low <= crops.detected.mean() <= high
    assert (crops.images is None) == (high == 0)


# Words


def test_silence_has_no_words():
    assert transcribe(np.zeros(16000, np.float32)) == transcribe(np.zeros(0, np.float32)) == ""
    assert transcribe(np.full(16000, 0.2, np.float32)) == ""
    assert speech._is_silent(np.full(16000, 0.2, np.float32))
    assert not speech._is_silent(tone(1, amplitude=0.002)[0])
    with pytest.raises(ValueError, match="one dimension"):
        transcribe(np.zeros((2, 16000), np.float32))


def test_long_sound_is_cut_where_it_is_quiet():
    waveform = tone(70)[0]
    waveform[25 * 16000 : 26 * 16000] = 0
    windows = speech._windows(waveform)
    assert sum(map(len, windows)) == len(waveform) and max(map(len, windows)) <= 30 * 16000
    assert 25 * 16000 < len(windows[0]) < 26 * 16000
    assert np.array_equal(np.concatenate(windows), waveform)


def test_noise_has_no_words_and_windows_are_joined(monkeypatch):
    """The starter model hears nothing in noise (it says "You" when not asked whether there is speech)."""
    try:
        speech.recogniser_folder()
    except ValueError as error:
        pytest.skip(str(error))
    assert transcribe(np.random.default_rng(0).standard_normal(32000).astype(np.float32) * 0.1) == ""
    monkeypatch.setattr(speech, "_words", lambda window: f"{len(window)}")
    assert transcribe(tone(31)[0]).count(" ") == 1


def test_words_of_a_real_clip(shared_data):
    """At -57 dB, and in the second window of a longer sound."""
    try:
        speech.recogniser_folder()
    except ValueError as error:
        pytest.skip(str(error))
    waveform = read_audio(shared_data / "clips/ravdess_av/01-01-02-01-01-01-05.mp4")
    assert transcribe(waveform) == "Kids are talking by the door."
    late = np.concatenate([np.zeros(29 * 16000, np.float32), waveform])
    assert transcribe(late) == "Kids are talking by the door."
