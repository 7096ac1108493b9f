"""`affectgpt describe` asks a server that already holds the very model, where one runs: nothing heavy is imported."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import time
from pathlib import Path
from typing import Any

from affectgpt.serve.presence import identity_of, read_record

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3600.0
TRIES = 5
"""Of a server that is busy; then the model is loaded here."""


class NotServed(Exception):
    """The server cannot answer this; says why."""


class Client:
    """A server of a model folder.

    Args:
        record: what `presence.read_record` gave.
    """

    def __init__(self, record: dict[str, Any]):
        import urllib3

        self.url = f"http://127.0.0.1:{record['port']}"
        wait = urllib3.Timeout(connect=CONNECT_SECONDS, read=ANSWER_SECONDS)
        self.http = urllib3.PoolManager(retries=False, timeout=wait)
        self.most_bytes = 0.0
        self.headers = {"Authorization": f"Bearer {record['token']}"} if record.get("token") else {}

    def health(self, secret: str) -> dict[str, Any] | None:
        """What the server says of itself; None where it is not the one that wrote the record."""
        import urllib3

        challenge = secrets.token_hex(16)
        try:  # nothing but the challenge is sent before the answer has shown who is there
            response = self.http.request("GET", f"{self.url}/v1/health", fields={"challenge": challenge},
                                         timeout=CONNECT_SECONDS)
            values = json.loads(response.data)
        except (urllib3.exceptions.HTTPError, OSError, ValueError):
            return None
        proof = hmac.new(secret.encode(), challenge.encode(), hashlib.sha256).hexdigest()
        right = isinstance(values, dict) and hmac.compare_digest(str(values.get("proof")).encode(), proof.encode())
        return values if right else None

    def describe(self, file: Path, fields: dict[str, Any]) -> dict[str, Any]:
        """The facts of `describe --json` for a file.

        Raises:
            NotServed: no answer from this server.
            LookupError: the file cannot be described; says why.
            ValueError: an option that cannot be.
        """
        import urllib3

        if file.stat().st_size > self.most_bytes:  # it would be held in memory here, and refused there
            raise NotServed(f"{file} is larger than it takes")
        form = {key: str(value) for key, value in fields.items() if value is not None}
        for attempt in range(TRIES):
            try:
                with file.open("rb") as content:
                    response = self.http.request(
                        "POST", f"{self.url}/v1/describe", headers=self.headers,
                        fields={**form, "name": str(file), "file": (file.name, content.read())})
                values = json.loads(response.data)
            except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
                raise NotServed(f"{type(error).__name__} while it was asked") from error
            if response.status == 200 and isinstance(values, dict):
                return values
            error = values.get("error") if isinstance(values, dict) else None
            kind, message = (error.get("type"), str(error.get("message"))) if isinstance(error, dict) else (None, "")
            if kind == "unreadable":
                raise LookupError(message)
            if kind == "bad_request":
                raise ValueError(message)
            if kind != "busy" or attempt == TRIES - 1:
                raise NotServed(message or f"HTTP {response.status}")
            time.sleep(float(response.headers.get("Retry-After", 1)))
        raise NotServed("it is busy")


def find(folder: str | Path, device: str, quantize: str | None) -> Client | None:
    """A server on this machine that holds this model folder as it is now, computing as is asked; None where none is.

    Args:
        device: "auto" takes what the server has.
    """
    record = read_record(folder)
    if record is None or not isinstance(record.get("identity"), str) or record["identity"] != identity_of(folder):
        return None
    client = Client(record)
    health = client.health(record["secret"])
    if health is None or health.get("identity") != record["identity"] or health.get("status") != "ready":
        return None
    client.most_bytes = float(health.get("upload_megabytes", 0)) * 1e6 - 1e5  # less the form around it
    fits = health.get("quantize") == quantize and device in ("auto", health.get("device"))
    return client if fits else None

