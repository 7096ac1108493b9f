"""Pictures of results."""

from __future__ import annotations

import json
from pathlib import Path

INK, GRID = "#222222", "#dddddd"
COLOURS = {1: "#7aa6c2", 2: "#3f7ea6", 3: "#1d4e6f"}


def subset_bars(results: dict, path: Path) -> None:
    """Accuracy of every input subset with its interval, beside chance and majority."""
    plt = pyplot()
    names = list(results["subsets"])
    rows = [results["subsets"][name] for name in names]
    figure, axes = plt.subplots(figsize=(7.5, 0.55 * len(names) + 1.8))
    for place, (name, row) in enumerate(zip(names, rows, strict=True)):
        low, high = row["interval"]
        axes.barh(place, row["accuracy"], color=COLOURS[min(3, name.count("+") + 1)], height=0.62)
        axes.plot([low, high], [place, place], color=INK, linewidth=1.2)
        axes.text(0.012, place, f"{row['accuracy']:.2f}", va="center", fontsize=9, color="white", fontweight="bold")
        if row["carried_accuracy"] is not None and row["carried_clips"] != row["clips"]:
            axes.plot(row["carried_accuracy"], place, "D", color="#d9822b", markersize=6, zorder=3,
                      label="where the input carries the emotion" if place == 0 else None)
    axes.axvline(results["chance"], color="#b03030", linestyle=":", linewidth=1.6,
                 label=f"chance {results['chance']:.2f}")
    axes.axvline(results["majority"], color="#b03030", linestyle="--", linewidth=1.0,
                 label=f"majority {results['majority']:.2f}")
    axes.set_yticks(range(len(names)), [name.replace("+", " + ").replace("text", "words") for name in names])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.03)
    axes.set_xlabel("label accuracy (95 % interval)")
    axes.set_title(f"What each input tells the model ({rows[0]['clips']} held-out clips)", fontsize=11, loc="left")
    axes.legend(loc="upper center", bbox_to_anchor=(0.45, -0.45 / (0.55 * len(names))), ncol=3, frameon=False,
                fontsize=8)
    _finish(figure, axes, plt, path)


def training_curve(log: Path, path: Path) -> None:
    """Training and validation loss over steps from a JSONL log."""
    plt = pyplot()
    rows = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    figure, axes = plt.subplots(figsize=(7, 3.6))
    for key, label, style in (("loss", "training", "-"), ("validation_loss", "validation", "o-")):
        points = {row["step"]: row[key] for row in rows if key in row}
        axes.plot(list(points), list(points.values()), style, label=label, markersize=5)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss (nats a labelled token)")
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False)
    _finish(figure, axes, plt, path)


def pyplot():
    """matplotlib.pyplot without a screen."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def _finish(figure, axes, plt, path: Path) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    figure.savefig(path, dpi=150, bbox_inches="tight")
    plt.close(figure)
