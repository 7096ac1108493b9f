"""Textualized baselines: clips as words, classified by an encoder, an LLM, a prompt or pairs of basic emotions.

    affectgpt textualized RECIPE [key=value ...] [--dry-run]
    python train/textualized.py textualized-meld corpus.root=DIR

All splits of `protocol` and all `seeds` are run: trained on the training clips, chosen on the validation clips alone,
and the test clips' predictions written to OUTPUT/NAME/SPLIT/seed-N. A run that is whole is not done again, one that was
killed goes on from its last checkpoint.

examples:
  affectgpt textualized textualized-meld corpus.root=/data/MELD
  affectgpt textualized textualized-meld corpus.root=/data/MELD text.context_turns=0 text.max_tokens=64 name=words
  affectgpt textualized textualized-cexpr corpus.root=/data/C-EXPR-DB protocol=paper
  affectgpt textualized textualized-cexpr corpus.root=/data/C-EXPR-DB initial=runs/meld/textualized-meld
  affectgpt textualized textualized-cexpr corpus.root=/data/C-EXPR-DB kind=compound-from-basic name=from-basic \\
      initial=runs/meld/textualized-meld
  affectgpt textualized my.yaml text.texts=texts.jsonl text.wording=template text.cues=speech,units,tone
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.baselines.predictions import Prediction, is_whole, read_runs, run_folder, write_predictions
from affectgpt.baselines.settings import load_settings, settings_to_dict
from affectgpt.baselines.split import Split, classes_of, splits_of, target_of
from affectgpt.baselines.text_settings import TextualizedSettings
from affectgpt.errors import quiet_libraries, run_cli
from affectgpt.terminal import parse_intermixed, printable


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt textualized", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe (textualized-meld)")
    parser.add_argument("overrides", nargs="*", metavar="key=value",
                        help="settings to change; all of them: affectgpt/baselines/text_settings.py and settings.py")
    parser.add_argument("--dry-run", action="store_true", help="show splits, classes and sizes of texts, and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    settings = load_settings(TextualizedSettings, options.recipe, options.overrides)
    run(settings, options.dry_run)
    return 0


def run(settings: TextualizedSettings, dry_run: bool = False) -> dict | None:
    """All splits and seeds of a recipe; prints and returns the scores (`baselines.scores.score_runs`).

    Raises:
        ValueError: whatever of the corpus, the texts or the model cannot be used.
    """
    from affectgpt.baselines.folds import split_notes
    from affectgpt.baselines.scores import groups_of, majority_answers, print_scores, score_runs
    from affectgpt.data.readers import reader_of

    quiet_libraries()
    splits = splits_of(settings.corpus, settings.protocol)
    classes = classes_of(splits, reader_of(settings.corpus.reader, "corpus").corpus)
    if settings.corpus.labels:
        check_classes(settings.corpus.labels, classes, "corpus.labels")
        classes = tuple(settings.corpus.labels)
    for note in split_notes(splits, classes):
        print(note, file=sys.stderr, flush=True)
    texts = read_cues(settings)
    if dry_run:
        show_sizes(settings, splits, classes, texts)
        return None
    if settings.threads:
        import torch

        torch.set_num_threads(settings.threads)
    total, done = len(splits) * len(settings.seeds), 0
    for split in splits:
        for seed in settings.seeds:
            started, done = time.monotonic(), done + 1
            folder = run_folder(settings.output, settings.name, split.name, seed)
            there = is_whole(folder)
            run_split(settings, split, classes, seed, folder, texts)
            what = "was there" if there else f"took {time.monotonic() - started:.1f} s"
            print(f"run {done} of {total}: {printable(str(folder))} {what}", flush=True)
    runs = read_runs(settings.output, settings.name, [split.name for split in splits], settings.seeds)
    tested = [clip for split in splits for clip in split.test]
    scores = score_runs(runs, classes, groups_of(tested), majority_answers(splits))
    print_scores(settings.name, scores)
    return scores


def run_split(settings: TextualizedSettings, split: Split, classes: Sequence[str], seed: int, folder: str | Path,
              texts: Mapping | None = None) -> Path:
    """One system on one split with one seed; returns `folder`, with the predictions of the test clips.

    Args:
        classes: to choose from, in the order of their numbers.
        texts: `Clip.key` -> its row of a texts file (`textualize.texts.read_texts`); None reads `text.texts`.
    Raises:
        ValueError: a clip of none of the classes, or what `run` raises; a folder that is whole and of other settings.
    """
    folder = Path(folder)
    if is_whole(folder):
        _check_whole(folder, settings, seed)
        return folder
    started = time.monotonic()
    from affectgpt.baselines.texts import texts_of
    from affectgpt.metrics.basic import weighted_f1
    from affectgpt.train.text_systems import SYSTEMS

    rows = texts if texts is not None else read_cues(settings)
    parts, labels, notes = {}, {}, []
    for name in ("train", "validation", "test"):
        clips = getattr(split, name)
        if not clips:
            raise ValueError(f"split {split.name} has no {name} clips")
        labels[name] = [target_of(clip) for clip in clips]
        check_classes(labels[name], classes, f"split {split.name}")
        parts[name], missing = texts_of(clips, split.clips, settings.text, rows)
        notes += [f"{name}: {note}" for note in missing]
    there = Counter(labels["train"])
    notes += [f"class {name} never occurs in training" for name in classes if not there[name]]
    if len(there) == 1:
        notes.append(f"all training clips are {next(iter(there))}")
    found = SYSTEMS[settings.kind](settings, parts, labels, list(classes), seed, folder)
    said = found["validation"]["predicted"]
    predictions = [
        Prediction(clip.key, target, predicted, shares)
        for clip, target, predicted, shares in zip(split.test, labels["test"], found["test"]["predicted"],
                                                   found["test"]["shares"], strict=True)]
    return write_predictions(folder, predictions, {
        "system": settings.name, "split": split.name, "seed": seed, "classes": list(classes),
        "validation_weighted_f1": weighted_f1(labels["validation"], said), "train_clips": len(split.train),
        "validation_clips": len(split.validation), "seconds": round(time.monotonic() - started, 1),
        "notes": notes + found.get("notes", []), **found.get("facts", {}), "settings": settings_to_dict(settings)})


def read_cues(settings: TextualizedSettings) -> dict | None:
    """The rows of `text.texts`; None where the words of the corpus are all."""
    from affectgpt.textualize.texts import read_texts

    return read_texts(settings.text.texts) if settings.text.texts else None


def check_classes(names: Sequence[str], classes: Sequence[str], where: str) -> None:
    """Raise ValueError for a name that is none of the classes."""
    unknown = sorted({str(name) for name in names} - set(classes))
    if unknown:
        raise ValueError(f"{where}: class {unknown[0]!r} is not known; there are {', '.join(classes)}")


def show_sizes(settings: TextualizedSettings, splits: Sequence[Split], classes: Sequence[str],
               rows: Mapping | None) -> None:
    """Print what would be run: clips and classes of each split, tokens of the texts, one of them."""
    from affectgpt.baselines.text_model import tokenizer_of
    from affectgpt.baselines.texts import TextEncoder, texts_of

    print(f"{settings.name}: {settings.kind} {settings.model.source}, {settings.model.train}; "
          f"{len(splits)} splits x {len(settings.seeds)} seeds")
    for split in splits:
        print(f"{split.name}: {len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test")
        counts = Counter(target_of(clip) for clip in split.train)
        print(f"  in training: {', '.join(f'{name} {counts[name]}' for name in classes)}")
    texts, notes = texts_of(splits[0].train, splits[0].clips, settings.text, rows)
    if settings.kind == "compound-from-basic":
        print(f"text of {texts[0].key}: {printable(texts[0].text)}")
        return
    encode = TextEncoder(tokenizer_of(settings.model), settings.text.max_tokens, settings.kind == "encoder")
    lengths = sorted(len(encode(text)["input_ids"]) for text in texts)
    middle, high = lengths[len(lengths) // 2], lengths[len(lengths) * 95 // 100]
    print(f"tokens of a text: {middle} in the middle, 95 % up to {high}, longest {lengths[-1]}; {encode.cut} of "
          f"{len(texts)} are cut to text.max_tokens={settings.text.max_tokens}")
    for note in notes:
        print(f"note: {note}")
    example = next((text for text in texts if text.context), texts[0])
    print(f"text of {example.key}: {printable(' | '.join((*example.context, example.text)))}")


def _check_whole(folder: Path, settings: TextualizedSettings, seed: int) -> None:
    """Raise ValueError where a folder holds what other settings predicted."""
    from affectgpt.baselines.predictions import FACTS

    before = json.loads((folder / FACTS).read_text(encoding="utf-8"))
    now = json.loads(json.dumps(settings_to_dict(settings)))
    free = {"seeds", "output", "device", "threads", "description"}
    old = before.get("settings") or {}
    changed = sorted(key for key in now if key not in free and key != "corpus" and old.get(key) != now[key])
    if changed or before.get("seed") != seed:
        raise ValueError(f"{folder}: holds predictions of other settings ({', '.join(changed) or 'seed'}): give "
                         "another name or output, or remove that folder")


if __name__ == "__main__":
    sys.exit(run_cli(main))
