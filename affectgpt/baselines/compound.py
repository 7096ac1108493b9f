"""Compound emotions as pairs of basic ones, and their scores from those of a basic-emotion classifier.

Pairs of C-EXPR-DB (Kollias 2023). Joining the outputs of a basic-emotion classifier without any training on compound
ones is the zero-shot way of Richet et al. 2024 (arXiv 2407.12927) and, with probabilities, of Ryumina et al. 2024
(arXiv 2403.12687).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

PAIRS = {
    "fearfully surprised": ("fearful", "surprised"),
    "happily surprised": ("happy", "surprised"),
    "sadly surprised": ("sad", "surprised"),
    "disgustedly surprised": ("disgusted", "surprised"),
    "angrily surprised": ("angry", "surprised"),
    "sadly fearful": ("sad", "fearful"),
    "sadly angry": ("sad", "angry"),
}
"""Compound emotion -> its two basic ones, in the words of the corpora's records."""


def compound_scores(logits: Tensor, basic: Sequence[str], compound: Sequence[str],
                    combine: str = "log_probabilities") -> Tensor:
    """Log probabilities [N, C] of compound emotions from logits [N, B] of basic ones.

    Args:
        basic, compound: names of the columns.
        combine: what of the two is added: "log_probabilities", which comes to the same as logits, since what is
            subtracted of each clip's logits is equal for all pairs; or "probabilities".
    Raises:
        ValueError: no compound emotion can be told, or a basic one is missing.
    """
    pairs = {name: PAIRS[name] for name in compound if name in PAIRS}
    if not pairs:
        raise ValueError(f"none of the classes {', '.join(compound)} is a compound emotion: there are "
                         f"{', '.join(PAIRS)}")
    missing = sorted({word for pair in pairs.values() for word in pair} - set(basic))
    if missing:
        raise ValueError(f"the basic-emotion classifier has no class {', '.join(missing)}: it knows {', '.join(basic)}")
    place = {name: number for number, name in enumerate(basic)}
    values = logits.double().log_softmax(-1)
    scores = torch.full((len(logits), len(compound)), -torch.inf, dtype=torch.float64)
    for column, name in enumerate(compound):
        if name in pairs:
            first, second = (values[:, place[word]] for word in pairs[name])
            scores[:, column] = first + second if combine == "log_probabilities" else (first.exp() + second.exp()).log()
    return scores.log_softmax(-1)
