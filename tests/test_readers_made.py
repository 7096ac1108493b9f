"""Readers on hand-made files in the documented layouts, and on files that are not as they should be."""

import json
from dataclasses import replace

import numpy as np
import pytest

from affectgpt.data.clip import Preference
from affectgpt.data.readers import acted, cexpr, emer, films, iemocap, mer2025, mer_challenge, merr, sentiment
from affectgpt.data.readers.layout import literal_list, read_csv
from affectgpt.data.readers.places import MediaFolder


def write(root, name, text, encoding="utf-8"):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode(encoding))
    return file


def labels_npz(root, name="label.npz", **splits):
    np.savez(root / name, **{key: np.array(rows, dtype=object) for key, rows in splits.items()})


# ---------------------------------------------------------------------------- MER2025 and MER2026

def pool(root):
    write(root, "subtitle_chieng.csv", "name,chinese,english\r\na,你好,\"Hello, you\"\r\nb,,\r\n", "utf-8-sig")
    write(root, "track2_train_mercaptionplus.csv",
          "name,openset\r\na,\"['happy', 'at ease']\"\r\nb,[]\r\nc,\"['it''s fine', \"\"sad\"\"]\"\r\n")
    write(root, "track3_train_mercaptionplus.csv", "name,reason\na,She smiles.\nd,\"He says \"\"no\"\", twice.\"\n")
    for file in ("video/a.mp4", "audio/a.wav", "openface_face/a/a.npy"):
        write(root, file, "x")
    return root


def test_labels_and_reasons_are_joined_by_name(tmp_path):
    clips = {clip.id: clip for clip in mer2025.read_mercaptionplus(pool(tmp_path))}
    assert list(clips) == ["a", "b", "c", "d"]
    assert clips["a"].targets.labels == ("happy", "at ease") and clips["a"].targets.description == "She smiles."
    assert clips["a"].words == "Hello, you" and clips["a"].split == "train" and clips["a"].corpus == "mercaptionplus"
    assert clips["a"].media == tmp_path / "video" / "a.mp4" and clips["a"].audio == tmp_path / "audio" / "a.wav"
    assert clips["a"].face == tmp_path / "openface_face" / "a" / "a.npy"
    assert clips["b"].targets.labels == () and clips["b"].words is None  # never "neutral"
    assert clips["d"].targets.description == 'He says "no", twice.' and clips["d"].targets.labels == ()
    assert clips["d"].media == tmp_path / "video" / "d.mp4" and clips["d"].face is None
    assert {clip.id: clip.words for clip in mer2025.read_mercaptionplus(tmp_path, "zh")}["a"] == "你好"


def test_pool_that_is_not_as_it_should_be(tmp_path):
    with pytest.raises(ValueError, match="no such folder"):
        mer2025.read_ovmerd(tmp_path / "none")
    with pytest.raises(ValueError, match="track2_train_ovmerd.csv: no such file"):
        mer2025.read_ovmerd(pool(tmp_path))
    write(tmp_path, "track2_train_human.csv", "name,labels\na,x\n")
    with pytest.raises(ValueError, match="no column 'openset'; it has name, labels"):
        mer2025.read_humanov(tmp_path)
    write(tmp_path, "track2_train_human.csv", "name,openset\na,happy\na,sad\n")
    with pytest.raises(ValueError, match="human.csv:3: a is there twice, with another row"):
        mer2025.read_humanov(tmp_path)
    write(tmp_path, "track2_train_human.csv", "name,openset\n../../b,happy\n")
    with pytest.raises(ValueError, match="leaves its root"):
        mer2025.read_humanov(tmp_path)


def test_single_emotion_and_preferences(tmp_path):
    pool(tmp_path)
    write(tmp_path, "track1_train_disdim.csv", "name,discrete,valence\na,surprise,-1.5\nb,worried,\n")
    first, second = mer2025.read_track1_2025(tmp_path)
    assert (first.targets.emotion, first.targets.valence, first.targets.sentiment) == ("surprised", -1.5, "negative")
    assert (second.targets.emotion, second.targets.valence, second.targets.sentiment) == ("worried", None, None)
    write(tmp_path, "track3_emoprefer.csv", "name,a1,a2,preference\na,calm,tense,a2\na,x,y,same\n")
    clips = mer2025.read_emoprefer(tmp_path)
    assert [clip.id for clip in clips] == ["a", "a#2"] and {clip.group for clip in clips} == {"a"}
    assert clips[0].targets.preference == Preference("calm", "tense", "second")
    assert clips[0].media == clips[1].media
    write(tmp_path, "track3_emopreferv2.csv", "name,a1,a2,preference\na,calm,tense,a3\n")
    with pytest.raises(ValueError, match="preference is 'a3': it must be one of a1, a2, same"):
        mer2025.read_emopreferv2(tmp_path)
    write(tmp_path, "track3_candidate.csv", "name,a1,a2\na,calm,tense\n")
    assert mer2025.read_emoprefer_candidates(tmp_path)[0].targets.preference == Preference("calm", "tense", "")


