"""The `published` preset: the official code's own numbers, and its equations written out again where there are none."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import tiny
import torch
from official_made import AUDIO, CASES, FEED, HEADS, LAYERS, QUERY, VISUAL, official_state
from tiny import parts  # noqa: F401  a fixture
from torch.nn import functional

from affectgpt import loading
from affectgpt.data import prompts
from affectgpt.data.inputs import Inputs
from affectgpt.loading import from_parts
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.models.prompting import PUBLISHED_STOP
from affectgpt.official.checkpoint import load_official_checkpoint, official_config, read_official_checkpoint
from affectgpt.official.names import from_official

# ---------------------------------------------------------------------------- the official numbers


@pytest.fixture(scope="module")
def official(shared_data):
    folder = shared_data / "official_tiny"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    state = read_official_checkpoint(folder / "checkpoint_attention_K1.pth")
    config = official_config(state, llm=str(folder / "llm"), audio_encoder=str(folder / "hubert"),
                             visual_encoder=str(folder / "clip"))
    model = from_parts(config).eval()
    load_official_checkpoint(model, state)
    processor = AffectGPTProcessor(loading.load_tokenizer(config.llm), model.config)
    return model, processor, np.load(folder / "inputs.npz"), np.load(folder / "expected_attention_K1.npz")


@pytest.mark.parametrize("number", [0, 1])
def test_parity_with_the_official_code(official, number):
    model, processor, given, expected = official

    def close(actual: torch.Tensor, name: str) -> None:
        torch.testing.assert_close(actual, torch.from_numpy(expected[f"{number}_{name}"]), atol=1e-4, rtol=0,
                                   check_dtype=False, msg=lambda text: f"{name}: {text}")

    inputs = Inputs(words=str(given[f"{number}_subtitle"]),
                    face=torch.from_numpy(given[f"{number}_faces"]).permute(1, 0, 2, 3))
    waveform = (given[f"{number}_waveform"].astype(np.float32) / 32768).reshape(-1)
    inputs.audio, inputs.audio_lengths = processor.windows(waveform)
    answer = str(given[f"{number}_answer"]).removesuffix(PUBLISHED_STOP)
    batch = processor.collate([processor.training_sample(inputs, prompts.question_of("labels", "published"), answer)])
    assert batch["input_ids"][0].tolist() == expected[f"{number}_input_ids"].tolist()
    assert batch["labels"][0].tolist() == expected[f"{number}_labels"].tolist()
    with torch.no_grad():
        face, face_mask = model.encode("face", batch["face"], batch["face_mask"])
        audio, audio_mask = model.encode("audio", batch["audio"], batch["audio_mask"], batch["audio_lengths"])
        tokens = model.stream_tokens({"audio": (audio, audio_mask), "face": (face, face_mask)})
        output = model(**batch, return_logits=True)
    close(face[0], "face_hidden")
    close(audio[0], "audio_hidden")
    for stream, name in (("face", "face_tokens"), ("audio", "audio_tokens"), ("fusion", "multi_tokens")):
        close(tokens[stream][0][0], name)
    close(output.logits[0], "logits")
    close(output.loss, "loss")


def test_both_official_samples_in_one_batch(official):
    model, processor, given, expected = official
    samples = []
    for number in (0, 1):
        inputs = Inputs(words=str(given[f"{number}_subtitle"]),
                        face=torch.from_numpy(given[f"{number}_faces"]).permute(1, 0, 2, 3))
        inputs.audio, inputs.audio_lengths = processor.windows(
            (given[f"{number}_waveform"].astype(np.float32) / 32768).reshape(-1))
        answer = str(given[f"{number}_answer"]).removesuffix(PUBLISHED_STOP)
        samples.append(processor.training_sample(inputs, prompts.question_of("labels", "published"), answer))
    with torch.no_grad():
        logits = model(**processor.collate(samples), return_logits=True).logits
    for number in (0, 1):
        own = torch.from_numpy(expected[f"{number}_logits"])
        torch.testing.assert_close(logits[number, : len(own)], own, atol=1e-4, rtol=0)


# ---------------------------------------------------------------------------- the equations again

def affine(state: dict, name: str, values: torch.Tensor) -> torch.Tensor:
    return values @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def layer_norm(state: dict, name: str, values: torch.Tensor) -> torch.Tensor:
    centred = values - values.mean(-1, keepdim=True)
    scaled = centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-12).sqrt()
    return scaled * state[f"{name}.weight"] + state[f"{name}.bias"]


def attend(state: dict, name: str, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """BERT's attention of [K, C] over [T, D] with its output layer, residual and norm."""
    heads = []
    q, k, v = (affine(state, f"{name}.self.{kind}", values)
               for kind, values in (("query", queries), ("key", keys), ("value", keys)))
    size = QUERY // HEADS
    for head in range(HEADS):
        part = slice(head * size, (head + 1) * size)
        heads.append((q[:, part] @ k[:, part].T / size**0.5).softmax(-1) @ v[:, part])
    mixed = affine(state, f"{name}.output.dense", torch.cat(heads, -1))
    return layer_norm(state, f"{name}.output.LayerNorm", mixed + queries)


