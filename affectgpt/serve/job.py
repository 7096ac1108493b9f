"""Keeps a model warm and answers about clips over HTTP, on this machine alone unless asked otherwise.

    affectgpt serve
    affectgpt serve --model runs/mine/model --port 8000
    curl -F file=@clip.mp4 http://127.0.0.1:8000/v1/describe
    AFFECTGPT_SERVE_TOKEN=... affectgpt serve --host 0.0.0.0

While it runs, `affectgpt describe` of the same model asks it and needs no loading. OpenAI clients take
http://127.0.0.1:8000/v1 as their base URL. Ends with Ctrl-C or SIGTERM, after the clip in hand.
"""

from __future__ import annotations

import argparse
import importlib.util
import ipaddress
import os
import secrets
import signal
import socket
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

from affectgpt import __version__
from affectgpt.serve.limits import Limits

TOKEN = "AFFECTGPT_SERVE_TOKEN"
PORT = 8000
LEAST_TOKEN = 16


def main(arguments: list[str]) -> int:
    """Parse the command line, load the model, serve until told to stop."""
    from affectgpt.cli import STARTER_MODEL

    parser = argparse.ArgumentParser(prog="affectgpt serve", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(STARTER_MODEL), help=f"model folder (default: {STARTER_MODEL})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: 127.0.0.1); any that "
                        f"others reach needs a token of {LEAST_TOKEN} letters or more in ${TOKEN}")
    parser.add_argument("--port", type=int, default=PORT, help=f"port, 0 for any that is free (default: {PORT})")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--quantize", choices=("int8", "8bit", "4bit"), help="as of `affectgpt describe`")
    for field in fields(Limits):
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=int if field.type == "int" else float,
                            default=field.default, metavar="N", help=f"{_HELP[field.name]} (default: "
                                                                     f"{field.default:g})")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    options = parser.parse_args(arguments)
    limits = Limits(**{field.name: getattr(options, field.name) for field in fields(Limits)})
    token = check_token(options.host, os.environ.get(TOKEN) or None)
    return serve(options.model, options.host, options.port, token, limits, options.device, options.quantize)


_HELP = {
    "upload_megabytes": "of one upload", "chat_megabytes": "of one chat request",
    "clip_seconds": "the longest clip", "waiting": "requests that wait or are answered at one time",
    "upload_seconds": "how long sending a request may take",
    "answer_seconds": "how long a request may wait for its answer", "new_tokens": "the longest answer, in tokens",
}


def check_token(host: str, token: str | None) -> str | None:
    """The token that requests must show.

    Raises:
        ValueError: others than this machine would reach the server without one, or with one that is soon guessed.
    """
    if token is not None and (len(token) < LEAST_TOKEN or not token.isascii() or not token.isprintable()):
        raise ValueError(f"${TOKEN} must be {LEAST_TOKEN} ASCII letters or more; make one with: openssl rand -hex 16")
    if token is None and not _is_loopback(host):
        raise ValueError(f"--host {host}: whoever reaches this address could send clips and read answers; set a token "
                         f"in ${TOKEN} (openssl rand -hex 16), or leave --host out")
    return token


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def serve(model: str | Path, host: str, port: int, token: str | None, limits: Limits, device: str = "auto",
          quantize: str | None = None) -> int:
    """Load the model, listen, serve until SIGINT or SIGTERM.

    Raises:
        ValueError: no such model, an address that cannot be listened on, or packages that are missing.
    """
    from affectgpt.model_folder import check_model_folder

    folder = check_model_folder(model)
    missing = [name for name in ("fastapi", "uvicorn", "python_multipart") if importlib.util.find_spec(name) is None]
    if missing:
        raise ValueError(f"affectgpt serve needs {', '.join(missing)}: pip install 'affectgpt[serve]'")
    listening = _listen(host, port)
    if not _is_loopback(host):
        print(f"warning: {host} is an address that others can reach; the connection is not encrypted, so put a proxy "
              "with TLS before it", file=sys.stderr)
    with listening:
        return _serve(folder, host, listening, token, limits, device, quantize)


def _listen(host: str, port: int) -> socket.socket:
    """A socket before the model is loaded, so that a port that is taken is told at once."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(128)
        return listening
    except (OSError, OverflowError) as error:
        raise ValueError(f"{host}:{port}: cannot be listened on ({getattr(error, 'strerror', None) or error}); use "
                         "another --port or --host") from error


def make_server(worker, app):
    """A uvicorn server that finishes the clip in hand when it is told to stop, and begins no other."""
    import uvicorn

    class Server(uvicorn.Server):
        def handle_exit(self, sig, frame):
            worker.stop()
            super().handle_exit(sig, frame)

    return Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_keep_alive=5, ws="none",
                                 http="h11", loop="asyncio", server_header=False,
                                 h11_max_incomplete_event_size=64 << 10))


def _serve(folder: Path, host: str, listening: socket.socket, token: str | None, limits: Limits, device: str,
           quantize: str | None) -> int:
    from affectgpt.errors import quiet_libraries
    from affectgpt.inference import Describer
    from affectgpt.serve import presence
    from affectgpt.serve.api import create_app
    from affectgpt.serve.work import Worker

    quiet_libraries()
    identity = presence.identity_of(folder)  # before it is loaded: what changes meanwhile is another model
    worker = Worker(Describer(folder, device, quantize=quantize), limits)
    port, secret = listening.getsockname()[1], secrets.token_hex(32)
    facts: dict[str, Any] = {"model": folder.resolve().name if folder.resolve().name != "model" else
                             folder.resolve().parent.name, "identity": identity, "version": __version__,
                             "device": worker.describer.model.device.type, "quantize": quantize, "port": port,
                             "upload_megabytes": limits.upload_megabytes,
                             "streams": worker.describer.check_streams(None)}

    server = make_server(worker, create_app(worker, limits, facts, token, secret))
    try:
        presence.write_record(folder, {"port": port, "secret": secret, "identity": identity, "token": token})
    except OSError as error:
        print(f"note: `affectgpt describe` will not find this server: {error}", file=sys.stderr)
    print(f"serving {folder} on http://{host}:{port}\nnext:    affectgpt describe CLIP"
          f"{'' if str(folder) == 'runs/starter/model' else f' --model {folder}'}, or "
          f"curl -F file=@CLIP http://127.0.0.1:{port}/v1/describe", flush=True)
    # uvicorn sends the signal that ended it on when it has ended; the record below would be left.
    signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        pass
    finally:
        presence.remove_record(folder, secret)
    print("stopped", flush=True)
    return 0
