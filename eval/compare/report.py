"""What a comparison shows: table.md, report.html and comparison.png, all from `results.json`'s content."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectgpt.baselines.scores import SCORES, TITLES, score_text
from affectgpt.eval.reporting import page
from affectgpt.files import atomic_write_text
from affectgpt.terminal import printable

TABLE, PAGE, PICTURE = "table.md", "report.html", "comparison.png"
MAJORITY = "always the majority of the training clips"


def write(results: Mapping[str, Any], folder: Path) -> None:
    """Write the three files."""
    from affectgpt.eval.compare.plot import intervals

    intervals(results, folder / PICTURE)
    blocks = blocks_of(results)
    title = f"Comparison: {results['name']}"
    atomic_write_text(folder / TABLE, page.as_markdown(blocks, "."))
    atomic_write_text(folder / PAGE, page.as_html(title, blocks, folder))


def show(results: Mapping[str, Any], folder: Path) -> None:
    """Print the tables and where the files are."""
    for protocol, table in results["protocols"].items():
        print(f"\n{protocol}: {table['clips']} clips in {table['groups']} groups, {len(table['classes'])} classes "
              "(mean ± deviation over seeds, 95 % interval)")
        for note in table["notes"]:
            print(f"  {note}")
        cells = [["", *(TITLES[name] for name in SCORES)], *(row for row, _ in rows_of(table))]
        widths = [max(len(row[column]) for row in cells if column < len(row)) for column in range(4)]
        for row in cells:
            if len(row) > 1 and any(row[1:4]):
                print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip())
            else:
                print(f"  {row[0]:<{widths[0]}}  {printable(row[-1])}")
        for pair in table["pairs"]:
            print(f"  {pair_text(pair, table)}")
    print(f"\ntables:  {printable(str(folder / TABLE))}, {PAGE}, {PICTURE}, results.json")


def rows_of(table: Mapping[str, Any]) -> list[tuple[list[str], bool]]:
    """(title, accuracy, macro F1, weighted F1, remarks) of each system and the majority, and whether it has scores."""
    rows = []
    for row in table["systems"].values():
        if "scores" in row:
            found = row["scores"]
            seeds = len(found["seeds"])
            remark = f"{seeds} seed{'s' * (seeds > 1)}, {row['runs']} runs, {row['seconds']:.0f} s"
            wrong = found["unanswered"] + found["unknown"]
            if wrong:
                remark += f"; no class given {wrong} times of {found['clips'] * seeds}, counted as wrong"
            rows.append(([row["title"], *(score_text(found[name], seeds) for name in SCORES), remark], True))
        elif "left" in row:
            rows.append(([row["title"], "", "", "", f"not run yet: {row['left']} of {row['of']} runs are left"], False))
        else:
            word = "missing" if "missing" in row else "failed"
            rows.append(([row["title"], "", "", "", f"{word}: {row[word]}"], False))
    found = table["majority"]
    rows.append(([MAJORITY, *(score_text(found[name], 1) for name in SCORES), ""], True))
    return rows


def pair_text(pair: Mapping[str, Any], table: Mapping[str, Any]) -> str:
    """One paired comparison in words."""
    first, second = (table["systems"][pair[key]]["title"] for key in ("first", "second"))
    low, high = pair["interval"]
    return (f"{second} less {first}, weighted F1 on the same clips: {pair['difference']:+.3f} ({low:+.3f} to "
            f"{high:+.3f}), p = {pair['p']:.2g}")


def blocks_of(results: Mapping[str, Any]) -> list[dict]:
    """The page's blocks."""
    blocks = [page.heading(1, f"Comparison: {results['name']}")]
    if results["description"]:
        blocks.append({"kind": "text", "text": results["description"]})
    if results.get("limit"):
        blocks.append({"kind": "warning", "text": f"A try with the first {results['limit']} clips of each part of a "
                       "split: its scores say nothing."})
    blocks.append({"kind": "figure", "file": PICTURE, "alt": "weighted F1 of each system with its interval",
                   "caption": "Weighted F1: mean over seeds, 95 % interval over clips (clips of one video or speaker "
                              "together); the dashed line is the majority of the training clips."})
    for protocol, table in results["protocols"].items():
        blocks += _protocol(protocol, table)
    return blocks


def _protocol(protocol: str, table: Mapping[str, Any]) -> list[dict]:
    blocks = [page.heading(2, f"Protocol {protocol}", protocol)]
    for note in table["notes"]:
        kind, _, text = note.partition(": ")
        blocks.append({"kind": "warning" if kind == "warning" else "text", "text": text})
    columns = ["system", *(TITLES[name] for name in SCORES), "remarks"]
    rows = [[page.clean(cell, page.LONGEST_TEXT) for cell in row] for row, _ in rows_of(table)]
    blocks.append(page.table(columns, rows, numbers={1, 2, 3}, caption=(
        f"{table['clips']} test clips in {table['groups']} groups that are resampled whole, {len(table['splits'])} "
        f"split(s), {len(table['classes'])} classes. Mean ± sample deviation over seeds (95 % interval over "
        "groups).")))
    for pair in table["pairs"]:
        blocks.append({"kind": "text", "text": pair_text(pair, table)})
    blocks.append(page.heading(3, "Clips of each class"))
    splits = table["splits"]
    shown = splits if len(splits) <= 10 else []
    blocks.append(page.table(
        ["class", "tested", *(f"{split['name']}: train / validation / test" for split in shown)],
        [[name, str(table["counts"][name]), *(" / ".join(str(split[part][name]) for part in (
            "train", "validation", "test")) for split in shown)] for name in table["classes"]]))
    for row in table["systems"].values():
        if "scores" in row:
            blocks += _confusion(row)
    return blocks


def _confusion(row: Mapping[str, Any]) -> list[dict]:
    found = row["scores"]
    per_class = found["per_class"]
    rows = [[name, *map(str, counts), "" if per_class[name]["f1"] is None else f"{per_class[name]['f1']:.3f}"]
            for name, counts in zip(found["classes"], found["confusion"], strict=True)]
    notes = [{"kind": "list", "items": found["notes"]}] if found["notes"] else []
    return [page.heading(3, f"Answers of: {row['title']}"),
            page.table(["target", *found["classes"], "no class", "F1"], rows,
                       caption="Counts summed over seeds; a row is a target, a column an answer."), *notes]
