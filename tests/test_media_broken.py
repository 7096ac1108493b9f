"""Files that cannot be used: one clear line each, and nothing on the screen."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import numbered_picture, read_number, tone, write_clip
from PIL import Image

from affectgpt.media import MediaError, audio, container, decoding, probe, read_audio, read_frames

ROOT = Path(__file__).resolve().parents[1]


def broken_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """name -> (path, words of the message)."""
    whole = write_clip(folder / "whole.mp4", sound=tone(2)).read_bytes()
    index_first = {"movflags": "faststart"}
    front = write_clip(folder / "front.mp4", sound=tone(2), container_options=index_first).read_bytes()
    Image.fromarray(numbered_picture(3, 64, 48)).save(folder / "whole.png")
    contents = {
        "empty.mp4": (b"", "the file is empty"),
        "text.mp4": (b"only words\n" * 99, "not a media file"),
        "text.txt": (b"only words\n" * 99, "not a media file"),
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


@pytest.mark.parametrize("codec", ["mjpeg", "ffvhuff"])
def test_cut_off_avi_gives_what_is_there(tmp_path, codec):
    """Its last packet is half there; damage before the end is refused."""
    options = {"pix_fmt": "yuvj420p"} if codec == "mjpeg" else {}
    with av.open(str(tmp_path / "whole.avi"), "w") as output:
        stream = output.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, options.get("pix_fmt", "yuv420p")
        for number in range(20):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number, 64, 48), format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
    with av.open(str(tmp_path / "whole.avi")) as given:
        packets = [(packet.pos, packet.size) for packet in given.demux(video=0) if packet.size]
    data, (start, size) = (tmp_path / "whole.avi").read_bytes(), packets[12]
    (tmp_path / "cut.avi").write_bytes(data[: start + 20])
    frames = read_frames(tmp_path / "cut.avi", 40)
    assert frames.indices.max() == 11 and "the last picture packet is cut off and left out" in frames.notes
    if codec == "ffvhuff":
        return  # it makes a picture of zeros
    (tmp_path / "damaged.avi").write_bytes(data[: start + 20] + b"\0" * (size - 20) + data[start + size :])
    with pytest.raises(MediaError, match="decoding fails after 12 frames"):
        read_frames(tmp_path / "damaged.avi", 40)


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


@pytest.mark.parametrize("error", [ValueError, IndexError, AttributeError, KeyError, OverflowError, MemoryError,
                                   RuntimeError, UnicodeDecodeError("utf-8", b"", 0, 1, "bad"), OSError(5, "Input")])
@pytest.mark.parametrize("place", [(av.Packet, "decode"), (container.Media, "packets"), (container.av, "open")])
def test_whatever_a_library_raises_leaves_as_media_error_with_its_cause(tmp_path, monkeypatch, error, place):
    path = write_clip(tmp_path / "clip.mp4", frames=5, sound=tone(1))

    def fails(*arguments, **options):
        raise error

    if place[0] is av.Packet:  # a type of C: its instances cannot be patched
        monkeypatch.setattr(decoding.Decoder, "decode", fails)
        monkeypatch.setattr(audio, "_decode", fails)
    else:
        monkeypatch.setattr(*place, fails)
    for read in (probe, read_audio, lambda path: read_frames(path, 2)):
        with pytest.raises(MediaError) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)
        assert caught.value.__cause__ is not None


def test_an_interruption_is_no_error_of_the_file(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", frames=5)
    monkeypatch.setattr(decoding.Decoder, "decode", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        read_frames(path, 2)


def test_streams_that_begin_on_the_way_are_passed_over(tmp_path):
    """PyAV's `demux` ends with an IndexError at a packet of a stream that was not there at first, and can go on."""
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    with container.open_media(path) as media:
        whole, picture = list(media.packets(media.picture)), media.picture

        class Growing:
            def __init__(self):
                self.left = iter(whole)

            def demux(self, *streams):
                for number, packet in enumerate(self.left):
                    yield packet
                    if number % 4 == 3:
                        raise IndexError("list index out of range")

            def close(self):
                pass

        media.container, kept = Growing(), media.container
        assert list(media.packets(picture)) == whole
        media.container = Growing()
        media.container.left = iter(whole[-4:])  # and at the very end, where a decoder must not be flushed twice
        assert list(media.packets(picture)) == whole[-4:]
        media.container = kept


def test_files_that_cannot_seek_are_read(tmp_path):
    """A flv with a doubled part has no index, so it can only be read from its start."""
    source = write_clip(tmp_path / "picture.mp4", frames=20)
    with av.open(str(source)) as given, av.open(str(tmp_path / "whole.flv"), "w") as output:
        stream = output.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                output.mux(packet)
    data = (tmp_path / "whole.flv").read_bytes()
    (tmp_path / "doubled.flv").write_bytes(data + data[13:])
    frames = read_frames(tmp_path / "doubled.flv", 40)
    assert [read_number(image) for image in frames.images] == [*range(20)] * 2
    assert (np.diff(frames.times) >= 0).all() and probe(tmp_path / "doubled.flv").frames == 40


def test_a_name_may_hold_any_bytes(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9 %03d [1]\n.mp4"))
    write_clip(tmp_path / "clip.mp4", frames=3, sound=tone(1)).rename(path)
    assert probe(path).has_video and len(read_audio(path)) and len(read_frames(path, 2).images) == 2


def chatty_files(folder: Path) -> list[Path]:
    """Files at which Pillow, libtiff with libjpeg, and NumPy would print."""
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (100, 100, 3), dtype=np.uint8))
    noise.save(folder / "whole.tiff", compression="jpeg")
    exif = noise.getexif()
    exif[0x010E] = "a picture" * 20
    noise.save(folder / "whole.jpg", exif=exif)
    paths = []
    for name, step in (("whole.tiff", 1), ("whole.jpg", 7)):
        whole = (folder / name).read_bytes()
        for number in range(40):
            data, dice = bytearray(whole), np.random.default_rng(number)
            reach = len(data) if number % 2 else 400
            for place in dice.integers(4, reach, 20 * step):
                data[place] ^= 1 << int(dice.integers(8))
            if name == "whole.tiff":
                data[-200:] = dice.bytes(200)
            paths.append(folder / f"{number}_{name}")
            paths[-1].write_bytes(data)
    paths.append(folder / "nan.wav")
    data = np.full(16000, np.nan, dtype=np.float32).tobytes()
    form = struct.pack("<HHIIHH", 3, 1, 16000, 64000, 4, 32)
    paths[-1].write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form
                          + b"data" + struct.pack("<I", len(data)) + data)
    Image.new("1", (10_000, 9_500)).save(folder / "large.png")  # Pillow warns of a bomb
    return [*paths, folder / "large.png"]


def test_libraries_stay_silent_and_torch_is_not_loaded(tmp_path):
    paths = [str(path) for path in [*(path for path, _ in broken_files(tmp_path).values()), *chatty_files(tmp_path)]]
    code = (
        "import sys\nfrom affectgpt.media import MediaError, probe, read_frames, read_audio\n"
        "for path in sys.argv[1:]:\n"
        "    for reader in (probe, lambda p: read_frames(p, 2), read_audio):\n"
        "        try: reader(path)\n        except MediaError: pass\n"
        "assert not {'torch', 'decord', 'cv2'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *paths], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
