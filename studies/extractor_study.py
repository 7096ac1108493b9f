"""How good each label extractor is, and whether it treats all styles alike.

    python studies/extractor_study.py ../shared/data
    python studies/extractor_study.py ../shared/data --fit --llm hf:starter:smollm2-135m-instruct --output study.json

1. Rivals: answers of other models (rivals/MODEL.MODE.jsonl: name, response, labels_llm). By how much does their
   published F move when our rules read them instead of the published extractor (an LLM)? By how much do the published
   model's own answers move (unibench/*.jsonl)?
2. Descriptions: labels of human-checked descriptions (emer/final-EMER-reason.csv) against human-checked labels of the
   same clips (emer/ovmerd-openset.csv), and the worth of each rule.
3. --fit: the weights, tried on one half.

Halves are by clip: the rules and their weights were made on clips whose name has an even SHA-256 (`fitted`); `held out`
are the others. Set-level precision, recall and F over five wheels, official tables with published counting and our own
lexicon with strict counting, 95 % bootstrap over clips.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from description_study import (
    ABLATIONS,
    answers_table,
    as_table,
    is_held_out,
    published_answers,
    read_descriptions,
    study,
)

from affectgpt.errors import run_cli
from affectgpt.extractors import reading
from affectgpt.extractors.rules import NO_RULES, RuleExtractor, Rules
from affectgpt.files import atomic_write_json, read_jsonl
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.labelsets import Placer, set_columns
from affectgpt.metrics.rows import read_targets
from affectgpt.metrics.stats import compare, p_text, resample_counts
from affectgpt.metrics.wheels import load_tables
from affectgpt.words import lexicon

FIT_KEEP, FIT_CONCLUSION = (0.2, 0.25, 0.3, 0.35, 0.4), (2.0, 3.0, 4.0, 6.0)
HALVES = {"fitted": False, "held out": True}


def main(arguments: list[str]) -> int:
    """Parse the command line and run the study."""
    parser = argparse.ArgumentParser(prog="python studies/extractor_study.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder with wheels/mer2025, emer/, rivals/ and unibench/")
    parser.add_argument("--fit", action="store_true", help="also try weights on the fitted half")
    parser.add_argument("--llm", action="append", default=[], metavar="MODEL",
                        help="also measure this LLM on descriptions; may be repeated")
    parser.add_argument("--cache", metavar="DIR", help="where the LLM's answers are kept")
    parser.add_argument("--batch-size", type=int, default=8, help="descriptions an LLM reads at once (default: 8)")
    parser.add_argument("--output", help="also write the numbers to this JSON file")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    data = Path(options.data)
    emer, wheels = data / "emer", data / "wheels/mer2025"
    results = {"rivals": rivals(data / "rivals", emer / "ovmerd-openset.csv", wheels)}
    print(rivals_table(results["rivals"]))
    results["answers"] = {file.stem: published_answers(file, wheels) for file in sorted(data.glob("unibench/*.jsonl"))}
    print("\n" + answers_table(results["answers"]))
    if options.fit:
        results["fit"] = fit(data / "rivals", emer, wheels)
        print("\n" + fit_table(results["fit"]))
    results["descriptions"] = study(
        emer / "final-EMER-reason.csv", emer / "ovmerd-openset.csv", wheels,
        {"every emotion word": NO_RULES, "rules": Rules(), **ABLATIONS}, options.llm, options.cache, options.batch_size)
    print("\n" + as_table(results["descriptions"]))
    if options.output:
        atomic_write_json(options.output, results)
        print(f"\noutput: {options.output}")
    return 0


def read_by(rules: Rules, responses: Sequence[str]) -> list[list[str]]:
    """Labels of answers as `affectgpt label` reads them, but with these rules; none of what is no answer."""
    extractor, found = RuleExtractor(lexicon.load(), rules), []
    for response in responses:
        read = reading.read(response, described="llm")
        found.append(list(extractor.extract(read.text).labels if read.source == "llm" else read.labels))
    return found


def rivals(folder: Path, labels: Path, wheels: Path, rules: Rules = Rules()) -> dict:
    """half -> MODEL.MODE -> scores in percent: by the published extractor, by rules, the difference, its p; rows, share
    without an answer. Strict ones beside them. Also the means, and rank correlations of the models in each mode.

    Raises:
        ValueError: no such files, or a row without response and labels_llm.
    """
    targets = read_targets(labels)
    placers = {"published": Placer(load_tables(wheels), strict=False), "strict": Placer(lexicon.load(), strict=True)}
    results: dict = {half: {} for half in HALVES}
    seconds = rows_read = 0
    for file in _files(folder, "*.*.jsonl"):
        rows = [row for _, row in read_jsonl(file) if row["name"] in targets]
        started = time.process_time()
        ours = read_by(rules, [row["response"] for row in rows])
        seconds, rows_read = seconds + time.process_time() - started, rows_read + len(rows)
        theirs = [parse_labels(row["labels_llm"]) for row in rows]
        for half, held in HALVES.items():
            part = [index for index, row in enumerate(rows) if is_held_out(row["name"]) == held]
            found = {"rows": len(part), "no labels": 100 * sum(not ours[index] for index in part) / len(part)}
            for way, placer in placers.items():
                both = [set_columns([targets[rows[index]["name"]] for index in part], [lists[index] for index in part],
                                    placer) for lists in (theirs, ours)]
                llm, own = (100 * columns.scores()["f"] for columns in both)
                tested = compare(*both, "f", resample_counts(len(part)))
                found[way] = {"llm": llm, "rules": own, "difference": own - llm, "p": tested["p"],
                              "p_text": p_text(tested["p"], tested["floor"])}
            results[half][file.stem] = found
    for half in HALVES:
        systems = results[half]
        results[half] = {"systems": systems, "mean": {
            way: sum(found[way]["difference"] for found in systems.values()) / len(systems) for way in placers},
            "rank correlation": _rank_correlations(systems)}
    return results | {"rows a second": rows_read / seconds}


def _files(folder: Path, pattern: str) -> list[Path]:
    files = sorted(folder.glob(pattern))
    if not files:
        raise ValueError(f"{folder}: has no {pattern}")
    return files


def _rank_correlations(systems: dict) -> dict[str, float]:
    """Prompt mode -> Spearman's correlation of the models' published F by the LLM and by rules."""
    from scipy.stats import rankdata

    modes: dict[str, list[tuple[float, float]]] = {}
    for name, found in systems.items():
        modes.setdefault(name.rpartition(".")[2], []).append((found["published"]["llm"], found["published"]["rules"]))
    ranks = {mode: [rankdata(scores) for scores in zip(*pairs, strict=True)] for mode, pairs in modes.items()}
    return {mode: float(np.corrcoef(*both)[0, 1]) for mode, both in ranks.items()
            if all(np.ptp(rank) for rank in both)}


def fit(folder: Path, emer: Path, wheels: Path) -> list[dict]:
    """The weights of a grid on the fitted half: how far they move the rivals, and strict F of descriptions."""
    targets = read_targets(emer / "ovmerd-openset.csv")
    official, own = Placer(load_tables(wheels), strict=False), Placer(lexicon.load(), strict=True)
    texts = {name: text for name, text in read_descriptions(emer / "final-EMER-reason.csv").items()
             if name in targets and not is_held_out(name)}
    files = [[row for _, row in read_jsonl(file) if row["name"] in targets and not is_held_out(row["name"])]
             for file in _files(folder, "*.*.jsonl")]
    goals = [[targets[row["name"]] for row in rows] for rows in files]

    def f(goal, lists, placer) -> float:
        return 100 * set_columns(goal, lists, placer).scores()["f"]

    llm = [f(goal, [parse_labels(row["labels_llm"]) for row in rows], official)
           for goal, rows in zip(goals, files, strict=True)]
    found = []
    for conclusion in FIT_CONCLUSION:
        for keep in FIT_KEEP:
            rules = replace(Rules(), keep=keep, conclusion=conclusion)
            moved = [f(goal, read_by(rules, [row["response"] for row in rows]), official) - score
                     for goal, rows, score in zip(goals, files, llm, strict=True)]
            lists = read_by(rules, list(texts.values()))
            goal = [targets[name] for name in texts]
            found.append({"conclusion": conclusion, "keep": keep, "mean": sum(moved) / len(moved),
                          "root mean square": (sum(move * move for move in moved) / len(moved)) ** 0.5,
                          "descriptions published": f(goal, lists, official),
                          "descriptions strict": f(goal, lists, own)})
    return found


def rivals_table(results: dict) -> str:
    """Markdown: how far each rival moves, the means, the rank correlations."""
    lines = ["Published F by the published LLM extractor -> by rules (difference, p); strict difference.", "",
             "| rival, prompt mode | fitted half | held out | strict, held out | answers without labels |",
             "|---|---|---|---|---|"]
    for name, held in results["held out"]["systems"].items():
        cells = ["{llm:.1f} -> {rules:.1f} ({difference:+.1f}, p {p_text})".format(**part["published"])
                 for part in (results["fitted"]["systems"][name], held)]
        cells += [f"{held['strict']['difference']:+.1f}", f"{held['no labels']:.0f} %"]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    for half in HALVES:
        part = results[half]
        ranks = ", ".join(f"{mode} {value:.2f}" for mode, value in part["rank correlation"].items())
        lines += ["", f"Mean move, {half}: published {part['mean']['published']:+.2f}, strict "
                      f"{part['mean']['strict']:+.2f}. Rank correlation of the rivals: {ranks}."]
    lines += ["", f"{results['rows a second']:.0f} answers a second on one core."]
    return "\n".join(lines)


def fit_table(found: list[dict]) -> str:
    """Markdown table of the weights that were tried."""
    keys = list(found[0])
    lines = [f"| {' | '.join(keys)} |", "|" + "---|" * len(keys)]
    return "\n".join(lines + ["| " + " | ".join(f"{row[key]:.2f}" for key in keys) + " |" for row in found])


if __name__ == "__main__":
    sys.exit(run_cli(main))
