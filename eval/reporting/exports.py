"""A table of a report as CSV and as LaTeX, to be taken along: in the page as links that hold the file itself."""

from __future__ import annotations

import base64
import csv
import io

_LATEX = {"\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "_": r"\_", "%": r"\%",
          "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
          "|": r"\textbar{}", '"': r"\textquotedbl{}", "\u2026": r"\dots{}", "\u2212": "$-$"}


def as_csv(block: dict) -> str:
    """Columns and rows; a cell that a spreadsheet would take for a formula begins with an apostrophe."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(
        [_plain(cell) for cell in row] for row in [block["columns"], *block["rows"]])
    return file.getvalue()


def _plain(cell: str) -> str:
    formula = cell[:1] in ("=", "+", "@", "-", "\t", "\r") and not _is_number(cell)
    return f"'{cell}" if formula else cell


def _is_number(cell: str) -> bool:
    try:
        float(cell.split(" ", 1)[0])
    except ValueError:
        return False
    return True


def as_latex(block: dict) -> str:
    """A tabular of booktabs; marked rows are bold, and a warning or caption is a comment above it."""
    lines = [f"% {' '.join(text.split())}" for text in (block.get("warning"), block["caption"]) if text]
    kinds = "".join("r" if place in block["numbers"] else "l" for place in range(len(block["columns"])))
    lines += [rf"\begin{{tabular}}{{{kinds}}}", r"\toprule", _line(block["columns"], False), r"\midrule",
              *(_line(row, number in block["marked"]) for number, row in enumerate(block["rows"])), r"\bottomrule",
              r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def _line(cells: list[str], bold: bool) -> str:
    words = ["".join(_LATEX.get(letter, letter) for letter in cell) for cell in cells]
    return " & ".join(rf"\textbf{{{word}}}" if bold and word else word for word in words) + r" \\"


def links(block: dict) -> list[tuple[str, str, str]]:
    """(what, name of the file, address that holds it) of both forms."""
    name = block["name"]
    return [(what, f"{name}.{suffix}", f"data:{kind};base64,{base64.b64encode(text.encode()).decode('ascii')}")
            for what, suffix, kind, text in (("CSV", "csv", "text/csv", as_csv(block)),
                                             ("LaTeX", "tex", "text/x-tex", as_latex(block)))]
