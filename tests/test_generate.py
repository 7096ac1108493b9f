"""`affectgpt generate`: rows, and the same answers however they are asked for."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

from pathlib import Path

import pytest
from generate_fixtures import (
    ask,
    asked,
    exactly,
    facts,
    inside,
    manifest,
    model,
    rivals,
    rows_of,
    timeless,
    write_manifest,
)
from tiny import parts

from affectgpt.data import prompts
from affectgpt.data.reading import load_clip
from affectgpt.errors import run_cli
from affectgpt.eval import generate

KEYS = ["checkpoint", "name", "target", "response", "corpus", "split", "question", "streams", "shown", "model",
        "confidence", "media", "cut_off", "answer_seconds", "seconds", "face_found"]


# ---------------------------------------------------------------------------- rows


def test_rows_hold_the_documented_keys_in_the_order_of_the_corpus(model, manifest):
    rows = ask(model, manifest, question="labels,description", batch_size=4)
    names = [row["id"] for row in rows_of(manifest)][:6]
    kinds = ("labels", "description")
    assert [(row["name"], row["question"]) for row in rows] == [(name, kind) for name in names for kind in kinds]
    known = {"group", "speaker", "sex", "language_of_clip"}
    assert all([key for key in row if key not in known] == KEYS for row in rows)
    assert {row["name"]: row.get("speaker") for row in rows} == {row["id"]: row.get("speaker")
                                                                for row in rows_of(manifest)[:6]}
    assert [row.get("sex") for row in rows[::2]] == [None, "female"] * 3
    assert [row.get("language_of_clip") for row in rows[::2]] == ["en", None] + ["en"] * 4
    assert all(0.5 < row["seconds"] < 20 and row["face_found"] in (True, False) for row in rows)
    assert {row["checkpoint"] for row in rows} == {"model"} and {row["corpus"] for row in rows} == {"judged"}
    assert [row["target"] for row in rows[::2]] == [None, "sad"] * 3
    assert rows[0]["streams"] == ["audio", "face", "frame", "fusion", "text"] and rows[0]["response"]
    assert "text" in rows[0]["shown"] and "text" not in rows[2]["shown"] and rows[0]["media"].endswith(".mp4")
    assert all(0 < row["confidence"] <= 1 and row["answer_seconds"] > 0 for row in rows)
    assert len({row["response"] for row in rows}) > 4  # the model tells clips apart
    made = facts()
    assert (made["rows"], made["clips"], made["skipped"], made["ranks"]) == (12, 6, 0, 1)
    assert made["settings"]["questions"] == {kind: prompts.question_of(kind, "chat") for kind in kinds}
    assert made["processes"][0]["clips"] == 6 and made["processes"][0]["clips_per_second"] > 0
    assert made["packages"]["torch"] and made["processes"][0]["device"] == "cpu"
    assert {path.name for path in Path().iterdir()} - {"cache"} == {"out.jsonl", "out.jsonl.facts.json"}


def test_answers_are_those_of_the_describer(model, manifest):
    from affectgpt.data.readers import read_corpus
    from affectgpt.inference import Describer

    rows = ask(model, manifest, ask="Why?", max_new_tokens=9, batch_size=1)
    describer = Describer(model, "cpu")
    clips = [clip for clip in read_corpus(str(manifest)) if clip.split == "test"]
    samples = [describer.processor.inference_sample(load_clip(describer.processor, clip), "Why?") for clip in clips]
    assert [row["response"] for row in rows] == list(describer.answers(samples, 1, 9))
    assert {row["question"] for row in rows} == {"ask"}


@pytest.mark.parametrize("target, expected", [("valence", float), ("labels", list), ("sentiment", str)])
def test_the_target_can_be_chosen(model, manifest, target, expected):
    rows = ask(model, manifest, target=target, limit=3)
    assert all(isinstance(row["target"], expected) for row in rows) and len(rows) == 3


def test_auto_takes_the_first_target_that_the_corpus_has(model, manifest):
    bare = [{"id": "a", "split": "test", "words": "x", "corpus": "v", "valence": -1.5, "sentiment": "negative"},
            {"id": "b", "split": "test", "words": "y", "corpus": "l", "labels": ["sad", "tired"]},
            {"id": "c", "split": "test", "words": "z", "corpus": "l", "labels": []},
            {"id": "d", "split": "test", "words": "w", "corpus": "none"}]
    rows = ask(model, write_manifest(Path("bare.jsonl"), bare))
    assert [row["target"] for row in rows] == [-1.5, ["sad", "tired"], None, None]


# ---------------------------------------------------------------------------- the same answers in every way


def test_batch_size_changes_no_answer(model, manifest, asked):
    options = {"question": "labels,description", "streams": "all-subsets", "limit": 3}
    one = ask(model, manifest, "one.jsonl", batch_size=1, **options)
    assert set(asked) == {1}
    asked.clear()
    eight = ask(model, manifest, "eight.jsonl", batch_size=8, **options)
    assert max(asked) == 8 and exactly(one) == exactly(eight) and len(one) == 3 * 2 * 15


def test_ranks_in_turn_give_the_file_of_one(model, manifest, monkeypatch, capsys):
    alone = ask(model, manifest, "alone.jsonl", batch_size=1)
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    assert ask(model, manifest, batch_size=1) == [] and "3 of 6 answers are there" in capsys.readouterr().out
    assert [path.name for path in Path("out.jsonl.parts").glob("*.part-*")] == ["out.jsonl.part-1-of-2.jsonl"]
    monkeypatch.setenv("RANK", "0")
    assert timeless(ask(model, manifest, batch_size=1)) == timeless(alone)
    assert [(one["rank"], one["clips"]) for one in facts()["processes"]] == [(1, 3), (0, 3)]
    assert not Path("out.jsonl.parts").exists()


def test_sampling_depends_on_the_seed_and_the_clip_alone(model, manifest):
    options = {"sample": True, "temperature": 1.5, "top_p": 1.0, "max_new_tokens": 12}
    one = ask(model, manifest, "a.jsonl", batch_size=1, **options)
    assert exactly(one) == exactly(ask(model, manifest, "b.jsonl", batch_size=5, **options))
    other = ask(model, manifest, "c.jsonl", batch_size=5, seed=1, **options)
    greedy = ask(model, manifest, "d.jsonl", batch_size=5, max_new_tokens=12)
    texts = [[row["response"] for row in rows] for rows in (one, other, greedy)]
    assert texts[0] != texts[1] and texts[0] != texts[2] and texts[1] != texts[2]


def test_sampling_draws_from_the_probabilities():
    import torch

    from affectgpt.eval.answering.decoding import Choice, Sampling

    logits = torch.tensor([[2.0, 1.0, 0.0, -1.0]])
    choice = Choice(Sampling(temperature=1.0, top_p=0.95), [5])
    drawn = [int(choice(torch.zeros(1, 0, dtype=torch.long), logits.clone()).argmax()) for _ in range(4000)]
    expected = torch.softmax(logits[0, :3], 0)  # the last word is outside the nucleus
    shares = torch.bincount(torch.tensor(drawn), minlength=4) / 4000
    assert shares[3] == 0 and (shares[:3] - expected).abs().max() < 0.03
    whole = torch.softmax(logits[0], 0)
    assert choice.probabilities[0].item() == pytest.approx(whole[drawn[0]].item())  # of the model, not of the nucleus


def test_confidence_is_the_mean_probability_up_to_the_end():
    import torch

    from affectgpt.eval.answering.decoding import Choice

    choice = Choice()
    for scores in ([[3.0, 0.0], [0.0, 0.0]], [[0.0, 1.0], [0.0, 2.0]], [[0.0, 9.0], [5.0, 0.0]]):
        assert torch.equal(choice(torch.zeros(2, 0), torch.tensor(scores)), torch.tensor(scores))
    ids = torch.tensor([[7, 0, 1, 1], [7, 0, 1, 0]])  # one token of the prompt, then three new ones
    sigmoid = [1 / (1 + 2.718281828 ** -x) for x in (3.0, 1.0, 0.0, 2.0, 5.0)]
    ended, whole = choice.confidences(ids, {1}), choice.confidences(ids, {8})
    assert ended == [(pytest.approx((sigmoid[0] + sigmoid[1]) / 2), True),
                     (pytest.approx((sigmoid[2] + sigmoid[3]) / 2), True)]
    assert whole[1] == (pytest.approx((sigmoid[2] + sigmoid[3] + sigmoid[4]) / 3), False)
    stopped = choice.confidences(ids, {8}, lambda tokens: 1 in tokens)
    assert stopped == ended


@pytest.mark.parametrize("kind", ["affectgpt", "hf"])
def test_the_number_format_can_be_chosen(model, rivals, manifest, monkeypatch, kind):
    from affectgpt.eval.answering import decoding

    seen, name = [], str(model) if kind == "affectgpt" else f"hf:{rivals['reading']}"
    original = decoding.Choice.__call__
    monkeypatch.setattr(decoding.Choice, "__call__",
                        lambda self, ids, scores: seen.append(bool((scores.bfloat16().float() == scores).all()))
                        or original(self, ids, scores))
    ask(name, manifest, "half.jsonl", dtype="bfloat16", limit=1)
    assert seen and all(seen)  # scores are given in float32, but hold nothing that bfloat16 does not
    seen.clear()
    ask(name, manifest, "whole.jsonl", dtype="float32", limit=1)
    assert seen and not any(seen)


# ---------------------------------------------------------------------------- options


@pytest.mark.parametrize("options, words", [
    ({"batch_size": 0}, "--batch-size is 0"), ({"limit": 0}, "--limit is 0"), ({"split": "dev"}, "it has test, train"),
    ({"temperature": 0.5}, "need --sample"), ({"sample": True, "temperature": 0.0}, "--temperature is 0.0"),
    ({"sample": True, "top_p": 1.5}, "--top-p is 1.5"), ({"question": "mood"}, "unknown question kind 'mood'"),
    ({"ask": " "}, "--ask is empty"), ({"valence_range": (1.0, -1.0)}, "the first must be the lower"),
    ({"streams": "audio,smell"}, "does not look at 'smell'"), ({"streams": "fusion"}, "made of audio and face"),
    ({"output": "cache"}, "is a folder"), ({"max_skip_ratio": 2.0}, "use 0 to 1"),
])
def test_options_that_cannot_be(model, manifest, options, words):
    Path("cache").mkdir(exist_ok=True)
    with pytest.raises(ValueError, match=words):
        ask(model, manifest, **options)


def test_a_file_that_is_something_else_is_kept(model, manifest):
    Path("out.jsonl").write_text("mine")
    with pytest.raises(ValueError, match="name another --output"):
        ask(model, manifest)
    assert Path("out.jsonl").read_text() == "mine"


def test_the_default_output_lies_beside_the_model(model, manifest, capsys):
    import shutil

    folder = Path(shutil.copytree(model, "runs/x/model"))
    arguments = [str(folder), "--corpus", str(manifest), "--limit", "1", "--max-new-tokens", "2"]
    assert run_cli(generate.main, arguments) == 0
    assert len(rows_of("runs/x/answers/judged-test.jsonl")) == 1
    assert "next:    affectgpt label runs/x/answers/judged-test.jsonl" in capsys.readouterr().out
