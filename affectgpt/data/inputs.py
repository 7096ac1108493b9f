"""Media of one clip as tensors: what stands between files and a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from affectgpt.models.streams import MEDIA_STREAMS


@dataclass
class Inputs:
    """Media of one clip as tensors, and what could not be had.

    `audio` [T, 1, L] with `audio_lengths` [T], `face` and `frame` uint8 [T, 3, height, width]; or features
    [P, D] of any of them. `notes` says in words why a stream is missing, `seconds` what reading took.
    """

    audio: Tensor | None = None
    audio_lengths: Tensor | None = None
    face: Tensor | None = None
    frame: Tensor | None = None
    words: str | None = None
    notes: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def media_streams(self) -> list[str]:
        return [stream for stream in MEDIA_STREAMS if getattr(self, stream) is not None]
