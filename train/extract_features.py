"""Features of a recipe's frozen encoders -> a feature store, which training then reads instead of media.

    python train/extract_features.py configs/starter.yaml --store runs/starter/features --verify 8
    torchrun --nproc-per-node 4 train/extract_features.py RECIPE --store DIR data.workers=2
    affectgpt extract starter data.manifests=corpus/manifest.jsonl --splits train,validation

Only the encoders are loaded, never the LLM's weights. Any number of processes fill one store, started by torchrun or
by hand with RANK and WORLD_SIZE set; none waits for another. Started again after a kill, also with another number
of processes, it computes only what is missing.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.config import Recipe, load_recipe
from affectgpt.environment import process_device, process_place
from affectgpt.errors import quiet_libraries, run_cli
from affectgpt.terminal import parse_intermixed
from affectgpt.train.sft import check_parts

TOLERANCE = 0.01
"""Largest difference that `--verify` lets pass, as a share of the largest value of that clip's stream: another machine
or number format changes far less, other weights or preprocessing far more."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt extract", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings to change, e.g. data.workers=2")
    parser.add_argument("--store", type=Path,
                        help="folder of the store (default: data.store, or features in train.output)")
    parser.add_argument("--splits", help="splits to compute, between commas (default: all of the manifests)")
    parser.add_argument("--verify", type=int, default=0, metavar="N",
                        help="compute N random clips of this process again and print the largest difference")
    parser.add_argument("--shard-clips", type=int, default=256, metavar="N",
                        help="clips of a shard, the most that a kill loses (default: 256)")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parse_intermixed(parser, arguments)
    if options.verify < 0 or options.shard_clips < 1:
        raise ValueError(f"--verify is {options.verify} and --shard-clips is {options.shard_clips}: use 0 or more, "
                         "and 1 or more")
    recipe = load_recipe(options.recipe, options.overrides)
    check_parts(recipe, with_llm=False)
    store = options.store or Path(recipe.data.store or Path(recipe.train.output) / "features")
    run(recipe, store, options.splits.split(",") if options.splits else None, options.verify, options.shard_clips)
    if process_place()[0] == 0:
        words = [word for word in options.overrides if not word.startswith("data.store=")]
        print(f"next:     affectgpt train {shlex.join([options.recipe, *words, f'data.store={store}'])}")
    return 0


def run(recipe: Recipe, folder: Path, splits: list[str] | None = None, verify_clips: int = 0,
        shard_clips: int = 256) -> None:
    """Compute this process's share of what the store lacks, and print what came of it."""
    from affectgpt.features.extract import extract, verify
    from affectgpt.features.store import FeatureStore
    from affectgpt.train import sft

    data, (rank, world_size) = recipe.data, process_place()
    if recipe.model.train_encoders:
        raise ValueError("model.train_encoders=true changes the encoders in every step, so their features cannot be "
                         "computed before: set model.train_encoders=false, or train without a feature store")
    quiet_libraries()
    clips = read_clips(recipe, splits)
    sft.limit_threads(recipe)
    device = process_device(recipe.train.device, "train.device=")
    encoders, processor = load_encoders(recipe, device)
    shared = {"reader": data.reader, "workers": data.workers, "max_skip_ratio": data.max_skip_ratio,
              "dtype": data.store_dtype, "transcribe": data.transcribe, "rank": rank, "world_size": world_size,
              "shard_clips": shard_clips}
    place = f"process {rank} of {world_size}" if world_size > 1 else "features"
    summary = extract(encoders, processor, clips, folder, title=place, **shared)
    report = [f"{place}: {summary.computed} computed on {device} in {summary.seconds:.1f} s "
              f"({summary.clips_per_second:.1f} clips/s), {summary.held} were there, {summary.skipped} skipped"]
    training = [clip for clip in clips if clip.split in (data.train_split, data.validation_split)]
    if data.speed_perturbation and training:
        more = extract(encoders, processor, training, folder, speeds=tuple(data.speed_perturbation),
                       title=f"{place}, further speeds", **shared)
        report.append(f"further speeds of the sound: {more.computed} computed ({more.clips_per_second:.1f} a second), "
                      f"{more.held} were there")
    store = FeatureStore.open(folder, processor.config, clips, data.reader, data.transcribe)
    report.append(f"store:    {folder}: {len(store)} of {len(clips)} clips, {len(store.skipped)} cannot be read, "
                  f"{_size(folder, len(store))}")
    if store.missing and world_size > 1:
        report.append(f"          {len(store.missing)} clips are still missing: other processes have them")
    print("\n".join(report), flush=True)
    if verify_clips:
        share = [clip for clip in clips[rank::world_size] if clip.key in store]
        if share:
            difference, key, stream = verify(store, encoders, processor, share, verify_clips, recipe.train.seed)
            check_difference(store, difference, key, stream, min(verify_clips, len(share)))


