"""What a recipe would do: its settings, its parts, the first clips as tensors and tokens, the memory it will take."""

from __future__ import annotations

import yaml

from affectgpt.config import Recipe, recipe_to_dict

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
    splits = sft.read_splits(recipe)
    for name, clips in splits.items():
        print(f"split {name}: {len(clips)} clips, first of {clips[0].provenance}")
    model, processor = sft.build(recipe, "cpu")
    sft.print_parts(model)
    for name, dataset in check_manifest(processor, splits, recipe).items():
        print_lengths(dataset, name, len(splits[name]))
    clips = splits[recipe.data.train_split][:CLIPS]
    inputs = {clip.key: load_clip(processor, clip, reader=recipe.data.reader, transcribe=recipe.data.transcribe)
              for clip in clips}
    dataset = InstructionDataset(processor, clips, inputs, recipe.data.questions, recipe.data.modality_dropout,
                                 recipe.data.text_dropout, recipe.train.seed,
                                 questions_together=recipe.data.questions_together)
    lengths = []
    for index, (clip, _) in enumerate(dataset.items):
        sample, raw = dataset[index], inputs[clip.key]
        shapes = ", ".join(f"{stream} {list(getattr(raw, stream).shape)}" for stream in raw.media_streams)
        labelled = sum(label != -100 for label in sample["labels"])
        lengths.append(len(sample["input_ids"]))
        kinds, hidden = dataset.asked(index)
        print(f"\nclip {clip.key}: {shapes or 'no media'}{'; ' + '; '.join(raw.notes) if raw.notes else ''}")
        print(f"  question {', '.join(kinds)}; hidden {', '.join(hidden) or 'nothing'}; {lengths[-1]} tokens, "
              f"{labelled} labelled")
        print("  " + processor.tokenizer.decode(sample["input_ids"]).replace("\n", "\n  "))
    print_memory(model, recipe, max(lengths))
    print("\ndry run: nothing was trained or written")


def print_memory(model, recipe: Recipe, length: int) -> None:
    """Print an estimate of the memory of training: weights, gradients with Adam's two states, activations."""
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    config, train = model.config.text_config, recipe.train
    tokens = train.pack_tokens if train.batching == "packed" else train.batch_size * length
    bytes_a_value = 2 if recipe.model.dtype == "bfloat16" else 4
    # About 34 values a token, layer and channel are kept for the backward pass (Korthikanti et al. 2022, eq. 1,
    # counts 34 bytes at two bytes a value); with checkpointing one.
    kept = 1 if recipe.train.gradient_checkpointing else 17
    activations = tokens * config.num_hidden_layers * config.hidden_size * kept * bytes_a_value
    gibibyte = 1024**3
    print(f"\nmemory (estimate): weights {weights / gibibyte:.2f} GiB, gradients and optimizer "
          f"{trained * 12 / gibibyte:.2f} GiB, activations {activations / gibibyte:.2f} GiB "
          f"({tokens} tokens in a forward pass)")
