"""What readers share: rows of a corpus's own tables, and lists written as Python literals."""

from __future__ import annotations

import ast
import io
import re
import textwrap
import tokenize
import zipfile
from collections.abc import Iterator
from pathlib import Path

from affectgpt.data.readers.places import elsewhere
from affectgpt.data.readers.tables import csv_rows, dialect_of, read_text

_WORKBOOK = b"PK\x03\x04"
LARGEST_WORKBOOK = 1 << 30
"""Bytes that an unpacked workbook may have: more is a mistake or an attack."""
_NOT_THERE = frozenset({"nan", "<na>", "#n/a"})
"""What pandas and Excel write where there is no value; no cell of words is one of them."""
_NO_LABEL = _NOT_THERE | {"none", "null", "na", "n/a"}
_QUOTES = "'\"\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u00b4`"
_BESIDE = re.compile("['\"]\\s*['\"]")
_SEPARATORS = re.compile("[,;|\uff0c\uff1b\u3001]")
_LOST_NAME = re.compile(r"#NAME\?|[0-9](\.[0-9]+)?E\+[0-9]+")
"""What Excel makes of a name that begins with "-" or "=", and of one of many digits."""


def read_csv(path: Path, required: tuple[str, ...], optional: tuple[str, ...] = (),
             fallback: str | None = None) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield ("file:line", row) of a table with a header; cells without blanks around them, "" where empty.

    A byte order mark, CRLF, semicolons or tabs, quoting as Excel does it, UTF-16 and a nameless index column are normal
    input, and so is a workbook (first sheet), under the table's own name or with .xlsx instead of .csv. "nan" is an
    empty cell. Rows without any cell are left out; a row that is short has "" for what it lacks.

    Args:
        required, optional: columns that are known; capital letters do not matter in them.
        fallback: as `tables.read_text` has it.
    Raises:
        ValueError: no such file, no such column or one that is there twice, a row with more cells than the header, or
            what is no table.
    """
    known = {name.lower(): name for name in (*required, *optional)}
    header, rows = None, 0
    for number, cells in read_cells(path, fallback, f"it needs the columns {', '.join(required)}"):
        where = f"{path}:{number}"
        if header is None:
            header = [known.get(cell.strip("\ufeff\u200b").lower(), cell) for cell in cells]
            for column in known.values():
                if column and header.count(column) > 1:
                    raise ValueError(f"{where}: column {column!r} is there twice; keep one")
            for column in required:
                if column not in header:
                    raise ValueError(f"{path}: has no column {column!r}; it has {', '.join(filter(None, header))}")
        elif len(cells) > len(header) and any(cells[len(header):]):
            raise ValueError(f"{where}: has {len(cells)} cells, and the header {len(header)}; quote cells that hold "
                             "the separator")
        else:
            cells = cells[:len(header)] + [""] * (len(header) - len(cells))
            rows += 1
            yield where, dict(zip(header, cells, strict=True))
    if header is not None and not rows:
        raise ValueError(f"{path}: has a header and no rows; get it whole")
    if header is None:
        raise ValueError(f"{path}: is empty; it needs the columns {', '.join(required)}")


def read_cells(path: Path, fallback: str | None, needs: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of a table with or without a header; as `read_csv`.

    needs: what the file must hold, for the error where it is not there.
    """
    workbook = path.with_suffix(".xlsx")
    if path.is_file():
        with open(path, "rb") as file:
            workbook = path if file.read(4) == _WORKBOOK else None
    elif not workbook.is_file():
        raise ValueError(f"{path}: no such file; {needs}{elsewhere(path)}")
    if workbook is not None:
        rows = _sheet(workbook)
    else:
        text, delimiter, skipped = dialect_of(read_text(path, fallback))
        rows = csv_rows(path, text, delimiter, skipped)
    for number, cells in rows:
        cells = ["" if cell.lower() in _NOT_THERE else cell for cell in cells]
        if any(cells):
            yield number, cells


