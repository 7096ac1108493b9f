"""The sound of a span that lies late in a file, without decoding what comes before it.

What a span sounds like is a part of what decoding from the start gives, to the sample. That is kept: packets before the
span are counted by their lengths (of an mp4 and a wav by its index alone, without reading them), decoding begins some
seconds before the span, and the resampler at a sample where it stands as it stood at the first one. All of it is
decoded twice by one decoder: where both are not equal, the decoder gives other samples after another past (noise that
AAC and AC-3 leave to the decoder), and everything is decoded from the start, as where the lengths of packets are not
those of what is decoded.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain, islice
from math import ceil, gcd

import av
import numpy as np

from affectgpt.media.container import Media, codec_name
from affectgpt.media.mixing import Mixer, UnknownSound
from affectgpt.models.streams import SAMPLE_RATE

WARM_UP = 2.0
"""Seconds that a decoder is given before anything is heard of it: Opus needs 0.1 s to come near, and up to 0.5 s until
all bits are the same; MP3 refers to 0.1 s before."""
EDGE = 1.0
"""Seconds that the resampler is given: its filter reaches over some hundredths."""
LONGEST = 120.0
"""Seconds of a span that is decoded twice."""
MIN_GAIN = 4
"""How many times longer the way to the span must be than what is decoded for it."""
_HEAD = 32
"""Packets at the start by which the lengths of packets are known."""
_FIRST = 8
"""Packets in which a decoder may fail or give less, at the start of a file or after a jump."""


def late_sound(media: Media, stream: av.AudioStream, start: float, end: float | None,
               new_mixer: Callable[[int], Mixer]) -> tuple[int, np.ndarray, Mixer] | None:
    """(number of its first sample, float32 [N], the mixer) of the sound around start to end, in seconds after the first
    sound and of 16 kHz; None where the sound has to be decoded from the start, and then the file stands anywhere.

    Args:
        new_mixer: gives a mixer that leaves out so many samples at its start.
    """
    end = end if end is not None else (media.container.duration or 0) / av.time_base
    lead = WARM_UP + EDGE
    if not 0 < end - start <= LONGEST or start < MIN_GAIN * (end - start + lead) or codec_name(stream) is None:
        return None
    try:
        return _late(media, stream, start, end, new_mixer)
    except (av.FFmpegError, UnknownSound, _NotKnown):  # decoding in order says what is wrong, or finds nothing wrong
        media.deadline.check()
        return None


class _NotKnown(Exception):
    """The place of a sample does not follow from the packets before it."""


class _Lengths:
    """How many samples a packet holds, learned from the first ones of a stream.

    `form` is what is decoded, `rate` its samples a second; `usual` is the length that all packets have, None where they
    differ; `total` counts the samples of the first packets, and `left_out` those that are in them and not heard, as the
    first ones of AAC are.
    """

    def __init__(self, packets: list[av.Packet], stream: av.AudioStream):
        decoded = [packet.decode() for packet in packets]
        frames = list(chain.from_iterable(decoded))
        rates = {(frame.sample_rate, frame.format.name, frame.layout.name) for frame in frames}
        if len(packets) < _HEAD or len(rates) != 1:
            raise _NotKnown
        self.form = next(iter(rates))
        self.rate = self.form[0]
        self._unit = Fraction(stream.time_base) * self.rate
        counts = [sum(frame.samples for frame in one) for one in decoded]
        usual = set(counts[_FIRST:])
        self.usual = usual.pop() if len(usual) == 1 else None
        self._known: dict[int, int] = {}
        first = [self.usual if self.usual is not None else round((packet.duration or 0) * self._unit)
                 for packet in packets[:_FIRST]]
        rest = [self.of(packet) for packet in packets[_FIRST:]]
        self.total = sum(counts)
        self.left_out = sum(first) + sum(rest) - self.total
        if rest != counts[_FIRST:] or not 0 <= self.left_out <= self.rate:
            raise _NotKnown

    def of(self, packet: av.Packet) -> int:
        """Samples of one packet. Raises _NotKnown where its length is another than its kind's."""
        duration = packet.duration or 0
        if packet.is_discard:
            raise _NotKnown
        if duration not in self._known:
            self._known[duration] = self._length(duration * self._unit)
        return self._known[duration]

    def _length(self, told: Fraction) -> int:
        """Samples of what a packet tells in units that may be coarser than samples."""
        if self.usual is not None:
            if abs(told - self.usual) > (self._unit if self._unit > 1 else 0):
                raise _NotKnown
            return self.usual
        if self._unit > 1 or told.denominator != 1 or told <= 0:
            raise _NotKnown
        return int(told)


