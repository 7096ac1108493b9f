"""Groups of clips: how well each is done, and how far the best and the worst are apart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from affectgpt.eval.reporting import page, plots
from affectgpt.eval.reporting.words import interval, number, p_value
from affectgpt.metrics.groups import LEAST

MOST = 15
"""Groups of a trait that are shown: the largest ones."""
WHY_P = ("The best and the worst of several groups always differ. p is how often groups made at random, of whole "
         "speakers or videos where rows name them, are at least as far apart; it is adjusted for the number of traits "
         "(Holm).")


def found_groups(entry) -> tuple[str, dict]:
    """(way of counting, trait -> what `metrics.groups.group_scores` finds)."""
    found = entry.entry.get("groups") or {}
    return next(((mode, found[mode]) for mode in ("strict", "published") if mode in found), ("strict", {}))


def shown(entry, folder: Path, prefix: str) -> list[dict]:
    """Tables and one picture of all traits."""
    mode, found = found_groups(entry)
    blocks = [page.heading(3, "Groups of clips")]
    if not found:
        return [*blocks, {"kind": "text", "text": "Not known: the rows name no speaker, sex, language, corpus or "
                          "length of their clips. `affectgpt generate` writes what the corpus knows."}]
    rows, points, gaps, notes = [], [], [], []
    for number_of_trait, (trait, row) in enumerate(found.items()):
        title = page.clean(trait)
        for group, part in list(row["groups"].items())[:MOST]:
            clusters = "" if part["clusters"] is None else f"{part['clusters']:,}"
            rows.append([title, page.clean(group), f"{part['clips']:,}", clusters, number(part["score"]),
                         interval(part["interval"])])
            points.append((f"{title}: {page.clean(group, 20)}", part["score"], part["interval"], number_of_trait % 5))
        gap = row["gap"]
        if gap:
            gaps.append([title, page.clean(gap["best"]), page.clean(gap["worst"]), number(gap["difference"]),
                         interval(gap["interval"]), p_value(gap), p_value(gap, gap.get("p_adjusted"))])
        notes += _notes(title, row)
    if rows:
        table = page.table(["trait", "group", "clips", "videos or speakers", f"{mode} score", "95 % interval"], rows,
                           numbers={2, 3, 4, 5})
        drawn = plots.intervals(points, f"{mode} score, percent (95 % interval)")
        blocks.append(page.plot(drawn, folder, f"{prefix}_groups", f"{mode} score of each group of clips",
                                numbers=table))
    if gaps:
        blocks.append(page.table(["trait", "best", "worst", "gap, points", "95 % interval", "p", "p, Holm"], gaps,
                                 numbers={3, 4, 5, 6}, caption=WHY_P))
    return blocks + ([{"kind": "list", "items": notes}] if notes else [])


def _notes(title: str, row: Mapping) -> list[str]:
    notes = []
    if len(row["groups"]) > MOST:
        notes.append(f"{title}: the {MOST} largest of {len(row['groups'])} groups are shown.")
    if row["too_few"]:
        small = [f"{page.clean(group, 40)} ({size})" for group, size in list(row["too_few"].items())[:8]]
        more = len(row["too_few"]) - len(small)
        notes.append(f"{title}: too few clips to be scored (fewer than {LEAST}): {', '.join(small)}"
                     + (f" and {more} more." if more else "."))
    if row["unknown"]:
        notes.append(f"{title}: not known of {row['unknown']:,} clips.")
    return notes