def test_ovmerdplus_and_emer(tmp_path):
    write(tmp_path, "ovlabel.csv", "name,openset\ns1,\"['happy','calm']\"\n")
    write(tmp_path, "subtitle_eng.csv", "name,sentence\ns1,Well done.\n")
    clip, = emer.read_ovmerdplus(tmp_path)
    assert (clip.split, clip.targets.labels, clip.words) == ("test", ("happy", "calm"), "Well done.")
    write(tmp_path, "final-EMER-reason.csv", "name,chinese,english\ns1,好,Good.\n")
    write(tmp_path, "openset.csv", "name,openset\ns2,['sad']\n")
    with pytest.raises(ValueError, match="openset.csv:2: s2 has labels and no description"):
        emer.read_emer(tmp_path)


def test_merr(tmp_path):
    write(tmp_path, "MERR_fine_grained.json", json.dumps({
        "s1": {"smp_reason_caption": "He frowns.", "text": "No!"}, "s2": {"smp_reason_caption": "She nods."}}))
    write(tmp_path, "MERR_fine_grained.txt", "s1 120 doubt\n")
    first, second = merr.read_merr_fine(tmp_path)
    assert (first.targets.description, first.targets.emotion, first.words) == ("He frowns.", "doubtful", "No!")
    assert second.targets.emotion is None and second.words is None
    write(tmp_path, "MERR_coarse_grained.json", json.dumps({"s1": {"smp_reason_caption": "x"}}))
    with pytest.raises(ValueError, match="s1 has no 'caption'"):
        merr.read_merr_coarse(tmp_path)


# ---------------------------------------------------------------------------- MERBench

def test_media_of_a_process_folder(tmp_path):
    labels_npz(tmp_path, train_corpus={"v_1": {"emo": 0, "val": 0.5}, "v_2": {"emo": 0, "val": -10}})
    write(tmp_path, "transcription-engchi-polish.csv", "name,english,chinese\nv_1,Yes.,好\n")
    for file in ("subvideo/v_1.avi", "subaudio/v_1.wav", "openface_face/v_1.npy"):
        write(tmp_path, file, "x")
    first, second = sentiment.read_cmumosi(tmp_path)
    assert first.media == tmp_path / "subvideo" / "v_1.avi" and first.audio == tmp_path / "subaudio" / "v_1.wav"
    assert first.face == tmp_path / "openface_face" / "v_1.npy" and first.words == "Yes." and first.group == "v"
    assert (second.targets.valence, second.targets.sentiment, second.audio, second.words) == (None, None, None, None)


@pytest.mark.parametrize("row, message", [
    ({"emo": 0, "val": 3.5}, "val is 3.5: cmumosi's lies between -3 and 3"),
    ({"emo": 0, "val": float("nan")}, "it must be a number"), ({"emo": 0, "val": "high"}, "it must be a number"),
    ([1, 2], "must be a clip's name and its labels")])
def test_labels_that_are_none(tmp_path, row, message):
    labels_npz(tmp_path, test_corpus={"v_1": row})
    with pytest.raises(ValueError, match=message):
        sentiment.read_cmumosi(tmp_path)


def test_classes_and_names_that_are_none(tmp_path):
    labels_npz(tmp_path, "label_4way.npz", whole_corpus={"Ses01F_impro01_F000": {"emo": 4, "val": -10}})
    with pytest.raises(ValueError, match="emo is 4: it must be 0 to 3"):
        iemocap.read_iemocap(tmp_path)
    labels_npz(tmp_path, "label_4way.npz", whole_corpus={"Ses09F_x": {"emo": 1, "val": -10}})
    with pytest.raises(ValueError, match="'Ses09F_x' is not named as IEMOCAP's"):
        iemocap.read_iemocap(tmp_path)
    labels_npz(tmp_path, "label-6way.npz", train_corpus={"s": {"emo": "glad", "val": 1}})
    with pytest.raises(ValueError, match="train_corpus:1: label 'glad' is none of mer2024's"):
        mer_challenge.read_mer2024(tmp_path)
    labels_npz(tmp_path, other={"v_1": {}})
    with pytest.raises(ValueError, match="holds 'other'"):
        sentiment.read_sims(tmp_path)


