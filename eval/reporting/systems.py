"""Several systems on the same clips: scores in columns, paired differences, and clips on which they disagree."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from affectgpt.eval.reporting import facts, made, page, plots
from affectgpt.eval.reporting.examples import frames
from affectgpt.eval.reporting.rows import Row
from affectgpt.eval.reporting.words import interval, number, p_value, with_interval
from affectgpt.metrics import stats
from affectgpt.metrics.benchmark import PRIMARY
from affectgpt.metrics.groups import clusters_of


@dataclass(frozen=True)
class Shared:
    """Systems on the clips that all of them have a row of.

    rows: system -> row of each clip. columns: of the strict scores. clusters: what the clips hang together in, None
    where they are taken one by one. left_out: system -> clips that it alone has. other_targets: clips whose target
    differs between systems; the first one's is used.
    """

    names: list[str]
    rows: dict[str, list[Row]]
    columns: dict[str, stats.Columns]
    clusters: list | None
    left_out: dict[str, int]
    other_targets: int


def shared(systems: Sequence) -> Shared | None:
    """None without a clip that all systems have."""
    first = systems[0]
    answers = {entry.system: entry.answers.checkpoints[entry.described][entry.streams] for entry in systems}
    names = [name for name, row in answers[first.system].items() if first.judge.usable(row.target)
             and all(name in rows for rows in answers.values())]
    if not names:
        return None
    rows = {system: [found[name] for name in names] for system, found in answers.items()}
    targets = {name: row.target for name, row in zip(names, rows[first.system], strict=True)}
    columns = facts.strict_columns({system: dict(zip(names, found, strict=True)) for system, found in rows.items()},
                                   targets, first.judge)
    differ = sum(any(row.target != own.target and row.target is not None for row in others)
                 for own, *others in zip(*rows.values(), strict=True))
    return Shared(names, rows, columns, clusters_of([row.facts for row in rows[first.system]]),
                  {system: len(found) - len(names) for system, found in answers.items()}, differ)


def tested_pairs(found: Shared, primary: str) -> list[tuple[str, str, dict, float]]:
    """(first, second, `stats.compare` of second less first, Holm's p) of all pairs."""
    counts = stats.resample_counts(len(found.names), groups=found.clusters)
    pairs = [(one, other, stats.compare(found.columns[one], found.columns[other], primary, counts, found.clusters))
             for one, other in itertools.combinations(found.columns, 2)]
    adjusted = stats.holm([tested["p"] for *_, tested in pairs])
    return [(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def side_by_side(systems: Sequence, folder: Path, prefix: str, options) -> list[dict]:
    """Everything about several systems on one set."""
    first, modes = systems[0], list(systems[0].results["metric"])
    columns = ["", *(page.clean(entry.system) for entry in systems)]
    rows = [[f"{mode}: {first.entry[mode]['metric']}", *(with_interval(entry.entry.get(mode)) for entry in systems)]
            for mode in modes]
    rows += [["answers", *(f"{entry.entry['n']:,}" for entry in systems)],
             ["checkpoint", *(page.clean(entry.described) for entry in systems)],
             ["chosen", *(entry.why for entry in systems)]]
    drawn = plots.intervals([(entry.system, entry.entry[mode]["primary"], entry.entry[mode]["interval"],
                              plots.COLOUR[mode]) for mode in modes for entry in systems if mode in entry.entry],
                            "percent, 95 % interval", keys={mode: plots.COLOUR[mode] for mode in modes})
    blocks = [page.heading(3, "Systems side by side"),
              page.table(columns, rows, warning=made.difference(systems)),
              page.plot(drawn, folder, f"{prefix}_systems", "Scores of the systems with their intervals")]
    found = shared(systems)
    if found is None:
        return [*blocks, {"kind": "warning", "text": "No clip has a row of every system, so they cannot be paired."}]
    primary = PRIMARY[first.judge.kind, "strict"]
    return blocks + differences(found, primary, folder, prefix, made.difference(systems)) + \
        disagreement(found, systems, folder, prefix, options)


def differences(found: Shared, primary: str, folder: Path, prefix: str, warning: str) -> list[dict]:
    """Paired differences of all pairs, and what was left out for pairing."""
    pairs = tested_pairs(found, primary)
    rows = [[f"{page.clean(other)} less {page.clean(one)}", number(100 * pair["difference"]),
             interval([100 * end for end in pair["interval"]]), p_value(pair), p_value(pair, adjusted)]
            for one, other, pair, adjusted in pairs]
    units = f"{len(found.names):,} clips" + (f" in {int(stats.units_of(found.clusters).max()) + 1:,} videos or "
                                             "speakers, drawn and swapped as a whole" if found.clusters else "")
    caption = (f"Strict score in points, paired by clip: {units}. p by swapping answers; in the last column for "
               f"{len(rows)} comparisons at once (Holm)." if len(rows) > 1 else
               f"Strict score in points, paired by clip: {units}. p by swapping answers.")
    columns = ["pair", "difference", "95 % interval", "p", "p, Holm"]
    if len(rows) == 1:
        columns, rows = columns[:-1], [row[:-1] for row in rows]
    drawn = plots.differences([(f"{other} less {one}", 100 * pair["difference"],
                                tuple(100 * end for end in pair["interval"])) for one, other, pair, _ in pairs],
                              "difference of strict scores, points")
    blocks = [page.heading(3, "Paired differences"), page.table(columns, rows, caption=caption, warning=warning)]
    if len(rows) > 1:
        blocks.append(page.plot(drawn, folder, f"{prefix}_differences", "Paired differences with their intervals"))
    left = {system: count for system, count in found.left_out.items() if count}
    if left:
        blocks.append({"kind": "warning", "text": "Only clips with a row of every system are paired. Left out: " +
                       ", ".join(f"{count:,} of {page.clean(system)}" for system, count in left.items()) +
                       ". A system that has no row of hard clips gains by that."})
    if found.other_targets:
        blocks.append({"kind": "warning", "text": f"{found.other_targets:,} clips have another target in another "
                       "system's rows; the first system's are used."})
    return blocks


def disagreement(found: Shared, systems: Sequence, folder: Path, prefix: str, options) -> list[dict]:
    """How often systems are right together and alone, and clips that show it, drawn by a fixed seed."""
    judge = systems[0].judge
    right = {system: [judge.right(row) for row in rows] for system, rows in found.rows.items()}
    if judge.right(found.rows[systems[0].system][0]) is None:
        return []
    rows = []
    for one, other in itertools.combinations(right, 2):
        pairs = list(zip(right[one], right[other], strict=True))
        rows.append([f"{page.clean(one)} and {page.clean(other)}",
                     *(f"{pairs.count(kind):,}" for kind in ((True, True), (True, False), (False, True),
                                                             (False, False)))])
    blocks = [page.heading(3, "Where they disagree"),
              page.table(["systems", "both right", "only the first", "only the second", "both wrong"], rows)]
    differ = [place for place in range(len(found.names)) if len({one[place] for one in right.values()}) > 1]
    if not differ or not options.examples:
        return blocks
    chosen = sorted(random.Random(0).sample(differ, min(2 * options.examples, len(differ))))
    shown = [_clip(found, place, judge, folder, f"{prefix}_differ_{place}", options) for place in chosen]
    return [*blocks, {"kind": "examples", "title": f"{len(chosen)} of {len(differ):,} clips on which only some are "
                      "right", "rows": shown}]


def _clip(found: Shared, place: int, judge, folder: Path, name: str, options) -> dict:
    rows = {system: rows[place] for system, rows in found.rows.items()}
    first = next(iter(rows.values()))
    media = next((row.media for row in rows.values() if row.media), None)
    pictures, note = frames(media, folder, name, options.media_root)
    lines = [("clip", page.clean(first.name)), ("target", page.clean(first.target, 300))]
    for system, row in rows.items():
        said = row.sentiment if judge.kind == "sentiment" else row.labels
        verdict = "right" if judge.right(row) else "wrong"
        lines.append((page.clean(system, 40), f"{page.clean('no answer' if said is None else said, 200)} ({verdict}, "
                                              f"score {judge.score(row):.2f})"))
    return {"pictures": pictures, "facts": lines + ([("frames", note)] if note else [])}
