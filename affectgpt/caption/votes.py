"""Votes on emotion and sentiment: from files of predictions, and from classifiers trained inside the job.

Cross-fitting: the groups to vote on (their speakers) are cut into folds, and each fold is voted on by classifiers that
were trained on the labelled clips of all other groups. A labelled clip whose media file has the content of a clip of
the fold is left out too, whatever it is called.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from pathlib import Path

from affectgpt.caption.settings import CaptionRecipe
from affectgpt.data.clip import Clip
from affectgpt.files import read_jsonl
from affectgpt.words import lexicon
from affectgpt.words.basic import POLARITIES

Vote = tuple[str | None, str | None]
LEAST_TRAINING_CLIPS = 20
"""Labelled clips that a classifier needs at least; fewer teach nothing."""


def read_predictions(path: str, keys: Mapping[str, str]) -> dict[str, Vote]:
    """Clip key -> vote of one file of `name`, `emotion` and `sentiment`, either of which may be null.

    keys: id or key -> key of the clips; rows of other names are left alone.

    Raises:
        ValueError: a row without a name or a vote, a sentiment or emotion that is unknown, a name that is there twice.
    """
    votes: dict[str, Vote] = {}
    table = lexicon.load()
    for number, row in read_jsonl(path):
        where = f"{path}:{number}"
        name, emotion, sentiment = (row.get(key) for key in ("name", "emotion", "sentiment"))
        if not isinstance(name, str) or not any((emotion, sentiment)):
            raise ValueError(f"{where}: needs a name, and an emotion or a sentiment")
        if sentiment is not None and sentiment not in POLARITIES:
            raise ValueError(f"{where}: sentiment is {sentiment!r}: use one of {', '.join(POLARITIES)}")
        if emotion is not None and (not isinstance(emotion, str) or table.meaning(emotion) is None):
            raise ValueError(f"{where}: emotion is {emotion!r}, a word that the word table does not know")
        key = keys.get(name)
        if key in votes:
            raise ValueError(f"{where}: {name!r} is there twice; keep one row")
        if key is not None:
            votes[key] = (emotion, sentiment)
    return votes


def trained_votes(recipe: CaptionRecipe, clips: list[Clip], labelled: list[Clip],
                  folder: Path) -> dict[str, list[Vote]]:
    """Clip key -> votes of the classifiers that were trained without its group.

    Args:
        clips: to vote on. labelled: with human labels; they may be among `clips`.
        folder: where feature stores are kept.
    Raises:
        ValueError: too few labelled clips are left for a fold, or a feature store cannot be made.
    """
    from affectgpt.caption import classifiers
    from affectgpt.caption.features import mean_features

    high = recipe.high
    targets = {clip.key: targets_of(clip) for clip in labelled}
    labelled = [clip for clip in labelled if any(targets[clip.key])]
    classes = sorted({targets[clip.key][0] for clip in labelled} - {None})
    if len(classes) < 2:
        raise ValueError(f"high.labelled has {len(labelled)} labelled clips of {len(classes)} emotions: classifiers "
                         "need two emotions at least")
    everything = list({clip.key: clip for clip in [*clips, *labelled]}.values())
    place = {clip.key: number for number, clip in enumerate(everything)}
    votes: dict[str, list[Vote]] = {clip.key: [] for clip in clips}
    folds = cut_folds(clips, high.group, high.folds, recipe.seed)
    for set_number, name in enumerate(high.features):
        features, contents = mean_features(name, everything, folder / "features", high.workers)
        for number, fold in enumerate(folds):
            training = training_clips(fold, labelled, high.group, contents)
            if len(training) < LEAST_TRAINING_CLIPS:
                raise ValueError(
                    f"high.labelled: only {len(training)} labelled clips are left for classifiers that vote on "
                    f"{len(fold)} clips of other groups ({_names(fold, high.group)}); {LEAST_TRAINING_CLIPS} are "
                    "needed: name more labelled corpora")
            print(f"votes:    {name}, part {number + 1} of {len(folds)}: {high.votes} classifiers, trained on "
                  f"{len(training)} clips of {len({group_of(clip, high.group) for clip in training})} groups, vote on "
                  f"{len(fold)} clips", file=sys.stderr, flush=True)
            shown = features.take([place[clip.key] for clip in training])
            emotions, sentiments = zip(*(targets[clip.key] for clip in training), strict=True)
            asked = features.take([place[clip.key] for clip in fold])
            for vote in range(high.votes):
                seed = recipe.seed + 1000 * set_number + vote
                model = classifiers.train(shown, list(emotions), list(sentiments), classes, high, seed)
                for clip, answer in zip(fold, classifiers.predict(model, asked, classes), strict=True):
                    votes[clip.key].append(answer)
    return votes


def targets_of(clip: Clip) -> Vote:
    """(emotion, sentiment) of a labelled clip: the meaning of its emotion, or of its only label, and its sentiment, or
    the polarity of its labels."""
    table, targets = lexicon.load(), clip.targets
    single = targets.emotion or (targets.labels[0] if len(targets.labels) == 1 else None)
    labels = targets.labels or ((single,) if single else ())
    return (table.meaning(single) if single else None), targets.sentiment or table.polarity_of(labels)


def group_of(clip: Clip, group: str) -> tuple[str, ...]:
    """What a clip must not share with those that a classifier learned from; a clip without a speaker is its own."""
    return (clip.corpus, "speaker", clip.speaker) if group == "speaker" and clip.speaker else \
        (clip.corpus, "clip", clip.id)


def cut_folds(clips: list[Clip], group: str, folds: int, seed: int) -> list[list[Clip]]:
    """The clips in at most so many parts; no group lies in two, and parts are of like size where groups allow it."""
    groups: dict[tuple, list[Clip]] = {}
    for clip in clips:
        groups.setdefault(group_of(clip, group), []).append(clip)
    order = sorted(groups)
    random.Random(seed).shuffle(order)
    order.sort(key=lambda name: -len(groups[name]))
    parts: list[list[Clip]] = [[] for _ in range(min(folds, len(order)))]
    for name in order:
        min(parts, key=len).extend(groups[name])
    return parts


def training_clips(fold: list[Clip], labelled: list[Clip], group: str, contents: Mapping[str, frozenset]) -> list[Clip]:
    """Labelled clips that share neither a group nor the content of a file with a fold.

    contents: clip key -> hashes of its media files.
    """
    groups = {group_of(clip, group) for clip in fold}
    files = frozenset().union(*(contents.get(clip.key, frozenset()) for clip in fold))
    return [clip for clip in labelled
            if group_of(clip, group) not in groups and not files & contents.get(clip.key, frozenset())]


def _names(clips: list[Clip], group: str) -> str:
    names = sorted({group_of(clip, group)[2] for clip in clips})
    return ", ".join(names[:4]) + (", ..." if len(names) > 4 else "")
