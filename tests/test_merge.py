"""`affectgpt merge`: one folder with everything, the same answers, and code that needs torch and transformers alone."""
# ruff: noqa: F811

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from describe_fixtures import failed, inside, run  # noqa: F401  fixtures
from model_variants import VARIANTS
from tiny import parts  # noqa: F401  a fixture

from affectgpt import merging
from affectgpt.data.inputs import Inputs
from affectgpt.data.prompts import question_of
from affectgpt.inference import Describer
from affectgpt.merging import merge_folder
from affectgpt.model_folder import check_auto_map
from affectgpt.models.modeling import AffectGPTForConditionalGeneration as Model
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.shards import StoredTensors
from affectgpt.standalone import standalone_files, write_standalone

LIMIT = 24


def adapter(parts, folder: Path, **values) -> Path:
    model, processor = tiny.model_and_processor(parts, **values)
    model.mark_trained()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def media(seed: int = 0) -> dict:
    """Half a second of sound, three face crops, three frames and words, as a user's own code has them."""
    random = np.random.default_rng(seed)
    return {"audio": (random.standard_normal(8000) * 0.1).astype(np.float32),
            "faces": random.integers(0, 256, (3, 48, 48, 3), dtype=np.uint8),
            "frames": random.integers(0, 256, (3, 40, 64, 3), dtype=np.uint8), "text": "I am fine."}


def answers(folder: Path, **values) -> tuple[torch.Tensor, torch.Tensor]:
    """(logits of a prompt, the ids that are generated after it) of a model folder."""
    model, processor = Model.from_pretrained(folder, **values), AffectGPTProcessor.from_pretrained(folder)
    batch = processor(**media())
    with torch.no_grad():
        logits = model(**batch).logits
    return logits, model.generate(**batch, **processor.generation_options(LIMIT))


@pytest.fixture(scope="module")
def folder(parts, tmp_path_factory) -> Path:
    return adapter(parts, tmp_path_factory.mktemp("adapter") / "m", llm="llama", audio_window_seconds=0.5)


@pytest.fixture(scope="module")
def merged(folder, tmp_path_factory) -> Path:
    return merge_folder(folder, tmp_path_factory.mktemp("merged") / "m", max_shard_size="200KB")


@pytest.mark.parametrize("kind", ["whisper-clip-qformer", "hubert-clip-mean", "published"])
def test_merged_and_adapter_give_the_same_logits(parts, tmp_path, kind):
    model = adapter(parts, tmp_path / "a", **VARIANTS[kind])
    whole = merge_folder(model, tmp_path / "m")
    plain, with_lora, found = answers(model), answers(model, merge_lora=True), answers(whole)
    assert torch.equal(found[0], with_lora[0]) and torch.equal(found[1], with_lora[1])
    torch.testing.assert_close(found[0], plain[0], atol=1e-5, rtol=1e-5)
    config = json.loads((whole / "config.json").read_text())
    assert config["bundled"] and config["lora_rank"] == 0
    assert not any(config[part] for part in ("llm", "audio_encoder", "visual_encoder"))  # folders of this machine
    assert str(Path(parts["qwen2"]).parent) not in (whole / "config.json").read_text()
    again = merge_folder(whole, tmp_path / "again", max_shard_size="300KB")  # other shards of the same model
    assert torch.equal(answers(again)[0], found[0])


def test_a_bundled_model_is_merged_in_bfloat16(parts, tmp_path):
    bundled = tiny.write_bundled_model(parts, tmp_path / "b", audio_window_seconds=0.5)
    whole = merge_folder(bundled, tmp_path / "m", "bfloat16")
    wanted, found = answers(bundled, dtype="bfloat16", merge_lora=True), answers(whole)
    assert torch.equal(found[0], wanted[0])
    model = Model.from_pretrained(whole)
    assert model.dtype_of_llm == torch.bfloat16 and next(model.projectors.parameters()).dtype == torch.float32
    exact = answers(bundled)[0]
    assert 0 < (found[0] - exact).norm() / exact.norm() < 0.05


