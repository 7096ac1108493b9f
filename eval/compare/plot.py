"""The picture of a comparison: weighted F1 of each system with its interval, a panel a protocol."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from affectgpt.eval.plots import GRID, INK, pyplot

COLOURS = {"textualized": "#0072b2", "features": "#009e73", "affectgpt": "#d55e00", "model": "#cc79a7"}
"""Kind of a system -> colour (Okabe and Ito 2008)."""
NAMES = {"textualized": "clips as words", "features": "features by fusion", "affectgpt": "AffectGPT, trained",
         "model": "AffectGPT, as it is"}
SCORE = "weighted_f1"
LONGEST = 40
"""Characters of a title in the picture; tables have the whole one."""


def intervals(results: Mapping[str, Any], path: Path) -> None:
    """Draw and save. Systems without scores have their row, with a word for why."""
    from matplotlib.lines import Line2D

    plt = pyplot()
    tables = results["protocols"]
    systems = next(iter(tables.values()))["systems"]
    titles = [_short(row["title"]) for row in systems.values()]
    with plt.rc_context({"text.parse_math": False, "font.size": 10}):
        figure, panels = plt.subplots(1, len(tables), sharey=True, sharex=True, squeeze=False, layout="constrained",
                                      figsize=(3.2 + 3.9 * len(tables), 0.42 * len(titles) + 1.9))
        for axes, (protocol, table) in zip(panels[0], tables.items(), strict=True):
            _panel(axes, table)
            warned = any(note.startswith("warning") for note in table["notes"])
            axes.set_title(f"{protocol}{' (see its warning)' if warned else ''}", fontsize=11, loc="left")
        panels[0][0].set_yticks(range(len(titles)), titles)
        panels[0][0].set_ylim(len(titles) - 0.5, -0.5)
        panels[0][0].set_xlim(0, 1)
        used = [kind for kind in COLOURS if any(row["kind"] == kind for row in systems.values())]
        lines = [Line2D([], [], color=COLOURS[kind], marker="o", label=NAMES[kind]) for kind in used]
        lines.append(Line2D([], [], color=INK, linestyle="--", label="majority of the training clips"))
        figure.legend(handles=lines, loc="outside lower center", ncol=min(3, len(lines)), frameon=False, fontsize=9)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150, facecolor="white")
    plt.close(figure)


def _panel(axes, table: Mapping[str, Any]) -> None:
    for place, row in enumerate(table["systems"].values()):
        if "scores" not in row:
            word = "missing" if "missing" in row else "failed" if "failed" in row else "not run yet"
            axes.text(0.02, place, word, va="center", fontsize=9, color="#777777", style="italic",
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5})
            continue
        found = row["scores"][SCORE]
        colour = COLOURS[row["kind"]]
        if found["low"] is not None:
            axes.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=2.2,
                      solid_capstyle="butt")
        axes.plot(found["mean"], place, "o", color=colour, markersize=7, markeredgecolor="white")
        axes.text(found["mean"], place - 0.2, f"{found['mean']:.2f}", ha="center", va="bottom", fontsize=8)
    axes.axvline(table["majority"][SCORE]["mean"], color=INK, linestyle="--", linewidth=1.0)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="x", color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.set_xlabel("weighted F1 (95 % interval)")


def _short(title: str) -> str:
    plain = "".join(letter if letter.isprintable() and ord(letter) < 0x530 else "?" for letter in title)
    return plain if len(plain) <= LONGEST else plain[: LONGEST - 1] + "\u2026"
