"""New captions for clips: cues of each stream -> one description -> labels -> a two-level filter -> a manifest.

Cue models, merge model and label extractor are chosen in the recipe: any Hugging Face chat model, any server with the
OpenAI protocol, or the project's own measured cues, which need no network. What is found is kept at once in
OUTPUT/journal.jsonl, so that a stopped job goes on where it was; filters are run anew each time, so that their settings
may be changed afterwards.

examples:
  affectgpt caption caption-starter source.manifests=clips/manifest.jsonl
  affectgpt caption my.yaml models.audio=endpoint:http://localhost:8000/v1#SALMONN models.merge=hf:Qwen/Qwen3-8B
  affectgpt caption caption-starter source.manifests=ravdess:DIR high.labelled=ravdess:DIR low.length_high=0.9
"""

from __future__ import annotations

import argparse
import shlex
from collections import Counter
from dataclasses import replace
from pathlib import Path

from affectgpt.caption import agreement, filters
from affectgpt.caption.describe import Describer
from affectgpt.caption.settings import CaptionRecipe, load
from affectgpt.caption.sources import (
    JOURNAL,
    MANIFEST,
    REJECTED,
    UNFILTERED,
    Failures,
    placed,
    read_labelled,
    read_source,
    track_scores,
    unique_names,
)
from affectgpt.caption.votes import Vote, read_predictions, targets_of, trained_votes
from affectgpt.config import load_recipe
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.links import Links
from affectgpt.data.readers.manifest import clip_to_row
from affectgpt.data.shared import identities
from affectgpt.files import only_writer, write_jsonl
from affectgpt.journal import Journal
from affectgpt.terminal import parse_intermixed, printable


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt caption", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe (caption-starter)")
    parser.add_argument("overrides", nargs="*", metavar="key=value",
                        help="settings to change, e.g. low.length_low=0.1; all of them: affectgpt/caption/settings.py")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    recipe = load(options.recipe, options.overrides)
    output, splits = Path(recipe.output), run(recipe)
    print(f"output:   {printable(str(output / MANIFEST))} (kept), {UNFILTERED}, {REJECTED}")
    print(f"next:     {next_command(output, splits)}")
    return 0


def next_command(output: Path, splits: Counter) -> str:
    """What to do with the kept captions, of which each split has so many."""
    if not splits:
        return "nothing was kept: rejected.jsonl says why; change the filters and run the same command again"
    if not splits["train"]:
        return (f"the kept captions are of {', '.join(splits)}, and none is trained on: describe the training split "
                "with source.splits=train")
    # Without a validation split one is cut off.
    protocol = "official" if splits["validation"] else "hold-out"
    return shlex.join(["affectgpt", "train", "starter", f"data.corpora.0.root={output / MANIFEST}",
                       f"data.corpora.0.protocol={protocol}", f"train.output={output}-model"])


def run(recipe: CaptionRecipe) -> Counter:
    """Do the job in `recipe.output`, print what came of it, and return how many captions each split keeps.

    Raises:
        ValueError: whatever of the recipe's files or models cannot be used; told before anything slow begins, where
            it can be.
    """
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    clips, roots = read_source(recipe)
    with only_writer(recipe.output, "writes captions into"):
        return _run(recipe, clips, roots)


