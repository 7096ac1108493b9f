"""What is too long for the LLM: samples beyond its context, and words beyond `words_max_tokens`; counted and said."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace

from affectgpt.data.dataset import InstructionDataset


def check_manifest(processor, splits: Mapping[str, list], recipe, mixture=None) -> dict[str, InstructionDataset]:
    """Check the samples of every split by what the manifest alone says, before features are made.

    Every clip is taken to have all streams; words that are to be recognised are not known yet.

    Raises:
        ValueError: as `check_lengths`, or a split without a sample to train on.
    """
    sets = {}
    for name, clips in splits.items():
        facts = {clip.key: SimpleNamespace(media_streams=list(processor.config.media_streams), words=clip.words)
                 for clip in clips}
        sets[name] = InstructionDataset(processor, clips, facts, recipe.data.questions, training=False,
                                       mixture=mixture)
        check_lengths(sets[name], len(clips), recipe)
    return sets


def check_lengths(dataset: InstructionDataset, clips: int, recipe) -> None:
    """Stop where more clips than `data.max_skip_ratio` allows have a sample that is left out.

    Raises:
        ValueError: they do; the message names the first of them and its length.
    """
    if len(dataset.too_long) > recipe.data.max_skip_ratio * clips:
        raise ValueError(f"{too_long(dataset, clips)}; that is more than the {recipe.data.max_skip_ratio:.1%} of the "
                         "clips that data.max_skip_ratio allows: shorten these answers or words, or take an LLM with "
                         "a longer context")


def too_long(dataset: InstructionDataset, clips: int) -> str:
    """The clips with samples that are left out, in words."""
    key, kinds = next(iter(dataset.too_long.items()))
    kind, tokens = next(iter(kinds.items()))
    config = dataset.processor.config
    return (f"{len(dataset.too_long)} of {clips} clips have a sample that is too long: a sample has {tokens} tokens "
            f"(clip {key}, question {kind}), model.llm={config.llm} has {dataset.processor.context} positions")


def print_lengths(dataset: InstructionDataset, name: str, clips: int) -> None:
    """Print how many samples were left out, and how many clips' words are cut; nothing where there are none."""
    if dataset.too_long:
        print(f"split {name}: {too_long(dataset, clips)}: left out")
    cut = {}
    for clip, _ in dataset.items:
        words = dataset.words_of(clip)
        if words is not None and (lost := dataset.processor.words_cut(words)):
            cut[clip.key] = lost
    if cut:
        key, (kept, total) = next(iter(cut.items()))
        print(f"split {name}: the words of {len(cut)} of {clips} clips are cut (clip {key}: after {kept} of {total} "
              "tokens): model.words_max_tokens")
