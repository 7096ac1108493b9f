"""What a model folder is, told from its small files: nothing here loads weights or imports torch."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

from affectgpt.files import require_done

RUN_FILES = ("recipe.yaml", "training.json", "state.json")
"""Files that a training run writes into a model folder or a checkpoint, beside what `save_pretrained` writes."""


def check_model_folder(folder: str | Path) -> Path:
    """The folder, if it holds a finished model: one of a training run has the mark `done`, one of `save_pretrained`
    needs none.

    Raises:
        ValueError: it does not exist, is half written, or holds another kind of model.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such model folder; name one with --model, or train one here with: "
                         "affectgpt starter")
    for name in ("config.json", "model.safetensors", "tokenizer.json"):
        if not (folder / name).is_file():
            raise ValueError(f"{folder}: {name} is missing, so the model is half written or not an AffectGPT model; "
                             "train it again or give another folder")
    kind = _read_config(folder).get("model_type")
    if kind != "affectgpt":
        raise ValueError(f"{folder}: holds a {kind!r} model, not an AffectGPT model")
    if any((folder / name).is_file() for name in RUN_FILES):
        require_done(folder)
    return folder


def _read_config(folder: Path) -> dict:
    try:
        values = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{folder / 'config.json'}: not readable as JSON; train the model again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{folder / 'config.json'}: not readable as JSON; train the model again")
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
