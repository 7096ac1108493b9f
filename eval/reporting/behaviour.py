"""What the answers of the described checkpoint show: classes, labels, use of the streams, calibration."""

from __future__ import annotations

from pathlib import Path

from affectgpt.eval.reporting import facts, page, plots, recalls
from affectgpt.eval.reporting.calibration import calibration as calibrated
from affectgpt.eval.reporting.words import interval, number, p_value
from affectgpt.metrics.benchmark import KIND

def right_where(entry) -> str:
    """When an answer is called right."""
    if entry.judge.kind in ("basic", "openset"):
        return "An answer is right where its first label has the target's place on at least three of the five wheels."
    return "An answer is right where it names the target's class." if entry.judge.kind in ("sentiment", "class") else \
        "An answer is right where it names the right one and no other."


def classes(entry, folder: Path, prefix: str) -> list[dict]:
    """Recall of each class, their two means, and what is taken for what."""
    found = recalls.recalls(entry.rows, entry.judge)
    if found is None:
        return []
    rows = [[title, f"{len(entry.rows):,}", number(100 * value), interval([100 * end for end in ends])]
            for title, (value, ends) in (("all clips: weighted average recall (WAR), accuracy", found.war),
                                         ("all classes: unweighted average recall (UAR)", found.uar))]
    blocks = [page.heading(3, "Classes"),
              page.table(["recall of", "clips", "percent", "95 % interval"], rows,
                         caption=right_where(entry))]
    points = [(page.clean(name), 100 * recall, tuple(100 * end for end in ends), 0)
              for name, _, recall, ends in found.classes]
    rows = [[name, f"{clips:,}", number(recall), interval(ends)]
            for (name, recall, ends, _), (_, clips, *_) in zip(points, found.classes, strict=True)]
    rest = f"{found.left_out} rarer classes are not shown." if found.left_out else ""
    blocks.append(page.plot(plots.intervals(points, "recall, percent (95 % interval)"), folder, f"{prefix}_recalls",
                            "Recall of each class", rest,
                            page.table(["class", "clips", "recall, percent", "95 % interval"], rows)))
    return blocks + confusion(entry, folder, prefix)


def confusion(entry, folder: Path, prefix: str) -> list[dict]:
    """Targets against answers."""
    recorded = entry.entry["strict"].get("confusion")
    found = recalls.closed_confusion(recorded) if recorded else recalls.confusion(entry.rows, entry.judge)
    if found is None or not found.rows:
        return []
    rows = [[page.clean(name), *(str(count) for count in counts)]
            for name, counts in zip(found.rows, found.counts, strict=True)]
    place = f" Places are those of the project's table on {found.wheel}." if found.wheel else ""
    rest = f" {found.left_out} clips of rarer targets are left out." if found.left_out else ""
    return [page.heading(3, "What is taken for what"),
            page.plot(plots.confusion_picture(found), folder, f"{prefix}_confusion", "Targets against answers",
                      f"Each row is a target with its clips, each column an answer. Frames: the right answer."
                      f"{place}{rest}", page.table(["target", *found.columns], rows))]


def said(entry, folder: Path, prefix: str) -> list[dict]:
    """The labels that were said most."""
    if KIND[entry.judge.kind].answer == "response":
        return []
    labels, totals = facts.said_labels(entry.rows, entry.judge)
    if not labels:
        return []
    rows = [[page.clean(row.label), str(row.clips),
             "unknown" if row.precision is None else f"{100 * row.precision:.1f}",
             "" if row.precision is None else f"{100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f}"]
            for row in labels]
    share = totals["unknown"] / totals["labels"]
    return [page.heading(3, "What is said most"),
            {"kind": "text", "text": f"{totals['labels']:,} labels, {totals['labels'] / len(entry.rows):.1f} a clip, "
                                     f"{totals['distinct']:,} different ones; {100 * share:.1f} % of them are unknown "
                                     "to the project's table of emotion words."},
            page.plot(plots.label_bars(labels), folder, f"{prefix}_labels",
                      "The most frequent labels, and how often the target agrees",
                      numbers=page.table(["label", "clips", "target agrees, percent", "95 % interval"], rows))]


