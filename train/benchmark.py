"""Clips a second of the published way of training and of this one, in one run; and MFU of a model of any size.

    affectgpt benchmark starter                          # raw clips and batch 3 against store and packing
    affectgpt benchmark starter --steps 20 --json benchmark.json train.pack_tokens=1024
    affectgpt benchmark --shape qwen2.5-7b               # random weights of that size: packed 8192 tokens, LoRA r16
    train/launch/one_node.sh ... with JOB=train/benchmark.py --shape qwen2.5-7b --zero-stage 3

    affectgpt benchmark starter --answers runs/starter/model     # one clip at a time against batches, raw and stored

Only ratios within one run mean something: a machine's speed moves between runs and within them. So each way is timed
in several short blocks, in turn with the others; a ratio is the median over the blocks. CPU seconds stand beside wall
time: they are the figure to trust where other work runs. Times are of whole steps with their data; the first step of a
block does not count. A clip is one question and answer about a clip. The first row is the published way of training
done by this code; the official loop itself took 1.18 times its CPU seconds (docs/benchmarks.md), which no row counts.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import sys
import time
from pathlib import Path
from types import SimpleNamespace

if __name__ == "__main__":  # a checkout that is not installed
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from affectgpt.config import load_recipe
from affectgpt.errors import quiet_libraries, run_cli
from affectgpt.files import atomic_write_json
from affectgpt.terminal import parse_intermixed

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
    parser.add_argument("--blocks", type=int, default=4, metavar="N",
                        help="short blocks, in turn with those of the other rows, that steps are timed in (default: 4)")
    parser.add_argument("--answers", type=Path, metavar="MODEL", help="time the answers of this trained model to the "
                        "recipe's test clips instead of training")
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
    if options.steps < 0 or options.warmup < 0 or options.pack_tokens < 64 or options.blocks < 1:
        raise ValueError("--steps and --warmup must not be negative, --pack-tokens must be at least 64, --blocks 1")
    quiet_libraries()
    from affectgpt.train.benchmark_ways import answer_ways, training_ways

    if options.shape:
        rows = shape_row(options)
    else:
        rows = answer_ways(options) if options.answers else training_ways(options)
    if rows:
        print(table(rows))
        if options.json:
            atomic_write_json(options.json, rows)
    return 0


def shape_row(options) -> list[dict]:
    """One row: an LLM of a known size with random weights, LoRA r16, packed rows of clips as MER-Caption has them."""
    import torch

    from affectgpt.data.packing import Batching, rows_of_epoch, steps_of_epoch
    from affectgpt.models.collate import to_device
    from affectgpt.train import distributed
    from affectgpt.train.batches import BatchMaker, prefetch
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
        # Planned, collated and copied as in the trainer, in another thread: what the model waits for counts.
        clips = RandomClips(model.config)
        rows = rows_of_epoch(clips.lengths, len(clips), Batching("packed", 1, options.pack_tokens))
        maker = BatchMaker(clips, SimpleNamespace(config=model.config), world, "packed")
        steps = prefetch(maker.steps(steps_of_epoch(rows, world.size)))
        with contextlib.closing(steps):
            for number, step in enumerate(itertools.islice(steps, options.warmup + (options.steps or 10))):
                started = time.perf_counter()
                for place, (batch, _, _) in enumerate(step.passes):
                    batch = to_device(batch, world.device)
                    outputs = engine.forward(**batch, num_items_in_batch=step.labelled)
                    engine.backward(outputs.loss, last=place == len(step.passes) - 1)
                engine.step([group["lr"] for group in groups])
                if world.device.type == "cuda":
                    torch.cuda.synchronize()
                if number >= options.warmup:
                    operations = cost.operations(step.tokens, step.labelled, step.squares, step.counted)
                    meter.add(0.0, step.labelled, step.tokens, step.counted, operations, step.waited,
                              time.perf_counter() - started)
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

    from affectgpt.environment import computing_dtype
    from affectgpt.loading import choose_attention
    from affectgpt.models.configuration import AffectGPTConfig
    from affectgpt.models.modeling import AffectGPTForConditionalGeneration

    audio = dict(
        model_type="hubert", hidden_size=1024, num_hidden_layers=4, num_attention_heads=16, intermediate_size=64
    )
    visual = dict(model_type="clip_vision_model", hidden_size=64, intermediate_size=64, num_hidden_layers=1,
                  num_attention_heads=1, projection_dim=768)
    config = AffectGPTConfig(text_config=shape, audio_config=audio, visual_config=visual, audio_layers="last",
                             lora_rank=16, lora_dropout=0.0, streams=["audio", "face", "fusion", "text"])
    config.placeholder_ids = {name: shape["vocab_size"] + place
                              for place, name in enumerate(("image", "audio", "frame", "face", "fusion"))}
    name = computing_dtype("auto", device)  # float32 where bfloat16 is emulated
    dtype = getattr(torch, name)
    config.text_config._attn_implementation = choose_attention("auto", name, device)
    from transformers import AutoModelForCausalLM

    with torch.device(device):
        language_model = AutoModelForCausalLM.from_config(config.text_config, dtype=dtype)
        return AffectGPTForConditionalGeneration(config, language_model).to(device)


class RandomClips:
    """Made samples under the interface of `InstructionDataset`, as far as batches are made of them: every other one a
    label question of about 130 tokens, the others descriptions of about 386 (means of MER-Caption's kind)."""

    def __init__(self, config, count: int = 100_000):
        self.config, self.count = config, count
        self.items = _Keys()

    def __len__(self) -> int:
        return self.count

    def sizes(self, indices: list[int]) -> list:
        """What samples cost."""
        from affectgpt.data.branches import size_of

        return [size_of(self[index]) for index in indices]

    def lengths(self, indices: list[int]) -> list[int]:
        """Tokens of samples."""
        return [self._length(index)[1] for index in indices]

    def _length(self, index: int):
        import torch

        generator = torch.Generator().manual_seed(index)
        mean = 130 if index % 2 else 386
        return generator, int(mean * (0.7 + 0.6 * torch.rand((), generator=generator)))

    def __getitem__(self, index: int) -> dict:
        generator, length = self._length(index)
        sample = _sample(self.config, length, 0.13 if index % 2 else 0.75, generator)
        return sample | {"clip": self.items[index][0]}


class _Keys:
    """(clip, question kinds) of each made sample, of which there is no end."""

    def __len__(self) -> int:
        return 2**62

    def __getitem__(self, index: int) -> tuple:
        return SimpleNamespace(key=f"made/{index}"), {}


def _sample(config, length: int, share: float, generator) -> dict:
    import torch

    ids = torch.randint(0, config.text_config.vocab_size, (length,), generator=generator).tolist()
    place = 4
    for stream in ("fusion", "audio", "face"):
        count = config.tokens_of(stream)
        ids[place : place + count] = [config.placeholder_ids[stream]] * count
        place += count + 2
    prompt = length - int(share * length)
    return {
        "input_ids": ids,
        "labels": [-100] * prompt + ids[prompt:],
        "audio": torch.randn(8, 1024 * 2 + 1, generator=generator),
        "face": torch.randn(8, 768, generator=generator),
    }


def measured(meter, peak: float, engine, world) -> dict:
    """What a row of the table says."""
    from affectgpt.train.facts import commit, hardware

    return {"clips_per_second": meter.clips / meter.seconds, "tokens_per_second": meter.tokens / meter.seconds,
            "mfu": meter.operations / meter.seconds / (peak * world.size), "data_wait": meter.waited / meter.seconds,
            "memory_gib": engine.peak_memory() / 1024**3, "steps": meter.steps, "engine": engine.describe(),
            "hardware": hardware(world.device), "commit": commit(),
            "command": " ".join(["affectgpt benchmark", *sys.argv[2 if sys.argv[1:2] == ["benchmark"] else 1:]])}


def table(rows: list[dict]) -> str:
    """Rows as Markdown; a row has a CPU time only where rows were timed in turn."""
    lines = [
        "",
        "| way | clips/s | times the first | CPU s/clip | times the first by CPU | tokens/s | MFU | data wait | "
        "peak memory so far | steps |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cpu = [f"{row['cpu_seconds_per_clip']:.3f}", f"{row['cpu_ratio']:.2f}"] if "cpu_ratio" in row else ["", ""]
        mfu = f"{row['mfu']:.1%}" if row["mfu"] is not None else ""
        lines.append(f"| {row['way']} | {row['clips_per_second']:.2f} | {row['ratio']:.2f} | {' | '.join(cpu)} | "
                     f"{row['tokens_per_second']:.0f} | {mfu} | {row['data_wait']:.1%} | "
                     f"{row['memory_gib']:.2f} GiB | {row['steps']} |")
    first = rows[0]
    lines += ["", f"hardware: {first['hardware']}; commit: {first['commit']}; {first['engine']}",
              f"command: {first['command']}"]
    if "peak" in first:
        lines.append(f"peak: {first['peak']}; attention: {first['attention']}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run_cli(main))
