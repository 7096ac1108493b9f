"""A model named by hub id that cannot be had: said at once, with the setting that named it."""

from __future__ import annotations

import json
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import huggingface_hub.constants as constants
import pytest

from affectgpt import hub, loading, remote
from affectgpt.extractors.local import LocalChat
from affectgpt.models.configuration import AffectGPTConfig
from affectgpt.train import extract_features, sft

NAME = "org/model"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def point(monkeypatch, port: int) -> None:
    """Ask a hub at this port of this machine."""
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")


@pytest.fixture
def world(tmp_path, monkeypatch):
    """An empty cache, and a hub that is asked; gives a function that says how the hub answers: status, headers."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(remote, "TIMEOUT", 0.5)
    remote._ask.cache_clear()
    servers = []

    def answer(status: int, headers: dict) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_HEAD(self):
                self.send_response(status)
                for key, value in headers.items():
                    self.send_header(key, value)
                self.end_headers()

            def log_message(self, *arguments):
                pass

        server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        servers.append(server)
        point(monkeypatch, server.server_port)

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        point(monkeypatch, free.getsockname()[1])
    yield answer
    for server in servers:
        server.shutdown()
        server.server_close()
    remote._ask.cache_clear()


def cached(tmp_path, *names: str) -> None:
    folder = tmp_path / "hub" / "models--org--model"
    (folder / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    (folder / "snapshots" / COMMIT).mkdir(parents=True, exist_ok=True)
    for name in names:
        text = json.dumps({"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}) if "index" in name else "{}"
        (folder / "snapshots" / COMMIT / name).write_text(text)


def failure(function, *arguments, **named) -> str:
    with pytest.raises(ValueError) as caught:
        function(*arguments, **named)
    return str(caught.value)


def test_no_hub_and_no_cache(world):
    started = time.perf_counter()
    message = failure(hub.locate, NAME, "model.llm")
    assert message.startswith("model.llm=org/model: not in the cache and no hub is reachable (")
    assert message.endswith("; give a local folder") and time.perf_counter() - started < 3


def test_a_hub_that_never_answers(world, monkeypatch):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        point(monkeypatch, silent.getsockname()[1])
        started = time.perf_counter()
        assert "no hub is reachable" in failure(hub.locate, NAME, "model.llm")
        assert time.perf_counter() - started < 3


@pytest.mark.parametrize("status, headers, says", [
    (404, {"X-Error-Code": "RepoNotFound"}, "the hub has no such model, or it is private; check the name"),
    (403, {"X-Error-Code": "GatedRepo"}, "accepted its terms"),
    (404, {"X-Error-Code": "EntryNotFound"}, "no config.json"),
    (404, {}, "no hub is reachable (HTTP 404)"),
    (502, {}, "no hub is reachable (HTTP 502)"),
    (200, {}, "no hub is reachable (what answers is no hub)"),
])
def test_what_a_hub_answers(world, status, headers, says):
    world(status, headers)
    message = failure(hub.locate, NAME, "model.visual_encoder")
    assert message.startswith("model.visual_encoder=org/model: ") and says in message


def test_a_hub_that_has_it(world):
    world(200, {"X-Repo-Commit": COMMIT, "ETag": '"a"', "Content-Length": "2"})
    assert hub.locate(NAME, "model.llm") == NAME and constants.HF_HUB_OFFLINE is False


def test_what_the_cache_has_whole_needs_no_hub(world, tmp_path, capsys):
    cached(tmp_path, "config.json")
    assert "no hub is reachable" in failure(hub.locate, NAME, "model.llm")
    cached(tmp_path, "model.safetensors.index.json", "one.safetensors")
    assert "no hub is reachable" in failure(hub.locate, NAME, "model.llm")
    cached(tmp_path, "two.safetensors")
    assert hub.locate(NAME, "model.llm") == NAME
    assert "note: model.llm=org/model is taken from the cache: ConnectError" in capsys.readouterr().err
    assert constants.HF_HUB_OFFLINE is True  # or the libraries would ask for each of its files


def test_a_configuration_may_be_all_that_is_needed(world, tmp_path):
    cached(tmp_path, "config.json")
    assert hub.locate(NAME, "model.llm", weights=False) == NAME


def test_offline_by_the_users_wish(world, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "not in the cache (" in (message := failure(hub.locate, NAME, "model.llm")) and "HF_HUB_OFFLINE" in message
    cached(tmp_path, "config.json", "model.safetensors")
    assert hub.locate(NAME, "model.llm") == NAME


def test_a_recipe_is_refused_before_anything_is_loaded(world):
    for job in (sft, extract_features):
        message = failure(job.main, ["affectgpt-qwen3-0.6b", "data.manifests=nowhere.jsonl"])
        assert message.startswith("model.llm=Qwen/Qwen3-0.6B: not in the cache and no hub is reachable")
    words = ["affectgpt-qwen3-0.6b", "model.streams=audio,text", "model.fusion=none", "model.llm=starter:x"]
    assert failure(sft.main, words).startswith("model.audio_encoder=TencentGameMate/chinese-hubert-large: ")


def test_every_place_that_takes_a_hub_id_names_its_setting(world, tmp_path):
    both = dict(audio_encoder=NAME, visual_encoder=NAME, llm=NAME)
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "config.json").write_text('{"model_type": "qwen2"}')
    parts = [
        ("model.llm", loading.describe_parts, AffectGPTConfig(**both)),
        ("model.audio_encoder", loading.describe_parts, AffectGPTConfig(**{**both, "llm": str(tmp_path / "llm")})),
        ("model.visual_encoder", loading.describe_parts,
         AffectGPTConfig(**{**both, "llm": str(tmp_path / "llm"), "streams": ["face"]})),
        ("model.llm", loading.load_tokenizer, NAME), ("--llm", LocalChat, NAME)]
    for setting, function, argument in parts:
        assert failure(function, argument).startswith(f"{setting}=org/model: not in the cache and no hub is reachable")
    assert failure(hub.locate, "./nowhere", "model.llm").startswith("model.llm: './nowhere' is neither")