def _sheet(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (row, cells) of the first sheet of a workbook."""
    import openpyxl

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > LARGEST_WORKBOOK:
                raise ValueError(f"{path}: is too large for a workbook; save it as CSV in UTF-8")
        data = io.BytesIO(path.read_bytes())  # openpyxl asks a file by name for its ending
        book = openpyxl.load_workbook(data, read_only=True, data_only=True)
        for number, row in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
            yield number, [_written(value) for value in row]
    except (zipfile.BadZipFile, KeyError, OSError, IndexError) as error:
        raise ValueError(f"{path}: cannot be read as a workbook ({error}); save it as CSV in UTF-8") from error


def _written(value: object) -> str:
    """A cell of a workbook as a text table has it: whole numbers without a point."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "" if value is None else str(value).strip()


def is_blank(cell: str) -> bool:
    """Whether a cell of labels or numbers holds none: empty, or what programs write for it ("nan", "None", "null")."""
    return not cell.strip() or cell.strip().lower() in _NO_LABEL


def check_name(name: str, where: str) -> None:
    """Raise ValueError for a name that Excel has made something else of."""
    if _LOST_NAME.fullmatch(name):
        raise ValueError(f"{where}: name {name!r} is what Excel makes of a name that begins with a minus sign or has "
                         "many digits; take the table as it was before Excel saved it")


def literal_list(cell: str, where: str) -> tuple[str, ...]:
    """A list written as a Python literal, or words between commas; without empty words and repetitions.

    >>> literal_list("['happy', ' at ease']", "x"), literal_list("sad, tired", "x"), literal_list("nan", "x")
    (('happy', 'at ease'), ('sad', 'tired'), ())

    Lists in lists are taken as one, and numpy's form without commas (['a' 'b']) as a list.

    Raises:
        ValueError: brackets that hold no list of words.
    """
    cell = cell.strip()
    words = None
    if cell[:1] in ("[", "(", "{"):
        try:
            words = _words(ast.parse(_with_commas(cell), mode="eval").body)
        except (SyntaxError, ValueError, MemoryError, RecursionError, tokenize.TokenError):  # [happy, sad]
            cell = ",".join(word.strip().strip(_QUOTES) for word in _SEPARATORS.split(cell.strip("[](){}")))
        except TypeError:
            raise ValueError(f"{where}: {cell[:60]!r} is no list of words") from None
    if words is None:
        words = [_bare(word) for word in _SEPARATORS.split(cell)]
    return tuple(dict.fromkeys(word for word in (word.strip() for word in words) if not is_blank(word)))


def _words(node: ast.expr) -> list[str]:
    """Words of a list, of lists in it too. Raises TypeError for what is neither, SyntaxError for bare words."""
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return [word for part in node.elts for word in _words(part)]
    if isinstance(node, ast.Constant) and (isinstance(node.value, str) or node.value is None):
        return [node.value or ""]
    if isinstance(node, ast.Constant | ast.UnaryOp | ast.Dict):
        raise TypeError
    raise SyntaxError


def _with_commas(cell: str) -> str:
    """The literal with a comma between strings that stand beside each other, which Python would make one of."""
    if not _BESIDE.search(cell):
        return cell
    parts, before = [], None
    for token in tokenize.generate_tokens(io.StringIO(cell).readline):
        if token.type == tokenize.STRING and before == tokenize.STRING:
            parts.append(",")
        if token.type != tokenize.NL:
            before = token.type
        parts.append(token.string)
    return " ".join(parts)


def _bare(word: str) -> str:
    word = word.strip()
    return word[1:-1] if len(word) > 1 and word[0] in _QUOTES and word[-1] in _QUOTES else word


def layout_of(doc: str | None) -> str:
    """The files of a corpus from its module's docstring: what is indented there."""
    return textwrap.dedent("\n".join(line for line in (doc or "").splitlines() if line.startswith("    "))).strip()