# ---------------------------------------------------------------------------- acted speech and films

def test_cremad_with_votes(tmp_path):
    for file in ("AudioWAV/1001_DFA_ANG_XX.wav", "VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1002_IEO_HAP_HI.wav",
                 "AudioWAV/notes.wav"):
        write(tmp_path, file, "x")
    write(tmp_path, "processedResults/tabulatedVotes.csv",
          ",A,D,F,H,N,S,fileName,numResponses\n100001,9,0,0,0,0,1,1001_DFA_ANG_XX,10\n"
          "300001,6,2,0,0,0,0,1001_DFA_ANG_XX,8\n")
    write(tmp_path, "VideoDemographics.csv", "ActorID,Age,Sex,Race,Ethnicity\n1001,51,Male,Caucasian,Not Hispanic\n")
    first, second = acted.read_cremad(tmp_path)
    assert (first.sex, second.sex) == ("male", None)
    assert first.media.suffix == ".flv" and first.audio.suffix == ".wav" and first.speaker == "1001"
    assert first.targets.emotion == "angry" and first.targets.votes == {"angry": 0.75, "disgusted": 0.25}
    assert (second.media.suffix, second.audio, second.targets.votes, second.words) == (".wav", None, {}, None)
    assert acted.read_cremad(tmp_path, votes="voice")[0].targets.votes == {"angry": 0.9, "sad": 0.1}
    assert acted.read_cremad(tmp_path, words=True)[0].words == "Don't forget a jacket."
    with pytest.raises(ValueError, match="no takes named"):
        acted.read_emodb(tmp_path)
    write(tmp_path, "VideoDemographics.csv", "ActorID,Sex\n1001,m\n")
    with pytest.raises(ValueError, match="VideoDemographics.csv:2: Sex is 'm'"):
        acted.read_cremad(tmp_path)


def test_dfew_and_mafw(tmp_path):
    write(tmp_path, "EmoLabel_DataSplit/train(single-labeled)/set_2.csv", "video_name,label\n1,1\n2,7\n")
    write(tmp_path, "EmoLabel_DataSplit/test(single-labeled)/set_2.csv", "video_name,label\n3,4\n")
    write(tmp_path, "Clip/original/00003.mp4", "x")
    clips = films.read_dfew(tmp_path, fold=1)
    assert [(clip.id, clip.split, clip.targets.emotion) for clip in clips] == [
        ("1", "train", "happy"), ("2", "train", "fearful"), ("3", "test", "angry")]
    assert [clip.media.name for clip in clips] == ["1.mp4", "2.mp4", "00003.mp4"]
    write(tmp_path, "EmoLabel_DataSplit/test(single-labeled)/set_2.csv", "video_name,label\n2,4\n")
    with pytest.raises(ValueError, match="set_2.csv:2: 2 was there before"):
        films.read_dfew(tmp_path, fold=1)
    folder = "Train & Test Set/{}/no_caption/set_1/{}.txt"
    write(tmp_path, folder.format("single", "train"), "00001.mp4 anger\n\n")
    write(tmp_path, folder.format("single", "test"), "00002.mp4 helplessness\n")
    write(tmp_path, folder.format("compound", "train"), "00001.mp4 anger,disgust\n")
    write(tmp_path, folder.format("compound", "test"), "")
    write(tmp_path, "labels/descriptive_text.csv", "clip,English,Chinese\n00001.mp4,\"A man, frowning.\",皱眉\n")
    first, second = films.read_mafw(tmp_path)
    assert (first.targets.emotion, first.targets.description) == ("angry", "A man, frowning.")
    assert (second.split, second.targets.labels) == ("test", ("helpless",))
    both, = films.read_mafw(tmp_path, labels="compound", language="zh")
    assert (both.targets.labels, both.targets.emotion, both.targets.description) == (("angry", "disgusted"), None, "皱眉")


