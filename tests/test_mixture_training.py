"""A mixture in training: what was drawn is logged at each epoch's end, a continued run draws the same, other weights
are not continued."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tiny import corpus, parts, recipe_file  # noqa: F401  fixtures

from affectgpt import cli
from affectgpt.files import read_jsonl
from affectgpt.train.checkpoints import read_state


@pytest.fixture(scope="module")
def begun(parts, corpus, tmp_path_factory) -> Path:  # noqa: F811
    """A run of one epoch and a half of two corpora with weights 2 and 0.5."""
    folder = tmp_path_factory.mktemp("mixed")
    rows = [row for _, row in read_jsonl(corpus)]
    section = []
    for name, weight, questions in (("one", 2.0, {"labels": 1.0}), ("two", 0.5, None)):
        shutil.copytree(corpus.parent, folder / name)
        text = "".join(json.dumps({**row, "corpus": name}) + "\n" for row in rows)
        (folder / name / "m.jsonl").write_text(text)
        section.append({"reader": "manifest", "root": str(folder / name / "m.jsonl"), "weight": weight,
                        "questions": questions})
    recipe_file(folder, parts, corpus, train={"alignment_epochs": 0, "max_steps": 3, "evaluate_every": 0,
                                              "save_every": 0, "log_every": 100, "schedule": "constant",
                                              "warmup_ratio": 0.0},
                data={"manifests": [], "corpora": section, "questions": {"description": 1.0}})
    assert cli.main(["train", str(folder / "tiny.yaml")]) == 0
    return folder


def train(folder: Path, *words: str) -> int:
    return cli.main(["train", str(folder / "tiny.yaml"), *words])


def drawn(folder: Path) -> list[dict]:
    return [row for _, row in read_jsonl(folder / "log.jsonl") if "drawn" in row]


def sizes(begun: Path) -> tuple[int, int]:
    """Clips of the training split of each corpus, and of an epoch of the second."""
    count = sum(row["split"] == "train" for _, row in read_jsonl(begun / "one" / "m.jsonl"))
    return count, max(1, round(count / 2))


def test_counts_of_an_epoch_are_logged_and_go_on_where_a_run_stopped(begun, capsys):
    count, half = sizes(begun)
    epoch = 2 * count + half
    assert epoch > 4
    [row] = drawn(begun / "run")
    assert sum(sum(kinds.values()) for kinds in row["drawn"].values()) == 3 == row["step"]
    assert train(begun, f"train.max_steps={epoch + 2}") == 0
    out = capsys.readouterr().out
    manifests = [begun / name / "m.jsonl" for name in ("one", "two")]
    assert f"an epoch takes {2 * count} of {manifests[0]} ({count} clips, weight 2), {half} of {manifests[1]} (" in out
    whole = {"one": {"labels": 2 * count}, "two": {"description": half}}
    rows = drawn(begun / "run")
    assert [row["step"] for row in rows] == [3, epoch, epoch + 2]
    assert (rows[1]["drawn"], rows[1]["epoch"]) == (whole, 1.0)
    assert f"step {epoch} | epoch 1.00 | drawn in it: one {2 * count} (labels {2 * count}); " \
           f"two {half} (description {half})" in out
    assert sum(sum(kinds.values()) for kinds in rows[2]["drawn"].values()) == 2  # of the next epoch
    # Without a stop in between the same weights come out.
    assert train(begun, f"train.max_steps={epoch + 2}", f"train.output={begun / 'straight'}") == 0
    name = f"checkpoints/step-{epoch + 2:08d}"
    assert read_state(begun / "run" / name).drawn == read_state(begun / "straight" / name).drawn
    assert (begun / "run" / name / "model.safetensors").read_bytes() == \
        (begun / "straight" / name / "model.safetensors").read_bytes()
    facts = json.loads((begun / "straight" / "model" / "training.json").read_text())["corpora"]
    assert [fact["weight"] for fact in facts] == [2.0, 0.5] and "root" not in facts[0]


def test_a_mixture_with_other_weights_does_not_continue_a_run(begun, capsys):
    assert train(begun, "train.max_steps=9", "data.corpora.0.weight=1") == 2
    assert "holds a run with other settings (data.corpora)" in capsys.readouterr().err


def test_corpora_that_were_moved_are_the_same(begun, tmp_path):
    shutil.copytree(begun / "run", tmp_path / "run")
    shutil.copytree(begun / "two", tmp_path / "moved")
    last = sorted((tmp_path / "run" / "checkpoints").iterdir())[-1]
    steps = read_state(last).step + 1
    assert train(begun, f"train.max_steps={steps}", f"data.corpora.1.root={tmp_path / 'moved' / 'm.jsonl'}",
                 f"train.output={tmp_path / 'run'}") == 0


def test_a_dry_run_and_an_extraction_read_the_corpora(begun, tmp_path, capsys):
    assert train(begun, "--dry-run") == 0
    assert "clip one/" in capsys.readouterr().out
    assert cli.main(["extract", str(begun / "tiny.yaml"), "--store", str(tmp_path / "store")]) == 0
    assert f"{2 * 6} of {2 * 6} clips" in capsys.readouterr().out
