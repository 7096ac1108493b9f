"""A manifest's keys: the published schema is what the reader checks, and the writer writes what the reader takes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import affectgpt.data
from affectgpt.data.clip import Clip, Preference, Targets
from affectgpt.data.readers import manifest, manifest_keys
from affectgpt.data.readers.manifest_keys import KEYS, fits

PUBLISHED = json.loads((Path(affectgpt.data.__file__).parent / "manifest.schema.json").read_text(encoding="utf-8"))

ROW = {
    "id": "a", "corpus": "c", "split": "train", "media": "v/a.mp4", "audio": "s/a.wav", "face": "f/a.npy", "start": 0.5,
    "end": 2.25, "words": "Well?", "language": "de", "speaker": "Ross", "sex": "male", "dialogue": "d1", "turn": 3,
    "group": "v", "content": "9f", "description": "She smiles.", "labels": ["happy", "at ease"], "emotion": "happy",
    "valence": 0.5, "arousal": -1.0, "dominance": 0.25, "sentiment": "positive", "votes": {"happy": 3, "sad": 0.5},
    "preference": {"first": "x", "second": "y", "better": "same"}, "turns": [["Who?", "She."], ["Why?", "A joke."]],
    "evidence": {"face": "A smile."}, "cues": {"face": "happy", "audio": "neutral"}}


def read(tmp_path, row):
    (tmp_path / "m.jsonl").write_text(json.dumps(row), encoding="utf-8")
    return manifest.read(tmp_path / "m.jsonl")[0]


def test_the_published_schema_is_that_of_the_table():
    assert PUBLISHED == json.loads(json.dumps(manifest_keys.schema()))
    clip = {field.name for field in dataclasses.fields(Clip)} - {"targets", "provenance"}
    targets = {field.name for field in dataclasses.fields(Targets)}
    assert {name for name, key in KEYS.items() if not key.of_targets} == clip
    assert {name for name, key in KEYS.items() if key.of_targets} == targets


def test_every_key_is_read_and_written(tmp_path):
    assert set(ROW) == set(KEYS)  # a new key belongs in this test
    clip = read(tmp_path, ROW)
    blank = Clip(id="")
    for name, key in KEYS.items():
        assert getattr(clip.targets if key.of_targets else clip, name) != getattr(
            blank.targets if key.of_targets else blank, name), name
    assert clip.targets.preference == Preference("x", "y", "same")
    assert clip.targets.turns == (("Who?", "She."), ("Why?", "A joke."))
    assert (clip.face, clip.start, clip.end, clip.turn) == (tmp_path / "f" / "a.npy", 0.5, 2.25, 3)
    row = manifest.clip_to_row(clip, tmp_path)
    assert row == ROW and list(row) == list(KEYS)
    assert read(tmp_path, row) == clip


def test_what_is_not_known_is_left_out(tmp_path):
    row = manifest.clip_to_row(Clip(id="a", corpus="c"), tmp_path)
    assert row == {"id": "a", "corpus": "c", "language": "en"}
    assert read(tmp_path, row | dict.fromkeys(set(KEYS) - set(row))).targets == Targets()  # null is not there


VALUES = [
    "", "x", "happy", "positive", "first", 0, 1, -1, 1.5, 3.0, 10**400, 1e99, True, None, [], ["x"], [1], [["q", "a"]],
    [["q"]], [["q", "a", "b"]], [[1, "a"]], {}, {"face": "happy"}, {"face": "x"}, {"face": 1}, {"happy": 2},
    {"happy": -1}, {"happy": True}, {"smell": "x"}, {"first": "x", "second": "y", "better": "first"},
    {"first": "x", "second": "y"}, {"first": "x", "second": "y", "better": "third"},
    {"first": "x", "second": "y", "better": "", "more": 1}]


@pytest.mark.parametrize("key", [key for key in KEYS if key != "id"])
def test_the_reader_takes_what_the_published_schema_takes(tmp_path, key):
    for value in VALUES:
        row = {"id": "a", key: value}
        if fits(row, PUBLISHED):
            if not (key == "end" and value == 0):  # what two keys say together is no matter of the schema
                read(tmp_path, row)
        else:
            with pytest.raises(ValueError, match=f"m.jsonl:1: {key} must be "):
                read(tmp_path, row)


@pytest.mark.parametrize("row", [{}, {"id": None}, {"id": ""}, {"id": " "}, {"id": ["a"]}, {"id": True},
                                 {"id": "a", "lables": []}])
def test_rows_that_neither_takes(tmp_path, row):
    assert not fits(row, PUBLISHED)
    with pytest.raises(ValueError, match="m.jsonl:1: "):
        read(tmp_path, row)


def test_the_schema_agrees_with_a_library_where_one_is_there():
    validator = pytest.importorskip("jsonschema").Draft202012Validator(PUBLISHED)
    for key in KEYS:
        for value in VALUES:
            row = {"id": "a", key: value}
            assert validator.is_valid(row) == fits(row, PUBLISHED), row


@pytest.mark.parametrize("row, says", [
    ({"start": 2, "end": 2}, "end is 2, which is not after start, 2"),
    ({"end": 0}, "end is 0, which is not after start, 0"),
    ({"start": -1}, "start must be seconds from 0"),
    ({"turn": 1.5}, "turn must be a whole number"),
    ({"face": "../a.npy"}, "face: "),
    ({"votes": {"happy": "3"}}, "votes must be an object of emotion and number"),
    ({"preference": {"first": "x"}}, "preference must be an object of first, second"),
    ({"turns": [{"q": "a"}]}, r"turns must be a list of \[question, answer\]"),
])
def test_values_that_cannot_be(tmp_path, row, says):
    with pytest.raises(ValueError, match=f"m.jsonl:1: {says}"):
        read(tmp_path, {"id": "a"} | row)


def test_a_table_holds_every_key(tmp_path):
    quoted = {key: value if isinstance(value, str) else json.dumps(value) for key, value in ROW.items()}
    cells = ['"' + value.replace('"', '""') + '"' for value in quoted.values()]
    (tmp_path / "m.csv").write_text(",".join(quoted) + "\r\n" + ",".join(cells) + "\r\n", encoding="utf-8-sig")
    [clip] = manifest.read(tmp_path / "m.csv")
    assert dataclasses.replace(clip, provenance="") == dataclasses.replace(read(tmp_path, ROW), provenance="")


def test_the_writer_says_what_it_cannot_write(tmp_path):
    with pytest.raises(ValueError, match="c/a: media: .* lies outside of"):
        manifest.clip_to_row(Clip(id="a", corpus="c", media=tmp_path / "a.mp4"), tmp_path / "root")
    with pytest.raises(ValueError, match="c/a: valence must be a number, not nan"):
        manifest.clip_to_row(Clip(id="a", corpus="c", targets=Targets(valence=float("nan"))), tmp_path)
    with pytest.raises(ValueError, match="c/a: sentiment must be one of"):
        manifest.clip_to_row(Clip(id="a", corpus="c", targets=Targets(sentiment="good")), tmp_path)
