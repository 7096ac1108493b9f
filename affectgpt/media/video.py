"""Video files and still pictures -> what they hold, and frames of them."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np

from affectgpt.media import decord_reader
from affectgpt.media.container import Media, is_image, open_media
from affectgpt.media.decoding import Decoder, shows_picture
from affectgpt.media.errors import MediaError, reading
from affectgpt.media.geometry import Shaper, aspect_of, shown_size
from affectgpt.media.images import read_image
from affectgpt.media.span import Span, check_inside, checked, cut, named
from affectgpt.media.timeline import Stamp, Timeline, sample_indices, stamp_of, timeline

BACKENDS = ("pyav", "decord")
# Below, decoding everything is as fast as jumping around.
MIN_FRAMES_TO_SEEK = 300


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds. `width` and `height` are those of the upright picture with square pixels (0 without one);
    `duration` is in seconds (0.0 for a still picture); `frames` is 1 for a still picture, 0 for sound.

    A stream without packets is not there. `picture_error` says why the picture of a file with sound cannot be decoded;
    `has_video` is False then.
    """

    path: Path
    kind: str
    has_video: bool
    has_audio: bool
    width: int
    height: int
    duration: float
    frames: int
    picture_error: str | None = None

    def shows_picture(self) -> bool:
        """Whether there is a picture to read. Raises MediaError where there is one that cannot be decoded."""
        if self.picture_error is not None:
            raise MediaError(self.picture_error)
        return self.has_video


@dataclass(frozen=True)
class Frames:
    """`images` uint8 [T, H, W, 3] RGB, `indices` int64 [T] frame numbers in the file, `times` float64 [T]
    seconds after the first frame, never falling; `notes` says what was done to them."""

    images: np.ndarray
    indices: np.ndarray
    times: np.ndarray
    notes: tuple[str, ...] = ()


def probe(path: str | Path, span: Span | None = None) -> MediaInfo:
    """What `path` holds. Its packets are counted (not decoded) where the header is silent.

    With a span, `duration` is that of the span, and `frames` about those in it.

    Raises:
        MediaError: the file is missing, empty, broken, asks for too much, or nothing in it can be decoded; a span that
            is reversed, empty, not finite or beyond the end of the file.
    """
    path = Path(path)
    span = checked(path, span)
    return of_span(_probe_whole(path), span)


def of_span(info: MediaInfo, span: Span | None) -> MediaInfo:
    """What a span of a probed file holds; `span` as `checked` gives it. Raises MediaError for one beyond its end."""
    path = info.path
    if span is None:
        return info
    if info.kind == "image":
        raise MediaError(f"{path}: a still picture has no span {named(span)}; leave start and end out")
    check_inside(path, span, info.duration)
    start, end = span[0] or 0.0, info.duration if span[1] is None else min(span[1], info.duration)
    frames = min(info.frames, max(1, round(info.frames * (end - start) / info.duration))) if info.frames else 0
    return replace(info, duration=end - start, frames=frames)


def _probe_whole(path: Path) -> MediaInfo:
    with reading(path):
        if is_image(path):
            still = read_image(path)
            return MediaInfo(path, "image", True, False, still.width, still.height, 0.0, 1)
        with open_media(path) as media:
            return _probe(media)


