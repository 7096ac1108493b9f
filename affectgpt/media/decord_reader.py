"""Frames by decord, the reader of the official system: the same frames as PyAV's."""

from __future__ import annotations

import numpy as np

from affectgpt.media.container import Media
from affectgpt.media.decoding import Decoder, shows_picture
from affectgpt.media.errors import MediaError
from affectgpt.media.geometry import Shaper, matrix
from affectgpt.media.span import Span
from affectgpt.media.timeline import Stamp, stamp_of


def check_installed() -> None:
    """Raise ValueError where decord is not installed."""
    try:
        import decord  # noqa: F401
    except ImportError as error:
        message = "video backend 'decord' is not installed: pip install decord, or use 'pyav'"
        raise ValueError(message) from error


def read(media: Media, count: int, rule: str, shaper: Shaper,
         span: Span | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple]:
    """(images, indices, times, notes) as in `Frames`. Raises MediaError for what decord cannot read."""
    import decord

    from affectgpt.media.video import choose, line_of

    packets = [packet for packet in media.packets(media.picture) if packet.size]
    shown = [stamp_of(packet) for packet in packets if shows_picture(packet)]
    hidden = sum(packet.is_discard for packet in packets)
    media.rewind()
    first = next(iter(Decoder(media)), None)
    if first is None or np.linalg.det(matrix(first)) < 0:  # it turns, but does not mirror
        raise MediaError(f"{media.path}: decord cannot decode or mirror this file; use the backend 'pyav'")
    width, height = shaper.fit(first)
    decord.logging.set_level(decord.logging.QUIET)
    try:
        reader = decord.VideoReader(str(media.path), width=width, height=height, num_threads=1)
        # decord counts (and gives times to) the frames that an edit list hides at the start, but skips them.
        total = len(reader) - hidden
        if total != len(shown):
            starts = reader.get_frame_timestamp(range(hidden, hidden + total))[:, 0]
            base = float(media.picture.time_base)
            shown = [Stamp(None, round(start / base), 0) for start in starts.astype(float)]
        line = line_of(media, shown)
        indices = choose(media, line, count, rule, span)
        images = reader.get_batch(indices.tolist()).asnumpy()
    except (decord.DECORDError, RuntimeError, IndexError) as error:
        raise MediaError(f"{media.path}: decord cannot decode this file; use the backend 'pyav'") from error
    return images, indices, line.times[indices], shaper.notes
