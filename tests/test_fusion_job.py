"""The feature-based job: whole predictions from made clips, gaps that are stated, windows, settings."""

from __future__ import annotations

import json

import media_fixtures
import pytest
import torch
from tiny import parts  # noqa: F401  a fixture

from affectgpt.baselines.decisions import join_windows, windows_of
from affectgpt.baselines.fusion_model import FusionModel
from affectgpt.baselines.fusion_settings import FusionSettings
from affectgpt.baselines.predictions import is_whole, read_predictions
from affectgpt.baselines.sequence_set import Aligned, Collate, SequenceSet, align, pool
from affectgpt.baselines.settings import FitSettings, load_settings
from affectgpt.baselines.split import Split
from affectgpt.data.clip import Clip, Targets
from affectgpt.features import frames
from affectgpt.features.spec import FeatureSpec
from affectgpt.train import features

CLASSES = ("low", "high", "never")
QUICK = FitSettings(epochs=12, batch_size=4, learning_rate=0.02, warmup_ratio=0.0)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Twelve sounds, low or high; one of the test has no file that can be read, one a picture alone."""
    folder, clips = tmp_path_factory.mktemp("clips"), []
    for number in range(12):
        label = CLASSES[number % 2]
        path = folder / f"{number}.wav"
        media_fixtures.write_clip(path, frames=0, sound=media_fixtures.tone(
            0.6 + 0.05 * number, frequency=(200 if label == "low" else 1500) + 9 * number))
        clips.append(Clip(id=str(number), corpus="t", media=path, words=f"word {label}", speaker=str(number),
                          targets=Targets(emotion=label)))
    media_fixtures.write_clip(folder / "picture.mp4", frames=4)
    (folder / "broken.wav").write_bytes(b"no sound")
    odd = [Clip(id=name, corpus="t", media=folder / name, targets=Targets(emotion="low"))
           for name in ("picture.mp4", "broken.wav")]
    return Split("official", tuple(clips[:6]), tuple(clips[6:8]), (*clips[8:], *odd))


def settings(parts, folder, **values):  # noqa: F811
    streams = [FeatureSpec(source="audio", encoder=parts["whisper"], rate=10.0),
               FeatureSpec(source="words", encoder=parts["qwen2"], layers="embeddings")]
    chosen = {"head": "lfan", "temporal": [8], "width": 8, "dropout": 0.0, "head_dropout": 0.0, "fit": QUICK,
              "workers": 0, **values}
    return FusionSettings(name="t", streams=streams, output=str(folder), features=str(folder / "f"), device="cpu",
                          **chosen)


@pytest.mark.parametrize("head", ["lfan", "statistics"])
def test_a_split_becomes_whole_predictions(split, parts, tmp_path, head, capsys):  # noqa: F811
    chosen = settings(parts, tmp_path, head=head, speeds=[0.9])
    folder = features.run_split(chosen, split, CLASSES, 0, tmp_path / "a")
    rows, facts = read_predictions(folder)
    assert [row.key for row in rows] == [clip.key for clip in split.test]
    assert all(row.predicted == row.target for row in rows[:4])
    assert all(abs(sum(row.probabilities.values()) - 1) < 1e-5 and set(row.probabilities) == set(CLASSES)
               for row in rows[:4])
    assert [row.predicted for row in rows[4:]] == [None, None]
    assert "no sound in this clip" in rows[4].note and "broken.wav" in rows[5].note
    assert facts["train_clips"] == 6 and facts["validation_clips"] == 2 and facts["validation_weighted_f1"] == 1.0
    assert facts["frame_level"]["accuracy"] > 0.8 and facts["seed"] == 0 and facts["system"] == "t"
    notes = "\n".join(facts["notes"])
    assert "no training clip is never" in notes and "2 clips without any stream" in notes
    assert "no training clip is never" in capsys.readouterr().err
    assert not (folder / "fit" / "checkpoints").exists()
    again = features.run_split(chosen, split, CLASSES, 0, tmp_path / "b")
    assert read_predictions(again)[0] == rows  # the same seed
    before = (folder / "run.json").stat().st_mtime_ns
    features.run_split(chosen, split, CLASSES, 0, folder)
    assert (folder / "run.json").stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="width"):
        features.check_same(settings(parts, tmp_path, head=head, speeds=[0.9], width=16), facts, folder)


def test_a_fold_of_one_class_and_features_that_are_no_numbers(split, parts, tmp_path, monkeypatch):  # noqa: F811
    encode = frames.Sound.encode
    bad = {round(0.6 * 16000), round(1.0 * 16000)}  # clips 0 (trained on) and 8 (tested on)
    monkeypatch.setattr(frames.Sound, "encode", lambda self, loaded: encode(self, loaded) * (
        float("nan") if len(loaded.raw) in bad else 1.0))
    one = Split("official", split.train[::2], split.validation, split.test)
    folder = features.run_split(settings(parts, tmp_path, use=["audio"]), one, CLASSES, 0, tmp_path / "a")
    rows, facts = read_predictions(folder)
    assert facts["train_clips"] == 2 and all(row.predicted in CLASSES for row in rows[1:4])
    assert rows[0].predicted is None and "no finite numbers" in rows[0].note
    notes = "\n".join(facts["notes"])
    assert "all training clips are low" in notes and "t/0, t/8" in notes and "no training clip is high, never" in notes
    nothing = Split("official", split.test[4:], split.validation, split.test)
    with pytest.raises(ValueError, match="no clip to train on"):
        features.run_split(settings(parts, tmp_path, use=["audio"]), nothing, CLASSES, 0, tmp_path / "b")


def test_a_clip_that_lacks_a_stream_is_answered_by_the_others(split, parts, tmp_path):  # noqa: F811
    silent = [Clip(id=f"w{n}", corpus="t", words=f"word {CLASSES[n]}", targets=Targets(emotion=CLASSES[n]))
              for n in range(2)]
    mixed = Split("official", split.train, split.validation, tuple(silent))
    rows, _ = read_predictions(features.run_split(
        settings(parts, tmp_path, stream_dropout=0.4), mixed, CLASSES, 0, tmp_path / "a"))
    assert all(row.predicted in CLASSES and "audio: no sound" in row.note for row in rows)
    assert abs(rows[0].probabilities["low"] - rows[1].probabilities["low"]) > 0.01  # their words count


def random_clip(length, seed, names=("a", "b")):
    generator = torch.Generator().manual_seed(seed)
    return Aligned({name: torch.randn(length, 3, generator=generator) for name in names}, torch.arange(length) / 5)


def model(**values):
    torch.manual_seed(0)
    chosen = FusionSettings(streams=[FeatureSpec(name="a", encoder="x"), FeatureSpec(name="b", encoder="x")],
                            **{"temporal": [4], "width": 4, "window": 6, "hop": 4, **values})
    return FusionModel({"a": 3, "b": 3}, 3, chosen).eval()


@pytest.mark.parametrize("head", ["lfan", "jmt", "mt"])
@torch.no_grad()
def test_long_clips_are_windows_that_no_neighbour_changes(head):
    net, collate = model(head=head), Collate({"a": 3, "b": 3})
    clips = {str(n): random_clip(n, n) for n in (3, 10, 11, 17)}
    one_by_one = {}
    for key, clip in clips.items():
        output = net(**collate([SequenceSet([key], [0], [clips], ["a", "b"])[0]]))
        parts = []
        for start, end in windows_of(len(clip), 6, 4):
            part = {name: value[start:end] for name, value in clip.streams.items()}
            cut = {key: Aligned(part, clip.times[start:end])}
            parts.append((start, net(**collate([SequenceSet([key], [0], [cut], ["a", "b"])[0]])).frames[0]))
        torch.testing.assert_close(output.frames[0].double(), join_windows(len(clip), parts), atol=1e-5, rtol=1e-4)
        one_by_one[key] = output
    together = net(**collate([SequenceSet(list(clips), [0] * 4, [clips], ["a", "b"])[n] for n in range(4)]))
    for row, key in enumerate(clips):
        torch.testing.assert_close(together.logits[row], one_by_one[key].logits[0], atol=1e-5, rtol=1e-4)
    assert together.loss is not None and torch.isfinite(together.loss)


def test_training_windows_cover_each_clip():
    clips = {"s": random_clip(5, 1), "l": random_clip(17, 2)}
    faster = {"s": random_clip(4, 3), "l": random_clip(17, 4)}
    made = SequenceSet(["s", "l"], [0, 1], [clips, faster], ["a"], (6, 4), seed=1)
    assert made.labels == [0, *[1] * (len(made) - 1)] and len(made) == 1 + len(windows_of(17, 6, 4))
    heard = set()
    for epoch in range(8):
        made.set_epoch(epoch)
        heard.add(made[0]["length"])
    assert heard == {4, 5}  # both speeds
    assert set(made[0]["streams"]) == {"a"}


def test_alignment_and_pooling_by_hand():
    specs = [FeatureSpec(source="face", encoder="x"), FeatureSpec(source="audio", encoder="x"),
             FeatureSpec(source="words", encoder="x")]
    found = {"audio": (torch.tensor([[0.0], [2.0]]), torch.tensor([0.0, 1.0])),
             "words": (torch.tensor([[5.0], [6.0]]), torch.tensor([0.2, 0.9]))}
    alone = align(found, specs)  # no face: the sound leads
    assert alone.streams["audio"].tolist() == [[0.0], [2.0]] and alone.streams["words"].tolist() == [[5.0], [6.0]]
    led = align({"face": (torch.ones(3, 2), torch.tensor([0.25, 0.5, 0.75])), **found}, specs)
    assert led.streams["audio"].tolist() == [[0.5], [1.0], [1.5]] and led.streams["words"].tolist() == [[5.0], [5.0],
                                                                                                         [6.0]]
    assert align({}, specs) is None and pool({}, specs) is None
    pooled = pool({"audio": (torch.tensor([[1.0], [3.0]]), torch.zeros(2))}, specs)
    assert pooled.streams["audio"].tolist() == [[2.0, 1.0]]
    steps = torch.tensor([1.0, 2.0, 5.0, 8.0])  # two positions of two steps each, and a level
    parts = torch.stack([torch.stack([part.mean(), part.std(correction=0), level]) for part, level in zip(
        steps.split(2), torch.tensor([3.0, 5.0]), strict=True)])
    both = pool({"audio": (parts, torch.zeros(2))}, [FeatureSpec(encoder="x", statistics="mean_std")])
    assert both.streams["audio"][0].tolist() == pytest.approx([4.0, 4.0, float(steps.std(correction=0)), 1.0])


def test_statistics_are_those_of_the_training_positions():
    net = model()
    clips = [random_clip(4, 1).streams, random_clip(9, 2).streams]
    clips[0]["b"][:] = clips[1]["b"][:] = 2.0
    net.fit_statistics(clips, [0, 0, 0, 2])
    every = torch.cat([clip["a"] for clip in clips])
    torch.testing.assert_close(net.a_mean, every.mean(0))
    torch.testing.assert_close(net.a_deviation, every.std(0, correction=0))
    assert torch.isinf(net.b_deviation).all()  # never moves: says nothing
    torch.testing.assert_close(net.class_weights, torch.tensor([4 / 6, 0.0, 2.0]))


@pytest.mark.parametrize("name", ["features-ravdess", "features-starter", "features-cexpr", "features-paper"])
def test_packaged_recipes_are_whole(name):
    assert load_settings(FusionSettings, name).name == name


@pytest.mark.parametrize("words, message", [
    (["use=nose"], "no stream 'nose'"), (["hop=400"], "would not be seen"), (["width=33"], "multiple"),
    (["streams.0.encoder="], "streams.0.encoder is empty"), (["streams.1.name=face"], "a name of its own")])
def test_what_cannot_be_is_said(words, message):
    with pytest.raises(ValueError, match=message):
        load_settings(FusionSettings, "features-starter", words)


def test_the_verb_runs_all_splits_and_prints_scores(split, parts, tmp_path, capsys):  # noqa: F811
    rows = [{"id": clip.id, "split": name, "media": clip.media.name, "words": clip.words, "speaker": clip.speaker,
             "emotion": clip.targets.emotion} for name, clips in (
        ("train", split.train), ("validation", split.validation), ("test", split.test[:4])) for clip in clips]
    manifest = split.train[0].media.parent / "manifest.jsonl"
    manifest.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["corpus.root=" + str(manifest), f"output={tmp_path}", "use=audio", "head=concatenation", "seeds=0,1",
             "temporal=", f"streams.1.encoder={parts['whisper']}", "fit.epochs=6", "fit.learning_rate=0.02",
             "fit.batch_size=4", "workers=0", "feature_noise=0", "dropout=0"]
    assert features.main(["features-starter", *words]) == 0
    assert is_whole(tmp_path / "official" / "seed-1")
    assert "accuracy 1.000" in capsys.readouterr().out
