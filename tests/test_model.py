"""The model: splicing, independence of a batch's clips, generation, loss, what is trained, what is saved."""

from __future__ import annotations

import os

import pytest
import tiny
import torch
from safetensors.torch import load_file, save_file
from tiny import parts  # noqa: F401  a fixture
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForImageTextToText, AutoProcessor

from affectgpt.features.extract import encode_inputs
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.processing import AffectGPTProcessor
from affectgpt.train.inputs import fit_norms

END = 2
QUESTION = "List the person's emotions."
VARIANTS = {
    "whisper-face-attention": dict(audio="whisper", visual="face", audio_window_seconds=0.5),
    "hubert-clip-mean": dict(audio="hubert", visual="clip", projector="mean", audio_window_seconds=0.5),
    "whisper-clip-qformer": dict(audio="whisper", visual="clip", projector="qformer", fusion="qformer",
                                 audio_window_seconds=0.5, audio_tokens=3),
    "hubert-face-no-fusion": dict(audio="hubert", visual="face", llm="llama", fusion="none", audio_statistics="mean",
                                  audio_normalisation="clip", audio_layers="last", audio_window_seconds=0.5),
    "published": dict(audio="hubert", visual="clip", preset="published", frame_tokens=3, projector_hidden=0, fusion_width=0,
                      audio_window_seconds=0.2, audio_segments=4),
    "published-qformer-frame": dict(audio="hubert", visual="clip", preset="published", frame_tokens=3, projector="qformer",
                                    fusion="qformer", fusion_visual="frame", audio_window_seconds=0.2, audio_segments=4,
                                    projector_hidden=0, fusion_width=0),
}


@pytest.fixture(scope="module", params=list(VARIANTS))
def variant(request, parts):  # noqa: F811
    return tiny.model_and_processor(parts, **VARIANTS[request.param])


@pytest.fixture(scope="module")
def default(parts):  # noqa: F811
    return tiny.model_and_processor(parts, audio_window_seconds=0.5)


def fresh(parts, **values):  # noqa: F811
    """A model of its own, for tests that change it."""
    return tiny.model_and_processor(parts, audio_window_seconds=0.5, **values)


def training_batch(processor, answers: tuple[str, ...] = ("happy.", "Emotions: sad. Polarity: negative.", "angry")):
    samples = [processor.training_sample(inputs, QUESTION, answer)
               for inputs, answer in zip(tiny.mixture(processor), answers, strict=False)]
    return samples, processor.collate(samples)


# ---------------------------------------------------------------------------- splice


def plain_splice(model, batch: dict) -> torch.Tensor:
    """Walk over the ids one by one and take each stream's tokens in order."""
    tokens = model.stream_tokens({
        stream: model.encode(stream, batch[stream], batch[f"{stream}_mask"],
                             batch.get("audio_lengths") if stream == "audio" else None)
        for stream in ("audio", "face", "frame") if stream in batch})
    stream_of = {index: stream for stream, index in model.config.placeholder_ids.items()}
    table = model.get_input_embeddings().weight
    rows = []
    for row, ids in enumerate(batch["input_ids"].tolist()):
        used = dict.fromkeys(tokens, 0)
        line = []
        for index in ids:
            stream = stream_of.get(index)
            if stream is None:
                line.append(table[index])
            else:
                line.append(tokens[stream][0][row, used[stream]])
                used[stream] += 1
        for stream, count in used.items():
            assert count in (0, model.config.tokens_of(stream))
        rows.append(torch.stack(line))
    return torch.stack(rows)


@torch.no_grad()
@pytest.mark.parametrize("side", ["right", "left"])
def test_splice_equals_a_plain_loop(variant, side):
    model, processor = variant
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    batch = processor.collate(samples, side)
    streams = {key: batch[key] for key in batch if key not in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model.embed(batch["input_ids"], **streams), plain_splice(model, batch))
    ids = [model.config.placeholder_ids[stream] for stream in model.config.media_streams]
    placeholders = sum(int((batch["input_ids"] == index).sum()) for index in ids)
    assert placeholders > 8  # otherwise nothing was compared


