"""Several systems over several sets: one table, and the mean over sets with paired differences."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from affectgpt.eval.reporting import made, page, plots
from affectgpt.eval.reporting.others import title_of
from affectgpt.eval.reporting.systems import shared
from affectgpt.eval.reporting.words import interval, number, with_interval
from affectgpt.metrics import stats


def side_by_side(sets: Sequence, folder: Path) -> list[dict]:
    """Sets in rows and systems in columns; nothing where there is one system."""
    names = list(dict.fromkeys(one.system for entry in sets for one in (entry, *entry.others)))
    if len(names) < 2:
        return []
    rows = []
    for entry in sets:
        by_name = {one.system: one for one in (entry, *entry.others)}
        rows += [[title_of(entry.name), mode, *(with_interval(by_name[name].entry.get(mode)) if name in by_name else
                                                "not here" for name in names)] for mode in entry.results["metric"]]
    warning = next(filter(None, (made.difference([entry, *entry.others]) for entry in sets)), "")
    blocks = [page.heading(2, "Systems over all sets", "systems"),
              page.table(["set", "counting", *map(page.clean, names)], rows, numbers=set(range(2, 2 + len(names))),
                         warning=warning)]
    return blocks + mean_differences(sets, names, folder, warning)


def mean_differences(sets: Sequence, names: list[str], folder: Path, warning: str) -> list[dict]:
    """Means of the strict scores over the sets that all systems have, each less the first system's."""
    full = [entry for entry in sets if {one.system for one in (entry, *entry.others)} == set(names)]
    samples: dict[str, list[np.ndarray]] = {name: [] for name in names}
    scores: dict[str, list[float]] = {name: [] for name in names}
    used = []
    for place, entry in enumerate(full):
        # Sets are independent of each other, so each has draws of its own; systems share them.
        found = shared([entry, *entry.others], stats.SEED + place)
        if found is None:
            continue
        used.append(title_of(entry.name))
        for name in names:
            columns = found.strict.columns[name]
            scores[name].append(columns.scores()[found.strict.primary])
            samples[name].append(columns.finish(found.strict.counts @ columns.values)[found.strict.primary])
    if len(used) < 2:
        return []
    rows, points = [], []
    first = names[0]
    for name in names:
        mean, drawn = np.mean(scores[name]), np.mean(samples[name], axis=0)
        gap, gaps = mean - np.mean(scores[first]), drawn - np.mean(samples[first], axis=0)
        ends = [100 * end for end in stats.percentiles(gaps)]
        rows.append([page.clean(name), number(100 * mean), interval([100 * end for end in stats.percentiles(drawn)]),
                     *(("", "") if name == first else (number(100 * gap), interval(ends)))])
        if name != first:
            points.append((f"{name} less {first}", 100 * gap, tuple(ends)))
    table = page.table(["system", "mean strict score", "95 % interval", f"less {page.clean(first)}", "95 % interval"],
                       rows, warning=warning, caption=f"Plain mean over {', '.join(used)}, on the clips that all "
                       "systems have a row of, paired by clip. An interval without 0 is a difference beyond the choice "
                       "of clips.")
    return [table, page.plot(plots.differences(points, "difference of mean strict scores, points"), folder,
                             "systems_mean", "Differences of the means over sets")]
