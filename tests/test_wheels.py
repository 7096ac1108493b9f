"""The official emotion wheels, the safe reader of numpy archives, intervals and tests."""

from __future__ import annotations

import json
import math
import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from affectgpt.cli import main
from affectgpt.metrics import stats
from affectgpt.metrics.wheels import WHEELS, load_tables
from affectgpt.npz import load_npz


@pytest.fixture(scope="module")
def tables(shared_data):
    return load_tables(shared_data / "wheels" / "mer2025")


def test_tables_have_the_published_sizes(tables, shared_data):
    newer = load_tables(shared_data / "wheels" / "mer2026")
    for table, version, forms in ((tables, "mer2025", 7386), (newer, "mer2026", 7356)):
        assert table.version == version and len(table.forms) == forms and len(table.synonyms) == 1255
        assert [len(table.wheels[wheel]["level1"]) for wheel in WHEELS] == [114, 126, 78, 102, 77]
        assert len(set().union(*(table.wheels[wheel]["level1"] for wheel in WHEELS))) == 253
        mapped = [sum(table.root(word, wheel) is not None for word in table.forms) for wheel in WHEELS]
        if version == "mer2025":
            assert mapped == [4053, 4400, 3240, 4074, 3055]


@pytest.mark.parametrize("word, roots", [
    ("happy", ["happy", "happy", "joyful", "joy", "powerful"]),
    ("surprise", ["surprised", "surprised", "powerful", "fear", None]),
    ("guilt", ["sad", "sad", "sad", "disgust", "sad"]),
    ("neutral", [None] * 5),
    ("serious", [None, None, None, "sad", None])])
def test_the_ties_of_the_official_tables_are_kept(word, roots, tables):
    assert [tables.root(word, wheel) for wheel in WHEELS] == roots


def test_forms_and_synonyms_alone_merge_words(tables):
    assert tables.base("joyfully") == min(tables.forms["joyfully"]) and tables.base("no such word") is None
    words = {word: tables.canonical(word) for word in ("tense", "worried", "furious")}
    assert words == {word: min(tables.synonyms[min(tables.forms[word])]) for word in words}
    several = next(word for word in tables.forms if len(tables.synonyms[tables.base(word)]) > 2)
    assert tables.canonical(several) == sorted(tables.synonyms[tables.base(several)])[0]


def test_the_two_forms_of_the_newer_tables_are_equal(shared_data, tmp_path):
    folder = shared_data / "wheels" / "mer2026"
    shutil.copy(folder / "wheel_mapping.npz", tmp_path)
    files, archive = load_tables(folder), load_tables(tmp_path)
    assert archive.version == "mer2026" and archive.wheels == files.wheels
    for word in files.forms:
        assert files.base(word) == archive.base(word) and files.canonical(word) == archive.canonical(word)
        for wheel in WHEELS:
            assert files.root(word, wheel, "level2") == archive.root(word, wheel, "level2")


def test_a_folder_of_versions_stands_for_that_of_the_published_numbers(shared_data, tmp_path):
    assert load_tables(shared_data / "wheels").version == "mer2025"
    (tmp_path / "mer2025").mkdir()
    with pytest.raises(ValueError, match="mer2025: format.csv.*are missing"):
        load_tables(tmp_path)


def test_altered_tables_are_refused_unless_asked_for(shared_data, tmp_path):
    folder = tmp_path / "wheels"
    shutil.copytree(shared_data / "wheels" / "mer2025", folder, copy_function=shutil.copyfile)
    with (folder / "format.csv").open("a") as file:
        file.write('happy,"overjoyedly"\n')
    with pytest.raises(ValueError, match="format.csv .* compare with nobody's"):
        load_tables(folder)
    altered = load_tables(folder, any_version=True)
    assert altered.version == "unpinned" and altered.root("overjoyedly", "wheel1") == "happy"
    (folder / "wheel3.xlsx").unlink()
    with pytest.raises(ValueError, match="wheel3.xlsx .* are missing"):
        load_tables(folder)


