"""Scores of several sets, of every checkpoint, and their mean with its interval; which checkpoint counts."""

from __future__ import annotations

import hashlib
import json
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from affectgpt import __version__
from affectgpt.eval import choosing
from affectgpt.eval.score import cell, load_wheels, score
from affectgpt.metrics import made, stats
from affectgpt.metrics.benchmark import KIND, percent
from affectgpt.metrics.rows import no_collecting
from affectgpt.metrics.sets import ROWS, SETS, EvaluationSet, set_of

MEAN = "mean"
"""Key of the mean over sets, beside the sets' names."""

Samples = dict[tuple[str, str], np.ndarray]
"""(checkpoint, way of counting) -> primary score in each bootstrap resample of one set."""


def benchmark(files: dict[str, Path], kinds: dict[str, str], *, wheels: str | None = None,
              strict_wheels: str | None = None, any_version: bool = False, no_published: bool = False,
              checkpoint: str | None = None, validation: dict[str, Path] | None = None, select_on_test: bool = False,
              resamples: int = stats.RESAMPLES, question: str | None = None,
              streams: list[str] | None = None, targets: dict[str, Path] | None = None,
              known: dict[str, EvaluationSet] = ROWS) -> tuple[dict, dict[str, dict]]:
    """Score every set; the sets of MER-UniBench among them make the mean.

    Args:
        files: set -> file of labelled predictions; kinds: set -> kind.
        validation: set -> file of predictions of other clips, that choose the checkpoint.
        targets: set -> file with the target of every clip, where there is one.
        question, streams: score answers to this question, from exactly these streams, alone.
        known: rows of sets by their names.
    Returns:
        The summary, and set -> results as `affectgpt score` writes them.
    Raises:
        ValueError: a file that cannot be scored, or a checkpoint that some set does not have.
    """
    mapped = any(KIND[kind].wheels for kind in kinds.values())
    tables = load_wheels("basic", wheels, strict_wheels, any_version, no_published) if mapped else {}
    which = {"question": question, "streams": streams}

    def score_set(name: str, path: Path, **more: Any) -> dict:
        one = set_of(name, None if name in SETS else kinds.get(name), known)
        try:
            return score([str(path)], one, None, tables if KIND[one.kind].wheels else {}, **which, **more)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error

    results, samples = {}, {}
    with no_collecting():
        for name, path in files.items():
            given = (targets or {}).get(name)
            results[name] = score_set(name, path, checkpoint=checkpoint, resamples=resamples,
                                      targets=str(given) if given else None, keep=samples.setdefault(name, {}))
    inside = [name for name in results if name in SETS]
    modes = [mode for mode in ("published", "strict") if any(mode in row["metric"] for row in results.values())]
    summary: dict[str, Any] = {
        "benchmark": "MER-UniBench", "sets": inside, "extra": [name for name in results if name not in SETS],
        "missing": [name for name in SETS if name not in results], "mean_label": mean_label(len(inside)),
        "modes": modes,
        "wheels": {mode: table.version for mode, table in tables.items()},
        "about": {name: {key: row[key] for key in ("kind", "metric", "n_clips", "rows")}
                  for name, row in results.items()},
        "warnings": warnings_of(results)}
    summary["checkpoints"] = all_scores(results, samples, inside, modes)
    summary["spread"] = {mode: {name: over_checkpoints(summary["checkpoints"], name, mode) for name in [*results, MEAN]}
                         for mode in modes}
    summary["notes"] = notes_of(summary, results)
    summary["chosen"] = choose(summary, files, validation, select_on_test,
                               lambda name, path: score_set(name, path, resamples=10))
    if checkpoint is not None:
        summary["chosen"] = {"checkpoint": checkpoint, "by": "name", "file": None, "candidates": 1}
    for row in results.values():
        row["chosen"] = summary["chosen"] and {key: summary["chosen"][key] for key in ("checkpoint", "by", "file",
                                                                                       "candidates")}
    summary["made"] = {"affectgpt": __version__, "python": platform.python_version(), "numpy": np.__version__,
                       "date": datetime.now(UTC).isoformat(timespec="seconds"), "resamples": resamples,
                       "files": {str(path): sha256(path) for path in files.values()}}
    return summary, results


