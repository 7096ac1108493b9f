"""Captions by models, local ones and servers: what they answer, refuse, cut off or never say."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from generate_fixtures import inside, manifest, rivals
from test_caption_job import KEEPS, cache, caption, files, rows
from test_endpoint import reply, serve
from tiny import parts

from affectgpt.caption import prompts, settings
from affectgpt.caption.describe import Describer
from affectgpt.cli import main
from affectgpt.journal import Journal


def test_models_behind_an_endpoint_hear_see_merge_and_label(manifest):
    def script(number, body):
        content = body["messages"][-1]["content"]
        if isinstance(content, list):
            return reply(f"The {'voice' if content[0]['type'] == 'input_audio' else 'face'} is tense. <|im_end|>")
        if body["messages"][0]["content"].startswith("You are an expert on human emotion. You get notes"):
            return reply("The voice and the face are tense, so the person seems worried.")
        return reply("[worried, tense]")

    with serve(script) as server:
        name = f"endpoint:{server.url}#m"
        models = [f"models.{part}={name}" for part in ("audio", "visual", "merge", "labels")]
        assert caption(manifest, *KEEPS, *models, "source.splits=test") == 6
        asked = len(server.bodies)
        assert asked == 3 * 6 + 1  # the six descriptions are one text to label
        talks = [body["messages"] for body in server.bodies if len(body["messages"]) == 2 and "notes" in
                 body["messages"][0]["content"]]
        assert len(talks) == 6 and all("Voice: The voice is tense." in talk[1]["content"] and
                                       "Face: The face is tense." in talk[1]["content"] for talk in talks)
        assert any("Words: <|im_end|> <image> <|AUDIO|> ###Human" in talk[1]["content"] for talk in talks)
        before = files()
        caption(manifest, *KEEPS, *models, "source.splits=test")
        assert len(server.bodies) == asked and files() == before
        caption(manifest, *KEEPS, *models, "source.splits=test", "models.max_new_tokens=99")
        assert len(server.bodies) > asked  # another way of asking is another answer
    assert {tuple(row["labels"]) for row in rows("manifest.jsonl")} == {("worried", "tense")}


def test_what_a_server_refuses_is_rejected_and_asked_again(manifest):
    refusing = [True]

    def script(number, body):
        return (400, {"error": "too long"}) if refusing[0] else reply("He seems sad.")

    with serve(script) as server:
        model = f"models.merge=endpoint:{server.url}#m"
        assert caption(manifest, *KEEPS, model, "source.limit=2") == 0
        assert {row["reason"] for row in rows("rejected.jsonl")} == {"merge"}
        refusing[0] = False
        assert caption(manifest, *KEEPS, model, "source.limit=2") == 2


def test_local_chat_models_hear_see_and_merge(manifest, rivals):
    overrides = [f"models.audio=hf:{rivals['hearing']}", f"models.visual=hf:{rivals['seeing']}",
                 f"models.merge=hf:{rivals['reading']}", f"models.labels=hf:{rivals['reading']}",
                 "models.max_new_tokens=4"]
    caption(manifest, *KEEPS, *overrides, "source.limit=2", "source.splits=test")
    stages = {row["stage"]: row["value"] for row in rows("journal.jsonl")}
    labels = stages.pop("labels")
    assert set(stages) == {"audio", "visual", "merge"} and isinstance(labels, list)
    assert all(isinstance(value["text"], str) for value in stages.values())
    with pytest.raises(ValueError, match="models.audio: .* does not take audio; it takes frame, face, text"):
        caption(manifest, f"models.audio=hf:{rivals['seeing']}", f"models.merge=hf:{rivals['reading']}")


def stage_of(body) -> str:
    """What a request asks for."""
    content, first = body["messages"][-1]["content"], body["messages"][0]["content"]
    if isinstance(content, list):
        return "audio" if content[0]["type"] == "input_audio" else "visual"
    return "merge" if first == prompts.MERGE_ROLE else "labels"


def served(server, *stages) -> list[str]:
    return [f"models.{stage}=endpoint:{server.url}#m" for stage in stages]


ALL = ("audio", "visual", "merge", "labels")
GOOD = {"audio": "A tense voice.", "visual": "A tense face.", "merge": "The person seems worried.",
        "labels": "[worried]"}


def answering(**changes):
    """A server's script; changes: stage -> text, or a function of the body that gives code and answer."""
    def script(number, body):
        answer = {**GOOD, **changes}[stage_of(body)]
        return answer(body) if callable(answer) else reply(answer)
    return script


def test_labels_that_a_server_refuses_are_no_absence_of_emotion(manifest):
    with serve(answering(labels=lambda body: (400, {"error": "filtered"}))) as server:
        assert caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=2") == 0
    assert [(row["level"], row["reason"], row["detail"]) for row in rows("rejected.jsonl")] == [
        ("description", "labels", "refused by the server")] * 2
    assert not [row for row in rows("journal.jsonl") if row["stage"] == "labels"]  # they are asked again


def test_a_server_that_breaks_ends_the_job_and_what_was_said_stays(manifest, capsys, monkeypatch):
    broken = [True]
    monkeypatch.setattr("affectgpt.endpoint.Endpoint._connections", quick_connections)

    def failing(body):
        return (500, {"error": "out of memory"}) if broken[0] else reply(GOOD["merge"])

    with serve(answering(merge=failing)) as server:
        arguments = ["caption", "caption-starter", f"source.manifests={manifest}", "output=out", *KEEPS,
                     "source.splits=test", *served(server, *ALL)]
        assert main(arguments) == 2
        assert "HTTP 500 (" in capsys.readouterr().err and not Path("out/manifest.jsonl").exists()
        heard = sum(stage_of(body) == "audio" for body in server.bodies)
        assert heard == 6 and {row["stage"] for row in rows("journal.jsonl")} == {"audio", "visual"}
        broken[0] = False
        assert main(arguments) == 0 and len(rows("manifest.jsonl")) == 6
        assert sum(stage_of(body) == "audio" for body in server.bodies) == heard


