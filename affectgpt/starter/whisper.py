"""Whisper tiny.en: a CTranslate2 model.bin -> a Hugging Face Whisper folder in float32."""

from __future__ import annotations

import json
import struct
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from . import save_model

if TYPE_CHECKING:
    import numpy as np
    import torch

_DTYPES = {0: "<f4", 1: "<i1", 2: "<i2", 3: "<i4", 4: "<f2"}
_TEXT_END, _TRANSCRIPT_START, _PREVIOUS_START, _NO_TIMESTAMPS = 50256, 50257, 50360, 50362
_LAYERS, _HEADS = 4, 6


def convert(sources: dict[str, Path], folder: Path) -> None:
    """Write config, weights, generation settings, tokenizer and feature extractor into the empty `folder`.

    Raises:
        ValueError: model.bin is not a CTranslate2 Whisper tiny.en in float16.
    """
    from transformers import GenerationConfig, WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    variables = read_ctranslate2(sources["model/model.bin"])
    state = _state(variables, sources["model/model.bin"])
    vocabulary, width = state["model.decoder.embed_tokens.weight"].shape
    config = WhisperConfig(
        vocab_size=vocabulary,
        d_model=width,
        encoder_layers=_LAYERS,
        decoder_layers=_LAYERS,
        encoder_attention_heads=_HEADS,
        decoder_attention_heads=_HEADS,
        encoder_ffn_dim=state["model.encoder.layers.0.fc1.weight"].shape[0],
        decoder_ffn_dim=state["model.decoder.layers.0.fc1.weight"].shape[0],
        num_mel_bins=state["model.encoder.conv1.weight"].shape[1],
        max_source_positions=state["model.encoder.embed_positions.weight"].shape[0],
        max_target_positions=state["model.decoder.embed_positions.weight"].shape[0],
        decoder_start_token_id=_TRANSCRIPT_START,
        bos_token_id=_TRANSCRIPT_START,
        eos_token_id=_TEXT_END,
        pad_token_id=_TEXT_END,
    )
    save_model(folder, WhisperForConditionalGeneration, config, state, tied=("proj_out.weight",))

    settings = json.loads(sources["model/config.json"].read_text(encoding="utf-8"))
    # is_multilingual=False: `generate` sends no language and no task token, only <|notimestamps|>
    GenerationConfig(
        is_multilingual=False,
        return_timestamps=False,
        no_timestamps_token_id=_NO_TIMESTAMPS,
        prev_sot_token_id=_PREVIOUS_START,
        decoder_start_token_id=_TRANSCRIPT_START,
        bos_token_id=_TRANSCRIPT_START,
        eos_token_id=_TEXT_END,
        pad_token_id=_TEXT_END,
        max_length=config.max_target_positions,
        max_initial_timestamp_index=50,
        suppress_tokens=settings["suppress_ids"],
        begin_suppress_tokens=settings["suppress_ids_begin"],
        alignment_heads=settings["alignment_heads"],
    ).save_pretrained(folder)
    WhisperFeatureExtractor(feature_size=config.num_mel_bins).save_pretrained(folder)
    _save_tokenizer(sources["model/tokenizer.json"], config.max_target_positions, folder)


def read_ctranslate2(path: Path) -> dict[str, np.ndarray]:
    """Variables of a CTranslate2 model file (format version 6) by name, aliases included; read-only views.

    Raises:
        ValueError: another format or version, or a count, name, shape or size that does not fit the file.
    """
    import numpy as np

    reader = _Reader(path)
    version = reader.number("I")
    if version != 6:
        raise ValueError(f"{path}: is not a CTranslate2 file of format version 6 (its number is {version})")
    kind, _ = reader.string(), reader.number("I")  # name and revision of the model kind
    if kind != "WhisperSpec":
        raise ValueError(f"{path}: holds a {kind!r}, not a Whisper model: it cannot be converted")
    variables: dict[str, np.ndarray] = {}
    for _ in range(reader.number("I")):
        name, rank = reader.string(), reader.number("B")
        shape = tuple(reader.number("I") for _ in range(rank))
        code, size = reader.number("B"), reader.number("I")
        if code not in _DTYPES:
            raise ValueError(f"{path}: {name} has the unknown type {code}: it cannot be converted")
        dtype = np.dtype(_DTYPES[code])
        if size != prod(shape) * dtype.itemsize:
            raise ValueError(f"{path}: {name} has {size} bytes, its shape {shape} needs "
                             f"{prod(shape) * dtype.itemsize}: the file is damaged")
        variables[name] = np.frombuffer(reader.take(size), dtype).reshape(shape)
    for _ in range(reader.number("I")):
        alias, name = reader.string(), reader.string()
        if name not in variables:
            raise ValueError(f"{path}: {alias} stands for {name}, which is missing: the file is damaged")
        variables[alias] = variables[name]
    reader.finish()
    return variables


