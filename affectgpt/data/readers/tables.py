"""Rows of a manifest as people keep them: JSON Lines, one JSON array, or a CSV table with a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from affectgpt.data.readers.manifest_keys import number, of_type
from affectgpt.files import parse_object, read_jsonl, unique_json

FIELD_LIMIT = 1 << 24
"""Characters of one cell: descriptions may be longer than what Python's csv module takes by itself, 131,072."""
csv.field_size_limit(FIELD_LIMIT)

_NO_TEXT = (
    (b"PK\x03\x04", "is an Excel workbook or another zip archive under the name of a text; save it as CSV in UTF-8"),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook (.xls); save it as CSV in UTF-8"),
    (b"version https://git-lfs.github.com", "is a pointer of Git LFS and not the file itself; fetch it with "
                                            "`git lfs pull`"),
    (b"<!doctype html", "is a web page and not the file itself; download it again, signed in where that is asked for"),
    (b"<html", "is a web page and not the file itself; download it again, signed in where that is asked for"),
)
"""How a file begins that is no table -> what it is and what to do."""

LISTS, PAIRS, OBJECTS, NUMBERS = ("labels",), ("turns",), of_type("object"), of_type("number", "integer")
"""Columns of a CSV table whose cells are more than text."""


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (row number from 1, row) of a manifest.

    A file named .csv or .tsv is a table: a header, then cells between commas, semicolons or tabs, quoted as Excel does;
    empty cells are not there, labels are separated by commas, semicolons or bars, or a list in brackets; `evidence`,
    `cues`, `votes` and `preference` are JSON objects, `turns` is a JSON array. Any other file is one JSON array of
    objects where it begins with a bracket, else JSON Lines.
    The number is that of the line, in an array that of the object.

    Raises:
        ValueError: what is neither; the message starts with file:row.
    """
    if path.suffix.lower() in (".csv", ".tsv"):
        return _read_table(path)
    with open(path, "rb") as file:
        start = file.read(4096).removeprefix(b"\xef\xbb\xbf").lstrip()[:1]
    return _read_array(path) if start == b"[" else read_jsonl(path)


def read_text(path: Path, fallback: str | None = None) -> str:
    """A file as text, by its byte order mark or as UTF-8.

    fallback: encoding of what is not UTF-8, of a corpus that is known to come so.

    Raises:
        ValueError: what is neither, a workbook, a web page, or a pointer of Git LFS; says what to do.
    """
    data = path.read_bytes()
    begin = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for start, what in _NO_TEXT:
        if begin.startswith(start.lower()):
            raise ValueError(f"{path}: {what}")
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if fallback is not None and encoding == "utf-8-sig":
            try:
                return data.decode(fallback)
            except UnicodeDecodeError:
                pass  # the error of UTF-8 says where
        row = data[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{row}: is not UTF-8 text; save the file as UTF-8") from error


def dialect_of(text: str) -> tuple[str, str, int]:
    """(text, separator of its cells, lines left out before it): a first line "sep=;" as Excel writes it, or the mark
    of comma, semicolon and tab that stands most often in the header."""
    said = re.match(r"sep=(.)\r?\n", text)
    return (text[said.end():], said.group(1), 1) if said else (text, _delimiter_of(text), 0)


def csv_rows(path: Path, text: str, delimiter: str, skipped: int = 0) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells without blanks around them) of a text in CSV; rows without any cell are left out.

    skipped: lines of the file before the text.

    Raises:
        ValueError: what is not CSV; the message starts with file:line.
    """
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1 + skipped
        try:
            cells = next(reader, None)
        except csv.Error as error:
            raise ValueError(f"{path}:{number}: is not CSV ({error})") from error
        if cells is None:
            return
        cells = [cell.strip() for cell in cells]
        if any(cells):
            yield number, cells


def _read_array(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    values = unique_json(read_text(path), str(path), "the file must be one JSON array of objects, or one object a line")
    for number, value in enumerate(values, start=1):
        if not isinstance(value, dict):
            raise ValueError(f"{path}:{number}: is {type(value).__name__}, and each row must be a JSON object")
        yield number, value


def _read_table(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    text, delimiter, skipped = dialect_of(read_text(path))
    header: list[str] | None = None
    for number, cells in csv_rows(path, text, delimiter, skipped):
        if header is None:
            header = _header(cells, f"{path}:{number}")
        elif len(cells) != len(header):
            raise ValueError(f"{path}:{number}: has {len(cells)} cells, and the header {len(header)}; quote cells that "
                             f"hold {delimiter!r}")
        else:
            yield number, {name: _value(name, cell, delimiter, f"{path}:{number}")
                           for name, cell in zip(header, cells, strict=True) if name and cell}


def _delimiter_of(text: str) -> str:
    """The mark that stands most often in the header, outside of quotes."""
    header = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    return max(",;\t", key=header.count)


def _header(cells: list[str], where: str) -> list[str]:
    for name in cells:
        if name and cells.count(name) > 1:
            raise ValueError(f"{where}: column {name!r} is there twice; keep one")
    return cells  # a column without a name is what pandas writes of its index


def _value(name: str, cell: str, delimiter: str, where: str) -> Any:
    if name in NUMBERS:
        try:
            return number(cell.replace(",", ".") if delimiter == ";" else cell)
        except ValueError:
            return cell  # the manifest says what it must be
    if name in PAIRS:
        return unique_json(cell, f"{where}: {name}", "write a JSON array of [question, answer]")
    if name in OBJECTS:
        return parse_object(cell, f"{where}: {name}")
    if name in LISTS:
        listed = cell[1:-1] if cell[:1] + cell[-1:] == "[]" else cell
        words = (word.strip().strip("\"'").strip() for word in re.split(r"[,;|]", listed))
        return [word for word in words if word]
    return cell
