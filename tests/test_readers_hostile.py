"""All readers on tables as people save, send and damage them: the same clips, or one error that says where."""

import csv
from dataclasses import replace

import pytest
from reader_layouts import OTHERS, TABLES, Table

from affectgpt.data.clip import absent_files
from affectgpt.data.readers import READERS

EACH = pytest.mark.parametrize("name", TABLES)


def clips_of(name: str, table: Table, root, text=None):
    """Clips without the places that they came from."""
    root.mkdir()
    clips = READERS[name].read(table.make(root, text), **table.options)
    return [replace(clip, provenance="", media=clip.media and clip.media.relative_to(root),
                    audio=clip.audio and clip.audio.relative_to(root), face=clip.face and clip.face.relative_to(root))
            for clip in clips]


def refused(name: str, table: Table, root, text, **options) -> str:
    root.mkdir()
    with pytest.raises(ValueError) as error:
        READERS[name].read(table.make(root, text), **(table.options | options))
    return str(error.value)


def changed(table: Table, column: str, value: str, row: int = 0) -> Table:
    place = table.columns.index(column)
    rows = list(table.rows)
    rows[row] = rows[row][:place] + (value,) + rows[row][place + 1:]
    return replace(table, rows=tuple(rows))


def workbook(table: Table, path) -> bytes:
    import openpyxl

    book = openpyxl.Workbook()
    for row in (table.columns, *table.rows):
        book.active.append([cell or None for cell in row])
    book.save(path)
    return path.read_bytes()


def test_each_reader_is_tested_here():
    assert READERS.keys() == TABLES.keys() | OTHERS.keys()


@pytest.mark.parametrize("name", OTHERS)
def test_corpora_without_tables(name, tmp_path):
    clips = READERS[name].read(OTHERS[name](tmp_path))
    assert clips and all(clip.corpus == (name if name != "manifest" else tmp_path.name) for clip in clips)
    expected = {"merr-coarse": "surprised", "merr-fine": "surprised", "mafw": "angry", "emodb": "happy",
                "iemocap": "neutral", "iemocap6": "neutral", "manifest": None}
    assert clips[0].targets.emotion == expected[name]
    if name.startswith("iemocap"):
        assert [clip.targets.emotion for clip in clips] == ["neutral", "happy" if name == "iemocap" else "excited"]
        assert (clips[1].targets.valence, clips[1].targets.arousal, clips[1].targets.dominance) == (4.5, 4, 3)
        assert clips[1].speaker == "session5M" and clips[1].split == "test"
        assert clips[1].media.parts[-3:] == ("wav", "Ses05F_impro01", "Ses05F_impro01_M000.wav")


@EACH
def test_the_forms_of_a_table_give_the_same_clips(name, tmp_path):
    table = TABLES[name]
    plain = clips_of(name, table, tmp_path / "plain")
    assert [clip.id for clip in plain] == list(table.ids)
    assert not absent_files(READERS[name].read(tmp_path / "plain", **table.options)[0])
    columns = tuple(reversed(table.columns))
    text = table.text()
    forms = {
        "mark": "\ufeff" + text, "CRLF": table.text(line="\r\n"), "semicolons": table.text(";"),
        "tabs": table.text("\t"),
        "said": "sep=;\r\n" + table.text(";", "\r\n"), "quoted": table.text(quoting=csv.QUOTE_ALL),
        "UTF-16": text.encode("utf-16"), "blank rows": text + "," * (len(table.columns) - 1) + "\n\n , \n",
        "capitals": text.replace(",".join(table.columns), ",".join(table.columns).upper()),
        "order": replace(table, columns=columns, rows=tuple(tuple(reversed(row)) for row in table.rows)).text(),
        "more columns": replace(table, columns=(*table.columns, "notes", "notes"),
                                rows=tuple((*row, "n", "") for row in table.rows)).text(),
        "workbook": workbook(table, tmp_path / "book.xlsx"),
    }
    for column in table.empty:
        forms |= {f"{value} for {column}": changed(table, column, value, 1).text() for value in ("nan", "NaN", " ")}
    if "" not in table.columns:
        forms["index"] = replace(table, columns=("", *table.columns), rows=tuple(
            (str(number), *row) for number, row in enumerate(table.rows))).text()
    if table.again:
        forms["twice"] = text + text.partition("\n")[2]
        forms["index, twice"] = replace(table, columns=("#", *table.columns), rows=tuple(
            (str(number), *row) for number, row in enumerate((*table.rows, *table.rows)))).text()
    if table.name:
        forms |= {ending: replace(table, rows=changed(table, table.name, table.rows[0][table.columns.index(
            table.name)] + ending).rows).text() for ending in (".mp4", ".MP4")}
    for number, (form, content) in enumerate(forms.items()):
        assert clips_of(name, table, tmp_path / str(number), content) == plain, form


