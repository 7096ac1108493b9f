"""Sound of a media file -> waveform."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import numpy as np

from affectgpt.media.container import Media, codec_name, is_image, open_media
from affectgpt.media.errors import MediaError, reading
from affectgpt.media.limits import MAX_SOUND_SECONDS
from affectgpt.media.mixing import Mixer, UnknownSound
from affectgpt.media.seeking import late_sound
from affectgpt.media.span import Span, check_inside, checked, named
from affectgpt.media.waveform import is_silent
from affectgpt.models.streams import SAMPLE_RATE

# libav refuses single packets of many sound files that play well elsewhere (junk after a tag).
MAX_BAD_PACKETS = 0.01
MAX_BAD_SAMPLES = 0.01
"""Of a sound of floating-point numbers: so many that are no finite ones become 0, and more make it unreadable."""
SILENT = "the sound is silent"
_MAX_LATE = 10.0
"""Seconds; sound that begins further from its picture has a clock of its own."""
_MORE = 1.0
"""Seconds decoded after a span, so that its last samples are those of the whole."""
_BLOCK = 60 * SAMPLE_RATE


@dataclass(frozen=True)
class Sound:
    """`waveform` float32 [N], 16 kHz, one channel, in [-1, 1]; None where nothing is to be heard. `notes` says what
    was done to it, or why there is none; it is empty where the file has no sound."""

    waveform: np.ndarray | None
    notes: tuple[str, ...] = ()


def read_audio(path: str | Path, track: int | None = None) -> np.ndarray | None:
    """The waveform of `read_sound`, without its notes."""
    return read_sound(path, track).waveform


def read_sound(path: str | Path, track: int | None = None, span: Span | None = None) -> Sound:
    """The sound of a file or of a span of it, as a player would play it on one speaker.

    A span is cut to the sample out of the whole: sample n lies n / 16000 s after the first one, which lies as long
    after the first frame of the picture as the file says.

    Of several tracks with packets, the one is heard that is marked as the default, else the first; `track` (0 is the
    first of the file) chooses another. Channels are mixed with the weights of ITU-R BS.775; where they cancel each
    other, the loudest is heard alone. A track without packets is no sound, and sound below `waveform.SILENCE_LEVEL`
    counts as none, with a note.

    Raises:
        MediaError: the file is missing, empty, cut off, asks for too much, or has no such track; a span that is
            reversed, empty, not finite or beyond the end of the file; more than 1 % of the
            packets of its sound cannot be decoded, or more than 1 % of its samples are no finite numbers.
    """
    path = Path(path)
    span = checked(path, span)
    with reading(path):
        if is_image(path):
            return Sound(None)
        waveform, notes, mixer, first = _hear(path, track, None, span)
        channel = mixer.best_channel()
        if channel is not None:
            del waveform  # hours of sound are held once
            waveform, notes, mixer, first = _hear(path, track, channel, span)
            notes.append(f"the sound's channels cancel each other, so channel {channel + 1} is heard alone")
    if not len(waveform):
        return Sound(None)
    if mixer.bad > MAX_BAD_SAMPLES * mixer.samples:
        raise MediaError(f"{path}: {mixer.bad} of {mixer.samples} sound samples are no finite numbers; write the sound "
                         "again, or leave it out")
    if mixer.bad:
        notes.append(f"{mixer.bad} of {mixer.samples} sound samples are no finite numbers and became 0")
    if span is not None:
        waveform = _cut(path, waveform, first, span)
        if not len(waveform):
            return Sound(None, (*notes, f"no sound in the span {named(span)}"))
    if is_silent(waveform):
        return Sound(None, (*notes, SILENT))
    return Sound(waveform, tuple(notes))


def _cut(path: Path, waveform: np.ndarray, first: int, span: Span) -> np.ndarray:
    """The samples of a span out of those from number `first` on."""
    with open_media(path) as media:
        late, length = _sound_after_picture(media), (media.container.duration or 0) / av.time_base
    check_inside(path, span, max(length, late + (first + len(waveform)) / SAMPLE_RATE))
    start = 0 if span[0] is None else max(0, round((span[0] - late) * SAMPLE_RATE) - first)
    end = len(waveform) if span[1] is None else max(0, round((span[1] - late) * SAMPLE_RATE) - first)
    return waveform[start:end].copy()


def _sound_after_picture(media: Media) -> float:
    """Seconds by which the first sound comes after the first frame; 0 where that is not known, or not believable."""
    places = [(stream.start_time or 0) * stream.time_base for stream in (media.picture, *media.sounds[:1])
              if stream is not None and stream.time_base]
    late = float(places[1] - places[0]) if len(places) == 2 else 0.0
    return late if abs(late) < _MAX_LATE else 0.0


def _hear(path: Path, track: int | None, channel: int | None,
          span: Span | None) -> tuple[np.ndarray, list[str], Mixer, int]:
    """(waveform, notes, mixer, number of the first sample) of one track; an empty waveform where the file has no
    sound. Around a late span, samples before it may be left out."""
    mixer, sound = Mixer(channel), _Samples(path)
    with open_media(path) as media:
        _check_length(media)
        late = _sound_after_picture(media)
        until = None if span is None or span[1] is None else span[1] - late
        order = _order(media, track)
        for number, place in enumerate(order):
            if number:
                media.rewind()
            stream = media.sounds[place]
            media.check_whole(stream)
            said = [f"{len(media.sounds)} sound tracks: track {place} is heard"] * (len(media.sounds) > 1
                                                                                    and track is None)
            if span is not None and span[0]:
                found = late_sound(media, stream, span[0] - late, until, partial(Mixer, channel))
                if found is not None:
                    return found[1], said, found[2], found[0]
                media.rewind()
                stream = media.sounds[place]
            notes = _decode(media, stream, mixer, sound, until)
            if sound.length:
                return sound.joined(), notes + said, mixer, 0
    return sound.joined(), [], mixer, 0


def _check_length(media: Media) -> None:
    """Refuse sound that is far too long before it is decoded: its header says so, and there is a packet so late."""
    late = MAX_SOUND_SECONDS + 60  # seeking goes to a place before
    if (media.container.duration or 0) <= late * av.time_base:
        return
    try:
        media.container.seek(late * av.time_base)
        packet = next((packet for packet in media.packets(*media.sounds) if packet.pts is not None), None)
        if packet is not None and packet.pts * packet.time_base >= MAX_SOUND_SECONDS:
            raise _too_long(media.path)
    except av.FFmpegError:  # it cannot seek: its length shows as it is read
        pass
    media.rewind()


def _too_long(path: Path) -> MediaError:
    return MediaError(f"{path}: the sound is longer than the {MAX_SOUND_SECONDS // 3600} hours that are read at once; "
                      "cut the file into parts")


def _order(media: Media, track: int | None) -> list[int]:
    """Numbers of the tracks to try; one without packets is passed over."""
    tracks = media.sounds
    if track is not None:
        if not 0 <= track < len(tracks):
            raise MediaError(f"{media.path}: there is no sound track {track}; it has {len(tracks)}, and 0 is the first")
        return [track]
    return sorted(range(len(tracks)), key=lambda place: not tracks[place].disposition & av.stream.Disposition.default)


def _decode(media: Media, stream: av.AudioStream, mixer: Mixer, sound: _Samples, until: float | None) -> list[str]:
    """Fill `sound`, up to `until` seconds and a little more; what is to be said about it."""
    known = codec_name(stream) is not None
    packets = bad = 0
    try:
        for packet in media.packets(stream):
            packets += bool(packet.size)
            if packet.size and not known:
                raise MediaError(f"{media.path}: the sound's codec is not known; re-encode the file, or leave its "
                                 "sound out")
            try:
                frames = packet.decode() if known else []
            except av.FFmpegError:
                bad += bool(packet.size)
                continue
            for frame in frames:
                sound.add(mixer.add(frame))
            if until is not None and sound.length > (until + _MORE) * SAMPLE_RATE:
                break
        sound.add(mixer.flush())
    except UnknownSound as error:
        raise MediaError(f"{media.path}: {error}; re-encode the file, or leave its sound out") from error
    if bad > max(1, MAX_BAD_PACKETS * packets) or bad and not sound.length:
        raise MediaError(f"{media.path}: {bad} of {packets} sound packets cannot be decoded; re-encode the file, or "
                         "leave its sound out")
    return [f"{bad} of {packets} sound packets are damaged and left out"] if bad else []


class _Samples:
    """A waveform that grows by blocks and is held once: a block of digital silence is only counted, and joining frees
    the blocks one by one."""

    def __init__(self, path: Path):
        self.path, self.length = path, 0
        self._blocks: list[np.ndarray | int] = []
        self._open: list[np.ndarray] = []
        self._waiting = 0

    def add(self, parts: list[np.ndarray]) -> None:
        for part in parts:
            self._open.append(part)
            self._waiting += len(part)
            self.length += len(part)
        if self._waiting >= _BLOCK:
            self._close()
        if self.length > MAX_SOUND_SECONDS * SAMPLE_RATE:
            raise _too_long(self.path)

    def joined(self) -> np.ndarray:
        """float32 [N]."""
        self._close()
        waveform, start = np.zeros(self.length, dtype=np.float32), 0  # pages that stay 0 take no memory
        for number, block in enumerate(self._blocks):
            if isinstance(block, int):
                start += block
            else:
                waveform[start : start + len(block)] = block
                start += len(block)
            self._blocks[number] = 0
        return waveform

    def _close(self) -> None:
        if self._waiting:
            block = np.concatenate(self._open)
            self._blocks.append(block if block.any() else len(block))
        self._open, self._waiting = [], 0
