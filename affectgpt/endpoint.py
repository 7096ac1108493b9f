"""A client for servers that speak the OpenAI chat protocol: vLLM, llama.cpp, SGLang, Ollama and hosted ones.

    endpoint = Endpoint("http://127.0.0.1:8000/v1", "Qwen2.5-7B-Instruct")
    text = endpoint.chat([{"role": "user", "content": "Is 'glad' positive?"}], max_tokens=8)
    texts = list(endpoint.map(conversations, workers=8, max_tokens=64))  # in the order of the conversations

urllib3 carries it and tries again; nothing here needs torch or a model hub.
"""

from __future__ import annotations

import json
import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from affectgpt.endpoint_replies import advice_of, filtered, mean_probability, read_content

KEY_VARIABLE = "OPENAI_API_KEY"
RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
"""HTTP codes that another try may cure."""
LONGEST_PAUSE = 60.0
"""Seconds; also where the server asks for more with Retry-After."""

Message = dict[str, Any]


class Refused(ValueError):
    """The server answers, and will not answer this conversation (HTTP 400, 413, 422, or a reply without text)."""


@dataclass(frozen=True)
class Reply:
    """What a server said: its text, the mean probability of its tokens (None where unknown), why it ended.

    `no_answer` is "refusal" where the model or a filter of the server would not answer and said so in the fields that
    the protocol has for it (`text` is then what it said instead), else None.
    """

    text: str
    confidence: float | None
    finish_reason: str | None
    no_answer: str | None = None