def read_clips(recipe: Recipe, splits: list[str] | None) -> list:
    """Clips of the recipe's corpora, in their order.

    Raises:
        ValueError: no corpus, a split that no clip has, or absent files that `data.missing_media` refuses.
    """
    from affectgpt.data.mixture import read_present

    clips, notes = read_present(recipe.data)
    for note in notes if process_place()[0] == 0 else ():
        print(note, file=sys.stderr, flush=True)
    known = {clip.split for clip in clips}
    what = "corpora" if recipe.data.corpora else "manifests"
    for name in splits or []:
        if name not in known:
            raise ValueError(f"--splits {name}: no clip has this split; the {what} have "
                             f"{', '.join(sorted(split or '(none)' for split in known))}")
    return clips if splits is None else [clip for clip in clips if clip.split in splits]


class Encoders:
    """The frozen encoders of a model without its LLM: all that `extract` and `verify` need of one.

    Args:
        config: the model's configuration; its parts are described in place.
    """

    def __init__(self, config, device: str):
        import torch

        from affectgpt import loading
        from affectgpt.models.encoders import AudioEncoder, VisualEncoder

        loading.describe_parts(config)
        self.device = torch.device(device)
        self.audio_encoder = self.visual_encoder = None
        if "audio" in config.streams:
            model = loading.load_audio_model(config.audio_encoder, torch.float32)
            self.audio_encoder = AudioEncoder(config, model).to(self.device).eval()
        if config.visual_streams:
            model = loading.load_visual_model(config.visual_encoder, torch.float32)
            self.visual_encoder = VisualEncoder(config, model).to(self.device).eval()

    def encode(self, stream: str, values, mask, lengths=None):
        """Raw tensors of one stream -> features [B, P, D] and mask [B, P], as the whole model's `encode`."""
        if stream == "audio":
            return self.audio_encoder(values, mask, lengths)
        return self.visual_encoder(values, mask)


def load_encoders(recipe: Recipe, device: str) -> tuple:
    """(encoders, processor) of a recipe; of the LLM only the configuration and the tokenizer are read."""
    from affectgpt.loading import load_tokenizer
    from affectgpt.models.processing import AffectGPTProcessor
    from affectgpt.train import sft

    config = sft.model_config(recipe)
    encoders = Encoders(config, device)
    return encoders, AffectGPTProcessor(load_tokenizer(recipe.model.llm), config)


def check_difference(store, difference: float, key: str, stream: str, count: int) -> None:
    """Print what `verify` found.

    Raises:
        ValueError: more than another machine or number format would give.
    """
    if not stream:
        print(f"verified: {count} clips, which have words alone")
        return
    scale = float(getattr(store[key], stream).abs().max())
    print(f"verified: {count} clips computed again; the largest difference is {difference:.2g} ({stream} of {key}, "
          f"whose values go up to {scale:.3g})", flush=True)
    if not difference <= TOLERANCE * max(scale, 1e-6):
        raise ValueError(f"{store.folder}: its {stream} features of clip {key} are not those that the encoder gives "
                         f"now (difference {difference:.2g}): remove the store and extract the features again")


def _size(folder: Path, clips: int) -> str:
    """What the shards take on disk, in all and a clip."""
    size = sum(path.stat().st_size for path in (folder / "shards").glob("[!.]*.safetensors"))
    return f"{size / 1e6:.1f} MB on disk" + (f" ({size / clips / 1e3:.1f} kB a clip)" if clips else "")


if __name__ == "__main__":
    sys.exit(run_cli(main))
