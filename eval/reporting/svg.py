"""Pictures as SVG whose letters keep their size: a field that is as wide as there is room, and words beside it.

In the field x is percent of its width and y is pixels, so nothing is stretched on a wide screen or tiny on a phone.
Colours are classes, so that a page can be dark. They are those of Okabe and Ito (2008), which colour-blind people can
tell apart.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Sequence
from html import escape

LIGHT = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#7a6a00", "#6f6f6f")
DARK = ("#56b4e9", "#ff9a4d", "#33c79f", "#e7a3c8", "#e0c94f", "#a5adb5")
"""Colours of systems and of ways of counting; the last is for what is not told apart."""
GREY = len(LIGHT) - 1
_SETS = {"light": {"ink": "#1f2328", "soft": "#59636e", "line": "#d8dee4", "paper": "#ffffff"},
         "dark": {"ink": "#e6edf3", "soft": "#9aa5b1", "line": "#39424c", "paper": "#14181d"}}
STYLE = """.plot text { font: 12px system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; fill: var(--ink); }
.plot .s { fill: var(--soft); font-size: 11px; } .plot .b { font-weight: 600; } .plot .e { text-anchor: end; }
.plot .m { text-anchor: middle; } .plot line { stroke: var(--ink); stroke-width: 1.3; }
.plot .g { stroke: var(--line); stroke-width: 1; } .plot .q { stroke: var(--soft); } .plot .d { stroke-dasharray: 3 3; }
.plot .on { fill: var(--paper); } .plot .o { fill: none; stroke: var(--c1); stroke-width: 2; }
.plot .w { fill: var(--paper); }
.plot .p { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; } .plot .t { opacity: .16; }
""" + "".join(f".plot .f{place} {{ fill: var(--c{place}); }} .plot .l{place} {{ stroke: var(--c{place}); }}\n"
              for place in range(len(LIGHT)))
"""What the classes of a picture mean, beside the colours."""
STEP = 24
"""Pixels of a row of words."""


def colours(scheme: str) -> str:
    """CSS variables of "light" or "dark"."""
    values = _SETS[scheme] | {f"c{place}": colour for place, colour in enumerate(DARK if scheme == "dark" else LIGHT)}
    return "".join(f"--{name}: {value}; " for name, value in values.items()).strip()


def width_of(text: str, size: float = 12) -> int:
    """About how many pixels a text is wide."""
    return math.ceil(sum(size if unicodedata.east_asian_width(letter) in "WF" else 0.56 * size for letter in text))


def shortened(text: str, longest: int = 26) -> str:
    """A text that a picture has room for; its table has the whole."""
    return text if len(text) <= longest else text[: longest - 1] + "\u2026"


class Plot:
    """A picture being drawn.

    Args:
        height: of the field, in pixels, without `below`.
        words: beside the rows, from the top, [(y, text, class)]; they make the room on the left.
        below: pixels for ticks and the name of the axis.
        least: pixels that the field needs; a narrower page scrolls it.
    """

    def __init__(self, height: float, words: Sequence[tuple[float, str, str]] = (), below: int = 40, least: int = 180):
        self.height, self.below, self.least = height, below, least
        self.left = max([12, *(width_of(text) + 12 for _, text, _ in words)])
        self._words = [f'<text class="e {kind}" x="{self.left - 8}" y="{_n(y + 4)}">{_text(text)}</text>'
                       for y, text, kind in words]
        self._marks: list[str] = []
        self._keys: list[tuple[str, str]] = []

    def bar(self, start: float, end: float, y: float, thick: float, kind: str, title: str = "",
            opacity: float | None = None) -> None:
        """From x to x, around y."""
        seen = "" if opacity is None else f' fill-opacity="{_n(opacity)}"'
        self._marks.append(f'<rect class="{kind}" x="{_n(start)}%" y="{_n(y - thick / 2)}" '
                           f'width="{_n(max(0, end - start))}%" height="{_n(thick)}"{seen}'
                           + (f"><title>{_text(title)}</title></rect>" if title else "/>"))

    def line(self, x: float, y: float, to_x: float, to_y: float, kind: str = "") -> None:
        """From (x, y) to (to_x, to_y)."""
        self._marks.append(f'<line class="{kind}" x1="{_n(x)}%" y1="{_n(y)}" x2="{_n(to_x)}%" y2="{_n(to_y)}"/>')

    def dot(self, x: float, y: float, radius: float, kind: str, title: str = "") -> None:
        """A point; its title shows when it is pointed at."""
        self._marks.append(f'<circle class="{kind}" cx="{_n(x)}%" cy="{_n(y)}" r="{_n(radius)}"'
                           + (f"><title>{_text(title)}</title></circle>" if title else "/>"))

    def text(self, x: float, y: float, text: str, kind: str = "m", dx: float = 0, turned: float = 0) -> None:
        """A text at x (with "m" around it, with "e" before it), moved by dx pixels, turned by degrees."""
        inside = f'<text class="{kind}"' + (f' transform="rotate({_n(turned)})"' if turned else "")
        if turned:
            self._marks.append(f'<svg x="{_n(x)}%" y="{_n(y)}" overflow="visible">{inside}>{_text(text)}</text></svg>')
        else:
            moved = f' dx="{_n(dx)}"' if dx else ""
            self._marks.append(f'{inside} x="{_n(x)}%" y="{_n(y)}"{moved}>{_text(text)}</text>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """A line through points, or with a class of a filling an area between them."""
        if points:
            steps = " ".join(f"{_n(10 * x)},{_n(y)}" for x, y in points)
            shape = "polyline" if "p" in kind.split() else "polygon"
            self._marks.append(f'<svg width="100%" height="{_n(self.height)}" viewBox="0 0 1000 {_n(self.height)}" '
                               f'preserveAspectRatio="none" overflow="visible"><{shape} class="{kind}" '
                               f'points="{steps}"/></svg>')

    def key(self, kind: str, text: str) -> None:
        """A line of the legend, above the field; the class is that of a point."""
        self._keys.append((kind, text))

    def ticks(self, values: Sequence[tuple[float, str]], name: str = "", grid: bool = True) -> None:
        """Marks of the x axis, (x, text), and what the axis is."""
        grids = []
        for x, text in values:
            if grid:
                grids.append(f'<line class="g" x1="{_n(x)}%" y1="0" x2="{_n(x)}%" y2="{_n(self.height)}"/>')
            self.text(x, self.height + 15, text, "s m")
        self._marks[:0] = grids
        if name:
            self.text(50, self.height + 33, name, "s m")

    def levels(self, values: Sequence[float]) -> None:
        """Lines across, at these y, below everything."""
        self._marks[:0] = [f'<line class="g" x1="0" y1="{_n(y)}" x2="100%" y2="{_n(y)}"/>' for y in values]

    @property
    def _legend(self) -> str:
        return "".join(f'<circle class="{kind}" cx="8" cy="{10 + 18 * place}" r="5"/>'
                       f'<text x="20" y="{14 + 18 * place}">{_text(text)}</text>'
                       for place, (kind, text) in enumerate(self._keys))

    def inline(self, alt: str) -> str:
        """Markup for a page, which has `STYLE` and `colours`; safe, since every text in it is escaped."""
        tall = _n(self.height + self.below)
        legend = f'<svg class="keys" width="100%" height="{18 * len(self._keys) + 4}">{self._legend}</svg>' \
            if self._keys else ""
        return (f'<div class="plot" role="img" aria-label="{_text(alt)}" style="min-width:{self.left + self.least}px">'
                f'{legend}<svg width="{self.left}" height="{tall}">{"".join(self._words)}</svg>'
                f'<svg class="field" height="{tall}">{"".join(self._marks)}</svg></div>')

    def file(self, alt: str, wide: int = 760) -> str:
        """The same as a file of its own, for Markdown; as dark or light as who looks at it wishes."""
        above, right = 18 * len(self._keys) + 8, 24
        tall = self.height + self.below
        dark = f"@media (prefers-color-scheme: dark) {{ .plot {{ {colours('dark')} }} }}"
        return (f'<svg xmlns="http://www.w3.org/2000/svg" class="plot" width="{wide}" height="{_n(above + tall + 8)}" '
                f'role="img"><title>{_text(alt)}</title><style>.plot {{ {colours("light")} }}\n{dark}\n{STYLE}</style>'
                f'<rect class="w" width="100%" height="100%"/><svg x="8" y="4">{self._legend}</svg>'
                f'<svg y="{above}" width="{self.left}" height="{_n(tall)}">{"".join(self._words)}</svg>'
                f'<svg x="{self.left}" y="{above}" width="{wide - self.left - right}" height="{_n(tall)}" '
                f'overflow="visible">{"".join(self._marks)}</svg></svg>\n')


def _text(text: object) -> str:
    """Safe in XML: rows may hold any letters, also such as no file may have."""
    return escape("".join(letter if letter.isprintable() else " " for letter in str(text)))


def _n(value: float) -> str:
    """A number in few letters."""
    return f"{value:.1f}".rstrip("0").rstrip(".")
