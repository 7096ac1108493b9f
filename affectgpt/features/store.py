"""Features of frozen encoders, read from a store; and raw clips under the same interface.

    store = FeatureStore.open("runs/starter/features", model.config, clips)
    store[clip.key]        -> Inputs with features [P, D]
    store.facts(clip.key)  -> streams and positions, without reading a tensor

`affectgpt.features.extract` fills a store, `features.key` says what keys it, `features.shards` how it lies on disk.

Shapes: P time positions, D encoder width.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from tqdm import tqdm

from affectgpt.data import reading
from affectgpt.data.clip import Clip, spoken
from affectgpt.data.inputs import Inputs
from affectgpt.features.key import changed_file, check_settings, store_settings
from affectgpt.features.shards import Index, Row, read_index
from affectgpt.models.streams import MEDIA_STREAMS

CHECKING_THREADS = 8
"""Files are looked at side by side: on a network's file system each look waits."""


@dataclass(frozen=True)
class Facts:
    """What is known of a clip without reading its tensors: positions P of each stream, and its words."""

    positions: dict[str, int]
    words: str | None

    @property
    def media_streams(self) -> list[str]:
        return [stream for stream, count in self.positions.items() if count]


class StoredClips(Mapping):
    """Clip key -> `Inputs`, for those of the given clips that a store has rows of; made anew each time it is asked.

    Attributes:
        missing: keys of clips that the store does not have (at one of the speeds).
        skipped: key -> reason, for clips that could not be read when the store was made; they are not missing.
        unchecked: media files that are not on this machine, and so could not be compared.
        torn: shards that were cut off; what they held is missing.
    """

    def __init__(self, folder: Path, config, clips: list[Clip], index: Index, speeds: tuple[float, ...],
                 transcribe: bool, check_media: bool):
        self.folder, self.settings, self.torn = Path(folder), index.settings, index.torn
        self._streams = [stream for stream in MEDIA_STREAMS if stream in config.streams]
        self._with_words, self._transcribe = "text" in config.streams, transcribe
        self._speeds = tuple(speed for speed in speeds if speed != 1.0)
        self.clips: dict[str, Clip] = {}
        self.missing, self.skipped, self.unchecked = [], {}, 0
        self._rows: dict[str, Row] = {}
        self._variants: dict[str, list[Row]] = {}
        changed = []
        found = find_all(index, clips, (1.0, *self._speeds), transcribe, check_media)
        for clip, held in zip(clips, found, strict=True):
            self.unchecked += held.absent
            if held.skip is not None:
                self.skipped[clip.key] = held.skip
            elif held.changed is not None:
                changed.append((clip, held.changed))
            elif None in held.rows:
                self.missing.append(clip.key)
            else:
                self.clips[clip.key] = clip
                self._rows[clip.key], *self._variants[clip.key] = held.rows
        if changed:
            clip, path = changed[0]
            raise ValueError(f"{path}: is not the file that {self.folder} holds of clip {clip.key} "
                             f"({len(changed)} clips have changed): extract the features again, which "
                             "computes only what has changed, or bring the file back")

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, key) -> bool:
        return key in self._rows

    def facts(self, key: str) -> Facts:
        """Streams with their positions, and the words, of a clip; reads nothing."""
        row = self._rows[key]
        return Facts({stream: row.streams[stream][1] for stream in self._streams if stream in row.streams},
                     self._words(key))

    def files(self, key: str) -> dict[str, str | None]:
        """Role -> SHA-256 of each file that a clip's row was made from."""
        return {role: facts and facts["sha256"] for role, facts in self._rows[key].files.items()}

    def _words(self, key: str) -> str | None:
        if not self._with_words:
            return None
        given = self.clips[key].words
        return spoken(self._rows[key].words if given is None and self._transcribe else given)


