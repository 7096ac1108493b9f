"""Going on with a run: known by its data and base weights, what is torn or damaged is told, one process writes."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny import corpus, parts, recipe_file  # noqa: F401  fixtures

from affectgpt import cli
from affectgpt.files import only_writer, read_jsonl
from affectgpt.train.checkpoints import SUMS_NAME, Checkpoints, _sum, read_state
from affectgpt.train.rates import rate_of
from affectgpt.train.trainer import Trainer

FILES = ("model.safetensors", "optimizer.safetensors", "state.json", "config.json", "tokenizer.json", "files.json")


@pytest.fixture(scope="module")
def begun(parts, corpus, tmp_path_factory) -> Path:  # noqa: F811
    """A folder with a corpus, its recipe and a run of two steps with a checkpoint after each."""
    folder = tmp_path_factory.mktemp("begun")
    shutil.copytree(corpus.parent, folder / "corpus")
    shutil.copytree(parts["llama"], folder / "llama")
    recipe = recipe_file(folder, {**parts, "llama": str(folder / "llama")}, folder / "corpus" / corpus.name,
                         train={"alignment_epochs": 0})
    assert cli.main(["train", str(recipe)]) == 0
    return folder


@pytest.fixture
def run(begun, tmp_path, monkeypatch) -> Path:
    """A copy of `begun` at the same relative paths: it can be changed."""
    shutil.copytree(begun, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    values = json.loads(Path("tiny.yaml").read_text())
    values["model"]["llm"], values["data"]["manifests"] = "llama", ["corpus/manifest.jsonl"]
    values["train"]["output"] = "run"
    Path("tiny.yaml").write_text(json.dumps(values))
    stored = Path("run/recipe.yaml")
    stored.write_text(stored.read_text().replace(f"{begun}/", ""))
    return tmp_path / "here"


def go_on(*overrides) -> int:
    return cli.main(["train", "tiny.yaml", "train.max_steps=3", *overrides])


def refused(capsys, *words, overrides=()) -> str:
    before = sorted(path.name for path in Path("run/checkpoints").iterdir())
    assert go_on(*overrides) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert all(word in error for word in words), error
    assert sorted(path.name for path in Path("run/checkpoints").iterdir()) == before
    return error


def change_rows(change) -> None:
    path = Path("corpus/manifest.jsonl")
    rows = [row for _, row in read_jsonl(path)]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def one_of(rows, split: str) -> dict:
    return next(row for row in rows if row["split"] == split)


@pytest.mark.parametrize(("change", "split"), [
    (lambda rows: one_of(rows, "train").update(labels=["calm"]), "train"),
    (lambda rows: one_of(rows, "train").update(valence=0.0), "train"),
    (lambda rows: one_of(rows, "validation").update(words="Other words."), "validation"),
    (lambda rows: rows.remove(one_of(rows, "train")), "train"),
    (lambda rows: rows.reverse(), "train"),
])
def test_other_rows_do_not_continue_a_run(run, capsys, change, split):
    change_rows(change)
    refused(capsys, "the clips differ from those the run began with", f"rows of split {split}", "train.resume=false")


def test_rows_of_no_split_of_the_run_may_change(run):
    change_rows(lambda rows: one_of(rows, "test").update(labels=["calm"]))
    assert go_on() == 0 and read_state(Path("run/checkpoints/step-00000003")).step == 3


def test_another_file_under_the_same_name_does_not_continue_a_run(run, capsys):
    rows = [row for _, row in read_jsonl("corpus/manifest.jsonl") if row["split"] == "train"]
    first, second = (Path("corpus") / row["media"] for row in rows[:2])
    shutil.copyfile(second, first)
    refused(capsys, "the clips differ from those the run began with", "media files of split train")


def test_features_that_are_gone_are_made_again_and_copied_files_are_the_same(run):
    shutil.rmtree("run/features")
    for path in Path("corpus/clips").iterdir():
        os.utime(path)
    assert go_on() == 0


def test_other_base_weights_do_not_continue_a_run(run, parts, capsys):  # noqa: F811
    path = Path("llama/model.safetensors")
    path.write_bytes(path.read_bytes()[:-4] + b"\x00\x00\x00\x01")
    refused(capsys, "the base weights differ from those the run began with", "weights of model.llm")


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"",
                                    lambda data: data[:-9] + bytes([data[-9] ^ 1]) + data[-8:], None])
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_named_with_the_one_before_it(run, name, damage, capsys):
    file = Path("run/checkpoints/step-00000002") / name
    if damage is None:
        file.unlink()
    else:
        file.write_bytes(damage(file.read_bytes()))
    # A changed digit of a sum makes its file the damaged one.
    refused(capsys, str(file.parent if name == "files.json" else file),
            "remove the folder run/checkpoints/step-00000002 to go on from step-00000001")


def test_without_the_damaged_checkpoint_the_run_goes_on(run, capsys):
    shutil.rmtree("run/checkpoints/step-00000002")
    assert go_on("train.keep_checkpoints=5") == 0
    assert [path.name for path in Checkpoints(Path("run/checkpoints"), 5).whole()] == [
        f"step-{step:08d}" for step in (1, 2, 3)]


def test_a_best_checkpoint_that_is_gone_is_chosen_anew(run, capsys):
    newest = Path("run/checkpoints/step-00000002")
    best = read_state(newest).best_step
    if best == 2:  # then say that the first one was better
        values = json.loads((newest / "state.json").read_text()) | {"best_step": 1, "best_loss": 0.0}
        (newest / "state.json").write_text(json.dumps(values))
        sums = json.loads((newest / SUMS_NAME).read_text()) | {"state.json": _sum(newest / "state.json")}
        (newest / SUMS_NAME).write_text(json.dumps(sums))
    shutil.rmtree("run/checkpoints/step-00000001")
    assert go_on() == 0
    assert "step-00000001, is gone" in capsys.readouterr().out
    assert json.loads(Path("run/model/training.json").read_text())["best_checkpoint"].endswith("step-00000003")


@pytest.mark.parametrize(
    "tail", [b'{"step": 3, "los', b'{"step": 2, "loss": 1.5}', '{"é'.encode()[:-1], b"\x00" * 40, b"7"]
)
def test_a_torn_last_line_of_the_log_is_dropped(run, tail):
    with open("run/log.jsonl", "ab") as file:
        file.write(tail)
    assert go_on() == 0
    steps = [row["step"] for _, row in read_jsonl("run/log.jsonl") if "loss" in row]
    assert steps == ([1, 2, 2, 3] if b"1.5" in tail else [1, 2, 3])


@pytest.mark.parametrize("line", [b"no row\n", b'{"loss": 1}\n', b'{"step": "2"}\n'])
def test_a_log_that_is_damaged_in_its_middle_is_told(run, line, capsys):
    path = Path("run/log.jsonl")
    path.write_bytes(line + path.read_bytes())
    refused(capsys, "run/log.jsonl:1", "Remove this line")


def test_a_row_of_the_log_starts_on_a_line_of_its_own(tmp_path):
    from affectgpt.train.run_log import RunLog

    log = RunLog(tmp_path, True, 0, [], "name", {})
    log.write(1, {"loss": 1.0})
    with log.path.open("ab") as file:
        file.write(b'{"step": 2, "lo')  # the disk was full, and is not any more
    log.write(2, {"loss": 0.5, "rate": float("nan")})
    log.close()
    assert [row for _, row in read_jsonl(log.path)] == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]


def test_only_one_process_trains_into_a_folder(run, capsys):
    holder = subprocess.Popen([sys.executable, "-c", "import sys; from affectgpt.files import only_writer\n"
                               "with only_writer('run'): print('held', flush=True); sys.stdin.read()"],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        files = {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()}
        refused(capsys, "another process trains into this folder", f"process {holder.pid}")
        assert {path: path.read_bytes() for path in Path("run").rglob("*") if path.is_file()} == files
    finally:
        holder.kill()
        holder.wait()
    assert go_on() == 0  # a killed process holds nothing


def test_a_file_system_without_locks_is_told(tmp_path, capsys, monkeypatch):
    def refuse(*arguments):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_writer(tmp_path):
        assert "cannot be locked here" in capsys.readouterr().err


class _Settings:
    epochs, max_steps, schedule, warmup_ratio, projector_warmup_steps = 0.01, -1, "cosine", 0.05, 0
    learning_rates, learning_rate, projector_learning_rate = {}, 1.0, 1.0


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
@pytest.mark.parametrize(("epochs", "clips"), [(0.01, 4), (0.25, 16), (1.0, 100), (0.5, 20), (1.5, 60)])
def test_every_step_of_a_run_has_a_rate_above_zero(schedule, epochs, clips):
    """Also where one step is longer than the whole run, or the last one reaches beyond its end."""
    trainer = object.__new__(Trainer)
    trainer.settings = settings = _Settings()
    settings.schedule, settings.epochs = schedule, epochs
    trainer.train_set, trainer.group_names = SimpleNamespace(epoch_clips=16), ["language_model.layer"]
    trainer.state = state = type("", (), {"step": 0, "epoch": 0, "clips_in_epoch": 0})()
    rates = []
    while trainer._progress() < 1:
        taken = min(clips, 16 - state.clips_in_epoch)
        rates += trainer.rates(taken)
        state.clips_in_epoch += taken
        if state.clips_in_epoch == 16:
            state.epoch, state.clips_in_epoch = state.epoch + 1, 0
    assert rates and min(rates) > 0 and max(rates) <= 1
    assert rate_of(settings, "language_model.layer", 0, 1e-9) > 0


def test_a_run_within_its_projector_warm_up_says_so(run, capsys):
    assert cli.main(["train", "tiny.yaml", "train.output=other", "train.projector_warmup_steps=2"]) == 0
    assert "warning: the run ended after 2 steps, within its train.projector_warmup_steps=2" in capsys.readouterr().out
