"""AffectGPT answers: a model folder, or every checkpoint of a training run.

Shapes: as in `affectgpt.models.modeling`.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip
from affectgpt.environment import process_device
from affectgpt.eval.answering.answerers import (
    Answer,
    Job,
    Request,
    batches,
    checkpoint_name,
    weights_fingerprint,
)
from affectgpt.media import MediaError
from affectgpt.model_folder import check_model_folder, check_streams
from affectgpt.models import prompting
from affectgpt.models.streams import STREAMS


class AffectGPTSource:
    """A model folder, or a training output folder with its checkpoints."""

    default_batch, chunk = 16, 16

    def __init__(self, job: Job):
        from affectgpt.errors import quiet_libraries
        from affectgpt.models.configuration import AffectGPTConfig

        quiet_libraries()
        self.job, self.model = job, job.model
        self.folders = checkpoint_folders(Path(job.model), job.checkpoints)
        for folder in self.folders.values():
            check_model_folder(folder)
        if job.checkpoint is not None:
            if len(self.folders) > 1:
                raise ValueError(f"--checkpoint {job.checkpoint} names one checkpoint, and {job.model} has "
                                 f"{len(self.folders)}: choose some with --checkpoints")
            self.folders = {checkpoint_name(job.checkpoint): next(iter(self.folders.values()))}
        self.config = AffectGPTConfig.from_pretrained(next(iter(self.folders.values())))
        self.style, self.max_new_tokens = self.config.prompt_style, self.config.max_new_tokens
        self.streams = [stream for stream in STREAMS
                        if stream in self.config.streams]
        self.fusion = {"audio", self.config.fusion_visual} if "fusion" in self.streams else None

    @property
    def checkpoints(self) -> list[int | str]:
        return list(self.folders)

    def check_streams(self, streams: list[str]) -> None:
        """Raise ValueError for a stream that the model does not have."""
        check_streams(self.config, streams)

    def identity(self) -> dict[str, Any]:
        """What tells this model from another, besides its name."""
        return {"weights": {str(name): weights_fingerprint(folder) for name, folder in self.folders.items()},
                "dtype": self.job.dtype, "reader": self.job.reader,
                **({"quantize": self.job.quantize} if self.job.quantize else {})}

    def open(self, checkpoint: int | str, clips: list[Clip], needed: set[str], store: Path) -> AffectGPTAnswerer:
        """Load a checkpoint and make the features that it lacks of this process's share of `clips`."""
        return AffectGPTAnswerer(self, self.folders[checkpoint], clips, needed, store)