@torch.no_grad()
def test_several_tokens_of_a_stream_differ(default):
    model, processor = default
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 1), QUESTION))
    features, mask = model.encode("face", batch["face"], batch["face_mask"])
    tokens, present = model.stream_tokens({"face": (features, mask)})["face"]
    assert tokens.shape == (1, 3, 64) and present.all()
    assert (tokens[0, 0] - tokens[0, 1]).abs().max() > 1e-3


def test_a_wrong_number_of_placeholders_is_an_error(default):
    model, processor = default
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 1), QUESTION))
    face = model.config.placeholder_ids["face"]
    cut = {**batch, "input_ids": batch["input_ids"].clone()}
    cut["input_ids"][cut["input_ids"] == face] = torch.tensor([face, face, 5])
    with pytest.raises(ValueError, match="clip 0 of the batch has 2 face placeholders.*3 tokens"):
        model(**cut)
    none = {**batch, "input_ids": batch["input_ids"].masked_fill(batch["input_ids"] == face, 5)}
    with pytest.raises(ValueError, match="has 0 face placeholders"):
        model(**none)
    without = {key: value for key, value in batch.items() if not key.startswith("audio")}
    with pytest.raises(ValueError, match="audio placeholders, but no audio was given"):
        model(**without)
    hidden = {**batch, "face_mask": torch.zeros_like(batch["face_mask"])}
    with pytest.raises(ValueError, match="face placeholders"):
        model(**hidden)


def test_a_stream_that_the_model_does_not_have_is_an_error(parts):  # noqa: F811
    model, processor = fresh(parts, streams=["audio", "text"])
    sample = processor.inference_sample(tiny.inputs(processor, 1, "audio text"), QUESTION)
    with pytest.raises(ValueError, match="does not look at face: it has audio, text"):
        model(**tiny.alone(processor, sample), face=torch.zeros(1, 2, 16))


# ---------------------------------------------------------------------------- batches


@torch.no_grad()
def test_a_clip_does_not_depend_on_its_neighbours(variant):
    model, processor = variant
    samples = [processor.training_sample(inputs, QUESTION, "happy") for inputs in tiny.mixture(processor)]
    together = model(**processor.collate(samples), return_logits=True).logits
    for row, sample in enumerate(samples):
        single = model(**tiny.alone(processor, sample), return_logits=True).logits[0]
        torch.testing.assert_close(together[row, : len(single)], single, atol=2e-4, rtol=1e-4,
                                   msg=lambda text, row=row: f"clip {tiny.MIXTURE[row]}: {text}")


