"""Features of frozen encoders: computed once a clip, kept in one safetensors file, keyed by what made them.

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from affectgpt.data.clip import Clip
from affectgpt.files import write_jsonl
from affectgpt.media import MediaError

_SETTINGS = (
    "audio_encoder", "visual_encoder", "streams", "frames", "frame_sampling", "keep_aspect", "face_channels",
    "face_margin", "visual_size", "visual_mean", "visual_std", "audio_sampling", "audio_segments",
    "audio_window_seconds", "audio_normalisation", "audio_level", "audio_layers", "audio_pooling", "audio_positions",
    "audio_statistics", "fusion_visual",
)
"""Fields of the model's configuration that change a feature."""


class _Loader(Dataset):
    """Raw tensors of clips, or the error that reading one gave."""

    def __init__(self, processor, clips: list[Clip], reader: str, transcribe: bool):
        self.processor, self.clips, self.reader, self.transcribe = processor, clips, reader, transcribe

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int):
        try:
            return self.processor.load(self.clips[index], reader=self.reader)
        except MediaError as error:
            return error


def load_all(processor, clips: list[Clip], reader: str = "pyav", workers: int = 0,
             transcribe: bool = False) -> Iterator[tuple[Clip, object]]:
    """Yield every clip with its raw inputs, or with the MediaError that reading it gave, in order."""
    loader = DataLoader(_Loader(processor, clips, reader, transcribe), batch_size=None, num_workers=workers,
                        multiprocessing_context="fork" if workers else None, prefetch_factor=4 if workers else None)
    yield from zip(clips, loader, strict=True)


@torch.inference_mode()
def encode_inputs(model, inputs):
    """Replace the raw tensors of one clip's inputs by encoder features [P, D], in place."""
    for stream in inputs.media_streams:
        values = getattr(inputs, stream)
        mask = torch.ones(1, len(values), dtype=torch.bool, device=model.device)
        lengths = inputs.audio_lengths[None].to(model.device) if stream == "audio" else None
        features, _ = model.encode(stream, values[None].to(model.device), mask, lengths)
        setattr(inputs, stream, features[0].float().cpu().clone())
    inputs.audio_lengths = None
    return inputs


def fingerprint(config, clips: list[Clip]) -> str:
    """Key of a table: encoders, preprocessing, and every file's path, size and time of change."""
    parts = [json.dumps({name: getattr(config, name) for name in _SETTINGS}, sort_keys=True)]
    for clip in clips:
        for path in (clip.media, clip.audio):
            if path is not None and path.is_file():
                status = path.stat()
                parts.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
        parts.append(clip.key)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def compute_features(model, processor, clips: list[Clip], folder: Path, reader: str = "pyav", workers: int = 0,
                     max_skip_ratio: float = 0.005, keep: bool = True, title: str = "features") -> dict[str, object]:
    """Encoder features of clips: from the table in `folder` where its key fits, computed otherwise.

    Returns:
        clip key -> `Inputs` with features. Unreadable clips are missing and listed in `folder/skipped.jsonl`.
    Raises:
        ValueError: more than `max_skip_ratio` of the clips cannot be read.
    """
    path = Path(folder) / f"features-{fingerprint(processor.config, clips)}.safetensors"
    if keep and path.is_file():
        return _read(path, clips, processor)
    table, skipped = {}, []
    Path(folder).mkdir(parents=True, exist_ok=True)
    progress = tqdm(load_all(processor, clips, reader, workers), total=len(clips), desc=title, unit="clip")
    for clip, inputs in progress:
        if isinstance(inputs, Exception):
            skipped.append({"id": clip.key, "file": str(clip.media), "row": clip.provenance, "reason": str(inputs)})
            if len(skipped) > max_skip_ratio * len(clips):
                write_jsonl(Path(folder) / "skipped.jsonl", skipped)
                raise ValueError(f"{len(skipped)} of {len(clips)} clips cannot be read, more than the {max_skip_ratio:.1%} "
                                 f"that data.max_skip_ratio allows; the last: {inputs} (list: {folder}/skipped.jsonl)")
            continue
        table[clip.key] = encode_inputs(model, inputs)
    if skipped:
        write_jsonl(Path(folder) / "skipped.jsonl", skipped)
    if keep and not skipped:
        _write(path, table)
    return table


def _write(path: Path, table: dict[str, object]) -> None:
    tensors, notes = {}, {}
    for key, inputs in table.items():
        notes[key] = inputs.notes
        for stream in inputs.media_streams:
            tensors[f"{key}\t{stream}"] = getattr(inputs, stream)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    save_file(tensors, temporary, metadata={"notes": json.dumps(notes)})
    os.replace(temporary, path)


def _read(path: Path, clips: list[Clip], processor) -> dict[str, object]:
    from affectgpt.models.processing import Inputs

    words = {clip.key: clip.words if "text" in processor.config.streams else None for clip in clips}
    with safe_open(path, "pt") as file:
        notes = json.loads(file.metadata()["notes"])
        table = {key: Inputs(words=words[key], notes=notes[key]) for key in notes}
        for name in file.keys():
            key, stream = name.split("\t")
            setattr(table[key], stream, file.get_tensor(name))
    return table
