"""What a release is made of: terms combined, hashes that notice every change, facts and a card that invent nothing."""

from __future__ import annotations

import json
import re

import pytest
import yaml

from affectgpt.cli import main
from affectgpt.data.readers import READERS
from affectgpt.release import card, facts, licences, manifest
from affectgpt.release.licences import Ingredient

OPEN = Ingredient("LLM", "starter:x", "apache-2.0", "open")
CLOSED = Ingredient("corpus", "mer2023", "academic use, by agreement (EULA)", "restricted")
LLAMA = Ingredient("LLM", "meta-llama/Llama-3.2-1B", "llama3.2", "own")

# ---------------------------------------------------------------------------- licences


@pytest.mark.parametrize("ingredients, licence", [
    ([], "apache-2.0"), ([OPEN], "apache-2.0"), ([OPEN, LLAMA], "llama3.2"), ([OPEN, CLOSED], "cc-by-nc-4.0"),
    ([LLAMA, CLOSED], "cc-by-nc-4.0")])
def test_the_freest_licence_is_taken(ingredients, licence):
    assert licences.choose(ingredients) == licence


@pytest.mark.parametrize("ingredients, asked, named", [
    ([OPEN, CLOSED], "mit", "corpus mer2023 is academic use"), ([OPEN, CLOSED], "cc-by-4.0", "mer2023"),
    ([OPEN, LLAMA], "apache-2.0", "meta-llama/Llama-3.2-1B is llama3.2"), ([LLAMA], "gemma", "llama3.2"),
    ([OPEN], "made-up", "none of")])
def test_a_licence_that_gives_too_much_is_refused(ingredients, asked, named):
    with pytest.raises(ValueError, match=re.escape(named)):
        licences.choose(ingredients, asked)


@pytest.mark.parametrize("ingredients, asked", [
    ([OPEN], "mit"), ([OPEN], "cc-by-nc-4.0"), ([OPEN, CLOSED], "research-only"), ([LLAMA], "llama3.2")])
def test_a_licence_that_gives_no_more_is_taken(ingredients, asked):
    assert licences.choose(ingredients, asked) == asked


def test_the_terms_of_every_corpus_are_known():
    """All but a manifest, whose terms are those of its media."""
    unknown = []
    for name, reader in READERS.items():
        try:
            kind = licences.data(name, reader.corpus.licence).kind
        except ValueError:
            unknown.append(name)
            continue
        restricted = re.search(r"NC|research|academic|agreement|owners", reader.corpus.licence)
        assert (kind == "restricted") == bool(restricted), (name, reader.corpus.licence)
    assert unknown == ["manifest"]


def test_parts_are_looked_up_or_said():
    assert licences.part("LLM", "starter:smollm2-135m-instruct") == Ingredient(
        "LLM", "starter:smollm2-135m-instruct", "apache-2.0", "open")
    assert licences.part("LLM", "Qwen/Qwen2.5-7B-Instruct").kind == "open"
    assert licences.part("LLM", "Qwen/Qwen2.5-3B-Instruct").kind == "restricted"
    with pytest.raises(ValueError, match="someone/llm.*--part-licence someone/llm=apache-2.0"):
        licences.part("LLM", "someone/llm")
    assert licences.part("LLM", "someone/llm", "mit").licence == "mit"
    with pytest.raises(ValueError, match="'limited' is none of"):
        licences.part("LLM", "someone/llm", "limited")
    with pytest.raises(ValueError, match="--data-licence mine=cc-by-4.0"):
        licences.data("mine", "limited to friends")
    assert licences.said(["a/b=mit"], "--part-licence") == {"a/b": "mit"}
    with pytest.raises(ValueError, match="write NAME=LICENCE"):
        licences.said(["mit"], "--part-licence")


# ---------------------------------------------------------------------------- the manifest


@pytest.fixture
def released(tmp_path):
    folder = tmp_path / "release"
    (folder / "example").mkdir(parents=True)
    for name, content in (("config.json", "{}"), ("model.safetensors", "weights"), ("example/clip.mp4", "clip")):
        (folder / name).write_text(content)
    manifest.write_manifest(folder)
    (folder / "done").touch()
    return folder


