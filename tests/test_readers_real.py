"""Readers on the corpora's own label files: exact counts and rows. Media are not there, and need not be."""

from collections import Counter

import pytest

from affectgpt.data.corpora import count_notes
from affectgpt.data.readers import acted, cexpr, emer, iemocap, meld, mer_challenge, ravdess, sentiment

BENCH = [
    (meld.read, meld.CORPUS, "meld-process", "train_dia0_utt0",
     ("train", "neutral", None,
      "also I was the point person on my company's transition from the KL-5 to GR-6 system.")),
    (iemocap.read_iemocap, iemocap.IEMOCAP, "iemocap-process", "Ses01F_impro01_F000",
     ("train", "neutral", None, "Excuse me.")),
    (iemocap.read_iemocap6, iemocap.IEMOCAP_6, "iemocap-process", "Ses01F_impro01_F000",
     ("train", "neutral", None, "Excuse me.")),
    (mer_challenge.read_mer2023, mer_challenge.MER2023, "mer2023-dataset-process", "sample_00005854",
     ("train", "angry", -2.5, None)),
    (sentiment.read_cmumosi, sentiment.CMU_MOSI, "cmumosi-process", "OQvJTdtJ2H4_1",
     ("train", None, -1.0, "IT COULDVE BEEN BETTER")),
    (sentiment.read_cmumosei, sentiment.CMU_MOSEI, "cmumosei-process", "uogwnZGb-iE_2",
     ("test", None, pytest.approx(4 / 3), None)),
    (sentiment.read_sims, sentiment.CH_SIMS, "sims-process", "video_0053_0053",
     ("validation", None, pytest.approx(0.4), None)),
    (sentiment.read_simsv2, sentiment.CH_SIMS_V2, "simsv2-process", "video_0001_0001",
     ("train", None, -1.0, "我不想嫁给李茶")),
]


@pytest.mark.parametrize("read, corpus, folder, name, row", BENCH, ids=[row[1].name for row in BENCH])
def test_sets_of_merbench(shared_data, read, corpus, folder, name, row):
    clips = read(shared_data / "merbench" / folder)
    assert Counter(clip.split for clip in clips) == corpus.counts and not count_notes(corpus, clips)
    assert len({clip.id for clip in clips}) == len(clips) and {clip.corpus for clip in clips} == {corpus.name}
    clip = next(clip for clip in clips if clip.id == name)
    split, emotion, valence, words = row
    assert (clip.split, clip.targets.emotion, clip.targets.valence) == (split, emotion, valence)
    assert words is None or clip.words == words
    if corpus.labels:
        assert {clip.targets.emotion for clip in clips} == set(corpus.labels)
    if corpus.valence_range and valence is not None and emotion is None:
        assert clip.targets.sentiment == ("positive" if clip.targets.valence > 0 else "negative")


def test_counts_of_single_emotions(shared_data):
    clips = mer_challenge.read_mer2023(shared_data / "merbench" / "mer2023-dataset-process")
    assert Counter(clip.targets.emotion for clip in clips) == {
        "neutral": 1248, "angry": 1208, "happy": 1038, "sad": 730, "worried": 616, "surprised": 190}
    assert sum(clip.targets.valence is None for clip in clips) == 834  # test3 has none
    clips = iemocap.read_iemocap(shared_data / "merbench" / "iemocap-process")
    assert Counter(clip.targets.emotion for clip in clips) == {
        "neutral": 1708, "happy": 1636, "angry": 1103, "sad": 1084}
    assert {clip.group for clip in clips if clip.split == "test"} == {"session5"}
    assert len({clip.speaker for clip in clips}) == 10


def test_meld_in_both_layouts_is_the_same_corpus(shared_data):
    own = meld.read(shared_data / "meld")
    theirs = {clip.id: clip for clip in meld.read(shared_data / "merbench" / "meld-process")}
    assert len(own) == len(theirs) == 13708
    assert all(clip.targets.emotion == theirs[clip.id].targets.emotion and clip.split == theirs[clip.id].split
               and clip.turn == theirs[clip.id].turn for clip in own)
    assert own[0].speaker == "Chandler" and own[0].media.parts[-2:] == ("train_splits", "dia0_utt0.mp4")
    assert Counter(clip.targets.sentiment for clip in own) == {"neutral": 6436, "negative": 4184, "positive": 3088}