def test_a_trained_llm_is_what_is_merged(parts, tmp_path):
    model, processor = tiny.model_and_processor(parts, llm="llama", lora_rank=0, audio_window_seconds=0.5)
    model.mark_trained(llm=True)
    with torch.no_grad():
        model.language_model.get_decoder().layers[0].mlp.up_proj.weight.mul_(2)
    model.save_pretrained(tmp_path / "a")
    processor.save_pretrained(tmp_path / "a")
    assert torch.equal(answers(merge_folder(tmp_path / "a", tmp_path / "m"))[0], answers(tmp_path / "a")[0])


def test_a_base_with_names_of_another_version_is_read_by_transformers(parts, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(merging, "StoredTensors", type("Other", (StoredTensors,), {
        "__init__": lambda self, path, prefix: setattr(self, "_places", {f"{prefix}old.weight": None})}))
    assert torch.equal(answers(merge_folder(folder, tmp_path / "m"))[0], answers(folder, merge_lora=True)[0])


def test_the_command_refuses_and_replaces(capsys, folder, tmp_path):
    to = tmp_path / "m"
    code, out, _ = run(capsys, "merge", folder, "--to", to)
    assert code == 0 and out[0].startswith(f"model: {to} (0.00 GB)") and (to / "done").is_file()
    before = (to / "model.safetensors").stat().st_mtime_ns
    assert "exists already; --force" in failed(capsys, "merge", folder, "--to", to)
    assert (to / "model.safetensors").stat().st_mtime_ns == before
    assert "is the model itself" in failed(capsys, "merge", folder, "--to", folder, "--force")
    assert "not a size of shards" in failed(capsys, "merge", folder, "--to", tmp_path / "o", "--max-shard-size", "big")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("")
    assert "has no 'done' mark" in failed(capsys, "merge", folder, "--to", tmp_path / "mine", "--force")
    assert run(capsys, "merge", folder, "--to", to, "--force")[0] == 0
    assert not [path for path in tmp_path.iterdir() if path.name not in ("m", "mine")]


def test_an_interrupted_merge_leaves_nothing_that_looks_whole(folder, tmp_path):
    to = tmp_path / "m"
    code = ("import os, sys; from affectgpt.merging import merge_folder\n"
            "def stop(names):\n"
            "    for place, name in enumerate(names):\n"
            "        if place == 20: os._exit(9)\n"
            "        yield name\n"
            "merge_folder(sys.argv[1], sys.argv[2], progress=stop)")
    done = subprocess.run([sys.executable, "-c", code, folder, to], capture_output=True, text=True)
    assert done.returncode == 9, done.stderr
    left = list(tmp_path.iterdir())
    assert len(left) == 1 and left[0].suffix == ".tmp" and not to.exists()
    with pytest.raises(ValueError):
        Describer(left[0])
    merge_folder(folder, to)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


def test_too_little_room_is_told_before_anything_is_written(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10**5}))
    with pytest.raises(ValueError, match="GB are to be written and 0.0 GB are free"):
        merge_folder(folder, tmp_path / "m")
    assert not list(tmp_path.iterdir())


def test_raw_media_are_what_reading_gives(folder):
    processor = AffectGPTProcessor.from_pretrained(folder)
    given, question = media(), question_of("description", "chat")
    size = processor.config.visual_size
    given["faces"] = given["faces"][:, :size, :size]
    audio, lengths = processor.windows(given["audio"])
    face = torch.from_numpy(given["faces"]).permute(0, 3, 1, 2)
    wanted = processor.collate([processor.inference_sample(
        Inputs(audio=audio, audio_lengths=lengths, face=face, words=given["text"]), question)], side="left")
    del given["frames"]
    found = processor(**given)
    assert found.keys() == wanted.keys() and all(torch.equal(found[name], wanted[name]) for name in wanted)
    two = processor(audio=[given["audio"], None], text=["Yes.", "No."], question="What?")
    assert two["input_ids"].shape[0] == 2
    for wrong, message in (({}, "nothing to describe"), ({"audio": given["audio"][:99]}, "nothing to describe"),
                           ({"audio": given["audio"][None]}, r"give mono samples \[N\]"),
                           ({"audio": given["audio"], "sampling_rate": 8000}, "resample it first"),
                           ({"audio": given["audio"] + np.inf}, "not finite"),
                           ({"faces": face}, "give RGB pictures"),
                           ({"text": ["a"], "audio": [None] * 2}, "one a clip")):
        with pytest.raises(ValueError, match=message):
            processor(**wrong)


