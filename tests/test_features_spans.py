"""A feature store knows which part of a file, and which face file, its rows were made from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from feature_fixtures import corpus, loads, media_folder, parts, rewrite, run, shards, tiny_model  # noqa: F401

from affectgpt.features import key as feature_key
from affectgpt.features.store import FeatureStore


def test_a_corrected_segment_never_keeps_old_features(tiny_model, corpus, tmp_path, loads):  # noqa: F811
    config, folder = tiny_model[1].config, tmp_path / "s"
    before = [replace(corpus[0], start=0.0, end=0.2), replace(corpus[0], id="whole"), corpus[1]]
    assert run(tiny_model, before, folder).computed == 3
    assert run(tiny_model, before, folder).computed == 0
    after = [replace(before[0], start=0.1, end=0.3), *before[1:]]
    for check in (True, False):  # the span is known without a look at the file
        with pytest.raises(ValueError, match="0.mp4: is not the file"):
            FeatureStore.open(folder, config, after, check_media=check)
    loads.clear()
    assert run(tiny_model, after, folder).computed == 1 and loads == [after[0].key]
    new, old = (FeatureStore.open(folder, config, clips)[before[0].key] for clips in (after, before))
    assert not torch.equal(new.frame, old.frame) and not torch.equal(new.audio, old.audio)
    with pytest.raises(ValueError, match="is not the file"):  # and a segment is not the whole file
        FeatureStore.open(folder, config, [replace(before[1], end=0.2), *before[2:]])


def test_another_face_file_is_another_row(tiny_model, corpus, tmp_path):  # noqa: F811
    (tmp_path / "f.json").write_text("{}")
    run(tiny_model, corpus[:2], tmp_path / "s")
    given = [replace(corpus[0], face=tmp_path / "f.json"), corpus[1]]
    assert run(tiny_model, given, tmp_path / "s").computed == 1
    (tmp_path / "f.json").write_text("{ }")
    with pytest.raises(ValueError, match="is not the file"):
        FeatureStore.open(tmp_path / "s", tiny_model[1].config, given)


def test_a_file_is_hashed_once_for_all_of_its_segments(tiny_model, corpus, tmp_path, monkeypatch):  # noqa: F811
    hashed, sha256 = [], feature_key._sha256
    monkeypatch.setattr(feature_key, "_sha256", lambda path: hashed.append(path.name) or sha256(path))
    many = [replace(corpus[0], id=str(number), start=number / 100) for number in range(6)]
    assert run(tiny_model, many, tmp_path / "s", workers=3).computed == 6
    assert hashed.count("0.mp4") == 1


@pytest.mark.parametrize("span", [[1], "0-1", [None, None], [True, 2], [0, "1"], {}])
def test_a_span_that_cannot_be_is_refused(tiny_model, corpus, tmp_path, span):  # noqa: F811
    run(tiny_model, corpus[:2], tmp_path / "s")
    rewrite(shards(tmp_path / "s")[0], lambda row: row["files"]["media"].update(span=span))
    with pytest.raises(ValueError, match="span must be"):
        FeatureStore.open(tmp_path / "s", tiny_model[1].config, corpus[:2])


def test_rows_of_whole_files_are_as_they_were(corpus):  # noqa: F811
    """So that stores from before spans are read on."""
    assert feature_key.media_facts(corpus[0])["media"].keys() == {"size", "mtime_ns", "sha256"}
    assert feature_key.media_facts(replace(corpus[0], end=1.0))["media"]["span"] == [None, 1.0]
