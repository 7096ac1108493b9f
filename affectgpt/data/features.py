"""Features of frozen encoders: computed once a clip, kept in one safetensors file, keyed by what made them.

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from affectgpt import hub
from affectgpt.data.clip import Clip
from affectgpt.data.inputs import Inputs
from affectgpt.files import write_jsonl
from affectgpt.media import MediaError

_SETTINGS = (
    "audio_encoder", "visual_encoder", "streams", "frames", "frame_sampling", "keep_aspect", "face_channels",
    "face_margin", "visual_size", "visual_mean", "visual_std", "audio_sampling", "audio_segments",
    "audio_window_seconds", "audio_normalisation", "audio_level", "audio_layers", "audio_pooling", "audio_positions",
    "audio_statistics", "fusion_visual",
)
"""Fields of the model's configuration that change a feature."""


def load_all(processor, clips: list[Clip], workers: int = 0, **options) -> Iterator[tuple[Clip, object]]:
    """Yield every clip, in order, with its raw inputs or with the MediaError that reading it gave.

    `options` go to `processor.load`.
    """

    def load(index: int):
        try:
            return processor.load(clips[index], **options)
        except MediaError as error:
            return error

    if not workers:
        yield from ((clip, load(index)) for index, clip in enumerate(clips))
        return
    # Threads: the decoders work outside Python's lock, and a fork of a process in which OpenCV or FFmpeg has run
    # crashes or hangs now and then.
    ahead = 4 * workers
    with ThreadPoolExecutor(workers) as pool:
        waiting = deque(pool.submit(load, index) for index in range(min(ahead, len(clips))))
        for index, clip in enumerate(clips):
            result = waiting.popleft().result()
            if index + ahead < len(clips):
                waiting.append(pool.submit(load, index + ahead))
            yield clip, result


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


def fingerprint(config, clips: list[Clip], **options) -> str:
    """Key of a table: encoders and their weights, preprocessing, every file's path, size and time of change."""
    settings = {name: getattr(config, name) for name in _SETTINGS}
    parts = [json.dumps(settings, sort_keys=True), json.dumps(options, sort_keys=True)]
    for name in (config.audio_encoder, config.visual_encoder):
        parts.append(_weights_signature(name) if name else "")
    for clip in clips:
        for path in (clip.media, clip.audio):
            if path is not None and path.is_file():
                status = path.stat()
                parts.append(f"{path}:{status.st_size}:{status.st_mtime_ns}")
        parts.append(clip.key)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _weights_signature(name: str) -> str:
    """Where an encoder's weights lie, and their size and time of change where that is a folder."""
    resolved = hub.resolve(name)
    files = sorted(Path(resolved).glob("*.safetensors")) if Path(resolved).is_dir() else []
    return ":".join([resolved, *(f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files)])


def compute_features(model, processor, clips: list[Clip], folder: Path, reader: str = "pyav", workers: int = 0,
                     max_skip_ratio: float = 0.005, keep: bool = True, title: str = "features",
                     **options) -> dict[str, object]:
    """Encoder features of clips: from the table in `folder` where its key fits, computed otherwise.

    Args:
        options: go to `processor.load`: `transcribe`, `streams`, `speed`.
    Returns:
        clip key -> `Inputs` with features. Unreadable clips are missing and listed in `folder/skipped.jsonl`.
    Raises:
        ValueError: more than `max_skip_ratio` of the clips cannot be read.
    """
    path = Path(folder) / f"features-{fingerprint(processor.config, clips, **options)}.safetensors"
    if keep and path.is_file():
        return _read(path, clips, processor)
    table = read_inputs(processor, clips, folder, reader, workers, max_skip_ratio, title,
                        encode=lambda inputs: encode_inputs(model, inputs), **options)
    if keep and len(table) == len(clips):
        _write(path, table, clips)
    return table


def read_inputs(processor, clips: list[Clip], folder: Path, reader: str = "pyav", workers: int = 0,
                max_skip_ratio: float = 0.005, title: str = "clips", encode=None, **options) -> dict[str, object]:
    """Clip key -> raw `Inputs`, or what `encode` makes of them; returns and raises as `compute_features`."""
    table, skipped = {}, []
    Path(folder).mkdir(parents=True, exist_ok=True)
    (Path(folder) / "skipped.jsonl").unlink(missing_ok=True)  # of an earlier run
    loaded = load_all(processor, clips, workers, reader=reader, **options)
    progress = tqdm(loaded, total=len(clips), desc=title, unit="clip")
    for clip, inputs in progress:
        if isinstance(inputs, Exception):
            skipped.append({"id": clip.key, "file": str(clip.media), "row": clip.provenance, "reason": str(inputs)})
            if len(skipped) > max_skip_ratio * len(clips):
                write_jsonl(Path(folder) / "skipped.jsonl", skipped)
                raise ValueError(f"{len(skipped)} of {len(clips)} clips cannot be read, more than the "
                                 f"{max_skip_ratio:.1%} that data.max_skip_ratio allows; the last: {inputs} (list: {folder}/skipped.jsonl)")
            continue
        table[clip.key] = encode(inputs) if encode else inputs
    if skipped:
        write_jsonl(Path(folder) / "skipped.jsonl", skipped)
    return table


def _write(path: Path, table: dict[str, object], clips: list[Clip]) -> None:
    tensors, facts = {}, {}
    # A manifest's words may change without a change of the media, so only recognised words are kept here.
    recognised = {clip.key for clip in clips if clip.words is None}
    for key, inputs in table.items():
        facts[key] = {"notes": inputs.notes, "words": inputs.words if key in recognised else None}
        for stream in inputs.media_streams:
            tensors[f"{key}\t{stream}"] = getattr(inputs, stream)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        save_file(tensors, temporary, metadata={"clips": json.dumps(facts)})
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _read(path: Path, clips: list[Clip], processor) -> dict[str, object]:
    given = {clip.key: clip.words if "text" in processor.config.streams else None for clip in clips}
    with safe_open(path, "pt") as file:
        facts = json.loads(file.metadata()["clips"])
        table = {key: Inputs(words=fact["words"] if given[key] is None else given[key], notes=fact["notes"])
                 for key, fact in facts.items()}
        for name in file.keys():
            key, stream = name.split("\t")
            setattr(table[key], stream, file.get_tensor(name))
    return table
