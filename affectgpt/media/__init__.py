"""A file -> frames, waveform, face crops, words. Nothing here imports torch before it is needed."""

from affectgpt.media.audio import Sound, read_audio, read_sound
from affectgpt.media.errors import MediaError
from affectgpt.media.faces import Box, FaceCrops, FaceDetector, face_crops, shows_face
from affectgpt.media.openface import count_crops, read_crops
from affectgpt.media.quiet import silence
from affectgpt.media.speaking import Choice, choose_speaker
from affectgpt.media.speech import transcribe
from affectgpt.media.tracks import (
    NO_FACE_IN_TRACK,
    FaceTrack,
    Tracks,
    find_tracks,
    read_track,
    track_crops,
    write_track,
)
from affectgpt.media.video import Frames, MediaInfo, probe, read_frames, sample_indices
from affectgpt.media.waveform import SAMPLE_RATE, change_speed, is_silent, spoken_part

silence()

__all__ = [
    "NO_FACE_IN_TRACK",
    "SAMPLE_RATE",
    "Box",
    "Choice",
    "FaceCrops",
    "FaceDetector",
    "FaceTrack",
    "Frames",
    "MediaError",
    "MediaInfo",
    "Sound",
    "Tracks",
    "change_speed",
    "choose_speaker",
    "count_crops",
    "face_crops",
    "find_tracks",
    "is_silent",
    "probe",
    "read_audio",
    "read_crops",
    "read_frames",
    "read_sound",
    "read_track",
    "sample_indices",
    "shows_face",
    "spoken_part",
    "track_crops",
    "transcribe",
    "write_track",
]
