"""Clips as words: what is said, what the face and the voice show, measured and written as short phrases.

Writes OUTPUT/texts.jsonl, a row a clip, and OUTPUT/skipped.jsonl, the clips of which nothing was found and why. What is
measured is kept at once in OUTPUT/journal.jsonl, so that a stopped job goes on where it was; thresholds and wordings
are applied anew each time, so that they may be changed afterwards.

examples:
  affectgpt textualize textualize source.manifests=clips/manifest.jsonl output=runs/texts
  affectgpt textualize textualize source.manifests=ravdess:DIR cues=tone,state state.labelled=emodb:DIR
  affectgpt textualize textualize source.manifests=news.jsonl face.tables=TABLES cues=units,expressions
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from affectgpt.caption.sources import read_named, select
from affectgpt.data.clip import Clip
from affectgpt.data.mixture import Part
from affectgpt.files import only_writer, safe_join, write_jsonl
from affectgpt.journal import Journal, files_of, short_digest, stamp
from affectgpt.terminal import parse_intermixed, printable
from affectgpt.textualize.settings import TextualizeRecipe, load
from affectgpt.textualize.texts import SKIPPED, TEXTS, ClipText

JOURNAL, HEAD = "journal.jsonl", "state_head"


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt textualize", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of the packaged recipe (textualize)")
    parser.add_argument("overrides", nargs="*", metavar="key=value",
                        help="settings to change, e.g. face.active=0.4; all: affectgpt/textualize/settings.py")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    recipe = load(options.recipe, options.overrides)
    run(recipe)
    print(f"output:   {printable(str(Path(recipe.output) / TEXTS))}")
    return 0


def run(recipe: TextualizeRecipe) -> list[ClipText]:
    """Do the job in `recipe.output`, print what came of it, and return the texts that it has written.

    Raises:
        ValueError: files or models of the recipe that cannot be used.
    """
    from affectgpt.errors import quiet_libraries

    quiet_libraries()
    source, state = recipe.source, recipe.state
    parts = read_named(source.manifests, source.root, source.corpora, "source.manifests", "source.corpora")
    labelled = read_named(state.labelled, state.labelled_root, (), "state.labelled", "state.labelled")
    _refuse_own_files(recipe, [*parts, *labelled])
    clips = select(parts, source)
    with only_writer(recipe.output, "writes texts into"):
        return _run(recipe, clips, [clip for part in labelled for clip in part.clips])


def _run(recipe: TextualizeRecipe, clips: list[Clip], labelled: list[Clip]) -> list[ClipText]:
    from affectgpt.textualize import describe, measure

    output = Path(recipe.output)
    fill = _filler(Journal(output / JOURNAL), recipe)
    state_of, identity = _state(recipe, clips, labelled, fill, output)
    found: dict[str, dict[str, Any]] = {clip.key: {} for clip in clips}
    for stage, (stream, does, work) in measure.stages(recipe, state_of, identity).items():
        for key, value in fill(stage, stream, does, work, clips):
            found[key][stage] = value
    counts: Counter = Counter()
    texts = describe.describe(clips, found, recipe, counts)
    kept = [text for text in texts if text.cues]
    write_jsonl(output / SKIPPED, ({"key": text.key, "reasons": text.notes or ["it has no stream that the cues are of"]}
                                   for text in texts if not text.cues))
    # Last: texts that are there are those of a finished job.
    write_jsonl(output / TEXTS, (text.row() for text in kept))
    print(f"clips:    {len(clips)}, of which {len(kept)} have a text and {len(texts) - len(kept)} none ({SKIPPED})")
    for cue in recipe.cues:
        print(f"cue:      {cue:<12} in {sum(cue in text.cues for text in kept)} texts, measured in "
              f"{sum(bool(text.values.get(cue)) or cue == 'speech' and _speaks(text) for text in kept)}")
    for reason, number in sorted(counts.items()):
        print(f"counted:  {number:>6}  {reason}")
    return kept


def _speaks(text: ClipText) -> bool:
    from affectgpt.textualize.texts import NO_SPEECH

    return text.cues.get("speech", NO_SPEECH) != NO_SPEECH


def _filler(journal: Journal, recipe: TextualizeRecipe):
    """A function that gives the values of a stage, from the journal where it has them: (stage, stream, identity of what
    is done, what is done of a clip, clips) -> (key, value) each."""
    from tqdm import tqdm

    from affectgpt.textualize import measure

    folders = {"table": (recipe.face.tables, "csv"), "tone": (recipe.voice.tone_folder, "json")}

    def files(stream: str, clip: Clip) -> str:
        if stream not in folders:
            # Whether words are given, and in which language, decides what is recognised.
            return f"{files_of(stream, clip)} {clip.words is not None} {clip.language}"
        folder, ending = folders[stream]
        path = safe_join(folder, f"{clip.id}.{ending}", follow=True)
        return short_digest(json.dumps([stamp(path), clip.span, files_of("audio", clip)]))

    def fill(stage: str, stream: str, does: str, work: Callable[[Clip], dict], clips: list[Clip]
             ) -> Iterator[tuple[str, dict]]:
        by_key = {clip.key: clip for clip in clips}
        by = {clip.key: f"{does} {files(stream, clip)}" for clip in clips}
        values = journal.fill(by, stage, lambda keys: measure.run(work, [by_key[key] for key in keys]), 1)
        yield from tqdm(values, total=len(by), desc=stage, unit="clip", disable=None)

    return fill


def _state(recipe: TextualizeRecipe, clips: list[Clip], labelled: list[Clip], fill, output: Path):
    """(waveform -> state or None, its identity); (None, "") where no state is looked for."""
    from affectgpt.textualize import measure, state

    settings = recipe.state
    if "state" not in recipe.cues:
        return None, ""
    if settings.model.startswith("hf:"):
        name, model = settings.model.removeprefix("hf:"), []

        def answer(waveform):
            if not model:
                model.append(state.wav2vec2_state(name))
            return model[0](waveform)

        return answer, settings.model
    if settings.model != "none":
        head = state.Head.load(settings.model)
    elif labelled:
        head = measure.head_of(recipe, clips, labelled, fill)
        head.save(output / HEAD)
    else:
        print("note: no state of the voice is looked for: name state.labelled or state.model", file=sys.stderr)
        return None, ""

    def answer_of_head(waveform):
        features = state.encoder_features(waveform)
        return None if features is None else head(features)

    parts = b"".join(part.astype("<f4").tobytes() for part in (head.mean, head.scale, head.weight, head.bias))
    return answer_of_head, hashlib.sha256(parts).hexdigest()[:16]


def _refuse_own_files(recipe: TextualizeRecipe, parts: list[Part]) -> None:
    own = {(Path(recipe.output) / name).resolve() for name in (JOURNAL, TEXTS, SKIPPED)}
    for part in parts:
        if part.section.reader == "manifest" and Path(part.section.root).resolve() in own:
            raise ValueError(f"{part.where}: {part.section.root} would be written over by this job; choose another "
                             "output folder with output=DIR")
