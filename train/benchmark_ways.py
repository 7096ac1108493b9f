"""Ways of training, and of answering, timed in turn within one run (see `affectgpt.train.benchmark`)."""

from __future__ import annotations

import contextlib
import copy
import itertools
import statistics
import time
from pathlib import Path

from affectgpt.config import load_recipe

ONE_QUESTION = "data.questions_together=false"
RAW = ["data.cache=false", "train.batching=random", "train.batch_size=3", ONE_QUESTION]
STORED = ["data.cache=true", "train.batching=random", "train.batch_size=3", ONE_QUESTION]
PACKED = ["data.cache=true", "train.batching=packed", "train.batch_size=1", ONE_QUESTION]
PUBLISHED = "raw clips, padded, batch 3, LoRA dropout 0.05 (published)"
WAYS = {
    PUBLISHED: [*RAW, "model.lora_dropout=0.05", "model.encoder_dtype=float32"],
    "raw clips, padded, batch 3, LoRA dropout 0.05, encoders in the run's precision": [*RAW, "model.lora_dropout=0.05"],
    "stored features, padded, batch 3, LoRA dropout 0.05": [*STORED, "model.lora_dropout=0.05"],
    "stored features, packed, LoRA dropout 0.05": [*PACKED, "model.lora_dropout=0.05"],
    "stored features, packed": [*PACKED, "model.lora_dropout=0"],
    "stored features, packed, questions together, LoRA dropout 0.05": [
        *PACKED, "model.lora_dropout=0.05", "data.questions_together=true"],
    "stored features, packed, questions together": [
        *PACKED, "model.lora_dropout=0", "data.questions_together=true"],
}
"""Title -> settings; each way is trained with the same model on the same clips. The first is computed by PEFT's own
forward, as the published code does; all others by the fused one."""


class TrainingWay:
    """One way of training on the shared model, which it sets up before each of its blocks."""

    def __init__(self, title: str, recipe, shared):
        from affectgpt.data.dataset import InstructionDataset
        from affectgpt.train.checkpoints import Checkpoints, State
        from affectgpt.train.inputs import open_inputs
        from affectgpt.train.sft import encoder_dtype
        from affectgpt.train.trainer import Meter, Trainer

        self.title, self.recipe, self.shared, self.total = title, recipe, shared, Meter()
        self.precision = encoder_dtype(recipe, shared.dtype)
        self._set_up()
        data, splits = recipe.data, shared.splits
        inputs, _ = open_inputs(shared.model, shared.processor, splits, recipe, shared.world)
        dataset = InstructionDataset(shared.processor, splits[data.train_split], inputs, data.questions,
                                     data.modality_dropout, data.text_dropout, recipe.train.seed,
                                     questions_together=data.questions_together, mixture=shared.mixture)
        kinds = sum(len(kinds) for _, kinds in dataset.items) / len(dataset.items)
        self.answers_a_clip = kinds if data.questions_together else 1.0
        self.trainer = Trainer(shared.engine, shared.world, recipe, shared.processor, [dataset] * 2, shared.table,
                               shared.space, Checkpoints(Path(), 1), None, State(rows_per_step=shared.world.size),
                               shared.group_names)
        self.blocks: list[tuple[float, float]] = []  # wall and CPU seconds a clip

    def _set_up(self) -> None:
        from affectgpt.models.lora import fuse_lora, set_lora_dropout

        model = self.shared.model
        if model.config.lora_rank:
            set_lora_dropout(model.language_model, self.recipe.model.lora_dropout)
            fuse_lora(model.language_model, self.title != PUBLISHED)
        for name, encoders in self.shared.encoders.items():
            getattr(model, name).model = encoders[self.precision]

    def run(self, steps: int, warmup: int, count: bool = True) -> float:
        """Time so many steps after `warmup` ones; returns the clips of a step."""
        from affectgpt.train.trainer import Meter

        self._set_up()
        trainer = self.trainer
        # Closed at its end, so that no batch of this way is made while another way is timed.
        with contextlib.closing(_endless(trainer)) as planned:
            for step in itertools.islice(planned, warmup):
                trainer.one_step(step)
            trainer.meter, cpu = Meter(), time.process_time()
            for step in itertools.islice(planned, steps):
                trainer.one_step(step)
            cpu = time.process_time() - cpu
        meter = trainer.meter
        clips = meter.clips * self.answers_a_clip
        if count:
            self.blocks.append((meter.seconds / clips, cpu / clips))
            self.total.add(0.0, meter.labelled, meter.tokens, clips, meter.operations, meter.waited,
                           meter.seconds - meter.waited)
            self.total.steps += meter.steps - 1
        return clips / max(1, meter.steps)


