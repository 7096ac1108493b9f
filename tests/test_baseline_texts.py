"""Clips as texts: context of a dialogue, cues, what is missing, what is cut; compound pairs; examples of a prompt."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from affectgpt.baselines.compound import PAIRS, compound_scores
from affectgpt.baselines.prompted import examples_of
from affectgpt.baselines.text_settings import TextSection, TextualizedSettings
from affectgpt.baselines.texts import NO_SPEECH, Text, TextEncoder, texts_of
from affectgpt.data.clip import Clip
from affectgpt.data.readers import reader_of
from affectgpt.textualize.texts import ClipText

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def turn(dialogue: str, number: int, words: str | None, speaker: str | None = "Joey") -> Clip:
    return Clip(id=f"{dialogue}-{number}", corpus="toy", words=words, speaker=speaker, dialogue=dialogue, turn=number)


DIALOGUES = [turn("a", 2, "third"), turn("a", 0, "first", "Ross"), turn("a", 1, "second", None), turn("b", 0, "else"),
             turn("b", 1, "other"), turn("a", 3, " "), turn("a", 4, "fifth"),
             Clip(id="alone", corpus="toy", words="one")]


def test_context_is_what_was_said_before_in_the_same_dialogue():
    texts, notes = texts_of(DIALOGUES, DIALOGUES, TextSection(context_turns=2))
    found = {text.key.removeprefix("toy/"): (text.text, text.context) for text in texts}
    assert found == {
        "a-0": ("Ross: first", ()), "a-1": ("second", ("Ross: first",)),
        "a-2": ("Joey: third", ("Ross: first", "second")), "a-3": (f"Joey: {NO_SPEECH}", ("second", "Joey: third")),
        "a-4": ("Joey: fifth", ("second", "Joey: third")),  # a silent turn says nothing to those after it
        "b-0": ("Joey: else", ()), "b-1": ("Joey: other", ("Joey: else",)), "alone": ("one", ())}
    assert notes == ["1 of 8 clips in which nothing is said"]
    names = texts_of(DIALOGUES, DIALOGUES, TextSection(context_turns=1, speaker_names=False))[0]
    assert (names[0].text, names[0].context) == ("third", ("second",))
    assert texts_of(DIALOGUES, DIALOGUES, TextSection())[0][0] == Text("toy/a-2", "third")


def test_a_dialogue_of_another_corpus_is_another_one():
    other = [replace(clip, corpus="second", words="secret") for clip in DIALOGUES]
    texts, _ = texts_of(DIALOGUES, [*other, *DIALOGUES], TextSection(context_turns=9))
    assert not any("secret" in line for text in texts for line in text.context)


def test_cues_fill_the_template_and_what_is_missing_is_counted():
    rows = {"toy/a-0": ClipText("toy/a-0", {"speech": "heard", "units": "Dimpler", "tone": "loud"}),
            "toy/a-1": ClipText("toy/a-1", {"speech": "No speech detected.", "units": "No face detected"})}
    section = TextSection("cues.jsonl", ["speech", "units", "tone"], "template")
    clips = [DIALOGUES[1], DIALOGUES[2], DIALOGUES[3]]
    texts, notes = texts_of(clips, clips, section, rows)
    assert [text.text for text in texts] == [
        "Speech transcription of the video : heard; Facial Action Units activated during the video : Dimpler; "
        "Characteristics of the prosody : loud",
        "Speech transcription of the video : No speech detected; Facial Action Units activated during the video : "
        "No face detected",
        "Speech transcription of the video : else"]
    assert set(notes) == {
        "1 of 3 clips without units", "2 of 3 clips without tone", "1 of 3 clips in which nothing is said",
        "1 of 3 clips without a row in the texts file"}
    with pytest.raises(ValueError, match="text.cues names state, which the texts file has for none of these 3 clips"):
        texts_of(clips, clips, replace(section, cues=["state"]), rows)


def test_settings_that_contradict_each_other_are_told():
    settings = TextualizedSettings(kind="compound-from-basic",
                                   text=TextSection(cues=["units", "smell"], wording="plain"))
    found = "; ".join(settings.problems())
    for part in ("text.cues are", "text.wording=plain is for speech alone", "text.texts no file",
                 "needs initial, a run"):
        assert part in found


@pytest.mark.parametrize("budget, expected", [
    (99, "[C] one two three [S] x y z [S]"), (8, "[C] one two three [S] y z [S]"), (6, "[C] one two three [S]"),
    (4, "[C] one two [S]")])
def test_an_encoder_reads_a_pair_and_loses_the_oldest_first(budget, expected):
    tokenizer = tiny_bert_tokenizer()
    encode = TextEncoder(tokenizer, budget, pairs=True)
    row = encode(Text("k", "one two three", ("x", "y z")))
    assert " ".join(tokenizer.convert_ids_to_tokens(row["input_ids"])) == expected
    ends = [place for place, name in enumerate(expected.split()) if name == "[S]"]
    assert row["token_type_ids"] == [int(place > ends[0]) for place in range(len(expected.split()))]
    assert encode.cut == (budget != 99)
    assert tokenizer.convert_ids_to_tokens(encode(Text("k", "[S] one"))["input_ids"])[1] == "[U]"  # no control token


def test_an_llm_reads_the_context_first():
    tokenizer = tiny.tokenizer()
    text = Text("k", "The voice is loud", ("Emotions: happy",))
    whole = TextEncoder(tokenizer, 99, pairs=False)(text)["input_ids"]
    assert tokenizer.decode(whole) == "Emotions: happy\nThe voice is loud"
    assert TextEncoder(tokenizer, 4, pairs=False)(text)["input_ids"] == whole[-4:]


def tiny_bert_tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = ["[P]", "[C]", "[S]", "[U]", "one", "two", "three", "x", "y", "z", "good", "bad", "odd"]
    inner = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="[U]"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inner.post_processor = processors.TemplateProcessing(
        single="[C] $A [S]", pair="[C] $A [S] $B:1 [S]:1", special_tokens=[("[C]", 1), ("[S]", 2)])
    return PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[U]", pad_token="[P]", cls_token="[C]",
                                   sep_token="[S]",
                                   model_input_names=["input_ids", "token_type_ids", "attention_mask"])


def test_pairs_are_those_of_the_corpus():
    labels = reader_of("cexpr", "corpus").corpus.labels
    assert set(PAIRS) == set(labels) - {"other"} and list(PAIRS) == [name for name in labels if name != "other"]
    assert [PAIRS[name] for name in ("fearfully surprised", "sadly fearful", "sadly angry")] == [
        ("fearful", "surprised"), ("sad", "fearful"), ("sad", "angry")]


@pytest.mark.skipif(not (SHARED / "cexpr").is_dir(), reason="the real annotation of C-EXPR-DB is not beside the tree")
def test_pairs_are_those_that_real_clips_are_labelled_with():
    clips = reader_of("cexpr", "corpus").read(SHARED / "cexpr")
    assert {clip.targets.emotion: clip.targets.labels for clip in clips if clip.targets.labels} == PAIRS


def test_compound_scores_are_sums_over_pairs():
    basic = ["angry", "happy", "sad", "neutral", "disgusted", "fearful", "surprised"]
    logits = torch.tensor([[0.0, 0, 3, 0, 0, 1, 2], [5.0, 0, 0, 0, 0, 0, 4]])
    compound = [*PAIRS, "other"]
    found = compound_scores(logits, basic, compound)
    sums = torch.tensor([[logits[row][basic.index(a)] + logits[row][basic.index(b)] for a, b in PAIRS.values()]
                         for row in range(2)])
    torch.testing.assert_close(found[:, :-1].float(), sums.log_softmax(-1))
    assert found[:, -1].exp().tolist() == [0, 0]
    assert [compound[place] for place in found.argmax(-1)] == ["sadly surprised", "angrily surprised"]
    shares = compound_scores(logits, basic, compound, "probabilities").exp()
    p = logits.double().softmax(-1)
    torch.testing.assert_close(shares[0, 0] / shares[0, 1], (p[0, 5] + p[0, 6]) / (p[0, 1] + p[0, 6]))
    with pytest.raises(ValueError, match="has no class fearful: it knows"):
        compound_scores(logits[:, :5], basic[:5] + [], ["sadly fearful"])
    with pytest.raises(ValueError, match="none of the classes happy is a compound emotion"):
        compound_scores(logits, basic, ["happy"])


def test_examples_are_drawn_by_seed_from_what_is_given():
    texts = [Text(f"k{number}", f"text {number}") for number in range(20)]
    labels = ["sad", "happy"] * 9 + ["rare", "sad"]
    first = examples_of(texts, labels, 2, seed=1)
    assert first == examples_of(texts[::-1], labels[::-1], 2, seed=1) != examples_of(texts, labels, 2, seed=2)
    known = {text.text: label for text, label in zip(texts, labels, strict=True)}
    assert all(known[text] == name for text, name in first)
    assert sorted(name for _, name in first) == ["happy", "happy", "rare", "sad", "sad"]
    assert examples_of(texts, labels, 0, seed=1) == []
