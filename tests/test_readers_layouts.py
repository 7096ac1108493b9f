"""Layouts of corpora as they are really distributed, beside those that the other tests of readers have."""

import json

import numpy as np
import openpyxl
import pytest
from reader_layouts import TABLES

from affectgpt import cli
from affectgpt.data.readers import READERS
from affectgpt.data.readers.layout import literal_list, read_csv


def write(root, **files):
    for name, text in files.items():
        put(root, name, text)
    return root


def put(root, name, text="x"):
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


# ---------------------------------------------------------------------------- cells

@pytest.mark.parametrize("cell, words", [
    ("['happy' 'at ease']", ("happy", "at ease")), ("[['sad'], ['tired', ['sad']]]", ("sad", "tired")),
    ("{'happy', 'sad'}", ("happy", "sad")), ("[‘happy’, “at ease”]", ("happy", "at ease")),
    ("['a',\n 'b']", ("a", "b")),
    ("nan", ()), ("[None, 'sad', nan]", ("sad",)), ("None", ()), ("['', ' ']", ()),
    ("'sad', 'tired'", ("sad", "tired")),
    ("happy；sad|calm;glad", ("happy", "sad", "calm", "glad")), ("[can't cope, sad]", ("can't cope", "sad")),
    ('["it\'s fine", \'a "b"\']', ("it's fine", 'a "b"')), ("['unclosed", ("unclosed",)), ("(((((", ())])
def test_lists_of_labels_in_all_spellings(cell, words):
    assert literal_list(cell, "x") == words


@pytest.mark.parametrize("cell", ["[1, 2]", "[True]", "{'a': 1}", "[-1]", "[['a', 3]]"])
def test_lists_that_hold_no_words(cell):
    with pytest.raises(ValueError, match="f:2: .* is no list of words"):
        literal_list(cell, "f:2")


def test_long_cells_and_names_that_excel_has_changed(tmp_path):
    table = put(tmp_path, "t.csv", "name,reason\na," + "word " * 60_000 + "\n")
    (_, row), = read_csv(table, ("name", "reason"))
    assert len(row["reason"]) == 299_999
    with pytest.raises(ValueError, match="field larger than field limit"):
        list(read_csv(put(tmp_path, "t.csv", "name\n" + "x" * (1 << 24) + "x\n"), ("name",)))
    for name in ("#NAME?", "1.23E+14"):
        with pytest.raises(ValueError, match=r"label.csv:2: name .* is what Excel makes"):
            put(tmp_path, "label.csv", f"video_id,clip_id,text,label,mode\n{name},1,x,1,train\n")
            READERS["cmumosi"].read(tmp_path)


# ---------------------------------------------------------------------------- MER2023 to MER2026, MERR

def test_media_of_archives_in_parts_and_half_unpacked_faces(tmp_path):
    put(tmp_path, "track2_train_human.csv", "name,openset\na,sad\nb,sad\nc.mp4,sad\n")
    put(tmp_path, "video/video_track2_train_human/video/a.mp4")
    put(tmp_path, "video/b.mp4")
    put(tmp_path, "video/video_other/b.mp4")
    put(tmp_path, "openface_face/a/b.npy")
    put(tmp_path, "openface_face/b/b.npy")
    first, second, third = READERS["humanov"].read(tmp_path)
    assert first.media == tmp_path / "video/video_track2_train_human/video/a.mp4" and first.face is None
    assert second.media == tmp_path / "video/b.mp4" and second.face == tmp_path / "openface_face/b/b.npy"
    assert (third.id, third.media) == ("c", tmp_path / "video" / "c.mp4")


