"""The MER family as its files really are: repeated rows, other spellings, files that are not there."""

import json
from collections import Counter

import pytest

from affectgpt.data.clip import Preference
from affectgpt.data.corpora import count_notes
from affectgpt.data.evidence import polarity
from affectgpt.data.readers import READERS, emer, mer2025, mer_challenge, merbench, merr
from affectgpt.data.shared import identities
from affectgpt.models.streams import STREAMS
from affectgpt.words import lexicon


def folder(root, **files):
    (root / "subtitle_chieng.csv").write_bytes(
        "\ufeffname,chinese,english\r\na,好吗？,\"How, \"\"well\"\"?\"\r\n".encode())
    for name, text in files.items():
        (root / f"{name}.csv").write_bytes(text.encode())
    return root


PLUS = {"track2_train_mercaptionplus": "\ufeffname,openset\r\na,\"['happy', 'at ease']\"\r\n"
                                       "b,\"[concern, can't cope]\"\r\nc,\r\nc,\r\n",
        "track3_train_mercaptionplus": "name,reason\nb,\"She frowns,\nand sighs.\"\na,He smiles.\nd,Only this.\n"}


# ---------------------------------------------------------------------------- MER2025 and MER2026

def test_rows_that_are_there_twice_word_for_word_count_once(tmp_path):
    clips = mer2025.read_mercaptionplus(folder(tmp_path, **PLUS))
    assert [(clip.id, clip.targets.labels, clip.targets.description) for clip in clips] == [
        ("a", ("happy", "at ease"), "He smiles."), ("b", ("concern", "can't cope"), "She frowns,\nand sighs."),
        ("c", (), None), ("d", (), "Only this.")]
    assert clips[0].words == 'How, "well"?' and clips[1].provenance.endswith("track2_train_mercaptionplus.csv:3")


def test_descriptions_that_are_not_there_are_not_passed_over(tmp_path):
    root = folder(tmp_path, **PLUS)
    (root / "track3_train_mercaptionplus.csv").unlink()
    with pytest.raises(ValueError, match="track3_train_mercaptionplus.csv: no such file.*descriptions=false"):
        mer2025.read_mercaptionplus(root)
    assert len(mer2025.read_mercaptionplus(root, descriptions=False)) == 3
    folder(tmp_path, track2_train_human="name,openset\nz,\"shocked,care,serious\"\n")  # MER2026 has none of them
    assert [clip.targets.description for clip in mer2025.read_mercaptionplus(root)] == [None] * 3
    assert mer2025.read_humanov(root)[0].targets.labels == ("shocked", "care", "serious")
    (root / "track2_train_mercaptionplus.csv").unlink()
    with pytest.raises(ValueError, match="track2_train_mercaptionplus.csv: no such file; it needs the columns"):
        mer2025.read_mercaptionplus(root)


