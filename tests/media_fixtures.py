"""Tiny media files, written with PyAV while the tests run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

CODECS = {
    ".mp4": ("libx264", "aac"),
    ".mov": ("libx264", "aac"),
    ".webm": ("libvpx-vp9", "libopus"),
    ".avi": ("mpeg4", "libmp3lame"),
    ".wav": (None, "pcm_s16le"),
    ".mp3": (None, "libmp3lame"),
    ".flac": (None, "flac"),
    ".ogg": (None, "libopus"),
}
LEVELS = (40, 216)


def numbered_picture(number: int, width: int, height: int) -> np.ndarray:
    """uint8 [H, W, 3]: a dark grey picture with `number` as eight bright or dark columns, lowest bit
    left, and a top edge of red, so that its number, its turn and its colours can be read back."""
    picture = np.zeros((height, width, 3), dtype=np.uint8)
    for bit in range(8):
        picture[:, width * bit // 8 : width * (bit + 1) // 8] = LEVELS[number >> bit & 1]
    picture[: height // 4] = (220, 20, 20)
    return picture


def read_number(picture: np.ndarray) -> int:
    """The number in a decoded `numbered_picture`."""
    height, width = picture.shape[:2]
    row = picture[height // 2 :].mean(axis=(0, 2))
    return sum(int(row[width * (2 * bit + 1) // 16] > sum(LEVELS) / 2) << bit for bit in range(8))


def red_side(picture: np.ndarray) -> str:
    """The side at which the red edge of a `numbered_picture` lies."""
    red = picture[..., 0].astype(int) - picture[..., 1]
    sides = {"top": red[:4], "bottom": red[-4:], "left": red[:, :4], "right": red[:, -4:]}
    return max(sides, key=lambda side: sides[side].mean())


def tone(seconds: float, rate: int = 16000, frequency: float = 440.0, amplitude: float = 0.5) -> np.ndarray:
    """float32 [1, N]."""
    time = np.arange(round(seconds * rate)) / rate
    return (amplitude * np.sin(2 * np.pi * frequency * time)).astype(np.float32)[None]


def level(waveform: np.ndarray) -> float:
    """Root mean square of the middle half: codecs fade in and out."""
    middle = waveform[len(waveform) // 4 : 3 * len(waveform) // 4]
    return float(np.sqrt((middle**2).mean()))


def write_clip(
    path: Path,
    *,
    frames: int = 20,
    rate: int = 10,
    width: int = 64,
    height: int = 48,
    stamps: list[int] | None = None,
    sound: np.ndarray | None = None,
    sound_rate: int = 16000,
    layout: str = "mono",
    video_codec: str | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: int = 0,
    mirrored: bool = False,
) -> Path:
    """A clip of numbered pictures (`frames` = 0: none) and `sound` float32 [channels, N] (None: none).

    `stamps` are times in milliseconds for a variable frame rate; `rotation` in degrees counter-clockwise.
    """
    default_video, audio_codec = CODECS[path.suffix]
    codec = video_codec or default_video
    with av.open(str(path), "w", options=container_options or {}) as output:
        picture = speech = None
        if frames:
            picture = output.add_stream(codec, rate=rate, options=options or {})
            odd = width % 2 or height % 2
            picture.width, picture.height, picture.pix_fmt = width, height, "yuv444p" if odd else "yuv420p"
            if stamps:
                picture.codec_context.time_base = Fraction(1, 1000)
            if rotation or mirrored:
                picture.set_display_rotation(rotation, hflip=mirrored)
        if sound is not None:
            speech = output.add_stream(audio_codec, rate=sound_rate, layout=layout)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(numbered_picture(number % 256, width, height), format="rgb24")
            frame.pts = stamps[number] if stamps else number
            frame.time_base = Fraction(1, 1000) if stamps else Fraction(1, rate)
            output.mux(picture.encode(frame))
        if picture is not None:
            output.mux(picture.encode(None))
        if speech is not None:
            # Interleaved: PyAV cannot lay out the planes of eight channels.
            block = av.AudioFrame.from_ndarray(
                np.ascontiguousarray(sound.T).reshape(1, -1), format="flt", layout=layout
            )
            block.sample_rate, block.pts = sound_rate, 0
            output.mux(speech.encode(block))
            output.mux(speech.encode(None))
    return path


def add_cover(path: Path, target: Path) -> Path:
    """Copy a sound file to an mp3 with a cover picture."""
    from PIL import Image

    cover = target.with_suffix(".jpg")
    Image.fromarray(numbered_picture(1, 64, 64)).save(cover)
    with av.open(str(path)) as source, av.open(str(cover)) as art, av.open(str(target), "w") as output:
        sound = output.add_stream_from_template(source.streams.audio[0])
        picture = output.add_stream_from_template(art.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        for packet in art.demux(video=0):
            if packet.size:
                packet.stream = picture
                output.mux(packet)
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = sound
                output.mux(packet)
    return target