def test_all_clips_of_the_pool_can_be_named_by_another_table(tmp_path):
    TABLES["mer-candidates"].make(tmp_path)
    clips = READERS["mer-candidates"].read(tmp_path, table="subtitle_chieng.csv")
    assert [(clip.id, clip.words, clip.split) for clip in clips] == [
        ("00000123", "Well, hello", "test"), ("样本_2", None, "test")]
    with pytest.raises(ValueError, match="leaves its root"):
        READERS["mer-candidates"].read(tmp_path, table="../x.csv")
    put(tmp_path, "track1_track2_candidate.csv", "name\nz\n")
    assert [clip.id for clip in READERS["mer-candidates"].read(tmp_path)] == ["z"]


def test_emotions_of_the_test_are_read_where_they_are_there(tmp_path):
    TABLES["mer2025-track1"].make(tmp_path)
    put(tmp_path, "track1_test_dis.csv", "name,discrete\nz,worried\n")
    clips = READERS["mer2025-track1"].read(tmp_path)
    assert [(clip.split, clip.targets.emotion) for clip in clips] == [
        ("train", "happy"), ("train", None), ("test", "worried")]


def test_mer2023_as_it_is_distributed(tmp_path):
    put(tmp_path, "train-label.csv", "name,discrete,valence\na,worried,-0.5\n")
    put(tmp_path, "test1-label.csv", "name,discrete,valence\nb,surprise,\"1,5\"\n")
    put(tmp_path, "test3-label.csv", "name,discrete\nc,neutral\n")
    for file in ("train/a.mp4", "test1/b.avi", "test3/c.mp4"):
        put(tmp_path, file)
    clips = READERS["mer2023"].read(tmp_path)
    assert [(clip.split, clip.targets.emotion, clip.targets.valence, clip.targets.sentiment) for clip in clips] == [
        ("train", "worried", -0.5, None), ("test1", "surprised", 1.5, "positive"), ("test3", "neutral", None, None)]
    assert all(clip.media.is_file() for clip in clips)
    put(tmp_path, "test3-label.csv", "name,discrete,valence\nc,neutral,9\n")
    with pytest.raises(ValueError, match="test3-label.csv:2: valence is 9: mer2023's lies between -5 and 5"):
        READERS["mer2023"].read(tmp_path)


def test_merr_takes_emotions_from_either_file(tmp_path):
    rows = {"a": {"caption": "x", "pseu_emotion": "contempt"}, "b.mp4": {"caption": "y", "pseu_emotion": "nan"},
            "c": {"caption": "z", "pseu_emotion": "happy"}}
    put(tmp_path, "MERR_coarse_grained.json", json.dumps(rows))
    put(tmp_path, "MERR_coarse_grained.txt", "c.avi 35 sad -1.174107 more\n")
    clips = READERS["merr-coarse"].read(tmp_path)
    assert [(clip.id, clip.targets.emotion) for clip in clips] == [("a", "contemptuous"), ("b", None), ("c", "sad")]
    put(tmp_path, "MERR_coarse_grained.json", json.dumps({"a": {"caption": "x", "pseu_emotion": "wistful"}}))
    with pytest.raises(ValueError, match="json:1: label 'wistful' is none of merr-coarse's"):
        READERS["merr-coarse"].read(tmp_path)


def test_names_with_endings_in_label_archives(tmp_path):
    rows = {"v_1.mp4": {"emo": 0, "val": 0.5}}
    np.savez(tmp_path / "label.npz", train_corpus=np.array(rows, dtype=object))
    put(tmp_path, "transcription-engchi-polish.csv", "name,chinese,english\nv_1,好,Good.\n")
    clip, = READERS["cmumosi"].read(tmp_path)
    assert (clip.id, clip.words, clip.group) == ("v_1", "Good.", "v")