def test_emer(shared_data):
    clips = emer.read_emer(shared_data / "emer")
    assert len(clips) == 332 and all(clip.targets.labels and clip.targets.description for clip in clips)
    assert clips[0].targets.labels == ("pleasurable", "self-deprecating", "relaxed", "complaining", "relieved",
                                       "humorous", "joyful", "happy")
    assert emer.read_emer(shared_data / "emer", "zh")[0].targets.description.startswith("在视频中")
    for language, words in (("en", "Last night, I forgot to thank you properly."), ("zh", "昨晚，都忘了好好谢谢你。")):
        first = emer.read_emer_v1(shared_data / "emer", language)
        assert len(first) == 100 and first[1].id == "sample_00000680" and first[1].words == words


def test_emer_without_the_words_of_the_translators_prompt(shared_data):
    kept, dropped = (emer.read_emer(shared_data / "emer", drop_prompt_words=drop) for drop in (False, True))
    pairs = [(one.targets.description, other.targets.description) for one, other in zip(kept, dropped, strict=True)]
    changed = [(one, other) for one, other in pairs if one != other]
    assert len(changed) == 88 and all(one.startswith("Input:") for one, _ in changed)
    assert not any("Input:" in other or "Output:" in other for _, other in pairs)
    assert all(one.removesuffix(" Output:").rstrip().endswith(other) for one, other in changed)
    assert sum("Output:" in one and len(other) < 0.6 * len(one) for one, other in changed) == 3


def test_cexpr_segments_and_folds(shared_data):
    root = shared_data / "cexpr" / "C-EXPR-DB"
    clips = cexpr.read(root)
    assert len(clips) == 125 and len({clip.group for clip in clips}) == 56 and len({clip.id for clip in clips}) == 125
    assert Counter(clip.targets.emotion for clip in clips) == {
        "fearfully surprised": 24, "other": 20, "sadly fearful": 19, "sadly angry": 16, "happily surprised": 15,
        "sadly surprised": 13, "disgustedly surprised": 10, "angrily surprised": 8}
    assert (clips[0].id, clips[0].start, clips[0].end, clips[0].targets.labels) == ("01_Other_0", 0.07, 2.97, ())
    assert sum(clip.end - clip.start for clip in clips) == pytest.approx(14.1 * 60, abs=6)
    assert len(cexpr.read(root, other=False)) == 105
    for fold, (train, test) in enumerate([(98, 27), (99, 26), (99, 26), (101, 24), (103, 22)]):
        assert Counter(clip.split for clip in cexpr.read(root, fold)) == {"train": train, "test": test}


def test_cexpr_transcripts(shared_data, tmp_path):
    data = shared_data / "cexpr"
    for name, target in (("annotation", data / "C-EXPR-DB" / "annotation"), ("folds", data / "folds-with-transcripts")):
        (tmp_path / name).symlink_to(target)
    clips = {clip.id: clip for clip in cexpr.read(tmp_path, fold=0)}
    spoken = clips["48_Sadly-Fearful_0"]
    assert spoken.words == "I am just a little girl" and spoken.split == "test"
    assert clips["24_Sadly-Fearful_0"].words.startswith("No, no, just wait a minute. Were not really")
    assert sum(clip.words is None for clip in clips.values()) == 8  # nobody is speaking


def test_acted_speech(shared_data):
    clips = acted.read_emodb(shared_data / "clips" / "emodb_audio")
    assert len(clips) == 535 and len({clip.speaker for clip in clips}) == 10
    assert Counter(clip.targets.emotion for clip in clips) == {
        "angry": 127, "bored": 81, "neutral": 79, "happy": 71, "fearful": 69, "sad": 62, "disgusted": 46}
    assert Counter(clip.sex for clip in clips) == {"female": 302, "male": 233}
    takes = ravdess.read(shared_data / "clips" / "ravdess_audio")
    assert len(takes) == 1184 and {(clip.speaker, clip.sex) for clip in takes if clip.speaker < "actor03"} == {
        ("actor01", "male"), ("actor02", "female")}


def test_cexpr_as_its_repository_has_it(shared_data):
    data = shared_data / "cexpr"
    clips = {clip.id: clip for clip in cexpr.read(data, fold=0)}
    assert Counter(clip.split for clip in clips.values()) == {"train": 98, "test": 27}
    assert clips["48_Sadly-Fearful_0"].words == "I am just a little girl"
    assert sum(clip.words is None for clip in clips.values()) == 8  # "nobody is speaking"
    assert {clip.id for clip in cexpr.read(data / "C-EXPR-DB")} == set(clips)


def test_pieces_of_a_clip_belong_to_its_video(shared_data):
    clips = {clip.id: clip for clip in sentiment.read_simsv2(shared_data / "merbench" / "simsv2-process")}
    train, test = clips["aqgy4_0005_00011_0"], clips["aqgy4_0005_00011_1"]
    assert (train.split, test.split) == ("train", "test") and train.group == test.group == "aqgy4_0005"
    assert len({clip.group for clip in clips.values()}) == 145
