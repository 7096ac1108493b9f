"""Which checkpoint counts: by validation clips, by the clips that are scored where that is asked for, or none."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from affectgpt.metrics.rows import Predictions, read_predictions

ENDS = (".mp4", ".avi", ".wav", ".mkv", ".mov", ".flv", ".webm", ".mp3", ".flac", ".npy")
"""Endings that a clip's name may have in one file and lack in another."""
SAME_ANSWERS = 20
"""Clips from which two files of the same answers to the same targets in the same order are one file."""


def by_validation(candidates: Sequence[str], judged: Mapping[str, dict], where: str) -> dict:
    """The checkpoint with the greatest mean strict score over validation sets.

    Args:
        judged: validation set -> its results; where: what named them.
    Raises:
        ValueError: none of the candidates is in every validation set, with a score.
    """
    means = {}
    for key in candidates:
        scores = [(row["checkpoints"].get(key) or {}).get("strict", {}).get("primary") for row in judged.values()]
        if scores and None not in scores:
            means[key] = sum(scores) / len(scores)
    if not means:
        raise ValueError(f"{where}: has none of the checkpoints {', '.join(candidates)}, with a score in every set")
    best = max(means, key=means.__getitem__)
    return {"checkpoint": best, "by": "validation", "candidates": len(means), "validation_sets": list(judged),
            "validation": round(means[best], 4)}


def by_test(scores: Mapping[str, float | None], mode: str) -> tuple[dict, str]:
    """(the checkpoint with the greatest score on the clips that are scored, what must be said of that).

    Raises:
        ValueError: no checkpoint has a score.
    """
    scored = {key: score for key, score in scores.items() if score is not None}
    if not scored:
        raise ValueError("--select-on-test: no checkpoint has a score")
    best = max(scored, key=scored.__getitem__)
    note = (f"--select-on-test: the best of {len(scored)} checkpoints was chosen by the {mode} score of the very clips "
            "that it is scored on, as in the published table. Such a number is too high; do not compare it with one "
            "that validation clips chose")
    return {"checkpoint": best, "by": "test", "file": None, "candidates": len(scored)}, note


def refuse_overlap(validation: Mapping[str, Path], scored: Mapping[str, Sequence[Path]]) -> None:
    """Refuse to choose by clips that are scored: the same file, a copy, shared names (however they are written), or the
    same answers under other names. Of another set, whose clips may be numbered alike, most names must be shared.

    Args:
        validation, scored: set -> its files.
    Raises:
        ValueError: says which clips are in both.
    """
    for name, path in validation.items():
        clips = _clips(path)
        for other, files in scored.items():
            for file in map(Path, files):
                test = _clips(file)
                shared = sorted(clips.keys() & test.keys())
                numbered_alike = name != other and (2 * len(shared) <= len(clips)
                                                    or not _same_targets(clips, test, shared))
                if shared and not numbered_alike:
                    raise ValueError(
                        f"--select-on: {len(shared)} clips of {path} are also in {file} ({clips[shared[0]][0]}, ...), "
                        "so this would choose by the test clips; if that is meant, say --select-on-test")
                if _fingerprint(path) & _fingerprint(file):
                    raise ValueError(f"--select-on: {path} has the same answers to the same targets as {file} under "
                                     "other names, so this would choose by the test clips; if that is meant, say "
                                     "--select-on-test")


def _same_targets(clips: dict, test: dict, shared: list[str]) -> bool:
    """Whether most shared names have the same target in both files."""
    return 2 * sum(clips[name][1] == test[name][1] for name in shared) > len(shared)


def plain_name(name: str) -> str:
    """A clip's name without folders, endings of media and capitals."""
    plain = name.strip().replace("\\", "/").rsplit("/", 1)[-1].lower()
    return next((plain.removesuffix(end) for end in ENDS if plain.endswith(end)), plain)


def _read(path: Path) -> Predictions:
    try:
        state = path.stat()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror})") from error
    return _read_once(path, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=64)
def _read_once(path: Path, *state: int) -> Predictions:
    return read_predictions([path])


def _clips(path: Path) -> dict[str, tuple[str, object]]:
    """Plain name -> (name, target) of every clip of a file."""
    return {plain_name(name): (name, target) for name, target in _read(Path(path)).targets.items()}


def _fingerprint(path: Path) -> set[str]:
    """A hash of each checkpoint's targets and answers in their order; none of short and of uniform ones."""
    found, read = set(), _read(Path(path))
    for rows in read.checkpoints.values():
        told = [(str(read.targets[name]), str(row.labels_raw), str(row.sentiment_raw)) for name, row in rows.items()]
        if len(told) >= SAME_ANSWERS and len(set(told)) > SAME_ANSWERS // 2:
            found.add(hashlib.sha256(repr(told).encode()).hexdigest())
    return found


Judge = Callable[[str, Path], dict]
"""(validation set, its file) -> its results."""


def choose(candidates: Sequence[str], scores: Mapping[str, float | None], mode: str,
           files: Mapping[str, Sequence[Path]], validation: Mapping[str, Path] | None, select_on_test: bool,
           judge: Judge, notes: list[str]) -> dict | None:
    """The checkpoint that counts, as results say it; None where none is chosen.

    Args:
        candidates: checkpoints that can be chosen; scores: theirs on the clips that are scored, in this `mode`.
        files: set -> scored files; validation: set -> file of validation clips.
        notes: is appended to.
    Raises:
        ValueError: validation clips that are scored too, or nothing to choose from.
    """
    if (validation or select_on_test) and not candidates:
        raise ValueError("no checkpoint is in every set, so none can be chosen for all of them")
    if validation:
        refuse_overlap(validation, files)
        where = next(iter(validation.values()))
        return by_validation(candidates, {name: judge(name, path) for name, path in validation.items()},
                             f"--select-on {where}")
    if not select_on_test:
        return None
    chosen, note = by_test({key: scores[key] for key in candidates}, mode)
    notes.append(note)
    return chosen
