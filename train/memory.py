"""Memory of a training step: weights are counted, what the backward pass keeps is measured on one decoder layer.

The measured layer has the shape of the LLM's own, with LoRA, the recipe's number format and its attention kernel, and
computes a few real samples; nothing else of the LLM is allocated, so that a large one can be estimated on a small
machine. What a layer keeps grows with tokens from a constant (LoRA's matrices in the activations' format), hence two
measurements. Other parts (projectors, pre-fusion, loss) are measured in the same passes.
"""

from __future__ import annotations

import copy
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from transformers import AttentionInterface, AttentionMaskInterface, AutoModel, AutoModelForCausalLM

from affectgpt.loading import load_audio_model, load_visual_model
from affectgpt.models.collate import collate, collate_packed
from affectgpt.models.encoders import visual_model_from_config
from affectgpt.models.loss import CHUNK
from affectgpt.models.modeling import AffectGPTForConditionalGeneration
from affectgpt.models.streams import MEDIA_STREAMS

_aten = torch.ops.aten
VOCABULARY = 512
"""Words of the measured model: its table and its head play no part in what is kept."""
FUSED = "memory_of_fused_attention"
"""Name of an attention kernel that keeps what fused ones keep (FlashAttention: Dao 2023, arXiv 2307.08691): queries,
keys, values, the output and a float32 a query and head. It computes nothing."""
_BITS = {"none": None, "8bit": 1.0, "4bit": 0.53}
"""Bytes of a quantised weight; NF4 with double quantization has 0.127 bits a weight of constants."""


@dataclass(frozen=True)
class Memory:
    """Bytes on one rank; ZeRO shares some of them out."""

    tokens: int
    """Tokens of one forward pass."""
    weights: int
    """The LLM, LoRA, projectors and pre-fusion."""
    encoders: int
    """The encoders, where they stay on the device."""
    optimizer: int
    """Gradients and Adam's two moments of what is trained."""
    activations: int
    """What the backward pass keeps."""
    loss: int
    """Logits of the labelled positions that exist at once."""

    @property
    def total(self) -> int:
        return self.weights + self.encoders + self.optimizer + self.activations + self.loss

    def line(self) -> str:
        """All of it in words."""
        parts = {"weights": self.weights, "encoders": self.encoders, "gradients and optimizer": self.optimizer,
                 "activations": self.activations, "logits": self.loss}
        return (", ".join(f"{name} {size / 1024**3:.2f}" for name, size in parts.items() if size)
                + f"; together {self.total / 1024**3:.2f} GiB ({self.tokens} tokens in a forward pass, "
                f"{self.activations / max(1, self.tokens) / 1024:.0f} KiB of activations a token)")


def skeleton(config, dtype: torch.dtype, train_llm: bool = False,
             train_encoders: bool = False) -> AffectGPTForConditionalGeneration:
    """The model of a configuration whose parts are described, without memory: on the meta device."""
    with torch.device("meta"):
        language_model = AutoModelForCausalLM.from_config(config.text_config, dtype=dtype)
        model = AffectGPTForConditionalGeneration(config, language_model)
        model.mark_trained(encoders=train_encoders, llm=train_llm)
    return model


def estimate(recipe, config, model, samples: list[dict], dtype: torch.dtype, attention: str) -> Memory:
    """Memory of a step of a recipe.

    Args:
        config: the model's configuration, with its parts described.
        model: `skeleton` of it, or the model itself.
        samples: training samples, of which a forward pass is made; their streams are features or raw tensors.
        attention: name of the kernel, or `FUSED`.
    """
    train, counts = recipe.train, _weights(model, recipe.model.quantization)
    batches = [_batches(recipe, samples, times) for times in (1, 2)]
    sizes = kept_bytes(config, recipe, batches, dtype, attention)
    per_pass = sum(len(sample["input_ids"]) for sample in samples)
    if train.batching == "packed":
        passes, tokens = train.pack_tokens / per_pass, train.pack_tokens
    else:
        passes = train.batch_size / len(samples)
        tokens = round(batches[0]["input_ids"].numel() * passes)
    layer, rest = (max(0.0, one + (passes - 1) * (two - one)) for one, two in zip(*sizes, strict=True))
    layers = config.text_config.get_text_config().num_hidden_layers
    width = config.text_config.get_text_config().hidden_size
    if train.gradient_checkpointing:  # inputs of all layers, and one layer at a time
        kept = layers * tokens * width * dtype.itemsize + layer
    else:
        kept = layers * layer
    labelled = sum(label != -100 for sample in samples for label in sample["labels"]) * passes
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    # Logits, their float32 copy and that of their softmax.
    logits = min(CHUNK, labelled) * config.text_config.get_text_config().vocab_size * (
        (dtype.itemsize if dtype != torch.float32 else 0) + 8)
    stay = not recipe.data.cache
    return Memory(tokens, counts[0], counts[1] if stay else 0, trained * 12, round(kept + rest), round(logits))


