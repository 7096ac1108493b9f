"""A describer that says what it was given, a server in a thread and a request to it; import what a module uses."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import media_fixtures
import pytest
import urllib3

from affectgpt.description import Description
from affectgpt.serve import presence
from affectgpt.serve.api import create_app
from affectgpt.serve.job import _listen, make_server
from affectgpt.serve.limits import Limits
from affectgpt.serve.work import Worker

SECRET = "s" * 32


class Echo:
    """A describer that says the words it was given, when it may."""

    def __init__(self):
        self.go, self.begun, self.seen = threading.Event(), threading.Event(), []
        self.go.set()

    def check_streams(self, streams):
        return streams or ["audio"]

    def describe(self, clips, streams=None, question=None, **options):
        [clip] = clips
        self.seen.append(clip)
        self.begun.set()
        assert self.go.wait(20)
        size = clip.media.stat().st_size
        yield Description(str(clip.media), f"{clip.words} {size}", ["happy"], "positive", ["audio"], 0.1, clip.words,
                          [f"note of {clip.media}"], {}, f"{question}: {clip.words}", False)


@contextmanager
def serving(describer, token=None, **limits):
    """A running server: its base URL; with `worker` as an attribute of what is yielded."""
    limits = Limits(**limits)
    worker, listening = Worker(describer, limits), _listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    facts = {"model": "tiny", "identity": "i", "port": port, "device": "cpu", "quantize": None,
             "upload_megabytes": limits.upload_megabytes, "streams": describer.check_streams(None)}
    server = make_server(worker, create_app(worker, limits, facts, token, SECRET))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    place = type("Place", (), {"url": f"http://127.0.0.1:{port}", "port": port, "worker": worker, "server": server})
    try:
        yield place
    finally:
        server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def http():
    return urllib3.PoolManager(maxsize=64, retries=False)


@pytest.fixture(scope="module")
def sound(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("sound") / "a.wav"
    media_fixtures.write_clip(path, frames=0, sound=media_fixtures.tone(0.5))
    return path.read_bytes()


def post(http, place, content: bytes | None, name="a.wav", headers=None, **fields):
    form = dict(fields) if content is None else {**fields, "file": (name, content)}
    response = http.request("POST", f"{place.url}/v1/describe", fields=form, headers=headers)
    return response.status, json.loads(response.data), response.headers


def places() -> list[str]:
    """Folders of requests that are not answered yet, of any server."""
    return [str(path) for path in Path(tempfile.gettempdir()).glob("affectgpt-serve-*/*/")]


def record(model: Path, place, **changes) -> None:
    """As `serve` writes it."""
    identity = presence.identity_of(model)
    presence.write_record(model, {"port": place.port, "secret": SECRET, "identity": identity, "token": None} | changes)
