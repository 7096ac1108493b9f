"""The processor: a clip's files -> tensors, a prompt -> token ids, samples -> a batch.

Shapes: B clips, T frames or sound windows, L samples, K tokens a stream, S sequence tokens.
"""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import AutoProcessor, AutoTokenizer
from transformers.processing_utils import ProcessorMixin

from affectgpt import media
from affectgpt.data import prompts
from affectgpt.data.clip import Clip
from affectgpt.data.collate import collate
from affectgpt.data.inputs import Inputs
from affectgpt.data.prompts import Outside, Stream, Text
from affectgpt.models.configuration import PLACEHOLDERS, PUBLISHED_PLACEHOLDER_ORDER, AffectGPTConfig
from affectgpt.models.control_tokens import ControlTokens

_HOLE = "\u2063{}\u2063"  # stands for outside text while a chat template is rendered


class AffectGPTProcessor(ProcessorMixin):
    """Prepares the inputs of an AffectGPT model from its configuration and tokenizer.

    Args:
        tokenizer: the LLM's tokenizer; the placeholder tokens are added to it if they are missing.
        config: the model's configuration; `placeholder_ids` is filled in.
    """

    attributes = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(self, tokenizer, config: AffectGPTConfig | None = None, **kwargs):
        self.tokenizer = tokenizer
        self.chat_template = None
        self.config = config if config is not None else AffectGPTConfig()
        missing = [PLACEHOLDERS[name] for name in PUBLISHED_PLACEHOLDER_ORDER
                   if PLACEHOLDERS[name] not in tokenizer.get_vocab()]
        if missing:
            tokenizer.add_tokens(missing, special_tokens=True)
        ids = {stream: tokenizer.convert_tokens_to_ids(token) for stream, token in PLACEHOLDERS.items()}
        self.config.placeholder_ids = ids
        self.control_tokens = ControlTokens(tokenizer)
        self.controls = self.control_tokens.ids
        self.pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        if self.config.prompt_style == "published":
            # The published system sets its own: a turn's opening as beginning, its end as end and padding.
            self.end_id = self.controls.get("<|im_end|>", tokenizer.eos_token_id)
            self.begin_id = self.controls.get("<|im_start|>", tokenizer.bos_token_id)
            self.pad_id = self.end_id

    # ------------------------------------------------------------------ media

    def load(self, clip: Clip, streams: list[str] | None = None, reader: str = "pyav",
             transcribe: bool = False, speed: float = 1.0) -> Inputs:
        """Read the media of a clip into raw tensors.

        Args:
            streams: what to read; None for all that the model looks at.
            transcribe: recognise the words of a clip that comes without.
            speed: play the sound faster (above 1) or slower, with its pitch (Ko et al. 2015, speed perturbation).
        A stream that the clip does not have is None, with a note. Bad files raise `media.MediaError`.
        """
        wanted = set(self.config.streams if streams is None else streams)
        wanted |= {"audio", self.config.fusion_visual} if "fusion" in wanted else set()
        wanted &= set(self.config.streams)
        inputs = Inputs(words=clip.words if "text" in wanted else None)
        info = media.probe(clip.media) if clip.media is not None else None
        started = time.perf_counter()
        recognise = transcribe and "text" in wanted and clip.words is None
        if recognise and clip.language != "en":
            recognise = False  # the bundled recogniser knows English only
            inputs.notes.append(f"words in {clip.language!r} are not recognised")
        if "audio" in wanted or recognise:
            source = clip.audio or clip.media
            waveform = media.read_audio(source) if clip.audio or (info and info.has_audio) else None
            if waveform is None or not len(waveform):
                inputs.notes.append("no sound in this clip")
                recognise = False
            elif "audio" in wanted:
                inputs.audio, inputs.audio_lengths = self.windows(media.change_speed(waveform, speed))
            inputs.seconds["sound"] = time.perf_counter() - started
            if recognise:
                started = time.perf_counter()
                inputs.words = media.transcribe(waveform) or None
                inputs.notes.append("words by speech recognition" if inputs.words else "no words heard")
                inputs.seconds["speech recognition"] = time.perf_counter() - started
        if wanted & {"face", "frame"}:
            if info is None or not info.has_video and info.kind != "image":
                inputs.notes.append("no picture in this clip")
            else:
                started = time.perf_counter()
                self._load_pictures(clip.media, wanted, inputs, reader)
                inputs.seconds["pictures"] = time.perf_counter() - started
        return inputs

    def _load_pictures(self, path: Path, wanted: set[str], inputs: Inputs, reader: str) -> None:
        size = self.config.visual_size
        stretched = None if self.config.keep_aspect else (size, size)
        frames = media.read_frames(path, self.config.frames, backend=reader, rule=self.config.frame_sampling)
        if "frame" in wanted:
            inputs.frame = _to_tensor(np.stack([_fit(image, size, stretched) for image in frames.images]))
        if "face" in wanted:
            crops = media.face_crops(frames.images, size=size, margin=self.config.face_margin)
            if crops.images is None:
                inputs.notes.append(crops.note)
            else:
                images = crops.images if self.config.face_channels == "rgb" else crops.images[..., ::-1]
                inputs.face = _to_tensor(np.ascontiguousarray(images))

    def windows(self, waveform: np.ndarray) -> tuple[Tensor, Tensor]:
        """16 kHz samples [N] -> windows [T, 1, L] and their lengths [T]; together they cover the whole clip."""
        config = self.config
        if config.audio_pooling == "segment":
            windows = media.segments(waveform, config.audio_segments, config.audio_window_seconds, config.audio_sampling)
            return torch.from_numpy(windows)[:, None], torch.full((len(windows),), windows.shape[1])
        limit = int(config.audio_window_seconds * media.SAMPLE_RATE)
        count = max(1, math.ceil(len(waveform) / limit))
        length = math.ceil(len(waveform) / count)
        windows = torch.zeros(count, 1, length)
        lengths = torch.zeros(count, dtype=torch.long)
        for index in range(count):
            part = torch.from_numpy(waveform[index * length : (index + 1) * length])
            windows[index, 0, : len(part)] = part
            lengths[index] = len(part)
        return windows, lengths

    # ------------------------------------------------------------------ text

    def prompt_streams(self, inputs: Inputs, hidden: tuple[str, ...] = ()) -> list[str]:
        """Streams that a prompt of these inputs names: what is there, is not hidden, and this model looks at."""
        config = self.config
        streams = [s for s in inputs.media_streams if s in config.streams and s not in hidden]
        if "fusion" in config.streams and "fusion" not in hidden and {"audio", config.fusion_visual} <= set(streams):
            streams.insert(0, "fusion")
        return streams

    def prompt_ids(self, streams: list[str], words: str | None, question: str) -> list[int]:
        """Token ids of the prompt up to where the answer starts."""
        if words is not None:
            words = self._shorten(words)
        if self.config.prompt_style == "published":
            return self._encode(prompts.published_pieces(streams, words, question))
        return self._encode(self._chat(prompts.chat_pieces(streams, words, question)))

    def answer_ids(self, answer: str) -> list[int]:
        """Token ids of an answer with its end."""
        if self.config.prompt_style == "published":
            return self._encode([Outside(answer + prompts.PUBLISHED_STOP)]) + [self.end_id]
        return self._encode([Outside(answer)]) + [self.tokenizer.eos_token_id]

    def _shorten(self, words: str) -> str:
        ids = self.tokenizer(words, add_special_tokens=False, split_special_tokens=True).input_ids
        limit = self.config.words_max_tokens
        return words if len(ids) <= limit else self.tokenizer.decode(ids[:limit])

    def _chat(self, pieces: list[prompts.Piece]) -> list[prompts.Piece | int]:
        """Wrap the user's message in the LLM's chat template; its control tokens become ids, all else stays text."""
        messages = [{"role": "system", "content": prompts.SYSTEM_MESSAGE},
                    {"role": "user", "content": _HOLE.format("message")}]
        rendered = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        before, after = rendered.split(_HOLE.format("message"))
        wrapped: list[prompts.Piece | int] = []
        for part, inner in ((before, pieces), (after, [])):
            wrapped += [self.controls.get(text, Text(text)) for text in self.control_tokens.split(part)]
            wrapped += inner
        return wrapped

    def _encode(self, pieces: list[prompts.Piece | int]) -> list[int]:
        """Pieces -> ids. Neighbouring texts are joined first, so that words merge as in one string."""
        ids: list[int] = []
        text = ""
        for piece in [*pieces, None]:
            if isinstance(piece, Text | Outside):
                text += piece.text
                continue
            if text:
                ids += self.control_tokens.plain(text)
                text = ""
            if isinstance(piece, Stream):
                ids += [self.config.placeholder_ids[piece.name]] * self.config.tokens_of(piece.name)
            elif isinstance(piece, int):
                ids.append(piece)
        return ids

    # ------------------------------------------------------------------ batches

    def training_text(self, inputs, question: str, answer: str, hidden: tuple[str, ...] = ()) -> dict:
        """`input_ids`, `labels` and the streams `shown` of a training sample.

        inputs: `Inputs`, or anything that knows its `media_streams` and `words`; no tensor is looked at.
        """
        streams = self.prompt_streams(inputs, hidden)
        words = None if "text" in hidden else inputs.words
        prompt, target = self.prompt_ids(streams, words, question), self.answer_ids(answer)
        if self.config.prompt_style == "published":
            prompt = [self.begin_id, *prompt]  # only its training prompts have it
        return {"input_ids": prompt + target, "labels": [-100] * len(prompt) + target, "shown": streams}

    def training_sample(self, inputs: Inputs, question: str, answer: str, hidden: tuple[str, ...] = ()) -> dict:
        """One training sample: token lists and the tensors of the streams that are shown."""
        sample = self.training_text(inputs, question, answer, hidden)
        return sample | _shown(inputs, sample.pop("shown"))

    def inference_sample(self, inputs: Inputs, question: str, hidden: tuple[str, ...] = ()) -> dict:
        """One sample to answer: the prompt and the tensors of the streams that are shown."""
        streams = self.prompt_streams(inputs, hidden)
        words = None if "text" in hidden else inputs.words
        return {"input_ids": self.prompt_ids(streams, words, question), **_shown(inputs, streams)}

    def collate(self, samples: list[dict], side: str = "right") -> dict[str, Tensor]:
        """Samples -> a padded batch; `side` is "right" for training and "left" for generation."""
        return collate(samples, self.pad_id, side)

    def decode(self, ids: Tensor) -> list[str]:
        """Generated ids [B, S] -> texts without control tokens."""
        return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def generation_options(self, max_new_tokens: int = 160) -> dict:
        """Greedy decoding that stops at the end of the answer."""
        ends = {self.tokenizer.eos_token_id}
        options = {}
        if self.config.prompt_style == "published":
            ends.add(self.end_id)
            options = {"stop_strings": [prompts.PUBLISHED_STOP], "tokenizer": self.tokenizer}
        return {"max_new_tokens": max_new_tokens, "do_sample": False, "pad_token_id": self.pad_id,
                "eos_token_id": sorted(ends), **options}

    # ------------------------------------------------------------------ folders

    def save_pretrained(self, save_directory, **kwargs) -> None:
        """Write the tokenizer; the rest of a processor is the model's config.json."""
        self.tokenizer.save_pretrained(save_directory)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs) -> AffectGPTProcessor:
        """Read a model folder written by `save_pretrained` of processor and model."""
        folder = pretrained_model_name_or_path
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # tokenizers raises plain Exception for a file that is cut off
            raise ValueError(f"{folder}: its tokenizer cannot be read, the model is half written ({error})") from error
        return cls(tokenizer, AffectGPTConfig.from_pretrained(folder))


def _shown(inputs: Inputs, streams: list[str]) -> dict:
    shown = {stream: getattr(inputs, stream) for stream in streams if stream != "fusion"}
    if "audio" in shown:
        shown["audio_lengths"] = inputs.audio_lengths
    return shown


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


AutoProcessor.register(AffectGPTConfig, AffectGPTProcessor, exist_ok=True)
