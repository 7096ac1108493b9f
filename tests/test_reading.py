"""What an odd or damaged stream costs a clip: itself, or a clear refusal; never more, and never in silence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_fixtures import tone, write_clip
from test_media_shapes import joined_ts
from test_media_sound import float_wav, tracks
from test_processing import processor_of

from affectgpt.data.clip import Clip
from affectgpt.data.reading import load_clip
from affectgpt.eval.answering import rival_media
from affectgpt.media import MediaError, probe, read_audio, read_frames


def load(path: Path, **options):
    return load_clip(processor_of(), Clip(id="x", media=path, words="I said so"), **options)


def damaged(path: Path, stream: str) -> Path:
    """A clip whose picture or sound packets hold other bytes, all of them; its index is whole."""
    import av

    write_clip(path, frames=20, sound=tone(2), container_options={"movflags": "faststart"})
    data = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        chosen = container.streams.video[0] if stream == "picture" else container.streams.audio[0]
        for entry in chosen.index_entries:
            data[entry.pos : entry.pos + entry.size] = b"\xaa" * entry.size
    path.write_bytes(data)
    return path


def test_silent_sound_costs_the_sound(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=10, sound=np.zeros((1, 16000), dtype=np.float32))
    inputs = load(path)
    assert inputs.media_streams == ["frame"] and inputs.words == "I said so"
    assert "the sound is silent" in inputs.notes and "no sound in this clip" not in inputs.notes
    rival = rival_media.load(Clip(id="x", media=path), {"audio", "frame"}, 4, "pyav")
    assert rival.sound is None and rival.notes == ["the sound is silent"]


def test_what_was_done_to_a_stream_is_noted(tmp_path):
    call = joined_ts(tmp_path / "call.ts", (64, 48), (128, 96))
    assert any("changes its size" in note for note in load(call, streams=["frame"]).notes)
    samples = tone(1)[0]
    samples[7] = np.nan
    assert any("no finite numbers" in note for note in load(float_wav(tmp_path / "nan.wav", samples)).notes)


def test_the_track_can_be_chosen(tmp_path):
    path = tracks(tmp_path / "two.mkv", tone(1), tone(2))
    seconds = [float(load(path, track=track).audio_lengths.sum()) / 16000 for track in (None, 0, 1)]
    assert seconds == pytest.approx([1, 1, 2], abs=0.05)
    assert "2 sound tracks: track 0 is heard" in load(path).notes


@pytest.mark.parametrize(("stream", "whole", "words"), [
    ("sound", "frame", r"\d+ of \d+ sound packets cannot be decoded"), ("picture", "audio", "no frame can be decoded"),
])
def test_a_damaged_stream_refuses_the_clip_by_name_and_leaves_the_other_to_who_asks(tmp_path, stream, whole, words):
    path = damaged(tmp_path / "clip.mp4", stream)
    with pytest.raises(MediaError, match=f"{path}: {words}"):
        load(path)
    with pytest.raises(MediaError, match=words):
        rival_media.load(Clip(id="x", media=path), {"audio", "frame"}, 4, "pyav")
    assert load(path, streams=[whole]).media_streams == [whole]
    info = probe(path)
    if stream == "sound":
        assert info.has_video and len(read_frames(path, 4).images) == 4
    else:
        assert (info.has_video, info.has_audio, info.kind) == (False, True, "audio")
        assert words in info.picture_error and len(read_audio(path)) > 30000


def test_codecs_that_nobody_knows(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=10, sound=tone(1))
    data = path.read_bytes()
    for boxes, stream, whole in (((b"avc1",), "picture", "audio"), ((b"mp4a", b"esds"), "sound", "frame")):
        place = data.index(b"stsd") if stream == "picture" else data.rindex(b"stsd")
        head, tail = data[:place], data[place:]
        for box in boxes:
            tail = tail.replace(box, b"qqqq", 1)
        other = tmp_path / f"{stream}.mp4"
        other.write_bytes(head + tail)
        with pytest.raises(MediaError, match=f"the {stream}'s codec is not known"):
            load(other)
        assert load(other, streams=[whole]).media_streams == [whole]


def test_a_clip_in_which_nothing_can_be_decoded_says_why(tmp_path):
    path = write_clip(tmp_path / "clip.mp4", frames=10)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    data[start : data.index(b"moov") - 4] = b"\xaa" * (data.index(b"moov") - 4 - start)
    path.write_bytes(data)
    for streams in (None, ["frame"], ["audio"]):
        with pytest.raises(MediaError, match="no frame can be decoded"):
            load(path, streams=streams)
