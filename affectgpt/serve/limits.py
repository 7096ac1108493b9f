"""What one request, and all of them together, may ask of a server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """
    Args:
        upload_megabytes: of one request to /v1/describe, which goes to disk as it comes.
        chat_megabytes: of one request to /v1/chat/completions, which is held in memory.
        clip_seconds: the longest clip; longer ones are for `affectgpt timeline`.
        waiting: requests that are read, wait or are answered at one time; more are told to come back.
        upload_seconds: how long sending a request may take.
        answer_seconds: how long a request may wait for its answer.
        new_tokens: the longest answer that a request may ask for.
    """

    upload_megabytes: float = 256
    chat_megabytes: float = 48
    clip_seconds: float = 600
    waiting: int = 64
    upload_seconds: float = 120
    answer_seconds: float = 300
    new_tokens: int = 1024

    def __post_init__(self):
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"--{name.replace('_', '-')} is {value:g}: use more than 0")
