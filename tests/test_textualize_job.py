"""`affectgpt textualize` from clips to texts: with and without faces and sound, killed and started again."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from generate_fixtures import inside, manifest, write_manifest
from media_fixtures import tone, write_clip

from affectgpt.cli import main
from affectgpt.data.clip import Clip, Targets
from affectgpt.files import read_jsonl
from affectgpt.textualize import job, measure, speech, state, units, voice
from affectgpt.textualize.settings import FaceSection, load
from affectgpt.textualize.texts import read_texts

QUICK = ["face.frames_per_second=2", "face.max_frames=4"]


@pytest.fixture(scope="session")
def package_cache(tmp_path_factory) -> Path:
    return tmp_path_factory.getbasetemp() / "textualize_cache"


@pytest.fixture(autouse=True)
def cache(inside, package_cache, monkeypatch):
    """The bundled network is unpacked once for all tests here."""
    monkeypatch.setenv("AFFECTGPT_CACHE", str(package_cache))


@pytest.fixture(scope="session")
def clips(manifest, tmp_path_factory) -> Path:
    """Two drawn faces that speak, a picture without a face or sound, a tone without a picture, words alone, and a file
    that is none."""
    folder = tmp_path_factory.mktemp("textualize")
    drawn = [row for _, row in read_jsonl(manifest)][:2]
    (folder / "clips").symlink_to(manifest.parent / "clips")
    rows = [{"id": f"face{number}", "media": "clips/" + Path(row["media"]).name, "words": "Well then.",
             "speaker": f"s{number}"} for number, row in enumerate(drawn)]
    write_clip(folder / "pattern.mp4", frames=6)
    write_clip(folder / "hum.wav", frames=0, sound=tone(1.0, frequency=140.0))
    (folder / "broken.mp4").write_bytes(b"no film")
    rows += [{"id": "pattern", "media": "pattern.mp4"}, {"id": "hum", "media": "hum.wav"},
             {"id": "words", "words": "Only words."}, {"id": "broken", "media": "broken.mp4"},
             {"id": "empty", "words": None, "labels": ["happy"]}]
    return write_manifest(folder / "clips.jsonl", rows)


def textualize(corpus: Path, *overrides: str, output="out"):
    return job.run(load("textualize", [f"source.manifests={corpus}", f"output={output}", *QUICK, *overrides]))


def files(output="out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(output).glob("*.jsonl")}


def test_every_clip_has_a_text_or_is_listed_and_a_killed_job_ends_with_the_same_bytes(clips, capsys, monkeypatch):
    monkeypatch.setattr(speech, "heard_words", lambda waveform, settings: "Heard.")
    textualize(clips)
    found = {key.partition("/")[2]: text for key, text in read_texts("out/texts.jsonl").items()}
    assert set(found) == {"face0", "face1", "pattern", "hum", "words", "empty"}
    assert found["face0"].cues["speech"] == "Well then." and "state" not in found["face0"].cues
    assert set(found["face0"].values["units"]) == set(units.MEASURED) and found["face0"].values["tone"]["pitch"] >= 0
    assert len(found["face0"].cues["expressions"].split(", ")) == 3
    assert found["pattern"].cues["units"] == found["pattern"].cues["expressions"] == "No face detected"
    assert found["pattern"].cues["tone"] == found["pattern"].cues["speech"] == "No speech detected"
    assert found["hum"].cues["units"] == "No face detected" and found["hum"].cues["speech"] == "Heard."
    assert found["words"].cues["speech"] == "Only words." and found["empty"].cues["speech"] == "No speech detected"
    [(_, skipped)] = read_jsonl("out/skipped.jsonl")
    assert skipped["key"].endswith("/broken") and all("broken.mp4" in reason for reason in skipped["reasons"])
    said = capsys.readouterr().out
    assert "clips:    7, of which 6 have a text and 1 none" in said and "face: cannot be read" in said

    whole = files()
    lines = whole["journal.jsonl"].splitlines(keepends=True)
    Path("out/texts.jsonl").unlink()
    Path("out/journal.jsonl").write_bytes(b"".join(lines[:7]) + lines[7][:20])
    asked, run = [], measure.run
    monkeypatch.setattr(measure, "run", lambda work, some: asked.extend(some) or run(work, some))
    textualize(clips)
    assert files() == whole
    # What is held is not measured again; a file that cannot be read is tried again.
    assert len(asked) == len(lines) - 7 + 3

    # A threshold changes the texts and measures nothing but the broken file.
    asked.clear()
    textualize(clips, "face.active=0", "slots.tone=Voice: {}")
    assert {clip.id for clip in asked} == {"broken"}
    changed = read_texts("out/texts.jsonl")
    key = next(key for key in changed if key.endswith("/face0"))
    values = changed[key].values["units"]
    assert len(changed[key].cues["units"].split(", ")) == sum(value > 0 for value in values.values()) > 3


def test_the_command_and_what_it_refuses(clips, capsys):
    assert main(["textualize", "textualize", f"source.manifests={clips}", "cues=units", "output=out", *QUICK]) == 0
    assert "output:   out/texts.jsonl" in capsys.readouterr().out
    for words, said in ((["source.manifests=out/texts.jsonl"], "unknown key 'key'"),
                        (["cues=units,nose"], "cues is units, nose"),
                        (["state.model=out", "cues=state"], "out: has no"),
                        (["face.active=2"], "face.active"), (["source.splits=dev"], "no clip has the split 'dev'")):
        assert main(["textualize", "textualize", f"source.manifests={clips}", "output=out", *words]) == 2
        assert said in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["textualize", "--help"])
    assert "face.tables=TABLES" in capsys.readouterr().out


def test_tables_and_answers_take_the_place_of_what_is_measured(clips, tmp_path):
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "face0.csv").write_text("AU01,AU10,happiness,frame\n0.9,0.6,0.3,0\n0.1,0.2,0.4,1\n")
    (tmp_path / "tables" / "face1.csv").write_text("AU01,AU10\nnan,nan\n")
    (tmp_path / "tables" / "hum.csv").write_text("x\n1\n")
    (tmp_path / "tones").mkdir()
    (tmp_path / "tones" / "face0.json").write_text(json.dumps(
        [{"time": {"begin": 0, "end": 1}, "emotions": [{"name": "Joy", "score": 0.31},
                                                        {"name": "Awe", "score": 0.3}]}]))
    textualize(clips, "face.tables=tables", "voice.tone_folder=tones", "cues=units,expressions,tone")
    found = {key.partition("/")[2]: text for key, text in read_texts("out/texts.jsonl").items()}
    assert set(found) == {"face0", "face1"}
    assert found["face0"].cues == {"units": "Inner Brow Raiser, Upper Lip Raiser", "expressions": "happy",
                                   "tone": "High Joy, Low Awe"}
    assert found["face0"].values["units"] == {"AU01": 0.9, "AU10": 0.6}
    assert found["face1"].cues == {"units": "No face detected", "expressions": "No face detected"}
    skipped = {row["key"].partition("/")[2]: row["reasons"] for _, row in read_jsonl("out/skipped.jsonl")}
    assert "no column of an action unit" in skipped["hum"][0] and "no such table" in skipped["words"][0]


def test_frame_units_have_times_and_say_where_a_face_is(clips):
    rows = {row["id"]: row for _, row in read_jsonl(clips)}
    found = units.frame_units(Clip(id="face0", media=clips.parent / rows["face0"]["media"]),
                              FaceSection(frames_per_second=4.0))
    assert found.names == tuple(units.MEASURED) and found.values.shape == (len(found.times), len(found.names))
    assert found.found.all() and (found.times[1:] > found.times[:-1]).all()
    assert 0 <= float(found.values.min()) and float(found.values.max()) <= 1
    nothing = units.frame_units(Clip(id="pattern", media=clips.parent / "pattern.mp4"), FaceSection())
    assert not nothing.found.any() and not nothing.values.any()


def voiced(pitch: float, seconds=1.5, noise=0.0, level=0.3, rate=4.0) -> np.ndarray:
    """Harmonics of a pitch that come and go like syllables."""
    time = np.arange(round(seconds * 16000)) / 16000
    wave = sum(np.sin(2 * np.pi * pitch * number * time) / number for number in range(1, 9))
    wave *= 0.55 - 0.45 * np.cos(2 * np.pi * rate * time)
    wave += noise * np.random.default_rng(0).normal(size=len(time))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def test_facts_of_a_voice_go_with_what_is_heard():
    low, high = voice.voice_facts(voiced(110.0)), voice.voice_facts(voiced(220.0))
    assert high["pitch"] - low["pitch"] == pytest.approx(12, abs=0.3) and low["pitch range"] < 1
    assert low["pitch"] == pytest.approx(24, abs=0.3)  # semitones above 27.5 Hz
    quiet = voice.voice_facts(voiced(110.0, level=0.03))
    assert low["loudness"] - quiet["loudness"] == pytest.approx(20, abs=0.5)
    assert voice.voice_facts(voiced(110.0, noise=0.3))["harmonicity"] < low["harmonicity"] - 3
    assert voice.voice_facts(voiced(110.0, rate=6.0))["tempo"] > low["tempo"] + 1
    assert low["tempo"] == pytest.approx(4, abs=1.1) and set(low) == set(voice.FACTS)
    assert voice.voice_facts(np.random.default_rng(0).normal(0, 0.1, 24000).astype(np.float32)) is None
    assert voice.voice_facts(np.zeros(100, dtype=np.float32)) is None


def test_a_state_head_learns_is_saved_and_refuses_what_it_is_asked_about(clips, tmp_path):
    random = np.random.default_rng(0)
    features = random.normal(size=(60, 8))
    targets = np.clip(0.5 + features[:, :3] * [0.2, -0.2, 0.1], 0, 1)
    head = state.Head.fit(features, targets, 1.0, {"corpora": ["c"]})
    found = np.array([list(head(row).values()) for row in features])
    assert np.corrcoef(found[:, 0], targets[:, 0])[0, 1] > 0.95 and list(head(features[0])) == list(state.DIMENSIONS)
    head.save(tmp_path / "head")
    again = state.Head.load(tmp_path / "head")
    assert again(features[0]) == pytest.approx(head(features[0]), abs=1e-3) and again.facts["clips"] == 60
    with pytest.raises(ValueError, match="at least 10"):
        state.Head.fit(features[:9], targets[:9], 1.0, {})
    with pytest.raises(ValueError, match="7 of its clips are textualized too"):
        textualize(clips, "cues=state", f"state.labelled={clips}")
    facts = json.loads((tmp_path / "head" / "state_head.json").read_text())
    (tmp_path / "head" / "state_head.json").write_text(json.dumps({**facts, "features": "others"}))
    with pytest.raises(ValueError, match="of other features"):
        state.Head.load(tmp_path / "head")


def test_labels_have_places_and_ratings_come_first():
    def place(**targets):
        return state.dimensions_of(Clip(id="a", corpus="iemocap", targets=Targets(**targets)))

    assert place(emotion="angry") == pytest.approx((0.8, 0.25, 0.65)) and place(emotion=None) is None
    assert place(emotion="angry", arousal=5.0, valence=1.0, dominance=3.0) == pytest.approx((1.0, 0.0, 0.5))


def test_a_model_with_three_outputs_answers_in_the_published_order(tmp_path):
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2FeatureExtractor, Wav2Vec2Model

    config = Wav2Vec2Config(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
                            conv_dim=(8, 8), conv_stride=(5, 4), conv_kernel=(10, 8), num_feat_extract_layers=2,
                            num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2, vocab_size=8, num_labels=3)
    torch.manual_seed(0)
    model = state._state_model()(config)
    torch.nn.init.normal_(model.classifier.out_proj.weight)
    model.classifier.out_proj.bias.data = torch.tensor([0.2, 0.5, 0.8])
    model.save_pretrained(tmp_path / "model")
    Wav2Vec2FeatureExtractor().save_pretrained(tmp_path / "model")
    waveform = voiced(120.0, seconds=0.5)
    found = state.wav2vec2_state(str(tmp_path / "model"))(waveform)
    inputs = torch.from_numpy((waveform - waveform.mean()) / np.sqrt(waveform.var() + 1e-7))[None]
    with torch.inference_mode():
        pooled = model.eval().wav2vec2(inputs).last_hidden_state.mean(1)
        head = model.classifier
        arousal, dominance, valence = head.out_proj(torch.tanh(head.dense(pooled)))[0].clamp(0, 1).tolist()
    assert len({0.0, 1.0, *found.values()}) == 5
    assert found == pytest.approx({"arousal": arousal, "valence": valence, "dominance": dominance}, abs=1e-3)
    Wav2Vec2Model(config).save_pretrained(tmp_path / "model")
    with pytest.raises(ValueError, match="no head"):
        state.wav2vec2_state(str(tmp_path / "model"))
    with pytest.raises(ValueError, match="cannot be loaded"):
        state.wav2vec2_state(str(tmp_path / "none"))


def test_voices_are_found_before_words_are(monkeypatch):
    pytest.importorskip("silero_vad")
    heard = []
    monkeypatch.setattr(speech, "transcribe", lambda waveform: heard.append(len(waveform)) or "Words.")
    settings = load("textualize", ["source.manifests=m"]).speech
    assert speech.heard_words(np.zeros(16000, dtype=np.float32), settings) == "" and not heard
    settings.detector = "none"
    assert speech.heard_words(np.zeros(16000, dtype=np.float32), settings) == "Words." and heard == [16000]
