"""AffectGPT as a row of the comparison, with tiny parts: trained on each split, or asked as it is."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import pytest
import tiny
from tiny import corpus, parts  # noqa: F401  fixtures

from affectgpt.baselines.predictions import read_predictions
from affectgpt.config.sections import CorpusSection
from affectgpt.eval.compare import job
from affectgpt.eval.compare.settings import CompareRecipe, SystemSection
from affectgpt.files import write_jsonl

WORDS = ["model.streams=text", "model.fusion=none", "model.audio_encoder=none", "model.visual_encoder=none",
         "train.alignment_epochs=0", "train.alignment_weight=0"]


@pytest.fixture(scope="module")
def compared(parts, corpus, tmp_path_factory):  # noqa: F811
    """One comparison of both kinds on the drawn corpus, and what it wrote."""
    folder = tmp_path_factory.mktemp("compared")
    rows = [json.loads(line) for line in corpus.read_text(encoding="utf-8").splitlines()]
    corpus = corpus.with_name("classes.jsonl")
    write_jsonl(corpus, ({"id": row["id"], "media": row["media"], "words": "hm",
                          "emotion": ("happy", "sad")[number % 2],
                          "split": ("train", "validation", "test")[number // 2]} for number, row in enumerate(rows)))
    training = tiny.recipe_file(folder, parts, corpus)
    recipe = CompareRecipe(
        name="toy", corpus=CorpusSection("manifest", str(corpus)),
        protocols=["official"], seeds=[0], output=str(folder / "out"), threads=1, device="cpu", systems={
            "trained": SystemSection("affectgpt", recipe=str(training), settings=["train.max_steps=2"]),
            "words": SystemSection("affectgpt", recipe=str(training), settings=["train.max_steps=2", *WORDS]),
            "gone": SystemSection("model", recipe=str(folder / "no-model"))})
    return recipe, job.compare(recipe), folder


def test_a_trained_row_predicts_each_test_clip(compared):
    recipe, found, folder = compared
    systems = found["protocols"]["official"]["systems"]
    assert "missing" in systems["gone"] and "no-model" in systems["gone"]["missing"]
    for key in ("trained", "words"):
        assert "scores" in systems[key], systems[key]
        rows, facts = read_predictions(folder / "out" / "official" / key / "official" / "seed-0")
        assert len(rows) == found["protocols"]["official"]["clips"] and facts["system"] == key
        assert all(row.predicted in (None, *facts["classes"]) for row in rows)
        assert all(row.note.startswith("said: ") for row in rows if row.predicted is None)
    # It is taught on training and validation clips alone, and asked with the classes of the comparison.
    lines = (folder / "out" / "official" / "trained" / "official" / "seed-0" / "training" / "manifest.jsonl")
    taught = {json.loads(line)["id"] for line in lines.read_text().splitlines()}
    assert not taught & {row.key.partition("/")[2] for row in rows}


def test_a_ready_model_is_asked_about_the_same_clips(compared):
    recipe, _, folder = compared
    ready = folder / "out" / "official" / "trained" / "official" / "seed-0" / "training" / "model"
    recipe.systems["ready"] = SystemSection("model", recipe=str(ready))
    systems = job.compare(recipe, only=["ready"])["protocols"]["official"]["systems"]
    assert systems["ready"]["scores"]["confusion"] == systems["trained"]["scores"]["confusion"]


def test_without_media_the_row_says_so(compared, tmp_path):
    recipe, _, _ = compared
    file = tmp_path / "manifest.jsonl"
    shutil.copyfile(recipe.corpus.root, file)
    moved = replace(recipe, corpus=CorpusSection("manifest", str(file)), output=str(tmp_path / "out"))
    systems = job.compare(moved, train=False)["protocols"]["official"]["systems"]
    assert systems["trained"]["missing"].startswith("the media of ") and "left" in systems["words"]
