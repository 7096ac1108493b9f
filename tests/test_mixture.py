"""Mixtures: what an epoch takes, clips that are trained and tested on, files that are absent, who is asked what."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import tiny

from affectgpt.config import CorpusSection, DataSection
from affectgpt.data import mixture as mixtures
from affectgpt.data.checks import check_targets
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.dataset import InstructionDataset
from affectgpt.data.mixture import Mixture, Part, read_mixture, read_present
from affectgpt.data.packing import Batching, rows_of_epoch
from affectgpt.data.readers import READERS, Reader
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.train.facts import CORPORA, origins

TARGETS = Targets(description="D.", labels=("sad",), emotion="sad")


def clips_of(corpus: str, count: int, split: str = "train", targets: Targets = TARGETS) -> list[Clip]:
    return [Clip(id=f"{split}{number}", corpus=corpus, split=split, words="hm", targets=targets)
            for number in range(count)]


def mixture_of(*weighted: tuple[int, float]) -> tuple[Mixture, list[Clip]]:
    parts = [Part(CorpusSection(f"c{place}", weight=weight), "", clips_of(f"c{place}", count))
             for place, (count, weight) in enumerate(weighted)]
    return Mixture(parts, {"labels": 1.0}), [clip for part in parts for clip in part.clips]


# ---------------------------------------------------------------------------- what an epoch takes


def test_equal_weights_take_every_clip_once():
    mixture, clips = mixture_of((5, 1), (3, 1))
    assert mixture.order(clips, 0, 0) == mixture.order(clips, 7, 3) == list(range(8))


@pytest.mark.parametrize("weight, count", [(0.3, 3), (0.25, 2), (2, 20), (2.5, 25), (0.001, 1), (1.1, 11)])
def test_an_epoch_takes_as_much_as_the_weight_says(weight, count):
    mixture, clips = mixture_of((10, weight), (4, 1))
    seen: Counter = Counter()
    for epoch in range(8):
        order = mixture.order(clips, 1, epoch)
        assert len(order) == len(set(order)) == count + 4 and order == sorted(order)
        of_first = [index % len(clips) for index in order if index % len(clips) < 10]
        seen.update(of_first)
        # What is taken again was taken before: places of the epoch are numbered without gaps.
        assert {index // len(clips) for index in order} == set(range(max(order) // len(clips) + 1))
        every = [seen[place] for place in range(10)]
        assert max(every) - min(every) <= 1, "a clip is taken again before all were taken"
    assert sum(seen.values()) == 8 * count


def test_draws_follow_from_seed_and_epoch_alone():
    first, clips = mixture_of((40, 0.5), (10, 1))
    again, _ = mixture_of((40, 0.5), (10, 1))
    orders = [first.order(clips, 0, epoch) for epoch in range(4)]
    assert [again.order(clips, 0, epoch) for epoch in (3, 2, 1, 0)] == orders[::-1]
    assert len({tuple(order) for order in orders}) > 1
    assert first.order(clips, 1, 0) != orders[0]


def test_a_plan_has_what_the_mixture_takes_wherever_it_goes_on():
    mixture, clips = mixture_of((30, 0.5), (5, 3))
    order = mixture.order(clips, 0, 2)

    def rows(done=0):
        return list(rows_of_epoch(lambda indices: [1 + index % 3 for index in indices], len(order),
                                  Batching("packed", 1, 6), 0, 2, done=done, drawn=order))

    whole = rows()
    assert sorted(index for row in whole for index in row) == order
    done = sum(map(len, whole[:4]))
    assert rows(done) == whole[4:]


@pytest.fixture(scope="module")
def processor():
    config = AffectGPTConfig(streams=["audio", "face", "fusion", "text"], **tiny.SMALL)
    return AffectGPTProcessor(tiny.tokenizer(), config)


def test_a_clip_that_is_taken_again_draws_anew(processor):
    mixture, clips = mixture_of((12, 3))
    inputs = {clip.key: tiny.inputs(processor, 1, "audio face text") for clip in clips}
    dataset = InstructionDataset(processor, clips, inputs, {}, 0.5, 0.5, mixture=mixture)
    mixture.questions = {"labels": 1.0, "description": 1.0}
    dataset = InstructionDataset(processor, clips, inputs, {}, 0.5, 0.5, mixture=mixture)
    assert dataset.epoch_clips == 36 and len(dataset) == 12
    draws = [[(dataset.draw(place + again * 12)) for again in range(3)] for place in range(12)]
    assert any(first != second for first, second, _ in draws)
    assert [dataset[index]["clip"] for index in (3, 15, 27)] == [clips[3]] * 3
    assert dataset.lengths([3, 15]) == [len(dataset.text(index)["input_ids"]) for index in (3, 15)]


def test_each_corpus_is_asked_its_own_questions(processor):
    parts = [Part(CorpusSection("a", questions={"sentiment": 1.0}), "", clips_of("a", 4)),
             Part(CorpusSection("b", labels=["sad", "glad"]), "", clips_of("b", 4)),
             Part(CorpusSection("c", questions={"valence": 1.0}, valence_range=[0, 9]), "",
                  clips_of("c", 4, targets=Targets(valence=5)))]
    mixture = Mixture(parts, {"emotion_candidates": 1.0, "description": 1.0})
    clips = [clip for part in parts for clip in part.clips]
    inputs = {clip.key: tiny.inputs(processor, 1, "audio text") for clip in clips}
    dataset = InstructionDataset(processor, clips, inputs, mixture.questions, mixture=mixture)
    assert [list(kinds) for _, kinds in dataset.items] == [["sentiment"]] * 4 + [
        ["emotion_candidates", "description"]] * 4 + [["valence"]] * 4
    texts = [processor.tokenizer.decode(dataset.text(index)["input_ids"]) for index in range(12)]
    assert any("sad, glad?" in text for text in texts[4:8]) and all("from 0 to 9" in text for text in texts[8:])
    validation = InstructionDataset(processor, clips, inputs, mixture.questions, training=False, mixture=mixture)
    asked = [validation.draw(index)[0] for index in range(12)]
    assert asked[4:8] == ["emotion_candidates"] * 2 + ["description"] * 2  # every kind of each corpus
    assert check_targets({"train": clips}, {}, "chat", mixture) == []
    parts[0].section.questions = {"valence": 1.0}
    [note] = check_targets({"train": clips}, {}, "chat", mixture)
    assert note.startswith("warning: split train: no clip of corpus a") and "{valence: 1}" in note
    parts[0].section.questions = {"mood": 1.0}
    with pytest.raises(ValueError, match="unknown question kind 'mood'"):
        check_targets({"train": clips}, {}, "chat", mixture)


# ---------------------------------------------------------------------------- from a recipe


def reads(monkeypatch, name: str, clips: list[Clip], **record) -> None:
    def read(root: Path, fold: int = 0) -> list[Clip]:
        return [replace(clip, media=root / clip.media) if clip.media else clip for clip in clips]

    monkeypatch.setitem(READERS, name, Reader(read, Corpus(name, name, "", "", **record)))


def data_of(*corpora: CorpusSection, **values) -> DataSection:
    return DataSection(corpora=list(corpora), **values)


def test_manifests_are_short_for_corpora(tmp_path):
    rows = [{"id": str(number), "split": split, "labels": ["sad"], "words": "hm"}
            for number, split in enumerate(("train", "validation", "test"))]
    path = tmp_path / "m.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    short = read_mixture(DataSection(manifests=[str(path)]))
    long = read_mixture(data_of(CorpusSection(root=str(path))))
    assert short.splits == long.splits and {name: len(clips) for name, clips in short.splits.items()} == {
        "train": 1, "validation": 1}
    assert short.facts() == long.facts()


def test_roots_name_variables_of_the_environment(monkeypatch, tmp_path):
    reads(monkeypatch, "toy", clips_of("toy", 3) + clips_of("toy", 1, "validation"))
    data = data_of(CorpusSection("toy", "${TOY_ROOT}/x"))
    with pytest.raises(ValueError, match=r"data.corpora.0.root=.*variable TOY_ROOT is not set .*data.corpora.0.root="):
        read_mixture(data)
    monkeypatch.setenv("TOY_ROOT", str(tmp_path))
    assert len(read_mixture(data).splits["train"]) == 3


@pytest.mark.parametrize("section, says", [
    (CorpusSection("tyo", "/x"), "data.corpora.0: unknown corpus reader 'tyo'"),
    (CorpusSection("toy"), "data.corpora.0.root is not set: .*data.corpora.0.root=/data/toy"),
    (CorpusSection("toy", "/x", options={"flod": 1}), "data.corpora.0: reader toy has no option 'flod'; it has fold"),
    (CorpusSection("toy", "/x", protocol="folds:1"), "data.corpora.0.protocol=folds:1: unknown protocol"),
    (CorpusSection("toy", "/x"), "data.validation_split=validation: no clip .* have train; .*protocol=hold-out"),
    (CorpusSection("toy", "/x", weight=0, protocol="hold-out"), "data.train_split=train: no clip"),
])
def test_mistakes_say_where_and_what_to_write(monkeypatch, section, says):
    reads(monkeypatch, "toy", clips_of("toy", 9))
    with pytest.raises(ValueError, match=says):
        read_mixture(data_of(section))


def test_no_corpus_at_all_says_both_ways():
    with pytest.raises(ValueError, match="data.manifests is empty.*data.corpora.0.reader=ravdess"):
        read_mixture(DataSection())


def test_protocols_and_weights_of_a_recipe(monkeypatch):
    reads(monkeypatch, "a", clips_of("a", 40))
    reads(monkeypatch, "b", clips_of("b", 6) + clips_of("b", 2, "validation"), counts={"train": 7, "validation": 2})
    mixture = read_mixture(data_of(CorpusSection("a", "/x", "hold-out", 0.5), CorpusSection("b", "/x", weight=2)))
    training, validation = mixture.splits["train"], mixture.splits["validation"]
    assert Counter(clip.corpus for clip in training) == {"a": 36, "b": 6}
    assert Counter(clip.corpus for clip in validation) == {"a": 4, "b": 2}
    line = "an epoch takes 18 of a (36 clips, weight 0.5), 12 of b (6 clips, weight 2)"
    assert mixture.epoch_line(training) == line
    assert mixture.notes == ["note: b: split train has 6 clips, officially 7"]
    none = read_mixture(data_of(CorpusSection("a", "/x", "hold-out"), CorpusSection("b", "/x", weight=0)))
    assert {clip.corpus for clip in none.splits["train"]} == {"a"}
    assert Counter(clip.corpus for clip in none.splits["validation"]) == {"a": 4, "b": 2}


# ---------------------------------------------------------------------------- absent files


@pytest.fixture
def half_there(monkeypatch, tmp_path):
    clips = [replace(clip, media=Path(f"{clip.id}.mp4")) for clip in clips_of("toy", 8)]
    clips += [replace(clip, media=Path(f"{clip.id}.mp4")) for clip in clips_of("toy", 2, "validation")]
    for clip in clips[:3] + clips[8:]:
        (tmp_path / clip.media).write_bytes(b"x")
    reads(monkeypatch, "toy", clips)
    return CorpusSection("toy", str(tmp_path))


def test_absent_files_are_refused_with_count_and_names_unless_asked_for(half_there, tmp_path):
    data = data_of(half_there)
    with pytest.raises(ValueError) as caught:
        read_mixture(data)
    first = ", ".join(str(tmp_path / f"train{number}.mp4") for number in (3, 4, 5))
    assert f"(toy, {tmp_path}): the files of 5 of 10 clips are absent, the first are {first}, ..." in str(caught.value)
    assert "data.missing_media=leave_out to train on the 5 others" in str(caught.value)
    with pytest.raises(ValueError, match="the files of 5 of 10 clips are absent"):
        read_present(data)
    data.missing_media = "leave_out"
    mixture = read_mixture(data, check_media=False)  # the same clips, whether or not features are stored
    assert [clip.id for clip in mixture.splits["train"]] == ["train0", "train1", "train2"]
    assert "5 of 10 clips are absent" in mixture.notes[0] and mixture.notes[0].endswith("; they are left out")
    clips, notes = read_present(data)
    assert len(clips) == 5 and notes == mixture.notes
    data.missing_media = "refuse"
    assert len(read_mixture(data, check_media=False).splits["train"]) == 8


def test_a_corpus_or_a_split_without_any_file_is_refused_all_the_same(half_there, tmp_path):
    data = data_of(half_there, missing_media="leave_out")
    for path in tmp_path.glob("validation*"):
        path.unlink()
    with pytest.raises(ValueError, match="split validation: the files of all 2 clips are absent"):
        read_mixture(data)
    for path in tmp_path.glob("*.mp4"):
        path.unlink()
    with pytest.raises(ValueError, match="10 of 10 clips are absent.*name another folder as root$"):
        read_mixture(data)


# ---------------------------------------------------------------------------- what a continuation must share


def test_weights_questions_and_protocols_are_what_a_run_begins_with(monkeypatch):
    from affectgpt.config.sections import Recipe

    reads(monkeypatch, "toy", clips_of("toy", 20))

    def begun(**values) -> str:
        recipe = Recipe(data=data_of(CorpusSection("toy", **{"root": "/x", "protocol": "hold-out", **values})))
        recipe.model.audio_encoder = recipe.model.visual_encoder = None
        recipe.model.streams = ["text"]
        return origins(recipe, mixtures.read_mixture(recipe.data))[CORPORA]

    first = begun()
    assert begun(root="/elsewhere") == first
    others = [begun(weight=2), begun(questions={"labels": 1.0}), begun(protocol="fold:1"), begun(options={"fold": 1}),
              begun(labels=["sad"])]
    assert len({first, *others}) == 6
