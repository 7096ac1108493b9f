"""The processor: files -> tensors, samples -> batches."""

from __future__ import annotations

import math

import media_fixtures
import numpy as np
import pytest
import tiny
import torch
from PIL import Image
from tiny import parts  # noqa: F401  a fixture

from affectgpt import media
from affectgpt.data.clip import Clip
from affectgpt.data.inputs import Inputs
from affectgpt.data.reading import load_clip
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor


def processor_of(**values) -> AffectGPTProcessor:
    config = AffectGPTConfig(**{**tiny.SMALL, "streams": tiny.ALL_STREAMS, "visual_size": 32, **values})
    return AffectGPTProcessor(tiny.tokenizer(), config)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("media")
    sound = media_fixtures.tone(1.5)
    return {
        "video": media_fixtures.write_clip(folder / "video.mp4", frames=15, sound=sound),
        "silent": media_fixtures.write_clip(folder / "silent.mp4", frames=15),
        "sound": media_fixtures.write_clip(folder / "sound.wav", frames=0, sound=sound),
        "other": media_fixtures.write_clip(folder / "other.wav", frames=0, sound=media_fixtures.tone(0.5)),
    }


def load(processor, path, **values) -> Inputs:
    return load_clip(processor, Clip(id="x", media=path, words="I said so", **values))


# ---------------------------------------------------------------------------- media


def test_video_gives_sound_and_frames(clips):
    inputs = load(processor_of(), clips["video"])
    assert inputs.media_streams == ["audio", "frame"] and inputs.words == "I said so"
    assert inputs.frame.shape == (3, 3, 32, 32) and inputs.frame.dtype == torch.uint8
    assert inputs.audio_lengths.sum() == pytest.approx(1.5 * media.SAMPLE_RATE, abs=2000)
    assert len(inputs.notes) == 1 and "no face" in inputs.notes[0]  # the pictures are stripes


@pytest.mark.parametrize("name, streams, notes", [
    ("silent", ["frame"], ["no sound", "no face"]),
    ("sound", ["audio"], ["no picture"]),
])
def test_what_is_missing_is_noted(clips, name, streams, notes):
    inputs = load(processor_of(), clips[name])
    assert inputs.media_streams == streams
    for found, wanted in zip(inputs.notes, notes, strict=True):
        assert wanted in found


def test_a_separate_sound_file_replaces_the_sound(clips):
    inputs = load(processor_of(), clips["video"], audio=clips["other"])
    assert inputs.audio_lengths.sum() == pytest.approx(0.5 * media.SAMPLE_RATE, abs=10)
    assert inputs.frame is not None
    inputs = load(processor_of(), None, audio=clips["other"])
    assert inputs.media_streams == ["audio"]


def test_only_wanted_streams_are_read(clips):
    processor = processor_of()
    clip = Clip(id="x", media=clips["video"], words="I said so")
    assert load_clip(processor, clip, ["audio"]).media_streams == ["audio"]
    assert load_clip(processor, clip, ["audio"]).words is None
    assert (
        load_clip(processor, clip, ["text"]).media_streams == []
        and load_clip(processor, clip, ["text"]).words == "I said so"
    )
    assert load_clip(processor, clip, ["fusion"]).audio is not None  # made of sound and face
    assert load_clip(processor_of(streams=["frame"]), clip, ["audio", "frame"]).media_streams == ["frame"]


def test_bad_files_raise(tmp_path):
    for name, content in (("empty.mp4", b""), ("text.mp4", b"hello, I am text")):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(media.MediaError, match=name):
            load(processor_of(), path)
    with pytest.raises(media.MediaError, match="missing.mp4"):
        load(processor_of(), tmp_path / "missing.mp4")


@pytest.mark.parametrize("keep_aspect", [True, False])
def test_pictures_keep_their_aspect_or_are_stretched(tmp_path, keep_aspect):
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, :16] = (255, 0, 0)  # a fifth at the left: a centre crop loses it
    path = tmp_path / "wide.png"
    Image.fromarray(picture).save(path)
    frame = load(processor_of(keep_aspect=keep_aspect), path).frame
    assert frame.shape == (1, 3, 32, 32)
    red = frame[0, 0].float().mean(0)
    assert (red[0] > 200) == (not keep_aspect) and red[-1] < 20


@pytest.fixture(scope="module")
def talking_face(tmp_path_factory):
    from affectgpt.synthetic.corpus import plan_clip, render_clip, write_clip

    path = tmp_path_factory.mktemp("face") / "face.mp4"
    frames, waveform = render_clip(plan_clip(0, 0, 3))
    write_clip(path, frames[:12], waveform[: media.SAMPLE_RATE])
    return path


