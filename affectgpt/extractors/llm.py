"""Labels and sentiment by asking an LLM: a local Hugging Face causal LM, or a server such as vLLM.

The two questions have the intent of the published ones (Lian et al., arXiv 2501.16566): labels from a description, then
a sentiment from the labels. Decoding is greedy, so that scores can be repeated; the published sampling is a variant.
A description is text from outside: no control token is ever read out of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from affectgpt.endpoint import Endpoint, Refused
from affectgpt.extractors.cache import AnswerCache, answer_key
from affectgpt.extractors.lists import clean, listed, shorten
from affectgpt.words.basic import POLARITIES

LONGEST_TEXT = 8_000
"""Characters; of a longer description the first and the last half of this many are shown to the LLM."""

TIMEOUT = 120.0
"""Seconds that a server's answer may take."""

Message = dict[str, str]

_ROLE = "You are an expert on human emotion."
_LABELS_TASK = (
    "Read a description of a short video. Find the emotional states of its main character, the one who is described in "
    "most detail. Take only states that the description clearly names or concludes; leave out other people's and those "
    "that it denies. Answer with the states alone, separated by commas, in square brackets. Where there is none, "
    "answer []."
)
_SENTIMENT_TASK = ("Read a list of emotional states. Answer with one word, the sentiment that they have together: "
                   "positive, negative or neutral. Do not explain.")


@dataclass(frozen=True)
class Question:
    """One of the two questions: its version (a new wording needs a new one), its task, examples and longest answer."""

    version: str
    task: str
    examples: tuple[tuple[str, str], ...]
    max_tokens: int

    def conversation(self, text: str) -> list[Message]:
        """Messages; the last one is the text from outside."""
        messages = [{"role": "system", "content": f"{_ROLE} {self.task}"}]
        for asked, answered in self.examples:
            messages += [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}]
        return [*messages, {"role": "user", "content": text}]


LABELS = Question("labels-1", _LABELS_TASK, (
    ("The young man leans back and grins, and his voice goes up at the end. His sister is annoyed with him. He does "
     "not look worried at all. Taken together, he is amused and rather proud of his trick.", "[amused, proud]"),
    ("The woman is partly hidden by a door. She asks for the time in a level voice. Nothing can be said about what she "
     "feels.", "[]"),
), 64)
SENTIMENT = Question("sentiment-1", _SENTIMENT_TASK, (
    ("[hopeful, amused]", "positive"), ("[]", "neutral"), ("[bitter, tired]", "negative")), 8)


@dataclass(frozen=True)
class Decoding:
    """How answers are chosen. The default is greedy; `PUBLISHED` is what the published evaluation samples with."""

    temperature: float = 0.0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    seed: int = 0
    max_tokens: int | None = None
    """Of any answer; None leaves it to the question."""


PUBLISHED = Decoding(temperature=0.7, top_p=0.8, repetition_penalty=1.05, max_tokens=512)


class Model(Protocol):
    """What answers conversations. `identity` names its weights, for the cache; reading it loads nothing."""

    name: str
    identity: str

    def answers(self, conversations: list[list[Message]], max_tokens: int,
                decoding: Decoding) -> Iterator[str | None]:
        """Texts in the order of the conversations; None for one that a server refuses."""


def open_model(name: str, batch_size: int = 8, device: str = "auto", timeout: float = TIMEOUT) -> Model:
    """"hf:FOLDER", "hf:ORG/NAME", "hf:starter:NAME", or "endpoint:http://host:port/v1#model".

    timeout: seconds to wait for an endpoint's answer before it is asked again.

    Raises:
        ValueError: neither of them, or a folder or address that cannot be one.
    """
    kind, _, rest = name.partition(":")
    if kind == "hf" and rest:
        return LocalModel(rest, batch_size, device)
    if kind == "endpoint" and "#" in rest:
        return ServedModel(*rest.rsplit("#", 1), workers=batch_size, timeout=timeout)
    raise ValueError(f"--llm {name!r}: use hf:FOLDER, hf:ORG/NAME or endpoint:http://host:port/v1#MODEL")


