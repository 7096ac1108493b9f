"""Names of the streams that a model can look at, and the rate of its sound: their one owner."""

from __future__ import annotations

STREAMS = ("audio", "face", "frame", "fusion", "text")
"""All streams; `fusion` is made of audio and a visual stream."""

MEDIA_STREAMS = ("audio", "face", "frame")
"""Streams that are read from media files and encoded."""

VISUAL_STREAMS = ("face", "frame")

SAMPLE_RATE = 16000
"""Samples a second of every waveform that enters a model."""

TOKEN_STREAMS = (*MEDIA_STREAMS, "fusion")
"""Streams that become tokens in the LLM's input."""
