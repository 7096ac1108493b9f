"""Any Hugging Face chat model answers: pictures, sound and words go in as its own processor takes them."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectgpt import hub
from affectgpt.data import prompts
from affectgpt.data.clip import Clip
from affectgpt.environment import process_device
from affectgpt.eval.answering import families, rival_media
from affectgpt.eval.answering.answerers import (
    Answer,
    Job,
    Request,
    batches,
    checkpoint_name,
    weights_fingerprint,
)
from affectgpt.eval.answering.chat_inputs import Preparer, because, join, load_processor, read_config
from affectgpt.eval.answering.rival_media import RivalInputs

KEPT_MODULES = r"(.*\.)?(lm_head|\w*(vision|visual|image|video|audio|speech|projector|merger)\w*)"
"""Parts that bitsandbytes leaves as they are, by the names that transformers gives them: head, encoders, projectors."""


class ChatSource:
    """`hf:ID_OR_FOLDER`: a video, audio, omni-modal or text model with a chat template."""

    # One clip at a time fits wherever the model does; a clip of a video model may be thousands of tokens.
    default_batch, chunk, style, fusion = 1, 4, "rival", None

    def __init__(self, job: Job):
        from affectgpt.errors import quiet_libraries

        quiet_libraries()
        self.job, self.model = job, job.model
        self.name = job.model.removeprefix("hf:")
        self.path = hub.locate(self.name, "MODEL")
        self.processor, self.tokenizer = load_processor(self.path, self.name, job.trust_remote_code)
        self.family = families.family_of(read_config(self.path).get("model_type"))
        self.preparer = Preparer(self.processor, self.tokenizer, self.family)
        hears, sees = self.preparer.sounds is not None, self.preparer.sees
        self.streams = ["audio"] * hears + ["frame"] * sees + ["text"]
        self.able = self.streams[:-1] + ["face"] * sees + ["text"]
        name = Path(self.name).name
        self.checkpoints: list[int | str] = [checkpoint_name(job.checkpoint) if job.checkpoint else name]

    def check_streams(self, streams: list[str]) -> None:
        rival_media.check_streams(streams, self.able, self.model)

    def identity(self) -> dict[str, Any]:
        return {"weights": self._revision(), "dtype": self.job.dtype, "reader": self.job.reader,
                "frames": self.job.frames, "pictures_as": "video" if self.preparer.takes_video else "images",
                **({"quantize": self.job.quantize} if self.job.quantize else {})}

    def _revision(self) -> str:
        if Path(self.path).is_dir():
            return weights_fingerprint(self.path)
        from transformers.utils.hub import cached_file, extract_commit_hash

        return f"commit:{extract_commit_hash(cached_file(self.path, 'config.json'), None)}"

    def open(self, checkpoint: int | str, clips: list[Clip], needed: set[str], store: Path) -> ChatAnswerer:
        return ChatAnswerer(self, needed)


def load_model(path: str, name: str, trust: bool, dtype: str = "auto", device: str = "cpu",
               device_map: str | None = None, quantize: str | None = None):
    """The model in the class that transformers has for generating text from what it takes, on its devices; of a model
    that also speaks, the part that writes.

    Args:
        device_map: spread over the GPUs and the memory of this machine as accelerate does it; None for all on `device`.
        quantize: "8bit" or "4bit" by bitsandbytes, "int8" the project's own, on a CPU; None as the weights are.
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
        kind = next((kind for kind in kinds if type(config) in kind._model_mapping
                     or trust and kind.__name__ in (getattr(config, "auto_map", None) or {})), None)
        if kind is None:
            raise ValueError(f"a {config.model_type!r} model does not chat; tried "
                             f"{', '.join(kind.__name__ for kind in kinds)}")
        options: dict[str, Any] = {"dtype": dtype, **_placement(config, device, device_map, quantize)}
        if families.family_of(config.model_type).thinker:
            model = _load_thinker(kind._model_mapping[type(config)], path, config, options)
        else:
            model = kind.from_pretrained(path, trust_remote_code=trust, **options)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(f"hf:{name}: cannot be loaded {because(error)}") from error
    if "device_map" not in options:
        model.to(device)
    if quantize == "int8":
        from affectgpt.models.int8 import quantise

        quantise(model.get_decoder())
    return model.eval()


