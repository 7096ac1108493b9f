"""What `affectgpt prepare` depends on, and what it says of words, face crops and files that are not there."""

from __future__ import annotations

import json
import re
import shutil
import signal
import time
import wave

import numpy as np
import pytest
from prepare_fixtures import prepare, rows_of, start, write_manifest, write_sound

from affectgpt.data.clip import Clip
from affectgpt.data.readers import READERS
from affectgpt.files import write_jsonl
from affectgpt.prepare import inspect as inspection
from affectgpt.prepare.companions import companion_notes
from affectgpt.prepare.inspect import Work, inspect
from affectgpt.prepare.journal import Journal, digest_of


def write_crops(path, count=4):
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.zeros((count, 12, 12, 3), np.uint8))


def write_video(path):
    from hostile_media import make_seeds

    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_seeds()["mp4"])


@pytest.mark.parametrize("place", ["openface_face/clip/clip.npy", "openface_face/clip.npy"])
def test_official_crops_that_come_change_or_go_are_noticed(tmp_path, place):
    write_video(tmp_path / "video" / "clip.mp4")
    clip, work = Clip(id="clip", media=tmp_path / "video" / "clip.mp4"), Work(tmp_path)
    digest = digest_of(clip, work)

    def looked_at_again() -> dict:
        """The new row, where the journal does not hold the clip as it is."""
        assert not Journal(tmp_path / "journal.jsonl").holds(digest, clip, work, False)
        row = inspect((digest, clip, work))
        write_jsonl(tmp_path / "journal.jsonl", [row], append=True)
        assert Journal(tmp_path / "journal.jsonl").holds(digest, clip, work, False)
        return row

    assert "face" not in looked_at_again()
    write_crops(tmp_path / place)
    assert looked_at_again()["face_frames"] == 4
    write_crops(tmp_path / place, 5)
    assert looked_at_again()["face_frames"] == 5
    (tmp_path / place).unlink()
    assert "face" not in looked_at_again()


def test_a_face_track_that_was_removed_is_made_again(tmp_path):
    write_video(tmp_path / "clip.mp4")
    (tmp_path / "face.json").touch()
    clip, work = Clip(id="clip", media=tmp_path / "clip.mp4"), Work(tmp_path)
    digest = digest_of(clip, work)
    row = inspect((digest, clip, work)) | {"face": str(tmp_path / "face.json"), "rule": "only-face"}
    write_jsonl(tmp_path / "journal.jsonl", [row])
    assert Journal(tmp_path / "journal.jsonl").holds(digest, clip, work, False)
    (tmp_path / "face.json").unlink()
    assert not Journal(tmp_path / "journal.jsonl").holds(digest, clip, work, False)


def clips_of(tmp_path, **rows):
    from affectgpt.data.readers import read_corpus

    write_sound(tmp_path / "a.wav", 1, 2.0)
    write_manifest(tmp_path / "m.jsonl", [{"id": name, "media": "a.wav"} | row for name, row in rows.items()])
    return {clip.id: clip for clip in read_corpus(str(tmp_path / "m.jsonl"))}


def inspected(clip, root):
    return inspect(("0" * 32, clip, Work(root, transcribe=True)))


def test_words_are_recognised_where_there_are_none_and_of_the_span_alone(tmp_path, monkeypatch):
    heard = []
    monkeypatch.setattr(inspection, "transcribe", lambda waveform: heard.append(len(waveform)) or "We have to go now")
    clips = clips_of(tmp_path, whole={}, part={"start": 0.5, "end": 1.25}, said={"words": "Something else was said"})
    rows = {name: inspected(clip, tmp_path) for name, clip in clips.items()}
    assert heard == [32000, 12000]
    assert rows["whole"]["words"] == rows["part"]["words"] == "We have to go now" and "words" not in rows["said"]
    assert all("words" in row["streams"] and row["language"] == "en" for row in rows.values())


def test_a_clip_without_recognised_words_says_why_and_is_kept(tmp_path, monkeypatch):
    """The lengths and the levels are real; the recogniser hears nobody, and fails on half a second."""
    def transcribe(waveform):
        if len(waveform) < 10000:
            raise RuntimeError("no such token")
        return ""

    monkeypatch.setattr(inspection, "transcribe", transcribe)
    monkeypatch.setattr(inspection, "LONGEST_SPEECH", 3.0)
    write_sound(tmp_path / "long.wav", 2, 3.5)
    with wave.open(str(tmp_path / "silent.wav"), "wb") as file:
        file.setparams((1, 2, 16000, 0, "NONE", ""))
        file.writeframes(bytes(32000))
    clips = clips_of(tmp_path, nobody={}, german={"language": "de"}, silent={"media": "silent.wav"},
                     fails={"end": 0.5}, long={"media": "long.wav"})
    notes = {name: inspected(clip, tmp_path)["notes"] for name, clip in clips.items()}
    assert notes == {
        "nobody": ["no words: nobody is heard to speak"],
        "german": ["no words: the clip's language is de, and English is recognised"],
        "silent": ["no words: the sound is silent"],
        "fails": ["no words: recognition failed (RuntimeError: no such token)"],
        "long": ["no words: clips of up to 0.05 minutes are recognised; cut it"]}


