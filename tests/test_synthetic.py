"""The starter corpus: same seed, same corpus; nothing crosses the splits; evidence tells what was made."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import asdict, replace

import av
import cv2
import numpy as np
import pytest

from affectgpt.synthetic import words as wording
from affectgpt.synthetic.corpus import CUES, FPS, make_corpus, make_speaker, plan_clip, render_clip, write_clip
from affectgpt.synthetic.face import EXPRESSIONS, FacePainter
from affectgpt.synthetic.phonemes import phonemes
from affectgpt.synthetic.voice import SAMPLE_RATE, VoiceBody, synthesise, voice_style
from affectgpt.words.basic import BASIC_EMOTIONS, basic_emotion, polarity_of

# A word in the evidence of a voice, the parameter that it speaks about, and which way that must go.
VOICE_CLAIMS = (("loud", "gain", 1), ("quiet", "gain", -1), ("fast", "rate", 1), ("slow", "rate", -1),
                (" high", "level", 1), (" low", "level", -1), ("creaky", "creak", 1),
                ("trembling", "tremor", 1), ("breathy", "breath", 1))
BODY = VoiceBody(pitch=120.0, formants=1.0, rate=1.0, breath=0.1)


@pytest.fixture(scope="module")
def plans():
    return [plan_clip(index) for index in range(560)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("starter") / "corpus"
    return make_corpus(folder, clips=4, seed=3, speakers=3, workers=1, progress=False)


def _rows(manifest):
    return [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]


# -- the plan --------------------------------------------------------------------------------------------
def test_identities_and_sentences_do_not_cross_the_splits(plans):
    speakers, said = defaultdict(set), defaultdict(set)
    for plan in plans:
        speakers[plan.row["split"]].add(plan.row["speaker"])
        said[plan.row["split"]].add(plan.row["words"])
    assert {split: len(names) for split, names in speakers.items()} == {"train": 8, "validation": 2, "test": 4}
    for one, other in (("train", "validation"), ("train", "test"), ("validation", "test")):
        assert not speakers[one] & speakers[other]
        assert not said[one] & said[other]
    for emotion in BASIC_EMOTIONS:
        pools = [wording.sentences(emotion, split) for split in ("train", "validation", "test")]
        assert len(set().union(*pools)) == sum(map(len, pools)) >= (20 if emotion == "neutral" else 10)


def test_every_identity_has_the_same_mix(plans):
    mixes = defaultdict(Counter)
    for plan in plans:
        mixes[plan.row["speaker"]][plan.condition, plan.row["emotion"]] += 1
    first = mixes["speaker_00"]
    assert len(mixes) == 14 and all(mix == first for mix in mixes.values())
    assert Counter(condition for condition, _ in first.elements()) == {
        "all": 6, "audio": 6, "face": 6, "text": 6, "neutral": 4, "conflict": 12}


def test_rows_agree_with_their_condition(plans):
    for plan in plans:
        row, cues = plan.row, plan.row["cues"]
        shown = {cue for cue in cues.values() if cue != "neutral"}
        carriers = [stream for stream in CUES if cues[stream] != "neutral"]
        expected = {"all": 3, "neutral": 0, "conflict": 2}.get(plan.condition, 1)
        assert len(carriers) == expected
        assert len(shown) == {"neutral": 0, "conflict": 2}.get(plan.condition, 1)
        if plan.condition in CUES:
            assert carriers == [plan.condition]
        assert {basic_emotion(label) for label in row["labels"]} == (shown or {"neutral"})
        assert row["sentiment"] == polarity_of(row["labels"]) and -1 <= row["valence"] <= 1
        assert row["emotion"] == (None if plan.condition == "conflict" else row["labels"][0])
        assert row["words"] in wording.sentences(cues["text"], row["split"])


def test_a_clip_does_not_depend_on_the_size_of_the_corpus(tmp_path, corpus):
    assert [row["id"] for row in _rows(corpus)] == [f"syn_{index:05d}" for index in range(4)]
    assert _rows(corpus) == [plan_clip(index, seed=3, speakers=3).row for index in range(4)]
    assert plan_clip(0, seed=4, speakers=3).row != plan_clip(0, seed=3, speakers=3).row


# -- evidence --------------------------------------------------------------------------------------------
def test_evidence_is_short_and_follows_the_parameters(plans):
    for plan in plans:
        evidence, cues, style = plan.row["evidence"], plan.row["cues"], asdict(plan.style)
        for stream in CUES:
            assert 7 <= len(evidence[stream].split()) <= 14, evidence[stream]
        said = evidence["audio"].lower()
        for word, key, sign in VOICE_CLAIMS:
            neutral = 1.0 if key == "rate" else 0.0
            if word in said and cues["audio"] != "neutral":
                assert sign * (style[key] - neutral) > 0, (said, style)
        assert (evidence["audio"] in wording._NEUTRAL_VOICE) == (cues["audio"] == "neutral")
        assert (evidence["face"] in wording._NEUTRAL_FACE) == (cues["face"] == "neutral")
        seen = evidence["face"].lower()
        named = [units for units, forms in wording._ACTION_WORDS.items()
                 if any(form in seen for form in forms)]
        if cues["face"] != "neutral":
            assert named
            assert all(plan.actions.get(unit, 0) >= wording.ACTIVE for units in named for unit in units)
    for stream, least in (("audio", 4), ("face", 4), ("text", 4)):
        for emotion in BASIC_EMOTIONS:
            heard = {plan.row["evidence"][stream] for plan in plans if plan.row["cues"][stream] == emotion}
            assert len(heard) >= least, (stream, emotion)


def test_evidence_follows_other_parameters_when_they_change():
    rng = np.random.default_rng(0)
    sad = asdict(voice_style("sad", 1.0, np.random.default_rng(0)))
    assert "loud" not in wording.voice_words(sad)[0] and "quiet" in wording.voice_words(sad)[0]
    assert "loud" in wording.voice_words(sad | {"gain": 6.0})[0]
    assert wording.visible_actions({4: 0.8, 24: 0.1}) == [(4,)]
    assert "nose" in wording.face_evidence({9: 0.9}, rng)
    with pytest.raises(ValueError, match="not a sentence"):
        wording.text_evidence("Nobody says this.", rng)


# -- voice -----------------------------------------------------------------------------------------------
def test_voices_differ_as_their_styles_say():
    words = "The book is on the lower shelf."
    level, seconds, brightness = {}, {}, {}
    for emotion in BASIC_EMOTIONS:
        style = voice_style(emotion, 0.9, np.random.default_rng(1))
        wave = synthesise(words, BODY, style, np.random.default_rng(2)).waveform
        assert wave.dtype == np.float32 and np.abs(wave).max() < 1
        level[emotion], seconds[emotion] = 20 * np.log10(np.sqrt(np.mean(wave ** 2))), len(wave) / SAMPLE_RATE
        spectrum = np.abs(np.fft.rfft(wave)) ** 2
        brightness[emotion] = (spectrum * np.linspace(0, 8000, len(spectrum))).sum() / spectrum.sum()
    assert level["angry"] > level["neutral"] + 5 and level["sad"] < level["neutral"] - 5
    assert seconds["sad"] > 1.15 * seconds["neutral"] and seconds["fearful"] < 0.95 * seconds["neutral"]
    assert brightness["angry"] > brightness["sad"]


def test_pitch_of_the_voice_is_the_pitch_asked_for():
    style = replace(voice_style("neutral", 1.0, np.random.default_rng(0)), range=0.0, final=0.0, level=0.0)
    for pitch in (110.0, 200.0):
        body = replace(BODY, pitch=pitch)
        wave = synthesise("We all are in a long row.", body, style, np.random.default_rng(0)).waveform
        part = wave[len(wave) // 2 - 1600:len(wave) // 2 + 1600]
        autocorrelation = np.correlate(part, part, "full")[len(part) - 1:]
        lags = np.arange(40, 230)
        assert SAMPLE_RATE / lags[autocorrelation[lags].argmax()] == pytest.approx(pitch, rel=0.2)


def test_letters_become_phonemes():
    assert phonemes("cats") == ["K", "AE", "T", "S"]
    assert phonemes("make") == ["M", "EY", "K"]
    assert phonemes("city!") == ["S", "IH", "T", "IY"]
    assert phonemes("the") == ["DH", "AX"]


# -- face ------------------------------------------------------------------------------------------------
def test_faces_are_found_and_change_with_the_expression():
    detector = cv2.CascadeClassifier(cv2.data.haarcascades + "haarcascade_frontalface_alt2.xml")
    found = []
    for index in range(12):
        painter = FacePainter(make_speaker(index, seed=0).look)
        still = painter.draw({})
        for emotion in ("neutral", "happy", "sad", "angry", "fearful", "surprised", "disgusted"):
            image = painter.draw(EXPRESSIONS[emotion][0])
            grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
            found.append(len(detector.detectMultiScale(grey, 1.1, 4, minSize=(45, 45))) == 1)
            changed = np.mean(np.any(np.abs(image.astype(int) - still) > 25, axis=2))
            assert (changed == 0) if emotion == "neutral" else (changed > 0.008), (index, emotion, changed)
    assert np.mean(found) >= 0.97


def test_the_mouth_opens_with_speech():
    painter = FacePainter(make_speaker(0, seed=0).look)
    closed, opened = painter.draw({}), painter.draw({}, speech=1.0)
    rows = np.flatnonzero(np.any(np.abs(closed.astype(int) - opened) > 40, axis=(1, 2)))
    assert len(rows) and rows.min() > 112  # only the lower half of the picture moves


# -- files -----------------------------------------------------------------------------------------------
def test_same_seed_same_pixels_and_sound():
    plan = plan_clip(5, seed=1)
    frames, wave = render_clip(plan)
    again, wave_again = render_clip(plan_clip(5, seed=1))
    assert frames.shape[1:] == (224, 224, 3) and frames.dtype == np.uint8
    assert np.array_equal(frames, again) and np.array_equal(wave, wave_again)
    assert len(wave) == len(frames) * SAMPLE_RATE / FPS
    other, _ = render_clip(replace(plan, entropy=(1, 6)))
    assert len(other) != len(frames) or not np.array_equal(other, frames)


def test_files_are_h264_and_aac_and_decode(tmp_path):
    frames, wave = render_clip(plan_clip(2))
    write_clip(tmp_path / "clip.mp4", frames, wave)
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]  # no temporary file is left
    with av.open(str(tmp_path / "clip.mp4")) as container:
        video, sound = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        assert video.average_rate == FPS and sound.rate == SAMPLE_RATE
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        container.seek(0)
        heard = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert len(pictures) == len(frames)
    assert np.abs(np.stack(pictures).astype(int) - frames).mean() < 4
    assert abs(len(heard) - len(wave)) <= 4096
    assert np.sqrt(np.mean(heard ** 2)) == pytest.approx(np.sqrt(np.mean(wave ** 2)), rel=0.1)


def test_resume_keeps_whole_clips_and_repairs_broken_ones(corpus):
    folder, before = corpus.parent, corpus.read_bytes()
    clips = sorted((folder / "clips").iterdir())
    times = [clip.stat().st_mtime_ns for clip in clips]
    clips[1].write_bytes(b"not a video")
    clips[2].unlink()
    assert make_corpus(folder, clips=4, seed=3, speakers=3, workers=2, progress=False) == corpus
    assert corpus.read_bytes() == before and sorted((folder / "clips").iterdir()) == clips
    assert [clip.stat().st_mtime_ns for clip in clips][::3] == times[::3]
    assert clips[1].stat().st_size > 1000 and clips[2].stat().st_size > 1000


def test_other_parameters_and_foreign_folders_are_refused(corpus, tmp_path):
    with pytest.raises(ValueError, match="other parameters"):
        make_corpus(corpus.parent, clips=5, seed=3, speakers=3, progress=False)
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="corpus.json"):
        make_corpus(tmp_path, clips=1, progress=False)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(ValueError, match="speakers >= 3"):
        make_corpus(tmp_path / "new", clips=1, speakers=2)
