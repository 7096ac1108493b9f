"""From one clip to what a Hugging Face chat model takes: its processor, its message, its tensors, and batches of them.

Shapes: T pictures of a clip; B rows of a batch; S tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from affectgpt.data import prompts
from affectgpt.eval.answering import families
from affectgpt.eval.answering.answerers import Request
from affectgpt.eval.answering.families import Family
from affectgpt.eval.answering.rival_media import RivalInputs
from affectgpt.media import SAMPLE_RATE

TICKS = 1000.0
"""Frames are told to lie at whole milliseconds: processors reckon times as frame number by frames a second."""
UNKNOWN_RATE = 1.0
"""Frames a second where nobody knows the times (crops of a file, one picture)."""


def load_processor(path: str, name: str, trust: bool):
    """(processor, its tokenizer) of a chat model; of a text model both are the tokenizer.

    Raises:
        ValueError: it cannot be had, brings its own code, takes less than its model does, or has no chat template.
    """
    from transformers import AutoProcessor
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    config = read_config(path)
    families.check_folder(config, name, config.get("model_type") in CONFIG_MAPPING, trust)
    try:
        processor = AutoProcessor.from_pretrained(path, trust_remote_code=trust)
    except (OSError, ValueError, ImportError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"hf:{name}: its processor cannot be loaded {because(error)}") from error
    tokenizer = getattr(processor, "tokenizer", processor)
    families.check_senses(config, _able(processor), name, type(processor).__name__)
    if getattr(processor, "chat_template", None) is None and getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(f"hf:{name}: has no chat template, so it cannot be asked; choose an instruction-tuned model")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor, tokenizer


def read_config(path: str) -> dict[str, Any]:
    """The config.json of a folder or hub name; {} where it has none."""
    from transformers import PretrainedConfig

    try:
        return PretrainedConfig.get_config_dict(path)[0]
    except OSError:
        return {}


def because(error: Exception) -> str:
    """Why a folder cannot be loaded, in one line, and what to do."""
    text = " ".join(str(error).split())
    hint = ""
    if "trust_remote_code" in text:
        hint = "; it brings its own code: read it, then add --trust-remote-code"
    elif "torchvision" in text.lower():
        hint = "; models that take video need one more package: python3.11 bootstrap.py rivals, or " \
               "pip install affectgpt[rivals] (docs/rivals.md)"
    return f"({text[:300]})" + hint


def _able(processor) -> set[str]:
    found = {"sees": visual_processor(processor), "hears": sound_processor(processor)}
    return {sense for sense, part in found.items() if part is not None}


def visual_processor(processor):
    """What turns pictures into inputs; None where the model does not see."""
    return getattr(processor, "image_processor", None) or getattr(processor, "video_processor", None)


def sound_processor(processor):
    """What turns waveforms into inputs; None where the model does not hear."""
    from transformers import SequenceFeatureExtractor

    for name in ("feature_extractor", "audio_processor"):
        found = getattr(processor, name, None)
        if isinstance(found, SequenceFeatureExtractor) or name == "audio_processor" and found is not None:
            return found
    return None


class Preparer:
    """Turns requests into tensors as a family takes them."""

    def __init__(self, processor, tokenizer, family: Family):
        self.processor, self.tokenizer, self.family = processor, tokenizer, family
        self.sounds = sound_processor(processor)
        self.sees = visual_processor(processor) is not None
        self.takes_media = self.sees or self.sounds is not None
        pictures = getattr(processor, "image_processor", None) is not None
        films = family.video and getattr(processor, "video_processor", None) is not None and _places(processor, "video")
        self.takes_video, self.takes_pictures = films or not pictures, pictures
        self.rate = getattr(self.sounds, "sampling_rate", SAMPLE_RATE)

    def as_video(self, inputs: RivalInputs) -> bool:
        """Whether a clip's pictures are one video part; a single picture is a picture where the model takes those."""
        return self.takes_video and (len(inputs.pictures) > 1 or not self.takes_pictures)

    def shape(self, request: Request) -> tuple:
        """Requests of one shape can share a batch: how many pictures there are, and whether there is sound."""
        pictures = len(request.inputs.pictures) if request.inputs.visual in request.shown else 0
        return pictures, "audio" in request.shown

    def together(self, request: Request) -> bool:
        """Whether sound and video of a request are one part."""
        return self.family.aligned and "audio" in request.shown and request.inputs.visual in request.shown \
            and self.as_video(request.inputs)

    def conversation(self, request: Request) -> list[dict[str, Any]]:
        """One user's message, in the form that chat templates take."""
        from PIL import Image

        inputs, parts = request.inputs, []
        if inputs.visual in request.shown:
            parts = [{"type": "video", "video": inputs.pictures}] if self.as_video(inputs) else \
                [{"type": "image", "image": Image.fromarray(picture)} for picture in inputs.pictures]
        if "audio" in request.shown and not self.together(request):
            parts.append({"type": "audio", "audio": self._resampled(inputs.sound)})
        text = self._harmless(prompts.rival_text(inputs.words if "text" in request.shown else None, request.question))
        content = [*parts, {"type": "text", "text": text}] if self.takes_media else text
        return [{"role": "user", "content": content}]

    def tensors(self, request: Request) -> dict[str, Any]:
        """Inputs of the model [1, ...]; what words and questions spell is never a control token or a place for
        media."""
        options = {"add_generation_prompt": True, "tokenize": True, "return_dict": True, "return_tensors": "pt",
                   "sanitize_control_tokens": True}
        conversation = [self.conversation(request)]
        if not self.takes_media:
            return dict(self.processor.apply_chat_template(conversation, **options))
        inputs, given = request.inputs, {}
        if "audio" in request.shown:
            given["sampling_rate"] = self.rate
        if inputs.visual in request.shown and self.as_video(inputs):
            given |= video_options(inputs, self.family)
        if not self.together(request):
            return dict(self.processor.apply_chat_template(conversation, **options, processor_kwargs=given))
        with _sound_of_video(self.processor, self._resampled(inputs.sound)):
            made = self.processor.apply_chat_template(conversation, **options, load_audio_from_video=True,
                                                      processor_kwargs=given)
        return {**made, "use_audio_in_video": True}

    def _harmless(self, text: str) -> str:
        """Text without places for media: processors count those by their spelling, also where it is only said."""
        for kind in ("image", "video", "audio"):
            token = getattr(self.processor, f"{kind}_token", None)
            if isinstance(token, str) and len(token) > 1:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def _resampled(self, sound: np.ndarray) -> np.ndarray:
        if self.rate == SAMPLE_RATE:
            return sound
        from math import gcd

        from scipy.signal import resample_poly

        step = gcd(self.rate, SAMPLE_RATE)
        return resample_poly(sound, self.rate // step, SAMPLE_RATE // step)


def video_options(inputs: RivalInputs, family: Family) -> dict[str, Any]:
    """What a processor is told of a video: its frames are chosen already, and when each of them is shown."""
    count, rate = len(inputs.pictures), inputs.rate or UNKNOWN_RATE
    if family.rate:
        return {"do_sample_frames": False, "fps": rate}
    times = inputs.times if inputs.times is not None else np.arange(count) / rate
    height, width = inputs.pictures.shape[1:3]
    return {"do_sample_frames": False, "video_metadata": [{
        "fps": TICKS, "frames_indices": [round(float(time) * TICKS) for time in times], "duration": count / rate,
        "total_num_frames": max(1, round(count / rate * TICKS)), "height": height, "width": width}]}


class _sound_of_video:
    """While it lasts, a processor takes this waveform as the sound of its one video.

    Processors read that sound out of a video file by torchcodec; here it is read already, by the project's own rules.
    """

    def __init__(self, processor, sound: np.ndarray):
        self.processor, self.sound = processor, sound

    def __enter__(self):
        original = self.processor._multimodal_inputs_from_conversations

        def with_sound(*arguments, **options):
            images, videos, _, more = original(*arguments, **options)
            return images, videos, [self.sound], more

        self.processor._multimodal_inputs_from_conversations = with_sound

    def __exit__(self, *_):
        del self.processor._multimodal_inputs_from_conversations


def join(samples: list[dict[str, Any]], pad_id: int) -> dict[str, Any]:
    """Inputs of single clips [1, ...] as a batch: tokens are padded on the left, all else is stacked along its first
    dimension, with zeros after what is shorter."""
    import torch

    if len(samples) == 1:
        return samples[0]
    longest = max(sample["input_ids"].shape[1] for sample in samples)
    batch: dict[str, Any] = {}
    for name, value in samples[0].items():
        values = [sample[name] for sample in samples]
        if not isinstance(value, torch.Tensor):
            batch[name] = [item for part in values for item in part] if isinstance(value, list) else value
        elif value.ndim == 2 and all(one[name].shape == one["input_ids"].shape for one in samples):
            batch[name] = torch.cat([torch.nn.functional.pad(
                part, (longest - part.shape[1], 0), value=pad_id if name == "input_ids" else 0) for part in values])
        else:
            sizes = [max(sizes) for sizes in zip(*(part.shape[1:] for part in values), strict=True)]
            batch[name] = torch.cat([torch.nn.functional.pad(part, [
                side for size, own in reversed(list(zip(sizes, part.shape[1:], strict=True)))
                for side in (0, size - own)]) for part in values])
    return batch


def _places(processor, kind: str) -> bool:
    """Whether the chat template has a place for this kind of part."""
    template = getattr(processor, "chat_template", None) or getattr(processor.tokenizer, "chat_template", None) or ""
    texts = template.values() if isinstance(template, dict) else [template]
    return any(kind in str(text) for text in texts)
