"""How sentences are read that are made to trip an extractor: another's emotion, suppositions, the past, idioms, ...

    python studies/sentence_study.py
    python studies/sentence_study.py --wrong

The sentences and their labels are our own (tests/adversarial_sentences.jsonl), so a score is an upper bound for text of
others. Rules were made while looking at the half `seen`; nothing was made on `unseen`. A score is the mean over
sentences of the strict F over five wheels, 0 where a refusal is taken for an answer or an answer for a refusal.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.extractors import reading
from affectgpt.metrics.labelsets import Placer, set_columns
from affectgpt.words import lexicon

SENTENCES = Path(__file__).resolve().parent.parent / "tests" / "adversarial_sentences.jsonl"


def main(arguments: list[str]) -> int:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(prog="python studies/sentence_study.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wrong", action="store_true", help="also print what is not read wholly right")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    rows = read_sentences()
    scores = dict(zip(map(id, rows), score(rows), strict=True))
    halves = ("unseen", "seen")
    titles = " | ".join(f"{half}, sentences | F" for half in halves)
    print(f"| kind | {titles} |\n|---|{'---|---|' * len(halves)}")
    for kind in [*dict.fromkeys(row["kind"] for row in rows), "all"]:
        cells = []
        for half in halves:
            part = [scores[id(row)] for row in rows if row["half"] == half and kind in (row["kind"], "all")]
            cells += [str(len(part)), f"{100 * sum(part) / len(part):.1f}" if part else ""]
        print(f"| {kind} | {' | '.join(cells)} |")
    for row in rows if options.wrong else ():
        if scores[id(row)] < 1:
            print(f"{row['half']} {row['kind']}: {row['text']!r} is {row['labels']}, read as {labels_of(row['text'])}")
    return 0


def read_sentences(path: Path = SENTENCES) -> list[dict]:
    """Rows of "half", "kind", "text", "labels", and "no_answer" where the text is a refusal."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def labels_of(text: str) -> list[str] | None:
    """Labels of a text; None where it is no answer."""
    read = reading.read(text)
    return None if read.no_answer else list(read.labels)


def score(rows: Sequence[dict]) -> list[float]:
    """Strict F of each row, 0 to 1."""
    placer, found = Placer(lexicon.load(), strict=True), []
    for row in rows:
        said = labels_of(row["text"])
        right_kind = (said is None) == ("no_answer" in row)
        found.append(float(set_columns([row["labels"]], [said or []], placer).scores()["f"]) if right_kind else 0.0)
    return found


if __name__ == "__main__":
    sys.exit(run_cli(main))
