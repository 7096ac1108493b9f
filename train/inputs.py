"""What a training run reads: stored features of the frozen encoders, or raw clips."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from affectgpt.config import Recipe
from affectgpt.features.extract import encode_inputs, extract, survey
from affectgpt.features.shards import read_index
from affectgpt.features.store import FeatureStore, RawClips

MANY_CLIPS = 10_000
"""Clips without features from which on several ranks are told that `affectgpt extract` makes them better."""

NORM_CLIPS = 1000
"""Training clips whose features standardise the others, spread evenly over the split: enough for a mean."""


def features_of_some(model, inputs, keys: list[str]):
    """Features of up to `NORM_CLIPS` clips, one after the other; raw clips are encoded."""
    step = max(1.0, len(keys) / NORM_CLIPS)
    model.eval()
    for number in range(min(len(keys), NORM_CLIPS)):
        one = inputs[keys[int(number * step)]]
        yield encode_inputs(model, one) if one.audio_lengths is not None or _has_pictures(one) else one


def _has_pictures(inputs) -> bool:
    return any(value is not None and value.ndim == 4 for value in (inputs.face, inputs.frame))


def fit_norms(model, inputs: Iterable) -> None:
    """Standardise by the features of these inputs, read one after the other.

    Raw inputs and streams without a norm are left as they are.
    """
    sums = {stream: [0, 0.0, 0.0] for stream in model.norms}
    for one in inputs:
        for stream, total in sums.items():
            values = getattr(one, stream)
            if values is not None and values.ndim == 2:
                values = values.double()
                total[0] += len(values)
                total[1] = total[1] + values.sum(0)
                total[2] = total[2] + values.square().sum(0)
    for stream, (count, total, squares) in sums.items():
        if count:
            mean = total / count
            model.norms[stream].set(mean, (squares / count - mean.square()).clamp(min=0).sqrt())


def open_inputs(model, processor, splits: dict, recipe: Recipe, world):
    """(clip key -> its inputs, clip key -> its sound at other speeds): stored features, or raw clips.

    Each rank computes its share of what is missing. A store that the recipe names is read and never added to.
    """
    data = recipe.data
    clips = [clip for part in splits.values() for clip in part]
    folder = Path(data.store or Path(recipe.train.output) / ("features" if data.cache else "survey"))
    options = dict(reader=data.reader, transcribe=data.transcribe)
    share = dict(workers=data.workers, max_skip_ratio=data.max_skip_ratio, rank=world.rank, world_size=world.size,
                 progress=world.is_main, **options)
    speeds, problem = (1.0, *data.speed_perturbation), ""
    if world.is_main and world.size > 1:
        _warn_of_extraction(clips, folder, recipe, world)
    try:
        if not data.cache:
            survey(processor, clips, folder, **share)
        elif data.store is None:
            extract(model, processor, clips, folder, dtype=data.store_dtype, speeds=speeds, **share)
    except ValueError as error:  # the other ranks must not wait for this one
        problem = str(error)
    world.all_ok(not problem, problem)
    options["check_media"] = world.is_main
    if not data.cache:
        return RawClips.open(folder, processor, clips, **options), {}
    store = FeatureStore.open(folder, processor.config, clips, speeds=speeds, **options)
    if store.missing:
        raise ValueError(f"{folder} has no features of {len(store.missing)} of {len(clips)} clips, the first is "
                         f"{store.missing[0]}: run affectgpt extract with the same recipe and settings")
    if len(store.skipped) > data.max_skip_ratio * len(clips):
        key, reason = next(iter(store.skipped.items()))
        raise ValueError(f"{folder}: {len(store.skipped)} of {len(clips)} clips could not be read when it was made, "
                         f"more than the {data.max_skip_ratio:.1%} that data.max_skip_ratio allows; the first is "
                         f"{key}: {reason}")
    if store.unchecked and world.is_main:
        print(f"{store.unchecked} media files are not on this machine: their features are taken as stored")
    return store, Variants(store) if data.speed_perturbation else {}


def _warn_of_extraction(clips: list, folder: Path, recipe: Recipe, world) -> None:
    """Say that a long extraction is better a job of its own: here it holds every GPU of the training."""
    stored = read_index(folder).rows if (folder / "store.json").is_file() else {}
    missing = sum((clip.key, 1.0) not in stored for clip in clips)
    if recipe.data.store is None and missing > MANY_CLIPS:
        job = "features of" if recipe.data.cache else "what is known of"
        print(f"warning: {job} {missing} clips are made inside a training of {world.size} ranks, which all wait for "
              "the slowest one."
              + (" Better, on any number of processes: affectgpt extract RECIPE --store STORE, then train with "
                 "data.store=STORE" if recipe.data.cache else ""), flush=True)


class Variants:
    """Clip key -> its inputs with the sound at other speeds, read from the store when they are asked for."""

    def __init__(self, store):
        self.store = store

    def __getitem__(self, key: str) -> list:
        return self.store.variants(key)

    def get(self, key: str, default=()) -> list:
        return self.store.variants(key)