def test_each_set_of_merbench_takes_its_own_folder_of_films(tmp_path):
    """Beside the films of the turns lie those of whole dialogues, and those that show both speakers."""
    name = "Ses05F_impro01_F000"
    for folder in ("video", "subvideo", "subvideo-tgt", "audio", "subaudio"):
        put(tmp_path, f"{folder}/{name}.{'wav' if 'audio' in folder else 'avi'}")
    np.savez(tmp_path / "label_4way.npz", whole_corpus=np.array({name: {"emo": 1, "val": -10}}, dtype=object))
    clip, = READERS["iemocap"].read(tmp_path)
    assert (clip.media.parent.name, clip.audio.parent.name) == ("subvideo-tgt", "subaudio")
    for reader, folder in (("sims", "video"), ("simsv2", "video_new"), ("cmumosi", "subvideo"),
                           ("cmumosei", "subvideo_new")):
        root = tmp_path / reader
        for other in ("video", "video_new", "subvideo", "subvideo_new"):
            put(root, f"{other}/v_1.mp4")
        np.savez(root / "label.npz", train_corpus=np.array({"v_1": {"emo": 0, "val": 0.5}}, dtype=object))
        assert READERS[reader].read(root)[0].media.parent.name == folder


# ---------------------------------------------------------------------------- MELD

MELD = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID\n"


def test_meld_in_windows_1252_and_with_its_marks_as_control_characters(tmp_path):
    for text in ((MELD + "1,He’s “fine”… so,Joey,joy,positive,0,0\n").encode("cp1252"),
                 MELD + "1,He\x92s \x93fine\x94\x85 so,Joey,joy,positive,0,0\n"):
        put(tmp_path, "train_sent_emo.csv", text)
        assert [clip.words for clip in READERS["meld"].read(tmp_path)] == ["He’s “fine”… so"]


def test_films_of_the_test_under_their_other_name(tmp_path):
    put(tmp_path, "test_sent_emo.csv", MELD + "1,A,J,joy,positive,0,0\n2,B,J,joy,positive,0,1\n"
        "3,C,J,joy,positive,0,2\n")
    for name in ("dia0_utt0", "final_videos_testdia0_utt0", "final_videos_testdia0_utt1"):
        put(tmp_path, f"output_repeated_splits_test/{name}.mp4")
    assert [clip.media.stem for clip in READERS["meld"].read(tmp_path)] == [
        "dia0_utt0", "final_videos_testdia0_utt1", "dia0_utt2"]


def test_utterances_of_meld_that_are_there_twice(tmp_path):
    put(tmp_path, "test_sent_emo.csv", MELD + "1,A,J,joy,positive,0,0\n2,A,J,joy,positive,0,0\n")
    assert len(READERS["meld"].read(tmp_path)) == 1
    put(tmp_path, "test_sent_emo.csv", MELD + "1,A,J,joy,positive,0,0\n2,B,J,joy,positive,0,0\n")
    with pytest.raises(ValueError, match=r"csv:3: test_dia0_utt0 is there twice, with another row in .*csv:2"):
        READERS["meld"].read(tmp_path)


# ---------------------------------------------------------------------------- IEMOCAP

def test_iemocap_with_its_films_and_words(tmp_path):
    session = tmp_path / "Session1" / "dialog"
    put(session, "EmoEvaluation/Ses01F_impro01.txt", "[6.2901 - 8.2357]\tSes01F_impro01_F000\tfru\t[2.5, 2.0, 3.0]\n")
    put(session, "transcriptions/Ses01F_impro01.txt",
        "Ses01F_impro01_F000 [006.2901-008.2357]: Café: now?\r\nM: [laughs]\r\n".encode("cp1252"))
    put(session, "avi/DivX/Ses01F_impro01.avi")
    clip, = READERS["iemocap6"].read(tmp_path)
    assert (clip.start, clip.end, clip.words, clip.audio) == (6.2901, 8.2357, "Café: now?", None)
    assert clip.media == session / "avi/DivX/Ses01F_impro01.avi" and clip.dialogue == "Ses01F_impro01"
    with pytest.raises(ValueError, match="its tables hold no clips of iemocap"):
        READERS["iemocap"].read(tmp_path)  # frustrated is none of four
    for line, says in (("[6.2 - 8.2]\tSes01F_impro01_F000\tfru", "is not .start - end. NAME"),
                       ("[6.2 - 8.2]\t../x\tfru\t[2.5, 2.0, 3.0]", "'../x' is not named as IEMOCAP's")):
        put(session, "EmoEvaluation/Ses01F_impro01.txt", f"% x\n{line}\n")
        with pytest.raises(ValueError, match=f"Ses01F_impro01.txt:2: .*{says}"):
            READERS["iemocap6"].read(tmp_path)