def plain_qformer(state: dict, name: str, keys: torch.Tensor) -> torch.Tensor:
    """[T, D] -> [K, C]: queries are normed, then look at each other, then at the keys, then pass the inner layer."""
    bert = f"{name}_Qformer.bert"
    hidden = layer_norm(state, f"{bert}.embeddings.LayerNorm", state[f"{name}_query_tokens"][0])
    for layer in range(LAYERS):
        block = f"{bert}.encoder.layer.{layer}"
        hidden = attend(state, f"{block}.attention", hidden, hidden)
        hidden = attend(state, f"{block}.crossattention", hidden, keys)
        inner = functional.gelu(affine(state, f"{block}.intermediate_query.dense", hidden))
        hidden = layer_norm(state, f"{block}.output_query.LayerNorm",
                            affine(state, f"{block}.output_query.dense", inner) + hidden)
    return hidden


def plain_tokens(state: dict, projector: str, fusion: str, tokens: int, audio: torch.Tensor,
                 face: torch.Tensor) -> dict[str, torch.Tensor]:
    """The published equations for one clip: audio [T_a, D_a], face [T_v, D_v] -> stream -> [K, H]."""
    made = {}
    for stream, values, scorer, table, head, name in (
            ("audio", audio, "audio_attention_mlp", "audio_position_embedding", "audio_llama_proj", "audio"),
            ("face", face, "video_attention_mlp", "video_frame_position_embedding", "affectgpt_proj", "video")):
        if projector == "mean":
            made[stream] = affine(state, head, values.mean(0)).repeat(tokens, 1)
        elif projector == "attention":
            scores = affine(state, scorer, values)  # [T, 1], neither scaled nor normalised
            made[stream] = affine(state, head, (values.T @ scores)[:, 0]).repeat(tokens, 1)
        else:
            keys = values + state[f"{table}.weight"][: len(values)]
            made[stream] = affine(state, head, plain_qformer(state, name, keys))
    if fusion == "attention":
        v = affine(state, "multi_video_embs", face.mean(0))
        a = affine(state, "multi_audio_embs", audio.mean(0))
        scores = affine(state, "fc_att", affine(state, "attention_mlp", torch.cat([v, a])))
        made["fusion"] = affine(state, "multi_llama_proj", scores[0] * v + scores[1] * a).repeat(tokens, 1)
    else:
        both = torch.cat([affine(state, "multi_video_embs", face), affine(state, "multi_audio_embs", audio)])
        both = both + state["multi_position_embedding.weight"][: len(both)]
        made["fusion"] = affine(state, "multi_llama_proj", plain_qformer(state, "multi", both))
    return made


def official_model(parts, state: dict, tokens: int):  # noqa: F811
    counts = {f"{stream}_tokens": tokens for stream in ("audio", "face", "frame", "fusion")}
    config = official_config(state, llm=parts["qwen2"], audio_encoder=parts["hubert"], visual_encoder=parts["clip"],
                             qformer_heads=HEADS, **counts)
    model = from_parts(config).eval()
    load_official_checkpoint(model, state)
    return model


@pytest.mark.parametrize("projector, fusion, tokens", CASES)
def test_tokens_equal_the_published_equations(parts, projector, fusion, tokens):  # noqa: F811
    state = official_state(projector, fusion, tokens)
    model = official_model(parts, state, tokens)
    assert (model.config.projector, model.config.fusion) == (projector, fusion)
    generator = torch.Generator().manual_seed(5)
    audio, face = torch.randn(2, 8, AUDIO, generator=generator), torch.randn(2, 6, VISUAL, generator=generator)
    ones = {"audio": torch.ones(2, 8, dtype=torch.bool), "face": torch.ones(2, 6, dtype=torch.bool)}
    with torch.no_grad():
        made = model.stream_tokens({"audio": (audio, ones["audio"]), "face": (face, ones["face"])})
    for row in range(2):
        plain = plain_tokens(state, projector, fusion, tokens, audio[row], face[row])
        for stream, expected in plain.items():
            torch.testing.assert_close(made[stream][0][row], expected, atol=1e-4, rtol=1e-4,
                                       msg=lambda text, stream=stream: f"{stream}: {text}")