class AffectGPTAnswerer:
    """An AffectGPT model that reads features from a store: each clip is read and encoded once, whatever is asked."""

    def __init__(self, source: AffectGPTSource, folder: Path, clips: list[Clip], needed: set[str], store: Path):
        from affectgpt.features.extract import extract
        from affectgpt.features.key import settings_key, store_settings
        from affectgpt.features.store import FeatureStore
        from affectgpt.inference import Describer
        from affectgpt.models.processing import AffectGPTProcessor

        job = source.job
        describer = Describer(folder, process_device(job.device, "--device "),
                              None if job.dtype == "auto" else job.dtype, job.quantize)
        self.job, self.model, self.processor = job, describer.model, describer.processor
        self.device = str(self.model.device)
        config = self.processor.config
        encoded = config
        if needed < set(config.streams):  # streams that nobody is asked about need no features
            encoded = copy.deepcopy(config)
            encoded.streams = [stream for stream in config.streams if stream in needed]
        reader = AffectGPTProcessor(self.processor.tokenizer, encoded)
        # Encoders that were trained, or that have no name, are those of the model's own folder.
        own = folder if describer.trained_encoders or config.bundled else None
        options = {"reader": job.reader, "transcribe": describer.transcribe, "weights": own}
        if not (store / "store.json").is_file():
            store = store / settings_key(store_settings(encoded, **options))
        started = time.perf_counter()
        # The job itself judges how many clips may be lost.
        summary = extract(self.model, reader, clips, store, workers=job.workers, max_skip_ratio=1.0, rank=job.rank,
                          world_size=job.world_size, title="features", **options)
        self.prepared = {"features_computed": summary.computed,
                         "features_seconds": round(time.perf_counter() - started, 3)}
        self.store = FeatureStore.open(store, encoded, clips[job.rank :: job.world_size], **options)

    def load(self, clip: Clip):
        if clip.key in self.store.skipped:
            raise MediaError(self.store.skipped[clip.key])
        return self.store[clip.key]

    def shown(self, inputs, streams: tuple[str, ...]) -> tuple[str, ...]:
        there = self.processor.prompt_streams(inputs, self._hidden(streams))
        return tuple(there) + (("text",) if "text" in streams and inputs.words else ())

    def words_cut(self, inputs) -> bool:
        """Whether the words are longer than a prompt takes."""
        return bool(inputs.words and self.processor.words_cut(inputs.words))

    def _hidden(self, streams: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(stream for stream in STREAMS if stream not in streams)

    def length(self, request: Request) -> int:
        return len(self._sample(request)["input_ids"])

    def _sample(self, request: Request) -> dict:
        return self.processor.inference_sample(request.inputs, request.question, self._hidden(request.streams))

    def answers(self, requests: list[Request], batch_size: int) -> Iterator[list[Answer]]:
        import torch

        from affectgpt.eval.answering.decoding import Choice

        tokenizer = self.processor.tokenizer
        stop = prompting.PUBLISHED_STOP if self.processor.config.prompt_style == "published" else None
        stopped = (lambda tokens: stop in tokenizer.decode(tokens)) if stop else None
        for batch in batches(requests, batch_size, lambda request: request.max_new_tokens):
            tensors = self.processor.collate([self._sample(request) for request in batch], side="left")
            tensors = {name: value.to(self.model.device) for name, value in tensors.items()}
            options = self.processor.generation_options(batch[0].max_new_tokens)
            choice = Choice(self.job.sampling, [request.seed for request in batch])
            with torch.inference_mode():
                ids = self.model.generate(**tensors, **options, logits_processor=[choice])
            ends = choice.confidences(ids, set(options["eos_token_id"]), stopped)
            texts = [text.split(stop)[0].strip() if stop else text for text in self.processor.decode(ids)]
            yield [Answer(text, confidence, not ended)
                   for text, (confidence, ended) in zip(texts, ends, strict=True)]


def checkpoint_folders(folder: Path, wanted: str) -> dict[int | str, Path]:
    """Name -> model folder: of one model, or of the chosen checkpoints of a run (by their training step).

    Raises:
        ValueError: a run without a whole checkpoint, or a checkpoint that it does not have.
    """
    from affectgpt.files import is_done

    if (folder / "config.json").is_file() or not (folder / "checkpoints").is_dir():
        return {_name_of(folder): folder}
    found = {_step(path): path for path in sorted((folder / "checkpoints").glob("step-*")) if is_done(path)}
    if not found:
        raise ValueError(f"{folder / 'checkpoints'}: has no whole checkpoint; let the training run go on")
    if wanted == "all":
        return dict(found)
    if wanted == "best":
        state = json.loads((found[max(found)] / "state.json").read_text(encoding="utf-8"))
        steps = [state["best_step"]]
    else:
        try:
            steps = [int(word) for word in wanted.split(",")]
        except ValueError as error:
            raise ValueError(f"--checkpoints {wanted}: use all, best, or training steps between commas") from error
    for step in steps:
        if step not in found:
            raise ValueError(f"--checkpoints {wanted}: {folder} has no whole checkpoint of step {step}; it has "
                             f"{', '.join(map(str, found))}")
    return {step: found[step] for step in steps}


def _name_of(folder: Path) -> int | str:
    """The training step that a model folder is of, where it is known; else its name."""
    folder = folder.resolve()
    if folder.name.startswith("step-"):
        return checkpoint_name(folder.name.removeprefix("step-"))
    try:
        best = json.loads((folder / "training.json").read_text(encoding="utf-8"))["best_checkpoint"]
        return _step(Path(best))
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name


def _step(path: Path) -> int:
    return int(path.name.removeprefix("step-"))
