"""Servers that are stricter, or say it otherwise, than the protocol: as vLLM and the newer providers do."""
# ruff: noqa: F401, F811  fixtures are imported by their names

from __future__ import annotations

import base64
import io

import pytest
from generate_fixtures import ask, facts, inside, manifest, rows_of
from test_endpoint import HELLO, client, reply, serve

from affectgpt.endpoint import Refused
from affectgpt.endpoint_replies import mean_probability, parse_extra, read_content
from affectgpt.errors import run_cli
from affectgpt.eval import generate

NEWER = '{"max_tokens": null, "max_completion_tokens": 64, "temperature": null, "seed": null}'


def newer_provider(number, body):
    """As GPT-5: other names, and no choice of temperature."""
    if "max_tokens" in body:
        return 400, {"error": {"message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                               "'max_completion_tokens' instead.", "code": "unsupported_parameter"}}
    if body.get("temperature", 1) != 1:
        return 400, {"error": {"message": "Unsupported value: 'temperature' does not support 0.0 with this model. Only "
                               "the default (1) value is supported.", "code": "unsupported_value"}}
    return reply("happy")


def vllm(number, body):
    """As vLLM with --limit-mm-per-prompt '{"image": 1, "video": 1}'; it wants its own field for the sound of videos."""
    parts = body["messages"][0]["content"]
    kinds = [part["type"] for part in parts] if isinstance(parts, list) else []
    if kinds.count("image_url") > 1:
        return 400, {"error": {"message": "At most 1 image(s) may be provided in one prompt.", "code": 400}}
    assert not set(kinds) - {"video_url", "image_url", "input_audio", "text"}
    return reply(f"{' '.join(kinds)} {body.get('mm_processor_kwargs')}")


def test_a_field_that_a_provider_refuses_is_named_and_removed(manifest, capsys):
    with serve(newer_provider) as server:
        arguments = [f"endpoint:{server.url}#gpt", "--corpus", str(manifest), "--output", "o.jsonl", "--limit", "1",
                     "--streams", "text"]
        assert run_cli(generate.main, arguments) == 2
        assert """--endpoint-extra '{"max_tokens": null, "max_completion_tokens": 512}'""" in capsys.readouterr().err
        with pytest.raises(Refused, match='"temperature": null'):
            client(server, extra=parse_extra('{"max_tokens": null}', "x")).chat(HELLO)
        assert run_cli(generate.main, [*arguments, "--overwrite", "--endpoint-extra", NEWER]) == 0
        assert run_cli(generate.main, [*arguments, "--endpoint-extra", "{}"]) == 2  # other answers than those
    body = server.bodies[-1]
    assert body["max_completion_tokens"] == 64 and not {"max_tokens", "temperature", "seed"} & body.keys()
    assert rows_of("o.jsonl")[0]["response"] == "happy"
    assert facts("o.jsonl")["settings"]["extra"]["max_completion_tokens"] == 64


@pytest.mark.parametrize("text, words", [("{", "not JSON"), ("[1]", "no JSON object"), ('{"messages": []}', "messages"),
                                         ('{"stream": true}', "stream"), ("[" * 10000, "not JSON")])
def test_extra_fields_that_cannot_be(text, words):
    with pytest.raises(ValueError, match=f"--endpoint-extra: .*{words}"):
        parse_extra(text, "--endpoint-extra")


def test_pictures_are_one_video_with_their_times(manifest):
    import av

    extra = '{"mm_processor_kwargs": {"fps": 2}}'
    with serve(vllm) as server:
        options = {"frames": 4, "limit": 1, "max_skip_ratio": 0.0}
        with pytest.raises(ValueError, match="--limit-mm-per-prompt"):
            ask(f"endpoint:{server.url}#qwen", manifest, **options)
        [row] = ask(f"endpoint:{server.url}#qwen", manifest, "v.jsonl", endpoint_video=True, endpoint_audio=True,
                    endpoint_extra=extra, **options)
    assert row["response"] == "video_url input_audio text {'fps': 2}" and row["shown"] == ["audio", "frame", "text"]
    url = server.bodies[-1]["messages"][0]["content"][0]["video_url"]["url"]
    with av.open(io.BytesIO(base64.b64decode(url.removeprefix("data:video/mp4;base64,")))) as file:
        frames = list(file.decode(video=0))
        length = float(frames[-1].time + 1 / file.streams.video[0].average_rate)
    assert len(frames) == 4 and length == pytest.approx(row["seconds"], rel=0.2)




@pytest.mark.parametrize("answer, no_answer, text", [
    ((200, {"choices": [{"message": {"content": None, "refusal": "I can't."}, "finish_reason": "stop"}]}),
     "refusal", "I can't."),
    (reply("", "content_filter"), "refusal", ""),
    (reply([{"type": "refusal", "refusal": "No."}]), "refusal", "No."),
    ((400, {"error": {"code": "content_filter", "message": "The response was filtered"}}), "refusal", ""),
    (reply("  \n"), "empty", ""),
    (reply(None, "length"), "empty", ""),
    (reply([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "sad"}]),
     None, "sad"),
    (reply("sad", logprobs={"content": [{"token": "sad", "logprob": None}]}), None, "sad"),
    (reply("sad", logprobs={"content": [{"token": "sad"}]}), None, "sad"),
    (reply("sad", logprobs=None), None, "sad"),
])
def test_what_servers_say_is_an_answer_or_none_and_never_stops_the_job(manifest, answer, no_answer, text):
    with serve(lambda number, body: answer) as server:
        [row] = ask(f"endpoint:{server.url}#m", manifest, limit=1, streams="text", endpoint_logprobs=True)
    assert (row.get("no_answer"), row["response"], row["confidence"]) == (no_answer, text, None)
    assert row["cut_off"] is (answer[0] == 200 and answer[1]["choices"][0]["finish_reason"] == "length")


def test_a_refusal_is_no_text_to_those_who_want_text():
    with serve(lambda number, body: reply("", "content_filter")) as server, pytest.raises(Refused, match="refused"):
        client(server).chat(HELLO)


def test_refusals_and_empty_answers_are_told(manifest, capsys):
    def script(number, body):
        return reply("", "content_filter") if number % 2 else reply("")

    with serve(script) as server:
        ask(f"endpoint:{server.url}#m", manifest, streams="frame", frames=1, batch_size=1)
    assert "note: 3 empty answers and 3 refusals" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "", "x", [], ["x"], [{"type": "text"}], [{"type": "image"}], [{}]])
def test_content_of_any_form_is_read(content):
    text, refusal = read_content(content)
    assert isinstance(text, str) and refusal == ""


@pytest.mark.parametrize("logprobs, wanted", [
    (None, None), ([], None), ({}, None), ({"content": "x"}, None), ({"content": [None]}, None),
    ({"content": [{"logprob": float("nan")}]}, None), ({"content": [{"logprob": -9999.0}]}, 0.0),
    ({"content": [{"logprob": 0.0}]}, 1.0), ({"content": [{"logprob": True}]}, None),
])
def test_confidence_needs_a_number_for_every_token(logprobs, wanted):
    assert mean_probability(logprobs) == wanted
