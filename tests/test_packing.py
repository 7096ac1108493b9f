"""Rows, packed batches and the loss over them."""

from __future__ import annotations

import copy
import random
from types import SimpleNamespace

import pytest
import tiny
import torch
from tiny import parts  # noqa: F401  fixture
from torch.utils.flop_counter import FlopCounterMode

from affectgpt.data.packing import WINDOW, Batching, best_fit, rows_of_epoch, share, steps_of_epoch
from affectgpt.models.attention import BY_CLIP, grouped_attention
from affectgpt.models.collate import collate_packed
from affectgpt.models.lora import with_lora
from affectgpt.models.loss import labelled_loss
from affectgpt.train.flops import StepCost, peak_operations

ANSWERS = ["happy", "The voice is loud: angry.", "sad and happy", "List the emotions: sad", "neutral", "angry", "happy"]


def lengths_of(count: int, seed: int = 0) -> list[int]:
    generator = random.Random(seed)
    return [generator.randrange(20, 400) for _ in range(count)]


def test_best_fit_places_every_clip_once_and_fills_its_bins():
    lengths = lengths_of(1000)
    bins = best_fit(lengths, 1024)
    assert sorted(index for part in bins for index in part) == list(range(1000))
    assert all(sum(lengths[index] for index in part) <= 1024 for part in bins)
    assert len(bins) <= 1.02 * sum(lengths) / 1024 + 1
    # 5 does not fit beside 6 but beside 4: the fullest place that has room, not the first.
    assert sorted(map(sorted, best_fit([6, 5, 4, 5], 10))) == [[0, 2], [1, 3]]
    assert sorted(map(sorted, best_fit([30, 3, 4], 10))) == [[0], [1, 2]]  # too long for any row: alone
    assert best_fit([], 10) == []


@pytest.mark.parametrize("batching", [Batching("packed", 1, 1024), Batching("grouped", 8), Batching("random", 3)])
def test_an_epoch_has_every_clip_once_in_an_order_of_its_own(batching):
    lengths = lengths_of(WINDOW + 137)

    def plan(seed=0, epoch=0, shuffle=True):
        return list(rows_of_epoch(lambda part: [lengths[index] for index in part], len(lengths), batching, seed, epoch,
                                  shuffle))

    rows = plan()
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert plan() == rows and plan(epoch=1) != rows and plan(seed=1) != rows
    assert plan(shuffle=False) == plan(seed=5, epoch=5, shuffle=False)
    if batching.mode != "packed":
        assert sum(len(row) != batching.batch_size for row in rows) <= 1


def test_grouping_saves_padding_and_packing_has_none():
    lengths = lengths_of(400)

    def padding(mode):
        rows = list(rows_of_epoch(lambda part: [lengths[i] for i in part], 400, Batching(mode, 8, 0)))
        return sum(max(lengths[i] for i in row) * len(row) - sum(lengths[i] for i in row) for row in rows)

    assert padding("grouped") < 0.5 * padding("random")


def test_ranks_share_a_step_without_gaps():
    rows = [[number] for number in range(7)]
    assert [len(step) for step in steps_of_epoch(iter(rows), 3)] == [3, 3, 1]
    for ranks in (1, 2, 3, 4, 8):
        shares = [share(rows, rank, ranks) for rank in range(ranks)]
        assert len({len(part) for part in shares}) == 1  # collective operations need it
        counted = [row for part in shares for row, counts in part if counts]
        assert sorted(counted) == rows
        assert all(row in rows for part in shares for row, _ in part)
    assert share([[4]], 1, 2) == [([4], False)]


def samples_of(processor, seeds=tiny.MIXTURE):
    return [processor.training_sample(tiny.inputs(processor, *clip), "Why?", ANSWERS[clip[0] % len(ANSWERS)])
            for clip in seeds]


