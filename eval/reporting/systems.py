"""Several systems on the same clips: scores in columns, paired differences, and clips on which they disagree."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from affectgpt.eval.reporting import facts, made, page, plots
from affectgpt.eval.reporting.examples import frames
from affectgpt.eval.reporting.rows import Row
from affectgpt.eval.reporting.words import interval, number, p_value, with_interval
from affectgpt.metrics import stats


@dataclass(frozen=True)
class Shared:
    """Systems on the clips that all of them have a row of.

    rows: system -> row of each clip. strict: their strict scores, to be resampled. left_out: system -> clips that not
    all have. other_targets: clips whose target differs between systems; the first one's is used.
    """

    rows: dict[str, list[Row]]
    strict: facts.Strict
    left_out: dict[str, int]
    other_targets: int

    @property
    def clips(self) -> int:
        """How many."""
        return len(next(iter(self.rows.values())))


def shared(systems: Sequence, seed: int = stats.SEED) -> Shared | None:
    """None without a clip that all systems have."""
    first = systems[0]
    answers = {entry.system: entry.answers.checkpoints[entry.described][entry.streams] for entry in systems}
    names = [name for name, row in answers[first.system].items() if first.judge.usable(row)
             and all(name in rows for rows in answers.values())]
    if not names:
        return None
    rows = {system: [found[name] for name in names] for system, found in answers.items()}
    differ = sum(any(row.target != own.target and row.target is not None for row in others)
                 for own, *others in zip(*rows.values(), strict=True))
    # Every answer is judged by the first system's target.
    rows = {system: [replace(row, target=own.target) for row, own in zip(found, rows[first.system], strict=True)]
            for system, found in rows.items()}
    found = facts.strict({system: {row.name: row for row in some} for system, some in rows.items()},
                         facts.targets_of(rows[first.system]), first.judge, seed)
    return Shared(rows, found, {system: len(some) - len(names) for system, some in answers.items()}, differ)


def tested_pairs(found: facts.Strict) -> list[tuple[str, str, dict, float]]:
    """(first, second, `stats.compare` of second less first, Holm's p) of all pairs."""
    pairs = [(one, other, stats.compare(found.columns[one], found.columns[other], found.primary, found.counts,
                                        found.units))
             for one, other in itertools.combinations(found.columns, 2)]
    adjusted = stats.holm([tested["p"] for *_, tested in pairs])
    return [(*pair, p) for pair, p in zip(pairs, adjusted, strict=True)]


def side_by_side(systems: Sequence, folder: Path, prefix: str, options) -> list[dict]:
    """Everything about several systems on one set."""
    first, modes = systems[0], list(systems[0].results["metric"])
    columns = ["", *(page.clean(entry.system) for entry in systems)]
    rows = [[f"{mode}: {page.clean(first.entry[mode]['metric'])}",
             *(with_interval(entry.entry.get(mode)) for entry in systems)] for mode in modes]
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
    return blocks + differences(found, folder, prefix, made.difference(systems)) + \
        disagreement(found, systems, folder, prefix, options)


def differences(found: Shared, folder: Path, prefix: str, warning: str) -> list[dict]:
    """Paired differences of all pairs, and what was left out for pairing."""
    pairs = tested_pairs(found.strict)
    rows = [[f"{page.clean(other)} less {page.clean(one)}", number(100 * pair["difference"]),
             interval([100 * end for end in pair["interval"]]), p_value(pair), p_value(pair, adjusted)]
            for one, other, pair, adjusted in pairs]
    units = found.strict.units_text(found.clips)
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
    if not judge.decides:
        return []
    rows = []
    for one, other in itertools.combinations(right, 2):
        pairs = list(zip(right[one], right[other], strict=True))
        rows.append([f"{page.clean(one)} and {page.clean(other)}",
                     *(f"{pairs.count(kind):,}" for kind in ((True, True), (True, False), (False, True),
                                                             (False, False)))])
    blocks = [page.heading(3, "Where they disagree"),
              page.table(["systems", "both right", "only the first", "only the second", "both wrong"], rows)]
    differ = [place for place in range(found.clips) if len({one[place] for one in right.values()}) > 1]
    if not differ or not options.examples:
        return blocks
    chosen = sorted(random.Random(0).sample(differ, min(2 * options.examples, len(differ))))
    shown = [_clip(found, place, judge, folder, f"{prefix}_differ_{place}", options) for place in chosen]
    return [*blocks, {"kind": "examples", "title": f"{len(chosen)} of {len(differ):,} clips on which only some are "
                      "right", "rows": shown}]


def _clip(found: Shared, place: int, judge, folder: Path, name: str, options) -> dict:
    rows = {system: rows[place] for system, rows in found.rows.items()}
    first = next(iter(rows.values()))
    media = next((row.prediction.media for row in rows.values() if row.prediction.media), None)
    pictures, note = frames(media, folder, name, options.media_root)
    lines = [("clip", page.clean(first.name)), ("target", page.clean(first.target, 300))]
    for system, row in rows.items():
        said = judge.said(row)
        verdict = "right" if judge.right(row) else "wrong"
        lines.append((page.clean(system, 40), f"{page.clean('no answer' if said is None else said, 200)} ({verdict}, "
                                              f"score {judge.score(row):.2f})"))
    return {"pictures": pictures, "facts": lines + ([("frames", note)] if note else [])}
