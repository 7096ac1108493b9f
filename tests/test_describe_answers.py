"""No answer about nothing, and every cut of words and of answers is noted."""
# ruff: noqa: F811

from __future__ import annotations

import json
from pathlib import Path

import media_fixtures
import pytest
import tiny
import torch
from describe_fixtures import failed, inside, model, run, samples  # noqa: F401  fixtures
from tiny import corpus, parts  # noqa: F401  fixtures

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.dataset import InstructionDataset
from affectgpt.inference import Describer, Description, Skipped
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.train.answer_lengths import answer_limit

BLANK = ["", "   ", "\n\t\u3000", "\u200b\ufeff\u2060", "\u3164\u2800"]


@pytest.fixture(scope="module")
def describer(model) -> Describer:
    return Describer(model, "cpu")


@pytest.fixture
def endless(describer, monkeypatch):
    """A model that never ends an answer: its head never wants the end."""
    ends = describer.processor.generation_options(1)["eos_token_id"]

    def without_end(module, arguments, logits):
        logits[..., ends] = -1e4
        return logits

    handle = describer.model.language_model.get_output_embeddings().register_forward_hook(without_end)
    yield describer
    handle.remove()


def describe(describer, path: Path, **options) -> Description | Skipped:
    words = options.pop("words", None)
    (one,) = describer.describe([Clip(id="a", media=path, words=words)], **options)
    return one


# ---------------------------------------------------------------------------- nothing to describe


@pytest.mark.parametrize("words", BLANK)
def test_blank_words_are_no_words(describer, samples, words):
    alone = describe(describer, samples / "face.mp4", words=words, streams=["text"])
    assert isinstance(alone, Skipped) and "nothing to describe: no words: what was given is blank" in alone.reason
    among = describe(describer, samples / "face.mp4", words=words)
    assert among.words is None and "text" not in among.streams
    assert "no words: what was given is blank" in among.notes


def test_an_empty_subtitle_says_why_there_is_nothing(capsys, model, samples):
    line = failed(capsys, "describe", samples / "voice.wav", "--model", model, "--streams", "text", "--subtitle", "")
    assert line.endswith("voice.wav: nothing to describe: no words: what was given is blank")


@pytest.mark.parametrize("seconds, there", [(0.006, False), (0.09, False), (0.15, True)])
def test_a_sound_of_milliseconds_is_no_speech(describer, tmp_path, seconds, there):
    path = tmp_path / "tick.wav"
    media_fixtures.write_clip(path, frames=0, sound=media_fixtures.tone(seconds))
    one = describe(describer, path, streams=["audio", "text"])
    if there:
        assert one.streams == ["audio", "text"]
    else:
        assert isinstance(one, Skipped)
        assert f"nothing to describe: the sound is too short: {1000 * seconds:.0f} ms" in one.reason


def test_a_silent_sound_is_no_sound_and_says_so(describer, tmp_path):
    media_fixtures.write_clip(tmp_path / "silence.wav", frames=0, sound=media_fixtures.tone(1.0, amplitude=0.0))
    media_fixtures.write_clip(tmp_path / "mute.mp4", frames=8, sound=media_fixtures.tone(1.0, amplitude=0.0))
    one = describe(describer, tmp_path / "silence.wav", streams=["audio", "text"])
    assert isinstance(one, Skipped) and one.reason.endswith("nothing to describe: the sound is silent")
    one = describe(describer, tmp_path / "mute.mp4", max_new_tokens=2)
    assert one.streams == ["frame"] and "the sound is silent" in one.notes and one.words is None


# ---------------------------------------------------------------------------- cuts


def test_words_that_do_not_fit_are_noted(describer, samples):
    long = "We talked about the weather. " * 60 + "Give it back!"
    count = len(describer.processor.tokenizer(long, add_special_tokens=False).input_ids)
    one = describe(describer, samples / "voice.wav", words=long, max_new_tokens=2)
    assert f"words cut after 128 of {count} tokens: the rest is not looked at" in one.notes and one.words == long
    one = describe(describer, samples / "voice.wav", words="We talked.", max_new_tokens=2)
    assert not any("words cut" in note for note in one.notes)


def test_an_answer_that_never_ends_says_so_and_claims_nothing(endless, samples):
    one = describe(endless, samples / "voice.wav", words="I am happy.")
    assert any("answer ended by its length" in note for note in one.notes)
    assert one.polarity is None and one.labels == [] and one.as_dict()["polarity"] is None
    limited = describe(endless, samples / "voice.wav", words="I am happy.", max_new_tokens=3)
    assert len(limited.description) < len(one.description) and "--max-new-tokens 3" in limited.notes[-1]