def _late(media: Media, stream: av.AudioStream, start: float, end: float,
          new_mixer: Callable[[int], Mixer]) -> tuple[int, np.ndarray, Mixer]:
    coming = _heard(media, stream)
    lengths = _Lengths(list(islice(coming, _HEAD)), stream)
    place, coming = _jump(media, stream, coming, lengths, start - WARM_UP - EDGE)
    packets, places, open_from = [], [], ceil((start - EDGE) * lengths.rate)
    odd = False
    for packet in coming:
        if odd:
            raise _NotKnown
        try:
            length = lengths.of(packet)
        except _NotKnown:  # the last packet of a file may be cut short
            length, odd = 0, True
        if odd or place + length > (start - WARM_UP - EDGE) * lengths.rate:
            packets.append(packet)
            places.append(place)
        place += length
        if place > (end + EDGE) * lengths.rate:
            break
    # The resampler stands as at the first sample wherever a whole number of its periods has gone by.
    period = lengths.rate // gcd(lengths.rate, SAMPLE_RATE)
    first = next((number for number, at in enumerate(places) if at >= open_from), None)
    if first is None or first < _FIRST:
        raise _NotKnown
    aligned = ceil(places[first] / period) * period
    stream.codec_context.flush_buffers()
    results = []
    for _ in range(2):
        mixer = new_mixer(aligned - places[first])
        parts = list(_decoded(packets, first, lengths, mixer))
        results.append(np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32))
        media.deadline.check()
    if not np.array_equal(*results):
        raise _NotKnown
    return aligned * SAMPLE_RATE // lengths.rate, results[1], mixer


def _heard(media: Media, stream: av.AudioStream) -> Iterator[av.Packet]:
    return (packet for packet in media.packets(stream) if packet.size)


def _decoded(packets: list[av.Packet], first: int, lengths: _Lengths, mixer: Mixer) -> Iterator[np.ndarray]:
    """What is heard from packet `first` on. Raises _NotKnown where a packet gives other than it holds."""
    for number, packet in enumerate(packets):
        try:
            frames = packet.decode()
        except av.FFmpegError:
            if number >= _FIRST:
                raise
            frames = []
        if number < first:
            continue
        if any((frame.sample_rate, frame.format.name, frame.layout.name) != lengths.form for frame in frames) or \
                number < len(packets) - 1 and sum(frame.samples for frame in frames) != lengths.of(packet):
            raise _NotKnown
        for frame in frames:
            yield from mixer.add(frame)
    yield from mixer.flush()


def _jump(media: Media, stream: av.AudioStream, coming: Iterator[av.Packet], lengths: _Lengths,
          at: float) -> tuple[int, Iterator[av.Packet]]:
    """(place of the next packet in samples, packets from there on): by the file's index where it has one that tells all
    packets, else where the file stands, behind the first packets."""
    if media.is_mov and lengths.usual is not None:
        stamps = [entry.timestamp for entry in stream.index_entries]
        steps = {after - before for before, after in zip(stamps, stamps[1:])}
        hidden = any(entry.is_discard for entry in islice(stream.index_entries, _HEAD, None))
        step = steps.pop() if len(steps) == 1 else 0
        if step and not hidden and step * stream.time_base * lengths.rate == lengths.usual:
            number = int((at * lengths.rate + lengths.left_out) // lengths.usual) - 1
            if _HEAD < number < len(stamps):
                media.container.seek(stamps[number], stream=stream)
                coming = _heard(media, stream)
                packet = next(coming, None)
                found = bisect_right(stamps, packet.pts) - 1 if packet is not None and packet.pts is not None else -1
                if found < 0 or stamps[found] != packet.pts:
                    raise _NotKnown
                return found * lengths.usual - lengths.left_out, chain([packet], coming)
    elif media.container.format.name == "wav" and codec_name(stream).startswith("pcm_") and \
            stream.time_base * lengths.rate == 1:
        media.container.seek(int(at * lengths.rate), stream=stream)
        coming = _heard(media, stream)
        packet = next(coming, None)
        if packet is None or packet.pts is None:
            raise _NotKnown
        return packet.pts, chain([packet], coming)
    return lengths.total, coming