def inputs(entry, folder: Path, prefix: str) -> list[dict]:
    """Which streams the model really uses."""
    found = facts.subsets(entry.answers.checkpoints[entry.described], entry.judge)
    blocks = [page.heading(3, "Which streams the model uses")]
    if found is None:
        return [*blocks, {"kind": "text", "text": "Not known: the rows were made with one set of streams. "
                          "`affectgpt generate --streams all-subsets` asks once for each subset."}]
    rows = [["+".join(map(page.clean, streams)), number(row["score"]), interval(row["interval"])]
            for streams, row in found["scores"].items()]
    blocks.append(page.plot(
        plots.subset_bars(found), folder, f"{prefix}_inputs", "Strict score of every input subset",
        numbers=page.table(["shown", "strict score", "95 % interval"], rows,
                           caption=f"{found['clips']} clips that were asked about with every subset.")))
    if found["drops"]:
        blocks.insert(1, {"kind": "text", "text": uses(found["drops"])})
        rows = [[page.clean(stream), number(row["difference"]), interval(row["interval"]), p_value(row),
                 p_value(row, row["p_adjusted"])]
                for stream, row in found["drops"].items()]
        blocks.append(page.table(["without", "points lost", "95 % interval", "p", "p, Holm"], rows,
                                 caption="Strict score with all streams less that without one, paired by clip."))
    return blocks


def uses(drops: dict[str, dict]) -> str:
    """In words, which streams the model uses: those without which it loses more than chance would."""
    used = [page.clean(stream) for stream, row in drops.items() if row["interval"][0] > 0]
    hurt = [page.clean(stream) for stream, row in drops.items() if row["interval"][1] < 0]
    unclear = [page.clean(stream) for stream, row in drops.items() if row["interval"][0] <= 0 <= row["interval"][1]]
    parts = [f"It loses points where {' or '.join(used)} is taken away, so it uses "
             f"{'it' if len(used) == 1 else 'them'}."
             if used else "No stream is certain to be of use: it may answer as well without any one of them."]
    if unclear:
        parts.append(f"Whether it uses {' or '.join(unclear)} cannot be said from these clips.")
    if hurt:
        parts.append(f"It is better without {' or without '.join(hurt)}.")
    return " ".join(parts)


def calibration(entry, folder: Path, prefix: str) -> list[dict]:
    """Whether the model is as right as it is sure, and what asking only the surest answers wins."""
    found = calibrated(entry.rows, entry.judge)
    blocks = [page.heading(3, "Is it as right as it is sure?")]
    if found is None:
        return [*blocks, {"kind": "text",
                          "text": "Not known: the rows have no confidence, or the answers have no verdict."}]
    rows = [[str(count), f"{sure:.2f}", f"{share:.2f}", f"{low:.2f} to {high:.2f}"]
            for count, sure, share, (low, high) in found.bins]
    low, high = found.interval
    mean, most = found.by_chance
    kept = [[f"{100 * share:.0f}", f"{100 * risk:.1f}"] for share, risk in found.risks[4::5]]
    return [*blocks,
            {"kind": "text", "text": f"Expected calibration error {found.error:.3f} (95 % interval {low:.3f} to "
                                     f"{high:.3f}) on {found.clips} clips: mean confidence {found.confidence:.2f}, "
                                     f"share of right answers {found.accuracy:.2f}. A perfectly calibrated model would "
                                     f"show {mean:.3f} on so many clips by chance, and over {most:.3f} once in 20 "
                                     "times. Confidence is the mean probability of an answer's tokens. "
                                     f"{right_where(entry)}"},
            page.plot(plots.reliability(found), folder, f"{prefix}_calibration",
                      "Share of right answers over confidence", numbers=page.table(
                          ["clips", "mean confidence", "share right", "95 % interval"], rows, numbers={0, 1, 2, 3})),
            {"kind": "text", "text": "Were only the surest answers taken, so many of them would be wrong: "
                                     f"{found.area:.3f} on the mean over all shares kept (AURC), and "
                                     f"{1 - found.accuracy:.3f} of all answers."},
            page.plot(plots.risk_coverage(found), folder, f"{prefix}_risk", "Wrong answers over the share kept",
                      numbers=page.table(["answers kept, percent", "of these wrong, percent"], kept,
                                         numbers={0, 1}))]
