"""The main job: make the starter corpus, train on it, judge the model on held-out identities, release it, describe a
clip from the release.

    affectgpt starter
    affectgpt starter --clips 240 train.epochs=2

Corpus, features and training are kept, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from affectgpt.config import load_recipe
from affectgpt.files import is_done
from affectgpt.terminal import parse_intermixed

FOLDER = Path("runs/starter")
CLIPS = 560


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt starter", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the starter recipe to change")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where everything goes (default: {FOLDER})")
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"clips of the corpus (default: {CLIPS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    run(options.folder, options.clips, options.seed, options.overrides)
    return 0


def run(folder: Path, clips: int, seed: int, overrides: list[str]) -> None:
    """Corpus, training, evaluation, pictures, one description."""
    for word in overrides:
        if word.startswith(("train.output=", "data.manifests=", "data.root=")):
            raise ValueError(f"{word}: the main job chooses this itself; use --folder, or affectgpt train")
    started = time.time()
    recipe = load_recipe("starter", [f"data.manifests={folder / 'corpus' / 'manifest.jsonl'}",
                                     f"train.output={folder}", f"train.seed={seed}", *overrides])
    from affectgpt.data.clip import Clip
    from affectgpt.data.readers import read_corpus
    from affectgpt.errors import quiet_libraries
    from affectgpt.eval import corpus_pictures, plots
    from affectgpt.eval.accuracy import evaluate
    from affectgpt.inference import Describer, Skipped
    from affectgpt.release.job import release
    from affectgpt.synthetic.corpus import make_corpus
    from affectgpt.train import sft

    quiet_libraries()
    step("1/5 starter corpus", started)
    manifest = make_corpus(folder / "corpus", clips=clips, seed=seed)
    corpus_clips = read_corpus(str(manifest))
    corpus_pictures.face_sheet(corpus_clips, folder / "faces.png")
    corpus_pictures.voice_sheet(corpus_clips, folder / "voices.png")
    print(f"pictures: {folder / 'faces.png'}, {folder / 'voices.png'}")
    step("2/5 training", started)
    model = folder / "model"
    if is_done(model):
        print(f"{model} is there already: using it (remove it to train anew)")
    else:
        sft.run(recipe)
    plots.training_curve(folder / "log.jsonl", folder / "training.png")
    step("3/5 held-out identities", started)
    results = evaluate(str(model), str(manifest), output=str(folder / "evaluation"))
    print(results["table"])
    step("4/5 release", started)
    released = folder / "release"
    if is_done(released) and released.stat().st_mtime > model.stat().st_mtime:
        print(f"{released} is there already: using it (remove it to release anew)")
    else:
        release(folder, released, title=f"AffectGPT {recipe.name}", overwrite=released.exists(),
                command=f"affectgpt release {folder} --to {released}")
    step("5/5 one held-out clip, from the release", started)
    held_out = [clip for clip in corpus_clips if clip.split == "test"]
    clip = next((clip for clip in held_out if clip.targets.conflict), held_out[0])
    [result] = Describer(released).describe([Clip(clip.id, media=clip.media, words=clip.words)])
    if isinstance(result, Skipped):
        raise ValueError(f"the held-out clip could not be described: {result.reason}")
    print(f"{result.file}\n  {result.description}\n  labels    {', '.join(result.labels) or '(none)'}\n"
          f"  polarity  {result.polarity or '(unknown)'}\n  words     \"{result.words}\"\n"
          f"  streams   {', '.join(result.streams)}\n  seconds   {result.seconds:.2f}")
    step("done", started)
    print(f"plots:   {folder / 'training.png'}, {folder / 'evaluation' / 'results.png'}\nmodel:   {model}\n"
          f"release: {released}, for others; its card is {released / 'README.md'}\n"
          f"next:    .venv/bin/affectgpt describe YOUR_CLIP.mp4 --model {released}")


def step(title: str, started: float) -> None:
    """Print a heading with the time since the start."""
    print(f"\n== {title} ({time.time() - started:.0f} s)", flush=True)


def corpus_main(arguments: list[str]) -> int:
    """`affectgpt corpus FOLDER`."""
    parser = argparse.ArgumentParser(prog="affectgpt corpus", description="Make the starter corpus: talking faces with "
                                     "voice and words, as mp4 files with a manifest.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--clips", type=int, default=CLIPS, help=f"number of clips (default: {CLIPS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    from affectgpt.synthetic.corpus import make_corpus

    manifest = make_corpus(options.folder, clips=options.clips, seed=options.seed, workers=options.workers)
    print(f"manifest: {manifest}\nnext:     affectgpt train starter data.manifests={manifest}")
    return 0
