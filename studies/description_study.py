"""How well descriptions are read, and how far published answers move without the published extractor."""

from __future__ import annotations

import csv
import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from affectgpt.eval.label import Labeller
from affectgpt.extractors.rules import RuleExtractor, Rules, vote
from affectgpt.metrics import sentiment
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.labelsets import Placer, hit_columns, set_columns
from affectgpt.metrics.rows import read_predictions, read_targets
from affectgpt.metrics.stats import Columns, bootstrap, compare, p_text, resample_counts
from affectgpt.metrics.wheels import load_tables
from affectgpt.words import lexicon

ABLATIONS: dict[str, Rules] = {
    "without negation": replace(Rules(), negation=False),
    "without other people": replace(Rules(), other_person=False),
    "without what is supposed": replace(Rules(), unreal=False),
    "without the past": replace(Rules(), past=False),
    "without quotes": replace(Rules(), quotes=False),
    "without topics and places": replace(Rules(), topics=False),
    "without boilerplate": replace(Rules(), boilerplate=False),
    "without idioms": replace(Rules(), idioms=False),
    "without spelling": replace(Rules(), spelling=False),
    "without behaviour": replace(Rules(), behaviour=False),
    "signs weigh as much as names": replace(Rules(), signs=1.0),
    "all sentences alike": replace(Rules(), conclusion=1.0),
    "without a least weight": replace(Rules(), keep=0.0),
    "hedged ones weigh half": replace(Rules(), hedges=0.5),
    "slight ones weigh half": replace(Rules(), slight=0.5),
    "one word of a family": replace(Rules(), words=1),
    "all words of a family": replace(Rules(), words=99),
}
"""Name -> rules with one of them changed."""


def is_held_out(name: str) -> bool:
    """True for the half of the clips that the rules were not made on."""
    return int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 1


def read_descriptions(path: str | Path) -> dict[str, str]:
    """name -> English description.

    Raises:
        ValueError: no such file, or a row without them.
    """
    found = {}
    with open(path, encoding="utf-8-sig", newline="") as file:
        for number, row in enumerate(csv.DictReader(file), start=2):
            if not row.get("name") or not row.get("english"):
                raise ValueError(f"{path}:{number}: has no name or no english")
            found[row["name"]] = row["english"]
    return found


def study(descriptions: Path, labels: Path, wheels: Path, extractors: dict[str, Rules], llms: Sequence[str] = (),
          cache: str | None = None, batch_size: int = 8) -> dict:
    """Scores of every extractor, in percent: scores -> extractor -> table -> half -> score -> [value, low, high].

    extractors: name -> its rules; "rules" is what the others are compared with.
    """
    texts, targets = read_descriptions(descriptions), read_targets(labels)
    names = [name for name in texts if name in targets]
    if not names:
        raise ValueError(f"{descriptions} and {labels} have no name in common")
    own = lexicon.load()
    answers, seconds = {}, {}
    for name, rules in extractors.items():
        started, extractor = time.perf_counter(), RuleExtractor(own, rules)
        answers[name] = [list(extractor.extract(texts[clip]).labels) for clip in names]
        seconds[name] = time.perf_counter() - started
    asked = {}
    for model in llms:
        answers[model], asked[model] = ask(model, [texts[clip] for clip in names], cache, batch_size)
    halves = {"fitted": [not is_held_out(name) for name in names], "held out": [is_held_out(name) for name in names],
              "all": [True] * len(names)}
    placers = {"mer2025": Placer(load_tables(wheels), strict=False), own.version: Placer(own, strict=True)}
    results: dict = {"clips": {half: sum(chosen) for half, chosen in halves.items()}, "scores": {}, "asked": asked,
                     "milliseconds": {name: 1000 * spent / len(names) for name, spent in seconds.items()},
                     "labels": {name: sum(map(len, lists)) / len(lists) for name, lists in answers.items()}}
    for table, placer in placers.items():
        goals = [targets[clip] for clip in names]
        columns = {name: set_columns(goals, lists, placer) for name, lists in answers.items()}
        for half, chosen in halves.items():
            counts = resample_counts(sum(chosen))
            part = {name: Columns(found.values[chosen], found.finish) for name, found in columns.items()}
            for name, found in part.items():
                point, interval = found.scores(), bootstrap(found, counts)
                scores = {score: [100 * point[score], *(100 * end for end in interval[score])]
                          for score in ("precision", "recall", "f")}
                against = compare(part["rules"], found, "f", counts)
                scores |= {"p against rules": against["p"], "floor of p": against["floor"]}
                results["scores"].setdefault(name, {}).setdefault(table, {})[half] = scores
    return results