@pytest.mark.parametrize(("text", "said"), [
    ("name,openset\nx,['sad']\nx,['happy']\n", r"csv:3: x is there twice, with another row in .*csv:2"),
    ("name,openset\n,sad\n", "csv:2: the row has no name"),
    ("name,openset\nx,\"[1, 2]\"\n", "csv:2: .*no list of words"),
    ("name,openset\nx,sad,z\n", "csv:2: has 3 cells"),
    ("name,openset\n../../x,sad\n", r"human.csv:2: .*leaves its root"),
    ("", "is empty; it needs the columns name, openset"),
])
def test_labels_that_cannot_be_meant(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        mer2025.read_humanov(folder(tmp_path, track2_train_human=text))


def test_the_first_tracks_spell_labels_in_several_ways(tmp_path):
    root = folder(tmp_path, track1_train="name,discrete\na,happiness\nb,Worry\nc,生气\nd,\n",
                  track1_train_disdim="name,discrete,valence\na,neutral,-0.5\nb,surprise,-0.5\nc,sad,\n")
    clips = READERS["mer2026-track1"].read(root)
    assert [clip.targets.emotion for clip in clips] == ["happy", "worried", "angry", None]
    assert count_notes(mer2025.TRACK1_2026, clips) == ["mer2026-track1: split train has 4 clips, officially 9395"]
    clips = READERS["mer2025-track1"].read(root)
    assert [(clip.corpus, clip.targets.emotion, clip.targets.valence) for clip in clips] == [
        ("mer2025-track1", "neutral", -0.5), ("mer2025-track1", "surprised", -0.5), ("mer2025-track1", "sad", None)]
    assert [polarity(clip.targets, list(STREAMS)) for clip in clips] == ["neutral", "negative", "negative"]


@pytest.mark.parametrize(("text", "said"), [
    ("name,discrete,valence\na,bored,0\n", "csv:2: label 'bored' is none of mer2025-track1's: worried, happy"),
    ("name,discrete,valence\na,sad,low\n", "csv:2: valence is 'low'"),
    ("name,emotion\na,sad\n", "no column 'discrete'"),
])
def test_first_tracks_that_cannot_be_meant(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        mer2025.read_track1_2025(folder(tmp_path, track1_train_disdim=text))


def test_pairs(tmp_path):
    root = folder(tmp_path, track3_emoprefer="name,a1,a2,preference\na,\"Sad, he says.\",Glad.,a1\na,Angry.,Calm.,A2\n"
                                             "a,Angry.,Calm.,a2\n", track3_candidate="name,a1,a2\na,One.,Two.\na,3,4\n")
    clips = mer2025.read_emoprefer(root)
    assert [(clip.id, clip.targets.preference) for clip in clips] == [
        ("a", Preference("Sad, he says.", "Glad.", "first")), ("a#2", Preference("Angry.", "Calm.", "second"))]
    assert identities(clips[0]) == identities(clips[1])  # both are found where the clip is tested on
    assert [clip.id for clip in mer2025.read_emoprefer_candidates(root)] == ["a", "a#2"]


@pytest.mark.parametrize(("rows", "said"), [
    ("a,One.,,a1\n", "csv:2: the row needs two descriptions, a1 and a2"),
    ("a,One.,Two.,\n", "csv:2: the row has no preference"),
    ("a,One.,Two.,a1\na,One.,Two.,a2\n", r"csv:3: this pair is in .*csv:2 too, with another preference"),
])
def test_pairs_that_cannot_be_meant(tmp_path, rows, said):
    with pytest.raises(ValueError, match=said):
        mer2025.read_emoprefer(folder(tmp_path, track3_emoprefer="name,a1,a2,preference\n" + rows))


# ---------------------------------------------------------------------------- EMER and OV-MERD

def test_the_real_emer_has_the_same_emotions_in_both_languages(shared_data):
    english, chinese = (emer.read_emer_v1(shared_data / "emer", language) for language in ("en", "zh"))
    assert len(english) == 100 and count_notes(emer.EMER_V1, english) == []
    assert Counter(clip.targets.emotion for clip in english) == {
        "angry": 36, "happy": 32, "worried": 17, "sad": 11, "surprised": 4}
    assert [(clip.id, clip.targets.labels) for clip in english] == [(clip.id, clip.targets.labels) for clip in chinese]
    assert sum(clip.words is None for clip in english) == 7
    assert chinese[0].words == "别再跟我说感觉。" and chinese[0].targets.description.startswith("在视频中，他怒吼")
    second = {clip.id for clip in emer.read_emer(shared_data / "emer")}
    assert sum(clip.id in second for clip in english) == 39


def test_the_real_open_labels(shared_data):
    clips = READERS["ovmerd"].read(shared_data / "emer")
    assert len(clips) == 332 and clips[0].key == "ovmerd/sample_00000000"
    words = Counter(label for clip in clips for label in clip.targets.labels)
    assert (len(words), sum(words.values())) == (248, 1121)
    assert Counter(len(clip.targets.labels) for clip in clips) == {
        2: 97, 3: 94, 4: 61, 5: 36, 6: 19, 1: 13, 8: 6, 7: 4, 9: 2}
    assert clips[0].targets.description.startswith("In the video, the opening scene shows a male character")
    without = READERS["ovmerd"].read(shared_data / "emer", descriptions=False)
    assert {clip.targets.description for clip in without} == {None} and without[0].targets.labels


def test_emer_labels_under_their_published_name(tmp_path):
    (tmp_path / "final-EMER-reason.csv").write_text("name,chinese,english\na,他笑。,He laughs.\na,他笑。,He laughs.\n")
    (tmp_path / "check-openset.csv").write_bytes("\ufeffname,openset\r\na,\"['sad', 'sad']\"\r\n".encode())
    clip, = emer.read_emer(tmp_path, "zh")
    assert (clip.targets.description, clip.targets.labels) == ("他笑。", ("sad",))


@pytest.mark.parametrize(("text", "said"), [
    ("names,emotions,subtitles\n", "no column 'reasons'; it has names, emotions, subtitles"),
    ("names,emotions,subtitles,reasons\na,neutral,x,y\n", "csv:2: label 'neutral' is none of emer-v1's: angry, happy"),
    ("names,emotions,subtitles,reasons\na,sad,x,y\na,sad,x,z\n", r"csv:3: a is there twice, with another row in .*:2"),
    ("names,emotions,subtitles,reasons\na,sad,x,\"y\n", "csv:2: is not CSV"),
    ("names,emotions,subtitles,reasons\n../a/../../b,sad,x,y\n", "csv:2: .*leaves its root"),
])
def test_emer_rows_that_cannot_be_meant(tmp_path, text, said):
    (tmp_path / "gt-eng.csv").write_text(text)
    with pytest.raises(ValueError, match=said):
        emer.read_emer_v1(tmp_path)


# ---------------------------------------------------------------------------- MERR

def merr_folder(root):
    (root / "MERR_coarse_grained.json").write_bytes(
        b"\xef\xbb\xbf" + json.dumps({"a": {"caption": "He shouts.", "peak_index": 3}, "b": {"caption": " "}}).encode())
    (root / "MERR_coarse_grained.txt").write_bytes(b"a 70 angry -10\r\n\r\nc 12 fear\r\nb Doubt\r\n")
    (root / "transcription_en_all.csv").write_text('name,sentence\na,"Go, now!"\n')
    return root


def test_merr_with_lists_of_two_to_four_columns(tmp_path):
    clips = merr.read_merr_coarse(merr_folder(tmp_path))
    assert [(clip.id, clip.targets.description, clip.targets.emotion, clip.words) for clip in clips] == [
        ("a", "He shouts.", "angry", "Go, now!"), ("b", None, "doubtful", None)]


@pytest.mark.parametrize(("file", "text", "said"), [
    ("MERR_coarse_grained.json", "[]", "MERR_coarse_grained.json"),
    ("MERR_coarse_grained.json", '{"../../a": {"caption": "x"}}', "json:1: .*leaves its root"),
    ("MERR_coarse_grained.txt", "a\n", "txt:1: 'a' is not a name, its frames and its emotion"),
    ("MERR_coarse_grained.txt", "a 1 bored\n", "txt:1: label 'bored' is none of merr-coarse's"),
    ("MERR_coarse_grained.txt", "a 1 sad\na 1 happy\n", "txt:2: a was sad before"),
])
def test_merr_files_that_cannot_be_meant(tmp_path, file, text, said):
    (merr_folder(tmp_path) / file).write_text(text)
    with pytest.raises(ValueError, match=said):
        merr.read_merr_coarse(tmp_path)


# ---------------------------------------------------------------------------- MER2023

def test_the_real_mer2023(shared_data):
    clips = mer_challenge.read_mer2023(shared_data / "merbench" / "mer2023-dataset-process")
    assert len(clips) == 5030 and count_notes(mer_challenge.MER2023, clips) == []
    assert Counter(clip.targets.emotion for clip in clips if clip.split == "test1") == {
        "angry": 105, "happy": 93, "neutral": 88, "worried": 57, "sad": 50, "surprised": 18}
    assert sum(clip.words is None for clip in clips) == 217
    valences = [clip.targets.valence for clip in clips if clip.targets.valence is not None]
    assert (len(valences), min(valences), max(valences)) == (4196, -5.0, 4.25)
    read = Counter((clip.targets.emotion, polarity(clip.targets, list(STREAMS))) for clip in clips)
    assert read == {("neutral", "neutral"): 1248, ("angry", "negative"): 1208, ("happy", "positive"): 1038,
                    ("sad", "negative"): 730, ("worried", "negative"): 616, ("surprised", "negative"): 116,
                    ("surprised", "positive"): 48, ("surprised", "neutral"): 26}


def test_real_transcripts_with_repeated_rows(shared_data):
    """IEMOCAP's has two rows twice, and one without words."""
    words = merbench.read_transcripts(shared_data / "merbench" / "iemocap-process" / merbench.TRANSCRIPTS, "en")
    assert len(words) == 10_087 - 2 and words["Ses05M_impro03_FXX0"] == "Awe." and words["Ses05F_impro02_MXX0"] == ""


def test_the_records_know_what_their_labels_mean():
    for corpus in (emer.EMER_V1, merr.MERR_COARSE, merr.MERR_FINE, mer_challenge.MER2023, mer_challenge.MER2024,
                   mer2025.TRACK1_2025, mer2025.TRACK1_2026):
        for word in (*corpus.labels, *corpus.spellings.values()):
            assert word in corpus.labels and lexicon.load().meaning(word) is not None
