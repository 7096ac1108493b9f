"""The study that measures label extractors: what it prints of hand-made rivals and of real ones."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import pytest
from label_fixtures import extract

from affectgpt.extractors.rules import NO_RULES, Rules

STUDIES = Path(__file__).resolve().parent.parent / "studies"


@pytest.fixture(scope="module")
def studies():
    """(extractor_study, description_study), which lie outside the package."""
    sys.path.insert(0, str(STUDIES))
    try:
        yield importlib.import_module("extractor_study"), importlib.import_module("description_study")
    finally:
        sys.path.remove(str(STUDIES))


def test_every_switch_changes_something(studies):
    texts = ["He is not angry.", "The other person is sad.", 'He says "I am happy now".', "In a calm place.",
             "He is sad. He is sad. He may be worried.", "If she were sad, she would cry.", "She used to be sad.",
             "He is sad. He is sad. He is slightly annoyed.", "He is tense. Therefore he is sad. Overall, he is sad.",
             "He is sad, sad, sad and tense.", "joyful, happy, glad", "He is happy. He is happy. He is happy. Tears.",
             "I'm sorry, I can't tell. I'm happy to help.", "She is over the moon.", "She is anngry.", "She smiles."]
    for name, switched in studies[1].ABLATIONS.items():
        assert any(extract(text) != extract(text, switched) for text in texts), name
    assert extract(" ".join(texts), NO_RULES).count("angry") == 1


def test_halves_are_of_clips_and_rivals_are_compared(studies, shared_data, tmp_path, capsys):
    """A rival whose labels are those that we read does not move; one whose labels are others does."""
    study = studies[0]
    (tmp_path / "emer").mkdir()
    names = [f"clip{index}" for index in range(40)]
    (tmp_path / "emer/ovmerd-openset.csv").write_text("name,openset\n" + "".join(f"{n},[sad]\n" for n in names))
    (tmp_path / "rivals").mkdir()
    for model, labels in (("same", "[sad]"), ("other", "[happy]"), ("third", "[sad, happy]")):
        (tmp_path / f"rivals/{model}.mode.jsonl").write_text("".join(json.dumps(
            {"name": name, "response": "She looks sad and weeps.", "labels_llm": labels}) + "\n" for name in names))
    found = study.rivals(tmp_path / "rivals", tmp_path / "emer/ovmerd-openset.csv", shared_data / "wheels/mer2025")
    assert sum(found[half]["systems"]["same.mode"]["rows"] for half in study.HALVES) == 40
    for half in study.HALVES:
        same, other = (found[half]["systems"][f"{name}.mode"]["published"] for name in ("same", "other"))
        assert same["difference"] == 0 and same["p"] == 1
        assert other["difference"] == pytest.approx(100) and other["p"] < 0.01
    assert "| other.mode |" in study.rivals_table(found)
    with pytest.raises(ValueError, match="has no"):
        study.rivals(tmp_path, tmp_path / "emer/ovmerd-openset.csv", shared_data / "wheels/mer2025")


def test_the_default_does_not_tilt_comparisons(studies, shared_data):
    """Rivals' descriptions keep the score that the published extractor gives them; the half that was not fitted."""
    if not (shared_data / "rivals").is_dir():
        pytest.skip(f"no rivals at {shared_data / 'rivals'}")
    found = studies[0].rivals(shared_data / "rivals", shared_data / "emer/ovmerd-openset.csv",
                              shared_data / "wheels/mer2025")["held out"]
    assert abs(found["mean"]["published"]) < 1 and abs(found["mean"]["strict"]) < 1
    assert all(abs(part["published"]["difference"]) < 5 for part in found["systems"].values())
    assert min(found["rank correlation"].values()) > 0.8


def test_rules_beat_the_baseline_on_human_checked_descriptions(studies, shared_data):
    results = studies[1].study(shared_data / "emer/final-EMER-reason.csv", shared_data / "emer/ovmerd-openset.csv",
                               shared_data / "wheels/mer2025", {"every emotion word": NO_RULES, "rules": Rules()})
    assert results["clips"] == {"fitted": 169, "held out": 163, "all": 332}
    for table in ("mer2025", "affectgpt-1"):
        rules, naive = (results["scores"][name][table]["held out"] for name in ("rules", "every emotion word"))
        assert rules["f"][1] < rules["f"][0] < rules["f"][2] and rules["f"][0] > naive["f"][0] > 60
    assert rules["f"][1] > naive["f"][2]  # by the project's own table the intervals do not even touch
    assert "| rules |" in studies[1].as_table(results)


def test_published_scores_are_reached_from_published_labels(studies, shared_data):
    answers, wheels = shared_data / "unibench", shared_data / "wheels/mer2025"
    found = studies[1].published_answers(answers / "cmumosi.jsonl", wheels)
    published, own = found["checkpoints"]["40"]
    assert round(published, 2) == 81.30 and abs(own - published) < 2 and found["agreement"] > 85
    found = studies[1].published_answers(answers / "mer2023.jsonl", wheels)
    published, own = found["checkpoints"]["50"]
    assert round(published, 2) == 78.54 and abs(own - published) < 2
