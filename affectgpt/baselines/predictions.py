"""What every system of a comparison writes for one split and one seed: a folder with `predictions.jsonl`, and
`run.json` with facts about the run, which is written last and marks the folder as whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from affectgpt.files import atomic_write_json, parse_object, read_jsonl, write_jsonl

ROWS, FACTS = "predictions.jsonl", "run.json"


@dataclass(frozen=True)
class Prediction:
    """A system's answer about one clip.

    Attributes:
        key: `Clip.key`.
        target: the true class.
        predicted: the class it gives; None where it gives none (no input, a refusal), which counts as wrong.
        probabilities: class -> its share, where the system has them; sums to 1.
        note: why there is no answer, or what was missing.
    """

    key: str
    target: str
    predicted: str | None
    probabilities: dict[str, float] = field(default_factory=dict)
    note: str = ""


def write_predictions(folder: str | Path, rows: Iterable[Prediction], facts: dict[str, Any]) -> Path:
    """Write both files; the folder is whole when this returns.

    Raises:
        ValueError: a clip twice, or a probability that is not finite.
    """
    folder, rows = Path(folder), list(rows)
    twice = len(rows) - len({row.key for row in rows})
    if twice:
        raise ValueError(f"{folder}: {twice} clips are predicted twice")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FACTS).unlink(missing_ok=True)  # of an earlier run: its rows are replaced now
    write_jsonl(folder / ROWS, map(asdict, rows))
    atomic_write_json(folder / FACTS, {**facts, "clips": len(rows)})
    return folder


def is_whole(folder: str | Path) -> bool:
    """Whether a run's predictions are all there."""
    return (Path(folder) / FACTS).is_file() and (Path(folder) / ROWS).is_file()


def read_predictions(folder: str | Path) -> tuple[list[Prediction], dict[str, Any]]:
    """(predictions, facts) of a whole folder.

    Raises:
        ValueError: it is not whole, or a row is none of this format.
    """
    folder = Path(folder)
    if not is_whole(folder):
        raise ValueError(f"{folder}: has no whole {ROWS} and {FACTS}: the run did not end; run it again")
    facts = parse_object((folder / FACTS).read_text(encoding="utf-8"), str(folder / FACTS))
    rows = []
    for number, row in read_jsonl(folder / ROWS):
        if not isinstance(row.get("key"), str) or not isinstance(row.get("target"), str):
            raise ValueError(f"{folder / ROWS}:{number}: a prediction has a key and a target")
        if not isinstance(row.get("predicted"), str | None):
            raise ValueError(f"{folder / ROWS}:{number}: predicted is {row['predicted']!r}: give a class or null")
        if not isinstance(row.get("probabilities") or {}, dict):
            raise ValueError(f"{folder / ROWS}:{number}: probabilities must be an object of class and share")
        rows.append(Prediction(row["key"], row["target"], row.get("predicted"), row.get("probabilities") or {},
                               row.get("note") or ""))
    if len(rows) != facts.get("clips"):
        raise ValueError(f"{folder / ROWS}: has {len(rows)} rows, and {facts.get('clips')} were written: run it again")
    return rows, facts


def run_folder(output: str | Path, system: str, split: str, seed: int) -> Path:
    """Where the predictions of one system, split and seed lie."""
    return Path(output) / system / split / f"seed-{seed}"


def read_runs(output: str | Path, system: str, splits: Iterable[str], seeds: Iterable[int]) -> dict[
        int, list[Prediction]]:
    """Seed -> predictions of all splits together, of the folders that `run_folder` names.

    Raises:
        ValueError: as `read_predictions`.
    """
    splits = list(splits)
    return {seed: [row for split in splits for row in read_predictions(run_folder(output, system, split, seed))[0]]
            for seed in seeds}
