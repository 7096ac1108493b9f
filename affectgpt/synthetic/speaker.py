"""The identities of the starter corpus: who they are, how they look and sound, and their split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from affectgpt.synthetic.painter import Look
from affectgpt.synthetic.voice import VoiceBody


@dataclass(frozen=True)
class Speaker:
    """One identity: its name, its split, its face and its voice."""

    name: str
    split: str
    look: Look
    voice: VoiceBody


def _split_of(speaker: int, speakers: int) -> str:
    """A seventh of the identities is for validation, two sevenths for the test, at least one each."""
    test, validation = max(1, round(speakers * 2 / 7)), max(1, round(speakers / 7))
    if speaker >= speakers - test:
        return "test"
    return "validation" if speaker >= speakers - test - validation else "train"


def make_speaker(index: int, seed: int, speakers: int = 14) -> Speaker:
    """The identity number `index` of a corpus. Its split is that of `_split_of`."""
    rng = np.random.default_rng((seed, 7, index))
    deep = index % 2 == 0  # every split gets deep and high voices in turn

    def turn(step: int, options: list) -> object:
        return options[(index * step + index // len(options)) % len(options)]

    skin = turn(1, [(238, 198, 170), (150, 103, 76), (222, 176, 142), (118, 80, 60), (196, 146, 110),
                    (232, 186, 160)])
    hair = turn(1, [(72, 46, 30), (30, 25, 24), (44, 34, 30), (28, 24, 24), (98, 66, 40), (120, 116, 112),
                    (96, 44, 26)])
    if sum(skin) < 360:
        hair = (30, 25, 23)
    styles = ["short", "curly", "shaved", "short"] if deep else ["fringe", "long", "curly", "bun", "long"]
    shade, grey = rng.uniform(0.95, 1.05), rng.integers(105, 180)
    look = Look(
        skin=tuple(int(c * shade) for c in skin), hair=hair,
        iris=turn(1, [(84, 58, 40), (92, 122, 150), (96, 110, 70), (60, 42, 32)]),
        shirt=tuple(int(v) for v in rng.integers(50, 200, 3)),
        backdrop=tuple(int(v) for v in grey + rng.integers(-22, 23, 3)),
        hair_style=turn(1, styles), jaw=float(rng.uniform(1.0, 1.1) if deep else rng.uniform(0.9, 1.0)),
        length=float(rng.uniform(0.96, 1.05)), eye=float(rng.uniform(0.94, 1.08)),
        eye_tilt=float(rng.uniform(0.0, 0.035)),
        brow=float(rng.uniform(1.0, 1.3) if deep else rng.uniform(0.75, 1.0)),
        nose=float(rng.uniform(0.9, 1.2)),
        lips=float(rng.uniform(0.85, 1.1) if deep else rng.uniform(1.0, 1.3)),
        age=float(rng.uniform(0.0, 0.7)),
        glasses=index % 5 == 4, beard=float(rng.uniform(0.16, 0.26)) if deep and index % 4 == 2 else 0.0,
        light=float(rng.uniform(-0.8, 0.8)), seed=int(rng.integers(1 << 30)))
    voice = VoiceBody(pitch=float(rng.uniform(98, 128) if deep else rng.uniform(180, 222)),
                      formants=float(rng.uniform(0.95, 1.04) if deep else rng.uniform(1.1, 1.2)),
                      rate=float(rng.uniform(0.97, 1.06)), breath=float(rng.uniform(0.05, 0.2)))
    split = _split_of(index, speakers)
    return Speaker(f"speaker_{index:02d}", split, look, voice)
