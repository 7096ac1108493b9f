"""An instruct LLM that is asked for the emotion of a text, with or without solved examples; nothing is trained.

Each class is scored by the log likelihood of its name as the answer, so that an answer is always one of the classes
and needs no reading. The prompt goes through the LLM once, the names of the classes then follow it side by side.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch
from torch import Tensor

from affectgpt.baselines.text_settings import PromptSection
from affectgpt.baselines.texts import Text
from affectgpt.environment import runnable_dtype
from affectgpt.extractors.local import LocalChat
from affectgpt.models.precision import cast_weights

NOTHING = "N/A"
"""The text that says nothing, for calibration."""


def examples_of(texts: Sequence[Text], labels: Sequence[str], shots: int, seed: int) -> list[tuple[str, str]]:
    """(text, class) of `shots` training clips of each class, in an order drawn by the seed.

    A class with fewer clips gives all it has. They are drawn from what is given: give the training clips alone.
    """
    draw = random.Random(seed)
    found = []
    for name in sorted(set(labels)):
        own = sorted((text.key, _whole(text)) for text, label in zip(texts, labels, strict=True) if label == name)
        found += [(text, name) for _, text in draw.sample(own, min(shots, len(own)))]
    draw.shuffle(found)
    return found


class Asker:
    """A loaded LLM and what it is told.

    Args:
        source: of the LLM, as `hub.locate` takes it.
        classes: names to choose from.
        examples: solved ones, as `examples_of` gives them.
        max_tokens: tokens of a clip's text; the oldest of a longer one are left out.
    Raises:
        ValueError: no causal LM can be read there.
    """

    def __init__(self, source: str, settings: PromptSection, classes: Sequence[str],
                 examples: Sequence[tuple[str, str]] = (), device: str = "auto", max_tokens: int = 128):
        self.settings, self.max_tokens, self.cut = settings, max_tokens, 0
        self.classes, self.examples = list(classes), list(examples)
        self.chat = LocalChat(source, device, "model.source")
        dtype = runnable_dtype(self.chat.model.config, self.chat.model.device)
        if dtype is not None:
            cast_weights(self.chat.model, getattr(torch, dtype))
        # The end of the turn belongs to the answer: "sad" must not be likely as the beginning of "sadly".
        end = self.chat.tokenizer.eos_token_id
        self.answers = [self.chat.control_tokens.plain(name) + ([end] if end is not None else [])
                        for name in self.classes]
        self.offset = self._likelihoods(NOTHING) if settings.calibrate else torch.zeros(len(self.classes))

    def scores(self, text: Text) -> Tensor:
        """Log likelihood [C] of each class as the answer, less that of `NOTHING` where it is calibrated."""
        return self._likelihoods(_whole(text)) - self.offset

    def messages(self, text: str) -> list[dict[str, str]]:
        """What the LLM reads before its answer."""
        said = self.settings.instruction.replace("{classes}", ", ".join(self.classes))
        found = [{"role": "system", "content": said}]
        for example, name in (*self.examples, (text, None)):
            found.append({"role": "user", "content": example})
            if name is not None:
                found.append({"role": "assistant", "content": name})
        return found

    @torch.inference_mode()
    def _likelihoods(self, text: str) -> Tensor:
        chat = self.chat
        ids = chat.control_tokens.plain(text)
        if len(ids) > self.max_tokens:
            self.cut += 1
            text = chat.tokenizer.decode(ids[-self.max_tokens:])
        prompt = chat.encode(self.messages(text))
        longest = max(map(len, self.answers))
        if len(prompt) + longest > chat.longest:
            raise ValueError(f"the prompt has {len(prompt)} tokens and model.source={chat.model.config.name_or_path} "
                             f"takes {chat.longest}: use fewer prompt.shots or a smaller text.max_tokens")
        place = chat.model.device
        begun = chat.model(input_ids=torch.tensor([prompt], device=place), use_cache=True, logits_to_keep=1)
        first = begun.logits[0, -1].float().log_softmax(-1)
        rows = torch.tensor([answer + [0] * (longest - len(answer)) for answer in self.answers], device=place)
        lengths = torch.tensor([len(answer) for answer in self.answers], device=place)
        found = first[rows[:, 0]]
        if longest > 1:
            cache = begun.past_key_values
            cache.batch_repeat_interleave(len(rows))
            later = chat.model(input_ids=rows[:, :-1], past_key_values=cache, use_cache=True).logits.float()
            steps = later.log_softmax(-1).gather(-1, rows[:, 1:, None])[..., 0]
            counts = torch.arange(1, longest, device=place)[None] < lengths[:, None]
            found = found + steps.masked_fill(~counts, 0.0).sum(1)
        return (found / lengths if self.settings.length == "mean" else found).cpu()


def _whole(text: Text) -> str:
    return "\n".join((*text.context, text.text))
