"""Submission files of MER2025 and MER2026: written from rows, checked, refused with the place of what is wrong."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest

from affectgpt.cli import main
from affectgpt.metrics import submissions
from affectgpt.metrics.submissions import TRACKS, check_file, read_clips


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "clips.csv").write_text("name,discrete\nc1,neutral\nc2,neutral\nc3,neutral\n")
    return tmp_path


def write_rows(path, *rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def submit(*arguments):
    return main(["submit", *map(str, arguments)])


ROWS = ({"name": "c1", "labels_raw": "[furious]"}, {"name": "c2", "labels_raw": ["amazed", "happy"]},
        {"name": "c3", "labels_raw": "[joyful, proud]", "response": "She smiles, \"proudly\".\nShe is joyful."},
        {"name": "other", "labels_raw": "[sad]"})


def test_classes_are_written_as_the_track_spells_them(here, capsys):
    write_rows(here / "rows.jsonl", *ROWS)
    assert submit("rows.jsonl", "--track", "mer2025-semi", "--clips", "clips.csv", "--output", "s.csv") == 0
    assert (here / "s.csv").read_bytes() == b"name,discrete\nc1,angry\nc2,surprise\nc3,happy\n"
    said = capsys.readouterr()
    assert "1 rows of clips that the list does not have" in said.err and "20,000" in said.err
    assert submit("--check", "s.csv", "--track", "mer2025-semi", "--clips", "clips.csv") == 0
    assert check_file("s.csv", TRACKS["mer2025-semi"])[0].endswith("has 3 clips, and the whole list has 20,000")


def test_a_clip_without_an_answer_stops_the_job_unless_it_is_said_what_to_write(here, capsys):
    write_rows(here / "rows.jsonl", ROWS[0], {"name": "c2", "no_answer": "refusal"},
               {"name": "c3", "labels_raw": "[zz]"})
    order = ("rows.jsonl", "--track", "mer2026-cross", "--clips", "clips.csv", "--output", "s.csv")
    assert submit(*order) == 2
    error = capsys.readouterr().err
    assert "2 of 3 clips" in error and "c2 (rows.jsonl:2): has no answer (refusal)" in error and "'[zz]'" in error
    assert not (here / "s.csv").exists() and sorted(path.name for path in here.iterdir()) == ["clips.csv", "rows.jsonl"]
    assert submit(*order, "--fill", "Neutral") == 2 and "write neutral" in capsys.readouterr().err
    assert submit(*order, "--fill", "neutral") == 0 and "2 of them filled" in capsys.readouterr().out
    write_rows(here / "rows.jsonl", *ROWS[:2])
    assert submit(*order) == 2 and "c3: has no row" in capsys.readouterr().err


def test_open_labels_become_the_archive_that_the_organisers_read(here, capsys):
    write_rows(here / "rows.jsonl", *ROWS[:3])
    assert submit("rows.jsonl", "--track", "mer2025-fg", "--clips", "clips.csv", "--output", "x-openset.npz") == 0
    with np.load(here / "x-openset.npz", allow_pickle=False) as archive:
        assert dict(zip(archive["filenames"].tolist(), archive["fileitems"].tolist(), strict=True)) == {
            "c1": "[furious]", "c2": "[amazed, happy]", "c3": "[joyful, proud]"}
    assert check_file("x-openset.npz", TRACKS["mer2025-fg"], read_clips("clips.csv", TRACKS["mer2025-fg"])) == []
    assert submit("rows.jsonl", "--track", "mer2025-fg", "--clips", "clips.csv", "--output", "x.csv") == 2
    assert "takes .npz" in capsys.readouterr().err
    assert submit("rows.jsonl", "--track", "mer2026-fg", "--clips", "clips.csv", "--output", "x.csv") == 0
    assert list(csv.reader((here / "x.csv").open()))[1:] == [["c1", "[furious]"], ["c2", "[amazed, happy]"],
                                                             ["c3", "[joyful, proud]"]]


def test_descriptions_keep_commas_quotes_and_lines(here):
    (here / "list.txt").write_text("c3\n")
    write_rows(here / "rows.jsonl", ROWS[2])
    assert submit("rows.jsonl", "--track", "mer2025-des", "--clips", "list.txt", "--output", "d.csv") == 0
    assert list(csv.DictReader((here / "d.csv").open(newline=""))) == [{"name": "c3", "reason": ROWS[2]["response"]}]
    assert check_file("d.csv", TRACKS["mer2025-des"], [("c3",)]) == []


def test_traits_are_numbers_under_the_columns_of_the_baseline(here, capsys):
    (here / "list.csv").write_text("name\n7\n8\n")
    traits = {"Extraversion": 3.25, "agreeableness": 2, "Conscientiousness": 4, "neuroticism": 1.5,
              "open_mindedness": 5}
    write_rows(here / "rows.jsonl", {"name": "7", "personality": traits}, {"name": "8", "personality": traits})
    order = ("rows.jsonl", "--track", "mer2025-pr", "--clips", "list.csv", "--output", "p.csv")
    assert submit(*order) == 0
    assert (here / "p.csv").read_text().splitlines()[:2] == [
        "id,Extraversion,Agreeableness,Conscientiousnes,Neuroticism,Open Mindedness", "7,3.25,2,4,1.5,5"]
    assert check_file("p.csv", TRACKS["mer2025-pr"], [("7",), ("8",)]) == []
    write_rows(here / "rows.jsonl", {"name": "7", "personality": {**traits, "neuroticism": None}})
    assert submit(*order) == 2 and "7 (rows.jsonl:1): needs personality" in capsys.readouterr().err
    (here / "p.csv").write_text("id,Extraversion,Agreeableness,Conscientiousnes,Neuroticism,Open Mindedness\n"
                                "7,nan,1,1,1,1\n8,1,1,1,1,many\n")
    assert [line.split(": ")[-1] for line in check_file("p.csv", TRACKS["mer2025-pr"])] == [
        "Extraversion is nan, no number", "Open Mindedness is 'many', no number"]


def test_pairs_of_one_clip_are_told_apart_as_the_reader_does(here, capsys):
    (here / "pairs.csv").write_text('name,a1,a2\nc1,"calm, still",angry\nc1,sad,happy\nc2,x,y\n')
    answers = ({"name": "c1", "response": "a1"}, {"name": "emoprefer/c1#2", "response": "Better: second."},
               {"name": "c2", "response": "The second one."})
    write_rows(here / "rows.jsonl", *answers)
    order = ("rows.jsonl", "--track", "mer2026-prefer", "--clips", "pairs.csv", "--output", "p.csv")
    assert submit(*order) == 0 and "not checked here" in capsys.readouterr().err
    assert list(csv.reader((here / "p.csv").open()))[1:] == [
        ["c1", "calm, still", "angry", "a1"], ["c1", "sad", "happy", "a2"], ["c2", "x", "y", "a2"]]
    write_rows(here / "rows.jsonl", *answers[:2], {"name": "c2", "response": "same"})
    assert submit(*order) == 2 and "c2 (rows.jsonl:3): preference is 'same', none of a1, a2" in capsys.readouterr().err


@pytest.mark.parametrize("data, expected", [
    (b"\xef\xbb\xbfname,discrete\nc1,sad\nc2,sad\nc3,sad\n", ["s.csv: begins with a byte order mark"]),
    (b"name,emotion\nc1,sad\n", ["s.csv:1: the columns are name, emotion, and must be name, discrete"]),
    (b"name;discrete\nc1;sad\n", ["it is cut at ';'"]),
    (b"discrete,name\nsad,c1\n", ["s.csv:1: the columns are discrete, name"]),
    (b"", ["s.csv: is empty"]), (b"name,discrete\nc1,s\xe4d\n", ["s.csv:2: is not UTF-8"]),
    (b"name,discrete\nc1,sad\nc2,sa\0d\n", ["s.csv:3: has a zero byte"]),
    (b"name,discrete\nc1,Sad\nc2,sad\nc3,joy\n",
     ["s.csv:2: 'c1': discrete is 'Sad'", "s.csv:4: 'c3': discrete is 'joy'"]),
    (b"name,discrete\nc1,sad\nc1,sad\nc2,sad\nc3,sad\n", ["s.csv:3: 'c1' is there twice, first in s.csv:2"]),
    (b"name,discrete\nc1,sad\nc4,sad\nc3,sad\n", ["s.csv:3: 'c4' is not in the list", "s.csv: has no row for c2"]),
    (b"name,discrete\n\"c1\n2\",sad\nc1,sad\n\nc2,sad,\nc3,\n",
     ["s.csv:2: 'c1\\n2' is not in the list", "s.csv:5: is an empty line", "s.csv:6: has 3 cells and must have 2",
      "s.csv:7: 'c3': discrete is empty", "s.csv: has no row for c2"]),
    (b"name,discrete\n c1,sad\nc2,sad\nc3,sad\n", ["with the spaces around it", "s.csv: has no row for c1"]),
    (b"name,discrete\nc1,\"sad\nc2,sad\n", ["s.csv:2: is no row of a CSV file"])])
def test_every_fault_of_a_file_is_told_with_its_place(here, data, expected):
    (here / "s.csv").write_bytes(data)
    track = TRACKS["mer2026-cross"]
    problems = check_file("s.csv", track, read_clips("clips.csv", track))
    assert all(any(part in problem for problem in problems) for part in expected), problems
    assert submit("--check", "s.csv", "--track", "mer2026-cross", "--clips", "clips.csv") == 1


def test_an_answer_that_pandas_takes_for_a_missing_one_is_told(here):
    (here / "d.csv").write_text("name,reason\nc1,None\nc2,NA\nc3,She is sad.\n")
    problems = check_file("d.csv", TRACKS["mer2025-des"], read_clips("clips.csv", TRACKS["mer2025-des"]))
    assert [problem.partition(": reason is ")[2] for problem in problems] == [
        "'None', which is read as empty", "'NA', which is read as empty"]
    assert check_file("d.csv", TRACKS["mer2025-des"], None, may_be_empty=True)[0].startswith("d.csv: has 3 clips")


@pytest.mark.parametrize("arrays, expected", [
    ({"names": ["c1"]}, "must have filenames and fileitems"),
    ({"filenames": ["c1"], "fileitems": ["a", "b"]}, "1 and 2"),
    ({"filenames": ["c1"], "fileitems": np.array([["happy", "sad"]])}, "and are 1 and none"),
    ({"filenames": ["c1"], "fileitems": [3]}, "entry 1: must be a name and a text"),
    ({"filenames": ["c1"], "fileitems": ["[]"]}, "which is read as empty")])
def test_archives_of_another_form_are_told(here, arrays, expected):
    np.savez(here / "x.npz", **arrays)
    assert expected in " ".join(check_file("x.npz", TRACKS["mer2025-fg"], [("c1",)]))


def test_wrong_lists_rows_and_tracks_are_told_with_their_place(here, capsys):
    write_rows(here / "rows.jsonl", *ROWS, ROWS[0])
    order = ("--track", "mer2026-cross", "--clips", "clips.csv", "--output", "s.csv")
    assert submit("rows.jsonl", *order) == 2
    assert "rows.jsonl:5: c1 is in rows.jsonl:1 already" in capsys.readouterr().err
    write_rows(here / "two.jsonl", *({**row, "checkpoint": step} for step in (1, 2) for row in ROWS[:3]))
    assert submit("two.jsonl", *order) == 2 and "name one of 1, 2 with --checkpoint" in capsys.readouterr().err
    assert submit("two.jsonl", *order, "--checkpoint", "2") == 0
    assert submit("two.jsonl", *order, "--checkpoint", "3") == 2
    assert submit("--track", "mer2026-ps", "--check", "s.csv") == 2 and "EEG" in capsys.readouterr().err
    assert submit("--check", "none.csv", "--track", "mer2026-cross") == 1
    (here / "clips.csv").write_text("name\nc1\nc1\n")
    assert submit("two.jsonl", *order) == 2 and "clips.csv:3: c1 is in row 2 already" in capsys.readouterr().err
    (here / "clips.csv").write_text("id,clip,x\n1,c1,2\n")
    assert submit("two.jsonl", "--track", "mer2026-prefer", *order[2:]) == 2
    assert "needs the columns name, a1, a2" in capsys.readouterr().err


def test_the_table_of_tracks_says_where_each_format_was_read(capsys):
    assert submit("--tracks") == 0
    table = capsys.readouterr().out.splitlines()
    assert len(table) == 2 + len(TRACKS)
    assert all("MERTools" in line or "personality" in line or submissions.UNCHECKED in line for line in table[2:])
