"""The project's own layout: a manifest with one clip a row, and media paths relative to it.

What a row may hold stands in `manifest_keys.KEYS` and is published as `data/manifest.schema.json`.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip, Preference, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.manifest_keys import KEYS, PATHS, fits, is_name
from affectgpt.data.readers.tables import read_rows
from affectgpt.files import safe_join

CORPUS = Corpus(
    name="manifest", title="A manifest of your own, or one that `affectgpt prepare` made",
    licence="that of its media", access="write one: one clip a row, data/manifest.schema.json lists the keys",
    layout="a file of JSON Lines (.jsonl), a JSON array (.json) or a table (.csv, .tsv)",
    kinds=("description", "labels", "emotion", "compound", "sentiment", "valence", "vad", "preference", "question"))

ROOT_HINT = ("name the folder that paths start from with data.root=DIR (train, extract) or --root DIR (generate, "
             "evaluate, unibench), or put a symbolic link to it beside the manifest")


def read(path: Path, root: str | Path | None = None) -> list[Clip]:
    """Clips of a manifest.

    Args:
        path: the manifest, in one of the forms of `tables.read_rows`.
        root: folder of the media; by default the manifest's folder. No media path may leave it, but for a symbolic
            link directly in it (`files.safe_join`); a path that is absolute may lie in it.
    Raises:
        ValueError: a row that is no JSON object, an unknown key, a value of the wrong type, a missing id, or a
            path outside the root; the message starts with file:row.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"{path}: no such manifest; give a file of JSON Lines, a JSON array or a CSV table with one "
                         "clip a row")
    folder = Path(root) if root is not None else path.parent
    clips = [_clip(row, folder, path.parent.name, f"{path}:{number}") for number, row in read_rows(path)]
    if not clips:
        raise ValueError(f"{path}: the manifest has no rows")
    return clips


def _clip(row: dict, root: Path, corpus: str, where: str) -> Clip:
    for key in row:
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(KEYS)}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")
    row = {key: value for key, value in row.items() if value is not None}
    if "id" not in row or isinstance(row["id"], str) and not spoken(row["id"]):
        raise ValueError(f"{where}: the row has no id")
    for key, value in row.items():
        if not fits(value, KEYS[key].schema):
            raise ValueError(f"{where}: {key} must be {KEYS[key].wanted}, not {value!r}")
        if is_name(key):
            row[key] = str(value)
    start, end = row.get("start"), row.get("end")
    if end is not None and end <= (start or 0):
        raise ValueError(f"{where}: end is {end:g}, which is not after start, {start or 0:g}")
    paths = {}
    for key in PATHS:
        try:
            paths[key] = safe_join(root, _below(root, row[key]), follow=True) if row.get(key) else None
        except ValueError as error:
            raise ValueError(f"{where}: {key}: {error}; {ROOT_HINT}") from error
    preference = row.get("preference")
    targets = Targets(
        description=spoken(row.get("description")), labels=tuple(filter(spoken, row.get("labels", ()))),
        emotion=spoken(row.get("emotion")), valence=row.get("valence"), sentiment=row.get("sentiment"),
        arousal=row.get("arousal"), dominance=row.get("dominance"), votes=row.get("votes", {}),
        preference=Preference(**preference) if preference else None, turns=tuple(map(tuple, row.get("turns", ()))),
        evidence=row.get("evidence", {}), cues=row.get("cues", {}))
    return Clip(
        id=row["id"], corpus=row.get("corpus") or corpus, split=row.get("split", ""), words=spoken(row.get("words")),
        language=row.get("language") or "en", speaker=row.get("speaker"), sex=row.get("sex"),
        start=start, end=end, dialogue=row.get("dialogue"), turn=int(row["turn"]) if "turn" in row else None,
        group=row.get("group"), content=row.get("content"), targets=targets, provenance=where, **paths)


def clip_to_row(clip: Clip, root: str | Path) -> dict[str, Any]:
    """The row of a manifest that `read` takes for the same clip; what is not known is left out.

    Args:
        root: folder that its paths are written relative to.
    Raises:
        ValueError: a path outside the root, or a value that no manifest can hold; says which clip.
    """
    row: dict[str, Any] = {}
    for key, entry in KEYS.items():
        value = getattr(clip.targets if entry.of_targets else clip, key)
        if value is None or value == () or value == {} or value == "":
            continue
        if key in PATHS:
            value = _relative(Path(value), Path(root), f"{clip.key}: {key}")
        elif key == "preference":
            value = vars(value).copy()
        else:
            value = _plain(value)
        if not fits(value, entry.schema):
            raise ValueError(f"{clip.key}: {key} must be {entry.wanted}, not {value!r}")
        row[key] = value
    return row


def _plain(value: Any) -> Any:
    """Tuples as lists and mappings as objects, which is what JSON gives back."""
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value


def _relative(path: Path, root: Path, where: str) -> str:
    """A path below the root as one that starts there, with slashes."""
    for inside, above in ((path.absolute(), root.absolute()), (path.resolve(), root.resolve())):
        if inside.is_relative_to(above):
            return inside.relative_to(above).as_posix()
    raise ValueError(f"{where}: {path} lies outside of {root}; name a root that holds it")


def _below(root: Path, path: str) -> str:
    """An absolute path inside the root as one that starts there; any other path as it is."""
    return os.path.relpath(path, root) if Path(path).is_absolute() and ".." not in Path(path).parts \
        and Path(path).is_relative_to(root.absolute()) else path
