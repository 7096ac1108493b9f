"""Pictures of a report. Colours are those of Okabe and Ito (2008), which colour-blind people can tell apart."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path

from affectgpt.eval.plots import GRID, INK, pyplot
from affectgpt.eval.reporting.facts import Calibration, Confusion, SaidLabel

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#9a9a9a"
MODE_COLOURS = {"published": ORANGE, "strict": BLUE}
LONGEST = 24
"""Characters of a word in a picture; tables have the whole word."""


@contextmanager
def _figure(path: Path, width: float, height: float, panels: int = 1):
    """(figure, axes) in the style of this project; saved where the body ends well."""
    plt = pyplot()
    # Words of rows are never read as mathematical markup.
    with plt.rc_context({"text.parse_math": False, "font.size": 10, "axes.titlesize": 11, "svg.fonttype": "none"}):
        figure, axes = plt.subplots(1, panels, figsize=(width, height), layout="constrained", sharey=panels > 1)
        try:
            yield figure, axes
            for place in axes if panels > 1 else [axes]:
                for side in ("top", "right"):
                    place.spines[side].set_visible(False)
                place.set_axisbelow(True)
            figure.savefig(path, dpi=150, facecolor="white")
        finally:
            plt.close(figure)


def word(text: str) -> str:
    """A word that the font of pictures can draw, and that is not too long; others are named by their table row."""
    short = text if len(text) <= LONGEST else text[: LONGEST - 1] + "\u2026"
    return short if all(ord(letter) < 0x530 and letter.isprintable() or letter == "\u2026" for letter in short) else ""


def standing(sets: list[dict], path: Path) -> None:
    """Own published scores with intervals over the printed ones of others, one row a set.

    sets: {"title", "score", "interval", "others": [score, ...]} in percent.
    """
    with _figure(path, 7.5, 0.5 * len(sets) + 1.5) as (_, axes):
        for place, row in enumerate(sets):
            axes.plot(row["others"], [place] * len(row["others"]), "o", color=GREY, markersize=5, alpha=0.7,
                      markeredgewidth=0, label="printed scores of others" if place == 0 else None)
            if row["score"] is not None:
                axes.plot(row["interval"], [place, place], color=ORANGE, linewidth=2.2, solid_capstyle="butt")
                axes.plot(row["score"], place, "D", color=ORANGE, markersize=8, markeredgecolor="white",
                          label="this model, 95 % interval" if place == 0 else None, zorder=3)
        axes.set_yticks(range(len(sets)), [row["title"] for row in sets])
        axes.set_ylim(len(sets) - 0.5, -0.5)
        axes.set_xlim(0, 100)
        axes.set_xlabel("published score, percent")
        axes.grid(axis="x", color=GRID, linewidth=0.6)
        axes.legend(loc="upper center", bbox_to_anchor=(0.45, 1.0 + 0.42 / (0.5 * len(sets))), ncol=2, frameon=False,
                    fontsize=9)


def checkpoint_lines(checkpoints: list[str], lines: dict[str, list[tuple]], chosen: str | None, path: Path) -> None:
    """Primary score of every checkpoint with its interval, one line a way of counting.

    lines: way of counting -> (score or None, low, high) of each checkpoint, in percent.
    """
    with _figure(path, 7.5, 3.6) as (_, axes):
        places = range(len(checkpoints))
        for mode, points in lines.items():
            there = [place for place in places if points[place][0] is not None]
            axes.fill_between(there, [points[p][1] for p in there], [points[p][2] for p in there],
                              color=MODE_COLOURS[mode], alpha=0.15, linewidth=0)
            axes.plot(there, [points[p][0] for p in there], "o-", color=MODE_COLOURS[mode], markersize=5, label=mode)
        if chosen in checkpoints:
            axes.axvline(checkpoints.index(chosen), color=INK, linestyle=":", linewidth=1.2, label="described below")
        axes.set_xticks(places, [word(name) or str(place + 1) for place, name in zip(places, checkpoints, strict=True)],
                        rotation=45 if max(map(len, checkpoints)) > 6 else 0)
        axes.set_xlim(-0.4, len(checkpoints) - 0.6)
        axes.set_xlabel("checkpoint")
        axes.set_ylabel("percent, 95 % interval")
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def confusion_picture(found: Confusion, path: Path) -> None:
    """Counts; the colour is the share of a row. The right answer of each row has a frame."""
    import numpy as np
    from matplotlib.patches import Rectangle

    counts = np.array(found.counts, dtype=float)
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    width = max(5.5, 0.72 * len(found.columns) + 2.4)
    with _figure(path, width, 0.46 * len(found.rows) + 1.9) as (figure, axes):
        picture = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        for row, column in np.ndindex(*counts.shape):
            if counts[row, column]:
                axes.text(column, row, f"{int(counts[row, column])}", ha="center", va="center", fontsize=9,
                          color="white" if shares[row, column] > 0.55 else INK)
        for row, column in enumerate(found.hits):
            if column is not None:
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=ORANGE, linewidth=2,
                                         clip_on=False))
        axes.set_xticks(range(len(found.columns)), found.columns, rotation=35, ha="right", rotation_mode="anchor")
        axes.set_yticks(range(len(found.rows)), [f"{word(name) or f'target {place + 1}'} ({int(total)})" for place,
                        (name, total) in enumerate(zip(found.rows, counts.sum(1), strict=True))])
        axes.set_ylabel("target (clips)")
        axes.set_xlabel("polarity of the answer" if found.wheel is None else "place of the first label")
        axes.tick_params(length=0)
        for side in axes.spines.values():
            side.set_visible(False)
        bar = figure.colorbar(picture, ax=axes, pad=0.02, ticks=[0, 0.5, 1])
        bar.set_label("share of the row")
        bar.outline.set_visible(False)


def wheel_bars(wheels: dict[str, dict[str, dict]], path: Path) -> None:
    """Primary score on each wheel. wheels: way of counting -> wheel -> {"score": percent or None, "scored": clips}."""
    names = list(next(iter(wheels.values())))
    with _figure(path, 7.5, 3.2) as (_, axes):
        thick = 0.8 / len(wheels)
        for index, (mode, rows) in enumerate(wheels.items()):
            for place, name in enumerate(names):
                value, at = rows[name]["score"] or 0.0, place + (index - (len(wheels) - 1) / 2) * thick
                axes.bar(at, value, thick * 0.94, color=MODE_COLOURS[mode], label=mode if place == 0 else None)
                axes.text(at, value + 1, f"{value:.0f}\nn={rows[name]['scored']}", ha="center", va="bottom", fontsize=8)
        axes.set_xticks(range(len(names)), [name.replace("wheel", "wheel ") for name in names])
        axes.set_ylim(0, 118)
        axes.set_yticks(range(0, 101, 20))
        axes.set_ylabel("percent")
        axes.grid(axis="y", color=GRID, linewidth=0.6)
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def label_bars(labels: list[SaidLabel], path: Path) -> None:
    """How often each label was said, and its precision with an interval."""
    with _figure(path, 7.5, 0.27 * len(labels) + 1.1, panels=2) as (_, (left, right)):
        for place, row in enumerate(labels):
            left.barh(place, row.clips, color=BLUE if row.known else GREY, height=0.7)
            if row.precision is not None:
                right.plot([100 * end for end in row.interval], [place, place], color=INK, linewidth=1.1)
                right.plot(100 * row.precision, place, "o", color=ORANGE, markersize=6)
        left.set_yticks(range(len(labels)), [word(row.label) or f"label {place + 1}"
                                             for place, row in enumerate(labels)])
        left.set_ylim(len(labels) - 0.4, -0.6)
        left.set_xlabel("clips it was said of")
        right.set_xlim(-2, 102)
        right.set_xlabel("of these, target agrees (percent)")
        for axes in (left, right):
            axes.grid(axis="x", color=GRID, linewidth=0.6)
        right.tick_params(axis="y", length=0)


def reliability(found: Calibration, path: Path) -> None:
    """Share of right answers over confidence; the area of a point is the number of its clips."""
    with _figure(path, 5.2, 4.4) as (_, axes):
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1, label="as sure as right")
        for index, (count, sure, share, (low, high)) in enumerate(found.bins):
            axes.plot([sure, sure], [low, high], color=INK, linewidth=1.1)
            axes.scatter(sure, share, s=25 + 250 * count / found.clips, color=BLUE, zorder=3, edgecolor="white",
                         label="answers, 95 % interval" if index == 0 else None)
        axes.set_xlim(0, 1.03)
        axes.set_ylim(-0.02, 1.03)
        axes.set_xlabel("confidence of the answer")
        axes.set_ylabel("share of right answers")
        axes.grid(color=GRID, linewidth=0.6)
        axes.legend(loc="upper left", frameon=False, fontsize=9)


def subset_bars(found: dict, path: Path) -> None:
    """Strict score of every input subset with its interval."""
    rows = list(found["scores"].items())
    with _figure(path, 7.5, 0.42 * len(rows) + 1.0) as (_, axes):
        for place, (streams, row) in enumerate(rows):
            axes.barh(place, row["score"], color=BLUE if streams == found["full"] else "#7fb2d6", height=0.66)
            axes.plot(row["interval"], [place, place], color=INK, linewidth=1.3)
            inside = row["score"] > 9 and row["interval"][0] > 9  # else the number would lie on the page or on the line
            axes.text(1.2 if inside else max(row["score"], row["interval"][1]) + 1.2, place, f"{row['score']:.1f}",
                      va="center", fontsize=9, color="white" if inside else INK, fontweight="bold")
        names = ["+".join(word(stream) or "?" for stream in streams) for streams, _ in rows]
        axes.set_yticks(range(len(rows)), names)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, 102)
        axes.set_xlabel("strict score, percent (95 % interval)")
        axes.grid(axis="x", color=GRID, linewidth=0.6)
