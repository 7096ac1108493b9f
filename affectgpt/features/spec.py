"""What a sequence of features is made of: one stream, one encoder, one rate.

Each `FeatureSpec` has a store of its own under one folder, so that another visual encoder does not compute sound again,
and an ablation costs one stream.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from affectgpt.features.key import FORMAT, PREPROCESSING, SEQUENCE_SETTINGS, SEQUENCES, settings_key
from affectgpt.models.settings import COUNT, Above, AtLeast

SOURCES = (*SEQUENCE_SETTINGS, "texts")


@dataclass
class FeatureSpec:
    """One stream of a clip as positions in time."""

    name: str = ""
    """What the stream is called in results; empty takes its source, or its cue."""
    source: Literal["audio", "face", "frame", "words", "units", "texts"] = "audio"
    """Sound; crops of one face; whole pictures; words of the clip; facial action units (`textualize.units`); or the
    clip-level numbers of a file that `affectgpt textualize` wrote, one position a clip."""
    encoder: str = ""
    """Hub id, local folder or starter name of what encodes; of "texts" the file; of "units" empty where they are
    measured from the face, or the folder of tables that py-feat or OpenFace wrote."""
    rate: Annotated[float, Above(0)] = 5.0
    """Positions a second. Of pictures no more than the video has; "words" and tables of units have their own."""
    layers: Literal["all", "last4_mean", "last", "embeddings"] = "all"
    """Layers of a sound encoder, beside each other; of words the last one, or the embeddings before the first."""
    statistics: Literal["mean", "mean_std"] = "mean"
    """What of the encoder's steps within a position is kept: their mean, or their deviation beside it."""
    level: bool = True
    """Whether sound is brought to one level of its spoken part, so that a quiet recording is heard as any other."""
    spoken_part: bool = False
    """Whether only what lies between the first and the last sound above the floor is encoded; of words, whether they
    are spread over that part instead of the whole clip."""
    timed: bool = False
    """Whether English words are timed by the bundled recogniser, where it hears them; a clip without words has those
    that it hears."""
    size: Annotated[int, AtLeast(0)] = 0
    """Pixels of pictures; 0 is what the encoder takes."""
    margin: Annotated[float, AtLeast(0)] = 0.0
    """Room around a face, in units of its size."""
    output: Literal["features", "logits", "both"] = "features"
    """Of an encoder with a classifier: its features, its log-posteriors, or both beside each other."""
    cue: Literal["units", "expressions", "tone", "state"] = "units"
    """Which numbers of a texts file."""
    batch: Annotated[int, COUNT] = 64
    """Pictures that are encoded together."""
    dtype: Literal["float32", "float16"] = "float32"
    """How features are kept."""

    @property
    def title(self) -> str:
        """The stream's name."""
        return self.name or (self.cue if self.source == "texts" else self.source)

    def problems(self, where: str) -> list[str]:
        """What cannot be, a phrase each."""
        found = []
        if self.source != "units" and not self.encoder:
            what = "the texts file" if self.source == "texts" else "a hub id, a folder or a starter name"
            found.append(f"{where}.encoder is empty: name {what}")
        if (self.layers == "embeddings") > (self.source == "words"):
            found.append(f"{where}.layers=embeddings is for words alone: use all, last4_mean or last")
        if not self.title.replace("_", "").replace("-", "").isalnum():
            found.append(f"{where}.name is {self.name!r}: use letters, digits, - and _")
        return found


def sequence_settings(spec: FeatureSpec, revision: str | None, reader: str = "pyav") -> dict:
    """What keys a store of this spec, as `key.store_settings`; without the width, which the encoder tells.

    Args:
        revision: `key.encoder_revision` of the encoder; of action units the names of what finds them.
    """
    values = {name: getattr(spec, name) for name in SEQUENCE_SETTINGS[spec.source]}
    values |= {name: float(values[name]) for name in ("rate", "margin") if name in values}  # 5 is 5.0
    values |= {"encoder": spec.encoder, "revision": revision}
    return json.loads(json.dumps({
        "format": FORMAT, "kind": SEQUENCES, "preprocessing": PREPROCESSING, "reader": reader, "recogniser": None,
        "dtype": spec.dtype, "streams": {spec.source: values}}))


def store_name(spec: FeatureSpec, settings: dict) -> str:
    """Name of the store's folder: two specs that give the same features share one."""
    return f"{spec.source}-{settings_key(settings)}"
