"""The comparison with systems that stand in for the real ones: what is done is kept, what is missing is said."""

from __future__ import annotations

import base64
import json
import shutil
from dataclasses import replace
from importlib.util import find_spec

import pytest
import yaml

from affectgpt.baselines.predictions import Prediction, is_whole, read_predictions, write_predictions
from affectgpt.baselines.split import target_of
from affectgpt.config.recipe import recipe_folder
from affectgpt.eval.compare import job
from affectgpt.eval.compare.own import class_of
from affectgpt.eval.compare.settings import CompareRecipe, load
from affectgpt.eval.compare.systems import KINDS, Missing, without_media
from affectgpt.files import write_jsonl

CLASSES = ("happy", "sad", "angry")
JOB = {"textualized": "textualized", "features": "features", "affectgpt": "sft"}


def rows(groups: int = 15) -> list[dict]:
    return [{"id": f"{group}-{number}", "emotion": CLASSES[(group + number) % 3], "group": f"g{group}",
             "words": f"said {group}"} for group in range(groups) for number in range(4)]


def settings(tmp_path, **more) -> CompareRecipe:
    write_jsonl(tmp_path / "manifest.jsonl", rows())
    values = {"name": "toy", "corpus": {"reader": "manifest", "root": str(tmp_path / "manifest.jsonl")},
              "protocols": ["video-disjoint"], "seeds": [0, 1], "output": str(tmp_path / "out"),
              "systems": {"good": {"recipe": "x", "title": "good one"}, "bad": {"recipe": "x", "kind": "features"},
                          "gone": {"recipe": "x", "kind": "affectgpt"}},
              "pairs": ["bad:good"], **more}
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(values, sort_keys=False))
    return load(tmp_path / "toy.yaml")


@pytest.fixture(autouse=True)
def quick_picture(request, monkeypatch):
    """One test draws the picture; the others spare its seconds."""
    if "hand_made" not in request.node.name:
        pixel = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60"
                                 "e6kgAAAABJRU5ErkJggg==")
        monkeypatch.setattr("affectgpt.eval.compare.plot.intervals", lambda results, path: path.write_bytes(pixel))


class StandIns:
    """Kinds that answer right, always the same or not at all; `ran` lists what was run."""

    def __init__(self, stop_after: int = 10**9):
        self.ran, self.left = [], stop_after
        self.kinds = {"textualized": self._maker(lambda clip, seed: target_of(clip) if clip.id[-1] != "0" or seed == 0
                                                 else None),
                      "features": self._maker(lambda clip, seed: "sad"), "model": self._maker(lambda clip, seed: "sad"),
                      "affectgpt": self._gone}

    def _maker(self, answer):
        def make(section, key, place):
            def run(split, seed, folder):
                if self.left == 0:
                    raise KeyboardInterrupt
                self.left -= 1
                self.ran.append((place.protocol, key, split.name, seed))
                return write_predictions(folder, [Prediction(clip.key, target_of(clip), answer(clip, seed))
                                                  for clip in split.test], {"seconds": 1.5})
            return run
        return make

    def _gone(self, section, key, place):
        raise Missing("the media of 60 of 60 clips are not here")


def test_the_table_of_hand_made_predictions(tmp_path, capsys):
    found = job.compare(settings(tmp_path), StandIns().kinds)
    table = found["protocols"]["video-disjoint"]
    good, bad = table["systems"]["good"]["scores"], table["systems"]["bad"]["scores"]
    assert good["accuracy"]["mean"] == pytest.approx((1 + 0.75) / 2) and good["unanswered"] == 15
    assert bad["accuracy"]["mean"] == pytest.approx(20 / 60) and bad["accuracy"]["std"] == 0
    assert (table["clips"], table["groups"], table["counts"]) == (60, 15, dict.fromkeys(sorted(CLASSES), 20))
    assert table["systems"]["gone"]["missing"] == "the media of 60 of 60 clips are not here"
    assert table["majority"]["accuracy"]["mean"] == pytest.approx(20 / 60, abs=0.1)
    [pair] = table["pairs"]
    assert pair["difference"] > 0.5 and pair["p"] < 0.01
    out = tmp_path / "out"
    markdown = (out / "table.md").read_text()
    line = next(line for line in markdown.splitlines() if line.startswith("| good one"))
    low, high = good["accuracy"]["low"], good["accuracy"]["high"]
    assert line.startswith(f"| good one | 0.875 ± 0.177 ({low:.2f} to {high:.2f}) | ")
    assert line.endswith("| 2 seeds, 10 runs, 15 s; no class given 15 times of 120, counted as wrong |")
    assert "| gone |  |  |  | missing: the media of 60 of 60 clips are not here |" in markdown
    assert "| always the majority of the training clips |" in markdown
    assert "| happy | 0 | 35 | 0 | 5 | 0.929 |" in markdown  # answers summed over seeds
    assert (out / "comparison.png").read_bytes()[:4] == b"\x89PNG" and "data:image/png" in (
        out / "report.html").read_text()
    assert json.loads((out / "results.json").read_text())["protocols"]["video-disjoint"]["pairs"] == [
        {**pair, "interval": list(pair["interval"])}]
    text = capsys.readouterr().out
    assert "runs:    20, of which 0 are done" in text and "about " in text and "s left" in text


