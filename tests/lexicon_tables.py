"""Tables of docs/emotion_words.md, made anew: families, exceptions, and how many labels of real outputs are known.

`python tests/lexicon_tables.py` prints them; the coverage needs the folder of real data (see conftest.py).
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections import Counter, defaultdict
from pathlib import Path

from affectgpt.words.lexicon import FOLDER, WHEELS, load

ROOT = Path(__file__).resolve().parents[1]
SETS = ("mer2023", "iemocapfour", "cmumosi", "sims")
WORDS = {wheel: entry["words"] for wheel, entry in json.loads((FOLDER / "wheels.json").read_text("utf-8")).items()}


def places(wheel: str) -> dict[str, list[tuple[str, str | None]]]:
    """Word of a wheel -> its (root, level 2 word) places in the wheel's order; a root has no level 2 word."""
    found = defaultdict(list)
    for root, children in WORDS[wheel].items():
        found[root].append((root, None))
        for child, leaves in children.items():
            for word in (child, *leaves):
                found[word].append((root, child))
    return found


def split_labels(text: str) -> list[str]:
    """As the published scorer reads a label list."""
    return [label.strip().lower() for label in re.split(r"[,'\"]", text.strip().strip("[]")) if label.strip()]


def official_places(shared: Path, wheel: str) -> list[tuple[str, str]]:
    """(word, root) rows of a published wheel."""
    from openpyxl import load_workbook

    rows = load_workbook(shared / "wheels" / "mer2025" / f"{wheel}.xlsx").active.iter_rows(min_row=2, values_only=True)
    found, root = [], None
    for cells in rows:
        cells = [str(cell).strip().lower() if cell is not None else "" for cell in cells[:3]]
        root = cells[0] or root
        found += [(word, root) for word in (root, *cells[1:]) if word]
    return found


def official_synonyms(shared: Path) -> dict[str, set[str]]:
    """Word of the published synonym table of 2025 -> wheel words that it stands for."""
    from openpyxl import load_workbook

    header, *rows = load_workbook(shared / "wheels" / "mer2025" / "synonym.xlsx").active.iter_rows(values_only=True)
    synonyms = defaultdict(set)
    for row in rows:
        cells = dict(zip(header, row, strict=True))
        for run in range(1, 9):
            if cells[f"word_run{run}"] is not None:
                word = str(cells[f"word_run{run}"]).strip().lower()
                for synonym in (word, *split_labels(str(cells[f"synonym_run{run}"]))):
                    synonyms[synonym].add(word)
    return synonyms


def official_table(shared: Path):
    """Word, wheel -> root by the published tables of 2025: forms, synonyms, the first word in the alphabet."""
    folder = shared / "wheels" / "mer2025"
    forms, synonyms = defaultdict(set), official_synonyms(shared)
    with (folder / "format.csv").open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            for form in split_labels(row["format"]):
                forms[form].add(row["name"].strip().lower())
    roots = {wheel: dict(official_places(shared, wheel)) for wheel in WHEELS}

    def root(word: str, wheel: str) -> str | None:
        words = sorted({word for base in forms.get(word, ()) for word in synonyms.get(base, ())})
        return next((roots[wheel][word] for word in words if word in roots[wheel]), None)
    return root


def coverage(shared: Path) -> dict[str, dict]:
    """Set -> table -> wheel -> (share of labels, share of different labels) that have a root, in percent."""
    counts = {}
    for name in SETS:
        lines = (shared / "unibench" / f"{name}.jsonl").read_text("utf-8").splitlines()
        counts[name] = Counter(label for line in lines for label in split_labels(json.loads(line)["labels_raw"]))
    counts["all four"] = sum((counts[name] for name in SETS), Counter())
    with (shared / "emer" / "ovmerd-openset.csv").open(encoding="utf-8", newline="") as file:
        counts["OV-MERD"] = Counter(label for row in csv.DictReader(file) for label in split_labels(row["openset"]))
    tables = {"affectgpt-1": load().root, "mer2025": official_table(shared)}
    result = {}
    for name, labels in counts.items():
        result[name] = {"labels": labels.total(), "different": len(labels)}
        for table, root in tables.items():
            known = {wheel: [label for label in labels if root(label, wheel)] for wheel in WHEELS}
            result[name][table] = {wheel: (100 * sum(labels[label] for label in found) / labels.total(),
                                           100 * len(found) / len(labels)) for wheel, found in known.items()}
    return result


def unseen_words(shared: Path) -> str:
    """How many words of the published synonym table ours knows; ours was not made from that list."""
    words = official_synonyms(shared)
    known = sum(load().family(word) is not None for word in words)
    return f"{known:,} of the {len(words):,} words of the published synonym table ({100 * known / len(words):.1f} %)"


def coverage_table(shared: Path) -> str:
    lines = ["| labels of | labels, different | affectgpt-1, any wheel | mer2025, wheels 1 to 5 | mer2025, different |",
             "|---|---|---|---|---|"]
    for name, row in coverage(shared).items():
        ours, published = row["affectgpt-1"], row["mer2025"]
        shares = [", ".join(f"{published[wheel][kind]:.1f}" for wheel in WHEELS) for kind in (0, 1)]
        assert len(set(ours.values())) == 1  # a family has a root on every wheel
        lines.append(f"| {name} | {row['labels']:,}, {row['different']:,} | {ours['wheel1'][0]:.2f}, of different "
                     f"{ours['wheel1'][1]:.1f} | {shares[0]} | {shares[1]} |")
    return "\n".join(lines)


def family_table() -> str:
    lines = ["| family | polarity | denied | wheel 1 | wheel 2 | wheel 3 | wheel 4 | wheel 5 |", "|" + "---|" * 8]
    for family in load().families.values():
        roots = [" / ".join(dict.fromkeys(family.roots[wheel].values())) for wheel in WHEELS]
        lines.append(f"| {family.name} | {family.polarity} | {family.opposite or ''} | {' | '.join(roots)} |")
    return "\n".join(lines)


def exception_table() -> str:
    """Words of each wheel whose own root there is not that of their family."""
    lines = ["| wheel | the wheel's word: its root there (its family's root) |", "|---|---|"]
    for wheel in WHEELS:
        words = []
        for word in places(wheel):
            root, family = load().root(word, wheel), load().families[load().family(word)].roots[wheel]["level1"]
            words += [f"{word}: {root} ({family})"] if root != family else []
        lines.append(f"| {wheel[-1]} | {'; '.join(words)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    data = Path(os.environ.get("AFFECTGPT_SHARED_DATA") or ROOT.parent / "shared" / "data")
    measured = [coverage_table(data), unseen_words(data)] if data.is_dir() else []
    print("\n\n".join([family_table(), exception_table(), *measured]))