def _run(recipe: CaptionRecipe, clips: list[Clip], roots: list[Path]) -> Counter:
    output, names, low, high = Path(recipe.output), unique_names(clips), recipe.low, recipe.high
    links = Links(roots, output)
    links.make()
    ready, failed = placed(clips, links)
    predictions = [read_predictions(path, names) for path in high.predictions]
    speakers: dict[str, float] = {}
    if low.speaker_file:
        speakers = filters.read_scores(low.speaker_file, names)
    elif low.speaker:
        speakers, damaged = track_scores(clips)
        failed = damaged | failed
    labelled = read_labelled(recipe)
    for name in high.features if labelled else ():
        load_recipe(name)  # a mistake in it is told before anything slow begins
    describer = Describer(recipe, Journal(output / JOURNAL))
    captions, found = describer.captions([clip for clip in clips if clip.key not in failed])
    failed |= found
    votes: dict[str, list[Vote]] = {clip.key: [] for clip in clips}
    keys = {caption.key for caption in captions}
    described = [clip for clip in clips if clip.key in keys]
    if (high.emotion or high.sentiment) and labelled and described:
        votes |= trained_votes(recipe, described, labelled, output)
    for file in predictions:
        for key, vote in file.items():
            votes[key].append(vote)
    captions = [replace(one, speaker=speakers.get(one.key), votes=tuple(votes[one.key])) for one in captions]
    voters = len(predictions) + (len(high.features) * high.votes if labelled else 0)
    verdict = filters.run_filters(captions, low, high, voters)
    verdict.notes += describer.notes
    write_results(recipe, clips, ready, captions, failed, verdict)
    print("\n".join(report(clips, captions, failed, verdict)), flush=True)
    splits = {clip.key: clip.split or "train" for clip in clips}
    return Counter(splits[caption.key] for caption in verdict.kept)


def write_results(recipe: CaptionRecipe, clips: list[Clip], ready: dict[str, Clip], captions: list[filters.Caption],
                  failed: Failures, verdict: filters.Verdict) -> None:
    """Write unfiltered.jsonl (all descriptions), rejected.jsonl (what is not kept, with reasons), manifest.jsonl (what
    is).

    ready: clip key -> the clip with paths by way of the links beside the manifests.
    """
    output = Path(recipe.output)
    names = {key: name for name, key in reversed(unique_names(clips).items())}  # the id, or the key where ids clash
    rows = {}
    for caption in captions:
        clip = ready[caption.key]
        targets = Targets(caption.description, caption.labels, sentiment=caption.sentiment)
        rows[caption.key] = clip_to_row(replace(clip, id=names[caption.key], corpus=corpus_of(clip, recipe.name),
                                                split=clip.split or "train", targets=targets), output)
    kept = {caption.key for caption in verdict.kept}
    write_jsonl(output / UNFILTERED, rows.values())
    rejected = []
    for clip in clips:
        found = ("description", *failed[clip.key]) if clip.key in failed else verdict.rejected.get(clip.key)
        if found is not None:
            row = rows.get(clip.key, {})
            level, reason, detail = found
            rejected.append({"id": clip.id, "corpus": clip.corpus, "level": level, "reason": reason, "detail": detail,
                             "description": row.get("description"), "labels": row.get("labels", [])})
    write_jsonl(output / REJECTED, rejected)
    # Last: a manifest that is there is that of a finished job.
    write_jsonl(output / MANIFEST, (row for key, row in rows.items() if key in kept))


def corpus_of(clip: Clip, name: str) -> str:
    """What the corpus of a clip's caption is called: `name`, with the clip's own corpus before it where that tells that
    its name means one clip in several corpora; so a mixture still knows that it is trained and tested on."""
    return name if len(identities(replace(clip, corpus=name))) == len(identities(clip)) else f"{clip.corpus}-{name}"


def report(clips: list[Clip], captions: list[filters.Caption], failed: Failures,
           verdict: filters.Verdict) -> list[str]:
    """What came of the job: every rejection counted, and the agreement with labels where clips have some."""
    lines = [f"clips:    {len(clips)}, of which {len(captions)} are described, {len(verdict.low)} pass the low-level "
             f"filter, {len(verdict.kept)} are kept"]
    counts = Counter(("description", reason) for reason, _ in failed.values()) + verdict.counts()
    lines += [f"rejected: {count:>6}  {level}: {reason}" for (level, reason), count in sorted(counts.items())]
    lines += [f"note:     {note}" for note in verdict.notes]
    references = {clip.key: targets_of(clip) for clip in clips}
    stages = [("unfiltered", captions), ("low", verdict.low)]
    if verdict.voted:
        stages += [("low + high", verdict.kept), ("votes alone", verdict.votes)]
    table = agreement.table(stages, references)
    return lines + ([] if not table else ["", *table])