# ---------------------------------------------------------------------------- acted speech and films

def test_perceived_emotions_of_cremad(tmp_path):
    for name in ("1001_IEO_SAD_HI", "1001_IEO_ANG_MD"):
        put(tmp_path, f"AudioWAV/{name}.wav")
    put(tmp_path, "processedResults/summaryTable.csv",
        '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'
        '"7","1001_IEO_SAD_HI","N","60.14","A:F","30.67:51.00","N","63.5"\n'
        '"9","1001_IEO_ANG_MD","A:D","37.2:58.6","A","45.5","A","44.2"\n')
    read = READERS["cremad"].read

    def emotions(**options):
        return [clip.targets.emotion for clip in read(tmp_path, **options)]

    assert emotions() == ["angry", "sad"]
    assert emotions(emotion="perceived") == ["angry", "neutral"]
    assert emotions(emotion="perceived", votes="voice") == [None, "neutral"]
    assert emotions(emotion="perceived", votes="face") == ["angry", None]
    put(tmp_path, "processedResults/tabulatedVotes.csv",
        '"","A","D","F","H","N","S","fileName"\n"300001",1,0,0,0,0,4,"1001_IEO_ANG_MD"\n')
    with pytest.raises(ValueError, match="1001_IEO_SAD_HI.wav: no table of votes has 1001_IEO_SAD_HI"):
        emotions(emotion="perceived")
    put(tmp_path, "AudioWAV/1001_IEO_SAD_HI.wav").unlink()
    assert emotions(emotion="perceived") == ["sad"]


def _mafw(root, text, kind="compound/no_caption", encoding="utf-8"):
    for split in ("train", "test"):
        put(root, f"Train & Test Set/{kind}/set_1/{split}.txt", (text if split == "train" else "").encode(encoding))


def test_compound_labels_of_mafw(tmp_path):
    _mafw(tmp_path, "00001.mp4 anger_disgust\n00002.mp4 neutral\n00002.mp4 neutral\n")
    clips = READERS["mafw"].read(tmp_path, labels="compound")
    assert [clip.targets.labels for clip in clips] == [("angry", "disgusted"), ("neutral",)]
    _mafw(tmp_path, "00001.mp4 anger_disgust\n00001.mp4 anger\n")
    with pytest.raises(ValueError, match=r"train.txt:2: 00001 was there before in .*train.txt:1"):
        READERS["mafw"].read(tmp_path, labels="compound")
    _mafw(tmp_path, "../../../x.mp4 anger\n")
    with pytest.raises(ValueError, match=r"train.txt:1: .*leaves its root"):
        READERS["mafw"].read(tmp_path, labels="compound")


def test_descriptions_of_mafw_as_a_workbook_and_in_its_lists(tmp_path):
    _mafw(tmp_path, "00025.mp4 anger\n00026.mp4 neutral\n", "single/no_caption")
    book = openpyxl.Workbook()
    book.active.append(["00025.mp4", "一个男人皱眉。", "A man, frowning."])
    (tmp_path / "labels").mkdir()
    book.save(tmp_path / "labels" / "descriptive_text.xlsx")
    read = READERS["mafw"].read
    assert [clip.targets.description for clip in read(tmp_path)] == ["A man, frowning.", None]
    assert read(tmp_path, language="zh")[0].targets.description == "一个男人皱眉。"
    (tmp_path / "labels" / "descriptive_text.xlsx").unlink()
    _mafw(tmp_path, "00025.mp4\tanger\t一个男人皱眉。\tA man.\n", "single/with_caption", "gb18030")
    assert [clip.targets.description for clip in read(tmp_path)] == ["A man.", None]
    for file in (tmp_path / "Train & Test Set/single/no_caption/set_1").iterdir():
        file.unlink()
    assert [(clip.id, clip.targets.description) for clip in read(tmp_path, language="zh")] == [
        ("00025", "一个男人皱眉。")]


