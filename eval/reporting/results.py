"""Results as files hold them, checked before a report is made of them: a damaged or older file is named, with the
place in it, and nothing of it is printed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from affectgpt.eval.unibench_scores import read_summary
from affectgpt.metrics.sets import KINDS

LARGEST = 1e12


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST


def _number(value: Any) -> bool:
    return value is None or isinstance(value, int | float) and not isinstance(value, bool) and \
        abs(value) <= LARGEST and math.isfinite(value)


def _ends(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_number, value))


def _or_none(kind: Any) -> Callable[[Any], bool]:
    return lambda value: value is None or fault(value, kind) is None


class Each:
    """A table whose values are all of one kind."""

    def __init__(self, kind: Any):
        self.kind = kind


def fault(value: Any, kind: Any, place: str = "") -> str | None:
    """Where a value is not of a kind ("checkpoints.50.strict"), None where it is.

    A kind is a test, `Each`, a list of one kind, or a table of keys: those that end in "?" need not be there.
    """
    if isinstance(kind, Each):
        if not isinstance(value, dict):
            return place or "it"
        parts: list[tuple[str, Any, Any]] = [(key, part, kind.kind) for key, part in value.items()]
    elif isinstance(kind, Mapping):
        if not isinstance(value, dict):
            return place or "it"
        missing = [key for key in kind if not key.endswith("?") and key not in value]
        if missing:
            return f"{place}.{missing[0]}".lstrip(".")
        parts = [(key.rstrip("?"), value[key.rstrip("?")], of) for key, of in kind.items() if key.rstrip("?") in value]
    elif isinstance(kind, list):
        if not isinstance(value, list):
            return place or "it"
        parts = [(str(number), part, kind[0]) for number, part in enumerate(value)]
    else:
        return None if kind(value) else place or "it"
    return next(filter(None, (fault(part, of, f"{place}.{key}".lstrip(".")) for key, part, of in parts)), None)


_CELL = {"primary": _number, "interval": _ends}
_PART = {"score": _number, "interval": _ends}
_SPREAD = {"mean": _number, "std": _number}
_SCORES = {**_CELL, "metric": _text, "scored": _count, "intervals?": Each(_ends), "first_label?": Each(_number),
           "per_wheel?": Each({"score": _number, "scored": _count}), "per_task?": Each(_PART),
           "valence?": {"intervals": Each(_ends)}, "confusion?": Each(Each(_count))}
_GAP = {"best": _text, "worst": _text, "difference": _number, "interval": _ends, "p": _number, "floor?": _number,
        "p_adjusted?": _number}
_GROUPS = Each(Each({"groups": Each({"clips": _count, "clusters": _or_none(_count), **_PART}), "too_few": Each(_count),
                     "unknown": _count, "gap": _or_none(_GAP)}))
_CHOSEN = {"checkpoint": _text, "by": lambda value: value in ("validation", "test", "name")}
_DIFFERENCE = {"difference": _number, "interval": _ends, "p": _number, "floor?": _number}


def kind_of_results(values: Mapping[str, Any]) -> dict:
    """What the results of one set must be."""
    metric = values.get("metric")
    modes = [mode for mode in ("published", "strict") if isinstance(metric, dict) and mode in metric]
    return {"set": _text, "title?": _text, "kind": lambda value: value in KINDS, "n_clips": _count, "files": [_text],
            "metric": lambda value: isinstance(value, dict) and set(value) == set(modes) and "strict" in value,
            "checkpoints": Each({"n": _count, **{mode: _SCORES for mode in modes}, "groups?": _GROUPS}),
            "warnings?": [_text],
            "resamples?": _count, "clusters?": _or_none(_count), "wheels?": Each(_text), "spread": Each(_SPREAD),
            "problems?": Each({"count": _count, "examples": [lambda value: True]}), "chosen?": _or_none(_CHOSEN),
            "comparison?": {"checkpoint": _text, "against": _text, "file": _text, **{mode: _DIFFERENCE for mode in
                                                                                     modes}}}


_SUMMARY = {"sets": [_text], "extra": [_text], "missing": [_text], "notes": [_text], "mean_label": _text,
            "modes": [_text], "checkpoints": Each(Each(Each(_or_none(_CELL)))),
            "spread": Each({"mean": _or_none(_SPREAD)})}


def read_results(path: Path) -> tuple[dict | None, dict[str, dict]]:
    """(the summary of a benchmark or None, set -> its results) of a unibench.json or a results.json.

    Raises:
        ValueError: it cannot be read, or is not what a score job writes.
    """
    values = read_summary(path)
    if "benchmark" not in values:
        return None, {str(values.get("set")): _checked(values, kind_of_results(values), path)}
    summary = _checked(values, _SUMMARY, path)
    places = {name: path.parent / f"{name}.results.json" for name in [*summary["sets"], *summary["extra"]]}
    found = {name: read_summary(place) for name, place in places.items()}
    return summary, {name: _checked(results, kind_of_results(results), places[name])
                     for name, results in found.items()}


def _checked(values: dict, kind: dict, path: Path) -> dict:
    where = fault(values, kind) or (None if values["checkpoints"] else "checkpoints")
    if where is None and "sets" not in kind:
        # Every score that has an interval is a number too.
        where = next((f"checkpoints.{key}.{mode}.{name}" for key, entry in values["checkpoints"].items()
                      for mode in values["metric"] for scores in (entry[mode], entry[mode].get("valence", {}))
                      for name in scores.get("intervals", {}) if not _number(scores.get(name))), None)
    if where is not None:
        raise ValueError(f"{path}: {where} is missing or not what `affectgpt score` writes there; score the "
                         "predictions again with this version")
    return values
