"""What is said of a clip, as plain values: nothing here imports torch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields


@dataclass(frozen=True)
class Description:
    """What a model says of one clip.

    `polarity` is None where the answer leaves it open. `seconds` is the time from file to answer; `notes` says what
    was missing, and what of the words or of the answer was cut. `text` is the answer as the model gave it; `cut_off`
    says that its length ended it.
    """

    file: str
    description: str
    labels: list[str]
    polarity: str | None
    streams: list[str]
    seconds: float
    words: str | None = None
    notes: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    text: str = ""
    cut_off: bool = False

    def as_dict(self) -> dict:
        """Plain values for JSON: all but the fields from `timings` on."""
        values = asdict(self)
        for name in ("timings", "text", "cut_off"):
            del values[name]
        return values

    @classmethod
    def of_dict(cls, values: dict) -> Description:
        """From what `as_dict` gave, here or in another process; keys of a later version are left out."""
        return cls(**{field.name: values[field.name] for field in fields(cls) if field.name in values})


@dataclass(frozen=True)
class Skipped:
    """A file that could not be read, and why."""

    file: str
    reason: str


@dataclass(frozen=True)
class Reply:
    """The text of an answer; `cut_off` where its length ended it, not the model."""

    text: str
    cut_off: bool = False
