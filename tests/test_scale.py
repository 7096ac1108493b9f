"""Training at scale: exact resume, other numbers of ranks, engines, kills, full disks, losses that are not finite."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tiny import drawn_corpus, parts, recipe_file, tokenizer  # noqa: F401  fixtures
from transformers import LlamaConfig, LlamaForCausalLM

from affectgpt import cli
from affectgpt.data.dataset import InstructionDataset
from affectgpt.files import is_done

ROOT = Path(__file__).resolve().parent.parent
STEPS = 6


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    return drawn_corpus(tmp_path_factory, tmp_path_factory.mktemp("corpus") / "c", clips=12, speakers=6)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, parts, corpus) -> Path:  # noqa: F811
    """Packed rows, two a step, dropout everywhere; step 3 lies in the middle of the first epoch."""
    return recipe_file(
        tmp_path_factory.mktemp("recipe"),
        parts,
        corpus,
        model={"dropout": 0.2, "feature_noise": 0.1},
        train={
            "max_steps": STEPS,
            "batching": "packed",
            "pack_tokens": 256,
            "batch_size": 1,
            "accumulation": 2,
            "evaluate_every": 3,
            "save_every": 3,
            "alignment_weight": 0.1,
            "keep_checkpoints": 9,
        },
    )


@pytest.fixture(scope="module")
def reference(recipe, tmp_path_factory) -> Path:
    """Output folder of an uninterrupted run of one process."""
    output = tmp_path_factory.mktemp("reference") / "run"
    assert train(recipe, output) == 0
    assert 0 < json.loads((checkpoint(output, 3) / "state.json").read_text())["steps_in_epoch"]
    return output


def train(recipe, output, *overrides) -> int:
    return cli.main(["train", str(recipe), f"train.output={output}", *overrides])


def launch(ranks: int, recipe, output, *overrides) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHON": sys.executable, "RANKS": str(ranks), "OMP_NUM_THREADS": "1",
                   "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([ROOT / "train/launch/one_node.sh", recipe, f"train.output={output}", *overrides],
                          env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    return done


def checkpoint(output: Path, step: int) -> Path:
    return output / "checkpoints" / f"step-{step:08d}"


def rows_of(output: Path) -> list[dict]:
    return [json.loads(line) for line in (output / "log.jsonl").read_text().splitlines()]


def losses(output: Path) -> list[float]:
    return [row["loss"] for row in rows_of(output) if "loss" in row]


def cut_after_step_3(run: Path, to: Path) -> Path:
    """A copy of a run as a kill after its third step leaves it: later rows in the log, half a later save."""
    shutil.copytree(run, to)
    shutil.rmtree(checkpoint(to, STEPS))
    shutil.rmtree(to / "model")
    torn = to / "checkpoints" / ".step-00000006.1.ab.tmp"
    torn.mkdir()
    (torn / "model.safetensors").write_bytes(b"half")
    return to


def same_weights(one: Path, other: Path, exact: bool = False) -> None:
    for name in ("model.safetensors", "optimizer.safetensors"):
        first, second = load_file(one / name), load_file(other / name)
        assert first.keys() == second.keys()
        for key in first:
            if exact:
                assert torch.equal(first[key], second[key]), key
            elif "scorer.bias" not in key:  # a softmax ignores it: its gradient is rounding, which Adam makes large
                torch.testing.assert_close(first[key], second[key], rtol=2e-3, atol=2e-5, msg=key)


def test_resume_in_the_middle_of_an_epoch_is_exact(recipe, reference, tmp_path):
    output = cut_after_step_3(reference, tmp_path / "run")
    assert train(recipe, output) == 0
    same_weights(checkpoint(output, STEPS), checkpoint(reference, STEPS), exact=True)
    assert losses(output) == losses(reference)  # each step once, those of the killed run not twice
    assert not list((output / "checkpoints").glob(".*"))
    assert (output / "model" / "model.safetensors").is_file()


def test_one_rank_goes_on_as_two_with_zero_2(recipe, reference, tmp_path):
    output = cut_after_step_3(reference, tmp_path / "run")
    done = launch(2, recipe, output, "train.engine=deepspeed", "train.zero_stage=2")
    assert "ZeRO 2, 2 ranks" in done.stdout and "keeps them: 1 on each of 2 ranks" in done.stdout
    assert losses(output) == pytest.approx(losses(reference), rel=1e-4)
    same_weights(checkpoint(output, STEPS), checkpoint(reference, STEPS))


@pytest.mark.slow  # ZeRO 3 without offload is among the engines of test_engines.py
def test_two_ranks_with_zero_3_and_offload_equal_one_and_go_on_as_one(recipe, reference, tmp_path):
    two = tmp_path / "two"
    done = launch(2, recipe, two, "train.accumulation=1", "train.engine=deepspeed", "train.zero_stage=3",
                  "train.offload_optimizer=true", "train.offload_parameters=true")
    assert "ZeRO 3, 2 ranks" in done.stdout
    assert losses(two) == pytest.approx(losses(reference), rel=1e-4)
    gradients = [[row["gradient_norm"] for row in rows_of(run) if "loss" in row] for run in (two, reference)]
    assert gradients[0] == pytest.approx(gradients[1], rel=1e-3)
    same_weights(checkpoint(two, STEPS), checkpoint(reference, STEPS))
    one = cut_after_step_3(two, tmp_path / "one")
    assert train(recipe, one, "train.accumulation=2") == 0
    assert losses(one) == pytest.approx(losses(reference), rel=1e-4)
    same_weights(checkpoint(one, STEPS), checkpoint(reference, STEPS))


@pytest.mark.slow
@pytest.mark.parametrize("more", [["train.engine=torch"], *(["train.engine=deepspeed", f"train.zero_stage={stage}"]
                                                            for stage in (0, 1, 2, 3))])
def test_every_engine_on_two_ranks_equals_one_process(recipe, reference, tmp_path, more):
    launch(2, recipe, tmp_path / "run", "train.accumulation=1", "train.gradient_checkpointing=true", *more)
    assert losses(tmp_path / "run") == pytest.approx(losses(reference), rel=1e-4)
    same_weights(checkpoint(tmp_path / "run", STEPS), checkpoint(reference, STEPS))


@pytest.mark.slow  # test_engines.py has a shorter one
def test_deepspeed_in_one_plain_process(recipe, reference, tmp_path):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, ROOT / "train/sft.py", recipe, f"train.output={tmp_path / 'run'}",
                           "train.engine=deepspeed", "train.zero_stage=1", "train.max_steps=6"],
                          env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert losses(tmp_path / "run") == pytest.approx(losses(reference), rel=1e-4)


def test_accumulated_parts_equal_one_big_batch(parts, corpus, tmp_path):  # noqa: F811
    plain = recipe_file(tmp_path, parts, corpus, data={"modality_dropout": 0.3}, train={
        "max_steps": 3, "batching": "random", "batch_size": 4, "evaluate_every": 3, "save_every": 3})
    assert train(plain, tmp_path / "big") == 0
    assert train(plain, tmp_path / "small", "train.batch_size=1", "train.accumulation=4") == 0
    assert losses(tmp_path / "small") == pytest.approx(losses(tmp_path / "big"), rel=1e-5)
    same_weights(checkpoint(tmp_path / "small", 3), checkpoint(tmp_path / "big", 3))
    # Clips differ in length: a mean of means would give something else.
    assert len({round(loss, 3) for loss in losses(tmp_path / "big")}) == 3


def test_stored_features_and_raw_clips_train_alike(parts, corpus, tmp_path):  # noqa: F811
    plain = recipe_file(tmp_path, parts, corpus, data={"workers": 2}, train={
        "max_steps": 3, "batch_size": 3, "alignment_epochs": 0, "evaluate_every": 3, "save_every": 3})
    assert train(plain, tmp_path / "stored") == 0
    assert train(plain, tmp_path / "raw", "data.cache=false") == 0
    assert losses(tmp_path / "raw") == pytest.approx(losses(tmp_path / "stored"), rel=1e-4)
    same_weights(checkpoint(tmp_path / "raw", 3), checkpoint(tmp_path / "stored", 3))
    names = load_file(checkpoint(tmp_path / "raw", 3) / "model.safetensors")
    assert names["norms.audio.mean"].abs().max() > 0


def test_a_store_of_other_settings_or_clips_is_refused(recipe, reference, corpus, tmp_path, capsys):
    store = reference / "features"
    assert train(recipe, tmp_path / "good", f"data.store={store}", "train.max_steps=1") == 0
    assert train(recipe, tmp_path / "bad", f"data.store={store}", "model.frames=2") == 2
    assert "frames" in capsys.readouterr().err.splitlines()[-1]
    assert train(recipe, tmp_path / "bad", f"data.store={tmp_path / 'gone'}") == 2
    assert str(tmp_path / "gone") in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_killed_at_random_moments_nothing_is_lost(recipe, tmp_path, kills):
    last = 12 * kills  # enough that a run never ends before its kill
    more = [f"train.max_steps={last}", "train.evaluate_every=2", "train.save_every=2", "train.keep_checkpoints=3"]
    # Else MKL's sums depend on where in memory a matrix lies, and both runs were once not equal to the bit.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "MKL_CBWR": "COMPATIBLE"}
    done = subprocess.run([sys.executable, ROOT / "tests" / "kill_worker.py", str(kills), tmp_path / "whole", recipe,
                           f"train.output={tmp_path / 'killed'}", *more],
                          env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert seen["kills"] == kills and seen["inside_a_save"] >= kills // 4
    steps = seen["newest_after_each"]
    assert steps == sorted(steps) and steps[-1] == last
    same_weights(checkpoint(tmp_path / "killed", last), checkpoint(tmp_path / "whole", last), exact=True)
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")


def test_a_full_disk_stops_clearly_and_keeps_what_was(recipe, reference, tmp_path, capsys, monkeypatch):
    output = cut_after_step_3(reference, tmp_path / "run")

    def full(*arguments, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    with monkeypatch.context() as patch:
        patch.setattr("affectgpt.train.checkpoints.save_file", full)
        assert train(recipe, output) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "step 6 could not be written" in error and "No space left" in error and "step-00000003 is whole" in error
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000003"]
    assert not (output / "model").exists()
    assert train(recipe, output) == 0  # there is room again
    same_weights(checkpoint(output, STEPS), checkpoint(reference, STEPS), exact=True)


def test_a_loss_that_is_not_finite_names_step_clips_and_gradients(recipe, reference, tmp_path, capsys, monkeypatch):
    output, original = cut_after_step_3(reference, tmp_path / "run"), InstructionDataset.__getitem__
    seen = []

    def poisoned(self, index):
        sample = original(self, index)
        if self.training and "audio" in sample and (not seen or sample["clip"].key in seen):
            seen.append(sample["clip"].key)
            sample["audio"] = torch.full_like(sample["audio"], float("nan"))
        return sample

    monkeypatch.setattr(InstructionDataset, "__getitem__", poisoned)
    assert train(recipe, output) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert re.search("step [456]: the loss is "
                     "nan", error) and seen[0] in error and "nan" in error.split("largest gradients:")[1]
    assert "step-00000003 is whole" in error
    assert [path.name for path in (output / "checkpoints").iterdir()] == ["step-00000003"]


def test_a_ruinous_rate_is_stopped_before_it_is_saved(recipe, tmp_path, capsys):
    assert train(recipe, tmp_path / "run", "train.learning_rate=1e30", "train.projector_learning_rate=1e30",
                 "train.clip_norm=0") == 2
    assert "lower train.learning_rate" in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "run" / "model").exists()


def test_retention_keeps_the_best_and_the_newest(recipe, reference, tmp_path):
    assert train(recipe, tmp_path / "run", "train.evaluate_every=1", "train.save_every=1",
                 "train.keep_checkpoints=2") == 0
    kept = [int(path.name.split("-")[1]) for path in sorted((tmp_path / "run" / "checkpoints").iterdir())]
    found = {row["step"]: row["validation_loss"] for row in rows_of(tmp_path / "run") if "validation_loss" in row}
    assert len(kept) == 2 and kept[-1] == STEPS and min(found, key=found.get) in kept
    assert all(is_done(checkpoint(tmp_path / "run", step)) for step in kept)
    same_weights(
        checkpoint(tmp_path / "run", STEPS), checkpoint(reference, STEPS), exact=True
    )  # looking changes nothing


def test_the_log_tells_what_a_run_costs(reference):
    rows = [row for row in rows_of(reference) if "loss" in row]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    for row in rows:
        assert row["tokens_per_second"] > row["clips_per_second"] > 0 and 0 < row["mfu"] < 1
        assert 0 <= row["data_wait"] <= 1 and row["memory_gib"] > 0 and row["eta_seconds"] >= 0
        assert row["learning_rate"] > 0 and row["gradient_norm"] > 0 and row["epoch"] > 0
    assert list((reference / "tensorboard").glob("events*"))
    facts = json.loads((reference / "model" / "training.json").read_text())
    assert facts["packages"]["torch"] and len(facts["data_fingerprint"]) == 64 and facts["peak_memory_gib"] > 0
    assert facts["steps"] == STEPS and facts["tokens_seen"] > 1000


def test_projectors_alone_move_first_and_rates_are_per_part(recipe, tmp_path, capsys):
    output = tmp_path / "run"
    more = ["train.projector_warmup_steps=2", "train.evaluate_every=1", "train.save_every=1", "train.max_steps=3",
            'train.learning_rates={"projectors.audio": 1.0e-9}']
    assert train(recipe, output, *more) == 0
    states = [load_file(checkpoint(output, step) / "model.safetensors") for step in (1, 2, 3)]
    lora = [name for name in states[0] if "lora_B" in name]
    assert lora and all(torch.equal(states[0][name], states[1][name]) for name in lora)
    assert any(not torch.equal(states[1][name], states[2][name]) for name in lora)

    def moved(start):
        return max(
            float((states[0][name] - states[1][name]).abs().max()) for name in states[0] if name.startswith(start)
        )

    assert 0 <= moved("projectors.audio") < 1e-7 < 1e-5 < moved("projectors.face")
    assert train(recipe, tmp_path / "bad", 'train.learning_rates={"projektors": 1.0e-3}') == 2
    assert "train.learning_rates.projektors: no trained parameter" in capsys.readouterr().err


def test_the_whole_llm_and_the_encoders_can_be_trained(parts, corpus, tmp_path):  # noqa: F811
    full = recipe_file(
        tmp_path,
        parts,
        corpus,
        model={"lora_rank": 0, "train_llm": True, "train_encoders": True, "dtype": "bfloat16"},
        data={"cache": False},
        train={"alignment_epochs": 0, "batch_size": 2, "encoder_learning_rate": 1e-3},
    )
    assert train(full, tmp_path / "run", "train.gradient_checkpointing=true") == 0
    state = load_file(tmp_path / "run" / "model" / "model.safetensors")
    llm = [name for name in state if name.startswith("language_model.")]
    encoder = [name for name in state if name.startswith("audio_encoder.")]
    assert len(llm) > 15 and len(encoder) > 15 and all(state[name].dtype == torch.float32 for name in llm)
    first = load_file(Path(parts["llama"]) / "model.safetensors")
    assert not torch.equal(state["language_model.model.layers.0.mlp.up_proj.weight"],
                           first["model.layers.0.mlp.up_proj.weight"])
    first = load_file(Path(parts["whisper"]) / "model.safetensors")
    name = next(name for name in first if "encoder.layers.0.fc1.weight" in name)
    moved = next(state[key] for key in encoder if key.endswith("layers.0.fc1.weight"))
    assert not torch.equal(moved, first[name])
    clip = next((corpus.parent / "clips").glob("*.mp4"))
    assert cli.main(["describe", str(clip), "--subtitle", "yes", "--model", str(tmp_path / "run" / "model")]) == 0


@pytest.mark.parametrize("bits", ["8bit", "4bit"])
def test_qlora_trains_on_packed_weights(parts, corpus, tmp_path, bits):  # noqa: F811
    pytest.importorskip("bitsandbytes", reason="QLoRA needs bitsandbytes: pip install 'affectgpt[qlora]'")
    torch.manual_seed(1)
    llm = LlamaForCausalLM(LlamaConfig(  # its 4 bit blocks on a CPU hold 64 numbers of a row
        vocab_size=400, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, bos_token_id=0, eos_token_id=2, pad_token_id=0, tie_word_embeddings=True))
    llm.save_pretrained(tmp_path / "llm")
    tokenizer().save_pretrained(tmp_path / "llm")
    plain = recipe_file(tmp_path, parts, corpus, model={"llm": str(tmp_path / "llm"), "lora_targets": "all-linear"},
                        train={"batch_size": 4, "max_steps": 3, "evaluate_every": 3, "save_every": 3})
    assert train(plain, tmp_path / "full") == 0
    assert train(plain, tmp_path / bits, f"model.quantization={bits}") == 0
    assert losses(tmp_path / bits) == pytest.approx(losses(tmp_path / "full"), rel=0.05)
    assert losses(tmp_path / bits) != losses(tmp_path / "full")  # something was rounded
    state = load_file(tmp_path / bits / "model" / "model.safetensors")
    assert not [name for name in state if name.startswith("language_model.") and "lora_" not in name]
    assert max(state[name].abs().max() for name in state if "lora_B" in name) > 0
