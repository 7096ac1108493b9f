"""Label accuracy of a model for every subset of its streams, and whether it names conflicts.

    affectgpt evaluate runs/starter/model --corpus runs/starter/corpus/manifest.jsonl
    affectgpt evaluate runs/ravdess-audio/model --corpus ravdess:/data/ravdess_audio --probe

The prediction is the basic emotion of the first label of the answer to "List the person's emotions.", read as
`affectgpt label` reads it; answers.jsonl has rows as `generate` and `label` write them, for `score` and `report`. An
answer without a known label is wrong. Nothing is chosen here: the model folder holds what validation chose.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.data import prompts
from affectgpt.data.clip import spoken
from affectgpt.errors import run_cli
from affectgpt.files import atomic_write_json, atomic_write_text, write_jsonl
from affectgpt.metrics.basic import accuracy, macro_f1, majority_share
from affectgpt.metrics.label_lists import parse_labels
from affectgpt.metrics.stats import fisher_greater, wilson_interval
from affectgpt.models.streams import MEDIA_STREAMS
from affectgpt.words import lexicon

if TYPE_CHECKING:
    from affectgpt.inference import Reply


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt evaluate", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="model folder")
    parser.add_argument("--corpus", required=True, help="manifest, or READER:PATH")
    parser.add_argument("--root", metavar="DIR", help="folder that the manifest's media paths start from (default: the "
                        "manifest's own)")
    parser.add_argument("--split", default="test", help="split to score (default: test)")
    parser.add_argument("--output", help="folder of results (default: evaluation beside the model)")
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--limit", type=int, help="score only the first N clips of the split")
    parser.add_argument("--max-skip-ratio", type=float, default=0.005,
                        help="share of clips that may be unreadable before the job stops (default: 0.005)")
    parser.add_argument("--probe", action="store_true", help="also fit a linear probe on the encoder features")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    results = evaluate(options.model, options.corpus, options.split, options.output, options.batch_size,
                       options.limit, options.probe, options.max_skip_ratio, options.root)
    print(results["table"])
    print(f"\nresults: {results['folder']}\nnext:    affectgpt describe CLIP --model {options.model}")
    return 0


def evaluate(model: str, corpus: str, split: str = "test", output: str | None = None, batch_size: int = 32,
             limit: int | None = None, probe: bool = False, max_skip_ratio: float = 0.005,
             root: str | None = None) -> dict:
    """Score a model folder on a split; write results.json, answers.jsonl, results.md and results.png."""
    from affectgpt.data.readers import read_corpora
    from affectgpt.errors import quiet_libraries
    from affectgpt.eval import plots
    from affectgpt.inference import Describer

    if batch_size < 1 or (limit is not None and limit < 1):
        raise ValueError(f"--batch-size is {batch_size} and --limit is {limit}: use 1 or more")
    started = time.time()
    quiet_libraries()
    corpus_clips = read_corpora([corpus], root)
    clips = [clip for clip in corpus_clips if clip.split == split][:limit]
    if not clips:
        known = ", ".join(sorted({clip.split or "(none)" for clip in corpus_clips}))
        raise ValueError(f"--split {split}: no clip of {corpus} has this split; it has {known}")
    describer = Describer(model)
    folder = Path(output) if output else Path(model).parent / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    # Encoders that were trained, or that have no name, are those of the model's own folder.
    own_encoders = describer.trained_encoders or describer.processor.config.bundled
    weights = model if own_encoders else None
    inputs = stored_features(describer, clips, folder / "features", weights, max_skip_ratio, f"features of {split}")
    clips = [clip for clip in clips if clip.key in inputs]
    single = [clip for clip in clips if target_of(clip) and not clip.targets.conflict]
    if not single:
        raise ValueError(f"{corpus}: no readable clip of split {split} has a single known emotion to score")
    conflicts = [clip for clip in clips if clip.targets.conflict]
    answers, subsets = [], {}
    for visible in stream_subsets(describer, clips, inputs):
        name = "+".join(visible)
        replies = ask(describer, single, inputs, visible, "labels", batch_size, f"labels from {name}")
        rows = labelled([row_of(clip, visible, "labels", reply, target_of(clip))
                         for clip, reply in zip(single, replies, strict=True)])
        subsets[name] = score(single, [row["prediction"] for row in rows], visible)
        answers += rows
    results = {"model": str(model), "corpus": corpus, "split": split, "clips": len(single),
               "chance": 1 / len({target_of(clip) for clip in single}),
               "majority": majority_share([target_of(clip) for clip in single]), "subsets": subsets}
    if conflicts:
        results["conflict"], rows = judge_conflicts(describer, single, conflicts, inputs, batch_size)
        answers += rows
    if probe:
        from affectgpt.eval.probe import linear_probe

        results["probe"] = linear_probe(describer, corpus_clips, clips, inputs, folder, weights)
    results["cut_off"] = sum(row["cut_off"] for row in answers)
    results["seconds"] = round(time.time() - started, 1)
    write_jsonl(folder / "answers.jsonl", answers)
    atomic_write_json(folder / "results.json", results)
    table = as_table(results)
    atomic_write_text(folder / "results.md", table + "\n")
    plots.subset_bars(results, folder / "results.png")
    return {**results, "table": table, "folder": folder}


def stored_features(describer, clips, folder: Path, weights: str | None, max_skip_ratio: float, title: str):
    """The encoder features of clips; a folder below `folder` for each encoder and preprocessing keeps them."""
    from affectgpt.features.extract import extract
    from affectgpt.features.key import settings_key, store_settings
    from affectgpt.features.store import FeatureStore

    config = describer.processor.config
    options = {"transcribe": describer.transcribe, "weights": weights}
    store = folder / settings_key(store_settings(config, **options))
    extract(describer.model, describer.processor, clips, store, workers=1, max_skip_ratio=max_skip_ratio,
            title=title, **options)
    return FeatureStore.open(store, config, clips, **options)


def target_of(clip) -> str | None:
    """Basic emotion of a clip with one emotion; None where it has none or several."""
    if clip.targets.emotion:
        return lexicon.load().basic_emotion(clip.targets.emotion)
    return prompts.first_basic(clip.targets.labels) if len(clip.targets.labels) == 1 else None


def stream_subsets(describer, clips, inputs) -> list[list[str]]:
    """All subsets of audio, face, frame and words that the model looks at and the corpus has."""
    config = describer.processor.config
    there = [stream for stream in MEDIA_STREAMS if stream in config.streams
             and any(getattr(inputs[clip.key], stream) is not None for clip in clips)]
    if "text" in config.streams and any(spoken(clip.words) for clip in clips):
        there.append("text")
    return [list(subset) for size in range(1, len(there) + 1) for subset in itertools.combinations(there, size)]


def ask(describer, clips, inputs, visible: list[str], kind: str, batch_size: int, title: str) -> list[Reply]:
    """Answers for clips of which only `visible` streams are shown."""
    from tqdm import tqdm

    question = prompts.question_of(kind, describer.processor.config.prompt_style)
    hidden = tuple(stream for stream in (*MEDIA_STREAMS, "text") if stream not in visible)
    samples = [describer.processor.inference_sample(inputs[clip.key], question, hidden) for clip in clips]
    # Clips of like length share a batch, so that little of it is padding; the order is restored afterwards.
    order = sorted(range(len(samples)), key=lambda index: len(samples[index]["input_ids"]))
    replies: dict[int, Reply] = {}
    produced = describer.replies([samples[index] for index in order], batch_size)
    for index, reply in zip(order, tqdm(produced, total=len(order), desc=title, unit="clip"), strict=True):
        replies[index] = reply
    return [replies[index] for index in range(len(samples))]


def row_of(clip, visible: list[str], question: str, reply: Reply, target, **more) -> dict:
    """One line of answers.jsonl, as `affectgpt generate` writes them."""
    return {"name": clip.key, "corpus": clip.corpus, "split": clip.split, "target": target, "response": reply.text,
            "question": question, "streams": visible, "cut_off": reply.cut_off, **more}


def labelled(rows: list[dict]) -> list[dict]:
    """Rows with what `affectgpt label` reads of them, and `prediction`: the basic emotion of the first label."""
    from affectgpt.eval.label import Labeller

    rows = Labeller("auto", "answer", None, Counter()).label(rows)
    return [row | {"prediction": prompts.first_basic(parse_labels(row.get("labels_raw", "")))} for row in rows]


def score(clips, predictions: list[str | None], visible: list[str]) -> dict:
    """Accuracy and macro-F1 on all clips, and accuracy on those whose emotion a visible stream carries."""
    targets = [target_of(clip) for clip in clips]
    hits = sum(t == p for t, p in zip(targets, predictions, strict=True))
    carried = [index for index, clip in enumerate(clips)
               if not clip.targets.cues or set(clip.targets.carriers) & set(visible)]
    carried_hits = sum(targets[index] == predictions[index] for index in carried)
    return {"accuracy": accuracy(targets, predictions), "interval": wilson_interval(hits, len(targets)),
            "macro_f1": macro_f1(targets, predictions), "clips": len(targets),
            "carried_accuracy": carried_hits / len(carried) if carried else None,
            "carried_interval": wilson_interval(carried_hits, len(carried)), "carried_clips": len(carried),
            "without_label": sum(prediction is None for prediction in predictions)}


def judge_conflicts(describer, single, conflicts, inputs, batch_size: int) -> tuple[dict, list[dict]]:
    """How often descriptions of conflicting and of agreeing clips say that streams disagree."""
    agreeing = single[: len(conflicts)]
    visible = [stream for stream in ("audio", "face", "text") if stream in describer.processor.config.streams]
    replies = ask(describer, conflicts + agreeing, inputs, visible, "description", batch_size, "descriptions")
    answers = [prompts.parse_answer(reply.text, reply.cut_off) for reply in replies]
    named = [answer.names_conflict for answer in answers]
    hits, alarms = sum(named[: len(conflicts)]), sum(named[len(conflicts):])
    both = sum(set(clip.targets.cues.values()) - {"neutral"} <= set(map(lexicon.load().basic_emotion, answer.labels))
               for clip, answer in zip(conflicts, answers, strict=False))
    rows = [row_of(clip, visible, "description", reply, list(clip.targets.labels), conflict=clip.targets.conflict,
                   names_conflict=names)
            for clip, reply, names in zip(conflicts + agreeing, replies, named, strict=True)]
    rows = labelled(rows)
    return {"conflict_clips": len(conflicts), "named": hits / len(conflicts),
            "named_interval": wilson_interval(hits, len(conflicts)), "both_labels": both / len(conflicts),
            "agreeing_clips": len(agreeing), "false_alarms": alarms / len(agreeing),
            "chance": sum(named) / len(named),
            "p_value": fisher_greater(hits, len(conflicts), alarms, len(agreeing))}, rows


def as_table(results: dict) -> str:
    """Markdown table of the results."""
    lines = [f"Chance {results['chance']:.2f}, majority {results['majority']:.2f}, {results['clips']} clips of "
             f"`{results['split']}`.", "",
             "| input | accuracy (95 % interval) | macro-F1 | where the input carries the emotion |",
             "|---|---|---|---|"]
    for name, row in results["subsets"].items():
        low, high = row["interval"]
        carried = "none" if row["carried_accuracy"] is None else \
            f"{row['carried_accuracy']:.2f} (n = {row['carried_clips']})"
        lines.append(f"| {name} | {row['accuracy']:.2f} ({low:.2f} to {high:.2f}) | {row['macro_f1']:.2f} "
                     f"| {carried} |")
    if "conflict" in results:
        row = results["conflict"]
        lines += ["", f"Conflicts: named in {row['named']:.2f} of {row['conflict_clips']} conflicting clips, in "
                      f"{row['false_alarms']:.2f} of {row['agreeing_clips']} agreeing ones (p = {row['p_value']:.2g}); "
                      f"both emotions are among the labels in {row['both_labels']:.2f}."]
    if results.get("cut_off"):
        lines += ["", f"{results['cut_off']} answers were ended by their length, not by the model."]
    if "probe" in results:
        lines += ["", *(f"Linear probe on {name}: accuracy {row['accuracy']:.2f}, macro-F1 {row['macro_f1']:.2f}."
                        for name, row in results["probe"].items())]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_cli(main))
