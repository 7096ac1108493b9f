"""The processor: a prompt -> token ids, sound -> windows, samples -> a batch. `data.reading` reads a clip's files.

Shapes: B clips, T frames or sound windows, L samples, K tokens a stream, S sequence tokens.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor
from transformers import AutoProcessor, AutoTokenizer, BatchFeature
from transformers.processing_utils import ProcessorMixin

from affectgpt.models import prompting
from affectgpt.models.chat_template import render
from affectgpt.models.collate import collate
from affectgpt.models.configuration import PLACEHOLDERS, PUBLISHED_PLACEHOLDER_ORDER, AffectGPTConfig
from affectgpt.models.control_tokens import ControlTokens
from affectgpt.models.greedy import NEUTRAL, greedy_config
from affectgpt.models.llm_checks import context_length
from affectgpt.models.prompting import Outside, Piece, Stream, Text
from affectgpt.models.raw_inputs import raw_inputs
from affectgpt.models.streams import SAMPLE_RATE
from affectgpt.models.windows import cut_windows

KEPT_PROMPTS = 256
"""Prompts whose fixed ids are kept; a run has a few for each choice of streams."""


class AffectGPTProcessor(ProcessorMixin):
    """Prepares the inputs of an AffectGPT model from its configuration and tokenizer.

    Args:
        tokenizer: the LLM's tokenizer; the placeholder tokens are added to it if they are missing.
        config: the model's configuration; `placeholder_ids` is filled in.
    Attributes:
        context: tokens that the LLM can read at once; None where it has no bound.
    Raises:
        ValueError: a tokenizer that cannot ask: without a chat template (that can be used), without an end token.
    """

    attributes = ["tokenizer"]
    tokenizer_class = "AutoTokenizer"

    def __init__(self, tokenizer, config: AffectGPTConfig | None = None, **kwargs):
        self.tokenizer = tokenizer
        self.chat_template = None
        self.config = config if config is not None else AffectGPTConfig()
        vocabulary = tokenizer.get_vocab()
        missing = [PLACEHOLDERS[name] for name in PUBLISHED_PLACEHOLDER_ORDER if PLACEHOLDERS[name] not in vocabulary]
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
        name = self.config.llm or tokenizer.name_or_path or "(no name)"
        if tokenizer.eos_token_id is None:
            raise ValueError(f"model.llm={name}: its tokenizer has no end-of-text token, so an answer could not end: "
                             "set eos_token in its tokenizer_config.json")
        self.context = context_length(self.config.text_config)
        self._around = self._chat_ids(name) if self.config.prompt_style == "chat" else ([], "", "", [])
        self._prompts: dict[tuple, tuple[list[int], str, str, list[int]]] = {}

    def windows(self, waveform: np.ndarray) -> tuple[Tensor, Tensor]:
        """16 kHz samples [N] -> windows [T, 1, L] and their lengths [T], as `models.windows.cut_windows`."""
        return cut_windows(waveform, self.config)

    def __call__(self, audio=None, faces=None, frames=None, text: str | None = None, question: str | None = None,
                 sampling_rate: int = SAMPLE_RATE, **kwargs) -> BatchFeature:
        """The model's inputs for one clip, or for several where each argument is a list with an entry a clip.

        As `model.generate(**inputs, **processor.generation_options())` takes them; `decode` gives the texts.

        Args:
            audio, faces, frames, text, sampling_rate: as for `models.raw_inputs`; None for what is not there.
            question: what to ask of every clip; by default a description with its evidence.
        Raises:
            ValueError: as `raw_inputs`; nothing to look at, lists of several lengths.
        """
        given = {"audio": audio, "faces": faces, "frames": frames, "text": text}
        several = [len(value) for value in given.values() if isinstance(value, list | tuple)]
        if len(set(several)) > 1:
            raise ValueError(f"the lists of {', '.join(given)} have {', '.join(map(str, several))} entries: give "
                             "one a clip")
        clips = [{name: value[place] if isinstance(value, list | tuple) else value for name, value in given.items()}
                 for place in range(several[0])] if several else [given]
        samples = []
        for clip in clips:
            inputs = raw_inputs(self.config, **clip, sampling_rate=sampling_rate)
            if not inputs.media_streams and inputs.words is None:
                raise ValueError("nothing to describe: give audio, faces, frames or text")
            samples.append(self.inference_sample(inputs, question or prompting.DESCRIBE[self.config.prompt_style]))
        return BatchFeature(self.collate(samples, side="left"))

    # ------------------------------------------------------------------ text

    def prompt_streams(self, inputs, hidden: tuple[str, ...] = ()) -> list[str]:
        """Streams that a prompt of these inputs names: what is there, is not hidden, and this model looks at."""
        config = self.config
        streams = [s for s in inputs.media_streams if s in config.streams and s not in hidden]
        if "fusion" in config.streams and "fusion" not in hidden and {"audio", config.fusion_visual} <= set(streams):
            streams.insert(0, "fusion")
        return streams

    def prompt_ids(self, streams: list[str], words: str | None, question: str) -> list[int]:
        """Token ids of the prompt up to where the answer starts."""
        first, before, after, last = self._fixed(tuple(streams), words is not None, question)
        if words is None:
            return [*first, *last]
        return [*first, *self.control_tokens.plain(before + self._shorten(words) + after), *last]

    def answer_ids(self, answer: str) -> list[int]:
        """Token ids of an answer with its end."""
        if self.config.prompt_style == "published":
            return self.control_tokens.plain(answer + prompting.PUBLISHED_STOP) + [self.end_id]
        return self.control_tokens.plain(answer) + [self.tokenizer.eos_token_id]

    def words_cut(self, words: str) -> tuple[int, int] | None:
        """(tokens that are kept, tokens that there are) of words that are too long; None where all are kept."""
        limit = self.config.words_max_tokens
        if len(words) < limit and words.isascii():  # a token is at least a letter
            return None
        total = len(self.control_tokens.encode(words))
        return (limit, total) if total > limit else None

    def too_long(self, inputs, question: str, answer: str, hidden: tuple[str, ...] = ()) -> int | None:
        """Tokens of a training sample that is longer than the LLM's context; None for one that is not.

        inputs: as for `training_text`. Most samples are judged by their letters, without a tokenizer.
        """
        if self.context is None:
            return None
        words = None if "text" in hidden else inputs.words
        first, before, after, last = self._fixed(
            tuple(self.prompt_streams(inputs, hidden)), words is not None, question
        )
        text = before + (words or "") + after + answer
        # A letter of ASCII is one token at most, any other byte a few (normalisation can make more of it).
        most = len(first) + len(last) + (len(text) if text.isascii() else 4 * len(text.encode("utf-8", "replace"))) + 16
        if most <= self.context:
            return None
        length = len(self.training_text(inputs, question, answer, hidden)["input_ids"])
        return length if length > self.context else None

    def _shorten(self, words: str) -> str:
        limit = self.config.words_max_tokens
        if len(words) < limit and words.isascii():
            return words
        ids = self.control_tokens.encode(words)
        return words if len(ids) <= limit else self.tokenizer.decode(ids[:limit])

    def _chat_ids(self, name: str) -> tuple[list[int], str, str, list[int]]:
        """The LLM's chat template around a user's message: ids, text that touches the message before and after it, ids.

        Its control tokens become ids, all else stays text.
        """
        sides = []
        for text in render(self.tokenizer, prompting.SYSTEM_MESSAGE, name):
            sides.append([self.controls.get(part, Text(part)) for part in self.control_tokens.split(text)])
        before, after = sides
        touching = before.pop().text if before and isinstance(before[-1], Text) else ""
        following = after.pop(0).text if after and isinstance(after[0], Text) else ""
        return self._encode(before), touching, following, self._encode(after)

    def _fixed(self, streams: tuple[str, ...], has_words: bool, question: str) -> tuple[list[int], str, str, list[int]]:
        """What stays the same of the prompts of these streams and this question, made once.

        Returns:
            ids, the text that joins the words on their left and on their right, ids. Text is cut into tokens as
            a whole between two ids; without words that is done, and both texts are empty.
        """
        key = (streams, has_words, question)
        if key not in self._prompts:
            if len(self._prompts) >= KEPT_PROMPTS:
                self._prompts.clear()
            self._prompts[key] = self._make_fixed(list(streams), has_words, question)
        return self._prompts[key]

    def _make_fixed(self, streams: list[str], has_words: bool, question: str) -> tuple[list[int], str, str, list[int]]:
        pieces_of = prompting.published_pieces if self.config.prompt_style == "published" else prompting.chat_pieces
        pieces = pieces_of(streams, "" if has_words else None, question)
        first, touching, following, last = self._around
        pieces = [Text(touching), *pieces, Text(following)]
        if not has_words:
            return [*first, *self._encode(pieces)], "", "", last
        words = next(place for place, piece in enumerate(pieces) if isinstance(piece, Outside))
        start = max((place + 1 for place in range(words) if isinstance(pieces[place], Stream)), default=0)
        before = "".join(piece.text for piece in pieces[start:words])
        after = "".join(piece.text for piece in pieces[words + 1 :])  # no stream comes after the words
        return [*first, *self._encode(pieces[:start])], before, after, last

    def _encode(self, pieces: list[Piece | int]) -> list[int]:
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

    def training_sample(self, inputs, question: str, answer: str, hidden: tuple[str, ...] = ()) -> dict:
        """One training sample: token lists and the tensors of the streams that are shown."""
        sample = self.training_text(inputs, question, answer, hidden)
        return sample | _shown(inputs, sample.pop("shown"))

    def inference_sample(self, inputs, question: str, hidden: tuple[str, ...] = ()) -> dict:
        """One sample to answer: the prompt and the tensors of the streams that are shown."""
        streams = self.prompt_streams(inputs, hidden)
        words = None if "text" in hidden else inputs.words
        return {"input_ids": self.prompt_ids(streams, words, question), **_shown(inputs, streams)}

    def collate(self, samples: list[dict], side: str = "right", training: bool = False) -> dict[str, Tensor]:
        """Samples -> a padded batch; `side` is "right" for training and "left" for generation.

        With `training`, placeholders are checked and found here (`models.collate`), not by the model.
        """
        return collate(samples, self.pad_id, side, self.config if training else None)

    def decode(self, ids: Tensor) -> list[str]:
        """Generated ids [B, S] -> texts without control tokens."""
        return [text.strip() for text in self.tokenizer.batch_decode(ids, skip_special_tokens=True)]

    def generation_options(self, max_new_tokens: int | None = None) -> dict:
        """Greedy decoding that stops at the end of the answer, or after `max_new_tokens` (None: the model's limit)."""
        max_new_tokens = self.config.max_new_tokens if max_new_tokens is None else max_new_tokens
        ends = {self.tokenizer.eos_token_id}
        options = {}
        if self.config.prompt_style == "published":
            ends.add(self.end_id)
            options = {"stop_strings": [prompting.PUBLISHED_STOP], "tokenizer": self.tokenizer}
        return {**NEUTRAL, "max_new_tokens": max_new_tokens, "pad_token_id": self.pad_id,
                "eos_token_id": sorted(ends), **options}

    # ------------------------------------------------------------------ folders

    def save_pretrained(self, save_directory, **kwargs) -> None:
        """Write the tokenizer and a generation_config.json; the rest of a processor is the model's config.json."""
        self.tokenizer.save_pretrained(save_directory)
        options = self.generation_options()
        greedy_config(pad_token_id=options["pad_token_id"], eos_token_id=options["eos_token_id"]).save_pretrained(
            save_directory)

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path, **kwargs) -> AffectGPTProcessor:
        """Read a model folder written by `save_pretrained` of processor and model."""
        folder = pretrained_model_name_or_path
        try:
            tokenizer = AutoTokenizer.from_pretrained(folder)
        except Exception as error:  # tokenizers raises plain Exception for a file that is cut off
            raise ValueError(f"{folder}: its tokenizer cannot be read, the model is half written ({error})") from error
        return cls(tokenizer, AffectGPTConfig.from_pretrained(folder))


def _shown(inputs, streams: list[str]) -> dict:
    shown = {stream: getattr(inputs, stream) for stream in streams if stream != "fusion"}
    if "audio" in shown:
        shown["audio_lengths"] = inputs.audio_lengths
    return shown


AutoProcessor.register(AffectGPTConfig, AffectGPTProcessor, exist_ok=True)
