"""Protocols: no group is cut, splits follow from names alone, and what cannot be split is said."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from affectgpt.data import protocols
from affectgpt.data.clip import Clip
from affectgpt.data.corpora import Corpus

CORPUS = Corpus("toy", "", "", "")
NAMES = ("train", "validation", "test")


def videos(count: int = 30, seed: int = 0) -> list[Clip]:
    """Videos of 1 to 9 segments, of 10 speakers, in 5 sessions."""
    generator = random.Random(seed)
    return [Clip(id=f"v{video}_{segment}", corpus="toy", split="train", media=Path(f"/data/v{video}.mp4"),
                 start=float(segment), group=f"Ses{video % 5 + 1}" if seed else f"v{video}",
                 speaker=f"s{video % 10}")
            for video in range(count) for segment in range(generator.randint(1, 9))]


def split_of(clips: list[Clip]) -> dict[str, str]:
    return {clip.key: clip.split for clip in clips}


def splits_of(clips: list[Clip], value) -> list[set[str]]:
    found: dict[str, set[str]] = {}
    for clip in clips:
        found.setdefault(value(clip), set()).add(clip.split)
    return list(found.values())


@pytest.mark.parametrize("protocol", ["fold:0", "fold:4", "video-disjoint", "speaker-disjoint", "speaker-disjoint:2",
                                      "leave-session:1", "leave-session:5", "hold-out"])
@pytest.mark.parametrize("grouped", [0, 1], ids=["videos", "sessions"])
def test_no_group_no_file_and_no_speaker_is_cut(protocol, grouped):
    clips = videos(seed=grouped)
    if grouped and protocol == "hold-out":
        clips = [replace(clip, split="test") if clip.group == "Ses5" else clip for clip in clips]
    found = protocols.apply(protocol, clips, CORPUS, NAMES)
    assert [clip.key for clip in found] == [clip.key for clip in clips]
    counts = Counter(clip.split for clip in found)
    assert counts.keys() == set(NAMES) - ({"test"} if protocol == "hold-out" and not grouped else set())
    for value in (lambda clip: clip.group, lambda clip: str(clip.media)):
        assert all(len(splits) == 1 for splits in splits_of(found, value))
    if protocol.startswith("speaker"):
        assert all(len(splits) == 1 for splits in splits_of(found, lambda clip: clip.speaker))
    if not grouped and not protocol.startswith(("leave", "speaker")):
        tested = 0 if protocol == "hold-out" else 1 / 5
        assert abs(counts["test"] / len(clips) - tested) < 0.05
        assert 0.05 < counts["validation"] / (len(clips) - counts["test"]) < 0.15


@pytest.mark.parametrize("protocol", ["fold:1", "speaker-disjoint", "leave-session:2", "hold-out"])
def test_splits_follow_from_the_names_alone(protocol):
    clips = videos(seed=1)
    first = split_of(protocols.apply(protocol, clips, CORPUS, NAMES))
    shuffled = random.Random(1).sample(clips, len(clips))
    moved = [replace(clip, media=Path("/elsewhere") / clip.media.name) for clip in shuffled]
    assert split_of(protocols.apply(protocol, moved, CORPUS, NAMES)) == first
    if protocol != "hold-out":  # which asks for clips of the first name
        found = split_of(protocols.apply(protocol, clips, CORPUS, ("a", "b", "c")))
        assert found == {key: dict(zip(NAMES, "abc", strict=True))[split] for key, split in first.items()}


def test_every_clip_is_tested_in_one_fold():
    clips = videos()
    tested = Counter(clip.key for number in range(5)
                     for clip in protocols.apply(f"fold:{number}", clips, CORPUS, NAMES) if clip.split == "test")
    assert tested == Counter(clip.key for clip in clips)
    ten = [protocols.apply(f"fold:{number}", clips, replace(CORPUS, folds=10), NAMES) for number in range(10)]
    assert all(0.05 < sum(clip.split == "test" for clip in part) / len(clips) < 0.15 for part in ten)
    assert protocols.apply("video-disjoint", clips, CORPUS, NAMES) == protocols.apply("fold:0", clips, CORPUS, NAMES)


def test_a_session_is_left_out_by_its_place_among_the_names():
    clips = [Clip(id=f"{group}{number}", corpus="toy", group=group) for group in ("Ses10", "Ses9", "Ses1")
             for number in range(4)]
    for number, name in enumerate(("Ses1", "Ses9", "Ses10"), start=1):
        found = protocols.apply(f"leave-session:{number}", clips, CORPUS, NAMES)
        assert {clip.group for clip in found if clip.split == "test"} == {name}
        assert len({clip.group for clip in found if clip.split == "validation"}) == 1


def test_official_splits_stay_and_hold_out_adds_only_what_is_missing():
    clips = [replace(clip, split="candidate" if clip.group == "v1" else "train") for clip in videos()]
    assert protocols.apply("official", clips, CORPUS, NAMES) == clips
    found = protocols.apply("hold-out", clips, CORPUS, NAMES)
    assert {clip.group for clip in found if clip.split == "candidate"} == {"v1"}
    own = [replace(clip, split="validation") if clip.group == "v2" else clip for clip in clips]
    assert protocols.apply("hold-out", own, CORPUS, NAMES) == own


@pytest.mark.parametrize("protocol, change, says", [
    ("folds:1", {}, "unknown protocol; use one of official, hold-out, fold:K"),
    ("fold", {}, "unknown protocol"), ("official:1", {}, "unknown protocol"), ("fold:-1", {}, "unknown protocol"),
    ("fold:5", {}, "is cut into 5 parts; K is a number from 0 to 4"),
    ("leave-session:0", {}, r"30 sessions \(v0, v1, .*K is a number from 1 to 30"),
    ("leave-session:1", {"group": None, "provenance": "f:3"}, "needs the session .*the first is f:3"),
    ("speaker-disjoint", {"speaker": ""}, "needs the speaker of each clip"),
    ("speaker-disjoint", {"speaker": "all"}, "hang together in 1 units .*use another protocol"),
    ("hold-out", {"group": "one", "split": "train"}, "1 units .* are left to train"),
])
def test_what_cannot_be_split_so(protocol, change, says):
    clips = [replace(clip, **change) for clip in videos()]
    with pytest.raises(ValueError, match=f"data.x={protocol}.*{says}"):
        protocols.apply(protocol, clips, CORPUS, NAMES, "data.x")
