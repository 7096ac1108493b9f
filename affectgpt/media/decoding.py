"""Packets of a picture stream -> decoded frames."""

from __future__ import annotations

from collections.abc import Iterator

import av

from affectgpt.media.container import Media, codec_name
from affectgpt.media.errors import MediaError, reason


def shows_picture(packet: av.Packet) -> bool:
    """False for packets that decode to nothing: the end mark, data hidden by an edit list, VP8 reference
    pictures that are never shown."""
    if not packet.size or packet.is_discard:
        return False
    return codec_name(packet.stream) != "vp8" or bool(bytes(packet)[0] & 0x10)


class Decoder:
    """Frames of the picture stream of an open file, from where it stands.

    `skipped` counts packets that lie before the first key frame, as in a recording that begins on the way: nothing can
    be made of them, and nothing is wrong with the rest. `cut_off` tells that the very last packet cannot be decoded.
    """

    def __init__(self, media: Media):
        self.media, self.done, self.skipped, self.cut_off = media, 0, 0, False
        if codec_name(media.picture) is None:
            raise MediaError(f"{media.path}: the picture's codec is not known; re-encode the file or leave its picture "
                             "out")

    def decode(self, packet: av.Packet) -> list[av.VideoFrame]:
        """Frames that are complete with this packet; the empty packet at the end gives what is left."""
        try:
            frames = packet.decode()
        except av.FFmpegError as error:
            if not self.done and packet.size and not packet.is_keyframe:
                self.skipped += 1
                return []
            raise MediaError(f"{self.media.path}: decoding fails after {self.done} frames ({reason(error)}); "
                             "re-encode the file or leave its picture out") from error
        self.done += len(frames)
        return frames

    def __iter__(self) -> Iterator[av.VideoFrame]:
        failure = None
        for packet in self.media.packets(self.media.picture):
            if failure is not None and packet.size:
                raise failure
            try:
                frames = self.decode(packet)
            except MediaError as error:
                failure = error  # what is wrong with the last one alone is that the file is cut off
                continue
            yield from frames
        self.cut_off = failure is not None

    @property
    def notes(self) -> tuple[str, ...]:
        notes = []
        if self.skipped:
            notes.append(f"{self.skipped} picture packets before the first key frame are left out")
        if self.cut_off:
            notes.append("the last picture packet is cut off and left out")
        return tuple(notes)