def test_killed_at_any_moment_it_goes_on(tmp_path, capsys):
    recipe = settings(tmp_path)
    whole = job.compare(replace(recipe, output=str(tmp_path / "whole")), StandIns().kinds)
    ran = []
    for _ in range(3):
        stopped = StandIns(stop_after=6)
        with pytest.raises(KeyboardInterrupt):
            job.compare(recipe, stopped.kinds)
        ran += stopped.ran
    # What a kill leaves half written is made again.
    torn = next((tmp_path / "out").rglob("run.json"))
    torn.unlink()
    last = StandIns()
    found = job.compare(recipe, last.kinds)
    assert len(set(ran)) == 18 and len(last.ran) == 3
    assert found["protocols"] == whole["protocols"]
    again = StandIns()
    job.compare(recipe, again.kinds)
    assert again.ran == [] and "of which 20 are done" in capsys.readouterr().out


def test_only_one_system_seeds_and_tables_alone(tmp_path, capsys):
    settings(tmp_path)
    stand_in = StandIns()
    path = str(tmp_path / "toy.yaml")
    assert job.main([path, "--only", "bad", "--seeds", "3"], stand_in.kinds) == 0
    assert {(key, seed) for _, key, _, seed in stand_in.ran} == {("bad", 3)} and len(stand_in.ran) == 5
    text = capsys.readouterr().out
    assert "not run yet: 5 of 5 runs are left" in text
    assert f"next:    affectgpt compare {path} --seeds 3" in text
    more = StandIns()
    assert job.main([path, "--table"], more.kinds) == 0 and more.ran == []
    assert job.main([path], more.kinds) == 0 and len(more.ran) == 20
    assert f"next:    open {tmp_path / 'out' / 'report.html'}" in capsys.readouterr().out
    with pytest.raises(ValueError, match="--only ugly: no such system; there are good, bad, gone"):
        job.main([path, "--only", "ugly"])


def test_a_try_with_few_clips_lies_beside_the_real_runs(tmp_path):
    path = str(settings(tmp_path) and tmp_path / "toy.yaml")
    assert job.main([path, "--limit", "3"], StandIns().kinds) == 0
    rows, _ = read_predictions(next((tmp_path / "out" / "try-3").rglob("run.json")).parent)
    assert len(rows) == 3 and {row.target for row in rows} == set(CLASSES)
    assert "its scores say nothing" in (tmp_path / "out" / "try-3" / "table.md").read_text()


def test_a_system_that_fails_is_told_and_the_others_go_on(tmp_path, capsys):
    settings(tmp_path)
    stand_in = StandIns()

    def make(section, key, place):
        def run(split, seed, folder):
            raise ValueError("no such recipe")
        return run

    assert job.main([str(tmp_path / "toy.yaml")], {**stand_in.kinds, "textualized": make}) == 2
    captured = capsys.readouterr()
    assert "failed: no such recipe" in captured.out and captured.err.count("no such recipe") == 1
    assert {key for _, key, _, _ in stand_in.ran} == {"bad"}


def test_predictions_of_other_clips_and_runs_of_other_settings_are_refused(tmp_path):
    recipe = settings(tmp_path)

    def make(section, key, place):
        return lambda split, seed, folder: write_predictions(folder, [Prediction("c/x", "sad", "sad")], {})

    found = job.compare(recipe, {**StandIns().kinds, "textualized": make}, only=["good"])
    assert "are not those of the 12 test clips" in found["protocols"]["video-disjoint"]["systems"]["good"]["failed"]
    job.compare(recipe, StandIns().kinds, only=["bad"])
    other = replace(recipe, systems={**recipe.systems, "bad": replace(recipe.systems["bad"], settings=["a=1"])})
    with pytest.raises(ValueError, match="holds runs with other system: choose another output="):
        job.compare(other, StandIns().kinds, only=["bad"])
    write_jsonl(tmp_path / "manifest.jsonl", rows(16))
    with pytest.raises(ValueError, match="holds runs with other clips"):
        job.compare(recipe, StandIns().kinds, only=["bad"])


