"""Thresholds and wordings of cues, exactly, on values made by hand; tables and answers of other programs."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from affectgpt.data.clip import Clip
from affectgpt.textualize import levels, state, texts, tone, units
from affectgpt.textualize.describe import describe
from affectgpt.textualize.expressions import expressions_words
from affectgpt.textualize.geometry import MEASURES
from affectgpt.textualize.settings import FaceSection, SpeechSection, StateSection, VoiceSection, load
from affectgpt.textualize.speech import words_in_context
from affectgpt.textualize.tables import read_table
from affectgpt.textualize.template import fill


def test_units_are_named_above_the_threshold_and_not_at_it():
    assert units.units_words({"AU12": 0.51, "AU01": 0.9, "AU43": 0.5}, 0.5) == "Inner Brow Raiser, Lip Corner Puller"
    assert units.units_words({"AU43": 0.5}, 0.49) == "Eyes Closed" and units.units_words({"AU12": 0.5}, 0.5) == "None"
    assert len(units.UNIT_NAMES) == 20 and set(units.MEASURED) < set(units.UNIT_NAMES) and len(units.MEASURED) >= 11


def test_expressions_are_the_three_highest_in_order():
    shown = {"sad": 0.2, "happy": 0.7, "angry": 0.1, "neutral": 0.2}
    assert expressions_words(shown, 3) == "happy, neutral, sad" and expressions_words(shown, 1) == "happy"


def test_tones_are_ten_and_high_above_the_score():
    scores = {f"tone {number}": number / 100 for number in range(25, 37)}
    found = tone.tone_words(scores, 10, 0.3).split(", ")
    assert found[:6] == [f"High tone {number}" for number in (36, 35, 34, 33, 32, 31)]
    assert found[6:] == [f"Low tone {number}" for number in (30, 29, 28, 27)]


def test_state_is_high_from_its_threshold_on_or_numbers():
    values = {"arousal": 0.5, "valence": 0.4999, "dominance": 0.71}
    assert state.state_words(values, StateSection()) == "High Arousal, Low Valence, High Dominance"
    assert state.state_words(values, StateSection(wording="numbers")) == (
        "Arousal level (between 0 and 1) of 0.50, Valence level (between 0 and 1) of 0.50, "
        "Dominance level (between 0 and 1) of 0.71")


def test_the_text_is_the_papers():
    cues = {"speech": "Well {}.", "units": "Jaw Drop", "expressions": "happy", "tone": "High pitch", "state": "High A"}
    assert fill(cues) == ("Speech transcription of the video : Well {}.; Facial Action Units activated during the "
                          "video : Jaw Drop; Emotions predicted from visual modality: happy; Characteristics of the "
                          "prosody : High pitch; Audio emotional state : High A")
    assert fill(cues, ("tone", "speech"), {"tone": "Voice {}"}) == "Speech transcription of the video : Well {}.; " \
        "Voice High pitch"


def test_a_voice_is_compared_with_its_speaker_else_its_corpus_else_the_reference():
    clips = [Clip(id=str(n), corpus="c", speaker="a" if n < 4 else None) for n in range(6)]
    facts = {clip.key: {"pitch": float(n), "tempo": 4.0} for n, clip in enumerate(clips)}
    found = levels.Baselines(clips, facts, VoiceSection(speaker_clips=4, corpus_clips=6))
    assert found.percentiles(clips[0], facts["c/0"]) == {"pitch": 0.125, "tempo": 0.5}  # of four
    assert found.percentiles(clips[5], facts["c/5"])["pitch"] == round(5.5 / 6, 4)
    assert found.used == {"speaker": 1, "corpus": 1}
    few = levels.Baselines(clips, facts, VoiceSection(speaker_clips=5, corpus_clips=7))
    table = levels.reference()
    assert few.percentiles(clips[0], {"pitch": table["pitch"][10]}) == {"pitch": 0.5} and few.used == {"reference": 1}
    wording = VoiceSection().levels
    assert levels.level_words({"tempo": 0.8, "pitch": 0.19}, wording) == "Very low pitch, Very high tempo"
    assert levels.level_words({"pitch": 0.2, "tempo": 0.59, "loudness": 1.0}, wording) == (
        "Low pitch, Very high loudness, Medium tempo")


def test_units_go_up_with_what_moves_and_stay_at_rest():
    rest = np.array([units.AT_REST[name] for name in MEASURES])
    still = units.units_of(rest[None], own=0.0)[0]
    assert (still < 0.05).all()
    smile = rest.copy()
    smile[MEASURES.index("corner_height")] += 0.04
    smile[MEASURES.index("mouth_width")] += 0.15
    found = dict(zip(units.MEASURED, units.units_of(np.stack([rest, smile]), own=0.0)[1], strict=True))
    assert found["AU12"] > 0.9 and found["AU15"] < 0.05 and found["AU01"] < 0.05
    raised = rest.copy()
    raised[MEASURES.index("inner_brow")] += 0.04
    found = dict(zip(units.MEASURED, units.units_of(raised[None], own=0.0)[0], strict=True))
    assert found["AU01"] > 0.9 and found["AU04"] < 0.05 and found["AU12"] < 0.05
    # Half of a clip's own median is taken off; with a known face at rest all of what it differs.
    assert units.units_of(raised[None], own=1.0)[0].max() < 0.05
    assert units.units_of(raised[None], own=0.0, rest=raised)[0].max() < 0.05


def test_one_frame_alone_is_not_the_face():
    spike = np.array([[0.0], [0.0], [9.0], [0.0], [2.0], [2.0], [3.0]])
    assert units.steady(spike, 3).ravel().tolist() == [0, 0, 0, 2, 2, 2, 3] and units.steady(spike, 1) is spike


FEAT = "FaceScore,AU01,AU12,happiness,anger,frame\n"


def table(tmp_path, text: str, encoding="utf-8"):
    path = tmp_path / "clip.csv"
    path.write_bytes(text.encode(encoding))
    return read_table(path)


@pytest.mark.parametrize("text, encoding", [
    (FEAT + "0.9,0.2,0.7,0.6,0.1,0\n0.99,0.4,,0.8,nan,1\n0.5,1,1,1,1,1\n", "utf-8"),
    ('"FaceScore","AU01","AU12","happiness","anger","frame"\r\n"0.9","0.2","0.7","0.6","0.1","0"\r\n'
     '"0.99","0.4","NaN","0.8","","1"\r\n0.5,1,1,1,1,1\r\n\r\n', "utf-8-sig"),
    (" \u201cFaceScore\u201d, AU01 , AU12,happiness,anger,frame\n0.9,\u201c0.2\u201d,0.7,0.6,0.1,0\n"
     "0.99,0.4,NA,0.8,,1\n0.5,1,1,1,1,1\n", "cp1252"),
])
def test_py_feat_tables_with_marks_quotes_gaps_and_several_faces(tmp_path, text, encoding):
    found = table(tmp_path, text, encoding)
    assert found.units["AU01"].tolist() == [0.2, 0.4] and found.units["AU12"].tolist() == [0.7, 0.0]
    assert found.expressions["happy"].tolist() == [0.6, 0.8] and found.expressions["angry"].tolist() == [0.1, 0.0]
    assert found.notes == ["1 frames have several faces: the surest is taken",
                           "1 values of units are missing and count as 0"]


def test_openface_tables_have_intensities_to_five_and_untracked_frames(tmp_path):
    found = table(tmp_path, "frame, timestamp, confidence, success, AU01_c, AU01_r, AU45_c, AU28_c\n"
                            "1, 0.0, 0.98, 1, 1, 2.5, 1, 0\n2, 0.5, 0.1, 0, 1, 5, 0, 1\n")
    assert found.units == {"AU01": pytest.approx([0.5, 0]), "AU28": pytest.approx([0, 0]),
                           "AU43": pytest.approx([1, 0])}
    assert found.found.tolist() == [True, False] and found.times.tolist() == [0.0, 0.5]


@pytest.mark.parametrize("text, said", [
    ("a,b\n1,2\n", "no column of an action unit"), ("AU01,frame\nhigh,0\n", ":2: column au01 has 'high'"),
    ("AU01,frame\n1\n", ":2: has 1 cells"), ("", "no column of an action unit"),
])
def test_what_is_no_table_is_refused(tmp_path, text, said):
    with pytest.raises(ValueError, match=said):
        table(tmp_path, text)


def test_real_tables(shared_data):
    folder = shared_data / "pyfeat"
    old = read_table(folder / "001.csv")
    assert len(old.times) == 40 and set(old.units) == set(units.UNIT_NAMES) and len(old.expressions) == 7
    newer = read_table(folder / "news_sample" / "001.csv")
    assert set(newer.expressions) == set(old.expressions) and newer.found.all()
    openface = read_table(folder / "OpenFace_Test.csv")
    assert len(openface.times) == 100 and len(openface.units) == 18 and openface.times[1] > 0


def answer(*utterances) -> str:
    rows = [{"text": "so", "time": {"begin": begin, "end": end}, "emotions": [
        {"name": name, "score": score} for name, score in scores.items()]} for begin, end, scores in utterances]
    return json.dumps([{"results": {"predictions": [{"models": {"prosody": {"grouped_predictions": [
        {"id": "unknown", "predictions": rows}]}}}]}}])


def test_answers_of_a_tone_service_count_near_the_clip(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("\ufeff" + answer((0, 1, {"Joy": 0.2, "Fear": 0.1}), (5.5, 6, {"Joy": 0.6}), (9, 10, {"Joy": 1.0})))
    assert tone.read_tones(path, (3.0, 4.0), 2.0) == {"Joy": 0.6}
    assert tone.read_tones(path, (3.0, 4.0), 2.5) == {"Joy": 0.4, "Fear": 0.1}
    assert tone.read_tones(path, (20.0, 21.0), 2.0) is None
    for text, said in ((answer((0, 1, {"Joy": 3})), "outside 0..1"), ('[{"time": {}, "emotions": []}]', "lacks"),
                       ("5", "no answer of a tone service"), ("{", "is not JSON")):
        path.write_text(text)
        with pytest.raises(ValueError, match=said):
            tone.read_tones(path, (0, 1), 2)


def test_the_words_of_a_video_are_those_of_its_clips_in_order():
    clips = [Clip(id="b", group="v", start=4.0), Clip(id="a", group="v", start=1.0), Clip(id="c"),
             Clip(id="d", group="v", start=9.0)]
    words = {"/a": "One.", "/b": "Two.", "/c": " \u200b", "/d": None}
    own = words_in_context(clips, words, SpeechSection())
    assert own == {"/a": "One.", "/b": "Two.", "/c": None, "/d": None}
    whole = words_in_context(clips, words, SpeechSection(context="video"))
    assert whole == {"/a": "One. Two.", "/b": "One. Two.", "/c": None, "/d": "One. Two."}


def test_cues_that_are_not_there_have_their_phrase_and_are_counted():
    recipe = load("textualize", ["source.manifests=m", "speech.words=given"])
    clip, counts = Clip(id="a", words="\n"), Counter()
    found = {"/a": {"face": {"measures": [], "expressions": None, "notes": ["no face was found"]}, "voice": {},
                    "state": {"state": None}}}
    [text] = describe([clip], found, recipe, counts)
    assert text.cues == {"speech": "No speech detected", "units": "No face detected",
                         "expressions": "No face detected", "tone": "No speech detected",
                         "state": "No speech detected"}
    assert text.values == {} and text.notes == ["no face was found"] and counts["units: No face detected"] == 1
    [text] = describe([clip], {"/a": {"face": {"error": "broken"}, "table": {"error": "none"}}}, recipe, counts)
    assert set(text.cues) == {"speech"} and text.notes == ["broken", "none"] and counts["face: cannot be read"] == 1


def test_texts_are_read_as_they_were_written_and_others_refused(tmp_path):
    path = tmp_path / "texts.jsonl"
    one = texts.ClipText("c/a", {"tone": "High pitch"}, {"tone": {"pitch": 0.7}}, ["note"])
    path.write_text(json.dumps(one.row()) + "\n")
    assert texts.read_texts(path) == {"c/a": one}
    for row, said in (({"key": "a"}, "no row of a texts file"), ({"key": "a", "cues": {"nose": "x"}}, "'nose' is not"),
                      ({"key": "a", "cues": {}, "values": {"tone": {"a": True}}}, "values must be"),
                      ({"key": "a", "cues": {}, "notes": [1]}, "notes must be")):
        path.write_text(json.dumps(row) + "\n")
        with pytest.raises(ValueError, match=said):
            texts.read_texts(path)
    path.write_text(json.dumps(one.row()) + "\n" + json.dumps(one.row()) + "\n")
    with pytest.raises(ValueError, match=":2: clip 'c/a' is there twice"):
        texts.read_texts(path)


@pytest.mark.parametrize("words, said", [
    (["cues=nose"], "cues is nose"), (["slots.tone=Voice"], "slots.tone"), (["face.active=2"], "face.active"),
    (["voice.levels={Low: 0.1}"], "voice.levels must begin at 0"), (["source.manifests="], "source.manifests is empty"),
    (["state.labelled=a", "state.model=b"], "state.labelled fits a head"), (["voice.against=all"], "voice.against"),
])
def test_settings_that_cannot_be_are_told(words, said):
    with pytest.raises(ValueError, match=said):
        load("textualize", ["source.manifests=m.jsonl", *words])


def test_the_defaults_are_the_papers():
    face, voice, speech, dimensions = FaceSection(), VoiceSection(), SpeechSection(), StateSection()
    assert (face.active, face.top, voice.tone_top, voice.tone_high, voice.tone_margin) == (0.5, 3, 10, 0.3, 2.0)
    assert (speech.threshold, speech.min_silence_ms, dimensions.high) == (0.6, 200, 0.5)
