"""What other models are shown of a clip: sampled pictures, the sound and the words, each where it is there.

The same frames and the same sound that AffectGPT's own processor reads, before its own resizing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from affectgpt import media
from affectgpt.data.clip import Clip, spoken
from affectgpt.data.reading import CROPS, NO_PICTURE, cut_face, face_track, read_face
from affectgpt.models.streams import MEDIA_STREAMS, VISUAL_STREAMS

MAX_SIDE = 768
"""Pixels; larger pictures are made smaller while they are decoded. Chat models resize to about half of it."""
FACE_SIDE, FACE_MARGIN = 336, 0.2


@dataclass
class RivalInputs:
    """`pictures` uint8 [T, height, width, 3] RGB, their `times` float64 [T] in seconds from the first picture of the
    clip, and `sound` float32 [N] of 16 kHz; None where there is none."""

    pictures: np.ndarray | None = None
    times: np.ndarray | None = None
    sound: np.ndarray | None = None
    words: str | None = None
    visual: str = "frame"
    notes: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float | None:
        """Pictures a second; None where their times are unknown or one."""
        if self.times is None or len(self.times) < 2 or not self.times[-1] > self.times[0]:
            return None
        return float((len(self.times) - 1) / (self.times[-1] - self.times[0]))

    def shown(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `streams` that are there."""
        there = {"audio": self.sound is not None, self.visual: self.pictures is not None,
                 "text": self.words is not None}
        return tuple(stream for stream in streams if there.get(stream))


def load(clip: Clip, needed: set[str], frames: int, reader: str) -> RivalInputs:
    """The streams `needed` of a clip.

    Args:
        frames: how many pictures of a video, evenly spread.
    Raises:
        MediaError: a file that cannot be read.
    """
    inputs = RivalInputs(words=spoken(clip.words) if "text" in needed else None,
                         visual="face" if "face" in needed else "frame")
    if not needed & set(MEDIA_STREAMS):
        return inputs
    info = media.probe(clip.media, clip.span) if clip.media is not None else None
    if "audio" in needed:
        source = clip.audio or (clip.media if info and info.has_audio else None)
        sound = media.read_sound(source, span=clip.span) if source is not None else media.Sound(None)
        inputs.sound = sound.waveform
        inputs.notes += sound.notes or (["no sound in this clip"] if sound.waveform is None else [])
    if "face" in needed and clip.face is not None and clip.face.suffix == CROPS:
        _keep_face(inputs, *read_face(clip, frames, FACE_SIDE, FACE_MARGIN, reader))
    elif needed & set(VISUAL_STREAMS):
        if info is None or not info.shows_picture():
            inputs.notes.append(NO_PICTURE)
            return inputs
        track = face_track(clip) if "face" in needed else None
        found = media.read_frames(clip.media, frames, backend=reader, max_side=MAX_SIDE, span=clip.span)
        if "face" in needed:
            _keep_face(inputs, cut_face(found, track, FACE_SIDE, FACE_MARGIN), found.notes)
        else:
            inputs.pictures = found.images
            inputs.notes += found.notes
        inputs.times = found.times if inputs.pictures is not None else None
    return inputs


def _keep_face(inputs: RivalInputs, crops: media.FaceCrops, notes) -> None:
    inputs.pictures = crops.images
    inputs.notes += [*notes] if crops.note is None else [*notes, crops.note]


def check_streams(streams: list[str], able: list[str], model: str) -> None:
    """Raise ValueError for streams that this model cannot be shown, or not together."""
    for stream in streams:
        if stream not in able:
            raise ValueError(f"--streams {stream}: {model} takes {', '.join(able)}")
    if set(VISUAL_STREAMS) <= set(streams):
        raise ValueError("--streams: another model is shown the face or the whole frame, not both; name one of them")
