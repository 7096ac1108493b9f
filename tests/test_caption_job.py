"""`affectgpt caption` from clips to a manifest: offline, with files of votes, killed and started again."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest
from generate_fixtures import inside, manifest

from affectgpt.caption import cue_models, job, settings
from affectgpt.config import load_recipe
from affectgpt.data.readers import manifest as reader
from affectgpt.files import read_jsonl, write_jsonl

OPEN = ["low.length_low=0", "low.length_high=1", "textual.baseline_clips=3", "models.frames=2"]
KEEPS = ["high.emotion=false", "high.sentiment=false", *OPEN]


@pytest.fixture(autouse=True)
def cache(inside, tmp_path_factory, monkeypatch):
    """The bundled network is unpacked once for all tests here."""
    monkeypatch.setenv("AFFECTGPT_CACHE", str(tmp_path_factory.getbasetemp() / "caption_cache"))


def caption(corpus: Path, *overrides: str, output="out") -> int:
    recipe = settings.load("caption-starter", [f"source.manifests={corpus}", f"output={output}", *overrides])
    return job.run(recipe).total()


def rows(name: str, output="out") -> list[dict]:
    return [row for _, row in read_jsonl(Path(output) / name)]


def files(output="out") -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(output).glob("*.jsonl")}


def test_offline_captions_are_a_manifest_that_the_reader_reads(manifest, capsys):
    assert caption(manifest, *KEEPS) == 6  # the clip of another split has neither media nor emotion words
    clips = reader.read(Path("out/manifest.jsonl"))
    assert [clip.corpus for clip in clips] == ["caption"] * 6 and {clip.split for clip in clips} == {"test"}
    source = {clip.id: clip for clip in reader.read(manifest)}
    for clip in clips:
        assert clip.media == source[clip.id].media.resolve() and clip.words == source[clip.id].words
        assert clip.targets.labels and "Taken together, the person seems" in clip.targets.description
        assert clip.targets.sentiment in ("positive", "neutral", "negative")
    assert rows("rejected.jsonl") == [{"id": "other", "corpus": "generate_corpus", "level": "description",
                                       "reason": "no cue", "description": None, "labels": [],
                                       "detail": "none of its streams says anything of emotion: text"}]
    said = capsys.readouterr().out
    assert "clips:    7, of which 6 are described, 6 pass the low-level filter, 6 are kept" in said
    assert "rejected:      1  description: no cue" in said and "high-level filter: not applied" in said
    assert "active speaker: not applied to 6 of 6" in said and "first label" in said and "chance" in said


def test_votes_of_files_reject_with_reasons_and_filters_may_change_afterwards(manifest, monkeypatch):
    caption(manifest, *KEEPS)
    found = rows("manifest.jsonl")
    write_jsonl("votes.jsonl", ({"name": row["id"], "emotion": row["labels"][0], "sentiment": row["sentiment"]}
                                for row in found[1:]))
    write_jsonl("speaker.jsonl", [{"name": found[1]["id"], "confidence": 0.1}])
    monkeypatch.setattr(cue_models, "_read", None)  # whoever looks at media again fails
    assert caption(manifest, *OPEN, "high.predictions=votes.jsonl", "low.speaker_file=speaker.jsonl") == 4
    why = {row["id"]: (row["level"], row["reason"]) for row in rows("rejected.jsonl")}
    assert why == {found[0]["id"]: ("high", "no votes"), found[1]["id"]: ("low", "not the speaker"),
                   "other": ("description", "no cue")}
    assert [row["id"] for row in rows("manifest.jsonl")] == [row["id"] for row in found[2:]]
    assert rows("unfiltered.jsonl") == found


@pytest.mark.parametrize("kept", [1, 900, -1])
def test_a_killed_job_goes_on_and_ends_with_the_same_bytes(manifest, kept, monkeypatch):
    caption(manifest, *KEEPS)
    whole = files()
    Path("out/manifest.jsonl").unlink()
    Path("out/journal.jsonl").write_bytes(whole["journal.jsonl"][:kept])
    asked, read = [], cue_models._read
    monkeypatch.setattr(cue_models, "_read", lambda cue, clip: asked.append(clip.id) or read(cue, clip))
    caption(manifest, *KEEPS)
    # Of a row that is whole but for its line end nothing is lost.
    assert files() == whole and len(asked) == 14 - whole["journal.jsonl"][:kept].count(b"\n") - (kept == -1)


def test_a_file_that_cannot_be_read_is_a_counted_rejection_and_is_tried_again(manifest, tmp_path):
    table = [row for _, row in read_jsonl(manifest)][:2]
    for row in table:
        row["media"] = str(manifest.parent / row["media"])
    (tmp_path / "bad").mkdir()
    broken = tmp_path / "bad" / "broken.mp4"
    broken.write_bytes(b"no film")
    os.symlink(manifest.parent / "clips", tmp_path / "bad" / "clips")
    for row in table:
        row["media"] = "clips/" + Path(row["media"]).name
    write_jsonl(tmp_path / "bad" / "m.jsonl", [*table, {"id": "broken", "media": "broken.mp4"}])
    assert caption(tmp_path / "bad" / "m.jsonl", *KEEPS) == 2
    (row,) = rows("rejected.jsonl")
    assert (row["id"], row["reason"]) == ("broken", "audio cue") and "broken.mp4" in row["detail"]
    broken.write_bytes((manifest.parent / "clips" / Path(table[0]["media"]).name).read_bytes())
    assert caption(tmp_path / "bad" / "m.jsonl", *KEEPS) == 3


def test_cues_of_models_need_a_model_that_merges():
    for words, said in ((["models.audio=hf:x"], "name a chat model for models.merge"),
                        (["models.audio=none", "models.visual=none"], "a description needs one"),
                        (["models.labels=textual"], "models.labels is 'textual': use rules"),
                        (["models.audio=endpoint:http://x"], "models.audio is"),
                        (["low.length_low=0.9", "low.length_high=0.1"], "the first must be the lower"),
                        (["high.share=1"], "high.share"), (["textual.weights={nose: 1}"], "'nose'"),
                        (["low.lenght=1"], "unknown key 'low.lenght'"), (["source.manifests="], "source.manifests is")):
        with pytest.raises(ValueError, match=said):
            settings.load("caption-starter", ["source.manifests=m.jsonl", *words])
    with pytest.raises(ValueError, match="the packaged caption recipes are caption-starter"):
        settings.load("captoin")


def test_the_command_ends_with_the_next_one_and_one_process_writes(manifest, capsys):
    arguments = ["caption", "caption-starter", f"source.manifests={manifest}", "output=out", *KEEPS]
    from affectgpt.cli import main

    assert main(arguments) == 0
    assert "next:     the kept captions are of test, and none is trained on" in capsys.readouterr().out
    splits = Counter(train=3)
    words = ("affectgpt train starter data.corpora.0.root=o/manifest.jsonl data.corpora.0.protocol={} "
             "train.output=o-model")
    assert job.next_command(Path("o"), splits) == words.format("hold-out")
    assert job.next_command(Path("o"), splits + Counter(validation=1)) == words.format("official")
    recipe = load_recipe("starter", words.format("hold-out").split()[3:])  # the command means what it says
    assert [(one.reader, one.root, one.protocol) for one in recipe.data.corpora] == [
        ("manifest", "o/manifest.jsonl", "hold-out")]
    assert "nothing was kept" in job.next_command(Path("o"), Counter())
    with journal_of_another("out"):
        assert main(arguments) == 2 and "another process writes captions into" in capsys.readouterr().err
    Path("other").mkdir()
    Path("other/journal.jsonl").write_text('{"mine": 1}\n')
    assert main([*arguments, "output=other"]) == 2 and "no row of a journal of clips" in capsys.readouterr().err
    Path("third/media").mkdir(parents=True)
    assert main([*arguments, "output=third"]) == 2 and "is to be made; move it away" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["caption", "--help"])
    assert "caption-starter" in capsys.readouterr().out


def journal_of_another(folder):
    from affectgpt.files import only_writer

    return only_writer(folder)
