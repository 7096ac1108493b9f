"""A file -> frames, waveform, face crops, words. Nothing here imports torch before it is needed."""

from __future__ import annotations


class MediaError(ValueError):
    """A media file that cannot be used. The message is one line: what, which file, what to do."""


# The modules below need MediaError, so they come after it.
from affectgpt.media.audio import SAMPLE_RATE, change_speed, read_audio, spoken_part  # noqa: E402
from affectgpt.media.faces import Box, FaceCrops, FaceDetector, face_crops  # noqa: E402
from affectgpt.media.speech import transcribe  # noqa: E402
from affectgpt.media.video import Frames, MediaInfo, probe, read_frames, sample_indices  # noqa: E402

__all__ = [
    "SAMPLE_RATE", "change_speed",
    "Box",
    "FaceCrops",
    "FaceDetector",
    "Frames",
    "MediaError",
    "MediaInfo",
    "face_crops",
    "probe",
    "read_audio",
    "read_frames",
    "sample_indices",
    "spoken_part",
    "transcribe",
]
