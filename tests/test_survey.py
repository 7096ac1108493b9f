"""A survey of raw clips finds what reading them finds, with less work."""

# ruff: noqa: F401, F811  fixtures are imported and used by their names
from __future__ import annotations

from types import SimpleNamespace

import media_fixtures
import numpy as np
import pytest
from tiny import corpus, parts

from affectgpt import media
from affectgpt.data.clip import Clip
from affectgpt.data.readers import read_corpus
from affectgpt.data.reading import load_clip, survey_clip
from affectgpt.media import MediaError, faces
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.windows import cut_windows

REAL = ["faces/single_face.mp4", "faces/no_face.mp4"]


def processor(**values):
    config = AffectGPTConfig(streams=["audio", "face", "frame", "text"], fusion="none", **{"frames": 3, **values})
    return SimpleNamespace(config=config, windows=lambda waveform: cut_windows(waveform, config))


def check(reader, clip):
    positions, surveyed = survey_clip(reader, clip)
    read = load_clip(reader, clip)
    assert positions == {stream: len(getattr(read, stream)) for stream in read.media_streams}
    assert (surveyed.words, surveyed.notes) == (read.words, read.notes)
    assert surveyed.audio is surveyed.face is surveyed.frame is None
    return positions


def test_made_clips(corpus):
    found = [check(processor(), clip) for clip in read_corpus(str(corpus))[:2]]
    assert all({"face", "frame"} <= positions.keys() for positions in found)


@pytest.mark.parametrize("name", REAL)
def test_real_clips(shared_data, name):
    path = shared_data / "clips" / name
    if not path.is_file():
        pytest.skip(f"no {path}")
    assert ("face" in check(processor(), Clip(id="x", media=path))) == (name != "faces/no_face.mp4")


def test_real_voices_and_faces(shared_data):
    paths = sorted((shared_data / "clips" / "ravdess_av").rglob("*.mp4"))[:1]
    if not paths:
        pytest.skip("no clips of RAVDESS")
    for path in paths:
        assert "face" in check(processor(), Clip(id="x", media=path))


def test_sound_alone_stills_and_no_sound(tmp_path):
    media_fixtures.write_clip(tmp_path / "sound.wav", frames=0, sound=media_fixtures.tone(0.4))
    media_fixtures.write_clip(tmp_path / "mute.mp4", frames=4)
    assert check(processor(), Clip(id="x", media=tmp_path / "sound.wav")).keys() == {"audio"}
    assert check(processor(), Clip(id="x", media=tmp_path / "mute.mp4")).keys() == {"frame"}


def test_a_clip_that_breaks_on_its_way_is_found(tmp_path):
    media_fixtures.write_clip(tmp_path / "a.mp4", frames=40, sound=media_fixtures.tone(0.4))
    whole = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    clip = Clip(id="x", media=tmp_path / "cut.mkv")
    for read in (survey_clip, load_clip):
        with pytest.raises(MediaError):
            read(processor(), clip)


@pytest.mark.parametrize("seen", [[], [0], [7], [3, 4], list(range(8))])
def test_a_face_is_looked_for_until_there_is_one(seen):
    looked_at = []

    class Detector(faces.FaceDetector):
        def detect(self, image, at_least=0.0):
            looked_at.append(int(image[0, 0, 0]))
            return [faces.Box(2, 2, 8, 8, 9)] if image[0, 0, 0] in seen else []

    frames = np.zeros((8, 16, 16, 3), np.uint8) + np.arange(8, dtype=np.uint8)[:, None, None, None]
    note = media.shows_face(frames, Detector())
    assert len(looked_at) == len(set(looked_at)) and sum(number in seen for number in looked_at) == bool(seen)
    assert len(looked_at) == {0: 8, 1: 7 if seen == [0] else 8, 2: 1, 8: 1}[len(seen)]
    assert note == media.face_crops(frames, detector=Detector()).note
