"""Splits of comparisons: each clip is tested once, nothing that hangs together is cut, every class has its share."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from affectgpt.baselines.folds import cexpr_facts, print_cexpr, split_facts, split_notes
from affectgpt.baselines.predictions import (
    Prediction,
    is_whole,
    read_predictions,
    read_runs,
    run_folder,
    write_predictions,
)
from affectgpt.baselines.split import NAMES, PROTOCOLS, Split, classes_of, splits_of, target_of
from affectgpt.config.sections import CorpusSection
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.readers import cexpr
from affectgpt.data.stratified import deal
from affectgpt.files import write_jsonl

SEVEN = {"other": False}


def manifest(tmp_path, rows) -> CorpusSection:
    write_jsonl(tmp_path / "manifest.jsonl", rows)
    return CorpusSection("manifest", str(tmp_path / "manifest.jsonl"))


def toy(groups: int = 10) -> list[dict]:
    return [{"id": f"{group}-{number}", "emotion": ("happy", "sad", "angry")[(group + number) % 3],
             "group": f"g{group}", "speaker": f"s{group % 6}",
             "split": ("train", "train", "validation", "test")[group % 4]}
            for group in range(groups) for number in range(4)]


def shares(splits: list[Split], value) -> set[int]:
    """How many parts of a split a value is in."""
    return {sum(any(value(clip) == one for clip in getattr(split, part)) for part in NAMES)
            for split in splits for one in {value(clip) for clip in split.clips}}


@pytest.mark.parametrize("protocol", [name for name in PROTOCOLS if name != "paper"])
def test_every_clip_is_tested_once_and_no_group_is_cut(tmp_path, protocol):
    section = manifest(tmp_path, toy(12))
    splits = splits_of(section, protocol)
    tested = Counter(clip.key for split in splits for clip in split.test)
    assert set(tested.values()) == {1} and len(tested) == (12 if protocol == "official" else 48)
    assert not any(split.chosen_on_test for split in splits) and len({split.name for split in splits}) == len(splits)
    together = (lambda clip: clip.speaker) if protocol.startswith("speaker") else lambda clip: clip.group
    if protocol == "leave-one-out":
        assert all(split.test[0].group not in {clip.group for clip in (*split.train, *split.validation)}
                   for split in splits)
    else:
        assert shares(splits, together) == {1}
    for split in splits:
        for part in ("train", "validation"):
            assert {target_of(clip) for clip in getattr(split, part)} == {"happy", "sad", "angry"}
    again = splits_of(manifest(tmp_path, reversed(toy(12))), protocol)
    if protocol != "leave-one-out":
        assert [{clip.key for clip in split.test} for split in again] == [
            {clip.key for clip in split.test} for split in splits]


def test_official_without_validation_makes_one_of_training_clips(tmp_path):
    rows = [row for row in toy(24) if row["split"] != "validation"]
    [split] = splits_of(manifest(tmp_path, rows), "official")
    assert len(split.test) == 24 and {clip.id for clip in split.validation} <= {
        row["id"] for row in rows if row["split"] == "train"}
    assert 0.1 <= len(split.validation) / 48 <= 0.25


def test_twenty_clips_one_left_out(tmp_path):
    rows = [{"id": f"{n:03}", "labels": [("good news", "bad news")[n % 2]]} for n in range(20)]
    splits = splits_of(manifest(tmp_path, rows), "leave-one-out")
    assert len(splits) == 20 and {(len(s.train), len(s.validation), len(s.test)) for s in splits} == {(15, 4, 1)}
    assert all(Counter(map(target_of, split.validation)) == {"good news": 2, "bad news": 2} for split in splits)
    assert classes_of(splits, None) == ("bad news", "good news")
    assert split_notes(splits, classes_of(splits, None)) == []


@pytest.mark.parametrize("protocol, rows, message", [
    ("fold:0", toy(), "protocol 'fold:0' is not known; use one of official"),
    ("paper", toy(), "manifest has no published folds"),
    ("leave-one-out", toy(2), "hang together in 2 units"),
    ("official", [row for row in toy() if row["split"] != "test"], "split official has no clips with a class to test"),
    ("official", [{"id": "a", "words": "hm", "labels": ["sad", "angry"]}], "none of the 1 clips of manifest has one"),
])
def test_what_cannot_be_split_is_said(tmp_path, protocol, rows, message):
    with pytest.raises(ValueError, match=message):
        splits_of(manifest(tmp_path, rows), protocol)


def test_deal_gives_each_part_its_share_of_every_class():
    units = {f"u{n}": ["a"] * (n % 3 + 1) + ["b"] * (n % 2) + ["rare"] * (n in (3, 17, 31, 44)) for n in range(60)}
    parts = deal(units, [0.25] * 4)
    for name, clips in (("a", 120), ("b", 30), ("rare", 4)):
        counts = [sum(units[unit].count(name) for unit in units if parts[unit] == part) for part in range(4)]
        assert sum(counts) == clips and max(counts) - min(counts) <= 1
    assert deal(dict(reversed(units.items())), [0.25] * 4) == parts
    small = deal({f"u{n}": ["ab"[n % 2]] for n in range(20)}, [0.9, 0.1])
    assert sorted(unit for unit, part in small.items() if part == 1) and Counter(small.values()) == {0: 18, 1: 2}
    assert {int(unit[1:]) % 2 for unit, part in small.items() if part == 1} == {0, 1}


def clip(name: str, emotion: str, **more) -> Clip:
    return Clip(id=name, corpus="c", targets=Targets(emotion=emotion), **more)


def test_facts_and_notes_of_splits():
    a, b, c = clip("a", "sad", group="v", speaker="s"), clip("b", "sad", group="w"), clip("c", "happy", group="v",
                                                                                          speaker="s")
    split = Split("paper-0", (a, b), (c,), (c,))
    facts = split_facts(split, ("happy", "sad"))
    assert facts["train"] == {"happy": 0, "sad": 2} and facts["absent"]["train"] == ["happy"]
    assert (facts["validation_is_test"], facts["shared_groups"], facts["shared_speakers"]) == (True, 1, 1)
    notes = split_notes([split], ("happy", "sad"))
    assert notes[0].startswith("warning: its validation part is its test part")
    assert "warning: 1 videos or dialogues have clips in training and in test" in notes
    assert "note: paper-0 has no train clip of happy, which therefore cannot be learnt there" in notes
    assert "warning: paper-0: all train clips are of one class" in notes
    apart = Split("x", (a,), (b,), (replace(c, group="u", speaker="t"),))
    notes = split_notes([apart], ("happy", "sad"))
    assert not any("warning: 1" in note or "validation part is" in note for note in notes)


# ---------------------------------------------------------------------------- the published folds


HEADER = "Begin Time - hh:mm:ss.ms,End Time - hh:mm:ss.ms," + ",".join(cexpr.CLASSES)


def made_corpus(folder, lists: dict[str, bytes]):
    (folder / "annotation").mkdir(parents=True)
    for video in ("01", "02"):
        (folder / "annotation" / f"{video}.csv").write_bytes(
            f"\ufeff{HEADER}\r\n00:00:01,00:00:02,1,,,,,,,\r\n00:00:03,00:00:05,,1,,,,,,\r\n".encode())
    (folder / "folds" / "split-0").mkdir(parents=True)
    for name, data in lists.items():
        (folder / "folds" / "split-0" / name).write_bytes(data)
    return folder


def test_facts_of_hand_made_folds(tmp_path, capsys):
    root = made_corpus(tmp_path / "C", {
        "train.txt": "\ufeffFearfully-Surprised/01_Fearfully-Surprised_0,0,It\u2019s me\r\n".encode()
                     + b"Happily-Surprised/02_Happily-Surprised_0,1,nobody is speaking\r\nGladly/01_Gladly_0,9\r\n"
                     + b"Happily-Surprised/07_Happily-Surprised_0,1,gone\r\n",
        "val.txt": b"Happily-Surprised/01_Happily-Surprised_0,2,You\x92re \x93here\x94\r\n",
    })
    facts = cexpr_facts(root)
    fold = facts["folds"][0]
    assert (facts["segments"], facts["videos"], facts["minutes"]) == (4, 2, 0.1)
    assert (fold["train"], fold["validation"], fold["test"]) == (2, 1, 0)
    assert (fold["bad_lines"], fold["no_segment"], fold["other_class"]) == (1, 1, 1)
    assert [path.rpartition("/")[2] for path in fold["missing"]] == ["test.txt"] and not fold["validation_is_test"]
    assert fold["shared_with_validation"] == 1 and fold["shared_videos"] == 0
    assert facts["transcripts"] == {"words": 2, "one_word": 0, "nobody_is_speaking": 1, "empty": 0, "none": 1,
                                    "differ": 0}
    print_cexpr(facts)
    text = capsys.readouterr().out
    assert "test.txt is missing" in text and "train.txt:3" in text
    assert "07_Happily-Surprised_0 is in no annotation" in text
    with pytest.raises(ValueError, match="train.txt:3: 'Gladly/01_Gladly_0,9' is not Class-Name/name,class number"):
        cexpr.read(root, fold=0)


def test_quotes_of_windows_in_a_fold_are_read_as_such(tmp_path):
    root = made_corpus(tmp_path / "C", {
        name: f"Happily-Surprised/{video}_Happily-Surprised_0,1,You".encode() + b"\x92re\r\n"
        for name, video in (("train.txt", "01"), ("val.txt", "02"), ("test.txt", "02"))})
    assert {clip.words for clip in cexpr.read(root, fold=0)} == {"You\u2019re"}


def test_a_class_of_no_corpus_is_one_clear_error(tmp_path):
    root = made_corpus(tmp_path / "C", {})
    table = root / "annotation" / "01.csv"
    table.write_bytes(table.read_bytes().replace(b"Sadly Angry", b"Gladly Angry"))
    with pytest.raises(ValueError, match="01.csv: has no column 'Sadly Angry'"):
        cexpr_facts(root)


def test_facts_of_the_real_folds(shared_data):
    facts = cexpr_facts(shared_data / "cexpr")
    assert (facts["segments"], facts["seven"], facts["videos"], facts["minutes"]) == (125, 105, 56, 14.12)
    assert [facts["classes"][name] for name in cexpr.CORPUS.labels] == [24, 15, 13, 10, 8, 19, 16, 20]
    assert [fold["shared_videos"] for fold in facts["folds"]] == [18, 12, 19, 13, 12]
    assert [(fold["train"], fold["test"]) for fold in facts["folds"]] == [
        (98, 27), (99, 26), (99, 26), (101, 24), (103, 22)]
    assert all(fold["validation_is_test"] and not fold["missing"] and not fold["problems"] for fold in facts["folds"])
    assert facts["transcripts"] == {"words": 102, "one_word": 15, "nobody_is_speaking": 8, "empty": 0, "none": 0,
                                    "differ": 0}


def test_real_splits_of_both_protocols(shared_data):
    section = CorpusSection("cexpr", str(shared_data / "cexpr"), options=SEVEN)
    paper, disjoint = (splits_of(section, protocol) for protocol in ("paper", "video-disjoint"))
    assert all(split.chosen_on_test and split.validation == split.test for split in paper)
    for splits in (paper, disjoint):
        assert sum(len(split.test) for split in splits) == len({c.key for s in splits for c in s.test}) == 105
    assert shares(disjoint, lambda clip: clip.group) == {1}
    classes = classes_of(disjoint, cexpr.CORPUS)
    assert classes == cexpr.CORPUS.labels[:7]
    facts = [split_facts(split, classes) for split in disjoint]
    assert all(fact["absent"]["train"] == fact["absent"]["validation"] == [] for fact in facts)
    # Three videos alone are sadly surprised, so two parts have none.
    assert [fact["absent"]["test"] for fact in facts].count(["sadly surprised"]) == 2
    assert [fact["absent"]["test"] for fact in facts].count([]) == 3


def test_real_speakers_are_never_cut(shared_data):
    section = CorpusSection("ravdess", str(shared_data / "clips" / "ravdess_audio"))
    splits = splits_of(section, "speaker-disjoint")
    assert shares(splits, lambda clip: clip.speaker) == {1}
    assert [len({clip.speaker for clip in split.test}) for split in splits] == [4] * 5
    assert all(len({clip.speaker for clip in split.validation}) == 2 for split in splits)


# ---------------------------------------------------------------------------- predictions


def test_predictions_are_whole_or_not_there(tmp_path):
    folder = run_folder(tmp_path, "words", "paper-0", 1)
    rows = [Prediction("c/a", "sad", "happy", {"sad": 0.4, "happy": 0.6}),
            Prediction("c/b", "sad", None, note="no sound")]
    write_predictions(folder, rows, {"seed": 1})
    assert is_whole(folder) and read_predictions(folder) == (rows, {"seed": 1, "clips": 2})
    write_predictions(run_folder(tmp_path, "words", "paper-1", 1), [Prediction("c/c", "sad", "sad")], {})
    assert [row.key for row in read_runs(tmp_path, "words", ["paper-0", "paper-1"], [1])[1]] == ["c/a", "c/b", "c/c"]
    (folder / "run.json").unlink()
    with pytest.raises(ValueError, match="did not end; run it again"):
        read_predictions(folder)
    with pytest.raises(ValueError, match="1 clips are predicted twice"):
        write_predictions(folder, [rows[0], rows[0]], {})
    (folder / "run.json").write_text('{"clips": 3}')
    with pytest.raises(ValueError, match="has 2 rows, and 3 were written"):
        read_predictions(folder)


@pytest.mark.parametrize("row, message", [
    ({"key": "a"}, "has a key and a target"), ({"key": "a", "target": "b", "predicted": 3}, "predicted is 3"),
    ({"key": "a", "target": "b", "predicted": "b", "probabilities": [1]}, "probabilities"),
])
def test_rows_of_another_form_are_refused(tmp_path, row, message):
    write_jsonl(tmp_path / "predictions.jsonl", [row])
    (tmp_path / "run.json").write_text('{"clips": 1}')
    with pytest.raises(ValueError, match=message):
        read_predictions(tmp_path)
