"""Scores and predictions -> a page to look at, and the same as Markdown. No model, no GPU, no network.

    affectgpt report answers.labels.results.json --predictions answers.labels.jsonl
    affectgpt report unibench/unibench.json --predictions labelled/ --output unibench/report.html
    affectgpt report results.json --predictions labelled.jsonl --checkpoint 60 --media-root /data/meld
    affectgpt report ours.results.json theirs.results.json --predictions ours.jsonl theirs.jsonl --names ours theirs
    affectgpt report results.json --predictions labelled.jsonl --checkpoint 60 --also 30

RESULTS are results.json files of `affectgpt score` or a unibench.json. --predictions are the labelled files they were
made of, or their folder. Results of a set that came before are of a further system: systems of one set stand side by
side, paired by clip. The page holds its pictures, so it can be sent as one file. Frames of clips are shown where the
rows name media below --media-root.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt import __version__
from affectgpt.errors import run_cli
from affectgpt.eval.reporting import others, over_sets, page, sections
from affectgpt.eval.reporting.rows import Answers, Judge, main_streams, most_often, read_rows
from affectgpt.eval.unibench_scores import read_summary
from affectgpt.files import atomic_folder, atomic_write_text, is_done


@dataclass
class Options:
    """What a report is asked to show."""

    checkpoint: str | None = None
    question: str | None = None
    examples: int = 3
    media_root: Path | None = None
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
        return [row for row in rows if self.judge.usable(row.target)]


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt report", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", nargs="+", metavar="RESULTS", help="results.json files, or a unibench.json")
    parser.add_argument("--predictions", nargs="+", required=True, metavar="FILE",
                        help="labelled files, or their folder")
    parser.add_argument("--output", default="report.html", help="the page; Markdown and pictures go beside it "
                        "(default: report.html)")
    parser.add_argument("--checkpoint", help="describe this one (default: the chosen one, else the last)")
    parser.add_argument("--also", nargs="+", default=[], metavar="CHECKPOINT",
                        help="show these checkpoints of the first system as further systems beside it")
    parser.add_argument("--names", nargs="+", default=[], metavar="NAME", help="what to call the systems, in the order "
                        "of RESULTS (default: what their models or files are called)")
    parser.add_argument("--question", help="describe answers to this question, where rows answer several")
    parser.add_argument("--examples", type=int, default=3, help="clips of each kind to show (default: 3)")
    parser.add_argument("--media-root", default=".", metavar="DIR", help="show frames of clips below this folder "
                        "(default: where you are)")
    parser.add_argument("--no-frames", action="store_true", help="show no frames, so that no face is in the page")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    if options.examples < 0:
        raise ValueError(f"--examples is {options.examples}: use 0 or more")
    output = Path(options.output)
    if output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"--output {output}: name a .html file")
    report(options.results, options.predictions, output, Options(
        options.checkpoint, options.question, options.examples,
        None if options.no_frames else Path(options.media_root), options.names, options.also),
        ["affectgpt", "report", *arguments])
    print(f"page:     {output}\nmarkdown: {output.with_suffix('.md')} (pictures in {picture_folder(output)})\n"
          f"next:     open {output} in a browser")
    return 0


def picture_folder(output: Path) -> Path:
    """Where the pictures of the Markdown file lie."""
    return output.with_name(f"{output.stem}_pictures")


def report(results: list[str], predictions: list[str], output: Path, options: Options, command: list[str]) -> None:
    """Write the page, the Markdown file and the pictures.

    Raises:
        ValueError: results that cannot be read, or a set without its predictions.
    """
    systems = read_systems(results)
    sets = open_systems(systems, predictions, options)
    summary = systems[0].summary
    title = ("MER-UniBench report" if summary
             else f"Report on {', '.join(others.title_of(entry.name) for entry in sets)}")
    pictures = picture_folder(output)
    if pictures.exists() and not is_done(pictures):
        raise ValueError(f"{pictures}: is not a folder of an earlier report, and pictures are to be written there; "
                         "choose another --output")
    with atomic_folder(pictures, overwrite=True) as folder:
        blocks = [page.heading(1, title)]
        if summary:
            blocks += others.overview(summary, sets, folder)
        if len(sets) > 1:
            blocks += over_sets.side_by_side(sets, folder)
        for entry in sets:
            blocks += sections.set_sections(entry, folder, options, len(sets) > 1)
        blocks += how_made(sets, results, command)
        html, markdown = page.as_html(title, blocks, folder), page.as_markdown(blocks, pictures.name)
    atomic_write_text(output, html)
    atomic_write_text(output.with_suffix(".md"), markdown)


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
        values = read_summary(path)
        if "benchmark" in values:
            named = {name: path.parent / f"{name}.results.json" for name in [*values["sets"], *values["extra"]]}
        else:
            named = {str(values.get("set")): path}
        found = {name: read_summary(place) for name, place in named.items()}
        for name, place in named.items():
            if found[name].get("kind") not in sections.MEANING_OF_KIND:
                raise ValueError(f"{place}: names no kind of set that is known; score it again with `affectgpt score`")
        system = next((one for one in systems if not one.sets.keys() & found.keys()), None)
        if system is None:
            systems.append(system := System(file=path))
        system.sets |= found
        system.summary = values if "benchmark" in values else system.summary
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

    judge = Judge(results["kind"], lexicon.load())
    answers = read_rows(files, results["kind"], list(results["checkpoints"]), options.question)
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


def how_made(sets: list[SetReport], results: list[str], command: list[str]) -> list[dict]:
    """What someone needs to make the page again."""
    import shlex

    import numpy

    files = [*(path for entry in sets for one in (entry, *entry.others) for path in one.files), *map(Path, results)]
    rows = [[path.name, f"{path.stat().st_size:,}", hashlib.sha256(path.read_bytes()).hexdigest()]
            for path in dict.fromkeys(files)]
    wheels = {mode: version for entry in sets for mode, version in entry.results.get("wheels", {}).items()}
    return [page.heading(2, "How this was made", "made"),
            page.table(["what", "value"], [
                ["command", page.clean(shlex.join(command), 500)],
                ["date", datetime.now(UTC).isoformat(timespec="minutes")],
                ["affectgpt", __version__], ["python, numpy", f"{platform.python_version()}, {numpy.__version__}"],
                ["emotion wheels",
                 ", ".join(f"{mode}: {version}" for mode, version in wheels.items()) or "not needed"]],
                numbers=set()),
            page.table(["file", "bytes", "SHA-256"], [[page.clean(cell) for cell in row] for row in rows], numbers={1})]


if __name__ == "__main__":
    sys.exit(run_cli(main))
