"""What keys a feature store: encoders and their weights, preprocessing, and the media files of every clip.

Two stores of one key hold the same features, whatever the names of their folders and machines.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from functools import lru_cache
from pathlib import Path

from affectgpt import hub
from affectgpt.data.clip import Clip
from affectgpt.files import create_json
from affectgpt.models.streams import MEDIA_STREAMS, VISUAL_STREAMS
from affectgpt.models.weight_files import weight_files

FORMAT = 1
PREPROCESSING = 2
"""Raise it whenever reading a file (affectgpt.media, affectgpt.data.reading) gives other tensors than before."""

DTYPES = {"float32": "F32", "float16": "F16"}
"""Number format of a store -> its name in safetensors."""

_PICTURES = ("frames", "frame_sampling", "visual_size", "visual_mean", "visual_std")
SETTINGS = {
    "audio": ("audio_sampling", "audio_segments", "audio_window_seconds", "audio_normalisation", "audio_level",
              "audio_layers", "audio_pooling", "audio_positions", "audio_statistics"),
    "face": (*_PICTURES, "face_margin", "face_channels"),
    "frame": (*_PICTURES, "keep_aspect"),
}
"""Stream -> fields of the model's configuration that change its features."""

SEQUENCES, TIMES = "sequences", "times"
"""Kind of a store of one stream at its own rate (`features.spec`), and the tensor of its times [P, 1], in seconds."""
_PICTURES_AT_A_RATE = ("rate", "size", "output")
SEQUENCE_SETTINGS = {
    "audio": ("rate", "layers", "statistics", "level", "spoken_part"),
    "face": (*_PICTURES_AT_A_RATE, "margin"),
    "frame": _PICTURES_AT_A_RATE,
    "words": ("layers", "spoken_part", "timed"),
    "units": ("rate",),
}
"""Source of a sequence -> fields of its `FeatureSpec` that change its features."""

_LOCKS = [threading.Lock() for _ in range(64)]
_STORE_KEYS = {"format", "kind", "preprocessing", "reader", "recogniser", "dtype", "streams"}


# ---------------------------------------------------------------------------- what keys a store


def store_settings(config, kind: str = "features", reader: str = "pyav", transcribe: bool = False,
                   weights: str | Path | None = None) -> dict:
    """What a feature depends on besides the file it is made of; plain JSON values.

    Args:
        config: the model's configuration, with its parts described (`loading.describe_parts`).
        kind: "features", or "survey" for a store of facts without tensors, which knows no encoder.
        weights: the model folder that holds the encoders' weights, where they were trained or are bundled.
    Raises:
        ValueError: a stream without a named encoder, or a hub id whose revision is not known.
    """
    streams = {}
    for stream in (stream for stream in MEDIA_STREAMS if stream in config.streams):
        streams[stream] = {key: getattr(config, key) for key in SETTINGS[stream]}
        if kind == "features":
            name = config.audio_encoder if stream == "audio" else config.visual_encoder
            streams[stream] |= {"encoder": name, "revision": encoder_revision(name, weights)}
    recogniser = None
    if transcribe and "text" in config.streams:
        from affectgpt.media.speech import RECOGNISER

        recogniser = f"{RECOGNISER} {hub.STARTER_ASSETS[RECOGNISER.removeprefix(hub.PREFIX)].sha256}"
    settings = {"format": FORMAT, "kind": kind, "preprocessing": PREPROCESSING, "reader": reader,
                "recogniser": recogniser, "streams": streams}
    return json.loads(json.dumps(settings))  # tuples become the lists that a file gives back


