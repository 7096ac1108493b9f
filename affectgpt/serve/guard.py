"""What stands before every request: who may ask, from where, how much and for how long."""

from __future__ import annotations

import asyncio
import hmac

from affectgpt.serve.limits import Limits
from affectgpt.serve.problems import Problem

LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1")
HEALTH = "/v1/health"
HEADERS = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"no-referrer"), (b"cache-control", b"no-store"),
]


class Guard:
    """ASGI middleware.

    Without a token only this machine is served, and only requests whose Host says so: a page of another site that a
    browser here has open can neither read nor send anything (its Origin differs; a name of its own that leads to
    127.0.0.1 is another Host). With a token each request needs it but /v1/health, by which `describe` learns who is
    there before it shows the token.
    """

    def __init__(self, app, limits: Limits, token: str | None, chat_path: str):
        self.app, self.limits, self.token, self.chat_path = app, limits, token, chat_path
        self.held = 0  # bytes of all requests that are not answered yet

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, read = False, [0]

        async def answer(message):
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message["headers"], *HEADERS]}
            await send(message)

        try:
            headers = {key.decode("latin-1").lower(): value.decode("latin-1") for key, value in scope["headers"]}
            self._check(headers, scope["path"])
            megabytes = self.limits.chat_megabytes if scope["path"] == self.chat_path else self.limits.upload_megabytes
            await self.app(scope, self._measured(receive, headers, megabytes, read), answer)
        except Problem as problem:
            if started:
                raise
            from starlette.responses import JSONResponse

            # What its sender still sends is not read.
            headers = {**problem.headers(), "connection": "close"}
            await JSONResponse(problem.body(), problem.status, headers)(scope, receive, answer)
        finally:
            self.held -= read[0]

    def _check(self, headers: dict[str, str], path: str) -> None:
        host = headers.get("host", "")
        if self.token is None and host.rsplit(":", 1)[0] not in LOOPBACK and host not in LOOPBACK:
            raise Problem("forbidden", f"Host is {host[:100]!r}: this server answers as 127.0.0.1 or localhost alone")
        origin = headers.get("origin")
        if origin is not None and origin.split("://", 1)[-1] != host:
            raise Problem("forbidden", "this server answers no page of another site")
        if self.token is None or path == HEALTH:
            return
        given = headers.get("authorization", "").removeprefix("Bearer ").encode("latin-1")
        if not hmac.compare_digest(given, self.token.encode()):
            raise Problem("unauthorized", "this server needs its token: send it as Authorization: Bearer TOKEN")

    def _measured(self, receive, headers: dict[str, str], megabytes: float, read: list[int]):
        """`receive` that ends a body which is too large or too slow, or too much beside the others.

        read: its one number becomes the bytes that were read.
        """
        most, length = megabytes * 1e6, headers.get("content-length", "0")
        too_large = Problem("too_large", f"the request has more than {megabytes:g} MB, the most here; send a "
                                         "shorter or smaller clip")
        if not length.isdecimal() or int(length[:20]) > most:
            raise too_large
        loop = asyncio.get_running_loop()
        end, whole = loop.time() + self.limits.upload_seconds, False

        async def measured():
            nonlocal whole
            if whole:  # from here on it only tells that the sender has hung up
                return await receive()
            try:
                message = await asyncio.wait_for(receive(), max(0.0, end - loop.time()))
            except TimeoutError:
                raise Problem("slow_upload", f"the request took longer than {self.limits.upload_seconds:g} s to "
                                             "send") from None
            size = len(message.get("body", b""))
            read[0] += size
            self.held += size
            whole = not message.get("more_body", False)
            if read[0] > most:
                raise too_large
            if self.held > self.limits.total_megabytes * 1e6:
                raise Problem("busy", f"the requests that wait have more than {self.limits.total_megabytes:g} MB, the "
                                      "most here; ask again later")
            return message

        return measured