def _probe(media: Media) -> MediaInfo:
    stream, sounds, path = media.picture, media.sounds, media.path
    header = max(0.0, media.container.duration / av.time_base) if media.container.duration else 0.0
    frames, shown, error = 0, (0, 0), None
    has_audio, end = False, 0.0
    decoder = None
    indexed = 0
    if stream is not None:
        media.check_whole(stream)
        # A mov index lists every frame, and which of them an edit list hides. Other headers may be wrong.
        indexed = sum(not entry.is_discard for entry in stream.index_entries) if media.is_mov else 0
        try:
            decoder = Decoder(media)
        except MediaError as failure:
            error = failure
    wanted = [one for one in (stream, *sounds) if one is not None]
    for packet in media.packets(*wanted):
        if packet.size and packet.pts is not None:
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
        if packet.stream.type == "audio":
            has_audio |= bool(packet.size)
        else:
            frames += shows_picture(packet)
            if decoder is not None and not decoder.done:
                try:
                    for frame in decoder.decode(packet)[:1]:
                        shown = shown_size(frame, aspect_of(stream))
                except MediaError as failure:
                    decoder, error = None, failure
        known = stream is None or error is not None or decoder is not None and decoder.done and indexed
        if known and header and (has_audio or not sounds):
            break
    frames = indexed or frames
    if stream is not None and error is None and frames and not decoder.done:
        error = MediaError(f"{path}: no frame can be decoded; re-encode the file or leave its picture out")
    if error is not None and not has_audio:
        raise error
    has_video = error is None and frames > 0
    if not has_video and not has_audio:
        raise MediaError(f"{path}: there is no packet of picture or sound in this file; copy it again or leave it out")
    if not has_video:
        return MediaInfo(path, "audio", False, True, 0, 0, header or end, 0, None if error is None else str(error))
    return MediaInfo(path, "video", True, has_audio, *shown, header or end, frames)


