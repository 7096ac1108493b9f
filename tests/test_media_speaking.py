"""Who speaks, of the faces of a clip: faces are followed, and the one whose mouth moves with the sound is taken."""

from __future__ import annotations

import json

import numpy as np
import pytest

from affectgpt.media import MediaError, choose_speaker, find_tracks, read_track, speaking, tracks, write_track
from affectgpt.media.faces import Box
from affectgpt.media.tracks import FaceTrack
from affectgpt.synthetic import corpus
from affectgpt.synthetic.painter import Pose

LEFT, RIGHT = 0, 1


@pytest.fixture(scope="module")
def people():
    """Pictures of two drawn people: one who speaks, and one who moves the head in silence; and the speaker's sound."""
    speaker, other = corpus.plan_clip(0), corpus.plan_clip(3)
    frames, waveform = corpus.render_clip(speaker)
    painter, dice = corpus._painter(other.speaker.look), np.random.default_rng(5)
    sway = [corpus._smooth_noise(dice, len(frames), 9) for _ in range(3)]
    still = np.stack([painter.draw({}, Pose(x=0.03 * a, y=0.02 * b, yaw=0.08 * c, blink=float(number % 23 == 4)), 0.0,
                                   0.0) for number, (a, b, c) in enumerate(zip(*sway))])
    return frames, still, waveform


@pytest.fixture(scope="module")
def two_faces(people, tmp_path_factory):
    """Side -> a clip in which the person on that side speaks."""
    folder = tmp_path_factory.mktemp("two")
    frames, still, waveform = people
    clips = {}
    for side, pair in ((LEFT, (frames, still)), (RIGHT, (still, frames))):
        clips[side] = folder / f"{side}.mp4"
        corpus.write_clip(clips[side], np.concatenate(pair, axis=2), waveform)
    clips["silent"] = folder / "silent.mp4"
    corpus.write_clip(clips["silent"], np.concatenate((frames, still), axis=2), np.zeros_like(waveform))
    clips["one"] = folder / "one.mp4"
    corpus.write_clip(clips["one"], frames, waveform)
    return clips


def side_of(track: FaceTrack) -> int:
    return int(track.boxes[:, [0, 2]].mean() > track.width / 2)


def test_every_face_of_a_clip_is_followed(two_faces):
    found = find_tracks(two_faces[LEFT])
    assert (found.width, found.height) == (448, 224) and len(found.tracks) == 2 and found.note is None
    assert sorted(side_of(track) for track in found.tracks) == [LEFT, RIGHT]
    for track in found.tracks:
        assert len(track.times) > 0.7 * len(found.times) and (np.diff(track.times) > 0).all()
        assert np.ptp(track.boxes.mean(axis=1)) < 40


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_the_face_that_speaks_is_taken(two_faces, side):
    found = find_tracks(two_faces[side])
    choice = choose_speaker(found, two_faces[side])
    assert choice.rule == speaking.SPEAKER and side_of(choice.track) == side
    assert choice.confidence > 0.8 and len(choice.correlations) == 2
    assert (choice.track.rule, choice.track.confidence) == (choice.rule, choice.confidence)


@pytest.mark.parametrize("side", [LEFT, RIGHT])
def test_a_span_is_judged_by_itself(two_faces, side):
    span = (0.4, 1.9)
    found = find_tracks(two_faces[side], span)
    assert found.times[0] >= 0.3 and found.times[-1] < 1.9
    assert side_of(choose_speaker(found, two_faces[side], span).track) == side


def test_without_sound_the_largest_face_is_taken_and_the_rule_says_so(two_faces):
    found = find_tracks(two_faces["silent"])
    choice = choose_speaker(found, two_faces["silent"])
    assert choice.rule == speaking.NO_SOUND and choice.confidence == 0.0
    assert choice.track.area == max(track.area for track in found.tracks)


def test_one_face_and_none(two_faces, tmp_path):
    choice = choose_speaker(find_tracks(two_faces["one"]), two_faces["one"])
    assert (choice.rule, choice.confidence) == (speaking.ONLY, 1.0)
    corpus.write_clip(tmp_path / "grey.mp4", np.full((20, 64, 64, 3), 90, np.uint8), np.zeros(25600, np.float32))
    found = find_tracks(tmp_path / "grey.mp4")
    assert not found.tracks and "no face" in found.note
    assert choose_speaker(found, tmp_path / "grey.mp4").rule == speaking.NO_FACE


def test_a_real_person_is_one_face(shared_data):
    path = sorted((shared_data / "clips" / "ravdess_av").glob("*.mp4"))[0]
    found = find_tracks(path)
    choice = choose_speaker(found, path)
    assert choice.rule == speaking.ONLY and len(choice.track.times) > 0.8 * len(found.times)


