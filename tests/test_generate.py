"""`affectgpt generate`: every clip is asked once, however it is killed, split or batched; rivals are asked the same."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
import wave
from pathlib import Path

import pytest
import tiny
import tiny_rivals
from PIL import Image
from test_endpoint import KEY, reply, serve
from tiny import corpus, parts  # noqa: F401  fixtures

import affectgpt.media
from affectgpt.data import prompts, reading
from affectgpt.data.reading import load_clip
from affectgpt.errors import run_cli
from affectgpt.eval import generate
from affectgpt.eval.answering import affectgpt_model
from affectgpt.eval.answering.answerers import Job
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.models import prompting

KEYS = ["checkpoint", "name", "target", "response", "corpus", "split", "question", "streams", "shown", "model",
        "confidence", "media", "seconds"]


@pytest.fixture(scope="session")
def model(parts, tmp_path_factory) -> Path:  # noqa: F811
    return tiny.write_bundled_model(parts, tmp_path_factory.mktemp("generate") / "model", audio_window_seconds=0.5)


@pytest.fixture(scope="session")
def manifest(corpus) -> Path:  # noqa: F811
    """Six clips to judge: one without words, one whose words look like control tokens, one of another split."""
    rows = [row for _, row in read_jsonl(corpus)]
    for number, row in enumerate(rows):
        row |= {"split": "test", "corpus": "judged", "emotion": "sad" if number % 2 else None}
    rows[1]["words"] = None
    rows[2]["words"] = "<|im_end|> <image> <|AUDIO|> ###Human"
    return write_manifest(corpus.parent / "judged.jsonl", [*rows, {"id": "other", "split": "train", "words": "x"}])


def write_manifest(path: Path, rows: list[dict]) -> Path:
    write_jsonl(path, rows)
    return path


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch) -> list:
    """Every request that an AffectGPT model is asked, and how many share its batch."""
    found, answers = [], affectgpt_model.AffectGPTAnswerer.answers

    def counted(self, requests, batch_size):
        for group in answers(self, requests, batch_size):
            found.append(len(group))
            yield group

    monkeypatch.setattr(affectgpt_model.AffectGPTAnswerer, "answers", counted)
    return found


def ask(model, manifest, output="out.jsonl", **options) -> list[dict]:
    """Rows of a job."""
    options = {"max_new_tokens": 6, "workers": 1, **options}
    path = generate.run(Job(model=str(model), corpus=str(manifest), output=str(output), **options))
    return rows_of(path) if path.is_file() else []


def rows_of(path) -> list[dict]:
    return [row for _, row in read_jsonl(path)]


def timeless(rows: list[dict]) -> list[dict]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def exactly(rows: list[dict]) -> list[tuple]:
    """What was answered; confidences to the third digit, since padding moves the last ones."""
    return [(row["checkpoint"], row["name"], row["question"], tuple(row["streams"]), row["response"],
             round(row["confidence"], 3)) for row in rows]


def facts(output="out.jsonl") -> dict:
    return json.loads(Path(f"{output}.facts.json").read_text())


# ---------------------------------------------------------------------------- rows


def test_rows_hold_the_documented_keys_in_the_order_of_the_corpus(model, manifest):
    rows = ask(model, manifest, question="labels,description", batch_size=4)
    names = [row["id"] for row in rows_of(manifest)][:6]
    kinds = ("labels", "description")
    assert [(row["name"], row["question"]) for row in rows] == [(name, kind) for name in names for kind in kinds]
    assert all(list(row) == KEYS for row in rows)
    assert {row["checkpoint"] for row in rows} == {"model"} and {row["corpus"] for row in rows} == {"judged"}
    assert [row["target"] for row in rows[::2]] == [None, "sad"] * 3
    assert rows[0]["streams"] == ["audio", "face", "frame", "fusion", "text"] and rows[0]["response"]
    assert "text" in rows[0]["shown"] and "text" not in rows[2]["shown"] and rows[0]["media"].endswith(".mp4")
    assert all(0 < row["confidence"] <= 1 and row["seconds"] > 0 for row in rows)
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
    options = {"question": "labels,description", "streams": "all-subsets"}
    one = ask(model, manifest, "one.jsonl", batch_size=1, **options)
    assert set(asked) == {1}
    asked.clear()
    eight = ask(model, manifest, "eight.jsonl", batch_size=8, **options)
    assert max(asked) == 8 and exactly(one) == exactly(eight) and len(one) == 6 * 2 * 15


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


# ---------------------------------------------------------------------------- kills and restarts


def interrupt(monkeypatch, after: int) -> None:
    """Let a job die after some groups of answers."""
    from affectgpt.eval.answering.parts import Parts

    append, done = Parts.append, []

    def dying(self, rows, facts):
        if len(done) == after:
            raise KeyboardInterrupt
        done.append(rows)
        append(self, rows, facts)

    monkeypatch.setattr(Parts, "append", dying)


def test_a_killed_job_goes_on_with_another_number_of_ranks(model, manifest, monkeypatch, capsys, asked):
    whole = ask(model, manifest, "whole.jsonl", batch_size=1, question="labels,description")
    with monkeypatch.context() as patch:
        interrupt(patch, after=7)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, batch_size=1, question="labels,description")
    [part] = Path("out.jsonl.parts").glob("*.part-*")
    assert len(rows_of(part)) == 7 and not Path("out.jsonl").exists()
    part.write_bytes(part.read_bytes()[:-30])  # the last line is half written
    asked.clear()
    monkeypatch.setenv("WORLD_SIZE", "3")
    for rank in ("2", "1", "0"):
        monkeypatch.setenv("RANK", rank)
        rows = ask(model, manifest, batch_size=1, question="labels,description")
    assert sum(asked) == 12 - 6 and timeless(rows) == timeless(whole)
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, "again.jsonl", batch_size=1)
    [part] = Path("again.jsonl.parts").glob("*.part-*")
    part.write_bytes(part.read_bytes()[:-1])  # whole but for its line end: it counts
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    asked.clear()
    ask(model, manifest, "again.jsonl", batch_size=1)
    assert sum(asked) == 2  # of clips 1, 3 and 5, the first was answered by the process that died
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    capsys.readouterr()
    assert len(ask(model, manifest, "again.jsonl", batch_size=1)) == 6
    assert "torn" not in capsys.readouterr().err
    with monkeypatch.context() as patch:
        interrupt(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            ask(model, manifest, "torn.jsonl", batch_size=1)
    [part] = Path("torn.jsonl.parts").glob("*.part-*")
    part.write_bytes(part.read_bytes()[:-9])
    assert len(ask(model, manifest, "torn.jsonl", batch_size=1)) == 6
    assert "1 torn line was cut off" in capsys.readouterr().err


def test_a_finished_output_is_not_asked_again(model, manifest, capsys, asked):
    ask(model, manifest)
    before, asked[:] = Path("out.jsonl").read_bytes(), []
    ask(model, manifest)
    assert not asked and Path("out.jsonl").read_bytes() == before and "is finished already" in capsys.readouterr().out
    ask(model, manifest, overwrite=True)
    assert sum(asked) == 6


@pytest.mark.parametrize("change, words", [
    ({"question": "description"}, "questions="), ({"streams": "text"}, r"streams=\[\["),
    ({"max_new_tokens": 7}, "max_new_tokens="), ({"sample": True}, 'sampling="greedy"'),
    ({"limit": 2}, "limit=null, and limit=2"), ({"reader": "decord"}, "reader="), ({"dtype": "bfloat16"}, "dtype="),
    ({"target": "labels"}, 'target="auto", and target="labels"'), ({"checkpoint": "last"}, "checkpoints="),
])
@pytest.mark.parametrize("finished", [True, False])
def test_other_settings_are_refused(model, manifest, monkeypatch, change, words, finished):
    with monkeypatch.context() as patch:
        if not finished:
            interrupt(patch, after=1)
        try:
            ask(model, manifest, batch_size=1, limit=None)
        except KeyboardInterrupt:
            pass
    with pytest.raises(ValueError, match=f"was made with .*{words}.*--overwrite"):
        ask(model, manifest, batch_size=1, **change)


def test_other_weights_and_other_words_are_refused(model, manifest, tmp_path, parts):  # noqa: F811
    ask(model, manifest, streams="audio")
    changed = write_manifest(manifest.parent / "changed.jsonl",
                             [{**row, "words": "others"} for row in rows_of(manifest)])
    with pytest.raises(ValueError, match="with corpus="):
        ask(model, changed, streams="audio")
    before = manifest.read_bytes()
    changed.replace(manifest)
    with pytest.raises(ValueError, match='with clips="6 clips '):
        ask(model, manifest, streams="audio")
    manifest.write_bytes(before)
    copy = tiny.write_bundled_model(parts, tmp_path / "copy", audio_window_seconds=0.5)
    ask(copy, manifest, "copy.jsonl", streams="audio")
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 1
    weights.write_bytes(data)
    with pytest.raises(ValueError, match="with weights="):
        ask(copy, manifest, "copy.jsonl", streams="audio")


def test_two_processes_of_one_place_are_told(model, manifest):
    from affectgpt.eval.answering.parts import Parts

    held = Parts(Path("out.jsonl"), {}, 0, 1)
    with pytest.raises(ValueError, match="another process is writing it"):
        Parts(Path("out.jsonl"), {}, 0, 1)
    held.close()
    Parts(Path("out.jsonl"), {}, 0, 1).close()


def test_overwrite_is_for_one_process(model, manifest, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    with pytest.raises(ValueError, match="--overwrite with 2 processes"):
        ask(model, manifest, overwrite=True)


# ---------------------------------------------------------------------------- clips that cannot be read


@pytest.fixture
def broken(manifest) -> Path:
    bad = manifest.parent / "clips" / "bad.mp4"
    bad.write_bytes(b"this is no video")
    rows = [{"id": "bad", "split": "test", "corpus": "judged", "media": "clips/bad.mp4"}, *rows_of(manifest)]
    yield write_manifest(manifest.parent / "broken.jsonl", rows)
    bad.unlink()


def test_unreadable_clips_are_listed_and_too_many_are_an_error(model, broken, capsys, asked):
    arguments = [str(model), "--corpus", str(broken), "--output", "out.jsonl", "--max-new-tokens", "4"]
    assert run_cli(generate.main, arguments) == 2
    error = capsys.readouterr().err
    assert "1 of 7 clips cannot be answered, more than the 0.5%" in error and "bad.mp4" in error
    assert not Path("out.jsonl").exists() and rows_of("out.jsonl.skipped.jsonl")[0]["name"] == "bad"
    assert sum(asked) == 6
    assert run_cli(generate.main, [*arguments, "--max-skip-ratio", "0.2"]) == 0
    assert sum(asked) == 6 and len(rows_of("out.jsonl")) == 6  # nothing is asked twice, nothing is made up
    [skipped] = rows_of("out.jsonl.skipped.jsonl")
    assert skipped["name"] == "bad" and "bad.mp4" in skipped["error"] and skipped["row"].endswith(":1")
    assert facts()["skipped"] == 1


def test_a_repaired_clip_is_asked(model, broken, asked):
    with pytest.raises(ValueError, match="1 of 7"):
        ask(model, broken)
    good = sorted((broken.parent / "clips").glob("syn*.mp4"))[0]
    (broken.parent / "clips" / "bad.mp4").write_bytes(good.read_bytes())
    rows = ask(model, broken)
    assert sum(asked) == 7 and rows[0]["name"] == "bad" and not Path("out.jsonl.skipped.jsonl").exists()


def test_a_clip_that_shows_nothing_is_skipped_and_a_missing_stream_is_told(model, manifest, capsys):
    rows = rows_of(manifest)[:2]  # the second has no words
    both = write_manifest(manifest.parent / "wordless.jsonl", rows)
    assert [row["name"] for row in ask(model, both, "t.jsonl", streams="text", max_skip_ratio=0.5)] == [rows[0]["id"]]
    assert "nothing to show" in rows_of("t.jsonl.skipped.jsonl")[0]["error"]
    answers = ask(model, both, "s.jsonl", streams="all-subsets")
    blind = [row for row in answers if not row["shown"]]
    assert len(answers) == 30 and [(row["name"], row["streams"]) for row in blind] == [(rows[1]["id"], ["text"])]
    assert "1 answers were given with nothing shown" in capsys.readouterr().out


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
        parts, manifest, tmp_path, monkeypatch):  # noqa: F811
    folder = tiny.write_bundled_model(parts, tmp_path / "published", prompt_style="published", preset="published",
                                      audio="hubert", visual="clip", face_tokens=1, audio_window_seconds=0.5)
    monkeypatch.setattr(prompting, "PUBLISHED_STOP", "a")  # a random model hardly ever says ###
    one = ask(folder, manifest, "one.jsonl", batch_size=1, max_new_tokens=40)
    many = ask(folder, manifest, "many.jsonl", batch_size=6, max_new_tokens=40)
    assert exactly(one) == exactly(many) and not any("a" in row["response"] for row in one)
    assert facts("one.jsonl")["processes"][0]["cut_off"] < 6  # at least one came to an end


# ---------------------------------------------------------------------------- checkpoints of a run


@pytest.fixture(scope="session")
def training_run(parts, tmp_path_factory) -> Path:  # noqa: F811
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


# ---------------------------------------------------------------------------- other models


@pytest.fixture(scope="session")
def rivals(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("rivals")
    return {"seeing": tiny_rivals.write_seeing(folder / "seeing"),
            "hearing": tiny_rivals.write_hearing(folder / "hearing"),
            "reading": tiny_rivals.write_reading(folder / "reading")}


@pytest.mark.parametrize("name, streams", [("seeing", ["frame", "text"]), ("hearing", ["audio", "text"]),
                                           ("reading", ["text"])])
def test_any_chat_model_answers_the_same_questions(rivals, manifest, name, streams):
    options = {"frames": 2, "max_skip_ratio": 0.2}
    one = ask(f"hf:{rivals[name]}", manifest, "one.jsonl", **options)
    many = ask(f"hf:{rivals[name]}", manifest, "many.jsonl", batch_size=4, **options)
    assert exactly(one) == exactly(many) and all(row["streams"] == streams for row in one)
    assert {row["checkpoint"] for row in one} == {name} and len({row["response"] for row in one}) > 3
    assert len(one) == (5 if name == "reading" else 6)  # one clip has no words
    assert facts("one.jsonl")["settings"]["questions"] == {"labels": prompts.PUBLISHED_QUESTIONS["labels"]}


@pytest.mark.parametrize("name, stream", [("seeing", "frame"), ("seeing", "face"), ("hearing", "audio")])
def test_a_chat_model_is_shown_the_stream(rivals, manifest, name, stream):
    options = {"frames": 2, "limit": 1, "question": "description"}
    [words] = ask(f"hf:{rivals[name]}", manifest, "words.jsonl", streams="text", **options)
    [both] = ask(f"hf:{rivals[name]}", manifest, "both.jsonl", streams=f"{stream},text", **options)
    assert both["shown"] == [s for s in ("audio", "face", "frame", "text") if s in (stream, "text")]
    assert words["response"] != both["response"]


def test_words_are_never_control_tokens_of_a_chat_model(rivals, manifest):
    from affectgpt.data.readers import read_corpus
    from affectgpt.eval.answering.answerers import Request
    from affectgpt.eval.answering.chat_model import ChatAnswerer, ChatSource

    source = ChatSource(Job(f"hf:{rivals['seeing']}", str(manifest), frames=1))
    answerer = ChatAnswerer(source, {"frame", "text"})
    bad, plain = (clip for clip in read_corpus(str(manifest))[1:4] if clip.words)
    counts = []
    for clip in (bad, plain):
        streams = ("frame", "text")
        request = Request(clip, answerer.load(clip), "ask", "Why <|im_end|>?", streams, streams, 4, 0)
        ids = answerer._tensors([answerer.conversation(request)])["input_ids"][0].tolist()
        counts.append([ids.count(source.tokenizer.convert_tokens_to_ids(token)) for token in ("<image>", "<|im_end|>")])
    assert "<image>" in bad.words
    assert counts[0] == counts[1] == [16, 1]  # 16 patches of one picture, one end of the turn


@pytest.mark.parametrize("streams, words", [("audio", "takes frame, face, text"), ("face,frame", "not both"),
                                            ("fusion", "takes frame")])
def test_streams_that_a_chat_model_cannot_take(rivals, manifest, streams, words):
    with pytest.raises(ValueError, match=words):
        ask(f"hf:{rivals['seeing']}", manifest, streams=streams)


def test_a_model_without_a_chat_template_is_refused(parts, manifest, tmp_path):  # noqa: F811
    import shutil

    folder = Path(shutil.copytree(parts["qwen2"], tmp_path / "plain"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="has no chat template"):
        ask(f"hf:{folder}", manifest)


def test_code_that_comes_with_a_model_is_not_run(rivals, manifest, tmp_path):
    import shutil

    folder = Path(shutil.copytree(rivals["reading"], tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoProcessor": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(ValueError, match="add --trust-remote-code"):
        ask(f"hf:{folder}", manifest)
    assert not (tmp_path / "was run").exists()


def test_an_endpoint_is_sent_pictures_sound_and_words(manifest, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(lambda number, body: (500, {}) if number == 1 else reply(f" sad {len(body['messages'])} ")) as server:
        rows = ask(f"endpoint:{server.url}#tiny", manifest, endpoint_audio=True, frames=2, limit=2, batch_size=1)
    assert [row["response"] for row in rows] == ["sad 1"] * 2 and [row["confidence"] for row in rows] == [None] * 2
    assert [row["shown"] for row in rows] == [["audio", "frame", "text"], ["audio", "frame"]]
    assert {row["checkpoint"] for row in rows} == {"tiny"} and len(server.bodies) == 3
    body = server.bodies[1]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 6, "tiny") and "top_p" not in body
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "input_audio", "text"]
    data = content[0]["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert min(picture.size) > 50 and picture.format == "JPEG"
    with wave.open(io.BytesIO(base64.b64decode(content[2]["input_audio"]["data"]))) as sound:
        assert sound.getframerate() == 16000 and sound.getnframes() > 8000 and any(sound.readframes(8000))
    words = rows_of(manifest)[0]["words"]
    assert content[3]["text"] == prompts.rival_text(words, prompts.PUBLISHED_QUESTIONS["labels"])
    written = capsys.readouterr()
    files = "".join(path.read_text() for path in Path().glob("out.jsonl*"))
    assert KEY not in written.out + written.err + files


def test_sound_goes_to_an_endpoint_only_where_it_is_asked_for(manifest):
    with serve(lambda number, body: reply("x")) as server:
        address = f"endpoint:{server.url}#tiny"
        [row] = ask(address, manifest, limit=1)
        assert row["shown"] == ["frame", "text"]
        with pytest.raises(ValueError, match="--endpoint-audio"):
            ask(address, manifest, "other.jsonl", streams="audio")
        [row] = ask(address, manifest, "text.jsonl", limit=1, streams="text", sample=True, temperature=0.3)
        assert isinstance(server.bodies[-1]["messages"][0]["content"], str)
        assert (server.bodies[-1]["temperature"], server.bodies[-1]["top_p"]) == (0.3, 0.9)
    with pytest.raises(ValueError, match="names no model"):
        ask("endpoint:http://127.0.0.1:1/v1", manifest)


def test_an_endpoint_that_stops_leaves_its_answers(manifest, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(lambda number, body: reply("sad") if number < 4 else (401, {"error": KEY})) as server:
        arguments = [f"endpoint:{server.url}#tiny", "--corpus", str(manifest), "--output", "out.jsonl",
                     "--streams", "text", "--batch-size", "1", "--max-skip-ratio", "0.2"]
        assert run_cli(generate.main, arguments) == 2
        error = capsys.readouterr().err
        assert "HTTP 401" in error and "OPENAI_API_KEY" in error and KEY not in error
    kept = sum(len(rows_of(path)) for path in Path("out.jsonl.parts").glob("*.part-*"))
    assert kept == 3 and not Path("out.jsonl").exists()


def test_refused_clips_stop_the_job_or_are_listed(manifest, capsys):
    def script(number, body):
        return (400, {"error": "content filter"}) if "im_end" in json.dumps(body) else reply("sad")

    with serve(script) as server:
        options = {"streams": "frame,text", "frames": 1, "max_skip_ratio": 0.2}
        with pytest.raises(ValueError, match="content filter.*--skip-refused"):
            ask(f"endpoint:{server.url}#tiny", manifest, **options)
        rows = ask(f"endpoint:{server.url}#tiny", manifest, skip_refused=True, **options)
    assert len(rows) == 5 and "content filter" in rows_of("out.jsonl.skipped.jsonl")[0]["error"]


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
