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
from affectgpt.models.streams import VISUAL_STREAMS

MIN_SOUND_SECONDS = 0.1
"""A sound that is shorter counts as none: a syllable takes longer, and an encoder would see its own padding."""


def load_clip(processor, clip: Clip, streams: list[str] | None = None, reader: str = "pyav", transcribe: bool = False,
              speed: float = 1.0, track: int | None = None) -> Inputs:
    """Read the media of a clip into raw tensors.

    A stream that the clip does not have, that is empty or silent, is None, with a note, and costs the clip nothing.
    A stream that is there but damaged, or of an unknown codec, costs the clip: what is wrong with the file is to be
    mended or known, and never goes by as if there had been nothing. Who wants the rest asks for the other streams;
    what is not asked for is not decoded. What was done to a stream that is read (damaged parts left out, frames of
    several sizes, one of several tracks) is noted too.

    Args:
        streams: what to read; None for all that the model looks at.
        transcribe: recognise the words of a clip that comes without.
        speed: play the sound faster (above 1) or slower, with its pitch (Ko et al. 2015, speed perturbation).
        track: which sound track of a file with several, from 0; None for the one that a player takes.
    Raises:
        media.MediaError: a file or a wanted stream that cannot be read.
    """
    return _load(processor, clip, streams, reader, transcribe, speed, track, _load_pictures)


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

    def count_pictures(config, path: Path, wanted: set[str], inputs: Inputs, reader: str) -> None:
        frames = _read_frames(config, path, reader, inputs)
        if "frame" in wanted:
            pictures["frame"] = len(frames)
        if "face" in wanted:
            note = media.shows_face(frames)
            if note is None:
                pictures["face"] = len(frames)
            else:
                inputs.notes.append(note)

    inputs = _load(processor, clip, None, reader, transcribe, 1.0, None, count_pictures)
    sound = {} if inputs.audio is None else {"audio": len(inputs.audio)}
    inputs.audio = inputs.audio_lengths = None
    return sound | pictures, inputs


def _load(processor, clip: Clip, streams: list[str] | None, reader: str, transcribe: bool, speed: float,
          track: int | None, load_pictures) -> Inputs:
    config = processor.config
    wanted = set(config.streams if streams is None else streams)
    wanted |= {"audio", config.fusion_visual} if "fusion" in wanted else set()
    wanted &= set(config.streams)
    inputs = Inputs(words=clip.words if "text" in wanted else None)
    if "text" in wanted and clip.words is not None and inputs.words is None:
        inputs.notes.append("no words: what was given is blank")
    info = media.probe(clip.media) if clip.media is not None else None
    started = time.perf_counter()
    recognise = transcribe and "text" in wanted and clip.words is None
    if recognise and clip.language != "en":
        recognise = False  # the bundled recogniser knows English only
        inputs.notes.append(f"words in {clip.language!r} are not recognised")
    if "audio" in wanted or recognise:
        source = clip.audio or clip.media
        sound = media.read_sound(source, track) if clip.audio or (info and info.has_audio) else media.Sound(None)
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
    if wanted & set(VISUAL_STREAMS):
        if info is None or not info.shows_picture():
            inputs.notes.append("no picture in this clip")
        else:
            started = time.perf_counter()
            load_pictures(config, clip.media, wanted, inputs, reader)
            inputs.seconds["pictures"] = time.perf_counter() - started
    return inputs


def _load_pictures(config, path: Path, wanted: set[str], inputs: Inputs, reader: str) -> None:
    size = config.visual_size
    stretched = None if config.keep_aspect else (size, size)
    frames = _read_frames(config, path, reader, inputs)
    if "frame" in wanted:
        inputs.frame = _to_tensor(np.stack([_fit(image, size, stretched) for image in frames]))
    if "face" in wanted:
        crops = media.face_crops(frames, size=size, margin=config.face_margin)
        if crops.images is None:
            inputs.notes.append(crops.note)
        else:
            images = crops.images if config.face_channels == "rgb" else crops.images[..., ::-1]
            inputs.face = _to_tensor(np.ascontiguousarray(images))


def _read_frames(config, path: Path, reader: str, inputs: Inputs) -> np.ndarray:
    """uint8 [T, height, width, 3]; what is to be said of them becomes notes of `inputs`."""
    frames = media.read_frames(path, config.frames, backend=reader, rule=config.frame_sampling)
    inputs.notes += frames.notes
    return frames.images


def _to_tensor(images: np.ndarray) -> Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).contiguous()


def _fit(image: np.ndarray, size: int, stretched: tuple[int, int] | None) -> np.ndarray:
    """Resize a picture [height, width, 3]: shorter side to `size` and centre crop, or stretched to a square."""
    from PIL import Image

    picture = Image.fromarray(image)
    if stretched:
        return np.asarray(picture.resize(stretched, Image.BICUBIC))
    scale = size / min(picture.size)
    wide, high = (max(size, round(side * scale)) for side in picture.size)
    picture = picture.resize((wide, high), Image.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))