def test_motion_without_relation_to_the_sound_decides_nothing():
    times, dice = np.arange(200) / 25, np.random.default_rng(0)
    loud = np.abs(np.sin(times * 5))
    values = [speaking.correlation(dice.random(200), loud, times)[0] for _ in range(20)]
    assert np.median(values) < speaking.MIN_CORRELATION
    late = np.roll(loud, 2) + 0.1 * dice.random(200)
    assert speaking.correlation(late, loud, times)[0] > 0.95  # within the lag
    assert speaking.correlation(np.zeros(200), loud, times) == (0.0, 0)
    assert speaking.correlation(np.roll(late, 8), loud, times)[0] < 0.5  # beyond it


def test_boxes_are_linked_by_overlap_across_gaps():
    one, other = Box(0, 0, 20, 20, 1), Box(50, 0, 70, 20, 1)
    near = Box(3, 2, 23, 22, 1)
    chains = tracks.link([[one, other], [other], [other, near], []], np.arange(4) * 0.5)
    assert sorted(sorted(chain) for chain in chains) == [[0, 1, 2], [0, 2]]
    late = tracks.link([[one], [], [], [], [], [near]], np.arange(6) * 0.5)
    assert len(late) == 2  # seen again after too long


def test_a_track_is_written_and_read(tmp_path):
    track = FaceTrack(64, 48, np.array([0.0, 0.5]), np.array([[1.0, 2, 30, 40], [3, 2, 32, 40]]), np.array([5.0, 6]),
                      speaking.SPEAKER, 0.93)
    write_track(tmp_path / "a.json", track)
    again = read_track(tmp_path / "a.json")
    assert np.array_equal(again.boxes, track.boxes) and np.array_equal(again.times, track.times)
    assert (again.rule, again.confidence, again.width, again.height) == (speaking.SPEAKER, 0.93, 64, 48)
    assert again.at(np.array([-1.0, 0.25, 9.0]))[:, 0].tolist() == [1, 2, 3]


GOOD = {"format": "affectgpt-face-track", "version": 1, "width": 64, "height": 48, "fps": 10,
        "boxes": [[0, 0, 20, 20], None, [4, 0, 24, 20]]}


def test_a_track_of_frames_a_second_may_have_gaps(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    track = read_track(tmp_path / "a.json")
    assert track.times.tolist() == [0.0, 0.2] and track.scores.tolist() == [1, 1] and track.rule is None


@pytest.mark.parametrize("change, message", [
    ({"format": "other"}, "no face track"), ({"version": 2}, "version 2"), ({"width": 0}, "width"),
    ({"width": 64.0}, "width"), ({"height": True}, "height"), ({"fps": 0}, "fps"), ({"fps": "10"}, "fps"),
    ({"times": [0, 1, 2]}, "either times or fps"), ({"boxes": [[0, 0, 20]]}, "box 0"),
    ({"boxes": [[5, 0, 5, 20]]}, "box 0"), ({"boxes": [[0, 0, "9", 20]]}, "box 0"), ({"boxes": {}}, "boxes"),
    ({"boxes": [[64, 0, 70, 20]]}, "outside"), ({"scores": [1]}, "scores"), ({"confidence": 2}, "confidence"),
    ({"rule": 3}, "rule"), ({"more": 1}, "unknown key"), ({"scores": [1, 2, None]}, "score 2"),
])
def test_a_track_that_cannot_be_one_is_refused(tmp_path, change, message):
    (tmp_path / "a.json").write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(MediaError, match=message) as error:
        read_track(tmp_path / "a.json")
    assert str(error.value).startswith(f"{tmp_path / 'a.json'}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"format": NaN}', "[" * 100_000, "\xff"])
def test_text_that_is_no_track_is_refused(tmp_path, text):
    (tmp_path / "a.json").write_text(text, encoding="latin-1")
    with pytest.raises(MediaError, match="a.json"):
        read_track(tmp_path / "a.json")
    with pytest.raises(MediaError, match="no such face track"):
        read_track(tmp_path / "b.json")


@pytest.mark.parametrize("times", [[0, 0, 1], [-1, 0, 1], [0, 2, 1], [0, 1], ["0", 1, 2]])
def test_times_of_a_track_ascend(tmp_path, times):
    value = {**{key: value for key, value in GOOD.items() if key != "fps"}, "times": times,
             "boxes": [[0, 0, 20, 20]] * 3}
    (tmp_path / "a.json").write_text(json.dumps(value))
    with pytest.raises(MediaError, match="times must"):
        read_track(tmp_path / "a.json")
