"""The same clip twice: in one corpus, in two of its splits, or in a corpus that another is trained or tested beside."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from affectgpt.data.clip import Clip
from affectgpt.data.shared import identities
from affectgpt.features.key import file_sha256


@dataclass
class Leaks:
    """`twins`: clips of the same content, within a split and between two; `shared`: clips of other corpora."""

    twins: list[dict[str, str]] = field(default_factory=list)
    shared: list[dict[str, str]] = field(default_factory=list)

    @property
    def between_splits(self) -> list[dict[str, str]]:
        """Twins of two splits: what is learned from one is known of the other."""
        return [row for row in self.twins if row["split"] != row["twin_split"]]

    @property
    def found(self) -> bool:
        """Whether a score on one of the sets would say little."""
        return bool(self.shared or self.between_splits)


def hashed(clips: Iterable[Clip], sizes: set[int]) -> list[Clip]:
    """The clips with the content of those files whose size one of ours has; without any other file being read."""
    result = []
    for clip in clips:
        if clip.content is None and clip.audio is None and clip.media is not None and clip.media.is_file():
            if os.stat(clip.media).st_size in sizes:
                clip = replace(clip, content=file_sha256(clip.media))
        result.append(clip)
    return result


class Search:
    """Takes prepared clips one after the other and notes what is there twice.

    Args:
        against: clips of other corpora, with their content where it is known.
    """

    def __init__(self, against: Sequence[Clip]):
        self.leaks = Leaks()
        self._others: dict[tuple, tuple[str, str]] = {}
        for clip in against:
            for identity in identities(clip):
                self._others.setdefault(identity, (clip.key, clip.split))
        self._seen: dict[tuple, tuple[str, str]] = {}

    def add(self, clip: Clip) -> None:
        """Look at one clip."""
        if clip.content:
            place = bytes.fromhex(clip.content), clip.start, clip.end
            first = self._seen.setdefault(place, (clip.key, clip.split))
            if first[0] != clip.key:
                self.leaks.twins.append({"clip": clip.key, "split": clip.split, "twin": first[0],
                                         "twin_split": first[1]})
        for identity in identities(clip):
            if identity in self._others:
                other, split = self._others[identity]
                self.leaks.shared.append({"clip": clip.key, "split": clip.split, "twin": other, "twin_split": split,
                                          "by": identity[0]})
                break
