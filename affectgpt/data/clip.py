"""One sample of a corpus. Anything but the id may be missing; a missing stream is data, not an error."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from affectgpt.models.prompting import spoken  # noqa: F401  known by this name too
from affectgpt.words import lexicon

SEXES = ("female", "male")
"""As corpora write them down; nothing is guessed where one does not."""


@dataclass(frozen=True)
class Preference:
    """Two descriptions of a clip, and which one people found better: "first", "second" or "same"; "" where nobody has
    said it."""

    first: str
    second: str
    better: str


@dataclass(frozen=True)
class Targets:
    """What is known about the emotion of a clip.

    `labels` are open words, `emotion` is one of the corpus's closed set (`Corpus.labels`), `votes` says how many people
    chose each of that set, or which share of them. `valence` lies in the corpus's range, `arousal` and `dominance` in
    that of their scale (`Corpus.valence_range`). `turns` are questions with their answers.

    `evidence` and `cues` say, stream by stream, what that stream shows: a sentence, and its basic
    emotion ("neutral" where it carries none). With them, an answer can be made for any subset of
    streams; without them, only `description` and `labels` are known, for the whole clip.
    """

    description: str | None = None
    labels: tuple[str, ...] = ()
    emotion: str | None = None
    valence: float | None = None
    sentiment: str | None = None
    arousal: float | None = None
    dominance: float | None = None
    votes: dict[str, float] = field(default_factory=dict)
    preference: Preference | None = None
    turns: tuple[tuple[str, str], ...] = ()
    evidence: dict[str, str] = field(default_factory=dict)
    cues: dict[str, str] = field(default_factory=dict)

    @property
    def conflict(self) -> bool:
        """True where two streams carry different emotions."""
        meaning = lexicon.load().meaning
        return len({meaning(cue) or cue for cue in self.cues.values()} - {"neutral"}) > 1

    @property
    def carriers(self) -> tuple[str, ...]:
        """Streams that carry an emotion other than neutral."""
        return tuple(stream for stream, emotion in self.cues.items() if emotion != "neutral")


@dataclass(frozen=True)
class Clip:
    """One clip: where its media lie, what is said in it, what it shows, and where the row came from.

    `media` is a video, an audio file or a picture; `audio` is a separate sound file that replaces
    the sound of `media`. `start` and `end` are seconds of `media`, None for its own start and end.
    `face` is the face of the one who is meant: crops as `openface_face` holds them (.npy, uint8
    [T, height, width, 3], BGR), or a face track (.json). `words` are the spoken words in `language`;
    `sex` is the speaker's, "female" or "male", where the corpus states it; `dialogue` and `turn`
    say where the words stand in a conversation. `group` is what no split may cut: a video, a
    session. `content` is a hash of the media, of a prepared corpus: equal where two files are one.
    `provenance` is "file:row".
    """

    id: str
    corpus: str = ""
    split: str = ""
    media: Path | None = None
    audio: Path | None = None
    words: str | None = None
    language: str = "en"
    speaker: str | None = None
    sex: str | None = None
    start: float | None = None
    end: float | None = None
    face: Path | None = None
    dialogue: str | None = None
    turn: int | None = None
    group: str | None = None
    content: str | None = None
    targets: Targets = field(default_factory=Targets)
    provenance: str = ""

    @property
    def span(self) -> tuple[float | None, float | None] | None:
        """(start, end) in seconds; None where the clip is all of its media."""
        return None if self.start is None and self.end is None else (self.start, self.end)

    @property
    def key(self) -> str:
        """Name of the clip among all corpora."""
        return f"{self.corpus}/{self.id}"


def clip_labels(clip: Clip) -> tuple[str, ...]:
    """Labels of a clip; its single emotion where it has no list."""
    return clip.targets.labels or ((clip.targets.emotion,) if clip.targets.emotion else ())


def absent_files(clip: Clip) -> list[Path]:
    """Files of picture, sound and face that a clip should have and that are not there."""
    return [path for path in (clip.media, clip.audio, clip.face) if path is not None and not path.is_file()]
