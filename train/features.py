"""The feature-based baseline: sequences of frozen encoders, temporal convolutions, a fusion head.

    affectgpt features features-ravdess corpus.root=/path/to/ravdess_audio
    affectgpt features features-starter use=audio head=concatenation output=runs/features-audio

Features are computed once, a store a stream, and kept in `features`; every split of `protocol` and every seed is then
trained, chosen on its validation clips and tested. Started again, it goes on where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from affectgpt.baselines.fusion_settings import FusionSettings
from affectgpt.baselines.predictions import Prediction, is_whole, read_predictions, write_predictions
from affectgpt.baselines.settings import load_settings, settings_to_dict
from affectgpt.baselines.split import ON_TEST, Split, classes_of, splits_of, target_of
from affectgpt.errors import quiet_libraries
from affectgpt.terminal import parse_intermixed, printable

NO_INPUT = "none of the streams was found"


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt features", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change, e.g. head=can")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    run(load_settings(FusionSettings, options.recipe, options.overrides))
    return 0


def run(settings: FusionSettings) -> dict:
    """All splits and seeds; returns their scores, which are printed too.

    Raises:
        ValueError: a corpus that cannot be split so, or an output that holds runs with other settings.
    """
    from affectgpt.baselines.scores import groups_of, majority_answers, print_scores, score_runs
    from affectgpt.data.readers import reader_of

    quiet_libraries()
    splits = splits_of(settings.corpus, settings.protocol)
    classes = classes_of(splits, reader_of(settings.corpus.reader, "corpus.reader").corpus)
    splits = splits[: settings.folds or None]
    prepared, runs, facts = None, {}, []
    for number, split in enumerate(splits):
        if split.chosen_on_test and not number:
            print(f"warning: protocol {settings.protocol}: {ON_TEST}", file=sys.stderr, flush=True)
        for seed in settings.seeds:
            folder = Path(settings.output) / split.name / f"seed-{seed}"
            if not is_whole(folder):
                if prepared is None:
                    prepared = Prepared(settings, [clip for one in splits for clip in one.clips])
                run_split(settings, split, classes, seed, folder, prepared)
            rows, told = read_predictions(folder)
            check_same(settings, told, folder)
            runs.setdefault(seed, []).extend(rows)
            facts.append(told)
    tested = list({clip.key: clip for split in splits for clip in split.test}.values())
    scores = score_runs(runs, classes, groups_of(tested), majority_answers(splits))
    print_scores(settings.name, scores)
    for name in ("accuracy", "macro_f1", "weighted_f1"):
        mean = sum(one["frame_level"][name] for one in facts) / len(facts)
        scores.setdefault("frame_level", {})[name] = mean
    print(f"  frame level, mean of the runs: {', '.join(f'{k} {v:.3f}' for k, v in scores['frame_level'].items())}")
    return scores


def check_same(settings: FusionSettings, told: dict, folder: Path) -> None:
    """Refuse predictions that other settings made.

    Raises:
        ValueError: names the first setting that differs.
    """
    now = json.loads(json.dumps(_deciding(settings)))
    for key, value in now.items():
        if key in told["settings"] and told["settings"][key] != value:
            raise ValueError(f"{folder}: was made with {key}={told['settings'][key]!r}, and {key}={value!r} is asked "
                             "for: choose another output, or remove this folder")


def _deciding(settings: FusionSettings) -> dict:
    """The settings that predictions depend on."""
    beside = ("description", "seeds", "output", "features", "workers", "folds", "device", "threads")
    return {key: value for key, value in settings_to_dict(settings).items() if key not in beside}


class Prepared:
    """The streams of clips at one time line, computed or read once for all splits and seeds.

    Attributes:
        widths: stream -> width.
        variants: clip key -> `Aligned`, at the sound's own speed and then at each of `settings.speeds`.
        notes: what the user should know, a line each.
    """

    def __init__(self, settings: FusionSettings, clips: Sequence):
        import torch

        from affectgpt.baselines.sequence_set import align_all, widths_of
        from affectgpt.environment import process_device
        from affectgpt.features.sequences import sequences_of

        if settings.threads:
            torch.set_num_threads(settings.threads)
        clips = list({clip.key: clip for clip in clips}.values())
        device = process_device(settings.device, "device=")
        folder = settings.features or Path(settings.output) / "features"
        speeds = [speed for speed in settings.speeds if speed != 1.0]
        if not any(spec.source == "audio" for spec in settings.used):
            speeds = []
        self.variants = []
        for speed in (1.0, *speeds):
            found = sequences_of(clips, settings.used, folder, device, settings.workers, speed=speed)
            pooled = settings.head == "statistics"
            self.variants.append(align_all(found, settings.used, pooled))
            if speed == 1.0:
                self.widths = widths_of(self.variants[0], settings.used)
                self.why = dict(found.notes)
                self.notes = found.note_lines()
        without = [clip.key for clip in clips if clip.key not in self.variants[0]]
        if without:
            self.notes.append(f"{len(without)} clips without any stream, such as {without[0]}: not trained on, and "
                              "no answer for them")
        for note in self.notes:
            print(f"note: {printable(note)}", file=sys.stderr, flush=True)


def run_split(settings: FusionSettings, split: Split, classes: Sequence[str], seed: int, folder: str | Path,
              prepared: Prepared | None = None) -> Path:
    """Train on a split's training clips, choose on its validation clips, and write what is said of its test clips.

    Does nothing where the folder is whole.

    Raises:
        ValueError: no training or validation clip has any stream.
    """
    import torch

    from affectgpt.baselines.fusion_model import FusionModel
    from affectgpt.baselines.sequence_set import Collate, SequenceSet
    from affectgpt.environment import process_device
    from affectgpt.train.classify import discard, fit

    folder, started = Path(folder), time.monotonic()
    if is_whole(folder):
        return folder
    prepared = prepared or Prepared(settings, split.clips)
    notes = list(prepared.notes)
    at = {name: number for number, name in enumerate(classes)}
    own = prepared.variants[0]
    parts = {name: [clip for clip in getattr(split, name) if clip.key in own] for name in ("train", "validation")}
    for name, clips in parts.items():
        if not clips:
            raise ValueError(f"split {split.name}: no clip to {name.replace('validation', 'validate').rstrip('e')} on "
                             f"has any of {', '.join(prepared.widths)}")
    trained = Counter(target_of(clip) for clip in parts["train"])
    if absent := [name for name in classes if not trained[name]]:
        notes.append(f"split {split.name}: no training clip is {', '.join(absent)}, so none will be said to be")
    if len(trained) == 1:
        notes.append(f"split {split.name}: all training clips are {next(iter(trained))}: nothing can be told apart")
    for note in notes[len(prepared.notes):]:
        print(f"note: {printable(note)}", file=sys.stderr, flush=True)

    def samples(clips: Sequence, variants: list, cut=None) -> SequenceSet:
        return SequenceSet([clip.key for clip in clips], [at[target_of(clip)] for clip in clips], variants,
                           list(prepared.widths), cut, seed)

    heard = [one for one in prepared.variants if all(clip.key in one for clip in parts["train"])]
    train_set = samples(parts["train"], heard, (settings.window, settings.hop))
    validation_set = samples(parts["validation"], [own])
    collate = Collate(prepared.widths)
    torch.manual_seed(seed)
    model = FusionModel(prepared.widths, len(classes), settings)
    weighed = [at[target_of(clip)] for clip in parts["train"]] if settings.fit.class_weights == "balanced" else ()
    model.fit_statistics((own[clip.key].streams for clip in parts["train"]), weighed)
    own_settings = replace(settings.fit, class_weights="none", label_smoothing=0.0)  # the model's own loss has them
    result = fit(model, train_set, validation_set, collate, own_settings, folder / "fit", seed, device=settings.device,
                 facts=_deciding(settings), quiet=True)
    rows, frames = predict(model, split.test, own, at, collate, process_device(settings.device, "device="),
                           prepared.why)
    write_predictions(folder, rows, {
        "system": settings.name, "split": split.name, "seed": seed, "classes": list(classes),
        "validation_weighted_f1": result.scores["weighted_f1"], "validation": result.scores,
        "frame_level": frames, "train_clips": len(parts["train"]), "validation_clips": len(parts["validation"]),
        "parameters": sum(one.numel() for one in model.parameters()), "best_step": result.best_step,
        "steps": result.steps, "notes": notes, "chosen_on_test": split.chosen_on_test,
        "seconds": round(time.monotonic() - started, 2), "settings": _deciding(settings)})
    discard(folder / "fit")
    return folder


def predict(model, clips: Sequence, own: dict, at: dict[str, int], collate, device: str,
            why: dict) -> tuple[list[Prediction], dict[str, float]]:
    """(an answer a clip, scores at frame level); a clip without any stream has no answer."""
    import torch

    from affectgpt.baselines.decisions import level_scores
    from affectgpt.baselines.sequence_set import SequenceSet
    from affectgpt.models.collate import to_device

    classes, rows = list(at), []
    targets, said = [], []
    model.to(device).eval()
    for clip in clips:
        target = target_of(clip)
        missing = "; ".join(f"{stream}: {reason}" for (key, stream), reason in why.items() if key == clip.key)
        if clip.key not in own:
            rows.append(Prediction(clip.key, target, None, {}, f"{NO_INPUT} ({missing})" if missing else NO_INPUT))
            continue
        sample = SequenceSet([clip.key], [at[target]], [own], model.streams)[0]
        with torch.no_grad():
            output = model(**to_device(collate([sample]), device))
        shares = output.logits[0].double().softmax(-1).tolist()
        frames = output.frames[0][output.mask[0]].argmax(-1).tolist()
        targets += [target] * len(frames)
        said += [classes[number] for number in frames]
        best = max(range(len(shares)), key=shares.__getitem__)
        rows.append(Prediction(clip.key, target, classes[best], dict(zip(classes, shares, strict=True)), missing))
    return rows, level_scores(targets, said)
