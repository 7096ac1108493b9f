"""Fetches the official emotion-wheel tables and says what they are.

    affectgpt wheels fetch               mer2025, the tables that the published numbers were made with
    affectgpt wheels fetch mer2026
    affectgpt wheels info DIR
    affectgpt wheels map joyful "under pressure" warm --wheels DIR

The tables belong to their authors (MERTools, for non-commercial research) and are never part of this project: they come
from their repository at a fixed commit, and a file whose SHA-256 is not the expected one is refused.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
import urllib.error
import urllib.request
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.files import atomic_folder
from affectgpt.metrics.wheels import PINS, SOURCES, WHEELS, load_tables

LARGEST_FILE = 10_000_000
"""Bytes that a table may have; the largest has about 100 kB."""


def wheels_folder(version: str) -> Path:
    """Where fetched tables lie."""
    from affectgpt.hub import cache_root

    return cache_root() / "wheels" / version


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt wheels", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    get = commands.add_parser("fetch", help="download the tables of a version")
    get.add_argument("version", nargs="?", default="mer2025", choices=tuple(PINS))
    get.add_argument("--from", dest="source", metavar="URL_OR_FOLDER", help="another place that has the same files")
    tell = commands.add_parser("info", help="say which version a folder holds")
    tell.add_argument("folder")
    place = commands.add_parser("map",
                                help="show where words are placed, by the official and by the project's own table")
    place.add_argument("words", nargs="+")
    place.add_argument("--wheels", help="folder of official tables (default: the fetched ones of mer2025)")
    for command in (get, tell, place):
        command.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.command == "fetch":
        folder = fetch(options.version, options.source)
        print(f"wheels: {folder}\nnext:   affectgpt score labelled.jsonl --set mer2023 --wheels {folder}")
    elif options.command == "info":
        tables = load_tables(options.folder)
        print(f"{tables.version}: {len(tables.forms):,} surface forms, {len(tables.synonyms):,} base words, "
              f"{len(set().union(*(tables.wheels[wheel]['level1'] for wheel in WHEELS))):,} words on {len(WHEELS)} "
              "wheels")
    else:
        show(options.words, options.wheels)
    return 0


def fetch(version: str, source: str | None = None) -> Path:
    """Download, check and keep the tables of a version; returns their folder. Fetched tables are not fetched again.

    Args:
        source: a folder, or a URL that file names are put behind; the repository of the authors where None.
    Raises:
        ValueError: a file cannot be had, or is not the pinned one.
    """
    folder = wheels_folder(version)
    if folder.is_dir():
        load_tables(folder)  # says what is wrong with it
        return folder
    place = source or SOURCES[version]
    with atomic_folder(folder) as temporary:
        for name, pin in PINS[version].items():
            content = _content(place, name)
            found = hashlib.sha256(content).hexdigest()
            if found != pin:
                raise ValueError(f"{name} from {place} is not the file of {version} (SHA-256 {found}, expected {pin})")
            (temporary / name).write_bytes(content)
            print(f"{name}: {len(content):,} bytes", file=sys.stderr)
    return folder


def _content(place: str, name: str) -> bytes:
    try:
        if "://" not in place:
            return (Path(place) / name).read_bytes()
        if not place.startswith("https://"):
            raise ValueError(f"--from {place}: only https:// and folders are read")
        with urllib.request.urlopen(os.path.join(place, name), timeout=60) as answer:
            content = answer.read(LARGEST_FILE + 1)
    except (OSError, urllib.error.URLError) as error:
        raise ValueError(f"{name} could not be had from {place} ({error}); where there is no network, copy the folder "
                         "emotion_wheel of MERTools here and name it with --from") from error
    if len(content) > LARGEST_FILE:
        raise ValueError(f"{name} from {place} has more than {LARGEST_FILE:,} bytes, so it is no table")
    return content


def show(words: list[str], folder: str | None) -> None:
    """A table of words and their roots on the five wheels, official and own."""
    from affectgpt.eval.score import fetched_wheels
    from affectgpt.words import lexicon

    tables = [load_tables(folder or fetched_wheels()), lexicon.load()]
    width = max(len(word) for word in words) + 2
    for word in words:
        for table in tables:
            roots = [table.root(word.strip().lower(), wheel) or "-" for wheel in WHEELS]
            print(f"{word:<{width}}{table.version:<14}" + "".join(f"{root:<12}" for root in roots))


if __name__ == "__main__":
    sys.exit(run_cli(main))
