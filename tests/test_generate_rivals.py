"""`affectgpt generate`: other chat models and endpoints are asked the same questions."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import base64
import io
import json
import wave
from pathlib import Path

import pytest
from generate_fixtures import ask, exactly, facts, inside, manifest, rivals, rows_of
from PIL import Image
from test_endpoint import KEY, reply, serve
from tiny import parts

from affectgpt.data import prompts
from affectgpt.errors import run_cli
from affectgpt.eval import generate
from affectgpt.eval.answering.answerers import Job

# ---------------------------------------------------------------------------- chat models


@pytest.mark.parametrize("name, streams", [("seeing", ["frame", "text"]), ("hearing", ["audio", "text"]),
                                           ("reading", ["text"])])
def test_any_chat_model_answers_the_same_questions(rivals, manifest, name, streams):
    options = {"frames": 2, "max_skip_ratio": 0.2}
    one = ask(f"hf:{rivals[name]}", manifest, "one.jsonl", **options)
    many = ask(f"hf:{rivals[name]}", manifest, "many.jsonl", batch_size=4, **options)
    answered = [row for row in one if "no_answer" not in row]
    assert exactly(answered) == exactly([row for row in many if "no_answer" not in row])
    assert all(row["streams"] == streams for row in one)
    assert {row["checkpoint"] for row in one} == {name} and len({row["response"] for row in one}) > 3
    assert len(answered) == (5 if name == "reading" else 6)  # one has no words
    assert len(one) == 6 and {row.get("no_answer") for row in one} == {None} | ({"skipped"} if name == "reading"
                                                                              else set())
    assert facts("one.jsonl")["settings"]["questions"] == {"labels": prompts.PUBLISHED_QUESTIONS["labels"]}


@pytest.mark.parametrize("name, stream", [("seeing", "frame"), ("seeing", "face"), ("hearing", "audio")])
def test_a_chat_model_is_shown_the_stream(rivals, manifest, name, stream):
    options = {"frames": 2, "limit": 1, "question": "description"}
    [words] = ask(f"hf:{rivals[name]}", manifest, "words.jsonl", streams="text", **options)
    [both] = ask(f"hf:{rivals[name]}", manifest, "both.jsonl", streams=f"{stream},text", **options)
    assert both["shown"] == [s for s in ("audio", "face", "frame", "text") if s in (stream, "text")]
    assert words["response"] != both["response"]


def test_words_are_never_control_tokens_of_a_chat_model(rivals, manifest):
    from affectgpt.data.readers import read_corpus
    from affectgpt.eval.answering.answerers import Request
    from affectgpt.eval.answering.chat_model import ChatAnswerer, ChatSource

    source = ChatSource(Job(f"hf:{rivals['seeing']}", str(manifest), frames=1))
    answerer = ChatAnswerer(source, {"frame", "text"})
    bad, plain = (clip for clip in read_corpus(str(manifest))[1:4] if clip.words)
    counts = []
    for clip in (bad, plain):
        streams = ("frame", "text")
        request = Request(clip, answerer.load(clip), "ask", "Why <|im_end|>?", streams, streams, 4, 0)
        ids = answerer.preparer.tensors(request)["input_ids"][0].tolist()
        counts.append([ids.count(source.tokenizer.convert_tokens_to_ids(token)) for token in ("<image>", "<|im_end|>")])
    assert "<image>" in bad.words
    assert counts[0] == counts[1] == [16, 1]  # 16 patches of one picture, one end of the turn


@pytest.mark.parametrize("streams, words", [("audio", "takes frame, face, text"), ("face,frame", "not both"),
                                            ("fusion", "takes frame")])
def test_streams_that_a_chat_model_cannot_take(rivals, manifest, streams, words):
    with pytest.raises(ValueError, match=words):
        ask(f"hf:{rivals['seeing']}", manifest, streams=streams)


def test_a_model_without_a_chat_template_is_refused(parts, manifest, tmp_path):
    import shutil

    folder = Path(shutil.copytree(parts["qwen2"], tmp_path / "plain"))
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="has no chat template"):
        ask(f"hf:{folder}", manifest)


def test_code_that_comes_with_a_model_is_not_run(rivals, manifest, tmp_path):
    import shutil

    folder = Path(shutil.copytree(rivals["reading"], tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "own", "auto_map": {"AutoConfig": "own.Own", "AutoProcessor": "own.Own"}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own.py").write_text(f"open({str(tmp_path / 'was run')!r}, 'w')\nclass Own: pass\n")
    with pytest.raises(ValueError, match="add --trust-remote-code"):
        ask(f"hf:{folder}", manifest)
    assert not (tmp_path / "was run").exists()


# ---------------------------------------------------------------------------- endpoints


def test_an_endpoint_is_sent_pictures_sound_and_words(manifest, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(lambda number, body: (500, {}) if number == 1 else reply(f" sad {len(body['messages'])} ")) as server:
        rows = ask(f"endpoint:{server.url}#tiny", manifest, endpoint_audio=True, frames=2, limit=2, batch_size=1)
    assert [row["response"] for row in rows] == ["sad 1"] * 2 and [row["confidence"] for row in rows] == [None] * 2
    assert [row["shown"] for row in rows] == [["audio", "frame", "text"], ["audio", "frame"]]
    assert {row["checkpoint"] for row in rows} == {"tiny"} and len(server.bodies) == 3
    body = server.bodies[1]
    assert (body["temperature"], body["max_tokens"], body["model"]) == (0.0, 6, "tiny") and "top_p" not in body
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    content = body["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "input_audio", "text"]
    data = content[0]["image_url"]["url"].removeprefix("data:image/jpeg;base64,")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert min(picture.size) > 50 and picture.format == "JPEG"
    with wave.open(io.BytesIO(base64.b64decode(content[2]["input_audio"]["data"]))) as sound:
        assert sound.getframerate() == 16000 and sound.getnframes() > 8000 and any(sound.readframes(8000))
    words = rows_of(manifest)[0]["words"]
    assert content[3]["text"] == prompts.rival_text(words, prompts.PUBLISHED_QUESTIONS["labels"])
    written = capsys.readouterr()
    files = "".join(path.read_text() for path in Path().glob("out.jsonl*"))
    assert KEY not in written.out + written.err + files


def test_sound_goes_to_an_endpoint_only_where_it_is_asked_for(manifest):
    with serve(lambda number, body: reply("x")) as server:
        address = f"endpoint:{server.url}#tiny"
        [row] = ask(address, manifest, limit=1)
        assert row["shown"] == ["frame", "text"]
        with pytest.raises(ValueError, match="--endpoint-audio"):
            ask(address, manifest, "other.jsonl", streams="audio")
        [row] = ask(address, manifest, "text.jsonl", limit=1, streams="text", sample=True, temperature=0.3)
        assert isinstance(server.bodies[-1]["messages"][0]["content"], str)
        assert (server.bodies[-1]["temperature"], server.bodies[-1]["top_p"]) == (0.3, 0.9)
    with pytest.raises(ValueError, match="names no model"):
        ask("endpoint:http://127.0.0.1:1/v1", manifest)


def test_an_endpoint_that_stops_leaves_its_answers(manifest, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serve(lambda number, body: reply("sad") if number < 4 else (401, {"error": KEY})) as server:
        arguments = [f"endpoint:{server.url}#tiny", "--corpus", str(manifest), "--output", "out.jsonl",
                     "--streams", "text", "--batch-size", "1", "--max-skip-ratio", "0.2"]
        assert run_cli(generate.main, arguments) == 2
        error = capsys.readouterr().err
        assert "HTTP 401" in error and "OPENAI_API_KEY" in error and KEY not in error
    kept = sum(len(rows_of(path)) for path in Path("out.jsonl.parts").glob("*.part-*"))
    assert kept == 3 and not Path("out.jsonl").exists()


def test_refused_clips_stop_the_job_or_are_listed(manifest, capsys):
    def script(number, body):
        return (400, {"error": "content filter"}) if "im_end" in json.dumps(body) else reply("sad")

    with serve(script) as server:
        options = {"streams": "frame,text", "frames": 1, "max_skip_ratio": 0.2}
        with pytest.raises(ValueError, match="content filter.*--skip-refused"):
            ask(f"endpoint:{server.url}#tiny", manifest, **options)
        rows = ask(f"endpoint:{server.url}#tiny", manifest, skip_refused=True, **options)
    assert [row.get("no_answer") for row in rows] == [None, None, "refusal", None, None, None]
    assert "content filter" in rows[2]["error"] and rows[2]["response"] == "" and rows[2]["shown"] == []
    assert "content filter" in rows_of("out.jsonl.skipped.jsonl")[0]["error"]
    assert facts()["rows"] == 6 and facts()["answers"] == 5
