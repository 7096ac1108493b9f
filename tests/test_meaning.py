"""What is taught of a clip's labels: polarity and alignment words, from the lexicon alone."""

from __future__ import annotations

import ast
import csv
import subprocess
import sys

import pytest

from affectgpt.data import prompts
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.dataset import alignment_targets, label_space
from affectgpt.words.lexicon import load


@pytest.mark.parametrize("labels, ending", [
    (("frustrated", "disappointed", "helpless"), " Polarity: negative."),
    (("joy",), " Polarity: positive."),
    (("sadness",), " Polarity: negative."),
    (("surprise",), " Polarity: neutral."),
    (("fearfully surprised",), " Polarity: negative."),
    (("excited", "Frustrated", "happy"), " Polarity: positive."),
    (("wobbly", "hopeful"), " Polarity: positive."),
    (("wobbly",), ""),
    (("excited", "angry"), ""),  # one of each is not neutral
    (("calm", "angry", "happy"), ""),
    (("serious", "composed"), " Polarity: neutral."),
    (("生气",), ""),
])
def test_polarity_is_the_lexicons_and_never_a_guess(labels, ending):
    targets = Targets(description="D.", labels=labels)
    assert prompts.answer(targets, "description", ["audio"]) == f"D. Emotions: {', '.join(labels)}.{ending}"
    assert prompts.answer(targets, "labels", ["audio"]) == f"Emotions: {', '.join(labels)}.{ending}"
    assert prompts.answer(targets, "sentiment", ["audio"]) == (ending.strip() or None)
    published = ending.replace(" Polarity: ", "The character's sentiment state is ")
    assert prompts.answer(targets, "sentiment", ["audio"], "published") == (published or None)


@pytest.mark.parametrize("style", ["chat", "published"])
def test_a_clips_own_sentiment_goes_first_where_all_its_cues_are_shown(style):
    own = Targets(labels=("sad",), sentiment="positive")
    assert "positive" in prompts.answer(own, "sentiment", ["audio"], style)
    cued = Targets(labels=("happy", "sad"), sentiment="positive", cues={"audio": "sad", "face": "happy"})
    assert "positive" in prompts.answer(cued, "sentiment", ["audio", "face"], style)
    assert "negative" in prompts.answer(cued, "sentiment", ["audio"], style)


def test_a_description_without_labels_is_learned():
    plain = Targets(description="He sinks down.")
    assert prompts.answer(plain, "description", ["face"]) == "He sinks down."
    assert prompts.answer(plain, "description", ["face"], "published") == "He sinks down."
    assert prompts.answer(plain, "labels", ["face"]) is None
    known = Targets(description="He sinks down.", sentiment="negative")
    assert prompts.answer(known, "description", ["face"]) == "He sinks down. Polarity: negative."
    assert prompts.answer(known, "labels", ["face"]) is None


def test_open_labels_are_told_from_cues_of_the_same_meaning():
    targets = Targets(labels=("frustrated", "irritated"), cues={"audio": "angry", "face": "neutral"})
    assert prompts.visible_labels(targets, ["audio"]) == ["frustrated", "irritated"]
    assert prompts.visible_labels(targets, ["face"]) == ["neutral"]
    more = Targets(labels=("joy", "proud"), cues={"audio": "happy", "face": "happy"})
    assert prompts.visible_labels(more, ["audio", "face"]) == ["joy", "proud"]
    assert prompts.visible_labels(more, ["audio"]) == ["joy"]


def test_synonyms_are_no_conflict():
    assert not Targets(cues={"audio": "happy", "face": "joyful", "text": "composed"}).conflict
    assert Targets(cues={"audio": "happy", "face": "sorrowful"}).conflict


def test_alignment_words_of_open_labels():
    clips = [
        Clip(id="a", targets=Targets(labels=("joy", "annoyance"))),
        Clip(id="b", targets=Targets(emotion="excited")),
    ]
    space = label_space(clips)
    assert space == ["angry", "excitement", "happy"]
    assert alignment_targets(clips[0], "face", space)["audio"] == [0.5, 0, 0.5]
    assert alignment_targets(clips[1], "face", space)["fusion"] == [0, 1, 0]


def test_real_open_labels(shared_data):
    """332 clips of OV-MERD with 1,121 labels: none with a negative label is taught as neutral, all have a target."""
    with open(shared_data / "emer" / "ovmerd-openset.csv", encoding="utf-8", newline="") as file:
        clips = [Clip(id=row["name"], targets=Targets(description="D.", labels=tuple(ast.literal_eval(row["openset"]))))
                 for row in csv.DictReader(file)]
    space = label_space(clips)
    for clip in clips:
        expected = load().polarity_of(clip.targets.labels)
        answer = prompts.answer(clip.targets, "description", ["face"])
        signs = {load().polarity(label) for label in clip.targets.labels} & {"negative", "positive"}
        if expected == "neutral" and signs:
            assert "Polarity" not in answer
        else:
            assert answer.endswith(f"Polarity: {expected}.")
        assert any(alignment_targets(clip, "face", space)["audio"]), clip.targets.labels
    negative = sum(load().polarity_of(clip.targets.labels) == "negative" for clip in clips)
    assert len(clips) == 332 and negative > 150


def test_data_is_light_to_import():
    """The table is read by the first label, the stemmer by the first word that it does not list."""
    code = ("import sys, affectgpt.data.prompts, affectgpt.data.clip\n"
            "from affectgpt.words import lexicon\n"
            "sys.exit(lexicon.load.cache_info().currsize or 'snowballstemmer' in sys.modules or 'torch' in "
            "sys.modules)")
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
