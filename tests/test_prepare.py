"""A corpus is prepared: every clip in the manifest or in the list, the same bytes after a kill, leaks told."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest
from prepare_fixtures import ENVIRONMENT, do_task, make_tree, prepare, rows_of, start, write_manifest, write_sound

from affectgpt.data.readers import read_corpus
from affectgpt.files import only_writer
from affectgpt.media import MediaError, count_crops
from affectgpt.prepare.language import language_of
from affectgpt.prepare.workers import run_all

OUTPUTS = ("manifest.jsonl", "skipped.jsonl", "shared.jsonl", "report.html")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A manifest of sounds with labels and words: one file is broken, one is absent, two are one."""
    root = tmp_path_factory.mktemp("small")
    for number in range(3):
        write_sound(root / "sounds" / f"{number}.wav", number)
    (root / "sounds" / "2b.wav").write_bytes((root / "sounds" / "2.wav").read_bytes())
    (root / "sounds" / "bad.wav").write_bytes(b"RIFF")
    rows = [{"id": "a", "media": "sounds/0.wav", "split": "train", "words": "I am so happy to see you again",
             "labels": ["happy"], "sentiment": "negative"},
            {"id": "b", "media": "sounds/1.wav", "split": "train", "words": "\u6211\u5f88\u9ad8\u5174",
             "labels": ["glorpish"]},
            {"id": "c", "media": "sounds/2.wav", "split": "train", "labels": ["<script>alert(1)</script>"]},
            {"id": "twin", "media": "sounds/2b.wav", "split": "test"},
            {"id": "broken", "media": "sounds/bad.wav"}, {"id": "absent", "media": "sounds/none.wav"},
            {"id": "text", "words": "Only words are here, nothing else."}]
    manifest = write_manifest(root / "corpus.jsonl", rows)
    output = root / "prepared"
    assert prepare("manifest", manifest, output) == 3
    return manifest, output


def test_every_clip_is_in_the_manifest_or_in_the_list(small):
    manifest, output = small
    kept, lost = rows_of(output / "manifest.jsonl"), rows_of(output / "skipped.jsonl")
    assert [row["id"] for row in kept] == ["a", "b", "c", "twin", "text"]
    assert [row["clip"].rpartition("/")[2] for row in lost] == ["broken", "absent"]
    assert "no such file" in lost[1]["reason"] and "bad.wav" in lost[0]["reason"]
    assert kept[1]["language"] == "zh" and kept[0]["language"] == "en"


def test_the_manifest_is_read_as_it_is(small):
    manifest, output = small
    clips = {clip.id: clip for clip in read_corpus(str(output / "manifest.jsonl"))}
    before = {clip.id: clip for clip in read_corpus(str(manifest))}
    assert all(clips[name].media == before[name].media and clips[name].targets == before[name].targets
               and clips[name].words == before[name].words and clips[name].key == before[name].key for name in clips)
    assert clips["c"].content == clips["twin"].content != clips["a"].content


def test_clips_of_two_splits_are_told(small):
    rows = rows_of(small[1] / "shared.jsonl")
    assert [(row["clip"].rpartition("/")[2], row["split"], row["twin_split"]) for row in rows] == \
        [("twin", "test", "train")]


def test_the_page_says_what_is_there_and_runs_nothing(small):
    text = (small[1] / "report.html").read_text(encoding="utf-8")
    assert "<script" not in text and "&lt;script&gt;" in text and "http" not in text.replace("http-equiv", "")
    for words in ("contradict", "glorpish", "zh", "cannot be used", "In two splits"):
        assert words in text, words


def test_a_second_run_opens_nothing_and_writes_the_same_bytes(small, monkeypatch):
    manifest, output = small
    before = {name: (output / name).read_bytes() for name in OUTPUTS}
    monkeypatch.setattr("affectgpt.prepare.workers._Worker.__init__", lambda *_: pytest.fail("a process was started"))
    assert prepare("manifest", manifest, output) == 3
    assert {name: (output / name).read_bytes() for name in OUTPUTS} == before


