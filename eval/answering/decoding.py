"""How the next token is chosen while a batch is generated, and how sure the model was of it.

Shapes: B rows of a batch, V words of the vocabulary.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopPLogitsWarper


@dataclass(frozen=True)
class Sampling:
    """Random answers: their temperature, the share of probability that is drawn from (nucleus sampling, Holtzman et
    al. 2020), and the seed of the job."""

    temperature: float = 0.7
    top_p: float = 0.9
    seed: int = 0


class Choice(LogitsProcessor):
    """The last processor of a greedy `generate`: keeps the probability of each chosen token, and may draw it.

    Without sampling the scores pass unchanged, so that the answers are exactly the greedy ones. With sampling, the
    largest of the log probabilities plus Gumbel noise is a draw from them (Gumbel-max trick), and each row has a
    generator of its own: a clip's answer does not depend on the rest of its batch. It costs V random numbers a token.

    Args:
        seeds: one a row, for sampling.
    """

    def __init__(self, sampling: Sampling | None = None, seeds: list[int] | None = None):
        self.probabilities: list[Tensor] = []
        self.sampling = sampling
        self.warpers = LogitsProcessorList()
        self.generators: list[torch.Generator] = []
        if sampling is not None:
            self.warpers = LogitsProcessorList([TemperatureLogitsWarper(float(sampling.temperature)),
                                                TopPLogitsWarper(float(sampling.top_p))])
            self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] of the next token -> scores whose largest is chosen."""
        if self.sampling is None:
            chosen = scores
        else:
            noise = torch.stack([torch.empty(scores.shape[1]).exponential_(generator=generator)
                                 for generator in self.generators]).log().neg()
            chosen = self.warpers(input_ids, scores).log_softmax(-1) + noise.to(scores.device)
        index = chosen.argmax(-1, keepdim=True)
        self.probabilities.append(scores.float().softmax(-1).gather(1, index)[:, 0])
        return chosen

    def confidences(self, ids: Tensor, ends: set[int], stopped: Callable[[list[int]], bool] | None = None
                    ) -> list[tuple[float, bool]]:
        """(mean probability of a row's new tokens, its end token among them; whether it came to an end) of each row.

        Args:
            ids: [B, at least as many as there were steps] the sequences; the last tokens are the new ones.
            ends: ids of tokens that end an answer.
            stopped: whether tokens hold the text that ends an answer; what follows it was not chosen.
        """
        steps = len(self.probabilities)
        new, probabilities = ids[:, ids.shape[1] - steps :].tolist(), torch.stack(self.probabilities, 1).tolist()
        results = []
        for row, values in zip(new, probabilities, strict=True):
            count = next((place + 1 for place, token in enumerate(row) if token in ends), None)
            if stopped is not None and stopped(row):
                lengths = range(1, len(row) + 1)
                count = lengths[bisect_left(lengths, True, key=lambda length: stopped(row[:length]))]
            used = values[:count]
            results.append((sum(used) / len(used), count is not None))
        return results
