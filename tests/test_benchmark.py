"""The benchmark: ways of training and of answering in turn within one run."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import json

import pytest
import tiny
from tiny import corpus, parts, recipe_file

from affectgpt import cli
from affectgpt.train import benchmark_ways
from affectgpt.train.benchmark_ways import WAYS


def test_ways_of_training_are_compared_in_turn(parts, corpus, tmp_path, monkeypatch):
    turns, run = [], benchmark_ways.TrainingWay.run

    def watched(way, steps, warmup, count=True):
        if count:
            turns.append((way.title, way.shared.model.audio_encoder, way.precision))
        return run(way, steps, warmup, count)

    monkeypatch.setattr(benchmark_ways.TrainingWay, "run", watched)
    plain, rows = recipe_file(tmp_path, parts, corpus), tmp_path / "rows.json"
    assert cli.main(["benchmark", str(plain), "--steps", "2", "--blocks", "2", "--warmup", "1", "--json", str(rows),
                     "model.dtype=bfloat16"]) == 0
    assert [title for title, *_ in turns] == [*WAYS, *reversed(WAYS)]
    assert [precision for *_, precision in turns[:3]] == ["float32", "bfloat16", "float32"]
    found = json.loads(rows.read_text())
    assert [row["way"] for row in found] == list(WAYS) and not (tmp_path / "run" / "model").exists()
    assert found[0]["ratio"] == found[0]["cpu_ratio"] == 1.0 and "(published)" in found[0]["way"]
    for row in found:
        assert row["steps"] == 2 and len(row["cpu_ratios"]) == 2 and row["cpu_seconds_per_clip"] > 0
        assert row["cpu_ratio"] == pytest.approx(sum(row["cpu_ratios"]) / 2)
        assert row["hardware"] and row["command"].startswith("affectgpt benchmark")


def test_the_first_row_is_computed_by_peft_itself(parts, corpus, tmp_path, monkeypatch):
    from affectgpt.models import lora

    fused = []
    monkeypatch.setattr(benchmark_ways, "WAYS", {title: WAYS[title] for title in list(WAYS)[:2]})
    product = lora.LowRankProduct.apply
    monkeypatch.setattr(lora.LowRankProduct, "apply", lambda *values: fused.append(1) or product(*values))
    run = benchmark_ways.TrainingWay.run

    def watched(way, *arguments, **options):
        before = len(fused)
        result = run(way, *arguments, **options)
        assert (len(fused) > before) == ("(published)" not in way.title)
        return result

    monkeypatch.setattr(benchmark_ways.TrainingWay, "run", watched)
    plain = recipe_file(tmp_path, parts, corpus)
    assert cli.main(["benchmark", str(plain), "--steps", "1", "--blocks", "1", "--warmup", "1"]) == 0 and fused


def test_answers_are_compared_in_turn(parts, corpus, tmp_path, capsys):
    folder = tiny.write_bundled_model(parts, tmp_path / "m", streams=["audio", "face", "fusion", "text"],
                                      max_new_tokens=12)
    plain = recipe_file(tmp_path, parts, corpus)
    rows = tmp_path / "rows.json"
    split = json.loads(corpus.read_text().splitlines()[0])["split"]
    others = {"train": "validation", "validation": "test", "test": "train"}
    more = [f"data.test_split={split}", f"data.train_split={others[split]}",
            f"data.validation_split={others[others[split]]}"]
    assert cli.main(["benchmark", str(plain), *more, "--answers", str(folder), "--steps", "2",
                     "--json", str(rows)]) == 0
    found = json.loads(rows.read_text())
    assert [row["way"] for row in found] == ["raw clips, one at a time (published)", "raw clips, batch 16",
                                             "stored features, batch 16"]
    assert found[0]["cpu_ratio"] == 1.0 and all(row["clips_per_second"] > 0 for row in found)
    assert "stored features, batch 16" in capsys.readouterr().out


def test_a_shape_and_mistakes(capsys):
    assert cli.main(["benchmark", "--shape", "tiny", "--pack-tokens", "256", "--steps", "1", "--warmup", "0"]) == 0
    assert "| tiny, random weights, LoRA r16, packed 256 |" in capsys.readouterr().out
    assert cli.main(["benchmark"]) == 2 and "give a recipe or --shape" in capsys.readouterr().err
    assert cli.main(["benchmark", "starter", "--blocks", "0"]) == 2 and "--blocks" in capsys.readouterr().err