class Asker:
    """Asks a model, and the cache before it; a model is loaded for the first text that the cache does not know.

    Attributes:
        hits, asked: texts answered by the cache and by the model.
        not_a_list: answers that were no list of labels, and stand for none; `no_polarity` the same of sentiments.
        refused: texts that a server would not answer; they are asked again next time.
    """

    def __init__(self, model: Model, cache: AnswerCache | None = None, decoding: Decoding = Decoding()):
        self.model, self.cache, self.decoding = model, cache, decoding
        self.hits = self.asked = self.not_a_list = self.no_polarity = self.refused = 0

    def labels(self, texts: list[str]) -> list[list[str]]:
        """Labels of descriptions [N]; an answer that is no list gives none and is counted."""
        found = [_labels_of(answer) for answer in self.ask(LABELS, [shorten(text, LONGEST_TEXT) for text in texts])]
        self.not_a_list += found.count(None)
        return [labels or [] for labels in found]

    def sentiments(self, lists: list[list[str]]) -> list[str]:
        """Sentiment of label lists [N]; an answer that names none is neutral and counted."""
        texts = [f"[{', '.join(labels)}]" for labels in lists]
        answers = self.ask(SENTIMENT, [shorten(text, LONGEST_TEXT) for text in texts])
        found = [_sentiment_of(answer) for answer in answers]
        self.no_polarity += found.count(None)
        return [sentiment or "neutral" for sentiment in found]

    def ask(self, question: Question, texts: list[str]) -> list[str]:
        """Answers to one question about each text [N], "" for one that was refused; the cache is asked first."""
        longest = self.decoding.max_tokens or question.max_tokens
        settings = asdict(self.decoding) | {"max_tokens": longest}
        keys = [answer_key(self.model.identity, question.version, settings, text) for text in texts]
        known = self.cache.get(keys) if self.cache else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        self.hits += len(texts) - len(missing)
        self.asked += len(missing)
        # Texts of like length share a batch, so that little of it is padding.
        order = sorted(missing, key=lambda key: len(missing[key]))
        produced = self.model.answers([question.conversation(missing[key]) for key in order], longest,
                                      self.decoding) if missing else []
        for key, answer in zip(order, produced, strict=True):
            known[key] = answer or ""
            self.refused += answer is None
            if self.cache and answer is not None:
                self.cache.add({key: answer})
        return [known[key] for key in keys]


def _labels_of(answer: str) -> list[str] | None:
    """Labels of an LLM's answer, or of its first line where it goes on talking; None where neither is a list."""
    text = clean(answer)
    labels = listed(text)
    if labels is None:
        bracketed = re.search(r"\[[^\[\]]{0,500}\]", text)
        labels = listed(bracketed[0] if bracketed else text.split("\n")[0])
    return labels


def _sentiment_of(answer: str) -> str | None:
    found = re.search(rf"\b({'|'.join(POLARITIES)})\b", clean(answer).lower())
    return found[1] if found else None


class LocalModel:
    """A Hugging Face causal LM on this machine; its weights are read when the first answer is asked for.

    Raises:
        ValueError: not a model that `affectgpt.hub` can resolve.
    """

    def __init__(self, name: str, batch_size: int = 8, device: str = "auto"):
        from affectgpt.features.key import encoder_revision

        self.name, self.batch_size, self.device = Path(name).name, batch_size, device
        self._source, self._loaded = name, None
        self.identity = f"hf {encoder_revision(name)}"

    def answers(self, conversations: list[list[Message]], max_tokens: int, decoding: Decoding) -> Iterator[str]:
        """Texts in the order of the conversations, a batch at a time; sampled ones singly, each with its own seed."""
        from affectgpt.extractors.local import LocalChat

        if self._loaded is None:
            self._loaded = LocalChat(self._source, self.device)
        size = self.batch_size if decoding.temperature == 0 else 1
        for start in range(0, len(conversations), size):
            yield from self._loaded.answer(conversations[start : start + size], max_tokens, decoding)


class ServedModel:
    """A model behind an OpenAI-compatible server. Its identity is its address and name: a server that changes its
    weights under one name needs another cache folder."""

    def __init__(self, url: str, model: str, workers: int = 8, timeout: float = TIMEOUT):
        self.name, self.workers = model, workers
        self._endpoint = Endpoint(url, model, timeout=timeout)
        self.identity = f"endpoint {self._endpoint.url} {model}"

    def answers(self, conversations: list[list[Message]], max_tokens: int,
                decoding: Decoding) -> Iterator[str | None]:
        """Texts in the order of the conversations, several asked at a time; None for one that is refused."""
        options: dict = {"temperature": decoding.temperature, "max_tokens": max_tokens, "seed": decoding.seed}
        if decoding.temperature > 0:
            options |= {"top_p": decoding.top_p, "repetition_penalty": decoding.repetition_penalty}
        requests = ({"messages": messages} for messages in conversations)
        for reply in self._endpoint.map_replies(requests, workers=self.workers, **options):
            # Without text nothing was answered: it is asked again next time.
            unanswered = isinstance(reply, Refused) or reply.no_answer == "refusal" or not reply.text
            yield None if unanswered else reply.text


