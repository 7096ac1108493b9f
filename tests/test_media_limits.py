"""Files that ask for too much are refused before they cost it, each with its own message."""

from __future__ import annotations

import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from media_fixtures import level, numbered_picture, tone, write_clip
from PIL import Image

from affectgpt.media import MediaError, audio, container, iso, limits, probe, read_audio, read_frames, read_sound

ROOT = Path(__file__).resolve().parents[1]


def png(path: Path, width: int, height: int) -> Path:
    """A grey picture of one colour, however large, in a few kilobytes."""
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    packed = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
              for kind, body in chunks]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(packed))
    return path


def wav(path: Path, rate: int, data: bytes, channels: int = 1) -> Path:
    """8-bit sound of any rate."""
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels % 2**32, channels, 8)
    path.write_bytes(b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
                     + struct.pack("<I", len(data)) + data)
    return path


def memory() -> int:
    """Highest memory of this process so far, MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


@pytest.mark.filterwarnings("ignore:Image size")  # Pillow's own, which media keeps off the screen and pytest does not
def test_picture_that_is_too_large_is_refused_by_its_header(tmp_path):
    path, before = png(tmp_path / "large.png", 40_000, 3_100), memory()
    for read in (probe, lambda path: read_frames(path, 1)):
        with pytest.raises(MediaError, match="its picture of 40000 x 3100 pixels is larger than the 120 million"):
            read(path)
    assert memory() - before < 20


def test_large_picture_is_shrunk_as_it_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr("affectgpt.media.images.KEPT_PICTURE_PIXELS", 64 * 48)
    for name, mode in (("picture.png", "RGB"), ("picture.jpg", "RGB"), ("grey.png", "L"), ("clear.png", "RGBA")):
        Image.fromarray(numbered_picture(5, 640, 480)).convert(mode).save(tmp_path / name)
        frames = read_frames(tmp_path / name, 1)
        height, width = frames.images.shape[1:3]
        assert width * height <= 64 * 48 and width * 3 == height * 4
        assert frames.notes == (f"the picture of 640 x 480 is read at {width} x {height}",)
        assert (probe(tmp_path / name).width, probe(tmp_path / name).height) == (640, 480)
    Image.fromarray(np.full((480, 640), 32768, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert set(np.unique(read_frames(tmp_path / "deep.png", 1).images)) == {128}


def test_frame_of_a_video_that_is_too_large_is_refused(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", frames=3)
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 64 * 47)
    for read in (probe, lambda path: read_frames(path, 1)):
        with pytest.raises(MediaError, match="its picture of 64 x 48 pixels is larger"):
            read(path)


def test_frames_that_grow_on_the_way_are_not_decoded(tmp_path, monkeypatch):
    """A key frame of another size has its own header, behind the one that was checked."""
    for number, side in enumerate((64, 512)):
        write_clip(tmp_path / f"{number}.mp4", frames=5, width=side, height=side)
    parts = []
    for number in range(2):
        with av.open(str(tmp_path / f"{number}.mp4")) as given, av.open(str(tmp_path / f"{number}.ts"), "w") as output:
            stream = output.add_stream_from_template(given.streams.video[0])
            for packet in given.demux(video=0):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
        parts.append((tmp_path / f"{number}.ts").read_bytes())
    (tmp_path / "grows.ts").write_bytes(b"".join(parts))
    assert len(read_frames(tmp_path / "grows.ts", 4).images) == 4
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 10_000)
    with pytest.raises(MediaError, match=r"decoding fails after \d frames"):
        read_frames(tmp_path / "grows.ts", 4)


def test_many_or_large_frames_are_shrunk_to_fit_the_memory(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    monkeypatch.setattr(limits, "KEPT_PIXELS", 5 * 32 * 24)
    frames = read_frames(path, 5)
    assert frames.images.shape == (5, 24, 32, 3)
    assert frames.notes == ("the frames of 64 x 48 are read at 32 x 24",)
    assert 3 * limits.kept_pixels(7680, 4320) + limits.DECODER_BYTES * 7680 * 4320 < 1.4e9


@pytest.mark.parametrize(("rate", "heard"), [(1, False), (10, False), (999, False), (1000, True), (768_000, True),
                                             (800_000, False)])
def test_sample_rates_that_nobody_records_are_refused(tmp_path, rate, heard):
    before = memory()
    data = (128 + 100 * np.sin(np.arange(20_000))).astype(np.uint8).tobytes()
    path = wav(tmp_path / "sound.wav", rate, data)
    if heard:
        assert len(read_audio(path)) == pytest.approx(16_000 * 20_000 / rate, rel=0.05)
    else:
        with pytest.raises(MediaError, match=f"its sound has {rate} samples a second|the sound is longer than"):
            read_audio(path)
        assert memory() - before < 30


@pytest.mark.parametrize("channels", [16, 64, 65])
def test_many_channels(tmp_path, channels):
    """PyAV itself reads past the planes of more than eight."""
    values = 128 + 100 * np.sin(np.arange(16_000) * 0.2)
    path = wav(tmp_path / "sound.wav", 16_000, values.astype(np.uint8).repeat(channels).tobytes(), channels)
    if channels <= 64:
        assert level(read_audio(path)) == pytest.approx(100 / 128 / np.sqrt(2), rel=0.03)
    else:
        with pytest.raises(MediaError, match="its sound has 65 channels"):
            read_audio(path)


def test_sound_that_is_too_long_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SOUND_SECONDS", 2)
    path = write_clip(tmp_path / "sound.wav", frames=0, sound=tone(3))
    with pytest.raises(MediaError, match="the sound is longer than .* cut the file into parts"):
        read_audio(path)
    assert len(read_audio(write_clip(tmp_path / "short.wav", frames=0, sound=tone(2)))) == 32000


def test_far_too_long_sound_is_refused_before_it_is_decoded(tmp_path, monkeypatch):
    monkeypatch.setattr(audio, "MAX_SOUND_SECONDS", 2)
    monkeypatch.setattr(audio, "_decode", None)
    path = write_clip(tmp_path / "sound.wav", frames=0, sound=np.zeros((1, 70 * 16000), dtype=np.float32))
    with pytest.raises(MediaError, match="the sound is longer"):
        read_audio(path)


def test_long_sound_is_held_once(tmp_path):
    """Float32 of twenty minutes is 77 MB; a list of the decoder's own blocks, or a copy, is as much again."""
    with av.open(str(tmp_path / "long.wav"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=16000, layout="mono")
        block = av.AudioFrame.from_ndarray((tone(60) * 32767).astype(np.int16), format="s16", layout="mono")
        block.sample_rate = 16000
        for minute in range(20):
            block.pts = minute * 60 * 16000
            output.mux(stream.encode(block))
    code = ("import sys, resource\nfrom affectgpt.media import read_audio\n"
            "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
            "assert len(read_audio(sys.argv[1])) == 19200000\n"
            "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)")
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "long.wav"], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0 and int(done.stdout) < 110, done