def test_a_ready_model_is_asked_once(tmp_path):
    recipe = settings(tmp_path, systems={"ready": {"recipe": "x", "kind": "model"}}, pairs=[])
    stand_in = StandIns()
    row = job.compare(recipe, stand_in.kinds)["protocols"]["video-disjoint"]["systems"]["ready"]
    assert len(stand_in.ran) == 5 and row["scores"]["seeds"] == [0]


@pytest.mark.parametrize("values, message", [
    ({"protocols": ["fold"]}, "protocols has 'fold'"), ({"systems": {}}, "systems is empty"),
    ({"pairs": ["good:ugly"]}, "pairs has 'good:ugly'"), ({"seeds": []}, "seeds is"),
    ({"systems": {"a": {}}, "pairs": []}, "systems.a.recipe is empty"),
    ({"systems": {"../a": {"recipe": "x"}}, "pairs": []}, "has the key '../a'"),
])
def test_settings_that_cannot_be(tmp_path, values, message):
    with pytest.raises(ValueError, match=message):
        settings(tmp_path, **values)


def test_texts_that_are_named_must_be_there(tmp_path):
    with pytest.raises(ValueError, match="no such file; `affectgpt textualize` makes one"):
        job.compare(settings(tmp_path, texts="nowhere.jsonl"), StandIns().kinds)


def test_facts_of_the_real_corpus(shared_data, tmp_path, capsys):
    assert job.main(["cexpr", f"corpus.root={shared_data / 'cexpr'}", f"output={tmp_path}", "--facts"]) == 0
    text = capsys.readouterr().out
    assert "125 annotated segments of 56 videos" in text and "19 of 56 videos are in train and test" in text
    assert "warning: its validation part is its test part" in text
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert facts["published"]["seven"] == 105 and len(facts["video-disjoint"]) == 5


def test_facts_of_folds_that_cannot_be_used(shared_data, tmp_path, capsys):
    shutil.copytree(shared_data / "cexpr" / "C-EXPR-DB", tmp_path / "C-EXPR-DB")
    lists = tmp_path / "C-EXPR-DB" / "folds"
    (lists / "split-1" / "test.txt").unlink()
    with (lists / "split-2" / "train.txt").open("a") as file:
        file.write("Gladly/99_Gladly_0,12\n")
    assert job.main(["cexpr", f"corpus.root={tmp_path}", f"output={tmp_path / 'out'}", "--facts"]) == 0
    text = capsys.readouterr().out
    assert "test.txt is missing" in text and "1 lines cannot be used as they are: 1 unreadable" in text
    assert "paper: cannot be used: " in text


def test_packaged_comparisons_are_whole():
    for name in ("cexpr", "meld", "ravdess", "starter", "news"):
        recipe = load(name)
        assert recipe.name == f"compare-{name}" and {section.kind for section in recipe.systems.values()} <= set(KINDS)
    with pytest.raises(ValueError, match="there are cexpr, meld, news, ravdess, starter"):
        load("nowhere")


def test_packaged_comparisons_name_packaged_recipes():
    for name in ("cexpr", "meld", "ravdess", "starter", "news"):
        for key, section in load(name).systems.items():
            if section.kind != "model" and find_spec(f"affectgpt.train.{JOB[section.kind]}"):
                assert (recipe_folder() / f"{section.recipe}.yaml").is_file(), (name, key)


@pytest.mark.parametrize("answer, expected", [
    ("Emotion: sadly angry.", "sadly angry"), ("Emotion: Fearfully Surprised.", "fearfully surprised"),
    ("Emotions: afraid, surprised.", "fearfully surprised"), ("Emotions: afraid.", None),
    ("Emotions: sad, afraid, surprised.", None), ("I cannot tell.", None),
])
def test_the_class_that_an_answer_names(answer, expected):
    classes = ("fearfully surprised", "sadly surprised", "sadly angry")
    assert class_of(answer, classes) == expected


def test_the_class_of_a_basic_set():
    assert class_of("Emotions: joyful, sad.", ("happy", "sad")) == "sad"  # a class by its own name first
    assert class_of("Emotions: joyful.", ("happy", "sad")) == "happy"
    assert class_of("Emotion: happy.", ("happy", "sad"), cut_off=True) == "happy"


def test_media_that_are_not_here_are_counted(tmp_path):
    from affectgpt.data.clip import Clip

    clips = [Clip("a", media=tmp_path / "a.wav"), Clip("b")]
    assert without_media(clips) == f"the media of 2 of 2 clips are not here, the first is a ({tmp_path / 'a.wav'})"
    (tmp_path / "a.wav").write_text("x")
    assert without_media(clips) == "the media of 1 of 2 clips are not here, the first is b"
    assert without_media(clips[:1]) == without_media(clips, 0.5) == ""
    assert not is_whole(tmp_path)
