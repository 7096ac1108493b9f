"""Nested dataclasses from YAML and from dotted `key=value` words, with every key and type checked.

Nothing here knows what the settings mean; `sections.py` does.
"""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Iterator
from dataclasses import asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from affectgpt.models import settings


class Word(str):
    """A value as typed on the command line; the field's type decides what it means."""


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word; here that is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key_node in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key_node.value!r} is there twice", key_node.start_mark)
            seen.add(key_node.value)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ValueError where it is unreadable or holds no mapping."""
    try:
        value = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeyLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        row = f":{mark.line + 1}" if mark else ""
        raise ValueError(f"{path}{row}: is not YAML ({getattr(error, 'problem', None) or error})") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{path}: holds {_show(value)}, and a recipe is a mapping of settings")
    return value


def names(cls: type) -> set[str]:
    """Names of a dataclass's fields."""
    return {field.name for field in fields(cls)}


def dotted_keys(cls: type, prefix: str = "") -> Iterator[str]:
    """Every setting of a nested dataclass as "group.name"."""
    hints = typing.get_type_hints(cls)
    for field in fields(cls):
        if is_dataclass(hints[field.name]):
            yield from dotted_keys(hints[field.name], f"{prefix}{field.name}.")
            continue
        yield prefix + field.name
        if (entry := _entry(hints[field.name])) is not None:
            yield from dotted_keys(entry, f"{prefix}{field.name}.0.")


def unknown_key(key: str, cls: type, where: str) -> ValueError:
    """The error for a key that nobody knows, with the nearest one that somebody does."""
    known = list(dotted_keys(cls))
    groups = sorted({name.rpartition(".")[0] for name in known if ".0." not in name} - {""})
    same_name = [name for name in known if name.rpartition(".")[2] == key.rpartition(".")[2]]
    by_leaf = {name.rpartition(".")[2]: name for name in known}
    near_leaf = difflib.get_close_matches(key.rpartition(".")[2], list(by_leaf), n=1, cutoff=0.6)
    near = same_name or difflib.get_close_matches(key, known + groups, n=1, cutoff=0.7) \
        or [by_leaf[name] for name in near_leaf]
    hint = f"the nearest known key is {near[0]!r}" if near else f"keys start with {', '.join(groups)}"
    return ValueError(f"{where}: unknown key {key!r}; {hint}")


def build(cls: type, values: Any, where: str, prefix: str = "", root: type | None = None) -> Any:
    """An instance of the dataclass `cls` from a mapping; what is not named keeps its default.

    where: file or override, for messages. Raises ValueError for unknown keys and wrong types.
    """
    root = root or cls
    if not isinstance(values, dict):
        raise ValueError(f"{where}: {prefix.rstrip('.') or 'it'} must be a mapping, got {_show(values)}")
    hints = typing.get_type_hints(cls)
    known = names(cls)
    arguments = {}
    for key, value in values.items():
        if key not in known:
            raise unknown_key(f"{prefix}{key}", root, where)
        if is_dataclass(hints[key]):
            arguments[key] = build(hints[key], {} if value is None else value, where, f"{prefix}{key}.", root)
        else:
            arguments[key] = coerce(value, hints[key], f"{where}: {prefix}{key}")
    return cls(**arguments)


def merge(base: dict[str, Any], values: dict[str, Any], cls: type) -> dict[str, Any]:
    """`values` over `base`: groups are merged, every other value is replaced as a whole."""
    hints = typing.get_type_hints(cls)
    merged = dict(base)
    for key, value in values.items():
        if is_dataclass(hints.get(key)):  # in YAML a group that is named and left empty is null
            merged[key] = merge(merged.get(key) or {}, value or {}, hints[key])
        else:
            merged[key] = value
    return merged


def override(values: dict[str, Any], word: str, cls: type) -> None:
    """Put one `group.name=value` into `values`, a complete mapping of `cls`.

    One more level reaches into a field that is a mapping itself: `data.questions.labels=0.5`; and a number into one
    that is a list of groups, the next one included: `data.corpora.0.root=/data/meld`.
    """
    key, equals, text = word.partition("=")
    key = key.strip()
    if not equals or not key:
        raise ValueError(f"override {word!r}: must be written key=value, for example train.epochs=3")
    place, hint, parts = values, cls, key.split(".")
    for part in parts[:-1]:
        inside = _field_hint(hint, part)
        if inside is None:
            raise unknown_key(key, cls, f"override {word!r}")
        inside = _without_null(inside)
        if isinstance(place, list):
            place, hint = _entry_of(place, part, word), inside
            continue
        if place.get(part) is None and get_origin(inside) in (dict, list):
            place[part] = {} if get_origin(inside) is dict else []
        if not isinstance(place.get(part), dict | list):
            raise unknown_key(key, cls, f"override {word!r}")
        place, hint = place[part], inside
    last = _field_hint(hint, parts[-1])
    if last is None or isinstance(place, list) and not is_dataclass(last):
        raise unknown_key(key, cls, f"override {word!r}")
    if is_dataclass(last):
        raise ValueError(f"override {word!r}: {key} is a group of settings; name one of them, "
                         f"for example {next(dotted_keys(last, key + '.'))}")
    value = coerce(Word(text.strip()), last, f"override {word!r}")
    place[parts[-1]] = [asdict(entry) for entry in value] if _entry(last) else value


def _entry(hint: Any) -> type | None:
    """The dataclass that a list is made of; None for any other type."""
    inside = get_args(hint)[0] if get_origin(hint) is list else None
    return inside if is_dataclass(inside) else None


