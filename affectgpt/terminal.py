"""What goes to the screen and comes from the command line: names of any bytes and encoding, and with a `-` first."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import unicodedata
from typing import Any


def make_output_safe() -> None:
    """From now on no character ends a print: what stdout or stderr cannot encode is written as an escape."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, ValueError):  # a stream of a test or a notebook
            stream.reconfigure(errors="backslashreplace")


def printable(text: str, keep: str = "") -> str:
    """`text` with everything that a terminal would act on, or that is no character, as an escape.

    Bytes that are not UTF-8 (Python keeps them in names as lone surrogates) become \\xe9, a line break \\n, an escape
    character \\x1b, marks that turn the direction of writing \\u202e. Characters of `keep` stay.
    """
    if text.isprintable():
        return text
    return "".join(character if character in keep or not _acts(character) else _escape(character) for character in text)


_TURNING = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


def _acts(character: str) -> bool:
    # Of the invisible format characters some belong to a script (joiners), others turn the writing round.
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _TURNING


def _escape(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def json_line(values: Any) -> str:
    """`values` as one line of JSON that stdout can take: escapes are JSON's own, so that any name is read back."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "").replace("_", "")
    text = json.dumps(values, ensure_ascii=False, allow_nan=False)
    whole = encoding == "utf8" and not any("\ud800" <= character <= "\udfff" for character in text)
    return text if whole else json.dumps(values, allow_nan=False)


def parse_intermixed(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """`parser.parse_intermixed_args`, with a bare `--` after which everything is a file, also `-name.mp4`.

    argparse itself loses what follows a `--` when options and files may alternate.
    """
    if "--" in arguments:
        end = arguments.index("--")
        files = [f"./{name}" if name.startswith("-") else name for name in arguments[end + 1:]]
        arguments = arguments[:end] + files
    return parser.parse_intermixed_args(arguments)


def check_text(option: str, text: str | None) -> None:
    """Raise ValueError where an option's text holds bytes that are no UTF-8."""
    if text is not None and any("\ud800" <= character <= "\udfff" for character in text):
        raise ValueError(f"{option}: {printable(text)!r} is not UTF-8 text; save or type it as UTF-8")
