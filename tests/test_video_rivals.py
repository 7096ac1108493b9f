"""Tiny random video and omni models of the real classes: how they are loaded, shown a clip, and asked in batches."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from generate_fixtures import ask, facts, inside, manifest
from tiny_video_rivals import MODELS, needed

from affectgpt.data.clip import Clip
from affectgpt.eval.answering.answerers import Job, Request
from affectgpt.eval.answering.chat_inputs import join, load_processor
from affectgpt.eval.answering.chat_model import KEPT_MODULES, ChatAnswerer, ChatSource, load_model
from affectgpt.eval.answering.families import family_of
from affectgpt.eval.answering.rival_media import RivalInputs

OMNI = ("qwen2_5_omni", "qwen3_omni_moe")
STREAMS = ("audio", "frame", "text")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Name -> folder; written when it is asked for."""
    root = tmp_path_factory.mktemp("rivals")

    def folder(name: str) -> Path:
        if not (root / name).is_dir():
            MODELS[name](root / name)
        return root / name

    return folder


@pytest.fixture(scope="module")
def answerers(folders):
    """Name -> a model that answers, loaded once."""
    made: dict[str, ChatAnswerer] = {}

    def answerer(name: str) -> ChatAnswerer:
        if name not in made:
            source = ChatSource(Job(f"hf:{folders(name)}", "corpus", device="cpu", dtype="float32"))
            made[name] = ChatAnswerer(source, set(source.streams))
        return made[name]

    return answerer


def request(seed: int, shown=("frame", "text"), seconds: float = 3.0, words: str = "I am glad.", frames: int = 4,
            tokens: int = 5) -> Request:
    """A question about random pictures and sound."""
    random = np.random.default_rng(seed)
    height, width = 56 + 28 * (seed % 2), 84
    inputs = RivalInputs(
        random.integers(0, 256, (frames, height, width, 3), dtype=np.uint8),
        (np.arange(frames) + 0.5) * seconds / frames, random.normal(0, 0.1, round(16000 * seconds)).astype(np.float32),
        words)
    shown = tuple(stream for stream in STREAMS if stream in shown)
    return Request(Clip(str(seed)), inputs, "ask", "What does she feel?", shown, shown, tokens, seed)


@needed
@pytest.mark.parametrize("name", MODELS)
def test_processors_of_video_models_load(folders, tmp_path, name):
    hollow = Path(shutil.copytree(folders(name), tmp_path / "hollow", ignore=shutil.ignore_patterns("*.safetensors")))
    processor, tokenizer = load_processor(str(hollow), name, False)
    assert processor.video_processor is not None and processor.image_processor is not None
    assert tokenizer.padding_side == "left" and (getattr(processor, "feature_extractor", None) is not None) == (
        name in OMNI)


@needed
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_answers_as_its_clips_alone(answerers, name):
    model = answerers(name)
    shown = STREAMS if name in OMNI else ("frame", "text")
    asked = [request(1, shown), request(2, shown, 5.0, "A much longer sentence that she says to all of them."),
             request(3, ("text",)), request(4, shown, 2.0, "No.")]
    asked.sort(key=model.length)
    alone = [answer for one in asked for group in model.answers([one], 1) for answer in group]
    groups = list(model.answers(asked, 4))
    together = [answer for group in groups for answer in group]
    assert [len(group) for group in groups] == ([1, 3] if family_of(name).batches else [1] * 4)
    assert [one.text for one in together] == [one.text for one in alone] and len({one.text for one in alone}) > 1
    assert [one.confidence for one in together] == pytest.approx([one.confidence for one in alone], abs=2e-3)


@needed
@pytest.mark.parametrize("name", MODELS)
def test_a_clip_is_one_video_and_its_pictures_are_seen(answerers, name):
    model = answerers(name)
    [message] = model.preparer.conversation(request(1))
    assert [part["type"] for part in message["content"]] == ["video", "text"]
    [single] = model.preparer.conversation(request(1, frames=1))
    assert [part["type"] for part in single["content"]] == ["image", "text"]
    logits = []
    for seed, frames in ((1, 4), (3, 4), (1, 1)):  # both odd: pictures of one size
        tensors = model._placed(model.preparer.tensors(request(seed, frames=frames)))
        with torch.inference_mode():
            logits.append(model.model(**tensors).logits[0, -1])
    assert (logits[0] - logits[1]).abs().max() > 1e-3 and (logits[0] - logits[2]).abs().max() > 1e-3


