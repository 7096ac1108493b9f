"""The routes of a server (FastAPI): descriptions of uploaded clips, and OpenAI's chat route."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
import uuid
from contextlib import asynccontextmanager
from html import escape
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, Request, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from affectgpt import __version__
from affectgpt.serve import chat
from affectgpt.serve.guard import Guard
from affectgpt.serve.limits import Limits
from affectgpt.serve.problems import Problem
from affectgpt.serve.work import Task, Worker
from affectgpt.terminal import printable

CHAT = "/v1/chat/completions"
FORM_FIELDS = 16


def create_app(worker: Worker, limits: Limits, facts: dict[str, Any], token: str | None = None,
               secret: str = "") -> FastAPI:
    """The application.

    Args:
        facts: what /v1/health says of the model: "model" (a name), "identity" and so on.
        token: what each request must show; None for requests from this machine alone.
        secret: by which the server proves to `describe` that it is the one of the record.
    """
    @asynccontextmanager
    async def lifespan(_):
        yield
        worker.close()

    app = FastAPI(title="AffectGPT", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
                  description="Describes the emotion in a clip: evidence, labels and polarity.")

    @app.exception_handler(Problem)
    async def told(_, problem: Problem):
        return JSONResponse(problem.body(), problem.status, problem.headers())

    @app.exception_handler(RequestValidationError)
    async def invalid(_, error: RequestValidationError):
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part != "body")
        return await told(_, Problem("bad_request", f"{where or 'the request'}: {first['msg']}"[:500]))

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException):
        if isinstance(error.__cause__, Problem):  # of `Guard`, while a form was read
            return await told(request, error.__cause__)
        kind = {404: "not_found", 405: "wrong_method", 413: "too_large"}.get(error.status_code, "bad_request")
        return await told(request, Problem(kind, f"{printable(request.url.path)[:200]}: {error.detail}"))

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page() -> str:
        return _page(app, facts)

    @app.get("/v1/health", summary="Which model answers, and how many wait")
    def health(challenge: str = "") -> dict[str, Any]:
        proof = hmac.new(secret.encode(), challenge[:200].encode(), hashlib.sha256).hexdigest()
        return {"status": "stopping" if worker.stopping else "ready", **facts, "waiting": worker.waiting,
                "proof": proof}

    @app.get("/v1/models", summary="The model, as OpenAI's API lists it")
    def models() -> dict[str, Any]:
        return {"object": "list", "data": [{"id": facts["model"], "object": "model", "owned_by": "affectgpt"}]}

    @app.post("/v1/describe", summary="Describe a clip that is sent along")
    async def describe(
            request: Request,
            file: Annotated[UploadFile | None, File(description="video, sound or picture")] = None,
            name: Annotated[str | None, Form(description="what the answer calls it")] = None,
            subtitle: Annotated[str | None, Form(description="spoken words; recognised where not given")] = None,
            streams: Annotated[str | None, Form(description="what to look at: audio,face,text")] = None,
            question: Annotated[str | None, Form(description="ask something else")] = None,
            max_new_tokens: Annotated[int | None, Form(ge=1, description="the longest answer")] = None,
            track: Annotated[int | None, Form(ge=0, description="which sound track")] = None,
            reader: Annotated[str, Form(description="library that decodes video: pyav or decord")] = "pyav",
            ) -> dict[str, Any]:
        place = request.state.place
        if reader not in ("pyav", "decord"):
            raise Problem("bad_request", "reader must be pyav or decord")
        if file is None:
            raise Problem("bad_request", "file: send the clip as a field of multipart/form-data of this name")
        if question is not None and not question.strip():
            raise Problem("bad_request", "question is empty: give one, or leave it out")
        suffix = Path(file.filename or "").suffix
        target = place.folder / ("clip" + (suffix if re.fullmatch(r"\.\w{1,8}", suffix, re.ASCII) else ""))
        await run_in_threadpool(_copy, file.file, target)
        called = name or file.filename or "the clip"
        if not target.stat().st_size:
            raise Problem("unreadable", f"{called}: the file is empty; send it again")
        task = Task(called, target, words=subtitle, question=question, track=track, reader=reader,
                    streams=None if streams is None else [one.strip() for one in streams.split(",")],
                    max_new_tokens=None if max_new_tokens is None else min(max_new_tokens, limits.new_tokens))
        return (await worker.answer(place, task, request.is_disconnected)).as_dict()

    @app.post(CHAT, summary="OpenAI's chat route: video_url, image_url and input_audio parts with data: URLs")
    async def completions(request: Request):
        place = request.state.place
        try:
            body = json.loads(await request.body())
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            raise Problem("bad_request", "the body must be one JSON object")
        task = await run_in_threadpool(chat.task_of, body, place.folder, limits.new_tokens)
        result = await worker.answer(place, task, request.is_disconnected)
        reply = chat.reply_of(result, result.text, facts["model"], uuid.uuid4().hex, int(time.time()))
        if not body.get("stream"):
            return reply
        return StreamingResponse(iter([f"data: {json.dumps(chat.chunk_of(reply))}\n\n", "data: [DONE]\n\n"]),
                                 media_type="text/event-stream")

    app.add_middleware(Places, worker=worker)
    app.add_middleware(Guard, limits=limits, token=token, chat_path=CHAT)
    return app


class Places:
    """ASGI middleware: a request with a clip gets a place before any of it is read, in `request.state.place`."""

    def __init__(self, app, worker: Worker):
        self.app, self.worker = app, worker

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http" or scope["method"] != "POST":
            return await self.app(scope, receive, send)
        with self.worker.place() as place:
            scope.setdefault("state", {})["place"] = place
            await self.app(scope, receive, send)


def _copy(source, target: Path) -> None:
    import shutil

    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)


def _page(app: FastAPI, facts: dict[str, Any]) -> str:
    """A page that says how to ask; it loads nothing."""
    rows = "".join(
        f"<tr><td><code>{method.upper()} {escape(path)}</code></td><td>{escape(entry.get('summary', ''))}</td></tr>"
        for path, methods in app.openapi()["paths"].items() for method, entry in methods.items())
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>AffectGPT</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>:root{{color-scheme:light dark}}body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;
padding:0 1rem}}pre{{overflow-x:auto;padding:.8rem;background:color-mix(in srgb,currentColor 8%,transparent)}}
td{{padding:.2rem .8rem .2rem 0;vertical-align:top}}</style>
<h1>AffectGPT</h1><p>Model: <code>{escape(facts["model"])}</code></p>
<pre>curl -F file=@clip.mp4 http://127.0.0.1:{facts["port"]}/v1/describe</pre>
<table>{rows}</table><p>All fields: <a href="/openapi.json">openapi.json</a></p></html>"""
