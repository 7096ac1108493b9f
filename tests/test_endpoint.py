"""The client of OpenAI-compatible servers, against a real server on this machine."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from affectgpt.endpoint import Endpoint, Refused

KEY = "sk-very-secret"
HELLO = [{"role": "user", "content": "Hello, Ärger 😀"}]


def reply(text, reason="stop", **more) -> tuple[int, dict]:
    """What a server says when all is well."""
    return 200, {"choices": [{"message": {"role": "assistant", "content": text}, "finish_reason": reason, **more}]}


class Server:
    """A server that answers with `script(number of the request, body)` and remembers what it was sent."""

    def __init__(self, script):
        self.bodies, self.headers, self.paths, self.open, self.most = [], [], [], 0, 0
        lock, seen = threading.Lock(), self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    seen.bodies.append(body)
                    seen.headers.append(dict(self.headers))
                    seen.paths.append(self.path)
                    seen.open += 1
                    seen.most = max(seen.most, seen.open)
                    number = len(seen.bodies)
                code, answer, *headers = script(number, body)
                with lock:
                    seen.open -= 1
                data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                try:
                    self.send_response(code)
                    for name, value in {"Content-Length": str(len(data)), **dict(headers)}.items():
                        self.send_header(name, value)
                    self.end_headers()
                    self.wfile.write(data)
                except BrokenPipeError:
                    pass  # the client gave up

            def log_message(self, *arguments):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


@contextmanager
def serve(script):
    server = Server(script)
    try:
        yield server
    finally:
        server.http.shutdown()
        server.http.server_close()


def client(server: Server, **options) -> Endpoint:
    return Endpoint(server.url, "tiny", **{"key": KEY, "backoff": 0.02, "timeout": 5, **options})


def test_a_request_holds_what_the_protocol_asks_for():
    with serve(lambda number, body: reply(" hi ")) as server:
        assert client(server).chat(HELLO, max_tokens=7, seed=3) == " hi "
    assert server.paths == ["/v1/chat/completions"]
    assert server.bodies == [{"model": "tiny", "messages": HELLO, "temperature": 0.0, "max_tokens": 7, "seed": 3}]
    assert server.headers[0]["Authorization"] == f"Bearer {KEY}"


def test_the_key_comes_from_the_environment_or_is_left_out(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "from-outside\n")
    with serve(lambda number, body: reply("hi")) as server:
        client(server, key=None).chat(HELLO)
        client(server, key="").chat(HELLO)
    assert server.headers[0]["Authorization"] == "Bearer from-outside" and "Authorization" not in server.headers[1]


def test_errors_that_pass_are_tried_again():
    codes = {1: 500, 2: 429, 3: 503}
    with serve(lambda number, body: (codes[number], {}) if number in codes else reply("at last")) as server:
        assert client(server).chat(HELLO) == "at last"
    assert len(server.bodies) == 4 and server.bodies[0] == server.bodies[3]


def test_a_torn_answer_is_tried_again():
    def script(number, body):
        return (200, b"{", ("Content-Length", "50")) if number == 1 else reply("whole")

    with serve(script) as server:
        assert client(server, timeout=0.5).chat(HELLO) == "whole"


def test_the_server_says_how_long_to_wait():
    with serve(lambda number, body: (429, {}, ("Retry-After", "1")) if number == 1 else reply("hi")) as server:
        started = time.monotonic()
        assert client(server).chat(HELLO) == "hi"
    assert time.monotonic() - started > 0.9


def test_tries_end_with_a_clear_error():
    with serve(lambda number, body: (500, {"error": "out of memory"})) as server:
        with pytest.raises(ValueError, match=r"HTTP 500 .*out of memory.* after 3 tries"):
            client(server, retries=2).chat(HELLO)
    assert len(server.bodies) == 3


def test_a_server_that_does_not_answer_in_time():
    def script(number, body):
        time.sleep(0.6)
        return reply("late")

    with serve(script) as server:
        with pytest.raises(ValueError, match="no answer within 0.2 s in 2 tries"):
            client(server, retries=1, timeout=0.2).chat(HELLO)


def test_a_server_that_is_not_there():
    with pytest.raises(ValueError, match="cannot be reached in 2 tries .*is the server running"):
        Endpoint("http://127.0.0.1:9/v1", "m", key=KEY, retries=1, backoff=0.01).chat(HELLO)


@pytest.mark.parametrize("code, words", [(401, "set OPENAI_API_KEY"), (404, "have the model 'tiny'"),
                                         (403, "may use this model"), (302, "see the log")])
def test_errors_that_stay_are_not_tried_again_and_never_show_the_key(code, words):
    with serve(lambda number, body: (code, {"error": f"Bearer {KEY} is not right"})) as server:
        with pytest.raises(ValueError, match=f"HTTP {code} .*is not right.*{words}") as caught:
            client(server).chat(HELLO)
    assert len(server.bodies) == 1
    shown = f"{caught.value} {caught.value.__cause__} {client(server)!r}"
    assert KEY not in shown and "(key)" in shown


@pytest.mark.parametrize("answer, kind, words", [
    ((400, {"error": "too long"}), Refused, "HTTP 400 .*too long"),
    (reply(None, "length"), Refused, "holds no text .*'length'"),
    ((200, b"<html>"), ValueError, "not that of an OpenAI-compatible chat endpoint"),
    ((200, {"choices": []}), ValueError, "not that of an OpenAI-compatible chat endpoint"),
])
def test_answers_without_text(answer, kind, words):
    with serve(lambda number, body: answer) as server, pytest.raises(kind, match=words) as caught:
        client(server).chat(HELLO)
    assert type(caught.value) is kind and len(server.bodies) == 1


@pytest.mark.parametrize("url, words", [
    ("localhost:8000/v1", "not the address"), ("ftp://host/v1", "not the address"),
    ("http://me:secret@host/v1", "holds a user name"), ("http://host/v1?key=secret", "has a query"),
])
def test_addresses_that_are_refused(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        Endpoint(url, "m")
    assert "secret" not in str(caught.value)


def test_a_key_that_cannot_be_sent_is_not_shown():
    with pytest.raises(ValueError, match="OPENAI_API_KEY") as caught:
        Endpoint("http://host/v1", "m", key="sk secret")
    assert "sk secret" not in str(caught.value)


def test_many_at_a_time_keep_their_order():
    def script(number, body):
        place = int(body["messages"][0]["content"])
        time.sleep(0.05 if place % 2 == 0 else 0.0)
        return reply(f"answer {place}")

    drawn = []

    def conversations():
        for place in range(12):
            drawn.append(place)
            yield [{"role": "user", "content": str(place)}]

    with serve(script) as server:
        texts = client(server).map(conversations(), workers=3, max_tokens=5)
        assert next(texts) == "answer 0" and len(drawn) <= 7  # drawn as they are needed
        assert list(texts) == [f"answer {place}" for place in range(1, 12)]
    assert 1 < server.most <= 3 and all(body["max_tokens"] == 5 for body in server.bodies)


def test_a_refused_conversation_stops_a_map_and_no_replies():
    def script(number, body):
        return (400, {"error": "no"}) if body["messages"][0]["content"] == "1" else reply("yes")

    talks = [[{"role": "user", "content": str(place)}] for place in range(3)]
    with serve(script) as server:
        with pytest.raises(Refused):
            list(client(server).map(talks, workers=1))
        replies = list(client(server).map_replies([{"messages": talk, "seed": 4} for talk in talks], workers=2))
    assert [type(one).__name__ for one in replies] == ["Reply", "Refused", "Reply"]
    assert server.bodies[-1]["seed"] == 4


def test_confidence_is_the_mean_probability_where_the_server_sends_it():
    logprobs = {"content": [{"token": "a", "logprob": 0.0}, {"token": "b", "logprob": -0.6931471805599453}]}
    with serve(lambda number, body: reply("ab", logprobs=logprobs) if body.get("logprobs") else reply("ab")) as server:
        assert client(server).reply(HELLO, logprobs=True).confidence == pytest.approx(0.75)
        assert client(server).reply(HELLO).confidence is None
