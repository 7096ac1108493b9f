"""Video files and still pictures -> frames."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps

from affectgpt.media import MediaError
from affectgpt.media.container import check_whole, is_image, is_mov, open_media, reason, video_stream

IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF")
BACKENDS = ("pyav", "decord")
# Below, decoding everything is as fast as jumping around.
MIN_FRAMES_TO_SEEK = 300
RULES = ("centre", "published")


@dataclass(frozen=True)
class MediaInfo:
    """What a file holds. `width` and `height` are those of the upright picture (0 without one);
    `duration` is in seconds (0.0 for a still picture); `frames` is 1 for a still picture, 0 for sound."""

    path: Path
    kind: str
    has_video: bool
    has_audio: bool
    width: int
    height: int
    duration: float
    frames: int


@dataclass(frozen=True)
class Frames:
    """`images` uint8 [T, H, W, 3] RGB, `indices` int64 [T] frame numbers in the file, `times` float64 [T]
    seconds after the first frame."""

    images: np.ndarray
    indices: np.ndarray
    times: np.ndarray


def sample_indices(total: int, count: int, rule: str = "centre") -> np.ndarray:
    """Which `count` of `total` frames to take: int64 [count], ascending, repeated where total < count.

    "centre": the middle of `count` equal parts. "published": as the official system does it, the start
    of each part, and the last frame repeated where there are too few.
    """
    if total < 1 or count < 1:
        raise ValueError(f"cannot take {count} frames out of {total}: both must be at least 1")
    if rule == "centre":
        return (2 * np.arange(count) + 1) * total // (2 * count)
    if rule == "published":
        # Rounding can give arange one element too many.
        taken = min(total, count)
        indices = np.arange(0, total, total / taken)[:taken].astype(np.int64)
        return np.concatenate([indices, np.full(count - taken, total - 1, dtype=np.int64)])
    raise ValueError(f"unknown frame rule {rule!r}: choose one of {', '.join(RULES)}")


def probe(path: str | Path) -> MediaInfo:
    """What `path` holds, from its headers; frames are counted (not decoded) where the header is silent.

    Raises MediaError for a file that is missing, empty, broken, or without picture and sound.
    """
    path = Path(path)
    if is_image(path):
        height, width = _read_image(path).shape[:2]
        return MediaInfo(path, "image", True, False, width, height, 0.0, 1)
    with open_media(path) as container:
        stream, has_audio = video_stream(container), bool(container.streams.audio)
        duration = container.duration / av.time_base if container.duration else 0.0
        if stream is None:
            return MediaInfo(path, "audio", False, has_audio, 0, 0, duration or _measured(container), 0)
        check_whole(path, container, stream)
        # A mov index lists every frame, and which of them an edit list hides. Other headers may be wrong.
        frames = sum(not entry.is_discard for entry in stream.index_entries) if is_mov(container) else 0
        first = next(_decode(path, container, stream), None)
        if first is None:
            raise MediaError(f"{path}: no frame can be decoded; re-encode the file or leave it out")
        height, width = _upright(np.empty((first.height, first.width, 1)), first).shape[:2]
        if not frames or not duration:
            container.seek(0)
            pictures = [packet for packet in container.demux(stream) if _shows_picture(packet)]
            frames = len(pictures)
            ends = [(p.pts + (p.duration or 0)) * p.time_base for p in pictures if p.pts is not None]
            duration = duration or float(max(ends, default=0))
        return MediaInfo(path, "video", True, has_audio, width, height, duration, frames)


def read_frames(
    path: str | Path,
    count: int,
    *,
    backend: str = "pyav",
    rule: str = "centre",
    max_side: int | None = None,
    size: tuple[int, int] | None = None,
) -> Frames:
    """`count` upright frames, chosen by `sample_indices` over all frames that the file really holds.

    `max_side` shrinks larger pictures and keeps their shape; `size` = (height, width) is exact and
    distorts. A still picture gives one frame. Raises MediaError for a file without a picture and for
    one that is missing, empty, cut off or broken; ValueError for an unknown backend or rule.
    """
    if backend not in BACKENDS:
        raise ValueError(f"unknown video backend {backend!r}: choose one of {', '.join(BACKENDS)}")
    if max_side is not None and size is not None:
        raise ValueError("give max_side or size, not both")
    sample_indices(1, count, rule)  # a wrong count or rule is told before the file is opened
    path = Path(path)
    if is_image(path):
        frame = av.VideoFrame.from_ndarray(_read_image(path), format="rgb24")
        images = _to_rgb(frame, max_side, size)[None]
        return Frames(images, np.zeros(1, dtype=np.int64), np.zeros(1))
    with open_media(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise MediaError(f"{path}: there is no picture in this file; give a video or a picture")
        check_whole(path, container, stream)
        if backend == "decord":
            return _read_decord(path, container, stream, count, rule, max_side, size)
        return _read_pyav(path, container, stream, count, rule, max_side, size)


def _measured(container: av.container.InputContainer) -> float:
    """End of the last sound packet in seconds, for files whose header has no duration."""
    ends = [(p.pts + (p.duration or 0)) * p.time_base
            for p in container.demux(container.streams.audio[0]) if p.pts is not None]
    return float(max(ends, default=0))


def _read_image(path: Path) -> np.ndarray:
    """Upright uint8 [H, W, 3] RGB."""
    Image.init()
    try:
        with Image.open(path, formats=IMAGE_FORMATS) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits: convert() would clip instead of scale
                image = Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8))
            return np.asarray(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        message = f"{path}: the picture cannot be read, it is cut off or broken; save it again"
        raise MediaError(message) from error


def _shows_picture(packet: av.Packet) -> bool:
    """False for packets that decode to nothing: the end mark, data hidden by an edit list, VP8 reference
    pictures that are never shown."""
    if not packet.size or packet.is_discard:
        return False
    return packet.stream.codec_context.name != "vp8" or bool(bytes(packet)[0] & 0x10)


def _decode(
    path: Path, container: av.container.InputContainer, stream: av.VideoStream
) -> Iterator[av.VideoFrame]:
    done = 0
    try:
        for frame in container.decode(stream):
            yield frame
            done += 1
    except av.FFmpegError as error:
        raise MediaError(f"{path}: decoding fails after {done} frames ({reason(error)}); "
                         "re-encode the file or leave it out") from error


def _read_pyav(path, container, stream, count, rule, max_side, size) -> Frames:
    packets = [(p.pts, p.is_keyframe) for p in container.demux(stream) if _shows_picture(p)]
    if not packets:
        raise MediaError(f"{path}: there is no frame in this file; copy it again or leave it out")
    indices = sample_indices(len(packets), count, rule)
    found = _by_seeking(path, container, stream, packets, indices, max_side, size)
    if found is None:
        found, total = _in_order(path, container, stream, set(indices.tolist()), max_side, size)
        if total != len(packets):  # some packets hold no frame, or several: choose again
            if not total:
                raise MediaError(f"{path}: no frame can be decoded; re-encode the file or leave it out")
            indices = sample_indices(total, count, rule)
            found, _ = _in_order(path, container, stream, set(indices.tolist()), max_side, size)
    images, times = zip(*(found[index] for index in indices.tolist()))
    return Frames(np.stack(images), indices, np.array(times))


def _in_order(path, container, stream, wanted, max_side, size):
    """Decode everything, keep what is wanted: {index: (image, seconds)} and the number of frames."""
    container.seek(0, stream=stream)
    found, total, first = {}, 0, None
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    for frame in _decode(path, container, stream):
        first = frame.pts if first is None else first
        if total in wanted:
            seconds = total / rate if frame.pts is None else float((frame.pts - first) * frame.time_base)
            found[total] = _to_rgb(frame, max_side, size), seconds
        total += 1
    return found, total


def _by_seeking(path, container, stream, packets, indices, max_side, size):
    """The same frames as `_in_order`, found by their time stamps from the key frame before them.
    None where this is no gain, or where the time stamps do not tell the frames apart."""
    stamps = [pts for pts, _ in packets]
    if None in stamps or len(set(stamps)) < len(stamps):
        return None
    order = sorted(stamps)
    key_stamps = {pts for pts, is_key in packets if is_key}
    keys = [index for index, pts in enumerate(order) if pts in key_stamps]
    if len(order) < MIN_FRAMES_TO_SEEK or keys[:1] != [0]:
        return None
    cost = sum(index - keys[bisect_right(keys, index) - 1] + 1 for index in set(indices.tolist()))
    if 2 * cost > len(order):
        return None
    found = {}
    for index in sorted(set(indices.tolist())):
        container.seek(order[index], stream=stream)
        for frame in _decode(path, container, stream):
            if frame.pts is None or frame.pts >= order[index]:
                break
        if frame.pts != order[index]:
            return None
        found[index] = _to_rgb(frame, max_side, size), float((frame.pts - order[0]) * stream.time_base)
    return found


def _read_decord(path, container, stream, count, rule, max_side, size) -> Frames:
    try:
        import decord
    except ImportError as error:
        message = "video backend 'decord' is not installed: pip install decord, or use 'pyav'"
        raise ValueError(message) from error
    packets = [packet for packet in container.demux(stream) if packet.size]
    container.seek(0, stream=stream)
    first = next(_decode(path, container, stream), None)
    if first is None or np.linalg.det(_matrix(first)) < 0:  # it turns, but does not mirror
        raise MediaError(f"{path}: decord cannot decode or mirror this file; use the backend 'pyav'")
    upright_height, upright_width = _upright(np.empty((first.height, first.width, 1)), first).shape[:2]
    width, height = _scaled(upright_width, upright_height, max_side, size)
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(path), width=width, height=height, num_threads=1)
        # decord counts (and gives times to) the frames that an edit list hides at the start, but skips them.
        hidden = sum(packet.is_discard for packet in packets)
        indices = sample_indices(len(reader) - hidden, count, rule)
        images = reader.get_batch(indices.tolist()).asnumpy()
        times = reader.get_frame_timestamp((indices + hidden).tolist())[:, 0]
        start = reader.get_frame_timestamp(hidden)[0]
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise MediaError(f"{path}: decord cannot decode this file; use the backend 'pyav'") from error
    return Frames(images, indices, times.astype(float) - start)


def _matrix(frame: av.VideoFrame) -> np.ndarray:
    """Display matrix, int32 [2, 2]: rows say where the x and the y axis of the stored picture point."""
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return np.eye(2, dtype=np.int32)
    return np.frombuffer(bytes(data), dtype=np.int32).reshape(3, 3)[:2, :2]


def _upright(image: np.ndarray, frame: av.VideoFrame) -> np.ndarray:
    """Turn and mirror a stored picture [H, W, ...] the way its file asks for (right angles only)."""
    (ax, bx), (ay, by) = _matrix(frame)
    if abs(bx) > abs(ax):
        image = np.swapaxes(image, 0, 1)
        ax, by = ay, bx
    image = image[:, ::-1] if ax < 0 else image
    return image[::-1] if by < 0 else image


def _scaled(width: int, height: int, max_side: int | None, size: tuple[int, int] | None) -> tuple[int, int]:
    """(width, height) to scale a picture to."""
    if size is not None:
        return size[1], size[0]
    scale = min(1.0, max_side / max(width, height)) if max_side is not None else 1.0
    return max(1, round(width * scale)), max(1, round(height * scale))


def _to_rgb(frame: av.VideoFrame, max_side: int | None, size: tuple[int, int] | None) -> np.ndarray:
    """Upright uint8 [H, W, 3] RGB of the asked size; scaled before it is turned."""
    (ax, bx), _ = _matrix(frame)
    if size is not None and abs(bx) > abs(ax):
        size = size[::-1]
    width, height = _scaled(frame.width, frame.height, max_side, size)
    # BILINEAR is what decord, and with it the official system, scales with.
    image = frame.to_ndarray(format="rgb24", width=width, height=height, interpolation="BILINEAR")
    return np.ascontiguousarray(_upright(image, frame))
