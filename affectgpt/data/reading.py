"""The media of one clip -> tensors, at the sizes that a model's configuration asks for.

Shapes: T frames or sound windows, L samples.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from affectgpt import media
from affectgpt.data.clip import Clip, spoken
from affectgpt.data.inputs import Inputs
from affectgpt.models.raw_inputs import fit
from affectgpt.models.streams import VISUAL_STREAMS

MIN_SOUND_SECONDS = 0.1
"""A sound that is shorter counts as none: a syllable takes longer, and an encoder would see its own padding."""

CROPS, TRACK = ".npy", ".json"
"""Endings of `Clip.face`: crops of the clip itself, already cut to it; a face track, on the clock of its media."""
NO_CROPS, NO_PICTURE = "the file of face crops holds no face", "no picture in this clip"


def load_clip(processor, clip: Clip, streams: list[str] | None = None, reader: str = "pyav", transcribe: bool = False,
              speed: float = 1.0, track: int | None = None) -> Inputs:
    """Read the media of a clip into raw tensors.

    A stream that the clip does not have, that is empty or silent, is None, with a note, and costs the clip nothing.
    A stream that is there but damaged, or of an unknown codec, costs the clip: what is wrong with the file is to be
    mended or known, and never goes by as if there had been nothing. Who wants the rest asks for the other streams;
    what is not asked for is not decoded. What was done to a stream that is read (damaged parts left out, frames of
    several sizes, one of several tracks) is noted too.

    `Clip.start` and `end` cut the picture and the sound, a separate sound file too. The face comes from `Clip.face`
    where there is one: crops as they are, or a face track, and is looked for in the frames else.

    Args:
        streams: what to read; None for all that the model looks at.
        transcribe: recognise the words of a clip that comes without.
        speed: play the sound faster (above 1) or slower, with its pitch (Ko et al. 2015, speed perturbation).
        track: which sound track of a file with several, from 0; None for the one that a player takes.
    Raises:
        media.MediaError: a file or a wanted stream that cannot be read.
    """
    return _load(processor, clip, streams, reader, transcribe, speed, track, _load_pictures, _load_crops)


def survey_clip(processor, clip: Clip, reader: str = "pyav", transcribe: bool = False) -> tuple[dict[str, int], Inputs]:
    """What `load_clip` would find, with as little work as tells it for certain.

    Files are decoded as far as `load_clip` decodes them, so that none fails later that did not fail here; pictures are
    neither cut out nor resized, and faces are looked for until there is one.

    Returns:
        stream -> its frames or sound windows T, of the streams that there are; the words and notes of `load_clip`.
    Raises:
        MediaError: as `load_clip`.
    """
    pictures: dict[str, int] = {}

    def count_pictures(config, clip: Clip, wanted: set[str], inputs: Inputs, reader: str) -> None:
        frames = _read_frames(config, clip, reader, inputs).images
        if "frame" in wanted:
            pictures["frame"] = len(frames)
        if "face" in wanted:
            track = face_track(clip)
            note = media.shows_face(frames) if track is None else None if len(track.times) else media.NO_FACE_IN_TRACK
            if note is None:
                pictures["face"] = len(frames)
            else:
                inputs.notes.append(note)

    def count_crops(config, path: Path, inputs: Inputs) -> None:
        if media.count_crops(path):
            pictures["face"] = config.frames
        else:
            inputs.notes.append(NO_CROPS)

    inputs = _load(processor, clip, None, reader, transcribe, 1.0, None, count_pictures, count_crops)
    sound = {} if inputs.audio is None else {"audio": len(inputs.audio)}
    inputs.audio = inputs.audio_lengths = None
    return sound | pictures, inputs


def _load(processor, clip: Clip, streams: list[str] | None, reader: str, transcribe: bool, speed: float,
          track: int | None, load_pictures, load_crops) -> Inputs:
    config = processor.config
    wanted = set(config.streams if streams is None else streams)
    wanted |= {"audio", config.fusion_visual} if "fusion" in wanted else set()
    wanted &= set(config.streams)
    inputs = Inputs(words=clip.words if "text" in wanted else None)
    if "text" in wanted and clip.words is not None and inputs.words is None:
        inputs.notes.append("no words: what was given is blank")
    info = media.probe(clip.media, clip.span) if clip.media is not None else None
    started = time.perf_counter()
    recognise = transcribe and "text" in wanted and clip.words is None
    if recognise and clip.language != "en":
        recognise = False  # the bundled recogniser knows English only
        inputs.notes.append(f"words in {clip.language!r} are not recognised")
    if "audio" in wanted or recognise:
        source = clip.audio or clip.media
        there = clip.audio or info is not None and info.has_audio
        sound = media.read_sound(source, track, clip.span) if there else media.Sound(None)
        waveform = sound.waveform
        inputs.notes += sound.notes
        if waveform is None:
            inputs.notes += [] if sound.notes else ["no sound in this clip"]
            recognise = False
        elif len(waveform) < MIN_SOUND_SECONDS * media.SAMPLE_RATE:
            inputs.notes.append(f"the sound is too short: {1000 * len(waveform) / media.SAMPLE_RATE:.0f} ms")
            recognise = False
        elif "audio" in wanted:
            inputs.audio, inputs.audio_lengths = processor.windows(media.change_speed(waveform, speed))
        inputs.seconds["sound"] = time.perf_counter() - started
        if recognise:
            started = time.perf_counter()
            inputs.words = spoken(media.transcribe(waveform))
            inputs.notes.append("words by speech recognition" if inputs.words else "no words heard")
            inputs.seconds["speech recognition"] = time.perf_counter() - started
    pictures = wanted & set(VISUAL_STREAMS)
    if "face" in pictures and clip.face is not None and clip.face.suffix == CROPS:
        started = time.perf_counter()
        load_crops(config, clip.face, inputs)
        inputs.seconds["face crops"] = time.perf_counter() - started
        pictures -= {"face"}
    if pictures:
        if info is None or not info.shows_picture():
            inputs.notes.append(NO_PICTURE)
        else:
            started = time.perf_counter()
            load_pictures(config, clip, pictures, inputs, reader)
            inputs.seconds["pictures"] = time.perf_counter() - started
    return inputs


def _load_pictures(config, clip: Clip, wanted: set[str], inputs: Inputs, reader: str) -> None:
    size = config.visual_size
    stretched = None if config.keep_aspect else (size, size)
    track = face_track(clip) if "face" in wanted else None  # a damaged one is told before pictures are decoded
    frames = _read_frames(config, clip, reader, inputs)
    if "frame" in wanted:
        inputs.frame = _to_tensor(np.stack([fit(image, size, stretched) for image in frames.images]))
    if "face" in wanted:
        crops = cut_face(frames, track, size, config.face_margin)
        if crops.images is None:
            inputs.notes.append(crops.note)
        else:
            inputs.face = _face_tensor(config, crops.images)


def read_face(clip: Clip, count: int, size: int, margin: float, reader: str = "pyav", rule: str = "centre",
              max_side: int | None = None) -> tuple[media.FaceCrops, list[str]]:
    """(the face of a clip in `count` of its frames, notes), as `load_clip` takes it: crops of `Clip.face`, the face
    where its track says, or the one that is found.

    Args:
        size: pixels of the square crops. margin: room around the face, in units of its size; crops of a file are as
            they are.
        max_side: pixels to which larger frames are decoded.
    Raises:
        media.MediaError: a file that cannot be read, or a face of another kind.
    """
    if clip.face is not None and clip.face.suffix == CROPS:
        images = media.read_crops(clip.face, count, size, rule)
        return media.FaceCrops(images, None, np.full(count, images is not None), None if images is not None else
                               NO_CROPS), []
    track = face_track(clip)
    if clip.media is None or not media.probe(clip.media, clip.span).shows_picture():
        return media.FaceCrops(None, None, np.zeros(0, dtype=bool), NO_PICTURE), []
    frames = media.read_frames(clip.media, count, backend=reader, rule=rule, max_side=max_side, span=clip.span)
    return cut_face(frames, track, size, margin), frames.notes


def cut_face(frames: media.Frames, track: media.FaceTrack | None, size: int, margin: float) -> media.FaceCrops:
    """Crops of the face where its track says, or of the one that is found."""
    if track is None:
        return media.face_crops(frames.images, size=size, margin=margin)
    return media.track_crops(frames.images, frames.times, track, size=size, margin=margin)


def _load_crops(config, path: Path, inputs: Inputs) -> None:
    images = media.read_crops(path, config.frames, config.visual_size, config.frame_sampling)
    if images is None:
        inputs.notes.append(NO_CROPS)
    else:
        inputs.face = _face_tensor(config, images)


def face_track(clip: Clip) -> media.FaceTrack | None:
    """The face track of a clip; None where it has none. Raises MediaError for a file of another kind."""
    if clip.face is None:
        return None
    if clip.face.suffix != TRACK:
        raise media.MediaError(f"{clip.face}: a face is a file of crops ({CROPS}) or a face track ({TRACK}); correct "
                               "the path")
    return media.read_track(clip.face)


def _face_tensor(config, images: np.ndarray) -> Tensor:
    """uint8 [T, size, size, 3] RGB -> the order of channels that the processor takes."""
    return _to_tensor(np.ascontiguousarray(images if config.face_channels == "rgb" else images[..., ::-1]))


def _read_frames(config, clip: Clip, reader: str, inputs: Inputs) -> media.Frames:
    """The frames of a clip; what is to be said of them becomes notes of `inputs`."""
    frames = media.read_frames(clip.media, config.frames, backend=reader, rule=config.frame_sampling, span=clip.span)
    inputs.notes += frames.notes
    return frames


def _to_tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()
