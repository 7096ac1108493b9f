"""Systems of several kinds on the same clips and folds, in one table with intervals.

    affectgpt compare cexpr corpus.root=/data/cexpr
    affectgpt compare cexpr corpus.root=/data/cexpr --only words --seeds 0
    affectgpt compare cexpr corpus.root=/data/cexpr --facts

What is done is kept, one folder a system, protocol, split and seed; killed at any moment, the same command goes on.
Systems whose media or parts are not here stand in the table with the reason.
"""

from __future__ import annotations

import argparse
import itertools
import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from affectgpt.baselines import folds, scores
from affectgpt.baselines.predictions import Prediction, is_whole
from affectgpt.baselines.split import Split, classes_of, splits_of, target_of
from affectgpt.data.clip import Clip
from affectgpt.data.readers import reader_of
from affectgpt.errors import run_cli
from affectgpt.eval.compare import report
from affectgpt.eval.compare.runs import folder_of, read_system, run_all, runs_of
from affectgpt.eval.compare.settings import CompareRecipe, SystemSection, load
from affectgpt.eval.compare.systems import KINDS, TOLERATED, Maker, Missing, Place, Runner, filled, without_media
from affectgpt.files import atomic_write_json, only_writer
from affectgpt.terminal import parse_intermixed, printable

RESULTS = "results.json"
SHOWN = 10
"""Splits whose numbers are printed; all are in the file."""
TABLES = ("face.tables=", "voice.tone_folder=")
"""Settings of a textualize recipe by which cues come from files of others, without media."""


def main(arguments: list[str], kinds: Mapping[str, Maker] = KINDS) -> int:
    """Parse the command line and run the job; 2 where a system failed."""
    parser = argparse.ArgumentParser(prog="affectgpt compare", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="cexpr, meld, ravdess, starter, news, or a YAML file")
    parser.add_argument("overrides", nargs="*", metavar="key=value",
                        help="settings to change, for example corpus.root=/data/cexpr protocols=video-disjoint")
    parser.add_argument("--facts", action="store_true", help="only count what the splits hold and share")
    parser.add_argument("--only", action="append", metavar="SYSTEM", help="run this system; may be given again")
    parser.add_argument("--seeds", help="seeds to run, between commas (default: those of the recipe)")
    parser.add_argument("--limit", type=int, metavar="N", help="for a try: the first N clips of each part of a split, "
                        "written beside the real runs")
    parser.add_argument("--table", action="store_true", help="run nothing: tables of what is done already")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    recipe = load(options.recipe, options.overrides + ([f"seeds={options.seeds}"] if options.seeds else []))
    if options.limit is not None and options.limit < 1:
        raise ValueError(f"--limit is {options.limit}: use 1 or more")
    for key in options.only or ():
        if key not in recipe.systems:
            raise ValueError(f"--only {key}: no such system; there are {', '.join(recipe.systems)}")
    if options.facts:
        print_facts(recipe)
        return 0
    if options.limit:
        recipe = replace(recipe, output=f"{recipe.output}/try-{options.limit}")
    results = compare(recipe, kinds, options.only, options.limit, not options.table)
    words = [word for word in arguments if word != "--table"]
    failed = [f"{key} ({protocol})" for protocol, table in results["protocols"].items()
              for key, row in table["systems"].items() if row.get("failed")]
    if failed:
        print(f"failed:  {', '.join(failed)}")
    print(f"next:    {next_command(results, recipe, words)}")
    return 2 if failed else 0


def next_command(results: Mapping[str, Any], recipe: CompareRecipe, words: Sequence[str]) -> str:
    """What to do after a comparison."""
    rows = [row for table in results["protocols"].values() for row in table["systems"].values()]
    if any(row.get("left") for row in rows):
        kept = [word for number, word in enumerate(words)
                if word != "--only" and not (number and words[number - 1] == "--only")]
        return shlex.join(["affectgpt", "compare", *kept])
    return f"open {Path(recipe.output) / report.PAGE}"


