"""Faces from elsewhere: official crops, face tracks, and what a clip's stream makes of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from media_fixtures import tone, write_clip
from test_processing import processor_of

from affectgpt.data.clip import Clip
from affectgpt.data.reading import load_clip, survey_clip
from affectgpt.media import FaceTrack, MediaError, count_crops, face_crops, read_crops, read_frames, write_track

BLUE_IN_BGR = (200, 60, 10)


def crops_file(path, count=20, height=112, width=112, **options):
    """Crops of one colour, in BGR; the first pixel of each is its number."""
    crops = np.empty((count, height, width, 3), dtype=np.uint8)
    crops[:] = BLUE_IN_BGR
    crops[:, 0, 0] = np.arange(count)[:, None]
    np.save(path, crops, **options)
    return path


def test_crops_are_taken_evenly_and_become_rgb(tmp_path):
    path = crops_file(tmp_path / "a.npy")
    images = read_crops(path, 4, 112)
    assert images.shape == (4, 112, 112, 3) and images[:, 0, 0, 0].tolist() == [2, 7, 12, 17]
    assert images[0, 5, 5].tolist() == list(BLUE_IN_BGR[::-1])
    assert read_crops(path, 4, 112, "published")[:, 0, 0, 0].tolist() == [0, 5, 10, 15]
    assert read_crops(path, 2, 32).shape == (2, 32, 32, 3) and count_crops(path) == 20
    wide = read_crops(crops_file(tmp_path / "b.npy", height=40, width=80), 3, 64)
    assert wide.shape == (3, 64, 64, 3) and wide[0, 30, 30].tolist() == list(BLUE_IN_BGR[::-1])
    np.save(tmp_path / "none.npy", np.empty((0, 112, 112, 3), np.uint8))
    assert read_crops(tmp_path / "none.npy", 4, 32) is None and count_crops(tmp_path / "none.npy") == 0


def header(shape: str, descr="'|u1'", fortran="False", data=b"x" * 300) -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


HOSTILE = {
    "float": (header("(1, 10, 10, 3)", "'<f4'", data=b"x" * 1200), "holds float32"),
    "objects": (header("(1, 10, 10, 3)", "'|O'"), "holds object"),
    "record": (header("(1, 10, 10, 3)", "[('a', '|u1')]"), "holds"),
    "fortran": (header("(1, 10, 10, 3)", fortran="True"), "Fortran order"),
    "short": (header("(2, 10, 10, 3)"), "300 bytes of crops where its header tells of 600"),
    "long": (header("(1, 5, 5, 3)"), "300 bytes"),
    "huge": (header("(9000000000000000000, 112, 112, 3)"), "cut off or damaged"),
    "overflow": (header("(4294967296, 2048, 2048, 3)"), "cut off or damaged"),
    "side": (header("(1, 100000, 100000, 3)"), "100000 x 100000 pixels"),
    "negative": (header("(-1, 10, 10, 3)"), "shape"),
    "bool": (header("(True, 10, 10, 3)"), "shape"),
    "flat": (header("(300,)"), "shape"),
    "grey": (header("(3, 10, 10, 1)"), "shape"),
    "code": (header("__import__('os').system('true')"), "no .npy file"),
    "deep": (header("(" * 200 + ")" * 200), "no .npy file"),
    "empty": (b"", "no .npy file"), "text": (b"not an array at all", "no .npy file"),
    "version": (b"\x93NUMPY\x07\x00" + b"\0" * 64, "version"),
    "wide header": (b"\x93NUMPY\x02\x00\xff\xff\xff\x7f{}", "no .npy file"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_crops_are_refused(tmp_path, name):
    data, message = HOSTILE[name]
    (tmp_path / "a.npy").write_bytes(data)
    for reader in (count_crops, lambda path: read_crops(path, 4, 32)):
        with pytest.raises(MediaError, match=message) as error:
            reader(tmp_path / "a.npy")
        assert str(error.value).startswith(f"{tmp_path / 'a.npy'}: ") and "\n" not in str(error.value)


def test_absent_crops_are_refused(tmp_path):
    with pytest.raises(MediaError, match="no such file of face crops"):
        read_crops(tmp_path / "a.npy", 4, 32)
    with pytest.raises(MediaError, match="cannot be read"):
        read_crops(tmp_path, 4, 32)


@pytest.fixture
def clip(tmp_path):
    path = write_clip(tmp_path / "a.mp4", frames=40, rate=10, width=96, height=64, sound=tone(4))
    return Clip(id="x", media=path, words="well")


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_crops_are_the_face_stream_in_the_order_that_the_processor_takes(tmp_path, clip, order):
    processor = processor_of(streams=["audio", "face", "frame", "text"], face_channels=order)
    given = replace(clip, face=crops_file(tmp_path / "f.npy"))
    inputs = load_clip(processor, given)
    assert inputs.face.shape == inputs.frame.shape and inputs.face.dtype == torch.uint8
    assert inputs.face[0, :, 5, 5].tolist() == list(BLUE_IN_BGR[::-1] if order == "rgb" else BLUE_IN_BGR)
    assert survey_clip(processor, given)[0]["face"] == len(inputs.face)
    # The face needs no picture of its own.
    sound = write_clip(tmp_path / "s.wav", frames=0, sound=tone(1))
    alone = load_clip(processor, replace(given, media=sound))
    assert torch.equal(alone.face, inputs.face) and alone.frame is None
    with pytest.raises(MediaError, match="no such file of face crops"):
        load_clip(processor, replace(clip, face=tmp_path / "absent.npy"))


def test_a_face_track_is_the_face_stream_without_detection(tmp_path, clip):
    processor = processor_of(streams=["audio", "face", "frame", "text"])
    assert load_clip(processor, clip).face is None  # columns of grey are no face
    times = np.array([0.0, 3.9])
    track = FaceTrack(192, 128, times, np.array([[0.0, 40, 80, 120], [100, 40, 180, 120]]), np.ones(2))
    write_track(tmp_path / "f.json", track)
    given = replace(clip, face=tmp_path / "f.json")
    inputs = load_clip(processor, given)
    assert inputs.face is not None and survey_clip(processor, given)[0]["face"] == len(inputs.face)
    frames = read_frames(clip.media, processor.config.frames)
    size, margin = processor.config.visual_size, processor.config.face_margin

    class Told:
        def detect(self, image, at_least=0.0):
            from affectgpt.media import Box

            return [Box(*(track.at(np.array([next(self.times)]))[0] / 2), 1.0)]

    told = Told()
    told.times = iter(frames.times)
    same = face_crops(frames.images, size, margin, told).images
    assert np.array_equal(inputs.face.permute(0, 2, 3, 1).numpy(), same)
    with pytest.raises(MediaError, match="crops .* or a face track"):
        load_clip(processor, replace(clip, face=clip.media))


def test_a_clip_of_a_long_file_is_its_span(tmp_path, clip):
    processor = processor_of(streams=["audio", "frame", "text"])
    part = replace(clip, start=1.0, end=2.0)
    inputs = load_clip(processor, part)
    frames = read_frames(clip.media, processor.config.frames, span=(1.0, 2.0)).indices
    assert frames.min() >= 10 and frames.max() < 20 and int(inputs.audio_lengths.sum()) == 16000
    other = load_clip(processor, replace(clip, start=2.0, end=3.0))
    assert not torch.equal(inputs.frame, other.frame)
    with pytest.raises(MediaError, match="a.mp4: the span 9 s to 10 s"):
        load_clip(processor, replace(clip, start=9.0, end=10.0))
