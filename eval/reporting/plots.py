"""Pictures of a report, drawn with `svg.Plot`. Scores are in percent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from affectgpt.eval.reporting.calibration import Calibration
from affectgpt.eval.reporting.facts import SaidLabel
from affectgpt.eval.reporting.recalls import Confusion
from affectgpt.eval.reporting.svg import GREY, STEP, Plot, shortened

COLOUR = {"published": 1, "strict": 0}
"""Way of counting -> number of its colour."""
PERCENT = [(value, str(value)) for value in range(0, 101, 20)]
TALL = 230
"""Pixels of a field whose scores go upwards."""

Interval = tuple[float | None, float | None]


def intervals(rows: Sequence[tuple[str, float | None, Interval, int]], axis: str,
              bounds: tuple[float, float] | None = None, keys: Mapping[str, int] | None = None) -> Plot:
    """A point with its interval each row: (name, score or None, (low, high), number of its colour).

    bounds: of the axis; by default the tens around all intervals.
    """
    low, high = bounds or _tens([end for _, score, ends, _ in rows for end in (score, *ends) if end is not None])
    scale = 100 / (high - low)
    words = [(STEP * (place + 0.5), shortened(name, 40), "") for place, (name, *_) in enumerate(rows)]
    plot = Plot(STEP * len(rows), words)
    for text, colour in (keys or {}).items():
        plot.key(f"f{colour}", text)
    for place, (name, score, ends, colour) in enumerate(rows):
        if score is None:
            continue
        y, title = STEP * (place + 0.5), f"{name}: {score:.2f}"
        if None not in ends:
            left, right = (min(100, max(0, scale * (end - low))) for end in ends)
            plot.line(left, y, right, y, f"l{colour}")
            title += f" ({ends[0]:.2f} to {ends[1]:.2f})"
        plot.dot(scale * (score - low), y, 5, f"f{colour}", title)
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if (high - low) / step <= 6)
    first = -(-low // step) * step
    values = [first + step * place for place in range(int((high - first) // step) + 1)]
    plot.ticks([(scale * (value - low), f"{value:g}") for value in values], axis)
    if low < 0 < high:
        plot.line(-low * scale, 0, -low * scale, plot.height, "d")
    return plot


def _tens(values: Sequence[float]) -> tuple[float, float]:
    """Tens around percentages, at least 20 apart."""
    low, high = 10 * (min(values, default=0) // 10), 10 * -(-max(values, default=100) // 10)
    return max(0, min(low, high - 20)), min(100, max(high, low + 20))


def differences(rows: Sequence[tuple[str, float, Interval]], axis: str) -> Plot:
    """Differences with intervals around a line at 0."""
    farthest = max([1.0, *(abs(end) for _, value, ends in rows for end in (value, *ends) if end is not None)])
    bound = -(-1.05 * farthest // 1)
    return intervals([(name, value, ends, 0) for name, value, ends in rows], axis, (-bound, bound))


def standing(sets: Sequence[dict]) -> Plot:
    """Own published scores with intervals over the printed ones of others, one row a set.

    sets: {"title", "score", "interval", "others": [score, ...]}.
    """
    plot = Plot(STEP * len(sets), [(STEP * (place + 0.5), row["title"], "") for place, row in enumerate(sets)])
    plot.key(f"f{GREY}", "printed scores of others")
    plot.key("f1", "this model, 95 % interval")
    plot.ticks(PERCENT, "published score, percent")
    for place, row in enumerate(sets):
        y = STEP * (place + 0.5)
        for score in row["others"]:
            plot.dot(score, y, 3.5, f"f{GREY}")
        if row["score"] is not None:
            if None not in row["interval"]:
                plot.line(row["interval"][0], y, row["interval"][1], y, "l1")
            plot.dot(row["score"], y, 5.5, "f1", f"{row['score']:.2f}")
    return plot


def _upwards(names: Sequence[str], axis: str, turned: bool = False, top: int = 100) -> Plot:
    """A field with percent on the left, up to `top`, and names below."""
    steps = [(TALL * (1 - place / 5), f"{top * place / 5:g}") for place in range(6)]
    plot = Plot(TALL, [(y, text, "s") for y, text in steps],
                40 if not turned else 24 + 7 * min(20, max(map(len, names))))
    plot.levels([y for y, _ in steps])
    for place, name in enumerate(names):
        x = 100 * (place + 0.5) / len(names)
        plot.text(x, TALL + 15, shortened(name, 20), f"s {'e' if turned else 'm'}", turned=-40 if turned else 0)
    if not turned:
        plot.text(50, TALL + 33, axis, "s m")
    return plot


def checkpoint_lines(checkpoints: Sequence[str], lines: dict[str, list[tuple]], chosen: str | None) -> Plot:
    """Primary score of every checkpoint with its interval, one line a way of counting.

    lines: way of counting -> (score or None, low, high) of each checkpoint.
    """
    turned = sum(map(len, checkpoints)) > 30
    plot = _upwards(checkpoints, "checkpoint", turned)
    places = [100 * (place + 0.5) / len(checkpoints) for place in range(len(checkpoints))]
    if chosen in checkpoints:
        at = places[list(checkpoints).index(chosen)]
        plot.line(at, 0, at, TALL, "d q")
    for mode, points in lines.items():
        colour, there = COLOUR[mode], [place for place, point in enumerate(points) if None not in point]
        plot.key(f"f{colour}", f"{mode}, 95 % interval")
        band = [(places[place], TALL - TALL * points[place][1] / 100) for place in there] + \
            [(places[place], TALL - TALL * points[place][2] / 100) for place in reversed(there)]
        plot.path(band, f"f{colour} t")
        plot.path([(places[place], TALL - TALL * points[place][0] / 100) for place in there], f"p l{colour}")
        for place in there:
            score, low, high = points[place]
            plot.dot(places[place], TALL - TALL * score / 100, 4.5, f"f{colour}",
                     f"{checkpoints[place]}: {score:.2f} ({low:.2f} to {high:.2f})")
    return plot


def confusion_picture(found: Confusion) -> Plot:
    """Counts; the colour is the share of a row. The right answer of each row has a frame."""
    totals = [sum(counts) for counts in found.counts]
    words = [(STEP * (place + 0.5), f"{shortened(name, 18)} ({total})", "")
             for place, (name, total) in enumerate(zip(found.rows, totals, strict=True))]
    wide = 100 / len(found.columns)
    plot = Plot(STEP * len(found.rows), words, 22 + 5 * max(map(len, found.columns)), 34 * len(found.columns))
    for row, counts in enumerate(found.counts):
        for column, count in enumerate(counts):
            if count:
                share, y = count / max(1, totals[row]), STEP * (row + 0.5)
                plot.bar(wide * column, wide * (column + 1), y, STEP - 2, "f0",
                         f"{found.rows[row]} as {found.columns[column]}: {count} of {totals[row]}", max(0.06, share))
                plot.text(wide * (column + 0.5), y + 4, str(count), f"m{' on' if share > 0.5 else ''}")
    for row, column in enumerate(found.hits):
        if column is not None:
            plot.bar(wide * column, wide * (column + 1), STEP * (row + 0.5), STEP - 2, "o")
    for column, name in enumerate(found.columns):
        plot.text(wide * (column + 0.5), plot.height + 14, name, "s e", turned=-50)
    return plot


def wheel_bars(wheels: dict[str, dict[str, dict]]) -> Plot:
    """Primary score on each wheel. wheels: way of counting -> wheel -> {"score": percent or None, "scored": clips}."""
    names = list(next(iter(wheels.values())))
    step = 14 * len(wheels) + 12
    plot = Plot(step * len(names), [(step * (place + 0.5), name.replace("wheel", "wheel "), "")
                                    for place, name in enumerate(names)])
    plot.ticks(PERCENT, "percent")
    for index, (mode, rows) in enumerate(wheels.items()):
        plot.key(f"f{COLOUR[mode]}", mode)
        for place, name in enumerate(names):
            score = rows[name]["score"]
            if score is not None:
                y = step * (place + 0.5) + 14 * (index - (len(wheels) - 1) / 2)
                plot.bar(0, score, y, 12, f"f{COLOUR[mode]}", f"{score:.2f}, {rows[name]['scored']} clips")
                inside = score > 80
                plot.text(score, y + 4, f"{score:.0f}", "s e on" if inside else "s", -4 if inside else 5)
    return plot


def label_bars(labels: Sequence[SaidLabel]) -> Plot:
    """How often each label was said (left half), and its precision with an interval (right half)."""
    step, most = 20, max(row.clips for row in labels)
    plot = Plot(step * len(labels), [(step * (place + 0.5), shortened(row.label, 22), "")
                                     for place, row in enumerate(labels)], 42, 260)
    plot.ticks([(0, "0"), (42, str(most))], grid=False)
    plot.ticks([(54, "0"), (77, "50"), (100, "100")])
    plot.text(21, plot.height + 33, "clips it was said of", "s m")
    plot.text(77, plot.height + 33, "of these, target agrees, %", "s m")
    for place, row in enumerate(labels):
        y = step * (place + 0.5)
        plot.bar(0, 42 * row.clips / most, y, 14, "f0" if row.known else f"f{GREY}", f"{row.label}: {row.clips}")
        if row.precision is not None:
            plot.line(54 + 46 * row.interval[0], y, 54 + 46 * row.interval[1], y)
            plot.dot(54 + 46 * row.precision, y, 4.5, "f1", f"{100 * row.precision:.1f}")
    return plot


def reliability(found: Calibration) -> Plot:
    """Share of right answers over confidence, a point for each bin, the diagonal where both are the same."""
    plot = _upwards([""], "")
    plot.ticks(PERCENT, "confidence of the answer, percent")
    plot.key(f"f{GREY}", "as sure as right")
    plot.key("f0", "answers in bins of equal number, 95 % interval")
    plot.path([(0, TALL), (100, 0)], f"p l{GREY} d")
    for count, sure, share, (low, high) in found.bins:
        plot.line(100 * sure, TALL * (1 - low), 100 * sure, TALL * (1 - high))
        plot.dot(100 * sure, TALL * (1 - share), 5.5, "f0", f"{count} answers: sure {sure:.2f}, right {share:.2f}")
    return plot


def risk_coverage(found: Calibration) -> Plot:
    """Share of wrong answers among the surest ones, over how many are kept."""
    top = next(top for top in (10, 20, 50, 100) if 100 * max(risk for _, risk in found.risks) <= top)
    plot = _upwards([""], "", top=top)
    plot.ticks(PERCENT, "answers kept, the surest first, percent")
    plot.key("f0", "wrong answers among those kept")
    plot.key(f"f{GREY}", "all answers: no gain from confidence")
    base = TALL * (1 - 100 * (1 - found.accuracy) / top)
    plot.path([(0, base), (100, base)], f"p l{GREY} d")
    plot.path([(100 * kept, TALL * (1 - 100 * risk / top)) for kept, risk in found.risks], "p l0")
    return plot


def subset_bars(found: dict) -> Plot:
    """Strict score of every input subset with its interval."""
    rows = list(found["scores"].items())
    plot = Plot(STEP * len(rows), [(STEP * (place + 0.5), shortened("+".join(streams), 30), "")
                                   for place, (streams, _) in enumerate(rows)])
    plot.ticks(PERCENT, "strict score, percent (95 % interval)")
    for place, (streams, row) in enumerate(rows):
        y = STEP * (place + 0.5)
        plot.bar(0, row["score"], y, 16, "f0", f"{row['score']:.2f}", 1 if streams == found["full"] else 0.55)
        plot.line(row["interval"][0], y, row["interval"][1], y)
        end = max(row["score"], row["interval"][1])
        plot.text(end if end < 88 else 1, y + 4, f"{row['score']:.1f}", "b" if end < 88 else "b on", 6)
    return plot
