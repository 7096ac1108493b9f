"""Predictions with labels (JSON Lines) -> scores: no GPU, no LLM, nothing but the rows and the emotion wheels.

    affectgpt score labelled.jsonl --set mer2023 --wheels wheels/mer2025
    affectgpt score labelled.jsonl --set sims --json
    affectgpt score test.jsonl --set meld --select-on validation.jsonl
    affectgpt score mine.jsonl --set iemocapfour --against theirs.jsonl --checkpoint 60
    affectgpt score seed1.jsonl seed2.jsonl seed3.jsonl --set my_corpus --kind basic

Every score comes in two ways of counting, side by side: "published" (to the digit what the official code of
MER-UniBench gives, its quirks included) and "strict" (neutral counted, over-generation punished, nothing dropped).
Every checkpoint in the file is scored; none is called best unless a validation file says so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.errors import run_cli
from affectgpt.files import atomic_write_json
from affectgpt.metrics import stats
from affectgpt.metrics.benchmark import PRIMARY, SETS, Scorer, percent
from affectgpt.metrics.rows import Predictions, read_predictions, read_targets
from affectgpt.metrics.sets import set_of
from affectgpt.terminal import json_line


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt score", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="labelled predictions; several files are several seeds")
    parser.add_argument("--set", required=True, dest="name", metavar="NAME", help=f"one of {', '.join(SETS)}, or any "
                        "other name together with --kind")
    parser.add_argument("--kind", help="basic, sentiment, openset or description: kind of a set of your own")
    parser.add_argument("--targets", metavar="FILE", help="JSON Lines or CSV with the name and target of every clip of "
                        "the set; then missing and unknown names are known")
    parser.add_argument("--checkpoint", help="score this one alone")
    parser.add_argument("--question", help="score answers to this question alone (labels, description, ...)")
    parser.add_argument("--streams", help="score answers from exactly these streams, for example audio,face,text")
    parser.add_argument("--select-on", metavar="FILE",
                        help="choose the checkpoint by the strict score of these labelled predictions of validation "
                             "clips")
    parser.add_argument("--select-on-test", action="store_true",
                        help="choose the checkpoint by the very clips that are scored, as the published table did: an "
                             "optimistic number")
    parser.add_argument("--against", metavar="FILE", help="labelled predictions of another system, for a paired test")
    parser.add_argument("--against-checkpoint", metavar="NAME", help="its checkpoint (default: --checkpoint)")
    parser.add_argument("--output",
                        help="where to write results (default: FILE with .results.json; with --json nothing)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    add_counting_options(parser)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    check_resamples(options.resamples)
    if options.select_on and options.select_on_test:
        raise ValueError("--select-on and --select-on-test: choose by validation clips or by the test clips, "
                         "not by both")
    row = set_of(options.name, options.kind)
    options.name, kind = row.name, row.kind
    tables = load_wheels(kind, options.wheels, options.strict_wheels, options.any_wheels, options.no_published)
    results = score(options.files, options.name, kind, tables, options.targets, options.checkpoint, options.select_on,
                    options.select_on_test, options.against, options.against_checkpoint, options.resamples,
                    options.question, options.streams.split(",") if options.streams else None)
    for line in results["notes"]:
        print(f"note: {line}", file=sys.stderr)
    output = Path(options.output) if options.output else None
    if output is None and not options.json:
        output = Path(options.files[0]).with_suffix(".results.json")
    if output:
        try:
            atomic_write_json(output, results)
        except OSError as error:
            raise ValueError(f"{output}: cannot be written ({error.strerror}); say where with --output") from error
    if options.json:
        print(json_line(results))
    else:
        print(as_table(results))
        print(f"\nresults: {output}\nnext:    affectgpt report {output} --predictions {options.files[0]}")
    return 0


def add_counting_options(parser: argparse.ArgumentParser) -> None:
    """Which tables and how many resamples; the same for one set and for the whole benchmark."""
    parser.add_argument("--wheels", metavar="DIR",
                        help="folder of the official emotion wheels (default: the fetched ones of mer2025)")
    parser.add_argument("--strict-wheels", metavar="DIR",
                        help="official tables for the strict scores too (default: the project's own table)")
    parser.add_argument("--any-wheels", action="store_true", help="take wheels of no pinned version")
    parser.add_argument("--no-published", action="store_true", help="strict scores alone, where no official tables are")
    parser.add_argument("--resamples", type=int, default=stats.RESAMPLES, help="of the bootstrap (default: 1000)")


def check_resamples(resamples: int) -> None:
    """Raise ValueError for too few to tell an interval."""
    if resamples < 10:
        raise ValueError(f"--resamples is {resamples}: use 10 or more")


def load_wheels(kind: str, folder: str | None = None, strict_folder: str | None = None, any_version: bool = False,
                no_published: bool = False) -> dict:
    """Way of counting -> tables; empty for sets that need none.

    Raises:
        ValueError: the official tables are not there.
    """
    if kind not in ("basic", "openset"):
        return {}
    from affectgpt.metrics.wheels import load_tables
    from affectgpt.words import lexicon

    tables: dict = {}
    if not no_published:
        tables["published"] = load_tables(folder or fetched_wheels(), any_version)
    tables["strict"] = load_tables(strict_folder, any_version) if strict_folder else lexicon.load()
    return tables


def fetched_wheels(version: str = "mer2025") -> Path:
    """Folder of the tables that `affectgpt wheels fetch` made.

    Raises:
        ValueError: they were not fetched.
    """
    from affectgpt.eval.wheels import wheels_folder

    folder = wheels_folder(version)
    if not folder.is_dir():
        raise ValueError("published scores need the official emotion wheels: get them once with `affectgpt wheels "
                         "fetch`, name their folder with --wheels DIR, or leave those scores out with --no-published")
    return folder


def score(files: list[str], name: str, kind: str, tables: dict, targets: str | None = None,
          checkpoint: str | None = None, select_on: str | None = None, select_on_test: bool = False,
          against: str | None = None, against_checkpoint: str | None = None,
          resamples: int = stats.RESAMPLES, question: str | None = None,
          streams: list[str] | None = None, keep: dict | None = None) -> dict:
    """Scores of every checkpoint in the files, as the results that are written.

    Args:
        keep: is filled with (checkpoint, way of counting) -> columns of the primary score, for further resampling.
    Raises:
        ValueError: files without usable rows, an unknown checkpoint, or systems that cannot be paired.
    """
    known = read_targets(targets) if targets else None
    which = {"keep_responses": kind == "description", "question": question, "streams": streams}
    found = read_predictions(files, known, **which)
    only(found, checkpoint)
    scorer = Scorer(kind, tables)
    names = scorer.clips(found)
    scorer.count_answer_problems(found, names)
    counts = stats.resample_counts(len(names), resamples)
    results = {
        "set": name, "kind": kind, "metric": {mode: PRIMARY[kind, mode] for mode in scorer.modes}, "rows": found.rows,
        "n_clips": len(names), "files": [str(path) for path in files],
        "wheels": {mode: table.version for mode, table in tables.items()}, "resamples": resamples,
        "problems": {}, "notes": [],
        "checkpoints": {key: scorer.score(found, key, names, counts) for key in found.checkpoints},
    }
    if keep is not None:
        keep.update(scorer.made)
    results["spread"] = {} if found.mixed else {mode: spread(results["checkpoints"], mode) for mode in scorer.modes}
    results["problems"] = found.problems.as_dict()
    notes = results["notes"]
    notes += found.problems.lines()
    if name in SETS and len(names) != SETS[name].clips:
        notes.append(f"{name} has {SETS[name].clips:,} clips in the published benchmark, and here {len(names):,} can "
                     "be scored")
    results["chosen"] = choose(results, kind, tables, select_on, select_on_test, question, streams)
    if against:
        first = checkpoint or (results["chosen"] or {}).get("checkpoint")
        other = read_predictions([against], known or found.targets, **which)
        results["comparison"] = {"file": str(against),
                                 **compare(scorer, found, names, first, other, against_checkpoint, counts)}
    return results


def only(found: Predictions, checkpoint: str | None) -> None:
    """Forget the other checkpoints, where one is asked for."""
    if checkpoint is None:
        return
    if checkpoint not in found.checkpoints:
        raise ValueError(f"--checkpoint {checkpoint}: the rows have {', '.join(found.checkpoints)}")
    found.checkpoints = {checkpoint: found.checkpoints[checkpoint]}


def spread(checkpoints: dict, mode: str) -> dict:
    """Mean, deviation, least and greatest primary score over checkpoints."""
    scores = [entry[mode]["primary"] for entry in checkpoints.values() if entry[mode]["primary"] is not None]
    return {key: value if key == "runs" else percent(value / 100) for key, value in stats.spread(scores).items()}


def choose(results: dict, kind: str, tables: dict, select_on: str | None, select_on_test: bool, question: str | None,
           streams: list[str] | None) -> dict | None:
    """The checkpoint with the greatest strict score on validation clips, or, where asked for, on the test clips."""
    checkpoints = results["checkpoints"]
    if select_on:
        judged = score([select_on], results["set"], kind, tables, question=question, streams=streams)["checkpoints"]
        common = [key for key in checkpoints if key in judged and judged[key]["strict"]["primary"] is not None]
        if not common:
            raise ValueError(f"{select_on}: has none of the checkpoints {', '.join(checkpoints)}")
        best = max(common, key=lambda key: judged[key]["strict"]["primary"])
        return {"checkpoint": best, "by": "validation", "file": str(select_on), "candidates": len(common),
                "validation": judged[best]["strict"]["primary"]}
    if select_on_test:
        mode = "published" if "published" in results["metric"] else "strict"
        scored = [key for key in checkpoints if checkpoints[key][mode]["primary"] is not None]
        if not scored:
            raise ValueError("--select-on-test: no checkpoint has a score")
        best = max(scored, key=lambda key: checkpoints[key][mode]["primary"])
        results["notes"].append(f"--select-on-test: the best of {len(scored)} checkpoints was chosen by the {mode} "
                                "score of the very clips that it is scored on, as in the published table. Such a "
                                "number is too high; do not compare it with one that validation clips chose")
        return {"checkpoint": best, "by": "test", "file": None, "candidates": len(scored)}
    return None


def compare(scorer: Scorer, found: Predictions, names: list[str], first: str | None, other: Predictions,
            against_checkpoint: str | None, counts) -> dict:
    """Paired differences, this system less the other one, in both ways of counting."""
    chosen = []
    for predictions, wanted, option in ((found, first, "--checkpoint"),
                                        (other, against_checkpoint or first, "--against-checkpoint")):
        keys = list(predictions.checkpoints)
        if wanted is None and len(keys) > 1 or wanted is not None and wanted not in keys and len(keys) > 1:
            raise ValueError(f"{option}: name one of {', '.join(keys)}")
        chosen.append(wanted if wanted in keys else keys[0])
    scorer.count_answer_problems(other, names)
    result: dict = {"checkpoint": chosen[0], "against": chosen[1], "problems": other.problems.as_dict()}
    for mode in scorer.modes:
        mine, theirs = (scorer.columns(predictions, key, names, mode)[""]
                        for predictions, key in ((found, chosen[0]), (other, chosen[1])))
        tested = stats.compare(theirs, mine, PRIMARY[scorer.kind, mode], counts)
        result[mode] = {"difference": percent(tested["difference"]),
                        "interval": [percent(end) for end in tested["interval"]], "p": round(tested["p"], 6)}
    return result


def as_table(results: dict) -> str:
    """Markdown table: one line a checkpoint, both ways of counting."""
    modes = list(results["metric"])
    titles = [next(iter(results["checkpoints"].values()))[mode]["metric"] for mode in modes]
    name = SETS[results["set"]].title if results["set"] in SETS else results["set"]
    lines = [f"{name}: {results['n_clips']} clips, {results['rows']} rows; 95 % bootstrap intervals", "",
             "| checkpoint | clips | "
             + " | ".join(f"{mode}: {title}" for mode, title in zip(modes, titles, strict=True))
             + " |", "|---|---|" + "---|" * len(modes)]
    for key, entry in results["checkpoints"].items():
        cells = [_cell(entry[mode]) for mode in modes]
        lines.append(f"| {key} | {entry['n']} | {' | '.join(cells)} |")
    if len(results["checkpoints"]) > 1 and results["spread"]:
        cells = [f"{_number(row['mean'])}, deviation {_number(row['std'])}, {_number(row['min'])} to "
                 f"{_number(row['max'])}" for row in results["spread"].values()]
        lines.append(f"| mean of {len(results['checkpoints'])} | | {' | '.join(cells)} |")
    if results["chosen"]:
        chosen = results["chosen"]
        lines += ["", f"Chosen by {chosen['by']} scores of {chosen['candidates']} checkpoints: {chosen['checkpoint']}."]
    elif len(results["checkpoints"]) > 1 and results["spread"]:
        lines += ["", "No checkpoint is chosen: give --select-on with predictions of validation clips."]
    if "comparison" in results:
        row = results["comparison"]
        lines.append("")
        for mode in modes:
            low, high = row[mode]["interval"]
            lines.append(f"{row['checkpoint']} less {row['against']} of {row['file']}, {mode}: "
                         f"{_number(row[mode]['difference'])} ({_number(low)} to {_number(high)}), "
                         f"p = {row[mode]['p']:.3g}")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.2f}"


def _cell(entry: dict) -> str:
    low, high = entry["interval"]
    return f"{_number(entry['primary'])} ({_number(low)} to {_number(high)}), n = {entry['scored']}"


if __name__ == "__main__":
    sys.exit(run_cli(main))