def read_frames(
    path: str | Path,
    count: int,
    *,
    backend: str = "pyav",
    rule: str = "centre",
    max_side: int | None = None,
    size: tuple[int, int] | None = None,
    span: Span | None = None,
) -> Frames:
    """`count` upright frames of all that the file really holds, or of what a player shows within a span, chosen by
    `Timeline.choose`.

    `max_side` shrinks larger pictures and keeps their shape; `size` = (height, width) is exact and
    distorts. A still picture gives one frame. Frames have square pixels, as a player shows them; with the rule
    "published" they stay as they are stored, as the official system takes them.

    Raises:
        MediaError: the file has no picture, is missing, empty, cut off or broken, or asks for too much; a span that
            cannot be (as for `probe`).
        ValueError: an unknown backend or rule, or one that is not installed.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown video backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if max_side is not None and size is not None:
        raise ValueError("give max_side or size, not both")
    sample_indices(1, count, rule)  # a wrong count or rule is told before the file is opened
    if backend == "decord":
        decord_reader.check_installed()
    path = Path(path)
    span = checked(path, span)
    with reading(path):
        if is_image(path):
            if span is not None:
                raise MediaError(f"{path}: a still picture has no span {named(span)}; leave start and end out")
            return _read_still(path, max_side, size)
        with open_media(path) as media:
            if media.picture is None:
                raise MediaError(f"{path}: there is no picture in this file; give a video or a picture")
            media.check_whole(media.picture)
            Decoder(media)  # refuses an unknown codec
            shaper = Shaper(count, 1.0 if rule == "published" else aspect_of(media.picture), max_side, size)
            if backend == "decord":
                return Frames(*decord_reader.read(media, count, rule, shaper, span))
            return _read_pyav(media, count, rule, shaper, span)


def _read_still(path: Path, max_side: int | None, size: tuple[int, int] | None) -> Frames:
    still, shaper = read_image(path), Shaper(1, 1.0, max_side, size)
    image = shaper.shape(av.VideoFrame.from_ndarray(still.pixels, format="rgb24"))
    notes = (still.note,) if still.note and shaper.kept == still.pixels.shape[1::-1] else ()
    return Frames(image[None], np.zeros(1, dtype=np.int64), np.zeros(1), notes)


def choose(media: Media, line: Timeline, count: int, rule: str, span: Span | None) -> np.ndarray:
    """Which frames of a timeline to take, within a span. Raises MediaError for a span beyond its end."""
    if span is not None:
        length = (media.container.duration or 0) / av.time_base
        check_inside(media.path, span, max(line.end, length))
        if (span[0] or 0.0) >= line.end:
            raise MediaError(f"{media.path}: no picture is shown in the span {named(span)}, the last one ends at "
                             f"{line.end:.2f} s; correct start and end, or leave its picture out")
    first, part = cut(line, span)
    return first + part.choose(count, rule)


def line_of(media: Media, stamps: list[Stamp]) -> Timeline:
    """The timeline of these packets or frames of the picture."""
    stream = media.picture
    has_breaks = bool(media.container.format.flags & av.format.Flags.ts_discont.value)
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    return timeline(stamps, float(stream.time_base), rate, has_breaks)


class _Kept:
    """The frames that are asked for, each written to all its places as it comes."""

    def __init__(self, indices: np.ndarray, shaper: Shaper):
        self.indices, self.shaper, self.images = indices, shaper, np.zeros(0, dtype=np.uint8)
        self.missing = set(indices.tolist())

    def add(self, index: int, frame: av.VideoFrame) -> None:
        image = self.shaper.shape(frame)
        if not self.images.size:
            self.images = np.empty((len(self.indices), *image.shape), dtype=np.uint8)
        self.images[self.indices == index] = image
        self.missing.discard(index)


def _read_pyav(media: Media, count: int, rule: str, shaper: Shaper, span: Span | None) -> Frames:
    stamps = [stamp_of(packet) for packet in media.packets(media.picture) if shows_picture(packet)]
    if not stamps:
        raise MediaError(f"{media.path}: there is no frame in this file; copy it again or leave it out")
    line = line_of(media, stamps)
    indices, decoder = choose(media, line, count, rule, span), Decoder(media)
    kept = None if line.broken else _by_seeking(media, stamps, indices, shaper)
    if kept is None:
        kept = _Kept(indices, shaper)
        decoder, seen = _in_order(media, kept)
        if len(seen) != len(stamps):  # some packets hold no frame, or several: choose again
            if not seen:
                raise MediaError(f"{media.path}: no frame can be decoded; re-encode the file or leave its picture out")
            line = line_of(media, seen)
            indices = choose(media, line, count, rule, span)
            shaper.forget()
            kept = _Kept(indices, shaper)
            decoder, _ = _in_order(media, kept)
    if kept.missing:
        raise MediaError(f"{media.path}: not every frame can be decoded again; re-encode the file or leave its picture "
                         "out")
    return Frames(kept.images, indices, line.times[indices], (*decoder.notes, *shaper.notes))


def _in_order(media: Media, kept: _Kept) -> tuple[Decoder, list[Stamp]]:
    """Decode everything from the start and keep what is asked for; the stamps of all frames, in the order shown."""
    media.rewind()
    decoder, seen = Decoder(media), []
    for frame in decoder:
        if len(seen) in kept.missing:
            kept.add(len(seen), frame)
        seen.append(Stamp(None, frame.pts, frame.duration or 0))
    return decoder, seen


def _by_seeking(media: Media, stamps: list[Stamp], indices: np.ndarray, shaper: Shaper) -> _Kept | None:
    """The same frames as `_in_order`, found by their time stamps from the key frame before them.
    None where this is no gain, or where the time stamps do not tell the frames apart."""
    shown = [stamp.shown for stamp in stamps]
    if len(shown) < MIN_FRAMES_TO_SEEK or None in shown or len(set(shown)) < len(shown):
        return None
    order = sorted(shown)
    key_stamps = {stamp.shown for stamp in stamps if stamp.is_key}
    keys = [index for index, at in enumerate(order) if at in key_stamps]
    if keys[:1] != [0]:
        return None
    wanted = sorted(set(indices.tolist()))
    cost = sum(index - keys[bisect_right(keys, index) - 1] + 1 for index in wanted)
    if 2 * cost > len(order):
        return None
    kept = _Kept(indices, shaper)
    try:
        for index in wanted:
            media.container.seek(order[index], stream=media.picture)
            frame = next((f for f in Decoder(media) if f.pts is None or f.pts >= order[index]), None)
            if frame is None or frame.pts != order[index]:
                break
            kept.add(index, frame)
    except (av.FFmpegError, MediaError):  # a format that cannot seek, or damage that decoding in order will name
        media.deadline.check()
    if kept.missing:
        shaper.forget()
        return None
    return kept
