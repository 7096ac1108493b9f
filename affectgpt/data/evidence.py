"""What can be told of a clip of which only some streams are shown: its emotions, its polarity, its description."""

from __future__ import annotations

from affectgpt.data.clip import Targets
from affectgpt.words import lexicon

STREAM_NAMES = {"audio": "voice", "face": "face", "frame": "scene", "text": "words"}
"""Stream -> what an answer calls it."""


def visible_emotions(targets: Targets, visible: list[str]) -> list[str]:
    """Basic emotions that the visible streams carry, in the order of the streams; empty where they are neutral."""
    shown = [targets.cues[stream] for stream in ("audio", "face", "text")
             if stream in visible and stream in targets.cues]
    return list(dict.fromkeys(emotion for emotion in shown if emotion != "neutral"))


def visible_labels(targets: Targets, visible: list[str]) -> list[str]:
    """Labels that can be told from the visible streams: all labels of a clip without cues per stream, and none where
    no visible stream has a cue."""
    if not targets.cues:
        return list(targets.labels) or ([targets.emotion] if targets.emotion else [])
    if not set(targets.cues) & set(visible):  # nothing is known of these streams
        return []
    emotions = visible_emotions(targets, visible)
    if not emotions:
        return ["neutral"]
    meaning = lexicon.load().meaning
    carried = {meaning(emotion) for emotion in emotions}
    known = [label for label in targets.labels if meaning(label) in carried]
    if {meaning(label) for label in known} != carried:
        return emotions
    return list(targets.labels) if set(targets.cues) <= set(visible) else known


def polarity(targets: Targets, visible: list[str]) -> str | None:
    """Polarity of what can be told from the visible streams; None where nothing is known, never a guess.

    The clip's own sentiment goes first, unless a stream that carries an emotion is hidden. Then what the visible
    cues say, else the labels: of several, the polarity that more of them have (`Lexicon.polarity_of`). Labels of which
    as many are positive as negative have none: they are not neutral.
    """
    if targets.sentiment and set(targets.cues) <= set(visible):
        return targets.sentiment
    words = lexicon.load()
    shown = visible_emotions(targets, visible) if targets.cues else []
    if shown:
        return words.polarity_of(shown)
    labels = visible_labels(targets, visible)
    found = words.polarity_of(labels)
    return None if found == "neutral" and {words.polarity(label) for label in labels} - {None, found} else found


def conflict_sentence(targets: Targets, visible: list[str]) -> str | None:
    """The sentence that names two disagreeing streams, or None where the visible ones agree."""
    if len(visible_emotions(targets, visible)) < 2:
        return None
    first, second = [(stream, targets.cues[stream]) for stream in ("audio", "face", "text")
                     if stream in visible and targets.cues.get(stream, "neutral") != "neutral"][:2]
    return (f"They conflict: the {STREAM_NAMES[first[0]]} {_verb(first[0])} {first[1]}, "
            f"the {STREAM_NAMES[second[0]]} {_verb(second[0])} {second[1]}.")


def _verb(stream: str) -> str:
    return "are" if stream == "text" else "is"


def description(targets: Targets, visible: list[str]) -> str | None:
    """What each visible stream shows and how that reads, and their conflict; else the clip's own description.

    The reading follows its evidence ("The voice is loud and fast: angry."), so that labels and conflict, which come
    later, can be drawn from the text so far.
    """
    if not targets.evidence:
        return targets.description
    sentences = []
    for stream in ("audio", "face", "frame", "text"):
        if stream in visible and stream in targets.evidence:
            reading = f": {targets.cues[stream]}." if stream in targets.cues else "."
            sentences.append(targets.evidence[stream].rstrip(".!? ") + reading)
    conflict = conflict_sentence(targets, visible)
    return " ".join(sentences + ([conflict] if conflict else [])) or None
