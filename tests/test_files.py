"""Atomic writes, finished folders, safe paths and JSON lines."""

from __future__ import annotations

import json
import os

import pytest

from affectgpt import files


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_text_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "a.txt"
    files.atomic_write_text(path, "é\r\n")
    assert path.read_bytes() == "é\r\n".encode()
    with pytest.raises(UnicodeEncodeError):
        files.atomic_write_text(path, "x" * 100_000 + "\ud800")
    assert path.read_bytes() == "é\r\n".encode()
    assert names(path.parent) == ["a.txt"]


def test_text_keeps_symbolic_link(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    files.atomic_write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_text() == "new"


def test_json_refuses_nan(tmp_path):
    files.atomic_write_json(tmp_path / "a.json", {"b": [1, "ü"]})
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8")) == {"b": [1, "ü"]}
    with pytest.raises(ValueError, match="b.json.*JSON"):
        files.atomic_write_json(tmp_path / "b.json", float("nan"))
    assert names(tmp_path) == ["a.json"]


def test_folder_appears_finished(tmp_path):
    target = tmp_path / "model"
    with files.atomic_folder(target) as folder:
        (folder / "weights").write_text("1")
        assert not target.exists() and not files.is_done(folder)
    assert names(target) == ["done", "weights"]
    assert files.require_done(target) == target
    assert names(tmp_path) == ["model"]
    assert oct(target.stat().st_mode) == oct(_mode_of_a_plain_folder(tmp_path))


def _mode_of_a_plain_folder(tmp_path):
    (tmp_path / "plain").mkdir()
    return (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_folder_leaves_nothing_on_failure(tmp_path, error):
    with pytest.raises(error), files.atomic_folder(tmp_path / "model") as folder:
        (folder / "weights").write_text("1")
        raise error
    assert names(tmp_path) == []


def test_folder_overwrites_only_when_asked_and_complete(tmp_path):
    target = tmp_path / "model"
    with files.atomic_folder(target) as folder:
        (folder / "old").touch()
    with pytest.raises(ValueError, match="exists already"), files.atomic_folder(target):
        pass
    with pytest.raises(RuntimeError), files.atomic_folder(target, overwrite=True):
        raise RuntimeError
    assert names(target) == ["done", "old"]
    with files.atomic_folder(target, overwrite=True) as folder:
        (folder / "new").touch()
    assert names(target) == ["done", "new"] and names(tmp_path) == ["model"]


def test_half_written_folder_is_refused(tmp_path):
    (tmp_path / "half").mkdir()
    (tmp_path / "file").touch()
    expected = {"half": "not written to its end", "file": "is a file", "none": "no such folder"}
    for name, message in expected.items():
        with pytest.raises(ValueError, match=f"{name}.*{message}"):
            files.require_done(tmp_path / name)


@pytest.mark.parametrize(
    "relative", ["../x", "a/../../x", "/etc/passwd", "", " ", "a\0b", "out/x", "out", "loop/x"]
)
def test_paths_that_leave_their_root(tmp_path, relative):
    root = tmp_path / "root"
    root.mkdir()
    (root / "out").symlink_to(tmp_path)
    (root / "loop").symlink_to("loop")
    with pytest.raises(ValueError):
        files.safe_join(root, relative)


def test_path_with_the_roots_name_as_prefix_is_outside(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "rootless").mkdir()
    with pytest.raises(ValueError, match="leaves its root"):
        files.safe_join(tmp_path / "root", "../rootless/x")


def test_paths_inside_their_root(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "inner").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    assert files.safe_join(".", "a/b c.mp4") == tmp_path.resolve() / "a" / "b c.mp4"
    assert files.safe_join(tmp_path, "inner/../a/..x") == tmp_path.resolve() / "a" / "..x"


def test_jsonl_round_trip_counts_rows(tmp_path):
    path = tmp_path / "a.jsonl"
    assert files.write_jsonl(path, [{"a": "é\u2028x"}, {"b": None}]) == 2
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\n\n", 1))
    assert list(files.read_jsonl(path)) == [(1, {"a": "é\u2028x"}), (3, {"b": None})]


@pytest.mark.parametrize("line, message", [
    (b'{"a": 1', "not JSON"), (b"[1]", "list"), (b'{"a": NaN}', "NaN"),
    (b'{"a": 1, "a": 2}', "'a' is there twice"),
    (b"\xff", "UTF-8"), (b'{"a": 1} {"b": 2}', "not JSON"),
])
def test_jsonl_names_file_and_row(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"ok": 1}\n' + line + b"\n")
    rows = files.read_jsonl(path)
    assert next(rows) == (1, {"ok": 1})
    with pytest.raises(ValueError, match=f"a.jsonl:2: .*{message}"):
        next(rows)


def test_jsonl_missing_or_folder(tmp_path):
    for path, message in ((tmp_path / "none", "no such file"), (tmp_path, "is a folder")):
        with pytest.raises(ValueError, match=message):
            list(files.read_jsonl(path))


def test_jsonl_append_keeps_finished_rows(tmp_path):
    path = tmp_path / "a.jsonl"

    def rows():
        yield {"row": 1}
        assert path.read_text() == '{"row": 1}\n'
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.write_jsonl(path, rows(), append=True)
    with path.open("a") as file:
        file.write('{"row": 2, "text": "' + "x" * 70_000)
    files.write_jsonl(path, [{"row": 3}], append=True)
    assert [row for _, row in files.read_jsonl(path)] == [{"row": 1}, {"row": 3}]
    path.write_text('{"row": 1}')  # complete, and only its line end is missing
    files.write_jsonl(path, [{"row": 2}], append=True)
    assert [row for _, row in files.read_jsonl(path)] == [{"row": 1}, {"row": 2}]


def test_jsonl_whole_or_not_at_all(tmp_path):
    path = tmp_path / "a.jsonl"
    files.write_jsonl(path, [{"old": 1}])
    with pytest.raises(ValueError, match="a.jsonl:2"):
        files.write_jsonl(path, [{"new": 1}, {"new": float("inf")}])
    assert path.read_text() == '{"old": 1}\n' and os.listdir(tmp_path) == ["a.jsonl"]


def test_of_two_first_writers_one_stays(tmp_path):
    files.create_json(tmp_path / "settings.json", {"a": 1})
    files.create_json(tmp_path / "settings.json", {"a": 2})
    assert json.loads((tmp_path / "settings.json").read_text()) == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["settings.json"]


def test_a_writer_that_comes_between_look_and_write_is_not_replaced(tmp_path, monkeypatch):
    path, link = tmp_path / "settings.json", os.link

    def late(source, target):
        path.write_text('{"a": "other process"}')
        link(source, target)

    monkeypatch.setattr(os, "link", late)
    files.create_json(path, {"a": 1})
    assert json.loads(path.read_text()) == {"a": "other process"} and len(list(tmp_path.iterdir())) == 1


def test_rows_that_end_in_an_error_leave_the_earlier_file(tmp_path):
    path = tmp_path / "rows.jsonl"
    files.write_jsonl(path, [{"a": 1}])

    def rows():
        yield {"a": 2}
        assert len(list(tmp_path.iterdir())) == 2  # written as they come, under another name
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        files.write_jsonl(path, rows())
    assert path.read_text() == '{"a": 1}\n' and len(list(tmp_path.iterdir())) == 1