def training_ways(options) -> list[dict]:
    """One row for each of `WAYS`."""
    from affectgpt.train import distributed, sft
    from affectgpt.train.benchmark import measured

    recipes = _recipes(options)
    first = recipes[PUBLISHED]
    sft.limit_threads(first)
    world = distributed.start(first.train.device, deepspeed=first.train.engine == "deepspeed")
    try:
        shared = _Shared(first, world)
        ways = [TrainingWay(title, recipe, shared) for title, recipe in recipes.items()]
        steps = {}
        for way in ways:  # sizes of steps, and everything that a first step makes
            clips = way.run(1, max(0, options.warmup - 1), count=False)
            steps[way.title] = options.steps or max(options.blocks, round(96 / clips))
        for block in range(options.blocks):
            for way in ways if block % 2 == 0 else ways[::-1]:  # turned round, so that a drift cancels
                share = steps[way.title] * (block + 1) // options.blocks - steps[way.title] * block // options.blocks
                if share:
                    way.run(share, 1)
                    wall, cpu = way.blocks[-1]
                    print(f"block {block + 1} of {options.blocks}: {way.title}: {1 / wall:.2f} clips/s, "
                          f"{cpu:.2f} CPU s a clip", flush=True)
        rows = []
        for way in ways:
            row = measured(way.total, way.trainer.peak, shared.engine, world)
            rows.append({"way": way.title, **row, "clips_per_step": way.total.clips / way.total.steps,
                         **_ratios(ways[0].blocks, way.blocks)})
        return rows if world.is_main else []
    finally:
        distributed.stop()


def _ratios(first: list[tuple[float, float]], blocks: list[tuple[float, float]]) -> dict:
    """Medians over blocks: how many times as fast as the first way, by wall and by CPU time."""
    wall, cpu = ([one[part] / other[part] for one, other in zip(first, blocks)] for part in (0, 1))
    return {"ratio": statistics.median(wall), "cpu_ratio": statistics.median(cpu), "cpu_ratios": cpu,
            "cpu_seconds_per_clip": statistics.median(seconds for _, seconds in blocks)}


def _recipes(options) -> dict:
    pack = next((word for word in options.overrides if word.startswith("train.pack_tokens=")), None)
    others = [word for word in options.overrides if word != pack]
    tokens = pack or f"train.pack_tokens={load_recipe(options.recipe, others).train.pack_tokens or 1024}"
    return {title: load_recipe(options.recipe, [
        *others, *settings, tokens if "train.batching=packed" in settings else "train.pack_tokens=0",
        "train.accumulation=1", "train.alignment_epochs=0", "train.log_every=1000000", "train.max_steps=1000000",
        "data.speed_perturbation="])
        for title, settings in WAYS.items()}


