"""Opening media files: what a file is, which streams it has, their packets, and whether all of it is there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import av

from affectgpt.media import iso
from affectgpt.media.errors import MediaError, reason
from affectgpt.media.limits import MAX_FRAME_PIXELS, Deadline, check_pixels

_STILL_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*")


def is_image(path: Path) -> bool:
    """Whether the first bytes are those of a still picture. Raises MediaError if there is nothing to read."""
    if not path.exists():
        raise MediaError(f"{path}: no such file; check the path")
    if path.is_dir():
        raise MediaError(f"{path}: this is a folder; give one media file")
    if not path.is_file():
        raise MediaError(f"{path}: this is a device or a pipe; give a regular file")
    try:
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise MediaError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise MediaError(f"{path}: the file is empty; copy it again")
    return head.startswith(_STILL_STARTS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


class Media:
    """An open file with a picture or sound in it, and the time that is left for reading it."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.deadline, self._file = path, Deadline(path), file
        self._open()

    def _open(self) -> None:
        # Through its descriptor, with no other protocol: a name may hold any bytes, and a playlist in disguise can
        # open no other file, here or elsewhere.
        options = {"fd": str(self._file.fileno()), "protocol_whitelist": "fd", "max_pixels": str(MAX_FRAME_PIXELS)}
        os.lseek(self._file.fileno(), 0, os.SEEK_SET)
        try:
            self.container = av.open("fd:", options=options, metadata_errors="replace",
                                     timeout=self.deadline.clock_seconds)
        except (av.FFmpegError, OSError, ValueError) as error:
            raise MediaError(f"{self.path}: not a media file, or cut off before its index; re-encode or copy it again "
                             f"({reason(error)})") from error
        if self.picture is not None and codec_name(self.picture):
            check_pixels(self.path, self.picture.width, self.picture.height, MAX_FRAME_PIXELS)
            self.picture.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}  # the size may change on the way

    def rewind(self) -> None:
        """Go back to the start, by opening the file again: not every format can seek, and some seek past frames before
        time 0. Streams from before are void."""
        self.close()
        self._open()

    def close(self) -> None:
        self.container.close()

    @property
    def picture(self) -> av.VideoStream | None:
        """The first stream of moving pictures; the cover of a song is none."""
        cover = av.stream.Disposition.attached_pic
        return next((s for s in self.container.streams.video if not s.disposition & cover), None)

    @property
    def sounds(self) -> tuple[av.AudioStream, ...]:
        return self.container.streams.audio

    @property
    def is_mov(self) -> bool:
        return self.container.format.name.startswith("mov,")

    def packets(self, *streams: av.stream.Stream) -> Iterator[av.Packet]:
        """Packets of these streams from where the file stands, then the empty ones that flush a decoder."""
        flushed = False
        while not flushed:
            try:
                for packet in self.container.demux(*streams):
                    self.deadline.check()
                    flushed |= not packet.size and packet.dts is None
                    yield packet
                return
            except IndexError:  # PyAV's, for a stream that begins on the way; its packets are not asked for
                self.deadline.check()

    def check_whole(self, stream: av.stream.Stream) -> None:
        """Raise MediaError if the index of an mp4 or mov names data beyond the end of the file. Other containers do
        not tell; they give what is there."""
        if not self.is_mov:
            return
        end, entries, whole = os.path.getsize(self.path), 0, 0
        for entry in stream.index_entries:
            entries += 1
            whole += entry.pos + entry.size <= end
        if whole < entries:
            unit = "frames" if stream.type == "video" else "sound packets"
            raise MediaError(f"{self.path}: the file is cut off, only {whole} of {entries} {unit} are in it; copy it "
                             "again, or re-encode what is left")


@contextmanager
def open_media(path: Path) -> Iterator[Media]:
    """An open file. Raises MediaError for one without picture and sound, or one that asks for too much."""
    iso.check_tables(path)
    with path.open("rb") as file:
        media = Media(path, file)
        try:
            if media.picture is None and not media.sounds:
                raise MediaError(f"{path}: there is neither picture nor sound in this file; give a media file")
            yield media
        finally:
            media.close()


def codec_name(stream: av.stream.Stream) -> str | None:
    """Name of a stream's codec; None for one that FFmpeg cannot decode."""
    context = stream.codec_context
    return None if context is None or context.codec is None else context.name