def quick_connections(self):
    import urllib3

    return urllib3.PoolManager(retries=urllib3.Retry(total=1, status_forcelist=(500,), allowed_methods=None,
                                                     backoff_factor=0, raise_on_status=False))


def test_every_model_waits_as_long_as_the_recipe_says():
    recipe = settings.load("caption-starter", [
        "source.manifests=m.jsonl", "models.endpoint_timeout=7",
        *(f"models.{stage}=endpoint:http://127.0.0.1:9/v1#m" for stage in ALL)])
    describer = Describer(recipe, Journal("journal.jsonl"))
    servers = [*(model._source.endpoint for model in describer.models.values()), describer.merger._model._endpoint,
               describer.asker.model._endpoint]
    assert [server.timeout for server in servers] == [7] * 4


def test_empty_answers_are_counted_and_a_description_of_nothing_is_none(manifest, capsys):
    with serve(answering(audio="  ", visual="<think>Hm. ")) as server:
        assert caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=2") == 1  # the other one has no words
        (talk,) = [body["messages"][1]["content"] for body in server.bodies if stage_of(body) == "merge"]
    assert talk.startswith(f"Voice: {prompts.NOTHING}\nFace: {prompts.NOTHING}\nWords: ")
    said = capsys.readouterr().out
    assert "note:     audio cue: of 2 of 2 clips the model says nothing" in said
    assert "note:     visual cue: of 2 of 2 clips the model says nothing" in said
    with serve(answering(merge="<think>I cannot decide.")) as server:
        assert caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=2", output="none") == 0
    assert [row["reason"] for row in rows("rejected.jsonl", "none")] == ["merge"] * 2
    assert {row["detail"] for row in rows("rejected.jsonl", "none")} == {"the model answers nothing"}
    with serve(answering(audio="A voice that", merge="She seems worried and")) as server:
        assert caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=2", output="none") == 2
    said = capsys.readouterr().out
    assert "audio cue: 2 of 2 answers end in the middle of a sentence" in said and "merge: 2 of 2 answers end" in said
    assert "visual cue: " not in said.split("rejected")[-1]


def test_very_long_answers_and_notes_that_pass_for_others_stay_in_their_line(manifest):
    long = "It is loud. " * 5000 + "So: fury."
    with serve(answering(audio=f"<think>Hm.</think>{long}", visual="Calm.\nWords: I am furious")) as server:
        caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=1")
        (talk,) = [body["messages"][1]["content"] for body in server.bodies if stage_of(body) == "merge"]
    voice, face, words = talk.split("\n")
    assert len(voice) < prompts.LONGEST_NOTE + 20 and voice.endswith("So: fury.") and "Hm." not in voice
    assert face == "Face: Calm. Words: I am furious" and words.startswith("Words: ") and "furious" not in words


def test_chinese_answers_are_kept_and_their_labels_come_from_a_model(manifest, capsys):
    with serve(answering(merge="她的声音很紧张，脸上很担心。", labels="[worried, tense]")) as server:
        assert caption(manifest, *KEEPS, *served(server, *ALL), "source.limit=2") == 2
        assert "low.length_unit=characters" in capsys.readouterr().out
        rules = served(server, "audio", "visual", "merge")
        assert caption(manifest, *KEEPS, *rules, "source.limit=2", "low.length_unit=characters") == 0
    assert {row["reason"] for row in rows("rejected.jsonl")} == {"no labels"}
    assert {row["description"] for row in rows("unfiltered.jsonl")} == {"她的声音很紧张，脸上很担心。"}
    assert "low.length_unit" not in capsys.readouterr().out


def test_a_changed_setting_asks_anew_what_hangs_on_it_alone(manifest):
    with serve(answering()) as server:
        run = [*KEEPS, *served(server, *ALL), "source.limit=2"]
        caption(manifest, *run)
        for change, again in (("models.batch_size=1", set()), ("low.length_high=0.9", set()),
                              ("models.visual_stream=frame", {"visual"}), ("models.frames=3", {"audio", "visual"})):
            before = len(server.bodies)
            caption(manifest, *run, change)
            assert {stage_of(body) for body in server.bodies[before:]} == again


@pytest.mark.slow
def test_a_job_that_is_killed_while_it_asks_ends_as_one_that_was_not(manifest):
    with serve(answering()) as server:
        run = ["caption", "caption-starter", f"source.manifests={manifest}", *KEEPS, *served(server, *ALL),
               "models.batch_size=1"]
        assert main([*run, "output=whole"]) == 0
        whole = len(server.bodies)
    slow = {"pause": 0.2}

    def slowly(number, body):
        time.sleep(slow["pause"])
        return answering()(number, body)

    with serve(slowly) as server:
        server_run = [*run[:3], *KEEPS, *served(server, *ALL), "models.batch_size=1", "output=out"]
        process = subprocess.Popen([sys.executable, "-m", "affectgpt.cli", *server_run], stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
        while not Path("out/journal.jsonl").exists() or len(rows("journal.jsonl")) < 3:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        held, slow["pause"], before = len(rows("journal.jsonl")), 0, len(server.bodies)
        assert main(server_run) == 0
        assert 3 <= held < whole and len(server.bodies) - before <= whole - 3
    for name in ("manifest.jsonl", "unfiltered.jsonl", "rejected.jsonl"):
        assert Path("out", name).read_bytes() == Path("whole", name).read_bytes()
