"""Any Hugging Face chat model answers: pictures, sound and words go in as its own processor takes them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectgpt import hub
from affectgpt.data import prompts
from affectgpt.data.clip import Clip
from affectgpt.environment import process_device
from affectgpt.eval.answering import rival_media
from affectgpt.eval.answering.answerers import (
    Answer,
    Job,
    Request,
    batches,
    checkpoint_name,
    weights_fingerprint,
)
from affectgpt.eval.answering.rival_media import RivalInputs
from affectgpt.media import SAMPLE_RATE


class ChatSource:
    """`hf:ID_OR_FOLDER`: a video, audio, omni-modal or text model with a chat template."""

    # Processors differ in how they pad batches of pictures; one clip at a time is right for all of them.
    default_batch, chunk, style, fusion = 1, 4, "rival", None

    def __init__(self, job: Job):
        from affectgpt.errors import quiet_libraries

        quiet_libraries()
        self.job, self.model = job, job.model
        self.name = job.model.removeprefix("hf:")
        self.path = hub.locate(self.name, "MODEL")
        self.processor, self.tokenizer = load_processor(self.path, self.name, job.trust_remote_code)
        self.sound_processor = _sound_processor(self.processor)
        visual = getattr(self.processor, "image_processor", None) or getattr(self.processor, "video_processor", None)
        self.streams = ["audio"] * (self.sound_processor is not None) + ["frame"] * (visual is not None) + ["text"]
        self.able = self.streams[:-1] + ["face"] * (visual is not None) + ["text"]
        name = Path(self.name).name
        self.checkpoints: list[int | str] = [checkpoint_name(job.checkpoint) if job.checkpoint else name]

    def check_streams(self, streams: list[str]) -> None:
        rival_media.check_streams(streams, self.able, self.model)

    def identity(self) -> dict[str, Any]:
        return {"weights": self._revision(), "dtype": self.job.dtype, "reader": self.job.reader,
                "frames": self.job.frames}

    def _revision(self) -> str:
        if Path(self.path).is_dir():
            return weights_fingerprint(self.path)
        from transformers.utils.hub import cached_file, extract_commit_hash

        return f"commit:{extract_commit_hash(cached_file(self.path, 'config.json'), None)}"

    def open(self, checkpoint: int | str, clips: list[Clip], needed: set[str], store: Path) -> ChatAnswerer:
        return ChatAnswerer(self, needed)


def load_processor(path: str, name: str, trust: bool):
    """(processor, its tokenizer) of a chat model; of a text model both are the tokenizer.

    Raises:
        ValueError: it cannot be had, brings its own code, or has no chat template.
    """
    from transformers import AutoProcessor

    try:
        processor = AutoProcessor.from_pretrained(path, trust_remote_code=trust)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"hf:{name}: its processor cannot be loaded {_because(error)}") from error
    tokenizer = getattr(processor, "tokenizer", processor)
    if getattr(processor, "chat_template", None) is None and getattr(tokenizer, "chat_template", None) is None:
        raise ValueError(f"hf:{name}: has no chat template, so it cannot be asked; choose an instruction-tuned model")
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return processor, tokenizer


def _because(error: Exception) -> str:
    hint = "; it brings its own code: read it, then add --trust-remote-code"
    return f"({' '.join(str(error).split())[:300]})" + (hint if "trust_remote_code" in str(error) else "")


def _sound_processor(processor):
    """What turns waveforms into inputs; None where the model does not hear."""
    from transformers import SequenceFeatureExtractor

    for name in ("feature_extractor", "audio_processor"):
        found = getattr(processor, name, None)
        if isinstance(found, SequenceFeatureExtractor) or name == "audio_processor" and found is not None:
            return found
    return None


def load_model(path: str, name: str, trust: bool, dtype: str = "auto"):
    """The model in the class that transformers has for generating text from what it takes.

    Raises:
        ValueError: no such class, or weights that cannot be loaded.
    """
    from transformers import (
        AutoConfig,
        AutoModelForCausalLM,
        AutoModelForImageTextToText,
        AutoModelForMultimodalLM,
    )

    kinds = (AutoModelForMultimodalLM, AutoModelForImageTextToText, AutoModelForCausalLM)
    try:
        config = AutoConfig.from_pretrained(path, trust_remote_code=trust)
        for kind in kinds:
            own_code = trust and kind.__name__ in (getattr(config, "auto_map", None) or {})
            if type(config) in kind._model_mapping or own_code:
                return kind.from_pretrained(path, dtype=dtype, trust_remote_code=trust)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"hf:{name}: cannot be loaded {_because(error)}") from error
    raise ValueError(f"hf:{name}: a {config.model_type!r} model does not chat; tried "
                     f"{', '.join(kind.__name__ for kind in kinds)}")


class ChatAnswerer:
    """A chat model of Hugging Face, with weights."""

    def __init__(self, source: ChatSource, needed: set[str]):
        self.job, self.processor, self.tokenizer, self.needed = source.job, source.processor, source.tokenizer, needed
        self.sound_processor, self.prepared = source.sound_processor, {}
        self.takes_media = source.streams != ["text"]
        self.pictures_as_video = getattr(source.processor, "image_processor", None) is None
        self.model = load_model(source.path, source.name, self.job.trust_remote_code, self.job.dtype)
        self.model.to(process_device(source.job.device, "--device ")).eval()
        self.device = str(self.model.device)
        ends = self.model.generation_config.eos_token_id
        ends = ends if ends is not None else self.tokenizer.eos_token_id
        self.ends = set(ends) if isinstance(ends, list) else {ends}

    def load(self, clip: Clip) -> RivalInputs:
        return rival_media.load(clip, self.needed, self.job.frames, self.job.reader)

    def shown(self, inputs: RivalInputs, streams: tuple[str, ...]) -> tuple[str, ...]:
        return inputs.shown(streams)

    def length(self, request: Request) -> tuple:
        return *_shape(request), len(prompts.rival_text(request.inputs.words, request.question))

    def conversation(self, request: Request) -> list[dict[str, Any]]:
        """One user's message, in the form that chat templates take."""
        from PIL import Image

        inputs, parts = request.inputs, []
        if inputs.visual in request.shown:
            pictures = [Image.fromarray(picture) for picture in inputs.pictures]
            parts = [{"type": "video", "video": pictures}] if self.pictures_as_video else \
                [{"type": "image", "image": picture} for picture in pictures]
        if "audio" in request.shown:
            parts.append({"type": "audio", "audio": self._resampled(inputs.sound)})
        text = prompts.rival_text(inputs.words if "text" in request.shown else None, request.question)
        content = [*parts, {"type": "text", "text": text}] if self.takes_media else text
        return [{"role": "user", "content": content}]

    def _resampled(self, sound):
        rate = getattr(self.sound_processor, "sampling_rate", SAMPLE_RATE)
        if rate == SAMPLE_RATE:
            return sound
        from math import gcd

        from scipy.signal import resample_poly

        return resample_poly(sound, rate // gcd(rate, SAMPLE_RATE), SAMPLE_RATE // gcd(rate, SAMPLE_RATE))

    def answers(self, requests: list[Request], batch_size: int) -> Iterator[list[Answer]]:
        import torch

        from affectgpt.eval.answering.decoding import Choice

        for batch in batches(requests, batch_size, lambda request: (_shape(request), request.max_new_tokens)):
            tensors = self._tensors([self.conversation(request) for request in batch])
            choice = Choice(self.job.sampling, [request.seed for request in batch])
            with torch.inference_mode():
                # What a model's own settings say about sampling does not count here.
                ids = self.model.generate(
                    **tensors, max_new_tokens=batch[0].max_new_tokens, do_sample=False, num_beams=1, temperature=None,
                    top_p=None, top_k=None, pad_token_id=self.tokenizer.pad_token_id, logits_processor=[choice])
            ends = choice.confidences(ids, self.ends)
            new = ids[:, ids.shape[1] - len(choice.probabilities) :]
            texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
            yield [Answer(text.strip(), confidence, not ended)
                   for text, (confidence, ended) in zip(texts, ends, strict=True)]

    def _tensors(self, conversations: list) -> dict[str, Any]:
        """Inputs of the model; what words and questions spell is never a control token or a place for media."""
        options = {"padding": True} if self.takes_media else {}
        rate = {"sampling_rate": getattr(self.sound_processor, "sampling_rate", SAMPLE_RATE)} \
            if any(part["type"] == "audio" for talk in conversations for part in talk[0]["content"]
                   if isinstance(part, dict)) else {}
        batch = self.processor.apply_chat_template(
            conversations, add_generation_prompt=True, tokenize=True, return_dict=True, return_tensors="pt",
            sanitize_control_tokens=True,
            **({"processor_kwargs": options | rate} if self.takes_media else {"padding": True}))
        return batch.to(self.model.device, self.model.dtype) if self.takes_media else batch.to(self.model.device)


def _shape(request: Request) -> tuple:
    """Requests of one shape can share a batch: whether there are pictures and how many, whether there is sound."""
    pictures = len(request.inputs.pictures) if request.inputs.visual in request.shown else 0
    return pictures, "audio" in request.shown