@pytest.mark.parametrize("attention", ["sdpa", "eager", BY_CLIP])
@pytest.mark.parametrize("llm", ["llama", "qwen2"])
def test_packed_equals_padded_in_loss_and_gradients(parts, llm, attention, monkeypatch):  # noqa: F811
    model, processor = tiny.model_and_processor(parts, llm=llm)
    model.language_model.set_attn_implementation(attention)
    calls = []
    monkeypatch.setattr("affectgpt.models.attention.grouped_attention",
                        lambda *arguments: calls.append(1) or grouped_attention(*arguments))
    model.mark_trained()
    samples = samples_of(processor)
    found = []
    for batch in (processor.collate(samples), collate_packed(samples)):
        model.zero_grad()
        outputs = model(**batch, num_items_in_batch=10)
        outputs.loss.backward()
        gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.requires_grad}
        found.append((outputs, gradients))
    (padded, padded_gradients), (packed, packed_gradients) = found
    torch.testing.assert_close(packed.loss, padded.loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(packed.token_losses, padded.token_losses, rtol=1e-4, atol=1e-5)
    assert packed.token_clips.tolist() == padded.token_clips.tolist()
    assert padded_gradients.keys() == packed_gradients.keys()
    for name, gradient in padded_gradients.items():
        torch.testing.assert_close(packed_gradients[name], gradient, rtol=1e-3, atol=1e-5, msg=name)
    assert sum(gradient.abs().sum() > 0 for gradient in packed_gradients.values()) > 30
    assert len(calls) == (2 if attention == BY_CLIP else 0)  # one a layer, for the packed row alone


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lora_in_fewer_operations_is_that_of_peft(dtype):
    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.up_proj, self.down_proj = torch.nn.Linear(12, 20), torch.nn.Linear(20, 12, bias=False)

        def forward(self, x):
            return self.down_proj(self.up_proj(x))

    settings = dict(lora_rank=4, lora_alpha=6, lora_targets=["up_proj", "down_proj"])
    torch.manual_seed(0)
    block = Block().to(dtype)
    for parameter in block.parameters():
        parameter.requires_grad = False
    fused = with_lora(copy.deepcopy(block), SimpleNamespace(**settings, lora_dropout=0.0)).train()
    plain = with_lora(copy.deepcopy(block), SimpleNamespace(**settings, lora_dropout=0.0)).train()
    for module in plain.modules():
        vars(module).pop("forward", None)  # PEFT's own
    values = torch.randn(2, 3, 12)
    found = []
    for model in (fused, plain):
        torch.manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.data.normal_(0, 0.3)
        x = values.to(dtype).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            y = model(x)
        y.float().square().sum().backward()
        found.append([y, x.grad, *(p.grad for name, p in model.named_parameters() if "lora_" in name)])
    assert "LowRankProduct" in str(found[0][0].grad_fn) and "LowRankProduct" not in str(found[1][0].grad_fn)
    for one, other in zip(*found, strict=True):
        assert one.dtype == other.dtype
        assert (one - other).norm() < (1e-5 if dtype == torch.float32 else 0.02) * other.norm()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        assert "LowRankProduct" not in str(fused.eval()(values.to(dtype)).grad_fn)


def test_a_clip_changes_nothing_of_its_neighbours(parts):  # noqa: F811
    model, processor = tiny.model_and_processor(parts)
    before = samples_of(processor)
    after = list(before)
    other = processor.training_sample(tiny.inputs(processor, 9), "What is it about?", "angry")
    # Of the same length, so that only attention could carry the change.
    room = len(before[2]["input_ids"])
    ids = (other["input_ids"] * 3)[:room]
    after[2] = before[2] | {"input_ids": [token if token < 390 else 5 for token in ids]}
    first, second = model(**collate_packed(before)), model(**collate_packed(after))
    same = first.token_clips != 2
    torch.testing.assert_close(first.token_losses[same], second.token_losses[same], rtol=0, atol=1e-6)
    assert (first.token_losses[~same] - second.token_losses[~same]).abs().max() > 0.01
    # Nor does it matter who the neighbours are.
    alone = model(**collate_packed(before[4:5])).token_losses
    torch.testing.assert_close(first.token_losses[first.token_clips == 4], alone, rtol=1e-4, atol=1e-5)


def test_the_head_in_parts_gives_the_same_loss_and_gradient():
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 50, bias=False)
    hidden = torch.randn(2, 20, 8, requires_grad=True)
    labels = torch.randint(0, 50, (2, 20))
    labels[0, :7] = -100
    found = []
    for chunk in (1024, 5):
        hidden.grad = head.weight.grad = None
        losses, where = labelled_loss(head, hidden, labels, chunk)
        losses.sum().backward()
        found.append((losses.detach(), where, hidden.grad.clone(), head.weight.grad.clone()))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)
    head.weight.requires_grad = False
    for chunk in (1024, 5):
        hidden.grad = None
        losses, where = labelled_loss(head, hidden, labels, chunk)
        (losses * torch.arange(len(losses))).sum().backward()  # each loss with a factor of its own
        weighted = hidden.grad.clone()
        hidden.grad = None
        logits = head(hidden.flatten(0, 1)[where])
        plain = torch.nn.functional.cross_entropy(logits, labels.roll(-1, 1).flatten()[where], reduction="none")
        torch.testing.assert_close(losses, plain)
        (plain * torch.arange(len(plain))).sum().backward()
        torch.testing.assert_close(weighted, hidden.grad)
    with torch.no_grad():
        torch.testing.assert_close(labelled_loss(head, hidden, labels)[0], plain)
    plain = torch.nn.functional.cross_entropy(head(hidden[:, :-1]).flatten(0, 1), labels[:, 1:].flatten(),
                                              ignore_index=-100, reduction="sum")
    torch.testing.assert_close(found[0][0].sum(), plain.detach())
    nothing, _ = labelled_loss(head, hidden, torch.full_like(labels, -100))
    nothing.sum().backward()  # a pass that counts nothing still has its gradient, of zero
    assert len(nothing) == 0