def test_what_has_changed_is_looked_at_again(tmp_path):
    make_tree(tmp_path / "media", 3)
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 0
    first = rows_of(tmp_path / "out" / "manifest.jsonl")
    journal = (tmp_path / "out" / "journal.jsonl").read_text().count("\n")
    write_sound(tmp_path / "media" / "000" / "000001.wav", 77, 0.3)
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 0
    second = rows_of(tmp_path / "out" / "manifest.jsonl")
    assert [a == b for a, b in zip(first, second, strict=True)] == [True, False, True]
    assert (tmp_path / "out" / "journal.jsonl").read_text().count("\n") == journal + 1


def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(tmp_path):
    tree = make_tree(tmp_path / "media", 160, seconds=0.2)
    (tree / "000" / "000150.wav").write_bytes(b"no sound")
    assert prepare("folder", tree, tmp_path / "whole") == 0
    journal = tmp_path / "killed" / "journal.jsonl"
    job = start("folder", "--root", tree, "--output", tmp_path / "killed", "--processes", 2)
    until = time.monotonic() + 60
    while time.monotonic() < until and not (journal.is_file() and journal.read_bytes().count(b"\n") > 5):
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert 5 < journal.read_bytes().count(b"\n") < 160
    with journal.open("ab") as file:
        file.write(b'{"digest": "12')  # as a line that was being written
    assert prepare("folder", tree, tmp_path / "killed", "--processes", "2") == 0
    for name in OUTPUTS:
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_second_job_on_one_output_is_refused(tmp_path, capsys):
    make_tree(tmp_path / "media", 1)
    with only_writer(tmp_path / "out"):
        assert prepare("folder", tmp_path / "media", tmp_path / "out") == 2
    assert "another process" in capsys.readouterr().err and not (tmp_path / "out" / "manifest.jsonl").exists()


@pytest.mark.parametrize("names", [("ov", "human"), ("MER-Caption+", "Human-OV")])
def test_clips_shared_with_another_corpus_are_told_by_content_and_by_name(tmp_path, names, capsys):
    """The MER family has one space of names; elsewhere only equal files are one clip."""
    for number in range(4):
        write_sound(tmp_path / "one" / f"x{number}.wav", number)
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "other.wav").write_bytes((tmp_path / "one" / "x1.wav").read_bytes())
    write_sound(tmp_path / "two" / "x2.wav", 99)
    one = write_manifest(tmp_path / "one" / "m.jsonl", [
        {"id": f"x{number}", "corpus": names[0], "media": f"x{number}.wav"} for number in range(4)])
    two = write_manifest(tmp_path / "two" / "m.jsonl", [
        {"id": "other", "corpus": names[1], "split": "test", "media": "other.wav"},
        {"id": "x2", "corpus": names[1], "split": "test", "media": "x2.wav"}])
    assert prepare("manifest", one, tmp_path / "out", "--against", str(two)) == 3
    found = [(row["clip"], row["twin"], row["by"]) for row in rows_of(tmp_path / "out" / "shared.jsonl")]
    expected = [(f"{names[0]}/x1", f"{names[1]}/other", "content")]
    if names[1] == "Human-OV":
        expected.append(("MER-Caption+/x2", "Human-OV/x2", "name"))
    assert found == expected and "shared" in capsys.readouterr().err


def test_a_task_that_hangs_dies_or_raises_costs_itself_alone(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ENVIRONMENT["PYTHONPATH"])
    tasks = [1, "hang", 2, "die", 3, "raise", 4]
    results = list(run_all(do_task, tasks, 2, 2.0, lambda task, why: (task, why)))
    failed = dict(result for result in results if isinstance(result, tuple))
    assert sorted(result for result in results if not isinstance(result, tuple)) == [1, 4, 9, 16]
    assert failed.keys() == {"hang", "die", "raise"}
    assert "longer than 2 s" in failed["hang"] and "SIGKILL" in failed["die"] and "KeyError" in failed["raise"]


