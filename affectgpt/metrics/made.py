"""How the labels of a system were made, on record: who extracted them, of which answers, and who judged.

Extractors move scores by more than the gaps in printed tables, so systems whose labels were made in different ways
stand side by side only with a warning.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from affectgpt.metrics.rows import Prediction

NOT_SAID = "not said"
APART = 0.05
"""Share of rows from which two systems' extractors count as different."""
_RATES = {"refusals": "refusal", "empty": "empty", "skipped": "skipped", "unread": "unread"}


def made_of(rows: Iterable[Prediction], answer: str) -> dict[str, Any]:
    """{"rows", "extractors": {name: share}, "sources", "questions", "languages", "refusals", "empty", "skipped",
    "unread", "cut_off", "judge"} of a checkpoint's rows.

    Shares of extractors and sources are of the rows that are labelled (that have `answer`), the others of all; a
    refused answer is none that somebody labelled. judge is a name, several joined by ", ", or None.
    """
    rows = list(rows)
    facts = [row.facts for row in rows if row.facts]
    plain = len(rows) - len(facts)
    place = Prediction._fields.index(answer)
    labelled = [row.facts for row in rows if row[place] is not None and row.facts and row.no_answer is None]
    silent = sum(row[place] is not None for row in rows if not row.facts) if plain else 0
    reasons = Counter(row.no_answer for row in rows if row.no_answer is not None) if facts else {}
    judges = dict.fromkeys(known["rated_by"] for known in facts if isinstance(known.get("rated_by"), str))
    return {"rows": len(rows),
            "extractors": _shares((known.get("extractor") or known.get("labels_from") for known in labelled), silent),
            "sources": _shares((known.get("labels_from") for known in labelled), silent),
            "questions": _shares((known.get("question") for known in facts), plain),
            "languages": _shares((known.get("language") for known in facts), plain),
            **{name: _share(reasons.get(reason, 0), len(rows)) for name, reason in _RATES.items()},
            "cut_off": _share(sum(known.get("cut_off") is True for known in facts), len(rows)),
            "judge": ", ".join(judges) or None}


def _share(count: int, total: int) -> float:
    return round(count / total, 4) if total else 0.0


def _shares(values: Iterable[Any], silent: int) -> dict[str, float]:
    """Value -> its share, the greatest first; what is no text, and `silent` further ones, are not said."""
    counts = Counter(value if isinstance(value, str) and value else NOT_SAID for value in values)
    counts[NOT_SAID] += silent
    counts = +counts
    return {name: _share(count, counts.total()) for name, count in counts.most_common()}


def differences(systems: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Warnings about systems (name -> `made_of`) that do not stand side by side fairly, and about mixed ones."""
    warnings = []
    for key, what in (("extractors", "labels of these rows were made by different extractors, which moves scores by "
                                     "points"),
                      ("questions", "these rows answer different questions")):
        known = {name: made[key] for name, made in systems.items() if made.get(key)}
        first = next(iter(known.values()), {})
        if any(_apart(first, other) > APART for other in known.values()):
            groups: dict[str, list[str]] = {}
            for name, shares in known.items():
                groups.setdefault(_told(shares), []).append(name)
            told = "; ".join(f"{_names(names)}: {shares}" for shares, names in groups.items())
            warnings.append(f"{what}, so their scores do not compare: {told}")
    judges: dict[str, list[str]] = {}
    for name, made in systems.items():
        if made.get("judge"):
            judges.setdefault(made["judge"], []).append(name)
    mixed = [name for judge, names in judges.items() if ", " in judge for name in names]
    if mixed:
        warnings.append(f"ratings of {_names(mixed)} are of several judges, so that their mean says nothing")
    if len(judges) > 1:
        told = "; ".join(f"{_names(names)}: {judge}" for judge, names in judges.items())
        warnings.append(f"ratings of these rows are of different judges, so they do not compare: {told}")
    return warnings


def _apart(one: Mapping[str, float], other: Mapping[str, float]) -> float:
    """Total variation of two tables of shares, 0 to 1."""
    return sum(abs(one.get(name, 0.0) - other.get(name, 0.0)) for name in {*one, *other}) / 2


def _told(shares: Mapping[str, float]) -> str:
    return ", ".join(name if share > 0.9995 else f"{name} {100 * share:.0f} %" for name, share in shares.items())


def _names(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def line(made: Mapping[str, Any]) -> str:
    """In a line, how a system's labels were made."""
    parts = [f"labels made by: {_told(made['extractors'])}" if made["extractors"] else "",
             f"asked: {_told(made['questions'])}" if set(made["questions"]) - {NOT_SAID} else "",
             f"language: {_told(made['languages'])}" if set(made["languages"]) - {NOT_SAID} else "",
             *(f"{name.replace('_', ' ')}: {100 * made[name]:.1f} %" for name in (*_RATES, "cut_off") if made[name]),
             f"judge: {made['judge']}" if made["judge"] else ""]
    return "; ".join(filter(None, parts))
