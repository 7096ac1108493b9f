"""The runs of a comparison: which there are, which are left, and that a folder holds what it should."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import mean
from typing import Any

from affectgpt.baselines.predictions import Prediction, is_whole, read_predictions, run_folder
from affectgpt.baselines.split import Split, target_of
from affectgpt.eval.compare.settings import SystemSection
from affectgpt.eval.compare.systems import SEEDLESS, Place, Runner
from affectgpt.files import atomic_write_json, parse_object
from affectgpt.media.errors import MediaError
from affectgpt.terminal import printable

SYSTEM = "system.json"
Run = tuple[Place, str, Split, int]
"""Where, which system, which split, which seed."""


def runs_of(place: Place, key: str) -> list[Run]:
    """All runs of a system under one protocol."""
    seeds = place.recipe.seeds[:1] if place.recipe.systems[key].kind in SEEDLESS else place.recipe.seeds
    return [(place, key, split, seed) for seed in seeds for split in place.splits]


def folder_of(run: Run) -> Path:
    place, key, split, seed = run
    return run_folder(place.folder, key, split.name, seed)


def run_all(places: Sequence[Place], made: Mapping[str, Mapping[str, Runner | str]],
             only: Sequence[str] | None) -> dict[tuple[str, str], str]:
    """Make all runs that are not there; (protocol, system) -> why it failed, where one did."""
    wanted = [run for place in places for key, runner in made[place.protocol].items()
              if (only is None or key in only) and not isinstance(runner, str) for run in runs_of(place, key)]
    for place, key in dict.fromkeys((run[0].protocol, run[1]) for run in wanted):
        _check_same(next(one for one in places if one.protocol == place), key)
    left = [run for run in wanted if not is_whole(folder_of(run))]
    print(f"runs:    {len(wanted)}, of which {len(wanted) - len(left)} are done", flush=True)
    failed: dict[tuple[str, str], str] = {}
    spent: dict[str, list[float]] = {}
    for number, (place, key, split, seed) in enumerate(left):
        if (place.protocol, key) in failed:
            continue
        title = f"[{number + 1}/{len(left)}] {key}, {split.name}, seed {seed}"
        print(f"{title} ...{_time_left(left[number:], spent)}", flush=True)
        started = time.perf_counter()
        try:
            made[place.protocol][key](split, seed, folder_of(left[number]))
            _check_run(left[number])
        except (ValueError, MediaError) as error:
            failed[place.protocol, key] = str(error)
            print(f"error: {title}: {printable(str(error))}", file=sys.stderr, flush=True)
            continue
        spent.setdefault(key, []).append(time.perf_counter() - started)
    return failed


def _time_left(runs: Sequence[Run], spent: Mapping[str, Sequence[float]]) -> str:
    """", about 4 min left" by the mean of a system's runs, of systems not yet run that of all; "" before the first."""
    everything = [seconds for of_system in spent.values() for seconds in of_system]
    if not everything:
        return ""
    seconds = sum(mean(spent.get(run[1]) or everything) for run in runs)
    return f" about {seconds / 60:.0f} min left" if seconds > 90 else f" about {seconds:.0f} s left"


def _check_same(place: Place, key: str) -> None:
    """Note what a system is run on and how; a folder of other clips or settings is not gone on with.

    Raises:
        ValueError: the folder holds such runs.
    """
    parts = [[split.name, [[[clip.key, target_of(clip), clip.words] for clip in part]
                           for part in (split.train, split.validation, split.test)]] for split in place.splits]
    section = {name: value for name, value in asdict(place.recipe.systems[key]).items() if name != "title"}
    now = {"system": section, "classes": list(place.classes),
           "clips": hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]}
    if place.texts and reads_texts(place.recipe.systems[key]):
        now["texts"] = hashlib.sha256(place.texts.read_bytes()).hexdigest()[:16]
    file = place.folder / key / SYSTEM
    if file.is_file():
        if (then := parse_object(file.read_text(encoding="utf-8"), str(file))) != now:
            changed = [name for name in now if then.get(name) != now[name]]
            raise ValueError(f"{file.parent}: holds runs with other {' and '.join(changed)}: choose another output=, "
                             "or remove that folder")
    else:
        atomic_write_json(file, now)


def reads_texts(section: SystemSection) -> bool:
    """Whether a system names cues other than speech, or a file of them."""
    return any("{texts}" in word or word.startswith("text.cues=") and word != "text.cues=speech"
               for word in section.settings)


def _check_run(run: Run) -> None:
    """Raise ValueError where a run's predictions are not of its split's test clips."""
    rows, _ = read_predictions(folder_of(run))
    expected = {clip.key: target_of(clip) for clip in run[2].test}
    if {row.key: row.target for row in rows} != expected:
        raise ValueError(f"{folder_of(run)}: its {len(rows)} predictions are not those of the {len(expected)} test "
                         f"clips of {run[2].name}: remove the folder and run again")


def read_system(place: Place, key: str) -> tuple[dict[int, list[Prediction]], dict[str, Any]]:
    """(seed -> predictions of all splits, facts of the runs together)."""
    found: dict[int, list[Prediction]] = {}
    seconds, chosen = 0.0, []
    for run in runs_of(place, key):
        _check_run(run)
        rows, facts = read_predictions(folder_of(run))
        found.setdefault(run[3], []).extend(rows)
        seconds += facts.get("seconds") or 0.0
        chosen.append(facts.get("validation_weighted_f1"))
    known = [value for value in chosen if value is not None]
    return found, {"seconds": round(seconds, 1), "runs": len(chosen),
                   "validation_weighted_f1": round(mean(known), 4) if known else None}