def test_dfew_in_other_copies(tmp_path):
    for split, rows in (("train", "1.mp4,1.0\n2,surprise\n2,surprise\n"), ("test", "3,4\n")):
        put(tmp_path, f"EmoLabel_DataSplit/{split}(single-labeled)/{split}_set_1.csv", "video_name,label\n" + rows)
    put(tmp_path, "Clip/original/part_1/00002.mp4")
    clips = READERS["dfew"].read(tmp_path)
    assert [(clip.id, clip.targets.emotion) for clip in clips] == [("1", "happy"), ("2", "surprised"), ("3", "angry")]
    assert clips[1].media.is_file()


def test_takes_of_ravdess_count_once_in_its_archives(tmp_path):
    for file in ("Actor_01/03-01-05-01-02-01-01.wav", "Video_Speech_Actor_01/Actor_01/01-01-05-01-02-01-01.mp4",
                 "Video_Speech_Actor_01/Actor_01/02-01-05-01-02-01-01.mp4", "Song/Actor_01/03-02-05-01-02-01-01.WAV",
                 "audio_speech_actors_01-24/Actor_01/03-01-05-01-02-01-01.wav", "Actor_01/._03-01-05-01-02-01-01.wav"):
        put(tmp_path, file)
    assert sorted(clip.id for clip in READERS["ravdess"].read(tmp_path)) == [
        "01-01-05-01-02-01-01", "03-02-05-01-02-01-01"]


def test_acted_takes_that_were_converted_are_read(tmp_path):
    """People keep sound as Opus or FLAC and films as WebM; the names say all that is needed."""
    files = {"ravdess": ("03-01-05-01-02-01-21.opus", "03-01-05-01-02-01-22.flac", "01-01-05-01-02-01-23.webm"),
             "cremad": ("AudioWAV/1001_DFA_ANG_XX.ogg", "VideoFlash/1002_DFA_ANG_XX.webm"),
             "emodb": ("wav/03a01Fa.m4a",)}
    for reader, names in files.items():
        for name in names:
            put(tmp_path / reader, name)
        clips = READERS[reader].read(tmp_path / reader, **({"emotion": "acted"} if reader == "cremad" else {}))
        assert sorted(clip.media for clip in clips) == sorted(tmp_path / reader / name for name in names)


# ---------------------------------------------------------------------------- `affectgpt data info`

def test_where_media_were_looked_for_is_said(tmp_path, capsys):
    root = tmp_path / "mer"
    put(root, "labels/track2_train_human.csv", "name,openset\na,sad\n")
    put(root, "a.mp4")
    assert cli.main(["data", "info", "humanov", "--root", str(root / "labels")]) == 0
    text = capsys.readouterr().out
    assert f"the first was looked for at {root}/labels/video/a.mp4. There is {root}/a.mp4: give the folder" in text
    assert cli.main(["data", "info", "humanov", "--root", str(root)]) == 2
    assert f"There is {root}/labels/track2_train_human.csv" in capsys.readouterr().err
    put(root / "labels", "Track2_Train_Human.csv", "").unlink()
    (root / "labels" / "track2_train_human.csv").rename(root / "labels" / "Track2_Train_Human.csv")
    assert cli.main(["data", "info", "humanov", "--root", str(root / "labels")]) == 2
    assert "rename it to track2_train_human.csv" in capsys.readouterr().err