def encoder_revision(name: str | None, weights: str | Path | None = None) -> str:
    """"sha256:..." of the weight files and config.json of a local folder, or "commit:..." of a hub id.

    Raises:
        ValueError: no name and no weights, or a hub id without a known revision.
    """
    if weights is not None:
        digests = [file_sha256(path) for path in weight_files(weights)]
        return "sha256:" + (digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest())
    if not name:
        raise ValueError("the model's encoders have no name, so what they compute cannot be told from what others "
                         "compute: give the model folder that holds their weights")
    resolved = hub.resolve(name)
    if not Path(resolved).is_dir():
        from transformers.utils.hub import cached_file, extract_commit_hash

        commit = extract_commit_hash(cached_file(resolved, "config.json"), None)
        if commit is None:
            raise ValueError(f"{name}: the hub's cache does not say which revision this is: download it again, "
                             "or give a local folder")
        return f"commit:{commit}"
    folder = Path(resolved)
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin"))
    if not files:
        raise ValueError(f"{folder}: has no weights (*.safetensors)")
    lines = [f"{file.name} {file_sha256(file)}" for file in [*files, folder / "config.json"]]
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def settings_key(settings: dict) -> str:
    """16 hex digits that name the settings, for the folder of a store and the header of its shards."""
    def essence(value):
        # The same weights may lie under another name on another machine.
        return {k: essence(v) for k, v in value.items() if k != "encoder"} if isinstance(value, dict) else value

    return hashlib.sha256(json.dumps(essence(settings), sort_keys=True).encode()).hexdigest()[:16]


def check_settings(folder: Path, stored: dict, wanted: dict, exact: bool) -> None:
    """Refuse a store that was made otherwise.

    `exact` is for adding to it; for reading it may hold more streams than are wanted, and recognised words.

    Raises:
        ValueError: names the first key that differs, and both values.
    """
    def refuse(key, there, asked) -> None:
        raise ValueError(f"{folder}: this feature store has {key}={there!r}, and {key}={asked!r} is asked for: name "
                         "another folder, or remove this one and extract the features again")

    def compare(there: dict, asked: dict, prefix: str = "") -> None:
        for key, value in asked.items():
            if key == "encoder" or key == "streams":
                continue
            if there.get(key) == value:
                continue
            if key == "reader" and not exact and not set(VISUAL_STREAMS) & wanted["streams"].keys():
                continue
            if key == "recogniser" and not exact and value is None:
                continue
            names = [f" ({part['encoder']})" if key == "revision" else "" for part in (there, asked)]
            refuse(f"{prefix}{key}", f"{there.get(key)}{names[0]}" if names[0] else there.get(key),
                   f"{value}{names[1]}" if names[1] else value)

    compare(stored, wanted)
    absent = wanted["streams"].keys() - stored["streams"].keys()
    if absent or exact and stored["streams"].keys() != wanted["streams"].keys():
        refuse("streams", list(stored["streams"]), list(wanted["streams"]))
    for stream, values in wanted["streams"].items():
        compare(stored["streams"][stream], values, f"{stream}.")


def read_settings(folder: Path) -> dict | None:
    """What `store.json` says; None where there is none.

    Raises:
        ValueError: it is not a feature store's, or one of another version.
    """
    path = Path(folder) / "store.json"
    try:
        settings = parse_json(path.read_text(encoding="utf-8"), path)
    except FileNotFoundError:
        return None
    if not isinstance(settings, dict) or settings.get("format") != FORMAT:
        found = settings.get("format") if isinstance(settings, dict) else None
        raise ValueError(f"{path}: has format {found!r}, and this version reads {FORMAT}: extract the features again")
    only_keys(settings, _STORE_KEYS, path)
    streams = settings["streams"]
    if not isinstance(streams, dict) or not all(isinstance(value, dict) for value in streams.values()):
        raise ValueError(f"{path}: streams must map a stream to its settings")
    extra = set() if settings["kind"] == "survey" else {"encoder", "revision", "width"}
    known = SEQUENCE_SETTINGS if settings["kind"] == SEQUENCES else SETTINGS
    for stream, values in streams.items():
        if stream == TIMES and known is SEQUENCE_SETTINGS:
            only_keys(values, {"width"}, f"{path}: {stream}")
            continue
        if stream not in known:
            raise ValueError(f"{path}: unknown stream {stream!r}: use some of {', '.join(known)}")
        only_keys(values, {*known[stream], *extra}, f"{path}: {stream}")
        if extra and not is_whole(values["width"], 1):
            raise ValueError(f"{path}: {stream}: width must be a whole number above 0, not {values['width']!r}")
    if settings["kind"] not in ("features", "survey", SEQUENCES) or settings["dtype"] not in DTYPES:
        raise ValueError(f"{path}: kind {settings['kind']!r} with dtype {settings['dtype']!r} is not known")
    return settings


