"""Raw inputs of clips -> features of frozen encoders, one clip or many together.

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

BATCH_CLIPS = 16
"""Clips that a GPU encodes together. On a CPU each is encoded by itself: it gives the same bits whatever its neighbours
are."""
BATCH_SOUND_SECONDS = 16 * 30
"""Sound, padding included, that is encoded together at most; a longer clip is alone."""


def encode_inputs(model, inputs):
    """Replace the raw tensors of one clip's inputs by encoder features [P, D], in place."""
    return encode_batch(model, [inputs])[0]


@torch.inference_mode()
def encode_batch(model, clips: list) -> list:
    """Replace the raw tensors of clips' inputs by encoder features [P, D] float32, in place.

    Pictures of all clips pass the encoder together, and sound windows of one length; no padding enters an encoder.
    """
    device = torch.device(model.device)
    with _fast_products(device):
        for stream in dict.fromkeys(stream for inputs in clips for stream in inputs.media_streams):
            members = [inputs for inputs in clips if stream in inputs.media_streams]
            values = [getattr(inputs, stream) for inputs in members]
            encode = _encode_sounds if stream == "audio" else _encode_pictures
            lengths = [inputs.audio_lengths for inputs in members]
            for inputs, features in zip(members, encode(model, device, stream, values, lengths), strict=True):
                setattr(inputs, stream, features)
    for inputs in clips:
        inputs.audio_lengths = None
    return clips


def _encode_sounds(model, device, stream: str, values: list[Tensor], lengths: list[Tensor]) -> list[Tensor]:
    windows, samples = max(len(one) for one in values), max(one.shape[-1] for one in values)
    padded = torch.stack([nn.functional.pad(one, (0, samples - one.shape[-1], 0, 0, 0, windows - len(one)))
                          for one in values])
    lengths = torch.stack([nn.functional.pad(one, (0, windows - len(one))) for one in lengths])
    mask = torch.arange(windows) < torch.tensor([len(one) for one in values])[:, None]
    features, valid = model.encode(stream, padded.to(device), mask.to(device), lengths.to(device))
    return [one[there].clone() for one, there in zip(features.float().cpu(), valid.cpu(), strict=True)]


def _encode_pictures(model, device, stream: str, values: list[Tensor], lengths: list) -> list[Tensor]:
    pictures = torch.cat(values)[None]
    mask = torch.ones(pictures.shape[:2], dtype=torch.bool, device=device)
    features, _ = model.encode(stream, pictures.to(device), mask)
    return [one.clone() for one in features[0].float().cpu().split([len(one) for one in values])]


@contextlib.contextmanager
def _fast_products(device: torch.device):
    """Products of float32 matrices in TF32 on a GPU that has it: the format's 10 bits of mantissa are far
    finer than what `affectgpt extract --verify` lets pass."""
    before = torch.get_float32_matmul_precision()
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    try:
        yield
    finally:
        if device.type == "cuda":
            torch.set_float32_matmul_precision(before)
