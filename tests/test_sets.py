"""The table of sets: whole, in agreement with the catalogue of corpora, and a set of one's own is a row."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from affectgpt.metrics import sets

REAL_NAMES = {"iemocapfour": ("Ses05F_script01_1b_M012", "Ses05F_script01_1b"),
              "meld": ("test_dia12_utt3", "test_dia12"), "cmumosi": ("k5Y_838nuGo_1", "k5Y_838nuGo"),
              "cmumosei": ("-3g5yACwYnA_10", "-3g5yACwYnA"),
              "sims": ("video_0003_0006", "video_0003"), "simsv2": ("video_0001_0012", "video_0001"),
              "ravdess": ("03-01-05-01-02-01-12", "12"), "cremad": ("1001_DFA_ANG_XX", "1001"),
              "mer2023": ("sample_00001998", None), "dfew": ("1", None)}


def test_the_table_is_whole():
    assert len(sets.SETS) == 9 and list(sets.SETS)[-1] == "ovmerdplus"
    assert {"dfew", "mafw", "ravdess", "cremad", "mer2024ov", "emer", "emobench-m", "mme-emotion", "emotionhallucer",
            "emoprefer", "mer2026-prefer", "mer2025-fg", "mer2026-cross"} <= set(sets.ROWS)
    for row in sets.ROWS.values():
        assert all((row.protocol, row.metric, row.source, row.licence, row.files)), row.name
        assert bool(row.group) == bool(row.group_is), row.name
        spellings = [word.lower() for label, words in row.labels.items() for word in (label, *words)]
        assert len(set(spellings)) == len(spellings), f"{row.name}: a spelling stands for two classes"
    assert {row.kind for row in sets.ROWS.values()} == set(sets.KINDS)


def test_rows_agree_with_the_catalogue_of_corpora():
    from affectgpt.data.readers import READERS

    for row in filter(lambda row: row.corpus, sets.ROWS.values()):
        record = READERS[row.corpus].corpus
        assert row.licence == record.licence, row.name
        if row.kind == "class":
            assert set(row.labels) == set(record.labels), row.name
            for spelling, word in record.spellings.items():  # codes of files ("A") need not be spellings of answers
                known = (word, *map(str.lower, row.labels[word]))
                assert len(spelling) == 1 or spelling.lower() in known, (row.name, spelling)
        if record.evaluation and row.clips and record.counts:
            assert record.counts[record.evaluation] == row.clips, row.name


@pytest.mark.parametrize("name", REAL_NAMES)
def test_groups_are_read_from_the_names_of_clips(name):
    clip, group = REAL_NAMES[name]
    assert sets.ROWS[name].group_of(clip) == group
    assert sets.ROWS[name].group_of("") is None


def test_the_table_loads_with_the_standard_library_alone():
    code = ("import sys; import affectgpt.metrics.sets\n"
            "heavy = {'numpy', 'torch', 'yaml', 'scipy'} & set(sys.modules)\nsys.exit(f'{heavy}' if heavy else 0)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


ROW = {"name": "mine", "title": "Mine", "kind": "class", "labels": {"calm": ["relaxed"], "tense": []}}


@pytest.mark.parametrize("change, word", [
    ({}, None), ({"kind": "clas"}, "clas"), ({"name": "My Set"}, "name"), ({"labels": {"calm": []}}, "labels"),
    ({"labels": {"calm": "x"}}, "labels"), ({"group": "^a_"}, "no group"), ({"group": "("}, "no pattern"),
    ({"clips": "many"}, "clips"), ({"clips": True}, "clips"), ({"colour": 1}, "colour"), ({"title": ""}, "title")])
def test_mistakes_in_a_row_are_named_with_their_place(change, word, tmp_path):
    path = tmp_path / "sets.json"
    path.write_text(json.dumps([ROW | change]))
    if word is None:
        assert sets.read_rows(path)["mine"].labels["calm"] == ["relaxed"]
        return
    with pytest.raises(ValueError, match=word) as error:
        sets.read_rows(path)
    assert str(path) in str(error.value) and "set 1" in str(error.value)


@pytest.mark.parametrize("text", ["", "{}", "[1]", "[[]]", "\ufeff[]", "[" * 100_000, "[" + json.dumps(ROW) + "," * 2])
def test_files_that_are_no_list_of_sets_are_refused(text, tmp_path):
    (tmp_path / "sets.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match="list of"):
        sets.read_rows(tmp_path / "sets.json")


def test_two_sets_of_one_name_are_refused(tmp_path):
    (tmp_path / "sets.json").write_text(json.dumps([ROW, ROW]))
    with pytest.raises(ValueError, match="set 2"):
        sets.read_rows(tmp_path / "sets.json")


def test_a_set_that_no_row_has_needs_a_kind():
    other = sets.set_of("emer", "openset")  # EMER's clips have open labels too
    assert other.kind == "openset" and other.clips is None and other.labels == {}
    assert sets.set_of("MER2023").name == "mer2023" and sets.set_of("other", "basic").title == "other"
    for name, kind, word in (("other", None, "--kind"), ("meld", "sentiment", "basic"), ("other", "class", "row"),
                             ("other", "none", "none")):
        with pytest.raises(ValueError, match=word):
            sets.set_of(name, kind)


def test_the_page_shows_the_table():
    page = (Path(__file__).resolve().parent.parent / "docs" / "judging.md").read_text(encoding="utf-8").splitlines()
    for row in sets.ROWS.values():
        clips = f"{row.clips:,}" if row.clips else ""
        cells = f"`{row.name}`", row.title, row.kind, clips, row.metric, row.group_is
        assert f"| {' | '.join(cells)} |" in page, row.name


def test_the_example_of_the_page_is_scored(tmp_path, capsys):
    """A row of one's own: its classes, and its groups in the names of its clips."""
    from affectgpt.cli import main
    from affectgpt.files import write_jsonl

    page = (Path(__file__).resolve().parent.parent / "docs" / "judging.md").read_text(encoding="utf-8")
    (tmp_path / "my_sets.json").write_text(page[page.index('[{"name": "mine"'):].split("\n\n")[0])
    write_jsonl(tmp_path / "p.jsonl", [{"name": f"s{index // 10}_{index}", "target": ("calm", "stressed")[index % 2],
                                        "labels_raw": "[relaxed]"} for index in range(40)])
    assert main(["score", str(tmp_path / "p.jsonl"), "--set", "mine", "--sets", str(tmp_path / "my_sets.json"),
                 "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert results["checkpoints"]["only"]["published"]["war"] == 50 and results["clusters"] == 4
    assert results["checkpoints"]["only"]["strict"]["uar"] == 50
    extra = f"mine={tmp_path / 'p.jsonl'}:class"
    arguments = ["unibench", "--predictions", str(tmp_path), "--extra", extra, "--sets",
                 str(tmp_path / "my_sets.json"), "--output", str(tmp_path / "out")]
    assert main(arguments) == 0
    assert json.loads((tmp_path / "out" / "mine.results.json").read_text())["clusters"] == 4
    (tmp_path / "my_sets.json").write_text(json.dumps([ROW | {"name": "meld"}]))
    assert main(arguments) == 2 and "meld is a set of the project's own" in capsys.readouterr().err