def test_the_limit_is_that_of_the_model_and_of_the_positions_of_its_llm(endless, samples, monkeypatch):
    asked = []
    monkeypatch.setattr(endless.processor, "generation_options", lambda limit: asked.append(limit) or {
        "max_new_tokens": 1, "do_sample": False, "pad_token_id": 0, "eos_token_id": [0]})
    describe(endless, samples / "voice.wav", words="Well.")
    monkeypatch.setattr(endless.processor.config.text_config, "max_position_embeddings", 80)
    describe(endless, samples / "voice.wav", words="Well.", max_new_tokens=500)
    assert asked[0] == endless.processor.config.max_new_tokens == 24 and 1 <= asked[1] < 60
    monkeypatch.setattr(endless.processor.config.text_config, "max_position_embeddings", 10)
    one = describe(endless, samples / "voice.wav", words="Well.")
    assert isinstance(one, Skipped) and "voice.wav" in one.reason and "leaves no room for an answer" in one.reason


@pytest.mark.parametrize("style", ["chat", "published"])
def test_an_answer_that_ends_is_not_called_cut(describer, monkeypatch, style):
    processor = describer.processor
    monkeypatch.setattr(processor.config, "prompt_style", style)
    end = processor.tokenizer("###", add_special_tokens=False).input_ids if style == "published" else \
        [processor.tokenizer.eos_token_id]
    word = processor.tokenizer("happy happy happy happy", add_special_tokens=False).input_ids
    rows = torch.tensor([(word * 9)[:8], (word * 9)[: 8 - len(end)] + end])
    assert describer._cut_off(rows, [processor.tokenizer.eos_token_id]) == [True, False]


@pytest.mark.parametrize("text, labels, polarity", [
    ("The voice is loud and happy, so the person", (), None),
    ("A smile. Emotions: happy, sur", ("happy",), None),
    ("A smile. Emotions:", (), None),
    ("A smile. Emotions: happy, surprised. Polar", ("happy", "surprised"), None),
    ("A smile. Emotions: happy. Polarity: posi", ("happy",), None),
    ("A smile. Emotions: happy. Polarity: positive", ("happy",), "positive"),
])
def test_of_a_cut_answer_only_what_it_says_in_full_counts(text, labels, polarity):
    answer = prompts.parse_answer(text, cut_off=True)
    assert (answer.labels, answer.polarity) == (labels, polarity)


def test_an_open_polarity_is_printed_and_null_in_json(capsys, model, samples, monkeypatch):
    monkeypatch.setattr(prompts, "parse_answer", lambda text, cut_off=False: prompts.Answer("One.\nTwo.", (), None))
    code, out, _ = run(capsys, "describe", samples / "picture.png", "--model", model, "--max-new-tokens", 1)
    assert code == 0 and "  polarity  (unknown)" in out and out[1:3] == ["  One.", "  Two."]
    code, out, _ = run(capsys, "describe", samples / "picture.png", "--model", model, "--max-new-tokens", 1, "--json")
    assert json.loads(out[0])["polarity"] is None


def test_one_odd_clip_of_a_batch_costs_that_clip(describer, samples, monkeypatch):
    generate = describer.model.generate

    def odd(**batch):
        if (batch["input_ids"] == describer.processor.config.placeholder_ids["audio"]).any():
            raise ValueError("audio features are not finite")
        return generate(**batch)

    monkeypatch.setattr(describer.model, "generate", odd)
    clips = [Clip(id=name, media=samples / name, words="hm") for name in ("picture.png", "voice.wav", "silent.webm")]
    found = list(describer.describe(clips, streams=["audio", "frame"], max_new_tokens=2))
    assert [type(one) for one in found] == [Description, Skipped, Description]
    assert found[1].reason == f"{samples / 'voice.wav'}: audio features are not finite"


# ---------------------------------------------------------------------------- the limit of a model


def dataset_of(parts, texts: list[str], **config) -> InstructionDataset:
    model, processor = tiny.model_and_processor(parts, streams=["audio", "text"], fusion="none", **config)
    clips = [Clip(id=str(number), targets=Targets(description=text, labels=("happy",)))
             for number, text in enumerate(texts)]
    inputs = {clip.key: tiny.inputs(processor, 1, "audio text") for clip in clips}
    return InstructionDataset(processor, clips, inputs, {"description": 1.0, "labels": 1.0})


def test_the_longest_answer_of_training_sets_the_limit(parts):
    dataset = dataset_of(parts, ["A voice.", "The voice is loud. " * 30, "The face."])
    longest = max(len(sample["input_ids"]) - sample["labels"].count(-100) for epoch in range(8)
                  for sample in [dataset.set_epoch(epoch) or dataset.text(1)])
    assert longest < answer_limit(dataset) <= 1.25 * longest + 1
    dataset.processor.config.text_config.max_position_embeddings = 50
    assert answer_limit(dataset) == 50


def test_the_limit_is_kept_in_the_model_folder(parts, tmp_path):
    folder = tiny.write_bundled_model(parts, tmp_path / "model", max_new_tokens=77)
    assert AffectGPTConfig.from_pretrained(folder).max_new_tokens == 77
    values = json.loads((folder / "config.json").read_text())
    del values["max_new_tokens"]  # a folder from before
    (folder / "config.json").write_text(json.dumps(values))
    assert AffectGPTConfig.from_pretrained(folder).max_new_tokens == 512
