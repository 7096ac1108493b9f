"""A seeded generator of damaged media files, and a worker that reads them in a process of its own.

    python tests/hostile_media.py FOLDER FIRST END STEP

reads files FIRST, FIRST + STEP, ... below END and prints a JSON line for each.
"""

from __future__ import annotations

import io
import json
import random
import re
import resource
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from PIL import Image

COUNT = 1000
MEMORY = 1_500_000_000
"""Bytes that reading any file may take."""

# container, video codec, sound codec, layout, rate
_CLIPS = {
    "mp4": ("mp4", "libx264", "aac", "mono", 16000), "frag.mp4": ("mp4", "libx264", "aac", "mono", 16000),
    "mov": ("mov", "mpeg4", "pcm_s16le", "stereo", 16000), "webm": ("webm", "libvpx", "libopus", "mono", 48000),
    "mkv": ("matroska", "libx264", "flac", "stereo", 44100), "huff.avi": ("avi", "ffvhuff", "pcm_s16le", "mono", 8000),
    "avi": ("avi", "mpeg4", "libmp3lame", "mono", 16000), "ts": ("mpegts", "libx264", "aac", "mono", 48000),
    "flv": ("flv", "flv", "libmp3lame", "mono", 44100), "mpg": ("mpeg", "mpeg1video", "mp2", "mono", 44100),
    "wmv": ("asf", "wmv2", "wmav2", "mono", 44100), "3gp": ("3gp", "h263", "aac", "mono", 16000),
    "gif": ("gif", "gif", None, "mono", 0), "mjpeg.avi": ("avi", "mjpeg", None, "mono", 0),
    "wav": ("wav", None, "pcm_s16le", "stereo", 16000), "f32.wav": ("wav", None, "pcm_f32le", "mono", 16000),
    "f64.wav": ("wav", None, "pcm_f64le", "mono", 8000), "mp3": ("mp3", None, "libmp3lame", "mono", 16000),
    "flac": ("flac", None, "flac", "5.1", 16000), "opus": ("ogg", None, "libopus", "stereo", 48000),
    "m4a": ("mp4", None, "aac", "stereo", 16000), "aac": ("adts", None, "aac", "mono", 16000),
    "aiff": ("aiff", None, "pcm_s16be", "mono", 16000), "caf": ("caf", None, "pcm_f32le", "mono", 16000),
}
_PICTURES = {
    "jpg": ("JPEG", "RGB", {}), "prog.jpg": ("JPEG", "RGB", {"progressive": True}), "grey.jpg": ("JPEG", "L", {}),
    "png": ("PNG", "RGBA", {}), "p.png": ("PNG", "P", {}), "webp": ("WEBP", "RGB", {}), "bmp": ("BMP", "RGB", {}),
    "tiff": ("TIFF", "RGB", {"compression": "tiff_lzw"}), "jpg.tiff": ("TIFF", "RGB", {"compression": "jpeg"}),
}
_ENDINGS = ("mp4", "mkv", "avi", "wav", "mp3", "jpg", "png", "flac", "ts", "m3u8", "txt", "gif", "yuv", "sdp")


def make_seeds() -> dict[str, bytes]:
    """Name -> a small whole file: 24 kinds of clips and sounds, 9 of pictures."""
    seeds = {name: _clip(name, *form) for name, form in _CLIPS.items()}
    pixels = np.random.default_rng(0).integers(0, 255, (15, 20, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    for name, (form, mode, options) in _PICTURES.items():
        buffer, picture = io.BytesIO(), Image.fromarray(pixels).convert(mode)
        exif = picture.getexif()
        exif[0x0112], exif[0x010E] = 6, "a picture"
        picture.save(buffer, form, **options, **({"exif": exif} if form in ("JPEG", "WEBP", "PNG") else {}))
        seeds[name] = buffer.getvalue()
    return seeds


def _clip(name: str, form: str, video: str | None, sound: str | None, layout: str, rate: int) -> bytes:
    buffer = io.BytesIO()
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if name == "frag.mp4" else {}
    with av.open(buffer, "w", format=form, options=options) as output:
        picture = speech = None
        if video:
            form_of = {"gif": "rgb8", "mjpeg": "yuvj420p"}.get(video, "yuv420p")
            picture = output.add_stream(video, rate=25 if form in ("mpeg", "flv") else 12, options={"g": "6"})
            picture.width, picture.height, picture.pix_fmt = (176, 144, form_of) if form == "3gp" else (96, 64, form_of)
        if sound:
            speech = output.add_stream(sound, rate=rate, layout=layout)
            speech.bit_rate = 64_000
        for number in range(18 if picture else 0):
            pixels = np.full((64, 96, 3), 10 * number, dtype=np.uint8)
            pixels[16:48, 4 * number : 4 * number + 20] = (200, 50, 50)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, 12)
            output.mux(picture.encode(frame))
        if picture:
            output.mux(picture.encode(None))
        if speech:
            channels = speech.codec_context.layout.nb_channels
            wave = 0.3 * np.sin(np.arange(int(0.6 * rate)) * 0.17).astype(np.float32)
            block = av.AudioFrame.from_ndarray(wave.repeat(channels)[None], format="flt", layout=layout)
            block.sample_rate, block.pts = rate, 0
            output.mux(speech.encode(block))
            output.mux(speech.encode(None))
    return buffer.getvalue()


# ---------------------------------------------------------------------------- damage


def _region(data: bytes, dice: random.Random) -> tuple[int, int]:
    start = dice.randrange(len(data))
    return start, min(len(data), start + max(1, int(len(data) * dice.random() ** 3 / 2)))


def _flips(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice((1, 3, 10, 40, 200))):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed)


