"""`affectgpt generate`: questions, streams, features, and the checkpoints of a run."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import tiny
from generate_fixtures import ask, exactly, facts, inside, manifest, model
from tiny import parts

import affectgpt.media
from affectgpt.data import prompts, reading
from affectgpt.eval.answering.answerers import Job
from affectgpt.models import prompting

# ---------------------------------------------------------------------------- questions, streams, features


def test_each_clip_is_encoded_once_for_all_that_is_asked(model, manifest, monkeypatch):
    from affectgpt.models.modeling import AffectGPTForConditionalGeneration

    raw, loads, encode, load = [], [], AffectGPTForConditionalGeneration.encode, reading.load_clip

    def counted(self, stream, values, *rest):
        raw.extend([stream] * (values.ndim > 3))
        return encode(self, stream, values, *rest)

    def loaded(processor, clip, *rest, **options):
        loads.append(clip.id)
        return load(processor, clip, *rest, **options)

    monkeypatch.setattr(AffectGPTForConditionalGeneration, "encode", counted)
    monkeypatch.setattr(reading, "load_clip", loaded)
    rows = ask(model, manifest, question="all", streams="all-subsets", limit=2, max_new_tokens=2)
    assert len(rows) == 2 * 4 * 15 and len(loads) == 2 and sorted(raw) == ["audio"] * 2 + ["face"] * 2 + ["frame"] * 2
    raw.clear()
    ask(model, manifest, "audio.jsonl", streams="audio", limit=2)
    assert raw == ["audio"] * 2  # nothing is encoded that nobody is shown
    raw.clear()
    ask(model, manifest, "kept.jsonl", limit=2, features="store")
    assert raw
    raw.clear()
    ask(model, manifest, "kept again.jsonl", limit=2, features="store", question="description")
    assert not raw and Path("store").is_dir()


def test_a_subset_with_both_parts_has_the_fused_stream(model, manifest):
    rows = ask(model, manifest, streams="all-subsets", limit=1, max_new_tokens=1)
    subsets = {tuple(row["streams"]) for row in rows}
    assert ("audio", "face", "fusion") in subsets and ("audio", "frame") in subsets and ("face", "text") in subsets
    shown = {tuple(row["streams"]): row["shown"] for row in rows}
    assert shown["audio", "face", "fusion"] == ["fusion", "audio", "face"]
    assert shown["audio", "frame"] == ["audio", "frame"]


def test_fusion_that_is_not_named_is_hidden_and_told(model, manifest, capsys):
    [row] = ask(model, manifest, streams="text,face,audio", limit=1)
    assert row["streams"] == ["audio", "face", "text"] == row["shown"]
    assert "pre-fusion of audio and face is not shown" in capsys.readouterr().err


def test_questions_come_from_the_one_owner():
    from affectgpt.eval.answering.asking import question_texts

    job = Job("m", "c", question="all", valence_range=(-3.0, 3.0))
    chat, published, rival = (question_texts(job, style) for style in ("chat", "published", "rival"))
    assert list(chat) == ["description", "labels", "sentiment", "valence"] and rival == published != chat
    assert published["labels"] == "Please recognize all possible emotional states of the character."
    assert "from -3 to 3" in published["valence"] and "from -3 to 3" in chat["valence"]
    assert prompts.rival_text("hi", "Why?").endswith('"hi"\nWhy?') and prompts.rival_text(None, "Why?") == "Why?"


def test_split_and_valence_of_a_known_corpus_are_those_of_its_record(tmp_path):
    from affectgpt.eval.answering.asking import question_texts, read_clips

    def rows(corpus, *splits):
        path = tmp_path / f"{corpus}.jsonl"
        path.write_text("".join(json.dumps({"id": f"{corpus}{number}", "corpus": corpus, "split": split,
                                            "valence": 1.0, "words": "Yes."}) + "\n"
                                for number, split in enumerate(splits)), encoding="utf-8")
        return str(path)

    job, clips = read_clips(Job("m", rows("mer2023", "train", "test1", "test2"), question="valence"))
    assert job.split == "test1" and [clip.split for clip in clips] == ["test1"]
    assert "from -5 to 5" in question_texts(job, "rival")["valence"]
    mosi = rows("cmumosi", "train", "test")
    assert read_clips(Job("m", mosi))[0].valence_range == (-3, 3) and read_clips(Job("m", mosi))[0].split == "test"
    asked = read_clips(Job("m", mosi, split="train", valence_range=(0, 1)))
    assert asked[0].valence_range == (0, 1) and [clip.split for clip in asked[1]] == ["train"]
    own, _ = read_clips(Job("m", rows("mine", "test", "test1")))
    assert (own.split, own.valence_range) == ("test", (-1.0, 1.0))


def test_the_new_questions_can_be_trained_and_change_no_other_answer():
    from affectgpt.data.clip import Targets

    known = Targets(labels=("sad",), sentiment="negative", valence=-0.456, description="He cries.")
    assert prompts.answer(known, "sentiment", ["face"]) == "Polarity: negative."
    assert prompts.answer(known, "valence", ["face"]) == "Valence: -0.46."
    assert prompts.answer(known, "valence", ["face"], "published") == "The valence score is -0.46."
    assert prompts.answer(known, "sentiment", ["face"], "published") == "The character's sentiment state is negative."
    assert prompts.answer(known, "labels", ["face"]) == "Emotions: sad. Polarity: negative."
    assert prompts.answer(known, "description", ["face"]) == "He cries. Emotions: sad. Polarity: negative."
    assert prompts.answer(Targets(labels=("sad",)), "valence", ["face"]) is None
    assert prompts.answer(Targets(sentiment="positive"), "sentiment", ["face"]) == "Polarity: positive."
    assert prompts.answer(Targets(), "sentiment", ["face"]) is None


def test_a_published_model_stops_at_its_sign_and_is_as_sure_in_any_batch(
        parts, manifest, tmp_path, monkeypatch):
    folder = tiny.write_bundled_model(parts, tmp_path / "published", prompt_style="published", preset="published",
                                      audio="hubert", visual="clip", face_tokens=1, audio_window_seconds=0.5)
    monkeypatch.setattr(prompting, "PUBLISHED_STOP", "a")  # a random model hardly ever says ###
    one = ask(folder, manifest, "one.jsonl", batch_size=1, max_new_tokens=40)
    many = ask(folder, manifest, "many.jsonl", batch_size=6, max_new_tokens=40)
    assert exactly(one) == exactly(many) and not any("a" in row["response"] for row in one)
    assert facts("one.jsonl")["processes"][0]["cut_off"] < 6  # at least one came to an end


# ---------------------------------------------------------------------------- checkpoints of a run


@pytest.fixture(scope="session")
def training_run(parts, tmp_path_factory) -> Path:
    """A training output folder with two whole checkpoints and one that a kill left unfinished."""
    import torch

    from affectgpt.train.checkpoints import State

    folder = tmp_path_factory.mktemp("run") / "run"
    model, processor = tiny.model_and_processor(parts, audio_window_seconds=0.5)
    model.mark_trained()
    for step in (10, 20, 30):
        path = folder / "checkpoints" / f"step-{step:08d}"
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_B" in name:
                    parameter.mul_(1.5)
        model.save_pretrained(path)
        processor.save_pretrained(path)
        state = State(step=step, best_step=10, best_loss=0.5)
        (path / "state.json").write_text(json.dumps(dataclasses.asdict(state)))
        if step < 30:
            (path / "done").touch()
    (folder / "recipe.yaml").write_text("data:\n  transcribe: true\n")
    return folder


def test_all_checkpoints_of_a_run_are_asked(training_run, manifest, monkeypatch, capsys):
    monkeypatch.setattr(affectgpt.media, "transcribe", lambda waveform: "heard words")
    rows = ask(training_run, manifest, limit=3)
    assert [row["checkpoint"] for row in rows] == [10] * 3 + [20] * 3
    assert {row["model"] for row in rows} == {str(training_run)}
    texts = [[row["response"] for row in rows if row["checkpoint"] == step] for step in (10, 20)]
    assert texts[0] != texts[1] and "text" in rows[1]["shown"]  # the run's recipe says that words are recognised
    processes = facts()["processes"][0]
    assert processes["features_computed"] == 3  # once for both checkpoints
    best = ask(training_run, manifest, "best.jsonl", limit=3, checkpoints="best")
    assert exactly(best) == exactly(rows[:3])
    chosen = ask(training_run, manifest, "chosen.jsonl", limit=3, checkpoints="20")
    assert exactly(chosen) == exactly(rows[3:])
    folder = training_run / "checkpoints" / "step-00000020"
    assert exactly(ask(folder, manifest, "one.jsonl", limit=3)) == exactly(rows[3:])


@pytest.mark.parametrize("options, words", [
    ({"checkpoints": "30"}, "no whole checkpoint of step 30; it has 10, 20"), ({"checkpoints": "x"}, "use all, best"),
    ({"checkpoint": "last"}, "names one checkpoint"),
])
def test_checkpoints_that_are_not_there(training_run, manifest, options, words):
    with pytest.raises(ValueError, match=words):
        ask(training_run, manifest, **options)


def test_a_checkpoint_can_be_named(model, manifest):
    assert {row["checkpoint"] for row in ask(model, manifest, checkpoint="35", limit=1)} == {35}
