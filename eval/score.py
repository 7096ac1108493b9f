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
from affectgpt.eval import choosing
from affectgpt.files import atomic_write_json
from affectgpt.metrics import made, stats
from affectgpt.metrics.benchmark import KIND, Scorer, percent
from affectgpt.metrics.rows import Predictions, read_predictions, read_targets
from affectgpt.metrics.sets import KINDS, ROWS, EvaluationSet, read_rows, set_of
from affectgpt.terminal import json_line


FEWER = 0.02
"""Share of clips without an answer from which published scores are warned of."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt score", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE",
                        help="labelled predictions; several files are several seeds")
    parser.add_argument("--set", required=True, dest="name", metavar="NAME", help=f"one of {', '.join(ROWS)}, or any "
                        "other name together with --kind")
    parser.add_argument("--kind", help=f"kind of a set of your own: {', '.join(KINDS)}")
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
    one = set_of(options.name, options.kind, known_sets(options.sets))
    tables = load_wheels(one.kind, options.wheels, options.strict_wheels, options.any_wheels, options.no_published)
    results = score(options.files, one, None, tables, options.targets, options.checkpoint, options.select_on,
                    options.select_on_test, options.against, options.against_checkpoint, options.resamples,
                    options.question, options.streams.split(",") if options.streams else None)
    for what in ("note", "warning"):
        for line in results[f"{what}s"]:
            print(f"{what}: {line}", file=sys.stderr)
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
    """Which sets, tables and how many resamples; the same for one set and for the whole benchmark."""
    parser.add_argument("--sets", metavar="FILE", help="rows of sets of your own, as affectgpt/metrics/sets.json has")
    parser.add_argument("--wheels", metavar="DIR",
                        help="folder of the official emotion wheels (default: the fetched ones of mer2025)")
    parser.add_argument("--strict-wheels", metavar="DIR",
                        help="official tables for the strict scores too (default: the project's own table)")
    parser.add_argument("--any-wheels", action="store_true", help="take wheels of no pinned version")
    parser.add_argument("--no-published", action="store_true", help="strict scores alone, where no official tables are")
    parser.add_argument("--resamples", type=int, default=stats.RESAMPLES, help="of the bootstrap (default: 1000)")


def known_sets(file: str | None) -> dict[str, EvaluationSet]:
    """Rows of the project's table and of the user's.

    Raises:
        ValueError: a file that is no such table, or has a set of the project's.
    """
    own = read_rows(file) if file else {}
    if taken := sorted(own.keys() & ROWS.keys()):
        raise ValueError(f"--sets {file}: {taken[0]} is a set of the project's own table; choose another name")
    return ROWS | own


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
    if not KIND[kind].wheels:
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


def score(files: list[str], name: str | EvaluationSet, kind: str | None, tables: dict, targets: str | None = None,
          checkpoint: str | None = None, select_on: str | None = None, select_on_test: bool = False,
          against: str | None = None, against_checkpoint: str | None = None,
          resamples: int = stats.RESAMPLES, question: str | None = None,
          streams: list[str] | None = None, keep: dict | None = None) -> dict:
    """Scores of every checkpoint in the files, as the results that are written.

    Args:
        name: of a set (with the kind of one that has no row), or its row.
        keep: is filled with (checkpoint, way of counting) -> the primary score in each resample.
    Raises:
        ValueError: files without usable rows, an unknown checkpoint, validation clips that are scored too, or systems
            that cannot be paired.
    """
    one = set_of(name, kind) if isinstance(name, str) else name
    known = read_targets(targets) if targets else None
    which = {"keep_responses": KIND[one.kind].answer == "response", "question": question, "streams": streams}
    found = read_predictions(files, known, **which)
    only(found, checkpoint)
    scorer = Scorer(one, tables)
    names = scorer.clips(found)
    scorer.count_answer_problems(found, names)
    scorer.draw(found, names, resamples)
    results = {
        "set": one.name, "title": one.title, "kind": one.kind, "metric": {mode: scorer.primary[mode] for mode in
                                                                         scorer.modes},
        "rows": found.rows, "n_clips": len(names), "files": [str(path) for path in files],
        "wheels": {mode: table.version for mode, table in tables.items()}, "resamples": resamples,
        "clusters": scorer.cluster_count(), "problems": {}, "notes": [], "warnings": [],
        "checkpoints": scorer.score(found, names),
    }
    for key, entry in results["checkpoints"].items():
        entry["made"] = made.made_of(found.checkpoints[key].values(), KIND[one.kind].answer)
        if one.kind == "description" and entry["made"]["judge"]:
            entry["published"]["metric"] = f"label overlap rated by {entry['made']['judge']}"
    results["warnings"] += made.differences({key: entry["made"] for key, entry in results["checkpoints"].items()})
    fewer = {key: len(names) - entry["n"] for key, entry in results["checkpoints"].items()
             if len(names) - entry["n"] > FEWER * len(names)}
    if fewer and "published" in scorer.modes:
        told = ", ".join(f"{key}: {count:,}" for key, count in list(fewer.items())[:6])
        results["warnings"].append(f"published scores leave clips without an answer out ({told} of {len(names):,}), so "
                                   "they are of fewer clips than others'; strict ones count them as wrong")
    if keep is not None:
        keep.update(scorer.samples)
    results["spread"] = {} if found.mixed else {mode: spread(results["checkpoints"], mode) for mode in scorer.modes}
    results["problems"] = found.problems.as_dict()
    notes = results["notes"]
    notes += found.problems.lines()
    if one.clips is not None and len(names) != one.clips:
        notes.append(f"{one.name} has {one.clips:,} clips in the published benchmark, and here {len(names):,} can "
                     "be scored")
    if results["clusters"]:
        notes.append(f"intervals draw {results['clusters']:,} {one.group_is or 'group'}s whole, since clips of one are "
                     "alike")
    mode = scorer.modes[0]
    results["chosen"] = choosing.choose(
        list(found.checkpoints), {key: entry[mode]["primary"] for key, entry in results["checkpoints"].items()}, mode,
        {one.name: files}, {one.name: Path(select_on)} if select_on else None, select_on_test,
        lambda _, path: score([str(path)], one, None, tables, question=question, streams=streams, resamples=10), notes)
    if select_on and results["chosen"]:
        results["chosen"].pop("validation_sets")
        results["chosen"]["file"] = str(select_on)
    if against:
        first = checkpoint or (results["chosen"] or {}).get("checkpoint")
        other = read_predictions([against], known or found.targets, **which)
        compared = compare(scorer, found, names, first, other, against_checkpoint)
        results["comparison"] = {"file": str(against), **compared}
        results["warnings"] += compared["warnings"]
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


def compare(scorer: Scorer, found: Predictions, names: list[str], first: str | None, other: Predictions,
            against_checkpoint: str | None) -> dict:
    """Paired differences, this system less the other one, in both ways of counting."""
    chosen = []
    for predictions, wanted, option in ((found, first, "--checkpoint"),
                                        (other, against_checkpoint or first, "--against-checkpoint")):
        keys = list(predictions.checkpoints)
        if wanted is None and len(keys) > 1 or wanted is not None and wanted not in keys and len(keys) > 1:
            raise ValueError(f"{option}: name one of {', '.join(keys)}")
        chosen.append(wanted if wanted in keys else keys[0])
    scorer.count_answer_problems(other, names)
    answer = KIND[scorer.kind].answer
    both = {f"{chosen[0]} here": made.made_of(found.checkpoints[chosen[0]].values(), answer),
            f"{chosen[1]} there": made.made_of(other.checkpoints[chosen[1]].values(), answer)}
    result: dict = {"checkpoint": chosen[0], "against": chosen[1], "problems": other.problems.as_dict(),
                    "made": list(both.values())[1], "warnings": made.differences(both)}
    for mode in scorer.modes:
        mine, theirs = (scorer.columns(predictions, key, names, mode)[""]
                        for predictions, key in ((found, chosen[0]), (other, chosen[1])))
        tested = stats.compare(theirs, mine, scorer.primary[mode], scorer.counts, scorer.units)
        result[mode] = {"difference": percent(tested["difference"]),
                        "interval": [percent(end) for end in tested["interval"]], "p": round(tested["p"], 6),
                        "floor": round(tested["floor"], 6)}
    return result


def as_table(results: dict) -> str:
    """Markdown table: one line a checkpoint, both ways of counting, and what must be known to read it."""
    modes = list(results["metric"])
    titles = [next(iter(results["checkpoints"].values()))[mode]["metric"] for mode in modes]
    lines = [f"{results['title']}: {results['n_clips']} clips, {results['rows']} rows; 95 % bootstrap intervals", "",
             "| checkpoint | clips | "
             + " | ".join(f"{mode}: {title}" for mode, title in zip(modes, titles, strict=True))
             + " |", "|---|---|" + "---|" * len(modes)]
    for key, entry in results["checkpoints"].items():
        lines.append(f"| {key} | {entry['n']} | {' | '.join(cell(entry[mode], scored=True) for mode in modes)} |")
    if len(results["checkpoints"]) > 1 and results["spread"]:
        cells = [f"{number(row['mean'])}, deviation {number(row['std'])}, {number(row['min'])} to "
                 f"{number(row['max'])}" for row in results["spread"].values()]
        lines.append(f"| mean of {len(results['checkpoints'])} | | {' | '.join(cells)} |")
    lines += made_lines(results["checkpoints"])
    lines += ["", *(f"WARNING: {text}" for text in results["warnings"])] if results["warnings"] else []
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
            p = stats.p_text(row[mode]["p"], row[mode]["floor"])
            lines.append(f"{row['checkpoint']} less {row['against']} of {row['file']}, {mode}: "
                         f"{number(row[mode]['difference'])} ({number(low)} to {number(high)}), "
                         f"p {p if p[0] == '<' else '= ' + p}")
    return "\n".join(lines)


def made_lines(checkpoints: dict) -> list[str]:
    """How the labels were made, once for all checkpoints where it is the same for all."""
    lines = {key: made.line(entry["made"]) for key, entry in checkpoints.items()}
    if len(set(lines.values())) == 1:
        return ["", next(iter(lines.values()))]
    return ["", *(f"{key}: {line}" for key, line in lines.items())]


def number(value: float | None) -> str:
    """Two decimals, or "none"."""
    return "none" if value is None else f"{value:.2f}"


def cell(entry: dict | None, scored: bool = False) -> str:
    """A score with its interval, and how many clips were scored."""
    if not entry or entry["primary"] is None:
        return "none"
    low, high = entry["interval"]
    count = f", n = {entry['scored']}" if scored else ""
    return f"{number(entry['primary'])} ({number(low)} to {number(high)}){count}" if low is not None else \
        number(entry["primary"]) + count


if __name__ == "__main__":
    sys.exit(run_cli(main))