@EACH
def test_a_workbook_beside_stands_for_the_table(name, tmp_path):
    table = TABLES[name]
    plain = clips_of(name, table, tmp_path / "plain")
    (tmp_path / "plain" / table.file).unlink()
    workbook(table, (tmp_path / "plain" / table.file).with_suffix(".xlsx"))
    try:
        clips = READERS[name].read(tmp_path / "plain", **table.options)
    except ValueError as error:
        assert str(tmp_path / "plain") in str(error)  # the reader tells its layouts by this file
    else:
        assert [clip.targets for clip in clips] == [clip.targets for clip in plain]


@EACH
def test_what_is_no_table_is_said(name, tmp_path):
    table = TABLES[name]
    for number, (text, says) in enumerate((
            ("", "is empty"), (table.text().partition("\n")[0], "no rows"),
            ("<!DOCTYPE html>\n<html>", "is a web page"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "pointer of Git LFS"),
            (b"PK\x03\x04nothing", "cannot be read as a workbook"), (b"\xd0\xcf\x11\xe0rest", "old Excel workbook"),
            (table.text().encode() + b"\x81\xfe\xff\n", "is not UTF-8"), (table.text() + '"open', "is not CSV"))):
        message = refused(name, table, tmp_path / str(number), text)
        assert says in message and str(tmp_path / str(number)) in message


@EACH
def test_columns_that_are_missing_or_there_twice(name, tmp_path):
    table, needed = TABLES[name], 0
    whole = clips_of(name, table, tmp_path / "whole")
    for place, column in enumerate(table.columns):
        kept = [number for number in range(len(table.columns)) if number != place]
        less = replace(table, columns=tuple(table.columns[number] for number in kept),
                       rows=tuple(tuple(row[number] for number in kept) for row in table.rows))
        try:
            clips_of(name, less, tmp_path / f"less{place}")
        except ValueError as error:
            assert f"{table.file}: has no column {column!r}; it has" in str(error)
            needed += 1
            if not column:
                continue  # of nameless columns there may be several
            double = replace(table, columns=(*table.columns, column), rows=tuple((*row, "") for row in table.rows))
            message = refused(name, double, tmp_path / f"twice{place}", None)
            assert f"column {column!r} is there twice" in message and f"{table.file}:1" in message
    assert needed and whole


@EACH
def test_rows_that_cannot_be_meant_are_named(name, tmp_path):
    table = TABLES[name]
    if table.label:
        message = refused(name, changed(table, table.label, "wistful7"), tmp_path / "label", None)
        assert f"{table.file}:2" in message and "wistful7" in message
    if table.name:
        message = refused(name, changed(table, table.name, ""), tmp_path / "empty", None)
        assert f"{table.file}:2" in message
        for number, value in enumerate(("../../../etc/passwd", "/etc/passwd", "..", "a\0b")):
            message = refused(name, changed(table, table.name, value), tmp_path / f"out{number}", None)
            assert f"{table.file}:2" in message
    if table.name and len(table.columns) > 1 and name not in (
            "mer-candidates", "emoprefer", "emopreferv2", "emoprefer-candidates"):
        column = table.label if table.label and table.label != "mode" else table.columns[1 if table.columns[1] not in (
            table.name, "chinese") else 2]
        place = table.columns.index(column)
        words = {"label": "2", "discrete": "sad", "emotions": "sad"}
        other = tuple(words.get(column, "['sad']") if number == place else cell
                      for number, cell in enumerate(table.rows[0]))
        message = refused(name, replace(table, rows=(*table.rows, other)), tmp_path / "two", None)
        assert f"{table.file}:{len(table.text().splitlines()) + 1}" in message and f"{table.file}:2" in message


@EACH
def test_folders_that_are_links_are_read_and_links_out_of_them_are_not(name, tmp_path):
    table = TABLES[name]
    data = tmp_path / "data"
    plain = clips_of(name, table, data)
    root = tmp_path / "root"
    root.mkdir()
    for entry in data.iterdir():
        (root / entry.name).symlink_to(entry)
    clips = READERS[name].read(root, **table.options)
    assert [clip.targets for clip in clips] == [clip.targets for clip in plain]
    assert not absent_files(clips[0])
    media = next(file for file in table.beside if file.lower().endswith((".mp4", ".avi", ".wav", ".opus"))) \
        if plain[0].media and plain[0].media.as_posix() in table.beside else ""
    if media and "/" in media:
        (data / media).unlink()
        (data / media).symlink_to("/etc/hostname")
        with pytest.raises(ValueError, match="leaves its root"):
            READERS[name].read(data, **table.options)


@EACH
def test_a_wrong_root_is_told_from_the_right_one(name, tmp_path):
    table = TABLES[name]
    outer = tmp_path / "disk"
    outer.mkdir()
    root = outer / "corpus"
    root.mkdir()
    table.make(root)
    for wrong, says in ((outer, str(root)), (tmp_path / "none", "no such folder"), (root / table.file, "is a file")):
        with pytest.raises(ValueError) as error:
            READERS[name].read(wrong, **table.options)
        assert says in str(error.value) and str(wrong) in str(error.value)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match="is empty"):
        READERS[name].read(empty, **table.options)