@pytest.mark.slow
def test_what_was_recognised_and_missed_is_shown(tmp_path, capsys):
    """A film without sound, and a recogniser that is not asked."""
    import hostile_media

    (tmp_path / "media").mkdir()
    (tmp_path / "media" / "mute.mp4").write_bytes(hostile_media.make_seeds()["mp4"])
    assert prepare("folder", tmp_path / "media", tmp_path / "out", "--no-faces", "--transcribe") == 0
    said = capsys.readouterr().out
    assert "recognised in 0 clips" in said and "1 clips: no words: " in said


@pytest.mark.slow
def test_real_clips_are_recognised_and_a_kill_changes_nothing(shared_data, tmp_path):
    for clip in sorted((shared_data / "clips" / "ravdess_av").rglob("*.mp4"))[:3]:
        (tmp_path / "media").mkdir(exist_ok=True)
        shutil.copy(clip, tmp_path / "media" / clip.name)
    assert prepare("folder", tmp_path / "media", tmp_path / "whole", "--transcribe", "--no-faces") == 0
    rows = rows_of(tmp_path / "whole" / "manifest.jsonl")
    assert all(re.search("kids|dogs", row["words"].lower()) for row in rows)
    job = start("folder", "--root", tmp_path / "media", "--output", tmp_path / "killed", "--processes", 1,
                "--transcribe", "--no-faces")
    journal, until = tmp_path / "killed" / "journal.jsonl", time.monotonic() + 300
    while time.monotonic() < until and not (journal.is_file() and journal.stat().st_size):
        time.sleep(0.01)
    job.send_signal(signal.SIGKILL)
    job.communicate()
    assert 1 <= journal.read_bytes().count(b"\n") < 3
    assert prepare("folder", tmp_path / "media", tmp_path / "killed", "--transcribe", "--no-faces") == 0
    for name in ("manifest.jsonl", "skipped.jsonl", "report.html"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_words_and_crops_that_are_not_there_are_counted(tmp_path):
    record = READERS["mercaptionplus"].corpus
    assert companion_notes(record, tmp_path, 10, 4, 9, 0) == [
        "6 of 10 clips have no words: subtitle_chieng.csv is not there",
        "9 of 9 clips have no official face crops: openface_face/ is not there"]
    (tmp_path / "subtitle_chieng.csv").touch()
    (tmp_path / "openface_face").mkdir()
    assert companion_notes(record, tmp_path, 10, 4, 9, 8) == [
        "6 of 10 clips have no words: not in subtitle_chieng.csv",
        "1 of 9 clips have no official face crops: some are not in openface_face/"]
    assert companion_notes(record, tmp_path, 10, 10, 9, 9) == []
    assert companion_notes(READERS["ravdess"].corpus, tmp_path, 10, 0, 9, 0) == []
    assert companion_notes(None, tmp_path, 10, 0, 9, 0) == []


def test_files_that_are_absent_are_counted_by_reason_with_the_place_below_the_root(tmp_path, capsys):
    write_sound(tmp_path / "a.wav", 1)
    manifest = write_manifest(tmp_path / "m.jsonl", [{"id": "a", "media": "a.wav", "labels": ["happy"]}] + [
        {"id": f"{number}", "media": f"clips/{number}.mp4"} for number in range(30)])
    assert prepare("manifest", manifest, tmp_path / "out") == 0
    place = f"clips/0.mp4 below {tmp_path}"
    assert f"30: no such file; check the path, as {place}" in capsys.readouterr().out
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert place in page and page.count("no such file") == 11 and "20 more; skipped.jsonl lists all" in page
    assert "the lexicon knows all" in page


def test_preparing_is_timed_beside_decoding(tmp_path, capsys):
    from affectgpt.prepare.benchmark import decode, main

    write_sound(tmp_path / "media" / "a.wav", 1, 2.0)
    (tmp_path / "media" / "b.wav").write_bytes(b"RIFF")
    assert abs(decode(tmp_path / "media" / "a.wav") - 2.0) < 0.6 and decode(tmp_path / "media" / "b.wav") == 0
    assert main([str(tmp_path / "media"), "--processes", "1", "--rounds", "1", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["files"], row["usable"]) == (2, 1) and row["ratio"] > 0
    assert row["prepare_files_per_second"] == pytest.approx(2 / row["prepare_seconds"], rel=0.2)
