"""Who answers: an AffectGPT folder, the checkpoints of a run, any Hugging Face chat model, or a server.

A `Source` knows what it is without loading weights, so that a job can be refused or found finished at once; `open`
loads one of its checkpoints as an `Answerer`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from affectgpt.data.clip import Clip

RIVAL_LENGTHS = {"description": 512, "ask": 512}
"""Kind of question -> the most new tokens of an answer of a model that is not AffectGPT; 256 where nothing is said."""


@dataclass(frozen=True)
class Request:
    """One question about one clip. `shown` are the streams of `streams` that the clip has; `seed` is for sampling;
    `facts` are what rows say of the clip besides its manifest."""

    clip: Clip
    inputs: Any
    kind: str
    question: str
    streams: tuple[str, ...]
    shown: tuple[str, ...]
    max_new_tokens: int
    seed: int
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """`confidence` is the mean probability of the answer's tokens; `cut_off` where its length ended it; `no_answer` is
    "refusal" where a server said so; `refused` says why a server did not take the request at all."""

    text: str
    confidence: float | None = None
    cut_off: bool = False
    no_answer: str | None = None
    refused: str | None = None


class Answerer(Protocol):
    """A loaded model."""

    device: str
    prepared: dict[str, Any]
    """Facts of what was done before the first answer."""

    def load(self, clip: Clip) -> Any:
        """The media of a clip; raises MediaError. Called from several threads."""

    def shown(self, inputs: Any, streams: tuple[str, ...]) -> tuple[str, ...]:
        """Those of `streams` that the inputs have."""

    def length(self, request: Request) -> Any:
        """What requests are sorted by, so that neighbours make a batch with little padding."""

    def answers(self, requests: list[Request], batch_size: int) -> Iterator[list[Answer]]:
        """Answers in the order of the requests, in groups that are done together."""


@dataclass
class Job:
    """What is asked of whom; the options of `affectgpt generate`, where they are explained."""

    model: str
    corpus: str
    root: str | None = None
    split: str | None = None
    question: str = "labels"
    ask: str | None = None
    streams: str | None = None
    target: str = "auto"
    output: str | None = None
    batch_size: int | None = None
    max_new_tokens: int | None = None
    sample: bool = False
    temperature: float | None = None
    top_p: float | None = None
    seed: int = 0
    checkpoints: str = "all"
    checkpoint: str | None = None
    limit: int | None = None
    device: str = "auto"
    dtype: str = "auto"
    quantize: str | None = None
    reader: str = "pyav"
    workers: int = 2
    max_skip_ratio: float = 0.005
    overwrite: bool = False
    features: str | None = None
    frames: int = 8
    valence_range: tuple[float, float] | None = None
    trust_remote_code: bool = False
    device_map: str | None = None
    endpoint_audio: bool = False
    endpoint_video: bool = False
    endpoint_extra: str | None = None
    endpoint_logprobs: bool = False
    endpoint_timeout: float = 120.0
    skip_refused: bool = False
    rank: int = field(default=0)
    world_size: int = field(default=1)

    @property
    def sampling(self):
        """`decoding.Sampling`, or None for greedy answers."""
        if not self.sample:
            return None
        from affectgpt.eval.answering.decoding import Sampling

        return Sampling(0.7 if self.temperature is None else self.temperature,
                        0.9 if self.top_p is None else self.top_p, self.seed)


def open_source(job: Job):
    """The source that `job.model` names; no weights are loaded.

    Raises:
        ValueError: there is no such model, or it is none that can be asked.
    """
    if job.model.startswith("endpoint:"):
        from affectgpt.eval.answering.endpoint_model import EndpointSource

        return EndpointSource(job)
    if job.model.startswith("hf:"):
        from affectgpt.eval.answering.chat_model import ChatSource

        return ChatSource(job)
    from affectgpt.eval.answering.affectgpt_model import AffectGPTSource

    return AffectGPTSource(job)


def checkpoint_name(text: str) -> int | str:
    """A checkpoint's name as rows have it: a number where it is one."""
    return int(text) if text.isdecimal() else text


def weights_fingerprint(folder: str | Path) -> str:
    """A hash of the weights of a model folder: size and 64 evenly spread blocks of each file, so that it takes no time
    for many GB; training changes all blocks."""
    folder, digest = Path(folder), hashlib.sha256()
    files = sorted(path for ending in ("safetensors", "bin") for path in folder.glob(f"*.{ending}")
                   if path.name != "optimizer.safetensors")
    for path in [*files, *(path for path in [folder / "config.json"] if path.is_file())]:
        size, block = path.stat().st_size, 1 << 16
        digest.update(f"{path.name} {size}\n".encode())
        with open(path, "rb") as file:
            for start in sorted({index * max(0, size - block) // 63 for index in range(64)}):
                file.seek(start)
                digest.update(file.read(block))
    return digest.hexdigest()[:32]


def row_seed(seed: int, *names: str) -> int:
    """The seed of one answer: of the job's seed and of what is asked about which clip."""
    return int.from_bytes(hashlib.sha256("\0".join([str(seed), *names]).encode()).digest()[:8]) % 2**63


def batches(requests: list[Request], size: int, alike) -> Iterator[list[Request]]:
    """Neighbours in groups of at most `size` for which `alike(request)` is the same."""
    start = 0
    while start < len(requests):
        end = start + 1
        while end < min(len(requests), start + size) and alike(requests[end]) == alike(requests[start]):
            end += 1
        yield requests[start:end]
        start = end
