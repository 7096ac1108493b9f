"""A training pass does not make the host wait for the device: places are found where batches are made."""

from __future__ import annotations

from collections import Counter

import pytest
import tiny
import torch
from test_branches import branched
from tiny import parts  # noqa: F401  fixture
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from affectgpt.models.attention import BY_CLIP
from affectgpt.models.collate import collate, collate_packed, to_device

OPERATIONS = {"nonzero", "_local_scalar_dense", "masked_select", "masked_scatter", "bincount", "unique", "_unique2",
              "equal", "repeat_interleave"}
METHODS = {"tolist", "item", "__bool__", "__int__", "__float__", "__index__", "numpy", "cpu", "__iter__"}


class Operations(TorchDispatchMode):
    """Counts operations whose result has a shape or a value that the host must know."""

    def __init__(self):
        super().__init__()
        self.found = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = function.overloadpacket.__name__
        by_mask = name.startswith("index") and any(
            isinstance(index, torch.Tensor) and index.dtype == torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list | tuple) else ()))
        if name in OPERATIONS or by_mask:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


class Methods(TorchFunctionMode):
    """Counts what reads values of a tensor with Python, but for a tensor that lies on the host."""

    def __init__(self, host):
        super().__init__()
        self.found, self.host = Counter(), host.untyped_storage().data_ptr() if host is not None else None

    def __torch_function__(self, function, types, args=(), kwargs=None):
        name = getattr(function, "__name__", "")
        if name in METHODS and args[0].untyped_storage().data_ptr() != self.host:
            self.found[name] += 1
        return function(*args, **(kwargs or {}))


def waits(model, batch) -> Counter:
    with Methods(batch.get("layout")) as methods, Operations() as operations:
        model(**batch, num_items_in_batch=10).loss.backward()
    return methods.found + operations.found


def variants(processor):
    together, apart = branched(processor)
    config = processor.config
    return {"packed": (collate_packed(apart, config), collate_packed(apart)),
            "branches": (collate_packed(together, config), collate_packed(together)),
            "padded": (collate(apart, 0, config=config), collate(apart, 0))}


def without_places(batch):
    return {key: value for key, value in batch.items() if not key.endswith("_places")}


def features_of(model, samples_batch):
    """The batch with encoder features in the place of raw streams: encoders are not what is counted."""
    streams = {stream: (samples_batch.pop(stream), samples_batch.pop(f"{stream}_mask"))
               for stream in ("audio", "face", "frame") if stream in samples_batch}
    lengths = samples_batch.pop("audio_lengths", None)
    with torch.no_grad():
        for stream, values in streams.items():
            features, mask = model.encode(stream, *values, *([lengths] if stream == "audio" else []))
            samples_batch |= {stream: features, f"{stream}_mask": mask}
    return samples_batch


@pytest.mark.parametrize("kind", ["packed", "branches", "padded"])
@pytest.mark.parametrize("prompt_style", ["chat", "published"])
def test_a_pass_waits_for_nothing_and_gives_the_same(parts, kind, prompt_style):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, prompt_style=prompt_style)
    model.language_model.set_attn_implementation(BY_CLIP)
    model.mark_trained()
    model.train()
    found, before = variants(processor)[kind]
    found, before = features_of(model, found), without_places(features_of(model, before))
    results = []
    for batch in (found, before):
        torch.manual_seed(0)
        model.zero_grad()
        outputs = model(**batch, num_items_in_batch=10)
        outputs.loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
        results.append((outputs, gradients))
    (one, gradients), (other, expected) = results
    assert torch.equal(one.token_losses, other.token_losses) and torch.equal(one.loss, other.loss)
    assert torch.equal(one.token_clips, other.token_clips) and len(one.token_clips) > 20
    assert all(torch.equal(gradients[name], gradient) for name, gradient in expected.items())
    # transformers looks at the mask of a padded batch, twice a pass.
    assert waits(model, found) == (Counter() if kind != "padded" else Counter(__bool__=2, _local_scalar_dense=2))
    assert sum(waits(model, before).values()) > 10  # the counters count


@pytest.mark.parametrize("attention, allowed", [(BY_CLIP, 0), ("sdpa", 1)])
def test_the_number_of_layers_adds_no_wait(parts, attention, allowed):  # noqa: F811
    model, processor = tiny.model_and_processor(parts)
    model.language_model.set_attn_implementation(attention)
    layers = model.language_model.get_decoder().layers
    batch = features_of(model, collate_packed(branched(processor)[1], processor.config))
    model.train()
    once = waits(model, batch)
    layers.append(layers[0])
    config = model.language_model.config
    config.num_hidden_layers, config.layer_types = len(layers), config.layer_types + config.layer_types[:1]
    assert waits(model, batch) == once
    assert once["_local_scalar_dense"] == allowed  # transformers looks at the positions to make its block mask


def test_what_the_host_reads_stays_there(parts):  # noqa: F811
    _, processor = tiny.model_and_processor(parts)
    batch = to_device(collate_packed(branched(processor)[0], processor.config), torch.device("meta"))
    assert {key for key, value in batch.items() if value.device.type != "meta"} == {"layout"}


@pytest.mark.parametrize("packed", [True, False])
def test_placeholders_are_checked_where_batches_are_made(parts, packed):  # noqa: F811
    _, processor = tiny.model_and_processor(parts)
    sample = processor.training_sample(tiny.inputs(processor, *tiny.MIXTURE[0]), "Why?", "sad")
    make = (lambda samples: collate_packed(samples, processor.config)) if packed else \
        (lambda samples: collate(samples, 0, config=processor.config))
    token_id = processor.config.placeholder_ids["face"]
    assert len(make([sample, sample])["placeholder_places"][0]) == 2 * sum(
        token in processor.config.placeholder_ids.values() for token in sample["input_ids"])
    fewer = list(sample["input_ids"])
    fewer[fewer.index(token_id)] = 5
    with pytest.raises(ValueError, match="clip 1 of the batch has .* face placeholders"):
        make([sample, sample | {"input_ids": fewer}])
    with pytest.raises(ValueError, match="face gives 0 tokens"):
        make([{key: value for key, value in sample.items() if key != "face"}])
    with pytest.raises(ValueError, match="has 0 face placeholders"):
        make([sample | {"input_ids": [5 if token == token_id else token for token in sample["input_ids"]]}])