def _filled(data: bytes, dice: random.Random) -> bytes:
    start, end = _region(data, dice)
    return data[:start] + dice.choice((b"\0", b"\xff", b"\xaa")) * (end - start) + data[end:]


def _swapped(data: bytes, dice: random.Random) -> bytes:
    (a, b), (c, d) = sorted((_region(data, dice), _region(data, dice)))
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:] if b <= c else data[b:] + data[:b]


def _doubled(data: bytes, dice: random.Random) -> bytes:
    start, end = _region(data, dice)
    place = dice.choice((end, dice.randrange(len(data))))
    return data[:place] + data[start:end] * dice.choice((1, 1, 2, 5)) + data[place:]


def _deleted(data: bytes, dice: random.Random) -> bytes:
    start, end = _region(data, dice)
    return data[:start] + data[end:] or b"\0"


def _numbers(data: bytes, dice: random.Random) -> bytes:
    """Sizes, counts and rates of headers, at the start or before the end, become extreme."""
    changed = bytearray(data)
    for _ in range(dice.choice((1, 2, 4))):
        place = dice.randrange(max(1, min(600, len(data) - 8)))
        place = place if dice.random() < 0.6 else max(0, len(data) - 8 - place)
        value = dice.choice((0, 1, 2**31 - 1, 2**31, 2**32 - 1, dice.getrandbits(32), dice.getrandbits(16)))
        changed[place : place + 4] = struct.pack(dice.choice(("<I", ">I")), value)
    return bytes(changed)


_DAMAGE: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    lambda data, dice: data[: max(1, int(len(data) * dice.random()))],
    lambda data, dice: data[int(len(data) * dice.random() ** 2 * 0.9) :],
    _flips, _flips, _filled, _swapped, _doubled, _deleted, _numbers, _numbers,
)


@lru_cache
def _grey_png(width: int, height: int) -> bytes:
    """A picture of one colour; of one that is too large, the first rows."""
    packer = zlib.compressobj(1)
    rows = height if width * height < 1.2e8 else 10
    data = b"".join(packer.compress(bytes(min(width, 10**6) + 1)) for _ in range(rows)) + packer.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b""))
    packed = [struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
              for kind, body in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def _png_bomb(dice: random.Random) -> bytes:
    sizes = ((50_000, 50_000), (2**31 - 1, 1), (13_000, 13_000), (11_000, 10_500), (1, 90_000), (9_000, 9_000))
    return _grey_png(*dice.choice(sizes))


def _wav_bomb(dice: random.Random) -> bytes:
    rate, channels = dice.choice((1, 10, 999, 1000, 4_000_000_000)), dice.choice((1, 2, 64, 65, 1000, 65535))
    data = dice.randbytes(200_000)
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * channels % 2**32, channels, 8)
    return (b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
            + struct.pack("<I", dice.choice((len(data), 0, 2**32 - 1))) + data)


def _table_bomb(seeds: dict[str, bytes], dice: random.Random) -> bytes:
    data = bytearray(seeds[dice.choice(("mp4", "frag.mp4", "mov", "m4a", "3gp"))])
    kind = dice.choice([box for box in (b"stsz", b"stts", b"ctts", b"stsc", b"stco", b"trun", b"elst") if box in data])
    place = data.index(kind) + dice.choice((8, 8, 12, 16))
    data[place : place + 8] = struct.pack(">II", dice.choice((1, 2**24, 2**31)), dice.choice((10**8, 2**31, 2**32 - 1)))
    return bytes(data)