def _weights(model, quantization: str) -> tuple[int, int]:
    """Bytes of (all but encoders, encoders)."""
    sizes = [0.0, 0.0]
    for name, parameter in model.named_parameters():
        size = parameter.numel() * parameter.element_size()
        quantised = (_BITS[quantization] and name.startswith("language_model.") and parameter.ndim == 2
                     and not parameter.requires_grad and "layers." in name)
        sizes[name.startswith(("audio_encoder.", "visual_encoder."))] += \
            parameter.numel() * _BITS[quantization] if quantised else size
    return round(sizes[0]), round(sizes[1])


def _batches(recipe, samples: list[dict], times: int) -> dict[str, Tensor]:
    samples = [{key: value for key, value in sample.items() if key != "clip"} for sample in samples * times]
    return collate_packed(samples) if recipe.train.batching == "packed" else collate(samples, 0)


def kept_bytes(config, recipe, batches: list[dict[str, Tensor]], dtype: torch.dtype,
               attention: str) -> list[tuple[int, int]]:
    """Bytes that a pass of each batch keeps for its backward pass: (in a decoder layer, elsewhere)."""
    model, ids = _one_layer(config, recipe, dtype, attention)
    found = []
    for batch in batches:
        kept, tokens = Kept(model), batch["input_ids"].clone()
        tokens[tokens >= VOCABULARY] = 0
        for stream, new in ids.items():
            tokens[batch["input_ids"] == config.placeholder_ids[stream]] = new
        with kept.watch(_layers(model)[0]), _NoProducts():
            model(**{**batch, "input_ids": tokens, "labels": batch["labels"].clamp(max=VOCABULARY - 1)},
                  num_items_in_batch=1.0)
        found.append((sum(kept.layer.values()), sum(kept.rest.values())))
    return found


def _one_layer(config, recipe, dtype: torch.dtype, attention: str) -> tuple[nn.Module, dict[str, int]]:
    """A model with one decoder layer and a small vocabulary, its weights zero, and its placeholder ids."""
    config = copy.deepcopy(config)
    text = config.text_config.get_text_config()
    text.num_hidden_layers, text.vocab_size = 1, VOCABULARY
    if getattr(text, "layer_types", None):
        text.layer_types = text.layer_types[:1]
    text.pad_token_id = text.bos_token_id = text.eos_token_id = None
    old = {token: stream for stream, token in config.placeholder_ids.items()}
    ids = {stream: VOCABULARY + place for place, (_, stream) in enumerate(sorted(old.items()))}
    config.placeholder_ids = ids
    raw = not recipe.data.cache
    if raw:  # raw clips go through the encoders
        audio = load_audio_model(config.audio_encoder, torch.float32) if "audio" in config.streams else None
        visual = load_visual_model(config.visual_encoder, torch.float32) if config.visual_streams else None
    else:
        with torch.device("meta"):
            audio = AutoModel.from_config(config.audio_config) if "audio" in config.streams else None
            visual = visual_model_from_config(config.visual_config) if config.visual_streams else None
    with torch.device("meta"):
        language_model = AutoModelForCausalLM.from_config(config.text_config, dtype=dtype,
                                                          attn_implementation=attention)
    language_model.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in (*language_model.named_parameters(), *language_model.named_buffers()):
            # Random numbers in the layer would take longer than all the rest; in the head they tell how it is used.
            tensor.zero_() if "layers." in name or not tensor.is_floating_point() else tensor.normal_()
    model = AffectGPTForConditionalGeneration(config, language_model, audio, visual)
    model.check_logits()
    model.mark_trained(encoders=recipe.model.train_encoders and raw, llm=recipe.model.train_llm)
    return model.train(), ids


