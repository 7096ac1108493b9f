"""`affectgpt data`: which corpora can be read, what each is and how to get it, and what is there of one.

    affectgpt data list
    affectgpt data info meld --root /data/meld
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from typing import Any

from affectgpt.data.clip import Clip, absent_files, clip_labels
from affectgpt.data.corpora import Corpus, count_notes
from affectgpt.data.readers import READERS, Reader, check_unique, option_words, reader_of
from affectgpt.data.readers.places import elsewhere
from affectgpt.terminal import json_line, parse_intermixed, printable

LABELS = 20
"""Labels that are shown with their counts; of open ones there may be thousands."""


def main(arguments: list[str]) -> int:
    """Parse the command line and print a table or a record."""
    parser = argparse.ArgumentParser(
        prog="affectgpt data", description="Corpora that can be read: what they are, and what is there of them.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  affectgpt data list\n  affectgpt data info ravdess --root /data/ravdess")
    parser.add_argument("action", choices=("list", "info"), help="all corpora, or the record of one")
    parser.add_argument("name", nargs="?", help="of a corpus, as `affectgpt data list` shows it")
    parser.add_argument("options", nargs="*", metavar="key=value", help="options of its reader")
    parser.add_argument("--root", type=Path, help="folder of the corpus: its clips are read and counted")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    if options.action == "list":
        if options.name or options.root:
            raise ValueError("affectgpt data list takes no name and no --root; use affectgpt data info NAME --root DIR")
        print(json_line([_record(reader) for reader in READERS.values()]) if options.json else list_text())
        return 0
    if options.name is None:
        raise ValueError(f"affectgpt data info needs the name of a corpus: one of {', '.join(READERS)}")
    reader, found = reader_of(options.name, "affectgpt data info"), None
    if options.root is not None:
        values = reader.typed_options(option_words(options.options), "affectgpt data info")
        found = counted(reader.corpus, check_unique(reader.read(options.root, **values)))
    elif options.options:
        raise ValueError(f"{options.options[0]}: options of a reader need --root DIR to read")
    if options.json:
        print(json_line(_record(reader) | ({"root": str(options.root), "found": found} if found else {})))
    else:
        print(info_text(reader, options.root, found))
    return 0


def list_text() -> str:
    """A table of all corpora: name, official clips, kinds of question, title."""
    rows = [("name", "clips", "questions", "what")]
    for name, reader in READERS.items():
        record = reader.corpus
        rows.append((name, f"{sum(record.counts.values()):,}" if record.counts else "-",
                     ", ".join(record.kinds) or "-", record.title))
    widths = [max(len(row[place]) for row in rows) for place in range(3)]
    return "\n".join(f"{name:<{widths[0]}}  {clips:>{widths[1]}}  {kinds:<{widths[2]}}  {title}"
                     for name, clips, kinds, title in rows)


def info_text(reader: Reader, root: Path | None, found: dict | None) -> str:
    """The record of a corpus, and what was found of it, in lines."""
    record = reader.corpus
    options = [f"{name} ({_default(parameter)})" for name, parameter in reader.options.items()]
    splits = [f"{split} {count:,}" for split, count in record.counts.items()]
    lines = [
        ("corpus", record.name), ("title", record.title), ("licence", record.licence), ("access", record.access),
        ("languages", ", ".join(record.languages)), ("layout", record.layout), ("questions", ", ".join(record.kinds)),
        ("labels", ", ".join(record.labels) or "open"),
        ("valence", "{:g} to {:g}".format(*record.valence_range) if record.valence_range else ""),
        ("official", ", ".join(splits)), ("folds", str(record.folds or "")),
        ("evaluation", f"MER-UniBench scores its split {record.evaluation}" if record.evaluation else ""),
        ("options", ", ".join(options)),
    ]
    if found is not None:
        lines += [("root", str(root)), ("clips", f"{found['clips']:,}")]
        for split, part in found["splits"].items():
            labels = [f"{label} {count:,}" for label, count in list(part["labels"].items())[:LABELS]]
            more = len(part["labels"]) - LABELS
            text = f"{part['clips']:,} clips, {part['absent']:,} without their files"
            text += f", {part['faces']:,} with face crops" if part["faces"] else ""
            text += f"; {', '.join(labels) or 'no labels'}{f', and {more} more labels' if more > 0 else ''}"
            lines.append((f"  {split or '(none)'}", text))
        lines += [("note", note) for note in found["notes"]]
    return "\n".join(f"{name:<14}" + printable(text, keep="\n").replace("\n", "\n" + 14 * " ")
                     for name, text in lines if text)


def counted(record: Corpus, clips: list[Clip]) -> dict[str, Any]:
    """Clips of each split, how often each label is there, how many lack their media; where counts are not official."""
    splits: dict[str, dict[str, Any]] = {}
    for split in dict.fromkeys([*(name for name in record.counts), *(clip.split for clip in clips)]):
        part = [clip for clip in clips if clip.split == split]
        if part:
            labels = Counter(label for clip in part for label in clip_labels(clip))
            splits[split] = {"clips": len(part), "absent": sum(bool(absent_files(clip)) for clip in part),
                             "faces": sum(clip.face is not None for clip in part),
                             "labels": dict(labels.most_common())}
    return {"clips": len(clips), "splits": splits, "notes": count_notes(record, clips) + _media_notes(clips)}


def _media_notes(clips: list[Clip]) -> list[str]:
    """Where media were looked for, and where they may be, if none of them is there."""
    absent = [absent_files(clip) for clip in clips]
    if not clips or not all(absent):
        return []
    first = absent[0][0]
    return [f"none of the media is there; the first was looked for at {first}{elsewhere(first)}"]


def _record(reader: Reader) -> dict[str, Any]:
    options = {name: parameter.default if isinstance(parameter.default, str | int | float | None)
               else _default(parameter) for name, parameter in reader.options.items()}
    return vars(reader.corpus) | {"options": options}


def _default(parameter) -> str:
    return "needed" if parameter.default is parameter.empty else f"default {parameter.default}"