@torch.no_grad()
def test_features_of_a_clip_do_not_depend_on_its_neighbours(variant):
    model, processor = variant
    clips = tiny.mixture(processor)
    batch = processor.collate([processor.training_sample(inputs, QUESTION, "happy") for inputs in clips])
    for stream in ("audio", "face", "frame"):
        if stream not in batch:
            continue
        lengths = batch["audio_lengths"] if stream == "audio" else None
        features, mask = model.encode(stream, batch[stream], batch[f"{stream}_mask"], lengths)
        for row, inputs in enumerate(clips):
            if getattr(inputs, stream) is None:
                assert not mask[row].any() and not features[row].any()
                continue
            own = getattr(encode_inputs(model, tiny.inputs(processor, *tiny.MIXTURE[row])), stream)
            torch.testing.assert_close(features[row, mask[row]], own, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_features_go_through_the_same_argument(variant):
    model, processor = variant
    raw = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    known = [processor.inference_sample(encode_inputs(model, inputs), QUESTION) for inputs in tiny.mixture(processor)]
    raw, known = processor.collate(raw), processor.collate(known)
    assert raw["audio"].ndim == 4 and known["audio"].ndim == 3
    torch.testing.assert_close(model(**known).logits, model(**raw).logits, atol=2e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("stream", ["audio", "face", "frame"])
def test_every_stream_changes_the_answer(default, stream):
    model, processor = default
    first, second = tiny.inputs(processor, 1), tiny.inputs(processor, 1)
    other = tiny.inputs(processor, 9)
    setattr(second, stream, getattr(other, stream))
    second.audio_lengths = other.audio_lengths if stream == "audio" else first.audio_lengths
    logits = [model(**tiny.alone(processor, processor.inference_sample(one, QUESTION))).logits[0, -1]
              for one in (first, second)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_softmax_fusion_weighs_voice_and_picture_to_one(default):
    model, _ = default
    fusion, mask = model.fusion, torch.ones(1, 2, dtype=torch.bool)
    audio, face = torch.randn(1, 2, model._width("audio")), torch.randn(1, 2, model._width("face"))
    a, v = fusion.audio_map(audio.mean(1)), fusion.visual_map(face.mean(1))
    weights = fusion.scorer(fusion.scorer_hidden(torch.cat([v, a], -1))).softmax(-1)
    plain = fusion.head(weights[:, :1] * v + weights[:, 1:] * a)[:, None] + fusion.token_offset
    torch.testing.assert_close(fusion(audio, mask, face, mask), plain)


# ---------------------------------------------------------------------------- generation


def greedy_without_cache(model, batch: dict, steps: int) -> list[int]:
    ids, found = batch["input_ids"], []
    streams = {key: value for key, value in batch.items() if key not in ("input_ids", "attention_mask")}
    with torch.no_grad():
        for _ in range(steps):
            logits = model(input_ids=ids, **streams).logits[0, -1]
            logits[END] = -torch.inf
            found.append(int(logits.argmax()))
            ids = torch.cat([ids, torch.tensor([[found[-1]]])], dim=1)
    return found


def test_generation_equals_greedy_search_without_cache_and_padding(default):
    model, processor = default
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    options = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": END}
    batch = processor.collate(samples, side="left")
    assert (batch["attention_mask"][:, 0] == 0).any() and (batch["attention_mask"][:, -1] == 1).all()
    together = model.generate(**batch, **options).tolist()
    singles = [model.generate(**tiny.alone(processor, sample, "left"), **options)[0].tolist() for sample in samples]
    assert together == singles
    assert singles[:3] == [greedy_without_cache(model, tiny.alone(processor, sample), 6) for sample in samples[:3]]
    assert len({tuple(row) for row in singles}) > 3  # a model that says the same of everything would pass too


def test_merging_lora_keeps_the_logits(parts):  # noqa: F811
    model, processor = fresh(parts)
    _, batch = training_batch(processor)
    with torch.no_grad():
        before = model(**batch, return_logits=True).logits
        model.merge_lora()
        after = model(**batch, return_logits=True).logits
    torch.testing.assert_close(before, after, atol=2e-4, rtol=1e-4)


# ---------------------------------------------------------------------------- loss


def test_loss_equals_cross_entropy_of_all_logits(variant):
    model, processor = variant
    _, batch = training_batch(processor)
    with torch.no_grad():
        output = model(**batch, return_logits=True)
        short = model(**batch)
    assert short.logits is None
    expected = torch.nn.functional.cross_entropy(
        output.logits[:, :-1].reshape(-1, output.logits.shape[-1]), batch["labels"][:, 1:].reshape(-1), ignore_index=-100)
    torch.testing.assert_close(short.loss, expected)
    with torch.no_grad():
        labelled = int((batch["labels"] != -100).sum())
        torch.testing.assert_close(model(**batch, num_items_in_batch=2 * labelled).loss, expected / 2)


def test_accumulated_gradients_equal_those_of_the_whole_batch(parts):  # noqa: F811
    model, processor = fresh(parts)
    model.mark_trained()
    samples, batch = training_batch(processor)
    labelled = int((batch["labels"] != -100).sum())
    assert len({sum(label != -100 for label in sample["labels"]) for sample in samples}) > 1

    def gradients(batches: list[dict]) -> dict[str, torch.Tensor]:
        model.zero_grad()
        for one in batches:
            model(**one, num_items_in_batch=labelled).loss.backward()
        return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}

    whole = gradients([batch])
    pieces = gradients([tiny.alone(processor, sample) for sample in samples])
    assert whole.keys() == pieces.keys()
    for name, gradient in whole.items():
        torch.testing.assert_close(pieces[name], gradient, atol=1e-5, rtol=1e-3)


# ---------------------------------------------------------------------------- what is trained


def test_only_marked_parts_get_gradients(parts):  # noqa: F811
    model, processor = fresh(parts)
    trained = set(model.mark_trained())
    _, batch = training_batch(processor)
    model.train()
    model(**batch).loss.backward()
    with_gradient = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    assert with_gradient == trained
    assert not [name for name in trained if name.startswith(("audio_encoder", "visual_encoder"))]
    for part in ("language_model.model.layers.0.self_attn.q_proj.lora_A", "projectors.audio.", "projectors.face.",
                 "projectors.frame.", "fusion.", "token_norms."):
        assert [name for name in trained if name.startswith(part)], part
    assert not [name for name in trained if name.startswith("language_model.") and "lora_" not in name]
    table = {part: (frozen, learned) for part, frozen, learned in model.part_sizes()}
    assert table["LoRA"][0] == table["projectors"][0] == table["audio_encoder"][1] == table["language_model"][1] == 0
    assert sum(map(sum, table.values())) == sum(parameter.numel() for parameter in model.parameters())


def test_encoders_are_trained_only_where_asked_for(parts):  # noqa: F811
    model, processor = fresh(parts)
    model.mark_trained()
    model.train()
    assert model.projectors.training and model.language_model.training
    assert not any(module.training for module in model.audio_encoder.modules())
    assert not any(module.training for module in model.visual_encoder.modules())
    trained = model.mark_trained(encoders=True)
    model.train()
    assert model.audio_encoder.training and model.visual_encoder.training
    assert [name for name in trained if name.startswith("audio_encoder.")]
    _, batch = training_batch(processor)
    model(**batch).loss.backward()
    assert model.audio_encoder.model.layers[0].fc1.weight.grad is not None
    assert model.visual_encoder.model.blocks[0].convolutions[0].weight.grad is not None


def test_norm_takes_the_statistics_of_the_features(parts):  # noqa: F811
    model, processor = fresh(parts)
    clips = [encode_inputs(model, inputs) for inputs in tiny.mixture(processor)]
    fit_norms(model, clips)
    rows = torch.cat([inputs.audio for inputs in clips if inputs.audio is not None])
    normal = model.norms["audio"].eval()(rows)
    moving = rows.std(0, correction=0) > 1e-3
    torch.testing.assert_close(normal[:, moving].mean(0), torch.zeros(int(moving.sum())), atol=1e-3, rtol=0)
    torch.testing.assert_close(normal[:, moving].std(0, correction=0), torch.ones(int(moving.sum())), atol=1e-2, rtol=0)


# ---------------------------------------------------------------------------- folders


def logits_of(model, processor) -> torch.Tensor:
    with torch.no_grad():
        return model(**training_batch(processor)[1], return_logits=True).logits


@pytest.mark.parametrize("kind", ["whisper-face-attention", "whisper-clip-qformer", "published"])
def test_a_named_base_saves_only_what_was_trained(parts, tmp_path, kind):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, **VARIANTS[kind])
    trained = set(model.mark_trained())
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    stored = set(load_file(tmp_path / "model.safetensors"))
    assert trained <= stored
    assert all("lora_" in name for name in stored if name.startswith("language_model."))
    assert not [name for name in stored if name.startswith(("audio_encoder", "visual_encoder"))]
    assert not [file for file in os.listdir(tmp_path) if "tmp" in file]
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    own = AffectGPTProcessor.from_pretrained(tmp_path)
    assert again.config.placeholder_ids == model.config.placeholder_ids and not again.training
    torch.testing.assert_close(logits_of(again, own), logits_of(model, processor), atol=1e-6, rtol=1e-5)


def test_trained_encoders_are_saved_and_loaded(parts, tmp_path):  # noqa: F811
    model, processor = fresh(parts)
    model.mark_trained(encoders=True)
    with torch.no_grad():
        model.audio_encoder.model.layers[0].fc1.weight.mul_(3)
    model.save_pretrained(tmp_path)
    assert [name for name in load_file(tmp_path / "model.safetensors") if name.startswith("audio_encoder.")]
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    torch.testing.assert_close(logits_of(again, processor), logits_of(model, processor), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("kind", ["whisper-face-attention", "hubert-clip-mean", "hubert-face-no-fusion", "published"])
def test_a_bundled_model_needs_no_other_folder(parts, tmp_path, kind):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, **VARIANTS[kind])
    model.config.llm = model.config.audio_encoder = model.config.visual_encoder = None
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    again, own = AutoModelForCausalLM.from_pretrained(tmp_path), AutoProcessor.from_pretrained(tmp_path)
    assert isinstance(again, AffectGPTForConditionalGeneration) and isinstance(own, AffectGPTProcessor)
    assert again.config.bundled
    torch.testing.assert_close(logits_of(again, own), logits_of(model, processor), atol=1e-6, rtol=1e-5)


def test_auto_classes_know_the_model(parts, tmp_path):  # noqa: F811
    model, processor = fresh(parts)
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), AffectGPTConfig)
    for auto in (AutoModelForCausalLM, AutoModelForImageTextToText):
        assert isinstance(auto.from_pretrained(tmp_path), AffectGPTForConditionalGeneration)
    assert isinstance(AutoProcessor.from_pretrained(tmp_path), AffectGPTProcessor)


