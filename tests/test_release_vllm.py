"""A server computes the LLM: the request is as vLLM documents it, and the answer is that of the model here."""

from __future__ import annotations

import base64
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import tiny
import torch
from media_fixtures import tone, write_clip
from tiny import parts  # noqa: F401  a fixture

from affectgpt.cli import main
from affectgpt.inference import Describer
from affectgpt.loading import from_parts, load_tokenizer
from affectgpt.models.processing import AffectGPTProcessor


@pytest.fixture(scope="module")
def model_folder(parts, tmp_path_factory):  # noqa: F811
    folder = tmp_path_factory.mktemp("vllm") / "model"
    config = tiny.config(parts)
    model = from_parts(config)
    with torch.no_grad():  # LoRA starts as nothing: an export that forgot it would not be noticed
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    AffectGPTProcessor(load_tokenizer(config.llm), model.config).save_pretrained(folder)
    return folder


class StandIn:
    """What vLLM's completions protocol does with `prompt_embeds`, with the exported LLM in transformers."""

    def __init__(self, folder):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.llm = AutoModelForCausalLM.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.bodies: list[dict] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                code, answer = outer.answer(self.path, body)
                payload = json.dumps(answer).encode()
                self.send_response(code)
                self.send_header("Content-Length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.http.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def answer(self, path: str, body: dict) -> tuple[int, dict]:
        self.bodies.append(body)
        if path != "/v1/completions" or body["model"] != "mine":
            return 404, {"error": {"message": "no such model"}}
        unknown = body.keys() - {"model", "prompt", "prompt_embeds", "temperature", "max_tokens", "stop_token_ids",
                                 "stop"}
        embeddings = torch.load(io.BytesIO(base64.b64decode(body["prompt_embeds"], validate=True)), weights_only=True)
        if unknown or embeddings.ndim != 2 or embeddings.shape[1] != self.llm.config.hidden_size:
            return 400, {"error": {"message": f"{unknown or tuple(embeddings.shape)}"}}
        ids = self.llm.generate(inputs_embeds=embeddings[None], do_sample=False, max_new_tokens=body["max_tokens"],
                                eos_token_id=body["stop_token_ids"], pad_token_id=0)[0]
        ended = bool(set(ids.tolist()) & set(body["stop_token_ids"]))
        text = self.tokenizer.decode(ids, skip_special_tokens=True)
        return 200, {"choices": [{"index": 0, "text": text, "finish_reason": "stop" if ended else "length"}]}


@pytest.fixture
def served(model_folder, tmp_path):
    assert main(["vllm", "export", str(model_folder), "--to", str(tmp_path / "llm")]) == 0
    server = StandIn(tmp_path / "llm")
    yield server
    server.http.shutdown()


def test_a_server_gives_the_answer_of_the_model(model_folder, served, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", frames=8, sound=tone(1.0))
    call = ["vllm", "describe", str(clip), "--model", str(model_folder), "--url", served.url, "--served", "mine",
            "--subtitle", "I told you.", "--max-new-tokens", "12"]
    capsys.readouterr()
    assert main(call) == 0
    said = json.loads(capsys.readouterr().out)
    from affectgpt.data.clip import Clip

    [own] = Describer(model_folder).describe([Clip("a", media=clip, words="I told you.")], max_new_tokens=12)
    assert said["description"] == own.description and own.description
    assert served.bodies[0]["prompt"] == "" and served.bodies[0]["temperature"] == 0.0


def test_a_server_that_refuses_is_told_by_file(model_folder, served, tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4", frames=8, sound=tone(1.0))
    served.llm.config.hidden_size = 7
    call = ["vllm", "describe", str(clip), str(tmp_path / "absent.mp4"), "--model", str(model_folder), "--url",
            served.url, "--served", "mine", "--subtitle", ""]
    assert main(call) == 2
    said = capsys.readouterr().err
    assert "clip.mp4" in said and "HTTP 400" in said and "absent.mp4" in said


def test_an_export_replaces_nothing_unasked(model_folder, tmp_path):
    (tmp_path / "llm").mkdir()
    (tmp_path / "llm" / "mine.txt").write_text("mine")
    assert main(["vllm", "export", str(model_folder), "--to", str(tmp_path / "llm")]) == 2
    assert (tmp_path / "llm" / "mine.txt").read_text() == "mine"
