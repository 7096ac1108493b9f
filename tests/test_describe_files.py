"""Which files `describe` takes, in which order, under which names; and what it never touches."""
# ruff: noqa: F811

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from describe_fixtures import failed, inside, model, run, samples  # noqa: F401  fixtures
from tiny import corpus, parts  # noqa: F401  fixtures

from affectgpt import cli, files, own_files, terminal
from affectgpt.media import finding

ROWS = [{"file": "a.mp4", "reason": "a.mp4: broken"}]
LATIN = os.fsdecode(b"clip_\xe9mu.wav")


def names(found) -> list[str]:
    return [path.name for path in found.files]


# ---------------------------------------------------------------------------- what is found


def test_every_common_ending_is_found_in_any_case(tmp_path):
    endings = ("flv mpg mpeg m4v 3gp ts mts m2ts wmv asf gif webp ogv vob amr aiff opus wma caf mka mp4 webm avi mov "
               "mkv wav mp3 flac ogg m4a aac jpg jpeg png bmp tiff").split()
    for ending in (*endings, "FLV", "Mp4"):
        (tmp_path / f"clip.{ending}").write_bytes(b"x")
    assert len(finding.search([tmp_path]).files) == len(endings) + 2


def test_folders_are_walked_in_natural_order_and_what_is_left_out_is_counted(tmp_path):
    for name in ("clip10.wav", "clip2.wav", "Clip1.wav", "notes.txt", "more.TXT", "README", ".hidden.wav",
                 "Actor_10/a.wav", "Actor_2/b.wav", "Actor_2/deep/c.wav", ".cache/d.wav"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    found = finding.search([tmp_path])
    assert names(found) == ["Clip1.wav", "clip2.wav", "clip10.wav", "b.wav", "c.wav", "a.wav"] and not found.unusable
    assert found.left_out == {".txt": 2, "hidden": 2, "without an ending": 1}
    assert found.left_out_line() == "2 .txt, 2 hidden, 1 without an ending"


def test_links_are_followed_once_and_loops_end(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "disk" / "a.wav").write_bytes(b"x")
    (tmp_path / "corpus").mkdir()
    for name, target in (("clips", tmp_path / "disk"), ("again", tmp_path / "disk"), ("up", tmp_path / "corpus"),
                         ("self.wav", tmp_path / "corpus" / "self.wav"), ("gone.wav", tmp_path / "gone.wav")):
        (tmp_path / "corpus" / name).symlink_to(target)
    found = finding.search([tmp_path / "corpus"])
    assert names(found) == ["a.wav"] and found.left_out == {"folders met before": 2}
    assert sorted(path.name for path, _ in found.unusable) == ["gone.wav", "self.wav"]


def test_pipes_and_files_that_cannot_be_read_stop_nothing(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    (tmp_path / "empty.wav").write_bytes(b"")
    (tmp_path / "good.wav").write_bytes(b"x")
    found = finding.search([tmp_path, tmp_path / "gone.wav", "a\0b.wav", "x" * 5000])
    assert names(found) == ["good.wav"]
    assert [reason.split(";")[0] for _, reason in found.unusable] == [
        "the file is empty", "is a device or a pipe", "no such file", "no such file",
        "cannot be read (File name too long)"]


def test_a_folder_of_sub_folders_is_described(capsys, model, samples, tmp_path):
    folder = tmp_path / "in" / "Actor_01"
    folder.mkdir(parents=True)
    shutil.copy(samples / "voice.wav", folder / "03-01-05.wav")
    (folder / "notes.txt").write_text("hm")
    code, out, err = run(capsys, "describe", tmp_path / "in", "--model", model, "--json", "--subtitle", "hm")
    assert code == 0 and json.loads(out[0])["file"] == str(folder / "03-01-05.wav")
    assert err == ["note: left out of the folders: 1 .txt"]


# ---------------------------------------------------------------------------- before anything is loaded


@pytest.mark.parametrize("arguments, message", [
    (["gone.wav"], "gone.wav: no such file"), (["--max-new-tokens", "0", "x.wav"], "--max-new-tokens is 0"),
    (["--streams", "smell", "x.wav"], "'smell'"), (["--streams", "", "x.wav"], "does not look at ''"),
    (["--question", " ", "x.wav"], "--question is empty"), (["--subtitle", "\udce9", "x.wav"], "not UTF-8"),
])
def test_mistakes_are_told_before_anything_is_loaded(capsys, monkeypatch, model, arguments, message):
    import affectgpt.inference

    monkeypatch.setattr(affectgpt.inference, "Describer", None)  # loading a model would be a bug
    Path("x.wav").write_bytes(b"x")
    assert message in failed(capsys, "describe", "--model", model, *arguments)


def test_a_missing_file_costs_no_import_of_torch(model):
    code = ("import sys; from affectgpt.cli import main; code = main(sys.argv[1:]); "
            "print(code, 'torch' in sys.modules, 'transformers' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code, "describe", "gone.wav", "--model", str(model)], text=True,
                          capture_output=True)
    assert done.stdout.split() == ["2", "False", "False"] and "gone.wav: no such file" in done.stderr


@pytest.mark.parametrize("name", ["recipe.yaml", "training.json", "state.json"])
def test_a_folder_of_a_run_without_its_mark_is_not_read(capsys, model, samples, tmp_path, name):
    folder = tmp_path / "model"
    shutil.copytree(model, folder)
    (folder / name).write_text("{}")
    for verb in (["describe", samples / "voice.wav", "--model", folder], ["info", folder]):
        line = failed(capsys, *verb)
        assert str(folder) in line and "no 'done' mark" in line
    (folder / "done").touch()
    assert run(capsys, "info", folder)[0] == 0


# ---------------------------------------------------------------------------- names


def test_names_of_any_bytes_are_answered_and_printed_escaped(capsys, model, samples, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.wav", LATIN, "new\nline.wav", "\x1b[31mred.wav", "z.wav"):
        shutil.copy(samples / "voice.wav", folder / name)
    (folder / os.fsdecode(b"bad_\xff.wav")).write_text("no sound")
    code, out, err = run(capsys, "describe", folder, "--model", model, "--subtitle", "hm")
    shown = [Path(line).name for line in out if line.startswith("/")]
    assert code == 2 and shown == ["\\x1b[31mred.wav", "a.wav", "clip_\\xe9mu.wav", "new\\nline.wav", "z.wav"]
    assert any("bad_\\xff.wav" in line for line in err)
    assert json.loads(Path("skipped.jsonl").read_text())["file"] == str(folder / os.fsdecode(b"bad_\xff.wav"))
    code, out, err = run(capsys, "describe", folder, "--model", model, "--subtitle", "hm", "--json")
    assert LATIN in [Path(json.loads(line)["file"]).name for line in out] and len(out) == 5


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_no_character_ends_a_print(monkeypatch, encoding):
    screen = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    monkeypatch.setattr(sys, "stdout", screen)
    terminal.make_output_safe()
    values = {"file": LATIN, "words": "生气 é 😀"}
    print(terminal.printable(str(values["words"])), LATIN)
    print(terminal.json_line(values))
    screen.flush()
    lines = screen.buffer.getvalue().decode(encoding).splitlines()
    assert len(lines) == 2 and json.loads(lines[1]) == values


@pytest.mark.parametrize(
    "text, shown",
    [
        ("生气 的 人 😀 é", "生气 的 人 😀 é"),
        ("a\tb\nc", "a\\tb\\nc"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\udcff", "\\xff"),
        ("x\u202eexe.wav", "x\\u202eexe.wav"),
        ("\ud800", "\\ud800"),
        ("👩\u200d🚀", "👩\u200d🚀"),
    ],
)
def test_a_name_cannot_act_on_the_terminal(text, shown):
    assert terminal.printable(text) == shown


def test_after_two_dashes_everything_is_a_file(capsys, model, samples):
    for name in ("-dash.wav", "--json", "-"):
        shutil.copy(samples / "voice.wav", Path(name))
    code, out, _ = run(capsys, "describe", "--model", model, "--json", "--subtitle", "hm", "--", "-dash.wav", "--json",
                       "-")
    assert code == 0 and [json.loads(line)["file"] for line in out] == ["-dash.wav", "--json", "-"]


def test_a_recipe_may_begin_with_a_dash(capsys):
    for verb in ("train", "extract"):
        store = ["--store", "x"] if verb == "extract" else []
        assert "-mine.yaml" in failed(capsys, verb, *store, "--", "-mine.yaml")


# ---------------------------------------------------------------------------- what is never touched


def broken(folder: Path, count: int = 2) -> list[Path]:
    paths = [folder / f"broken{number}.wav" for number in range(count)]
    for path in paths:
        path.write_text("no sound")
    return paths


@pytest.mark.parametrize("content", [
    b"RIFF....WAVE", b'{"id": "a"}\n', b'{"file": "a", "reason": "b"}\nmine\n', b"[1]\n", b"\xff\xfe",
    b'{"file": "a", "reason": "b", "checked": 1}\n', b"{" * 100_000,
])
@pytest.mark.parametrize("linked", [False, True])
def test_a_file_of_somebody_else_is_neither_removed_nor_replaced(capsys, model, samples, tmp_path, content, linked):
    kept = tmp_path / "kept"
    kept.write_bytes(content)
    named = tmp_path / "link" if linked else kept
    if linked:
        named.symlink_to(kept)
    line = failed(capsys, "describe", samples / "voice.wav", "--model", model, "--skipped", named)
    assert "is not a list that affectgpt wrote" in line and "--skipped" in line and kept.read_bytes() == content
    assert named.is_symlink() == linked


def test_the_list_of_an_earlier_run_goes_and_a_link_stays(tmp_path):
    own, link, empty = tmp_path / "own", tmp_path / "link", tmp_path / "empty"
    files.write_jsonl(own, ROWS)
    own_files.remove_rows(own, own_files.SKIPPED_KEYS, "--skipped")
    assert not own.exists()
    own_files.remove_rows(own, own_files.SKIPPED_KEYS, "--skipped")  # there is none any more
    files.write_jsonl(own, ROWS)
    link.symlink_to(own)
    own_files.remove_rows(link, own_files.SKIPPED_KEYS, "--skipped")
    assert link.is_symlink() and own.read_bytes() == b""
    empty.touch()
    own_files.remove_rows(empty, own_files.SKIPPED_KEYS, "--skipped")
    assert empty.exists()
    with pytest.raises(ValueError, match="is a folder"):
        own_files.remove_rows(tmp_path, own_files.SKIPPED_KEYS, "--skipped")


def test_a_pipe_gets_the_list_and_stays_a_pipe(capsys, model, tmp_path):
    pipe, read = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: read.append(pipe.read_text()), daemon=True)
    reader.start()
    code, _, err = run(capsys, "describe", *broken(tmp_path), "--model", model, "--skipped", pipe, "--subtitle", "hm")
    reader.join(10)
    assert code == 2 and pipe.is_fifo() and "2 of 2 files were skipped" in err[-1]
    assert [Path(json.loads(line)["file"]).name for line in read[0].splitlines()] == ["broken0.wav", "broken1.wav"]


def test_a_device_is_written_to_and_stays(tmp_path):
    device = tmp_path / "null"
    try:
        os.mknod(device, 0o600 | 0o020000, os.makedev(1, 3))  # never the real one
    except PermissionError:
        pytest.skip("making a device needs root")
    before = os.stat(device).st_ino
    link = tmp_path / "link"
    link.symlink_to(device)
    for path in (device, link):
        own_files.remove_rows(path, own_files.SKIPPED_KEYS, "--skipped")
        try:
            files.write_jsonl(path, ROWS)
            files.write_jsonl(path, ROWS, append=True)
            files.atomic_write_json(path, ROWS)
        except PermissionError:
            pytest.skip("devices cannot be opened on this file system")
        assert path.is_char_device() and os.stat(path).st_ino == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "null"]


def test_standard_output_is_added_to_and_never_replaced(tmp_path):
    code = ("from affectgpt.files import atomic_write_json, write_jsonl; print('before', flush=True); "
            "atomic_write_json('/dev/stdout', {}); write_jsonl('/dev/fd/1', [{'a': 1}]); print('after')")
    for target in (tmp_path / "out", subprocess.PIPE):
        if target is subprocess.PIPE:
            text = subprocess.run([sys.executable, "-c", code], stdout=target, text=True, check=True).stdout
        else:
            with target.open("w") as file:
                subprocess.run([sys.executable, "-c", code], stdout=file, check=True)
            text = target.read_text()
        assert text.split() == ["before", "{}", '{"a":', "1}", "after"]


def test_a_folder_that_is_not_ours_is_not_replaced(tmp_path):
    mine = tmp_path / "model"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="left as it is"), files.atomic_folder(mine, overwrite=True):
        pass
    assert (mine / "thesis.tex").read_text() == "years of work"


def test_a_print_that_fails_names_no_bug(capsys, monkeypatch):
    """An error's own line may hold what the screen cannot show."""
    screen = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="strict")
    monkeypatch.setattr(sys, "stderr", screen)
    assert cli.main(["info", f"folder_{LATIN}_生"]) == 2
    screen.flush()
    assert b"folder_clip_\\xe9mu.wav_\\u751f: no such model folder" in screen.buffer.getvalue()