def print_facts(recipe: CompareRecipe) -> None:
    """Print what the splits of all protocols hold; of C-EXPR-DB what its published folds are; and write facts.json."""
    found: dict[str, Any] = {}
    if recipe.corpus.reader == "cexpr" and recipe.corpus.root:
        from affectgpt.data.mixture import Part, media_root

        found["published"] = folds.cexpr_facts(media_root(Part(recipe.corpus, "corpus", [])))
        folds.print_cexpr(found["published"])
        print()
    for protocol in recipe.protocols:
        try:
            splits = splits_of(recipe.corpus, protocol)
        except ValueError as error:  # what is wrong with it was counted above, and other protocols may do without it
            print(f"{protocol}: cannot be used: {printable(str(error))}")
            continue
        classes = classes_of(splits, _record(recipe))
        found[protocol] = [folds.split_facts(split, classes) for split in splits]
        print(f"{protocol}: {len(splits)} split{'s' * (len(splits) > 1)}; clips of {', '.join(classes)}")
        for fact in found[protocol][:SHOWN]:
            print(f"  {fact['name']}: " + "; ".join(
                f"{part} {sum(fact[part].values())} ({', '.join(map(str, fact[part].values()))})"
                for part in ("train", "validation", "test")))
        if len(splits) > SHOWN:
            print(f"  ... and {len(splits) - SHOWN} more")
        for note in folds.split_notes(splits, classes):
            print(f"  {note}")
    file = Path(recipe.output) / "facts.json"
    atomic_write_json(file, found)
    print(f"\nwritten: {printable(str(file))}")


def _record(recipe: CompareRecipe):
    record = reader_of(recipe.corpus.reader, "corpus").corpus
    return replace(record, labels=tuple(recipe.corpus.labels)) if recipe.corpus.labels else record


def compare(recipe: CompareRecipe, kinds: Mapping[str, Maker] = KINDS, only: Sequence[str] | None = None,
            limit: int | None = None, train: bool = True) -> dict[str, Any]:
    """Run what is not done, score what is, and write table.md, report.html, comparison.png and results.json.

    Args:
        kinds: kind of a system -> its maker.
        only: systems to run; None runs all. Those that are done already are in the table anyway.
        limit: the first clips of each part of a split.
        train: False runs nothing.
    Returns:
        name, corpus, seeds; protocols: protocol -> {classes, clips, splits (facts), notes, majority, pairs, systems:
        key -> {title, kind, and one of scores (`baselines.scores`), missing (why it cannot be run here), failed (why it
        ended), left (runs that are still to be made)}}.
    Raises:
        ValueError: a corpus that cannot be split so, or runs of other settings in the output folder.
    """
    if recipe.threads and train:
        import torch

        torch.set_num_threads(recipe.threads)
    with only_writer(recipe.output, "compares into"):
        texts = texts_of(recipe) if train else recipe.texts
        places = [_place(recipe, protocol, limit, texts) for protocol in recipe.protocols]
        made = {place.protocol: {key: _made(kinds, section, key, place) for key, section in recipe.systems.items()}
                for place in places}
        failed = run_all(places, made, only) if train else {}
        results = {"name": recipe.name, "description": recipe.description, "corpus": recipe.corpus.reader,
                   "seeds": recipe.seeds, "limit": limit,
                   "protocols": {place.protocol: _table(place, made[place.protocol], failed) for place in places}}
        atomic_write_json(Path(recipe.output) / RESULTS, results)
        report.write(results, Path(recipe.output))
    report.show(results, Path(recipe.output))
    return results


