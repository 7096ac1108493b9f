"""Filling a feature store: clips are read ahead, encoded (on a GPU, many together) and written shard by shard.

Any number of processes fill one store side by side, each its own share of the clips, and any of them may be killed at
any moment: what a whole shard holds is never computed again.

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from affectgpt.data import reading
from affectgpt.data.clip import Clip
from affectgpt.features.encode import BATCH_CLIPS, BATCH_SOUND_SECONDS, encode_batch, encode_inputs
from affectgpt.features.key import media_facts, open_folder, store_settings
from affectgpt.features.shards import Index, Row, ShardWriter, log_skip, read_index, read_skips, remove_leftovers
from affectgpt.features.store import FeatureStore, find_all, find_rows
from affectgpt.media import SAMPLE_RATE, MediaError


@dataclass(frozen=True)
class SurveyedInputs:
    """What a survey keeps of a clip: positions of each stream, words, notes."""

    positions: dict[str, int]
    words: str | None
    notes: list[str]


@dataclass(frozen=True)
class Summary:
    """What one process did: rows computed, rows that were held before, clips that cannot be read (of all
    processes, as far as they are known), shards written, seconds, and the most rows that were in memory at once."""

    computed: int
    held: int
    skipped: int
    shards: int
    seconds: float
    peak_rows: int

    @property
    def clips_per_second(self) -> float:
        return self.computed / self.seconds if self.seconds else 0.0


def read_ahead(items: Sequence, function: Callable, workers: int) -> Iterator:
    """`function(item)` of every item, in order, computed by threads that stay a few items ahead; 0 uses none."""
    if not workers:
        yield from map(function, items)
        return
    # Threads: the decoders work outside Python's lock, and a fork of a process in which OpenCV or FFmpeg has run
    # crashes or hangs now and then.
    ahead = 4 * workers
    pool = ThreadPoolExecutor(workers)
    try:
        waiting = deque(pool.submit(function, item) for item in items[:ahead])
        for index in range(len(items)):
            result = waiting.popleft().result()
            if index + ahead < len(items):
                waiting.append(pool.submit(function, items[index + ahead]))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def load_all(processor, clips: list[Clip], workers: int = 0, **options) -> Iterator[tuple[Clip, object]]:
    """Yield every clip, in order, with its raw inputs or with the MediaError that reading it gave.

    `options` go to `reading.load_clip`.
    """

    def load(clip: Clip):
        try:
            return clip, reading.load_clip(processor, clip, **options)
        except MediaError as error:
            return clip, error

    yield from read_ahead(clips, load, workers)


def extract(model, processor, clips: list[Clip], folder: str | Path, *, reader: str = "pyav", workers: int = 0,
            max_skip_ratio: float = 0.005, dtype: str = "float32", transcribe: bool = False,
            speeds: tuple[float, ...] = (1.0,), rank: int = 0, world_size: int = 1, shard_clips: int = 256,
            weights: str | Path | None = None, progress: bool = True, title: str = "features",
            batch_clips: int | None = None) -> Summary:
    """Add the features of clips to a store; only what no whole shard holds is computed.

    Clips that cannot be read are listed in `skipped-RANK.jsonl` and are not tried again while their files are the
    same. A process takes every `world_size`-th clip of the whole list, from `rank` on, so that processes agree
    without talking to each other, whenever each of them starts.

    Args:
        model: what has `encode`, `device`, `audio_encoder` and `visual_encoder`; put into evaluation mode.
        dtype: "float32" or "float16", how features are kept.
        speeds: speeds of the sound; rows of another speed than 1 hold the sound alone.
        shard_clips: rows of a shard, the most that a kill can lose.
        weights: as for `store_settings`.
        batch_clips: clips that are encoded together; None for one on a CPU and `BATCH_CLIPS` on a GPU.
    Raises:
        ValueError: the store was made with other settings, more than `max_skip_ratio` of the clips cannot be read,
            a feature that is no finite number, or a shard that cannot be written.
    """
    settings = {**store_settings(processor.config, "features", reader, transcribe, weights), "dtype": dtype}
    for stream, values in settings["streams"].items():
        encoder = model.audio_encoder if stream == "audio" else model.visual_encoder
        values["width"] = encoder.eval().feature_dim  # in training mode dropout would be noise on the features
    kept = getattr(torch, dtype)
    size = bytes_per_clip(settings["streams"], processor.config, dtype)
    if progress and rank == 0:
        print(f"{title}: up to {size / 1e3:.1f} kB a clip, {size * len(clips) * len(speeds) / 1e9:.3g} GB on disk for "
              f"{len(clips)} clips in {dtype}", flush=True)

    def encode(batch: list[tuple[Clip, object]]) -> Iterator[tuple[dict[str, int], dict[str, Tensor]]]:
        encode_batch(model, [inputs for _, inputs in batch])
        for clip, inputs in batch:
            tensors = {stream: getattr(inputs, stream).to(kept) for stream in inputs.media_streams}
            for stream, tensor in tensors.items():
                if not torch.isfinite(tensor).all():
                    remedy = "use float32" if dtype == "float16" else "look at this file and its encoder"
                    raise ValueError(f"clip {clip.key} ({clip.media}): its {stream} features are not finite in "
                                     f"{dtype}: {remedy}")
            yield {stream: len(tensor) for stream, tensor in tensors.items()}, tensors

    def load(clip: Clip, speed: float):
        if speed == 1.0:
            return reading.load_clip(processor, clip, reader=reader, transcribe=transcribe)
        return reading.load_clip(processor, clip, ["audio"], reader, speed=speed)

    if batch_clips is None:
        batch_clips = 1 if torch.device(model.device).type == "cpu" else BATCH_CLIPS
    transcribe = transcribe and "text" in processor.config.streams
    return fill(clips, folder, settings, load, encode, batch_clips, workers, max_skip_ratio, transcribe, speeds, rank,
                world_size, shard_clips, progress, title)


def bytes_per_clip(streams: dict[str, dict], config, dtype: str) -> int:
    """Bytes that a clip with all of its streams takes in a store.

    Args:
        streams: stream -> its settings with the `width` of its features, as `store_settings` names them.
        config: the model's configuration, which decides the positions of each stream.
        dtype: "float32" or "float16".
    """
    sound = config.audio_positions if config.audio_pooling == "positions" else config.audio_segments
    values = sum((sound if stream == "audio" else config.frames) * one["width"] for stream, one in streams.items())
    return values * getattr(torch, dtype).itemsize


def survey(processor, clips: list[Clip], folder: str | Path, *, reader: str = "pyav", workers: int = 0,
           max_skip_ratio: float = 0.005, transcribe: bool = False, rank: int = 0, world_size: int = 1,
           shard_clips: int = 256, progress: bool = True, title: str = "survey of clips") -> Summary:
    """Add to a store what is known of raw clips, without tensors: streams, recognised words, notes, skips.

    Every file is decoded once, so that training from raw clips meets no unreadable one (`reading.survey_clip`);
    arguments, errors and resuming are those of `extract`. `RawClips.open` reads it.
    """
    config = processor.config

    def load(clip: Clip, speed: float):
        positions, inputs = reading.survey_clip(processor, clip, reader, transcribe)
        if "audio" in positions and config.audio_pooling == "positions":
            positions["audio"] = config.audio_positions
        return SurveyedInputs(positions, inputs.words, inputs.notes)

    def count(batch: list[tuple[Clip, SurveyedInputs]]) -> Iterator[tuple[dict[str, int], dict[str, Tensor]]]:
        yield from ((surveyed.positions, {}) for _, surveyed in batch)

    settings = {**store_settings(config, "survey", reader, transcribe), "dtype": "float32"}
    transcribe = transcribe and "text" in config.streams
    return fill(clips, folder, settings, load, count, 1, workers, max_skip_ratio, transcribe, (1.0,), rank, world_size,
                shard_clips, progress, title)


def verify(store: FeatureStore, model, processor, clips: list[Clip], n: int, seed: int = 0) -> tuple[float, str, str]:
    """(largest absolute difference, clip key, stream) between the store and features computed anew.

    Args:
        n: how many of the clips, drawn at random; all where there are fewer.
    Raises:
        ValueError: a clip gives other streams or positions than the store has, or none of the clips is held.
    """
    held = [clip for clip in clips if clip.key in store]
    if not held:
        raise ValueError(f"{store.folder}: holds none of the clips, so there is nothing to verify")
    largest = (-1.0, "", "")
    for clip in random.Random(seed).sample(held, min(n, len(held))):
        inputs = reading.load_clip(processor, clip, reader=store.settings["reader"])
        anew, kept = encode_inputs(model, inputs), store[clip.key]
        shapes = [{stream: tuple(getattr(one, stream).shape) for stream in one.media_streams} for one in (kept, anew)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"clip {clip.key}: {store.folder} holds {shapes[0]}, and its files give {shapes[1]}: "
                             "remove the store and extract the features again")
        for stream in anew.media_streams:
            difference = float((getattr(anew, stream) - getattr(kept, stream)).abs().max().nan_to_num(float("inf")))
            largest = max(largest, (difference, clip.key, stream))
    return largest


def fill(clips, folder, settings, load, make, batch_clips, workers, max_skip_ratio, transcribe, speeds, rank,
         world_size, shard_clips, progress, title) -> Summary:
    """Compute and write the rows of this rank's share that the store does not have.

    Args:
        load: (clip, speed) -> what is known of it, with `words` and `notes`; called by `workers` threads.
        make: up to `batch_clips` pairs of a clip and what `load` gave -> positions and tensors of each.
    """
    started, folder = time.perf_counter(), Path(folder)
    if len({clip.key for clip in clips}) < len(clips):
        raise ValueError("two clips have one key (corpus/id): keys must be unique")
    settings = open_folder(folder, settings)
    remove_leftovers(folder, rank, world_size)
    index = read_index(folder)
    for path in index.torn:
        tqdm.write(f"{path}: was cut off, so its clips are computed again; remove it")
    units, held = _missing(index, clips[rank::world_size], speeds, transcribe)
    losses = _Losses(index, folder, clips, max_skip_ratio)
    losses.check()
    writer = ShardWriter(folder, settings, rank, shard_clips)
    computed = 0

    def load_unit(unit: tuple[Clip, float]):
        files = media_facts(unit[0])
        try:
            return files, load(*unit)
        except MediaError as error:
            return files, error

    def write(batch: list[tuple[Clip, float, dict, object]]) -> None:
        nonlocal computed
        made = make([(clip, inputs) for clip, *_, inputs in batch])
        for (clip, speed, files, inputs), (positions, tensors) in zip(batch, made, strict=True):
            heard = clip.language if transcribe and clip.words is None and speed == 1.0 else None
            words = inputs.words if heard is not None else None
            writer.add(Row(clip.key, speed, {stream: (0, count) for stream, count in positions.items()}, files, words,
                           heard, inputs.notes), tensors)
            computed += 1
        bar.update(len(batch))
        batch.clear()

    bar = tqdm(total=len(units), desc=title, unit="clip", disable=not progress or rank != 0)
    batch: list[tuple[Clip, float, dict, object]] = []
    try:
        for (clip, speed), (files, inputs) in zip(units, read_ahead(units, load_unit, workers), strict=True):
            if isinstance(inputs, MediaError):
                bar.update()
                log_skip(folder, rank, {"id": clip.key, "file": str(clip.media or clip.audio), "row": clip.provenance,
                                        "reason": str(inputs), "speed": speed, "files": files})
                losses.check()
                continue
            if batch and _samples([*(one[3] for one in batch), inputs]) > BATCH_SOUND_SECONDS * SAMPLE_RATE:
                write(batch)
            batch.append((clip, speed, files, inputs))
            if len(batch) == batch_clips:
                write(batch)
        if batch:
            write(batch)
    finally:  # also where the job stops: what was computed is kept
        bar.close()
        writer.flush()
    return Summary(computed, held, len(losses.keys()), writer.shards, time.perf_counter() - started, writer.peak)


def _samples(clips: list) -> int:
    """Samples of sound that are encoded together, with what pads them to the longest."""
    sounds = [one.audio.numel() for one in clips if getattr(one, "audio", None) is not None]
    return len(sounds) * max(sounds, default=0)


def _missing(index: Index, clips: list[Clip], speeds, transcribe: bool) -> tuple[list[tuple[Clip, float]], int]:
    """(clip, speed) pairs that are neither held nor known to be unreadable, and how many pairs are held."""
    found = list(find_all(index, clips, speeds, transcribe))
    units = [(clip, speed) for clip, one in zip(clips, found, strict=True) if one.skip is None
             for speed, row in zip(speeds, one.rows, strict=True) if row is None]
    return units, sum(row is not None for one in found for row in one.rows)


class _Losses:
    """Clips that cannot be read, over all processes, as their lists tell it."""

    def __init__(self, index: Index, folder: Path, clips: list[Clip], ratio: float):
        self.folder, self.clips, self.ratio = folder, {clip.key: clip for clip in clips}, ratio
        # Skips of files that have changed since, or of clips that were read later, count no more.
        self.past = {_name(skip) for key, skips in index.skips.items() if key in self.clips for skip in skips
                     if find_rows(index, self.clips[key], (skip["speed"],), False).skip is None}

    def keys(self) -> dict[str, str]:
        """Key -> reason."""
        return {skip["id"]: skip["reason"] for skip in read_skips(self.folder)
                if skip["id"] in self.clips and _name(skip) not in self.past}

    def check(self) -> None:
        """Raise ValueError where more clips are lost than may be."""
        lost = self.keys()
        if len(lost) > self.ratio * len(self.clips):
            raise ValueError(f"{len(lost)} of {len(self.clips)} clips cannot be read, more than the {self.ratio:.1%} "
                             f"that data.max_skip_ratio allows; the last: {list(lost.values())[-1]} "
                             f"(list: {self.folder}/skipped-*.jsonl; a clip whose file is repaired is tried again)")


def _name(skip: dict) -> str:
    return repr((skip["id"], skip["speed"], skip["files"]))
