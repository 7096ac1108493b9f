"""Opening media files: what a file is, whether all of it is there, and one clear error where it fails."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av

from affectgpt.media import MediaError

# Every failure is told once, in our own words; libav would print its own lines to stderr.
av.logging.set_level(av.logging.PANIC)


def is_image(path: Path) -> bool:
    """Whether the first bytes are those of a still picture. Raises MediaError if there is nothing to read."""
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise MediaError(f"{path}: this is a folder; give one media file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise MediaError(f"{path}: the file is empty; copy it again")
    starts = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")
    return head.startswith(starts) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


@contextmanager
def open_media(path: Path) -> Iterator[av.container.InputContainer]:
    """An open container with a picture or sound in it; what libav raises inside becomes a MediaError."""
    try:
        # "file:" keeps a colon in a name from being read as a protocol; the whitelist keeps a
        # playlist in disguise from fetching anything.
        container = av.open(f"file:{path}", options={"protocol_whitelist": "file"}, metadata_errors="replace")
    except (av.FFmpegError, OSError, ValueError) as error:
        raise MediaError(f"{path}: not a media file, or cut off before its index; re-encode or copy it again "
                         f"({reason(error)})") from error
    with container:
        # ffmpeg draws any text file as a terminal screen.
        if container.format.name == "tty" or not (container.streams.audio or video_stream(container)):
            raise MediaError(f"{path}: there is neither picture nor sound in this file; give a media file")
        try:
            yield container
        except av.FFmpegError as error:
            message = f"{path}: cannot be read ({reason(error)}); re-encode or copy it again"
            raise MediaError(message) from error


def video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The first stream of moving pictures; the cover of a song is none."""
    cover = av.stream.Disposition.attached_pic
    return next((s for s in container.streams.video if not s.disposition & cover), None)


def check_whole(path: Path, container: av.container.InputContainer, stream: av.stream.Stream) -> None:
    """Raise MediaError if the index of an mp4 or mov names data beyond the end of the file. Other
    containers do not tell; they give what is there."""
    if is_mov(container):
        end = os.path.getsize(path)
        entries = list(stream.index_entries)
        whole = sum(entry.pos + entry.size <= end for entry in entries)
        if whole < len(entries):
            unit = "frames" if stream.type == "video" else "sound packets"
            raise MediaError(f"{path}: the file is cut off, only {whole} of {len(entries)} {unit} are in it; "
                             "copy it again, or re-encode what is left")


def is_mov(container: av.container.InputContainer) -> bool:
    return container.format.name.startswith("mov,")


def reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__).splitlines()[0]
