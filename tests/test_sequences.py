"""Sequences of features: times and alignment, one store a spec, kills, other settings, what a clip does not have."""

from __future__ import annotations

import json
from dataclasses import replace

import media_fixtures
import numpy as np
import pytest
import torch
from safetensors import safe_open
from tiny import parts  # noqa: F401  a fixture

from affectgpt.data.clip import Clip
from affectgpt.features import frames, sequences
from affectgpt.features.sequences import NOT_FINITE, resample, sequences_of
from affectgpt.features.spec import FeatureSpec, sequence_settings, store_name
from affectgpt.features.word_times import word_times, words_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    for number in range(4):
        media_fixtures.write_clip(folder / f"{number}.mp4", frames=6, rate=10, sound=media_fixtures.tone(
            0.6, frequency=300 + 90 * number))
    media_fixtures.write_clip(folder / "sound.wav", frames=0, sound=media_fixtures.tone(1.3))
    (folder / "broken.mp4").write_bytes(b"no video")
    return folder


@pytest.fixture
def clips(folder):
    names = [*(f"{number}.mp4" for number in range(4)), "sound.wav"]
    return [Clip(id=name, corpus="t", media=folder / name, words=f"words of clip {name}") for name in names]


def audio(parts, **values):  # noqa: F811
    return FeatureSpec(source="audio", encoder=parts["whisper"], **values)


def frame(parts, **values):  # noqa: F811
    return FeatureSpec(source="frame", encoder=parts["face"], **values)


def words(parts, **values):  # noqa: F811
    return FeatureSpec(source="words", encoder=parts["qwen2"], layers="last", **values)


def get(clips, specs, folder, **options):
    return sequences_of(clips, specs, folder, workers=0, progress=False, **options)


def tensors(place) -> dict[str, bytes]:
    """Clip -> the bytes of its tensors, wherever its row lies."""
    found = {}
    for path in (place / "shards").glob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for row in json.loads(file.metadata()["rows"]):
                found[row["clip"]] = b"".join(file.get_slice(name)[start : start + count].numpy().tobytes()
                                              for name, (start, count) in sorted(row["streams"].items()))
    return found


def files(place) -> dict:
    return {path.name: path.read_bytes() for path in (place / "shards").iterdir()}


def test_streams_have_their_rates_and_times(clips, parts, tmp_path):  # noqa: F811
    specs = [audio(parts, rate=10.0, statistics="mean_std"), frame(parts, rate=5.0), words(parts)]
    found = get(clips, specs, tmp_path)
    assert found.widths == {"audio": 2 * 2 * 32 + 1, "frame": 16, "words": 64} and list(found) == [c.key for c in clips]
    one = found["t/sound.wav"]
    assert set(one) == {"audio", "words"} and found.notes == {("t/sound.wav", "frame"): "no picture in this clip"}
    torch.testing.assert_close(one["audio"][1], 0.05 + 0.1 * torch.arange(13))
    torch.testing.assert_close(one["words"][1], (torch.arange(4) + 0.5) / 4 * 1.3)
    values, times = found["t/0.mp4"]["frame"]
    assert values.shape == (3, 16) and times.tolist() == pytest.approx([0.1, 0.3, 0.5])  # frames 1, 3, 5
    assert found.note_lines() == ["frame: 1 clips without (no picture in this clip): t/sound.wav"]


def test_a_position_of_sound_is_the_mean_of_its_part(clips, parts, tmp_path):  # noqa: F811
    """Against one position for the whole clip: the mean of parts of one length is the mean of the whole."""
    many = get(clips[-1:], [audio(parts, rate=10.0, level=False)], tmp_path)["t/sound.wav"]["audio"][0]
    one = get(clips[-1:], [audio(parts, rate=0.5, level=False)], tmp_path)["t/sound.wav"]["audio"][0]
    assert many.shape[0] == 13 and one.shape[0] == 1
    torch.testing.assert_close(many[:, :-1].mean(0), one[0, :-1], atol=1e-4, rtol=1e-3)  # the last one is the level


