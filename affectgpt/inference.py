"""Answers from a trained model: files or clips in, descriptions with labels and polarity out."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from affectgpt.data import prompts, reading
from affectgpt.data.clip import Clip
from affectgpt.data.inputs import Inputs
from affectgpt.description import Description, Reply, Skipped
from affectgpt.media import MediaError
from affectgpt.media.finding import MEDIA_SUFFIXES, find_media
from affectgpt.model_folder import check_model_folder, check_streams
from affectgpt.models import prompting

__all__ = ["MEDIA_SUFFIXES", "Describer", "Description", "Reply", "Skipped", "check_model_folder", "check_streams",
           "find_media"]


class Describer:
    """A loaded model that describes clips.

    Args:
        folder: a model folder written by training.
        device: "auto", "cpu" or "cuda".
        dtype: what the LLM computes in, "float32" or "bfloat16"; None for what it was trained in, or float32 where
            the device would have to emulate that.
        quantize: "int8" holds the LLM's linear layers in eight bits each weight (`models.int8`), on a CPU only; "8bit"
            and "4bit" hold them as bitsandbytes does.
    Raises:
        ValueError: no such folder, one that is half written, or one that cannot be quantised.
    """

    def __init__(self, folder: str | Path, device: str = "auto", dtype: str | None = None,
                 quantize: str | None = None):
        import torch

        from affectgpt.config import Recipe, load_recipe
        from affectgpt.environment import runnable_dtype
        from affectgpt.models.int8 import check_quantisable
        from affectgpt.models.modeling import AffectGPTForConditionalGeneration
        from affectgpt.models.processing import AffectGPTProcessor

        folder = check_model_folder(folder)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.processor = AffectGPTProcessor.from_pretrained(folder)
        config = self.processor.config
        if quantize is not None:
            check_quantisable(config.text_config, device, quantize)
        self.model = AffectGPTForConditionalGeneration.from_pretrained(
            folder, config=config, dtype=dtype or runnable_dtype(config, device), merge_lora=True, quantize=quantize,
            device=device)
        recipe = folder / "recipe.yaml"
        if not recipe.is_file() and folder.resolve().parent.name == "checkpoints":  # that of the run
            recipe = folder.resolve().parent.parent / "recipe.yaml"
        stored = load_recipe(recipe) if recipe.is_file() else Recipe()
        self.transcribe = stored.data.transcribe
        self.trained_encoders = stored.model.train_encoders
        self.model.merge_lora()
        self.model.to(device).eval()

    def check_streams(self, streams: list[str] | None) -> list[str]:
        """The streams to look at; all of the model where None.

        Raises:
            ValueError: a stream that the model does not have.
        """
        return check_streams(self.processor.config, streams)

    def answers(self, samples: list[dict], batch_size: int = 16, max_new_tokens: int | None = None) -> Iterator[str]:
        """Texts for samples of `processor.inference_sample`, in their order."""
        return (reply.text for reply in self.replies(samples, batch_size, max_new_tokens))

    def replies(self, samples: list[dict], batch_size: int = 16,
                max_new_tokens: int | None = None) -> Iterator[Reply]:
        """Answers to samples of `processor.inference_sample`, in their order.

        max_new_tokens: the longest answer; None for the limit of the model, which follows from its training answers.
        """
        import torch

        limit = self.processor.config.max_new_tokens if max_new_tokens is None else max_new_tokens
        for start in range(0, len(samples), batch_size):
            batch = self.processor.collate(samples[start : start + batch_size], side="left")
            batch = {key: value.to(self.model.device) for key, value in batch.items()}
            options = self.processor.generation_options(self._room(batch["input_ids"].shape[1], limit))
            with torch.inference_mode():
                ids = self.model.generate(**batch, **options)
            yield from map(Reply, self.processor.decode(ids), self._cut_off(ids, options["eos_token_id"]))

    def _room(self, prompt: int, limit: int) -> int:
        """New tokens for which the LLM has positions after a prompt of so many tokens, at most `limit`.

        Raises:
            ValueError: there is no position left.
        """
        positions = getattr(self.processor.config.text_config.get_text_config(), "max_position_embeddings", None)
        if positions is None or prompt + limit <= positions:
            return limit
        if prompt >= positions:
            raise ValueError(f"a prompt of {prompt} tokens leaves no room for an answer: the LLM has {positions} "
                             "positions; shorten the question")
        return positions - prompt

    def _cut_off(self, ids, ends: list[int]) -> list[bool]:
        """Which rows of new tokens [B, S] have no end."""
        import torch

        ended = torch.isin(ids, torch.tensor(ends, device=ids.device)).any(1).tolist()
        if self.processor.config.prompt_style == "published":  # its answers end with a text as well
            texts = self.processor.tokenizer.batch_decode(ids)
            ended = [done or prompting.PUBLISHED_STOP in text for done, text in zip(ended, texts, strict=True)]
        return [not done for done in ended]

    def describe(self, clips: Iterable[Clip], streams: list[str] | None = None, question: str | None = None,
                 transcribe: bool = True, batch_size: int = 4, reader: str = "pyav",
                 max_new_tokens: int | None = None, track: int | None = None) -> Iterator[Description | Skipped]:
        """Describe clips, a batch at a time; a file that cannot be read gives `Skipped` and stops nothing.

        Args:
            streams: what to look at; None for all that the model has.
            question: another question than the default one.
            transcribe: recognise the words of clips that come without.
            max_new_tokens: the longest answer; None for the model's own limit.
            track: which sound track of files with several, from 0; None for the one that a player takes.
        """
        looked_at = self.check_streams(streams)
        style = self.processor.config.prompt_style
        question = question or prompts.question_of("description", style)
        batch: list[tuple[Clip, Inputs, float]] = []
        for clip in clips:
            started = time.perf_counter()
            try:
                inputs = reading.load_clip(self.processor, clip, looked_at, reader, transcribe, track=track)
            except MediaError as error:
                yield Skipped(str(clip.media), str(error))
                continue
            batch.append((clip, inputs, time.perf_counter() - started))
            if len(batch) == batch_size:
                yield from self._describe_batch(batch, looked_at, question, max_new_tokens)
                batch = []
        if batch:
            yield from self._describe_batch(batch, looked_at, question, max_new_tokens)

    def _describe_batch(self, batch, streams, question, limit) -> Iterator[Description | Skipped]:
        hidden = tuple(stream for stream in ("fusion",) if stream not in streams)
        usable = []
        for clip, inputs, seconds in batch:
            if self.processor.prompt_streams(inputs, hidden) or inputs.words:
                usable.append((clip, inputs, seconds))
            else:
                why = "; ".join(inputs.notes) or f"it has none of {', '.join(streams)}"
                yield Skipped(str(clip.media), f"{clip.media}: nothing to describe: {why}")
        if not usable:
            return
        started = time.perf_counter()
        try:
            samples = [self.processor.inference_sample(inputs, question, hidden) for _, inputs, _ in usable]
            replies = list(self.replies(samples, len(samples), limit))
        except ValueError as error:  # of one clip, and no reason to lose the others
            if len(usable) == 1:
                name = str(usable[0][0].media)
                yield Skipped(name, str(error) if name in str(error) else f"{name}: {error}")
                return
            for one in usable:
                yield from self._describe_batch([one], streams, question, limit)
            return
        share = (time.perf_counter() - started) / len(usable)
        for (clip, inputs, seconds), reply in zip(usable, replies, strict=True):
            answer = prompts.parse_answer(reply.text, reply.cut_off)
            shown = self.processor.prompt_streams(inputs, hidden) + (["text"] if inputs.words else [])
            yield Description(str(clip.media), answer.description, list(answer.labels), answer.polarity, shown,
                              round(seconds + share, 2), inputs.words, self._notes(inputs, reply, limit),
                              {**inputs.seconds, "encoders and LLM": share}, reply.text, reply.cut_off)

    def _notes(self, inputs: Inputs, reply: Reply, limit: int | None) -> list[str]:
        """What reading noted, and every cut."""
        notes, cut = list(inputs.notes), self.processor.words_cut(inputs.words) if inputs.words else None
        if cut:
            notes.append(f"words cut after {cut[0]} of {cut[1]} tokens: the rest is not looked at")
        if reply.cut_off:
            notes.append("answer ended by its length, not by the model" + (
                "" if limit is None else f" (--max-new-tokens {limit})"))
        return notes