def test_an_unchanged_folder_has_no_problems(released):
    assert list(manifest.problems(released)) == []
    assert set(manifest.read_manifest(released)) == {"config.json", "model.safetensors", "example/clip.mp4"}


@pytest.mark.parametrize("change, problem", [
    (lambda folder: (folder / "config.json").write_text("[]"), "config.json was changed"),
    (lambda folder: (folder / "model.safetensors").write_text("weight"), "model.safetensors has 6 bytes"),
    (lambda folder: (folder / "example" / "clip.mp4").unlink(), "example/clip.mp4 is missing"),
    (lambda folder: (folder / "more.py").write_text("import os"), "more.py is not in the manifest"),
])
def test_every_change_is_named(released, change, problem):
    change(released)
    assert [one for one in manifest.problems(released) if one.startswith(problem)]


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.PTH", "sub/x.pkl"])
def test_pickles_are_refused(released, name):
    (released / name).parent.mkdir(exist_ok=True)
    (released / name).write_text("x")
    with pytest.raises(ValueError, match=f"{name.split('/')[-1]}: a pickle may hold code"):
        list(manifest.problems(released))
    with pytest.raises(ValueError, match="a pickle may hold code"):
        manifest.write_manifest(released)


def test_links_are_refused(released, tmp_path):
    (tmp_path / "secret").write_text("secret")
    (released / "link.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(ValueError, match="link.txt: is a link"):
        list(manifest.problems(released))


@pytest.mark.parametrize("files", [
    {"../secret": {"sha256": "0", "size": 1}}, {"/etc/passwd": {"sha256": "0", "size": 1}},
    {"config.json": {"size": 1}}, [], {"config.json": "hash"}])
def test_a_hostile_manifest_is_refused(released, files):
    (released / manifest.NAME).write_text(json.dumps({"format": 1, "files": files}))
    with pytest.raises(ValueError):
        list(manifest.problems(released))


def test_a_folder_without_a_manifest_is_not_verified(released, capsys):
    (released / manifest.NAME).unlink()
    assert main(["verify", str(released)]) == 2 and "was not released to its end" in capsys.readouterr().err


def test_push_sends_nothing_unless_told(released, capsys, monkeypatch):
    import huggingface_hub

    sent = []

    class Api:
        def create_repo(self, repo, **options):
            sent.append(("repo", repo, options))

        def upload_folder(self, **options):
            sent.append(("folder", options))
            return "commit"

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    assert main(["push", str(released), "--repo", "me/mine"]) == 0
    assert not sent and "Nothing was sent" in capsys.readouterr().out
    assert main(["push", str(released), "--repo", "me/mine", "--private", "--yes"]) == 0
    assert sent[0] == ("repo", "me/mine", {"private": True, "exist_ok": True})
    assert set(sent[1][1]["allow_patterns"]) == {*manifest.read_manifest(released), manifest.NAME}
    assert main(["push", str(released), "--repo", "mine"]) == 2
    (released / "config.json").write_text("[]")
    assert main(["push", str(released), "--repo", "me/mine", "--yes"]) == 2 and len(sent) == 2


# ---------------------------------------------------------------------------- facts and the card


def made_facts(**more) -> dict:
    return {"streams": ["audio", "face", "text"], "preset": "affectgpt", "projector": "attention", "fusion": "none",
            "lora_rank": 16, "parts": [vars(OPEN) | {"revision": "sha256:0123"}], "corpora": [],
            "recipe": {}, "training": {}, "energy": {},
            "skipped": 0, "results": [], "official": {}} | more


EXAMPLE = {"file": "example/clip.mp4", "answer": "A <b>voice</b> | loud."}


def rendered(**more) -> str:
    return card.render(made_facts(**more), "My model", more.get("licence", "apache-2.0"), "merged",
                       {"model.safetensors": 2_000_000, "config.json": 10}, EXAMPLE, "affectgpt release RUN --to DIR")


def test_a_card_says_what_is_not_known():
    text = rendered()
    head = yaml.safe_load(text.split("---")[1])
    assert head["license"] == "apache-2.0" and head["language"] == ["en"] and "base_model" not in head
    assert "does not record what it was trained on" in text and "None were given" in text
    assert "2.0 MB of weights" in text and "kWh" not in text
    for article in ("5(1)(f)", "Annex III, point 1(c)", "50(3)", "3(39)"):
        assert article in text
    assert r"A \<b\>voice\</b\> \| loud." in text  # outside text is no markup


def test_a_card_shows_what_was_recorded():
    corpus = {"name": "mer2023", "title": "MER2023", "reader": "mer2023", "licence": "academic use",
              "kind": "restricted", "protocol": "official", "weight": 1.0, "languages": ["zh"]}
    row = {"set": "mer2023", "inputs": "", "metric": "strict: sample_f", "value": 53.2, "low": 50.0, "high": 56.5,
           "clips": 411, "runs": 3, "extractor": "rules 2", "file": "mer2023.results.json"}
    training = {"train_clips": 12345, "seconds": 7200, "hardware": "1 x X"}
    text = rendered(corpora=[corpus], results=[row], training=training,
                    energy={"kilowatt_hours": 1.4, "assumed": "1 x 700 W"}, skipped=17,
                    parts=[vars(Ingredient("LLM", "Qwen/Qwen2.5-7B-Instruct", "apache-2.0", "open")) | {
                        "revision": "not recorded"}])
    assert "12345 clips were trained on" in text and "17 could not be read" in text and "2.0 h" in text
    assert "| mer2023 |  | strict: sample\\_f | 53.20 | 50.00 to 56.50 | 411 | 3 | rules 2 |" in text
    assert "1.4 kWh" in text and "mer2023 (academic use)" in text
    head = yaml.safe_load(text.split("---")[1])
    assert head["base_model"] == ["Qwen/Qwen2.5-7B-Instruct"] and head["language"] == ["zh"]


def test_results_are_read_from_their_files(tmp_path):
    evaluation = {"split": "test", "clips": 82, "subsets": {"audio+face": {
        "accuracy": 0.9, "interval": [0.8, 0.95], "clips": 82}}}
    scored = {"set": "mer2023", "metric": {"strict": "sample_f"}, "n_clips": 411, "spread": {
        "strict": {"runs": 2, "mean": 51.0, "std": 1.4, "min": 50.0, "max": 52.0}},
        "checkpoints": {"30": {}, "60": {}}}
    single = {**scored, "spread": {}, "checkpoints": {"60": {"strict": {"primary": 50.0, "interval": [45, 55],
                                                                       "scored": 411}}}}
    bench = {"benchmark": "MER-UniBench", "chosen": None, "mean_label": "mean of 1 of 9 sets", "about": {"sims": {}},
             "checkpoints": {"60": {"strict": {"sims": {"primary": 70.0, "interval": [60, 80], "scored": 457},
                                               "mean": {"primary": 70.0, "interval": [60, 80], "sets": 1}}}}}
    rows = []
    for name, values in (("a", evaluation), ("b", scored), ("c", single), ("d", bench)):
        (tmp_path / f"{name}.json").write_text(json.dumps(values))
        rows += facts.result_rows(tmp_path / f"{name}.json")
    assert [(row["set"], row["value"], row["runs"]) for row in rows] == [
        ("test split, 82 clips", 0.9, 1), ("mer2023", 51.0, 2), ("mer2023", 50.0, 1), ("sims", 70.0, 1),
        ("mean of 1 of 9 sets", 70.0, 1)]
    assert rows[1]["low"] == 50.0 and rows[2]["extractor"] == "not recorded in the result file"
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(ValueError, match="no result file"):
        facts.result_rows(tmp_path / "x.json")
    with pytest.raises(ValueError, match="cannot be read"):
        facts.result_rows(tmp_path / "absent.json")


@pytest.mark.parametrize("hardware, watts, kilowatt_hours", [
    ("8 x NVIDIA H100 80GB HBM3", None, 5.6), ("2 threads of Intel", None, 0.02), ("2 threads of Intel", 100, 0.1)])
def test_energy_is_an_estimate_that_says_so(hardware, watts, kilowatt_hours):
    found = facts._energy({"seconds": 3600, "hardware": hardware}, watts)
    assert found["kilowatt_hours"] == pytest.approx(kilowatt_hours) and "W" in found["assumed"]
    assert facts._energy({}, None) == {}