class _Shared:
    """What all ways share: the model with its engine, its encoders in each precision, the clips."""

    def __init__(self, recipe, world):
        import torch

        from affectgpt.data.dataset import label_space
        from affectgpt.models.precision import cast_weights
        from affectgpt.train import sft
        from affectgpt.train.alignment import word_table
        from affectgpt.train.rates import parameter_groups

        self.world, self.mixture = world, sft.read_mixture(recipe)
        self.splits = self.mixture.splits
        self.model, self.processor = sft.build(recipe, world.device)
        self.dtype = str(self.model.dtype_of_llm).removeprefix("torch.")
        self.encoders = {}
        for name in ("audio_encoder", "visual_encoder"):
            if getattr(self.model, name) is not None:
                exact = getattr(self.model, name).model
                self.encoders[name] = {"float32": exact, "bfloat16": cast_weights(copy.deepcopy(exact), torch.bfloat16)}
        groups = parameter_groups(self.model, recipe.train)
        self.engine = sft.make_engine(self.model, groups, recipe)
        self.group_names = [group["names"][0] for group in groups]
        self.space = label_space(self.splits[recipe.data.train_split])
        self.table = word_table(self.model, self.processor.tokenizer, self.space)


def _endless(trainer):
    """Steps of one epoch after the other."""
    while True:
        trainer.train_set.set_epoch(trainer.state.epoch)
        yield from trainer.steps()
        trainer.state.epoch += 1
        trainer.state.steps_in_epoch = trainer.state.clips_in_epoch = 0


def answer_ways(options) -> list[dict]:
    """Answers of a trained model, one raw clip at a time as the published code asks, against batches of 16."""
    from affectgpt.data import prompts
    from affectgpt.data.mixture import read_parts
    from affectgpt.data.reading import load_clip
    from affectgpt.features.extract import encode_inputs
    from affectgpt.inference import Describer
    from affectgpt.train import distributed, sft
    from affectgpt.train.benchmark import measured
    from affectgpt.train.trainer import Meter

    recipe = load_recipe(options.recipe, options.overrides)
    sft.limit_threads(recipe)
    describer = Describer(options.answers, recipe.train.device)
    clips = [clip for part in read_parts(recipe.data) for clip in part.clips if clip.split == recipe.data.test_split]
    clips = clips[: options.steps or 32]
    if not clips:
        raise ValueError(f"data.test_split={recipe.data.test_split}: no clip of the corpora has this split")
    question = prompts.question_of("description", describer.processor.config.prompt_style)

    def read(clip):
        return load_clip(describer.processor, clip, reader=recipe.data.reader)

    stored = {clip.key: encode_inputs(describer.model, read(clip)) for clip in clips}
    ways = {"raw clips, one at a time (published)": (read, 1), "raw clips, batch 16": (read, 16),
            "stored features, batch 16": (lambda clip: copy.copy(stored[clip.key]), 16)}
    meters, blocks = {title: Meter() for title in ways}, {title: [] for title in ways}

    def ask(title: str, part: list, count: bool) -> None:
        get, size = ways[title]
        wall, cpu, tokens = time.perf_counter(), time.process_time(), 0
        for start in range(0, len(part), size):
            samples = [describer.processor.inference_sample(get(clip), question) for clip in part[start : start + size]]
            for text in describer.answers(samples, size):
                tokens += len(describer.processor.tokenizer(str(text)).input_ids)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        if count:
            blocks[title].append((wall / len(part), cpu / len(part)))
            meters[title].add(0.0, 0, tokens, len(part), 0.0, 0.0, wall)

    for title in ways:
        ask(title, clips[:1], count=False)
    number = min(options.blocks, max(1, len(clips) // 16))  # a block fills a batch
    for block in range(number):
        part = clips[len(clips) * block // number : len(clips) * (block + 1) // number]
        for title in ways if block % 2 == 0 else reversed(ways):
            ask(title, part, count=True)
    world = distributed.start(recipe.train.device, deepspeed=False)
    try:
        first = blocks[next(iter(ways))]
        return [{"way": title, **measured(meters[title], 1.0, _Process(), world), "mfu": None,
                 **_ratios(first, blocks[title])} for title in ways]
    finally:
        distributed.stop()


class _Process:
    """What `measured` asks an engine, where nothing is trained."""

    def peak_memory(self) -> int:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def describe(self) -> str:
        return "answers, greedy"
