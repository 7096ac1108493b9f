"""What stands before every request: who may ask, from where, how much and for how long."""

from __future__ import annotations

import asyncio
import hmac

from affectgpt.serve.limits import Limits
from affectgpt.serve.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"),
]


class Guard:
    """ASGI middleware.

    Without a token only this machine is served, and only requests whose Host says so: a page of another site that a
    browser here has open can neither read nor send anything (its Origin differs; a name of its own that leads to
    127.0.0.1 is another Host). With a token each request needs it.
    """

    def __init__(self, app, limits: Limits, token: str | None, chat_path: str):
        self.app, self.limits, self.token, self.chat_path = app, limits, token, chat_path

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = False

        async def answer(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        try:
            headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
            self._check(headers)
            megabytes = self.limits.chat_megabytes if scope["path"] == self.chat_path else self.limits.upload_megabytes
            await self.app(scope, self._measured(receive, headers, megabytes), answer)
        except Problem as problem:
            if started:
                raise
            from starlette.responses import JSONResponse

            # What its sender still sends is not read.
            headers = {**problem.headers(), "connection": "close"}
            await JSONResponse(problem.body(), problem.status, headers)(scope, receive, answer)

    def _check(self, headers: dict[str, str]) -> None:
        host = headers.get("host", "")
        if self.token is None and host.rsplit(":", 1)[0] not in LOOPBACK and host not in LOOPBACK:
            raise Problem("forbidden", f"Host is {host[:100]!r}: this server answers as 127.0.0.1 or localhost alone")
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != host:
            raise Problem("forbidden", "this server answers no page of another site")
        given = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if self.token is not None and not hmac.compare_digest(given, self.token.encode()):
            raise Problem("unauthorized", "this server needs its token: send it as Authorization: Bearer TOKEN")

    def _measured(self, receive, headers: dict[str, str], megabytes: float):
        """`receive` that ends a body which is too large or too slow."""
        most, length = megabytes * 1e6, headers.get("content-length", "0")
        too_large = Problem("too_large", f"the request has more than {megabytes:g} MB, the most here; send a "
                                         "shorter or smaller clip")
        if not length.isdecimal() or int(length[:20]) > most:
            raise too_large
        loop = asyncio.get_running_loop()
        end, size, whole = loop.time() + self.limits.upload_seconds, 0, False

        async def measured():
            nonlocal size, whole
            if whole:  # from here on it only tells that the sender has hung up
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - loop.time()))
            except TimeoutError:
                raise Problem("slow_upload", f"the request took longer than {self.limits.upload_seconds:g} s to "
                                             "send") from None
            size += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if size > most:
                raise too_large
            return message

        return measured
