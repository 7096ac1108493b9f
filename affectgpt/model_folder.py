"""What a model folder is, told from its small files: nothing here loads weights or imports torch."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

from affectgpt.files import require_done
from affectgpt.models.weight_files import INDEX_NAME, PICKLES, WEIGHTS_NAME, is_plain_name, weight_files

MANIFEST = "manifest.json"
"""What a release writes last: {"format": 1, "files": {relative name: {"sha256": hex, "size": bytes}}}."""
RUN_FILES = ("recipe.yaml", "training.json", "state.json")
"""Files that a training run writes into a model folder or a checkpoint, beside what `save_pretrained` writes."""


AUTO_MAP_FILES = ("config.json", "processor_config.json", "preprocessor_config.json", "tokenizer_config.json",
                  "video_preprocessor_config.json")
"""Files in which transformers looks for code to run."""
_CLASS = re.compile(r"[A-Za-z_]\w*\.[A-Za-z_]\w*")
_READ = (".safetensors", ".json", ".py", ".jinja", ".model", *PICKLES)


def check_model_folder(folder: str | Path) -> Path:
    """The folder, if it holds a finished model: one with a manifest has the files that it lists, one of a training run
    has the mark `done`, one of `save_pretrained` needs neither.

    Raises:
        ValueError: it does not exist, is half written, holds another kind of model or weights that may not be read, or
            names code outside of it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such model folder; name one with --model, or train one here with: "
                         "affectgpt starter")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if name == WEIGHTS_NAME and (_has_pickle(folder) or (folder / INDEX_NAME).is_file()):
            weight_files(folder)
        elif not (folder / name).is_file():
            raise ValueError(f"{folder}: {name} is missing, so the model is half written or not an AffectGPT model; "
                             "train it again or give another folder")
    kind = _read_config(folder).get("model_type")
    if kind != "affectgpt":
        raise ValueError(f"{folder}: holds a {kind!r} model, not an AffectGPT model")
    check_auto_map(folder)
    if (folder / MANIFEST).is_file():
        quick_manifest_check(folder)
    elif any((folder / name).is_file() for name in RUN_FILES):
        require_done(folder)
    return folder


def model_of(source: str | Path) -> Path:
    """The model folder of a training run, or the folder itself. Raises ValueError as `check_model_folder`."""
    inside = Path(source) / "model"
    return check_model_folder(inside if inside.is_dir() else source)


def _has_pickle(folder: Path) -> bool:
    return any(path.suffix.lower() in PICKLES for path in folder.iterdir())


def quick_manifest_check(folder: str | Path) -> dict[str, dict]:
    """Compare a folder with its manifest by names and sizes, and return what the manifest says of each file.

    Every file that loading may read or run (weights, JSON, code, pickles) must be listed. The hashes are for
    `affectgpt verify`: reading a large model twice would take a minute.

    Raises:
        ValueError: no manifest of this form, a name that leaves the folder, a file that is missing or has another
            size, or one that is not listed; by its name.
    """
    folder = Path(folder)
    manifest = folder / MANIFEST
    try:
        values = json.loads(manifest.read_text(encoding="utf-8"))
        files = {name: (value["sha256"], value["size"]) for name, value in values["files"].items()}
        good = values["format"] == 1 and bool(files) and all(
            isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) and type(size) is int and size >= 0
            for digest, size in files.values())
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        good = False
    if not good:
        raise ValueError(f"{manifest}: is no manifest of format 1 (SHA-256 and size of each file); copy the "
                         "folder again")
    for name, (_, size) in files.items():
        if not all(map(is_plain_name, name.split("/"))):
            raise ValueError(f"{manifest}: names {name!r}, which is not a file inside of the folder")
        path = folder / name
        if not path.is_file():
            raise ValueError(f"{path}: is missing, and {MANIFEST} lists it; copy the folder again")
        if path.stat().st_size != size:
            raise ValueError(f"{path}: has {path.stat().st_size:,} bytes, and {size:,} are listed in {MANIFEST}; copy "
                             "it again")
    for path in sorted(folder.iterdir()):
        if path.name not in files and path.name != MANIFEST and path.suffix.lower() in _READ and path.is_file():
            raise ValueError(f"{path}: is not listed in {MANIFEST}, so it is not part of what was released; remove it")
    return values["files"]


def check_auto_map(folder: str | Path) -> None:
    """Refuse an `auto_map` (code that transformers would run) that points anywhere but at a class in the folder.

    Raises:
        ValueError: a reference to another repository or folder, a file that is not there, or no reference at all; with
            the file and the entry that has it.
    """
    folder = Path(folder)
    for name in AUTO_MAP_FILES:
        if not (folder / name).is_file():
            continue
        values = _read_config(folder, name).get("auto_map", {})
        if not isinstance(values, dict):
            raise ValueError(f"{folder / name}: auto_map is no table of classes; remove it")
        for auto, given in values.items():
            for reference in given if isinstance(given, list | tuple) else [given]:
                if reference is None and auto == "AutoTokenizer":  # its slow or fast half, which there need not be
                    continue
                where = f"{folder / name}: auto_map of {auto} is {reference!r}"
                if not isinstance(reference, str) or "--" in reference or not _CLASS.fullmatch(reference):
                    raise ValueError(f"{where}, which points out of the folder: only code beside it, as module.Class, "
                                     "may be named; remove the entry")
                code = f"{reference.split('.')[0]}.py"
                if not (folder / code).is_file():
                    raise ValueError(f"{where}, and {code} is not there; copy the folder again")
                if (folder / code).is_symlink() and not _in_one_cache(folder / code):
                    raise ValueError(f"{where}, and {code} is a link out of the folder; copy the file itself")


def _in_one_cache(link: Path) -> bool:
    """Whether a link is one of a hub's cache: snapshots/REVISION/FILE -> blobs/HASH of the same repository."""
    return link.absolute().parent.parent.name == "snapshots" and \
        link.resolve().parent == link.absolute().parent.parent.parent.resolve() / "blobs"


def _read_config(folder: Path, name: str = "config.json") -> dict:
    try:
        values = json.loads((folder / name).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / name}: not readable as JSON; train the model again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{folder / name}: not readable as JSON; train the model again")
    return values


def check_streams(config, streams: list[str] | None) -> list[str]:
    """The streams that a model of this configuration is to look at; all that it has where None.

    Raises:
        ValueError: a stream that the model does not have.
    """
    have = config.streams
    if "fusion" in (streams or []) and not {"audio", config.fusion_visual} <= set(streams):
        raise ValueError(f"the fusion stream is made of audio and {config.fusion_visual}: name both beside it")
    for stream in streams or []:
        if stream not in have:
            raise ValueError(f"this model does not look at {stream!r}: it has {', '.join(have)}")
    return list(streams) if streams else list(have)


def check_folder_streams(folder: Path, streams: list[str] | None) -> list[str] | None:
    """`check_streams` before anything is imported; None where config.json leaves the streams to their defaults."""
    values = _read_config(folder)
    if not {"streams", "fusion_visual"} <= values.keys():
        return None
    return check_streams(SimpleNamespace(streams=values["streams"], fusion_visual=values["fusion_visual"]), streams)