class Endpoint:
    """One model of one server.

    Args:
        url: the base address, with its version: "http://host:port/v1".
        model: name of the model as the server lists it.
        key: sent as a bearer token and never printed; None takes the environment variable OPENAI_API_KEY, "" sends
            none.
        timeout: the longest wait for an answer, in seconds, before a try is given up.
        retries: further tries after a timeout, a lost connection or one of `RETRIED`.
        backoff: seconds before the second try again; it doubles each time, up to a minute.
        extra: fields that every request has besides, or instead; None removes one (`endpoint_replies.parse_extra`).
    Raises:
        ValueError: an address that is none, or holds a password; a key that cannot be sent.
    """

    def __init__(self, url: str, model: str, key: str | None = None, timeout: float = 120.0, retries: int = 5,
                 backoff: float = 1.0, extra: dict[str, Any] | None = None):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{_without_login(url)!r}: not the address of an endpoint; use http://host:port/v1")
        if parts.username or parts.password:
            raise ValueError(f"{_without_login(url)}: holds a user name or password; put the key into {KEY_VARIABLE}")
        if parts.query or parts.fragment:
            raise ValueError(f"{url.split('?')[0].split('#')[0]}: the address has a query or fragment; end it in /v1")
        if not model.strip():
            raise ValueError(f"{url}: no model is named; give the name that the server lists under {url}/models")
        self.url, self.model = url.rstrip("/"), model
        self.timeout, self.retries, self.backoff, self.extra = timeout, retries, backoff, extra or {}
        self._key = (os.environ.get(KEY_VARIABLE, "") if key is None else key).strip()
        if not all(33 <= ord(character) <= 126 for character in self._key):
            raise ValueError(f"the key in {KEY_VARIABLE} holds spaces or characters that no key has: set it again")
        # A proxy of the environment cannot reach this machine's own servers.
        self._local = parts.hostname in ("localhost", "127.0.0.1", "::1")
        self._pool, self._lock = None, threading.Lock()

    def chat(self, messages: list[Message], temperature: float = 0.0, max_tokens: int = 512,
             seed: int | None = None, **options: Any) -> str:
        """The text of `reply`; raises `Refused` where it is none."""
        return self._text(self.reply(messages, temperature, max_tokens, seed, **options))

    def reply(self, messages: list[Message], temperature: float = 0.0, max_tokens: int = 512,
              seed: int | None = None, **options: Any) -> Reply:
        """Ask once; wait and try again where that may help.

        Args:
            messages: {"role", "content"} each, as the protocol has them.
            options: further fields of the request, for example top_p or logprobs; None leaves a field out.
        Raises:
            Refused: the request is not taken, others may be. A reply that is a refusal is a `Reply`.
            ValueError: the server cannot be reached, refuses the key or the model, or does not speak the protocol.
        """
        body = {"model": self.model, "messages": messages, "temperature": temperature, "max_tokens": max_tokens,
                "seed": seed, **options, **self.extra}
        body = {name: value for name, value in body.items() if value is not None}
        return self._parse(self._post(f"{self.url}/chat/completions", body))

    def complete(self, **fields: Any) -> Reply:
        """The completion protocol, once: what the server goes on with after a prompt, or after its embeddings.

        Args:
            fields: of the request beside the model, such as prompt, prompt_embeds and max_tokens.
        Raises:
            Refused, ValueError: as `reply`.
        """
        body = {"model": self.model, **fields, **self.extra}
        response = self._post(f"{self.url}/completions", {name: value for name, value in body.items()
                                                          if value is not None or name not in self.extra})
        if response.status != 200:
            raise Refused(f"{self.url}: a filter of the server stopped this request")
        try:
            choice = response.json()["choices"][0]
            text, reason = choice["text"], choice.get("finish_reason")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = self._hide(" ".join(response.data.decode("utf-8", "replace").split()))[:200]
            raise ValueError(f"{self.url}: the answer is not that of an OpenAI-compatible completions endpoint "
                             f"({said!r}); does the address end in /v1?") from error
        if not isinstance(text, str):
            raise Refused(f"{self.url}: the reply holds no text (finish_reason {reason!r})")
        return Reply(text, None, reason)

    def map(self, conversations: Iterable[list[Message]], workers: int = 4, **options: Any) -> Iterator[str]:
        """Texts of many conversations, several at a time, in their order; `options` as for `chat`.

        Conversations are drawn as they are needed, so that a generator of them stays small in memory. The first
        error stops it: what was given before stands.
        """
        for reply in self.map_replies(({"messages": messages} for messages in conversations), workers, **options):
            if isinstance(reply, Refused):
                raise reply
            yield self._text(reply)

    def map_replies(self, requests: Iterable[dict[str, Any]], workers: int = 4,
                    **options: Any) -> Iterator[Reply | Refused]:
        """As `map`, with whole replies; a refused conversation gives its `Refused` and stops nothing.

        Args:
            requests: arguments of `reply` each, "messages" among them.
            options: arguments that all of them share.
        """
        def one(request: dict[str, Any]) -> Reply | Refused:
            try:
                return self.reply(**{**options, **request})
            except Refused as refused:
                return refused

        pool = ThreadPoolExecutor(max(1, workers))
        waiting: deque = deque()
        try:
            for request in requests:
                waiting.append(pool.submit(one, request))
                if len(waiting) >= 2 * max(1, workers):
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:  # an error or an abandoned iterator: what has not begun is not sent
            pool.shutdown(wait=True, cancel_futures=True)

    def _post(self, url: str, body: dict[str, Any]):
        """The server's response with code 200.

        Raises:
            Refused, ValueError: as `reply`; retries did not cure it.
        """
        import urllib3

        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        try:
            response = self._connections().request("POST", url, body=json.dumps(body).encode(), headers=headers)
        except urllib3.exceptions.HTTPError as error:
            reason = getattr(error, "reason", None) or error
            if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
                raise ValueError(f"{url}: no answer within {self.timeout:g} s in {self.retries + 1} tries; is the "
                                 "server busy? Run the same command again, with a smaller --batch-size") from error
            raise ValueError(f"{url}: cannot be reached in {self.retries + 1} tries "
                             f"({self._hide(' '.join(str(reason).split()))[:200]}); is the server running, and is the "
                             "address right?") from error
        if response.status == 200:
            return response
        said = self._hide(" ".join(response.data.decode("utf-8", "replace").split()))[:300] or response.reason
        where = f"{url}: HTTP {response.status} ({said})"
        if response.status in (400, 413, 422):
            if filtered(response):
                return response  # the same event as a reply that was filtered
            raise Refused(where + advice_of(said))
        advice = {401: f"the key is missing or wrong: set {KEY_VARIABLE}", 403: f"set {KEY_VARIABLE} to a key that "
                  "may use this model", 404: f"does the server have the model {self.model!r}, and does its address "
                  "end in /v1?", 429: "too many requests: use a smaller --batch-size"}
        tries = f" after {self.retries + 1} tries" if response.status in RETRIED else ""
        raise ValueError(f"{where}{tries}; " + advice.get(response.status, "see the log of the server"))

    def _connections(self):
        """The open connections, for all threads; a proxy of the environment is used where it says so."""
        with self._lock:
            if self._pool is None:
                import urllib3

                # Asking twice costs time and nothing else, so POST is repeated as GET would be.
                retry = urllib3.Retry(
                    total=self.retries, status_forcelist=RETRIED, allowed_methods=None, redirect=False,
                    backoff_factor=self.backoff / 2, backoff_max=LONGEST_PAUSE, backoff_jitter=self.backoff / 4,
                    retry_after_max=LONGEST_PAUSE, raise_on_status=False)
                options = {"retries": retry, "maxsize": 32,
                           "timeout": urllib3.Timeout(connect=min(30.0, self.timeout), read=self.timeout)}
                parts = urlsplit(self.url)
                proxy = None if self._local or proxy_bypass(parts.hostname) else getproxies().get(parts.scheme)
                self._pool = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            return self._pool

    def _parse(self, response) -> Reply:
        if response.status != 200:  # a filter stood before the model
            return Reply("", None, "content_filter", "refusal")
        try:
            choice = response.json()["choices"][0]
            message, reason = choice["message"], choice.get("finish_reason")
            text, refusal = read_content(message.get("content"))
            refusal = refusal or message.get("refusal")
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            said = self._hide(" ".join(response.data.decode("utf-8", "replace").split()))[:200]
            raise ValueError(f"{self.url}: the answer is not that of an OpenAI-compatible chat endpoint "
                             f"({said!r}); does the address end in /v1?") from error
        confidence = mean_probability(choice.get("logprobs"))
        if refusal or reason == "content_filter":
            return Reply(str(refusal or text), confidence, reason, "refusal")
        return Reply(text, confidence, reason)

    def _text(self, reply: Reply) -> str:
        if reply.no_answer == "refusal":
            raise Refused(f"{self.url}: refused (finish_reason {reply.finish_reason!r}): "
                          f"{self._hide(' '.join(reply.text.split()))[:200]!r}")
        if not reply.text:
            raise Refused(f"{self.url}: the reply holds no text (finish_reason {reply.finish_reason!r}); a model that "
                          "thinks first may need more new tokens")
        return reply.text

    def _hide(self, text: str) -> str:
        """`text` without the key: servers like to repeat what they got."""
        return text.replace(self._key, "(key)") if self._key else text

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model!r})"


def _without_login(url: str) -> str:
    """An address without its user name and password, for messages."""
    head, at, tail = url.rpartition("@")
    return f"{head.split('://')[0]}://...@{tail}" if at else url
