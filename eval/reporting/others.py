"""This model beside the printed scores of other systems, and the overview of several sets."""

from __future__ import annotations

import functools
import json
from pathlib import Path

from affectgpt.eval.reporting import made, page, plots
from affectgpt.eval.reporting.words import interval, number, with_interval
from affectgpt.metrics.benchmark import TITLES
from affectgpt.metrics.rows import system_name
from affectgpt.metrics.sets import ROWS, SETS

WARNING = ("Printed scores are the published way of counting alone, so strict scores stand beside none of them. {best} "
           "A score of one checkpoint that was fixed beforehand is at a disadvantage beside such numbers.")


def title_of(name: str, results: dict | None = None) -> str:
    """How a set is called, by its row or else by its results."""
    return ROWS[name].title if name in ROWS else page.clean((results or {}).get("title") or name)


@functools.cache
def printed_scores() -> dict:
    """The scores of other systems as printed, with their sources."""
    return json.loads(Path(__file__).with_name("published_scores.json").read_text(encoding="utf-8"))


def chosen_how(results: dict) -> str:
    """In a few words, how the checkpoint that is described was chosen."""
    if len(results["checkpoints"]) == 1:
        return "the only checkpoint"
    by = (results.get("chosen") or {}).get("by")
    return {"validation": "chosen on validation clips", "test": "best on test, one checkpoint for all"}.get(
        by, "one checkpoint, not chosen")


def result_key(entry, checkpoint: str) -> str:
    """Key under which the results have a checkpoint of the rows: with question and streams where those differ.

    Raises:
        ValueError: the results are of other rows.
    """
    system = (checkpoint, entry.answers.question or "", entry.answers.joined[entry.streams])
    for differ in ((1, 2), (2,), (1,), ()):
        if (key := system_name(system, differ)) in entry.results["checkpoints"]:
            return key
    raise ValueError(f"{entry.name}: the results have no {' '.join(filter(None, system))}, which is what most rows "
                     f"are; they have {', '.join(map(str, entry.results['checkpoints']))}. Score them again, "
                     "or name what to describe with --checkpoint and --question")


def overview(summary: dict, sets: list, folder: Path) -> list[dict]:
    """The mean over sets, every set in one table and one picture, and the printed scores of others."""
    described = result_key(sets[0], sets[0].described)
    row = summary["checkpoints"].get(described, {})
    cards = [{"title": f"{summary['mean_label']}, {mode}", "value": number(cell["primary"]),
              "detail": f"95 % interval {interval(cell['interval'])}, checkpoint {page.clean(described)}",
              "text": f"Plain mean of the primary scores of {_titles(summary['sets'])}."}
             for mode in summary["modes"] if (cell := row.get(mode, {}).get("mean"))]
    blocks = [{"kind": "cards", "cards": cards}] if cards else []
    if summary["missing"] and summary["sets"]:
        blocks.append({"kind": "warning", "text": f"Not here and not in the mean: {_titles(summary['missing'])}. A "
                       f"{summary['mean_label']} does not compare with the published mean of {len(SETS)}."})
    blocks += [{"kind": "warning", "text": page.clean(note, 600)} for note in summary["notes"]
               if "no mean of" in note or note.startswith("--select-on-test")]
    if partial := {entry.name: entry for entry in sets if clips_missing(entry)}:
        blocks.append({"kind": "warning", "text": "Not all clips of the benchmark are here: " + ", ".join(
            f"{title_of(name)} has {entry.results['n_clips']:,} of {SETS[name].clips:,}" for name, entry in
            partial.items()) + ". Their scores are of another test than the printed ones."})
    rows = [[title_of(entry.name), f"{entry.entry['n']}", *(with_interval(entry.entry.get(mode))
                                                            for mode in summary["modes"])] for entry in sets]
    blocks += [page.heading(2, "All sets", "sets"),
               page.table(["set", "clips", *summary["modes"]], rows, caption=f"Percent, with 95 % bootstrap intervals; "
                          f"checkpoint {page.clean(described)}, {sets[0].why}."),
               *standing(sets, folder), *mean_over_checkpoints(summary, described, folder)]
    return blocks + others_on_all_sets(summary, sets, row)


def _titles(names) -> str:
    return ", ".join(map(title_of, names))


def clips_missing(entry) -> bool:
    """True for a set of the benchmark with another number of clips than the benchmark's."""
    return entry.name in SETS and entry.results["n_clips"] != SETS[entry.name].clips


