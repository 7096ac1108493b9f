"""Captions of real talking faces with both filters, against their labels; slow, and only where the real data are."""

from __future__ import annotations

from pathlib import Path

import pytest
import two_faces

from affectgpt.caption import agreement, job, settings, votes
from affectgpt.caption.cue_models import MeasuredFace
from affectgpt.caption.filters import Caption
from affectgpt.data.clip import Clip
from affectgpt.data.readers import manifest, ravdess
from affectgpt.files import read_jsonl, write_jsonl
from affectgpt.media import read_track
from affectgpt.prepare.job import main as prepare

pytestmark = pytest.mark.slow


def test_captions_of_ravdess_beat_chance_and_the_filters_reject_with_reasons(shared_data, tmp_path, monkeypatch):
    """Classifiers hear other actors than those that they vote on; the numbers of docs/corpora.md come from all of
    them, these from a few."""
    monkeypatch.chdir(tmp_path)
    clips = ravdess.read(shared_data / "clips" / "ravdess_av")
    heard = [clip for clip in ravdess.read(shared_data / "clips" / "ravdess_audio")
             if clip.speaker in ("actor02", "actor03", "actor04", "actor05", "actor07")]
    write_jsonl("labelled.jsonl", ({"id": clip.id, "corpus": clip.corpus, "media": clip.media.name,
                                    "speaker": clip.speaker, "emotion": clip.targets.emotion,
                                    "sentiment": clip.targets.sentiment} for clip in heard))
    recipe = settings.load("caption-starter", [
        f"source.manifests=ravdess:{shared_data / 'clips' / 'ravdess_av'}", "output=out",
        "high.labelled=labelled.jsonl", f"high.labelled_root={shared_data / 'clips' / 'ravdess_audio'}",
        "high.votes=2", "high.epochs=20", "high.folds=2"])
    kept = job.run(recipe).total()
    references = {clip.id: votes.targets_of(clip) for clip in clips}
    shares = []
    for name in ("unfiltered", "manifest"):
        found = [Caption(clip.id, clip.targets.description, clip.targets.labels, clip.targets.sentiment)
                 for clip in manifest.read(tmp_path / "out" / f"{name}.jsonl")]
        first, _ = agreement.emotion_agreement(found, references)
        assert first.share > first.chance + 0.1
        shares.append(first)
    assert shares[0].n == 71 and shares[1].n == kept and 0 < kept < 71
    rejected = [row for _, row in read_jsonl("out/rejected.jsonl")]
    assert len(rejected) == 71 - kept and {"high"} < {row["level"] for row in rejected} <= {"low", "high"}
    assert all(row["detail"] and row["reason"] for row in rejected)


@pytest.fixture
def takes(shared_data):
    """Name of a take -> (frames, sound)."""
    folder = shared_data / "clips" / "ravdess_av"
    return lambda name: two_faces.take(folder / f"{name}.mp4")


def test_of_two_faces_the_speakers_passes_and_one_that_is_not_sure_to_be_is_left_out(takes, tmp_path, monkeypatch):
    """prepare -> caption, on clips of two people of whom one is heard and the other sits there in silence."""
    monkeypatch.chdir(tmp_path)
    Path("in").mkdir()
    speaker, sound = takes("01-01-06-02-01-01-05_full")
    listener = two_faces.silent(*takes("01-01-08-01-01-02-06"))
    two_faces.side_by_side(Path("in/left.mp4"), speaker, listener, sound)
    two_faces.side_by_side(Path("in/right.mp4"), listener, speaker, sound)
    two_faces.side_by_side(Path("in/dumb.mp4"), speaker, listener, 0 * sound)
    # Here the wrong mouth fits the sound a little better than the right one.
    unclear, its_sound = takes("01-01-04-02-01-02-05_full")
    other = two_faces.silent(*takes("01-01-08-02-01-01-19"))
    two_faces.side_by_side(Path("in/unclear.mp4"), other, unclear, its_sound)
    assert prepare(["folder", "--root", "in", "--output", "prepared", "--processes", "1"]) == 0
    found = {clip.id: clip for clip in manifest.read(Path("prepared/manifest.jsonl"))}
    tracks = {name.removesuffix(".mp4"): read_track(clip.face) for name, clip in found.items()}
    for name, side in (("left", 0), ("right", 1)):
        track = tracks[name]
        assert int(track.boxes[:, [0, 2]].mean() > two_faces.SIDE) == side
        assert track.rule == "audio-visual" and track.confidence > 0.99
    assert tracks["dumb"].rule == "largest-no-sound" and tracks["unclear"].confidence < 0.9
    job.run(settings.load("caption-starter", ["source.manifests=prepared/manifest.jsonl", "output=out",
                                              "low.length_low=0", "low.length_high=1"]))
    rejected = {row["id"]: row for _, row in read_jsonl("out/rejected.jsonl")}
    assert set(rejected) == {"dumb.mp4", "unclear.mp4"}
    assert {row["reason"] for row in rejected.values()} == {"not the speaker"}
    kept = {clip.id: clip for clip in manifest.read(Path("out/manifest.jsonl"))}
    assert set(kept) == {"left.mp4", "right.mp4"}
    # The face that is described is the speaker's: it is the same whichever side it is on, and not the listener's.
    faces = {row["clip"].rpartition("/")[2]: row["value"]["facts"] for _, row in read_jsonl("out/journal.jsonl")
             if row["stage"] == "visual"}
    listened = MeasuredFace(8).cues([Clip("x", media=two_faces.side_by_side(Path("in/x.mp4"), listener, listener,
                                                                            sound))])
    near, far = ({name: abs(faces["left.mp4"][name] - other[name]) for name in other}
                 for other in (faces["right.mp4"], next(iter(listened))["facts"]))
    assert max(near.values()) < max(far.values())
