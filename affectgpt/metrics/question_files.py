"""Questions with their right answers in the files that sets of closed answers ship, as names and targets.

    MME-Emotion    ER_Lab.json: [{"video_id": ..., "label": "Anger", "label_set": [...]}, ...]; "anger,disgust" in ML-ER
    EmoBench-M     [{"video": "a.mp4", "expected_value": "positive"}, ...], also with predictions beside;
                   [{"modal_path": "/p/a.mp4", "expected_emotion": ..., "expected_intent": ...}, ...] (MC-EIU)
    VideoHallucer  [{"basic": {"question": ..., "answer": "yes"}, "hallucination": {... "no"}}, ...]; EmotionHallucer's
                   own files were not public when this was written, and may lie otherwise

The first two were read as released (FunAudioLLM/MME-Emotion 61719fd, Emo-gml/EmoBench-M 79476e5), the third from the
code that reads it (patrick-tssn/VideoHallucer 0949046).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any


def read_questions(path: str | Path) -> list[dict[str, Any]]:
    """{"name", "target"} of each question: a clip is named as the file has it, without its ending, and without its
    folder where that leaves every name another one.

    A clip with two questions is NAME/emotion and NAME/intent, a pair NUMBER/basic and NUMBER/hallucinated, from 1. The
    task is the file's name (ER_Lab.json, MOSI.json).

    Raises:
        ValueError: no such file, no list of objects, or an entry of another layout; says which.
    """
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as a list of questions ({error})") from error
    rows = value.get("examples") if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise ValueError(f"{path}: is no list of questions")
    found = [question for number, row in enumerate(rows, start=1) for question in _questions(row, path, number)]
    short = [question["name"].removeprefix(question["folder"]) for question in found]
    alone = len(set(short)) == len(short)
    return [{"name": name if alone else question["name"], "target": question["target"]}
            for name, question in zip(short, found, strict=True)]


def _questions(row: Any, path: Path, number: int) -> Iterator[dict[str, Any]]:
    where = f"{path}: entry {number}"
    if not isinstance(row, dict):
        raise ValueError(f"{where}: is no object")
    if isinstance(row.get("basic"), dict) and isinstance(row.get("hallucination"), dict):
        for role, part in (("basic", row["basic"]), ("hallucinated", row["hallucination"])):
            yield {"name": f"{number}/{role}", "folder": "",
                   "target": {"answer": _text(part, "answer", where), "pair": str(number), "role": role}}
    elif "label_set" in row:
        options = row["label_set"]
        if not isinstance(options, list) or not all(isinstance(option, str) for option in options):
            raise ValueError(f"{where}: label_set must be a list of words")
        label = _text(row, "label", where)
        right = [label] if label in options else [part.strip() for part in label.split(",")]
        yield _clip(row, where) | {"target": {"answer": right[0] if len(right) == 1 else right, "options": options,
                                              "task": path.stem.replace("_", "-")}}
    elif "expected_value" in row:
        yield _clip(row, where) | {"target": {"answer": _text(row, "expected_value", where), "task": path.stem}}
    elif "expected_emotion" in row:
        clip = _clip(row, where)
        for part in ("emotion", "intent"):
            yield {"name": f"{clip['name']}/{part}", "folder": clip["folder"],
                   "target": {"answer": _text(row, f"expected_{part}", where), "pair": clip["name"],
                              "task": f"MC-EIU {part}"}}
    else:
        raise ValueError(f"{where}: has {', '.join(map(str, row)) or 'nothing'}, and must be laid out as MME-Emotion, "
                         "EmoBench-M or VideoHallucer lay out theirs (docs/tasks.md)")


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if not isinstance(row.get(key), str) or not row[key].strip():
        raise ValueError(f"{where}: needs {key}, a text")
    return row[key].strip()


def _clip(row: dict[str, Any], where: str) -> dict[str, str]:
    """{"name", "folder"} of the clip that an entry is about."""
    key = next((key for key in ("video_id", "video", "modal_path") if key in row), "video_id")
    path = PurePosixPath(_text(row, key, where))
    name = str(path.with_suffix(""))
    return {"name": name, "folder": name[:-len(path.stem)]}