def open_folder(folder: Path, settings: dict) -> dict:
    """The settings of a store that is to be added to; `store.json` is written where there is none.

    Raises:
        ValueError: the store was made with other settings.
    """
    folder = Path(folder)
    (folder / "shards").mkdir(parents=True, exist_ok=True)
    path = folder / "store.json"
    create_json(path, settings)
    stored = read_settings(folder)
    check_settings(folder, stored, settings, exact=True)
    return stored


# ---------------------------------------------------------------------------- media files


def media_files(clip: Clip) -> dict[str, Path]:
    """Role -> file of a clip."""
    roles = (("media", clip.media), ("audio", clip.audio), ("face", clip.face))
    return {role: path for role, path in roles if path is not None}


def _span(clip: Clip, role: str) -> list | None:
    """What of a file belongs to a clip, [start, end] in seconds; None for all of it. Face files have no span."""
    return None if clip.span is None or role == "face" else [None if value is None else float(value)
                                                             for value in clip.span]


def media_facts(clip: Clip) -> dict[str, dict | None]:
    """Role -> size, mtime_ns and sha256 of each file of a clip, and the span of it where the clip is a part; None for
    one that is not there or not for us."""
    facts = {}
    for role, path in media_files(clip).items():
        facts[role] = None
        if _readable(path):
            status = path.stat()
            facts[role] = {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": file_sha256(path)}
            if _span(clip, role) is not None:
                facts[role]["span"] = _span(clip, role)
    return facts


def changed_file(clip: Clip, recorded: dict[str, dict | None], look: bool = True) -> tuple[Path | None, int]:
    """(the first file of a clip that is not the recorded one, or not the recorded span of it; number of files that are
    not on this machine).

    A file of the recorded size and time is taken for the recorded one; where only the time differs, its SHA-256
    decides, because copying a corpus changes times. Without `look` no file is looked at, only roles and spans.
    """
    files, absent = media_files(clip), 0
    if files.keys() != recorded.keys():
        return next(iter(files.values()), Path(clip.provenance or clip.key)), 0
    for role, path in files.items():
        there, before = look and _readable(path), recorded[role]
        if before is not None and before.get("span") != _span(clip, role):
            return path, absent
        if not look:
            continue
        if not there:
            absent += before is not None
        elif before is None:
            return path, absent
        else:
            status = path.stat()
            if status.st_size != before["size"] \
                    or status.st_mtime_ns != before["mtime_ns"] and file_sha256(path) != before["sha256"]:
                return path, absent
    return None, absent


def _readable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.R_OK)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file; read once a file, however many clips are parts of it, in however many threads."""
    status = path.stat()
    with _LOCKS[hash(path) % len(_LOCKS)]:
        return _sha256_cached(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=4096)
def _sha256_cached(path: Path, size: int, mtime_ns: int) -> str:
    return _sha256(path)


# ---------------------------------------------------------------------------- JSON from elsewhere


def parse_json(text: str, where):
    """JSON text as Python values. Raises ValueError that starts with `where`."""
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{where}: is not JSON ({error}); it was written by something else, remove it") from error


def only_keys(values, known: set[str], where) -> None:
    """Raise ValueError unless `values` is an object of exactly the known keys."""
    if not isinstance(values, dict):
        raise ValueError(f"{where}: must be an object, not {type(values).__name__}")
    for key in values.keys() - known:
        raise ValueError(f"{where}: unknown key {key!r}; known: {', '.join(sorted(known))}")
    for key in known - values.keys():
        raise ValueError(f"{where}: key {key!r} is missing")


def is_whole(value, least: int) -> bool:
    """Whether a value from JSON is a whole number that is not below `least`."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
