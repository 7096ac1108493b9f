"""Names of the streams that a model can look at: their one owner."""

from __future__ import annotations

STREAMS = ("audio", "face", "frame", "fusion", "text")
"""All streams; `fusion` is made of audio and a visual stream."""

MEDIA_STREAMS = ("audio", "face", "frame")
"""Streams that are read from media files and encoded."""

VISUAL_STREAMS = ("face", "frame")

TOKEN_STREAMS = (*MEDIA_STREAMS, "fusion")
"""Streams that become tokens in the LLM's input."""
