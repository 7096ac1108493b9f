"""The sections of a report, as the blocks of `page`: what was reached, beside others, where it goes wrong, examples."""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.eval.reporting import behaviour, facts, made, page, plots, systems, traits
from affectgpt.eval.reporting.examples import shown_examples
from affectgpt.eval.reporting.others import beside_others, result_key, standing, title_of
from affectgpt.eval.reporting.words import (
    CHOSEN_ON_TEST,
    MEANING_OF_KIND,
    SCORE_NAMES,
    interval,
    number,
    p_value,
    with_interval,
)
from affectgpt.metrics.rows import EXPLAINED
from affectgpt.metrics.stats import FEW

def set_sections(entry, folder: Path, options, several: bool) -> list[dict]:
    """Everything about one set."""
    prefix = re.sub(r"\W", "_", entry.name)
    blocks = [page.heading(2, title_of(entry.name, entry.results), prefix), *headline(entry)]
    blocks += made.shown([entry, *entry.others])
    if entry.others:
        blocks += systems.side_by_side([entry, *entry.others], folder, prefix, options)
    if not several:
        blocks += standing([entry], folder)
    blocks += beside_others(entry) + comparison(entry) + over_checkpoints(entry, folder, prefix)
    blocks += wheels(entry, folder, prefix) + tasks(entry, folder, prefix) + all_scores(entry)
    if entry.rows:
        blocks += behaviour.classes(entry, folder, prefix) + traits.shown(entry, folder, prefix)
        blocks += behaviour.said(entry, folder, prefix) + behaviour.inputs(entry, folder, prefix)
        blocks += behaviour.calibration(entry, folder, prefix) + shown_examples(entry, folder, prefix, options)
    return blocks + problems(entry)


def headline(entry) -> list[dict]:
    """Both primary scores, what they mean, and how their checkpoint came to be described."""
    models = ", ".join(page.clean(model) for model in entry.answers.models) or "not named in the rows"
    streams = f", shown {'+'.join(page.clean(stream) for stream in entry.streams)}" if entry.streams else ""
    question = f", asked for {page.clean(entry.answers.question)}" if entry.answers.question else ""
    cards = [{"title": f"{mode}: {page.clean(entry.entry[mode]['metric'])}",
              "value": number(entry.entry[mode]["primary"]),
              "detail": f"95 % interval {interval(entry.entry[mode]['interval'])}, {entry.entry[mode]['scored']} clips",
              "text": MEANING_OF_KIND[entry.results["kind"]][mode]} for mode in entry.results["metric"]]
    blocks = [{"kind": "text", "text": f"Model: {models}{streams}{question}. Checkpoint {page.clean(entry.described)}: "
                                       f"{entry.why}."},
              {"kind": "cards", "cards": cards},
              {"kind": "text", "text": f"Scores are in percent. {about_intervals(entry)}"}]
    blocks += [{"kind": "warning", "text": page.clean(text, 600)} for text in entry.results.get("warnings", [])]
    if (entry.results.get("chosen") or {}).get("by") == "test":
        blocks.append({"kind": "warning", "text": CHOSEN_ON_TEST})
    doubt = disagreement(entry)
    return [*blocks, {"kind": "warning", "text": doubt}] if doubt else blocks


def about_intervals(entry) -> str:
    """What the intervals say."""
    clusters = entry.results.get("clusters")
    drawn = f"{clusters:,} {facts.plural(entry.judge.set.group_is or facts.Strict.unit)}, each drawn as a whole" \
        if clusters else "clips"
    few = " Of fewer than 30 it is Wilson's or BCa." if (clusters or entry.results["n_clips"]) < FEW else ""
    return (f"An interval holds 95 % of the scores of {entry.results.get('resamples', 1000):,} samples of these "
            f"{drawn}, with replacement.{few} It says how much the choice of clips matters, and nothing of another "
            "training run or corpus.")


def disagreement(entry) -> str:
    """What speaks against results and rows belonging together, or "" where the strict score is the same again."""
    if entry.results.get("wheels", {}).get("strict") not in (None, entry.judge.lexicon.version):
        return ""  # counted with other tables than a report has
    targets: dict = {}
    for groups in entry.answers.checkpoints.values():
        for name, row in (pair for rows in groups.values() for pair in rows.items()):
            if entry.judge.usable(row):
                targets.setdefault(name, row.target)
    if len(targets) != entry.results["n_clips"]:
        return (f"The results count {entry.results['n_clips']:,} clips and the rows have {len(targets):,} with a "
                "target: pictures, labels and examples below are of those in the rows.")
    rows = entry.answers.checkpoints[entry.described][entry.streams]
    again, said = facts.strict({"": rows}, targets, entry.judge).scores()[""], entry.entry["strict"]["primary"]
    if again is not None and said is not None and abs(again - said) < 0.005:
        return ""
    return (f"The results say {number(said)} (strict) and these rows give {number(again)}: they do not belong "
            "together. Score the predictions again with `affectgpt score`.")


