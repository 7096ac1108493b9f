"""Fitting classifiers with the project's trainer: they learn, go on after a kill, and choose on validation alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from types import SimpleNamespace

from affectgpt.baselines.settings import FitSettings
from affectgpt.train import classify
from affectgpt.train.classify import discard, fit, predict

QUICK = FitSettings(epochs=6, batch_size=8, learning_rate=0.05, warmup_ratio=0.0, log_every=1)


class Toy(nn.Module):
    """With batch norm and dropout, so that buffers and random numbers must come back too."""

    def __init__(self, own_loss: bool = False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 3))
        self.own_loss = own_loss

    def forward(self, x, labels):
        logits = self.layers(x)
        loss = nn.functional.cross_entropy(logits, labels) if self.own_loss else None
        return SimpleNamespace(logits=logits, loss=loss)


def toy(own_loss: bool = False) -> Toy:
    torch.manual_seed(0)
    return Toy(own_loss)


def clips(count: int, seed: int, noise: float = 0.3) -> list[dict]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 3, (count,), generator=generator).tolist()
    centres = torch.tensor([[2.0, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 2.0, 0]])
    return [{"x": centres[label] + noise * torch.randn(4, generator=generator), "labels": label} for label in labels]


def collate(samples: list[dict]) -> dict:
    return {"x": torch.stack([sample["x"] for sample in samples]),
            "labels": torch.tensor([sample["labels"] for sample in samples])}


TRAIN, VALIDATION, TEST = clips(60, 1), clips(24, 2), clips(40, 3)


def weights(model) -> torch.Tensor:
    return torch.cat([value.float().flatten() for value in model.state_dict().values()])


@pytest.mark.parametrize("own_loss", [False, True])
def test_what_can_be_told_apart_is_learned(tmp_path, own_loss):
    model = toy(own_loss)
    result = fit(model, TRAIN, VALIDATION, collate, QUICK, tmp_path, quiet=True)
    said = predict(model, TEST, collate).argmax(-1).tolist()
    assert sum(a == b["labels"] for a, b in zip(said, TEST, strict=True)) >= 38
    assert result.score > 0.9 and result.steps == 6 * 8 and result.scores["accuracy"] > 0.9
    discard(tmp_path)
    assert not (tmp_path / "checkpoints").exists() and (tmp_path / "log.jsonl").is_file()


def test_a_killed_fit_goes_on_and_ends_with_the_same_weights(tmp_path, monkeypatch):
    whole, killed = toy(), toy()
    expected = fit(whole, TRAIN, VALIDATION, collate, QUICK, tmp_path / "whole", quiet=True)
    step = classify.ClassifierTrainer.one_step

    def dies(self, planned):
        if self.state.step == 29:  # in the middle of the fourth epoch
            raise KeyboardInterrupt
        step(self, planned)

    with monkeypatch.context() as patch:
        patch.setattr(classify.ClassifierTrainer, "one_step", dies)
        with pytest.raises(KeyboardInterrupt):
            fit(killed, TRAIN, VALIDATION, collate, QUICK, tmp_path / "killed", quiet=True)
    again = toy()
    begun = []
    monkeypatch.setattr(classify.ClassifierTrainer, "one_step",
                        lambda self, planned: (begun.append(self.state.step), step(self, planned)))
    result = fit(again, TRAIN, VALIDATION, collate, QUICK, tmp_path / "killed", quiet=True)
    assert begun[0] == 24 and (result.score, result.best_step) == (expected.score, expected.best_step)
    assert torch.equal(weights(again), weights(whole))
    with pytest.raises(ValueError, match="holds a fit with other seed"):
        fit(toy(), TRAIN, VALIDATION, collate, QUICK, tmp_path / "killed", seed=1, quiet=True)


def test_the_best_epoch_on_validation_is_kept(tmp_path, monkeypatch):
    """A rate that wrecks the model after its second epoch: what is left is that of the second."""
    seen, report = [], classify.ClassifierTrainer.validation_report

    def told(self, loss):
        seen.append((self.scores["weighted_f1"], weights(self.engine.model).clone()))
        return report(self, loss)

    monkeypatch.setattr(classify.ClassifierTrainer, "validation_report", told)
    monkeypatch.setattr(classify.ClassifierTrainer, "rates",
                        lambda self, clips: [0.05 if self.state.epoch < 2 else 5.0 for _ in self.group_names])
    model = toy()
    result = fit(model, TRAIN, VALIDATION, collate, QUICK, tmp_path, quiet=True)
    scores = [score for score, _ in seen]
    best = scores.index(max(scores))
    assert min(scores[2:]) < max(scores) == result.score
    assert torch.equal(weights(model), seen[best][1])


def test_training_ends_where_validation_gets_no_better(tmp_path):
    settings = FitSettings(epochs=50, batch_size=8, learning_rate=0.05, patience=2, choose="accuracy")
    result = fit(toy(), TRAIN, VALIDATION, collate, settings, tmp_path, quiet=True)
    assert result.steps == result.best_step + 2 * 8 < 50 * 8
    again = fit(toy(), TRAIN, VALIDATION, collate, settings, tmp_path, quiet=True)  # and is over when called again
    assert again.steps == result.steps and again.score == result.score


def test_accumulated_passes_are_one_large_batch(tmp_path):
    class Plain(nn.Linear):
        def forward(self, x, labels):
            return SimpleNamespace(logits=super().forward(x))

    found = []
    for name, size, passes in (("large", 60, 1), ("small", 15, 4)):
        torch.manual_seed(0)
        model = Plain(4, 3)
        settings = FitSettings(epochs=2, batch_size=size, accumulation=passes, class_weights="balanced",
                               label_smoothing=0.1, learning_rate=0.1, choose="loss")
        fit(model, TRAIN, VALIDATION, collate, settings, tmp_path / name, quiet=True)
        found.append(weights(model))
    torch.testing.assert_close(*found)


def test_rare_classes_weigh_more_and_absent_ones_nothing():
    found = classify._balanced([0, 0, 0, 2], torch.device("cpu"))
    torch.testing.assert_close(found, torch.tensor([4 / 6, 0.0, 2.0]))


def test_what_cannot_be_fitted_is_told(tmp_path):
    with pytest.raises(ValueError, match="no clips to validate on"):
        fit(toy(), TRAIN, [], collate, QUICK, tmp_path, quiet=True)
    bad = [{**sample, "x": sample["x"] * float("nan")} for sample in TRAIN]
    with pytest.raises(ValueError, match="step 1: the loss is nan; clips: sample"):
        fit(toy(), bad, VALIDATION, collate, QUICK, tmp_path, quiet=True)


def test_one_class_alone_is_fitted(tmp_path):
    only = [{**sample, "labels": 1} for sample in TRAIN]
    model = toy()
    fit(model, only, VALIDATION, collate, QUICK, tmp_path, quiet=True)
    assert set(predict(model, TEST, collate).argmax(-1).tolist()) == {1}
