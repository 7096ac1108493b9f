"""Media of one clip as tensors: what stands between files and a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from affectgpt.data.clip import spoken
from affectgpt.models.streams import MEDIA_STREAMS


@dataclass
class Inputs:
    """Media of one clip as tensors, and what could not be had.

    `audio` [T, 1, L] with `audio_lengths` [T], `face` and `frame` uint8 [T, 3, height, width]; or features
    [P, D] of any of them; `words` that nobody can read are None. `notes` says in words why a stream is missing,
    `seconds` what reading took.
    """

    audio: Tensor | None = None
    audio_lengths: Tensor | None = None
    face: Tensor | None = None
    frame: Tensor | None = None
    words: str | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    def __post_init__(self):
        self.words = spoken(self.words)

    @property
    def media_streams(self) -> list[str]:
        """Streams that have something: a tensor without a frame, window or position is none."""
        return [stream for stream in MEDIA_STREAMS if (value := getattr(self, stream)) is not None and len(value)]