def _layers(model) -> nn.ModuleList:
    decoder = model.language_model.get_decoder()
    return next(part for part in decoder.children() if isinstance(part, nn.ModuleList))


def as_features(samples: list[dict], config, model) -> list[dict]:
    """Samples with raw streams -> the same with features [P, D] of zeros in their place: what a store would give."""
    found = []
    for sample in samples:
        sample = {key: value for key, value in sample.items() if key != "audio_lengths"}
        for stream in MEDIA_STREAMS:
            if stream in sample and sample[stream] is not None:
                pooled = stream == "audio" and config.audio_pooling == "positions"
                positions = config.audio_positions if pooled else len(sample[stream])
                encoder = model.audio_encoder if stream == "audio" else model.visual_encoder
                sample[stream] = torch.zeros(positions, encoder.feature_dim)
        found.append(sample)
    return found


class Kept:
    """Counts the storages that autograd keeps in a pass; those of weights are not counted.

    Args:
        model: the model that will run.
    """

    def __init__(self, model: nn.Module):
        self.weights = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())
                        if tensor.device.type != "meta"}
        self.layer: dict[int, int] = {}
        self.rest: dict[int, int] = {}
        self.alive: list[Tensor] = []  # a storage that was freed could give its place to another one
        self._inside, self._shared = False, set()

    @contextmanager
    def watch(self, *layers: nn.Module):
        """Count while the body runs; what is kept inside `layers` counts as theirs."""
        def enter(module, arguments, keywords):
            # Positions and masks are made once for all layers.
            for value in _tensors((arguments[1:], {k: v for k, v in keywords.items() if k != "hidden_states"})):
                self._shared.add(value.untyped_storage().data_ptr())
            self._inside = True

        def leave(*_):
            self._inside = False

        handles = [hook for layer in layers for hook in (
            layer.register_forward_pre_hook(enter, with_kwargs=True), layer.register_forward_hook(leave))]
        try:
            with torch.autograd.graph.saved_tensors_hooks(self._pack, lambda tensor: tensor):
                yield self
        finally:
            for handle in handles:
                handle.remove()

    def _pack(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place not in self.weights and storage.nbytes():
            self.alive.append(tensor.detach())
            if self._inside and place not in self._shared:
                self.rest.pop(place, None)
                self.layer[place] = storage.nbytes()
            elif place not in self.layer:
                self.rest[place] = storage.nbytes()
        return tensor


def _tensors(value):
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _tensors(one)


class _NoProducts(TorchDispatchMode):
    """Products of matrices are zeros: only their sizes count here, and a large layer would take minutes on a CPU."""

    def __torch_dispatch__(self, operation, types, arguments=(), keywords=None):
        if operation in (_aten.mm.default, _aten.bmm.default):
            left, right = arguments
            return left.new_zeros(*left.shape[:-1], right.shape[-1])
        if operation in (_aten.addmm.default, _aten.baddbmm.default):
            _, left, right = arguments
            return left.new_zeros(*left.shape[:-1], right.shape[-1])
        if operation is _aten.addmm_.default:
            return arguments[0]
        return operation(*arguments, **(keywords or {}))


class _FusedAttention(torch.autograd.Function):
    @staticmethod
    def forward(context, query, key, value):
        output = query.new_zeros(query.shape[0], query.shape[2], query.shape[1], value.shape[-1])
        context.save_for_backward(query, key, value, output, query.new_zeros(query.shape[:3], dtype=torch.float32))
        return output

    @staticmethod
    def backward(context, gradient):
        raise NotImplementedError("memory_of_fused_attention is for measuring a forward pass")


def _fused(module, query: Tensor, key: Tensor, value: Tensor, attention_mask, **kwargs) -> tuple[Tensor, None]:
    return _FusedAttention.apply(query, key, value), None


AttentionInterface.register(FUSED, _fused)
AttentionMaskInterface.register(FUSED, lambda *arguments, **keywords: None)
