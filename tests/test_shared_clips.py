"""Clips that are trained on and tested on are found across corpora by name and content, and refused by default."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from affectgpt.config import CorpusSection, DataSection
from affectgpt.data.clip import Clip, Targets
from affectgpt.data.corpora import Corpus
from affectgpt.data.mixture import read_mixture
from affectgpt.data.readers import READERS, Reader
from affectgpt.data.shared import identities

TARGETS = Targets(labels=("sad",))


def clip(corpus: str, name: str, split: str = "train", **values) -> Clip:
    return Clip(id=name, corpus=corpus, split=split, words="hm", targets=TARGETS, **values)


def names(first: int, last: int) -> list[str]:
    return [f"samplenew3_{number:08d}" for number in range(first, last)]


@pytest.fixture
def corpora(monkeypatch):
    def make(**clips: list[Clip]) -> DataSection:
        for name, part in clips.items():
            record = Corpus(name, name, "", "", evaluation="test" if name == "meld" else "")
            monkeypatch.setitem(READERS, name, Reader(lambda root, part=part: part, record))
        return DataSection(corpora=[CorpusSection(name, "/x") for name in clips])
    return make


def human_ov_inside(corpora, split: str = "validation") -> DataSection:
    """As MER-Caption+ and Human-OV are: 548 clips of the second are in the first too."""
    return corpora(mercaptionplus=[clip("mercaptionplus", name) for name in names(0, 900)],
                   humanov=[clip("humanov", name, split) for name in names(352, 1500)]
                   + [clip("humanov", "samplenew_00000007", "validation")])


@pytest.mark.parametrize("split", ["validation", "test", "test-semi"])
def test_a_wrong_mix_is_refused_with_the_list(corpora, split):
    with pytest.raises(ValueError) as caught:
        read_mixture(human_ov_inside(corpora, split))
    message = str(caught.value)
    assert "548 of 900 training clips are validated or tested on too" in message
    for number in (352, 700, 899):
        name = f"samplenew3_{number:08d}"
        assert f"mercaptionplus/{name} = humanov/{name} of split {split}" in message
    assert "samplenew3_00000351" not in message and "data.shared_clips=leave_out" in message


def test_a_recipe_may_leave_them_out_or_say_that_it_takes_them(corpora):
    data = human_ov_inside(corpora)
    data.shared_clips = "leave_out"
    mixture = read_mixture(data)
    assert [clip.id for clip in mixture.splits["train"]] == names(0, 352)
    assert mixture.notes == ["note: 548 of 900 training clips are validated or tested on too; they are left out of "
                             "training (data.shared_clips=leave_out)"]
    data.shared_clips = "allow"
    mixture = read_mixture(data)
    assert len(mixture.splits["train"]) == 900 and mixture.notes[0].startswith("warning: 548 of 900 training clips")


def test_a_right_mix_passes(corpora):
    data = human_ov_inside(corpora)
    data.corpora[1].weight = 0  # it is still validated on
    with pytest.raises(ValueError, match="548 of 900"):
        read_mixture(data)
    apart = corpora(mercaptionplus=[clip("mercaptionplus", name) for name in names(0, 352)],
                    humanov=[clip("humanov", name, "validation") for name in names(352, 400)])
    assert read_mixture(apart).notes == []


def test_names_of_other_corpora_are_their_own(corpora):
    data = corpora(a=[clip("a", "dia1_utt2"), clip("a", "sample_1")],
                   b=[clip("b", "dia1_utt2", "validation"), clip("b", "sample_1", "test")])
    assert len(read_mixture(data).splits["train"]) == 2


def test_a_manifest_of_any_name_knows_clips_of_the_challenges(corpora):
    data = corpora(mine=[clip("mine", "sample_00000047"), clip("mine", "other")],
                   mer2023=[clip("mer2023", "test/sample_00000047", "validation")])
    with pytest.raises(ValueError, match="1 of 2 .*mine/sample_00000047 = mer2023/test/sample_00000047 of split valid"):
        read_mixture(data)


@pytest.mark.parametrize("corpus", ["mercaption", "mercaptionplus", "mer-caption+", "mer2023", "mer2025_track2", "emer",
                                    "emer_v2", "ovmerd", "ov-merd+", "ovmerdplus", "humanov", "human-ov", "merr_fine",
                                    "emoprefer"])
def test_corpora_of_the_challenges_share_names(corpus):
    assert identities(clip(corpus, "odd name")) == [("name", "odd name", None, None)]
    assert identities(clip(corpus, "train/odd name#2")) == [("name", "odd name", None, None)]
    for other in ("meld", "merely_mine", "iemocap", "cmumosei"):
        assert identities(clip(other, "odd name")) == []


def test_equal_content_is_one_clip_and_another_span_is_not(corpora):
    data = corpora(a=[clip("a", "x", content="12ab"), clip("a", "y", content="cd", start=0.0, end=1.0)],
                   b=[clip("b", "z", "validation", content="cd", start=1.0, end=2.0)])
    assert read_mixture(data).notes == []
    data = corpora(a=[clip("a", "x", content="12ab"), clip("a", "y", content="cd", start=0.0, end=1.0)],
                   b=[clip("b", "z", "validation", content="cd", start=0.0, end=1.0)])
    with pytest.raises(ValueError, match="1 of 2 training clips .*a/y = b/z of split validation"):
        read_mixture(data)


def test_training_on_the_official_test_split_of_a_benchmark_has_to_be_said(corpora):
    clips = [clip("meld", f"{split}{number}", split, group=f"{split}{number}")
             for split in ("train", "validation", "test") for number in range(20)]
    data = corpora(meld=clips)
    assert read_mixture(data).notes == []
    data.train_split, data.test_split = "test", "train"
    with pytest.raises(ValueError, match=r"20 of 20 training clips .*meld/test\d+ of the official test split"):
        read_mixture(data)
    data.shared_clips = "allow"
    assert "20 of 20 training clips" in read_mixture(data).notes[0]
    other = corpora(toy=[replace(one, corpus="toy") for one in clips])  # no benchmark tests on it
    other.train_split, other.test_split = "test", "train"
    assert read_mixture(other).notes == []


def test_a_protocol_that_trains_on_official_test_clips_says_how_many(corpora):
    clips = [clip("meld", f"{split}{number}", split, group=f"{split}{number}")
             for split in ("train", "test") for number in range(20)]
    data = corpora(meld=clips)
    data.corpora[0].protocol = "fold:0"
    mixture = read_mixture(data)
    moved = sum(one.id.startswith("test") for one in mixture.splits["train"])
    assert moved and mixture.notes == [
        f"warning: data.corpora.0.protocol=fold:0 trains on {moved} clips of the official test split of meld: "
        "MER-UniBench's score on it will say little"]


def test_a_training_split_that_would_be_empty_is_refused(corpora):
    data = corpora(emer=[clip("emer", name) for name in names(0, 3)],
                   ovmerd=[clip("ovmerd", name, "validation") for name in names(0, 3)])
    data.shared_clips = "leave_out"
    with pytest.raises(ValueError, match="3 of 3 training clips"):
        read_mixture(data)


def test_content_comes_from_a_manifest(tmp_path):
    (tmp_path / "m.jsonl").write_text('{"id": "a", "content": "12ab", "labels": ["sad"]}\n')
    [one] = READERS["manifest"].read(Path(tmp_path / "m.jsonl"))
    assert one.content == "12ab"
