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
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import affectgpt
from affectgpt.config import Recipe, load_recipe, save_recipe
from affectgpt.errors import run_cli
from affectgpt.files import atomic_folder, atomic_write_json


def main(arguments: list[str]) -> int:
    """Parse the command line and run the job."""
    parser = argparse.ArgumentParser(prog="affectgpt train", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", help="a YAML file, or the name of a packaged recipe")
    parser.add_argument("overrides", nargs="*", metavar="key=value", 
                        help="settings to change, for example train.epochs=3")
    parser.add_argument("--dry-run", action="store_true", help="open the first clips, show sizes and parts, and stop")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_intermixed_args(arguments)
    recipe = load_recipe(options.recipe, options.overrides)
    if options.dry_run:
        from affectgpt.train.dry_run import dry_run

        dry_run(recipe)
        return 0
    folder = run(recipe)
    print(f"\nmodel: {folder}\nnext:  affectgpt describe CLIP --model {folder}")
    return 0


def model_config(recipe: Recipe):
    """The model's configuration: the preset, and every setting of the recipe that differs from the usual one."""
    from affectgpt.config import ModelSection
    from affectgpt.models.configuration import AffectGPTConfig

    usual = vars(ModelSection())
    names = {"llm", "audio_encoder", "visual_encoder"}
    values = {key: value for key, value in vars(recipe.model).items()
              if key not in ("preset", "attention", "dtype", "train_encoders")
              and (key in names or recipe.model.preset == "affectgpt" or value != usual[key])}
    return AffectGPTConfig(preset=recipe.model.preset, **values)


def build(recipe: Recipe, device: str):
    """(model, processor) of new projectors and LoRA on the pretrained parts that the recipe names."""
    import torch

    from affectgpt.models.modeling import AffectGPTForConditionalGeneration
    from affectgpt.models.parts import load_tokenizer
    from affectgpt.models.processing import AffectGPTProcessor

    torch.manual_seed(recipe.train.seed)
    config = model_config(recipe)
    model = AffectGPTForConditionalGeneration.from_parts(
        config, dtype=getattr(torch, recipe.model.dtype), attention=recipe.model.attention)
    model.config.dtype = recipe.model.dtype
    processor = AffectGPTProcessor(load_tokenizer(recipe.model.llm), model.config)
    model.mark_trained(encoders=recipe.model.train_encoders)
    return model.to(device), processor


def choose_device(recipe: Recipe) -> str:
    """"cuda" or "cpu", and the number of CPU threads."""
    import torch

    if recipe.train.threads:
        torch.set_num_threads(recipe.train.threads)  # 0 leaves it to torch, which knows affinity and OMP_NUM_THREADS
    if recipe.train.device == "cuda" and not torch.cuda.is_available():
        raise ValueError("train.device=cuda, but torch sees no GPU: set train.device=auto or install a CUDA torch")
    return "cuda" if recipe.train.device != "cpu" and torch.cuda.is_available() else "cpu"


def read_splits(recipe: Recipe) -> dict:
    """Split name -> clips, for training and validation.

    Raises:
        ValueError: no manifest, or a split without clips.
    """
    from affectgpt.data.readers import read_corpora

    if not recipe.data.manifests:
        raise ValueError("data.manifests is empty: name a manifest, for example data.manifests=corpus/manifest.jsonl")
    clips = read_corpora(recipe.data.manifests, recipe.data.root)
    splits = {}
    for key in ("train_split", "validation_split"):
        name = getattr(recipe.data, key)
        splits[name] = [clip for clip in clips if clip.split == name]
        if not splits[name]:
            known = ", ".join(sorted({clip.split or "(none)" for clip in clips}))
            raise ValueError(f"data.{key}={name}: no clip has this split; the manifests have {known}")
    return splits


def run(recipe: Recipe) -> Path:
    """Train as the recipe says; return the model folder."""
    import torch
    from transformers import set_seed

    from affectgpt.data.dataset import InstructionDataset, label_space
    from affectgpt.data.features import compute_features, read_inputs
    from affectgpt.models.alignment import word_table
    from affectgpt.train.trainer import AffectGPTTrainer, Collator, JsonLog, align, training_arguments

    started = time.time()
    device = choose_device(recipe)
    output = Path(recipe.train.output)
    splits = read_splits(recipe)
    resume = last_checkpoint(recipe)  # before anything is loaded: it may refuse
    set_seed(recipe.train.seed)
    model, processor = build(recipe, device)
    output.mkdir(parents=True, exist_ok=True)
    if resume is None:  # what an earlier run left would be taken for this one's
        shutil.rmtree(output / "checkpoints", ignore_errors=True)
        (output / "log.jsonl").unlink(missing_ok=True)
    save_recipe(recipe, output / "recipe.yaml")
    print_parts(model)

    data = recipe.data
    inputs = {}
    for name, clips in splits.items():
        if data.cache:
            inputs |= compute_features(model, processor, clips, output / "features" / name, data.reader, data.workers,
                                       data.max_skip_ratio, title=f"features of {name}", transcribe=data.transcribe)
        else:
            inputs |= read_inputs(processor, clips, output / "features" / name, data.reader, data.workers,
                                  data.max_skip_ratio, f"clips of {name}", transcribe=data.transcribe)
    variants = speed_variants(model, processor, splits[data.train_split], inputs, recipe)
    model.fit_norms([inputs[clip.key] for clip in splits[data.train_split] if clip.key in inputs])
    space = label_space(splits[data.train_split])
    model.config.label_space = space

    sets = {}
    for name, clips in splits.items():
        training = name == data.train_split
        sets[name] = InstructionDataset(processor, clips, inputs, data.questions,
                                        data.modality_dropout, data.text_dropout, recipe.train.seed, training,
                                        variants if training else None)
    collator = Collator(processor, space)
    table = word_table(model, processor.tokenizer, space) if space else torch.zeros(0, 1)
    arguments = training_arguments(recipe, steps_per_epoch(recipe, len(sets[data.train_split])), device)
    aligned = None
    if recipe.train.alignment_epochs and space and model.config.media_streams and not resume:
        # Nothing is hidden here: each stream learns by itself.
        batches = {name: whole_batches(dataset, collator, 32) for name, dataset in sets.items()}
        aligned = align(model, recipe, batches[data.train_split], batches[data.validation_split], table,
                        recipe.train.alignment_epochs, recipe.train.alignment_learning_rate)
    trainer = AffectGPTTrainer(model=model, args=arguments, data_collator=collator, recipe=recipe, word_table=table,
                               train_dataset=sets[data.train_split], eval_dataset=sets[data.validation_split],
                               callbacks=[JsonLog(output / "log.jsonl")])
    result = trainer.train(resume_from_checkpoint=resume)
    if not torch.isfinite(torch.tensor(result.training_loss)):
        raise ValueError(f"the training loss is {result.training_loss}: lower train.learning_rate; "
                         "no model was written")
    folder = output / "model"
    with atomic_folder(folder, overwrite=True) as temporary:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        save_recipe(recipe, temporary / "recipe.yaml")
        atomic_write_json(temporary / "training.json", {
            "affectgpt": affectgpt.__version__, "torch": torch.__version__, "steps": trainer.state.global_step,
            "best_validation_loss": trainer.state.best_metric, "best_checkpoint": trainer.state.best_model_checkpoint,
            "alignment_validation_loss": aligned, "train_clips": len(sets[data.train_split]),
            "validation_clips": len(sets[data.validation_split]), "seconds": round(time.time() - started, 1)})
    return folder


def speed_variants(model, processor, clips: list, inputs: dict, recipe: Recipe) -> dict[str, list]:
    """Clip key -> its inputs with the sound at each further speed of `data.speed_perturbation`."""
    from dataclasses import replace

    from affectgpt.data.features import compute_features

    data, variants = recipe.data, {}
    for speed in data.speed_perturbation:
        folder = Path(recipe.train.output) / "features" / data.train_split
        table = compute_features(model, processor, clips, folder, data.reader, data.workers, data.max_skip_ratio,
                                 title=f"sound at speed {speed:g}", streams=["audio"], speed=speed)
        for clip in clips:
            if clip.key in table and clip.key in inputs and table[clip.key].audio is not None:
                changed = replace(inputs[clip.key], audio=table[clip.key].audio)
                variants.setdefault(clip.key, []).append(changed)
    return variants


def whole_batches(dataset, collator, size: int) -> list[dict]:
    """All clips of a dataset and their variants, nothing hidden, in batches of features and alignment targets."""
    streams = ("audio", "face", "frame")
    samples = []
    for clip, _ in dataset.items:
        for inputs in (dataset.inputs[clip.key], *dataset.variants.get(clip.key, [])):
            samples.append({"input_ids": [0], "clip": clip, "audio_lengths": inputs.audio_lengths,
                            **{stream: getattr(inputs, stream) for stream in streams}})
    return [collator(samples[start : start + size]) for start in range(0, len(samples), size)]


def steps_per_epoch(recipe: Recipe, clips: int) -> int:
    """Optimizer steps of one epoch on one device."""
    return -(-clips // (recipe.train.batch_size * recipe.train.accumulation))


FREE_ON_RESUME = ("epochs", "max_steps", "resume", "threads", "device", "keep_checkpoints", "log_every")
"""Settings of `train` that may change between a run and its continuation."""


def last_checkpoint(recipe: Recipe) -> str | None:
    """The newest whole checkpoint to resume from, as train.resume says; None starts anew.

    Raises:
        ValueError: train.resume is true and there is none, or the folder holds a run with other settings.
    """
    output = Path(recipe.train.output)
    # The Trainer writes its state last: a checkpoint without it was cut off.
    found = [path for path in (output / "checkpoints").glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    if recipe.train.resume is True and not found:
        raise ValueError(f"train.resume=true, but {output / 'checkpoints'} has no checkpoint: "
                         "set train.resume=auto or false")
    if not recipe.train.resume or not found:
        return None
    before = settings_of(load_recipe(output / "recipe.yaml")) if (output / "recipe.yaml").is_file() else {}
    now = settings_of(recipe)
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        raise ValueError(f"{output} holds a run with other settings ({', '.join(changed[:4])}): choose another "
                         "train.output, or set train.resume=false to start anew there")
    return str(max(found, key=lambda path: int(path.name.rsplit("-", 1)[1])))


def settings_of(recipe: Recipe) -> dict:
    """"group.name" -> value of all settings that a continued run must share."""
    values = {f"{group}.{name}": value for group in ("model", "data", "train")
              for name, value in vars(getattr(recipe, group)).items()}
    return {key: value for key, value in values.items() if key not in {f"train.{name}" for name in FREE_ON_RESUME}}


def print_parts(model) -> None:
    """Print the table of frozen and trained parts."""
    print(f"{'part':<18}{'frozen':>14}{'trained':>14}")
    for name, frozen, trained in model.part_sizes():
        print(f"{name:<18}{frozen:>14,}{trained:>14,}")


if __name__ == "__main__":
    sys.exit(run_cli(main))