def test_official_face_crops_are_found_and_checked(tmp_path):
    video = make_video(tmp_path / "video" / "clip.mp4")
    folder = tmp_path / "openface_face" / "clip"
    folder.mkdir(parents=True)
    np.save(folder / "clip.npy", np.zeros((4, 12, 12, 3), np.uint8))
    assert count_crops(folder / "clip.npy") == 4
    assert prepare("folder", tmp_path, tmp_path / "out") == 0
    row = rows_of(tmp_path / "out" / "manifest.jsonl")[0]
    assert (tmp_path / "out" / row["media"]).resolve() == video
    assert (tmp_path / "out" / row["face"]).resolve() == folder / "clip.npy"
    np.save(folder / "clip.npy", np.zeros((0, 12, 12, 3), np.uint8))
    assert prepare("folder", tmp_path, tmp_path / "empty") == 0
    assert "openface_face" not in rows_of(tmp_path / "empty" / "manifest.jsonl")[0].get("face", "")
    np.save(folder / "clip.npy", np.zeros((4, 12, 12, 3), np.uint8))
    for bad, message in ((np.zeros((4, 12, 12), np.uint8), "uint8"), (np.zeros((4, 12, 12, 3)), "uint8")):
        np.save(tmp_path / "bad.npy", bad)
        with pytest.raises(MediaError, match=message):
            count_crops(tmp_path / "bad.npy")
    data = (folder / "clip.npy").read_bytes()
    (tmp_path / "bad.npy").write_bytes(data[:-5])
    with pytest.raises(MediaError, match="cut off"):
        count_crops(tmp_path / "bad.npy")


def make_video(path):
    from hostile_media import make_seeds

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_seeds()["mp4"])
    return path.resolve()


def test_sound_is_written_to_files_where_asked(tmp_path):
    make_video(tmp_path / "media" / "clip.mp4")
    assert prepare("folder", tmp_path / "media", tmp_path / "out", "--extract-audio", "--no-faces") == 0
    clip, = read_corpus(str(tmp_path / "out" / "manifest.jsonl"))
    from affectgpt.media import read_sound

    sound, of_video = read_sound(clip.audio).waveform, read_sound(clip.media).waveform
    assert np.abs(sound - of_video).max() < 1e-3


@pytest.mark.parametrize("words, language", [
    ("I am so happy to see you", "en"), ("Das ist nicht gut, finde ich", "de"), ("\u6211\u5f88\u9ad8\u5174", "zh"),
    ("\u3046\u308c\u3057\u3044\u3067\u3059", "ja"), ("ok", None), ("12 34", None), ("", None)])
def test_languages(words, language):
    assert language_of(words) == language


def test_users_mistakes_are_told(tmp_path, capsys):
    assert prepare("nothing", tmp_path, tmp_path / "out") == 2
    assert prepare("folder", tmp_path / "none", tmp_path / "out") == 2
    assert prepare("folder", tmp_path, tmp_path / "out", "--limit", "0") == 2
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "x.wav").write_bytes(b"RIFF")
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 2
    assert "none of 1 clips can be used" in capsys.readouterr().err


def test_the_face_of_the_one_who_speaks_is_kept(shared_data, tmp_path):
    from affectgpt.media.tracks import read_track

    clips = sorted((shared_data / "clips" / "ravdess_av").rglob("*.mp4"))[:1]
    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "a.mp4").write_bytes(clips[0].read_bytes())
    assert prepare("folder", tmp_path / "media", tmp_path / "out") == 0
    clip, = read_corpus(str(tmp_path / "out" / "manifest.jsonl"))
    track = read_track(clip.face)
    assert track.rule and track.confidence == 1 and len(track.times) > 3
    assert "the face was chosen by" in (tmp_path / "out" / "report.html").read_text()
    assert prepare("folder", tmp_path / "media", tmp_path / "no", "--no-faces") == 0
    assert "face" not in rows_of(tmp_path / "no" / "manifest.jsonl")[0]


def test_spans_are_kept_and_checked_against_their_file(tmp_path):
    write_sound(tmp_path / "a.wav", 1, seconds=2.0)
    manifest = write_manifest(tmp_path / "m.jsonl", [
        {"id": "one", "media": "a.wav", "start": 0.0, "end": 1.0}, {"id": "two", "media": "a.wav", "start": 1.0},
        {"id": "late", "media": "a.wav", "start": 9.0, "end": 10.0}])
    assert prepare("manifest", manifest, tmp_path / "out") == 0
    assert [(row["id"], row.get("start"), row.get("end")) for row in rows_of(tmp_path / "out" / "manifest.jsonl")] == \
        [("one", 0.0, 1.0), ("two", 1.0, None)]
    reason = rows_of(tmp_path / "out" / "skipped.jsonl")[0]["reason"]
    assert "9 s to 10 s reaches beyond the end of the file at 2.00 s" in reason
    assert rows_of(tmp_path / "out" / "shared.jsonl") == []  # two parts of one file are two clips
