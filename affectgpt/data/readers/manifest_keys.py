"""The keys of a manifest's rows, as one table.

The published JSON schema, the checks of the reader and the writer, and what a cell of a CSV table means follow from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from affectgpt.data.clip import SEXES
from affectgpt.models.streams import STREAMS
from affectgpt.words.basic import POLARITIES, SYNONYMS

LARGEST = 1e100
"""JSON has whole numbers of any size, and 1e999."""
_TEXT = {"type": "string"}
_NAME = {"type": ["string", "number"], "minimum": -LARGEST, "maximum": LARGEST}
_NUMBER = {"type": "number", "minimum": -LARGEST, "maximum": LARGEST}
_SECONDS = {"type": "number", "minimum": 0, "maximum": LARGEST}
_STREAM = {"enum": list(STREAMS)}


@dataclass(frozen=True)
class Key:
    """One key of a row.

    Args:
        schema: what its value must be, in JSON Schema; null is the same as a key that is not there.
        wanted: the same in words, for an error.
        meaning: what it says.
        of_targets: belongs to `Targets`, else to `Clip`.
    """

    schema: dict[str, Any]
    wanted: str
    meaning: str
    of_targets: bool = False


def _target(schema: dict[str, Any], wanted: str, meaning: str) -> Key:
    return Key(schema, wanted, meaning, of_targets=True)


KEYS: dict[str, Key] = {
    "id": Key(_NAME | {"pattern": r"\S"}, "text", "name of the clip, unique in its corpus; needed"),
    "corpus": Key(_NAME, "text", "name of its corpus; the manifest's folder by default"),
    "split": Key(_NAME, "text", "train, validation, test or another of its corpus"),
    "media": Key(_TEXT, "text", "video, sound or picture, relative to the root"),
    "audio": Key(_TEXT, "text", "separate sound that replaces that of media"),
    "face": Key(_TEXT, "text", "face of the one who is meant: crops (.npy) or a face track (.json)"),
    "start": Key(_SECONDS, "seconds from 0", "where in media the clip begins, seconds"),
    "end": Key(_SECONDS, "seconds from 0", "where in media it ends, seconds; after start"),
    "words": Key(_TEXT, "text", "spoken words"),
    "language": Key(_TEXT, "text", "of the words, ISO 639-1; en by default"),
    "speaker": Key(_NAME, "text", "who speaks"),
    "sex": Key({"enum": list(SEXES)}, f"one of {', '.join(SEXES)}", "of the speaker, as the corpus states it"),
    "dialogue": Key(_NAME, "text", "name of the conversation"),
    "turn": Key({"type": "integer", "minimum": 0, "maximum": 10**9}, "a whole number from 0", "place in it"),
    "group": Key(_NAME, "text", "what no split may cut: a video, a session"),
    "content": Key(_TEXT, "text", "hash of the media, as a prepared corpus has it"),
    "description": _target(_TEXT, "text", "what the clip shows, in sentences"),
    "labels": _target({"type": "array", "items": _TEXT}, "a list of words", "emotion words, open"),
    "emotion": _target(_TEXT, "text", "one emotion of the corpus's closed set"),
    "valence": _target(_NUMBER, "a number", "in the corpus's range"),
    "arousal": _target(_NUMBER, "a number", "on the corpus's scale"),
    "dominance": _target(_NUMBER, "a number", "on the corpus's scale"),
    "sentiment": _target({"enum": list(POLARITIES)}, f"one of {', '.join(POLARITIES)}", "polarity"),
    "votes": _target({"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": LARGEST}},
                     "an object of emotion and number from 0", "how many people chose an emotion, or which share"),
    "preference": _target(
        {"type": "object", "properties": {"first": _TEXT, "second": _TEXT,
                                          "better": {"enum": ["first", "second", "same", ""]}},
         "required": ["first", "second", "better"], "additionalProperties": False},
        "an object of first, second (descriptions) and better (first, second, same, or empty where unknown)",
        "two descriptions, and which one people found better"),
    "turns": _target(
        {"type": "array", "items": {"type": "array", "items": _TEXT, "minItems": 2, "maxItems": 2}},
        "a list of [question, answer]", "questions with their answers"),
    "evidence": _target({"type": "object", "propertyNames": _STREAM, "additionalProperties": _TEXT},
                        f"an object of stream ({', '.join(STREAMS)}) and text", "what each stream shows"),
    "cues": _target({"type": "object", "propertyNames": _STREAM, "additionalProperties": {"enum": list(SYNONYMS)}},
                    f"an object of stream and basic emotion ({', '.join(SYNONYMS)})",
                    "basic emotion that each stream carries"),
}
PATHS = ("media", "audio", "face")
"""Keys that name a file."""


def schema() -> dict[str, Any]:
    """The published schema of one row (JSON Schema, draft 2020-12)."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "A clip of an AffectGPT manifest",
        "type": "object", "required": ["id"], "additionalProperties": False,
        "properties": {name: {"description": key.meaning} | (key.schema if name == "id" else
                                                             {"anyOf": [key.schema, {"type": "null"}]})
                       for name, key in KEYS.items()}}


def fits(value: Any, rule: dict[str, Any]) -> bool:
    """Whether a value is what a schema says; knows the words of JSON Schema that `KEYS` uses."""
    if "anyOf" in rule:
        return any(fits(value, one) for one in rule["anyOf"])
    if "enum" in rule and not (isinstance(value, str) and value in rule["enum"]):
        return False
    if "pattern" in rule and isinstance(value, str) and not re.search(rule["pattern"], value):
        return False
    kinds = rule.get("type", ())
    if kinds and not any(_is(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)):
        return False
    if isinstance(value, int | float) and not rule.get("minimum", value) <= value <= rule.get("maximum", value):
        return False
    if isinstance(value, list):
        return rule.get("minItems", 0) <= len(value) <= rule.get("maxItems", len(value)) \
            and all(fits(item, rule.get("items", {})) for item in value)
    if isinstance(value, dict):
        named, other = rule.get("properties", {}), rule.get("additionalProperties", {})
        return set(rule.get("required", ())) <= set(value) and all(
            fits(name, rule.get("propertyNames", {}))
            and (fits(item, named[name]) if name in named else other is not False and fits(item, other))
            for name, item in value.items())
    return True


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return False
    if kind == "integer":
        return isinstance(value, int) or isinstance(value, float) and value.is_integer()
    return isinstance(value, {"string": str, "number": (int, float), "array": list, "object": dict,
                              "null": type(None)}[kind])


def of_type(*kinds: str) -> tuple[str, ...]:
    """Names of the keys whose value has one of these types alone."""
    return tuple(name for name, key in KEYS.items() if key.schema.get("type") in kinds)


def is_name(name: str) -> bool:
    """Whether a number may stand for the key's text."""
    return KEYS[name].schema.get("type") == _NAME["type"]


def number(cell: str) -> float | int:
    """The number of a table's cell. Raises ValueError where it is none."""
    return int(cell) if re.fullmatch(r"-?\d{1,18}", cell, re.ASCII) else float(cell)