def over_checkpoints(entry, folder: Path, prefix: str) -> list[dict]:
    """Primary scores of all checkpoints that answer the same question with the same streams."""
    keys = [key for key in entry.answers.checkpoints if entry.streams in entry.answers.checkpoints[key]]
    if len(keys) < 2:
        return []
    found = {key: entry.results["checkpoints"][result_key(entry, key)] for key in keys}
    modes = list(entry.results["metric"])
    lines = {mode: [(row[mode]["primary"], *row[mode]["interval"]) for row in found.values()] for mode in modes}
    rows = [[page.clean(key), *(with_interval(row[mode]) for mode in modes)] for key, row in found.items()]
    if len(keys) == len(entry.results["checkpoints"]):
        rows.append(["mean and deviation", *(f"{number(row['mean'])}, {number(row['std'])}"
                                             for row in entry.results["spread"].values())])
    return [page.heading(3, "Checkpoints"),
            page.plot(plots.checkpoint_lines(keys, lines, entry.described), folder, f"{prefix}_checkpoints",
                      "Primary scores of all checkpoints", "The dotted line is the checkpoint that is described.",
                      page.table(["checkpoint", *modes], rows, marked={keys.index(entry.described)}))]


def tasks(entry, folder: Path, prefix: str) -> list[dict]:
    """Scores of the tasks that a set is made of."""
    found = {mode: entry.entry[mode]["per_task"] for mode in entry.results["metric"] if "per_task" in entry.entry[mode]}
    if not found:
        return []
    rows = [[mode, page.clean(task), number(row["score"]), interval(row["interval"])]
            for mode, tasks_of_mode in found.items() for task, row in tasks_of_mode.items()]
    points = [(page.clean(task), row["score"], row["interval"], plots.COLOUR[mode])
              for mode, tasks_of_mode in found.items() for task, row in tasks_of_mode.items()]
    drawn = plots.intervals(points, "percent (95 % interval)", keys={mode: plots.COLOUR[mode] for mode in found})
    return [page.heading(3, "Task by task"),
            page.plot(drawn, folder, f"{prefix}_tasks", "Scores on each of the tasks",
                      numbers=page.table(["counting", "task", "score", "95 % interval"], rows, numbers={2, 3}))]


def all_scores(entry) -> list[dict]:
    """Everything that was scored, beyond the primary scores."""
    rows = []
    for mode in entry.results["metric"]:
        for name, ends in entry.entry[mode].get("intervals", {}).items():
            title = SCORE_NAMES.get(name, page.clean(name.replace("_", " ")))
            rows.append([mode, title, number(entry.entry[mode].get(name)), interval(ends)])
        for name, value in entry.entry[mode].get("first_label", {}).items():
            rows.append([mode, f"{SCORE_NAMES.get(name, page.clean(name))} of the first label", number(value), ""])
        valence = entry.entry[mode].get("valence", {})
        for name, ends in valence.get("intervals", {}).items():
            rows.append([mode, f"valence: {page.clean(name)} (not percent)", number(valence.get(name)), interval(ends)])
    return [page.heading(3, "All scores"), page.table(["counting", "score", "value", "95 % interval"], rows,
                                                      numbers={2, 3})] if rows else []


def comparison(entry) -> list[dict]:
    """The paired comparison with another system, where the results have one."""
    found = entry.results.get("comparison")
    if not found:
        return []
    rows = [[mode, number(found[mode]["difference"]), interval(found[mode]["interval"]), p_value(found[mode])]
            for mode in entry.results["metric"] if mode in found]
    return [page.heading(3, "Against another system"),
            page.table(["counting", "difference", "95 % interval", "p"], rows, caption=page.clean(
                f"Checkpoint {found['checkpoint']} less {found['against']} of {Path(found['file']).name}, "
                "paired by clip.",
                300))]


def wheels(entry, folder: Path, prefix: str) -> list[dict]:
    """Scores wheel by wheel."""
    found = {mode: entry.entry[mode]["per_wheel"] for mode in entry.results["metric"]
             if "per_wheel" in entry.entry[mode]}
    if not found:
        return []
    rows = [[wheel, *(f"{number(row[wheel]['score'])} (n = {row[wheel]['scored']})" for row in found.values())]
            for wheel in next(iter(found.values()))]
    return [page.heading(3, "Wheel by wheel"),
            page.plot(plots.wheel_bars(found), folder, f"{prefix}_wheels", "Scores on each of the five emotion wheels",
                      numbers=page.table(["wheel", *found], rows))]


def problems(entry) -> list[dict]:
    """What was wrong with rows."""
    found = entry.results.get("problems") or {}
    rows = [[page.clean(EXPLAINED.get(kind, kind), 200), str(row.get("count")),
             page.clean(", ".join(map(str, row.get("examples", []))), 200)] for kind, row in found.items()]
    for count, text in ((entry.answers.other, f"rows that answer another question than {entry.answers.question}"),
                        (len(entry.answers.checkpoints[entry.described][entry.streams]) - len(entry.rows),
                         "clips without a target of this kind, not described above")):
        if count:
            rows.append([page.clean(text), str(count), ""])
    table = page.table(["what", "how often", "for example"], rows, numbers={1}) if rows else \
        {"kind": "text", "text": "None was found."}
    return [page.heading(3, "Problems in the rows"), table]