def ask(name: str, texts: list[str], cache: str | None, batch_size: int) -> tuple[list[list[str]], dict]:
    """Labels of all texts by an LLM, and what its answers were like."""
    from tqdm import tqdm

    from affectgpt.extractors.cache import AnswerCache, default_folder
    from affectgpt.extractors.llm import Asker, open_model

    asker = Asker(open_model(name, batch_size), AnswerCache(cache or default_folder()))
    labels = []
    for start in tqdm(range(0, len(texts), 32), desc=name, disable=None):
        labels += asker.labels(texts[start : start + 32])
    return labels, {"from cache": asker.hits, "no list": asker.not_a_list, "refused": asker.refused,
                    "empty": sum(not found for found in labels)}


def published_answers(path: Path, wheels: Path) -> dict:
    """The published score of published answers by checkpoint, in percent: with the published extractor's labels or
    sentiment, and with those of this project without an LLM. `agreement` is the share of equal ones.

    Raises:
        ValueError: no row has what is compared.
    """
    own, found = lexicon.load(), read_predictions([path], keep_responses=True)
    labeller, placer = Labeller("auto", "answer", None, Counter()), Placer(load_tables(wheels), strict=False)
    scores, same, total = {}, 0, 0
    for checkpoint, rows in found.checkpoints.items():
        rows = {name: row for name, row in rows.items() if row.labels_raw is not None and row.response is not None}
        targets = [found.targets[name] for name in rows]
        values = [sentiment.target_value(target) for target in targets]
        if None not in values and all(row.sentiment_raw is not None for row in rows.values()):
            score, both = "weighted F1", [[row.sentiment_raw for row in rows.values()],
                                          [vote(parse_labels(row.labels_raw), own) for row in rows.values()]]
            columns = [sentiment.published_columns(values, answers) for answers in both]
        elif all(isinstance(target, str) for target in targets):
            labelled = labeller.label([{"response": row.response} for row in rows.values()])
            score, both = "hit rate", [[row.labels_raw for row in rows.values()],
                                       [row.get("labels_raw", "[]") for row in labelled]]
            columns = [hit_columns(targets, answers, placer) for answers in both]
        else:
            raise ValueError(f"{path}: its targets are neither emotion words nor valences with a sentiment_raw")
        same += sum(a == b for a, b in zip(*both, strict=True))
        total += len(rows)
        key = "waf" if score == "weighted F1" else "hit_rate"
        scores[checkpoint] = [100 * column.scores()[key] for column in columns]
    if not total:
        raise ValueError(f"{path}: no row has a response and labels_raw")
    return {"score": score, "checkpoints": scores, "rows": total, "agreement": 100 * same / total}


def as_table(results: dict) -> str:
    """Markdown table of the scores."""
    tables = list(next(iter(results["scores"].values())))
    lines = [f"Clips: {', '.join(f'{count} {half}' for half, count in results['clips'].items())}."]
    for table in tables:
        lines += ["", f"Table `{table}`.", "",
                  "| extractor | F, held out (95 %) | F, fitted | F, all (95 %) | precision, all | recall, all | "
                  "labels a clip | p against rules, held out |", "|---|---|---|---|---|---|---|---|"]
        for name, scores in results["scores"].items():
            held, seen, every = (scores[table][half] for half in ("held out", "fitted", "all"))
            p = "" if name == "rules" else p_text(held["p against rules"], held["floor of p"])
            cells = [name, _with_interval(held["f"]), f"{seen['f'][0]:.1f}", _with_interval(every["f"]),
                     f"{every['precision'][0]:.1f}", f"{every['recall'][0]:.1f}", f"{results['labels'][name]:.1f}", p]
            lines.append(f"| {' | '.join(cells)} |")
    lines += ["", f"Rules: {results['milliseconds']['rules']:.2f} ms a description."]
    for model, facts in results["asked"].items():
        lines.append(f"{model}: " + ", ".join(f"{key} {value}" for key, value in facts.items()) + ".")
    return "\n".join(lines)


def _with_interval(values: list[float]) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*values)


def answers_table(found: dict) -> str:
    """Markdown table of the published answers."""
    lines = ["| set | rows | the same | score by checkpoint: published extractor -> this project without an LLM |",
             "|---|---|---|---|"]
    for name, result in found.items():
        scores = ", ".join(f"{checkpoint}: {published:.2f} -> {own:.2f}"
                           for checkpoint, (published, own) in result["checkpoints"].items())
        lines.append(f"| {name} | {result['rows']} | {result['agreement']:.1f} % | {result['score']} {scores} |")
    return "\n".join(lines)
