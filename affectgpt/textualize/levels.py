"""Facts of a voice -> where they lie among other clips -> words ("High pitch, Low tempo").

The shipped reference (`voice_reference.json`) has quantiles of each fact, nothing of any one clip. It was made of the
journal of a job on EmoDB (535 clips, ten German actors):

    affectgpt textualize textualize source.manifests=emodb:DIR cues=tone output=OUT
    python -m affectgpt.textualize.levels OUT/journal.jsonl affectgpt/textualize/voice_reference.json
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from affectgpt.data.clip import Clip
from affectgpt.files import atomic_write_json, read_jsonl
from affectgpt.textualize.settings import VoiceSection
from affectgpt.textualize.voice import FACTS

REFERENCE = Path(__file__).with_name("voice_reference.json")
QUANTILES = tuple(number / 20 for number in range(21))
VOICE_STAGE = "voice"
"""Name of a journal's rows with facts of voices."""


class Baselines:
    """What voices are compared with.

    Args:
        clips, facts: all clips and the facts of each by `Clip.key`; None or no entry where a voice was not measured.
    Attributes:
        used: "speaker", "corpus" or "reference" -> how many clips were compared with it.
    """

    def __init__(self, clips: Sequence[Clip], facts: Mapping[str, dict[str, float] | None], settings: VoiceSection):
        self.settings, self.used = settings, {}
        self._groups: dict[tuple, dict[str, list[float]]] = {}
        self._sizes: dict[tuple, int] = {}
        for clip in clips:
            if facts.get(clip.key):
                for group in _groups(clip):
                    self._sizes[group] = self._sizes.get(group, 0) + 1
                    for name, value in facts[clip.key].items():
                        self._groups.setdefault(group, {}).setdefault(name, []).append(value)

    def percentiles(self, clip: Clip, facts: Mapping[str, float]) -> dict[str, float]:
        """Fact -> its place in 0..1 among those of the clips that this one is compared with."""
        settings = self.settings
        least = {"speaker": settings.speaker_clips, "corpus": settings.corpus_clips}
        wanted = ("speaker", "corpus") if settings.against == "auto" else (settings.against,)
        for group in _groups(clip):
            if group[0] in wanted and self._sizes.get(group, 0) >= least[group[0]]:
                self.used[group[0]] = self.used.get(group[0], 0) + 1
                values = self._groups[group]
                return {name: round(_rank(np.array(values[name]), value), 4) for name, value in facts.items()}
        self.used["reference"] = self.used.get("reference", 0) + 1
        table = reference()
        return {name: round(float(np.interp(value, table[name], QUANTILES)), 4) for name, value in facts.items()
                if name in table}


def _groups(clip: Clip) -> list[tuple]:
    """The groups of clips that a clip belongs to, the closest first."""
    return [("speaker", clip.corpus, clip.speaker)] * bool(clip.speaker) + [("corpus", clip.corpus)]


def _rank(values: np.ndarray, value: float) -> float:
    """Share of values below, equal ones by half."""
    return float(((values < value).sum() + 0.5 * (values == value).sum()) / len(values))


def level_words(percentiles: Mapping[str, float], levels: Mapping[str, float]) -> str:
    """"High pitch, Low tempo" in the order of `FACTS`: of each the last word whose percentile is reached."""
    found = []
    for name in FACTS:
        if name in percentiles:
            word = [word for word, least in levels.items() if percentiles[name] >= least][-1]
            found.append(f"{word} {name}")
    return ", ".join(found)


@lru_cache(maxsize=1)
def reference() -> dict[str, list[float]]:
    """Fact -> its values at `QUANTILES`, of the shipped reference."""
    return json.loads(REFERENCE.read_text(encoding="utf-8"))["quantiles"]


def make_reference(journal: str | Path, target: str | Path) -> int:
    """Write quantiles of the facts in a job's journal; returns how many clips they are of."""
    rows = [row["value"]["facts"] for _, row in read_jsonl(journal)
            if row.get("stage") == VOICE_STAGE and row["value"].get("facts")]
    if len(rows) < 20:
        raise ValueError(f"{journal}: has {len(rows)} measured voices, and a reference takes 20")
    table = {name: [round(float(value), 3) for value in np.quantile([row[name] for row in rows], QUANTILES)]
             for name in FACTS}
    atomic_write_json(target, {"clips": len(rows), "quantiles": table}, indent=None)
    return len(rows)


if __name__ == "__main__":
    print(f"{make_reference(sys.argv[1], sys.argv[2])} clips")
