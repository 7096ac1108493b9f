"""Chat requests as OpenAI's API has them -> a task: parts with a video, a picture, a sound; text is the question."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any

from affectgpt.serve.problems import Problem
from affectgpt.serve.work import Task

NAME = "the clip"
_DATA = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[\w.+-]+=[^;,]*)*);base64,", re.ASCII)
_KINDS = {"video_url": "video", "image_url": "picture", "input_audio": "sound", "audio_url": "sound"}


def task_of(body: dict[str, Any], folder: Path, most_tokens: int) -> Task:
    """The task of one request; its media are written into `folder`.

    Raises:
        Problem: fields that are not understood, no clip or several, or media that are not sent along.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(one, dict) for one in messages):
        raise Problem("bad_request", "messages must be a list of messages")
    if body.get("n", 1) not in (1, None):
        raise Problem("bad_request", "n: one answer a request; it is always the same one")
    roles = [one.get("role") for one in messages]
    if roles[-1] != "user" or roles.count("user") != 1 or set(roles) - {"system", "developer", "user"}:
        raise Problem("bad_request", "messages must be one of the user, with instructions before it at most: each "
                                     "question is asked anew, with its clip")
    texts: list[str] = []
    media: dict[str, Path] = {}
    for message in messages:
        content = message.get("content")
        parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
        if not isinstance(parts, list):
            raise Problem("bad_request", "content must be text or a list of parts")
        for part in parts:
            _add(part, texts, media, folder)
    if "video" in media and "picture" in media:
        raise Problem("bad_request", "send a video or a picture, not both")
    if not media:
        raise Problem("bad_request", "there is no clip to describe: add a part of type video_url, image_url or "
                                     "input_audio")
    picture = media.get("video") or media.get("picture")
    question = "\n".join(text.strip() for text in texts if text.strip()) or None
    return Task(NAME, picture or media["sound"], media.get("sound") if picture else None, question=question,
                max_new_tokens=_limit(body, most_tokens))


def _add(part: Any, texts: list[str], media: dict[str, Path], folder: Path) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text" and isinstance(part.get("text"), str):
        texts.append(part["text"])
        return
    if kind not in _KINDS:
        raise Problem("bad_request", f"a part must be text, {', '.join(_KINDS)}; not {str(kind)[:40]!r}")
    what = _KINDS[kind]
    if what in media:
        raise Problem("bad_request", f"one {what} a request, not several")
    value = part.get(kind)
    if kind == "input_audio":
        data = value.get("data") if isinstance(value, dict) else None
    else:
        url = value.get("url") if isinstance(value, dict) else value
        if not isinstance(url, str) or not _DATA.match(url):
            raise Problem("bad_request", f"{kind}: send the file along, as data:TYPE;base64,...; this server opens no "
                                         "address and no path")
        data = url.split(",", 1)[1]
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        content = None
    if not content:
        raise Problem("bad_request", f"{kind}: what was sent is not base64, or is empty")
    media[what] = folder / what
    media[what].write_bytes(content)


def _limit(body: dict[str, Any], most: int) -> int | None:
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted is None:
        return None
    if not isinstance(wanted, int) or isinstance(wanted, bool) or not 1 <= wanted:
        raise Problem("bad_request", f"max_tokens must be a whole number from 1, not {str(wanted)[:40]}")
    return min(wanted, most)


def reply_of(result, text: str, model: str, number: str, created: int) -> dict[str, Any]:
    """The response of OpenAI's API, with the facts of `describe --json` under "affectgpt".

    Args:
        result: `inference.Description`.
        text: the answer as the model gave it.
    """
    return {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": created, "model": model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                         "finish_reason": "length" if result.cut_off else "stop"}],
            "affectgpt": result.as_dict()}


def chunk_of(reply: dict[str, Any]) -> dict[str, Any]:
    """The same as the one piece of a stream."""
    [choice] = reply["choices"]
    return {**reply, "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": choice["message"], "finish_reason": choice["finish_reason"]}]}