def warnings_of(results: dict[str, dict]) -> list[str]:
    """What speaks against reading the sets side by side or beside printed ones, each set's own warnings first."""
    first = {name: next(iter(row["checkpoints"].values()))["made"] | {"questions": {}} for name, row in results.items()}
    partial = [f"{SETS[name].title}: {row['n_clips']:,} of its {SETS[name].clips:,} clips are here, so that its score, "
               "and every mean with it, does not compare with printed ones"
               for name, row in results.items() if name in SETS and row["n_clips"] != SETS[name].clips]
    return [f"{name}: {line}" for name, row in results.items() for line in row["warnings"]] + partial + \
        made.differences(first)


def all_scores(results: dict[str, dict], samples: dict[str, Samples], inside: list[str], modes: list[str]) -> dict:
    """Checkpoint -> way of counting -> set or "mean" -> {primary, interval}.

    There is no mean where a set lacks the checkpoint.
    """
    keys = dict.fromkeys(key for row in results.values() for key in row["checkpoints"])
    table: dict[str, dict] = {key: {mode: {} for mode in modes} for key in keys}
    for key in keys:
        for mode in modes:
            cells = table[key][mode]
            for name, row in results.items():
                found = row["checkpoints"].get(key, {}).get(mode)
                cells[name] = found and {part: found[part] for part in ("primary", "interval", "scored")}
            scores = [cells[name]["primary"] if cells[name] else None for name in inside]
            cells[MEAN] = None
            if scores and None not in scores:
                ends = stats.percentiles(mean_samples([samples[name][key, mode] for name in inside]))
                cells[MEAN] = {"primary": round(float(np.mean(scores)), 4), "interval": [percent(end) for end in ends],
                               "sets": len(scores)}
    return table


def mean_samples(samples: list[np.ndarray]) -> np.ndarray:
    """Mean over sets in each resample. Sets are independent of each other and their resamples are drawn from one seed,
    so each set's are put into an order of its own first."""
    return np.mean([np.random.default_rng(place).permutation(found) for place, found in enumerate(samples)], axis=0)


def over_checkpoints(table: dict, name: str, mode: str) -> dict:
    """Mean, deviation and range of a set, or of the mean of sets, over checkpoints."""
    values = stats.spread([row[mode][name]["primary"] for row in table.values()
                           if row[mode][name] and row[mode][name]["primary"] is not None])
    return {key: value if key == "runs" else percent(value / 100) for key, value in values.items()}


def mean_label(count: int) -> str:
    """What the mean over `count` sets of the benchmark must be called."""
    return f"mean of {count} sets" if count == len(SETS) else f"mean of {count} of {len(SETS)} sets"


def notes_of(summary: dict, results: dict[str, dict]) -> list[str]:
    """What a reader of the numbers must know."""
    notes = []
    if summary["missing"] and summary["sets"]:
        notes.append(f"{', '.join(summary['missing'])} are not here and not in the mean: a {summary['mean_label']} "
                     "does not compare with the published mean of nine")
    common = [key for key, row in summary["checkpoints"].items() if all(row[mode][MEAN] for mode in summary["modes"])]
    partial = [key for key in summary["checkpoints"] if key not in common]
    if partial and summary["sets"]:
        notes.append(f"no mean of checkpoint {', '.join(partial)}: not every set has it, and a mean is over one fixed "
                     "checkpoint")
    return notes + [f"{name}: {line}" for name, row in results.items() for line in row["notes"]]


def choose(summary: dict, files: dict[str, Path], validation: dict[str, Path] | None, select_on_test: bool,
           judge: choosing.Judge) -> dict | None:
    """One checkpoint for all sets, by validation clips or, where asked for, by the clips that are scored.

    Raises:
        ValueError: validation clips that are scored too, or no checkpoint that all sets have.
    """
    mode = summary["modes"][0]
    candidates = [key for key, row in summary["checkpoints"].items()
                  if all(row[mode][MEAN] for mode in summary["modes"])]
    scores = {key: (row[mode][MEAN] or {}).get("primary") for key, row in summary["checkpoints"].items()}
    chosen = choosing.choose(candidates, scores, mode, {name: [path] for name, path in files.items()}, validation,
                             select_on_test, judge, summary["notes"])
    if chosen is None or chosen["by"] == "validation":
        return chosen and {**chosen, "file": str(next(iter(validation.values())).parent)}
    each = {}
    for name in summary["sets"]:
        scored = {key: row[mode][name]["primary"] for key, row in summary["checkpoints"].items() if row[mode][name]}
        top = max(scored, key=scored.__getitem__)
        each[name] = {"checkpoint": top, "primary": scored[top]}
    return {**chosen, "mode": mode, "best_per_set": each,
            "best_per_set_mean": round(float(np.mean([row["primary"] for row in each.values()])), 4)}


