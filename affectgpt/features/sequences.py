"""Sequences of features of clips, from one store a spec; what a store lacks is computed first.

    found = sequences_of(clips, [FeatureSpec(source="audio", encoder="starter:whisper-tiny.en")], "runs/x/features")
    values, times = found[clip.key]["audio"]      # [P, D], [P] seconds after the start of the clip

A store is filled as `features.extract` fills one: shard by shard, killable at any moment, refused where it was made
with other settings. A clip that cannot be read, or whose features are no finite numbers, has no such stream; `notes`
says so.

Shapes: P positions, D features.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from affectgpt.data.clip import Clip
from affectgpt.features import frames
from affectgpt.features.extract import fill
from affectgpt.features.key import TIMES, encoder_revision, file_sha256, read_settings
from affectgpt.features.shards import Row, read_index
from affectgpt.features.spec import FeatureSpec, sequence_settings, store_name
from affectgpt.features.store import find_all

NOT_FINITE = "its features are no finite numbers"
SHARD_CLIPS = 64
LANDMARKS = Path(frames.__file__).parents[1] / "starter" / "face_mesh.safetensors"
"""What measured action units depend on besides the face."""


@dataclass(frozen=True)
class Stored:
    """One stream of a corpus: widths D, and where the values of each clip lie."""

    name: str
    source: str
    width: int
    rows: dict[str, Row]

    def read(self, key: str) -> tuple[Tensor, Tensor] | None:
        """(values float32 [P, D], times float32 [P]) of a clip; None where it has no such stream."""
        row = self.rows.get(key)
        if row is None or self.source not in row.streams:
            return None
        with safe_open(row.shard, "pt") as file:
            parts = []
            for stream in (self.source, TIMES):
                start, count = row.streams[stream]
                parts.append(file.get_slice(stream)[start : start + count].to(torch.float32, copy=True))
        return parts[0], parts[1][:, 0]


class Sequences(Mapping):
    """Clip key -> {stream: (values [P, D], times [P])}, read as it is asked for; a stream that a clip does not have is
    not there.

    Attributes:
        widths: stream -> D, in the order of the specs.
        notes: (clip key, stream) -> why a clip has no such stream.
    """

    def __init__(self, keys: list[str], streams: Sequence[Stored], notes: dict[tuple[str, str], str]):
        self.keys_of_clips, self.streams, self.notes = keys, list(streams), notes
        self.widths = {stream.name: stream.width for stream in streams}

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys_of_clips)

    def __len__(self) -> int:
        return len(self.keys_of_clips)

    def __getitem__(self, key: str) -> dict[str, tuple[Tensor, Tensor]]:
        if key not in self.keys_of_clips:
            raise KeyError(key)
        found = {}
        for stream in self.streams:
            value = stream.read(key)
            if value is None:
                self.notes.setdefault((key, stream.name), f"no {stream.name}")
            elif not bool(torch.isfinite(value[0]).all()):
                self.notes[key, stream.name] = NOT_FINITE
            else:
                found[stream.name] = value
        return found

    def note_lines(self) -> list[str]:
        """Reason -> how many clips and which, a line each; names of files count as one reason."""
        groups: dict[tuple[str, str], list[str]] = {}
        for (key, stream), note in self.notes.items():
            groups.setdefault((stream, re.sub(r"^\S*/\S+: ", "", note)), []).append(key)
        return [f"{stream}: {len(keys)} clips without ({note}): {', '.join(keys[:3])}"
                f"{' and others' if len(keys) > 3 else ''}" for (stream, note), keys in groups.items()]


def sequences_of(clips: Sequence[Clip], specs: Sequence[FeatureSpec], folder: str | Path, device: str = "cpu",
                 workers: int = 1, reader: str = "pyav", speed: float = 1.0, progress: bool = True) -> Sequences:
    """The sequences of clips; what the stores below `folder` do not hold is computed and kept there.

    Args:
        workers: threads that read files ahead.
        speed: play the sound faster (above 1) or slower; other sources are not heard and are left as they are.
    Raises:
        ValueError: two specs of one name, an encoder that cannot be had, a store that was made otherwise.
    """
    names = [spec.title for spec in specs]
    if len(set(names)) < len(names):
        raise ValueError(f"two streams are called {next(name for name in names if names.count(name) > 1)!r}: give each "
                         "a name of its own")
    streams, notes = [], {}
    for spec in specs:
        if spec.source == "texts":
            streams.append(_of_texts(spec, clips, notes))
        elif spec.source == "units" and spec.encoder:
            streams.append(_of_tables(spec, clips, notes))
        else:
            at = speed if spec.source == "audio" else 1.0
            streams.append(_of_store(spec, clips, Path(folder), device, workers, reader, at, notes, progress))
    return Sequences([clip.key for clip in clips], streams, notes)


def _of_store(spec: FeatureSpec, clips: Sequence[Clip], folder: Path, device: str, workers: int, reader: str,
              speed: float, notes: dict, progress: bool) -> Stored:
    revision = encoder_revision(spec.encoder) if spec.encoder else f"sha256:{file_sha256(LANDMARKS)}"
    settings = sequence_settings(spec, revision, reader)
    place = folder / store_name(spec, settings)
    rows_of = [_named_by_words(clip) if spec.source == "words" else clip for clip in clips]
    stored = read_settings(place) if (place / "store.json").is_file() else None
    width = None if stored is None else stored["streams"].get(spec.source, {}).get("width")
    source = _Lazy(spec, device, reader)
    if width is None:
        width = source().width
    settings["streams"][spec.source]["width"] = width
    settings["streams"][TIMES] = {"width": 1}
    kept = getattr(torch, spec.dtype)

    def make(batch) -> Iterator[tuple[dict[str, int], dict[str, Tensor]]]:
        for _, loaded in batch:
            values = None if loaded.raw is None else source().encode(loaded).to(kept)
            if values is not None and not bool(torch.isfinite(values).all()):
                values = None
                loaded.notes.insert(0, NOT_FINITE)
            if values is None or not len(values):
                yield {}, {}
                continue
            tensors = {spec.source: values, TIMES: torch.as_tensor(loaded.times, dtype=torch.float32)[:, None]}
            yield {name: len(tensor) for name, tensor in tensors.items()}, tensors

    def load(clip: Clip, at: float) -> frames.Loaded:
        return source().load(clip, at)

    fill(rows_of, place, settings, load, make, 1, workers, 1.0, False, (speed,), 0, 1, SHARD_CLIPS, progress,
         f"{spec.title} of {spec.encoder or 'textualize.units'}" + (f" at speed {speed:g}" if speed != 1.0 else ""))
    rows = {}
    for clip, held in zip(clips, find_all(read_index(place), rows_of, (speed,), False), strict=True):
        if held.changed is not None:
            raise ValueError(f"{held.changed}: is not the file that {place} holds of clip {clip.key}: extract the "
                             "features again, or bring the file back")
        row = held.rows[0]
        if row is not None:
            rows[clip.key] = row
        if held.skip is not None or spec.source not in row.streams:
            notes[clip.key, spec.title] = held.skip or (row.notes or ["nothing found"])[0]
    return Stored(spec.title, spec.source, width, rows)


class _Lazy:
    """A source that is loaded when it is first needed: a whole store needs no encoder."""

    def __init__(self, *arguments):
        self.arguments, self.source, self.lock = arguments, None, threading.Lock()

    def __call__(self):
        with self.lock:
            if self.source is None:
                self.source = frames.source_of(*self.arguments)
            return self.source


def _named_by_words(clip: Clip) -> Clip:
    """A clip whose row says which words it was made of: other words are another row."""
    digest = hashlib.sha256((clip.words or "").encode()).hexdigest()[:16]
    return replace(clip, id=f"{clip.id}@{digest}")


class _InMemory(Stored):
    """A stream that no store holds."""

    def read(self, key: str) -> tuple[Tensor, Tensor] | None:
        return self.rows.get(key)


def _of_texts(spec: FeatureSpec, clips: Sequence[Clip], notes: dict) -> Stored:
    """Clip-level numbers of a texts file, one position a clip; a number that a clip does not have is 0."""
    from affectgpt.textualize.texts import read_texts

    texts = read_texts(spec.encoder)
    names = sorted({name for text in texts.values() for name in text.values.get(spec.cue, {})})
    if not names:
        raise ValueError(f"{spec.encoder}: has no values of {spec.cue}: make it with this cue, or leave the stream out")
    rows = {}
    for clip in clips:
        values = texts[clip.key].values.get(spec.cue) if clip.key in texts else None
        if not values:
            notes[clip.key, spec.title] = f"no {spec.cue} in {spec.encoder}"
            continue
        rows[clip.key] = torch.tensor([[float(values.get(name, 0.0)) for name in names]]), torch.zeros(1)
    return _InMemory(spec.title, spec.source, len(names), rows)


def _of_tables(spec: FeatureSpec, clips: Sequence[Clip], notes: dict) -> Stored:
    """Action units of tables of py-feat or OpenFace, read each time; a unit that a table does not have is 0."""
    from affectgpt.textualize.settings import FaceSection
    from affectgpt.textualize.tables import table_of
    from affectgpt.textualize.units import UNIT_NAMES, frame_units

    names, rows = list(UNIT_NAMES), {}
    for clip in clips:
        try:
            table_of(spec.encoder, clip)
        except ValueError as error:
            notes[clip.key, spec.title] = str(error)
            continue
        found = frame_units(clip, FaceSection(tables=spec.encoder))
        if not bool(found.found.any()):
            notes[clip.key, spec.title] = "no face was found"
            continue
        values = torch.zeros(int(found.found.sum()), len(names))
        for number, name in enumerate(found.names):
            if name in names:
                values[:, names.index(name)] = found.values[found.found, number]
        rows[clip.key] = values, found.times[found.found].float()
    return _InMemory(spec.title, spec.source, len(names), rows)


def resample(values: Tensor, times: Tensor, at: Tensor, nearest: bool = False) -> Tensor:
    """Values [P, D] at times [P], ascending, as values [T, D] at other times [T].

    Between two positions they are interpolated, before the first and after the last those are held; `nearest` takes the
    nearest position as it is (the earlier of two), as words are.
    """
    if len(values) == 1:
        return values.expand(len(at), -1)
    right = torch.searchsorted(times.contiguous(), at.contiguous()).clamp(1, len(times) - 1)
    left = right - 1
    gap = (times[right] - times[left]).clamp_min(1e-9)
    share = ((at - times[left]) / gap).clamp(0, 1)[:, None]
    if nearest:
        return torch.where(share > 0.5, values[right], values[left])
    return values[left] + share * (values[right] - values[left])