def _entry_of(entries: list[dict[str, Any]], part: str, word: str) -> dict[str, Any]:
    """The group that a number names; the number after the last one makes another."""
    number = int(part)
    if number > len(entries):
        raise ValueError(f"override {word!r}: there are {len(entries)} entries, counted from 0; the next one is "
                         f"{len(entries)}")
    if number == len(entries):
        entries.append({})
    return entries[number]


def _field_hint(hint: Any, name: str) -> Any:
    """Type of the setting `name` inside `hint`, or None where there is none."""
    if is_dataclass(hint):
        return typing.get_type_hints(hint).get(name)
    if _entry(hint) is not None:
        return _entry(hint) if name.isascii() and name.isdecimal() and len(name) < 6 else None
    return get_args(hint)[1] if get_origin(hint) is dict and name else None


def _without_null(hint: Any) -> Any:
    """`dict[...] | None` as the mapping that it may be, so that one of its keys can be set; any other type as it is."""
    options = [option for option in get_args(hint) if option is not type(None)]
    optional = get_origin(hint) in (Union, types.UnionType) and len(options) == 1
    return options[0] if optional and get_origin(options[0]) is dict else hint


def range_problems(instance: Any, prefix: str = "") -> list[str]:
    """One phrase for each number of a nested dataclass that is out of the range marked in its annotation."""
    problems = []
    for name, hint in typing.get_type_hints(type(instance), include_extras=True).items():
        value = getattr(instance, name)
        if is_dataclass(value):
            problems += range_problems(value, f"{prefix}{name}.")
        elif isinstance(value, list) and any(map(is_dataclass, value)):
            for number, entry in enumerate(value):
                problems += range_problems(entry, f"{prefix}{name}.{number}.")
        else:
            problems += settings.range_problems(value, hint, f"{prefix}{name}")
    return problems


def coerce(value: Any, hint: Any, where: str) -> Any:
    """`value` as the type `hint`. Raises ValueError saying what was expected and what was given.

    Only what cannot be misread is converted: a whole float for an int, an int for a float, "1e-4" (which
    YAML takes for text) for a float, "none" for an optional value, "a,b" on the command line for a list.
    """
    origin, options = get_origin(hint), get_args(hint)
    if is_dataclass(hint):
        if isinstance(value, dict):
            return build(hint, value, where)
    elif hint is Any:  # what it means is decided by whoever reads it
        values = value if isinstance(value, list) else [value]
        if all(item is None or isinstance(item, str | int | float | bool) for item in values):
            return str(value) if isinstance(value, str) else value
    elif origin in (Union, types.UnionType):
        for option in options:  # a choice may be called "none"
            if get_origin(option) is Literal and isinstance(value, str) and value in get_args(option):
                return str(value)
        if type(None) in options and (value is None or str(value).lower() in ("none", "null", "~", "")):
            return None
        # In the order of the annotation: one that takes any text, such as a list of it, is written last.
        others = [option for option in options if option is not type(None)]
        if len(others) == 1:  # whose message says more
            return coerce(value, others[0], where)
        for option in others:
            try:
                return coerce(value, option, where)
            except ValueError:
                continue
    elif origin is Literal:
        text = [option for option in options if isinstance(option, str) and option == value]
        if text:
            return text[0]
        if isinstance(value, str):
            near = difflib.get_close_matches(value, [str(option) for option in options], n=1)
            hint_text = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{where} must be {_name(hint)}, got {_show(value)}{hint_text}")
    elif hint is bool:
        parsed = yaml.safe_load(value) if isinstance(value, Word) and len(value) < 8 else value
        if isinstance(parsed, bool):
            return parsed
    elif hint in (int, float):
        number = _number(value)
        if number is not None and hint is float:
            return float(number)
        if number is not None and number == int(number):
            return int(number)
    elif hint is str:
        if isinstance(value, str):
            return str(value)
    elif origin is list:
        items = _flow(value, "[") if isinstance(value, Word) else value
        if isinstance(items, list):
            mark = "{}.{}" if is_dataclass(options[0]) else "{}[{}]"
            return [coerce(item, options[0], mark.format(where, index)) for index, item in enumerate(items)]
    elif origin is dict:
        items = _flow(value, "{") if isinstance(value, Word) else value
        if isinstance(items, dict):
            return {coerce(key, options[0], f"{where}: its key"): coerce(item, options[1], f"{where}.{key}")
                    for key, item in items.items()}
    else:
        raise TypeError(f"{where}: settings of type {hint} are not supported")
    raise ValueError(f"{where} must be {_name(hint)}, got {_show(value)}")


def _number(value: Any) -> int | float | None:
    """A finite number from a number or its text; None for anything else, true and false included."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return None
    return value


def _flow(word: Word, opening: str) -> Any:
    """A list or mapping typed on the command line: YAML in brackets, or for a list words between commas."""
    if word.startswith(opening):
        try:
            return yaml.safe_load(word)
        except yaml.YAMLError:
            return None
    if opening == "[":
        return [Word(part.strip()) for part in word.split(",")] if word else []
    return None


def _name(hint: Any) -> str:
    """A type in plain words."""
    origin, options = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join(_name(option) for option in options)
    if origin is Literal:
        return "one of " + ", ".join(map(repr, options)) if len(options) > 1 else repr(options[0])
    if origin is list:
        return f"a list of {_name(options[0]).removeprefix('a ')} items"
    if origin is dict:
        return f"a mapping of {_name(options[0]).removeprefix('a ')} to {_name(options[1])}"
    if is_dataclass(hint):
        return "a mapping"
    plain = {Any: "text, a number, true, false or a list of them", str: "text", int: "a whole number",
             float: "a number", bool: "true or false", type(None): "null"}
    return plain[hint]


def _show(value: Any) -> str:
    """A value in a message, short, with its kind where YAML may have read it otherwise than meant."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = repr(str(value)) if isinstance(value, str) else repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
