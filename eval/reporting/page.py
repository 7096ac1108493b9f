"""A report as one HTML page and as Markdown, both from the same list of blocks, so that they say the same.

A block is a dict with "kind":
    heading {level, text, id}, text {text}, warning {text}, list {items},
    cards {cards: [{title, value, detail, text}]},
    table {columns, rows: cells as text, marked: set of rows, numbers: set of columns, caption, warning: text or ""},
    figure {file, alt, caption}, plot {plot: svg.Plot, file, alt, caption, table: its numbers or None},
    examples {title, rows: [{pictures, facts: [(name, text)]}]}.
All text is plain and untrusted: HTML is escaped by jinja2, Markdown by `escape`.
"""

from __future__ import annotations

import base64
import re
from pathlib import Path

from affectgpt.eval.reporting import exports, svg

TEMPLATE = Path(__file__).with_name("page.html")
LONGEST_TEXT, LONGEST_CELL = 700, 120
"""Characters of a row's text that are shown."""


def clean(text: object, longest: int = LONGEST_CELL) -> str:
    """Text of a row in one line of limited length.

    It has no characters that control a terminal or the writing direction.
    """
    plain = " ".join("".join(letter if letter.isprintable() else " " for letter in str(text)).split())
    return plain if len(plain) <= longest else f"{plain[: longest - 1]}\u2026"


def heading(level: int, text: str, identifier: str = "") -> dict:
    """A heading of level 1 to 3."""
    return {"kind": "heading", "level": level, "text": text, "id": identifier}


def table(columns: list[str], rows: list[list[str]], numbers: set[int] | None = None, marked: set[int] | None = None,
          caption: str = "", warning: str = "") -> dict:
    """A table; `numbers` are the columns set to the right, by default all but the first. A warning is its first line,
    so that nobody reads the rows without it."""
    return {"kind": "table", "columns": columns, "rows": rows, "caption": caption, "marked": marked or set(),
            "numbers": set(range(1, len(columns))) if numbers is None else numbers, "warning": warning}


def plot(drawn: svg.Plot, folder: Path, name: str, alt: str, caption: str = "", numbers: dict | None = None) -> dict:
    """A picture, with the table of what it shows folded below it; also written to the folder, for Markdown."""
    (folder / f"{name}.svg").write_text(drawn.file(alt), encoding="utf-8")
    return {"kind": "plot", "plot": drawn, "file": f"{name}.svg", "alt": alt, "caption": caption, "table": numbers}


def as_html(title: str, blocks: list[dict], pictures: Path) -> str:
    """One page that needs nothing else: pictures are part of it, there is no script, and nothing is fetched."""
    from jinja2 import Environment
    from markupsafe import Markup

    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["data_uri"] = lambda name: data_uri(pictures / name)
    environment.filters["inline"] = lambda block: Markup(block["plot"].inline(block["alt"]))
    environment.filters["taken"] = exports.links
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    blocks = _named(blocks)
    parts = [block for block in blocks if block["kind"] == "heading" and block["level"] > 1]
    top = [block for block in parts if block["level"] == 2]
    return template.render(title=title, blocks=blocks, menu=parts if len(top) < 4 else top, style=Markup(svg.STYLE),
                           light=Markup(svg.colours("light")), dark=Markup(svg.colours("dark")))


def _named(blocks: list[dict]) -> list[dict]:
    """The blocks, every heading with an id and every table with a name for its files, after the headings above it."""
    made, used, above = [], set(), ["", ""]

    def free(words: str, other: str) -> str:
        name = re.sub(r"[^a-z0-9]+", "_", words.lower()).strip("_")[:60] or other
        count = next(count for count in range(1, len(blocks) + 2)
                     if (name if count == 1 else f"{name}_{count}") not in used)
        used.add(name if count == 1 else f"{name}_{count}")
        return name if count == 1 else f"{name}_{count}"

    for block in blocks:
        if block["kind"] == "heading":
            if block["level"] > 1:
                above = [block["text"], ""] if block["level"] == 2 else [above[0], block["text"]]
            block = block | {"id": free(block["id"] or " ".join(above), "part")}
        elif block["kind"] == "table":
            block = block | {"name": free(" ".join([*above, "table"]), "table")}
        elif block["kind"] == "plot" and block["table"]:
            block = block | {"table": block["table"] | {"name": free(" ".join([*above, "numbers"]), "table")}}
        made.append(block)
    return made


def data_uri(path: Path) -> str:
    """A picture file as a data URI."""
    kind = {".png": "png", ".jpg": "jpeg"}[path.suffix]
    return f"data:image/{kind};base64,{base64.b64encode(path.read_bytes()).decode('ascii')}"


def as_markdown(blocks: list[dict], pictures: str) -> str:
    """The same blocks as Markdown. pictures: the folder of pictures, relative to the file."""
    return "\n\n".join(filter(None, (_markdown(block, pictures) for block in blocks))) + "\n"


def escape(text: object) -> str:
    """Text that Markdown, and the HTML in it, takes as it is."""
    safe = str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]|#!~$])", r"\\\1", " ".join(safe.split()))


def _markdown(block: dict, pictures: str) -> str:
    kind = block["kind"]
    if kind == "heading":
        return f"{'#' * block['level']} {escape(block['text'])}"
    if kind == "text":
        return escape(block["text"])
    if kind == "warning":
        return f"> **Note.** {escape(block['text'])}"
    if kind == "list":
        return "\n".join(f"- {escape(item)}" for item in block["items"])
    if kind == "cards":
        return "\n".join(f"- **{escape(card['title'])}: {escape(card['value'])}** {escape(card['detail'])}. "
                         f"{escape(card['text'])}" for card in block["cards"])
    if kind == "table":
        return _markdown_table(block)
    if kind == "plot":
        picture = _markdown({**block, "kind": "figure"}, pictures)
        return f"{picture}\n\n{_markdown_table(block['table'])}" if block["table"] else picture
    if kind == "figure":
        return f"![{escape(block['alt'])}]({pictures}/{block['file']})" + \
            (f"\n\n{escape(block['caption'])}" if block["caption"] else "")
    return _markdown_examples(block, pictures)


def _markdown_table(block: dict) -> str:
    places = range(len(block["columns"]))
    lines = ["| " + " | ".join(map(escape, block["columns"])) + " |",
             "|" + "".join("---:|" if column in block["numbers"] else "---|" for column in places)]
    if block["warning"]:
        lines.append(f"| **{escape(block['warning'])}** |" + " |" * (len(block["columns"]) - 1))
    for number, row in enumerate(block["rows"]):
        cells = [f"**{escape(cell)}**" if number in block["marked"] and cell else escape(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + (f"\n\n{escape(block['caption'])}" if block["caption"] else "")


def _markdown_examples(block: dict, pictures: str) -> str:
    parts = [f"**{escape(block['title'])}**"]
    for row in block["rows"]:
        images = " ".join(f"![frame]({pictures}/{name})" for name in row["pictures"])
        facts = "\n".join(f"- {escape(name)}: {escape(text)}" for name, text in row["facts"])
        parts.append("\n\n".join(filter(None, (images, facts))))
    return "\n\n".join(parts)
