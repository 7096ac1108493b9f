"""The whole path of the project's own recipe on a CPU: corpora as they are downloaded -> prepared manifests -> features
-> DeepSpeed on two ranks -> answers -> scores. Texts are EMER's own; clips are made, under the same names."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from affectgpt.synthetic.corpus import make_corpus

ROOT = Path(__file__).resolve().parent.parent
PARTS = ["model.llm=starter:smollm2-135m-instruct", "model.audio_encoder=starter:whisper-tiny.en",
         "model.visual_encoder=starter:face-expression", "model.dtype=float32", "train.pack_tokens=1024",
         "train.max_steps=2", "train.alignment_epochs=1", "train.device=cpu", "data.workers=1",
         "train.evaluate_every=2", "train.save_every=2"]


def run(*command, **environment):
    """Output of a command that ends well, in an environment of one thread a process."""
    done = subprocess.run([str(part) for part in command], cwd=ROOT, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=900,
                          env=os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | environment)
    assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
    return done.stdout


def affectgpt(*arguments, **environment):
    return run(sys.executable, "-m", "affectgpt.cli", *arguments, **environment)


def write_table(path, header, rows):
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


@pytest.fixture(scope="module")
def trees(tmp_path_factory, shared_data):
    """A MER-Caption+ of 16 clips and an EMER of 8, in their official layouts."""
    folder = tmp_path_factory.mktemp("mission")
    made = make_corpus(folder / "made", clips=24, speakers=6, workers=2, progress=False)
    films = sorted((made.parent / "clips").glob("*.mp4"))
    with (shared_data / "emer" / "final-EMER-reason.csv").open(newline="", encoding="utf-8-sig") as file:
        texts = list(csv.DictReader(file))[:24]
    with (shared_data / "emer" / "ovmerd-openset.csv").open(newline="", encoding="utf-8-sig") as file:
        labels = {row["name"]: row["openset"] for row in csv.DictReader(file)}
    pool, emer = folder / "mer2025-dataset", folder / "emer"
    for root, rows, clips in ((pool, texts[8:], films[8:]), (emer, texts[:8], films[:8])):
        (root / "video").mkdir(parents=True)
        for row, film in zip(rows, clips, strict=True):
            shutil.copy(film, root / "video" / f"{row['name']}.mp4")
    write_table(pool / "subtitle_chieng.csv", ["name", "chinese", "english"],
                [[row["name"], "", "We need to talk about it."] for row in texts[8:]])
    write_table(pool / "track2_train_mercaptionplus.csv", ["name", "openset"],
                [[row["name"], labels[row["name"]]] for row in texts[8:]])
    write_table(pool / "track3_train_mercaptionplus.csv", ["name", "reason"],
                [[row["name"], row["english"]] for row in texts[8:]])
    write_table(emer / "final-EMER-reason.csv", ["name", "chinese", "english"],
                [[row["name"], row["chinese"], row["english"]] for row in texts[:8]])
    write_table(emer / "ovmerd-openset.csv", ["name", "openset"],
                [[row["name"], labels[row["name"]]] for row in texts[:8]])
    return folder, pool, emer


@pytest.mark.slow
def test_the_whole_path(trees):
    folder, pool, emer = trees
    for name, root in (("mercaptionplus", pool), ("emer", emer)):
        affectgpt("prepare", name, "--root", root, "--output", folder / "prepared" / name)
    manifests = [folder / "prepared" / name / "manifest.jsonl" for name in ("mercaptionplus", "emer")]
    rows = [[json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()] for manifest in manifests]
    assert [len(part) for part in rows] == [16, 8] and all(row["description"] for part in rows for row in part)

    corpora = [f"data.corpora.{number}.{key}={value}" for number, manifest in enumerate(manifests)
               for key, value in (("reader", "manifest"), ("root", manifest))]
    recipe = ["affectgpt-qwen2.5-7b", *PARTS, *corpora]
    affectgpt("extract", *recipe, "--store", folder / "features")
    output = folder / "run"
    said = run(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", 2, "train/sft.py",
               *recipe, f"data.store={folder / 'features'}", "train.zero_stage=2", f"train.output={output}",
               OMP_WAIT_POLICY="PASSIVE")
    assert "ZeRO 2, 2 ranks" in said
    log = [json.loads(line) for line in (output / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    drawn = next(row["drawn"] for row in log if "drawn" in row)
    assert set(drawn) == {"mercaptionplus", "emer"}

    answers = folder / "answers.jsonl"
    affectgpt("generate", output / "model", "--corpus", manifests[1], "--split", "train", "--question", "labels",
              "--max-new-tokens", 24, "--dtype", "float32", "--output", answers)
    affectgpt("label", answers)
    labelled = answers.with_name("answers.labels.jsonl")
    affectgpt("score", labelled, "--set", "emer", "--kind", "openset", "--no-published")
    results = json.loads(labelled.with_name("answers.labels.results.json").read_text(encoding="utf-8"))
    assert results["kind"] == "openset" and len(answers.read_text(encoding="utf-8").splitlines()) == 8