def texts_of(recipe: CompareRecipe) -> str | None:
    """The file of cues: the one that is named, or one that is made where a recipe for it is named and it can be.

    Raises:
        ValueError: the named file is not there.
    """
    if recipe.texts:
        if not Path(recipe.texts).is_file():
            raise ValueError(f"texts={recipe.texts}: no such file; `affectgpt textualize` makes one")
        return recipe.texts
    if not recipe.textualize or all(section.kind not in ("textualized", "features")
                                    for section in recipe.systems.values()):
        return None
    from affectgpt.textualize import job
    from affectgpt.textualize.settings import load as load_textualize
    from affectgpt.textualize.texts import TEXTS

    tables = any(word.startswith(TABLES) for word in recipe.textualize_settings)
    if not tables and without_media([clip for split in splits_of(recipe.corpus, recipe.protocols[0])
                                     for clip in split.clips], TOLERATED):
        return None  # the systems say what they lack
    corpus, output = recipe.corpus, Path(recipe.output) / "texts"
    words = [f"source.corpora.0.reader={corpus.reader}", f"source.corpora.0.root={corpus.root}",
             f"source.corpora.0.options={json.dumps(corpus.options)}", f"output={output}",
             *(filled(word, recipe, None) for word in recipe.textualize_settings)]
    job.run(load_textualize(recipe.textualize, words))
    return str(output / TEXTS)


def _place(recipe: CompareRecipe, protocol: str, limit: int | None, texts: str | None) -> Place:
    splits = splits_of(recipe.corpus, protocol)
    if limit:
        splits = [Split(split.name, *(_some(part, limit) for part in (split.train, split.validation, split.test)))
                  for split in splits]
    return Place(recipe, protocol, splits, classes_of(splits, _record(recipe)), Path(recipe.output) / protocol,
                 Path(texts) if texts else None)


def _some(clips: Sequence[Clip], limit: int) -> tuple[Clip, ...]:
    """The first clips, one of each class in turn."""
    of_class: dict[str, list[Clip]] = {}
    for clip in clips:
        of_class.setdefault(target_of(clip), []).append(clip)
    turns = itertools.zip_longest(*of_class.values())
    return tuple(itertools.islice((clip for turn in turns for clip in turn if clip is not None), limit))


def _made(kinds: Mapping[str, Maker], section: SystemSection, key: str, place: Place) -> Runner | str:
    """What runs a system, or why it cannot be run here."""
    try:
        return kinds[section.kind](section, key, place)
    except Missing as error:
        return str(error)


# ---------------------------------------------------------------------------- tables


def _table(place: Place, made: Mapping[str, Runner | str], failed: Mapping[tuple[str, str], str]) -> dict[str, Any]:
    recipe, tested = place.recipe, [clip for split in place.splits for clip in split.test]
    groups = scores.groups_of(tested)
    majority = scores.majority_answers(place.splits)
    systems, runs = {}, {}
    for key, section in recipe.systems.items():
        row: dict[str, Any] = {"title": section.title or key, "kind": section.kind}
        left = [run for run in runs_of(place, key) if not is_whole(folder_of(run))]
        if not left:
            runs[key], facts = read_system(place, key)
            row |= {"scores": scores.score_runs(runs[key], place.classes, groups, majority), **facts}
        elif (place.protocol, key) in failed:
            row["failed"] = failed[place.protocol, key]
        elif isinstance(made[key], str):
            row["missing"] = made[key]
        else:
            row |= {"left": len(left), "of": len(runs_of(place, key))}
        systems[key] = row
    always = {0: [Prediction(clip.key, target_of(clip), majority[clip.key]) for clip in tested]}
    pairs = [{"first": first, "second": second,
              **scores.compare_systems(runs[first], runs[second], place.classes, groups)}
             for first, second in (pair.split(":") for pair in recipe.pairs) if first in runs and second in runs]
    return {"classes": list(place.classes), "clips": len(tested), "groups": len(set(groups.values())),
            "counts": {name: sum(target_of(clip) == name for clip in tested) for name in place.classes},
            "splits": [folds.split_facts(split, place.classes) for split in place.splits],
            "notes": folds.split_notes(place.splits, place.classes), "systems": systems, "pairs": pairs,
            "majority": scores.score_runs(always, place.classes, groups, majority)}


if __name__ == "__main__":
    sys.exit(run_cli(main))
