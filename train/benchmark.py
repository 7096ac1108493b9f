"""Clips a second of the published way of training and of this one, in one run; and MFU of a model of any size.

    affectgpt benchmark starter                          # the recipe's model: raw clips and batch 3 against store and packing
    affectgpt benchmark starter --steps 20 --json benchmark.json train.pack_tokens=1024
    affectgpt benchmark --shape qwen2.5-7b               # random weights of that size: packed 8192 tokens, LoRA r16
    train/launch/one_node.sh ... with JOB=train/benchmark.py --shape qwen2.5-7b --zero-stage 3

Only ratios within one run mean something: a machine's speed moves between runs. Times are of whole steps with their
data, after warm-up steps that do not count.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from pathlib import Path

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.config import load_recipe
from affectgpt.errors import quiet_libraries, run_cli
from affectgpt.files import atomic_write_json
from affectgpt.terminal import parse_intermixed

WAYS = {
    "raw clips, padded, batch 3, LoRA dropout 0.05 (published)": [
        "data.cache=false", "train.batching=random", "train.batch_size=3", "model.lora_dropout=0.05"],
    "raw clips, padded, batch 3": ["data.cache=false", "train.batching=random", "train.batch_size=3"],
    "stored features, padded, batch 3": ["data.cache=true", "train.batching=random", "train.batch_size=3"],
    "stored features, like lengths, batch 8": ["data.cache=true", "train.batching=grouped", "train.batch_size=8"],
    "stored features, packed": ["data.cache=true", "train.batching=packed", "train.batch_size=1"],
}
"""Title -> settings; each way is trained with the same model on the same clips."""

SHAPES = {
    "tiny": dict(model_type="qwen2", hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                 num_key_value_heads=2, vocab_size=1000),
    "qwen3-0.6b": dict(model_type="qwen3", hidden_size=1024, intermediate_size=3072, num_hidden_layers=28,
                       num_attention_heads=16, num_key_value_heads=8, head_dim=128, vocab_size=151936,
                       tie_word_embeddings=True),
    "qwen2.5-7b": dict(model_type="qwen2", hidden_size=3584, intermediate_size=18944, num_hidden_layers=28,
                       num_attention_heads=28, num_key_value_heads=4, vocab_size=152064),
}
"""Sizes of LLMs for `--shape`, from their published configurations."""


def main(arguments: list[str]) -> int:
    """Parse the command line and run the benchmark."""
    parser = argparse.ArgumentParser(prog="affectgpt benchmark", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="?", help="a recipe whose ways of training are compared")
    parser.add_argument("overrides", nargs="*", metavar="key=value", help="settings of the recipe to change")
    parser.add_argument("--shape", choices=sorted(SHAPES), help="random weights of this size instead of a recipe")
    parser.add_argument("--steps", type=int, default=0, help="timed steps of each row (default: 96 clips' worth, "
                        "or 10 with --shape)")
    parser.add_argument("--warmup", type=int, default=4, help="steps before them that do not count (default: 4)")
    parser.add_argument("--pack-tokens", type=int, default=8192, help="tokens of a row with --shape (default: 8192)")
    parser.add_argument("--zero-stage", type=int, choices=(0, 1, 2, 3), help="with --shape: DeepSpeed at this stage")
    parser.add_argument("--gradient-checkpointing", action="store_true", help="with --shape")
    parser.add_argument("--json", type=Path, help="write the rows there too")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    parser.add_argument("--planning", action="store_true", help="time the planning of samples alone, without a recipe")
    options = parse_intermixed(parser, arguments)
    if options.planning:
        from affectgpt.train.planning_benchmark import planning

        planning()
        return 0
    if (options.recipe is None) == (options.shape is None):
        raise ValueError("give a recipe or --shape, and not both; see affectgpt benchmark --help")
    if options.steps < 0 or options.warmup < 0 or options.pack_tokens < 64:
        raise ValueError("--steps and --warmup must not be negative, --pack-tokens must be at least 64")
    quiet_libraries()
    rows = shape_row(options) if options.shape else ways(options)
    if rows:
        print(table(rows))
        if options.json:
            atomic_write_json(options.json, rows)
    return 0


def ways(options) -> list[dict]:
    """One row for each of `WAYS`."""
    pack = next((word for word in options.overrides if word.startswith("train.pack_tokens=")), None)
    others = [word for word in options.overrides if word != pack]
    rows = []
    for title, settings in WAYS.items():
        packed = "train.batching=packed" in settings
        asked = load_recipe(options.recipe, others)
        tokens = pack or f"train.pack_tokens={asked.train.pack_tokens or 1024}"
        recipe = load_recipe(options.recipe, [
            *others, *settings, tokens if packed else "train.pack_tokens=0", "train.accumulation=1",
            "train.alignment_epochs=0", "train.log_every=1000000", "data.speed_perturbation="])
        row = time_recipe(recipe, options.steps, options.warmup)
        rows.append({"way": title, **row, "ratio": 1.0 if not rows else row["clips_per_second"] / rows[0]["clips_per_second"]})
        print(f"{title}: {row['clips_per_second']:.2f} clips/s, {rows[-1]['ratio']:.1f} times the first", flush=True)
    return rows


def time_recipe(recipe, steps: int, warmup: int) -> dict:
    """Train for some steps and say what they cost."""
    from affectgpt.data.dataset import InstructionDataset, label_space
    from affectgpt.train import distributed, sft
    from affectgpt.train.alignment import word_table
    from affectgpt.train.checkpoints import Checkpoints, State
    from affectgpt.train.inputs import open_inputs
    from affectgpt.train.rates import parameter_groups
    from affectgpt.train.trainer import Meter, Trainer

    sft.limit_threads(recipe)
    world = distributed.start(recipe.train.device, deepspeed=recipe.train.engine == "deepspeed")
    try:
        splits = sft.read_splits(recipe)
        model, processor = sft.build(recipe, world.device)
        inputs, _ = open_inputs(model, processor, splits, recipe, world)
        clips = splits[recipe.data.train_split]
        space = label_space(clips)
        sets = [InstructionDataset(processor, clips, inputs, recipe.data.questions, recipe.data.modality_dropout,
                                   recipe.data.text_dropout, recipe.train.seed,
                                   questions_together=recipe.data.questions_together)] * 2
        groups = parameter_groups(model, recipe.train)
        engine = sft.make_engine(model, groups, recipe)
        table = word_table(model, processor.tokenizer, space)
        trainer = Trainer(engine, world, recipe, processor, sets, table, space, Checkpoints(Path(), 1), None,
                          State(rows_per_step=world.size), [group["names"][0] for group in groups])
        first = sum(1 for _ in itertools.islice(map(trainer.one_step, _endless(trainer)), warmup)) if warmup else 0
        clips_a_step = max(1.0, trainer.state.clips / max(1, first))
        timed = steps or max(4, round(96 / clips_a_step))
        trainer.meter = Meter()
        for step in itertools.islice(_endless(trainer), timed):
            trainer.one_step(step)
        return measured(trainer.meter, trainer.peak, engine, world) | {"clips_per_step": clips_a_step}
    finally:
        distributed.stop()


def _endless(trainer):
    """Steps of one epoch after the other."""
    while True:
        trainer.train_set.set_epoch(trainer.state.epoch)
        yield from trainer.steps()
        trainer.state.epoch += 1
        trainer.state.steps_in_epoch = trainer.state.clips_in_epoch = 0


def shape_row(options) -> list[dict]:
    """One row: an LLM of a known size with random weights, LoRA r16, packed rows of clips as MER-Caption has them."""
    import torch

    from affectgpt.models.collate import collate_packed
    from affectgpt.train import distributed
    from affectgpt.train.engines.deepspeed_engine import DeepSpeedEngine
    from affectgpt.train.engines.settings import EngineSettings
    from affectgpt.train.engines.torch_engine import TorchEngine
    from affectgpt.train.flops import StepCost, peak_operations
    from affectgpt.train.rates import parameter_groups
    from affectgpt.train.trainer import Meter

    world = distributed.start("auto", deepspeed=options.zero_stage is not None)
    try:
        model = random_model(SHAPES[options.shape], world.device)
        model.mark_trained()
        if options.gradient_checkpointing:
            model.activation_checkpointing_enable({"use_reentrant": False})
        groups = parameter_groups(model, load_recipe("affectgpt-qwen2.5-7b").train)
        kind = TorchEngine if options.zero_stage is None else DeepSpeedEngine
        engine = kind(model, groups, EngineSettings(clip_norm=1.0, zero_stage=options.zero_stage or 0))
        cost, meter = StepCost(model), Meter()
        peak, source = peak_operations(world.device, model.dtype_of_llm)
        model.train()
        for number in range(options.warmup + (options.steps or 10)):
            samples = random_samples(model.config, options.pack_tokens, number * world.size + world.rank)
            batch = {key: value.to(world.device) for key, value in collate_packed(samples).items()}
            lengths = [len(sample["input_ids"]) for sample in samples]
            labelled = int((batch["labels"] != -100).sum())
            started = time.perf_counter()
            outputs = engine.forward(**batch, num_items_in_batch=labelled * world.size)
            engine.backward(outputs.loss, last=True)
            engine.step([group["lr"] for group in groups])
            if world.device.type == "cuda":
                torch.cuda.synchronize()
            if number >= options.warmup:
                totals = world.sum([labelled, sum(lengths), sum(n * n for n in lengths), len(lengths)])
                meter.add(0.0, totals[0], totals[1], totals[3], cost.operations(totals[1], *totals[:1], *totals[2:]),
                          0.0, time.perf_counter() - started)
        zero = "" if options.zero_stage is None else f", ZeRO {options.zero_stage}"
        row = {"way": f"{options.shape}, random weights, LoRA r16, packed {options.pack_tokens}{zero}",
               **measured(meter, peak, engine, world), "peak": f"{peak / 1e12:.4g} TFLOP/s, {source}", "ratio": 1.0,
               "attention": model.language_model.config._attn_implementation}
        return [row] if world.is_main else []
    finally:
        distributed.stop()


def random_model(shape: dict, device):
    """An AffectGPT on an LLM of this shape, with encoders of the published widths that never run."""
    import torch

    from affectgpt.loading import choose_attention
    from affectgpt.models.configuration import AffectGPTConfig
    from affectgpt.models.modeling import AffectGPTForConditionalGeneration

    audio = dict(model_type="hubert", hidden_size=1024, num_hidden_layers=4, num_attention_heads=16, intermediate_size=64)
    visual = dict(model_type="clip_vision_model", hidden_size=64, intermediate_size=64, num_hidden_layers=1,
                  num_attention_heads=1, projection_dim=768)
    config = AffectGPTConfig(text_config=shape, audio_config=audio, visual_config=visual, audio_layers="last",
                             lora_rank=16, lora_dropout=0.0, streams=["audio", "face", "fusion", "text"])
    config.placeholder_ids = {name: shape["vocab_size"] + place
                              for place, name in enumerate(("image", "audio", "frame", "face", "fusion"))}
    dtype = torch.bfloat16
    config.text_config._attn_implementation = choose_attention("auto", "bfloat16", device)
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        language_model = AutoModelForCausalLM.from_config(config.text_config, dtype=dtype)
        return AffectGPTForConditionalGeneration(config, language_model).to(device)


def random_samples(config, tokens: int, seed: int) -> list[dict]:
    """Clips that fill a row: half label questions of 130 tokens, half descriptions of 386 (means of MER-Caption's kind)."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    samples, free = [], tokens
    while True:
        mean, share = (130, 0.13) if len(samples) % 2 else (386, 0.75)
        length = int(mean * (0.7 + 0.6 * torch.rand((), generator=generator)))
        if length > free:
            return samples or [_sample(config, tokens, share, generator)]
        samples.append(_sample(config, length, share, generator))
        free -= length


def _sample(config, length: int, share: float, generator) -> dict:
    import torch

    ids = torch.randint(0, config.text_config.vocab_size, (length,), generator=generator).tolist()
    place = 4
    for stream in ("fusion", "audio", "face"):
        count = config.tokens_of(stream)
        ids[place : place + count] = [config.placeholder_ids[stream]] * count
        place += count + 2
    prompt = length - int(share * length)
    return {"input_ids": ids, "labels": [-100] * prompt + ids[prompt:],
            "audio": torch.randn(8, 1024 * 2 + 1, generator=generator), "face": torch.randn(8, 768, generator=generator)}


def measured(meter, peak: float, engine, world) -> dict:
    """What a row of the table says."""
    from affectgpt.train.facts import commit, hardware

    return {"clips_per_second": meter.clips / meter.seconds, "tokens_per_second": meter.tokens / meter.seconds,
            "mfu": meter.operations / meter.seconds / (peak * world.size), "data_wait": meter.waited / meter.seconds,
            "memory_gib": engine.peak_memory() / 1024**3, "steps": meter.steps, "engine": engine.describe(),
            "hardware": hardware(world.device), "commit": commit(),
            "command": " ".join(["affectgpt benchmark", *sys.argv[2 if sys.argv[1:2] == ["benchmark"] else 1:]])}


def table(rows: list[dict]) -> str:
    """Rows as Markdown."""
    lines = ["", "| way | clips/s | times the first | tokens/s | MFU | data wait | peak memory so far | steps |",
             "|---|---|---|---|---|---|---|---|"]
    for row in rows:
        lines.append(f"| {row['way']} | {row['clips_per_second']:.2f} | {row['ratio']:.1f} | "
                     f"{row['tokens_per_second']:.0f} | {row['mfu']:.1%} | {row['data_wait']:.1%} | "
                     f"{row['memory_gib']:.2f} GiB | {row['steps']} |")
    first = rows[0]
    lines += ["", f"hardware: {first['hardware']}; commit: {first['commit']}; {first['engine']}",
              f"command: {first['command']}"]
    if "peak" in first:
        lines.append(f"peak: {first['peak']}; attention: {first['attention']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_cli(main))
