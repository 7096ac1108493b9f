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
import os
import shlex
from collections import Counter
from pathlib import Path

from affectgpt.caption import agreement, filters
from affectgpt.caption.describe import Describer
from affectgpt.caption.journal import Journal
from affectgpt.caption.settings import CaptionRecipe, load
from affectgpt.caption.votes import Vote, read_predictions, targets_of, trained_votes
from affectgpt.config import load_recipe
from affectgpt.data.clip import Clip
from affectgpt.files import only_writer, write_jsonl
from affectgpt.terminal import parse_intermixed, printable

MEDIA_LINK = "media"
"""Name of the link beside the manifests that leads to the folder of all media."""


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
    print(f"output:   {printable(str(output / 'manifest.jsonl'))} (kept), unfiltered.jsonl, rejected.jsonl")
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
    return shlex.join(["affectgpt", "train", "starter", f"data.corpora.0.root={output / 'manifest.jsonl'}",
                       f"data.corpora.0.protocol={protocol}", f"train.output={output}-model"])


def run(recipe: CaptionRecipe) -> Counter:
    """Do the job in `recipe.output`, print what came of it, and return how many captions each split keeps.

    Raises:
        ValueError: whatever of the recipe's files or models cannot be used; told before anything slow begins, where
            it can be.
    """
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    clips = read_clips(recipe)
    with only_writer(recipe.output, "writes captions into"):
        return _run(recipe, clips)


def _run(recipe: CaptionRecipe, clips: list[Clip]) -> Counter:
    output, names = Path(recipe.output), _names(clips)
    media = link_media(output, clips)
    predictions = [read_predictions(path, names) for path in recipe.high.predictions]
    speakers = filters.read_scores(recipe.low.speaker_file, names) if recipe.low.speaker_file else track_scores(clips)
    labelled = read_labelled(recipe)
    for name in recipe.high.features if labelled else ():
        load_recipe(name)  # a mistake in it is told before anything slow begins
    describer = Describer(recipe, Journal(output / "journal.jsonl"))
    captions, failed = describer.captions(clips)
    votes: dict[str, list[Vote]] = {clip.key: [] for clip in clips}
    described = [clip for clip in clips if clip.key in {caption.key for caption in captions}]
    high = recipe.high
    if (high.emotion or high.sentiment) and labelled and described:
        votes |= trained_votes(recipe, described, labelled, output)
    for file in predictions:
        for key, vote in file.items():
            votes[key].append(vote)
    captions = [filters.Caption(one.key, one.description, one.labels, one.sentiment, speakers.get(one.key),
                                tuple(votes[one.key])) for one in captions]
    voters = len(predictions) + (len(high.features) * high.votes if labelled else 0)
    verdict = filters.run_filters(captions, recipe.low, high, voters)
    write_results(recipe, clips, captions, failed, verdict, media)
    print("\n".join(report(clips, captions, failed, verdict)), flush=True)
    splits = {clip.key: clip.split or "train" for clip in clips}
    return Counter(splits[caption.key] for caption in verdict.kept)


def read_clips(recipe: CaptionRecipe) -> list[Clip]:
    """The clips to describe. Raises ValueError as the readers do, and for a split that no clip has."""
    from affectgpt.data.readers import read_corpora

    source = recipe.source
    clips = read_corpora(source.manifests, source.root)
    known = {clip.split for clip in clips}
    for name in source.splits:
        if name not in known:
            raise ValueError(f"source.splits: no clip has the split {name!r}; they have "
                             f"{', '.join(sorted(split or '(none)' for split in known))}")
    clips = [clip for clip in clips if not source.splits or clip.split in source.splits]
    return clips[: source.limit or None]


def read_labelled(recipe: CaptionRecipe) -> list[Clip]:
    """Clips with human labels for classifiers; none where no corpus is named."""
    from affectgpt.data.readers import read_corpora

    return read_corpora(recipe.high.labelled, recipe.high.labelled_root) if recipe.high.labelled else []


def _names(clips: list[Clip]) -> dict[str, str]:
    """Id, and "corpus/id", -> key; an id that several corpora have is left out."""
    ids: dict[str, list[str]] = {}
    for clip in clips:
        ids.setdefault(clip.id, []).append(clip.key)
    return {clip_id: keys[0] for clip_id, keys in ids.items() if len(keys) == 1} | {clip.key: clip.key
                                                                                    for clip in clips}


