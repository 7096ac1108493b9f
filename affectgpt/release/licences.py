"""Under which licence a model may be released, from the terms of what it is made of and was trained on.

Three kinds of terms, from the freest: "open" (any use, with attribution at most), "own" (a licence of its own that goes
along with the weights, such as Llama's) and "restricted" (research or non-commercial use alone). A release is no freer
than the least free of its parts and data. Whether a corpus's agreement lets weights be published at all is a question
to its owners that no table answers; the card says so.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

KINDS = ("open", "own", "restricted")

LICENCES = {
    "apache-2.0": "open", "mit": "open", "bsd-3-clause": "open", "cc0-1.0": "open", "cc-by-4.0": "open",
    "cc-by-sa-4.0": "open", "odbl": "open",
    "llama2": "own", "llama3": "own", "llama3.1": "own", "llama3.2": "own", "gemma": "own", "qwen": "own",
    "cc-by-nc-4.0": "restricted", "cc-by-nc-sa-4.0": "restricted", "qwen-research": "restricted",
    "research-only": "restricted",
}
"""Licence, as the hub's cards spell it -> its kind."""

PARTS = {
    "Qwen/Qwen2.5-3B": "qwen-research", "Qwen/Qwen2.5-72B": "qwen", "Qwen/Qwen2.5-": "apache-2.0",
    "Qwen/Qwen3-": "apache-2.0", "HuggingFaceTB/SmolLM2-": "apache-2.0", "meta-llama/Llama-2": "llama2",
    "meta-llama/Llama-3.2": "llama3.2", "meta-llama/Llama-3.1": "llama3.1", "meta-llama/Meta-Llama-3-": "llama3",
    "google/gemma": "gemma", "openai/whisper-": "apache-2.0", "openai/clip-vit-": "mit",
    "TencentGameMate/chinese-hubert-": "mit", "facebook/dinov2-": "apache-2.0", "google/siglip-": "apache-2.0",
}
"""Start of a hub id -> licence of its weights; the first that fits counts."""

_RESTRICTED = ("cc by-nc", "research", "academic", "agreement", "its owners")
_OPEN = ("open database", "cc0", "cc by 4.0", "apache", "mit")


@dataclass(frozen=True)
class Ingredient:
    """Something that a release is made of: what it is ("LLM", "corpus"), its name, its licence, its kind of terms."""

    what: str
    name: str
    licence: str
    kind: str


def part(what: str, name: str, said: str | None = None) -> Ingredient:
    """A pretrained part.

    Args:
        said: its licence as the user knows it, before the table.
    Raises:
        ValueError: a part whose licence is not known, or a licence that is none of `LICENCES`.
    """
    from affectgpt import hub

    licence = said
    if licence is None and name.startswith(hub.PREFIX):
        licence = hub.STARTER_ASSETS[name.removeprefix(hub.PREFIX)].licence.lower()
    if licence is None:
        licence = next((found for start, found in PARTS.items() if name.startswith(start)), None)
    if licence is None:
        raise ValueError(f"{what} {name}: its licence is not known here; say it, for example --part-licence "
                         f"{name}=apache-2.0 (one of {', '.join(LICENCES)})")
    return Ingredient(what, name, licence, kind_of(licence, f"licence of {name}"))


def data(name: str, licence: str, said: str | None = None) -> Ingredient:
    """A corpus that weights were trained on.

    Args:
        licence: the words of its record (`data.corpora.Corpus.licence`).
        said: its licence as the user knows it, before the record.
    Raises:
        ValueError: a corpus whose terms the record leaves to its media and that nobody has said.
    """
    if said is not None:
        return Ingredient("corpus", name, said, kind_of(said, f"licence of {name}"))
    lower = licence.lower()
    if any(re.search(rf"\b{words}\b", lower) for words in _RESTRICTED):
        return Ingredient("corpus", name, licence, "restricted")
    if any(re.search(rf"\b{words}\b", lower) for words in _OPEN):
        return Ingredient("corpus", name, licence, "open")
    raise ValueError(f"corpus {name}: its licence is {licence!r}, which does not say what may be done; say it, for "
                     f"example --data-licence {name}=cc-by-4.0 (one of {', '.join(LICENCES)})")


def kind_of(licence: str, where: str) -> str:
    """Kind of a licence. Raises ValueError for one that the table does not have."""
    if licence not in LICENCES:
        raise ValueError(f"{where}: {licence!r} is none of {', '.join(LICENCES)}")
    return LICENCES[licence]


def choose(ingredients: Sequence[Ingredient], asked: str | None = None) -> str:
    """The licence of a release.

    Args:
        asked: the licence that is wanted; None takes the freest that may be.
    Raises:
        ValueError: a licence that is freer than an ingredient allows, naming it; or parts with licences of their own
            that exclude each other.
    """
    worst = max((KINDS.index(one.kind) for one in ingredients), default=0)
    bound = [one for one in ingredients if KINDS.index(one.kind) == worst and worst]
    own = sorted({one.licence for one in ingredients if one.kind == "own"})
    if asked is None:
        return "apache-2.0" if not worst else own[0] if KINDS[worst] == "own" and len(own) == 1 else "cc-by-nc-4.0"
    kind = kind_of(asked, "--licence")
    if KINDS.index(kind) < worst or kind == "own" and asked not in own:
        named = "; ".join(f"{one.what} {one.name} is {one.licence}" for one in bound or ingredients)
        raise ValueError(f"--licence {asked} gives others more than what this model is made of allows: {named}. Use "
                         f"{choose(ingredients)}, or train without it")
    return asked


def said(words: Sequence[str], option: str) -> Mapping[str, str]:
    """name=licence words of the command line.

    Raises:
        ValueError: a word that is none.
    """
    found = {}
    for word in words:
        name, equals, licence = word.rpartition("=")
        if not equals or not name:
            raise ValueError(f"{option} {word}: write NAME=LICENCE")
        found[name] = licence
    return found