def test_faces_are_cut_out_in_the_colours_asked_for(talking_face):
    rgb, bgr = load(processor_of(), talking_face), load(processor_of(face_channels="bgr"), talking_face)
    assert rgb.face.shape == (3, 3, 32, 32) and rgb.face.dtype == torch.uint8 and not rgb.notes
    assert torch.equal(bgr.face, rgb.face.flip(1)) and not torch.equal(rgb.face, bgr.face)
    assert torch.equal(rgb.frame, bgr.frame)
    skin = rgb.face[:, :, 8:24, 8:24].float().mean((0, 2, 3))
    assert skin[0] > skin[2] + 10  # skin is more red than blue


# ---------------------------------------------------------------------------- windows of sound


@pytest.mark.parametrize("samples", [1, 799, 8000, 8001, 24000, 100001])
def test_windows_hold_the_whole_clip_in_order(samples):
    processor = processor_of(audio_window_seconds=0.5)
    waveform = np.linspace(-1, 1, samples, dtype=np.float32)
    windows, lengths = processor.windows(waveform)
    assert windows.shape == (math.ceil(samples / 8000), 1, windows.shape[-1]) and windows.shape[-1] <= 8000
    joined = torch.cat([window[0, :length] for window, length in zip(windows, lengths, strict=True)])
    assert torch.equal(joined, torch.from_numpy(waveform))


# ---------------------------------------------------------------------------- batches


@pytest.mark.parametrize("side", ["right", "left"])
def test_collate_pads_on_the_side_asked_for(side):
    processor = processor_of(audio_window_seconds=0.5)
    samples = [processor.training_sample(inputs, "Why?", "sad") for inputs in tiny.mixture(processor)]
    batch = processor.collate(samples, side)
    longest = max(len(sample["input_ids"]) for sample in samples)
    for row, sample in enumerate(samples):
        size = len(sample["input_ids"])
        part = slice(0, size) if side == "right" else slice(longest - size, longest)
        assert batch["input_ids"][row, part].tolist() == sample["input_ids"]
        assert batch["labels"][row, part].tolist() == sample["labels"]
        assert batch["attention_mask"][row, part].all() and batch["attention_mask"][row].sum() == size
        assert (batch["labels"][row] != -100).sum() == sum(label != -100 for label in sample["labels"])
        for stream in ("audio", "face", "frame"):
            value = sample.get(stream)
            assert batch[f"{stream}_mask"][row].sum() == (0 if value is None else len(value))
            if value is not None:
                found = batch[stream][(row, *(slice(0, size) for size in value.shape))]
                assert torch.equal(found, value)
        if sample.get("audio") is not None:
            lengths = batch["audio_lengths"][row]
            assert lengths[: len(sample["audio_lengths"])].tolist() == sample["audio_lengths"].tolist()


def test_a_batch_of_words_alone_has_no_streams():
    processor = processor_of()
    batch = processor.collate([processor.inference_sample(Inputs(words="hm"), "Why?")])
    assert set(batch) == {"input_ids", "attention_mask"}


# ---------------------------------------------------------------------------- the tokenizer


def test_placeholders_are_added_once_in_the_published_order():
    tokenizer = tiny.tokenizer()
    before = len(tokenizer)
    processor = AffectGPTProcessor(tokenizer, AffectGPTConfig())
    assert len(tokenizer) == before + 5
    order = sorted(processor.config.placeholder_ids, key=processor.config.placeholder_ids.get)
    assert order == ["image", "audio", "frame", "face", "fusion"]
    AffectGPTProcessor(tokenizer, AffectGPTConfig())
    assert len(tokenizer) == before + 5


def test_processor_survives_its_folder(parts, tmp_path):  # noqa: F811
    _, processor = tiny.model_and_processor(parts)
    processor.config.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again = AffectGPTProcessor.from_pretrained(tmp_path)
    assert again.config.placeholder_ids == processor.config.placeholder_ids
    ask = (["fusion", "audio", "face"], "I said <FaceHere> 😀", "Why?")
    assert again.prompt_ids(*ask) == processor.prompt_ids(*ask)


def test_decoding_drops_control_tokens():
    processor = processor_of()
    ids = processor.tokenizer("Emotions: happy.<|im_end|><|endoftext|>").input_ids
    assert processor.decode(torch.tensor([ids])) == ["Emotions: happy."]
    options = processor_of(prompt_style="published").generation_options()
    assert options["stop_strings"] == ["###"] and not options["do_sample"]