def mean_over_checkpoints(summary: dict, described: str | None, folder: Path) -> list[dict]:
    """The mean over sets of every checkpoint."""
    keys = [key for key, row in summary["checkpoints"].items()
            if all(row[mode].get("mean") for mode in summary["modes"])]
    if len(keys) < 2:
        return []
    lines = {mode: [(cell["primary"], *cell["interval"]) for key in keys
                    for cell in [summary["checkpoints"][key][mode]["mean"]]] for mode in summary["modes"]}
    drawn = plots.checkpoint_lines(keys, lines, described)
    rows = [[page.clean(key), *(with_interval(summary["checkpoints"][key][mode]["mean"]) for mode in summary["modes"])]
            for key in keys]
    spread = [summary["spread"][mode]["mean"] for mode in summary["modes"]]
    rows.append(["mean and deviation", *(f"{number(found['mean'])}, {number(found['std'])}" for found in spread)])
    marked = {keys.index(described)} if described in keys else set()
    return [page.heading(3, f"Checkpoints: {summary['mean_label']}"),
            page.plot(drawn, folder, "mean_checkpoints", f"{summary['mean_label']} of every checkpoint",
                      numbers=page.table(["checkpoint", *summary["modes"]], rows, marked=marked))]


def others_on_all_sets(summary: dict, sets: list, own: dict) -> list[dict]:
    """Printed scores of others on the sets that are here as a whole; a mean of nine stands only beside a mean of
    nine."""
    names = [entry.name for entry in sets if entry.name in summary["sets"] and not clips_missing(entry)]
    if len(names) < 2 or "published" not in summary["modes"]:
        return []
    printed, full = printed_scores(), len(names) == len(SETS)
    rows = [[row["model"], row["streams"] or "", *(number(row["scores"][name]) for name in names),
             number(row["mean"] if full else sum(row["scores"][name] for name in names) / len(names)), source_of(row)]
            for row in printed["rows"]]
    cells = own.get("published", {})
    scores = [cells[name]["primary"] if cells.get(name) else None for name in names]
    rows.append(["this model", "", *map(number, scores), number(None if None in scores else sum(scores) / len(names)),
                 chosen_how(sets[0].results)])
    rows.sort(key=lambda row: -float(row[-2]) if row[-2] != "none" else 1.0)
    title = "mean" if full else f"mean of these {len(names)} of {len(SETS)} sets"
    warnings = dict.fromkeys(filter(None, map(made.beside_printed, sets)))
    return [page.heading(3, "Beside other systems: published scores"),
            page.table(["model", "streams", *map(title_of, names), title, "source"], rows,
                       numbers=set(range(2, 3 + len(names))), caption=sources(), warning=" ".join(warnings),
                       marked={place for place, row in enumerate(rows) if row[0] == "this model"}),
            {"kind": "warning", "text": WARNING.format(best=printed["obtained"]["best_on_test"])}]


def standing(sets: list, folder: Path) -> list[dict]:
    """Published scores over the printed ones of others, for the sets of the benchmark."""
    there = [entry for entry in sets if entry.name in SETS and "published" in entry.entry]
    if not there:
        return []
    drawn = plots.standing([{"title": title_of(entry.name), "score": entry.entry["published"]["primary"],
                             "interval": entry.entry["published"]["interval"],
                             "others": [row["scores"][entry.name] for row in printed_scores()["rows"]]}
                            for entry in there])
    return [page.plot(drawn, folder, "standing", "Published scores of this model over the printed ones of other "
                      "systems", f"Others as printed: {printed_scores()['source']}.")]


def beside_others(entry) -> list[dict]:
    """This model's published score among the printed ones."""
    if entry.name not in SETS or "published" not in entry.entry:
        return []
    rows = [(row["scores"][entry.name], [row["model"], row["streams"] or "", number(row["scores"][entry.name]), "",
                                         source_of(row)]) for row in printed_scores()["rows"]]
    own = [one for one in (entry, *entry.others) if "published" in one.entry]
    for one in own:
        found = one.entry["published"]
        rows.append((found["primary"] if found["primary"] is not None else -1.0,
                     [one.system, "+".join(map(page.clean, one.streams or ())), number(found["primary"]),
                      interval(found["interval"]), chosen_how(one.results)]))
    rows.sort(key=lambda row: -row[0])
    cells = [cell for _, cell in rows]
    warnings = dict.fromkeys(filter(None, map(made.beside_printed, own)))
    there, here = SETS[entry.name].clips, entry.results["n_clips"]
    other = "" if there == here else (f" The benchmark has {there:,} clips of this set and here there are {here:,}: "
                                      "these are not the same test.")
    return [page.heading(3, "Beside other systems"),
            page.table(["model", "streams", TITLES[entry.results["kind"], "published"], "95 % interval", "source"],
                       cells, numbers={2, 3}, caption=sources(), warning=" ".join(warnings),
                       marked={place for place, cell in enumerate(cells) if cell[-1][:1] != "["}),
            {"kind": "warning", "text": WARNING.format(best=printed_scores()["obtained"]["best_on_test"]) + other}]


def source_of(row: dict) -> str:
    """Where a printed score is from, and how it was obtained where that is known."""
    return "[1], best on test" if row["obtained"] == "best_on_test" else "[1]"


def sources() -> str:
    """What [1] is."""
    printed = printed_scores()
    return f"[1] {printed['source']}. {printed['obtained']['printed']} {printed['streams']}"
