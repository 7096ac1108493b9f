"""Clips from corpora, training samples from clips."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace

import pytest
import tiny
import torch

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.dataset import InstructionDataset, alignment_targets, label_space
from affectgpt.data.inputs import Inputs
from affectgpt.data.readers import manifest, read_corpora, read_corpus, split_source
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor

# ---------------------------------------------------------------------------- the manifest


def write_manifest(folder, rows, name="manifest.jsonl"):
    path = folder / name
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def test_a_row_becomes_a_clip(tmp_path):
    row = {"id": "a", "corpus": "mine", "split": "test", "media": "clips/a.mp4", "audio": "a.wav", "words": "hm",
           "language": "de", "speaker": "s1", "sex": "female", "description": "d", "labels": ["sad"], "emotion": "sad",
           "valence": -1, "sentiment": "negative", "evidence": {"face": "f"}, "cues": {"face": "sad"}}
    path = write_manifest(tmp_path, [row, {"id": "b"}])
    first, second = read_corpus(str(path))
    assert first == Clip(
        id="a", corpus="mine", split="test", media=tmp_path / "clips" / "a.mp4", audio=tmp_path / "a.wav", words="hm",
        language="de", speaker="s1", sex="female", provenance=f"{path}:1", targets=Targets(
            description="d", labels=("sad",), emotion="sad", valence=-1, sentiment="negative", evidence={"face": "f"},
            cues={"face": "sad"}))
    assert second == Clip(id="b", corpus=tmp_path.name, provenance=f"{path}:2")
    moved = read_corpus(str(path), str(tmp_path / "elsewhere"))[0]
    assert moved.media == tmp_path / "elsewhere" / "clips" / "a.mp4"


@pytest.mark.parametrize("row, message", [
    ({"id": "a", "lables": ["sad"]}, "unknown key 'lables'; did you mean 'labels'"),
    ({"id": "a", "xyzzy": 1}, "unknown key 'xyzzy'; known keys: id, corpus"),
    ({"media": "a.mp4"}, "has no id"),
    ({"id": ""}, "has no id"),
    ({"id": "a", "media": "../secret.mp4"}, "media: ../secret.mp4: leaves its root"),
    ({"id": "a", "audio": "/etc/passwd"}, "audio: /etc/passwd: is absolute"),
    ({"id": "a", "labels": "sad"}, "labels must be a list of words, not 'sad'"),
    ({"id": "a", "labels": [1]}, "labels must be a list of words"),
    ({"id": True}, "id must be text, not True"),
    ({"id": [7]}, "id must be text"),
    ({"id": "a", "words": 7}, "words must be text, not 7"),
    ('{"id": "a", "valence": 1e999}', "valence must be a number"),
    ({"id": "a", "valence": "low"}, "valence must be a number, not 'low'"),
    ({"id": "a", "valence": True}, "valence must be a number"),
    ({"id": "a", "evidence": {"smell": "bad"}}, "evidence must be an object of stream"),
    ({"id": "a", "cues": ["sad"]}, "cues must be an object"),
    ({"id": "a", "sex": "f"}, "sex must be one of female, male, not 'f'"),
    ({"id": "a", "sentiment": "good"}, "sentiment must be one of positive, neutral, negative"),
    ("[1]", "object"),
    ("{oops", "JSON"),
])
def test_a_bad_row_is_named(tmp_path, row, message):
    path = write_manifest(tmp_path, [{"id": "fine"}, row])
    with pytest.raises(ValueError, match=message) as error:
        manifest.read(path)
    assert str(error.value).startswith(f"{path}:2: ") and "\n" not in str(error.value)


def test_manifests_that_hold_nothing(tmp_path):
    with pytest.raises(ValueError, match="the manifest has no rows"):
        manifest.read(write_manifest(tmp_path, []))
    with pytest.raises(ValueError, match="no such manifest"):
        manifest.read(tmp_path / "missing.jsonl")
    with pytest.raises(ValueError, match="no such manifest"):
        manifest.read(tmp_path)


def test_ids_are_unique(tmp_path):
    first = write_manifest(tmp_path, [{"id": "a"}, {"id": "b"}])
    second = write_manifest(tmp_path, [{"id": "c"}, {"id": "a"}], "second.jsonl")
    with pytest.raises(ValueError, match=f"{second}:2: id 'a' was used before in {first}:1"):
        read_corpora([str(first), str(second)])
    third = write_manifest(tmp_path, [{"id": "a", "corpus": "other"}], "third.jsonl")
    assert len(read_corpora([str(first), str(third)])) == 3
    with pytest.raises(ValueError, match="used before"):
        read_corpora([str(write_manifest(tmp_path, [{"id": "x"}, {"id": "x"}], "same.jsonl"))])


def test_unknown_reader():
    with pytest.raises(ValueError, match="unknown corpus reader 'melt': use one of manifest, mercaptionplus.* ravdess"):
        read_corpus("melt:/data")


@pytest.mark.parametrize("source, parts", [
    ("ravdess:/data/r", ("ravdess", "/data/r")), ("m.jsonl", (None, "m.jsonl")),
    ("C:/data/m.jsonl", (None, "C:/data/m.jsonl")), ("meld:C:/data", ("meld", "C:/data"))])
def test_a_source_names_a_reader_or_a_manifest(source, parts):
    assert split_source(source) == parts


# ---------------------------------------------------------------------------- RAVDESS


def test_ravdess(tmp_path):
    rows = [("03-01.opus", 3, "calm"), ("17.opus", 17, "disgust"), ("20.opus", 20, "happy"),
            ("20_full.mp4", 20, "happy")]
    (tmp_path / "labels.csv").write_text(
        "file,actor,emotion,transcript\n" + "".join(f"{file},{actor},{label},hm\n" for file, actor, label in rows))
    clips = read_corpus(f"ravdess:{tmp_path}")
    assert [(clip.id, clip.split, clip.targets.emotion, clip.targets.sentiment, clip.words) for clip in clips] == [
        ("03-01", "train", "calm", "neutral", None), ("17", "validation", "disgusted", "negative", None),
        ("20", "test", "happy", "positive", None)]
    assert clips[1].provenance == f"{tmp_path / 'labels.csv'}:3" and clips[1].key == "ravdess/17"
    assert clips[0].media == tmp_path / "03-01.opus" and clips[0].speaker == "actor03"


def test_ravdess_by_its_own_names(tmp_path):
    """Without a table: names say everything, one file a take, the film with sound first."""
    names = ["Actor_03/03-01-02-01-01-01-03.wav", "Actor_17/03-01-07-02-01-02-17.wav",
             "Actor_17/02-01-07-02-01-02-17.mp4", "Actor_20/01-02-03-01-02-01-20.MP4",
             "Actor_20/03-02-03-01-02-01-20.wav", "Actor_20/notes.txt", "Actor_20/03-01-09-01-01-01-20.wav"]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    clips = read_corpus(f"ravdess:{tmp_path}")
    assert [(clip.id, clip.split, clip.targets.emotion, clip.targets.sentiment, clip.speaker) for clip in clips] == [
        ("03-01-02-01-01-01-03", "train", "calm", "neutral", "actor03"),
        ("03-01-07-02-01-02-17", "validation", "disgusted", "negative", "actor17"),
        ("01-02-03-01-02-01-20", "test", "happy", "positive", "actor20")]
    assert clips[0].media == tmp_path / names[0] and clips[0].provenance == str(tmp_path / names[0])


def test_ravdess_mistakes(tmp_path):
    (tmp_path / "readme.txt").touch()
    with pytest.raises(ValueError, match="no takes named as 03-01-05-01-02-01-12.wav, and no labels.csv"):
        read_corpus(f"ravdess:{tmp_path}")
    table = tmp_path / "labels.csv"
    table.write_text("file,actor,emotion\na.opus,1,wobbly\n")
    with pytest.raises(ValueError, match="labels.csv:2: emotion is 'wobbly': RAVDESS has neutral, calm"):
        read_corpus(f"ravdess:{tmp_path}")
    table.write_text("file,emotion\na.opus,sad\n")
    with pytest.raises(ValueError, match="labels.csv.*actor"):
        read_corpus(f"ravdess:{tmp_path}")
    table.write_text("file,actor,emotion\na.opus,first,sad\n")
    with pytest.raises(ValueError, match="labels.csv:2.*actor"):
        read_corpus(f"ravdess:{tmp_path}")
    table.write_text("file,actor,emotion\n../a.opus,1,sad\n")
    with pytest.raises(ValueError, match="labels.csv:2.*leaves its root"):
        read_corpus(f"ravdess:{tmp_path}")
    table.write_text("file,actor,emotion\n")
    with pytest.raises(ValueError, match="labels.csv"):
        read_corpus(f"ravdess:{tmp_path}")


# ---------------------------------------------------------------------------- training samples

CUES = {"audio": "angry", "face": "happy", "text": "neutral"}
TARGETS = Targets(labels=("angry", "happy"), evidence={"audio": "LOUD.", "face": "SMILE.", "text": "PLAIN."}, cues=CUES)


@pytest.fixture(scope="module")
def processor():
    config = AffectGPTConfig(streams=["audio", "face", "fusion", "text"], **tiny.SMALL)
    return AffectGPTProcessor(tiny.tokenizer(), config)


def clips_and_inputs(processor, count=40, streams="audio face text"):
    clips = [Clip(id=f"c{number}", corpus="t", words="hm", targets=TARGETS) for number in range(count)]
    return clips, {clip.key: tiny.inputs(processor, 1, streams) for clip in clips}


def dataset_of(processor, seed=0, media=0.6, text=0.6, streams="audio face text", **values):
    clips, inputs = clips_and_inputs(processor, streams=streams)
    questions = {"description": 0.5, "labels": 0.5}
    return InstructionDataset(processor, clips, inputs, questions, media, text, seed, **values)


def draws(dataset, epoch=0):
    dataset.set_epoch(epoch)
    return [dataset.draw(index) for index in range(len(dataset))]


@pytest.mark.parametrize("streams", ["audio face text", "audio", "text", "face text"])
def test_one_stream_always_stays(processor, streams):
    dataset = dataset_of(processor, media=0.9, text=0.9, streams=streams)
    hidden = [set(hidden) for epoch in range(3) for _, hidden in draws(dataset, epoch)]
    assert all(one < set(streams.split()) for one in hidden)
    if " " in streams:
        assert len(set(map(frozenset, hidden))) > 1


def test_streams_are_hidden_as_often_as_asked_for(processor):
    dataset = dataset_of(processor, media=0.25, text=0.0)
    counts = Counter(stream for epoch in range(20) for _, hidden in draws(dataset, epoch) for stream in hidden)
    assert counts["text"] == 0
    assert 0.2 < counts["audio"] / 800 < 0.3 and 0.2 < counts["face"] / 800 < 0.3
    kinds = Counter(kind for epoch in range(20) for kind, _ in draws(dataset, epoch))
    assert 300 < kinds["labels"] < 500


def test_draws_follow_from_seed_epoch_and_clip(processor):
    first = draws(dataset_of(processor), 3)
    assert first == draws(dataset_of(processor), 3)
    assert first != draws(dataset_of(processor), 4) and first != draws(dataset_of(processor, seed=1), 3)
    assert len({str(draw) for draw in first}) > 4
    # The order of the clips does not matter, so a run on a part of them draws the same.
    clips, inputs = clips_and_inputs(processor)
    back = InstructionDataset(processor, clips[::-1], inputs, {"description": 0.5, "labels": 0.5}, 0.6, 0.6)
    back.set_epoch(3)
    assert [back.draw(len(clips) - 1 - index) for index in range(len(clips))] == first


def test_answers_speak_of_visible_streams_alone(processor):
    dataset = dataset_of(processor)
    evidence = {"audio": "LOUD", "face": "SMILE", "text": "PLAIN"}
    seen = set()
    for epoch in range(3):
        dataset.set_epoch(epoch)
        for index in range(len(dataset)):
            kind, hidden = dataset.draw(index)
            sample = dataset[index]
            answer = processor.tokenizer.decode([i for i in sample["labels"] if i != -100])
            for stream, word in evidence.items():
                assert (word in answer) == (kind == "description" and stream not in hidden)
                if stream != "text":
                    assert (sample.get(stream) is None) == (stream in hidden)
            assert ("angry" in answer) == ("audio" not in hidden) and ("happy" in answer) == ("face" not in hidden)
            assert ("They conflict" in answer) == (kind == "description" and not {"audio", "face"} & set(hidden))
            seen.add(tuple(sorted(hidden)))
    assert len(seen) > 4


def test_validation_hides_nothing_and_asks_every_kind(processor):
    dataset = dataset_of(processor, training=False)
    drawn = draws(dataset)
    assert all(not hidden for _, hidden in drawn) and drawn == draws(dataset, 5)
    assert Counter(kind for kind, _ in drawn) == {"description": 20, "labels": 20}


def test_clips_without_inputs_or_targets_are_left_out(processor):
    clips, inputs = clips_and_inputs(processor, 3)
    clips[1] = replace(clips[1], targets=Targets())
    del inputs[clips[2].key]
    dataset = InstructionDataset(processor, clips, inputs, {"labels": 1.0})
    assert [clip.id for clip, _ in dataset.items] == ["c0"] and dataset[0]["clip"] is clips[0]
    with pytest.raises(ValueError, match="no clip of this split"):
        InstructionDataset(processor, clips[1:], inputs, {"labels": 1.0})
    words = replace(clips[0], targets=Targets(labels=("sad",)))
    kinds = InstructionDataset(processor, [words], inputs, {"labels": 1.0, "description": 1.0}).items[0][1]
    assert kinds == {"labels": 1.0}  # nothing is known that a description could say


def test_alignment_draws_each_stream_to_its_own_cue():
    space = label_space([Clip(id="a", targets=TARGETS)])
    assert space == ["angry", "happy", "neutral"]
    targets = alignment_targets(Clip(id="a", targets=TARGETS), "face", space)
    assert targets == {"audio": [1, 0, 0], "face": [0, 1, 0], "frame": [0, 1, 0], "fusion": [0.5, 0.5, 0]}
    plain = alignment_targets(Clip(id="a", targets=Targets(emotion="happy")), "face", space)
    assert all(row == [0, 1, 0] for row in plain.values())
    unknown = alignment_targets(Clip(id="a", targets=Targets(labels=("wobbly",))), "face", space)
    assert all(row == [0, 0, 0] for row in unknown.values())


def test_inputs_name_their_streams():
    assert Inputs().media_streams == []
    assert Inputs(frame=torch.zeros(1), audio=torch.zeros(1)).media_streams == ["audio", "frame"]
    assert prompts.STREAM_NAMES.keys() == {"audio", "face", "frame", "text"}
