"""Filling a feature store after kills, by several processes, with files that cannot be read."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import replace

import pytest
from feature_fixtures import (
    bad,
    corpus,
    loads,
    media_folder,
    open_recipe_store,
    recipe,
    rows_of,
    run,
    same,
    shards,
    start,
    tiny_model,
)
from tiny import parts

from affectgpt import files
from affectgpt.features import shards as feature_shards
from affectgpt.features.store import FeatureStore
from affectgpt.train import extract_features


@pytest.mark.parametrize(("stall", "left"), [("load 6", 3), ("save 2", 5)])
def test_a_killed_job_goes_on_where_whole_shards_end(recipe, tmp_path, loads, stall, left):
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "whole")]) == 0
    job = start(recipe, tmp_path / "killed", stall)
    try:
        deadline = time.time() + 120
        while not (tmp_path / "killed.stalled").exists():
            assert job.poll() is None and time.time() < deadline, job.communicate()[0]
            time.sleep(0.05)
    finally:
        job.send_signal(signal.SIGKILL)
        job.communicate()
    leftovers = list((tmp_path / "killed" / "shards").glob(".*.tmp"))
    assert len(leftovers) == (1 if stall.startswith("save") else 0)
    loads.clear()
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "killed")]) == 0
    assert len(loads) == left  # two clips a whole shard: 4 or 2 of 7 are not read again
    assert not list((tmp_path / "killed" / "shards").glob(".*.tmp"))
    assert same(open_recipe_store(recipe, tmp_path / "whole"), open_recipe_store(recipe, tmp_path / "killed"))


def test_two_processes_make_what_one_makes(recipe, tmp_path, loads):
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "one")]) == 0
    jobs = [start(recipe, tmp_path / "two", RANK=str(rank), WORLD_SIZE="2") for rank in range(2)]
    outputs = [job.communicate(timeout=120)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    assert "4 computed" in outputs[0] and "3 computed" in outputs[1]
    assert same(open_recipe_store(recipe, tmp_path / "one"), open_recipe_store(recipe, tmp_path / "two"))
    assert {path.name[:4] for path in shards(tmp_path / "two")} == {"0000", "0001"}
    loads.clear()
    assert extract_features.main([str(recipe), "--store", str(tmp_path / "two")]) == 0 and loads == []


def test_another_number_of_processes_computes_only_what_is_missing(tiny_model, corpus, tmp_path, loads):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "whole")
    run(tiny_model, corpus, tmp_path / "s", rank=1, world_size=3)
    assert loads[7:] == ["t/1.mp4", "t/4.mp4"]
    loads.clear()
    for rank in range(2):
        run(tiny_model, corpus, tmp_path / "s", rank=rank, world_size=2)
    assert sorted(loads) == sorted(c.key for c in corpus if c.id not in ("1.mp4", "4.mp4"))
    assert same(*(FeatureStore.open(tmp_path / name, config, corpus) for name in ("whole", "s")))
    loads.clear()
    for rank in range(5):
        summary = run(tiny_model, corpus, tmp_path / "s", rank=rank, world_size=5)
        assert summary.computed == 0
    assert loads == []


def test_leftovers_of_other_ranks_that_may_run_are_left(tmp_path):
    (tmp_path / "shards").mkdir()
    for rank in (0, 1, 2, 3):
        (tmp_path / "shards" / f".{rank:04d}-ab.safetensors.tmp").touch()
    feature_shards.remove_leftovers(tmp_path, 1, 2)
    assert sorted(path.name[1:5] for path in (tmp_path / "shards").iterdir()) == ["0000", "0002"]


def test_a_process_that_starts_at_the_same_time_is_not_overwritten(tiny_model, corpus, tmp_path, monkeypatch):
    write, meanwhile = files.atomic_write_json, []

    def slow_write(path, value):
        write(path, value)
        if not meanwhile:  # another process finds no store either, and is faster
            meanwhile.append(True)
            run(tiny_model, corpus[:1], tmp_path / "s", dtype="float16")

    monkeypatch.setattr(files, "atomic_write_json", slow_write)
    with pytest.raises(ValueError, match="has dtype='float16'"):
        run(tiny_model, corpus, tmp_path / "s")
    meanwhile.clear()
    (tmp_path / "s" / "store.json").rename(tmp_path / "other.json")
    with pytest.raises(ValueError, match="has dtype='float16'"):
        run(tiny_model, corpus, tmp_path / "s")
    assert list(FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus[:1])) == ["t/0.mp4"]


def test_a_torn_shard_is_ignored_and_computed_again(tiny_model, corpus, tmp_path, loads):
    config = tiny_model[1].config
    run(tiny_model, corpus, tmp_path / "s", shard_clips=3)
    before = {key: inputs for key, inputs in FeatureStore.open(tmp_path / "s", config, corpus).items()}
    torn = next(path for path in shards(tmp_path / "s") if rows_of(path)[0]["clip"] == "t/0.mp4")
    data = torn.read_bytes()
    for size in (len(data) - 1, len(data) // 2, 5, 0):
        torn.write_bytes(data[:size])
        store = FeatureStore.open(tmp_path / "s", config, corpus)
        assert store.missing == ["t/0.mp4", "t/1.mp4", "t/2.mp4"] and store.torn == [torn]
    loads.clear()
    run(tiny_model, corpus, tmp_path / "s", shard_clips=3)
    assert loads == ["t/0.mp4", "t/1.mp4", "t/2.mp4"]
    assert same(before, FeatureStore.open(tmp_path / "s", config, corpus))


def test_a_full_disk_stops_the_job_and_keeps_whole_shards(tiny_model, corpus, tmp_path, monkeypatch):
    save, calls = feature_shards.save, []

    def full(*arguments, **options):
        calls.append(True)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return save(*arguments, **options)

    monkeypatch.setattr(feature_shards, "save", full)
    with pytest.raises(ValueError, match="could not be written .*No space left.*make room"):
        run(tiny_model, corpus, tmp_path / "s", shard_clips=2)
    monkeypatch.undo()
    config = tiny_model[1].config
    assert len(FeatureStore.open(tmp_path / "s", config, corpus)) == 4 and not list(tmp_path.glob("s/shards/.*"))
    assert run(tiny_model, corpus, tmp_path / "s").computed == 3


def test_unreadable_clips_are_listed_and_tried_again_when_repaired(tiny_model, corpus, bad, tmp_path, loads):
    clips, folder, config = [*corpus, bad], tmp_path / "s", tiny_model[1].config
    assert run(tiny_model, clips, folder, max_skip_ratio=0.2, rank=1, world_size=2).skipped == 1
    assert run(tiny_model, clips, folder, max_skip_ratio=0.2, rank=0, world_size=2).skipped == 1
    rows = [json.loads(line) for line in (folder / "skipped-1.jsonl").read_text().splitlines()]
    assert [(row["id"], row["file"], row["row"]) for row in rows] == [("t/bad", str(bad.media), "m:8")]
    assert "bad.mp4" in rows[0]["reason"]
    store = FeatureStore.open(folder, config, clips)
    assert list(store.skipped) == ["t/bad"] and store.missing == [] and "t/bad" not in store and len(store) == 7
    loads.clear()
    run(tiny_model, clips, folder, max_skip_ratio=0.2)
    assert loads == []  # it is known to be unreadable
    with pytest.raises(ValueError, match=r"1 of 8 clips cannot be read, more than the 10.0%.*skipped-\*.jsonl"):
        run(tiny_model, clips, folder, max_skip_ratio=0.1)
    shutil.copyfile(corpus[0].media, bad.media)
    assert FeatureStore.open(folder, config, clips).missing == ["t/bad"]
    assert run(tiny_model, clips, folder, max_skip_ratio=0.0).skipped == 0 and loads == ["t/bad"]
    store = FeatureStore.open(folder, config, clips)
    assert (store.missing, store.skipped) == ([], {}) and len(store) == 8


def test_too_many_unreadable_clips_stop_the_job_over_all_processes(tiny_model, corpus, bad, tmp_path, loads):
    gone = replace(bad, id="gone", media=tmp_path / "gone.mp4")
    clips, folder = [*corpus, bad, gone], tmp_path / "s"  # the 8th and the 9th of nine
    run(tiny_model, clips, folder, max_skip_ratio=0.12, rank=1, world_size=2)
    with pytest.raises(ValueError, match="2 of 9 clips cannot be read"):
        run(tiny_model, clips, folder, max_skip_ratio=0.12, rank=0, world_size=2)
    assert len(FeatureStore.open(folder, tiny_model[1].config, clips)) == 7  # what was computed is kept
    # A line that a kill cut off is no line.
    path = folder / "skipped-0.jsonl"
    path.write_text(path.read_text()[:-20])
    assert FeatureStore.open(folder, tiny_model[1].config, clips).missing == ["t/gone"]
    path.write_text('{"id": "t/gone"}\n')
    with pytest.raises(ValueError, match="skipped-0.jsonl:1: key .* is missing"):
        FeatureStore.open(folder, tiny_model[1].config, clips)
