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
from datetime import UTC, datetime
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt import __version__
from affectgpt.errors import run_cli
from affectgpt.eval.reporting import others, over_sets, page, sections
from affectgpt.eval.reporting.reading import Options, SetReport, open_systems, read_systems
from affectgpt.metrics.sets import read_rows as read_sets
from affectgpt.files import atomic_folder, atomic_write_text, is_done


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
    parser.add_argument("--targets", metavar="FILE", help="the targets that the scores were made with, where the rows "
                        "have none")
    parser.add_argument("--sets", metavar="FILE", help="rows of sets of your own, as `affectgpt score` has them")
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
        None if options.no_frames else Path(options.media_root), Path(options.targets) if options.targets else None,
        read_sets(options.sets) if options.sets else {}, options.names, options.also),
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
             else f"Report on {', '.join(others.title_of(entry.name, entry.results) for entry in sets)}")
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