def sha256(path: str | Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------------- the table


def as_markdown(summary: dict) -> str:
    """Sets as columns; one table of each way of counting, the extra sets in tables of their own."""
    lines = [f"# MER-UniBench: {len(summary['sets'])} of {len(SETS)} sets", "",
             "Percent, with 95 % bootstrap intervals. published: as the official code counts. strict: neutral counted, "
             "over-generation punished, nothing dropped."]
    if summary["missing"]:
        lines += ["", f"Not here: {', '.join(SETS[name].title for name in summary['missing'])}."]
    for names, mean in ((summary["sets"], summary["mean_label"]), (summary["extra"], None)):
        if names:
            lines += ["", *_table(summary, names, mean)]
    chosen = summary["chosen"]
    if chosen and chosen["by"] == "validation":
        lines += ["", f"Checkpoint {chosen['checkpoint']} was chosen by the mean strict score of validation clips of "
                      f"{', '.join(chosen['validation_sets'])} ({chosen['validation']:.2f}), of {chosen['candidates']} "
                      "checkpoints."]
    elif chosen and chosen["by"] == "test":
        lines += ["", f"Chosen on the test clips, so too high: checkpoint {chosen['checkpoint']} for all sets; the "
                      f"best for each set have a {summary['mean_label']} of {chosen['best_per_set_mean']:.2f} "
                      f"({chosen['mode']})."]
    elif not chosen and len(summary["checkpoints"]) > 1:
        lines += ["", "No checkpoint is chosen: give --select-on with predictions of validation clips."]
    if summary["warnings"]:
        lines += ["", *(f"WARNING: {text}" for text in summary["warnings"])]
    if summary["notes"]:
        lines += ["", "Notes:", "", *(f"- {note}" for note in summary["notes"])]
    return "\n".join(lines)


def _table(summary: dict, names: list[str], mean: str | None) -> list[str]:
    columns = [*names, *([MEAN] if mean else [])]
    titles = [f"{SETS[name].title if name in SETS else name} (n = {summary['about'][name]['n_clips']})"
              for name in names]
    lines = ["| checkpoint | counting | " + " | ".join([*titles, *([mean] if mean else [])]) + " |",
             "|---|---|" + "---|" * len(columns)]
    chosen = summary["chosen"] or {}
    for mode in summary["modes"]:
        for key, row in summary["checkpoints"].items():
            if any(row[mode][name] for name in names):
                mark = " (chosen)" if key == chosen.get("checkpoint") and chosen["by"] != "name" else ""
                lines.append(f"| {key}{mark} | {mode} | {' | '.join(cell(row[mode][name]) for name in columns)} |")
        if mode == chosen.get("mode") and mean:
            each = [f"{row['primary']:.2f} ({row['checkpoint']})" for row in chosen["best_per_set"].values()]
            lines.append(f"| best on test, a set each | {mode} | {' | '.join(each)} | "
                         f"{chosen['best_per_set_mean']:.2f} |")
        if len(summary["checkpoints"]) > 1:
            spread = [summary["spread"][mode][name] for name in columns]
            cells = [f"{row['mean']:.2f}, deviation {row['std']:.2f}" if row["runs"] else "none" for row in spread]
            lines.append(f"| mean over checkpoints | {mode} | {' | '.join(cells)} |")
    return lines


def read_summary(path: str | Path) -> dict:
    """A unibench.json, or the results.json of one set.

    Raises:
        ValueError: neither of the two.
    """
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: cannot be read as results ({error})") from error
    if not isinstance(value, dict) or not {"checkpoints", "notes"} <= value.keys():
        raise ValueError(f"{path}: is neither a results.json of `affectgpt score` nor a unibench.json")
    return value
