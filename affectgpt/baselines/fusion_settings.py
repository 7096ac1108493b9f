"""Settings of the feature-based baseline: which sequences, what encodes them over time, what fuses them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from affectgpt.baselines.settings import BaselineSettings, FitSettings
from affectgpt.features.spec import FeatureSpec
from affectgpt.models.settings import COUNT, SHARE, Above, AtLeast


@dataclass
class FusionSettings(BaselineSettings):
    """All settings of `affectgpt features`."""

    name: str = "features"
    """What the system is called in tables."""
    output: str = "runs/features"
    """Folder of the predictions, OUTPUT/SPLIT/seed-N."""
    features: str | None = None
    """Folder of the feature stores; null is OUTPUT/features. Recipes may share one."""
    streams: list[FeatureSpec] = field(default_factory=lambda: [FeatureSpec(encoder="starter:whisper-tiny.en")])
    """The sequences; the first one that a clip has leads: the others are brought to its times."""
    use: list[str] = field(default_factory=list)
    """Names of the streams to train on; none named is all. An ablation computes no feature anew."""
    head: Literal["concatenation", "lfan", "can", "jmt", "mt", "statistics"] = "lfan"
    """What fuses the streams (`baselines.heads`); "concatenation" of one stream is the single-stream baseline, and
    "statistics" pools over time first."""
    temporal: list[Annotated[int, COUNT]] = field(default_factory=lambda: [128, 128])
    """Widths of the temporal convolutions of each stream, dilations 1, 2, 4, ...; none passes features on. The head
    "statistics" has none."""
    temporal_of: dict[str, list[int]] = field(default_factory=dict)
    """Stream -> widths of its own."""
    kernel: Annotated[int, COUNT] = 5
    """Positions that a temporal convolution sees."""
    width: Annotated[int, AtLeast(0)] = 64
    """Of the head; 0, for "statistics" alone, makes it linear."""
    attention_heads: Annotated[int, COUNT] = 2
    """Of the head's attention."""
    dropout: Annotated[float, SHARE] = 0.1
    """In the temporal convolutions, and of the features where there are none."""
    head_dropout: Annotated[float, SHARE] = 0.3
    """Before the last layer."""
    feature_noise: Annotated[float, AtLeast(0)] = 0.0
    """Deviation of the noise on standardised features in training."""
    stream_dropout: Annotated[float, SHARE] = 0.0
    """Probability that a stream of a training clip is hidden where another one stays."""
    window: Annotated[int, COUNT] = 300
    """Positions that are looked at together; longer clips are cut into windows."""
    hop: Annotated[int, COUNT] = 200
    """Positions from a window to the next one; where windows overlap, scores are averaged."""
    decision: Literal["mean_logits", "mean_probabilities", "majority_vote"] = "mean_logits"
    """How scores of positions become the answer for a clip."""
    speeds: list[Annotated[float, Above(0)]] = field(default_factory=list)
    """Further speeds of the sound that training clips are heard at (Ko et al. 2015), besides their own."""
    workers: Annotated[int, AtLeast(0)] = 1
    """Threads that read clips ahead while features are computed."""
    folds: Annotated[int, AtLeast(0)] = 0
    """Only the first splits of the protocol, for a try; 0 is all."""
    fit: FitSettings = field(default_factory=lambda: FitSettings(epochs=30, batch_size=16, learning_rate=1e-3))
    """The training."""

    @property
    def used(self) -> list[FeatureSpec]:
        """Specs of the streams that are trained on, in the recipe's order."""
        return [spec for spec in self.streams if not self.use or spec.title in self.use]

    def problems(self) -> list[str]:
        found = super().problems()
        names = [spec.title for spec in self.streams]
        for number, spec in enumerate(self.streams):
            found += spec.problems(f"streams.{number}")
        if len(set(names)) < len(names):
            found.append(f"streams are called {', '.join(names)}: give each a name of its own")
        if unknown := [name for name in (*self.use, *self.temporal_of) if name not in names]:
            found.append(f"there is no stream {unknown[0]!r}: the streams are {', '.join(names)}")
        if not self.streams:
            found.append("streams is empty: name one at least")
        if self.head != "statistics" and (not self.width or self.width % self.attention_heads):
            found.append(f"width is {self.width} and attention_heads {self.attention_heads}: give a multiple of the "
                         "heads above 0")
        if self.hop > self.window:
            found.append(f"hop is {self.hop} and window {self.window}: positions between windows would not be seen")
        return found
