"""Several questions about one clip as one sample: the prompt that they share once, then a branch for each.

Which tokens are shared is found in the token ids, so a branch reads exactly what it would read alone.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple


class Size(NamedTuple):
    """What a sample costs: its tokens, those with a label, and `attended`."""

    tokens: int
    labelled: int
    squares: int


def size_of(sample: dict) -> Size:
    """The size of a sample of `input_ids`, `labels` and perhaps `branches`."""
    tokens = len(sample["input_ids"])
    labelled = sum(label != -100 for label in sample["labels"][1:])  # the first token is nobody's next token
    return Size(tokens, labelled, attended(sample.get("branches", [tokens])))


def join(texts: list[dict], placeholders: Collection[int]) -> dict:
    """Samples of one clip (`input_ids`, `labels`, `shown`) -> one sample with `branches`.

    Args:
        texts: one for each question, of equal streams; a single one is returned as it is.
        placeholders: ids that stand for tokens of streams, which must be shared.
    Returns:
        `input_ids`: the shared tokens, then the rest of each text; `labels` of them; `branches`: how many tokens are
        shared, and how many are of each text. The first token of a branch is never labelled.
    Raises:
        ValueError: prompts that share nothing, or that differ before their streams end.
    """
    if len(texts) == 1:
        return texts[0]
    shared = shared_tokens(texts)
    rest = [text["input_ids"][shared:] for text in texts]
    if not shared or any(token in placeholders for part in rest for token in part):
        raise ValueError("the prompts of a clip's questions differ before its streams end, so that they cannot share "
                         "them: set data.questions_together=false")
    return texts[0] | {
        "input_ids": texts[0]["input_ids"][:shared] + [token for part in rest for token in part],
        "labels": [-100] * shared + [label for text in texts for label in text["labels"][shared:]],
        "branches": [shared, *map(len, rest)],
    }


def shared_tokens(texts: list[dict]) -> int:
    """Tokens at the start that are equal in all texts, before the last token of any prompt."""
    limit = min(next(place for place, label in enumerate(text["labels"]) if label != -100) for text in texts) - 1
    columns = zip(*(text["input_ids"][:limit] for text in texts))
    return next((place for place, column in enumerate(columns) if len(set(column)) > 1), max(0, limit))


def attended(parts: list[int]) -> int:
    """Twice the pairs of tokens that attend to each other, by the triangle's half: L * L for a clip of L tokens."""
    shared, *branches = parts
    return shared * shared + sum(2 * shared * size + size * size for size in branches)