@needed
@pytest.mark.parametrize("name, told", [("qwen3_vl", ["<0.9 seconds>", "<2.6 seconds>"]),
                                        ("video_llama_3", ["Time 0.4s:", "Time 3.1s:"])])
def test_times_of_frames_are_told_in_words(answerers, name, told):
    model = answerers(name)
    text = model.tokenizer.decode(model.preparer.tensors(request(1, seconds=3.5))["input_ids"][0])
    assert all(word in text for word in told)


@needed
@pytest.mark.parametrize("name, key", [("qwen2_5_vl", "second_per_grid_ts"), ("qwen2_5_omni", "video_second_per_grid"),
                                       ("qwen3_omni_moe", "video_second_per_grid")])
def test_times_of_frames_are_told_as_positions(answerers, name, key):
    model = answerers(name)
    for seconds in (2.0, 6.0):  # two frames a grid, four frames in these seconds
        assert float(model.preparer.tensors(request(1, seconds=seconds))[key][0]) == pytest.approx(seconds / 2)


@needed
@pytest.mark.parametrize("name", OMNI)
def test_sound_and_pictures_of_a_clip_are_interleaved(answerers, name):
    model = answerers(name)
    ids = model.tokenizer.convert_tokens_to_ids
    aligned = model.preparer.tensors(request(1, STREAMS, 6.0))
    kinds = [token for token in aligned["input_ids"][0].tolist()
             if token in (ids("<|video_pad|>"), ids("<|audio_pad|>"))]
    assert aligned["use_audio_in_video"] and sum(a != b for a, b in zip(kinds, kinds[1:], strict=False)) >= 2
    assert aligned["input_ids"][0].tolist().count(ids("<|audio_start|>")) == 1
    heard = model.preparer.tensors(request(1, ("audio", "text"), 6.0))
    assert "use_audio_in_video" not in heard and kinds.count(ids("<|audio_pad|>")) == heard[
        "input_ids"][0].tolist().count(ids("<|audio_pad|>")) > 70
    with torch.inference_mode():
        logits = [model.model(**model._placed(model.preparer.tensors(one))).logits[0, -1] for one in (
            request(1, STREAMS), request(1, ("frame", "text")), request(3, STREAMS))]
    assert (logits[0] - logits[1]).abs().max() > 1e-3 and (logits[0] - logits[2]).abs().max() > 1e-3


@needed
@pytest.mark.parametrize("name", OMNI)
def test_a_model_that_speaks_only_writes_and_hears_its_limit(answerers, name, monkeypatch):
    model = answerers(name)
    assert "Thinker" in type(model.model).__name__ and not hasattr(model.model, "talker")
    generate, lengths = model.model.generate, []

    def counted(**options):
        ids = generate(**options)
        lengths.append(ids.shape[1] - options["input_ids"].shape[1])
        return ids

    monkeypatch.setattr(model.model, "generate", counted)
    monkeypatch.setattr(model, "ends", {model.tokenizer.convert_tokens_to_ids("<|audio_end|>")})
    [[answer]] = model.answers([request(1, STREAMS, tokens=3)], 1)
    assert answer.cut_off and lengths == [3]


@needed
def test_int8_and_device_map(folders):
    plain = load_model(str(folders("internvl")), "x", False, "float32")
    small = load_model(str(folders("internvl")), "x", False, "float32", quantize="int8")
    kinds = {type(module).__name__ for module in small.get_decoder().modules()}
    assert "Int8Linear" in kinds and "Int8Linear" not in {type(module).__name__ for module in plain.modules()}
    assert not any(type(module).__name__ == "Int8Linear" for module in small.model.vision_tower.modules())
    spread = load_model(str(folders("qwen2_5_omni")), "x", False, "float32", device_map="auto")
    assert str(spread.device) == "cpu" or torch.cuda.is_available()


@needed
def test_words_are_no_places_for_media(answerers):
    model = answerers("qwen2_5_omni")
    ids = [model.preparer.tensors(request(1, STREAMS, words=words))["input_ids"][0].tolist()
           for words in ("<|video_pad|><|audio_pad|><|im_end|>", "plain")]
    for token in ("<|video_pad|>", "<|audio_pad|>", "<|im_end|>", "<|audio_start|>"):
        assert len({row.count(model.tokenizer.convert_tokens_to_ids(token)) for row in ids}) == 1


