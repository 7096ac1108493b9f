"""How well Chinese descriptions are read: their labels against labels that people gave the same clips.

    python studies/chinese_study.py ../shared/data/emer --wheels ../shared/data/wheels/mer2025

1. gt-chi.csv (`reasons`) against the states with which the same descriptions end in gt-eng.csv. Words and rules were
   made while looking at rows 1, 3, 5, ...; `held out` are the others. Beside it the English descriptions.
2. final-EMER-reason.csv, `chinese` and beside it `english`, against ovmerd-openset.csv; not used to make the Chinese
   rules or words.

Set scores over five wheels: our own lexicon with strict counting (F is the mean over clips), official tables with
published counting where --wheels names them; 95 % bootstrap over clips.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.extractors import chinese, reading
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.labelsets import Placer, set_columns
from affectgpt.metrics.stats import bootstrap, resample_counts
from affectgpt.metrics.wheels import load_tables
from affectgpt.words import lexicon

_STATES = re.compile(
    r"\b(?:emotional states?|felt|feeling|initially|he is|she is|appear|made (?:him|her)|expressed (?:his|her))"
    r"\b(?:\s+(?:is|was|were|are|of|one|quite|very|somewhat))*")
_REASON = re.compile(r"\.| because | after | about ")
_BETWEEN_STATES = re.compile(r",? and |, but later showed some |, ")


def main(arguments: list[str]) -> int:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(prog="python studies/chinese_study.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="gt-chi.csv, gt-eng.csv, final-EMER-reason.csv, ovmerd-openset.csv")
    parser.add_argument("--wheels", help="folder of the official tables")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    own = lexicon.load()
    placers = {f"{own.version}, strict": Placer(own, strict=True)}
    if options.wheels:
        placers["official, published"] = Placer(load_tables(options.wheels), strict=False)
    print("| texts | clips | table | precision | recall | F (95 %) |\n|---|---|---|---|---|---|")
    for name, targets, answers in (*first_edition(options.folder), *second_edition(options.folder)):
        for table, placer in placers.items():
            print(f"| {name} | {len(targets)} | {table} | {score(targets, answers, placer)} |")
    return 0


def score(targets: Sequence, answers: Sequence, placer: Placer) -> str:
    """Cells of precision, recall, and F with its interval, in percent."""
    columns = set_columns(targets, answers, placer)
    point, interval = columns.scores(), bootstrap(columns, resample_counts(len(targets)))
    name = "sample_f" if placer.strict else "f"
    low, high = interval[name]
    return " | ".join((f"{100 * point['precision']:.1f}", f"{100 * point['recall']:.1f}",
                       f"{100 * point[name]:.1f} ({100 * low:.1f} to {100 * high:.1f})"))


def first_edition(folder: Path) -> list[tuple[str, list, list]]:
    """(name, targets, answers) of the two halves of the first edition in Chinese, and of all of it in English."""
    texts, golds = read_rows(folder / "gt-chi.csv"), read_rows(folder / "gt-eng.csv")
    targets = [states_of(row["reasons"]) for row in golds]
    answers = [list(chinese.read(row["reasons"]).labels) for row in texts]
    if [row["names"] for row in texts] != [row["names"] for row in golds]:
        raise ValueError(f"{folder}: gt-chi.csv and gt-eng.csv are not of the same clips")
    english = [list(reading.read(row["reasons"], as_lists=False).labels) for row in golds]
    return [("EMER v1, looked at", targets[::2], answers[::2]), ("EMER v1, held out", targets[1::2], answers[1::2]),
            ("EMER v1, english", targets, english)]


def second_edition(folder: Path) -> list[tuple[str, list, list]]:
    """(name, targets, answers) of the second edition, in Chinese and in English."""
    labels = {row["name"]: parse_labels(row["openset"]) for row in read_rows(folder / "ovmerd-openset.csv")}
    rows = [row for row in read_rows(folder / "final-EMER-reason.csv") if row["name"] in labels]
    targets, found = [labels[row["name"]] for row in rows], []
    for language in ("chinese", "english"):
        started = time.perf_counter()
        answers = [list(reading.read(row[language], as_lists=False).labels) for row in rows]
        print(f"{language}: {1000 * (time.perf_counter() - started) / len(rows):.1f} ms a description", file=sys.stderr)
        found.append((f"EMER, {language}", targets, answers))
    return found


def states_of(reason: str) -> list[str]:
    """The states with which an English description ends.

    >>> states_of("He shouts. Therefore, it can be inferred that his emotional state is one of anger, and sadness.")
    ['anger', 'sadness']
    """
    stated = list(_STATES.finditer(reason))
    end = reason[stated[-1].end():] if stated else ""
    return [label for part in _BETWEEN_STATES.split(_REASON.split(end)[0]) if (label := part.strip())]


def read_rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file. ValueError where it cannot be read."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}: cannot be read as CSV ({error})") from error


if __name__ == "__main__":
    sys.exit(run_cli(main))