def _playlist(dice: random.Random) -> bytes:
    return dice.choice((
        b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfile:///etc/passwd\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n" * 50,
        b"ffconcat version 1.0\nfile 'seed.mp4'\n" * 20, b"ffconcat version 1.0\nfile '/dev/zero'\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\n",
        b"<?xml version='1.0'?><MPD><Period><BaseURL>file:///etc/</BaseURL></Period></MPD>", b"only words\n" * 500,
    ))


@dataclass(frozen=True)
class Hostile:
    """One damaged file, of a name that says what was done to it."""

    name: str
    data: bytes


def hostile_file(number: int, seeds: dict[str, bytes]) -> Hostile:
    """File `number` of the list; the same for the same seeds."""
    dice = random.Random(f"hostile {number}")
    names = list(seeds)
    name = names[number % len(names)]
    data, done = seeds[name], []
    kind = dice.choices(("damage", "concat", "header", "ending", "bomb", "list"), (60, 10, 8, 6, 8, 3))[0]
    if kind == "concat":
        other = dice.choice((name, dice.choice(names)))
        data, done = data + seeds[other] * dice.choice((1, 2)), [f"concat-{other}"]
    elif kind == "header":
        other, length = dice.choice(names), dice.choice((4, 16, 64, 300))
        data, done = seeds[other][:length] + data[length:], [f"header-{other}-{length}"]
    elif kind == "bomb":
        make = dice.choice((_png_bomb, _wav_bomb, lambda dice: _table_bomb(seeds, dice)))
        data, done = make(dice), ["bomb"]
    elif kind == "list":
        data, done = _playlist(dice), ["list"]
    if kind == "damage" or dice.random() < 0.3:
        for _ in range(dice.choice((1, 1, 1, 2, 3))):
            damage = dice.choice(_DAMAGE)
            data = damage(data, dice) or b"\0"
            done.append(damage.__name__.strip("_<>"))
    ending = dice.choice(_ENDINGS) if kind == "ending" or dice.random() < 0.1 else name
    return Hostile(f"{number:05d}_{'+'.join(done) or 'whole'}.{ending}", data)


# ---------------------------------------------------------------------------- reading them


def account(path: Path) -> dict[str, str]:
    """Reader -> "read", "no sound", or "refused" with one clear MediaError; what is neither begins with "FAULT"."""
    from affectgpt.media import MediaError, face_crops, probe, read_frames, read_sound

    def frames(path: Path) -> None:
        found = read_frames(path, 8)
        images, times = found.images, found.times
        assert images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3 and min(images.shape) > 0
        assert len(images) == len(times) == len(found.indices) and len(images) in (1, 8)
        assert np.isfinite(times).all() and (np.diff(times) >= 0).all() and times[0] >= 0
        assert (np.diff(found.indices) >= 0).all() and found.indices[0] >= 0
        if images[0].size < 10**6:
            face_crops(images, size=32)

    def sound(path: Path) -> str:
        waveform = read_sound(path).waveform
        if waveform is None:
            return "no sound"
        assert waveform.dtype == np.float32 and waveform.ndim == 1 and len(waveform)
        assert np.isfinite(waveform).all() and np.abs(waveform).max() <= 1
        return "read"

    def look(path: Path) -> None:
        info = probe(path)
        assert info.kind in ("video", "audio", "image") and (info.has_video or info.has_audio)
        assert (min(info.width, info.height, info.frames) > 0) == info.has_video and 0 <= info.duration < 1e13

    outcomes = {}
    for name, reader in (("probe", look), ("frames", frames), ("sound", sound)):
        try:
            outcomes[name] = reader(path) or "read"
        except MediaError as error:
            message = str(error)
            clear = message.startswith(f"{path}: ") and "\n" not in message and len(message) - len(str(path)) < 250
            outcomes[name] = f"refused: {message.removeprefix(f'{path}: ')}" if clear else f"FAULT: {message!r}"
            if isinstance(error.__cause__, (TypeError, NameError, AttributeError, AssertionError)):
                outcomes[name] = f"FAULT of our own: {error.__cause__!r}"  # the border must hide no error of the code
        except Exception as error:
            outcomes[name] = f"FAULT: {type(error).__name__}: {error}"
    return outcomes


def peak_memory() -> int:
    """Most bytes that this process held; getrusage would give that of the process that started it, where it is more."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s+(\d+)", status.read_text()).group(1)) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main(folder: str, first: int, end: int, step: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 * MEMORY, 4 * MEMORY))  # a runaway ends itself, not the machine
    seeds = make_seeds()
    for number in range(first, end, step):
        file = hostile_file(number, seeds)
        path = Path(folder, file.name)
        path.write_bytes(file.data)
        print(json.dumps({"number": number, "name": file.name}), flush=True)
        outcomes = account(path)
        path.unlink()
        peak = peak_memory()
        print(json.dumps({"number": number, "name": file.name, "peak": peak, **outcomes}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