def test_levels_and_spoken_parts():
    silence, tone = np.zeros(8000, np.float32), media_fixtures.tone(0.5, amplitude=0.02)[0]
    waveform = np.concatenate([silence, tone, silence])
    louder = frames.levelled(waveform)
    np.testing.assert_allclose(louder, frames.levelled(10 * waveform), atol=1e-6)
    assert np.abs(louder).max() > 2 * np.abs(waveform).max() and not louder[:100].any()
    assert not frames.levelled(np.zeros(16000, np.float32)).any()


def test_a_word_is_the_mean_of_its_own_sub_words(clips, parts, tmp_path):  # noqa: F811
    from transformers import AutoModel, AutoTokenizer

    clip = replace(clips[0], words="unbelievable  joy, really")
    values, times = get([clip], [words(parts)], tmp_path)[clip.key]["words"]
    tokenizer, model = AutoTokenizer.from_pretrained(parts["qwen2"]), AutoModel.from_pretrained(parts["qwen2"]).eval()
    ids = [tokenizer(text)["input_ids"] for text in ("unbelievable", " joy,", " really")]
    with torch.no_grad():
        states = model(torch.tensor([sum(ids, [])])).last_hidden_state[0]
    plain = torch.stack([part.mean(0) for part in states.split([len(part) for part in ids])])
    torch.testing.assert_close(values, plain, atol=1e-5, rtol=1e-4)
    assert times.tolist() == pytest.approx([0.1, 0.3, 0.5])
    other = replace(clip, words="unbelievable joy, never")  # other words of the same file are another row
    assert not torch.equal(get([other], [words(parts)], tmp_path)[other.key]["words"][0][2], values[2])
    alone = replace(clip, media=None)  # words without media
    assert get([alone], [words(parts)], tmp_path)[alone.key]["words"][1].tolist() == pytest.approx([0.15, 0.45, 0.75])
    gone = replace(clip, media=tmp_path / "gone.mp4")  # nor does a file that is not there cost the words
    paced = get([gone], [words(parts)], tmp_path / "other")[gone.key]["words"][1]
    assert paced.tolist() == pytest.approx([0.15, 0.45, 0.75])
    nothing = get([replace(clip, words=" ")], [words(parts)], tmp_path)
    assert nothing[clip.key] == {} and nothing.notes[clip.key, "words"] == "no words in this clip"


