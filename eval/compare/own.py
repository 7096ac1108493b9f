"""AffectGPT as a row: trained on each split, or a ready model folder; asked which class a test clip shows."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from affectgpt.baselines.predictions import Prediction, is_whole, write_predictions
from affectgpt.baselines.split import Split, target_of
from affectgpt.config.sections import CorpusSection
from affectgpt.data.clip import Clip, Targets, spoken
from affectgpt.data.corpora import Corpus
from affectgpt.eval.compare.settings import SystemSection
from affectgpt.eval.compare.systems import Missing, Place, Runner, without_media
from affectgpt.files import write_jsonl
from affectgpt.words import lexicon

SKIPPED = 0.5
"""Share of clips that may be unreadable: each of them is a wrong answer with its reason, which the table counts."""


def class_of(text: str, classes: Sequence[str], cut_off: bool = False) -> str | None:
    """The class that an answer names, None where it names none.

    The first label that is a class counts; else the first whose basic emotion is that of one class alone; else, of
    compound classes, the one of which the labels name both parts.
    """
    from affectgpt.data.prompts import parse_answer

    labels = parse_answer(text, cut_off).labels
    exact = next((label for label in labels if label in classes), None)
    if exact is not None:
        return exact
    basic = lexicon.load().basic_emotion
    named = [found for found in map(basic, labels) if found]
    of_basic: dict[str, list[str]] = {}
    for name in classes:
        of_basic.setdefault(basic(name) or name, []).append(name)
    alone = next((of_basic[word][0] for word in named if len(of_basic.get(word, ())) == 1), None)
    if alone is not None and len(alone.split()) == 1:
        return alone
    whole = [name for name in classes if len(name.split()) == 2 and _parts(name) <= set(named)]
    return whole[0] if len(whole) == 1 else None


def _parts(name: str) -> set[str]:
    """"fearfully surprised" -> {"fearful", "surprised"}."""
    from affectgpt.data.readers.cexpr import part_of

    basic = lexicon.load().basic_emotion
    return {basic(part_of(word)) or word for word in name.split()}


def train_and_ask(section: SystemSection, key: str, place: Place) -> Runner:
    """The runner of an AffectGPT that is trained on each split, by a training recipe."""
    from affectgpt.train.sft import check_parts

    recipe = _recipe(section, place)
    check_parts(recipe)
    sees = reads_media(recipe)
    if sees and (lacking := without_media(place.clips)):
        raise Missing(lacking)

    def run(split: Split, seed: int, folder: Path) -> Path:
        from affectgpt.train import sft

        if is_whole(folder):
            return folder
        started, work = time.time(), folder / "training"
        own = _recipe(section, place)
        parts = {"train": split.train, "validation": split.validation}
        own.data.corpora, own.data.manifests = [_manifest(parts, place, work, sees)], []
        own.data.store = _store(own, place, place.folder / key / "features") if sees else None
        own.train.seed, own.train.output = seed, str(work)
        own.validate()
        trained = sft.run(own)
        rows = ask(trained, split.test, section.question, own.data.store, place, sees)
        shutil.rmtree(work / "checkpoints", ignore_errors=True)  # the model is kept, what it could go on from is not
        return write_predictions(folder, rows, facts_of(section, key, split, seed, place, started))

    return run


def reads_media(recipe) -> bool:
    """Whether a model of this recipe looks or listens."""
    return set(recipe.model.with_preset().streams) != {"text"}


def _recipe(section: SystemSection, place: Place):
    from affectgpt.config import load_recipe

    recipe = load_recipe(section.recipe, section.settings)
    recipe.data.questions, recipe.data.questions_together = {section.question: 1.0}, False
    recipe.train.device, recipe.train.threads = place.recipe.device, place.recipe.threads
    return recipe


def _root(place: Place) -> Path | None:
    """A folder that holds all media; None where there are none."""
    folders = {str(path.absolute().parent) for clip in place.clips for path in (clip.media, clip.audio, clip.face)
               if path}
    return Path(os.path.commonpath(folders)) if folders else None


def shown(clips: Sequence[Clip], sees: bool) -> list[Clip]:
    """What a model is shown of clips: all of it, or where it does not look or listen the words of those that have
    some, so that their files need not be there."""
    if sees:
        return list(clips)
    return [replace(clip, media=None, audio=None, face=None, start=None, end=None) for clip in clips
            if spoken(clip.words)]


def _manifest(parts: Mapping[str, Sequence[Clip]], place: Place, folder: Path, sees: bool) -> CorpusSection:
    """Split -> clips, as a manifest."""
    from affectgpt.data.readers.manifest import clip_to_row

    root = _root(place) if sees else None
    rows = [clip_to_row(replace(clip, split=name, targets=replace(clip.targets, emotion=target_of(clip))),
                        root or folder) for name, clips in parts.items() for clip in shown(clips, sees)]
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "manifest.jsonl"
    write_jsonl(file, rows)
    return CorpusSection("manifest", str(file), labels=list(place.classes),
                         options={"root": str(root)} if root else {})


def _store(recipe, place: Place, folder: Path) -> str:
    """A store with the features of all clips, which all splits and seeds share; filled once."""
    from affectgpt.train import extract_features

    corpus = _manifest({"train": place.clips}, place, folder, True)
    everything = replace(recipe, data=replace(recipe.data, corpora=[corpus], manifests=[], store=None))
    extract_features.run(everything, folder)
    return str(folder)


def ask_ready(section: SystemSection, key: str, place: Place) -> Runner:
    """The runner of a ready model folder."""
    from affectgpt.model_folder import check_model_folder

    try:
        check_model_folder(section.recipe)
    except ValueError as error:
        raise Missing(str(error)) from error
    if lacking := without_media(place.clips):
        raise Missing(lacking)

    def run(split: Split, seed: int, folder: Path) -> Path:
        if is_whole(folder):
            return folder
        started = time.time()
        rows = ask(section.recipe, split.test, section.question, None, place)
        return write_predictions(folder, rows, facts_of(section, key, split, seed, place, started, trained=False))

    return run


def ask(folder: str | Path, clips: Sequence[Clip], question: str, store: str | None, place: Place,
        sees: bool = True) -> list[Prediction]:
    """A model's class for each clip; a clip that cannot be read or shows nothing has a note instead.

    Args:
        question: kind of the question.
        store: features of the clips; None makes them, kept beside the protocol's predictions.
        sees: whether the model looks or listens.
    """
    from affectgpt.data.prompts import question_of
    from affectgpt.eval.accuracy import stored_features
    from affectgpt.features.store import FeatureStore
    from affectgpt.inference import Describer

    describer = Describer(folder, place.recipe.device)
    config = describer.processor.config
    weights = str(folder) if describer.trained_encoders or config.bundled else None
    classes, visible = place.classes, shown(clips, sees)
    if store is None:
        inputs = stored_features(describer, visible, place.folder / "features-asked", weights, SKIPPED,
                                 "features of test clips")
    else:
        inputs = FeatureStore.open(Path(store), config, visible, transcribe=describer.transcribe)
    record = Corpus(place.recipe.corpus.reader, "", "", "", labels=tuple(classes))
    text = question_of(question, config.prompt_style, corpus=record, targets=Targets(emotion=classes[0]))
    there = [clip for clip in visible if clip.key in inputs]
    samples = [describer.processor.inference_sample(inputs[clip.key], text, ()) for clip in there]
    without = "the clip cannot be read" if sees else "nothing is said in this clip"
    rows = {clip.key: Prediction(clip.key, target_of(clip), None, note=without) for clip in clips}
    for clip, reply in zip(there, describer.replies(samples), strict=True):
        found = class_of(reply.text, classes, reply.cut_off)
        rows[clip.key] = Prediction(clip.key, target_of(clip), found, note="" if found else f"said: {reply.text[:200]}")
    return list(rows.values())


def facts_of(section: SystemSection, key: str, split: Split, seed: int, place: Place, started: float,
             trained: bool = True) -> dict:
    """What `run.json` says of a run; AffectGPT is chosen by validation loss, so there is no validation F1."""
    return {"system": key, "split": split.name, "seed": seed, "classes": list(place.classes),
            "validation_weighted_f1": None, "train_clips": len(split.train) if trained else 0,
            "validation_clips": len(split.validation) if trained else 0, "seconds": round(time.time() - started, 1),
            "settings": asdict(section)}
