"""The sets that systems are judged on, as data: each is a row of sets.json, and a set of your own is a row too.

A row says what a set is called (`name`, `title`), of which `kind` its task is, how many `clips` are scored, by which
`protocol` and `metric`, from which `source`, under which `licence`, and how its `files` must lie. Where known it has
the `corpus` of the catalogue, the closed `labels` with their other spellings, the `tasks` with their options, and the
`group`: a pattern whose first group takes from a clip's name what it shares with others (`group_is`: video, dialogue or
speaker), so that intervals draw whole groups.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path

TABLE = Path(__file__).with_name("sets.json")
BENCHMARK = "MER-UniBench"

KINDS = ("basic", "sentiment", "openset", "description", "class", "synonyms", "choice", "yes_no", "preference")
"""Kinds of task: an emotion word; a valence; a list of labels; a description; one of a closed set of classes; lists
whose synonyms an LLM grouped; one of several options; yes or no; which of two descriptions."""


@dataclass(frozen=True)
class EvaluationSet:
    """One row; `docs/judging.md` says what each field means.

    `labels` is class -> its other spellings, `tasks` is task -> options (None where each question names its own),
    `primary` is way of counting -> the score that stands for the set, where it is not that of the kind.
    """

    name: str
    title: str
    kind: str
    clips: int | None = None
    protocol: str = ""
    metric: str = ""
    source: str = ""
    licence: str = ""
    files: str = ""
    benchmark: str = ""
    corpus: str = ""
    labels: dict[str, list[str]] = field(default_factory=dict)
    tasks: dict[str, list[str] | None] = field(default_factory=dict)
    primary: dict[str, str] = field(default_factory=dict)
    group: str = ""
    group_is: str = ""
    judged: bool = False
    unread_left_out: bool = False
    submission: str = ""

    def group_of(self, name: str) -> str | None:
        """What a clip of this name shares with others; None where the row or the name does not say."""
        found = _pattern(self.group).match(name) if self.group else None
        return found.group(1) if found else None


@functools.cache
def _pattern(text: str) -> re.Pattern[str]:
    return re.compile(text)


def read_rows(path: str | Path) -> dict[str, EvaluationSet]:
    """Rows of a file like sets.json by their names, in its order.

    Raises:
        ValueError: no such file, no list of objects, or a row with an unknown field, without a field that it needs, of
            an unknown kind, with a pattern that is none, or with a name that came before.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path}: cannot be read as a list of sets ({error})") from error
    if not isinstance(values, list) or not all(isinstance(row, dict) for row in values):
        raise ValueError(f"{path}: is no list of objects, each of which is a set")
    found: dict[str, EvaluationSet] = {}
    for number, row in enumerate(values, start=1):
        where = f"{path}: set {number}"
        unknown = sorted(row.keys() - _TYPES.keys())
        if unknown:
            raise ValueError(f"{where}: has no field {unknown[0]!r}; there are {', '.join(_TYPES)}")
        wrong = [key for key, value in row.items() if value is not None and not _TYPES[key](value)]
        if wrong:
            raise ValueError(f"{where}: {wrong[0]} is {row[wrong[0]]!r}, which is of another type than it must be")
        name = row.get("name") or ""
        if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,60}", name) or name in found or not row.get("title"):
            raise ValueError(f"{where}: needs a title and a name of its own of small letters, digits, '-', '_' and '.'")
        if row.get("kind") not in KINDS:
            raise ValueError(f"{where} ({name}): kind is {row.get('kind')!r}; use one of {', '.join(KINDS)}")
        if row["kind"] in ("class", "preference") and len(row.get("labels") or ()) < 2:
            raise ValueError(f"{where} ({name}): a set of kind {row['kind']} needs labels, a closed set of two or more")
        try:
            if row.get("group") and not re.compile(row["group"]).groups:
                raise ValueError(f"{where} ({name}): the pattern {row['group']!r} has no group ( )")
        except re.error as error:
            raise ValueError(f"{where} ({name}): {row['group']!r} is no pattern ({error})") from error
        found[name] = EvaluationSet(**{key: value for key, value in row.items() if value is not None})
    return found


def _is(*types: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _lists(value: object) -> bool:
    return isinstance(value, dict) and all(words is None or isinstance(words, list) and
                                           all(isinstance(word, str) for word in words) for words in value.values())


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


_TYPES: dict[str, Callable[[object], bool]] = {
    **{part.name: _is(str) for part in fields(EvaluationSet)}, "clips": _is(int), "judged": _is(bool),
    "unread_left_out": _is(bool),
    "labels": _lists, "tasks": _lists, "primary": _texts}


ROWS = read_rows(TABLE)
"""Every known set by its name."""

SETS = {name: row for name, row in ROWS.items() if row.benchmark == BENCHMARK}
"""The nine sets of MER-UniBench, in the order of the published table."""


def row_of(one: EvaluationSet | str) -> EvaluationSet:
    """A row, or one made for a kind alone."""
    return EvaluationSet(one, one, one) if isinstance(one, str) else one


def set_of(name: str, kind: str | None = None, rows: dict[str, EvaluationSet] = ROWS) -> EvaluationSet:
    """The row of a set, or one made for a corpus of another name.

    Raises:
        ValueError: a set that no row has, without a kind; a kind that is none or not the row's.
    """
    if kind is not None and kind not in KINDS:
        raise ValueError(f"--kind {kind}: use one of {', '.join(KINDS)}")
    row = rows.get(name) or rows.get(name.lower())
    if row is not None:
        if kind in (None, row.kind):
            return row
        if row.benchmark or kind in ("class", "preference"):
            raise ValueError(f"--kind {kind}: {row.name} is a set of kind {row.kind}")
        return EvaluationSet(row.name, row.title, kind, group=row.group, group_is=row.group_is)  # its other targets
    if kind is None:
        raise ValueError(f"--set {name}: is none of {', '.join(rows)}; for another corpus also give --kind "
                         f"({', '.join(KINDS)}), or a row of its own with --sets FILE")
    if kind in ("class", "preference"):
        raise ValueError(f"--kind {kind}: its closed set of labels must be said by a row: write one like those of "
                         "affectgpt/metrics/sets.json and name its file with --sets")
    return EvaluationSet(name, name, kind)