@pytest.mark.parametrize("values", [
    dict(preset="published", frame_tokens=3, projector_hidden=512, fusion_width=512, attention_softmax=True, feature_norm=True),
    dict(preset="affectgpt", attention_softmax=False, feature_norm=False, audio_tokens=7),
])
def test_configuration_survives_its_file(parts, tmp_path, values):  # noqa: F811
    config = tiny.config(parts, **values)
    config.save_pretrained(tmp_path)
    again = AffectGPTConfig.from_pretrained(tmp_path)
    for key, value in values.items():
        assert getattr(again, key) == value, key
    assert again.streams == config.streams and again.llm == config.llm


def test_a_saved_model_can_be_tuned_on(parts, tmp_path):  # noqa: F811
    model, _ = fresh(parts)
    names = model.mark_trained()
    model.save_pretrained(tmp_path)
    again = AffectGPTForConditionalGeneration.from_pretrained(tmp_path)
    assert again.mark_trained() == names


@pytest.fixture(scope="module")
def saved(parts, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("saved")
    model, processor = tiny.model_and_processor(parts)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def damaged(saved, tmp_path, change):
    """A copy of a model folder whose weights were changed."""
    for file in saved.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    state = load_file(weights)
    change(weights, state)
    return tmp_path


def drop(weights, state):
    del state["projectors.audio.scorer.weight"]
    save_file(state, weights)


def add(weights, state):
    save_file({**state, "stranger": torch.zeros(1)}, weights)


def shrink(weights, state):
    state["projectors.audio.scorer.weight"] = torch.zeros(1, 1)
    save_file(state, weights)


def cut(weights, state):
    weights.write_bytes(weights.read_bytes()[:1000])


@pytest.mark.parametrize("change, message", [
    (lambda weights, state: weights.unlink(), "has no model.safetensors"),
    (drop, "1 tensors are missing .projectors.audio.scorer.weight"),
    (add, "1 are unknown .stranger"),
    (shrink, "projectors.audio.scorer.weight"),
    (cut, "model.safetensors"),
], ids=["no weights", "missing tensor", "unknown tensor", "wrong size", "cut off"])
def test_a_damaged_folder_is_one_clear_line(saved, tmp_path, change, message):
    folder = damaged(saved, tmp_path, change)
    with pytest.raises(ValueError, match=message) as error:
        AffectGPTForConditionalGeneration.from_pretrained(folder)
    assert str(folder) in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("values, message", [
    (dict(streams=["audio", "smell"]), r"streams\[1\] is 'smell': use one of audio, face"),
    (dict(projector="magic"), "projector is 'magic': use one of attention, mean, qformer"),
    (dict(streams=["fusion", "audio"]), "made of audio and face"),
    (dict(audio_tokens=0), "audio_tokens=0 must be at least 1"),
    (dict(streams=["face", "frame"], shared_visual_projection=True, face_tokens=1),
     "face_tokens is 1 and frame_tokens"),
    (dict(preset="old"), "unknown preset 'old'"),
])
def test_a_configuration_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        AffectGPTConfig(**values)