def test_wheels_are_fetched_once_checked_and_found_again(shared_data, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    source, altered = shared_data / "wheels" / "mer2025", tmp_path / "altered"
    rows = tmp_path / "p.jsonl"
    rows.write_text(json.dumps({"name": "a", "target": "happy", "response": "x", "labels_raw": "[joy]"}) + "\n")
    assert main(["score", str(rows), "--set", "mer2023", "--json"]) == 2
    assert "affectgpt wheels fetch" in capsys.readouterr().err
    shutil.copytree(source, altered, copy_function=shutil.copyfile)
    (altered / "wheel5.xlsx").write_bytes(b"PK not the wheel")
    assert main(["wheels", "fetch", "--from", str(altered)]) == 2
    assert "wheel5.xlsx" in capsys.readouterr().err and not list((tmp_path / "cache").rglob("*.xlsx"))
    assert main(["wheels", "fetch", "--from", "http://example.org/"]) == 2
    assert "only https://" in capsys.readouterr().err
    for place in (source, tmp_path / "nowhere"):  # the second time nothing is fetched
        assert main(["wheels", "fetch", "--from", str(place)]) == 0
    assert main(["score", str(rows), "--set", "mer2023", "--json"]) == 0
    results = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert results["wheels"] == {"published": "mer2025", "strict": "affectgpt-1"}


class Bomb:
    def __reduce__(self):
        return (print, ("opened",))


def test_a_numpy_archive_runs_no_code(tmp_path, capsys):
    np.savez(tmp_path / "bomb.npz", a=np.array(Bomb(), dtype=object))
    with pytest.raises(ValueError, match="bomb.npz.*builtins.print"):
        load_npz(tmp_path / "bomb.npz")
    assert "opened" not in capsys.readouterr().out
    for content in (b"not a zip", b""):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match="bad.npz"):
            load_npz(tmp_path / "bad.npz")
    with zipfile.ZipFile(tmp_path / "torn.npz", "w") as archive:
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00")
    with pytest.raises(ValueError, match="torn.npz"):
        load_npz(tmp_path / "torn.npz")
    with zipfile.ZipFile(tmp_path / "bare.npz", "w") as archive:
        header = b"{'descr': '|O', 'fortran_order': False, 'shape': (), }".ljust(117) + b"\n"
        archive.writestr("a.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + pickle.dumps(3))
    with pytest.raises(ValueError, match="no array"):
        load_npz(tmp_path / "bare.npz")


def test_plain_and_pickled_arrays_are_read(tmp_path):
    labels = {"clip": {"emo": "happy", "val": np.float64(1.5)}, "words": ["a", None]}
    np.savez(tmp_path / "good.npz", corpus=np.array(labels, dtype=object), numbers=np.arange(6).reshape(2, 3),
             names=np.array(["x", "yy"], dtype=object))
    values = load_npz(tmp_path / "good.npz")
    assert values["corpus"] == labels and values["numbers"].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert list(values["names"]) == ["x", "yy"]


def test_the_labels_of_merbench_can_be_read(shared_data):
    values = load_npz(shared_data / "merbench" / "meld-process" / "label.npz")
    assert {key: len(value) for key, value in values.items()} == {"train_corpus": 9989, "val_corpus": 1109,
                                                                 "test_corpus": 2610}


# n in the set, scored on the first, third and fifth wheel or with a target that is not 0; facts of the published
# benchmark
@pytest.mark.parametrize("folder, file, split, counts", [
    ("meld-process", "label.npz", "test_corpus", [2610, 1354, 1286, 1005]),
    ("cmumosei-process", "label.npz", "test_corpus", [4659, 3634]),
    ("simsv2-process", "label.npz", "test_corpus", [1034, 911])])
def test_sets_without_released_answers_are_scored_on_the_published_clips(folder, file, split, counts, shared_data,
                                                                         tables):
    from affectgpt.metrics import labelsets, sentiment

    corpus = load_npz(shared_data / "merbench" / folder / file)[split]
    assert len(corpus) == counts[0]
    if folder == "meld-process":
        names = ("anger", "joy", "sadness", "neutral", "disgust", "fear", "surprise")
        targets = [names[row["emo"]] for row in corpus.values()]
        scored = labelsets.scored_clips(labelsets.hit_columns(targets, targets, labelsets.Placer(tables, False)))
        assert [scored[wheel] for wheel in ("wheel1", "wheel3", "wheel5")] == counts[1:]
    else:
        targets = [sentiment.target_value(row["val"]) for row in corpus.values()]
        columns = sentiment.published_columns(targets, ["positive" if value > 0 else "negative" for value in targets])
        assert columns.values.sum() == counts[1] and columns.scores()["waf"] == 1


def mean_columns(values):
    values = np.column_stack([np.ones(len(values)), values])
    return stats.Columns(values, lambda sums: {"mean": stats.ratio(sums[..., 1], sums[..., 0])})


def test_the_bootstrap_interval_is_that_of_scipy():
    from scipy.stats import bootstrap

    values = np.random.default_rng(1).gamma(2.0, size=150)
    low, high = stats.bootstrap(mean_columns(values), stats.resample_counts(150, 4000))["mean"]
    expected = bootstrap((values,), np.mean, n_resamples=4000, method="percentile", rng=np.random.default_rng(2))
    width = expected.confidence_interval.high - expected.confidence_interval.low
    assert low == pytest.approx(expected.confidence_interval.low, abs=0.05 * width)
    assert high == pytest.approx(expected.confidence_interval.high, abs=0.05 * width)


def test_resamples_draw_as_many_clips_as_there_are():
    counts = stats.resample_counts(7, 50)
    assert counts.shape == (50, 7) and (counts.sum(1) == 7).all() and len(np.unique(counts, axis=0)) > 40
    assert (counts == stats.resample_counts(7, 50)).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    draw, hits = np.random.default_rng(3), 0
    for _ in range(200):
        low, high = stats.bootstrap(mean_columns(draw.normal(size=80)), stats.resample_counts(80, 300))["mean"]
        hits += low <= 0 <= high
    assert 178 <= hits <= 199


def test_a_paired_test_sees_what_an_unpaired_one_cannot():
    draw = np.random.default_rng(4)
    hard = draw.normal(scale=5, size=200)
    first, second = mean_columns(hard), mean_columns(hard + 0.2 + draw.normal(scale=0.5, size=200))
    result = stats.compare(first, second, "mean", stats.resample_counts(200))
    assert result["difference"] == pytest.approx(0.2, abs=0.15) and result["p"] < 0.01 and result["interval"][0] > 0
    same = stats.compare(first, mean_columns(hard + draw.normal(scale=0.5, size=200)), "mean",
                         stats.resample_counts(200))
    assert same["p"] > 0.05
    with pytest.raises(ValueError, match="cannot be paired"):
        stats.compare(first, mean_columns(hard[:5]), "mean", stats.resample_counts(200))


def test_p_values_of_equal_systems_are_spread_evenly():
    draw, small = np.random.default_rng(5), 0
    for _ in range(100):
        base = draw.normal(size=40)
        first, second = (mean_columns(base + draw.normal(size=40)) for _ in range(2))
        small += stats.compare(first, second, "mean", stats.resample_counts(40, 200))["p"] <= 0.2
    assert 8 <= small <= 34


def test_spread_of_one_and_of_several():
    assert stats.spread([50.0]) == {"runs": 1, "mean": 50.0, "std": 0.0, "min": 50.0, "max": 50.0}
    assert stats.spread([1.0, 2.0, math.nan, 3.0]) == {"runs": 3, "mean": 2.0, "std": 1.0, "min": 1.0, "max": 3.0}
    assert stats.spread([])["runs"] == 0


def test_wheel_places_can_be_looked_up(shared_data, capsys):
    assert main(["wheels", "map", "joyful", "--wheels", str(shared_data / "wheels" / "mer2025")]) == 0
    official, own = capsys.readouterr().out.splitlines()
    assert official.split()[-1] == "powerful" and own.split()[-1] == "joyful"
    assert main(["wheels", "info", str(Path(shared_data) / "wheels" / "mer2026")]) == 0
    assert "mer2026: 7,356 surface forms" in capsys.readouterr().out
