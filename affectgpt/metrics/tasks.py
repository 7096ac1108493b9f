"""Sets that are several tasks (EmoBench-M's scenarios, MME-Emotion's eight): each is scored by itself, then the mean.

What a question of a set asks lies in its target, or in keys of its row:

    {"name": "7", "response": "B", "target": "sad", "options": ["happy", "sad"], "task": "MELD", "pair": "clip 7"}
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from affectgpt.metrics.stats import Columns

KEYS = ("options", "task", "pair", "role", "swapped")
"""Keys of a row that say more of a question than its target."""
_ANSWER = {"choice": "answer", "yes_no": "answer", "preference": "better"}


def full_target(kind: str, target: Any, facts: Mapping[str, Any],
                tasks: Mapping[str, Sequence[str] | None] | None = None) -> Any:
    """A question's target with what its row and its task say of it; a target that is an object keeps its own.

    Args:
        facts: keys of the question's row, `KEYS` and `group` among them; the group is the pair where no `pair` is.
        tasks: task -> the options that all of its questions have, None where each names its own.
    """
    own = dict(target) if isinstance(target, Mapping) else {_ANSWER[kind]: target}
    for key in KEYS:
        if facts.get(key) is not None:
            own.setdefault(key, facts[key])
    if kind == "yes_no" and facts.get("group") is not None:
        own.setdefault("pair", facts["group"])
    if not isinstance(own.get("task"), str):
        own.pop("task", None)
    options = (tasks or {}).get(own.get("task", ""))
    if options and kind == "choice":
        own.setdefault("options", list(options))
    return own


def task_columns(tasks: Sequence[str | None], make: Callable[[list[int]], Columns]) -> Columns:
    """Columns of each task side by side: each score is the mean over the tasks that have it.

    The scores of single tasks are "task:NAME:SCORE". Where no question has a task, or all have the same, the columns
    are those of all questions together.

    Args:
        tasks: of each question.
        make: indices of questions -> their columns.
    """
    places: dict[str, list[int]] = {}
    for index, task in enumerate(tasks):
        places.setdefault(task or "", []).append(index)
    if len(places) < 2:
        return make(list(range(len(tasks))))
    parts = {task: make(indices) for task, indices in places.items()}
    ends = np.cumsum([0, *(part.values.shape[1] for part in parts.values())])
    values = np.zeros((len(tasks), int(ends[-1])))
    spans = {task: slice(int(start), int(end)) for task, start, end in zip(parts, ends, ends[1:], strict=False)}
    for task, part in parts.items():
        values[places[task], spans[task]] = part.values

    def finish(sums: np.ndarray) -> dict[str, np.ndarray]:
        scores = {task: part.finish(sums[..., spans[task]]) for task, part in parts.items()}
        names = dict.fromkeys(name for found in scores.values() for name in found)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a score that no task has is NaN
            means = {name: np.nanmean([found[name] for found in scores.values() if name in found], axis=0)
                     for name in names}
        return means | {f"task:{task or '(none)'}:{name}": value for task, found in scores.items()
                        for name, value in found.items()}

    return Columns(values, finish)
