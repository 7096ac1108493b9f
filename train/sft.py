"""Instruction tuning: clips with targets -> a trained AffectGPT folder.

    python train/sft.py configs/starter.yaml train.epochs=3
    affectgpt train starter train.output=runs/mine --dry-run

The story: read clips, build the model from its pretrained parts, compute the frozen encoders' features once,
align the projectors with the label words, tune LoRA and projectors, keep the checkpoint with the best validation
loss, write the model folder.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.config import Recipe, load_recipe, recipe_to_dict, save_recipe
from affectgpt.environment import computing_dtype, process_place
from affectgpt.errors import run_cli
from affectgpt.files import atomic_folder, atomic_write_json, check_own_folder, only_writer
from affectgpt.terminal import parse_intermixed


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", 
                        help="settings to change, for example train.epochs=3")
    parser.add_argument("--dry-run", action="store_true", help="open the first clips, show sizes and parts, and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    # DeepSpeed's launcher gives it; the place of a rank is read from the environment, which it sets as well.
    parser.add_argument("--local_rank", "--local-rank", "-local_rank", type=int, help=argparse.SUPPRESS)
    options = parse_intermixed(parser, arguments)
    recipe = load_recipe(options.recipe, options.overrides)
    check_parts(recipe)
    if options.dry_run:
        from affectgpt.train.dry_run import dry_run

        dry_run(recipe)
        return 0
    folder = run(recipe)
    if os.environ.get("RANK", "0") == "0":
        print(f"\nmodel: {folder}\nnext:  affectgpt describe CLIP --model {folder}")
    return 0


def check_parts(recipe: Recipe, with_llm: bool = True) -> None:
    """Raise ValueError where a part that the recipe names cannot be had, before torch is imported: within a second."""
    from affectgpt import hub
    from affectgpt.models.streams import VISUAL_STREAMS

    model = recipe.model.with_preset()
    looks, hears = set(model.streams) & set(VISUAL_STREAMS), "audio" in model.streams
    for key, used, weights in (
        ("llm", True, with_llm),
        ("audio_encoder", hears, True),
        ("visual_encoder", looks, True),
    ):
        name = getattr(model, key)
        if used and name and not name.startswith(hub.PREFIX):
            hub.locate(name, f"model.{key}", weights)


def model_config(recipe: Recipe):
    """The model's configuration: what the recipe sets, and the preset's values of the rest."""
    from affectgpt.models.configuration import AffectGPTConfig

    of_a_run = {"attention", "dtype", "quantization", "train_llm", "train_encoders", "encoder_dtype"}
    return AffectGPTConfig(**{key: value for key, value in vars(recipe.model).items() if key not in of_a_run})


def settle_dtype(recipe: Recipe, world) -> None:
    """Put what model.dtype=auto means into the recipe: that of a run to continue, else what all devices compute."""
    from affectgpt.environment import computes_bfloat16

    stored = Path(recipe.train.output) / "recipe.yaml"
    if recipe.model.dtype == "auto" and recipe.train.resume and stored.is_file():
        recipe.model.dtype = load_recipe(stored).model.dtype
    if recipe.model.dtype == "auto":
        native = all(world.gather(computes_bfloat16(world.device)))
        recipe.model.dtype = "bfloat16" if native else "float32"


def build(recipe: Recipe, device):
    """(model, processor) of new projectors and LoRA on the pretrained parts that the recipe names."""
    import torch

    from affectgpt import loading
    from affectgpt.models.llm_checks import check_llm
    from affectgpt.models.processing import AffectGPTProcessor

    config, dtype = model_config(recipe), computing_dtype(recipe.model.dtype, device)
    loading.describe_parts(config)
    processor = AffectGPTProcessor(loading.load_tokenizer(recipe.model.llm), config)
    for warning in check_llm(config, processor):  # before the LLM's weights are read
        if os.environ.get("RANK", "0") == "0":
            print(f"note: {warning}")
    torch.manual_seed(recipe.train.seed)
    model = loading.from_parts(
        config, dtype=getattr(torch, dtype), quantization=recipe.model.quantization,
        attention=loading.choose_attention(recipe.model.attention, dtype, device), device=device)
    model.config.dtype = dtype
    model.set_encoder_dtype(getattr(torch, encoder_dtype(recipe, dtype)))
    model.mark_trained(encoders=recipe.model.train_encoders, llm=recipe.model.train_llm)
    return model.to(device), processor


def encoder_dtype(recipe: Recipe, dtype: str) -> str:
    """What the encoders of a run compute in whose LLM computes in `dtype`."""
    if recipe.model.encoder_dtype != "auto":
        return recipe.model.encoder_dtype
    return "float32" if recipe.data.cache or recipe.model.train_encoders else dtype


def limit_threads(recipe: Recipe) -> None:
    """CPU threads of this process; 0 leaves it to torch, which knows affinity and OMP_NUM_THREADS."""
    import torch

    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)


def read_mixture(recipe: Recipe):
    """The clips of a recipe (`data.mixture.Mixture`), after a look at their targets; what is to be known is printed.

    Raises:
        ValueError: no corpus, a split without clips, or without a target that is asked for; clips that are trained on
            and tested on, absent files.
    """
    from affectgpt.data import mixture
    from affectgpt.data.checks import check_targets

    found = mixture.read_mixture(recipe.data, reads_media(recipe))
    style = "published" if recipe.model.preset == "published" else "chat"
    notes = [*found.notes, *check_targets(found.splits, recipe.data.questions, style, found)]
    if process_place()[0] == 0:
        for note in notes:
            print(note, file=sys.stderr, flush=True)
    return found


def reads_media(recipe: Recipe) -> bool:
    """Whether a run opens media: it looks or listens, and no store of an earlier job has the features."""
    made = Path(recipe.train.output) / "features" / "store.json"
    return set(recipe.model.with_preset().streams) != {"text"} and recipe.data.store is None and not made.is_file()


def read_splits(recipe: Recipe) -> dict:
    """Split name -> clips, for training and validation, as `read_mixture`."""
    return read_mixture(recipe).splits


def run(recipe: Recipe) -> Path:
    """Train as the recipe says, on all ranks that were started; return the model folder."""
    from affectgpt.train import distributed

    limit_threads(recipe)
    world = distributed.start(recipe.train.device, recipe.train.engine == "deepspeed", recipe.train.timeout_minutes)
    try:
        with ExitStack() as held:
            lock = only_writer(recipe.train.output, "trains into")
            world.from_main(lambda: held.enter_context(lock))
            return _run(recipe, world)
    finally:
        distributed.stop()


def _run(recipe: Recipe, world) -> Path:
    import torch
    from transformers import set_seed

    from affectgpt.data.checks import left_out_table
    from affectgpt.data.dataset import InstructionDataset, label_space
    from affectgpt.errors import quiet_libraries
    from affectgpt.train.alignment import align, word_table
    from affectgpt.train.answer_lengths import answer_limit
    from affectgpt.train.checkpoints import (
        OF_THE_RUN,
        Checkpoints,
        first_state,
        last_checkpoint,
        load_optimizer,
        load_weights,
        read_state,
    )
    from affectgpt.train.facts import data_fingerprint, media_origins, origins, run_facts
    from affectgpt.train.flops import operations_text
    from affectgpt.train.inputs import features_of_some, fit_norms, open_inputs
    from affectgpt.train.lengths import check_lengths, check_manifest, print_lengths
    from affectgpt.train.rates import parameter_groups
    from affectgpt.train.run_log import RunLog
    from affectgpt.train.trainer import Trainer

    quiet_libraries()
    started, output, data = time.time(), Path(recipe.train.output), recipe.data
    check_own_folder(output / "model")  # it is replaced at the end
    mixture = read_mixture(recipe)
    splits = mixture.splits
    settle_dtype(recipe, world)
    # Before anything is loaded: each of these may refuse.
    resume = world.from_main(lambda: last_checkpoint(recipe))
    began = read_state(resume).origins if resume else None
    found = world.from_main(lambda: _compared(output, began, origins(recipe, mixture)))
    set_seed(recipe.train.seed)
    model, processor = build(recipe, world.device)
    check_manifest(processor, splits, recipe, mixture)  # before features are made, and before anything is written
    checkpoints = Checkpoints(output / "checkpoints", recipe.train.keep_checkpoints)
    if world.is_main:
        output.mkdir(parents=True, exist_ok=True)
        if resume is None:  # what an earlier run left would be taken for this one's
            checkpoints.clear()
        checkpoints.clean()
        save_recipe(recipe, output / "recipe.yaml")
        print_parts(model)
    inputs, variants = open_inputs(model, processor, splits, recipe, world)
    found |= world.from_main(lambda: _compared(output, began, media_origins(splits, inputs)))
    train_clips = splits[data.train_split]
    space = label_space(train_clips)
    model.config.label_space = space
    sets = {}
    for name, clips in splits.items():
        training = name == data.train_split
        sets[name] = InstructionDataset(processor, clips, inputs, data.questions,
                                        data.modality_dropout, data.text_dropout, recipe.train.seed, training,
                                        variants if training else None, data.questions_together, mixture)
        check_lengths(sets[name], len(clips), recipe)
        if world.is_main:
            print_lengths(sets[name], name, len(clips))
    if world.is_main:
        print(left_out_table(sets))
        print(mixture.epoch_line([clip for clip, _ in sets[data.train_split].items]), flush=True)
    sets = (sets[data.train_split], sets[data.validation_split])
    model.config.max_new_tokens = answer_limit(sets[0])
    table = word_table(model, processor.tokenizer, space) if space else torch.zeros(0, 1)

    if data.cache:  # all that follows reads features: the weights of the encoders would only take room
        for encoder in (model.audio_encoder, model.visual_encoder):
            if encoder is not None:
                encoder.release()
    aligned = None
    if resume is not None:
        load_weights(model, resume)
    else:
        def begin() -> float | None:
            fit_norms(model, features_of_some(model, inputs, [clip.key for clip in train_clips if clip.key in inputs]))
            if recipe.train.alignment_epochs and space and model.config.media_streams:
                return align(model, processor, recipe, *sets, table, space)
            return None

        aligned = world.from_main(begin)  # a matter of minutes on one rank; the others take what it gives
        world.share_weights(model)
    if recipe.train.gradient_checkpointing:
        # The other kind needs an input with a gradient, which a row of words alone does not have.
        model.activation_checkpointing_enable({"use_reentrant": False})
    groups = parameter_groups(model, recipe.train)
    engine = make_engine(model, groups, recipe)
    state = first_state(recipe, resume, world, found)
    if resume is not None:
        engine.load_optimizer(load_optimizer(resume), state.step)
    log = RunLog(output, world.is_main, state.step, recipe.train.report_to, recipe.name, recipe_to_dict(recipe))
    trainer = Trainer(engine, world, recipe, processor, sets, table, space, checkpoints, log, state,
                      [group["names"][0] for group in groups])
    if world.is_main:
        print(f"engine: {engine.describe()}; attention: {model.language_model.config._attn_implementation}; "
              f"MFU of {operations_text(trainer.peak)} a rank ({trainer.peak_source})"
              f"{f'; resumed from {resume}' if resume else ''}")
    try:
        state = trainer.run()
    finally:
        log.close()
        engine.close()

    folder = output / "model"
    if world.is_main:
        best = checkpoints.path(state.best_step)
        with atomic_folder(folder, overwrite=True) as temporary:
            for file in best.iterdir():
                if file.name not in OF_THE_RUN:
                    shutil.copyfile(file, temporary / file.name)
            save_recipe(recipe, temporary / "recipe.yaml")
            atomic_write_json(temporary / "training.json", {
                **run_facts(engine, world), "data_fingerprint": data_fingerprint(splits),
                "corpora": mixture.facts(), "steps": state.step,
                "clips_seen": state.clips, "tokens_seen": state.tokens, "best_validation_loss": state.best_loss,
                "best_checkpoint": str(best), "alignment_validation_loss": aligned, "train_clips": len(sets[0]),
                "validation_clips": len(sets[1]), "seconds": round(time.time() - started, 1)})
    world.barrier()
    return folder


def _compared(output: Path, began: dict[str, str] | None, now: dict[str, str]) -> dict[str, str]:
    """`now`, after checking that it is what the run to continue began with."""
    from affectgpt.train.facts import check_origins

    if began is not None:
        check_origins(output, began, now)
    return now


def make_engine(model, groups: list[dict], recipe: Recipe):
    """The engine that `train.engine` names."""
    import json

    from affectgpt.train.engines.deepspeed_engine import DeepSpeedEngine
    from affectgpt.train.engines.settings import EngineSettings
    from affectgpt.train.engines.torch_engine import TorchEngine

    train, more = recipe.train, None
    if train.deepspeed_config is not None:
        try:
            more = json.loads(Path(train.deepspeed_config).read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise ValueError(f"train.deepspeed_config: {train.deepspeed_config} is not JSON ({error})") from error
    settings = EngineSettings(clip_norm=train.clip_norm, zero_stage=train.zero_stage,
                              offload_optimizer=train.offload_optimizer, offload_parameters=train.offload_parameters,
                              deepspeed_config=more)
    return (DeepSpeedEngine if train.engine == "deepspeed" else TorchEngine)(model, groups, settings)


def print_parts(model) -> None:
    """Print the table of frozen and trained parts."""
    print(f"{'part':<18}{'frozen':>14}{'trained':>14}")
    for name, frozen, trained in model.part_sizes():
        print(f"{name:<18}{frozen:>14,}{trained:>14,}")


if __name__ == "__main__":
    sys.exit(run_cli(main))