def test_face_and_frame_share_the_published_projection(parts):  # noqa: F811
    config = tiny.config(parts, audio="hubert", visual="clip", preset="published", frame_tokens=3)
    model = from_parts(config).eval()
    values, mask = torch.randn(1, 4, VISUAL), torch.ones(1, 4, dtype=torch.bool)
    made = model.stream_tokens({"face": (values, mask), "frame": (values, mask)})
    assert torch.equal(made["face"][0], made["frame"][0])


@pytest.mark.parametrize("projector, fusion, tokens", [("qformer", "qformer", 2), ("attention", "attention", 1)])
def test_every_official_tensor_arrives(parts, projector, fusion, tokens):  # noqa: F811
    state = official_state(projector, fusion, tokens)
    own = official_model(parts, state, tokens).state_dict()
    arrived = {from_official(name, fusion): tensor for name, tensor in state.items()}
    assert None in arrived  # the picture's projection, which no video prompt uses
    del arrived[None]
    assert len(arrived) == len(state) - 2
    for name, tensor in arrived.items():
        assert torch.equal(own[name], tensor), name
    bridge = {name for name in own if name.startswith(("projectors.", "fusion.")) or "lora_" in name}
    assert bridge == set(arrived)


def test_the_checkpoint_decides_the_configuration():
    config = official_config(official_state("qformer", "qformer", 5))
    assert (config.projector, config.fusion, config.lora_rank) == ("qformer", "qformer", 3)
    assert (config.audio_tokens, config.face_tokens, config.frame_tokens, config.fusion_tokens) == (5, 5, 5, 5)
    assert (config.qformer_hidden, config.qformer_intermediate, config.qformer_layers) == (QUERY, FEED, LAYERS)
    assert (config.audio_position_rows, config.visual_position_rows) == (8, 32)
    assert official_config(official_state("mean", "attention", 1)).projector == "mean"


# ---------------------------------------------------------------------------- checkpoints that are wrong


def test_an_unknown_entry_is_refused(parts):  # noqa: F811
    state = official_state("attention", "attention", 1)
    with pytest.raises(ValueError, match="entry 'visual_encoder.blocks.0.weight' that no known part"):
        from_official("visual_encoder.blocks.0.weight", "attention")
    with pytest.raises(ValueError, match="stranger.weight"):
        official_model(parts, {**state, "stranger.weight": torch.zeros(1)}, 1)
    foreign = {**state, "audio_attention_mlp.extra": torch.zeros(1)}
    with pytest.raises(ValueError, match="does not know 1 entries.*projectors.audio.scorer.extra"):
        official_model(parts, foreign, 1)


def test_missing_and_misshapen_entries_are_refused(parts):  # noqa: F811
    state = official_state("attention", "attention", 1)
    less = {name: tensor for name, tensor in state.items() if name != "fc_att.bias"}
    with pytest.raises(ValueError, match="misses 1 entries.*fusion.scorer.bias"):
        official_model(parts, less, 1)
    wrong = {**state, "audio_attention_mlp.weight": torch.zeros(1, 7)}
    with pytest.raises(ValueError, match="another size for 1 entries.*projectors.audio.scorer.weight"):
        official_model(parts, wrong, 1)


class Attack:
    """What a pickle with code looks like."""

    def __reduce__(self):
        return (pytest.fail, ("the code of a pickle was run",))


def test_a_pickle_with_code_is_refused(tmp_path):
    path = tmp_path / "evil.pth"
    torch.save({"model": {"a": torch.zeros(1)}, "config": Attack()}, path)
    with pytest.raises(ValueError, match="evil.pth cannot be read as a checkpoint of plain tensors"):
        read_official_checkpoint(path)
    path.write_bytes(pickle.dumps({"model": Attack()}))
    with pytest.raises(ValueError, match="evil.pth"):
        read_official_checkpoint(path)


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "other.pth"
    torch.save({"weights": {}}, path)
    with pytest.raises(ValueError, match="has no 'model' entry"):
        read_official_checkpoint(path)
    path.write_text("hello")
    with pytest.raises(ValueError, match="other.pth"):
        read_official_checkpoint(path)
