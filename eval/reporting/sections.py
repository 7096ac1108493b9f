"""The sections of a report, as the blocks of `page`: what was reached, beside others, where it goes wrong, examples."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from affectgpt.eval.reporting import facts, page, plots
from affectgpt.eval.reporting.rows import examples as drawn_examples
from affectgpt.metrics.benchmark import SETS, TITLES
from affectgpt.metrics.rows import EXPLAINED

MEANING_OF_KIND = {
    "basic": {
        "published": "In this share of the clips with an emotion, one of the emotions named is the clip's (mean over five "
                     "wheels). Neutral clips are left out, and naming many emotions costs nothing.",
        "strict": "How well the set of emotions named fits the clip's one emotion. Neutral clips count, and every further "
                  "emotion named costs points."},
    "sentiment": {
        "published": "Positive or not, on clips that are not exactly neutral. An answer of neutral counts as negative.",
        "strict": "Positive, neutral or negative, on all clips, each class weighted by its clips."},
    "openset": {
        "published": "How well the labels named fit the clip's labels (mean over five wheels). Words on no wheel are left "
                     "out.",
        "strict": "The same clip by clip, with nothing left out: a word on no wheel is a word of its own."},
    "description": {
        "published": "An LLM's rating of how far the emotional states agree with the human-checked description's.",
        "strict": "How many content words the two descriptions share."},
}
"""Kind -> way of counting -> what its primary score says, in plain words."""


def title_of(name: str) -> str:
    """How a set is called."""
    return SETS[name].title if name in SETS else page.clean(name)


@functools.cache
def printed_scores() -> dict:
    """The scores of other systems as printed, with their sources."""
    return json.loads(Path(__file__).with_name("published_scores.json").read_text(encoding="utf-8"))


def number(value: float | None) -> str:
    """Two decimals, or "none"."""
    return "none" if value is None else f"{value:.2f}"


def interval(ends: list) -> str:
    """"low to high"."""
    return "no interval" if None in ends else f"{ends[0]:.2f} to {ends[1]:.2f}"


def result_key(entry, checkpoint: str) -> str:
    """Key under which the results have a checkpoint of the rows: with question and streams where those differ.

    Raises:
        ValueError: the results are of other rows.
    """
    streams, keys = "+".join(entry.streams or ()), list(entry.results["checkpoints"])
    fitting = [key for key in keys if key == checkpoint or key.startswith(f"{checkpoint} ")]
    for parts in ((entry.answers.question, streams), (streams,), (entry.answers.question,), ()):
        key = " ".join([checkpoint, *filter(None, parts)])
        if key in fitting:
            return key
    raise ValueError(f"{entry.name}: the results have no checkpoint {checkpoint}, so they were made of other rows; score the "
                     "predictions again")


def overview(summary: dict, sets: list, folder: Path) -> list[dict]:
    """The mean over sets and every set in one table and one picture."""
    described = sets[0].described if sets else None
    row = summary["checkpoints"].get(described, {})
    cards = [{"title": f"{summary['mean_label']}, {mode}", "value": number(cell["primary"]),
              "detail": f"95 % interval {interval(cell['interval'])}, checkpoint {described}",
              "text": "Plain mean of the primary scores of the sets."}
             for mode in summary["modes"] if (cell := row.get(mode, {}).get("mean"))]
    blocks = [{"kind": "cards", "cards": cards}] if cards else []
    blocks += [{"kind": "warning", "text": page.clean(note, 600)} for note in summary["notes"]
               if "do not compare" in note or "not in the mean" in note]
    rows = [[title_of(entry.name), f"{entry.entry['n']}", *(f"{number(entry.entry[mode]['primary'])} "
             f"({interval(entry.entry[mode]['interval'])})" if mode in entry.entry else "" for mode in summary["modes"])]
            for entry in sets]
    blocks += [page.heading(2, "All sets", "sets"),
               page.table(["set", "clips", *summary["modes"]], rows, caption="Percent, with 95 % bootstrap intervals."),
               *standing(sets, folder)]
    return blocks


def standing(sets: list, folder: Path) -> list[dict]:
    """Published scores over the printed ones of others, for the sets of the benchmark."""
    there = [entry for entry in sets if entry.name in SETS and "published" in entry.entry]
    if not there:
        return []
    plots.standing([{"title": title_of(entry.name), "score": entry.entry["published"]["primary"],
                     "interval": entry.entry["published"]["interval"],
                     "others": [row["scores"][entry.name] for row in printed_scores()["rows"]]} for entry in there],
                   folder / "standing.png")
    return [figure("standing.png", "Published scores of this model over the printed ones of other systems",
                   f"Others as printed: {printed_scores()['source']}.")]


def figure(file: str, alt: str, caption: str = "") -> dict:
    """A picture with the text that stands for it."""
    return {"kind": "figure", "file": file, "alt": alt, "caption": caption}


def set_sections(entry, folder: Path, options, several: bool) -> list[dict]:
    """Everything about one set."""
    prefix = re.sub(r"\W", "_", entry.name)
    blocks = [page.heading(2, title_of(entry.name), prefix), *headline(entry)]
    if not several:
        blocks += standing([entry], folder)
    blocks += beside_others(entry) + over_checkpoints(entry, folder, prefix) + wheels(entry, folder, prefix)
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
              {"kind": "cards", "cards": cards}]
    if (entry.results.get("chosen") or {}).get("by") == "test":
        blocks.append({"kind": "warning", "text": "This checkpoint was chosen by the very clips that it is scored on. Such a "
                                                  "number is too high; do not compare it with one that validation clips chose."})
    return blocks


def beside_others(entry) -> list[dict]:
    """This model's published score among the printed ones."""
    if entry.name not in SETS or "published" not in entry.entry:
        return []
    printed = printed_scores()
    rows = [(row["scores"][entry.name], [row["model"], row["streams"] or "", number(row["scores"][entry.name]),
                                         row["obtained"].replace("_", " ")]) for row in printed["rows"]]
    own = entry.entry["published"]["primary"]
    by = (entry.results.get("chosen") or {}).get("by")
    obtained = {"validation": "chosen by validation clips", "test": "best on test"}.get(by, "one checkpoint, not chosen")
    rows.append((own if own is not None else -1.0, ["this model", "+".join(entry.streams or ()), number(own), obtained]))
    rows.sort(key=lambda row: -row[0])
    cells = [cell for _, cell in rows]
    marked = {place for place, cell in enumerate(cells) if cell[0] == "this model"}
    return [page.heading(3, "Beside other systems"),
            page.table(["model", "streams", TITLES[entry.results["kind"], "published"], "how it was obtained"], cells,
                       numbers={2}, marked=marked, caption=f"Others as printed in {printed['source']}. "
                       f"Best on test: {printed['obtained']['best_on_test']}")]


