"""The project's own layout: a manifest with one clip a row, and media paths relative to it."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.data.readers.tables import read_rows
from affectgpt.files import safe_join
from affectgpt.models.streams import STREAMS
from affectgpt.words.basic import POLARITIES, SYNONYMS

CORPUS = Corpus(
    name="manifest", title="A manifest of your own, or one that `affectgpt prepare` made",
    licence="that of its media", access="write one: one clip a row, docs/extending.md lists the keys",
    layout="a file of JSON Lines (.jsonl), a JSON array (.json) or a table (.csv, .tsv)",
    kinds=("description", "labels", "emotion", "sentiment", "valence"))

TARGET_KEYS = ("description", "labels", "emotion", "valence", "sentiment", "evidence", "cues")
CLIP_KEYS = ("id", "corpus", "split", "media", "audio", "words", "language", "speaker", "content")
NAMES = ("id", "corpus", "split", "speaker")
"""Keys whose value may be a number, which is taken as its text."""
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
        if key not in (*CLIP_KEYS, *TARGET_KEYS):
            near = difflib.get_close_matches(key, (*CLIP_KEYS, *TARGET_KEYS), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join((*CLIP_KEYS, *TARGET_KEYS))}"
            raise ValueError(f"{where}: unknown key {key!r}; {hint}")
    row = {key: str(value) if key in NAMES and type(value) in (int, float) else value for key, value in row.items()}
    _check_types(row, where)
    if not spoken(row.get("id")):
        raise ValueError(f"{where}: the row has no id")
    media = {}
    for key in ("media", "audio"):
        try:
            media[key] = safe_join(root, _below(root, row[key]), follow=True) if row.get(key) else None
        except ValueError as error:
            raise ValueError(f"{where}: {key}: {error}; {ROOT_HINT}") from error
    targets = Targets(
        description=spoken(row.get("description")), labels=tuple(filter(spoken, row.get("labels") or ())),
        emotion=spoken(row.get("emotion")),
        valence=row.get("valence"), sentiment=row.get("sentiment"), evidence=row.get("evidence") or {},
        cues=row.get("cues") or {},
    )
    return Clip(id=row["id"], corpus=row.get("corpus") or corpus, split=row.get("split") or "", media=media["media"],
                audio=media["audio"], words=spoken(row.get("words")), language=row.get("language") or "en",
                speaker=row.get("speaker"), content=row.get("content"), targets=targets, provenance=where)


def _below(root: Path, path: str) -> str:
    """An absolute path inside the root as one that starts there; any other path as it is."""
    return os.path.relpath(path, root) if Path(path).is_absolute() and ".." not in Path(path).parts \
        and Path(path).is_relative_to(root.absolute()) else path


def _check_types(row: dict, where: str) -> None:
    for key, value in row.items():
        if value is None:
            continue
        if key == "labels":
            good = isinstance(value, list) and all(isinstance(label, str) for label in value)
            wanted = "a list of words"
        elif key in ("evidence", "cues"):
            good = isinstance(value, dict) and all(
                stream in STREAMS and isinstance(text, str) for stream, text in value.items())
            wanted = f"an object of stream ({', '.join(STREAMS)}) and text"
            if good and key == "cues":
                good = all(text in SYNONYMS for text in value.values())
                wanted = f"an object of stream and basic emotion ({', '.join(SYNONYMS)})"
        elif key == "valence":
            # JSON has whole numbers of any size, and 1e999.
            good = isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e100
            wanted = "a number"
        else:
            good, wanted = isinstance(value, str), "text"
        if good and key == "sentiment" and value not in POLARITIES:
            good, wanted = False, f"one of {', '.join(POLARITIES)}"
        if not good:
            raise ValueError(f"{where}: {key} must be {wanted}, not {value!r}")