def test_a_loaded_model_knows_its_own_ends(merged):
    model, processor = Model.from_pretrained(merged), AffectGPTProcessor.from_pretrained(merged)
    batch, options = processor(**media()), processor.generation_options(LIMIT)
    assert torch.equal(model.generate(**batch, max_new_tokens=LIMIT), model.generate(**batch, **options))
    first = int(model.generate(**batch, max_new_tokens=1)[0, -1])
    model.generation_config.eos_token_id = first  # an answer that ends at once
    assert model.generate(**batch, max_new_tokens=LIMIT).shape == (1, 1)


ALONE = """
import sys
for name in ("affectgpt", "peft", "av", "cv2", "librosa", "torchvision"):
    sys.modules[name] = None
import numpy as np, torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor
folder, media, output = sys.argv[1:]
given = dict(np.load(media)); given["text"] = str(given["text"])
processor = AutoProcessor.from_pretrained(folder, trust_remote_code=True)
kind = AutoModelForImageTextToText if "image" in folder else AutoModelForCausalLM
model = kind.from_pretrained(folder, trust_remote_code=True)
assert type(AutoConfig.from_pretrained(folder, trust_remote_code=True)).__module__.startswith("transformers_modules.")
assert type(model).__module__.startswith("transformers_modules.") and not model.training
batch = processor(**given)
with torch.no_grad():
    logits = model(**batch).logits
torch.save((logits, model.generate(**batch, **processor.generation_options(24))), output)
"""


@pytest.mark.parametrize("form", ["merged", "adapter-image"])
def test_transformers_alone_loads_the_folder(folder, merged, tmp_path, form):
    source = merged if form == "merged" else folder
    copy = tmp_path / form
    copy.mkdir()
    for path in source.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    write_standalone(copy)
    check_auto_map(copy)
    np.savez(tmp_path / "media.npz", **media())
    done = subprocess.run([sys.executable, "-c", ALONE, copy, tmp_path / "media.npz", tmp_path / "out.pt"], text=True,
                          capture_output=True, cwd=tmp_path,
                          env={"HF_HOME": str(tmp_path / "cache"), "PATH": "", "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    logits, ids = torch.load(tmp_path / "out.pt", weights_only=True)
    wanted = answers(folder, merge_lora=True)
    assert torch.equal(logits, wanted[0]) and torch.equal(ids, wanted[1])
    saved = Model.from_pretrained(copy)
    saved.save_pretrained(tmp_path / "again")  # without the code, no file may name it
    assert "auto_map" not in json.loads((tmp_path / "again" / "config.json").read_text())


def test_the_code_names_nothing_of_the_package():
    files = standalone_files()
    assert "modeling.py" in files and "lora.py" not in files
    for name, text in files.items():
        assert "from affectgpt" not in text and "import affectgpt" not in text, name
        assert "from . import" not in text or name != "processing.py" or "from .prompting import" in text


def test_quantised_merged_folders_answer(folder, merged):
    exact = answers(merged)[0]
    found = Model.from_pretrained(merged, quantize="int8")
    batch = AffectGPTProcessor.from_pretrained(merged)(**media())
    with torch.no_grad():
        logits = found(**batch).logits
        assert torch.equal(logits, Model.from_pretrained(folder, quantize="int8")(**batch).logits)
    assert 0 < (logits - exact).norm() / exact.norm() < 0.1