def _placement(config, device: str, device_map: str | None, quantize: str | None) -> dict[str, Any]:
    """Options of `from_pretrained` that say where weights go and in how many bits."""
    placed: dict[str, Any] = {"device_map": device_map} if device_map else {}
    if quantize is None:
        return placed
    from affectgpt.models.int8 import check_quantisable

    check_quantisable(config, device, quantize)
    if quantize == "int8":
        return placed
    from transformers import BitsAndBytesConfig

    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # it tells of each product that float32 becomes float16
    kind = {"load_in_8bit": True} if quantize == "8bit" else {
        "load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
    bits = BitsAndBytesConfig(**kind, llm_int8_skip_modules=[KEPT_MODULES])
    return {"device_map": {"": device}, **placed, "quantization_config": bits}


def _load_thinker(kind, path: str, config, options: dict[str, Any]):
    """The part of a speaking model that writes; what speaks is never made, and its weights are not read into it."""
    config.enable_audio_output = False
    # Not the class's own from_pretrained: it wants the file of voices too.
    whole = super(kind, kind).from_pretrained(path, config=config, **options)
    thinker = whole.thinker
    thinker.generation_config = whole.generation_config
    return thinker


class ChatAnswerer:
    """A chat model of Hugging Face, with weights."""

    def __init__(self, source: ChatSource, needed: set[str]):
        self.job, self.tokenizer, self.needed = source.job, source.tokenizer, needed
        self.preparer, self.family, self.prepared = source.preparer, source.family, {}
        device = process_device(source.job.device, "--device ")
        self.model = load_model(source.path, source.name, self.job.trust_remote_code, self.job.dtype, device,
                                self.job.device_map, self.job.quantize)
        self.device = str(self.model.device)
        ends = self.model.generation_config.eos_token_id
        ends = ends if ends is not None else self.tokenizer.eos_token_id
        self.ends = set(ends) if isinstance(ends, list) else {ends}

    def load(self, clip: Clip) -> RivalInputs:
        return rival_media.load(clip, self.needed, self.job.frames, self.job.reader)

    def shown(self, inputs: RivalInputs, streams: tuple[str, ...]) -> tuple[str, ...]:
        return inputs.shown(streams)

    def length(self, request: Request) -> tuple:
        return *self.preparer.shape(request), len(prompts.rival_text(request.inputs.words, request.question))

    def answers(self, requests: list[Request], batch_size: int) -> Iterator[list[Answer]]:
        import torch

        from affectgpt.eval.answering.decoding import Choice

        size = batch_size if self.family.batches else 1
        for batch in batches(requests, size, lambda request: (self.preparer.shape(request), request.max_new_tokens)):
            tensors = self._placed(join([self.preparer.tensors(request) for request in batch],
                                        self.tokenizer.pad_token_id))
            choice = Choice(self.job.sampling, [request.seed for request in batch])
            with torch.inference_mode():
                # What a model's own settings say about sampling does not count here.
                ids = self.model.generate(
                    **tensors, max_new_tokens=batch[0].max_new_tokens, do_sample=False, num_beams=1, temperature=None,
                    top_p=None, top_k=None, eos_token_id=sorted(self.ends), pad_token_id=self.tokenizer.pad_token_id,
                    logits_processor=[choice])
            ends = choice.confidences(ids, self.ends)
            new = ids[:, ids.shape[1] - len(choice.probabilities) :]
            texts = self.tokenizer.batch_decode(new, skip_special_tokens=True)
            yield [Answer(text.strip(), confidence, not ended)
                   for text, (confidence, ended) in zip(texts, ends, strict=True)]

    def _placed(self, tensors: dict[str, Any]) -> dict[str, Any]:
        """On the model's device, numbers in its format."""
        import torch

        return {name: value.to(self.model.device, self.model.dtype if value.is_floating_point() else None)
                if isinstance(value, torch.Tensor) else value for name, value in tensors.items()}