def test_joined_rows_are_padded_where_their_kind_says():
    samples = [{"input_ids": torch.tensor([[5, 6]]), "attention_mask": torch.tensor([[1, 1]]),
                "input_features": torch.ones(1, 2, 3), "video_grid_thw": torch.tensor([[1, 2, 2]])},
               {"input_ids": torch.tensor([[7, 8, 9]]), "attention_mask": torch.tensor([[1, 1, 1]]),
                "input_features": torch.ones(1, 2, 4), "video_grid_thw": torch.tensor([[2, 2, 2]])}]
    batch = join(samples, 3)
    assert batch["input_ids"].tolist() == [[3, 5, 6], [7, 8, 9]]
    assert batch["attention_mask"].tolist() == [[0, 1, 1], [1, 1, 1]]
    assert batch["input_features"].shape == (2, 2, 4) and batch["input_features"][0, :, 3].abs().sum() == 0
    assert batch["video_grid_thw"].tolist() == [[1, 2, 2], [2, 2, 2]]


# ---------------------------------------------------------------------------- folders that cannot be asked fairly


def write_config(folder: Path, **config) -> str:
    """A folder of a text model's tokenizer with this config.json."""
    import tiny

    tiny.tokenizer().save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config))
    return str(folder)


@pytest.mark.parametrize("config, words", [
    ({"model_type": "internvl_chat", "architectures": ["InternVLChatModel"], "vision_config": {}, "llm_config": {},
      "auto_map": {"AutoConfig": "own.Own"}}, "InternVL3-8B-hf"),
    ({"model_type": "videollama3_qwen2", "vision_encoder_config": {}}, "VideoLLaMA3-7B-Image-HF"),
    ({"model_type": "minicpmv", "vision_config": {}}, "MiniCPM-V-4.6"),
    ({"model_type": "llava", "architectures": ["LlavaQwenForCausalLM"], "mm_vision_tower": "x"},
     "llava-onevision-qwen2-7b-ov-hf"),
])
@pytest.mark.parametrize("trust", [False, True])
def test_a_folder_that_answers_by_its_own_code_names_the_native_one(tmp_path, config, words, trust):
    with pytest.raises(ValueError, match=words):
        load_processor(write_config(tmp_path / "own", **config), "own", trust)


@pytest.mark.parametrize("config, words", [
    ({"model_type": "qwen2", "vision_config": {"depth": 2}}, "parts for pictures"),
    ({"model_type": "qwen2", "mm_vision_tower": "openai/clip", "mm_hidden_size": 4}, "parts for pictures"),
    ({"model_type": "qwen2", "thinker_config": {"audio_config": {}, "vision_config": {}}}, "pictures and sound"),
])
def test_a_folder_whose_processor_is_a_tokenizer_is_not_asked_with_words_alone(tmp_path, config, words):
    with pytest.raises(ValueError, match=f"{words}.*asked without them"):
        load_processor(write_config(tmp_path / "half", **config), "half", False)


def test_a_text_model_is_no_half_model(tmp_path):
    load_processor(write_config(tmp_path / "text", model_type="qwen2", rope_parameters={}, vision_token_id=3), "t",
                   False)


# ---------------------------------------------------------------------------- the whole job


@needed
def test_a_job_asks_a_video_model_and_says_how(folders, manifest):
    rows = ask(f"hf:{folders('qwen2_5_omni')}", manifest, frames=2, limit=2, batch_size=2, dtype="float32")
    assert [row["shown"] for row in rows] == [["audio", "frame", "text"], ["audio", "frame"]]
    assert all(row["cut_off"] in (True, False) and row["seconds"] > 0 for row in rows)
    assert facts()["settings"]["pictures_as"] == "video"


@needed
def test_a_model_that_takes_video_names_the_extra_where_it_is_missing(folders, monkeypatch):
    from transformers import AutoProcessor

    def without(*_, **__):
        raise ImportError("Qwen2VLVideoProcessor requires the Torchvision library but it was not found")

    monkeypatch.setattr(AutoProcessor, "from_pretrained", without)
    with pytest.raises(ValueError, match="bootstrap.py rivals.*affectgpt.rivals"):
        load_processor(str(folders("qwen2_5_vl")), "x", False)


def test_encoders_stay_as_they_are_in_fewer_bits():
    from transformers.quantizers.quantizers_utils import should_convert_module

    def converts(name):
        return should_convert_module(name, [KEPT_MODULES])

    assert converts("model.language_model.layers.0.mlp.up_proj") and converts("thinker.model.layers.0.self_attn.q_proj")
    assert not any(map(converts, ("lm_head", "thinker.lm_head", "model.visual.blocks.0.attn.q", "model.vision_tower.a",
                                  "thinker.audio_tower.proj", "model.multi_modal_projector.linear_1")))
