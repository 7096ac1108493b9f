"""What captions are made of: parts of files, the face that a clip names, corpora in any layout, their files."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from generate_fixtures import inside, manifest
from test_caption_job import KEEPS, cache, caption, rows
from test_processing import processor_of

from affectgpt.caption import job, settings, sources
from affectgpt.caption.cue_models import MeasuredFace, MeasuredVoice
from affectgpt.caption.measure import voice_facts
from affectgpt.data.clip import Clip
from affectgpt.data.links import Links
from affectgpt.data.readers import manifest as reader
from affectgpt.data.reading import load_clip, read_face
from affectgpt.data.shared import check_shared
from affectgpt.eval.answering import rival_media
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.media import FaceTrack, MediaError, find_tracks, read_frames, read_sound, write_track

SPAN = (0.5, 1.5)


@pytest.fixture
def films(manifest) -> list[Path]:
    return [clip.media for clip in reader.read(manifest) if clip.media]


def crops_file(path: Path, film: Path) -> Path:
    """The face of a film as `openface_face` has it."""
    crops, _ = read_face(Clip("x", media=film), 5, 112, 0.0)
    np.save(path, crops.images[..., ::-1])
    return path


def track_file(path: Path, film: Path, **changes) -> Path:
    write_track(path, replace(find_tracks(film).tracks[0], **changes))
    return path


def test_the_face_is_that_of_training(films, tmp_path):
    """Found, by crops, by a track, in a span: what cue models and other models see is what AffectGPT sees."""
    found = find_tracks(films[0]).tracks[0]
    moved = replace(found, boxes=found.boxes + [20, 10, 20, 10])
    write_track(tmp_path / "track.json", moved)
    plain = Clip("x", media=films[0])
    clips = [plain, replace(plain, start=SPAN[0], end=SPAN[1]), replace(plain, face=tmp_path / "track.json"),
             replace(plain, face=crops_file(tmp_path / "crops.npy", films[1])),
             Clip("x", face=tmp_path / "crops.npy")]
    faces = []
    for clip in clips:
        wanted = load_clip(processor_of(visual_size=112, face_margin=0.1), clip, ["face"]).face
        crops, _ = read_face(clip, 3, 112, 0.1)
        faces.append(crops.images)
        assert np.array_equal(crops.images.transpose(0, 3, 1, 2), wanted.numpy())
        shown = rival_media.load(clip, {"face"}, 3, "pyav").pictures
        assert np.array_equal(shown, read_face(clip, 3, rival_media.FACE_SIDE, rival_media.FACE_MARGIN,
                                               max_side=rival_media.MAX_SIDE)[0].images)
    assert len({face.tobytes() for face in faces}) == 4  # the last two are of one file
    nothing, _ = read_face(Clip("x", words="only words"), 3, 112, 0.0)
    assert nothing.images is None and nothing.note == "no picture in this clip"
    with pytest.raises(MediaError, match="x.png: a face is a file of crops"):
        read_face(replace(plain, face=tmp_path / "x.png"), 3, 112, 0.0)


def test_cues_are_of_the_span_and_of_the_face_that_is_meant(films, tmp_path):
    whole, other = Clip("a", media=films[0]), Clip("b", media=films[1])
    part = replace(whole, start=SPAN[0], end=SPAN[1])
    voices = [cue["facts"] for cue in MeasuredVoice().cues([whole, part])]
    assert voices == [voice_facts(read_sound(films[0]).waveform), voice_facts(read_sound(films[0], span=SPAN).waveform)]
    meant = replace(whole, face=crops_file(tmp_path / "other.npy", films[1]))
    faces = [cue["facts"] for cue in MeasuredFace(5).cues([whole, part, other, meant])]
    assert faces[0] != faces[1] and faces[3] == faces[2] != faces[0]
    late = replace(part, face=track_file(tmp_path / "t.json", films[0], times=np.array([90.0]),
                                         boxes=np.array([[1.0, 1, 9, 9]]), scores=np.ones(1)))
    beyond = replace(whole, start=99.0)
    cues = [*MeasuredFace(5).cues([late, beyond]), *MeasuredVoice().cues([beyond])]
    assert cues[0] == {}  # the face is not seen in the clip
    assert all("99 s" in cue["error"] for cue in cues[1:])


def test_parts_of_one_file_are_captions_of_their_own_and_a_changed_part_is_asked_anew(manifest):
    table = [row for _, row in read_jsonl(manifest)][:1]
    shared = {key: table[0][key] for key in ("media", "speaker")} | {"dialogue": "d", "group": "g", "content": "c"}
    ends = [0.9, 1.8]
    given = manifest.with_name("parts.jsonl")
    write_jsonl(given, [{"id": str(turn), "start": end - 0.9, "end": end, "turn": turn, **shared}
                        for turn, end in enumerate(ends)])
    assert caption(given, *KEEPS) == 2
    facts = {row["clip"]: row["value"]["facts"] for row in rows("journal.jsonl") if row["stage"] == "audio"}
    assert len(facts) == 2 and len({json.dumps(value) for value in facts.values()}) == 2
    one, two = reader.read(Path("out/manifest.jsonl"))
    assert (one.span, two.span, two.turn, two.group, two.dialogue, two.content) == ((0, 0.9), (0.9, 1.8), 1, "g", "d",
                                                                                    "c")
    before = len(rows("journal.jsonl"))
    write_jsonl(given, [{"id": "0", "start": 0.2, "end": 0.9, **shared}])
    assert caption(given, *KEEPS) == 1
    assert len(rows("journal.jsonl")) == before + 2  # voice and face


def test_another_file_of_the_name_is_looked_at_anew(manifest, films, tmp_path):
    (tmp_path / "in").mkdir()
    film, given = tmp_path / "in" / "film.mp4", tmp_path / "in" / "m.jsonl"
    write_jsonl(given, [{"id": "1", "media": "film.mp4"}])
    sizes = []
    for source in (films[0], films[1], films[1]):
        shutil.copy2(source, film)
        caption(given, *KEEPS)
        sizes.append(len(rows("journal.jsonl")))
    assert sizes == [2, 4, 4]


def test_prepared_clips_keep_faces_and_links_and_a_damaged_track_costs_its_clip(manifest, films, tmp_path):
    prepared, corpus = tmp_path / "prepared", films[0].parent
    (prepared / "faces").mkdir(parents=True)
    os.symlink(corpus, prepared / "media")
    track_file(prepared / "faces" / "0.json", films[0], rule="only-face", confidence=1.0)
    track_file(prepared / "faces" / "1.json", films[1], rule="audio-visual", confidence=0.3)
    (prepared / "faces" / "2.json").write_text('{"format": "other"}')
    write_jsonl(prepared / "manifest.jsonl", [
        {"id": str(number), "media": f"media/{films[number].name}", "face": f"faces/{number}.json"}
        for number in range(4)])
    assert caption(prepared / "manifest.jsonl", *KEEPS) == 1
    why = {row["id"]: (row["level"], row["reason"], row["detail"]) for row in rows("rejected.jsonl")}
    assert why["1"] == ("low", "not the speaker", "confidence 0.300 is below 0.9")
    assert why["2"][:2] == why["3"][:2] == ("description", "face track")
    assert "2.json: is no face track" in why["2"][2] and "3.json: no such face track" in why["3"][2]
    (clip,) = reader.read(Path("out/manifest.jsonl"))
    assert clip.media == films[0] and clip.face == prepared / "faces" / "0.json"
    # Captions of captions: the links of the manifest's folder are followed, and one more is made for each.
    assert caption(Path("out/unfiltered.jsonl"), *KEEPS, "low.speaker=0", output="again") == 2
    assert [clip.media for clip in reader.read(Path("again/manifest.jsonl"))] == films[:2]


def test_corpora_of_two_folders_and_files_in_neither(manifest, films, tmp_path):
    for name, film in (("a", films[0]), ("b", films[1])):
        (tmp_path / name).mkdir()
        shutil.copy(film, tmp_path / name / "x.mp4")
        write_jsonl(tmp_path / name / "m.jsonl", [{"id": "1", "media": "x.mp4"}])
    overrides = ["source.manifests=", "source.corpora.0.reader=manifest", f"source.corpora.0.root={tmp_path}/a/m.jsonl",
                 "source.corpora.1.root=${HERE}/b/m.jsonl", *KEEPS]
    with pytest.raises(ValueError, match=r"source.corpora.1.root=\$\{HERE\}/b/m.jsonl: the variable HERE is not set"):
        job.run(settings.load("caption-starter", [*overrides, "output=out"]))
    os.environ["HERE"] = str(tmp_path)
    try:
        job.run(settings.load("caption-starter", [*overrides, "output=out"]))
    finally:
        del os.environ["HERE"]
    found = reader.read(Path("out/manifest.jsonl"))
    assert [(clip.id, clip.media) for clip in found] == [(f"{name}/1", tmp_path / name / "x.mp4") for name in "ab"]
    os.symlink("loop", tmp_path / "a" / "loop")
    links = Links([tmp_path / "a", tmp_path / "absent"], Path("out"))
    ready, failed = sources.placed([Clip("1", media=tmp_path / "a" / "x.mp4"), Clip("2", media=films[2])], links)
    assert list(ready) == ["/1"] and failed["/2"][0] == "file elsewhere" and str(films[2]) in failed["/2"][1]


def test_corpora_are_named_as_in_training_and_clips_may_have_names_alone(manifest, films, tmp_path):
    root = tmp_path / "mer"
    (root / "video").mkdir(parents=True)
    for number, film in enumerate(films[:2]):
        shutil.copy(film, root / "video" / f"sample_0000000{number}.mp4")
    (root / "subtitle_chieng.csv").write_text("name,chinese,english\nother,,\n")
    (root / "track2_train_mercaptionplus.csv").write_text(
        "name,openset\nsample_00000000,[]\nsample_00000001,[]\nsample_00000002,[]\n")
    overrides = ["source.manifests=", "source.corpora.0.reader=mercaptionplus", f"source.corpora.0.root={root}",
                 "source.corpora.0.options.descriptions=false", "source.corpora.0.protocol=official", *KEEPS]
    job.run(settings.load("caption-starter", [*overrides, "output=out"]))
    assert [clip.id for clip in reader.read(Path("out/manifest.jsonl"))] == ["sample_00000000", "sample_00000001"]
    (row,) = rows("rejected.jsonl")  # its film is absent
    assert row["id"] == "sample_00000002" and row["reason"] == "audio cue" and "sample_00000002" in row["detail"]
    for bad, said in (("weight=2", "source.corpora.0.weight is for training alone"),
                      ("questions={labels: 1}", "source.corpora.0.questions is for training"),
                      ("reader=merr", "unknown corpus reader 'merr'"), ("root=null", "corpora.0.root is not set"),
                      ("options={language: zh, x: 1}", "source.corpora.0: reader mercaptionplus has no option 'x'")):
        with pytest.raises(ValueError, match=said):
            job.run(settings.load("caption-starter", [*overrides, "output=no", f"source.corpora.0.{bad}"]))
    with pytest.raises(ValueError, match="high.labelled_corpora.0.root is not set"):
        job.run(settings.load("caption-starter", [*overrides, "output=out", "high.labelled_corpora.0.reader=ravdess"]))
    assert not Path("no").exists()


def test_captions_of_clips_whose_names_are_known_elsewhere_still_cannot_leak(manifest, films):
    table = [{"id": "00000341", "corpus": corpus, "media": f"clips/{films[0].name}", "split": "train"}
             for corpus in ("mer2023", "own")]
    write_jsonl(manifest.with_name("family.jsonl"), table)
    assert caption(manifest.with_name("family.jsonl"), *KEEPS) == 2
    captions = reader.read(Path("out/manifest.jsonl"))
    assert [(clip.corpus, clip.id) for clip in captions] == [("mer2023-caption", "mer2023/00000341"),
                                                             ("caption", "own/00000341")]
    tested = [Clip("00000341", "emer", "test")]
    with pytest.raises(ValueError, match="1 of 2 training clips are validated or tested on too"):
        check_shared(captions, tested, (), "refuse")


@pytest.mark.parametrize("setting", ["source.manifests={}/manifest.jsonl", "high.labelled={}/unfiltered.jsonl",
                                     "high.predictions={}/rejected.jsonl", "low.speaker_file={}/journal.jsonl"])
def test_what_the_job_reads_is_not_written_over(manifest, setting):
    Path("own").mkdir()
    for name in ("manifest", "unfiltered", "rejected", "journal"):
        Path(f"own/{name}.jsonl").write_text('{"id": "1", "words": "glad"}\n')
    with pytest.raises(ValueError, match=rf"{setting.split('=')[0]}.*: own/\w+.jsonl would be written over"):
        caption(manifest, *KEEPS, setting.format("own"), output="own")
    assert Path("own/manifest.jsonl").read_text() == '{"id": "1", "words": "glad"}\n'
