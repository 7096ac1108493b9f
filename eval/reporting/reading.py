"""Results and rows of one or several systems, as the sections of a report take them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from affectgpt.eval.reporting import others, page
from affectgpt.eval.reporting.results import read_results
from affectgpt.eval.reporting.rows import Answers, Judge, main_streams, most_often, read_rows
from affectgpt.metrics.rows import read_targets
from affectgpt.metrics.sets import ROWS, EvaluationSet, set_of


@dataclass
class Options:
    """What a report is asked to show."""

    checkpoint: str | None = None
    question: str | None = None
    examples: int = 3
    media_root: Path | None = None
    targets: Path | None = None
    sets: dict[str, EvaluationSet] = field(default_factory=dict)
    names: list[str] = field(default_factory=list)
    also: list[str] = field(default_factory=list)


@dataclass
class SetReport:
    """One set of one system: its results, its rows, and which checkpoint is described; of the first system also the
    others on this set."""

    name: str
    system: str
    results: dict
    files: list[Path]
    answers: Answers
    judge: Judge
    described: str
    why: str
    streams: tuple[str, ...] | None
    entry: dict = field(default_factory=dict)
    others: list[SetReport] = field(default_factory=list)

    @property
    def rows(self) -> list:
        """Rows of the described checkpoint with the most streams, in the order of the file, that can be judged."""
        rows = self.answers.checkpoints[self.described][self.streams].values()
        return [row for row in rows if self.judge.usable(row)]


@dataclass
class System:
    """Results of one system: of several sets, with the summary of a benchmark or without."""

    summary: dict | None = None
    sets: dict[str, dict] = field(default_factory=dict)
    file: Path | None = None


def read_systems(paths: list[str]) -> list[System]:
    """Results in the order given; those of a set that an earlier system has are of the next system."""
    systems: list[System] = []
    for path in map(Path, paths):
        summary, found = read_results(path)
        system = next((one for one in systems if not one.sets.keys() & found.keys()), None)
        if system is None:
            systems.append(system := System(file=path))
        system.sets |= found
        system.summary = summary or system.summary
    return systems


def open_systems(systems: list[System], predictions: list[str], options: Options) -> list[SetReport]:
    """Sets of the first system, with the other systems on each.

    Raises:
        ValueError: a set without its predictions, other systems on none of the sets, names that are not as many.
    """
    opened = []
    for place, system in enumerate(systems):
        opened.append({})
        for name, values in system.sets.items():
            having = [one for one in systems if name in one.sets]
            turn = having.index(system) if len(having) > 1 else None
            files = predictions_of(name, values, predictions, len(system.sets), turn)
            opened[-1][name] = open_set(name, values, files, options, bool(place))
    first, *rest = opened
    if options.targets and len(first) > 1:
        raise ValueError(f"--targets: is of one set, and these are {', '.join(first)}; report on them one by one")
    for system in rest:
        if not system.keys() & first.keys():
            raise ValueError(f"{', '.join(system)}: the first system has no results of it")
    further = [key for key in options.also if key not in {entry.described for entry in first.values()}]
    names = system_names([next(iter(system.values())) for system in opened], [system.file for system in systems],
                         options.names)
    of = f"{names[0]}, " if rest or options.names else ""
    for name, entry in first.items():
        entry.system = f"{of}checkpoint {entry.described}" if further else names[0]
        for key in further:
            other = open_set(name, entry.results, entry.files, replace(options, checkpoint=key))
            other.system = f"{of}checkpoint {key}"
            entry.others.append(other)
        for system, other in zip(names[1:], (system.get(name) for system in rest), strict=True):
            if other is not None:
                other.system = system
                entry.others.append(other)
    return list(first.values())


def system_names(entries: list[SetReport], files: list[Path], given: list[str]) -> list[str]:
    """What the systems are called: as asked for, or else by the first of model, file, folder that tells them apart.

    Raises:
        ValueError: not one name a system, or the same name twice.
    """
    if given:
        if len(given) != len(entries) or len(set(given)) < len(given):
            raise ValueError(f"--names: give {len(entries)} different names, one a system, not {' '.join(given)}")
        return [page.clean(name, 60) for name in given]
    if len(entries) == 1:
        return ["this model"]
    short = [[page.clean(" and ".join(Path(model).name for model in entry.answers.models), 60) for entry in entries],
             [page.clean(" and ".join(entry.answers.models), 60) for entry in entries],
             [page.clean(file.name.removesuffix(".json").removesuffix(".results"), 60) for file in files],
             [page.clean(file.resolve().parent.name, 60) for file in files]]
    return next((names for names in short if all(names) and len(set(names)) == len(names)),
                [f"system {place + 1}" for place in range(len(entries))])


def predictions_of(name: str, results: dict, given: list[str], sets: int, turn: int | None = None) -> list[Path]:
    """Labelled files of a set: named as its results name them, or all that are given where there is one set.

    Args:
        sets: of this system.
        turn: where several systems have the set, the place of this one among them: it gets the files that its results
            name with their whole path, or else those of the entry of `given` whose turn it is.
    """
    recorded = [Path(file) for file in results.get("files", [])]
    names = [file.name for file in recorded]
    each = [[path for path in (
        [place / file for file in names if (place / file).is_file()]
        or [place / file for file in (f"{name}.labels.jsonl", f"{name}.jsonl") if (place / file).is_file()][:1]
        if place.is_dir() else [place] if sets == 1 or place.name in names else [])] for place in map(Path, given)]
    files = list(dict.fromkeys(path for found in each for path in found))
    if turn is not None:
        there = {path.resolve() for path in files}
        exact = bool(recorded) and all(file.resolve() in there for file in recorded)
        files = recorded if exact else each[turn] if turn < len(each) else []
    if not files:
        raise ValueError(f"--predictions: none of {', '.join(given)} is or holds {' or '.join(names) or name}, "
                         f"the predictions of {name}")
    return files


def open_set(name: str, results: dict, files: list[Path], options: Options, other: bool = False) -> SetReport:
    """Rows of a set, and the checkpoint to describe.

    Args:
        other: a further system; it need not have the checkpoint that is asked for.
    Raises:
        ValueError: a checkpoint that the rows do not have.
    """
    from affectgpt.words import lexicon

    rows = ROWS | options.sets
    judge = Judge(rows.get(name) or set_of(name, results["kind"]), lexicon.load())
    answers = read_rows(files, results["kind"], options.question,
                        read_targets(options.targets) if options.targets else None)
    sizes = {key: max(map(len, groups.values())) for key, groups in answers.checkpoints.items()}
    known = most_often(sizes)
    chosen = (results.get("chosen") or {}).get("checkpoint")
    if options.checkpoint is not None and (not other or options.checkpoint in sizes):
        described, why = options.checkpoint, "as asked for"
    elif chosen is not None:
        described = next((key for key in known if chosen == key or chosen.startswith(f"{key} ")), chosen)
        why = {"validation": "chosen by validation clips", "name": "as asked for",
               "test": "chosen by the very clips that it is scored on"}[results["chosen"]["by"]]
    else:
        described, why = known[-1], "the only one" if len(known) == 1 else "the last one, since none was chosen"
    if described not in answers.checkpoints:
        raise ValueError(f"{name}: no row has checkpoint {described}; there are {', '.join(sizes)}")
    groups = answers.checkpoints[described]
    entry = SetReport(name, "this model", results, files, answers, judge, described, why, main_streams(groups))
    entry.entry = results["checkpoints"][others.result_key(entry, described)]
    return entry
