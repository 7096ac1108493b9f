"""The model: splicing, independence of a batch's clips, loss, what is trained."""

from __future__ import annotations

import pytest
import tiny
import torch
from model_variants import QUESTION, default, fresh, training_batch, variant  # noqa: F401  fixtures too
from tiny import parts  # noqa: F401  a fixture

from affectgpt.features.extract import encode_inputs
from affectgpt.train.inputs import fit_norms

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
def test_splice_equals_a_plain_loop(variant, side):  # noqa: F811
    model, processor = variant
    samples = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    batch = processor.collate(samples, side)
    streams = {key: batch[key] for key in batch if key not in ("input_ids", "attention_mask")}
    torch.testing.assert_close(model.embed(batch["input_ids"], **streams), plain_splice(model, batch))
    ids = [model.config.placeholder_ids[stream] for stream in model.config.media_streams]
    placeholders = sum(int((batch["input_ids"] == index).sum()) for index in ids)
    assert placeholders > 8  # otherwise nothing was compared


@torch.no_grad()
def test_several_tokens_of_a_stream_differ(default):  # noqa: F811
    model, processor = default
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 1), QUESTION))
    features, mask = model.encode("face", batch["face"], batch["face_mask"])
    tokens, present = model.stream_tokens({"face": (features, mask)})["face"]
    assert tokens.shape == (1, 3, 64) and present.all()
    assert (tokens[0, 0] - tokens[0, 1]).abs().max() > 1e-3


def test_a_wrong_number_of_placeholders_is_an_error(default):  # noqa: F811
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
def test_a_clip_does_not_depend_on_its_neighbours(variant):  # noqa: F811
    model, processor = variant
    samples = [processor.training_sample(inputs, QUESTION, "happy") for inputs in tiny.mixture(processor)]
    together = model(**processor.collate(samples), return_logits=True).logits
    for row, sample in enumerate(samples):
        single = model(**tiny.alone(processor, sample), return_logits=True).logits[0]
        torch.testing.assert_close(together[row, : len(single)], single, atol=2e-4, rtol=1e-4,
                                   msg=lambda text, row=row: f"clip {tiny.MIXTURE[row]}: {text}")


@torch.no_grad()
def test_features_of_a_clip_do_not_depend_on_its_neighbours(variant):  # noqa: F811
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
def test_features_go_through_the_same_argument(variant):  # noqa: F811
    model, processor = variant
    raw = [processor.inference_sample(inputs, QUESTION) for inputs in tiny.mixture(processor)]
    known = [processor.inference_sample(encode_inputs(model, inputs), QUESTION) for inputs in tiny.mixture(processor)]
    raw, known = processor.collate(raw), processor.collate(known)
    assert raw["audio"].ndim == 4 and known["audio"].ndim == 3
    torch.testing.assert_close(model(**known).logits, model(**raw).logits, atol=2e-4, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("stream", ["audio", "face", "frame"])
def test_every_stream_changes_the_answer(default, stream):  # noqa: F811
    model, processor = default
    first, second = tiny.inputs(processor, 1), tiny.inputs(processor, 1)
    other = tiny.inputs(processor, 9)
    setattr(second, stream, getattr(other, stream))
    second.audio_lengths = other.audio_lengths if stream == "audio" else first.audio_lengths
    logits = [model(**tiny.alone(processor, processor.inference_sample(one, QUESTION))).logits[0, -1]
              for one in (first, second)]
    assert (logits[0] - logits[1]).abs().max() > 1e-3


@torch.no_grad()
def test_a_softmax_fusion_weighs_voice_and_picture_to_one(default):  # noqa: F811
    model, _ = default
    fusion, mask = model.fusion, torch.ones(1, 2, dtype=torch.bool)
    audio, face = torch.randn(1, 2, model._width("audio")), torch.randn(1, 2, model._width("face"))
    a, v = fusion.audio_map(audio.mean(1)), fusion.visual_map(face.mean(1))
    weights = fusion.scorer(fusion.scorer_hidden(torch.cat([v, a], -1))).softmax(-1)
    plain = fusion.head(weights[:, :1] * v + weights[:, 1:] * a)[:, None] + fusion.token_offset
    torch.testing.assert_close(fusion(audio, mask, face, mask), plain)


# ---------------------------------------------------------------------------- loss


def test_loss_equals_cross_entropy_of_all_logits(variant):  # noqa: F811
    model, processor = variant
    _, batch = training_batch(processor)
    with torch.no_grad():
        output = model(**batch, return_logits=True)
        short = model(**batch)
    assert short.logits is None
    expected = torch.nn.functional.cross_entropy(
        output.logits[:, :-1].reshape(-1, output.logits.shape[-1]),
        batch["labels"][:, 1:].reshape(-1),
        ignore_index=-100,
    )
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


def test_an_argument_that_is_misspelt_is_refused(default):  # noqa: F811
    model, processor = default
    _, batch = training_batch(processor)
    with pytest.raises(TypeError, match="num_item_in_batch"):
        model(**batch, num_item_in_batch=7)


def test_trained_encoders_mask_nothing_at_random(parts):  # noqa: F811
    """HuBERT's own masks come from a generator that no seed of a run reaches, and fail on short windows."""
    model, processor = tiny.model_and_processor(parts, audio="hubert", audio_window_seconds=0.5)
    model.mark_trained(encoders=True)
    model.train()
    model.audio_encoder.model.config.mask_time_prob = 0.9
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
    model.audio_encoder.model.config.layerdrop = 0.0
    batch = tiny.alone(processor, processor.training_sample(tiny.inputs(processor, 7, "audio", 0.07), QUESTION, "sad"))
    first, second = (model.encode("audio", batch["audio"], batch["audio_mask"], batch["audio_lengths"])[0]
                     for _ in range(2))
    assert torch.equal(first, second)


def test_sound_is_encoded_with_few_copies_to_the_host(default, monkeypatch):  # noqa: F811
    """Each is a wait for the device: their number does not grow with the windows."""
    model, processor = default
    batch = tiny.alone(processor, processor.inference_sample(tiny.inputs(processor, 2, "audio", 6.0), QUESTION))
    copies = []
    for name in ("item", "tolist", "__int__", "__bool__", "__index__"):
        own = getattr(torch.Tensor, name)
        monkeypatch.setattr(torch.Tensor, name,
                            lambda tensor, own=own, name=name: (copies.append(name), own(tensor))[1])
    assert batch["audio"].shape[1] == 12
    model.encode("audio", batch["audio"], batch["audio_mask"], batch["audio_lengths"])
    assert len(copies) <= 4, copies