class _Reader:
    """Little-endian reader that never goes past the end of its file."""

    def __init__(self, path: Path) -> None:
        self.path, self.data, self.offset = path, memoryview(path.read_bytes()), 0

    def take(self, size: int) -> memoryview:
        if size > len(self.data) - self.offset:
            raise ValueError(f"{self.path}: ends at byte {len(self.data)}, {size} more were expected at byte "
                             f"{self.offset}: the file is damaged")
        self.offset += size
        return self.data[self.offset - size:self.offset]

    def number(self, code: str) -> int:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        raw = bytes(self.take(self.number("H")))
        try:
            return raw.removesuffix(b"\0").decode("utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.path}: no name at byte {self.offset}: the file is damaged") from error

    def finish(self) -> None:
        if self.offset != len(self.data):
            left = len(self.data) - self.offset
            raise ValueError(f"{self.path}: {left} bytes too many: the file is damaged")


def _state(variables: dict[str, np.ndarray], path: Path) -> dict[str, torch.Tensor]:
    """CTranslate2 variables -> state of WhisperForConditionalGeneration; fused projections are split."""
    import numpy as np
    import torch

    state: dict[str, torch.Tensor] = {}

    def read(name: str) -> torch.Tensor:
        if name not in variables:
            raise ValueError(f"{path}: {name} is not in the file: it is not Whisper tiny.en")
        return torch.from_numpy(variables[name].astype(np.float32))

    def norm(source: str, target: str) -> None:
        state[f"{target}.weight"], state[f"{target}.bias"] = read(f"{source}/gamma"), read(f"{source}/beta")

    def linear(source: str, *targets: str) -> None:
        """Split the rows of one weight over several projections; a key projection has no bias in Whisper."""
        weights = read(f"{source}/weight").chunk(len(targets))
        biases = read(f"{source}/bias").chunk(len(targets))
        for target, weight, bias in zip(targets, weights, biases):
            state[f"{target}.weight"] = weight
            if not target.endswith("k_proj"):
                state[f"{target}.bias"] = bias
            elif bias.any():
                raise ValueError(f"{path}: {source} has a key bias: it is not a Whisper model")

    for side in ("encoder", "decoder"):
        model = f"model.{side}"
        if variables.get(f"{side}/num_heads", np.array(_HEADS)).item() != _HEADS:
            raise ValueError(f"{path}: {side} has not {_HEADS} attention heads: it is not Whisper tiny.en")
        state[f"{model}.embed_positions.weight"] = read(f"{side}/position_encodings/encodings")
        norm(f"{side}/layer_norm", f"{model}.layer_norm")
        if side == "encoder":
            linear("encoder/conv1", f"{model}.conv1")
            linear("encoder/conv2", f"{model}.conv2")
        else:
            state[f"{model}.embed_tokens.weight"] = read("decoder/embeddings/weight")
        for index in range(_LAYERS):
            source, target = f"{side}/layer_{index}", f"{model}.layers.{index}"
            own = f"{target}.self_attn"
            linear(f"{source}/self_attention/linear_0", f"{own}.q_proj", f"{own}.k_proj", f"{own}.v_proj")
            linear(f"{source}/self_attention/linear_1", f"{own}.out_proj")
            norm(f"{source}/self_attention/layer_norm", f"{target}.self_attn_layer_norm")
            if side == "decoder":
                cross = f"{target}.encoder_attn"
                linear(f"{source}/attention/linear_0", f"{cross}.q_proj")
                linear(f"{source}/attention/linear_1", f"{cross}.k_proj", f"{cross}.v_proj")
                linear(f"{source}/attention/linear_2", f"{cross}.out_proj")
                norm(f"{source}/attention/layer_norm", f"{target}.encoder_attn_layer_norm")
            linear(f"{source}/ffn/linear_0", f"{target}.fc1")
            linear(f"{source}/ffn/linear_1", f"{target}.fc2")
            norm(f"{source}/ffn/layer_norm", f"{target}.final_layer_norm")
    return state


def _save_tokenizer(path: Path, max_length: int, folder: Path) -> None:
    from transformers import WhisperTokenizer

    # the class takes no ready tokenizer: it reads one from a folder
    (folder / "tokenizer.json").write_bytes(path.read_bytes())
    end = "<|endoftext|>"
    settings = {"tokenizer_class": "WhisperTokenizer", "bos_token": end, "eos_token": end, "unk_token": end,
                "pad_token": end, "model_max_length": max_length, "clean_up_tokenization_spaces": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    WhisperTokenizer.from_pretrained(folder).save_pretrained(folder)
