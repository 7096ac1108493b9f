"""Answers from a trained model: files or clips in, descriptions with labels and polarity out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

from affectgpt.data import prompts, reading
from affectgpt.data.clip import Clip
from affectgpt.media import MediaError

MEDIA_SUFFIXES = (".mp4", ".webm", ".avi", ".mov", ".mkv", ".m4v", ".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a",
                  ".aac", ".jpg", ".jpeg", ".png")


@dataclass(frozen=True)
class Description:
    """What a model says of one clip. `seconds` is the time from file to answer; `notes` says what was missing."""

    file: str
    description: str
    labels: list[str]
    polarity: str
    streams: list[str]
    seconds: float
    words: str | None = None
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict:
        """Plain values for JSON, without the timings."""
        values = asdict(self)
        del values["timings"]
        return values


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    file: str
    reason: str


def find_media(paths: list[str | Path]) -> list[Path]:
    """Files to describe: files as they are, and the media files of a folder by name.

    Raises:
        ValueError: a folder without media files.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.suffix.lower() in MEDIA_SUFFIXES)
            if not inside:
                raise ValueError(f"{path}: the folder has no media files ({', '.join(MEDIA_SUFFIXES)})")
            files += inside
        else:
            files.append(path)
    return files


class Describer:
    """A loaded model that describes clips.

    Args:
        folder: a model folder written by training.
        device: "auto", "cpu" or "cuda".
        dtype: what the LLM computes in, "float32" or "bfloat16"; None for what it was trained in, or float32 where
            the device would have to emulate that.
    Raises:
        ValueError: no such folder, or one that is half written.
    """

    def __init__(self, folder: str | Path, device: str = "auto", dtype: str | None = None):
        import torch

        from affectgpt.config import Recipe, load_recipe
        from affectgpt.environment import runnable_dtype
        from affectgpt.models.modeling import AffectGPTForConditionalGeneration
        from affectgpt.models.processing import AffectGPTProcessor

        folder = check_model_folder(folder)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AffectGPTProcessor.from_pretrained(folder)
        config = self.processor.config
        self.model = AffectGPTForConditionalGeneration.from_pretrained(
            folder, config=config, dtype=dtype or runnable_dtype(config, device), merge_lora=True)
        recipe = folder / "recipe.yaml"
        if not recipe.is_file() and folder.resolve().parent.name == "checkpoints":  # that of the run
            recipe = folder.resolve().parent.parent / "recipe.yaml"
        stored = load_recipe(recipe) if recipe.is_file() else Recipe()
        self.transcribe = stored.data.transcribe
        self.trained_encoders = stored.model.train_encoders
        self.model.merge_lora()
        if dtype is not None:  # a folder that holds its LLM is loaded in float32, whatever is asked
            self.model.language_model.to(getattr(torch, dtype))
        self.model.to(device).eval()

    def check_streams(self, streams: list[str] | None) -> list[str]:
        """The streams to look at; all of the model where None.

        Raises:
            ValueError: a stream that the model does not have.
        """
        return check_streams(self.processor.config, streams)

    def answers(self, samples: list[dict], batch_size: int = 16, max_new_tokens: int = 160) -> Iterator[str]:
        """Texts for samples of `processor.inference_sample`, in their order."""
        import torch

        for start in range(0, len(samples), batch_size):
            batch = self.processor.collate(samples[start : start + batch_size], side="left")
            batch = {key: value.to(self.model.device) for key, value in batch.items()}
            with torch.inference_mode():
                ids = self.model.generate(**batch, **self.processor.generation_options(max_new_tokens))
            yield from self.processor.decode(ids)

    def describe(self, clips: Iterable[Clip], streams: list[str] | None = None, question: str | None = None,
                 transcribe: bool = True, batch_size: int = 4,
                 reader: str = "pyav") -> Iterator[Description | Skipped]:
        """Describe clips, a batch at a time; a file that cannot be read gives `Skipped` and stops nothing.

        Args:
            streams: what to look at; None for all that the model has.
            question: another question than the default one.
            transcribe: recognise the words of clips that come without.
        """
        looked_at = self.check_streams(streams)
        style = self.processor.config.prompt_style
        question = question or prompts.question_of("description", style)
        batch: list[tuple[Clip, object, float]] = []
        for clip in clips:
            started = time.perf_counter()
            try:
                inputs = reading.load_clip(self.processor, clip, looked_at, reader, transcribe)
            except MediaError as error:
                yield Skipped(str(clip.media), str(error))
                continue
            batch.append((clip, inputs, time.perf_counter() - started))
            if len(batch) == batch_size:
                yield from self._describe_batch(batch, looked_at, question)
                batch = []
        if batch:
            yield from self._describe_batch(batch, looked_at, question)

    def _describe_batch(self, batch, streams, question) -> Iterator[Description | Skipped]:
        started = time.perf_counter()
        hidden = tuple(stream for stream in ("fusion",) if stream not in streams)
        usable = []
        for clip, inputs, seconds in batch:
            if self.processor.prompt_streams(inputs, hidden) or inputs.words:
                usable.append((clip, inputs, seconds))
            else:
                yield Skipped(str(clip.media), f"{clip.media}: nothing to describe: {'; '.join(inputs.notes)}")
        samples = [self.processor.inference_sample(inputs, question, hidden) for _, inputs, _ in usable]
        texts = list(self.answers(samples, len(samples) or 1))
        share = (time.perf_counter() - started) / max(1, len(usable))
        for (clip, inputs, seconds), text in zip(usable, texts, strict=True):
            answer = prompts.parse_answer(text)
            shown = self.processor.prompt_streams(inputs, hidden) + (["text"] if inputs.words else [])
            yield Description(str(clip.media), answer.description, list(answer.labels), answer.polarity, shown,
                              round(seconds + share, 2), inputs.words, inputs.notes,
                              {**inputs.seconds, "encoders and LLM": share})


def check_streams(config, streams: list[str] | None) -> list[str]:
    """The streams that a model of this configuration is to look at; all that it has where None.

    Raises:
        ValueError: a stream that the model does not have.
    """
    have = config.streams
    if "fusion" in (streams or []) and not {"audio", config.fusion_visual} <= set(streams):
        raise ValueError(f"the fusion stream is made of audio and {config.fusion_visual}: name both beside it")
    for stream in streams or []:
        if stream not in have:
            raise ValueError(f"this model does not look at {stream!r}: it has {', '.join(have)}")
    return list(streams) if streams else list(have)


def check_model_folder(folder: str | Path) -> Path:
    """The folder, if it holds a finished model.

    Raises:
        ValueError: it does not exist, is half written, or holds another kind of model.
    """
    import json

    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such model folder; name one with --model, or train one here with: "
                         "affectgpt starter")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: {name} is missing, so the model is half written or not an AffectGPT model; "
                             "train it again or give another folder")
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except (json.JSONDecodeError, AttributeError) as error:
        raise ValueError(f"{folder / 'config.json'}: not readable as JSON; train the model again") from error
    if kind != "affectgpt":
        raise ValueError(f"{folder}: holds a {kind!r} model, not an AffectGPT model")
    return folder