def over_checkpoints(entry, folder: Path, prefix: str) -> list[dict]:
    """Primary scores of all checkpoints that answer the same question with the same streams."""
    keys = [key for key in entry.answers.checkpoints if entry.streams in entry.answers.checkpoints[key]]
    if len(keys) < 2:
        return []
    found = {key: entry.results["checkpoints"][result_key(entry, key)] for key in keys}
    modes = list(entry.results["metric"])
    lines = {mode: [(row[mode]["primary"], *row[mode]["interval"]) for row in found.values()] for mode in modes}
    plots.checkpoint_lines(keys, lines, entry.described, folder / f"{prefix}_checkpoints.png")
    rows = [[page.clean(key), *(f"{number(row[mode]['primary'])} ({interval(row[mode]['interval'])})" for mode in modes)]
            for key, row in found.items()]
    return [page.heading(3, "Checkpoints"), figure(f"{prefix}_checkpoints.png", "Primary scores of all checkpoints"),
            page.table(["checkpoint", *modes], rows, marked={keys.index(entry.described)})]


def wheels(entry, folder: Path, prefix: str) -> list[dict]:
    """Scores wheel by wheel."""
    found = {mode: entry.entry[mode]["per_wheel"] for mode in entry.results["metric"] if "per_wheel" in entry.entry[mode]}
    if not found:
        return []
    plots.wheel_bars(found, folder / f"{prefix}_wheels.png")
    rows = [[wheel, *(f"{number(row[wheel]['score'])} (n = {row[wheel]['scored']})" for row in found.values())]
            for wheel in next(iter(found.values()))]
    return [page.heading(3, "Wheel by wheel"), figure(f"{prefix}_wheels.png", "Scores on each of the five emotion wheels"),
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
    rows = [[page.clean(row.label), str(row.clips), "unknown" if row.precision is None else f"{100 * row.precision:.1f}",
             "" if row.precision is None else f"{100 * row.interval[0]:.1f} to {100 * row.interval[1]:.1f}"] for row in labels]
    share = totals["unknown"] / totals["labels"]
    return [page.heading(3, "What is said most"),
            {"kind": "text", "text": f"{totals['labels']:,} labels, {totals['labels'] / len(entry.rows):.1f} a clip, "
             f"{totals['distinct']:,} different ones; {share:.1%} of them are unknown to the project's table of emotion words."},
            figure(f"{prefix}_labels.png", "The most frequent labels, and how often the target agrees"),
            page.table(["label", "clips", "target agrees, percent", "95 % interval"], rows)]


def inputs(entry, folder: Path, prefix: str) -> list[dict]:
    """Which streams the model really uses."""
    found = facts.subsets(entry.answers.checkpoints[entry.described], entry.judge)
    blocks = [page.heading(3, "Which streams the model uses")]
    if found is None:
        return [*blocks, {"kind": "text", "text": "Not known: the rows were made with one set of streams. `affectgpt generate "
                          "--streams all-subsets` asks once for each subset."}]
    plots.subset_bars(found, folder / f"{prefix}_inputs.png")
    rows = [["+".join(map(page.clean, streams)), number(row["score"]), interval(row["interval"])]
            for streams, row in found["scores"].items()]
    blocks += [figure(f"{prefix}_inputs.png", "Strict score of every input subset"),
               page.table(["shown", "strict score", "95 % interval"], rows,
                          caption=f"{found['clips']} clips that were asked about with every subset.")]
    if found["drops"]:
        rows = [[page.clean(stream), number(row["difference"]), interval(row["interval"]), f"{row['p']:.3g}"]
                for stream, row in found["drops"].items()]
        blocks.append(page.table(["without", "points lost", "95 % interval", "p"], rows,
                                 caption="Strict score with all streams less that without one, paired by clip."))
    return blocks


def calibration(entry, folder: Path, prefix: str) -> list[dict]:
    """Whether the model is as right as it is sure."""
    found = facts.calibration(entry.rows, entry.judge)
    blocks = [page.heading(3, "Is it as right as it is sure?")]
    if found is None:
        return [*blocks, {"kind": "text", "text": "Not known: the rows have no confidence, or the answers have no verdict."}]
    plots.reliability(found, folder / f"{prefix}_calibration.png")
    rows = [[str(count), f"{sure:.2f}", f"{share:.2f}", f"{low:.2f} to {high:.2f}"]
            for count, sure, share, (low, high) in found.bins]
    return [*blocks,
            {"kind": "text", "text": f"Expected calibration error {found.error:.3f} on {found.clips} clips: mean confidence "
             f"{found.confidence:.2f}, share of right answers {found.accuracy:.2f}. Confidence is the mean probability of an "
             "answer's words; an answer is right where its first label, or its polarity, is."},
            figure(f"{prefix}_calibration.png", "Share of right answers over confidence"),
            page.table(["clips", "mean confidence", "share right", "95 % interval"], rows, numbers={0, 1, 2, 3})]


def shown_examples(entry, folder: Path, prefix: str, options) -> list[dict]:
    """Clips with their frames, where they can be shown."""
    if not options.examples:
        return []
    blocks = [page.heading(3, "Examples")]
    for title, rows in drawn_examples(entry.rows, entry.judge, options.examples).items():
        if rows:
            name = re.sub(r"\W+", "_", f"{prefix}_{title}".lower())
            blocks.append({"kind": "examples", "title": title,
                           "rows": [_example(row, entry, folder, f"{name}_{place}", options)
                                    for place, row in enumerate(rows)]})
    return blocks


def _example(row, entry, folder: Path, name: str, options) -> dict:
    pictures, note = frames(row.media, folder, name, options.media_root)
    lines = [("clip", page.clean(row.name)), ("target", page.clean(row.target, 300)),
             ("answer", page.clean(row.response, page.LONGEST_TEXT)), ("labels", page.clean(row.labels, 300))]
    if row.sentiment is not None:
        lines.append(("polarity", page.clean(row.sentiment)))
    lines.append(("strict score", f"{entry.judge.score(row):.2f}"))
    if row.confidence is not None:
        lines.append(("confidence", f"{row.confidence:.2f}"))
    return {"pictures": pictures, "facts": lines + ([("frames", note)] if note else [])}


def frames(media: str | None, folder: Path, name: str, root: Path | None, count: int = 3) -> tuple[list[str], str]:
    """(files of small frames in `folder`, why there are none). Only files below `root` are opened."""
    from PIL import Image

    from affectgpt import media as reader

    if not media:
        return [], ""
    path = Path(media)
    if root is None or not path.resolve().is_relative_to(root.resolve()):
        return [], "not shown: the file is not below --media-root"
    try:
        images = reader.read_frames(path, count, max_side=320).images
    except reader.MediaError as error:
        return [], page.clean(f"not shown: {error}", 200)
    files = []
    for place, image in enumerate(images):
        files.append(f"{name}_{place}.jpg")
        Image.fromarray(image).save(folder / files[-1], quality=82)
    return files, ""


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
