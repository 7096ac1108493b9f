"""The training loop: planned rows -> forward and backward passes -> steps, validations, checkpoints, a log line.

One owner of each thing: `data.packing` plans, `train.engines` steps, `train.checkpoints` writes, `train.run_log` tells.
The sequence of rows and all random numbers follow from (seed, epoch, step, row), never from the number of ranks or
from what ran before, so a run that was killed goes on as if it had not been.
"""

from __future__ import annotations

import math
import time
from dataclasses import replace

import torch
from tqdm import tqdm

from affectgpt.data.packing import Batching, rows_of_epoch, steps_of_epoch
from affectgpt.models.collate import to_device
from affectgpt.train.alignment import aligned_loss, target_tensors
from affectgpt.train.batches import BatchMaker, prefetch
from affectgpt.train.checkpoints import Checkpoints, State
from affectgpt.train.flops import StepCost, peak_operations
from affectgpt.train.planning import SharedSizes
from affectgpt.train.rates import rate_of
from affectgpt.train.run_log import RunLog, step_line


class Trainer:
    """Trains what `engine` holds.

    Args:
        engine: a `train.engines` engine.
        world: the processes of the run.
        sets: (training, validation) `InstructionDataset`.
        table, space: [C, H] embeddings of the label words and the words, for the alignment loss.
        state: where to begin.
        group_names: one parameter name of each of the engine's groups.
        cost: operations of a step, as `train.flops.StepCost`, which is made for an AffectGPT model by default.
    """

    def __init__(self, engine, world, recipe, processor, sets, table, space, checkpoints: Checkpoints, log: RunLog,
                 state: State, group_names: list[str], cost=None):
        self.engine, self.world, self.recipe, self.settings = engine, world, recipe, recipe.train
        self.processor, self.table, self.space = processor, table, space
        self.train_set, self.validation_set = sets
        self.checkpoints, self.log, self.state, self.group_names = checkpoints, log, state, group_names
        train = recipe.train
        self.batching = Batching(train.batching, train.batch_size, train.pack_tokens)
        self.cost = cost or StepCost(engine.model)
        if train.peak_flops:
            self.peak, self.peak_source = train.peak_flops, "train.peak_flops"
        else:
            self.peak, self.peak_source = peak_operations(world.device, self.cost.dtype)
        self.total_clips = train.epochs * self.train_set.epoch_clips
        self.meter = Meter()

    # ------------------------------------------------------------------ the run

    def run(self) -> State:
        """Train to the end; return the last state. The newest checkpoint is that of the last step."""
        state, bar = self.state, None
        if self.world.is_main:
            total = round(self.total_clips) if self.settings.max_steps < 0 else None
            bar = tqdm(total=total, initial=state.clips, desc="training", unit="clip",
                       dynamic_ncols=True, disable=None)
        while not self._over():
            self.train_set.set_epoch(state.epoch)
            for step in self.steps():
                self.one_step(step)
                if bar is not None:
                    bar.update(len(step.clips))
                if self._over():
                    break
                self._maybe_validate(epoch_ends=False)
            else:
                self._log_drawn()
                state.epoch, state.steps_in_epoch, state.clips_in_epoch = state.epoch + 1, 0, 0
                state.drawn = {}
                if not self._over():
                    self._maybe_validate(epoch_ends=True)
        if bar is not None:
            bar.close()
        self._log_drawn()
        if self.checkpoints.path(state.step) not in self.checkpoints.whole():
            self._validate_and_save(save=True)
        if state.step <= self.settings.projector_warmup_steps:
            self.log.line(f"warning: the run ended after {state.step} steps, within its "
                          f"train.projector_warmup_steps={self.settings.projector_warmup_steps}: only projectors and "
                          "fusion were trained, and all else is as it began")
        return state

    def _over(self) -> bool:
        limit = self.settings.max_steps
        return self.state.step >= limit > 0 or (limit < 0 and self._progress() >= 1)

    def _progress(self) -> float:
        """Share of the run that is done, 0 to 1."""
        state = self.state
        if self.settings.max_steps > 0:
            return state.step / self.settings.max_steps
        return min(1.0, (state.epoch + state.clips_in_epoch / self.train_set.epoch_clips) / self.settings.epochs)

    def steps(self):
        """Steps of this epoch that are still to do, made ahead by another thread."""
        state, dataset = self.state, self.train_set
        sizes = SharedSizes(dataset, self.world)
        rows = rows_of_epoch(sizes.lengths, dataset.epoch_clips, self.batching, self.settings.seed, state.epoch,
                             done=state.clips_in_epoch, drawn=dataset.drawn())
        maker = BatchMaker(dataset, self.processor, self.world, self.batching.mode, self.recipe.data.workers, sizes)
        return prefetch(maker.steps(steps_of_epoch(rows, state.rows_per_step)))

    def rates(self, clips: float) -> list[float]:
        """Learning rate of each parameter group for a step of so many clips: that of the middle of the step."""
        state, settings = self.state, self.settings
        if settings.max_steps > 0:
            progress = (state.step + 0.5) / settings.max_steps
        else:
            # A step may reach beyond the end of the run: what counts is the part of it that lies before.
            size, done = self.train_set.epoch_clips, self._progress()
            after = (state.epoch + (state.clips_in_epoch + clips) / size) / settings.epochs
            progress = (done + min(1.0, after)) / 2
        return [rate_of(settings, name, state.step, progress) for name in self.group_names]

    # ------------------------------------------------------------------ one step

    def one_step(self, step) -> None:
        started = time.perf_counter()
        state, engine = self.state, self.engine
        labelled, tokens, squares, clips = step.labelled, step.tokens, step.squares, step.counted
        engine.model.train()
        weight = self.settings.alignment_weight
        sums, outputs_of = torch.zeros(2, dtype=torch.float64, device=self.world.device), []
        for number, (batch, members, counts) in enumerate(step.passes):
            seed_row(self.settings.seed, state.step, self.world.rank + number * self.world.size)
            batch = to_device(batch, self.world.device)
            outputs = self.forward(batch, max(1.0, labelled))
            loss = outputs.loss
            sums[0] += loss.detach()
            if weight and self.space:
                targets = target_tensors(members, self.processor.config.fusion_visual, self.space)
                aligned = aligned_loss(outputs.stream_tokens, targets, self.table)
                loss = loss + (weight * counts / step.rows) * aligned
                sums[1] += aligned.detach() * (counts / step.rows)
            engine.backward(loss, last=number == len(step.passes) - 1)
            outputs_of.append((outputs.token_losses, outputs.token_clips, members))
        loss, aligned = self.world.sum(sums)  # the host waits for the device here and at the norm, not in each pass
        if not math.isfinite(loss + aligned):
            self._stop_not_finite("the loss", loss + aligned, outputs_of)
        rates = self.rates(clips)
        norm = engine.step(rates)
        if not math.isfinite(norm):
            self._stop_not_finite("the gradient norm", norm, outputs_of)
        state.step += 1
        state.steps_in_epoch += 1
        state.clips_in_epoch += int(clips)
        state.clips += int(clips)
        state.tokens += int(tokens)
        if self.world.is_main:
            self._count_drawn(step.indices)
        operations = self.cost.operations(tokens, labelled, squares, clips)
        self.meter.add(loss * labelled, labelled, tokens, clips, operations, step.waited,
                       time.perf_counter() - started)
        if state.step % self.settings.log_every == 0 or self._over():
            self._log(norm, rates, aligned)

    def forward(self, batch: dict, labelled: float):
        """The model's output for one pass of a step: `loss`, the pass's share of the step's mean over `labelled` items,
        and `token_losses` with `token_clips` or None."""
        return self.engine.forward(**batch, num_items_in_batch=labelled)

    def _log(self, norm: float, rates: list[float], aligned: float) -> None:
        meter, state = self.meter, self.state
        clips_per_second = meter.clips / meter.seconds
        if self.settings.max_steps > 0:
            eta = (self.settings.max_steps - state.step) * meter.seconds / meter.steps
        else:
            eta = max(0.0, self.total_clips * (1 - self._progress())) / clips_per_second
        row = {
            "epoch": self._epoch(),
            "loss": meter.loss / max(1, meter.labelled), "learning_rate": max(rates),
            "gradient_norm": norm, "tokens_per_second": meter.tokens / meter.seconds,
            "clips_per_second": clips_per_second, "labelled_share": meter.labelled / max(1, meter.tokens),
            "mfu": meter.operations / meter.seconds / (self.peak * self.world.size),
            "data_wait": meter.waited / meter.seconds, "memory_gib": self.engine.peak_memory() / 1024**3,
            "eta_seconds": eta,
        }
        if self.settings.alignment_weight and self.space:
            row["alignment_loss"] = aligned
        self.log.write(state.step, row)
        self.log.line(step_line(state.step, row))
        self.meter = Meter()

    def _count_drawn(self, indices: list[int]) -> None:
        """Count what was asked of the clips of a step, of all ranks."""
        items = self.train_set.items
        for index in indices:
            corpus = self.state.drawn.setdefault(items[index % len(items)][0].corpus, {})
            for kind in self.train_set.asked(index)[0]:
                corpus[kind] = corpus.get(kind, 0) + 1

    def _log_drawn(self) -> None:
        """Say what this epoch drew of each corpus and kind of question so far."""
        if not self.state.drawn:
            return
        drawn = {corpus: dict(sorted(kinds.items())) for corpus, kinds in sorted(self.state.drawn.items())}
        self.log.write(self.state.step, {"epoch": self._epoch(), "drawn": drawn})
        parts = [f"{corpus or '(none)'} {sum(kinds.values())} ({', '.join(f'{k} {n}' for k, n in kinds.items())})"
                 for corpus, kinds in drawn.items()]
        self.log.line(f"step {self.state.step} | epoch {self._epoch():.2f} | drawn in it: {'; '.join(parts)}")

    def _epoch(self) -> float:
        return round(self.state.epoch + self.state.clips_in_epoch / self.train_set.epoch_clips, 4)

    def _stop_not_finite(self, what: str, value: float, outputs_of: list) -> None:
        """Stop all ranks, saying which step, which clips and which gradients."""
        clips = []
        for losses, owners, members in outputs_of:
            bad = owners[~torch.isfinite(losses)].unique().tolist() if losses is not None else []
            clips += [members[index].key for index in bad]
        # Losses may all be finite where a backward pass was not: then any clip of the step may be the reason.
        found = [key for part in self.world.gather(clips) for key in part]
        if not found:
            found = [key for part in self.world.gather([clip.key for *_, members in outputs_of for clip in members])
                     for key in part]
        names = sorted(set(found))
        gradients = ", ".join(f"{name} {size:.3g}" for name, size in self.engine.largest_gradients(5))
        last = self.checkpoints.whole()
        raise ValueError(
            f"step {self.state.step + 1}: {what} is {value}; clips: "
            f"{', '.join(names[:8])}{f' and {len(names) - 8} more' if len(names) > 8 else ''}; largest gradients: "
            f"{gradients or 'not known'}. No later weights were written; "
            f"{f'{last[-1]} is whole' if last else 'there is no checkpoint yet'}. Look at these clips, or lower "
            "train.learning_rate")

    # ------------------------------------------------------------------ validation and checkpoints

    def _maybe_validate(self, epoch_ends: bool) -> None:
        every = self.settings.evaluate_every
        if (epoch_ends and not every) or (every and not epoch_ends and self.state.step % every == 0):
            self._validate_and_save(not self.settings.save_every or self.state.step % self.settings.save_every == 0)

    def _validate_and_save(self, save: bool) -> None:
        loss = self.validate()
        state = self.state
        if state.best_loss is None or loss < state.best_loss:
            # The best one must be there to be kept: a better validation between two saves is saved as well.
            state.best_step, state.best_loss, save = state.step, loss, True
        row, words = self.validation_report(loss)
        self.log.write(state.step, {**row, "epoch": self._epoch()})
        self.log.line(f"step {state.step} | {words} at step {state.best_step}")
        if save:
            self.save()

    def validation_report(self, loss: float) -> tuple[dict, str]:
        """What the last validation found, for the log: as a row, and in words that end in the best so far."""
        return {"validation_loss": loss}, f"validation loss {loss:.4f} | best {self.state.best_loss:.4f}"

    def save(self) -> None:
        """Write a checkpoint of this moment; all ranks take part, the main one writes."""
        trained, moments = self.engine.trained_state(), self.engine.optimizer_state()
        if self.world.is_main:
            self.checkpoints.save(self.engine.model, self.processor, trained, moments, replace(self.state))
        self.world.barrier()

    @torch.no_grad()
    def validate(self) -> float:
        """Mean loss of all labelled tokens of the validation split, nothing hidden."""
        dataset, batching = self.validation_set, self.batching
        sizes = SharedSizes(dataset, self.world)
        rows = rows_of_epoch(sizes.lengths, len(dataset), batching, shuffle=False)
        maker = BatchMaker(dataset, self.processor, self.world, batching.mode, self.recipe.data.workers, sizes)
        self.engine.model.eval()
        sums = torch.zeros(2, dtype=torch.float64, device=self.world.device)
        for step in prefetch(maker.steps(steps_of_epoch(rows, self.world.size))):
            for batch, _, _ in step.passes:
                batch = to_device(batch, self.world.device)
                outputs = self.engine.forward(**batch, num_items_in_batch=1.0)
                sums[0] += outputs.loss
                sums[1] += len(outputs.token_losses)
        total, count = self.world.sum(sums)
        loss = total / max(1.0, count)
        if not math.isfinite(loss):
            raise ValueError(f"the validation loss after step {self.state.step} is {loss}: lower train.learning_rate; "
                             "no checkpoint of this step was written")
        return loss


class Meter:
    """Sums since the last log line."""

    def __init__(self):
        self.loss = self.labelled = self.tokens = self.clips = self.operations = self.waited = 0.0
        self.seconds, self.steps = 1e-9, 0

    def add(self, loss: float, labelled: float, tokens: float, clips: float, operations: float, waited: float,
            seconds: float) -> None:
        self.loss += loss
        self.labelled += labelled
        self.tokens += tokens
        self.clips += clips
        self.operations += operations
        self.waited += waited
        self.seconds += waited + seconds
        self.steps += 1


def seed_row(seed: int, step: int, row: int) -> None:
    """Random numbers of one forward pass, equal wherever and whenever it is computed."""
    torch.manual_seed(((seed * 1_000_003 + step) * 65_537 + row) % 2**63)