def test_every_trained_part_has_a_gradient_in_every_pass(parts):  # noqa: F811
    model, processor = tiny.model_and_processor(parts)
    trained = model.mark_trained(encoders=True)
    words = processor.training_sample(tiny.inputs(processor, 3, "text"), "Why?", "sad")
    model(**collate_packed([words])).loss.backward()
    without = {name for name, p in model.named_parameters() if name in trained and p.grad is None}
    assert not without
    reached = [name for name, p in model.named_parameters() if p.requires_grad and p.grad.abs().sum() > 0]
    assert reached and all(name.startswith("language_model.") for name in reached)


def test_counted_operations_are_those_that_run(parts):  # noqa: F811
    for train_llm in (False, True):
        model, processor = tiny.model_and_processor(parts, streams=["text"], fusion="none",
                                                    **({"lora_rank": 0} if train_llm else {}))
        model.mark_trained(llm=train_llm)
        samples = [processor.training_sample(tiny.inputs(processor, seed, "text"), "Why?", "sad " * 30)
                   for seed in (1, 2, 3)]
        batch = collate_packed(samples)
        counter = FlopCounterMode(display=False)
        with counter:
            model(**batch).loss.backward()
        lengths = [len(sample["input_ids"]) for sample in samples]
        labelled = int((batch["labels"] != -100).sum())
        # Attention over the block mask is computed whole here: taken out on both sides.
        attention = sum(value for operation, value in counter.get_flop_counts()["Global"].items()
                        if "attention" in str(operation))
        cost = StepCost(model)
        expected = cost.operations(sum(lengths), labelled, 0)
        # The first layer's input needs no gradient where nothing before it is trained: one part less.
        assert expected == pytest.approx(counter.get_total_flops() - attention, rel=0.12)
        assert cost.operations(100, 10, 5000) - cost.operations(100, 10, 0) == 6 * 2 * 64 * 5000


def test_weights_that_lie_in_shares_count_whole(parts):  # noqa: F811
    model, _ = tiny.model_and_processor(parts, streams=["text"], fusion="none")
    model.mark_trained()
    whole = StepCost(model).operations(100, 10, 500)
    for parameter in model.parameters():
        parameter.ds_shape = parameter.shape  # as ZeRO 3 leaves them
        parameter.data = torch.empty(0, dtype=parameter.dtype)
    assert StepCost(model).operations(100, 10, 500) == whole > 1e6


def test_the_peak_is_measured_where_no_data_sheet_knows_the_device():
    peak, source = peak_operations(torch.device("cpu"), torch.float32)
    assert peak > 1e8 and "float32" in source
