"""Sound, pictures and words of one clip as a user's own code has them -> what a model takes. Reads no files.

Shapes: N samples, T pictures, L samples of a window.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from affectgpt.models.prompting import spoken
from affectgpt.models.streams import MEDIA_STREAMS, SAMPLE_RATE
from affectgpt.models.windows import MIN_WINDOW_SAMPLES, cut_windows


@dataclass
class RawInputs:
    """Tensors of one clip: `audio` [T, 1, L] with `audio_lengths` [T], `face` and `frame` uint8 [T, 3, size, size]."""

    audio: Tensor | None = None
    audio_lengths: Tensor | None = None
    face: Tensor | None = None
    frame: Tensor | None = None
    words: str | None = None

    @property
    def media_streams(self) -> list[str]:
        """Streams that have something."""
        return [stream for stream in MEDIA_STREAMS if (value := getattr(self, stream)) is not None and len(value)]


def raw_inputs(config, audio=None, faces=None, frames=None, text: str | None = None,
               sampling_rate: int = SAMPLE_RATE) -> RawInputs:
    """Media of one clip, at the sizes that a model's configuration asks for.

    Args:
        audio: 16 kHz mono samples [N] in [-1, 1]; less than 0.1 s counts as none.
        faces: RGB crops uint8 [T, height, width, 3], tight around one face; as many as the model looks at
            (`config.frames`) are what it was trained on.
        frames: whole frames of the same form.
        text: the words that are spoken; blanks alone are none.
    Raises:
        ValueError: another rate, shape or number format, samples that are not finite, and streams that the model does
            not look at.
    """
    inputs = RawInputs(words=spoken(text))
    for stream, value in (("audio", audio), ("face", faces), ("frame", frames), ("text", inputs.words)):
        if value is not None and stream not in config.streams:
            raise ValueError(f"this model does not look at {stream}: it has {', '.join(config.streams)}")
    if audio is not None:
        waveform = np.asarray(audio, dtype=np.float32)
        if sampling_rate != SAMPLE_RATE:
            raise ValueError(f"audio has {sampling_rate} samples a second, and {SAMPLE_RATE} are heard: resample it "
                             "first")
        if waveform.ndim != 1:
            raise ValueError(f"audio is {list(waveform.shape)}: give mono samples [N]")
        if not np.isfinite(waveform).all():
            raise ValueError("audio has samples that are not finite: mend it")
        if len(waveform) >= MIN_WINDOW_SAMPLES:
            inputs.audio, inputs.audio_lengths = cut_windows(waveform, config)
    if faces is not None:
        crops = _pictures("faces", faces)
        crops = crops if config.face_channels == "rgb" else crops[..., ::-1]
        # Crops are square faces: they are brought to the encoder's size as a whole.
        inputs.face = _tensor(crops, (config.visual_size, config.visual_size), config)
    if frames is not None:
        stretched = None if config.keep_aspect else (config.visual_size, config.visual_size)
        inputs.frame = _tensor(_pictures("frames", frames), stretched, config)
    return inputs


def _pictures(what: str, images) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3 or images.dtype != np.uint8 or not images.size:
        raise ValueError(f"{what} are {list(images.shape)} {images.dtype}: give RGB pictures, uint8 "
                         "[T, height, width, 3]")
    return images


def _tensor(images: np.ndarray, stretched: tuple[int, int] | None, config) -> Tensor:
    size = config.visual_size
    if images.shape[1:3] != (size, size):
        images = np.stack([fit(image, size, stretched) for image in images])
    return torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).contiguous()


def fit(image: np.ndarray, size: int, stretched: tuple[int, int] | None) -> np.ndarray:
    """Resize a picture [height, width, 3]: shorter side to `size` and centre crop, or stretched to a square.

    Raises:
        ValueError: Pillow is not installed.
    """
    try:
        from PIL import Image
    except ImportError as error:
        raise ValueError(f"pictures are resized with Pillow, which is not installed: pip install pillow, or give "
                         f"pictures of {size} x {size}") from error
    picture = Image.fromarray(np.ascontiguousarray(image))
    if stretched:
        return np.asarray(picture.resize(stretched, Image.BICUBIC))
    scale = size / min(picture.size)
    wide, high = (max(size, round(side * scale)) for side in picture.size)
    picture = picture.resize((wide, high), Image.BICUBIC)
    left, top = (wide - size) // 2, (high - size) // 2
    return np.asarray(picture.crop((left, top, left + size, top + size)))
