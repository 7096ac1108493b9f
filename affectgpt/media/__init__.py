"""A file -> frames, waveform, face crops, words. Nothing here imports torch before it is needed."""

from affectgpt.media.audio import Sound, read_audio, read_sound
from affectgpt.media.errors import MediaError
from affectgpt.media.faces import Box, FaceCrops, FaceDetector, face_crops, shows_face
from affectgpt.media.quiet import silence
from affectgpt.media.speech import transcribe
from affectgpt.media.video import Frames, MediaInfo, probe, read_frames, sample_indices
from affectgpt.media.waveform import SAMPLE_RATE, change_speed, is_silent, spoken_part

silence()

__all__ = [
    "SAMPLE_RATE",
    "Box",
    "FaceCrops",
    "FaceDetector",
    "Frames",
    "MediaError",
    "MediaInfo",
    "Sound",
    "change_speed",
    "face_crops",
    "is_silent",
    "probe",
    "read_audio",
    "read_frames",
    "read_sound",
    "sample_indices",
    "shows_face",
    "spoken_part",
    "transcribe",
]
