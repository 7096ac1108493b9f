"""A tree with odd names, links, devices and files that go away: nothing hangs, and every clip is accounted for."""

from __future__ import annotations

import errno
import os
import resource
import signal

import pytest
from prepare_fixtures import prepare, rows_of, write_sound

from affectgpt.data.clip import Clip
from affectgpt.data.readers import read_corpus
from affectgpt.prepare import inspect as inspection
from affectgpt.prepare.inspect import STOP, Work, inspect

NAMES = (b"new\nline.wav", b"-dash.wav", b"latin\xe9.wav", "\u05e9\u05dc\u202e.wav".encode(), b" blank .wav",
         b"a<b>&\".wav", b"%s{}$(x).wav", b"UPPER.WAV", b"bell\x07.wav", b"d\xff\nr/y.wav", b"folder.mp4/in.wav",
         b"x" * 240 + b".wav")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """(root, number of clips that can be used, names of the others, exit code, output)."""
    folder = tmp_path_factory.mktemp("hostile")
    root, sound = folder / "media", write_sound(folder / "sound.wav", 1)
    root.mkdir()
    for name in NAMES:
        path = os.path.join(os.fsencode(root), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(sound.read_bytes())
    (root / "loop").mkdir()
    (root / "loop" / "up").symlink_to("..")
    for name, target in (("self", "self"), ("self.mp4", "self.mp4"), ("dangling.mp4", "/nowhere"),
                         ("dev.wav", "/dev/zero"), ("outside.wav", sound)):
        (root / name).symlink_to(target)
    (root / "zero.mp4").touch()
    (root / "bad\nname.mp4").write_bytes(b"junk")
    os.mkfifo(root / "pipe.mp4")
    lost = {"self.mp4", "dangling.mp4", "dev.wav", "outside.wav", "zero.mp4", "bad\nname.mp4", "pipe.mp4"}
    return root, len(NAMES), lost, prepare("folder", root, folder / "out"), folder / "out"


def test_every_clip_is_in_the_manifest_or_in_the_list_with_a_reason_of_one_line(tree):
    root, count, lost, code, output = tree
    assert code == 0 and len(rows_of(output / "manifest.jsonl")) == count
    rows = rows_of(output / "skipped.jsonl")
    assert {row["clip"].partition("/")[2] for row in rows} == lost
    assert all(row["reason"] and "\n" not in row["reason"] and "report it" not in row["reason"] for row in rows)


def test_the_manifest_finds_files_of_any_name(tree):
    clips = read_corpus(str(tree[4] / "manifest.jsonl"))
    assert len(clips) == tree[1] and all(clip.media.is_file() for clip in clips)


def test_the_page_holds_no_control_characters(tree):
    text = (tree[4] / "report.html").read_text(encoding="utf-8")
    assert all(letter.isprintable() or letter in "\n\t" for letter in text) and "a<b>" not in text


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    write_sound(tmp_path / "media" / "a.wav", 1)
    (tmp_path / "media" / "locked").mkdir()
    scan, access = os.scandir, os.access

    def scandir(path):
        if os.fspath(path).endswith("locked"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    monkeypatch.setattr(os, "access", lambda path, mode: not str(path).endswith("locked") and access(path, mode))
    clip = Clip(id="locked", media=tmp_path / "media" / "locked")
    assert inspect(("0", clip, Work(tmp_path)))["skipped"].endswith("the folder cannot be read; check its permissions")
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 0
    assert [row["clip"] for row in rows_of(tmp_path / "out" / "skipped.jsonl")] == ["media/locked"]


def test_a_file_that_goes_away_while_it_is_read_is_skipped(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.wav", 1)

    def gone(*_):
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(inspection, "file_sha256", gone)
    assert "a.wav: cannot be read (No such file or directory)" in inspect(("0", Clip(id="a", media=path),
                                                                           Work(tmp_path)))["skipped"]


def test_a_full_disk_ends_the_job_and_costs_no_clip(tmp_path, monkeypatch, capsys):
    path = write_sound(tmp_path / "media" / "a.wav", 1)

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(inspection, "_content", full)
    row = inspect(("0", Clip(id="a", media=path), Work(tmp_path)))
    assert "No space left on device; make room" in row[STOP] and "skipped" not in row
    monkeypatch.setattr("affectgpt.prepare.workers.run_all", lambda *_: iter([row]))
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 2
    assert "No space left on device; make room" in capsys.readouterr().err
    assert not (tmp_path / "out" / "journal.jsonl").read_bytes()


def test_a_row_that_does_not_fit_on_the_disk_is_an_error(tmp_path, monkeypatch, capsys):
    """A write may end in the middle of a row without an error of its own."""
    write_sound(tmp_path / "media" / "a.wav", 1)
    row = {"digest": "00", "files": [], "skipped": "x" * 10_000}
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    monkeypatch.setattr("affectgpt.prepare.workers.run_all", lambda *_: iter([row, row]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (12_000, before[1]))
    try:
        assert prepare("folder", tmp_path / "media", tmp_path / "out") == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert "No space left" in capsys.readouterr().err
