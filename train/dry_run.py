"""What a recipe would do: its settings, its parts, the first clips as tensors and tokens, the memory it will take."""

from __future__ import annotations

import yaml

from affectgpt.config import Recipe, recipe_to_dict
from affectgpt.environment import computing_dtype

CLIPS = 2


def dry_run(recipe: Recipe) -> None:
    """Resolve the recipe, open the first clips, print what training would see, and write nothing."""
    from affectgpt.data.dataset import InstructionDataset
    from affectgpt.data.reading import load_clip
    from affectgpt.errors import quiet_libraries
    from affectgpt.train import sft
    from affectgpt.train.lengths import check_manifest, print_lengths

    quiet_libraries()
    print(yaml.safe_dump(recipe_to_dict(recipe), sort_keys=False, allow_unicode=True, width=110))
    mixture = sft.read_mixture(recipe)
    splits = mixture.splits
    for name, clips in splits.items():
        print(f"split {name}: {len(clips)} clips, first of {clips[0].provenance}")
    model, processor, dtype = _without_weights(recipe)
    sft.print_parts(model)
    for name, dataset in check_manifest(processor, splits, recipe, mixture).items():
        print_lengths(dataset, name, len(splits[name]))
    clips = splits[recipe.data.train_split][:CLIPS]
    inputs = {clip.key: load_clip(processor, clip, reader=recipe.data.reader, transcribe=recipe.data.transcribe)
              for clip in clips}
    dataset = InstructionDataset(processor, clips, inputs, recipe.data.questions, recipe.data.modality_dropout,
                                 recipe.data.text_dropout, recipe.train.seed,
                                 questions_together=recipe.data.questions_together, mixture=mixture)
    samples = []
    for index, (clip, _) in enumerate(dataset.items):
        sample, raw = dataset[index], inputs[clip.key]
        shapes = ", ".join(f"{stream} {list(getattr(raw, stream).shape)}" for stream in raw.media_streams)
        labelled = sum(label != -100 for label in sample["labels"])
        samples.append(sample)
        kinds, hidden = dataset.asked(index)
        print(f"\nclip {clip.key}: {shapes or 'no media'}{'; ' + '; '.join(raw.notes) if raw.notes else ''}")
        print(f"  question {', '.join(kinds)}; hidden {', '.join(hidden) or 'nothing'}; "
              f"{len(sample['input_ids'])} tokens, {labelled} labelled")
        print("  " + processor.tokenizer.decode(sample["input_ids"]).replace("\n", "\n  "))
    print_memory(recipe, model, samples, dtype)
    print("\ndry run: nothing was trained or written")


def _without_weights(recipe: Recipe):
    """(model without weights, processor, number format of the LLM): a large model is shown without loading it."""
    import torch

    from affectgpt import loading
    from affectgpt.models.processing import AffectGPTProcessor
    from affectgpt.train import memory, sft

    config = loading.describe_parts(sft.model_config(recipe))
    processor = AffectGPTProcessor(loading.load_tokenizer(recipe.model.llm), config)
    dtype = getattr(torch, computing_dtype(recipe.model.dtype, _device(recipe)))
    return memory.skeleton(config, dtype, recipe.model.train_llm, recipe.model.train_encoders), processor, dtype


def _device(recipe: Recipe) -> str:
    import torch

    return "cuda" if recipe.train.device != "cpu" and torch.cuda.is_available() else "cpu"


def print_memory(recipe: Recipe, model, samples: list[dict], dtype) -> None:
    """Print an estimate of the memory of training on this machine's device; without a GPU here, on one as well."""
    from affectgpt.loading import choose_attention
    from affectgpt.train import memory

    if recipe.data.cache:
        samples = memory.as_features(samples, model.config, model)
    device, fused = _device(recipe), memory.FUSED if recipe.model.attention != "eager" else "eager"
    kernels = {"cuda": fused, "cpu": choose_attention(recipe.model.attention, str(dtype).removeprefix("torch."), "cpu")
               if recipe.model.attention != "flash_attention_2" else None}
    print()
    for place, kernel in kernels.items():
        if kernel and (place == device or device == "cpu" and recipe.train.device != "cpu"):
            found = memory.estimate(recipe, model.config, model, samples, dtype, kernel)
            print(f"memory (estimate) on {'a GPU' if place == 'cuda' else 'the CPU'}, GiB: {found.line()}")
