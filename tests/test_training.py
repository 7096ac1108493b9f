"""Training: resume, dry run, alignment, and the evaluation of what was trained."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file
from tiny import corpus, parts, recipe_file  # noqa: F401  fixtures

from affectgpt import cli
from affectgpt.data.dataset import InstructionDataset
from affectgpt.models.encoders import AudioEncoder
from affectgpt.train.alignment import alignment_loss


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path / "cache"))


def train(recipe, *overrides) -> int:
    return cli.main(["train", str(recipe), *overrides])


def test_a_resumed_run_equals_an_uninterrupted_one(parts, corpus, tmp_path):  # noqa: F811
    states = {}
    for name in ("whole", "resumed"):
        (tmp_path / name).mkdir()
        recipe = recipe_file(tmp_path / name, parts, corpus, train={"max_steps": 4, "schedule": "constant"})
        if name == "resumed":
            assert train(recipe, "train.max_steps=2") == 0
        assert train(recipe) == 0
        facts = json.loads((tmp_path / name / "run" / "model" / "training.json").read_text())
        assert facts["steps"] == 4
        states[name] = load_file(tmp_path / name / "run" / "checkpoints" / "step-00000004" / "model.safetensors")
    rows = [json.loads(line) for line in (tmp_path / "resumed" / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2, 3, 4]  # nothing was done twice
    for name, tensor in states["whole"].items():
        assert torch.equal(tensor, states["resumed"][name]), name


def test_resume_true_demands_a_checkpoint(parts, corpus, tmp_path, capsys):  # noqa: F811
    assert train(recipe_file(tmp_path, parts, corpus), "train.resume=true") == 2
    assert "has no checkpoint" in capsys.readouterr().err.splitlines()[-1]


def test_the_kept_model_is_the_best_on_validation(parts, corpus, tmp_path):  # noqa: F811
    # A rate that ruins the model after its first step: the last checkpoint is not the best one.
    recipe = recipe_file(tmp_path, parts, corpus, train={"max_steps": 3, "learning_rate": 2.0,
                                                        "projector_learning_rate": 2.0, "keep_checkpoints": 5})
    assert train(recipe) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    losses = {row["step"]: row["validation_loss"] for row in rows if "validation_loss" in row}
    best = min(losses, key=losses.get)
    facts = json.loads((tmp_path / "run" / "model" / "training.json").read_text())
    assert facts["best_validation_loss"] == pytest.approx(losses[best])
    kept = load_file(tmp_path / "run" / "model" / "model.safetensors")
    saved = load_file(tmp_path / "run" / "checkpoints" / f"step-{best:08d}" / "model.safetensors")
    other = next(step for step in losses if step != best)
    worse = load_file(tmp_path / "run" / "checkpoints" / f"step-{other:08d}" / "model.safetensors")
    assert all(torch.equal(kept[name], saved[name]) for name in kept)
    assert not all(torch.equal(kept[name], worse[name]) for name in kept)


def test_a_dry_run_shows_and_writes_nothing(parts, corpus, tmp_path, capsys):  # noqa: F811
    recipe = recipe_file(tmp_path, parts, corpus)
    before = sorted(tmp_path.rglob("*"))
    assert train(recipe, "--dry-run") == 0
    out = capsys.readouterr().out
    assert sorted(path for path in tmp_path.rglob("*") if "cache" not in path.parts) == before
    for expected in ("batch_size: 1", "LoRA", "projectors", "split train: 2 clips", "audio [", "face [", "labelled",
                     "<AudioHere>", "memory (estimate)", "nothing was trained"):
        assert expected in out, expected


def test_speed_perturbation_gives_training_more_sounds(parts, corpus, tmp_path, monkeypatch):  # noqa: F811
    recipe = recipe_file(tmp_path, parts, corpus, data={"speed_perturbation": [0.8, 1.25]})
    found = {}
    original = InstructionDataset.__getitem__

    def watched(self, index):
        sample = original(self, index)
        if self.training and "audio" in sample:
            found.setdefault(sample["clip"].key, set()).add(round(float(sample["audio"].sum()), 3))
        return sample

    monkeypatch.setattr(InstructionDataset, "__getitem__", watched)
    assert train(recipe, "train.max_steps=16", "train.evaluate_every=16", "train.save_every=16",
                 "data.modality_dropout=0") == 0
    assert len(found) == 2 and all(len(sounds) in (2, 3) for sounds in found.values())
    assert max(map(len, found.values())) == 3


def test_alignment_draws_tokens_to_their_words():
    torch.manual_seed(0)
    table = torch.randn(4, 16)
    tokens = torch.randn(8, 2, 16, requires_grad=True)
    present = torch.tensor([True] * 6 + [False] * 2)
    wanted = torch.arange(8) % 4
    targets = torch.nn.functional.one_hot(wanted, 4).float()
    targets[5] = 0  # unknown: left out
    optimizer = torch.optim.Adam([tokens], 0.1)
    start = tokens.detach().clone()
    for _ in range(60):
        optimizer.zero_grad()
        alignment_loss({"audio": (tokens, present), "face": (tokens, present)}, {"audio": targets}, table).backward()
        optimizer.step()
    centred = torch.nn.functional.normalize(tokens.mean(1) - table.mean(0), dim=-1)
    nearest = (centred @ torch.nn.functional.normalize(table - table.mean(0), dim=-1).T).argmax(-1)
    assert nearest[:5].tolist() == wanted[:5].tolist()
    assert torch.equal(tokens.detach()[5:], start[5:])  # absent and unknown rows are not moved


def test_evaluation_scores_every_subset(parts, corpus, tmp_path, capsys):  # noqa: F811
    recipe = recipe_file(tmp_path, parts, corpus)
    assert train(recipe, "train.max_steps=1") == 0
    model = tmp_path / "run" / "model"
    assert cli.main(["evaluate", str(model), "--corpus", str(corpus)]) == 0
    folder = tmp_path / "run" / "evaluation"
    results = json.loads((folder / "results.json").read_text())
    assert set(results["subsets"]) == {"audio", "face", "text", "audio+face", "audio+text", "face+text",
                                       "audio+face+text"}
    answers = [json.loads(line) for line in (folder / "answers.jsonl").read_text().splitlines()]
    labels = [row for row in answers if row["question"] == "labels"]
    assert len(labels) == 7 * results["clips"]
    for name, row in results["subsets"].items():
        asked = [one for one in labels if "+".join(one["streams"]) == name]
        assert row["accuracy"] == sum(one["prediction"] == one["target"] for one in asked) / len(asked)
    assert cli.main(["score", str(folder / "answers.jsonl"), "--set", "toy", "--kind", "basic", "--no-published",
                     "--question", "labels", "--output", str(tmp_path / "scores.json")]) == 0
    scored = json.loads((tmp_path / "scores.json").read_text())
    assert len(scored["checkpoints"]) == 7 and scored["n_clips"] == results["clips"]
    assert (folder / "results.png").stat().st_size > 5000
    assert cli.main(["evaluate", str(model), "--corpus", str(corpus), "--split", "gone"]) == 2
    assert "no clip" in capsys.readouterr().err


def test_other_settings_do_not_continue_a_run(parts, corpus, tmp_path, capsys):  # noqa: F811
    recipe = recipe_file(tmp_path, parts, corpus)
    assert train(recipe) == 0
    assert train(recipe, "model.lora_rank=3") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "other settings (model.lora_rank)" in error and "train.resume=false" in error
    torn = tmp_path / "run" / "checkpoints" / "step-00000009"  # a save that was cut off
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    assert train(recipe, "train.max_steps=3") == 0
    assert json.loads((tmp_path / "run" / "model" / "training.json").read_text())["steps"] == 3
    assert train(recipe, "model.lora_rank=3", "train.resume=false") == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == [1, 2]  # the old run's log is gone


def test_without_lora_the_llm_stays_as_it_is(parts, corpus, tmp_path):  # noqa: F811
    assert train(recipe_file(tmp_path, parts, corpus, model={"lora_rank": 0}), "train.max_steps=1") == 0
    state = load_file(tmp_path / "run" / "model" / "model.safetensors")
    assert state and not [name for name in state if name.startswith("language_model.")]


def test_raw_clips_are_encoded_once_a_step(parts, corpus, tmp_path, monkeypatch):  # noqa: F811
    calls = []
    original = AudioEncoder.forward
    monkeypatch.setattr(
        AudioEncoder, "forward", lambda self, *args: calls.append(self.training) or original(self, *args)
    )
    recipe = recipe_file(tmp_path, parts, corpus, data={"cache": False, "modality_dropout": 0.0, "text_dropout": 0.0},
                         train={"max_steps": 2, "alignment_epochs": 0, "alignment_weight": 0.5, "evaluate_every": 2,
                                "save_every": 2})
    assert train(recipe) == 0
    assert len(calls) == 2 + 2 + 2  # two clips that standardise, two steps of one clip, one validation of two
