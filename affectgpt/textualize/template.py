"""The text that a clip becomes: one slot a cue, each of which can be left out.

Wording of Richet et al. 2024 (arXiv 2407.12927), the textualized side of its comparison.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SLOTS = {
    "speech": "Speech transcription of the video : {}",
    "units": "Facial Action Units activated during the video : {}",
    "expressions": "Emotions predicted from visual modality: {}",
    "tone": "Characteristics of the prosody : {}",
    "state": "Audio emotional state : {}",
}
"""Cue -> its part of the text, in this order."""

CUES = tuple(SLOTS)
SEPARATOR = "; "


def fill(cues: Mapping[str, str], use: Sequence[str] = CUES, slots: Mapping[str, str] | None = None) -> str:
    """The text of a clip.

    Args:
        cues: cue -> what fills its slot; a cue that is not there is left out with its slot.
        use: the cues to show; their order is that of `CUES`.
        slots: other wordings of some slots, each with one {}.
    Raises:
        ValueError: a cue that is not known.
    """
    unknown = [name for name in (*use, *cues, *(slots or {})) if name not in SLOTS]
    if unknown:
        raise ValueError(f"cue {unknown[0]!r} is not known; there are {', '.join(CUES)}")
    worded = {**SLOTS, **(slots or {})}
    return SEPARATOR.join(worded[name].replace("{}", cues[name], 1) for name in CUES if name in use and name in cues)
