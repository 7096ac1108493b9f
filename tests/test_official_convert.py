"""`affectgpt convert`: every official tensor arrives in an ordinary folder, and comes back as it was."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from official_made import CASES, HEADS, LLM, official_state
from tiny import parts  # noqa: F401  a fixture

from affectgpt.cli import main
from affectgpt.data import prompts
from affectgpt.data.inputs import Inputs
from affectgpt.inference import Describer
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.prompting import PUBLISHED_STOP
from affectgpt.official.checkpoint import FACTS, load_official_checkpoint, meta_model, official_config
from affectgpt.official.names import from_official, to_official


def half_lora(state: dict) -> dict:
    """LoRA in half precision, as the official files have it."""
    return {name: tensor.half() if "lora_" in name else tensor for name, tensor in state.items()}


def command(parts, path, folder, *more) -> int:  # noqa: F811
    return main(["convert", str(path), "--to", str(folder), "--llm", parts["qwen2"], "--audio", parts["hubert"],
                 "--vision", parts["clip"], "--qformer-heads", str(HEADS), *more])


@pytest.mark.parametrize("projector, fusion, tokens", CASES)
def test_there_and_back(tmp_path, parts, projector, fusion, tokens):  # noqa: F811
    state = half_lora(official_state(projector, fusion, tokens))
    path, folder, back = tmp_path / "official.pth", tmp_path / "model", tmp_path / "back.pth"
    torch.save({"model": state, "epoch": 60, "optimizer": {}}, path)
    assert command(parts, path, folder, *(["--tokens", str(tokens)] if projector != "qformer" else [])) == 0
    model = AffectGPTForConditionalGeneration.from_pretrained(folder)
    assert (model.config.projector, model.config.fusion, model.config.lora_rank) == (projector, fusion, 3)
    assert (model.config.audio_tokens, model.config.fusion_tokens) == (tokens, tokens)
    own = model.state_dict()
    for name, tensor in state.items():
        ours = from_official(name, fusion)
        assert ours is None or torch.equal(own[ours], tensor.float()), name
    assert main(["convert", str(folder), "--to", str(back)]) == 0
    again = torch.load(back, weights_only=True)["model"]
    assert list(again) == list(state)
    assert all(torch.equal(again[name], tensor) and again[name].dtype == tensor.dtype for name, tensor in state.items())


@pytest.mark.parametrize("projector, fusion, tokens", CASES)
def test_names_go_both_ways(projector, fusion, tokens):
    for name in official_state(projector, fusion, tokens):
        ours = from_official(name, fusion)
        assert ours is None and name.startswith("image_llama_proj.") or to_official(ours, fusion) == name
    with pytest.raises(ValueError, match="'norms.audio.mean' has no counterpart"):
        to_official("norms.audio.mean", fusion)


@pytest.mark.parametrize("number", [0, 1])
def test_the_official_numbers_through_the_command(shared_data, tmp_path_factory, number):
    data = shared_data / "official_tiny"
    if not data.is_dir():
        pytest.skip(f"no {data}")
    folder = tmp_path_factory.mktemp("official") / "model"
    assert main(["convert", str(data / "checkpoint_attention_K1.pth"), "--to", str(folder), "--llm", str(data / "llm"),
                 "--audio", str(data / "hubert"), "--vision", str(data / "clip")]) == 0
    model = AffectGPTForConditionalGeneration.from_pretrained(folder)
    processor = AffectGPTProcessor.from_pretrained(folder)
    given, expected = np.load(data / "inputs.npz"), np.load(data / "expected_attention_K1.npz")
    inputs = Inputs(words=str(given[f"{number}_subtitle"]),
                    face=torch.from_numpy(given[f"{number}_faces"]).permute(1, 0, 2, 3))
    inputs.audio, inputs.audio_lengths = processor.windows(
        (given[f"{number}_waveform"].astype(np.float32) / 32768).reshape(-1))
    answer = str(given[f"{number}_answer"]).removesuffix(PUBLISHED_STOP)
    batch = processor.collate([processor.training_sample(inputs, prompts.question_of("labels", "published"), answer)])
    assert batch["input_ids"][0].tolist() == expected[f"{number}_input_ids"].tolist()
    with torch.no_grad():
        output = model(**batch, return_logits=True)
    assert float((output.logits[0] - torch.from_numpy(expected[f"{number}_logits"])).abs().max()) < 1e-6
    assert float(output.loss) == pytest.approx(float(expected[f"{number}_loss"]), abs=1e-6)


def test_the_folder_is_an_ordinary_one(tmp_path, parts, capsys):  # noqa: F811
    from media_fixtures import tone, write_clip

    from affectgpt.data.clip import Clip

    path, folder = tmp_path / "official.pth", tmp_path / "model"
    torch.save({"model": official_state("attention", "attention", 1)}, path)
    assert command(parts, path, folder) == 0
    clip = write_clip(tmp_path / "clip.mp4", frames=8, sound=tone(1.0))
    [found] = Describer(folder).describe([Clip(id="a", media=clip, words="Hello.")], max_new_tokens=4)
    assert found.streams[0] in ("fusion", "audio")
    capsys.readouterr()
    assert main(["verify", str(folder)]) == 0 and "none is stored" in capsys.readouterr().out
    (folder / FACTS).write_text((folder / FACTS).read_text().replace("official.pth", "another1.pth"))
    assert main(["verify", str(folder)]) == 2 and f"{FACTS} was changed" in capsys.readouterr().err
    (folder / FACTS).write_text((folder / FACTS).read_text().replace("another1.pth", "official.pth"))
    facts = json.loads((folder / FACTS).read_text())
    assert facts["file"] == "official.pth" and len(facts["tensors"]) == len(official_state("attention", "attention", 1))


def test_what_is_there_is_kept(tmp_path, parts, capsys):  # noqa: F811
    path, folder = tmp_path / "official.pth", tmp_path / "model"
    torch.save({"model": official_state("mean", "attention", 1)}, path)
    folder.mkdir()
    (folder / "mine.txt").write_text("mine")
    assert command(parts, path, folder) != 0 and "--force" in capsys.readouterr().err
    assert command(parts, path, folder, "--force") != 0  # no folder of ours
    assert (folder / "mine.txt").read_text() == "mine"
    assert command(parts, path, tmp_path / "other") == 0 and command(parts, path, tmp_path / "other", "--force") == 0
    back = tmp_path / "back.pth"
    back.write_text("mine")
    assert main(["convert", str(tmp_path / "other"), "--to", str(back)]) != 0 and back.read_text() == "mine"


@pytest.mark.parametrize("change, message", [
    (lambda state: state.pop("fc_att.bias"), "misses 1 entries.*fusion.scorer.bias"),
    (lambda state: state.update({"stranger.weight": torch.zeros(1)}), "stranger.weight"),
    (lambda state: state.update({"audio_attention_mlp.extra": torch.zeros(1)}), "does not know 1.*scorer.extra"),
    (lambda state: state.update({"audio_llama_proj.weight": torch.zeros(LLM, 7)}), r"another size.*\[64, 32\].*7\]"),
    (lambda state: state.update({"fc_att.bias": torch.zeros(2, dtype=torch.int64)}), "number format.*fc_att.bias"),
])
def test_a_wrong_checkpoint_is_refused_by_name(tmp_path, parts, change, message, capsys):  # noqa: F811
    import re

    state = official_state("attention", "attention", 1)
    change(state)
    torch.save({"model": state}, tmp_path / "wrong.pth")
    assert command(parts, tmp_path / "wrong.pth", tmp_path / "model") != 0
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "model").exists()


def test_parameters_of_the_published_set_up_are_those_of_the_paper():
    """57.2 million trained ones (facts of the published system, table 1.1), from configurations alone."""
    from transformers import CLIPVisionConfig, HubertConfig, Qwen2Config

    large = {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16}
    config = AffectGPTConfig(
        preset="published",
        text_config=Qwen2Config(vocab_size=152064, hidden_size=3584, intermediate_size=18944, num_hidden_layers=28,
                                num_attention_heads=28, num_key_value_heads=4),
        audio_config=HubertConfig(feat_extract_norm="layer", do_stable_layer_norm=True, conv_bias=True, **large),
        visual_config=CLIPVisionConfig(patch_size=14, projection_dim=768, **large))
    model = meta_model(config)
    trained = {part: count for part, _, count in model.part_sizes()}
    assert trained["LoRA"] == 40_370_176
    assert trained["projectors"] == 1_025 + 769 + 3_673_600 + 2_756_096
    assert trained["fusion"] == 1_049_600 + 787_456 + 2_098_176 + 2_050 + 3_673_600
    unused = 2_756_096  # the projection of pictures, which only the file has
    assert round((sum(trained.values()) + unused) / 1e6, 1) == 57.2
    assert all(parameter.device.type == "meta" or parameter.numel() < 2000 for parameter in model.parameters())


def test_loading_in_memory_agrees(parts):  # noqa: F811
    from affectgpt.loading import from_parts

    state = official_state("attention", "qformer", 2)
    config = official_config(state, llm=parts["qwen2"], audio_encoder=parts["hubert"], visual_encoder=parts["clip"],
                             qformer_heads=HEADS, audio_tokens=2, face_tokens=2, frame_tokens=2)
    model = from_parts(config)
    load_official_checkpoint(model, state)
    assert torch.equal(model.state_dict()["fusion.audio_map.weight"], state["multi_audio_embs.weight"])
