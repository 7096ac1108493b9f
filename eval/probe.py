"""A linear probe on the frozen encoders' features: what a model must beat to earn its LLM."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from affectgpt.metrics.basic import accuracy, macro_f1
from affectgpt.models.streams import MEDIA_STREAMS


def linear_probe(describer, corpus_clips, test_clips, test_inputs, folder: Path,
                 weights: str | None = None) -> dict[str, dict]:
    """Logistic regression on mean and deviation over time of each stream's features, train split -> these clips.

    Returns:
        stream -> accuracy, macro_f1, clips. Clips with several emotions are left out.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from affectgpt.eval.accuracy import stored_features, target_of

    train_clips = [clip for clip in corpus_clips if clip.split == "train" and target_of(clip)]
    if not train_clips:
        raise ValueError("--probe needs clips of a split named train, and the corpus has none")
    train_inputs = stored_features(describer, train_clips, folder / "features", weights, 0.005, "features of train")
    scores = {}
    for stream in MEDIA_STREAMS:
        split = []
        for clips, inputs in ((train_clips, train_inputs), (test_clips, test_inputs)):
            usable = [clip for clip in clips if target_of(clip) and clip.key in inputs
                      and getattr(inputs[clip.key], stream) is not None]
            vectors = [getattr(inputs[clip.key], stream).numpy() for clip in usable]
            split.append((np.array([np.concatenate([v.mean(0), v.std(0)]) for v in vectors]),
                          [target_of(clip) for clip in usable]))
        (x, y), (test_x, test_y) = split
        if not len(x) or not len(test_x):
            continue
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000)).fit(x, y)
        predictions = list(probe.predict(test_x))
        scores[stream] = {"accuracy": accuracy(test_y, predictions), "macro_f1": macro_f1(test_y, predictions),
                          "clips": len(test_y)}
    return scores
