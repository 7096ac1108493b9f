"""The sections of a report, as the blocks of `page`: what was reached, beside others, where it goes wrong, examples."""

from __future__ import annotations

import re
from pathlib import Path

from affectgpt.eval.reporting import facts, page, plots
from affectgpt.eval.reporting.examples import shown_examples
from affectgpt.eval.reporting.others import (
    beside_others,
    figure,
    interval,
    number,
    result_key,
    standing,
    title_of,
    with_interval,
)
from affectgpt.metrics.benchmark import TITLES
from affectgpt.metrics.rows import EXPLAINED

MEANING_OF_KIND = {
    "basic": {
        "published": "In this share of the clips with an emotion, one of the emotions named is the clip's (mean over "
                     "five wheels). Neutral clips are left out, and naming many emotions costs nothing.",
        "strict": "How well the set of emotions named fits the clip's one emotion. Neutral clips count, and every "
                  "further emotion named costs points."},
    "sentiment": {
        "published": "Positive or not, on clips that are not exactly neutral. An answer of neutral counts as negative.",
        "strict": "Positive, neutral or negative, on all clips, each class weighted by its clips."},
    "openset": {
        "published": "How well the labels named fit the clip's labels (mean over five wheels). Words on no wheel are "
                     "left out.",
        "strict": "The same clip by clip, with nothing left out: a word on no wheel is a word of its own."},
    "description": {
        "published": "An LLM's rating of how far the emotional states agree with the human-checked description's.",
        "strict": "How many content words the two descriptions share."},
}
"""Kind -> way of counting -> what its primary score says, in plain words."""


SCORE_NAMES = {"f": "F of mean precision and mean recall", "sample_f": "F1, mean over clips", "waf": "weighted F1",
               "hit_rate": "hit rate", "mscore": "hits over emotions named", "macro_f1": "macro F1",
               "weighted_f1": "weighted F1", "polar_accuracy": "accuracy without neutral clips"}
"""What tables call a score, where its name in the results says too little."""

CHOSEN_ON_TEST = ("This checkpoint was chosen by the very clips that it is scored on. Such a number is too high; do "
                  "not compare it with one that validation clips chose.")

RIGHT = {True: "An answer is right where it names the target's class.",
         False: "An answer is right where its first label has the target's place on at least three of the five wheels."}
"""Sentiment or not -> when an answer is called right."""


def set_sections(entry, folder: Path, options, several: bool) -> list[dict]:
    """Everything about one set."""
    prefix = re.sub(r"\W", "_", entry.name)
    blocks = [page.heading(2, title_of(entry.name), prefix), *headline(entry)]
    if not several:
        blocks += standing([entry], folder)
    blocks += beside_others(entry) + comparison(entry) + over_checkpoints(entry, folder, prefix)
    blocks += wheels(entry, folder, prefix) + all_scores(entry)
    if entry.rows:
        blocks += confusion(entry, folder, prefix) + said(entry, folder, prefix) + inputs(entry, folder, prefix)
        blocks += calibration(entry, folder, prefix) + shown_examples(entry, folder, prefix, options)
    return blocks + problems(entry)


def headline(entry) -> list[dict]:
    """Both primary scores, what they mean, and how their checkpoint came to be described."""
    models = ", ".join(page.clean(model) for model in entry.answers.models) or "not named in the rows"
    streams = f", shown {'+'.join(page.clean(stream) for stream in entry.streams)}" if entry.streams else ""
    question = f", asked for {page.clean(entry.answers.question)}" if entry.answers.question else ""
    cards = [{"title": f"{mode}: {TITLES[entry.results['kind'], mode]}", "value": number(entry.entry[mode]["primary"]),
              "detail": f"95 % interval {interval(entry.entry[mode]['interval'])}, {entry.entry[mode]['scored']} clips",
              "text": MEANING_OF_KIND[entry.results["kind"]][mode]} for mode in entry.results["metric"]]
    blocks = [{"kind": "text", "text": f"Model: {models}{streams}{question}. Checkpoint {page.clean(entry.described)}: "
                                       f"{entry.why}."},
              {"kind": "cards", "cards": cards},
              {"kind": "text", "text": "Scores are in percent. An interval holds 95 % of the scores of "
                                       f"{entry.results.get('resamples', 1000):,} samples of these clips, drawn with "
                                       "replacement: it says how much the choice of clips matters, and nothing of "
                                       "another training run or corpus."}]
    if (entry.results.get("chosen") or {}).get("by") == "test":
        blocks.append({"kind": "warning", "text": CHOSEN_ON_TEST})
    doubt = disagreement(entry)
    return [*blocks, {"kind": "warning", "text": doubt}] if doubt else blocks


