"""Mean features of clips, from a store of a training recipe's frozen encoders, which is completed where it lacks
clips."""

from __future__ import annotations

from pathlib import Path

from affectgpt.caption.classifiers import Features
from affectgpt.data.clip import Clip


def mean_features(recipe_name: str, clips: list[Clip], folder: Path, workers: int
                  ) -> tuple[Features, dict[str, frozenset]]:
    """(features [N, D] a stream, clip key -> hashes of its media files) of N clips.

    A clip that cannot be read has no stream; `extract` lists it in the store.

    Args:
        recipe_name: a training recipe, whose encoders are taken.
    Raises:
        ValueError: as `extract`, and where a recipe has no encoders.
    """
    import torch

    from affectgpt.config import load_recipe
    from affectgpt.environment import process_device
    from affectgpt.features.extract import extract
    from affectgpt.features.key import settings_key, store_settings
    from affectgpt.features.store import FeatureStore
    from affectgpt.train import extract_features

    recipe = load_recipe(recipe_name)
    encoders, processor = extract_features.load_encoders(recipe, process_device(recipe.train.device, "train.device="))
    store_folder = folder / settings_key(store_settings(processor.config, reader=recipe.data.reader))
    extract(encoders, processor, clips, store_folder, reader=recipe.data.reader, workers=workers, max_skip_ratio=1.0,
            dtype=recipe.data.store_dtype, title=f"features of {recipe.name}")
    store = FeatureStore.open(store_folder, processor.config, clips, recipe.data.reader)
    rows: dict[str, list] = {}
    for number, clip in enumerate(clips):
        if clip.key in store:
            inputs = store[clip.key]
            for stream in inputs.media_streams:
                rows.setdefault(stream, []).append((number, getattr(inputs, stream).mean(0)))
    if not rows:
        raise ValueError(f"high.features {recipe_name}: its encoders find nothing in any of the {len(clips)} clips")
    values, there = {}, {}
    for stream, found in rows.items():
        values[stream] = torch.zeros(len(clips), len(found[0][1]))
        there[stream] = torch.zeros(len(clips), dtype=torch.bool)
        for number, mean in found:
            values[stream][number], there[stream][number] = mean, True
    contents = {clip.key: frozenset(filter(None, store.files(clip.key).values())) for clip in clips
                if clip.key in store}
    return Features(values, there), contents