def test_time_for_one_file_is_limited(tmp_path, monkeypatch):
    path = write_clip(tmp_path / "clip.mp4", frames=20, sound=tone(2))
    monkeypatch.setattr(limits, "READ_SECONDS", -1.0)
    for read in (probe, read_audio, lambda path: read_frames(path, 4)):
        with pytest.raises(MediaError, match="takes longer than the .* s that a file of its size may take"):
            read(path)


def patched(path: Path, source: Path, box: bytes, offset: int, *numbers: int) -> Path:
    data = bytearray(source.read_bytes())
    place = data.index(box) + 4 + offset
    data[place : place + 4 * len(numbers)] = struct.pack(f">{len(numbers)}I", *numbers)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(("box", "offset", "numbers"), [
    (b"stsz", 4, (1, 10**8)), (b"stsz", 4, (1, 2**32 - 1)), (b"stts", 8, (2**31,)), (b"ctts", 8, (2**30,)),
    (b"trun", 0, (0, 2**30)),
])
def test_tables_that_declare_a_billion_samples_are_refused(tmp_path, box, offset, numbers):
    before = memory()
    fragmented = {"movflags": "frag_keyframe+empty_moov"} if box == b"trun" else {}
    source = write_clip(tmp_path / "clip.mp4", frames=20, sound=tone(2), container_options=fragmented)
    path = patched(tmp_path / "bomb.mp4", source, box, offset, *numbers)
    for read in (probe, read_audio, lambda path: read_frames(path, 4)):
        with pytest.raises(MediaError, match="its tables are packed or declare more than 3 million samples"):
            read(path)
    assert memory() - before < 30


def test_tables_of_plain_sound_are_counted_by_chunks(tmp_path):
    """A sample of PCM is one of 16,000 a second: ten minutes have more than any table of pictures."""
    with av.open(str(tmp_path / "long.mov"), "w") as output:
        stream = output.add_stream("pcm_s16le", rate=48000, layout="mono")
        block = av.AudioFrame.from_ndarray(np.ones((1, 48000 * 70), dtype=np.int16), format="s16", layout="mono")
        block.sample_rate, block.pts = 48000, 0
        output.mux(stream.encode(block))
    data = (tmp_path / "long.mov").read_bytes()
    assert struct.unpack(">I", data[data.index(b"stsz") + 12 :][:4])[0] == 48000 * 70 > limits.MAX_TABLE_ENTRIES
    iso.check_tables(tmp_path / "long.mov")
    assert probe(tmp_path / "long.mov").has_audio
    path = patched(tmp_path / "bomb.mov", tmp_path / "long.mov", b"stsc", 12, 2**32 - 1)
    with pytest.raises(MediaError, match="its tables"):
        iso.check_tables(path)


def test_devices_and_pipes_are_no_media(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path("/dev/zero")):
        for read in (probe, read_sound, lambda path: read_frames(path, 1)):
            with pytest.raises(MediaError, match="device or a pipe"):
                read(path)


def test_a_playlist_in_disguise_opens_no_other_file(tmp_path):
    secret = write_clip(tmp_path / "secret.ts.mp4", frames=3).rename(tmp_path / "secret.mp4")
    lists = {"list.mp4": f"ffconcat version 1.0\nfile '{secret.name}'\n", "list.m3u8":
             f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile://{secret}\n#EXT-X-ENDLIST\n",
             "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n"}
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
        for read in (probe, read_sound, lambda path: read_frames(path, 1)):
            with pytest.raises(MediaError):
                read(tmp_path / name)
