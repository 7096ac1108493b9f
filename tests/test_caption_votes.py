"""Votes on captions: files of predictions, and classifiers that never vote on what they were trained on."""

from __future__ import annotations

import json

import pytest
import torch

from affectgpt.caption import classifiers, features, votes
from affectgpt.caption.classifiers import Features
from affectgpt.caption.settings import CaptionRecipe, HighSection
from affectgpt.data.clip import Clip, Targets


def clip(name, speaker=None, emotion="sad", corpus="c", **targets) -> Clip:
    return Clip(name, corpus, speaker=speaker, targets=Targets(emotion=emotion, **targets))


def made(count: int, seed: int = 0, streams=("audio", "face")) -> tuple[Features, list[str], list[str]]:
    """Features whose mean tells the emotion, in every stream; every fifth clip lacks the last stream."""
    generator = torch.Generator().manual_seed(seed)
    emotions = [("sad", "angry", "happy")[number % 3] for number in range(count)]
    shift = torch.tensor([("sad", "angry", "happy").index(word) for word in emotions])
    values = {name: torch.randn(count, 6, generator=generator) + 3 * torch.eye(3)[shift].repeat(1, 2)
              for name in streams}
    there = {name: torch.ones(count, dtype=torch.bool) for name in streams}
    there[streams[-1]][::5] = False
    values[streams[-1]][::5] = 0
    return Features(values, there), emotions, ["positive" if word == "happy" else "negative" for word in emotions]


CLASSES = ["angry", "happy", "sad"]
SMALL = HighSection(hidden=16, epochs=20, learning_rate=1e-2)


def test_a_classifier_learns_and_the_same_seed_gives_the_same_weights():
    model = classifiers.train(*made(90), CLASSES, SMALL, 3)
    shown, emotions, sentiments = made(60, seed=1)
    answers = classifiers.predict(model, shown, CLASSES)
    assert sum(one == (emotion, sentiment) for one, emotion, sentiment in
               zip(answers, emotions, sentiments, strict=True)) > 54
    again, other = (classifiers.train(*made(90), CLASSES, SMALL, seed) for seed in (3, 4))
    same = [torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True)]
    assert all(same)
    assert not torch.equal(model.emotion.weight, other.emotion.weight)


def test_an_absent_stream_has_no_weight_and_a_clip_without_any_no_vote():
    streams = ("audio", "frame", "face")
    model = classifiers.train(*made(90, streams=streams), CLASSES, SMALL, 0)
    shown, _, _ = made(10, streams=streams)
    changed = Features({name: value.clone() for name, value in shown.values.items()}, shown.there)
    changed.values["face"][::5] = 99.0
    with torch.inference_mode():
        before = model(shown)
        for one, other in zip(before, model(changed), strict=True):
            assert torch.equal(one, other)
    with torch.no_grad():
        model.attention[-1].bias[2] += 5  # the face counts for more, where there is one
        same = (model(shown)[0] == before[0]).all(1)
    assert same.tolist() == [number % 5 == 0 for number in range(10)]
    nothing = Features(shown.values, {name: torch.zeros(10, dtype=torch.bool) for name in shown.there})
    assert classifiers.predict(model, nothing, CLASSES) == [(None, None)] * 10


def test_targets_may_be_missing_and_rare_classes_weigh_more():
    shown, emotions, sentiments = made(90)
    partly = [emotion if number % 2 else None for number, emotion in enumerate(emotions)]
    model = classifiers.train(shown, partly, [None] * 90, CLASSES, SMALL, 0)
    right = [one == emotion for (one, _), emotion in zip(classifiers.predict(model, shown, CLASSES), emotions,
                                                         strict=True)]
    assert sum(right) > 80
    weights = classifiers._weights(torch.tensor([0, 0, 0, 1, -100]), 3)
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])


def test_folds_cut_no_speaker_and_are_of_like_size():
    clips = [clip(f"{speaker}{number}", speaker) for speaker, count in (("a", 6), ("b", 3), ("c", 3), ("d", 1))
             for number in range(count)]
    parts = votes.cut_folds(clips, "speaker", 3, seed=0)
    assert sorted(one.id for part in parts for one in part) == sorted(one.id for one in clips)
    speakers = [{one.speaker for one in part} for part in parts]
    assert sum(map(len, speakers)) == 4 and max(map(len, parts)) == 6
    assert len(votes.cut_folds(clips, "clip", 5, seed=0)) == 5
    assert parts == votes.cut_folds(clips, "speaker", 3, seed=0)
    assert len(votes.cut_folds([clip("x"), clip("y")], "speaker", 5, seed=0)) == 2  # nobody's clips are their own


