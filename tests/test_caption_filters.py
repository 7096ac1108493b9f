"""The two-level filter of captions, and the agreement that is printed beside chance."""

from __future__ import annotations

import json

import pytest

from affectgpt.caption import agreement, filters
from affectgpt.caption.filters import Caption
from affectgpt.caption.settings import HighSection, LowSection

OFF = LowSection(speaker=0.0, length_low=0.0, length_high=1.0)


def caption(key="k", text="a b c", labels=("sad",), sentiment="negative", **more) -> Caption:
    return Caption(key, text, tuple(labels), sentiment, **more)


def reasons(captions, low=OFF, high=HighSection(), voters=1) -> dict[str, tuple[str, str]]:
    verdict = filters.run_filters(captions, low, high, voters)
    assert {one.key for one in verdict.kept} | verdict.rejected.keys() == {one.key for one in captions}
    return {key: (level, reason) for key, (level, reason, _) in verdict.rejected.items()}


def test_the_tails_of_lengths_are_cut_and_the_ends_0_and_1_cut_nothing():
    captions = [caption(str(count), " ".join(["x"] * count)) for count in range(1, 11)]
    low = LowSection(speaker=0.0, length_low=0.1, length_high=0.9)
    assert reasons(captions, low, voters=0) == {"1": ("low", "short"), "10": ("low", "long")}
    low.length_low = 0.25
    assert [key for key, why in reasons(captions, low, voters=0).items() if why[1] == "short"] == ["1", "2", "3"]
    assert reasons([caption("a"), caption("b")], low, voters=0) == {}  # all of one length
    assert reasons(captions, OFF, voters=0) == {}


def test_characters_count_where_there_are_no_blanks():
    captions = [caption(key, text) for key, text in (("a", "她很难过"), ("b", "她很难过而且很生气"), ("c", "她很难过的"))]
    low = LowSection(speaker=0.0, length_low=0.0, length_high=0.5, length_unit="characters")
    assert reasons(captions, low, voters=0) == {"b": ("low", "long")}


def test_a_face_that_is_not_the_speaker_is_left_out_and_absent_confidences_are_counted():
    captions = [caption("a", speaker=0.2), caption("b", speaker=0.5), caption("c")]
    verdict = filters.run_filters(captions, LowSection(speaker=0.5, length_low=0, length_high=1), HighSection(), 0)
    assert verdict.counts() == {("low", "not the speaker"): 1}
    assert verdict.notes[0].startswith("active speaker: not applied to 1 of 3")
    assert "high-level filter: not applied" in verdict.notes[1] and not verdict.voted
    quiet = filters.run_filters(captions, OFF, HighSection(emotion=False, sentiment=False), 3)
    assert len(quiet.kept) == 3 and quiet.votes == []
    assert quiet.notes == ["high-level filter: not applied, it is off in the recipe"]


def test_no_labels_is_a_reason():
    assert reasons([caption(labels=(), sentiment=None)], voters=0) == {"k": ("low", "no labels")}


@pytest.mark.parametrize("votes, expected", [
    ([("sad", "negative")] * 2 + [("angry", "negative")], None),
    ([("sorrowful", "negative")] * 3, None),  # the same meaning
    ([("angry", "negative")] * 2 + [("sad", "negative")], ("high", "emotion")),
    ([("sad", "positive")] * 2 + [("sad", "negative")], ("high", "sentiment")),
    ([("sad", "negative"), ("angry", "negative")], ("high", "no majority")),
    ([(None, "negative")], ("high", "no votes")),
    ([], ("high", "no votes")),
])
def test_the_majority_must_agree_with_the_labels(votes, expected):
    assert reasons([caption(votes=tuple(votes))]).get("k") == expected


def test_either_vote_can_be_left_out():
    one = [caption(votes=(("angry", "negative"),))]
    assert reasons(one, high=HighSection(emotion=False)) == {}
    assert reasons(one, high=HighSection(sentiment=False)) == {"k": ("high", "emotion")}


def test_any_label_may_be_the_majoritys_and_wheels_are_wider_than_meanings():
    several = [caption(labels=("proud", "sad"), votes=(("sad", "negative"),))]
    assert reasons(several, high=HighSection(sentiment=False)) == {}
    assert not filters.agrees("angry", ["jealous"], "meaning") and filters.agrees("angry", ["jealous"], "wheel2")
    assert not filters.agrees("xyzzy", ["xyzzy"], "meaning")  # two unknown words are not the same thing


def test_a_majority_needs_more_than_its_share():
    votes = ["sad", "sad", "angry", "happy"]
    assert filters.majority(votes, 0.5) is None and filters.majority(votes, 0.4) == "sad"
    assert filters.majority([], 0.0) is None and filters.majority(["sad", "angry"], 0.0) is None


def test_confidences_of_a_file(tmp_path):
    file = tmp_path / "speaker.jsonl"
    rows = [{"name": "a", "confidence": 0.3}, {"name": "elsewhere", "confidence": 1}]
    file.write_text("".join(json.dumps(row) + "\n" for row in [*rows, rows[1]]))
    assert filters.read_scores(str(file), {"a": "c/a"}) == {"c/a": 0.3}
    for bad, said in (({"name": "a", "confidence": 2}, "from 0 to 1"), ({"name": "a", "confidence": True}, "from 0"),
                      (rows[0], "twice")):
        file.write_text(json.dumps(rows[0]) + "\n" + json.dumps(bad) + "\n")
        with pytest.raises(ValueError, match=f"speaker.jsonl:2: .*{said}"):
            filters.read_scores(str(file), {"a": "c/a"})


def test_agreement_is_beside_chance_and_majority():
    captions = [caption("1", labels=("sad",)), caption("2", labels=("sad", "happy"), sentiment="neutral"),
                caption("3", labels=(), sentiment=None), caption("4", labels=("furious",))]
    references = {"1": ("sad", "negative"), "2": ("happy", "positive"), "3": ("sad", "negative"),
                  "4": ("angry", "negative")}
    first, any_label = agreement.emotion_agreement(captions, references)
    assert (first.n, first.share, first.majority) == (4, 0.5, 0.5) and any_label.share == 0.75
    # First labels sad, sad, none, angry against sad 2, happy 1, angry 1: (2 + 2 + 0 + 1) / 16.
    assert first.chance == pytest.approx(5 / 16) and any_label.chance == pytest.approx(6 / 16)
    sentiment = agreement.sentiment_agreement(captions, references)
    assert (sentiment.share, sentiment.majority) == (0.5, 0.75)
    assert agreement.table([("all", captions)], dict.fromkeys("1234", (None, None))) == []


def test_majorities_are_told_beside_what_they_filter():
    captions = [caption("a", votes=(("angry", "negative"), ("angry", None), ("sad", "neutral"))), caption("b")]
    verdict = filters.run_filters(captions, OFF, HighSection(), 3)
    (told,) = verdict.votes
    assert (told.key, told.labels, told.sentiment, verdict.voted) == ("a", ("angry",), None, True)
