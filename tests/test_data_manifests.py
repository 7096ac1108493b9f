"""Manifests as people have them: tables, arrays, marks of Windows, numbers for ids, media elsewhere."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from affectgpt import files
from affectgpt.data.clip import Targets
from affectgpt.data.readers import read_corpora, read_corpus
from affectgpt.eval import accuracy, generate
from affectgpt.eval.answering import asking
from affectgpt.eval.answering.answerers import Job
from affectgpt.eval.unibench import root_of


def written(folder: Path, text: str, name: str = "m.csv", encoding: str = "utf-8") -> str:
    (folder / name).write_bytes(text.encode(encoding))
    return str(folder / name)


ROW = {"id": "a", "split": "train", "media": "x/a.mp4", "words": 'He said: "no, never"', "labels": ["sad", "lonely"],
       "valence": -0.5, "cues": {"face": "sad"}}


@pytest.mark.parametrize("delimiter, valence", [(",", "-0.5"), (";", "-0,5"), ("\t", "-0.5")])
@pytest.mark.parametrize("mark, end", [("", "\n"), ("\ufeff", "\r\n")])
def test_a_table_gives_the_clips_of_the_same_rows(tmp_path, delimiter, valence, mark, end):
    cells = ["a", "train", "x/a.mp4", '"He said: ""no, never"""', '"sad, lonely"', valence, '"{""face"": ""sad""}"', ""]
    header = [*ROW, "speaker"]
    text = mark + delimiter.join(header) + end + end + delimiter.join(cells) + end
    [clip] = read_corpus(written(tmp_path, text))
    [same] = read_corpus(written(tmp_path, json.dumps(ROW), "m.jsonl"))
    assert clip.targets == same.targets == Targets(labels=("sad", "lonely"), valence=-0.5, cues={"face": "sad"})
    assert (clip.id, clip.media, clip.words, clip.speaker) == (same.id, same.media, 'He said: "no, never"', None)
    assert clip.provenance == f"{tmp_path / 'm.csv'}:3"


@pytest.mark.parametrize("labels", ['"[\'sad\', ""lonely""]"', "sad|lonely", "sad; lonely", '"sad,lonely,"'])
def test_lists_of_labels_in_a_cell(tmp_path, labels):
    [clip] = read_corpus(written(tmp_path, f"id,media,labels\na,a.mp4,{labels}\n"))
    assert clip.targets.labels == ("sad", "lonely")


def test_tables_of_excel_and_pandas(tmp_path):
    text = 'sep=;\r\n;id;split;description\r\n0;7;train;"two\r\nlines; here"\r\n1;8;train;é\r\n'
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        first, second = read_corpus(written(tmp_path, text, encoding=encoding))
        assert (first.id, second.id, second.targets.description) == ("7", "8", "é")
        assert first.targets.description == "two\r\nlines; here"
        assert [clip.provenance.rpartition(":")[2] for clip in (first, second)] == ["3", "5"]


@pytest.mark.parametrize("text, says", [
    ("id,lables\na,sad\n", "m.csv:2: unknown key 'lables'; did you mean 'labels'"),
    ("id,id\na,b\n", "m.csv:1: column 'id' is there twice"),
    ("id,words\na,no, never\n", "m.csv:2: has 3 cells, and the header 2"),
    ("id,words\na\n", "m.csv:2: has 1 cells"),
    ('id,words\nb,x\na,"never\n', "m.csv:3: is not CSV"),
    ("id,valence\na,low\n", "m.csv:2: valence must be a number, not 'low'"),
    ("id,valence\na,inf\n", "m.csv:2: valence must be a number"),
    ("id,cues\na,{face}\n", "m.csv:2: cues: is not JSON"),
    ("id,words\n", "the manifest has no rows"),
    ("", "the manifest has no rows"),
])
def test_a_bad_table_is_named(tmp_path, text, says):
    with pytest.raises(ValueError) as error:
        read_corpus(written(tmp_path, text))
    assert says in str(error.value) and "\n" not in str(error.value)


def test_a_table_that_is_not_utf8_is_named(tmp_path):
    with pytest.raises(ValueError, match="m.csv:2: is not UTF-8 text"):
        read_corpus(written(tmp_path, "id,words\na,é\n", encoding="latin-1"))


@pytest.mark.parametrize("text", ["[{0}, {1}]", "\ufeff\n [\r\n  {0},\r\n  {1}\r\n]\r\n"])
def test_an_array_gives_the_clips_of_the_same_rows(tmp_path, text):
    rows = [json.dumps(ROW), json.dumps({"id": "b"})]
    first, second = read_corpus(written(tmp_path, text.replace("{0}", rows[0]).replace("{1}", rows[1]), "m.json"))
    assert first.targets.labels == ("sad", "lonely") and first.media == tmp_path / "x" / "a.mp4"
    assert second.provenance == f"{tmp_path / 'm.json'}:2"


