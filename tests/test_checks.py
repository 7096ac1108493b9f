"""Words that are none, clips that are left out, and targets that nobody asks for: nothing goes missing in silence."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import tiny
import torch

from affectgpt.data.checks import check_targets, contradiction, left_out_table
from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.dataset import InstructionDataset
from affectgpt.data.inputs import Inputs
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor

INVISIBLE = ["", " ", "  \t\n", "\u200b", "\u00a0\u3000", "\ufeff", "\u2060\u200d", "\u3164", "\u2800", "\ufe0f",
             "\x00\x07", "\u202e", "\U000e0041"]


@pytest.fixture(scope="module")
def processor():
    config = AffectGPTConfig(streams=["audio", "face", "fusion", "text"], **tiny.SMALL)
    return AffectGPTProcessor(tiny.tokenizer(), config)


def test_spoken_words_can_be_read():
    assert [spoken(words) for words in INVISIBLE] == [None] * len(INVISIBLE)
    for words in ("hm", " ok ", "?!", "…", "你好", "e\u0301", "❤\ufe0f", "\u200bno"):
        assert spoken(words) == words
    assert spoken(None) is None and Inputs(words=" \u200b").words is None


@pytest.mark.parametrize("words", INVISIBLE)
def test_blank_words_never_stay_alone_and_are_not_shown(processor, words):
    targets = Targets(description="D.", labels=("angry",))
    clips = [Clip(id=str(number), words=words, targets=targets) for number in range(8)]
    facts = {clip.key: SimpleNamespace(media_streams=["audio", "face"], words=words) for clip in clips}
    dataset = InstructionDataset(processor, clips, facts, {"description": 1.0}, 0.7, 0.3)
    for epoch in range(10):
        dataset.set_epoch(epoch)
        for index in range(len(clips)):
            assert not {"audio", "face"} <= set(dataset.draw(index)[1])
            assert dataset.text(index)["shown"]
            assert 'Words: "' not in processor.tokenizer.decode(dataset.text(index)["input_ids"])


def test_a_stream_without_content_is_none():
    empty = Inputs(audio=torch.zeros(0, 1, 5), face=torch.zeros(2, 3, 4, 4), frame=torch.zeros(0, 3, 4, 4))
    assert empty.media_streams == ["face"]


def test_streams_of_which_nothing_is_known_never_stay_alone(processor):
    """Only the face has evidence and a cue: a voice alone has no answer, so the face is not hidden."""
    targets = Targets(labels=("sad",), evidence={"face": "The mouth droops"}, cues={"face": "sad"})
    clips = [Clip(id=str(number), words="hm", targets=targets) for number in range(8)]
    facts = {clip.key: SimpleNamespace(media_streams=["audio", "face"], words="hm") for clip in clips}
    dataset = InstructionDataset(processor, clips, facts, {"description": 1.0, "labels": 1.0}, 0.7, 0.7)
    hidden = []
    for epoch in range(10):
        dataset.set_epoch(epoch)
        hidden += [dataset.draw(index)[1] for index in range(len(clips))]
        texts = [processor.tokenizer.decode(dataset.text(index)["input_ids"]) for index in range(8)]
        assert all("Emotions: sad" in text for text in texts)
    assert all("face" not in one for one in hidden) and any("audio" in one for one in hidden)


def test_every_clip_is_kept_or_counted_with_its_reason(processor):
    known = Targets(labels=("sad",))
    clips = [Clip(id="kept", corpus="a", targets=known), Clip(id="lost", corpus="a", targets=known),
             Clip(id="untold", corpus="b"), Clip(id="blank", corpus="b", targets=known),
             Clip(id="told", corpus="b", targets=Targets(description="D."))]
    facts = {clip.key: SimpleNamespace(media_streams=["audio"] if clip.id != "blank" else [], words=" ")
             for clip in clips if clip.id != "lost"}
    dataset = InstructionDataset(processor, clips, facts, {"labels": 1.0, "description": 1.0})
    assert [clip.id for clip, _ in dataset.items] == ["kept", "told"]
    assert {reason: [clip.id for clip in left] for reason, left in dataset.left_out.items()} == {
        "unreadable": ["lost"], "no target": ["untold"], "nothing to show": ["blank"], "too long": []}
    table = left_out_table({"train": dataset}).splitlines()
    assert table[0].split() == ["split", "corpus", "kept", "no", "target", "unreadable", "nothing", "to", "show",
                                "too", "long"]
    assert [line.split() for line in table[1:3]] == [
        ["train", "a", "1", "0", "1", "0", "0"], ["train", "b", "1", "1", "0", "1", "0"]]
    assert "no target: 1 clips of b in split train: untold" in table and len(table) == 6


# ---------------------------------------------------------------------------- before any media is opened


def clips_of(corpus="a", **targets):
    return [Clip(id=str(number), corpus=corpus, provenance=f"{corpus}:{number + 1}", targets=Targets(**targets))
            for number in range(3)]


@pytest.mark.parametrize("targets, remedy", [
    ({"sentiment": "positive"}, "these clips have sentiment; set data.questions={sentiment: 1}"),
    ({"valence": 0.5}, "these clips have valence; set data.questions={valence: 1}"),
    ({"sentiment": "positive", "valence": 0.5}, "sentiment and valence; set data.questions={sentiment: 1, valence: 1}"),
    ({}, "have no description, labels, emotion, sentiment or valence"),
])
def test_a_split_that_no_question_asks_about_is_refused_with_the_remedy(targets, remedy):
    questions = {"description": 1, "labels": 1, "valence": 0}
    with pytest.raises(ValueError, match="split train: no clip of corpus a .*.description: 1, labels: 1.") as e:
        check_targets({"train": clips_of(**targets)}, questions, "chat")
    assert remedy in str(e.value) and "a:1" in str(e.value)
    assert check_targets({"train": clips_of(sentiment="negative")}, {"sentiment": 1}, "chat") == []


def test_one_corpus_of_several_is_a_warning():
    clips = clips_of(labels=("sad",)) + clips_of("b", sentiment="positive")
    [note] = check_targets({"train": clips}, {"labels": 1.0}, "chat")
    assert note.startswith("warning: split train: no clip of corpus b") and "data.questions={sentiment: 1}" in note


@pytest.mark.parametrize("targets, says", [
    ({"labels": ("sad",), "sentiment": "positive"}, "sentiment positive and labels sad"),
    ({"valence": -0.8, "sentiment": "positive"}, "sentiment positive and valence -0.8"),
    ({"valence": 2.4, "labels": ("annoyed", "surprised")}, None),
    ({"valence": 2.4, "labels": ("annoyed", "furious")}, "valence 2.4 and labels annoyed, furious"),
    ({"emotion": "angry", "labels": ("sad",)}, "emotion angry and labels sad"),
    ({"emotion": "joy", "labels": ("excited",)}, None),
    ({"emotion": "joy", "labels": ("delighted",), "sentiment": "positive", "valence": 1.0}, None),
    ({"emotion": "surprised", "labels": ("startled",), "valence": 0.1}, "valence 0.1 and labels"),
    ({"labels": ("wobbly",), "sentiment": "positive", "valence": 0}, None),
    ({"emotion": "happy", "valence": -1}, "emotion happy and valence -1"),
])
def test_targets_that_contradict_each_other(targets, says):
    found = contradiction(Clip(id="a", targets=Targets(**targets)))
    assert (found is None) == (says is None)
    if says:
        first, second = says.split(" and ")
        assert first in found and second in found


def test_a_valence_is_low_or_high_by_the_middle_of_its_range():
    clip = Clip(id="a", targets=Targets(emotion="sad", valence=1.5))
    assert contradiction(clip) and contradiction(clip, Corpus("c", "", "", "", valence_range=(1, 5))) is None
    glad = Clip(id="a", targets=Targets(emotion="happy", valence=1.5))
    assert contradiction(glad) is None and contradiction(glad, Corpus("c", "", "", "", valence_range=(1, 5)))


def test_contradictions_and_unknown_labels_are_counted():
    clips = clips_of(labels=("sad",)) + clips_of("b", labels=("sad",), valence=0.5)
    clips += clips_of("c", labels=("生气", "sad"))
    notes = check_targets({"train": clips}, {"labels": 1.0}, "chat")
    assert len(notes) == 2
    assert "targets of 3 of 3 clips of corpus b contradict each other; the first is b:1: " in notes[0]
    assert notes[1].startswith("note: 3 of 6 labels of corpus c are not known (生气)")
    [note] = check_targets({"train": clips_of("d", labels=("生气", "委屈"))}, {"labels": 1.0}, "chat")
    assert "6 of 6 labels" in note and note.endswith("take no part in the alignment")


def test_a_valence_outside_the_range_that_is_asked_is_told():
    clips = clips_of(valence=2.5) + clips_of("b", valence=-1.0)
    [note] = check_targets({"train": clips}, {"valence": 1.0}, "chat")
    assert note.startswith("warning: the valence of 3 of 3 clips of corpus a is outside of -1 to 1")
    assert "a:1: 2.5" in note
    told = clips_of(valence=2.5, labels=("glad",))
    assert check_targets({"train": told}, {"labels": 1.0}, "chat") == []  # nobody asks