def track_scores(clips: list[Clip]) -> dict[str, float]:
    """Clip key -> confidence of its face track (a .json file with `confidence`); clips without one are left out."""
    from affectgpt.files import parse_object

    scores: dict[str, float] = {}
    for clip in clips:
        if clip.face is None or clip.face.suffix.lower() != ".json" or not clip.face.is_file():
            continue
        value = parse_object(clip.face.read_text(encoding="utf-8"), str(clip.face)).get("confidence")
        if value is None:
            continue
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            raise ValueError(f"{clip.face}: confidence must be a number from 0 to 1, not {value!r:.40}")
        scores[clip.key] = float(value)
    return scores


def link_media(output: Path, clips: list[Clip]) -> Path | None:
    """The folder that holds all media, linked as `media` beside the manifests, whose paths may not leave their folder.

    Raises:
        ValueError: something else has the link's name.
    """
    files = [path.absolute() for clip in clips for path in (clip.media, clip.audio) if path is not None]
    if not files:
        return None
    folder = Path(os.path.commonpath([path.parent for path in files]))
    link = output / MEDIA_LINK
    if link.is_symlink() and link.resolve() == folder.resolve():
        return folder
    if link.exists() and not link.is_symlink():
        raise ValueError(f"{link}: is in the way of a link to the media; choose another output folder with output=DIR")
    link.unlink(missing_ok=True)
    link.symlink_to(folder, target_is_directory=True)
    return folder


def write_results(recipe: CaptionRecipe, clips: list[Clip], captions: list[filters.Caption],
                  failed: dict[str, tuple[str, str]], verdict: filters.Verdict, media: Path | None) -> None:
    """Write unfiltered.jsonl (all descriptions), rejected.jsonl (what is not kept, with reasons), manifest.jsonl (what
    is)."""
    output, by_key = Path(recipe.output), {clip.key: clip for clip in clips}
    names = {key: name for name, key in reversed(_names(clips).items())}  # the id, or the key where ids clash
    rows = {caption.key: manifest_row(by_key[caption.key], caption, names[caption.key], recipe.name, media)
            for caption in captions}
    kept = {caption.key for caption in verdict.kept}
    write_jsonl(output / "unfiltered.jsonl", rows.values())
    rejected = []
    for clip in clips:
        found = ("description", *failed[clip.key]) if clip.key in failed else verdict.rejected.get(clip.key)
        if found is not None:
            row = rows.get(clip.key, {})
            level, reason, detail = found
            rejected.append({"id": clip.id, "corpus": clip.corpus, "level": level, "reason": reason, "detail": detail,
                             "description": row.get("description"), "labels": row.get("labels", [])})
    write_jsonl(output / "rejected.jsonl", rejected)
    # Last: a manifest that is there is that of a finished job.
    write_jsonl(output / "manifest.jsonl", (row for key, row in rows.items() if key in kept))


def manifest_row(clip: Clip, caption: filters.Caption, name: str, corpus: str, media: Path | None) -> dict:
    """A row of the project's manifest; media paths go through the link beside it."""
    row = {"id": name, "corpus": corpus, "split": clip.split or "train"}
    for key in ("media", "audio"):
        path = getattr(clip, key)
        if path is not None:
            row[key] = (Path(MEDIA_LINK) / path.absolute().relative_to(media)).as_posix()
    optional = {"words": clip.words, "language": clip.language, "speaker": clip.speaker,
                "sentiment": caption.sentiment}
    return row | {key: value for key, value in optional.items() if value is not None} | {
        "description": caption.description, "labels": list(caption.labels)}


def report(clips: list[Clip], captions: list[filters.Caption], failed: dict[str, tuple[str, str]],
           verdict: filters.Verdict) -> list[str]:
    """What came of the job: every rejection counted, and the agreement with labels where clips have some."""
    lines = [f"clips:    {len(clips)}, of which {len(captions)} are described, {len(verdict.low)} pass the low-level "
             f"filter, {len(verdict.kept)} are kept"]
    counts = {("description", reason): 0 for reason, _ in failed.values()}
    for reason, _ in failed.values():
        counts["description", reason] += 1
    counts |= verdict.counts()
    lines += [f"rejected: {count:>6}  {level}: {reason}" for (level, reason), count in sorted(counts.items())]
    lines += [f"note:     {note}" for note in verdict.notes]
    references = {clip.key: targets_of(clip) for clip in clips}
    stages = [("unfiltered", captions), ("low", verdict.low)]
    if verdict.voted:
        stages += [("low + high", verdict.kept), ("votes alone", verdict.votes)]
    table = agreement.table(stages, references)
    return lines + ([] if not table else ["", *table])