@pytest.mark.parametrize("text, says", [
    ('[{"id": "a"}, 3]', "m.json:2: is int"), ('[{"id": "a"}', "m.json: is not JSON"),
    ('[\n{"id": "a", "id": "b"}]', "'id' is there twice"), ("[NaN]", "NaN"), ("[]", "has no rows"),
    ('[{"id": "a", "lables": []}]', "m.json:1: unknown key 'lables'"),
])
def test_a_bad_array_is_named(tmp_path, text, says):
    with pytest.raises(ValueError) as error:
        read_corpus(written(tmp_path, text, "m.json"))
    assert says in str(error.value)


def test_names_may_be_numbers(tmp_path):
    rows = [{"id": 0, "speaker": 12, "split": 1}, {"id": 1.5}]
    first, second = read_corpus(written(tmp_path, "\n".join(map(json.dumps, rows)), "m.jsonl"))
    assert (first.id, first.speaker, first.split, second.id) == ("0", "12", "1", "1.5")
    with pytest.raises(ValueError, match="id '0' was used before"):
        read_corpora([written(tmp_path, '{"id": 0}\n{"id": "0"}', "m.jsonl")])


def test_blank_texts_are_not_there(tmp_path):
    row = {"id": "a", "words": " \u200b", "description": "\u00a0", "labels": ["", "sad", " "], "emotion": ""}
    [clip] = read_corpus(written(tmp_path, json.dumps(row), "m.jsonl"))
    assert (clip.words, clip.targets) == (None, Targets(labels=("sad",)))


# ---------------------------------------------------------------------------- where the media are


@pytest.fixture
def disk(tmp_path):
    """(folder of a manifest, folder of clips elsewhere)."""
    (tmp_path / "d").mkdir()
    (tmp_path / "disk" / "clips").mkdir(parents=True)
    return tmp_path / "d", tmp_path / "disk"


def test_a_link_beside_the_manifest_is_followed(disk):
    folder, elsewhere = disk
    (folder / "clips").symlink_to(elsewhere / "clips")
    (folder / "one.mp4").symlink_to(elsewhere / "one.mp4")
    rows = '{"id": "a", "media": "clips/s/a.mp4", "audio": "one.mp4"}'
    [clip] = read_corpus(written(folder, rows, "m.jsonl"))
    assert clip.media == elsewhere / "clips" / "s" / "a.mp4" and clip.audio == elsewhere / "one.mp4"


@pytest.mark.parametrize("path", ["clips/../secret", "../disk/clips/a.mp4", "inner/out/a.mp4", "clips/up/secret",
                                  "x/../../disk/a.mp4", "loop/a"])
def test_no_other_way_leads_out(disk, path):
    folder, elsewhere = disk
    (folder / "clips").symlink_to(elsewhere / "clips")
    (elsewhere / "clips" / "up").symlink_to("..")
    (folder / "inner").mkdir()
    (folder / "inner" / "out").symlink_to(elsewhere)
    (folder / "loop").symlink_to("loop")
    with pytest.raises(ValueError, match=r"m.jsonl:1: media: .*data.root=DIR .*--root DIR"):
        read_corpus(written(folder, json.dumps({"id": "a", "media": path}), "m.jsonl"))


def test_a_link_of_another_user_is_not_followed(disk, monkeypatch):
    folder, elsewhere = disk
    (folder / "clips").symlink_to(elsewhere / "clips")
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    real = Path.lstat
    monkeypatch.setattr(Path, "lstat", lambda path: os.stat_result((*real(path)[:4], me + 2, *real(path)[5:])))
    with pytest.raises(ValueError, match="leaves its root"):
        files.safe_join(folder, "clips/a.mp4", follow=True)


def test_an_absolute_path_may_lie_in_the_root(disk):
    folder, elsewhere = disk
    source = written(folder, json.dumps({"id": "a", "media": str(elsewhere / "clips" / "a.mp4")}), "m.jsonl")
    assert read_corpus(source, str(elsewhere))[0].media == elsewhere / "clips" / "a.mp4"
    with pytest.raises(ValueError, match="is absolute; give it relative"):
        read_corpus(source)
    with pytest.raises(ValueError, match="is absolute"):
        read_corpus(source, str(elsewhere / "cli"))


def test_every_job_that_reads_a_manifest_takes_a_root(disk, monkeypatch):
    folder, elsewhere = disk
    source = written(folder, '{"id": "a", "split": "test", "media": "clips/a.mp4"}', "m.jsonl")
    _, [clip] = asking.read_clips(Job(model="m", corpus=source, root=str(elsewhere)))
    assert clip.media == elsewhere / "clips" / "a.mp4"
    seen = []
    monkeypatch.setattr(generate, "run", lambda job: seen.append(job.root))
    generate.main(["m", "--corpus", source, "--root", str(elsewhere)])
    with pytest.raises(ValueError, match="no clip of .* has this split"):  # the corpus is read
        accuracy.evaluate("m", source, "nowhere", root=str(elsewhere))
    assert seen == [str(elsewhere)]
    assert root_of(None, "mer2023") is None
    assert root_of(str(elsewhere), "mer2023") == str(elsewhere)
    assert root_of(str(elsewhere), "clips") == str(elsewhere / "clips")