def test_cexpr_rows_that_are_none(tmp_path):
    header = '"Begin Time - hh:mm:ss.ms","End Time - hh:mm:ss.ms",' + ",".join(f'"{name}"' for name in cexpr.CLASSES)
    with pytest.raises(ValueError, match="has no tables"):
        cexpr.read(tmp_path)
    for row, message in (("00:00:01,00:00:02,1,1,,,,,,", "01.csv:2: must have a 1 in one class column"),
                         ("00:00:02,00:00:01,1,,,,,,,", "before it begins"),
                         ("one,00:00:01,1,,,,,,,", "is not hh:mm:ss.ms")):
        write(tmp_path, "annotation/01.csv", f"{header}\n{row}\n")
        with pytest.raises(ValueError, match=message):
            cexpr.read(tmp_path)
    write(tmp_path, "annotation/01.csv", f"{header}\n00:00:01.5,01:00:02,,,,,,\"1 \",,\n")
    clip, = cexpr.read(tmp_path)
    assert (clip.start, clip.end, clip.targets.labels) == (1.5, 3602.0, ("sad", "fearful"))
    write(tmp_path, "trimmed_videos/Sadly-Fearful/01_Sadly-Fearful_0.mp4", "x")
    trimmed, = cexpr.read(tmp_path)
    assert trimmed == replace(clip, media=trimmed.media, start=None, end=None) and trimmed.media.is_file()
    for split in ("train", "val", "test"):
        write(tmp_path, f"folds/split-0/{split}.txt", "Sadly-Fearful/02_Sadly-Fearful_0,5\n")
    with pytest.raises(ValueError, match="is in train.txt too"):
        cexpr.read(tmp_path, fold=0)


# ---------------------------------------------------------------------------- tables

def test_tables_as_people_save_them(tmp_path):
    for text, encoding in (("name,x\na,1\n", "utf-8-sig"), ("name,x\r\na,1\r\n", "utf-16"),
                           (",name,x\n0,a,1\n,,\n", "utf-8")):
        (_, row), = read_csv(write(tmp_path, "t.csv", text, encoding), ("name", "x"))
        assert (row["name"], row["x"]) == ("a", "1")
    (where, row), = read_csv(write(tmp_path, "t.csv", 'name,x\n"a\nb"\n'), ("name",))
    assert row == {"name": "a\nb", "x": ""} and where.endswith("t.csv:2")
    for text, message in (("", "is empty"), ("a,b\n1,2,3\n", "has 3 cells"), ('a\n"b', "is not CSV")):
        with pytest.raises(ValueError, match=message):
            list(read_csv(write(tmp_path, "t.csv", text), ()))


@pytest.mark.parametrize("cell, words", [
    ("['a', 'b', 'a']", ("a", "b")), ("[happy, sad]", ("happy", "sad")), ("[]", ()), ("['']", ()),
    ("a、b，c", ("a", "b", "c")),
    ("['it\\'s ok']", ("it's ok",)), ("('x',)", ("x",)), ("__import__('os')", ("__import__('os')",))])
def test_lists_in_cells(cell, words):
    assert literal_list(cell, "x") == words


def test_lists_of_other_things_are_refused():
    with pytest.raises(ValueError, match="f:2: .* is no list of words"):
        literal_list("[1, 2]", "f:2")


def test_media_names_stay_inside(tmp_path):
    write(tmp_path, "video/a.mp4", "x")
    (tmp_path / "video" / "b.mp4").symlink_to("/etc/hosts")
    media = MediaFolder(tmp_path, ("video",), (".mp4", ".avi"))
    assert media.find("a") == tmp_path / "video" / "a.mp4" and media.find("c") == tmp_path / "video" / "c.mp4"
    for name in ("b", "../../x", "a\0"):
        with pytest.raises(ValueError):
            media.find(name)


def test_class_numbers_of_numpy(tmp_path):
    name = "Ses01F_impro01_F000"
    labels_npz(tmp_path, "label_4way.npz", whole_corpus={name: {"emo": np.int64(3), "val": np.float32(-10)}})
    [clip] = iemocap.read_iemocap(tmp_path)
    assert (clip.targets.emotion, clip.targets.valence, clip.sex) == ("angry", None, "female")
    for bad in (True, np.bool_(True), 4, -1, 1.0, "ang", None):
        labels_npz(tmp_path, "label_4way.npz", whole_corpus={name: {"emo": bad, "val": -10}})
        with pytest.raises(ValueError, match="label_4way.npz:whole_corpus:1: emo is .*: it must be 0 to 3"):
            iemocap.read_iemocap(tmp_path)