def test_a_killed_extraction_goes_on_and_holds_the_same_bytes(clips, parts, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(sequences, "SHARD_CLIPS", 2)
    spec = audio(parts)
    get(clips, [spec], tmp_path / "whole")
    load, loaded = frames.Sound.load, []

    def dies(self, clip, speed=1.0):
        loaded.append(clip.key)
        if len(loaded) == 4:
            raise KeyboardInterrupt
        return load(self, clip, speed)

    monkeypatch.setattr(frames.Sound, "load", dies)
    with pytest.raises(KeyboardInterrupt):
        get(clips, [spec], tmp_path / "killed")
    get(clips, [spec], tmp_path / "killed")
    assert loaded[4:] == [clip.key for clip in clips[3:]]  # the whole shard and what was flushed are not read again
    [name] = [path.name for path in (tmp_path / "killed").iterdir()]
    assert tensors(tmp_path / "killed" / name) == tensors(tmp_path / "whole" / name)
    assert len(tensors(tmp_path / "whole" / name)) == 5


def test_a_whole_store_needs_no_encoder(clips, parts, tmp_path, monkeypatch):  # noqa: F811
    get(clips, [audio(parts)], tmp_path)
    monkeypatch.setattr(frames, "source_of", lambda *arguments: pytest.fail("loaded"))
    assert len(get(clips, [audio(parts)], tmp_path)) == 5


def test_another_spec_leaves_the_other_stores_as_they_are(clips, parts, tmp_path):  # noqa: F811
    specs = [audio(parts), frame(parts, rate=5.0)]
    get(clips, specs, tmp_path)
    before = {path.name: files(path) for path in tmp_path.iterdir()}
    get(clips, [specs[0], frame(parts, rate=10.0)], tmp_path)
    after = {path.name: files(path) for path in tmp_path.iterdir()}
    assert len(before) == 2 and len(after) == 3
    assert {name: after[name] for name in before} == before
    get(clips, [specs[0]], tmp_path, speed=1.1)  # another speed is added to the store of the sound
    [sound] = [name for name in before if name.startswith("audio")]
    assert files(tmp_path / sound).keys() > before[sound].keys()


def test_a_store_of_other_settings_is_refused(clips, parts, tmp_path):  # noqa: F811
    spec = audio(parts)
    get(clips, [spec], tmp_path)
    [place] = tmp_path.iterdir()
    settings = json.loads((place / "store.json").read_text())
    settings["streams"]["audio"]["rate"] = 2.5
    (place / "store.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="rate=2.5"):
        get(clips, [spec], tmp_path)
    settings["streams"]["audio"] |= {"rate": 5.0, "width": 7}
    (place / "store.json").write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="settings"):
        get(clips, [spec], tmp_path)


def test_a_changed_file_is_computed_again(clips, parts, tmp_path):  # noqa: F811
    own = tmp_path / "own.wav"
    media_fixtures.write_clip(own, frames=0, sound=media_fixtures.tone(0.5))
    clip = Clip(id="own", corpus="t", media=own)
    before = get([clip], [audio(parts)], tmp_path / "f")[clip.key]["audio"][0]
    media_fixtures.write_clip(own, frames=0, sound=media_fixtures.tone(0.9, frequency=900))
    after = get([clip], [audio(parts)], tmp_path / "f")[clip.key]["audio"][0]
    assert len(after) > len(before)


def test_unreadable_files_and_features_that_are_no_numbers(clips, folder, parts, tmp_path, monkeypatch):  # noqa: F811
    encode = frames.Sound.encode
    monkeypatch.setattr(frames.Sound, "encode", lambda self, loaded: encode(self, loaded) * (
        float("nan") if len(loaded.times) > 5 else 1.0))
    broken = Clip(id="broken", corpus="t", media=folder / "broken.mp4")
    found = get([*clips, broken], [audio(parts)], tmp_path)
    assert "audio" in found["t/0.mp4"] and found["t/sound.wav"] == {} and found["t/broken"] == {}
    assert found.notes["t/sound.wav", "audio"] == NOT_FINITE and "broken.mp4" in found.notes["t/broken", "audio"]
    lines = "\n".join(found.note_lines())
    assert NOT_FINITE in lines and "t/broken" in lines
    found.notes |= {(f"t/{n}", "face"): f"/data/{n}.mp4: no such file; check the path" for n in range(5)}
    assert "face: 5 clips without (no such file; check the path): t/0, t/1, t/2 and others" in found.note_lines()


def test_numbers_of_a_texts_file_are_one_position(clips, tmp_path):
    path = tmp_path / "texts.jsonl"
    rows = [{"key": "t/0.mp4", "cues": {"tone": "low"}, "values": {"tone": {"pitch": 0.25, "energy": 2}}, "notes": []},
            {"key": "t/1.mp4", "cues": {"tone": "high"}, "values": {"tone": {"pitch": 0.5}}, "notes": []},
            {"key": "t/2.mp4", "cues": {"tone": "No speech detected"}, "values": {}, "notes": []}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    spec = FeatureSpec(source="texts", encoder=str(path), cue="tone")
    found = get(clips, [spec], tmp_path)
    assert found.widths == {"tone": 2}
    assert found["t/0.mp4"]["tone"][0].tolist() == [[2.0, 0.25]]
    assert found["t/1.mp4"]["tone"][0].tolist() == [[0.0, 0.5]]
    assert found["t/2.mp4"] == {} and "no tone" in found.notes["t/2.mp4", "tone"]
    with pytest.raises(ValueError, match="no values of state"):
        get(clips, [replace(spec, cue="state")], tmp_path)


def test_action_units_of_tables_and_of_faces(clips, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    (tables / "0.mp4.csv").write_text("frame,AU01,AU12\n0,0.2,0.8\n30,0.4,0.6\n")
    found = get(clips[:2], [FeatureSpec(source="units", encoder=str(tables))], tmp_path)
    values, times = found["t/0.mp4"]["units"]
    assert values.shape == (2, 20) and values.sum(1).tolist() == pytest.approx([1.0, 1.0]) and times.tolist() == [0, 30]
    assert found["t/1.mp4"] == {} and "no such table" in found.notes["t/1.mp4", "units"]
    measured = get(clips[:1], [FeatureSpec(source="units", rate=5.0)], tmp_path / "f")
    assert measured["t/0.mp4"] == {} and measured.notes["t/0.mp4", "units"] == "no face was found"


def test_given_words_take_the_times_of_those_that_are_heard():
    heard = words_of(["", " Kids", " are", " tal", "king", " buy", ".", ""], [0.4, 0.8, 1.0, 1.2, 1.6, 2.0, 2.2, 2.2])
    assert [(one.word, one.start, one.end) for one in heard] == [
        ("Kids", 0.4, 0.8), ("are", 0.8, 1.0), ("talking", 1.0, 1.6), ("buy.", 1.6, 2.2)]
    times = word_times(["Kids", "ARE", "all", "talking,", "by", "doors"], heard, 3.0)
    # Known: 0, 1 and 3; "all" lies between its neighbours, two words share the rest up to the end.
    assert times.tolist() == pytest.approx([0.6, 0.9, 1.1, 1.3, 1.3 + 1.7 / 2.5, 1.3 + 3.4 / 2.5])
    assert word_times(["nothing"], heard, 3.0) is None


def test_real_words_are_heard_in_their_order(shared_data, parts, tmp_path):  # noqa: F811
    path = shared_data / "clips/ravdess_audio/03-01-02-01-01-02-03.opus"
    clip = Clip(id="kids", media=path, words="Kids are talking by the door")
    values, times = get([clip], [words(parts, timed=True)], tmp_path)["/kids"]["words"]
    assert len(values) == 6 and bool((times.diff() > 0).all())
    assert 0.8 < times[0] and times[-1] < 3.2  # where the speech is
    unsaid = get([replace(clip, words=None)], [words(parts, timed=True)], tmp_path)["/kids"]["words"][1]
    torch.testing.assert_close(unsaid, times, atol=0.15, rtol=0)


def test_resampling_by_hand():
    values, times = torch.tensor([[0.0], [10.0], [40.0]]), torch.tensor([1.0, 2.0, 4.0])
    at = torch.tensor([0.0, 1.0, 1.25, 2.0, 2.5, 3.0, 3.5, 9.0])
    assert resample(values, times, at)[:, 0].tolist() == [0, 0, 2.5, 10, 17.5, 25, 32.5, 40]
    assert resample(values, times, at, nearest=True)[:, 0].tolist() == [0, 0, 0, 10, 10, 10, 40, 40]
    assert resample(values[:1], times[:1], at).tolist() == [[0.0]] * 8
    torch.testing.assert_close(resample(values, times, times), values)


def test_names_of_stores_follow_what_changes_features():
    spec = FeatureSpec(source="face", encoder="x/y")
    name = store_name(spec, sequence_settings(spec, "commit:1"))
    same, other = replace(spec, name="leader", batch=2, rate=5), replace(spec, margin=0.2)
    assert store_name(same, sequence_settings(same, "commit:1")) == name
    assert store_name(other, sequence_settings(other, "commit:1")) != name != store_name(
        spec, sequence_settings(spec, "commit:2"))
    assert FeatureSpec(source="audio").problems("streams.0") and not spec.problems("streams.0")
    assert not FeatureSpec(source="units").problems("streams.0")
    with pytest.raises(ValueError, match="called 'face'"):
        sequences_of([], [spec, other], "nowhere")