def test_training_leaves_out_the_speakers_and_the_same_files_under_other_names():
    fold = [clip("1", "a")]
    labelled = [clip("2", "a"), clip("3", "b"), clip("1", "z", corpus="copy"), clip("4", "a", corpus="other")]
    contents = {"c/1": frozenset({"hash"}), "copy/1": frozenset({"hash"}), "c/3": frozenset({"else"})}
    kept = votes.training_clips(fold, labelled, "speaker", contents)
    assert [one.key for one in kept] == ["c/3", "other/4"]
    assert [one.key for one in votes.training_clips(fold, labelled, "clip", contents)] == ["c/2", "c/3", "other/4"]


def test_no_classifier_votes_on_a_speaker_that_it_was_trained_on(monkeypatch, tmp_path, capsys):
    clips = [clip(f"{speaker}{number}", speaker, ("sad", "angry", "happy")[number % 3])
             for speaker in "abcd" for number in range(12)]
    everything = made(len(clips))[0]
    monkeypatch.setattr(features, "mean_features", lambda name, given, *rest: (everything.take(
        [clips.index(one) for one in given]), {}))
    trained, asked = [], []
    train, training_clips = classifiers.train, votes.training_clips
    monkeypatch.setattr(votes, "training_clips", lambda *given: trained.append(training_clips(*given)) or trained[-1])
    monkeypatch.setattr(classifiers, "train", lambda *given: asked.append(len(given[0])) or train(*given))
    recipe = CaptionRecipe(high=HighSection(votes=2, folds=4, hidden=8, epochs=2, features=["x", "y"]))
    found = votes.trained_votes(recipe, clips[:24], clips, tmp_path)
    assert {len(given) for given in found.values()} == {4} and len(found) == 24  # two sets of two
    assert asked == [36] * 8 and len(trained) == 4
    assert [{one.speaker for one in used} for used in trained] in (
        [{"b", "c", "d"}, {"a", "c", "d"}] * 2, [{"a", "c", "d"}, {"b", "c", "d"}] * 2)
    assert "trained on 36 clips of 3 groups, vote on 12 clips" in capsys.readouterr().err
    with pytest.raises(ValueError, match="only 12 labelled clips are left .* 20 are needed"):
        votes.trained_votes(recipe, clips[:24], clips[:24], tmp_path)
    with pytest.raises(ValueError, match="12 labelled clips of 1 emotions"):
        votes.trained_votes(recipe, clips, [clip(str(number)) for number in range(12)], tmp_path)


def test_targets_of_a_clip():
    assert votes.targets_of(clip("1", emotion="joy")) == ("happy", "positive")
    assert votes.targets_of(clip("1", emotion=None, labels=("furious",))) == ("angry", "negative")
    assert votes.targets_of(clip("1", emotion=None, labels=("furious", "sad"), sentiment="neutral")) == (
        None, "neutral")
    assert votes.targets_of(clip("1", emotion=None)) == (None, None)


def test_predictions_of_a_file(tmp_path):
    file = tmp_path / "votes.jsonl"

    def read(*rows):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8-sig")
        return votes.read_predictions(str(file), {"a": "c/a", "b": "c/b"})

    good = {"name": "a", "emotion": "joy", "sentiment": "positive"}
    assert read(good, {"name": "b", "sentiment": "negative"}, {"name": "z", "emotion": "sad"}) == {
        "c/a": ("joy", "positive"), "c/b": (None, "negative")}
    for bad, said in (({"name": "b"}, "an emotion or a sentiment"), ({"name": "b", "emotion": "xyzzy"}, "word table"),
                      ({"name": "b", "sentiment": "good"}, "use one of"), (good, "twice"), ({"emotion": "sad"}, "name"),
                      ({"name": "b", "emotion": 3}, "word table"), ({"name": "b", "sentiment": ["x"]}, "use one of")):
        with pytest.raises(ValueError, match=f"votes.jsonl:2: .*{said}"):
            read(good, bad)
