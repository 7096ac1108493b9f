"""Scores and predictions -> a page to look at, and the same as Markdown. No model, no GPU, no network.

    affectgpt report answers.labels.results.json --predictions answers.labels.jsonl
    affectgpt report unibench/unibench.json --predictions labelled/ --output unibench/report.html
    affectgpt report results.json --predictions labelled.jsonl --checkpoint 60 --media-root /data/meld

RESULTS are results.json files of `affectgpt score` or a unibench.json. --predictions are the labelled files they were
made of, or their folder. The page holds its pictures, so it can be sent as one file. Frames of clips are shown where
the rows name media below --media-root.
"""

from __future__ import annotations

import argparse
import hashlib
import platform
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt import __version__
from affectgpt.errors import run_cli
from affectgpt.eval.reporting import others, page, sections
from affectgpt.eval.reporting.rows import Answers, Judge, main_streams, read_rows
from affectgpt.eval.unibench_scores import read_summary
from affectgpt.files import atomic_folder, atomic_write_text, is_done


@dataclass
class Options:
    """What a report is asked to show."""

    checkpoint: str | None = None
    question: str | None = None
    examples: int = 3
    media_root: Path | None = None


@dataclass
class SetReport:
    """One set: its results, its rows, and which checkpoint is described."""

    name: str
    results: dict
    files: list[Path]
    answers: Answers
    judge: Judge
    described: str
    why: str
    streams: tuple[str, ...] | None
    entry: dict = field(default_factory=dict)

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
        None if options.no_frames else Path(options.media_root)), ["affectgpt", "report", *arguments])
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
    summary, found = read_results(results)
    sets = [open_set(name, values, predictions_of(name, values, predictions, len(found)), options)
            for name, values in found.items()]
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
        for entry in sets:
            blocks += sections.set_sections(entry, folder, options, len(sets) > 1)
        blocks += how_made(sets, results, command)
        html, markdown = page.as_html(title, blocks, folder), page.as_markdown(blocks, pictures.name)
    atomic_write_text(output, html)
    atomic_write_text(output.with_suffix(".md"), markdown)


def read_results(paths: list[str]) -> tuple[dict | None, dict[str, dict]]:
    """(the summary of a benchmark or None, set -> its results)."""
    summary, found = None, {}
    for path in map(Path, paths):
        values = read_summary(path)
        if "benchmark" in values:
            summary = values
            named = {name: path.parent / f"{name}.results.json" for name in [*values["sets"], *values["extra"]]}
        else:
            named = {str(values.get("set")): path}
        for name, place in named.items():
            if name in found:
                raise ValueError(f"{path}: has results of {name}, which came before")
            found[name] = read_summary(place)
            if found[name].get("kind") not in sections.MEANING_OF_KIND:
                raise ValueError(f"{place}: names no kind of set that is known; score it again with `affectgpt score`")
    return summary, found


def predictions_of(name: str, results: dict, given: list[str], sets: int) -> list[Path]:
    """Labelled files of a set: named as its results name them, or all that are given where there is one set."""
    names = [Path(file).name for file in results.get("files", [])]
    files = [path for place in map(Path, given) for path in (
        [place / file for file in names if (place / file).is_file()]
        or [place / file for file in (f"{name}.labels.jsonl", f"{name}.jsonl") if (place / file).is_file()][:1]
        if place.is_dir() else [place] if sets == 1 or place.name in names else [])]
    if not files:
        raise ValueError(f"--predictions: none of {', '.join(given)} is or holds {' or '.join(names) or name}, "
                         f"the predictions of {name}")
    return files


def open_set(name: str, results: dict, files: list[Path], options: Options) -> SetReport:
    """Rows of a set, and the checkpoint to describe.

    Raises:
        ValueError: a checkpoint that the rows do not have.
    """
    from affectgpt.words import lexicon

    judge = Judge(results["kind"], lexicon.load())
    answers = read_rows(files, results["kind"], list(results["checkpoints"]), options.question)
    known = list(answers.checkpoints)
    chosen = (results.get("chosen") or {}).get("checkpoint")
    if options.checkpoint is not None:
        described, why = options.checkpoint, "as asked for"
    elif chosen is not None:
        described = next((key for key in known if chosen == key or chosen.startswith(f"{key} ")), chosen)
        why = {"validation": "chosen by validation clips", "name": "as asked for",
               "test": "chosen by the very clips that it is scored on"}[results["chosen"]["by"]]
    else:
        described, why = known[-1], "the only one" if len(known) == 1 else "the last one, since none was chosen"
    if described not in answers.checkpoints:
        raise ValueError(f"{name}: no row has checkpoint {described}; there are {', '.join(known)}")
    groups = answers.checkpoints[described]
    entry = SetReport(name, results, files, answers, judge, described, why, main_streams(groups))
    entry.entry = results["checkpoints"][sections.result_key(entry, described)]
    return entry


def how_made(sets: list[SetReport], results: list[str], command: list[str]) -> list[dict]:
    """What someone needs to make the page again."""
    import shlex

    import numpy

    files = [*(path for entry in sets for path in entry.files), *map(Path, results)]
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
