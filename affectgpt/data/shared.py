"""Clips that are trained on and tested on: the same clip in two corpora, told by its name or its content."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from affectgpt.data.clip import Clip

_FAMILY = re.compile(r"emer|ov[-_]?merd|human[-_]?ov|emoprefer|mer(?:r|20\d\d|[-_]?caption|$)", re.IGNORECASE)
"""Corpora of the MER challenges, whose clips have one space of names: MER2025 and MER2026 hold those of MER2023 and
MER2024, and EMER, OV-MERD, MER-Caption, Human-OV and MERR were made of them."""
_NAME = re.compile(r"sample(?:new\d*)?_\d{8}", re.ASCII)
"""How most of these clips are called, so that they are known in a manifest of any name."""
NAMED = 1000
"""Clips that a message names; there are 548 in the known case, Human-OV inside MER-Caption+."""


def identities(clip: Clip) -> list[tuple]:
    """What tells that two clips are one: their name in the MER family, and the content of their files."""
    found: list[tuple] = []
    name = clip.id.rpartition("/")[2].partition("#")[0]  # one clip may have several pairs of descriptions
    if _FAMILY.match(clip.corpus) or _NAME.fullmatch(name):
        found.append(("name", name, clip.start, clip.end))
    if clip.content:
        found.append(("content", clip.content, clip.start, clip.end))
    return found


def check_shared(training: Sequence[Clip], held: Sequence[Clip], tested: Collection[str],
                 shared_clips: str) -> tuple[list[Clip], list[str]]:
    """(training clips that stay, notes), where some of them are validated or tested on.

    Args:
        held: clips of the validation and the test split.
        tested: keys of clips that MER-UniBench tests on, and that are not to be trained on.
        shared_clips: "refuse", "leave_out" or "allow", as the recipe's `data.shared_clips`.
    Raises:
        ValueError: there are some, and they are refused; names them all.
    """
    of_identity = {identity: clip for clip in held for identity in identities(clip)}
    found: dict[str, str] = {}
    for clip in training:
        twin = next((of_identity[identity] for identity in identities(clip) if identity in of_identity), None)
        if twin is not None:
            found[clip.key] = f"{clip.key} = {twin.key} of split {twin.split}"
        elif clip.key in tested:
            found[clip.key] = f"{clip.key} of the official test split"
    if not found:
        return list(training), []
    count = f"{len(found):,} of {len(training):,} training clips"
    if shared_clips == "allow":
        return list(training), [f"warning: {count} are validated or tested on too (data.shared_clips=allow): scores on "
                                "them say little"]
    left = [clip for clip in training if clip.key not in found]
    if shared_clips == "leave_out" and left:
        return left, [f"note: {count} are validated or tested on too; they are left out of training "
                      "(data.shared_clips=leave_out)"]
    more = f", and {len(found) - NAMED:,} more" if len(found) > NAMED else ""
    raise ValueError(f"{count} are validated or tested on too: set data.shared_clips=leave_out to train without them, "
                     f"or data.shared_clips=allow to train on them all the same. They are "
                     f"{', '.join(list(found.values())[:NAMED])}{more}")