class FeatureStore(StoredClips):
    """A store of features, read as it is asked for: tensors stay on disk. May be read from several threads."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self._files: dict[Path, object] = {}
        self._lock = threading.Lock()

    @classmethod
    def open(cls, folder: str | Path, config, clips: list[Clip], reader: str = "pyav", transcribe: bool = False,
             speeds: tuple[float, ...] = (1.0,), weights: str | Path | None = None,
             check_media: bool = True) -> FeatureStore:
        """The features of clips in a store.

        Args:
            config: the model's configuration, with its parts described; the store may hold more streams.
            reader, transcribe, weights: as for `store_settings`; they must be those that the store was made with.
            speeds: speeds of the sound that must be there.
            check_media: False trusts the media files to be the recorded ones, for one process that has checked.
        Raises:
            ValueError: no store, one that was made with other settings, a hostile one, or a media file that is not
                the one that the store was made from.
        """
        index = read_index(Path(folder))
        wanted = store_settings(config, "features", reader, transcribe, weights)
        check_settings(Path(folder), index.settings, wanted, exact=False)
        return cls(folder, config, clips, index, speeds, transcribe and "text" in config.streams, check_media)

    def __getitem__(self, key: str) -> Inputs:
        row = self._rows[key]
        features = {stream: self._tensor(row, stream) for stream in self._streams if stream in row.streams}
        return Inputs(**features, words=self._words(key), notes=list(row.notes))

    def variants(self, key: str) -> Sequence[Inputs]:
        """The clip with its sound at each further speed, in their order, read as they are asked for; a clip without
        sound has none."""
        return _Speeds(self, key)

    def _tensor(self, row: Row, stream: str) -> Tensor:
        start, count = row.streams[stream]
        with self._lock:
            if row.shard not in self._files:  # maps the file; no file descriptor stays open
                self._files[row.shard] = safe_open(row.shard, "pt")
            file = self._files[row.shard]
        # A copy: what is cut out is otherwise a view of the mapped file.
        return file.get_slice(stream)[start : start + count].to(torch.float32, copy=True)


class _Speeds(Sequence):
    """One clip with its sound at the further speeds."""

    def __init__(self, store: FeatureStore, key: str):
        self.store, self.key = store, key
        self.rows = [row for row in store._variants[key] if "audio" in row.streams and "audio" in store._streams]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Inputs:
        return replace(self.store[self.key], audio=self.store._tensor(self.rows[index], "audio"))


class RawClips(StoredClips):
    """Clips read from their media each time they are asked for, with the facts that a survey found."""

    def __init__(self, processor, reader: str, *arguments):
        super().__init__(*arguments)
        self._processor, self._reader = processor, reader

    @classmethod
    def open(cls, folder: str | Path, processor, clips: list[Clip], reader: str = "pyav", transcribe: bool = False,
             check_media: bool = True) -> RawClips:
        """Raw clips of a survey; arguments and errors as for `FeatureStore.open`."""
        index, config = read_index(Path(folder)), processor.config
        wanted = store_settings(config, "survey", reader, transcribe)
        check_settings(Path(folder), index.settings, wanted, exact=False)
        return cls(processor, reader, folder, config, clips, index, (1.0,), transcribe and "text" in config.streams,
                   check_media)

    def __getitem__(self, key: str) -> Inputs:
        """Raw tensors. Raises MediaError where a file cannot be read any more."""
        inputs = reading.load_clip(self._processor, self.clips[key], reader=self._reader)
        inputs.words, inputs.notes = self._words(key), list(self._rows[key].notes)
        return inputs


@dataclass(frozen=True, slots=True)
class Held:
    """What a store has of a clip: a row a speed (None where it has none), or why there is none to be had."""

    rows: list[Row | None]
    skip: str | None = None
    changed: Path | None = None
    absent: int = 0


def find_all(index: Index, clips: list[Clip], speeds: tuple[float, ...], transcribe: bool,
             check_media: bool = True) -> Iterator[Held]:
    """What a store has of each clip, in their order; files are looked at by several threads."""
    parts = [clips[start : start + 64] for start in range(0, len(clips), 64)]

    def look(part: list[Clip]) -> list[Held]:
        return [find_rows(index, clip, speeds, transcribe, check_media) for clip in part]

    with ThreadPoolExecutor(CHECKING_THREADS) as pool, tqdm(
            total=len(clips), desc="checking media files", unit="clip", delay=5, leave=False) as bar:
        for found in pool.map(look, parts):
            yield from found
            bar.update(len(found))


def find_rows(index: Index, clip: Clip, speeds: tuple[float, ...], transcribe: bool, check_media: bool = True) -> Held:
    """Rows of a clip that were made from the files that it has now.

    `changed` names a file where a row exists, but only of other media; `skip` is the reason why a clip could not
    be read, as long as its files are the same.
    """
    checked: dict[str, tuple[Path | None, int]] = {}

    def check(files: dict) -> tuple[Path | None, int]:
        key = repr(sorted((role, fact and fact["sha256"], fact and fact["mtime_ns"],
                           fact and fact.get("span")) for role, fact in files.items()))
        if key not in checked:  # the speeds of a clip share their files
            checked[key] = changed_file(clip, files, check_media)
        return checked[key]

    rows, changed, absent = [], None, 0
    heard = clip.language if transcribe and clip.words is None else None
    for speed in speeds:
        chosen = None
        for row in index.rows.get((clip.key, speed), []):
            if speed == 1.0 and heard is not None and row.transcribed != heard:
                continue
            other, gone = check(row.files)
            if other is None:
                chosen, absent = row, max(absent, gone)
                break
            changed = changed or other
        rows.append(chosen)
    if None in rows:
        for skip in index.skips.get(clip.key, []):
            if skip["speed"] in (1.0, *speeds) and check(skip["files"])[0] is None:
                return Held(rows, skip["reason"])
    # Where the first speed is held, the others are merely missing.
    return Held(rows, None, changed if rows[0] is None else None, absent)
