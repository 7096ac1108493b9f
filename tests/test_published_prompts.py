"""The `published` preset: its prompts in every mode, and its preprocessing."""

from __future__ import annotations

import numpy as np
import pytest
import tiny
from tiny import parts  # noqa: F401  a fixture

from affectgpt import loading, media
from affectgpt.data.inputs import Inputs
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.prompting import Outside, Stream, Text, published_pieces

SEGMENTS = {
    "M": "The audio and video merged info is: <Multi><MultiHere></Multi>. ",
    "A": "The audio content is as follows: <Audio><AudioHere></Audio>. ",
    "F": "Meanwhile, we uniformly sample raw frames from the video and extract faces from these frames: "
         "<Video><FaceHere></Video>. ",
    "R": "Meanwhile, we uniformly sample raw frames from the video: <Video><FrameHere></Video>. ",
    "F+": "Additionally, we uniformly sample raw frames from the video and extract faces from these frames: "
          "<Video><FaceHere></Video>. ",
    "F0": "We uniformly sample raw frames from the video and extract faces from these frames: "
          "<Video><FaceHere></Video>. ",
    "R0": "We uniformly sample raw frames from the video: <Video><FrameHere></Video>. ",
    "r0": "we uniformly sample raw frames from the video: <Video><FrameHere></Video>. ",
    "T": "The subtitle of this video is: <Subtitle>I said so</Subtitle>. ",
    "Q": "Now, please answer my question based on all the provided information. How does she feel? ###Assistant: ",
    "H": "###Human: ",
}
MODES = {  # the official mode -> its streams and its segments
    "faceframe": ("audio frame face text", "H A R F+ T Q"),
    "face": ("audio face text", "H A F T Q"),
    "frame": ("audio frame text", "H A R T Q"),
    "audioonly": ("audio", "H A Q"),
    "textonly": ("text", "H T Q"),
    "faceonly": ("face", "H F0 Q"),
    "frameonly": ("frame", "H R0 Q"),
    "audio_text": ("audio text", "A T Q"),
    "face_text": ("face text", "F0 T Q"),
    "frame_text": ("frame text", "r0 T Q"),
    "multiface_text": ("fusion text", "H M T Q"),
    "multiface_audio_face_text": ("fusion audio face text", "H M A F T Q"),
    "multiframe_audio_frame_text": ("fusion audio frame text", "H M A R T Q"),
    "multiface_audio_face_frame_text": ("fusion audio face frame text", "H M A F R T Q"),
}
HERE = {"audio": "<AudioHere>", "face": "<FaceHere>", "frame": "<FrameHere>", "fusion": "<MultiHere>"}


@pytest.mark.parametrize("mode", MODES)
def test_every_published_mode(mode):
    have, segments = MODES[mode]
    streams = [stream for stream in have.split() if stream != "text"]
    pieces = published_pieces(streams, "I said so" if "text" in have else None, "How does she feel?")
    shown = "".join(HERE[piece.name] if isinstance(piece, Stream) else piece.text for piece in pieces)
    assert shown == "".join(SEGMENTS[name] for name in segments.split())
    outside = [piece.text for piece in pieces if isinstance(piece, Outside)]
    assert outside == (["I said so"] if "text" in have else []) + ["How does she feel?"]
    assert not any("<AudioHere>" in piece.text for piece in pieces if isinstance(piece, Text))


def test_published_prompt_repeats_a_placeholder_for_each_token(parts):  # noqa: F811
    config = tiny.config(parts, preset="published", audio="hubert", visual="clip", audio_tokens=3, face_tokens=2,
                         frame_tokens=2, fusion_tokens=4)
    processor = AffectGPTProcessor(loading.load_tokenizer(config.llm), config)
    ids = processor.prompt_ids(["fusion", "audio", "face"], "I said so", "How does she feel?")
    text = "".join(SEGMENTS[name] for name in "H M A F T Q".split())
    for token, count in (("<MultiHere>", 4), ("<AudioHere>", 3), ("<FaceHere>", 2)):
        text = text.replace(token, token * count)
    assert ids == processor.tokenizer(text, add_special_tokens=False).input_ids


def test_published_preset_keeps_the_quirks(parts):  # noqa: F811
    config = AffectGPTConfig(preset="published")
    assert config.face_channels == "bgr" and not config.attention_softmax and config.shared_visual_projection
    processor = AffectGPTProcessor(tiny.tokenizer(), config)
    tokenizer = processor.tokenizer
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", "<|im_end|>"])
    sample = processor.training_sample(Inputs(words="hm"), "Why?", "sad")
    assert sample["input_ids"][0] == start and sample["input_ids"][-1] == end
    assert processor.inference_sample(Inputs(words="hm"), "Why?")["input_ids"][0] != start
    assert tokenizer.decode([i for i in sample["labels"] if i != -100]).endswith("sad###<|im_end|>")
    # Eight windows of 2 s, the last starting (duration - 2) * 7 / 8: the end of the clip is not heard.
    waveform = np.arange(10 * media.SAMPLE_RATE, dtype=np.float32)
    windows, lengths = processor.windows(waveform)
    assert windows.shape == (8, 1, 32000) and set(lengths.tolist()) == {32000}
    assert windows[:, 0, 0].tolist() == [number * 16000 for number in range(8)]