def disagreement(entry) -> str:
    """What speaks against results and rows belonging together, or "" where the strict score is the same again."""
    if entry.results.get("wheels", {}).get("strict") not in (None, entry.judge.lexicon.version):
        return ""  # counted with other tables than a report has
    targets: dict = {}
    for groups in entry.answers.checkpoints.values():
        for name, row in (pair for rows in groups.values() for pair in rows.items()):
            if entry.judge.usable(row.target):
                targets.setdefault(name, row.target)
    if len(targets) != entry.results["n_clips"]:
        return (f"The results count {entry.results['n_clips']:,} clips and the rows have {len(targets):,} with a "
                "target: pictures, labels and examples below are of those in the rows.")
    rows = entry.answers.checkpoints[entry.described][entry.streams]
    again, said = facts.strict_score(rows, targets, entry.judge), entry.entry["strict"]["primary"]
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
    plots.checkpoint_lines(keys, lines, entry.described, folder / f"{prefix}_checkpoints.png")
    rows = [[page.clean(key), *(with_interval(row[mode]) for mode in modes)] for key, row in found.items()]
    if len(keys) == len(entry.results["checkpoints"]):
        rows.append(["mean and deviation", *(f"{number(row['mean'])}, {number(row['std'])}"
                                             for row in entry.results["spread"].values())])
    return [page.heading(3, "Checkpoints"), figure(f"{prefix}_checkpoints.png", "Primary scores of all checkpoints"),
            page.table(["checkpoint", *modes], rows, marked={keys.index(entry.described)})]


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
    rows = [[mode, number(found[mode]["difference"]), interval(found[mode]["interval"]), f"{found[mode]['p']:.3g}"]
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
    plots.wheel_bars(found, folder / f"{prefix}_wheels.png")
    rows = [[wheel, *(f"{number(row[wheel]['score'])} (n = {row[wheel]['scored']})" for row in found.values())]
            for wheel in next(iter(found.values()))]
    return [page.heading(3, "Wheel by wheel"),
            figure(f"{prefix}_wheels.png", "Scores on each of the five emotion wheels"),
            page.table(["wheel", *found], rows)]


def confusion(entry, folder: Path, prefix: str) -> list[dict]:
    """Targets against answers."""
    found = facts.confusion(entry.rows, entry.judge)
    if found is None:
        return []
    plots.confusion_picture(found, folder / f"{prefix}_confusion.png")
    rows = [[page.clean(name), *(str(count) for count in counts)]
            for name, counts in zip(found.rows, found.counts, strict=True)]
    place = f" Places are those of the project's table on {found.wheel}." if found.wheel else ""
    rest = f" {found.left_out} clips of rarer targets are left out." if found.left_out else ""
    return [page.heading(3, "What is taken for what"),
            figure(f"{prefix}_confusion.png", "Targets against answers", f"Frames: the right answer.{place}{rest}"),
            page.table(["target", *found.columns], rows)]


def said(entry, folder: Path, prefix: str) -> list[dict]:
    """The labels that were said most."""
    labels, totals = facts.said_labels(entry.rows, entry.judge)
    if not labels:
        return []
    plots.label_bars(labels, folder / f"{prefix}_labels.png")
    rows = [[page.clean(row.label), str(row.clips),
             "unknown" if row.precision is None else f"{100 * row.precision:.1f}",
             "" if row.precision is None else f"{100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f}"]
            for row in labels]
    share = totals["unknown"] / totals["labels"]
    return [page.heading(3, "What is said most"),
            {"kind": "text", "text": f"{totals['labels']:,} labels, {totals['labels'] / len(entry.rows):.1f} a clip, "
                                     f"{totals['distinct']:,} different ones; {share:.1%} of them are unknown to the "
                                     "project's table of emotion words."},
            figure(f"{prefix}_labels.png", "The most frequent labels, and how often the target agrees"),
            page.table(["label", "clips", "target agrees, percent", "95 % interval"], rows)]


def inputs(entry, folder: Path, prefix: str) -> list[dict]:
    """Which streams the model really uses."""
    found = facts.subsets(entry.answers.checkpoints[entry.described], entry.judge)
    blocks = [page.heading(3, "Which streams the model uses")]
    if found is None:
        return [*blocks, {"kind": "text", "text": "Not known: the rows were made with one set of streams. "
                          "`affectgpt generate --streams all-subsets` asks once for each subset."}]
    plots.subset_bars(found, folder / f"{prefix}_inputs.png")
    rows = [["+".join(map(page.clean, streams)), number(row["score"]), interval(row["interval"])]
            for streams, row in found["scores"].items()]
    blocks += [figure(f"{prefix}_inputs.png", "Strict score of every input subset"),
               page.table(["shown", "strict score", "95 % interval"], rows,
                          caption=f"{found['clips']} clips that were asked about with every subset.")]
    if found["drops"]:
        blocks.insert(1, {"kind": "text", "text": uses(found["drops"])})
        rows = [[page.clean(stream), number(row["difference"]), interval(row["interval"]), f"{row['p']:.3g}"]
                for stream, row in found["drops"].items()]
        blocks.append(page.table(["without", "points lost", "95 % interval", "p"], rows,
                                 caption="Strict score with all streams less that without one, paired by clip."))
    return blocks


def uses(drops: dict[str, dict]) -> str:
    """In words, which streams the model uses: those without which it loses more than chance would."""
    used = [page.clean(stream) for stream, row in drops.items() if row["interval"][0] > 0]
    hurt = [page.clean(stream) for stream, row in drops.items() if row["interval"][1] < 0]
    unclear = [page.clean(stream) for stream, row in drops.items() if row["interval"][0] <= 0 <= row["interval"][1]]
    parts = [f"It loses points where {' or '.join(used)} is taken away, so it uses "
             f"{'it' if len(used) == 1 else 'them'}."
             if used else "No stream is certain to be of use: it may answer as well without any one of them."]
    if unclear:
        parts.append(f"Whether it uses {' or '.join(unclear)} cannot be said from these clips.")
    if hurt:
        parts.append(f"It is better without {' or without '.join(hurt)}.")
    return " ".join(parts)


def calibration(entry, folder: Path, prefix: str) -> list[dict]:
    """Whether the model is as right as it is sure."""
    found = facts.calibration(entry.rows, entry.judge)
    blocks = [page.heading(3, "Is it as right as it is sure?")]
    if found is None:
        return [*blocks, {"kind": "text",
                          "text": "Not known: the rows have no confidence, or the answers have no verdict."}]
    plots.reliability(found, folder / f"{prefix}_calibration.png")
    rows = [[str(count), f"{sure:.2f}", f"{share:.2f}", f"{low:.2f} to {high:.2f}"]
            for count, sure, share, (low, high) in found.bins]
    return [*blocks,
            {"kind": "text", "text": f"Expected calibration error {found.error:.3f} on {found.clips} clips: mean "
                                     f"confidence {found.confidence:.2f}, share of right answers {found.accuracy:.2f}. "
                                     "Confidence is the mean probability of an answer's tokens. "
                                     f"{RIGHT[entry.results['kind'] == 'sentiment']}"},
            figure(f"{prefix}_calibration.png", "Share of right answers over confidence"),
            page.table(["clips", "mean confidence", "share right", "95 % interval"], rows, numbers={0, 1, 2, 3})]


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
